//! Takes secrets out before an event exists.

use crate::event::{What, hex};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

/// What stands where a secret stood.
const MARK: &str = "[redacted]";

/// A part of a secret that is shorter than this is none by itself: it would be found everywhere.
const SHORTEST_PART: usize = 6;
/// A text that was cut may end in the beginning of a secret; of so many bytes or more it is taken out too.
const SHORTEST_START: usize = 4;
/// Texts shorter than this were not cut.
const CUT: usize = 400;

/// Names of fields that hold words of ours, never of a target: what a secret may look like and still be no secret there.
const OURS: [&str; 10] = [
    "kind",
    "form",
    "requirement",
    "requirements",
    "protocol",
    "verdict",
    "source",
    "method",
    "status",
    "alive",
];

/// Headers whose values are no secrets even if they were given as one of the target's own.
const PLAIN: [&str; 6] =
    ["accept", "accept-encoding", "accept-language", "cache-control", "content-type", "user-agent"];

/// Whether the value of a header that the owner gives is to be kept secret.
pub fn is_secret(header: &str) -> bool {
    !PLAIN.contains(&header.to_ascii_lowercase().as_str())
}

/// The texts that may not stand in any report, in every form in which an event could hold them.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    forms: Vec<String>,
}

impl Redaction {
    /// For these secrets. An empty one is none; the part of an `Authorization` behind its scheme is one by itself, and so
    /// is what it holds in base64.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a String>) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for secret in secrets {
            let token = secret.split_once(' ').map(|(_, token)| token).filter(|t| t.len() >= SHORTEST_PART);
            let held =
                STANDARD.decode(token.unwrap_or(secret)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let held = held.filter(|text| text.len() >= SHORTEST_PART);
            for part in [Some(secret.as_str()), token, held.as_deref()].into_iter().flatten() {
                if !part.trim().is_empty() {
                    forms.extend([
                        part.to_owned(),
                        part.to_ascii_lowercase(),
                        part.to_ascii_uppercase(),
                        wireproof_spec::http::percent_encode(part),
                        hex(part.as_bytes()),
                        STANDARD.encode(part),
                    ]);
                }
            }
        }
        // The longest first: a secret may be part of another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self { forms }
    }

    /// A text without the secrets.
    pub fn text(&self, text: &str) -> String {
        let mut clean = self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form, MARK));
        if text.len() >= CUT
            && let Some(start) = self.forms.iter().find_map(|form| {
                let starts = (SHORTEST_START..form.len()).rev().filter(|end| form.is_char_boundary(*end));
                starts.map(|end| &form[..end]).find(|start| clean.ends_with(start))
            })
        {
            clean.truncate(clean.len() - start.len());
            clean.push_str(MARK);
        }
        clean
    }

    /// An event without the secrets.
    pub(crate) fn take_out(&self, what: What) -> What {
        let ours = matches!(
            what,
            What::Feature { .. } | What::Hook { .. } | What::CheckStarted { .. } | What::CheckFinished { .. }
        );
        if ours || self.forms.is_empty() {
            return what;
        }
        let clean = serde_json::to_value(&what).and_then(|mut value| {
            self.walk(&mut value);
            serde_json::from_value(value)
        });
        // Rather an event that says nothing than one that says too much.
        clean.unwrap_or_else(|e| What::Harness {
            message: format!("an event could not be cleaned of secrets: {e}"),
        })
    }

    fn walk(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(list) => list.iter_mut().for_each(|v| self.walk(v)),
            Value::Object(map) => {
                let theirs = map.iter_mut().filter(|(name, _)| !OURS.contains(&name.as_str()));
                theirs.for_each(|(_, v)| self.walk(v));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
