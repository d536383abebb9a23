//! Defects of first frames that are no AuthRequest.

use super::{asked, first};
use crate::{
    embed::reference::queue::KEY,
    protocol::Cut::Wire,
    selftest::defects::{
        Breakage,
        queue::{Frame, Seams, Table, heard},
    },
};
use serde_json::{Deserializer, Value, json};
use wireproof_spec::queue::requirements::*;

pub(in crate::selftest::defects::queue) const TABLE: Table = &[
    Breakage::always("queue/auth/json-and-more", QUEUE_AUTH_10, Wire, || {
        first(|text| {
            let mut values = Deserializer::from_str(text).into_iter::<Value>();
            if let Some(Ok(value)) = values.next() {
                *text = value.to_string();
            }
        })
    }),
    Breakage::always("queue/auth/key-by-itself", QUEUE_AUTH_10, Wire, || {
        first(|text| {
            if text == KEY {
                *text = json!({"authorization": KEY}).to_string();
            }
        })
    }),
    Breakage::always("queue/auth/any-quotes", QUEUE_AUTH_10, Wire, || {
        first(|text| *text = text.replace('\'', "\""))
    }),
    Breakage::always("queue/auth/unfinished-object", QUEUE_AUTH_10, Wire, || {
        first(|text| {
            if text.starts_with('{') && !text.ends_with('}') {
                text.push('}');
            }
        })
    }),
    Breakage::always("queue/auth/first-of-a-list", QUEUE_AUTH_24, Wire, || {
        values(|value| {
            if let Value::Array(list) = value
                && let Some(first @ Value::Object(_)) = list.first().cloned()
            {
                *value = first;
            }
        })
    }),
    Breakage::always("queue/auth/json-in-json", QUEUE_AUTH_24, Wire, || {
        values(|value| {
            if let Value::String(text) = value
                && let Ok(inner) = serde_json::from_str(text)
            {
                *value = inner;
            }
        })
    }),
    Breakage::always("queue/auth/key-in-quotes", QUEUE_AUTH_24, Wire, || {
        values(|value| {
            if *value == KEY {
                *value = json!({"authorization": KEY});
            }
        })
    }),
    Breakage::always("queue/auth/anybody-may-read", QUEUE_AUTH_11, Wire, || {
        asked(|request| {
            if request.get("authorization").is_none() {
                request["authorization"] = json!(KEY);
            }
        })
    }),
    Breakage::always("queue/auth/capital-member", QUEUE_AUTH_11, Wire, || {
        asked(|request| {
            if let Some(key) = request.get("Authorization").cloned() {
                request["authorization"] = key;
            }
        })
    }),
    Breakage::always("queue/auth/null-for-a-key", QUEUE_AUTH_12, Wire, || {
        asked(|request| {
            if request.get("authorization") == Some(&Value::Null) {
                request["authorization"] = json!(KEY);
            }
        })
    }),
    Breakage::always("queue/auth/list-of-keys", QUEUE_AUTH_12, Wire, || {
        asked(|request| {
            if let Some(key) = request["authorization"].get(0).cloned() {
                request["authorization"] = key;
            }
        })
    }),
    Breakage::always("queue/auth/bytes-as-text", QUEUE_AUTH_13, Wire, || {
        heard(|_, frame| {
            if let Frame::Binary(bytes) = frame
                && let Ok(text) = std::str::from_utf8(bytes)
            {
                *frame = Frame::Text(text.to_owned());
            }
        })
    }),
    Breakage::always("queue/auth/offset-in-quotes", QUEUE_AUTH_14, Wire, || {
        asked(|request| {
            if let Some(offset) = request["last_offset"].as_str().and_then(|text| text.parse::<i64>().ok()) {
                request["last_offset"] = json!(offset);
            }
        })
    }),
    Breakage::always("queue/auth/offset-passed-over", QUEUE_AUTH_14, Wire, || {
        passed_over("last_offset", |value| value.is_array() || value.is_object() || value.is_boolean())
    }),
    Breakage::always("queue/auth/number-for-an-id", QUEUE_AUTH_25, Wire, || {
        asked(|request| {
            if request["client_id"].is_number() {
                request["client_id"] = json!(request["client_id"].to_string());
            }
        })
    }),
    Breakage::always("queue/auth/id-passed-over", QUEUE_AUTH_25, Wire, || {
        passed_over("client_id", |value| value.is_array() || value.is_object() || value.is_boolean())
    }),
    Breakage::always("queue/auth/empty-id-is-none", QUEUE_AUTH_27, Wire, || {
        passed_over("client_id", |value| value == "")
    }),
    Breakage::always("queue/auth/long-id-cut", QUEUE_AUTH_27, Wire, || {
        asked(|request| {
            if let Some(id) = request["client_id"].as_str()
                && id.chars().count() > 256
            {
                request["client_id"] = json!(id.chars().take(256).collect::<String>());
            }
        })
    }),
    Breakage::always("queue/auth/negative-is-from-the-start", QUEUE_AUTH_28, Wire, || {
        offset(|number| if number < -1.0 { -1.0 } else { number })
    }),
    Breakage::always("queue/auth/fraction-cut-off", QUEUE_AUTH_28, Wire, || offset(f64::trunc)),
    Breakage::always("queue/auth/greatest-at-most", QUEUE_AUTH_28, Wire, || {
        offset(|number| number.min(9_007_199_254_740_991.0))
    }),
];

/// Each JSON of a client, changed.
fn values(change: fn(&mut Value)) -> Seams {
    first(move |text| {
        if let Ok(mut value) = serde_json::from_str(text) {
            change(&mut value);
            *text = value.to_string();
        }
    })
}

/// A member of an AuthRequest that is passed over if it is like this.
fn passed_over(name: &'static str, which: fn(&Value) -> bool) -> Seams {
    asked(move |request| {
        if request.get(name).is_some_and(which)
            && let Some(members) = request.as_object_mut()
        {
            members.remove(name);
        }
    })
}

/// Each last_offset that is a number, read as another.
fn offset(change: fn(f64) -> f64) -> Seams {
    asked(move |request| {
        let Some(number) = request["last_offset"].as_f64() else { return };
        let read = change(number);
        if read != number && read.abs() <= 9_007_199_254_740_991.0 {
            #[expect(clippy::cast_possible_truncation, reason = "it was cut off")]
            let read = read as i64;
            request["last_offset"] = json!(read);
        }
    })
}
