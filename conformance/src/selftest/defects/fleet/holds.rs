//! Defects of "Holds".

use super::{Seams, Table, answers, ask, decide, state, through};
use crate::{
    embed::reference::fleet::{
        FleetModel,
        model::{Answer, Ask, Effect, Input, Record, State, Task},
    },
    embed::reference::model::{Decision, Model},
    protocol::Cut::Port,
    selftest::defects::Breakage,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use wireproof_spec::fleet::{Cause, Placement, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::second("fleet/holds/free-while-in-flight", FLEET_HOLDS_1, Port, || {
        state(|state, input| {
            if matches!(ask(input), Some(Ask::CreateRoom { .. })) {
                free(state, |_, _, settled| settled);
            }
        })
    }),
    Breakage::race("fleet/holds/looked-at-too-soon", FLEET_HOLDS_2, Port, looked_at_too_soon),
    Breakage::second("fleet/holds/free-behind-the-ack", FLEET_HOLDS_3, Port, || {
        state(|state, input| {
            if matches!(ask(input), Some(Ask::CreateRoom { .. })) {
                free(state, |_, _, settled| !settled);
            }
        })
    }),
    Breakage::second("fleet/holds/free-behind-a-timeout", FLEET_HOLDS_3, Port, || {
        decide(|_, input, decision| {
            if matches!(input, Input::Tick) {
                settle(decision, |held| *held = false);
            }
        })
    }),
    Breakage::second("fleet/holds/taken-for-ever", FLEET_HOLDS_4, Port, || {
        let mut made: BTreeSet<Arc<str>> = BTreeSet::new();
        refused_as_taken(move |state, id, decision| {
            if id.is_none_or(|id| state.holds(id)) {
                made.extend(state.holds.keys().filter(|id| is_settled(state, id)).cloned());
            }
            let applied = decision.records.iter().any(|record| matches!(record, Record::Applied { .. }));
            // A hash-only State gives it back.
            if !applied && decision.records.iter().any(|record| matches!(record, Record::Released { .. })) {
                made.clear();
            }
            id.is_some_and(|id| made.contains(id))
        })
    }),
    Breakage::second("fleet/holds/hash-only-ends-nothing", FLEET_HOLDS_5, Port, || {
        decide(|_, _, decision| {
            let is_snapshot = decision.records.iter().any(|record| matches!(record, Record::Applied { .. }));
            if !is_snapshot {
                decision.records.retain(|record| !matches!(record, Record::Released { .. }));
            }
        })
    }),
    Breakage::second("fleet/holds/state-before-the-ack-ends-it", FLEET_HOLDS_6, Port, state_before_the_ack),
    Breakage::second("fleet/holds/any-state-ends-all", FLEET_HOLDS_7, Port, || {
        decide(|state, input, decision| {
            let answered = decision.records.iter().any(|record| matches!(record, Record::Answered { .. }));
            if matches!(input, Input::Heard { .. }) && answered {
                let others = state.connections().map(|connection| Record::Released { connection });
                decision.records.extend(others);
            }
        })
    }),
    Breakage::second("fleet/holds/held-behind-a-failure", FLEET_HOLDS_9, Port, || {
        let mut failed: BTreeSet<Arc<str>> = BTreeSet::new();
        refused_as_taken(move |state, id, decision| {
            let refuses = answers(decision).any(|answer| *answer == Answer::Refused(Cause::CommandFailed));
            for record in &decision.records {
                match record {
                    Record::Settled { held: false, .. } if refuses => failed.extend(flying(state)),
                    Record::Answered { .. } => failed.clear(),
                    _ => {}
                }
            }
            id.is_some_and(|id| failed.contains(id))
        })
    }),
    Breakage::second("fleet/holds/held-without-a-candidate", FLEET_HOLDS_9, Port, || {
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        refused_as_taken(move |_, id, decision| {
            let known = id.is_some_and(|id| wanted.contains(id));
            let nobody = answers(decision).any(|answer| *answer == Answer::Refused(Cause::NoCandidate));
            if nobody && let Some(id) = id {
                wanted.insert(id.to_owned());
            }
            known
        })
    }),
    Breakage::second("fleet/holds/held-behind-the-end", FLEET_HOLDS_10, Port, || {
        let mut orphans: BTreeSet<Arc<str>> = BTreeSet::new();
        refused_as_taken(move |state, id, decision| {
            for record in &decision.records {
                if let Record::Removed { connection } = record {
                    let known = state.connections.get(connection);
                    orphans.extend(known.iter().flat_map(|known| known.holds.keys()).cloned());
                }
            }
            id.is_some_and(|id| orphans.contains(id))
        })
    }),
    Breakage::second("fleet/holds/held-for-one-instance", FLEET_HOLDS_11, Port, || {
        state(|state, input| {
            let Some(Ask::CreateRoom { request, .. }) = ask(input) else { return };
            let Some(Placement { instance_id: Some(id), .. }) = &request.placement else { return };
            if let Some(to) = state.connection(id) {
                free(state, |connection, _, _| connection == to);
            }
        })
    }),
    Breakage::second("fleet/holds/no-place-in-flight", FLEET_HOLDS_12, Port, || {
        places(|holds| holds.retain(|_, settled| *settled))
    }),
    Breakage::second("fleet/holds/no-place-behind-the-ack", FLEET_HOLDS_12, Port, || {
        places(|holds| holds.retain(|_, settled| !*settled))
    }),
    Breakage::second("fleet/holds/place-behind-a-failure", FLEET_HOLDS_13, Port, place_behind_a_failure),
    Breakage::second("fleet/holds/counts-twice", FLEET_HOLDS_14, Port, counts_twice),
];

/// Keeps of the ids that are held those of which this is true: of the connection, the id, and whether its command is settled.
/// What counts for places stays.
fn free(state: &mut State, keeps: impl Fn(u64, &str, bool) -> bool) {
    let connections = &state.connections;
    state.holds.retain(|id, connection| {
        let settled = connections.get(connection).and_then(|known| known.holds.get(id));
        keeps(*connection, id, settled.copied().unwrap_or(false))
    });
}

/// Whether the command that holds an id is settled.
fn is_settled(state: &State, id: &str) -> bool {
    let known = state.holds.get(id).and_then(|connection| state.connections.get(connection));
    known.and_then(|known| known.holds.get(id)).copied().unwrap_or(false)
}

/// The ids of which a create is in flight.
fn flying(state: &State) -> impl Iterator<Item = Arc<str>> + '_ {
    let all = state.connections.values().flat_map(|known| known.holds.iter());
    all.filter(|(_, settled)| !**settled).map(|(id, _)| id.clone())
}

/// Whether what a command holds stays held, changed.
fn settle(decision: &mut Decision<FleetModel>, change: impl Fn(&mut bool)) {
    for record in &mut decision.records {
        if let Record::Settled { held, .. } = record {
            change(held);
        }
    }
}

/// What counts for the places of each instance when one is looked for, changed.
fn places(change: impl Fn(&mut BTreeMap<Arc<str>, bool>) + Send + 'static) -> Seams {
    state(move |state, input| {
        if matches!(ask(input), Some(Ask::CreateRoom { .. })) {
            state.connections.values_mut().for_each(|known| change(&mut known.holds));
        }
    })
}

/// Refuses a create with an id of which this is true as if somebody had it. It is told of each decision, and of the id if it is
/// about one.
fn refused_as_taken(
    mut is_taken: impl FnMut(&State, Option<&str>, &mut Decision<FleetModel>) -> bool + Send + 'static,
) -> Seams {
    decide(move |state, input, decision| {
        let id = match input {
            Input::Ask { session, ask: Ask::CreateRoom { request, .. } } => {
                request.room_id.as_ref().map(|id| (*session, id.as_str()))
            }
            _ => None,
        };
        if is_taken(state, id.map(|(_, id)| id), decision)
            && let Some((session, _)) = id
        {
            let answer = Answer::Refused(Cause::RoomExists);
            *decision = Decision { records: Vec::new(), effects: vec![Effect::Answer { session, answer }] };
        }
    })
}

/// What is asked for within a moment of another create is decided as if that had not come.
fn looked_at_too_soon() -> Seams {
    const MOMENT: u64 = 5;
    let mut last: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    through(Box::new(move |state, now, input| {
        let Some(Ask::CreateRoom { .. }) = ask(input) else { return FleetModel::decide(state, now, input) };
        let mut before = state.clone();
        free(&mut before, |_, id, _| last.get(id).is_none_or(|at| now > at + MOMENT));
        let decision = FleetModel::decide(&before, now, input);
        for record in &decision.records {
            if let Record::Sent { command, .. } = record
                && let Task::Create { room, .. } = &command.task
            {
                last.insert(room.clone(), now);
            }
        }
        decision
    }))
}

/// A State that comes while a create is in flight ends the hold that is behind its Ack.
fn state_before_the_ack() -> Seams {
    let mut early: BTreeSet<u64> = BTreeSet::new();
    decide(move |state, _, decision| {
        for record in &mut decision.records {
            match record {
                Record::Answered { connection, .. } => {
                    let known = state.connections.get(connection);
                    early.extend(known.iter().flat_map(|known| known.commands.iter()));
                }
                Record::Settled { number, held } if early.contains(number) => *held = false,
                _ => {}
            }
        }
    })
}

/// A create that failed counts for the maxRooms of its instance until the next State.
fn place_behind_a_failure() -> Seams {
    let mut failed: BTreeMap<u64, BTreeSet<Arc<str>>> = BTreeMap::new();
    through(Box::new(move |state, now, input| {
        let mut before = state.clone();
        if matches!(ask(input), Some(Ask::CreateRoom { .. })) {
            for (connection, rooms) in &failed {
                if let Some(known) = before.connections.get_mut(connection) {
                    known.holds.extend(rooms.iter().map(|room| (room.clone(), true)));
                }
            }
        }
        let decision = FleetModel::decide(&before, now, input);
        for record in &decision.records {
            match record {
                Record::Answered { connection, .. } => drop(failed.remove(connection)),
                Record::Settled { held: false, .. } => {
                    if let Input::Heard { connection, .. } = input {
                        let known = state.connections.get(connection);
                        let flying = known.iter().flat_map(|known| known.holds.iter());
                        let rooms = flying.filter(|(_, settled)| !**settled).map(|(room, _)| room.clone());
                        failed.entry(*connection).or_default().extend(rooms);
                    }
                }
                _ => {}
            }
        }
        decision
    }))
}

/// A room that was asked for here counts as a room, and as what is held as well.
fn counts_twice() -> Seams {
    let mut made: BTreeSet<Arc<str>> = BTreeSet::new();
    through(Box::new(move |state, now, input| {
        let mut before = state.clone();
        if matches!(ask(input), Some(Ask::CreateRoom { .. })) {
            for known in before.connections.values_mut() {
                let rooms = known.instance.iter().flat_map(|instance| instance.rooms.iter());
                let made = rooms.filter(|room| made.contains(&room.raw)).map(|room| (room.raw.clone(), true));
                let made: Vec<_> = made.collect();
                known.holds.extend(made);
            }
        }
        let decision = FleetModel::decide(&before, now, input);
        for record in &decision.records {
            if let Record::Sent { command, .. } = record
                && let Task::Create { room, .. } = &command.task
            {
                made.insert(room.clone());
            }
        }
        decision
    }))
}
