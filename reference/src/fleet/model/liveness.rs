//! Liveness: who is looked at when, and what becomes of those who do not answer; and of commands that are not acknowledged.

use super::{
    Effect, FleetModel, Record, State, Told, commands, connections, events, poll,
    state::{Connection, Due},
    violations,
};
use crate::model::Decision;

/// After so many misses an instance is stale.
pub(super) const STALE: u32 = 2;

/// After so many misses a connection is evicted.
const EVICTED: u32 = 3;

/// Does what is due. A connection that is to be evicted is evicted alone: what else is due follows at the next tick, which
/// is due at once.
pub(super) fn tick(state: &State, now: u64, decision: &mut Decision<FleetModel>) {
    let due = || state.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, due)| *due);
    let look = |due| match due {
        Due::Look(connection) => state.connections.get(&connection).map(|known| (connection, known)),
        Due::Ack(_) => None,
    };
    let silent =
        |known: &Connection| known.outstanding.is_some() && known.missed.saturating_add(1) >= EVICTED;
    if let Some((connection, _)) = due().filter_map(look).find(|(_, known)| silent(known)) {
        return connections::end(state, connection, violations::UNSOLICITED, decision);
    }
    let mut polls = state.polls;
    for due in due() {
        match due {
            Due::Ack(number) => commands::timed_out(state, number, decision),
            Due::Look(connection) => {
                let Some(known) = state.connections.get(&connection) else { continue };
                // From now on, and not from when it was due: a Poll has its three intervals also if this tick is late.
                let next = now.saturating_add(known.heartbeat_ms);
                decision.records.push(Record::Looked { connection, next });
                if known.outstanding.is_some() {
                    missed(state, connection, known, decision);
                } else {
                    polls = polls.saturating_add(1);
                    poll::next(connection, known, polls, decision);
                }
            }
        }
    }
}

fn missed(state: &State, connection: u64, known: &Connection, decision: &mut Decision<FleetModel>) {
    decision.records.push(Record::Missed { connection });
    if known.missed + 1 == STALE
        && let Some(instance) = &known.instance
        && let Some(sessions) = events::listeners(state)
    {
        let event = Told::Stale(instance.info.clone());
        decision.effects.push(Effect::Tell { sessions, event });
    }
}
