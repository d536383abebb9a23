//! Connect, Hello: who comes, who goes, and how all of it ends.

use super::{Effect, FleetModel, Record, Said, State, commands, events, instances, poll};
use crate::model::Decision;
use std::sync::Arc;
use wireproof_spec::fleet::{Hello, connect::close, frames::VERSION};

/// An agent with a right key is connected: it gets a Hello and its first Poll.
pub(super) fn joined(
    state: &State,
    now: u64,
    connection: u64,
    (heartbeat_ms, verified): (u64, bool),
    random: [u8; 8],
    decision: &mut Decision<FleetModel>,
) {
    if state.stopping {
        let (code, reason) = (close::VIOLATION, "server_shutdown");
        decision.effects.push(Effect::Close { connection, code, reason });
        return;
    }
    if state.connections.contains_key(&connection) {
        return;
    }
    // A look that is due at once would be due for ever.
    let heartbeat_ms = heartbeat_ms.max(1);
    let id = id(state, random);
    decision.records.push(Record::Joined { connection, id: id.clone(), heartbeat_ms, verified, at: now });
    let hello = Hello {
        instance_id: id.as_ref().to_owned(),
        protocol_version: VERSION,
        heartbeat_ms: u32::try_from(heartbeat_ms).unwrap_or(u32::MAX),
    };
    decision.effects.push(Effect::Send { connection, said: Said::Hello(hello) });
    poll::first(state, connection, decision);
}

/// The id of a new instance: 16 hexadecimal digits that no connection has.
fn id(state: &State, random: [u8; 8]) -> Arc<str> {
    let drawn = u64::from_be_bytes(random);
    // There are more ids than connections, so that this ends.
    let ids = (0..=u64::MAX).map(|step| format!("{:016x}", drawn.wrapping_add(step)));
    ids.into_iter().find(|id| !state.ids.contains_key(id.as_str())).unwrap_or_default().into()
}

/// Closes a connection, and all that goes with it.
pub(super) fn end(
    state: &State,
    connection: u64,
    (code, reason): (u16, &'static str),
    decision: &mut Decision<FleetModel>,
) {
    decision.effects.push(Effect::Close { connection, code, reason });
    remove(state, connection, decision);
}

/// A connection is gone: what waits for it fails, and what it showed is taken out.
pub(super) fn remove(state: &State, connection: u64, decision: &mut Decision<FleetModel>) {
    let Some(gone) = state.connections.get(&connection) else { return };
    for number in &gone.commands {
        commands::disconnected(state, *number, decision);
    }
    let change = Arc::new(instances::change(state, connection, None));
    let left = gone.instance.as_ref().map(|instance| &instance.info);
    // Taken out before the connection is forgotten: the change is about what it has.
    decision.records.push(Record::Changed(change.clone()));
    decision.records.push(Record::Removed { connection });
    events::changed(state, &change, left, decision);
}

/// The orchestrator is about to stop. Event streams end first, so that nobody is told of each agent that is sent away.
pub(super) fn stop(state: &State, decision: &mut Decision<FleetModel>) {
    if !state.listeners.is_empty() {
        let sessions = state.listeners.iter().copied().collect();
        decision.effects.push(Effect::EndEvents { sessions });
    }
    for number in state.commands.keys() {
        commands::disconnected(state, *number, decision);
    }
    for connection in state.joins.values().copied() {
        let (code, reason) = (close::VIOLATION, "room_destroyed");
        decision.effects.push(Effect::Close { connection, code, reason });
    }
    decision.records.push(Record::Stopping);
}
