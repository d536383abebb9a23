//! Defects of "Liveness".

use super::{Seams, Table, decide, frames, input, through};
use crate::{
    embed::{
        fleet::HEARTBEAT_MS,
        reference::{
            fleet::{
                FleetModel,
                model::{Ask, Effect, Heard, Input, Record, State, check},
                seams::Frame,
            },
            model::Model,
        },
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use wireproof_spec::fleet::{self, frames::Outer, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::boundary("fleet/liveness/never-stale", FLEET_LIVENESS_1, Port, || {
        missed(|_, input| asks_for_a_room(input), |_, missed| *missed = 0)
    })
    .shape("who is never stale is gone where it is looked for"),
    Breakage::boundary(
        "fleet/liveness/stale-as-long-as-nothing-is-said",
        FLEET_LIVENESS_1,
        Port,
        stale_at_once,
    ),
    Breakage::second("fleet/liveness/evicted-at-the-second-miss", FLEET_LIVENESS_2, Port, || {
        missed(
            |state, input| {
                *input == Input::Tick && state.connections().any(|one| state.instance(one).is_some())
            },
            |shown, missed| {
                if shown && *missed == 1 {
                    *missed = 2;
                }
            },
        )
    }),
    Breakage::boundary("fleet/liveness/strangers-stay", FLEET_LIVENESS_3, Port, || {
        missed(
            |_, input| *input == Input::Tick,
            |shown, missed| {
                if !shown {
                    *missed = 0;
                }
            },
        )
    }),
    Breakage::boundary("fleet/liveness/any-frame-is-a-sign-of-life", FLEET_LIVENESS_3, Port, any_frame),
    Breakage::boundary("fleet/liveness/late-answer-is-dropped", FLEET_LIVENESS_4, Port, || {
        dropped(|state, connection, _| state.missed(connection) >= 1)
    })
    .shape("who is evicted is gone where it is looked for"),
    Breakage::boundary("fleet/liveness/stale-answer-is-dropped", FLEET_LIVENESS_4, Port, || {
        dropped(|state, connection, _| state.missed(connection) >= 2)
    })
    .shape("who is evicted is gone where it is looked for"),
    Breakage::second("fleet/liveness/stale-for-good", FLEET_LIVENESS_5, Port, stale_for_good),
    Breakage::boundary("fleet/liveness/rests-behind-a-late-answer", FLEET_LIVENESS_6, Wire, rests),
    Breakage::boundary("fleet/liveness/late-answer-is-asked-at-once", FLEET_LIVENESS_6, Port, asks_at_once),
    Breakage::second("fleet/liveness/misses-add-up", FLEET_LIVENESS_7, Port, misses_add_up),
    Breakage::boundary("fleet/liveness/rejected-is-no-answer", FLEET_LIVENESS_7, Port, || {
        dropped(|_, _, state| state.snapshot.as_ref().is_some_and(|snapshot| check(snapshot).is_err()))
    }),
    Breakage::second("fleet/liveness/last-sync-is-the-last-snapshot", FLEET_LIVENESS_8, Port, last_snapshot),
    Breakage::boundary("fleet/liveness/foreign-hash-changes-the-tags", FLEET_LIVENESS_9, Wire, foreign_hash),
    Breakage::always("fleet/liveness/empty-pongs", FLEET_LIVENESS_10, Wire, || Seams {
        written: Some(Arc::new(|bytes: &mut Vec<u8>| {
            if bytes.first() == Some(&0x8a) {
                *bytes = vec![0x8a, 0];
            }
        })),
        ..Seams::honest()
    }),
    Breakage::second("fleet/liveness/one-ping", FLEET_LIVENESS_11, Wire, one_ping),
    Breakage::boundary("fleet/liveness/deaf-ones-stay", FLEET_LIVENESS_12, Wire, || {
        frames(|_, frames| frames.retain(|frame| *frame != Frame::Cut))
    }),
];

fn asks_for_a_room(input: &Input) -> bool {
    matches!(input, Input::Ask { ask: Ask::CreateRoom { .. }, .. })
}

/// For these inputs, other numbers of misses; it is told whether the instance of a connection is shown.
fn missed(
    when: impl Fn(&State, &Input) -> bool + Send + 'static,
    change: impl Fn(bool, &mut u32) + Send + 'static,
) -> Seams {
    through(port::rewrite_state(move |state: &mut State, input| {
        if when(state, input) {
            let shown: BTreeSet<u64> =
                state.connections().filter(|one| state.instance(*one).is_some()).collect();
            state.missed_mut().for_each(|(number, missed)| change(shown.contains(&number), missed));
        }
    }))
}

/// An instance whose Poll is outstanding is taken for stale, be it for a moment.
fn stale_at_once() -> Seams {
    through(port::rewrite_state(|state: &mut State, input| {
        if asks_for_a_room(input) {
            let silent: BTreeSet<u64> =
                state.connections().filter(|one| state.outstanding(*one).is_some()).collect();
            state
                .missed_mut()
                .filter(|(number, _)| silent.contains(number))
                .for_each(|(_, missed)| *missed = 2);
        }
    }))
}

/// The State in an input.
fn state_in(input: &Input) -> Option<(u64, fleet::State)> {
    let Input::Heard { connection, heard: Heard::Binary(bytes) } = input else { return None };
    let outer = Outer::decode(bytes).ok().filter(|outer| outer.topic.as_deref() == Some("fleet/state"))?;
    Some((*connection, fleet::State::receive(outer.payload?).ok()?))
}

/// Such States are dropped.
fn dropped(which: impl Fn(&State, u64, &fleet::State) -> bool + Send + 'static) -> Seams {
    input(move |state, input| {
        if let Some((connection, said)) = state_in(input)
            && which(state, connection, &said)
        {
            let heard = Heard::Binary(Outer::encode("fleet/state", &[]));
            *input = Input::Heard { connection, heard };
        }
    })
}

/// What comes from an agent, whatever it is, ends the row of misses.
fn any_frame() -> Seams {
    let mut heard: BTreeSet<u64> = BTreeSet::new();
    through(port::rewrite_state(move |state: &mut State, input| match input {
        Input::Heard { connection, .. } => drop(heard.insert(*connection)),
        Input::Tick => {
            state
                .missed_mut()
                .filter(|(number, _)| heard.contains(number))
                .for_each(|(_, missed)| *missed = 0);
        }
        _ => {}
    }))
}

fn stale_for_good() -> Seams {
    let mut stale: BTreeSet<u64> = BTreeSet::new();
    through(port::rewrite_state(move |state: &mut State, input| {
        stale.extend(state.connections().filter(|one| state.is_stale(*one)));
        if asks_for_a_room(input) {
            state
                .missed_mut()
                .filter(|(number, _)| stale.contains(number))
                .for_each(|(_, missed)| *missed = 2);
        }
    }))
}

/// A Poll that comes later than others waits for longer still.
fn rests() -> Seams {
    let last: Mutex<BTreeMap<u64, Instant>> = Mutex::default();
    frames(move |number, frames| {
        if !matches!(&frames[0], Frame::Message { topic, .. } if topic == "fleet/poll") {
            return;
        }
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.insert(number, Instant::now()).is_some_and(|last| last.elapsed() > Duration::from_millis(500))
        {
            frames.insert(0, Frame::Pause(Duration::from_millis(600)));
        }
    })
}

/// Behind a late answer the next Poll does not wait for its tick.
fn asks_at_once() -> Seams {
    through(Box::new(|state: &State, now, input: &Input| {
        let mut decision = FleetModel::decide(state, now, input);
        let Some((late, _)) = state_in(input).filter(|(number, _)| state.missed(*number) > 0) else {
            return decision;
        };
        let mut answered = state.clone();
        decision.records.iter().for_each(|record| FleetModel::apply(&mut answered, record));
        let next = FleetModel::decide(&answered, now.saturating_add(HEARTBEAT_MS), &Input::Tick);
        let polls =
            |record: &Record| matches!(record, Record::Polled { connection, .. } if *connection == late);
        decision.records.extend(next.records.into_iter().filter(polls));
        let sends =
            |effect: &Effect| matches!(effect, Effect::Send { connection, .. } if *connection == late);
        decision.effects.extend(next.effects.into_iter().filter(sends));
        decision
    }))
}

/// An answer ends no row of misses: those of before are counted too.
fn misses_add_up() -> Seams {
    /// What is known of a connection: its misses now, and those of rows that an answer has ended.
    type Misses = BTreeMap<u64, (u32, u32)>;
    let mut all = Misses::new();
    through(port::rewrite_state(move |state: &mut State, input| {
        for (number, missed) in state.missed_mut() {
            let (last, before) = all.entry(number).or_default();
            if *missed < *last {
                *before += *last;
            }
            *last = *missed;
            if *input == Input::Tick {
                *missed += *before;
            }
        }
    }))
}

/// A State with a hash alone leaves lastSyncAt as it is.
fn last_snapshot() -> Seams {
    decide(|state, input, decision| {
        let Some((connection, said)) = state_in(input) else { return };
        let Some(info) = state.instance(connection).filter(|_| said.snapshot.is_none()) else { return };
        let old = u64::try_from(info.last_sync_at.get()).unwrap_or(0);
        for record in &mut decision.records {
            if let Record::Answered { at, .. } = record {
                *at = old;
            }
        }
    })
}

/// Behind a hash alone that is not the one of its snapshot every tag is another one.
fn foreign_hash() -> Seams {
    let foreign = Arc::new(AtomicBool::new(false));
    let (seen, known) = (foreign.clone(), Mutex::<BTreeMap<u64, String>>::default());
    let heard = super::heard_state(move |number, state| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if state.snapshot.is_some() {
            known.insert(number, state.hash.clone());
        } else if known.get(&number).is_some_and(|hash| *hash != state.hash) {
            seen.store(true, Ordering::Relaxed);
        }
    });
    Seams {
        http: super::reply(move |_, response| {
            let tag = response.headers.get("etag").map(|tag| tag.trim_matches(['W', '/', '"']));
            if let Some(tag) = tag.filter(|_| foreign.load(Ordering::Relaxed)) {
                let other: String = tag.chars().rev().collect();
                response.headers.set("etag", format!("W/\"{other}\""));
            }
        }),
        ..heard
    }
}

/// A connection gets one ping.
fn one_ping() -> Seams {
    let pinged: Mutex<BTreeSet<u64>> = Mutex::default();
    frames(move |number, frames| {
        let mut pinged = pinged.lock().unwrap_or_else(PoisonError::into_inner);
        frames.retain(|frame| match frame {
            Frame::Ping(_) => pinged.insert(number),
            Frame::Cut => false,
            _ => true,
        });
    })
}
