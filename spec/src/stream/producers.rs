//! Idempotent producers: the numbers that an append carries so that it can be repeated.

use super::{
    header::{PRODUCER_EPOCH, PRODUCER_ID, PRODUCER_SEQ},
    requirements::{STREAM_PRODUCERS_1, STREAM_PRODUCERS_2, STREAM_PRODUCERS_3},
};
use crate::{
    decode::{Value, Violation, expected, value},
    http::Fields,
};

/// The largest number that a producer can send: 2^53 - 1, so that every language can hold it.
pub const LARGEST: u64 = (1 << 53) - 1;

/// The name of a producer; it is not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(String);

impl ProducerId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for ProducerId {
    const WHAT: &'static str = "a name of at least one character";

    fn parse(text: &str) -> Result<Self, Violation> {
        if text.is_empty() {
            Err(Violation::new("", expected(Self::WHAT, text)).of(STREAM_PRODUCERS_2))
        } else {
            Ok(Self(text.into()))
        }
    }

    fn text(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        serde_json::json!({ "type": "string", "minLength": 1 })
    }
}

/// An epoch or a sequence number: decimal digits, at most [`LARGEST`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(String);

impl Number {
    /// The number.
    pub fn get(&self) -> u64 {
        // Digits that are no u64 were refused.
        self.0.parse().unwrap_or(LARGEST)
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(number.min(LARGEST).to_string())
    }
}

impl Value for Number {
    const WHAT: &'static str = "a whole number from 0 to 2^53 - 1";

    fn parse(text: &str) -> Result<Self, Violation> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits && text.parse().is_ok_and(|number: u64| number <= LARGEST) {
            Ok(Self(text.into()))
        } else {
            Err(Violation::new("", expected(Self::WHAT, text)).of(STREAM_PRODUCERS_3))
        }
    }

    fn text(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": crate::schema::at_most(&LARGEST.to_string()) })
    }
}

/// The three headers of a producer come together or not at all.
pub(super) fn check(headers: &Fields) -> Result<(), Violation> {
    const ALL: [&str; 3] = [PRODUCER_ID, PRODUCER_EPOCH, PRODUCER_SEQ];
    let missing: Vec<_> = ALL.into_iter().filter(|name| value(headers, name).is_none()).collect();
    match missing.first() {
        Some(name) if missing.len() < ALL.len() => {
            let why = "expected all three headers of a producer or none, found some";
            Err(Violation::new(format!("/headers/{name}"), why).of(STREAM_PRODUCERS_1))
        }
        _ => Ok(()),
    }
}

/// What [`check`] says, as JSON Schema.
#[cfg(feature = "schema")]
pub(super) fn refine(schema: &mut serde_json::Value) {
    schema["properties"]["headers"]["dependentRequired"] = serde_json::json!({
        PRODUCER_ID: [PRODUCER_EPOCH, PRODUCER_SEQ],
        PRODUCER_EPOCH: [PRODUCER_ID, PRODUCER_SEQ],
        PRODUCER_SEQ: [PRODUCER_ID, PRODUCER_EPOCH],
    });
}
