//! The state of all queues, and how each record changes it.

use super::{Answer, Effect, End, Queue, QueueModel, Record, Refusal, Stage, Who};
use crate::model::Decision;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that decisions depend on.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The queues, by name.
    pub queues: BTreeMap<String, Queue>,
    /// The queue of each source, by the id of the source.
    pub sources: BTreeMap<String, String>,
    /// The sessions that wait.
    pub waits: BTreeMap<u64, Wait>,
    /// The deadline (milliseconds since 1970) and session of each wait that has one.
    pub deadlines: BTreeSet<(u64, u64)>,
    /// The sessions that are subscribed.
    pub subscribers: BTreeMap<u64, Subscriber>,
    /// When something about a queue is due (milliseconds since 1970), and its name.
    pub dues: BTreeSet<(u64, String)>,
    /// The queues that may have something to hand out.
    pub awake: BTreeSet<String>,
    /// Incarnations whose content nobody needs any more.
    pub garbage: BTreeSet<u64>,
    /// The incarnation of the next queue that is made.
    pub next: u64,
    /// Whether the server is about to stop: nobody waits any more.
    pub stopping: bool,
}

/// Who is pushed what comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// The name of the queue.
    pub name: String,
    /// What is before this offset was published before it subscribed.
    pub live: u64,
    /// How many messages of a worker queue it has open.
    pub open: u64,
    /// Who it is.
    pub who: Who,
    /// Since when: milliseconds since 1970.
    pub since: u64,
}

/// A session that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The name of the queue.
    pub name: String,
    /// For what.
    pub what: Waits,
}

/// For what a session waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Waits {
    /// To receive, until this time: milliseconds since 1970.
    Receive(u64),
    /// For messages from an offset on, so many at most.
    Next(u64, u64),
    /// For a message that is for one.
    Work,
}

impl Wait {
    fn deadline(&self) -> Option<u64> {
        match self.what {
            Waits::Receive(until) => Some(until),
            Waits::Next(..) | Waits::Work => None,
        }
    }
}

impl State {
    #[allow(clippy::too_many_lines)]
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Created { name, incarnation, kind, description, settings, at } => {
                self.next = self.next.max(incarnation.saturating_add(1));
                let queue = Queue::new(*incarnation, *kind, description.clone(), settings.clone(), *at);
                self.queues.insert(name.clone(), queue);
            }
            Record::Changed { name, description, settings, at } => self.change(name, |queue| {
                queue.description.clone_from(description);
                queue.settings = settings.clone();
                queue.updated = *at;
            }),
            Record::Paused { name, since, at } => self.change(name, |queue| {
                queue.paused = *since;
                queue.updated = *at;
            }),
            Record::Deleted { name } => self.remove(name),
            Record::Published { name, offset, key, partition, expires, source, at, .. } => {
                self.change(name, |queue| {
                    queue.published(*offset, key.as_ref(), partition.as_ref(), *expires, *at);
                    if let Some(source) = source.as_ref().and_then(|id| queue.sources.get_mut(id)) {
                        source.tally.took(*at);
                    }
                });
            }
            Record::Leased { name, offset, until } => {
                self.change(name, |queue| queue.leased(*offset, *until))
            }
            Record::Held { name, offset, session } => {
                self.change(name, |queue| {
                    if let Some(open) = queue.open.get_mut(offset)
                        && let Stage::Leased { session: holder, .. } = &mut open.stage
                    {
                        *holder = Some(*session);
                    }
                });
                if let Some(subscriber) = self.subscribers.get_mut(session) {
                    subscriber.open += 1;
                }
            }
            Record::Acknowledged { name, offset } => {
                self.release(name, *offset);
                self.change(name, |queue| queue.acknowledged(*offset));
            }
            Record::Failed { name, offset, again } => {
                self.release(name, *offset);
                self.change(name, |queue| queue.failed(*offset, *again));
            }
            Record::Died { name, offset, reason, at } => {
                self.release(name, *offset);
                self.change(name, |queue| queue.died(*offset, reason, *at));
            }
            Record::Revived { name, offset } => {
                self.release(name, *offset);
                self.change(name, |queue| queue.revived(*offset));
            }
            Record::Ripened { name, now } => self.change(name, |queue| queue.ripened(*now)),
            Record::Dropped { name, from, to } => {
                let open = self.queues.get(name).map(|queue| queue.open.range(from..to));
                let open: Vec<u64> = open.into_iter().flatten().map(|(offset, _)| *offset).collect();
                open.into_iter().for_each(|offset| self.release(name, offset));
                self.change(name, |queue| queue.dropped(*from, *to));
            }
            Record::Destined { .. }
            | Record::Undestined { .. }
            | Record::Called { .. }
            | Record::Returned { .. } => super::destinations::apply(self, record),
            Record::Sourced { .. } | Record::Unsourced { .. } | Record::Turned { .. } => {
                super::sources::apply(self, record);
            }
            Record::Subscribed { session, name, live, who, at } => {
                let (name, who) = (name.clone(), who.clone());
                let subscriber = Subscriber { name: name.clone(), live: *live, open: 0, who, since: *at };
                self.subscribers.insert(*session, subscriber);
                self.change(&name, |queue| {
                    queue.subscribers.insert(*session);
                });
            }
            Record::Waiting { session, wait } => {
                self.deadlines.extend(wait.deadline().map(|deadline| (deadline, *session)));
                self.change(&wait.name, |queue| {
                    match wait.what {
                        Waits::Receive(_) => queue.receivers.insert(*session),
                        Waits::Next(..) | Waits::Work => queue.idle.insert(*session),
                    };
                });
                self.waits.insert(*session, wait.clone());
            }
            Record::Woken { session } => self.woken(*session),
            Record::Left { session } => {
                self.woken(*session);
                if let Some(subscriber) = self.subscribers.remove(session) {
                    self.change(&subscriber.name, |queue| {
                        queue.subscribers.remove(session);
                    });
                }
            }
            Record::Quiet { name } => {
                self.awake.remove(name);
            }
            Record::Swept => self.garbage.clear(),
            Record::Stopping => self.stopping = true,
        }
    }

    /// Changes a queue, and keeps track of when something about it is due and of whether it may have something to hand out.
    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Queue)) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        let before = queue.due();
        change(queue);
        let after = queue.due();
        if before != after {
            if let Some(before) = before {
                self.dues.remove(&(before, name.to_owned()));
            }
            self.dues.extend(after.map(|after| (after, name.to_owned())));
        }
        let wanted = !queue.receivers.is_empty() || !queue.idle.is_empty() || !queue.destinations.is_empty();
        if wanted && !self.awake.contains(name) {
            self.awake.insert(name.to_owned());
        }
    }

    /// A message that a subscriber may have open is so no longer.
    fn release(&mut self, name: &str, offset: u64) {
        let open = self.queues.get(name).and_then(|queue| queue.open.get(&offset));
        if let Some(Stage::Leased { session: Some(session), .. }) = open.map(|open| open.stage)
            && let Some(subscriber) = self.subscribers.get_mut(&session)
        {
            subscriber.open = subscriber.open.saturating_sub(1);
        }
    }

    fn woken(&mut self, session: u64) {
        if let Some(wait) = self.waits.remove(&session) {
            if let Some(deadline) = wait.deadline() {
                self.deadlines.remove(&(deadline, session));
            }
            self.change(&wait.name, |queue| {
                queue.receivers.remove(&session);
                queue.idle.remove(&session);
            });
        }
    }

    fn remove(&mut self, name: &str) {
        let Some(queue) = self.queues.remove(name) else { return };
        if let Some(due) = queue.due() {
            self.dues.remove(&(due, name.to_owned()));
        }
        for session in queue.receivers.iter().chain(&queue.idle) {
            if let Some(deadline) = self.waits.remove(session).and_then(|wait| wait.deadline()) {
                self.deadlines.remove(&(deadline, *session));
            }
        }
        queue.subscribers.iter().for_each(|session| {
            self.subscribers.remove(session);
        });
        queue.sources.keys().for_each(|id| {
            self.sources.remove(id);
        });
        self.awake.remove(name);
        self.garbage.insert(queue.incarnation);
    }

    /// Ends every wait whose time is over.
    pub(super) fn time_out(&self, now: u64, decision: &mut Decision<QueueModel>) {
        for (_, session) in self.deadlines.range(..=(now, u64::MAX)) {
            self.stop(*session, decision);
        }
    }

    /// Ends a wait without what was waited for.
    pub(super) fn stop(&self, session: u64, decision: &mut Decision<QueueModel>) {
        let Some(wait) = self.waits.get(&session) else { return };
        let answer = match (wait.what, self.queues.get(&wait.name)) {
            (Waits::Receive(_), Some(queue)) => {
                Answer::Received { incarnation: queue.incarnation, place: None }
            }
            (Waits::Receive(_), None) => Answer::Refused(Refusal::NoQueue),
            (Waits::Next(..) | Waits::Work, _) => Answer::Over(End::Stopping),
        };
        decision.records.push(Record::Woken { session });
        decision.effects.push(Effect::Answer { session, answer });
    }
}
