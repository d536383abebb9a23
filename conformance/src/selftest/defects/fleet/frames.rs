//! Defects of "Frames".

use super::{Seams, Table, each, frames, heard, input};
use crate::{
    embed::reference::fleet::{
        model::{Heard, Input},
        seams::Frame,
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, wire::received},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use wireproof_spec::fleet::{
    self,
    frames::{Outer, Reader, WireType, header, put_bytes, put_varint},
    requirements::*,
};

const STATE: &str = "fleet/state";
const ACK: &str = "fleet/ack";
const FULL: u32 = 2;
const OK: u32 = 2;
const ROOMS: u32 = 14;
const STATUS: u32 = 15;

pub(super) const TABLE: Table = &[
    Breakage::always("fleet/frames/text-before-the-second-poll", FLEET_FRAMES_1, Wire, text_now_and_then)
        .wide("agents take a text for the end of the protocol")
        .shape("a text is what nobody says"),
    Breakage::always("fleet/frames/minor-of-commands", FLEET_FRAMES_2, Wire, || {
        frames(|_, frames| each(frames, "fleet/cmd", |payload| payload[1] = 1))
    }),
    Breakage::second("fleet/frames/minor-of-later-polls", FLEET_FRAMES_2, Wire, minor_of_later_polls),
    Breakage::boundary("fleet/frames/text-is-passed-over", FLEET_FRAMES_3, Wire, || {
        heard(|_, frames| frames.retain(|frame| !matches!(frame, Frame::Text(_))))
    }),
    Breakage::boundary("fleet/frames/text-is-read", FLEET_FRAMES_4, Wire, || {
        heard(|_, frames| {
            for frame in frames {
                if let Frame::Text(text) = frame {
                    *frame = Frame::Binary(std::mem::take(text).into_bytes());
                }
            }
        })
    }),
    Breakage::boundary("fleet/frames/text-is-read-as-json", FLEET_FRAMES_4, Wire, || {
        heard(|_, frames| {
            for frame in frames {
                if let Frame::Text(text) = frame
                    && let Ok(state) = fleet::State::decode(text.as_bytes())
                {
                    *frame = Frame::Message { topic: STATE.into(), payload: state.encode_frame() };
                }
            }
        })
    }),
    Breakage::boundary("fleet/frames/older-states-are-read", FLEET_FRAMES_5, Wire, || {
        of_topic(STATE, |payload| {
            if payload.first() == Some(&2) {
                payload[0] = 3;
            }
        })
    }),
    Breakage::boundary("fleet/frames/newer-states-are-read", FLEET_FRAMES_5, Wire, || {
        of_topic(STATE, |payload| {
            if payload.first() == Some(&4) {
                payload[0] = 3;
            }
        })
    }),
    Breakage::boundary("fleet/frames/json-is-read", FLEET_FRAMES_5, Wire, || {
        of_topic(STATE, |payload| {
            if let Ok(state) = fleet::State::decode(payload) {
                *payload = state.encode_frame();
            }
        })
    }),
    Breakage::boundary("fleet/frames/newer-acks-are-read", FLEET_FRAMES_5, Wire, || {
        of_topic(ACK, |payload| {
            if payload.first() == Some(&4) {
                payload[0] = 3;
            }
        })
    }),
    Breakage::boundary("fleet/frames/another-major-is-an-answer", FLEET_FRAMES_6, Port, major_is_an_answer),
    Breakage::boundary("fleet/frames/minor-of-states-counts", FLEET_FRAMES_7, Wire, || {
        drops(STATE, |payload| payload.get(1).is_some_and(|minor| *minor != 0))
    }),
    Breakage::boundary("fleet/frames/minor-of-acks-counts", FLEET_FRAMES_7, Wire, || {
        drops(ACK, |payload| payload.get(1).is_some_and(|minor| *minor != 0))
    })
    .shape("who drops an Ack waits for it in vain"),
    Breakage::boundary("fleet/frames/outer-fields-are-two", FLEET_FRAMES_8, Port, || {
        drops_outer(STATE, |numbers| numbers.iter().any(|number| !(1..=2).contains(number)))
    }),
    Breakage::boundary("fleet/frames/outer-fields-of-acks-are-two", FLEET_FRAMES_8, Port, || {
        drops_outer(ACK, |numbers| numbers.iter().any(|number| !(1..=2).contains(number)))
    })
    .shape("who drops an Ack waits for it in vain"),
    Breakage::boundary("fleet/frames/fields-of-states-are-known", FLEET_FRAMES_9, Wire, || {
        drops(STATE, |payload| numbers(body(payload)).iter().any(|number| *number > STATUS))
    }),
    Breakage::boundary("fleet/frames/fields-of-rooms-are-known", FLEET_FRAMES_9, Wire, || {
        drops(STATE, |payload| {
            rooms(payload).iter().any(|room| numbers(room).iter().any(|number| *number > 4))
        })
    }),
    Breakage::boundary("fleet/frames/fields-of-acks-are-known", FLEET_FRAMES_9, Wire, || {
        drops(ACK, |payload| numbers(body(payload)).iter().any(|number| *number > 6))
    })
    .shape("who drops an Ack waits for it in vain"),
    Breakage::boundary("fleet/frames/states-have-an-order", FLEET_FRAMES_10, Wire, || {
        drops(STATE, |payload| !numbers(body(payload)).is_sorted())
    }),
    Breakage::boundary("fleet/frames/acks-have-an-order", FLEET_FRAMES_10, Wire, || {
        drops(ACK, |payload| !numbers(body(payload)).is_sorted())
    })
    .shape("who drops an Ack waits for it in vain"),
    Breakage::boundary("fleet/frames/topic-comes-first", FLEET_FRAMES_10, Port, || {
        drops_outer(STATE, |numbers| numbers.first() == Some(&2))
    }),
    Breakage::boundary("fleet/frames/no-default-for-the-status", FLEET_FRAMES_11, Wire, || {
        drops(STATE, |payload| {
            let numbers = numbers(body(payload));
            numbers.contains(&9) && !numbers.contains(&STATUS)
        })
    }),
    Breakage::boundary("fleet/frames/no-default-for-the-origin", FLEET_FRAMES_11, Wire, || {
        drops(STATE, |payload| rooms(payload).iter().any(|room| !numbers(room).contains(&4)))
    }),
    Breakage::boundary("fleet/frames/full-unless-it-says-no", FLEET_FRAMES_12, Wire, || says(STATE, FULL)),
    Breakage::boundary("fleet/frames/ok-unless-it-says-no", FLEET_FRAMES_12, Wire, || says(ACK, OK)),
    Breakage::boundary("fleet/frames/first-name-counts", FLEET_FRAMES_13, Wire, || first_counts(STATE, 5)),
    Breakage::boundary("fleet/frames/first-ok-counts", FLEET_FRAMES_13, Wire, || first_counts(ACK, OK)),
    Breakage::boundary("fleet/frames/no-pieces", FLEET_FRAMES_17, Wire, || {
        received(|bytes: &[u8]| match bytes.first() {
            Some(2) => 1,
            _ => bytes.len(),
        })
    })
    .shape("what comes behind the piece that was not understood is no frame"),
    Breakage::boundary("fleet/frames/text-ends-another", FLEET_FRAMES_18, Wire, text_ends_another),
    Breakage::boundary("fleet/frames/long-one-ends-another", FLEET_FRAMES_19, Wire, long_one_ends_another),
    Breakage::boundary(
        "fleet/frames/half-a-handshake-ends-another",
        FLEET_FRAMES_20,
        Wire,
        half_ends_another,
    ),
];

fn text_now_and_then() -> Seams {
    let polls: Mutex<BTreeMap<u64, u32>> = Mutex::default();
    frames(move |number, frames| {
        if matches!(&frames[0], Frame::Message { topic, .. } if topic == "fleet/poll") {
            let mut polls = polls.lock().unwrap_or_else(PoisonError::into_inner);
            let polls = polls.entry(number).or_default();
            *polls += 1;
            if *polls == 2 {
                frames.insert(0, Frame::Text("keep-alive".into()));
            }
        }
    })
}

fn minor_of_later_polls() -> Seams {
    let polled: Mutex<BTreeSet<u64>> = Mutex::default();
    frames(move |number, frames| {
        each(frames, "fleet/poll", |payload| {
            if !polled.lock().unwrap_or_else(PoisonError::into_inner).insert(number) {
                payload[1] = 1;
            }
        });
    })
}

/// The payload of each frame with this topic that is heard, changed.
fn of_topic(topic: &'static str, change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Seams {
    heard(move |_, frames| each(frames, topic, &change))
}

/// Such frames with this topic are dropped: what comes of them has no major.
fn drops(topic: &'static str, which: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Seams {
    of_topic(topic, move |payload| {
        if which(payload) {
            payload.clear();
        }
    })
}

/// Frames with this topic are dropped if the numbers of the fields of their outer frames are such.
fn drops_outer(topic: &'static str, which: impl Fn(&[u64]) -> bool + Send + 'static) -> Seams {
    input(move |_, input| {
        let Input::Heard { heard: Heard::Binary(bytes), .. } = input else { return };
        let is_of_topic = Outer::decode(bytes).is_ok_and(|outer| outer.topic.as_deref() == Some(topic));
        if is_of_topic && which(&outer_numbers(bytes)) {
            *bytes = Outer::encode(topic, &[]);
        }
    })
}

/// The numbers of the fields of an outer frame.
fn outer_numbers(bytes: &[u8]) -> Vec<u64> {
    let mut reader = Reader::new(bytes, 8);
    let mut all = Vec::new();
    while !reader.is_empty() {
        let Ok(tag) = reader.varint() else { break };
        let passed = match WireType::of(tag) {
            Some(WireType::Varint) => reader.varint().map(drop),
            _ => reader.bytes().map(drop),
        };
        all.push(tag >> 3);
        if passed.is_err() {
            break;
        }
    }
    all
}

/// What stands behind the header of an inner frame.
fn body(payload: &[u8]) -> &[u8] {
    payload.get(2..).unwrap_or_default()
}

/// The numbers of the fields of a message.
fn numbers(body: &[u8]) -> Vec<u32> {
    let mut reader = Reader::new(body, 10);
    let mut all = Vec::new();
    while let Ok((number, wire)) = reader.tag() {
        all.push(number);
        if reader.skip(number, wire).is_err() {
            break;
        }
    }
    all
}

/// The rooms in a State.
fn rooms(payload: &[u8]) -> Vec<&[u8]> {
    let mut reader = Reader::new(body(payload), 10);
    let mut all = Vec::new();
    while let Ok((number, wire)) = reader.tag() {
        match (number, wire) {
            (ROOMS, WireType::Bytes) => match reader.bytes() {
                Ok(room) => all.push(room),
                Err(_) => break,
            },
            _ if reader.skip(number, wire).is_err() => break,
            _ => {}
        }
    }
    all
}

/// Frames with this topic that lack this field have it, and it says yes.
fn says(topic: &'static str, field: u32) -> Seams {
    of_topic(topic, move |payload| {
        if payload.len() > 2 && !numbers(body(payload)).contains(&field) {
            put_varint(payload, u64::from(field) << 3);
            put_varint(payload, 1);
        }
    })
}

/// In frames with this topic the first of several values of this field counts.
fn first_counts(topic: &'static str, field: u32) -> Seams {
    of_topic(topic, move |payload| {
        let mut reader = Reader::new(body(payload), 10);
        let (mut kept, mut seen) = (header(), false);
        while let Ok((number, wire)) = reader.tag() {
            let mut one = Vec::new();
            match wire {
                WireType::Varint => {
                    put_varint(&mut one, u64::from(number) << 3);
                    put_varint(&mut one, reader.varint().unwrap_or(0));
                }
                WireType::Bytes => put_bytes(&mut one, number, reader.bytes().unwrap_or_default()),
                // Not in what agents write: it is left as it is.
                _ => return,
            }
            if number != field || !std::mem::replace(&mut seen, number == field) {
                kept.extend(one);
                seen |= number == field;
            }
        }
        *payload = kept;
    })
}

/// A State with another major is one with a hash alone.
fn major_is_an_answer() -> Seams {
    input(|state, input| {
        let Input::Heard { connection, heard: Heard::Binary(bytes) } = input else { return };
        let Ok(Outer { topic: Some(topic), payload: Some(payload) }) = Outer::decode(bytes) else { return };
        let is_other = topic == STATE && payload.first().is_some_and(|major| *major != 3);
        if let Some(req_id) = state.outstanding(*connection).filter(|_| is_other) {
            let answer = fleet::State { req_id, seq: 0, hash: String::new(), snapshot: None };
            *bytes = Outer::encode(STATE, &answer.encode_frame());
        }
    })
}

/// Once this was seen on a connection another one ends, without a word, where its next Poll would be sent.
struct Toll(AtomicU64);

impl Toll {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(0)))
    }

    fn is_due(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    fn take(&self, number: u64, frames: &mut Vec<Frame>) {
        let due = self.0.load(Ordering::Relaxed);
        let is_poll = matches!(frames.first(), Some(Frame::Message { topic, .. }) if topic == "fleet/poll");
        if due != 0 && due != number && is_poll {
            self.0.store(0, Ordering::Relaxed);
            *frames = vec![Frame::Cut];
        }
    }
}

fn text_ends_another() -> Seams {
    let toll = Toll::new();
    let taken = toll.clone();
    let sent = frames(move |number, frames| taken.take(number, frames));
    let seen = heard(move |number, frames| {
        if frames.iter().any(|frame| matches!(frame, Frame::Text(_))) {
            toll.is_due(number);
        }
    });
    Seams { heard: seen.heard, ..sent }
}

fn long_one_ends_another() -> Seams {
    let toll = Toll::new();
    frames(move |number, frames| {
        if matches!(frames.first(), Some(Frame::Close(1009, _))) {
            toll.is_due(number);
        }
        toll.take(number, frames);
    })
}

fn half_ends_another() -> Seams {
    let half = Arc::new(AtomicBool::new(false));
    let seen = half.clone();
    let sent = frames(move |_, frames| {
        let is_poll = matches!(frames.first(), Some(Frame::Message { topic, .. }) if topic == "fleet/poll");
        if is_poll && half.swap(false, Ordering::Relaxed) {
            *frames = vec![Frame::Cut];
        }
    });
    Seams {
        http: received(move |bytes: &[u8]| {
            if bytes.starts_with(b"GET ") && !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
                seen.store(true, Ordering::Relaxed);
            }
            bytes.len()
        }),
        ..sent
    }
}
