//! Destinations: each is a reader of its queue with a place of its own, a few deliveries at a time, and patience.
//!
//! An attempt is in the log before it is made, so that no crash makes more of them than the policy allows.

use super::{
    Answer, Case, Effect, Queue, QueueModel, Record, Refusal, State, Taken,
    input::{Given, Reach},
    queue::backoff,
};
use crate::model::Decision;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many deliveries of one destination are under way or wait to be tried again.
const WINDOW: usize = 32;

/// Where messages are sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    /// Its name.
    pub name: Option<String>,
    /// Where to.
    pub url: String,
    /// With which headers.
    pub headers: Option<BTreeMap<String, String>>,
    /// With which method, if that was said.
    pub method: Option<String>,
    /// How long an answer is waited for, in milliseconds, if that was said.
    pub timeout_ms: Option<u64>,
    /// When a delivery is tried again.
    pub policy: PolicyChange,
    /// Whether deliveries are signed, if that was said.
    pub signed: Option<bool>,
    /// With what.
    pub secret: Option<String>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// When it was made: milliseconds since 1970.
    pub created: u64,
    /// When it was changed last.
    pub updated: u64,
    /// The offset of the next message that is sent.
    pub next: u64,
    /// The deliveries that are not at their end, by the offset of the message.
    pub flights: BTreeMap<u64, Flight>,
    /// What became of the others.
    pub tally: Tally,
}

/// When a delivery is tried again, as it was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// How often it is sent at most.
    pub max_attempts: Option<u64>,
    /// The wait behind the first attempt, in milliseconds.
    pub initial_ms: Option<f64>,
    /// The longest wait, in milliseconds.
    pub max_ms: Option<f64>,
    /// By how much the wait grows from attempt to attempt.
    pub multiplier: Option<f64>,
}

impl PolicyChange {
    /// As it was said first, but for what is said now.
    pub fn with(self, other: Self) -> Self {
        Self {
            max_attempts: other.max_attempts.or(self.max_attempts),
            initial_ms: other.initial_ms.or(self.initial_ms),
            max_ms: other.max_ms.or(self.max_ms),
            multiplier: other.multiplier.or(self.multiplier),
        }
    }

    /// With what holds where nothing is said.
    pub fn policy(self) -> Policy {
        Policy {
            max_attempts: self.max_attempts.unwrap_or(5),
            initial_ms: self.initial_ms.unwrap_or(1000.0),
            max_ms: self.max_ms.unwrap_or(60_000.0),
            multiplier: self.multiplier.unwrap_or(2.0),
        }
    }
}

/// When a delivery is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How often it is sent at most.
    pub max_attempts: u64,
    /// The wait behind the first attempt, in milliseconds.
    pub initial_ms: f64,
    /// The longest wait, in milliseconds.
    pub max_ms: f64,
    /// By how much the wait grows from attempt to attempt.
    pub multiplier: f64,
}

/// A delivery that is not at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// How often it was sent.
    pub attempt: u64,
    /// When it is sent again (milliseconds since 1970); none: it is under way.
    pub again: Option<u64>,
}

/// How a delivery came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered with a 2xx.
    Arrived,
    /// It was not.
    Failed,
}

/// What became of deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many arrived.
    pub arrived: u64,
    /// How many were given up.
    pub failed: u64,
    /// When the last attempt ended: milliseconds since 1970.
    pub last: Option<u64>,
    /// When the last one arrived.
    pub last_arrived: Option<u64>,
    /// When the last attempt failed.
    pub last_failed: Option<u64>,
}

/// A message on its way to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which delivery it is.
    pub taken: Taken,
    /// Where to.
    pub url: String,
    /// With which headers.
    pub headers: BTreeMap<String, String>,
    /// With which method.
    pub method: String,
    /// How long to wait for an answer, in milliseconds.
    pub timeout_ms: u64,
}

impl Destination {
    /// When a delivery is to be tried again.
    pub(super) fn due(&self) -> Option<u64> {
        self.flights.values().filter_map(|flight| flight.again).min()
    }

    fn with(mut self, given: &Reach) -> Self {
        let Reach { name, url, headers, method, timeout_ms, policy, signed, secret, enabled } = given.clone();
        self.name = name.or(self.name);
        self.url = url.unwrap_or(self.url);
        self.headers = headers.or(self.headers);
        self.method = method.or(self.method);
        self.timeout_ms = timeout_ms.or(self.timeout_ms);
        self.policy = self.policy.with(policy);
        self.signed = signed.or(self.signed);
        self.secret = secret.or(self.secret);
        self.enabled = enabled.unwrap_or(self.enabled);
        self
    }
}

impl Case<'_> {
    pub(super) fn destine(
        &self,
        queue: &Queue,
        given: &Given<Destination>,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        let mut destination = given.what.clone();
        if queue.destinations.values().any(|other| other.url == destination.url) {
            return Answer::Refused(Refusal::SameUrl);
        }
        (destination.created, destination.updated) = (self.now, self.now);
        destination.next = queue.next;
        self.keep_destination(queue, &given.id, destination, decision)
    }

    pub(super) fn destinations(&self, queue: &Queue) -> Answer {
        let all = queue.destinations.iter().map(|(id, one)| (id.clone(), one.clone())).collect();
        Answer::Destinations { incarnation: queue.incarnation, all }
    }

    pub(super) fn redestine(
        &self,
        queue: &Queue,
        id: &str,
        given: &Reach,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        let Some(before) = queue.destinations.get(id) else {
            return Answer::Refused(Refusal::NoDestination);
        };
        let mut after = before.clone().with(given);
        if queue.destinations.iter().any(|(other, one)| other != id && one.url == after.url) {
            return Answer::Refused(Refusal::SameUrl);
        }
        after.updated = self.now;
        if !after.enabled {
            after.flights.clear();
        } else if !before.enabled {
            // What was published meanwhile is not sent.
            after.next = queue.next;
        }
        self.keep_destination(queue, id, after, decision)
    }

    fn keep_destination(
        &self,
        queue: &Queue,
        id: &str,
        destination: Destination,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        let (name, id) = (self.name.to_owned(), id.to_owned());
        let all = vec![(id.clone(), destination.clone())];
        decision.records.push(Record::Destined { name, id, destination });
        Answer::Destinations { incarnation: queue.incarnation, all }
    }

    pub(super) fn undestine(&self, queue: &Queue, id: &str, decision: &mut Decision<QueueModel>) -> Answer {
        if !queue.destinations.contains_key(id) {
            return Answer::Refused(Refusal::NoDestination);
        }
        decision.records.push(Record::Undestined { name: self.name.into(), id: id.into() });
        Answer::Done
    }
}

/// Sends what there is to every destination that has room for it.
pub(super) fn send(name: &str, queue: &Queue, now: u64, decision: &mut Decision<QueueModel>) {
    for (id, destination) in &queue.destinations {
        if !destination.enabled || destination.policy.policy().max_attempts == 0 {
            continue;
        }
        let room = WINDOW.saturating_sub(destination.flights.len());
        for offset in queue.offsets(destination.next, now).take(room) {
            attempt(name, queue, id, destination, offset, 1, now, decision);
        }
    }
}

/// Tries again what is due.
pub(super) fn fall_due(name: &str, queue: &Queue, now: u64, decision: &mut Decision<QueueModel>) {
    if queue.paused.is_some() {
        return;
    }
    for (id, destination) in &queue.destinations {
        let due = destination.flights.iter().filter(|(_, flight)| flight.again.is_some_and(|at| at <= now));
        for (offset, flight) in due {
            if queue.has(*offset, now) {
                attempt(name, queue, id, destination, *offset, flight.attempt + 1, now, decision);
            } else {
                decision.records.push(ended(name, id, *offset, false, None, now));
            }
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn attempt(
    name: &str,
    queue: &Queue,
    id: &str,
    destination: &Destination,
    offset: u64,
    attempt: u64,
    now: u64,
    decision: &mut Decision<QueueModel>,
) {
    let (name, id) = (name.to_owned(), id.to_owned());
    let taken = Taken { name: name.clone(), incarnation: queue.incarnation, id: id.clone(), offset, attempt };
    decision.records.push(Record::Called { name, id, offset, attempt, at: now });
    decision.effects.push(Effect::Call(Call {
        taken,
        url: destination.url.clone(),
        headers: destination.headers.clone().unwrap_or_default(),
        method: destination.method.clone().unwrap_or_else(|| "POST".into()),
        timeout_ms: destination.timeout_ms.unwrap_or(30_000),
    }));
}

fn ended(name: &str, id: &str, offset: u64, arrived: bool, again: Option<u64>, at: u64) -> Record {
    Record::Returned { name: name.into(), id: id.into(), offset, arrived, again, at }
}

/// A delivery came to its end. Of one that is no longer known nothing is to be kept.
pub(super) fn returned(
    state: &State,
    now: u64,
    call: &Taken,
    outcome: &Outcome,
    decision: &mut Decision<QueueModel>,
) {
    let Taken { name, incarnation, id, offset, attempt } = call;
    let queue = state.queues.get(name).filter(|queue| queue.incarnation == *incarnation);
    let Some(destination) = queue.and_then(|queue| queue.destinations.get(id)) else { return };
    let under_way = Flight { attempt: *attempt, again: None };
    if destination.flights.get(offset) != Some(&under_way) {
        return;
    }
    let arrived = *outcome == Outcome::Arrived;
    let again = if arrived { None } else { again(destination, *attempt, now) };
    decision.records.push(ended(name, id, *offset, arrived, again, now));
}

fn again(destination: &Destination, attempt: u64, now: u64) -> Option<u64> {
    let policy = destination.policy.policy();
    let wait = backoff(policy.initial_ms, policy.multiplier, policy.max_ms, attempt);
    (attempt < policy.max_attempts).then_some(now.saturating_add(wait))
}

/// What was under way when the server stopped may have been sent or not: that attempt counts.
pub(super) fn resume(name: &str, queue: &Queue, now: u64, decision: &mut Decision<QueueModel>) {
    for (id, destination) in &queue.destinations {
        for (offset, flight) in destination.flights.iter().filter(|(_, flight)| flight.again.is_none()) {
            let again = again(destination, flight.attempt, now).map(|_| now);
            decision.records.push(ended(name, id, *offset, false, again, now));
        }
    }
}

pub(super) fn apply(state: &mut State, record: &Record) {
    match record {
        Record::Destined { name, id, destination } => state.change(name, |queue| {
            queue.destinations.insert(id.clone(), destination.clone());
        }),
        Record::Undestined { name, id } => state.change(name, |queue| {
            queue.destinations.remove(id);
        }),
        Record::Called { name, id, offset, attempt, .. } => change(state, name, id, |destination| {
            destination.next = destination.next.max(offset + 1);
            destination.flights.insert(*offset, Flight { attempt: *attempt, again: None });
        }),
        Record::Returned { name, id, offset, arrived, again, at } => change(state, name, id, |destination| {
            let tally = &mut destination.tally;
            tally.last = Some(*at);
            *(if *arrived { &mut tally.last_arrived } else { &mut tally.last_failed }) = Some(*at);
            match (again, destination.flights.get_mut(offset)) {
                (Some(_), Some(flight)) => flight.again = *again,
                _ => {
                    destination.flights.remove(offset);
                    *(if *arrived { &mut tally.arrived } else { &mut tally.failed }) += 1;
                }
            }
        }),
        _ => {}
    }
}

fn change(state: &mut State, name: &str, id: &str, change: impl FnOnce(&mut Destination)) {
    state.change(name, |queue| {
        if let Some(destination) = queue.destinations.get_mut(id) {
            change(destination);
        }
    });
}
