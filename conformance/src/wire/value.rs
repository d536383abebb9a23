//! JSON of which every number is written in one way, so that values can be compared.

use serde_json::{Number, Value};

/// The greatest number up to which every whole double is the number that was written.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// The same value; a whole number with a fraction of zero or an exponent is written without. Many languages have doubles alone,
/// and write 3 as 3.0.
pub fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(whole(&number).unwrap_or(number)),
        Value::Array(all) => all.into_iter().map(plain).collect(),
        Value::Object(all) => all.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        value => value,
    }
}

fn whole(number: &Number) -> Option<Number> {
    let double = number.as_f64().filter(|double| number.is_f64() && double.abs() <= EXACT)?;
    // Within the bound every whole double is exact.
    #[allow(clippy::cast_possible_truncation)]
    (double.fract() == 0.0).then(|| Number::from(double as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_of_one_value_are_one() {
        let same = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|text| plain(serde_json::from_str(text).expect("JSON")));
            a == b
        };
        for (a, b) in [
            ("3", "3.0"),
            ("0", "0.0"),
            ("0", "-0.0"),
            ("17", "1.7e1"),
            ("-1", "-1.00"),
            ("9007199254740991", "9007199254740991.0"),
            (r#"{"a": [1, {"b": 2}]}"#, r#"{"a": [1.0, {"b": 2e0}]}"#),
        ] {
            assert!(same(a, b), "{a} is {b}");
        }
        for (a, b) in [
            ("3", "3.5"),
            ("0", "\"0\""),
            ("0", "null"),
            ("9007199254740990", "9007199254740991.0"),
            ("9007199254740993", "9007199254740992"),
            ("[1]", "[1, 1]"),
        ] {
            assert!(!same(a, b), "{a} is not {b}");
        }
        assert_eq!(plain(json!(-1.5)), json!(-1.5));
        assert_eq!(plain(json!(1e300)), json!(1e300));
    }
}
