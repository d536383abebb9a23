//! Violations: what comes from an agent, in the order in which it is looked at, and what ends a connection.

use super::{FleetModel, Heard, Record, State, commands, connections, poll, state::Connection};
use crate::model::Decision;
use wireproof_spec::fleet::{
    self, Ack,
    connect::close,
    frames::{Outer, TOPIC_LIMIT},
};

/// A State or an Ack that nobody waits for, or no State for too long.
pub(super) const UNSOLICITED: (u16, &str) = (close::VIOLATION, "");
const TEXT: (u16, &str) = (close::TEXT, "");
const INVALID: (u16, &str) = (close::VIOLATION, "invalid_message");
const LIMITED: (u16, &str) = (close::VIOLATION, "rate_limited");

/// The longest payload, in bytes.
const LONGEST: usize = 4 * 1024 * 1024;

/// What a frame takes from the bucket of its connection, in thousandths of a token.
const TOKEN: u64 = 1000;

/// What a bucket holds at most, in thousandths of a token.
pub(super) const TOKENS: u64 = 66 * TOKEN;

/// What comes into a bucket every millisecond, in thousandths of a token.
const REFILL: u64 = 33;

/// A message came. What comes behind the end of its connection is passed over.
pub(super) fn heard(
    state: &State,
    now: u64,
    connection: u64,
    heard: &Heard,
    decision: &mut Decision<FleetModel>,
) {
    let Some(known) = state.connections.get(&connection) else { return };
    if let Err(violation) = read(state, now, connection, known, heard, decision) {
        connections::end(state, connection, violation, decision);
    }
}

fn read(
    state: &State,
    now: u64,
    connection: u64,
    known: &Connection,
    heard: &Heard,
    decision: &mut Decision<FleetModel>,
) -> Result<(), (u16, &'static str)> {
    let Heard::Binary(bytes) = heard else { return Err(TEXT) };
    let outer = Outer::decode(bytes).map_err(|_| INVALID)?;
    let too_long = |topic: &str| topic.len() > TOPIC_LIMIT && topic.encode_utf16().count() > TOPIC_LIMIT;
    if outer.topic.as_deref().is_some_and(too_long) || outer.payload.is_some_and(|it| it.len() > LONGEST) {
        return Err(INVALID);
    }
    let left = take(known, now).ok_or(LIMITED)?;
    // Each frame takes a token, also one that says nothing: nobody may send those without end either.
    let took = Record::Took { connection, left, at: now };
    let (Some(topic), Some(payload)) = (outer.topic, outer.payload) else {
        decision.records.push(took);
        return Ok(());
    };
    match topic.as_ref() {
        "fleet/state" => {
            decision.records.push(took);
            // A malformed one is dropped: its Poll stays unanswered.
            if let Ok(said) = fleet::State::receive(payload) {
                poll::state(state, now, connection, known, said, decision);
            }
        }
        "fleet/ack" => {
            decision.records.push(took);
            if let Ok(ack) = Ack::receive(payload) {
                commands::acknowledged(state, connection, known, &ack, decision);
            }
        }
        _ => return Err(INVALID),
    }
    Ok(())
}

/// What is left in the bucket of a connection behind one more frame; none if there was too little.
fn take(known: &Connection, now: u64) -> Option<u64> {
    let (left, since) = known.tokens;
    let refill = now.saturating_sub(since).saturating_mul(REFILL);
    left.saturating_add(refill).min(TOKENS).checked_sub(TOKEN)
}
