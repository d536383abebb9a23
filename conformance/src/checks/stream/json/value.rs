//! JSON as values that can be compared: members in any order, numbers by what they say and not by what a double holds.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;
use wireproof_spec::http::Response;

/// What is nested deeper is not taken apart: a target may send more brackets than our stack has room for.
const DEEPEST: usize = 200;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Null,
    Bool(bool),
    /// The text of a number.
    Number(String),
    Text(String),
    List(Vec<Value>),
    /// The members in their order; a name may occur more than once.
    Object(Vec<(String, Value)>),
}

/// How exactly numbers have to be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checks::stream) enum Numbers {
    /// As far as a double holds them.
    Double,
    /// To the last digit.
    Exact,
}

/// The texts of the messages in a body; none if it is no array.
pub(in crate::checks::stream) fn messages(body: &[u8]) -> Option<Vec<String>> {
    let all: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    Some(all.into_iter().map(|message| message.get().to_owned()).collect())
}

/// The texts of the messages in these answers, all together; none if one of them is no array.
pub(in crate::checks::stream) fn all_messages(answers: &[Response]) -> Option<Vec<String>> {
    let all: Option<Vec<_>> = answers.iter().map(|answer| messages(&answer.body)).collect();
    all.map(|all| all.concat())
}

/// Whether these are texts of the same messages.
pub(in crate::checks::stream) fn equal(found: &[String], expected: &[String], numbers: Numbers) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| same(found, expected, numbers))
}

/// Whether both are texts of one value.
pub(in crate::checks::stream) fn same(found: &str, expected: &str, numbers: Numbers) -> bool {
    match (Value::read(found, DEEPEST), Value::read(expected, DEEPEST)) {
        (Some(found), Some(expected)) => found.is(&expected, numbers),
        _ => false,
    }
}

impl Value {
    fn read(text: &str, depth: usize) -> Option<Self> {
        let deeper = depth.checked_sub(1)?;
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        Some(match text.bytes().next()? {
            b'{' => {
                let Members(members) = serde_json::from_str(text).ok()?;
                let read =
                    |(name, value): (String, &RawValue)| Some((name, Self::read(value.get(), deeper)?));
                Self::Object(members.into_iter().map(read).collect::<Option<_>>()?)
            }
            b'[' => {
                let all: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                Self::List(all.iter().map(|value| Self::read(value.get(), deeper)).collect::<Option<_>>()?)
            }
            b'"' => Self::Text(serde_json::from_str(text).ok()?),
            b'n' => serde_json::from_str::<()>(text).ok().map(|()| Self::Null)?,
            b't' | b'f' => Self::Bool(serde_json::from_str(text).ok()?),
            _ => Self::Number(serde_json::from_str::<&RawValue>(text).ok()?.get().to_owned()),
        })
    }

    fn is(&self, other: &Self, numbers: Numbers) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => {
                let double = |text: &str| text.parse::<f64>().ok();
                decimal(a) == decimal(b) || (numbers == Numbers::Double && double(a) == double(b))
            }
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(b, numbers))
            }
            (Self::Object(a), Self::Object(b)) => {
                let among = |one: &(String, Self), all: &[(String, Self)]| {
                    all.iter().any(|other| one.0 == other.0 && one.1.is(&other.1, numbers))
                };
                a.len() == b.len() && a.iter().all(|one| among(one, b)) && b.iter().all(|one| among(one, a))
            }
            _ => self == other,
        }
    }
}

/// A number as sign, digits without zeros around them, and the exponent of the last digit: equal if the numbers are.
fn decimal(text: &str) -> (bool, String, i64) {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let digits = format!("{whole}{fraction}");
    let short = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - short.len()).unwrap_or(i64::MAX);
    let exponent = exponent.parse::<i64>().unwrap_or(i64::MAX).saturating_sub(places).saturating_add(zeros);
    let digits = short.trim_start_matches('0').to_owned();
    // Of zero nothing else counts.
    if digits.is_empty() { (false, digits, 0) } else { (negative, digits, exponent) }
}

/// The members of an object, those of one name too, which a map would drop.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        d.deserialize_map(All)
    }
}

#[cfg(test)]
mod tests {
    use super::{Numbers, messages, same};

    #[test]
    fn values_are_equal_if_they_say_the_same() {
        let equal = [
            ("1", "1.0"),
            ("100", "1e2"),
            ("-0", "0"),
            ("0.10", "1E-1"),
            (r#"{"a":1,"b":[2]}"#, r#" { "b" : [2.0], "a" : 1 } "#),
            (r#""\u00e9\/""#, "\"\u{e9}/\""),
        ];
        for (a, b) in equal {
            assert!(same(a, b, Numbers::Exact), "{a} and {b}");
        }
        let different = [
            ("1", "\"1\""),
            ("9007199254740993", "9007199254740992"),
            ("1e400", "1e401"),
            ("null", "false"),
            ("[1,2]", "[2,1]"),
            ("[1]", "[1,1]"),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":1}"#, r#"{"b":1}"#),
            ("\"\u{e9}\"", "\"e\u{301}\""),
        ];
        for (a, b) in different {
            assert!(!same(a, b, Numbers::Exact), "{a} and {b}");
        }
        assert!(same("9007199254740993", "9007199254740992", Numbers::Double));
        assert!(!same("0.1", "0.2", Numbers::Double));
    }

    #[test]
    fn what_is_too_deep_or_no_array_is_not_taken_apart() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(!same(&deep, &deep, Numbers::Exact));
        assert_eq!(messages(deep.as_bytes()).map(|m| m.len()), Some(1));
        assert_eq!(messages(b"[1, [2]]"), Some(vec!["1".into(), "[2]".into()]));
        assert_eq!(messages(b"{}"), None);
        assert_eq!(messages(b"[1] [2]"), None);
        assert_eq!(messages(b""), None);
    }
}
