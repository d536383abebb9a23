//! Messages that are JSON documents of their own: frames of text, and bodies. One table a message, from which its type,
//! decoder, encoder and schema come.
//!
//! The macros `json!` and `reply!` turn such a table into a struct. Decoders never panic, pass over members that they do not
//! know, refuse a named member that occurs twice, and say in a [`Violation`] where and why they refuse. A member is required;
//! or an [`Option`], which may be absent and is never `null`; or a [`Nullable`], which may be both.

mod message;
mod value;

pub(crate) use message::{json, reply, words};
pub use value::{Amount, Any, Count, False, Held, HttpUrl, Object, OrNull, Strings, Text, True, Whole};

use crate::decode::Violation;
use serde::{
    Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// A value of JSON that a message can hold.
pub trait Json: Serialize + Sized {
    /// Reads it.
    ///
    /// # Errors
    /// The value is another one; `at` is relative to it.
    fn read(value: &RawValue) -> Result<Self, Violation>;

    /// Its schema, without its meaning.
    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value;
}

/// A member that may be absent, `null` or a value. Absent and `null` mean the same, unless the message says otherwise.
pub type Nullable<T> = Option<OrNull<T>>;

/// A member of an object: required, or optional.
pub trait Member: Sized {
    /// Whether the object has to have it.
    const REQUIRED: bool;

    /// Reads it, if it is there.
    ///
    /// # Errors
    /// It is missing, or it has another value.
    fn read(value: Option<&RawValue>) -> Result<Self, Violation>;

    /// Whether it is to be there.
    fn is_there(&self) -> bool;

    /// The schema of its value.
    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value;
}

impl<T: Json> Member for T {
    const REQUIRED: bool = true;

    fn read(value: Option<&RawValue>) -> Result<Self, Violation> {
        T::read(value.ok_or_else(|| Violation::new("", "expected a value, found nothing"))?)
    }

    fn is_there(&self) -> bool {
        true
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        T::schema()
    }
}

impl<T: Json> Member for Option<T> {
    const REQUIRED: bool = false;

    fn read(value: Option<&RawValue>) -> Result<Self, Violation> {
        value.map(T::read).transpose()
    }

    fn is_there(&self) -> bool {
        self.is_some()
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        T::schema()
    }
}

/// The members of an object, as they were written.
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Takes an object apart.
    ///
    /// # Errors
    /// The value is no object.
    pub(crate) fn of(value: &'a RawValue) -> Result<Self, Violation> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    all.push(pair);
                }
                Ok(all)
            }
        }
        if !value.get().starts_with('{') {
            return Err(expected("an object", value));
        }
        let mut deserializer = serde_json::Deserializer::from_str(value.get());
        serde::Deserializer::deserialize_map(&mut deserializer, Pairs)
            .map(Self)
            .map_err(|error| Violation::new("", format!("expected an object, found none: {error}")))
    }

    /// Reads the member of this name.
    ///
    /// # Errors
    /// It is missing, there are two, or it has another value.
    pub(crate) fn read<M: Member>(&self, name: &str) -> Result<M, Violation> {
        let mut all = self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| *value);
        let value = all.next();
        if all.next().is_some() {
            return Err(within(name, Violation::new("", "expected one member of this name, found two")));
        }
        M::read(value).map_err(|violation| within(name, violation))
    }

    /// Every member, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

/// The violation as seen from the value that holds this member or element.
pub(crate) fn within(name: &str, violation: Violation) -> Violation {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    Violation { at: format!("/{escaped}{}", violation.at), ..violation }
}

/// Expected this, found that.
pub(crate) fn expected(what: &str, found: &RawValue) -> Violation {
    Violation::new("", crate::decode::expected(what, found.get()))
}

/// Reads the one JSON value of these bytes.
///
/// # Errors
/// They are no JSON text in UTF-8, or the value is another one.
pub fn decode<T: Json>(bytes: &[u8]) -> Result<T, Violation> {
    let no_json =
        |error: &dyn fmt::Display| Violation::new("", format!("expected JSON, found none: {error}"));
    let text = std::str::from_utf8(bytes).map_err(|error| no_json(&error))?;
    let value: &RawValue = serde_json::from_str(text).map_err(|error| no_json(&error))?;
    T::read(value)
}

impl<T: Json> Json for Vec<T> {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        if !value.get().starts_with('[') {
            return Err(expected("an array", value));
        }
        let all: Vec<&RawValue> = serde_json::from_str(value.get())
            .map_err(|error| Violation::new("", format!("expected an array, found none: {error}")))?;
        let read = |(index, value): (usize, &&RawValue)| {
            T::read(value).map_err(|violation| within(&index.to_string(), violation))
        };
        all.iter().enumerate().map(read).collect()
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "array", "items": T::schema() })
    }
}

/// Writes the members that are there.
pub(crate) struct Writer<S: Serializer>(pub(crate) S::SerializeMap);

impl<S: Serializer> Writer<S> {
    /// Writes a member, if it is to be there.
    pub(crate) fn member<M: Member + Serialize>(
        &mut self,
        name: &'static str,
        member: &M,
    ) -> Result<(), S::Error> {
        use serde::ser::SerializeMap;
        if member.is_there() { self.0.serialize_entry(name, member) } else { Ok(()) }
    }
}

/// What a message has to be beyond the types of its members.
pub(crate) struct Rule<T: 'static> {
    /// The member that breaks it.
    pub(crate) at: &'static str,
    /// What is expected there.
    pub(crate) expected: &'static str,
    /// Whether a message keeps it.
    pub(crate) holds: fn(&T) -> bool,
    /// The same as a JSON Schema.
    #[cfg_attr(not(feature = "schema"), allow(dead_code))]
    pub(crate) schema: &'static str,
}

/// The message, if it keeps the rules.
pub(crate) fn obey<T>(rules: &[Rule<T>], message: T) -> Result<T, Violation> {
    match rules.iter().find(|rule| !(rule.holds)(&message)) {
        None => Ok(message),
        Some(rule) => {
            Err(within(rule.at, Violation::new("", format!("expected {}, found otherwise", rule.expected))))
        }
    }
}

/// The schema with these rules: what is about one member stands with it, and what is about several in `allOf`.
#[cfg(feature = "schema")]
pub(crate) fn ruled<T>(rules: &[Rule<T>], mut schema: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    fn merge(into: &mut Value, from: Value) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                for (name, value) in from {
                    merge(into.entry(name).or_insert(Value::Null), value);
                }
            }
            (into, from) => *into = from,
        }
    }
    for rule in rules {
        // A rule is written by hand, and every schema is compiled by the tests.
        let rule: Value = serde_json::from_str(rule.schema).unwrap_or_default();
        match (rule.get("if"), &mut schema["allOf"]) {
            (Some(_), Value::Array(all)) => all.push(rule),
            (Some(_), none) => *none = vec![rule].into(),
            (None, _) => merge(&mut schema, rule),
        }
    }
    if schema["allOf"].is_null()
        && let Some(members) = schema.as_object_mut()
    {
        members.remove("allOf");
    }
    schema
}

/// A member in a schema: its name, whether it has to be there, its schema and what it means.
#[cfg(feature = "schema")]
pub(crate) struct Part(
    pub(crate) &'static str,
    pub(crate) bool,
    pub(crate) serde_json::Value,
    pub(crate) String,
);

/// The schema of an object with these members and any others.
#[cfg(feature = "schema")]
pub(crate) fn object(parts: Vec<Part>) -> serde_json::Value {
    let required: Vec<_> = parts.iter().filter(|part| part.1).map(|part| part.0).collect();
    let described = |Part(name, _, mut schema, meaning): Part| {
        if !meaning.is_empty() {
            schema["description"] = meaning.into();
        }
        (name.to_owned(), schema)
    };
    let properties: serde_json::Map<_, _> = parts.into_iter().map(described).collect();
    let mut schema = serde_json::json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}
