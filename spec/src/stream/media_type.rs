//! Media types of streams: `Content-Type` in stream.md.

use crate::decode::{Value, Violation, expected};

/// A media type as it was sent: `type/subtype` and parameters, in the syntax of RFC 9110.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaType(String);

impl MediaType {
    /// Reads a media type.
    ///
    /// # Errors
    /// The text is not `type/subtype`, with or without parameters.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        #[cfg(feature = "planted")]
        planted::first(text.as_bytes());
        match is_media_type(text) {
            true => Ok(Self(text.into())),
            false => Err(Violation::new("", expected(Self::WHAT, text))),
        }
    }

    /// The media type as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Type and subtype in lower case, without parameters.
    pub fn essence(&self) -> String {
        self.0.split([';', ' ', '\t']).next().unwrap_or_default().to_ascii_lowercase()
    }

    /// Whether a stream of this type is one of JSON messages.
    pub fn is_json(&self) -> bool {
        self.essence() == super::json::MEDIA_TYPE
    }

    /// Whether both are the type of one stream: compared without regard to case, and to spaces around parameters.
    pub fn same(&self, other: &Self) -> bool {
        let parts = |m: &Self| -> Vec<String> {
            m.0.split(';').map(|p| p.trim().to_ascii_lowercase()).filter(|p| !p.is_empty()).collect()
        };
        parts(self) == parts(other)
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What is behind the token at the start, or nothing if there is none.
fn after_token(text: &str) -> Option<&str> {
    let end = text.bytes().position(|b| !is_token(b)).unwrap_or(text.len());
    (end > 0).then(|| &text[end..])
}

/// What is behind the quoted string at the start.
fn after_quoted(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        if c.is_ascii_control() && c != '\t' {
            return None;
        } else if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == '"' {
            return Some(&inside[at + 1..]);
        }
    }
    None
}

fn is_media_type(text: &str) -> bool {
    let spaces = [' ', '\t'];
    let essence = after_token(text).and_then(|rest| after_token(rest.strip_prefix('/')?));
    let Some(mut rest) = essence else { return false };
    while !rest.is_empty() {
        let Some(parameter) = rest.trim_start_matches(spaces).strip_prefix(';') else { return false };
        rest = parameter.trim_start_matches(spaces);
        // A parameter may be missing: `text/plain;` is allowed.
        if let Some(behind) = after_token(rest) {
            let value = behind.strip_prefix('=').and_then(|v| after_token(v).or_else(|| after_quoted(v)));
            let Some(behind) = value else { return false };
            rest = behind;
        }
    }
    true
}

impl Value for MediaType {
    const WHAT: &'static str = "a media type";

    fn parse(text: &str) -> Result<Self, Violation> {
        Self::parse(text)
    }

    fn text(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
        const QUOTED: &str = r#""([^"\\\x00-\x08\x0A-\x1F\x7F]|\\[^\x00-\x08\x0A-\x1F\x7F])*""#;
        let pattern = format!(r"^{TOKEN}/{TOKEN}([ \t]*;[ \t]*({TOKEN}=({TOKEN}|{QUOTED}))?)*$");
        serde_json::json!({ "type": "string", "pattern": pattern })
    }
}

/// A bug for the fuzzer to find, behind three bytes that no seed holds. To meet all at once is too much luck; each is found by
/// itself only if a counter tells that the ones before it were. So each has a function of its own: of two conditions in one the
/// compiler may make a single branch, with a single counter.
#[cfg(feature = "planted")]
mod planted {
    #[inline(never)]
    pub(super) fn first(bytes: &[u8]) {
        if let Some(at) = bytes.iter().position(|byte| *byte == 0x0e) {
            second(&bytes[at + 1..]);
        }
    }

    #[inline(never)]
    fn second(bytes: &[u8]) {
        if let Some(at) = bytes.iter().position(|byte| *byte == 0x15) {
            third(&bytes[at + 1..]);
        }
    }

    #[inline(never)]
    fn third(bytes: &[u8]) {
        assert!(!bytes.contains(&0x1c), "the planted bug");
    }
}
