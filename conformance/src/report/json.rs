//! The machine form: `result.json`, and what `--json` prints.

use super::Outcome;

/// As text, with a line end behind it.
///
/// # Errors
/// A value that JSON cannot express; none of ours is one.
pub fn text(outcome: &Outcome) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(outcome)? + "\n")
}
