//! Defects of "Json": messages that come back as others.

use super::{
    super::{Seams, Table, request},
    map_json, posts_json,
};
use crate::{protocol::Cut::Wire, selftest::defects::Breakage};
use serde_json::{Map, Value};
use wireproof_spec::{http::Body, stream::requirements::*};

pub(in crate::selftest::defects::stream) const TABLE: Table = &[
    Breakage::always("stream/json/accents-composed", STREAM_JSON_9, Wire, || {
        strings(|text| text.replace("e\u{301}", "\u{e9}"))
    }),
    Breakage::always("stream/json/beyond-latin-replaced", STREAM_JSON_9, Wire, || {
        strings(|text| text.chars().map(|c| if c > '\u{ff}' { '?' } else { c }).collect())
    }),
    Breakage::always("stream/json/strings-trimmed", STREAM_JSON_9, Wire, || {
        strings(|text| text.trim().to_owned())
    }),
    Breakage::always("stream/json/empty-members-dropped", STREAM_JSON_9, Wire, || {
        objects(|object| object.retain(|_, value| !value.is_null()))
    }),
    Breakage::always("stream/json/prototype-dropped", STREAM_JSON_9, Wire, || {
        objects(|object| drop(object.remove("__proto__")))
    }),
    Breakage::always("stream/json/fractions-of-24-bits", STREAM_JSON_9, Wire, || {
        numbers(|number| {
            #[expect(clippy::cast_possible_truncation, reason = "what it loses is the defect")]
            let short = f64::from(number as f32);
            (number.fract() != 0.0 && short.is_finite()).then_some(short)
        })
    }),
    Breakage::always("stream/json/large-numbers-rounded", STREAM_JSON_10, Wire, || {
        request(|request| {
            if let Ok(text) = std::str::from_utf8(&request.body)
                && posts_json(request)
                && let Some(number) = text.strip_prefix("{\"number\":").and_then(|t| t.strip_suffix('}'))
                && let Ok(number) = number.parse::<f64>()
            {
                // As many a server writes what no number is.
                let written = if number.is_finite() { format!("{number:?}") } else { "null".to_owned() };
                request.body = Body(format!("{{\"number\":{written}}}").into());
            }
        })
    }),
];

/// Every string of what is appended is another.
fn strings(change: fn(&str) -> String) -> Seams {
    values(move |value| {
        if let Value::String(text) = value {
            *text = change(text);
        }
    })
}

fn objects(change: fn(&mut Map<String, Value>)) -> Seams {
    values(move |value| {
        if let Value::Object(object) = value {
            change(object);
        }
    })
}

fn numbers(change: fn(f64) -> Option<f64>) -> Seams {
    values(move |value| {
        if let Some(other) = value.as_f64().and_then(change) {
            *value = Value::from(other);
        }
    })
}

fn values(change: impl Fn(&mut Value) + Clone + Send + Sync + 'static) -> Seams {
    request(move |request| {
        if posts_json(request) {
            map_json(&mut request.body, |mut value| {
                each(&mut value, &change);
                value
            });
        }
    })
}

/// Every value inside of this one, and then it itself.
fn each(value: &mut Value, change: &impl Fn(&mut Value)) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| each(one, change)),
        Value::Object(all) => all.iter_mut().for_each(|(_, one)| each(one, change)),
        _ => {}
    }
    change(value);
}
