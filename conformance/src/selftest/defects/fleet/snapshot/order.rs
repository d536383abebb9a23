//! What is remembered of each agent between two snapshots, and should not be, or should.

use super::{Seams, break_it};
use crate::{
    embed::reference::fleet::{model::check, seams::Frame},
    selftest::defects::fleet::{heard, heard_state},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use wireproof_spec::fleet::{Snapshot, State};

/// What was heard of a connection.
#[derive(Default)]
struct Memory {
    /// What was applied last.
    good: Option<Snapshot>,
    /// Its seq and its hash.
    held: Option<(u32, String)>,
    /// How many snapshots were passed on.
    passed: u32,
    /// How many were rejected since the last good one.
    rejected: u32,
    /// Whether the first one was rejected.
    lost: bool,
}

impl Memory {
    /// Notes what a snapshot is to an honest orchestrator.
    fn note(&mut self, state: &State) {
        let Some(snapshot) = &state.snapshot else { return };
        if check(snapshot).is_err() {
            self.rejected += 1;
            self.lost |= self.held.is_none();
        } else if self.held.as_ref().is_none_or(|(held, _)| state.seq > *held) {
            self.rejected = 0;
            self.good = Some(snapshot.clone());
            self.held = Some((state.seq, state.hash.clone()));
        }
    }
}

/// Memories, by whatever tells agents apart.
struct Memories<K>(Mutex<BTreeMap<K, Memory>>);

impl<K: Ord> Memories<K> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn with<T>(&self, key: K, act: impl FnOnce(&mut Memory) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(all.entry(key).or_default())
    }
}

/// Each State changed, by what came before it on its connection.
fn remembering(change: impl Fn(&Memory, &mut State) + Send + Sync + 'static) -> Seams {
    let memories = Memories::new();
    heard_state(move |number, state| {
        memories.with(number, |memory| {
            let sent = state.clone();
            change(memory, state);
            memory.note(&sent);
        });
    })
}

/// Of what is rejected this is applied all the same.
pub(super) fn half_applied(take: fn(&mut Snapshot, Snapshot)) -> Seams {
    remembering(move |memory, state| {
        let (Some(bad), Some(good), Some((_, hash))) = (&state.snapshot, &memory.good, &memory.held) else {
            return;
        };
        if check(bad).is_err() {
            let mut half = good.clone();
            take(&mut half, bad.clone());
            (state.snapshot, state.hash) = (Some(half), hash.clone());
        }
    })
}

/// What comes first is taken with what is left of its name.
pub(super) fn first_shown() -> Seams {
    remembering(|memory, state| {
        if memory.good.is_none()
            && let Some(snapshot) = &mut state.snapshot
        {
            snapshot.name = snapshot.name.chars().take(64).collect();
        }
    })
}

/// Whose first snapshot was rejected is never taken at its word.
pub(super) fn lost_behind() -> Seams {
    remembering(|memory, state| {
        if memory.lost {
            state.snapshot.iter_mut().for_each(break_it);
        }
    })
}

/// Frames that make a connection end, by the State and what came before it.
fn kicked(ends: impl Fn(&Memory, &State) -> bool + Send + Sync + 'static) -> Seams {
    let memories = Memories::new();
    heard(move |number, frames| {
        let ends = frames.iter().any(|frame| {
            let Frame::Message { topic, payload } = frame else { return false };
            if topic != "fleet/state" {
                return false;
            }
            State::receive(payload).is_ok_and(|state| {
                memories.with(number, |memory| {
                    let over = ends(memory, &state);
                    memory.note(&state);
                    over
                })
            })
        });
        if ends {
            *frames = vec![Frame::Close(4003, String::new())];
        }
    })
}

/// The fourth snapshot in a row that is rejected ends the connection.
pub(super) fn out_at_the_fourth() -> Seams {
    kicked(|memory, state| {
        memory.rejected >= 3 && state.snapshot.as_ref().is_some_and(|snapshot| check(snapshot).is_err())
    })
}

/// A snapshot that is not newer ends the connection.
pub(super) fn not_newer_kicked() -> Seams {
    kicked(|memory, state| {
        state.snapshot.is_some() && memory.held.as_ref().is_some_and(|(held, _)| state.seq <= *held)
    })
}

/// A snapshot is newer if this says so of the seq before and its own; whether a rejected one counts; and who is who.
fn newer<K: Ord + Send + 'static>(
    key: impl Fn(u64, &Snapshot) -> K + Send + Sync + 'static,
    rejected_count: bool,
    is_newer: impl Fn(u32, u32) -> bool + Send + Sync + 'static,
) -> Seams {
    let memories = Memories::new();
    heard_state(move |number, state| {
        let Some(snapshot) = &state.snapshot else { return };
        let (key, good) = (key(number, snapshot), check(snapshot).is_ok());
        memories.with(key, |memory| {
            if memory.held.as_ref().is_some_and(|(held, _)| !is_newer(*held, state.seq)) {
                state.snapshot = None;
                return;
            }
            if good || rejected_count {
                memory.held = Some((state.seq, String::new()));
            }
            memory.passed += 1;
            state.seq = memory.passed;
        });
    })
}

/// A snapshot is newer if this says so.
pub(super) fn newer_if(is_newer: fn(u32, u32) -> bool) -> Seams {
    newer(|number, _| number, false, is_newer)
}

/// A snapshot has to be newer than those that were rejected, too.
pub(super) fn rejected_counts() -> Seams {
    newer(|number, _| number, true, |held, seq| seq > held)
}

/// A snapshot has to be newer than those of the same process on other connections, too.
pub(super) fn of_the_process() -> Seams {
    newer(|_, snapshot| snapshot.process_uid.clone(), false, |held, seq| seq > held)
}

/// A snapshot whose hash is known already is taken for a hash-only State.
pub(super) fn known_passed_over() -> Seams {
    remembering(|memory, state| {
        if memory.held.as_ref().is_some_and(|(_, hash)| *hash == state.hash) {
            state.snapshot = None;
        }
    })
}
