//! Defects of "Json".

pub(super) mod faithful;

use super::{
    HttpSeams, START, Seams, Table, is, is_append, is_create, is_read, overlap, plain, refusal, reply,
    request,
};
use crate::{
    protocol::Cut::Wire,
    selftest::defects::{Breakage, wire::Count},
};
use serde_json::Value;
use wireproof_spec::{
    http::{Body, Request, Response},
    stream::{
        MediaType, Operation,
        header::{CLOSED, CONTENT_TYPE, NEXT_OFFSET, PRODUCER_ID, UP_TO_DATE},
        requirements::*,
    },
};

pub(super) const TABLE: Table = &[
    Breakage::second("stream/json/second-batch-not-taken-apart", STREAM_JSON_1, Wire, || {
        let count = Count::new();
        request(move |request| {
            if posts_array(request) && count.up(&request.path) > 0 {
                wrap(request);
            }
        })
    })
    .wide("all checks of messages append batches"),
    Breakage::boundary("stream/json/batch-of-producer-not-taken-apart", STREAM_JSON_1, Wire, || {
        request(|request| {
            if posts_array(request) && request.headers.get(PRODUCER_ID).is_some() {
                wrap(request);
            }
        })
    }),
    Breakage::boundary("stream/json/last-batch-not-taken-apart", STREAM_JSON_1, Wire, || {
        request(|request| {
            if posts_array(request) && request.headers.get(CLOSED).is_some() {
                wrap(request);
            }
        })
    }),
    Breakage::boundary("stream/json/two-levels-taken-apart", STREAM_JSON_1, Wire, || {
        request(|request| {
            if posts_array(request) {
                map_json(&mut request.body, |value| {
                    let Value::Array(all) = value else { return value };
                    let flat = all.into_iter().flat_map(|one| match one {
                        Value::Array(inner) if !inner.is_empty() => inner,
                        other => vec![other],
                    });
                    Value::Array(flat.collect())
                });
            }
        })
    })
    .wide("all checks of messages that hold arrays meet it"),
    Breakage::boundary("stream/json/array-of-one-array-taken-apart-again", STREAM_JSON_1, Wire, || {
        request(|request| {
            if posts_array(request) {
                map_json(&mut request.body, |value| match value {
                    Value::Array(mut all) if all.len() == 1 && all[0] == Value::Array(Vec::new()) => {
                        all.push(Value::Null);
                        Value::Array(all)
                    }
                    other => other,
                });
            }
        })
    }),
    Breakage::always("stream/json/one-message-without-brackets", STREAM_JSON_2, Wire, || {
        reply(|_, response| {
            if is_array(response)
                && let Ok(Value::Array(all)) = serde_json::from_slice::<Value>(&response.body)
                && let [one] = &all[..]
            {
                response.body = Body(one.to_string().into());
            }
        })
    })
    .wide("every check of messages reads arrays of one message"),
    Breakage::always("stream/json/newest-first", STREAM_JSON_2, Wire, || {
        reply(|_, response| {
            if is_array(response) {
                map_json(&mut response.body, |value| match value {
                    Value::Array(all) => Value::Array(all.into_iter().rev().collect()),
                    other => other,
                });
            }
        })
    })
    .wide("most checks of messages read several of them in order"),
    Breakage::always("stream/json/live-array-in-array", STREAM_JSON_2, Wire, || {
        reply(|request, response| {
            if is_long_poll(request) && is_array(response) {
                response.body = Body([b"[", &response.body[..], b"]"].concat().into());
            }
        })
    }),
    Breakage::always("stream/json/empty-range-without-brackets", STREAM_JSON_3, Wire, || {
        reply(|_, response| {
            if is_array(response) && *response.body == *b"[]" {
                response.body = Body::default();
            }
        })
    })
    .wide("every walk through messages ends at an empty range"),
    Breakage::always("stream/json/empty-range-null", STREAM_JSON_3, Wire, || {
        reply(|_, response| {
            if is_array(response) && *response.body == *b"[]" {
                response.body = Body("null".into());
            }
        })
    })
    .wide("reading to the tail ends with an empty range"),
    Breakage::always("stream/json/empty-array-accepted", STREAM_JSON_4, Wire, || {
        reply(|request, response| {
            if posts_json(request) && *request.body == *b"[]" && response.status == 400 {
                *response = plain(204).header(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::boundary("stream/json/empty-array-with-space-accepted", STREAM_JSON_4, Wire, || {
        reply(|request, response| {
            let empty = serde_json::from_slice::<Vec<Value>>(&request.body).is_ok_and(|all| all.is_empty());
            if posts_json(request) && empty && request.body.len() > 2 && response.status == 400 {
                *response = plain(204).header(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::second("stream/json/broken-text-kept-as-a-string", STREAM_JSON_5, Wire, || {
        let count = Count::new();
        request(move |request| {
            if let Ok(text) = std::str::from_utf8(&request.body)
                && posts_json(request)
                && serde_json::from_str::<Value>(text).is_err_and(|e| e.is_syntax() || e.is_eof())
                && count.up(&request.path) > 0
            {
                request.body = Body(Value::from(text).to_string().into());
            }
        })
    }),
    Breakage::boundary("stream/json/written-up-to-the-mistake", STREAM_JSON_5, Wire, || {
        Seams::from(HttpSeams {
            reply: Box::new(|request, response| {
                if request.headers.get(MENDED).is_some() {
                    *response = refusal(400);
                }
            }),
            ..request(|request| {
                if posts_json(request)
                    && let Some(sound) = up_to_the_mistake(&request.body)
                {
                    request.body = Body(sound.into());
                    request.headers.set(MENDED, "1");
                }
            })
        })
    }),
    Breakage::always("stream/json/comma-behind-the-last-accepted", STREAM_JSON_5, Wire, || {
        request(|request| {
            if let Ok(text) = std::str::from_utf8(&request.body)
                && posts_json(request)
                && (text.ends_with(",]") || text.ends_with(",}"))
            {
                let (rest, end) = text.split_at(text.len() - 2);
                request.body = Body(format!("{rest}{}", &end[1..]).into());
            }
        })
    }),
    Breakage::always("stream/json/bad-bytes-replaced", STREAM_JSON_6, Wire, || {
        request(|request| {
            if posts_json(request) {
                request.body = Body(String::from_utf8_lossy(&request.body).into_owned().into());
            }
        })
    }),
    Breakage::boundary("stream/json/bad-bytes-in-batches-replaced", STREAM_JSON_6, Wire, || {
        request(|request| {
            if posts_json(request) && request.body.starts_with(b"[") {
                request.body = Body(String::from_utf8_lossy(&request.body).into_owned().into());
            }
        })
    }),
    Breakage::always("stream/json/something-behind-ignored", STREAM_JSON_7, Wire, || {
        request(|request| {
            if posts_json(request) {
                let mut values = serde_json::Deserializer::from_slice(&request.body).into_iter::<Value>();
                if let Some(Ok(first)) = values.next() {
                    request.body = Body(first.to_string().into());
                }
            }
        })
    }),
    Breakage::always("stream/json/white-space-refused", STREAM_JSON_7, Wire, || {
        reply(|request, response| {
            if posts_json(request) && request.body.first().is_some_and(u8::is_ascii_whitespace) {
                *response = refusal(400);
            }
        })
    }),
    Breakage::always("stream/json/byte-order-mark-kept", STREAM_JSON_7, Wire, || {
        request(|request| {
            if let Some(rest) =
                request.body.strip_prefix("\u{feff}\"".as_bytes()).filter(|_| posts_json(request))
            {
                request.body = Body(["\"\u{feff}".as_bytes(), rest].concat().into());
            }
        })
    }),
    Breakage::race("stream/json/half-a-batch-seen", STREAM_JSON_8, Wire, || {
        let which = |request: &Request| is_append(request) || is_read(request);
        let (flies, seams) = overlap(move |request| which(request).then(|| request.path.clone()));
        Seams::from(HttpSeams {
            reply: Box::new(move |request, response| {
                if is_read(request) && is_array(response) && flies.several(&request.path) {
                    without_last(response);
                }
            }),
            ..seams
        })
    }),
    Breakage::boundary("stream/json/woken-by-half-a-batch", STREAM_JSON_8, Wire, || {
        reply(|request, response| {
            if is_long_poll(request) && is_array(response) && response.headers.get(UP_TO_DATE).is_some() {
                without_last(response);
            }
        })
    }),
    Breakage::always("stream/json/case-of-media-type-counts", STREAM_JSON_12, Wire, || {
        reply(|request, response| {
            let shouted = request.headers.get(CONTENT_TYPE).is_some_and(|t| t.contains("JSON"));
            if is_append(request) && shouted && response.status == 204 {
                *response = refusal(409);
            }
        })
    }),
    Breakage::always("stream/json/case-of-media-type-hides-messages", STREAM_JSON_12, Wire, || {
        request(|request| {
            if posts_array(request)
                && request.headers.get(CONTENT_TYPE).is_some_and(|t| t != t.to_ascii_lowercase())
            {
                wrap(request);
            }
        })
    }),
    Breakage::always("stream/json/parameters-hide-messages", STREAM_JSON_13, Wire, || {
        request(|request| {
            if posts_array(request) && request.headers.get(CONTENT_TYPE).is_some_and(|t| t.contains(';')) {
                wrap(request);
            }
        })
    }),
    Breakage::boundary("stream/json/deep-text-ends-the-connection", STREAM_JSON_14, Wire, || {
        Seams::from(HttpSeams {
            bytes: Some(Box::new(|request, _| {
                (posts_json(request) && is_deep(&request.body)).then(Vec::new)
            })),
            ..HttpSeams::honest()
        })
    }),
    Breakage::boundary("stream/json/deep-text-acknowledged-and-dropped", STREAM_JSON_14, Wire, || {
        Seams::from(HttpSeams {
            reply: Box::new(|request, response| {
                if request.headers.get(MENDED).is_some() {
                    *response = plain(204).header(NEXT_OFFSET, START);
                }
            }),
            ..request(|request| {
                if posts_json(request) && is_deep(&request.body) {
                    request.body = Body("[]".into());
                    request.headers.set(MENDED, "1");
                }
            })
        })
    }),
    Breakage::always("stream/json/first-batch-not-taken-apart", STREAM_JSON_15, Wire, || {
        request(|request| {
            if is_create(request) && is_json(request) && is_array_text(&request.body) {
                wrap(request);
            }
        })
    })
    .wide("streams with several messages are created so"),
    Breakage::boundary("stream/json/only-batch-not-taken-apart", STREAM_JSON_15, Wire, || {
        request(|request| {
            if is_create(request) && is_json(request) && request.headers.get(CLOSED).is_some() {
                wrap(request);
            }
        })
    }),
    Breakage::always("stream/json/created-with-empty-array-refused", STREAM_JSON_15, Wire, || {
        reply(|request, response| {
            if is_create(request) && is_json(request) && *request.body == *b"[]" {
                *response = refusal(400);
            }
        })
    }),
    Breakage::always("stream/json/created-in-spite-of-the-mistake", STREAM_JSON_16, Wire, || {
        Seams::from(HttpSeams {
            reply: Box::new(|request, response| {
                if request.headers.get(MENDED).is_some() {
                    *response = refusal(400);
                }
            }),
            ..request(created_empty)
        })
    }),
    Breakage::always("stream/json/created-without-what-is-no-json", STREAM_JSON_16, Wire, || {
        request(created_empty)
    }),
    Breakage::boundary("stream/json/created-with-other-characters", STREAM_JSON_16, Wire, || {
        request(|request| {
            if request.method == "PUT" && is_json(request) {
                request.body = Body(String::from_utf8_lossy(&request.body).into_owned().into());
            }
        })
    }),
];

/// Tells the map of answers what the map of requests has changed.
const MENDED: &str = "x-mended";

fn is_long_poll(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Longpoll(_)))
}

/// Whether a request is about a stream of messages.
fn is_json(request: &Request) -> bool {
    let media_type = request.headers.get(CONTENT_TYPE).and_then(|t| MediaType::parse(t).ok());
    media_type.is_some_and(|t| t.is_json())
}

/// Whether messages are to be appended, sound or not.
pub(super) fn posts_json(request: &Request) -> bool {
    request.method == "POST" && is_json(request) && !request.body.is_empty()
}

fn is_array_text(body: &[u8]) -> bool {
    matches!(serde_json::from_slice::<Value>(body), Ok(Value::Array(all)) if !all.is_empty())
}

fn posts_array(request: &Request) -> bool {
    posts_json(request) && is_array_text(&request.body)
}

/// Whether an answer holds an array of messages.
pub(super) fn is_array(response: &Response) -> bool {
    let media_type = response.headers.get(CONTENT_TYPE).and_then(|t| MediaType::parse(t).ok());
    response.status == 200 && media_type.is_some_and(|t| t.is_json()) && response.body.starts_with(b"[")
}

/// Another value in a body that is JSON.
pub(super) fn map_json(body: &mut Body, change: impl FnOnce(Value) -> Value) {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        *body = Body(change(value).to_string().into());
    }
}

/// An array that is one message.
fn wrap(request: &mut Request) {
    request.body = Body([b"[", &request.body[..], b"]"].concat().into());
}

fn without_last(response: &mut Response) {
    map_json(&mut response.body, |value| match value {
        Value::Array(mut all) if all.len() > 1 => {
            all.pop();
            Value::Array(all)
        }
        other => other,
    });
}

fn is_deep(body: &[u8]) -> bool {
    body.iter().filter(|b| matches!(b, b'[' | b'{')).count() > 10_000
}

/// The messages of a broken batch before the first that is broken.
fn up_to_the_mistake(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok().filter(|t| serde_json::from_str::<Value>(t).is_err())?;
    let ends = text.rmatch_indices(',').map(|(at, _)| format!("{}]", &text[..at]));
    ends.into_iter().find(|sound| is_array_text(sound.as_bytes()))
}

fn created_empty(request: &mut Request) {
    if request.method == "PUT"
        && is_json(request)
        && !request.body.is_empty()
        && serde_json::from_slice::<Value>(&request.body).is_err()
    {
        request.body = Body::default();
        request.headers.set(MENDED, "1");
    }
}
