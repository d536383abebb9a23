//! Queues are made, changed, paused and deleted; and what time does to them.

use super::{
    Answer, Case, Change, Create, Effect, End, Queue, QueueModel, Record, Refusal, Stage, State, Waits,
    destinations, leases, push,
};
use crate::model::Decision;

impl Case<'_> {
    pub(super) fn create(
        &self,
        found: Option<&Queue>,
        create: &Create,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        if found.is_some() {
            return Answer::Refused(Refusal::Exists);
        }
        let Create { kind, description, settings } = create.clone();
        let incarnation = self.state.next;
        let queue = Queue::new(incarnation, kind, description.clone(), settings.clone(), self.now);
        let (name, at) = (self.name.to_owned(), self.now);
        decision.records.push(Record::Created { name, incarnation, kind, description, settings, at });
        Answer::Queue(queue.facts(self.name))
    }

    pub(super) fn list(&self, limit: u64, skip: u64) -> Answer {
        let (limit, skip) = (size(limit), size(skip));
        let all = self.state.queues.iter().skip(skip).take(limit);
        let facts = all.map(|(name, queue)| queue.facts(name)).collect();
        Answer::Queues(facts, self.state.queues.len() as u64)
    }

    pub(super) fn update(
        &self,
        queue: &Queue,
        change: &Change,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        let mut facts = queue.facts(self.name);
        facts.settings = queue.settings.with(&change.settings);
        facts.description = change.description.clone().or(facts.description);
        facts.updated = self.now;
        let (description, settings) = (facts.description.clone(), facts.settings.clone());
        let (name, at) = (self.name.to_owned(), self.now);
        decision.records.push(Record::Changed { name, description, settings, at });
        Answer::Queue(facts)
    }

    pub(super) fn pause(&self, queue: &Queue, pause: bool, decision: &mut Decision<QueueModel>) -> Answer {
        let mut facts = queue.facts(self.name);
        if facts.paused.is_some() != pause {
            facts.paused = pause.then_some(self.now);
            facts.updated = self.now;
            let (name, since, at) = (self.name.to_owned(), facts.paused, self.now);
            decision.records.push(Record::Paused { name, since, at });
        }
        Answer::Queue(facts)
    }

    pub(super) fn delete(&self, queue: &Queue, decision: &mut Decision<QueueModel>) -> Answer {
        for session in queue.receivers.iter().chain(&queue.idle) {
            let answer = match self.state.waits.get(session).map(|wait| wait.what) {
                Some(Waits::Receive(_)) => Answer::Refused(Refusal::NoQueue),
                Some(Waits::Next(..) | Waits::Work) => Answer::Over(End::Deleted),
                None => continue,
            };
            decision.effects.push(Effect::Answer { session: *session, answer });
        }
        decision.records.push(Record::Deleted { name: self.name.into() });
        Answer::Done
    }
}

/// A count as a size: what is more than there can be is all.
pub(super) fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Does what is due, and lets awake queues hand out what they have. A queue about which something is due hands out at the
/// next tick, when that is done.
pub(super) fn pass(state: &State, now: u64, decision: &mut Decision<QueueModel>) {
    let mut due: Vec<&str> = Vec::new();
    for (_, name) in state.dues.iter().take_while(|(at, _)| *at <= now) {
        if let Some(queue) = state.queues.get(name) {
            let before = decision.records.len();
            fall_due(name, queue, now, decision);
            if decision.records.len() > before {
                due.push(name);
            }
        }
    }
    for name in state.awake.iter().filter(|name| !due.contains(&name.as_str())) {
        if let Some(queue) = state.queues.get(name).filter(|queue| queue.paused.is_none()) {
            push::hand_out(state, name, queue, now, decision);
            destinations::send(name, queue, now, decision);
        }
        decision.records.push(Record::Quiet { name: name.clone() });
    }
}

fn fall_due(name: &str, queue: &Queue, now: u64, decision: &mut Decision<QueueModel>) {
    let over = |at: &u64| *at <= now;
    for (_, offset) in queue.leases.iter().take_while(|(at, _)| over(at)) {
        if let Some(open) = queue.open.get(offset).filter(|open| matches!(open.stage, Stage::Leased { .. })) {
            let reason = "its visibility timeout passed";
            decision.records.push(leases::failure(name, queue, *offset, open.attempts, reason, now));
        }
    }
    if queue.backoffs.first().is_some_and(|(at, _)| over(at)) {
        decision.records.push(Record::Ripened { name: name.into(), now });
    }
    let old = queue.marks.iter().take_while(|mark| over(&mark.last.saturating_add(queue.retention())));
    let kept = old.last().map_or(queue.start, |mark| mark.offset.max(queue.start));
    if kept > queue.start || queue.marks.front().is_some_and(|mark| mark.offset <= queue.start) {
        drop_range(name, queue, queue.start, kept, decision);
    }
    // Neighbours go together.
    let mut ended: Vec<u64> =
        queue.endings.iter().take_while(|(at, _)| over(at)).map(|(_, offset)| *offset).collect();
    ended.sort_unstable();
    for run in ended.chunk_by(|a, b| a + 1 == *b) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            drop_range(name, queue, *first, last + 1, decision);
        }
    }
    destinations::fall_due(name, queue, now, decision);
}

/// These messages are gone, and so is their content if nothing is kept before them.
pub(super) fn drop_range(name: &str, queue: &Queue, from: u64, to: u64, decision: &mut Decision<QueueModel>) {
    decision.records.push(Record::Dropped { name: name.into(), from, to });
    let start = queue.start_without(from, to);
    if start > queue.start {
        decision.effects.push(Effect::Trim { incarnation: queue.incarnation, start });
    }
}

/// The content of queues that are gone goes too: every effect that names it has been released before this one.
pub(super) fn sweep(state: &State, decision: &mut Decision<QueueModel>) {
    if !state.garbage.is_empty() {
        decision.records.push(Record::Swept);
        let removed = state.garbage.iter().map(|&incarnation| Effect::Remove { incarnation });
        decision.effects.extend(removed);
    }
}
