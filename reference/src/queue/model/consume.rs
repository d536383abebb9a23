//! Messages are read, listed and removed, by what they are and not by whose turn it is.

use super::{Answer, At, Case, Kind, Queue, QueueModel, Record, Refusal, life};
use crate::model::Decision;

impl Case<'_> {
    /// The offset of the message that is named, if it is there.
    pub(super) fn find(&self, queue: &Queue, at: At) -> Option<u64> {
        let here = at.incarnation.is_none_or(|incarnation| incarnation == queue.incarnation);
        at.offset.filter(|offset| here && queue.has(*offset, self.now))
    }

    pub(super) fn message(&self, queue: &Queue, at: At) -> Answer {
        let Some(offset) = self.find(queue, at) else { return Answer::Refused(Refusal::NoMessage) };
        self.told(queue, [offset], None)
    }

    pub(super) fn messages(&self, queue: &Queue, limit: u64, skip: u64, kind: Option<Kind>) -> Answer {
        let (limit, skip) = (life::size(limit), life::size(skip));
        let all = queue.offsets(queue.start, self.now);
        match kind {
            None => self.told(queue, all.skip(skip).take(limit), Some(queue.retained())),
            Some(kind) => {
                let wanted = all.filter(|offset| queue.place(*offset, self.now).kind == kind);
                self.told(queue, wanted.skip(skip).take(limit), None)
            }
        }
    }

    pub(super) fn consume(&self, queue: &Queue, from: u64, limit: u64) -> Answer {
        self.told(queue, queue.offsets(from, self.now).take(life::size(limit)), None)
    }

    fn told(&self, queue: &Queue, offsets: impl IntoIterator<Item = u64>, total: Option<u64>) -> Answer {
        let places = offsets.into_iter().map(|offset| queue.place(offset, self.now)).collect();
        Answer::Messages { incarnation: queue.incarnation, places, total }
    }

    pub(super) fn remove(&self, queue: &Queue, at: At, decision: &mut Decision<QueueModel>) -> Answer {
        let Some(offset) = self.find(queue, at) else { return Answer::Refused(Refusal::NoMessage) };
        life::drop_range(self.name, queue, offset, offset + 1, decision);
        Answer::Done
    }

    pub(super) fn replay(&self, queue: &Queue, at: At, decision: &mut Decision<QueueModel>) -> Answer {
        let Some(offset) = self.find(queue, at) else { return Answer::Refused(Refusal::NoMessage) };
        match queue.place(offset, self.now).kind {
            // What is hidden has a consumer who is at work on it.
            Kind::Leased => Answer::Refused(Refusal::Elsewhere(Kind::Leased)),
            // A fresh one is what it is to be.
            Kind::Pending if !queue.open.contains_key(&offset) => self.told(queue, [offset], None),
            _ => self.revive(queue, offset, decision),
        }
    }

    pub(super) fn revive(&self, queue: &Queue, offset: u64, decision: &mut Decision<QueueModel>) -> Answer {
        decision.records.push(Record::Revived { name: self.name.into(), offset });
        let mut place = queue.place(offset, self.now);
        (place.kind, place.attempts) = (Kind::Pending, Some(0));
        Answer::Messages { incarnation: queue.incarnation, places: vec![place], total: None }
    }
}
