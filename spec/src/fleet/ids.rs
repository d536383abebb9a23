//! Ids: under which names operators know rooms.

use crate::{
    decode::{Violation, expected},
    json::Json,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::fmt::Write as _;

/// The most characters of the id of a room that an operator asks for.
pub const LONGEST: usize = 64;

fn legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The public id of a room whose raw id no other room shares: what is no letter or digit of ASCII, `_` or `-` is percent-encoded,
/// byte by byte of UTF-8, with large hexadecimal digits.
pub fn public(raw: &str) -> String {
    let mut id = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        if legal(byte) {
            id.push(byte.into());
        } else {
            // Writing into a string does not fail.
            let _ = write!(id, "%{byte:02X}");
        }
    }
    id
}

/// The id that an operator asks for: 1 to 64 letters and digits of ASCII, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RoomId(String);

impl RoomId {
    /// The id, if it is legal.
    pub fn new(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        ((1..=LONGEST).contains(&id.len()) && id.bytes().all(legal)).then_some(Self(id))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Json for RoomId {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        let text = String::read(value)?;
        Self::new(text.as_str()).ok_or_else(|| {
            Violation::new("", expected("1 to 64 letters and digits of ASCII, _ and -", &text))
        })
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        // $ matches at the end alone in the regular expressions of ECMAScript.
        serde_json::json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" })
    }
}
