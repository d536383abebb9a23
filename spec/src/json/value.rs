//! The values that messages hold.

use super::{Json, Members, expected, within};
use crate::decode::Violation;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, value::RawValue};
use std::collections::BTreeMap;

/// The greatest whole number that every peer can tell from its neighbours.
pub(super) const GREATEST: i64 = 9_007_199_254_740_991;

impl Json for String {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        serde_json::from_str(value.get()).map_err(|_| expected("a string", value))
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }
}

impl Json for bool {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        serde_json::from_str(value.get()).map_err(|_| expected("true or false", value))
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "boolean" })
    }
}

/// A string of so many characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Text<const LEAST: usize, const MOST: usize>(String);

impl<const LEAST: usize, const MOST: usize> Text<LEAST, MOST> {
    /// The string, if it has so many characters.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (LEAST..=MOST).contains(&text.chars().count()).then_some(Self(text))
    }

    /// The string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const LEAST: usize, const MOST: usize> Json for Text<LEAST, MOST> {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        let what = || expected(&format!("a string of {LEAST} to {MOST} characters"), value);
        Self::new(String::read(value)?).ok_or_else(what)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string", "minLength": LEAST, "maxLength": MOST })
    }
}

/// A whole number from one to another. It may be written with a fraction of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Whole<const LEAST: i64, const MOST: i64>(i64);

/// A whole number that is not negative.
pub type Count = Whole<0, GREATEST>;

impl<const LEAST: i64, const MOST: i64> Whole<LEAST, MOST> {
    /// The number, if it is within the bounds.
    pub fn new(number: i64) -> Option<Self> {
        (LEAST..=MOST).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl<const LEAST: i64, const MOST: i64> Json for Whole<LEAST, MOST> {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        let what = || expected(&format!("a whole number from {LEAST} to {MOST}"), value);
        let number: Number = serde_json::from_str(value.get()).map_err(|_| what())?;
        // Within the bounds every whole double is exact.
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let whole = number.as_i64().or_else(|| {
            number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() <= GREATEST as f64).map(|n| n as i64)
        });
        whole.and_then(Self::new).ok_or_else(what)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

macro_rules! bits {
    ($($type:ident)+) => {
        $(impl Json for $type {
            fn read(value: &RawValue) -> Result<Self, Violation> {
                let whole = Whole::<{ $type::MIN as i64 }, { $type::MAX as i64 }>::read(value)?;
                // Within the bounds nothing is lost.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                Ok(whole.get() as Self)
            }

            #[cfg(feature = "schema")]
            fn schema() -> serde_json::Value {
                serde_json::json!({ "type": "integer", "minimum": $type::MIN, "maximum": $type::MAX })
            }
        })+
    };
}

bits! { i32 u32 }

/// A number that is not negative, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Amount(Number);

impl Amount {
    /// The number.
    pub fn get(&self) -> f64 {
        self.0.as_f64().unwrap_or_default()
    }
}

impl From<u32> for Amount {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl Json for Amount {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        let what = || expected("a number that is not negative", value);
        let number: Number = serde_json::from_str(value.get()).map_err(|_| what())?;
        Some(Self(number)).filter(|amount| amount.get() >= 0.0).ok_or_else(what)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "number", "minimum": 0 })
    }
}

/// Any value, as it was written.
#[derive(Clone, Debug)]
pub struct Any(Box<RawValue>);

impl Any {
    /// The value as it was written, or as compact JSON.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The length in bytes as compact JSON in UTF-8, in which no character is escaped that need not be.
    pub fn size(&self) -> usize {
        let compact = |value: serde_json::Value| value.to_string().len();
        // What is too deep or too large for a value is taken as it was written.
        serde_json::from_str(self.get()).map_or(self.get().len(), compact)
    }
}

impl From<serde_json::Value> for Any {
    fn from(value: serde_json::Value) -> Self {
        // A value is JSON.
        Self(RawValue::from_string(value.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

/// Two are one if they were written alike.
impl PartialEq for Any {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Any {}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::deserialize(deserializer).map(Self)
    }
}

impl Json for Any {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        Ok(Self(value.to_owned()))
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        // All there are: generators of types take a schema without a type for that of an object.
        serde_json::json!({ "type": ["array", "boolean", "null", "number", "object", "string"] })
    }
}

/// Any object, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object(Any);

impl Object {
    /// The object as it was written.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The length in bytes as compact JSON in UTF-8.
    pub fn size(&self) -> usize {
        self.0.size()
    }
}

impl From<Object> for Box<RawValue> {
    fn from(object: Object) -> Self {
        object.0.0
    }
}

impl Json for Object {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        if value.get().starts_with('{') {
            Any::read(value).map(Self)
        } else {
            Err(expected("an object", value))
        }
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "object" })
    }
}

/// An object all of whose members are strings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Strings(pub BTreeMap<String, String>);

impl Json for Strings {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        let read = |(name, value): (&str, &RawValue)| {
            // The other side chose the name; it may be long.
            let shown = || name.chars().take(16).collect::<String>();
            let text = String::read(value).map_err(|violation| within(&shown(), violation))?;
            Ok((name.to_owned(), text))
        };
        Members::of(value)?.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

/// A value or `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OrNull<T>(pub Option<T>);

impl<T: Json> Json for OrNull<T> {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        if value.get() == "null" { Ok(Self(None)) } else { T::read(value).map(|value| Self(Some(value))) }
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "anyOf": [T::schema(), { "type": "null" }] })
    }
}

/// A message that another one holds: what is wrong with it is wrong with that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held<T>(pub T);

impl<T: Json> Json for Held<T> {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        T::read(value).map(Self).map_err(|violation| Violation { requirement: None, ..violation })
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        T::schema()
    }
}

/// A URL that is called over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// The URL, if its scheme is one of HTTP.
    pub fn new(url: impl Into<String>) -> Option<Self> {
        let url = url.into();
        (url.starts_with("http://") || url.starts_with("https://")).then_some(Self(url))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Json for HttpUrl {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        let what = || expected("a URL that begins with http:// or https://", value);
        Self::new(String::read(value)?).ok_or_else(what)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": "^https?://" })
    }
}

macro_rules! constant {
    ($(#[doc = $doc:literal])+ $name:ident, $value:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $value.serialize(serializer)
            }
        }

        impl Json for $name {
            fn read(value: &RawValue) -> Result<Self, Violation> {
                let text = stringify!($value);
                if value.get() == text { Ok(Self) } else { Err(expected(text, value)) }
            }

            #[cfg(feature = "schema")]
            fn schema() -> serde_json::Value {
                serde_json::json!({ "const": $value })
            }
        }
    };
}

constant! {
    /// `true`.
    True, true
}

constant! {
    /// `false`.
    False, false
}
