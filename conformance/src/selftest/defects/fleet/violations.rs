//! Defects of "Violations".

mod answers;
mod others;

use super::{Seams, Table, decide, frames, heard};
use crate::{
    embed::reference::fleet::{model::Record, seams::Frame},
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use wireproof_spec::fleet::{
    self, Ack,
    frames::{Outer, Reader, WireType, body},
    requirements::*,
};

pub(super) const TABLE: Table = &[
    Breakage::second(
        "fleet/violations/repeated-bytes-dropped",
        FLEET_VIOLATIONS_1,
        Wire,
        answers::repeated_bytes_dropped,
    ),
    Breakage::second(
        "fleet/violations/hash-only-again-dropped",
        FLEET_VIOLATIONS_1,
        Wire,
        answers::hash_only_again_dropped,
    ),
    Breakage::second(
        "fleet/violations/old-req-id-dropped",
        FLEET_VIOLATIONS_1,
        Wire,
        answers::old_req_id_dropped,
    ),
    Breakage::second(
        "fleet/violations/second-try-behind-a-rejected-one",
        FLEET_VIOLATIONS_1,
        Wire,
        answers::second_try,
    ),
    Breakage::boundary(
        "fleet/violations/unknown-req-id-dropped",
        FLEET_VIOLATIONS_2,
        Wire,
        answers::unknown_req_id_dropped,
    ),
    Breakage::boundary(
        "fleet/violations/no-req-id-answers",
        FLEET_VIOLATIONS_2,
        Wire,
        answers::no_req_id_answers,
    ),
    Breakage::boundary(
        "fleet/violations/answers-for-another",
        FLEET_VIOLATIONS_2,
        Port,
        answers::answers_for_another,
    ),
    Breakage::boundary(
        "fleet/violations/asked-one-goes-too",
        FLEET_VIOLATIONS_2,
        Port,
        answers::asked_one_goes_too,
    ),
    Breakage::second(
        "fleet/violations/second-ack-dropped",
        FLEET_VIOLATIONS_3,
        Wire,
        answers::second_ack_dropped,
    ),
    Breakage::boundary(
        "fleet/violations/late-ack-dropped",
        FLEET_VIOLATIONS_4,
        Wire,
        answers::late_ack_dropped,
    ),
    Breakage::boundary(
        "fleet/violations/unknown-cmd-id-dropped",
        FLEET_VIOLATIONS_5,
        Wire,
        answers::unknown_cmd_id_dropped,
    ),
    Breakage::boundary(
        "fleet/violations/acknowledges-for-another",
        FLEET_VIOLATIONS_5,
        Port,
        answers::acknowledges_for_another,
    ),
    Breakage::always("fleet/violations/topics-of-the-orchestrator-dropped", FLEET_VIOLATIONS_6, Wire, || {
        topics(|topic| match topic {
            "fleet/hello" | "fleet/poll" | "fleet/cmd" => None,
            other => Some(other.to_owned()),
        })
    }),
    Breakage::always("fleet/violations/topics-of-nobody-dropped", FLEET_VIOLATIONS_6, Wire, || {
        topics(|topic| (topic.starts_with("fleet/") || units(topic) > MOST).then(|| topic.to_owned()))
    }),
    Breakage::always("fleet/violations/topics-in-capitals", FLEET_VIOLATIONS_6, Wire, || {
        topics(|topic| Some(topic.to_lowercase()))
    }),
    Breakage::always("fleet/violations/malformed-dropped", FLEET_VIOLATIONS_7, Wire, || malformed(|_| None)),
    Breakage::always("fleet/violations/all-wire-types-passed-over", FLEET_VIOLATIONS_7, Wire, || {
        malformed(|bytes| as_read(bytes).filter(|(_, whole)| *whole).map(|(frame, _)| frame))
    }),
    Breakage::always("fleet/violations/rest-of-the-frame-passed-over", FLEET_VIOLATIONS_7, Wire, || {
        malformed(|bytes| as_read(bytes).map(|(frame, _)| frame))
    }),
    Breakage::always("fleet/violations/no-word-why", FLEET_VIOLATIONS_8, Wire, || {
        unreasoned("invalid_message")
    }),
    Breakage::boundary("fleet/violations/no-rate", FLEET_VIOLATIONS_9, Port, || uncounted(|_| true)),
    Breakage::boundary("fleet/violations/acks-not-counted", FLEET_VIOLATIONS_9, Port, || {
        uncounted(|topic| topic == "fleet/ack")
    }),
    Breakage::boundary("fleet/violations/three-quarters-of-the-rate", FLEET_VIOLATIONS_10, Wire, || {
        burst(|_, count, _| count > 50)
    }),
    Breakage::race("fleet/violations/a-frame-for-each-cmd", FLEET_VIOLATIONS_11, Wire, || {
        burst(|_, count, _| count > 32)
    }),
    Breakage::race("fleet/violations/last-acks-lost", FLEET_VIOLATIONS_11, Wire, || {
        lost(|topic, count| topic == "fleet/ack" && count > 30)
    }),
    Breakage::race("fleet/violations/state-between-acks-lost", FLEET_VIOLATIONS_11, Wire, || {
        lost(|topic, count| topic == "fleet/state" && count > 12)
    }),
    Breakage::boundary("fleet/violations/malformed-inner-kicks", FLEET_VIOLATIONS_12, Wire, || {
        inner(|_, _| Frame::Close(4003, "invalid_message".into()))
    }),
    Breakage::boundary("fleet/violations/cut-off-state-answers", FLEET_VIOLATIONS_12, Wire, || {
        inner(|topic, payload| match (topic, first_string(payload)) {
            ("fleet/state", Some(req_id)) => {
                let state = fleet::State { req_id, seq: 0, hash: String::new(), snapshot: None };
                said("fleet/state", &state.encode_frame())
            }
            _ => said(topic, payload),
        })
    }),
    Breakage::boundary("fleet/violations/cut-off-ack-settles", FLEET_VIOLATIONS_12, Wire, || {
        inner(|topic, payload| match (topic, first_string(payload)) {
            ("fleet/ack", Some(cmd_id)) => {
                let ack =
                    Ack { cmd_id, ok: false, error: None, already_gone: None, room: None, exists: None };
                said("fleet/ack", &ack.encode_frame())
            }
            _ => said(topic, payload),
        })
    }),
    Breakage::boundary(
        "fleet/violations/shown-for-a-while",
        FLEET_VIOLATIONS_14,
        Wire,
        others::shown_for_a_while,
    ),
    Breakage::boundary("fleet/violations/rooms-shown-for-a-while", FLEET_VIOLATIONS_14, Wire, || {
        others::listed_for_a_while("/v1/rooms")
    }),
    Breakage::second(
        "fleet/violations/only-the-first-is-told",
        FLEET_VIOLATIONS_15,
        Port,
        others::only_the_first,
    ),
    Breakage::second("fleet/violations/whole-process-kicked", FLEET_VIOLATIONS_16, Port, || {
        others::whole_process(|input| !others::is_tick(input))
    }),
    Breakage::second("fleet/violations/whole-process-evicted", FLEET_VIOLATIONS_16, Port, || {
        others::whole_process(others::is_tick)
    }),
    Breakage::boundary(
        "fleet/violations/sent-away-for-a-while",
        FLEET_VIOLATIONS_17,
        Wire,
        others::sent_away,
    )
    .wide("whoever dials when another was kicked is sent away"),
    Breakage::boundary(
        "fleet/violations/not-polled-for-a-while",
        FLEET_VIOLATIONS_17,
        Wire,
        others::not_polled,
    )
    .wide("whoever dials when another was kicked is not polled"),
    Breakage::always("fleet/violations/long-topics-dropped", FLEET_VIOLATIONS_18, Wire, || {
        topics(|topic| (units(topic) <= MOST).then(|| topic.to_owned()))
    }),
    Breakage::always("fleet/violations/long-topics-cut-off", FLEET_VIOLATIONS_18, Wire, || {
        topics(|topic| match units(topic) > MOST {
            true => Some(topic.chars().take(11).collect()),
            false => Some(topic.to_owned()),
        })
    }),
    Breakage::boundary("fleet/violations/limited-without-a-word", FLEET_VIOLATIONS_19, Wire, || {
        unreasoned("rate_limited")
    }),
];

/// The longest topic, in code units.
const MOST: usize = 256;

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A lock whose holder may have ended early.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn said(topic: &str, payload: &[u8]) -> Frame {
    Frame::Message { topic: topic.to_owned(), payload: payload.to_vec() }
}

/// The State in a frame.
fn state(frame: &Frame) -> Option<fleet::State> {
    match frame {
        Frame::Message { topic, payload } if topic == "fleet/state" => fleet::State::receive(payload).ok(),
        _ => None,
    }
}

/// The Ack in a frame.
fn ack(frame: &Frame) -> Option<Ack> {
    match frame {
        Frame::Message { topic, payload } if topic == "fleet/ack" => Ack::receive(payload).ok(),
        _ => None,
    }
}

/// Frames that are heard have another topic, or are dropped.
fn topics(becomes: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Seams {
    heard(move |_, frames| {
        frames.retain_mut(|frame| match frame {
            Frame::Message { topic, .. } => becomes(topic).is_some_and(|other| {
                *topic = other;
                true
            }),
            _ => true,
        });
    })
}

/// Malformed outer frames become another frame, or are dropped.
fn malformed(becomes: impl Fn(&[u8]) -> Option<Frame> + Send + Sync + 'static) -> Seams {
    heard(move |_, frames| {
        frames.retain_mut(|frame| match frame {
            Frame::Binary(bytes) if Outer::decode(bytes).is_err() => becomes(bytes).is_some_and(|other| {
                *frame = other;
                true
            }),
            _ => true,
        });
    })
}

/// What a reader of protocol buffers finds that takes all wire types, up to the place where it cannot go on; and whether that is
/// the end.
fn as_read(bytes: &[u8]) -> Option<(Frame, bool)> {
    let (mut topic, mut payload) = (None, None);
    let mut reader = Reader::new(bytes, 10);
    let mut read = || -> Result<(), fleet::Violation> {
        while !reader.is_empty() {
            match reader.tag()? {
                (1, WireType::Bytes) => topic = Some(String::from_utf8_lossy(reader.bytes()?).into_owned()),
                (2, WireType::Bytes) => payload = Some(reader.bytes()?.to_vec()),
                (number, wire) => reader.skip(number, wire)?,
            }
        }
        Ok(())
    };
    let whole = read().is_ok();
    Some((Frame::Message { topic: topic?, payload: payload? }, whole))
}

/// Close frames with this reason have none.
fn unreasoned(of: &'static str) -> Seams {
    frames(move |_, frames| {
        for frame in frames {
            if let Frame::Close(_, reason) = frame
                && reason == of
            {
                reason.clear();
            }
        }
    })
}

/// Frames with such a topic take no token.
fn uncounted(free: impl Fn(&str) -> bool + Send + 'static) -> Seams {
    use crate::embed::reference::fleet::model::{Heard, Input};
    decide(move |_, input, decision| {
        let Input::Heard { heard: Heard::Binary(bytes), .. } = input else { return };
        if Outer::decode(bytes).is_ok_and(|outer| outer.topic.is_some_and(|topic| free(&topic))) {
            decision.records.retain(|record| !matches!(record, Record::Took { .. }));
        }
    })
}

/// Counts what comes on each connection behind one another, with no more than this between two: the frame and how many there
/// were with it.
struct Bursts(Mutex<BTreeMap<u64, (Instant, usize)>>);

impl Bursts {
    const GAP: Duration = Duration::from_millis(40);

    fn new() -> Self {
        Self(Mutex::default())
    }

    fn count(&self, number: u64) -> usize {
        let mut all = lock(&self.0);
        let now = Instant::now();
        let (last, count) = all.entry(number).or_insert((now, 0));
        *count = if now.duration_since(*last) <= Self::GAP { *count + 1 } else { 1 };
        *last = now;
        *count
    }
}

/// A connection is kicked for too many frames at once, by their number.
fn burst(is_much: impl Fn(u64, usize, &Frame) -> bool + Send + Sync + 'static) -> Seams {
    let bursts = Bursts::new();
    heard(move |number, frames| {
        let much = frames.iter().any(|frame| is_much(number, bursts.count(number), frame));
        if much {
            *frames = vec![Frame::Close(4003, "rate_limited".into())];
        }
    })
}

/// Of many frames at once some are lost, by their topic and number.
fn lost(is_lost: impl Fn(&str, usize) -> bool + Send + Sync + 'static) -> Seams {
    let bursts = Bursts::new();
    heard(move |number, frames| {
        frames.retain(|frame| {
            let count = bursts.count(number);
            !matches!(frame, Frame::Message { topic, .. } if is_lost(topic, count))
        });
    })
}

/// Malformed inner frames of agents become something else.
fn inner(becomes: impl Fn(&str, &[u8]) -> Frame + Send + Sync + 'static) -> Seams {
    heard(move |_, frames| {
        for frame in frames {
            let Frame::Message { topic, payload } = &*frame else { continue };
            let is_broken = match topic.as_str() {
                "fleet/state" => fleet::State::receive(payload).is_err(),
                "fleet/ack" => Ack::receive(payload).is_err(),
                _ => false,
            };
            if is_broken {
                *frame = becomes(topic, payload);
            }
        }
    })
}

/// The field 1 of a malformed inner frame, if it can be read.
fn first_string(payload: &[u8]) -> Option<String> {
    let mut reader = body(payload).ok()?;
    while !reader.is_empty() {
        match reader.tag().ok()? {
            (1, WireType::Bytes) => return String::from_utf8(reader.bytes().ok()?.to_vec()).ok(),
            (number, wire) => reader.skip(number, wire).ok()?,
        }
    }
    None
}
