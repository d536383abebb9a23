//! Defects of "Report".

use super::client::{
    ClientSeams, ClientTable, Counted, always, boundary, deafened, decide, ends, heard_poll, inner_of,
    once_more, owner, poll_of, said, second, snapshot, state,
};
use crate::{
    embed::reference::fleet::client::{
        model::{Ask, Effect, Input, Phase, What},
        seams::Frame,
    },
    protocol::Cut::{Port, Wire},
};
use std::sync::{Mutex, PoisonError};
use wireproof_spec::{
    decode::Violation,
    fleet::{Origin, Poll, State, Status, SyncRoom, frames::Outer, requirements::*},
};

pub(super) const TABLE: ClientTable = &[
    boundary("fleet/report/id-in-ascii", FLEET_REPORT_1, Wire, || {
        state(|_, state| state.req_id.retain(|char| char.is_ascii()))
    }),
    second("fleet/report/second-answer-twice", FLEET_REPORT_1, Wire, || {
        said(|_, frames| {
            if let Some(state) = frames.first().and_then(state_in)
                && state.seq == 2
            {
                frames.push(frames[0].clone());
            }
        })
    })
    .wide("what is awaited behind the second State is not that State once more"),
    boundary("fleet/report/once-more-behind-a-second", FLEET_REPORT_1, Port, || {
        once_more(|effect| matches!(effect, Effect::State(_)))
    })
    .wide("who takes a second hears a State for which nobody waits"),
    boundary("fleet/report/a-poll-without-id-is-none", FLEET_REPORT_1, Port, || {
        decide(|_, input, decision| {
            if poll_of(input).is_some_and(|poll| poll.req_id.is_empty()) {
                decision.records.clear();
                decision.effects.clear();
            }
        })
    }),
    second("fleet/report/last-first", FLEET_REPORT_2, Wire, last_first)
        .wide("the fourth Poll of a connection waits for its State until the fifth"),
    always("fleet/report/other-topic", FLEET_REPORT_3, Wire, || {
        said(|_, frames| {
            for frame in frames {
                let Frame::Binary(bytes) = frame else { continue };
                if let Ok(Outer { topic: Some(topic), payload: Some(payload) }) = Outer::decode(bytes)
                    && topic == "fleet/ack"
                {
                    *bytes = Outer::encode("fleet/acks", payload).into();
                }
            }
        })
    })
    .wide("no Cmd is acknowledged"),
    always("fleet/report/minor-one", FLEET_REPORT_3, Wire, || {
        said(|_, frames| {
            for frame in frames {
                let Frame::Binary(bytes) = frame else { continue };
                if let Ok(Outer { topic: Some(topic), payload: Some(payload) }) = Outer::decode(bytes) {
                    let mut payload = payload.to_vec();
                    payload[1] = 1;
                    *bytes = Outer::encode(&topic, &payload).into();
                }
            }
        })
    }),
    boundary("fleet/report/empty-hash-is-known", FLEET_REPORT_4, Port, || {
        decide(|_, input, decision| {
            if poll_of(input).is_some_and(|poll| poll.known_hash.as_deref() == Some("")) {
                without_snapshot(&mut decision.effects);
            }
        })
    }),
    always("fleet/report/any-hash-is-known", FLEET_REPORT_4, Port, || {
        decide(|_, input, decision| {
            if poll_of(input).is_some_and(|poll| poll.known_hash.is_some()) {
                without_snapshot(&mut decision.effects);
            }
        })
    })
    .wide("a change is never told"),
    boundary("fleet/report/half-the-hash-compared", FLEET_REPORT_4, Port, || {
        decide(|state, input, decision| {
            let hash = &state.known().hash;
            if poll_of(input)
                .and_then(|poll| poll.known_hash)
                .is_some_and(|known| known.len() == hash.len() && known[..8] == hash[..8])
            {
                without_snapshot(&mut decision.effects);
            }
        })
    }),
    boundary("fleet/report/empty-label-left-out", FLEET_REPORT_5, Wire, || {
        snapshot(|_, snapshot| snapshot.labels.retain(|label| !label.value.is_empty()))
    }),
    always("fleet/report/always-auto-create", FLEET_REPORT_5, Wire, || {
        snapshot(|_, snapshot| snapshot.auto_create = true)
    }),
    boundary("fleet/report/endpoint-without-query", FLEET_REPORT_5, Wire, || {
        snapshot(|_, snapshot| {
            if let Some((front, _)) = snapshot.endpoint_url.clone().split_once('?') {
                front.clone_into(&mut snapshot.endpoint_url);
            }
        })
    }),
    second("fleet/report/always-full", FLEET_REPORT_6, Wire, || heard_poll(|_, poll| poll.known_hash = None))
        .wide("no State is hash-only"),
    second("fleet/report/hash-of-before", FLEET_REPORT_6, Wire, hash_of_before),
    second("fleet/report/hash-only-not-counted", FLEET_REPORT_7, Wire, || {
        state(|_, state| {
            if state.snapshot.is_none() && state.seq > 1 {
                state.seq -= 1;
            }
        })
    }),
    second("fleet/report/begins-anew-at-three", FLEET_REPORT_7, Wire, || {
        state(|_, state| {
            if state.seq > 3 {
                state.seq = 1;
            }
        })
    }),
    second("fleet/report/seq-of-a-lifetime", FLEET_REPORT_8, Wire, || {
        state(|number, state| {
            if number > 1 {
                state.seq += 1_000;
            }
        })
    }),
    always("fleet/report/rooms-as-they-came", FLEET_REPORT_9, Wire, || {
        snapshot(|_, snapshot| snapshot.rooms.reverse())
    }),
    boundary("fleet/report/sorted-by-characters", FLEET_REPORT_9, Wire, || {
        snapshot(|_, snapshot| {
            snapshot.rooms.sort_by(|a, b| a.id.cmp(&b.id));
            snapshot.room_types.sort();
        })
    }),
    boundary("fleet/report/no-bound-of-zero", FLEET_REPORT_10, Wire, || {
        snapshot(|_, snapshot| {
            let capacity = &mut snapshot.capacity;
            capacity.max_rooms = capacity.max_rooms.filter(|bound| *bound > 0);
            capacity.max_connections = capacity.max_connections.filter(|bound| *bound > 0);
        })
    }),
    always("fleet/report/zero-for-no-bound", FLEET_REPORT_10, Wire, || {
        snapshot(|_, snapshot| {
            snapshot.capacity.max_connections.get_or_insert(0);
        })
    }),
    second("fleet/report/uid-of-a-connection", FLEET_REPORT_11, Wire, || {
        snapshot(|number, snapshot| {
            if number > 1 {
                snapshot.process_uid.push_str(&number.to_string());
            }
        })
    }),
    second("fleet/report/uid-of-an-owner", FLEET_REPORT_12, Port, || {
        owner(|settings| settings.process_uid = Some(format!("p_{}", settings.name)))
    }),
    boundary("fleet/report/newer-polls-passed-over", FLEET_REPORT_13, Wire, || {
        deaf_to(|inner| inner.get(1) != Some(&0))
    }),
    boundary("fleet/report/unknown-fields-refused", FLEET_REPORT_13, Wire, || {
        deaf_to(|inner| Poll::receive(inner).is_ok_and(|poll| poll.encode_frame().len() < inner.len()))
    }),
    boundary("fleet/report/fields-in-their-order", FLEET_REPORT_13, Wire, || {
        deaf_to(|inner| inner.get(2) == Some(&0x1a))
    }),
    boundary("fleet/report/other-major-answered", FLEET_REPORT_14, Wire, || {
        lenient(|inner| match inner {
            [4, rest @ ..] => [&[3], rest].concat(),
            _ => inner.to_vec(),
        })
    }),
    boundary("fleet/report/cut-off-answered", FLEET_REPORT_14, Wire, || {
        lenient(|inner| match inner {
            [3, 0, front @ .., 0x80] => [&[3, 0], front].concat(),
            _ => inner.to_vec(),
        })
    }),
    boundary("fleet/report/malformed-poll-answered-empty", FLEET_REPORT_14, Wire, || {
        lenient(|inner| {
            let empty = Poll { req_id: String::new(), known_hash: None, status: Status::Active };
            let read: Result<Poll, Violation> = Poll::receive(inner);
            if read.is_err() { empty.encode_frame() } else { inner.to_vec() }
        })
    }),
    boundary("fleet/report/topics-by-their-end", FLEET_REPORT_15, Wire, || {
        super::client::heard(|_, frame| {
            let Frame::Binary(bytes) = frame else { return };
            if let Ok(Outer { topic: Some(topic), payload: Some(payload) }) = Outer::decode(bytes)
                && topic.eq_ignore_ascii_case("fleet/poll")
            {
                *bytes = Outer::encode("fleet/poll", payload).into();
            }
        })
    }),
    boundary("fleet/report/other-topic-closes", FLEET_REPORT_15, Port, || {
        decide(|_, input, decision| {
            if inner_of(input, "fleet/ack").is_some() {
                decision.effects.push(Effect::Close);
            }
        })
    }),
    boundary("fleet/report/text-is-the-end", FLEET_REPORT_16, Port, || {
        ends(|_, what| matches!(what, What::Text(_)))
    }),
    boundary("fleet/report/malformed-is-the-end", FLEET_REPORT_16, Port, || {
        ends(|_, what| matches!(what, What::Binary(_, bytes) if Outer::decode(bytes).is_err()))
    }),
    boundary("fleet/report/malformed-is-deafening", FLEET_REPORT_16, Port, || {
        deafened(|input| matches!(&input.what, What::Binary(_, bytes) if Outer::decode(bytes).is_err()))
    }),
    second("fleet/report/second-room-of-the-host-by-fleet", FLEET_REPORT_17, Wire, || {
        snapshot(|_, snapshot| {
            let mut rooms = snapshot.rooms.iter_mut();
            let local = |room: &&mut SyncRoom| room.origin == Origin::Local;
            if let Some(room) = rooms.by_ref().filter(local).nth(1) {
                room.origin = Origin::Fleet;
            }
        })
    }),
    second("fleet/report/ended-room-stays", FLEET_REPORT_17, Port, || {
        decide(|_, input, decision| {
            if matches!(&input.what, What::Host(_, Ask::DestroyRoom(_))) {
                decision.records.clear();
            }
        })
    }),
    second("fleet/report/rooms-told-at-once", FLEET_REPORT_18, Port, rooms_told_at_once),
    boundary("fleet/report/connections-left-out-of-the-hash", FLEET_REPORT_19, Wire, || {
        state(|_, state| {
            if let Some(snapshot) = &state.snapshot {
                let mut content = snapshot.clone();
                content.rooms.iter_mut().for_each(|room| room.connections = 0);
                state.hash = content.hash();
            }
        })
    }),
    second("fleet/report/connections-told-once", FLEET_REPORT_19, Port, || {
        let changes = Counted::default();
        decide(move |_, input, decision| {
            if matches!(&input.what, What::Host(_, Ask::SetConnections { .. })) && changes.up() > 1 {
                decision.records.clear();
            }
        })
    }),
    always("fleet/report/host-counts-as-connected", FLEET_REPORT_17, Wire, || {
        snapshot(|_, snapshot| {
            let local = |room: &&mut SyncRoom| room.origin == Origin::Local;
            snapshot.rooms.iter_mut().filter(local).for_each(|room| room.connections = 1);
        })
    }),
];

/// The State in a frame.
fn state_in(frame: &Frame) -> Option<State> {
    let Frame::Binary(bytes) = frame else { return None };
    let outer = Outer::decode(bytes).ok()?;
    State::receive(outer.payload.filter(|_| outer.topic.as_deref() == Some("fleet/state"))?).ok()
}

/// States become hash-only.
fn without_snapshot(effects: &mut [Effect]) {
    for effect in effects {
        if let Effect::State(state) = effect {
            state.snapshot = None;
        }
    }
}

/// Passes over Polls for which this holds.
fn deaf_to(when: fn(&[u8]) -> bool) -> ClientSeams {
    super::client::heard_inner("fleet/poll", move |_, inner| (!when(inner)).then(|| inner.to_vec()))
}

/// Reads Polls behind this.
fn lenient(change: fn(&[u8]) -> Vec<u8>) -> ClientSeams {
    super::client::heard_inner("fleet/poll", move |_, inner| Some(change(inner)))
}

/// The fourth State waits for the fifth, and goes behind it.
fn last_first() -> ClientSeams {
    let kept: Mutex<Vec<Effect>> = Mutex::default();
    decide(move |state, input, decision| {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match state.seq() {
            3 if poll_of(input).is_some() => kept.append(&mut decision.effects),
            4 => decision.effects.append(&mut kept),
            _ => {}
        }
    })
}

/// A hash-only State has the hash of the snapshot before.
fn hash_of_before() -> ClientSeams {
    let hashes: Mutex<Vec<String>> = Mutex::default();
    state(move |_, state| {
        let mut hashes = hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if state.snapshot.is_some() {
            hashes.push(state.hash.clone());
        } else if let Some(before) = hashes.iter().rev().find(|hash| **hash != state.hash) {
            state.hash.clone_from(before);
        }
    })
}

/// What the host does with rooms is told without a Poll.
fn rooms_told_at_once() -> ClientSeams {
    decide(|state, input: &Input, decision| {
        let is_room = matches!(&input.what, What::Host(_, Ask::CreateRoom { .. } | Ask::DestroyRoom(_)));
        if is_room && state.seq() > 0 && matches!(state.phase(), Phase::Connected(_)) {
            let known = state.known();
            decision.effects.push(Effect::State(Box::new(State {
                req_id: String::new(),
                seq: state.seq() + 1,
                hash: known.hash.clone(),
                snapshot: Some(known.snapshot.clone()),
            })));
        }
    })
}
