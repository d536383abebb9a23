//! Defects of how connections end that were not authenticated, of ids, and of what is said behind the AuthRequest.

use super::{asked, identified, is_welcome, lock, parsed};
use crate::{
    embed::reference::queue::KEY,
    protocol::Cut::Wire,
    selftest::defects::{
        Breakage,
        queue::{Frame, Seams, Table, frames, heard},
        wire::Count,
    },
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use wireproof_spec::queue::requirements::*;

const CLOSE: &str = "no honest variant closes with this code";
/// Longer than anybody waits.
const LONG: Duration = Duration::from_secs(6);

pub(in crate::selftest::defects::queue) const TABLE: Table = &[
    Breakage::boundary("queue/auth/closed-at-once", QUEUE_AUTH_16, Wire, || {
        frames(|_, frames| {
            let failed = frames.first().and_then(parsed).is_some_and(|frame| frame["success"] == false);
            if failed {
                frames.push(Frame::Close(1008, "invalid key".into()));
            }
        })
    })
    .wide("whoever goes on after a failure is closed with another code")
    .shape(CLOSE),
    Breakage::boundary("queue/auth/refused-for-now", QUEUE_AUTH_17, Wire, || {
        closing(|code, frame| {
            if code == 4001 {
                *frame = Frame::Close(1008, "invalid key".into());
            }
        })
    })
    .shape(CLOSE),
    Breakage::boundary("queue/auth/refused-stays", QUEUE_AUTH_17, Wire, || {
        closing(|code, frame| {
            if code == 4001 {
                *frame = Frame::Pause(LONG);
            }
        })
    }),
    Breakage::second("queue/auth/refused-and-talking-stays", QUEUE_AUTH_17, Wire, || {
        let said = Arc::new(Mutex::new(BTreeMap::new()));
        let known = Arc::clone(&said);
        Seams {
            heard: Some(Box::new(move |_, number, _| *lock(&known).entry(number).or_insert(0_u32) += 1)),
            ..frames(move |number, frames| {
                if lock(&said).get(&number).is_some_and(|count| *count > 1) {
                    for frame in frames {
                        if matches!(frame, Frame::Close(4001, _)) {
                            *frame = Frame::Pause(LONG);
                        }
                    }
                }
            })
        }
    }),
    Breakage::boundary("queue/auth/silent-stays", QUEUE_AUTH_18, Wire, || {
        closing(|code, frame| {
            if code == 4008 {
                *frame = Frame::Pause(LONG);
            }
        })
    }),
    Breakage::second("queue/auth/another-id-the-second-time", QUEUE_AUTH_19, Wire, || {
        let before = Count::new();
        another_id(move |id| before.up(id) > 0)
    }),
    Breakage::boundary("queue/auth/another-id-with-an-offset", QUEUE_AUTH_19, Wire, || {
        let back = Arc::new(Mutex::new(BTreeMap::new()));
        let known = Arc::clone(&back);
        Seams {
            heard: Some(Box::new(move |_, number, frame| {
                if let Some(request) = parsed(frame)
                    && request["client_id"].is_string()
                    && request["last_offset"].is_number()
                {
                    lock(&known).insert(number, ());
                }
            })),
            ..identified(move |number, id| {
                if lock(&back).contains_key(&number) {
                    *id = format!("{id}0");
                }
            })
        }
    }),
    Breakage::always("queue/auth/chosen-is-replaced", QUEUE_AUTH_20, Wire, || {
        another_id(|id| !id.starts_with("qcid_"))
    }),
    Breakage::always("queue/auth/like-given-is-refused", QUEUE_AUTH_20, Wire, || {
        unwelcome(|id| id.starts_with("qcid_") && id.len() != 37)
    }),
    Breakage::always("queue/auth/ascii-only", QUEUE_AUTH_20, Wire, || unwelcome(|id| !id.is_ascii())),
    Breakage::always("queue/auth/half-as-long", QUEUE_AUTH_20, Wire, || {
        unwelcome(|id| id.chars().count() > 128)
    }),
    Breakage::always("queue/auth/bytes-for-characters", QUEUE_AUTH_20, Wire, || {
        unwelcome(|id| id.len() > 256)
    }),
    Breakage::always("queue/auth/short-is-refused", QUEUE_AUTH_20, Wire, || unwelcome(|id| id.len() < 2)),
    Breakage::boundary("queue/auth/more-is-an-error", QUEUE_AUTH_21, Wire, || {
        behind(|_, frame| *frame = Frame::Close(1002, "expected no frame".into()))
    })
    .shape(CLOSE),
    Breakage::boundary("queue/auth/bytes-are-an-error", QUEUE_AUTH_21, Wire, || {
        behind(|_, frame| {
            if matches!(frame, Frame::Binary(_)) {
                *frame = Frame::Close(1003, "expected text".into());
            }
        })
    })
    .shape(CLOSE),
    Breakage::second("queue/auth/cut-at-the-second", QUEUE_AUTH_21, Wire, || {
        behind(|count, frame| {
            if count > 1 {
                *frame = Frame::Cut;
            }
        })
    }),
    Breakage::boundary("queue/auth/asks-again-and-hears-nothing", QUEUE_AUTH_21, Wire, || {
        asked_again(|frames| frames.retain(|frame| !matches!(frame, Frame::Text(_))))
    }),
    Breakage::boundary("queue/auth/asks-again-and-hears-twice", QUEUE_AUTH_21, Wire, || {
        asked_again(|frames| {
            if let Some(push) = frames.first().cloned() {
                frames.push(push);
            }
        })
    }),
    Breakage::always("queue/auth/unknown-refused", QUEUE_AUTH_22, Wire, || {
        members(|name| !["authorization", "client_id", "last_offset", "orgId"].contains(&name))
    }),
    Breakage::always("queue/auth/organisation-refused", QUEUE_AUTH_22, Wire, || {
        members(|name| name == "orgId")
    }),
    Breakage::boundary("queue/auth/organisation-closed", QUEUE_AUTH_22, Wire, || {
        let theirs = Arc::new(Mutex::new(BTreeMap::new()));
        let known = Arc::clone(&theirs);
        Seams {
            heard: Some(Box::new(move |_, number, frame| {
                if parsed(frame).is_some_and(|request| request.get("orgId").is_some()) {
                    lock(&known).insert(number, ());
                }
            })),
            ..frames(move |number, frames| {
                if is_welcome(frames) && lock(&theirs).contains_key(&number) {
                    frames.push(Frame::Close(4001, "not of this organisation".into()));
                }
            })
        }
    }),
];

/// Each close frame that is sent, changed.
fn closing(change: fn(u16, &mut Frame)) -> Seams {
    frames(move |_, frames| {
        for frame in frames {
            if let Frame::Close(code, _) = frame {
                change(*code, frame);
            }
        }
    })
}

/// Who presents such an id is answered with another.
fn another_id(which: impl Fn(&str) -> bool + Send + Sync + 'static) -> Seams {
    let presented = Arc::new(Mutex::new(BTreeMap::new()));
    let known = Arc::clone(&presented);
    Seams {
        heard: Some(Box::new(move |_, number, frame| {
            if let Some(request) = parsed(frame)
                && let Some(id) = request["client_id"].as_str()
                && which(id)
            {
                lock(&known).insert(number, ());
            }
        })),
        ..identified(move |number, id| {
            if lock(&presented).contains_key(&number) {
                *id = format!("qcid_{number}");
            }
        })
    }
}

/// Who presents such an id is refused.
fn unwelcome(which: fn(&str) -> bool) -> Seams {
    asked(move |request| {
        if request["client_id"].as_str().is_some_and(which) && request["authorization"] == KEY {
            request["authorization"] = json!("");
        }
    })
}

/// Who sends such a member is refused.
fn members(which: fn(&str) -> bool) -> Seams {
    asked(move |request| {
        if request.as_object().is_some_and(|members| members.keys().any(|name| which(name))) {
            request["authorization"] = json!("");
        }
    })
}

/// What each data frame behind the AuthRequest becomes, which is the so manieth of its connection.
fn behind(change: fn(u32, &mut Frame)) -> Seams {
    let said = Mutex::new(BTreeMap::new());
    heard(move |number, frame| {
        let mut said = lock(&said);
        let count = said.entry(number).or_insert(0_u32);
        if *count > 0 {
            change(*count, frame);
        }
        *count += 1;
    })
}

/// What is sent once to who sends an AuthRequest again, changed.
fn asked_again(change: fn(&mut Vec<Frame>)) -> Seams {
    let said = Arc::new(Mutex::new(BTreeMap::new()));
    let known = Arc::clone(&said);
    Seams {
        heard: Some(Box::new(move |_, number, frame| {
            if parsed(frame).is_some_and(|request| request.get("authorization").is_some()) {
                *lock(&known).entry(number).or_insert(0_u32) += 1;
            }
        })),
        ..frames(move |number, frames| {
            if !is_welcome(frames)
                && let Some(count) = lock(&said).get_mut(&number)
                && *count > 1
            {
                *count = 1;
                change(frames);
            }
        })
    }
}
