//! Forks: where a stream leaves the one that it begins as a part of.

use super::{
    header::{FORK_OFFSET, FORK_SUB_OFFSET, FORKED_FROM},
    requirements::{STREAM_FORKS_11, STREAM_FORKS_12},
};
use crate::{
    decode::{Value, Violation, expected, value},
    http::Fields,
};

/// How far behind an offset: decimal digits, in messages of a JSON stream and else in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubOffset(String);

impl SubOffset {
    /// The number; what is larger than 2^64 - 1 counts as that.
    pub fn get(&self) -> u64 {
        self.0.parse().unwrap_or(u64::MAX)
    }
}

impl Value for SubOffset {
    const WHAT: &'static str = "a whole number";

    fn parse(text: &str) -> Result<Self, Violation> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.into()))
        } else {
            Err(Violation::new("", expected(Self::WHAT, text)).of(STREAM_FORKS_11))
        }
    }

    fn text(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": "^[0-9]+$" })
    }
}

/// Where a stream leaves its source means nothing without a source.
pub(super) fn check(headers: &Fields) -> Result<(), Violation> {
    if value(headers, FORKED_FROM).is_some() {
        return Ok(());
    }
    // A sub-offset of 0 is as if it were absent.
    let has =
        |name: &&str| value(headers, name).is_some_and(|value| *name == FORK_OFFSET || !is_zero(&value));
    match [FORK_OFFSET, FORK_SUB_OFFSET].into_iter().find(has) {
        Some(name) => Err(Violation::new(
            format!("/headers/{name}"),
            "expected the source of a fork beside it, found none",
        )
        .of(STREAM_FORKS_12)),
        None => Ok(()),
    }
}

fn is_zero(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b == b'0')
}

/// What [`check`] says, as JSON Schema.
#[cfg(feature = "schema")]
pub(super) fn refine(schema: &mut serde_json::Value) {
    let zero = serde_json::json!({ "properties": { FORK_SUB_OFFSET: { "pattern": "^0+$" } } });
    let headers = &mut schema["properties"]["headers"];
    headers["dependentRequired"] = serde_json::json!({ FORK_OFFSET: [FORKED_FROM] });
    headers["anyOf"] = serde_json::json!([{ "required": [FORKED_FROM] }, zero]);
}
