//! What was published does not come back as it was, or is not bounded as it should be.

use super::{
    Action, Breakage, Draft, Port, Request, Seams, Table, Value, Wire, change_body, drafting, each, is, json,
    request, said, told,
};
use wireproof_spec::{
    http::Body,
    queue::{
        publish::{GREATEST_METADATA, GREATEST_PAYLOAD},
        requirements::*,
    },
};

pub(in super::super) const TABLE: Table = &[
    Breakage::always("queue/publish/string-of-json-decoded", QUEUE_PUBLISH_7, Port, || {
        payload(|payload| {
            let decoded = payload.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
            if let Some(decoded) = decoded.filter(|decoded| decoded.is_object() || decoded.is_array()) {
                *payload = decoded;
            }
        })
    }),
    Breakage::always("queue/publish/string-trimmed", QUEUE_PUBLISH_7, Port, || {
        payload(|payload| {
            if let Some(text) = payload.as_str().map(|text| text.trim().to_owned()) {
                *payload = json!(text);
            }
        })
    }),
    Breakage::always("queue/publish/string-of-json-received", QUEUE_PUBLISH_7, Wire, || {
        told(Action::Receive, |_, body| {
            let payload = &mut body["data"]["message"]["payload"];
            let decoded = payload.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
            if let Some(decoded) = decoded.filter(Value::is_object) {
                *payload = decoded;
            }
        })
    })
    .wide("the payloads by which checks of leases know their messages are strings of JSON"),
    Breakage::always("queue/publish/empty-ones-dropped", QUEUE_PUBLISH_8, Port, || {
        payload(|payload| {
            if let Some(members) = payload.as_object_mut() {
                let empty = |value: &Value| {
                    value.as_object().is_some_and(serde_json::Map::is_empty)
                        || value.as_array().is_some_and(Vec::is_empty)
                };
                members.retain(|_, value| !empty(value));
            }
        })
    }),
    Breakage::boundary("queue/publish/deep-ones-flattened", QUEUE_PUBLISH_8, Port, || {
        payload(|payload| {
            fn flatten(value: &mut Value, depth: usize) {
                if depth == 0 && (value.is_object() || value.is_array()) {
                    *value = json!(value.to_string());
                    return;
                }
                let depth = depth.saturating_sub(1);
                match value {
                    Value::Array(list) => list.iter_mut().for_each(|one| flatten(one, depth)),
                    Value::Object(members) => members.values_mut().for_each(|one| flatten(one, depth)),
                    _ => {}
                }
            }
            flatten(payload, 32);
        })
    }),
    Breakage::always("queue/publish/null-members-dropped", QUEUE_PUBLISH_32, Port, || {
        payload(|payload| {
            if let Some(members) = payload.as_object_mut() {
                members.retain(|_, value| !value.is_null());
            }
        })
    }),
    Breakage::always("queue/publish/false-is-null-when-pushed", QUEUE_PUBLISH_32, Wire, || {
        said(|_, body| {
            each(&mut body["messages"], |message| {
                if message["payload"] == false {
                    message["payload"] = Value::Null;
                }
            });
        })
    }),
    Breakage::always("queue/publish/three-byte-text", QUEUE_PUBLISH_9, Port, || {
        text(|text| text.chars().map(|c| if u32::from(c) > 0xffff { '\u{fffd}' } else { c }).collect())
    }),
    Breakage::always("queue/publish/zero-characters-dropped", QUEUE_PUBLISH_9, Port, || {
        text(|text| text.replace('\0', ""))
    }),
    Breakage::always("queue/publish/text-normalised", QUEUE_PUBLISH_9, Port, || {
        text(|text| text.replace("e\u{301}", "\u{e9}"))
    }),
    Breakage::always("queue/publish/fractions-dropped", QUEUE_PUBLISH_10, Port, || {
        number(|number| match number.as_f64() {
            Some(float) if float.fract() != 0.0 => json!(float.trunc()),
            _ => json!(number),
        })
    }),
    Breakage::boundary("queue/publish/single-precision", QUEUE_PUBLISH_10, Port, || {
        number(|number| match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "this is the defect")]
            Some(float) if number.is_f64() => json!(f64::from(float as f32)),
            _ => json!(number),
        })
    }),
    Breakage::always("queue/publish/numbers-are-doubles", QUEUE_PUBLISH_11, Port, || {
        number(|number| match number.as_f64() {
            Some(float) if float.abs() >= 9_007_199_254_740_992.0 => json!(float),
            _ => json!(number),
        })
    }),
    Breakage::always("queue/publish/metadata-dropped", QUEUE_PUBLISH_13, Port, || {
        drafting(|drafts| drafts.iter_mut().for_each(|draft| draft.metadata = None))
    }),
    Breakage::always("queue/publish/metadata-not-pushed", QUEUE_PUBLISH_13, Wire, || {
        said(|_, body| each(&mut body["messages"], without_metadata))
    }),
    Breakage::always("queue/publish/metadata-not-listed", QUEUE_PUBLISH_13, Wire, || {
        told(Action::ListMessages, |_, body| each(&mut body["data"]["messages"], without_metadata))
    }),
    Breakage::always("queue/publish/size-with-metadata", QUEUE_PUBLISH_14, Port, || {
        drafting(|drafts| {
            for draft in drafts {
                draft.size += draft.metadata.as_ref().map_or(0, |metadata| metadata.len() as u64);
            }
        })
    }),
    Breakage::always("queue/publish/size-in-characters", QUEUE_PUBLISH_14, Port, || {
        drafting(|drafts| {
            for draft in drafts {
                let payload: Value = serde_json::from_slice(&draft.payload).unwrap_or_default();
                draft.size = payload.to_string().chars().count() as u64;
            }
        })
    }),
    Breakage::always("queue/publish/size-as-sent", QUEUE_PUBLISH_14, Port, || {
        drafting(|drafts| drafts.iter_mut().for_each(|draft| draft.size = draft.payload.len() as u64))
    }),
    Breakage::boundary("queue/publish/greatest-refused", QUEUE_PUBLISH_15, Wire, || {
        strings(|text| {
            if text.len() == GREATEST_PAYLOAD - 2 {
                text.push('a');
            }
        })
    }),
    Breakage::boundary("queue/publish/escapes-count", QUEUE_PUBLISH_15, Wire, || {
        request(|request| {
            // As it was written it is too long.
            if is(request, Action::Publish)
                && request.body.len() > GREATEST_PAYLOAD + 64
                && has(request, b"\\/")
            {
                request.body = Body(json!({"payload": "a".repeat(GREATEST_PAYLOAD)}).to_string().into());
            }
        })
    }),
    Breakage::boundary("queue/publish/metadata-counts", QUEUE_PUBLISH_15, Wire, || {
        request(|request| {
            if is(request, Action::Publish)
                && request.body.len() > GREATEST_PAYLOAD
                && has(request, b"metadata")
            {
                request.body = Body(json!({"payload": "a".repeat(GREATEST_PAYLOAD)}).to_string().into());
            }
        })
    }),
    Breakage::boundary("queue/publish/too-great-cut-off", QUEUE_PUBLISH_16, Wire, || {
        strings(|text| {
            if text.is_ascii() {
                text.truncate(GREATEST_PAYLOAD - 2);
            }
        })
    }),
    Breakage::boundary("queue/publish/characters-count", QUEUE_PUBLISH_33, Wire, || {
        strings(|text| {
            if !text.is_ascii() && text.len() > GREATEST_PAYLOAD - 2 {
                *text = text.chars().take(GREATEST_PAYLOAD / 2 - 1).collect();
            }
        })
    }),
    Breakage::boundary("queue/publish/metadata-cut-off", QUEUE_PUBLISH_17, Wire, || {
        member("metadata", |metadata| {
            if metadata.to_string().len() > GREATEST_METADATA {
                *metadata = json!({"m": "cut off"});
            }
        })
    }),
    Breakage::boundary("queue/publish/metadata-in-characters", QUEUE_PUBLISH_17, Wire, || {
        member("metadata", |metadata| {
            let all = metadata.to_string();
            if all.len() > GREATEST_METADATA && all.chars().count() <= GREATEST_METADATA {
                *metadata = json!({"m": "cut off"});
            }
        })
    }),
    Breakage::boundary("queue/publish/idempotency-key-cut-off", QUEUE_PUBLISH_18, Wire, || {
        member("idempotency_key", cut_off)
    }),
    Breakage::boundary("queue/publish/partition-key-cut-off", QUEUE_PUBLISH_19, Wire, || {
        member("partition_key", cut_off)
    }),
    Breakage::always("queue/publish/negative-ttl-taken", QUEUE_PUBLISH_20, Wire, || {
        member("ttl_seconds", |ttl| *ttl = json!(ttl.as_f64().unwrap_or_default().abs()))
    }),
    Breakage::boundary("queue/publish/small-negative-ttl-taken", QUEUE_PUBLISH_20, Wire, || {
        member("ttl_seconds", |ttl| {
            if ttl.as_f64().is_some_and(|ttl| (-1.0..0.0).contains(&ttl) && ttl > -1.0) {
                *ttl = json!(0);
            }
        })
    }),
];

fn without_metadata(message: &mut Value) {
    if let Some(members) = message.as_object_mut() {
        members.remove("metadata");
    }
}

fn cut_off(key: &mut Value) {
    if let Some(text) = key.as_str() {
        *key = json!(text.chars().take(256).collect::<String>());
    }
}

fn has(request: &Request, part: &[u8]) -> bool {
    request.body.windows(part.len()).any(|window| window == part)
}

/// Each payload that is published, changed. Its size stays what it was.
fn payload(change: fn(&mut Value)) -> Seams {
    drafting(move |drafts| {
        for draft in drafts {
            payload_of(draft, change);
        }
    })
}

fn payload_of(draft: &mut Draft, change: impl FnOnce(&mut Value)) {
    let Ok(before) = serde_json::from_slice::<Value>(&draft.payload) else { return };
    let mut after = before.clone();
    change(&mut after);
    // What is not to change stays as it was written.
    if after != before {
        draft.payload = after.to_string().into();
    }
}

/// Each string within payloads, changed.
fn text(change: fn(&str) -> String) -> Seams {
    within(move |value| {
        if let Some(text) = value.as_str() {
            *value = json!(change(text));
        }
    })
}

/// Each number within payloads, changed.
fn number(change: fn(&serde_json::Number) -> Value) -> Seams {
    within(move |value| {
        if let Some(number) = value.as_number().cloned() {
            *value = change(&number);
        }
    })
}

fn within(change: impl Fn(&mut Value) + Send + 'static) -> Seams {
    fn walk(value: &mut Value, change: &dyn Fn(&mut Value)) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(|one| walk(one, change)),
            Value::Object(members) => members.values_mut().for_each(|one| walk(one, change)),
            one => change(one),
        }
    }
    drafting(move |drafts| {
        for draft in drafts {
            payload_of(draft, |payload| walk(payload, &change));
        }
    })
}

/// Each payload of a publish that is a string, changed before it is read.
fn strings(change: fn(&mut String)) -> Seams {
    request(move |request| {
        // The others are short, and stay as they were written.
        if is(request, Action::Publish) && request.body.len() >= GREATEST_PAYLOAD {
            change_body(request, |body| {
                if let Some(mut text) = body["payload"].as_str().map(str::to_owned) {
                    change(&mut text);
                    body["payload"] = json!(text);
                }
            });
        }
    })
}

/// This member of each publish that has it, changed before it is read.
fn member(name: &'static str, change: fn(&mut Value)) -> Seams {
    request(move |request| {
        if is(request, Action::Publish) && has(request, name.as_bytes()) {
            change_body(request, |body| {
                if body.get(name).is_some() {
                    change(&mut body[name]);
                }
            });
        }
    })
}
