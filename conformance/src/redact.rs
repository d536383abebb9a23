//! Takes secrets out before an event exists.

use crate::event::{What, hex};
use serde_json::Value;

/// What stands where a secret stood.
const MARK: &str = "[redacted]";

/// The texts that may not stand in any report, in every form in which an event could hold them.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    forms: Vec<String>,
}

impl Redaction {
    /// For these secrets. An empty one is none; the part of an `Authorization` behind its scheme is one by itself.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a String>) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for secret in secrets {
            for part in std::iter::once(secret.as_str()).chain(secret.split_once(' ').map(|(_, token)| token))
            {
                if !part.trim().is_empty() {
                    forms.extend([
                        part.to_owned(),
                        wireproof_spec::http::percent_encode(part),
                        hex(part.as_bytes()),
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
        self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form, MARK))
    }

    /// An event without the secrets.
    pub(crate) fn take_out(&self, what: What) -> What {
        if self.forms.is_empty() {
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
                *map = std::mem::take(map).into_iter().map(|(k, v)| (self.text(&k), v)).collect();
                map.values_mut().for_each(|v| self.walk(v));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
