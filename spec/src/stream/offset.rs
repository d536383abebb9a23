//! Offsets: "Offsets" in stream.md.

use super::requirements::STREAM_READ_7;
use crate::decode::{Value, Violation, expected};

/// A token that a server gave out in `Stream-Next-Offset`. Opaque: it is compared byte by byte and never built by a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(String);

/// Where a read starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReadOffset {
    /// `-1`: the start of the stream.
    Start,
    /// `now`: its tail.
    Now,
    /// A token that the server gave out.
    At(Offset),
}

/// The characters that no offset can hold are these and control characters.
const FORBIDDEN: &[u8] = b",&=?/";
const START: &str = "-1";
const NOW: &str = "now";

fn can_hold(byte: u8) -> bool {
    !byte.is_ascii_control() && !FORBIDDEN.contains(&byte)
}

impl Offset {
    /// Reads a token.
    ///
    /// # Errors
    /// It is empty, holds a character that no offset can hold, or is one of the reserved `-1` and `now`.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let refuse = |what: &str| Err(Violation::new("", expected(what, text)));
        if text == START || text == NOW {
            refuse("an offset other than the reserved -1 and now")
        } else if !text.bytes().all(can_hold) {
            refuse("an offset without control characters and , & = ? /")
        } else if text.is_empty() {
            refuse("an offset of at least one character")
        } else {
            Ok(Self(text.into()))
        }
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Offset {
    const WHAT: &'static str = "an offset";

    fn parse(text: &str) -> Result<Self, Violation> {
        Self::parse(text)
    }

    fn text(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        let mut schema = ReadOffset::syntax();
        schema["not"] = serde_json::json!({ "enum": [START, NOW] });
        schema
    }
}

impl Value for ReadOffset {
    const WHAT: &'static str = "an offset";

    fn parse(text: &str) -> Result<Self, Violation> {
        match text {
            START => Ok(Self::Start),
            NOW => Ok(Self::Now),
            token => {
                Offset::parse(token).map(Self::At).map_err(|violation| match text.bytes().all(can_hold) {
                    true => violation,
                    false => violation.of(STREAM_READ_7),
                })
            }
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Start => START,
            Self::Now => NOW,
            Self::At(offset) => offset.as_str(),
        }
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        serde_json::json!({
            "type": "string",
            "minLength": 1,
            "pattern": r"^[^\u0000-\u001f\u007f,&=?/]+$",
        })
    }
}
