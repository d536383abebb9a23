//! Defects of "Poll".

use super::{Seams, Table, decide, heard_state, poll, said};
use crate::{
    embed::reference::fleet::{
        model::{Heard, Input, Record, Said, State, check},
        seams::Frame,
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use wireproof_spec::fleet::{self, Status, frames::Outer, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::second("fleet/poll/hash-of-another-connection", FLEET_POLL_1, Wire, hash_of_another),
    Breakage::boundary("fleet/poll/hash-of-the-first-though-rejected", FLEET_POLL_1, Port, || {
        hash_of(|kind, shown| kind == Kind::Rejected && !shown)
    }),
    Breakage::second("fleet/poll/fourth-comes-late", FLEET_POLL_2, Wire, fourth_comes_late),
    Breakage::second("fleet/poll/asks-again", FLEET_POLL_3, Port, asks_again),
    Breakage::second("fleet/poll/five-ids", FLEET_POLL_4, Wire, five_ids),
    Breakage::boundary("fleet/poll/hash-of-the-rejected", FLEET_POLL_5, Port, || {
        hash_of(|kind, shown| kind == Kind::Rejected && shown)
    }),
    Breakage::boundary("fleet/poll/hash-of-what-was-not-newer", FLEET_POLL_5, Port, || {
        hash_of(|kind, _| kind == Kind::NotNewer)
    }),
    Breakage::boundary("fleet/poll/hash-that-was-said-alone", FLEET_POLL_5, Port, || {
        hash_of(|kind, _| kind == Kind::HashOnly)
    }),
    Breakage::boundary("fleet/poll/asks-for-all-once", FLEET_POLL_6, Wire, asks_for_all_once),
    Breakage::second("fleet/poll/knows-two-alone", FLEET_POLL_7, Wire, knows_two_alone),
    Breakage::second("fleet/poll/once-draining", FLEET_POLL_8, Wire, once_draining),
    Breakage::boundary("fleet/poll/status-of-the-rejected", FLEET_POLL_8, Port, status_of_the_rejected),
    Breakage::second("fleet/poll/status-of-the-command", FLEET_POLL_9, Port, status_of_the_command),
];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a State is to a connection.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Applied,
    Rejected,
    NotNewer,
    HashOnly,
}

/// The State in an input, and what it is where this was the greatest seq.
fn state_in(input: &Input, seqs: &mut BTreeMap<u64, u32>) -> Option<(u64, fleet::State, Kind)> {
    let Input::Heard { connection, heard: Heard::Binary(bytes) } = input else { return None };
    let outer = Outer::decode(bytes).ok().filter(|outer| outer.topic.as_deref() == Some("fleet/state"))?;
    let state = fleet::State::receive(outer.payload?).ok()?;
    let kind = match &state.snapshot {
        None => Kind::HashOnly,
        Some(snapshot) if check(snapshot).is_err() => Kind::Rejected,
        Some(_) if seqs.get(connection).is_some_and(|last| state.seq <= *last) => Kind::NotNewer,
        Some(_) => {
            seqs.insert(*connection, state.seq);
            Kind::Applied
        }
    };
    Some((*connection, state, kind))
}

/// Polls know the hash of such States too, once there was one on their connection. It is told whether the instance is shown.
fn hash_of(which: impl Fn(Kind, bool) -> bool + Send + 'static) -> Seams {
    let (mut seqs, mut known) = (BTreeMap::new(), BTreeMap::<u64, String>::new());
    decide(move |state, input, decision| {
        if let Some((connection, state_said, kind)) = state_in(input, &mut seqs) {
            if which(kind, state.instance(connection).is_some()) {
                known.insert(connection, state_said.hash);
            } else {
                known.remove(&connection);
            }
        }
        for (connection, said) in said(decision) {
            if let (Said::Poll(poll), Some(hash)) = (said, known.get(&connection)) {
                poll.known_hash = Some(hash.clone());
            }
        }
    })
}

/// The first Poll of a connection knows the hash that was known on another one.
fn hash_of_another() -> Seams {
    let last: Mutex<(BTreeMap<u64, u32>, Option<String>)> = Mutex::default();
    poll(move |number, poll| {
        let mut last = lock(&last);
        let polls = last.0.entry(number).or_default();
        *polls += 1;
        if *polls == 1 {
            poll.known_hash.clone_from(&last.1);
        } else if poll.known_hash.is_some() {
            last.1.clone_from(&poll.known_hash);
        }
    })
}

fn fourth_comes_late() -> Seams {
    let polls: Mutex<BTreeMap<u64, u32>> = Mutex::default();
    super::frames(move |number, frames| {
        if !matches!(&frames[0], Frame::Message { topic, .. } if topic == "fleet/poll") {
            return;
        }
        let mut polls = lock(&polls);
        let polls = polls.entry(number).or_default();
        *polls += 1;
        if *polls == 4 {
            frames.insert(0, Frame::Pause(Duration::from_millis(350)));
        }
    })
}

/// A Poll that was missed is sent once more.
fn asks_again() -> Seams {
    decide(|state, _, decision| {
        let missed: Vec<u64> = decision
            .records
            .iter()
            .filter_map(|record| match record {
                Record::Missed { connection } => Some(*connection),
                _ => None,
            })
            .collect();
        for connection in missed {
            let status =
                state.instance(connection).map_or(Status::Active, |info| info.status.as_str().into());
            if let Some(req_id) = state.outstanding(connection) {
                let poll = fleet::Poll { req_id, known_hash: None, status };
                let again = super::Effect::Send { connection, said: Said::Poll(poll) };
                decision.effects.push(again);
            }
        }
    })
}

/// From the sixth Poll of a connection on its ids come again.
fn five_ids() -> Seams {
    const IDS: usize = 5;
    /// The ids that were given on a connection, and what the last one stands for.
    type Given = (Vec<String>, usize, String, String);
    let given: Arc<Mutex<BTreeMap<u64, Given>>> = Arc::default();
    let asked = given.clone();
    let out = poll(move |number, poll| {
        let mut given = lock(&given);
        let (ids, polls, told, meant) = given.entry(number).or_default();
        if ids.len() < IDS {
            ids.push(poll.req_id.clone());
        }
        meant.clone_from(&poll.req_id);
        poll.req_id.clone_from(&ids[*polls % IDS]);
        told.clone_from(&poll.req_id);
        *polls += 1;
    });
    let back = heard_state(move |number, state| {
        if let Some((_, _, told, meant)) = lock(&asked).get(&number)
            && state.req_id == *told
        {
            state.req_id.clone_from(meant);
        }
    });
    Seams { frames: out.frames, ..back }
}

/// The thirteenth Poll knows what the twelfth knew.
fn asks_for_all_once() -> Seams {
    let known: Mutex<BTreeMap<u64, String>> = Mutex::default();
    poll(move |number, poll| {
        let mut known = lock(&known);
        match (&poll.known_hash, known.get(&number)) {
            (Some(hash), _) => drop(known.insert(number, hash.clone())),
            (None, Some(hash)) => poll.known_hash = Some(hash.clone()),
            (None, None) => {}
        }
    })
}

/// Behind the second hash of a connection there is no other one.
fn knows_two_alone() -> Seams {
    const MOST: usize = 2;
    let known: Mutex<BTreeMap<u64, Vec<String>>> = Mutex::default();
    poll(move |number, poll| {
        let Some(hash) = &poll.known_hash else { return };
        let mut known = lock(&known);
        let known = known.entry(number).or_default();
        if known.contains(hash) {
            return;
        }
        match known.len() {
            MOST => poll.known_hash = None,
            _ => known.push(hash.clone()),
        }
    })
}

fn once_draining() -> Seams {
    let drained: Mutex<BTreeMap<u64, ()>> = Mutex::default();
    poll(move |number, poll| {
        let mut drained = lock(&drained);
        if poll.status == Status::Draining {
            drained.insert(number, ());
        } else if drained.contains_key(&number) {
            poll.status = Status::Draining;
        }
    })
}

fn status_of_the_rejected() -> Seams {
    let (mut seqs, mut told) = (BTreeMap::new(), BTreeMap::<u64, Status>::new());
    decide(move |_, input, decision| {
        if let Some((connection, state, kind)) = state_in(input, &mut seqs) {
            match state.snapshot.filter(|_| kind == Kind::Rejected) {
                Some(snapshot) => drop(told.insert(connection, snapshot.status)),
                None => drop(told.remove(&connection)),
            }
        }
        for (connection, said) in said(decision) {
            if let (Said::Poll(poll), Some(status)) = (said, told.get(&connection)) {
                poll.status.clone_from(status);
            }
        }
    })
}

/// Polls say what the last drain or undrain that was acknowledged asked for.
fn status_of_the_command() -> Seams {
    let mut asked: BTreeMap<u64, Status> = BTreeMap::new();
    decide(move |_: &State, _, decision| {
        for record in &decision.records {
            match record {
                Record::Overridden { connection, status: Some(status) } => {
                    asked.insert(*connection, status.clone());
                }
                Record::Overridden { connection, status: None } => drop(asked.remove(connection)),
                _ => {}
            }
        }
        for (connection, said) in said(decision) {
            if let (Said::Poll(poll), Some(status)) = (said, asked.get(&connection)) {
                poll.status.clone_from(status);
            }
        }
    })
}
