//! Subscribers are pushed what comes: everything, in its order, or each message to one of them.
//!
//! A subscriber asks for what comes next and names the offset at which it is; so one that is slow holds up nobody, and what
//! it missed and what is live are one sequence.

use super::{
    Answer, Case, Effect, End, Queue, QueueModel, Record, State, Wait, Waits, Who, leases::lease, life::size,
};
use crate::model::Decision;

impl Case<'_> {
    pub(super) fn subscribe(
        &self,
        queue: &Queue,
        last: Option<i64>,
        who: &Who,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        if self.state.stopping {
            return Answer::Over(End::Stopping);
        }
        let live = queue.next;
        // Who says nothing is pushed what is published from now on, and so is who was further than the queue is.
        let from = last.map_or(live, |last| u64::try_from(last.saturating_add(1)).unwrap_or(0)).min(live);
        let (session, name, who, at) = (self.session, self.name.to_owned(), who.clone(), self.now);
        decision.records.push(Record::Subscribed { session, name, live, who, at });
        Answer::Subscribed { incarnation: queue.incarnation, kind: queue.kind, from, live }
    }

    pub(super) fn consumers(&self, queue: &Queue) -> Answer {
        let all = queue.subscribers.iter();
        let all = all.filter_map(|session| Some((*session, self.state.subscribers.get(session)?)));
        let all = all.map(|(session, one)| (session, one.who.clone(), one.since)).collect();
        Answer::Consumers { incarnation: queue.incarnation, all }
    }

    pub(super) fn next(
        &self,
        queue: &Queue,
        from: u64,
        most: u64,
        decision: &mut Decision<QueueModel>,
    ) -> Option<Answer> {
        if self.state.stopping {
            return Some(Answer::Over(End::Stopping));
        }
        let live = self.state.subscribers.get(&self.session).map_or(0, |subscriber| subscriber.live);
        if from < queue.next && queue.paused.is_none() {
            return Some(ahead(queue, from, most, live, self.now));
        }
        self.wait(Waits::Next(from, most), decision)
    }

    pub(super) fn work(&self, queue: &Queue, decision: &mut Decision<QueueModel>) -> Option<Answer> {
        if self.state.stopping {
            return Some(Answer::Over(End::Stopping));
        }
        let open = self.state.subscribers.get(&self.session).map_or(0, |subscriber| subscriber.open);
        if open < queue.settings.in_flight
            && queue.paused.is_none()
            && let Some(offset) = queue.available(self.now).next()
        {
            return Some(self.give(queue, offset, decision));
        }
        self.wait(Waits::Work, decision)
    }

    /// Leases a message to this subscriber.
    fn give(&self, queue: &Queue, offset: u64, decision: &mut Decision<QueueModel>) -> Answer {
        let place = lease(self.name, queue, offset, self.now, decision);
        let (name, session) = (self.name.to_owned(), self.session);
        decision.records.push(Record::Held { name, offset, session });
        Answer::Push { incarnation: queue.incarnation, places: vec![place], to: offset + 1 }
    }

    fn wait(&self, what: Waits, decision: &mut Decision<QueueModel>) -> Option<Answer> {
        let wait = Wait { name: self.name.into(), what };
        decision.records.push(Record::Waiting { session: self.session, wait });
        None
    }
}

/// What comes next, from an offset on: what was published before and what is live never come in one answer.
fn ahead(queue: &Queue, from: u64, most: u64, live: u64, now: u64) -> Answer {
    let end = if from < live { live.min(queue.next) } else { queue.next };
    let offsets = queue.offsets(from, now).take_while(|offset| *offset < end).take(size(most));
    let places: Vec<_> = offsets.map(|offset| queue.place(offset, now)).collect();
    let cut = places.len() as u64 >= most;
    let to = places.last().filter(|_| cut).map_or(end, |place| place.offset + 1);
    Answer::Push { incarnation: queue.incarnation, places, to }
}

/// Hands out what there is to those who wait for it: subscribers first, those with the least open before others.
pub(super) fn hand_out(
    state: &State,
    name: &str,
    queue: &Queue,
    now: u64,
    decision: &mut Decision<QueueModel>,
) {
    let mut available = queue.available(now);
    let mut takers: Vec<(u64, u64)> = Vec::new();
    for session in &queue.idle {
        let Some(subscriber) = state.subscribers.get(session) else { continue };
        match state.waits.get(session).map(|wait| wait.what) {
            Some(Waits::Next(from, most)) if from < queue.next => {
                let answer = ahead(queue, from, most, subscriber.live, now);
                wake(*session, answer, decision);
            }
            Some(Waits::Work) if subscriber.open < queue.settings.in_flight => {
                takers.push((subscriber.open, *session));
            }
            _ => {}
        }
    }
    takers.sort_unstable();
    for (_, session) in takers {
        let Some(offset) = available.next() else { return };
        let case = Case { state, now, session, name };
        let answer = case.give(queue, offset, decision);
        wake(session, answer, decision);
    }
    for session in &queue.receivers {
        // One whose time is over has just been answered.
        let over = |wait: &Wait| matches!(wait.what, Waits::Receive(until) if until <= now);
        if state.waits.get(session).is_none_or(over) {
            continue;
        }
        let Some(offset) = available.next() else { return };
        let place = Some(lease(name, queue, offset, now, decision));
        wake(*session, Answer::Received { incarnation: queue.incarnation, place }, decision);
    }
}

fn wake(session: u64, answer: Answer, decision: &mut Decision<QueueModel>) {
    decision.records.push(Record::Woken { session });
    decision.effects.push(Effect::Answer { session, answer });
}
