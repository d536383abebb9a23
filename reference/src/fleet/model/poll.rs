//! Poll: what is asked of an agent again and again, and what its answer does.

use super::{
    Effect, FleetModel, Record, Said, State, connections, events, instances, snapshot, state::Connection,
    violations,
};
use crate::model::Decision;
use std::sync::Arc;
use wireproof_spec::fleet::{self, Poll, Snapshot, Status};

/// Of so many Polls of a connection the first one asks for a snapshot in any case.
pub const FORCED: u64 = 12;

/// The reqId of the Poll with this number.
pub(super) fn req_id(number: u64) -> String {
    format!("poll_{number}")
}

/// The first Poll of a connection that has just come.
pub(super) fn first(state: &State, connection: u64, decision: &mut Decision<FleetModel>) {
    let number = state.polls.saturating_add(1);
    decision.records.push(Record::Polled { connection, number });
    let poll = Poll { req_id: req_id(number), known_hash: None, status: Status::Active };
    decision.effects.push(Effect::Send { connection, said: Said::Poll(poll) });
}

/// The next Poll of a connection; it has this number.
pub(super) fn next(connection: u64, known: &Connection, number: u64, decision: &mut Decision<FleetModel>) {
    decision.records.push(Record::Polled { connection, number });
    let forced = known.polls.is_multiple_of(FORCED);
    let hash = known.applied.as_ref().filter(|_| !forced).map(|(_, hash)| hash.as_ref().to_owned());
    let status = known.instance.as_ref().map_or(Status::Active, |instance| instance.status.clone());
    let poll = Poll { req_id: req_id(number), known_hash: hash, status };
    decision.effects.push(Effect::Send { connection, said: Said::Poll(poll) });
}

/// A State came. One that answers the outstanding Poll counts for liveness and ends holds, whatever it holds.
pub(super) fn state(
    state: &State,
    now: u64,
    connection: u64,
    known: &Connection,
    said: fleet::State,
    decision: &mut Decision<FleetModel>,
) {
    if known.outstanding.map(req_id).as_deref() != Some(said.req_id.as_str()) {
        return connections::end(state, connection, violations::UNSOLICITED, decision);
    }
    decision.records.push(Record::Answered { connection, at: now });
    if known.holds.values().any(|settled| *settled) {
        decision.records.push(Record::Released { connection });
    }
    let newer = known.applied.as_ref().is_none_or(|(seq, _)| said.seq > *seq);
    let is_right = |snapshot: &Snapshot| !known.verified || snapshot.hash() == said.hash;
    let keeps = |snapshot: &Snapshot| newer && snapshot::check(snapshot).is_ok() && is_right(snapshot);
    let Some(snapshot) = said.snapshot.filter(keeps) else { return };
    let hash: Arc<str> = said.hash.into();
    decision.records.push(Record::Applied { connection, seq: said.seq, hash });
    if known.target.as_ref() == Some(&snapshot.status) {
        decision.records.push(Record::Overridden { connection, status: None });
    }
    let change = Arc::new(instances::change(state, connection, Some((snapshot, now))));
    decision.records.push(Record::Changed(change.clone()));
    events::changed(state, &change, None, decision);
}
