//! Defects of "Auth".

pub(super) mod first;
pub(super) mod later;

use super::{Answer, Ask, Frame, Queue, Seams, Table, answers, ask, decide, frames, heard, queue_of, said};
use crate::{
    embed::reference::queue::{KEY, model::Refusal},
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, wire::Count},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use wireproof_spec::queue::{QueueType, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::second("queue/auth/welcomes-the-second-unasked", QUEUE_AUTH_1, Wire, || {
        let before = Count::new();
        Seams {
            opening: Some(Box::new(move |request, _, frames| {
                if before.up(&request.path) > 0 {
                    frames.push(Frame::Text(r#"{"success":true,"client_id":"qcid_0"}"#.into()));
                }
            })),
            ..Seams::honest()
        }
    })
    .wide("many checks connect to one queue more than once"),
    Breakage::second("queue/auth/push-before-the-second-response", QUEUE_AUTH_2, Wire, || {
        let before = Count::new();
        Seams {
            frames: Some(Box::new(move |request, _, frames| {
                if is_welcome(frames) && before.up(&request.path) > 0 {
                    frames.insert(0, nothing("message"));
                }
            })),
            ..Seams::honest()
        }
    })
    .wide("many checks connect to one queue more than once"),
    Breakage::boundary("queue/auth/replay-before-the-response", QUEUE_AUTH_2, Wire, || {
        let back = Arc::new(Mutex::new(BTreeSet::new()));
        let known = Arc::clone(&back);
        Seams {
            heard: Some(Box::new(move |_, number, frame| {
                if parsed(frame).is_some_and(|request| request["last_offset"].as_i64() > Some(0)) {
                    lock(&known).insert(number);
                }
            })),
            ..frames(move |number, frames| {
                if is_welcome(frames) && lock(&back).contains(&number) {
                    frames.insert(0, nothing("replay"));
                }
            })
        }
    })
    .wide("who waits for the AuthResponse stops at what comes before it"),
    Breakage::always("queue/auth/offset-0-refused", QUEUE_AUTH_3, Wire, || {
        asked(|request| {
            if request["last_offset"] == 0 {
                request["authorization"] = json!("");
            }
        })
    }),
    Breakage::always("queue/auth/escapes-not-read", QUEUE_AUTH_3, Wire, || {
        first(|text| {
            if text.contains("\\u") {
                *text = json!({"authorization": ""}).to_string();
            }
        })
    }),
    Breakage::always("queue/auth/half-the-length", QUEUE_AUTH_3, Wire, || {
        first(|text| {
            if text.len() > 32_768 {
                *text = json!({"authorization": ""}).to_string();
            }
        })
    }),
    Breakage::always("queue/auth/paused-is-nowhere", QUEUE_AUTH_3, Port, || {
        refusing(|queue, _| queue.paused.is_some())
    }),
    Breakage::always("queue/auth/worker-without-offset-only", QUEUE_AUTH_3, Port, || {
        refusing(|queue, last| queue.kind == QueueType::Worker && last.is_some())
    }),
    Breakage::boundary("queue/auth/answers-again", QUEUE_AUTH_4, Wire, || again(1)),
    Breakage::second("queue/auth/answers-the-third", QUEUE_AUTH_4, Wire, || again(2)),
    Breakage::always("queue/auth/no-client-id", QUEUE_AUTH_5, Wire, || {
        said(|_, frame| {
            if frame["success"] == true
                && let Some(members) = frame.as_object_mut()
            {
                members.remove("client_id");
            }
        })
    }),
    Breakage::always("queue/auth/longest-client-id", QUEUE_AUTH_5, Wire, || {
        identified(|_, id| *id = format!("{id}{}", "0".repeat(257 - id.len())))
    }),
    Breakage::second("queue/auth/same-id-twice", QUEUE_AUTH_6, Wire, || {
        let last = Mutex::new((0_u64, String::new()));
        identified(move |_, id| {
            let mut last = lock(&last);
            last.0 += 1;
            match last.0 % 2 {
                0 => id.clone_from(&last.1),
                _ => last.1.clone_from(id),
            }
        })
    }),
    Breakage::boundary("queue/auth/empty-key-closed", QUEUE_AUTH_7, Wire, || {
        let empty = Arc::new(Mutex::new(BTreeSet::new()));
        let known = Arc::clone(&empty);
        Seams {
            heard: Some(Box::new(move |_, number, frame| {
                if parsed(frame).is_some_and(|request| request["authorization"] == "") {
                    lock(&known).insert(number);
                }
            })),
            ..frames(move |number, frames| {
                if lock(&empty).contains(&number) {
                    frames.retain(|frame| !matches!(frame, Frame::Text(_)));
                    if frames.is_empty() {
                        frames.push(Frame::Close(4001, "invalid key".into()));
                    }
                }
            })
        }
    }),
    Breakage::always("queue/auth/no-word-why", QUEUE_AUTH_7, Wire, || {
        said(|_, frame| {
            if let Some(members) = frame.as_object_mut()
                && members.get("success") == Some(&json!(false))
            {
                members.remove("error");
            }
        })
    }),
    Breakage::always("queue/auth/key-begins-well", QUEUE_AUTH_7, Wire, || {
        asked(|request| {
            if request["authorization"].as_str().is_some_and(|key| key.starts_with(KEY)) {
                request["authorization"] = json!(KEY);
            }
        })
    }),
    Breakage::boundary("queue/auth/refused-and-subscribed", QUEUE_AUTH_8, Wire, || {
        // The key is looked at after the subscription has begun.
        let wrong = Arc::new(Mutex::new(BTreeSet::new()));
        let known = Arc::clone(&wrong);
        Seams {
            heard: Some(Box::new(move |_, number, frame| {
                let Some(mut request) = parsed(frame) else { return };
                if request["authorization"].is_string() && request["authorization"] != KEY {
                    request["authorization"] = json!(KEY);
                    lock(&known).insert(number);
                    *frame = Frame::Text(request.to_string());
                }
            })),
            ..said(move |number, frame| {
                if frame["success"] == true && lock(&wrong).contains(&number) {
                    *frame = json!({"success": false, "error": "invalid key"});
                }
            })
        }
    }),
    Breakage::always("queue/auth/bearer-passed-over", QUEUE_AUTH_9, Wire, || {
        asked(|request| {
            if let Some(key) = request["authorization"].as_str().and_then(|key| key.strip_prefix("Bearer ")) {
                request["authorization"] = json!(key);
            }
        })
    }),
];

/// A lock whose holder may have ended early.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The object in a text frame.
fn parsed(frame: &Frame) -> Option<Value> {
    let Frame::Text(text) = frame else { return None };
    serde_json::from_str(text).ok().filter(Value::is_object)
}

/// Whether what is about to be sent begins with a success.
fn is_welcome(frames: &[Frame]) -> bool {
    frames.first().and_then(parsed).is_some_and(|frame| frame["success"] == true)
}

/// A Push with no message.
fn nothing(kind: &str) -> Frame {
    Frame::Text(json!({"type": kind, "queue_id": "queue_0", "messages": []}).to_string())
}

/// Each text of a client, changed.
fn first(change: impl Fn(&mut String) + Send + Sync + 'static) -> Seams {
    heard(move |_, frame| {
        if let Frame::Text(text) = frame {
            change(text);
        }
    })
}

/// Each AuthRequest, changed.
fn asked(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Seams {
    heard(move |_, frame| {
        if let Some(mut request) = parsed(frame) {
            change(&mut request);
            *frame = Frame::Text(request.to_string());
        }
    })
}

/// The client_id of each success, changed.
fn identified(change: impl Fn(u64, &mut String) + Send + Sync + 'static) -> Seams {
    said(move |number, frame| {
        if frame["success"] == true
            && let Some(Value::String(id)) = frame.get_mut("client_id")
        {
            change(number, id);
        }
    })
}

/// Who subscribes to such a queue is told that there is none; the last offset counts too.
fn refusing(which: fn(&Queue, Option<i64>) -> bool) -> Seams {
    decide(move |state, input, decision| {
        if let (Some((_, Ask::Subscribe { last, .. })), Some(queue)) = (ask(input), queue_of(state, input))
            && which(queue, *last)
        {
            decision.records.clear();
            answers(decision).for_each(|answer| *answer = Answer::Refused(Refusal::NoQueue));
        }
    })
}

/// So many data frames behind the AuthRequest are answered by an AuthResponse, along with the next Push.
fn again(after: u32) -> Seams {
    let said = Arc::new(Mutex::new(BTreeMap::new()));
    let known = Arc::clone(&said);
    Seams {
        heard: Some(Box::new(move |_, number, _| *lock(&known).entry(number).or_insert(0_u32) += 1)),
        ..frames(move |number, frames| {
            if let Some(count) = lock(&said).get_mut(&number)
                && *count == after + 1
                && !is_welcome(frames)
            {
                *count += 1;
                frames.insert(0, Frame::Text(json!({"success": true, "client_id": "qcid_0"}).to_string()));
            }
        })
    }
}
