//! Defects of "Connect".

use super::{Answer, Ask, Frame, Seams, Table, answers, ask, decide, frames, refusal, reply, request};
use crate::{
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, wire::Count},
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use wireproof_spec::{
    http::{Request, Response},
    queue::{QueueType, requirements::*},
};

const REFUSED: &str = "no honest variant refuses a handshake";
const BINARY: &str = "no honest variant sends a binary frame";
const FORM: &str = "the form of the frame is the requirement";

pub(super) const TABLE: Table = &[
    Breakage::always("queue/connect/asks-for-authorization", QUEUE_CONNECT_1, Wire, || {
        shaken(|request, response| {
            if request.headers.get("authorization").is_none() {
                *response = refusal(401);
            }
        })
    })
    .wide("no subscriber carries its key in the handshake")
    .shape(REFUSED),
    Breakage::second("queue/connect/one-at-a-time", QUEUE_CONNECT_1, Wire, || {
        let before = Count::new();
        shaken(move |request, response| {
            if before.up(&request.path) > 0 {
                *response = refusal(409);
            }
        })
    })
    .wide("many checks connect to one queue more than once")
    .shape(REFUSED),
    Breakage::always("queue/connect/subprotocol-of-its-own", QUEUE_CONNECT_2, Wire, || {
        shaken(|_, response| response.headers.set("sec-websocket-protocol", "queue"))
    })
    .shape("the header is the requirement"),
    Breakage::always("queue/connect/name-as-it-stands", QUEUE_CONNECT_3, Wire, || {
        escaping(|path| path.replace('%', "%25"))
    }),
    Breakage::always("queue/connect/small-hex-as-it-stands", QUEUE_CONNECT_3, Wire, || {
        escaping(|path| path.replace("%5f", "%255f"))
    }),
    Breakage::always("queue/connect/success-at-nothing", QUEUE_CONNECT_4, Wire, || {
        answering("queue not found", |frames| {
            frames[0] = Frame::Text(r#"{"success":true,"client_id":"qcid_0"}"#.into());
        })
    }),
    // A client dials again, and again.
    Breakage::always("queue/connect/nothing-closed-for-now", QUEUE_CONNECT_4, Wire, || {
        answering("queue not found", |frames| *frames = vec![Frame::Close(1011, "queue not found".into())])
    })
    .shape("a close that no honest variant sends"),
    Breakage::boundary("queue/connect/deleted-is-remembered", QUEUE_CONNECT_5, Port, || remembered(0)),
    Breakage::second("queue/connect/second-deleted-is-remembered", QUEUE_CONNECT_5, Port, || remembered(1)),
    Breakage::always("queue/connect/push-in-bytes", QUEUE_CONNECT_6, Wire, || {
        in_bytes(|text| text.starts_with(r#"{"type":"message""#))
    })
    .wide("who waits for a Push gets none")
    .shape(BINARY),
    Breakage::always("queue/connect/replay-in-bytes", QUEUE_CONNECT_6, Wire, || {
        in_bytes(|text| text.starts_with(r#"{"type":"replay""#))
    })
    .wide("who waits for a replay gets none")
    .shape(BINARY),
    Breakage::always("queue/connect/failure-in-bytes", QUEUE_CONNECT_6, Wire, || {
        in_bytes(|text| text.starts_with(r#"{"success":false"#))
    })
    .wide("who waits for a failure gets none")
    .shape(BINARY),
    Breakage::always("queue/connect/long-push-in-bytes", QUEUE_CONNECT_6, Wire, || {
        in_bytes(|text| text.len() > 0x7fff)
    })
    .shape(BINARY),
    Breakage::always("queue/connect/push-in-a-list", QUEUE_CONNECT_7, Wire, || {
        rewritten(|text| {
            if text.starts_with(r#"{"type""#) {
                *text = format!("[{text}]");
            }
        })
    })
    .wide("who waits for a Push gets none")
    .shape(FORM),
    Breakage::always("queue/connect/auth-response-twice-in-one", QUEUE_CONNECT_7, Wire, || {
        rewritten(|text| {
            if text.starts_with(r#"{"success":false"#) {
                *text = format!("{text}\n{text}");
            }
        })
    })
    .wide("who waits for a failure gets none")
    .shape(FORM),
    // As if the payload were in an encoding of one byte a character.
    Breakage::always("queue/connect/no-utf-8", QUEUE_CONNECT_7, Wire, || {
        written(|bytes| {
            for at in 1..bytes.len() {
                if bytes[at - 1..=at] == [0xc3, 0xa4] {
                    bytes[at] = b' ';
                }
            }
        })
    }),
    Breakage::second("queue/connect/greets-the-second", QUEUE_CONNECT_8, Wire, || {
        let before = Count::new();
        Seams {
            opening: Some(Box::new(move |request, _, frames| {
                if before.up(&request.path) > 0 {
                    frames.push(Frame::Text("ping".into()));
                }
            })),
            ..Seams::honest()
        }
    })
    .wide("many checks connect to one queue more than once")
    .variant("small-batches"),
    Breakage::boundary("queue/connect/keep-alive-with-a-type", QUEUE_CONNECT_8, Wire, || {
        // The one behind the AuthResponse is as it has to be.
        let before = Count::new();
        frames(move |number, frames| {
            if *frames == [Frame::Text("ping".into())] && before.up(&number.to_string()) > 1 {
                frames[0] = Frame::Text(r#"{"type":"ping"}"#.into());
            }
        })
    })
    .variant("small-batches")
    .shape(FORM),
    Breakage::always("queue/connect/keep-alive-first", QUEUE_CONNECT_8, Wire, || {
        frames(|_, frames| {
            if matches!(&frames[..], [Frame::Text(text), ..] if text.starts_with(r#"{"success":true"#)) {
                frames.insert(0, Frame::Text("ping".into()));
            }
        })
    })
    .variant("small-batches"),
    Breakage::always("queue/connect/ping-unanswered", QUEUE_CONNECT_9, Wire, || ponging(|pong| pong.clear()))
        .wide("silence proves something only if a ping behind it is answered"),
    Breakage::always("queue/connect/empty-pongs", QUEUE_CONNECT_9, Wire, || {
        ponging(|pong| *pong = vec![0x8a, 0])
    })
    .wide("silence proves something only if a ping behind it is answered"),
    Breakage::always("queue/connect/longest-ping-unanswered", QUEUE_CONNECT_9, Wire, || {
        ponging(|pong| {
            if pong.len() == 127 {
                pong.clear();
            }
        })
    }),
    Breakage::boundary("queue/connect/idle-is-cut", QUEUE_CONNECT_10, Wire, || {
        // Who is never pinged says nothing, and is taken for gone.
        let pings = Mutex::new(0_u32);
        written(move |bytes| {
            if bytes.starts_with(&[0x89, 0]) {
                let mut pings = pings.lock().unwrap_or_else(PoisonError::into_inner);
                *pings += 1;
                if *pings > 2 {
                    bytes.drain(..2);
                }
            }
        })
    })
    .variant("small-batches"),
    Breakage::boundary("queue/connect/idle-is-forgotten", QUEUE_CONNECT_10, Wire, || {
        let last = Mutex::new(BTreeMap::new());
        frames(move |number, frames| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            let before = last.insert(number, Instant::now());
            if before.is_some_and(|before: Instant| before.elapsed() > Duration::from_secs(3)) {
                frames.retain(|frame| !matches!(frame, Frame::Text(_)));
            }
        })
    }),
];

/// Each answer to a handshake that is taken, changed.
fn shaken(change: impl Fn(&Request, &mut Response) + Send + Sync + 'static) -> Seams {
    reply(move |request, response| {
        if response.status == 101 {
            change(request, response);
        }
    })
}

/// The path of each handshake, changed.
fn escaping(change: fn(&str) -> String) -> Seams {
    request(move |request| {
        if request.path.contains("/queue/ws/") {
            request.path = change(&request.path);
        }
    })
}

/// What is sent instead of a failure that says this.
fn answering(why: &'static str, change: fn(&mut Vec<Frame>)) -> Seams {
    frames(move |_, frames| {
        if matches!(&frames[..], [Frame::Text(text)] if text.starts_with(r#"{"success":false"#) && text.contains(why))
        {
            change(frames);
        }
    })
}

/// Each text that is sent, changed.
fn rewritten(change: fn(&mut String)) -> Seams {
    frames(move |_, frames| {
        for frame in frames {
            if let Frame::Text(text) = frame {
                change(text);
            }
        }
    })
}

/// Texts of which this holds, as binary frames.
fn in_bytes(which: fn(&str) -> bool) -> Seams {
    frames(move |_, frames| {
        for frame in frames {
            if let Frame::Text(text) = frame
                && which(text)
            {
                *frame = Frame::Binary(Bytes::from(std::mem::take(text)));
            }
        }
    })
}

/// The bytes that are written on each connection, changed.
fn written(change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Seams {
    Seams { written: Some(Arc::new(change)), ..Seams::honest() }
}

/// Each pong that is written by itself, changed.
fn ponging(change: fn(&mut Vec<u8>)) -> Seams {
    written(move |bytes| {
        if bytes.first() == Some(&0x8a) {
            change(bytes);
        }
    })
}

/// Queues that were deleted are still known to who connects, but for the first so many.
fn remembered(forgotten: usize) -> Seams {
    let mut gone = Vec::new();
    decide(move |state, input, decision| {
        let Some((name, ask)) = ask(input) else { return };
        match (ask, state.queues.get(name)) {
            (Ask::Delete, Some(queue)) => gone.push((name.to_owned(), queue.incarnation)),
            (Ask::Subscribe { .. }, None) => {
                let Some((_, incarnation)) =
                    gone.iter().skip(forgotten).find(|(known, _)| known == name).cloned()
                else {
                    return;
                };
                for answer in answers(decision) {
                    *answer = Answer::Subscribed { incarnation, kind: QueueType::Pubsub, from: 0, live: 0 };
                }
            }
            _ => {}
        }
    })
}
