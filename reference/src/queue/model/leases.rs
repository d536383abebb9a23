//! Receiving, for one consumer at a time; and what becomes of what nobody could finish.

use super::{Answer, At, Case, Kind, Letter, Queue, QueueModel, Record, Refusal, Wait, Waits, life};
use crate::model::Decision;

impl Case<'_> {
    pub(super) fn receive(
        &self,
        queue: &Queue,
        patience: u64,
        decision: &mut Decision<QueueModel>,
    ) -> Option<Answer> {
        let incarnation = queue.incarnation;
        let free = if queue.paused.is_none() { queue.available(self.now).next() } else { None };
        if let Some(offset) = free {
            let place = Some(lease(self.name, queue, offset, self.now, decision));
            return Some(Answer::Received { incarnation, place });
        }
        if patience == 0 || self.state.stopping {
            return Some(Answer::Received { incarnation, place: None });
        }
        let what = Waits::Receive(self.now.saturating_add(patience));
        let wait = Wait { name: self.name.into(), what };
        decision.records.push(Record::Waiting { session: self.session, wait });
        None
    }

    pub(super) fn ack(&self, queue: &Queue, at: At, decision: &mut Decision<QueueModel>) -> Answer {
        let Some(offset) = self.find(queue, at) else { return Answer::Refused(Refusal::NoMessage) };
        match queue.place(offset, self.now).kind {
            // A consumer that was late has done its work all the same.
            _ if queue.open.contains_key(&offset) => {
                decision.records.push(Record::Acknowledged { name: self.name.into(), offset });
                Answer::Done
            }
            Kind::Delivered => Answer::Done,
            kind => Answer::Refused(Refusal::Elsewhere(kind)),
        }
    }

    pub(super) fn nack(&self, queue: &Queue, at: At, decision: &mut Decision<QueueModel>) -> Answer {
        let Some(offset) = self.find(queue, at) else { return Answer::Refused(Refusal::NoMessage) };
        match (queue.place(offset, self.now).kind, queue.open.get(&offset)) {
            (Kind::Leased, Some(open)) => {
                let failed = failure(self.name, queue, offset, open.attempts, "it was given back", self.now);
                decision.records.push(failed);
                Answer::Done
            }
            (kind, _) => Answer::Refused(Refusal::Elsewhere(kind)),
        }
    }

    pub(super) fn dead_letters(&self, queue: &Queue, limit: u64, skip: u64) -> Answer {
        let all = queue.dead.iter().filter(|(offset, _)| queue.has(**offset, self.now));
        let total = all.clone().count() as u64;
        let letters = all.skip(life::size(skip)).take(life::size(limit)).map(|(offset, death)| Letter {
            offset: *offset,
            attempts: death.attempts,
            reason: death.reason.clone(),
            at: death.at,
        });
        Answer::Dead { incarnation: queue.incarnation, letters: letters.collect(), total }
    }

    fn letter(&self, queue: &Queue, at: At) -> Option<u64> {
        self.find(queue, at).filter(|offset| queue.dead.contains_key(offset))
    }

    pub(super) fn replay_dead(&self, queue: &Queue, at: At, decision: &mut Decision<QueueModel>) -> Answer {
        let Some(offset) = self.letter(queue, at) else { return Answer::Refused(Refusal::NoLetter) };
        self.revive(queue, offset, decision)
    }

    pub(super) fn delete_dead(&self, queue: &Queue, at: At, decision: &mut Decision<QueueModel>) -> Answer {
        let Some(offset) = self.letter(queue, at) else { return Answer::Refused(Refusal::NoLetter) };
        life::drop_range(self.name, queue, offset, offset + 1, decision);
        Answer::Done
    }

    pub(super) fn purge_dead(&self, queue: &Queue, decision: &mut Decision<QueueModel>) -> Answer {
        for offset in queue.dead.keys() {
            life::drop_range(self.name, queue, *offset, offset + 1, decision);
        }
        Answer::Done
    }
}

/// Hides a message for one consumer.
pub(super) fn lease(
    name: &str,
    queue: &Queue,
    offset: u64,
    now: u64,
    decision: &mut Decision<QueueModel>,
) -> super::Place {
    let until = now.saturating_add(queue.settings.visibility_s.saturating_mul(1000));
    decision.records.push(Record::Leased { name: name.into(), offset, until });
    let mut place = queue.place(offset, now);
    place.kind = Kind::Leased;
    place.attempts = Some(queue.open.get(&offset).map_or(0, |open| open.attempts).saturating_add(1));
    place
}

/// What a delivery is that failed: one to be tried again, or the last.
pub(super) fn failure(
    name: &str,
    queue: &Queue,
    offset: u64,
    attempts: u64,
    reason: &str,
    now: u64,
) -> Record {
    let name = name.to_owned();
    // The first delivery is no retry.
    if attempts > queue.settings.max_retries {
        Record::Died { name, offset, reason: reason.into(), at: now }
    } else {
        Record::Failed { name, offset, again: now.saturating_add(queue.settings.backoff(attempts)) }
    }
}
