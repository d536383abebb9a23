//! How a stream is read: from an offset to the tail, and beyond it as it grows.

use super::{
    Answer, Case, Effect, From, Live, Poll, Record, Refusal, State, Stream, StreamModel, Wait,
    answer::{Tail, content, polled},
};
use crate::model::Decision;

impl Case<'_> {
    pub(super) fn read(
        &self,
        stream: &Stream,
        from: From,
        chunk: u64,
        decision: &mut Decision<StreamModel>,
    ) -> Answer {
        match position(stream, from) {
            Ok(from) => {
                self.touch(stream, decision);
                content(stream, Tail::of(stream), from, chunk, None)
            }
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    pub(super) fn long_poll(
        &self,
        stream: &Stream,
        from: From,
        poll: &Poll,
        decision: &mut Decision<StreamModel>,
    ) -> Option<Answer> {
        let from = match position(stream, from) {
            Ok(from) => from,
            Err(refusal) => return Some(Answer::Refused(refusal)),
        };
        self.touch(stream, decision);
        if from == stream.tail && !stream.closed && !self.state.stopping {
            let deadline = self.now.saturating_add(poll.patience);
            let wait = Wait { name: self.name.into(), from, poll: *poll, deadline, live: Live::LongPoll };
            decision.records.push(Record::Waiting { session: self.session, wait });
            return None;
        }
        Some(polled(stream, Tail::of(stream), from, poll, self.now))
    }

    /// The first answer of a reader that stays: what there is, also if that is nothing.
    pub(super) fn follow(
        &self,
        stream: &Stream,
        from: From,
        poll: &Poll,
        decision: &mut Decision<StreamModel>,
    ) -> Answer {
        match position(stream, from) {
            Ok(from) => {
                self.touch(stream, decision);
                let until = self.now.saturating_add(poll.patience);
                let (session, name) = (self.session, self.name.into());
                decision.records.push(Record::Following { session, name, until });
                polled(stream, Tail::of(stream), from, poll, self.now)
            }
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    pub(super) fn next(
        &self,
        stream: &Stream,
        from: u64,
        seen: u64,
        poll: &Poll,
        decision: &mut Decision<StreamModel>,
    ) -> Option<Answer> {
        // A stream of the same name is another one, and its readers are others.
        let Some((_, until)) =
            self.state.readers.get(&self.session).filter(|_| stream.readers.contains(&self.session))
        else {
            return Some(Answer::Refused(Refusal::NoStream));
        };
        if *until <= self.now || self.state.stopping {
            return Some(Answer::Over);
        }
        if seen == stream.tail && !stream.closed {
            let wait = Wait { name: self.name.into(), from, poll: *poll, deadline: *until, live: Live::Sse };
            decision.records.push(Record::Waiting { session: self.session, wait });
            return None;
        }
        Some(polled(stream, Tail::of(stream), from, poll, self.now))
    }

    /// Answers everyone who waits: the stream is about to have this tail and closure.
    pub(super) fn wake(
        &self,
        stream: &Stream,
        position: u64,
        closed: bool,
        decision: &mut Decision<StreamModel>,
    ) {
        let tail = Tail { position, closed };
        for session in &stream.waiting {
            if let Some(wait) = self.state.waits.get(session) {
                let answer = polled(stream, tail, wait.from, &wait.poll, self.now);
                leave(self.state, *session, self.now, answer, decision);
            }
        }
    }
}

/// Where a read starts.
fn position(stream: &Stream, from: From) -> Result<u64, Refusal> {
    match from {
        From::Start => Ok(stream.start),
        From::Now => Ok(stream.tail),
        From::At(position) if position > stream.tail => Err(Refusal::BeyondTail),
        From::At(position) if position < stream.start => Err(Refusal::Dropped { start: stream.start }),
        From::At(position) => Ok(position),
    }
}

/// Ends every wait whose time is over.
pub(super) fn time_out(state: &State, now: u64, decision: &mut Decision<StreamModel>) {
    let due = state.deadlines.range(..=(now, u64::MAX));
    due.for_each(|(_, session)| end_wait(state, now, *session, decision));
}

/// A wait whose time is over is answered with what there is: nothing.
pub(super) fn end_wait(state: &State, now: u64, session: u64, decision: &mut Decision<StreamModel>) {
    let Some(wait) = state.waits.get(&session) else { return };
    let answer = match (state.at(&wait.name, now), wait.live) {
        // Who waits for a stream that ends is answered with its end.
        (None, _) => return,
        (Some(_), Live::Sse) => Answer::Over,
        (Some(stream), Live::LongPoll) => polled(stream, Tail::of(stream), wait.from, &wait.poll, now),
    };
    leave(state, session, now, answer, decision);
}

/// Ends a wait with an answer.
pub(super) fn leave(
    state: &State,
    session: u64,
    now: u64,
    answer: Answer,
    decision: &mut Decision<StreamModel>,
) {
    let stays = state.readers.contains_key(&session) && !matches!(answer, Answer::Refused(_) | Answer::Over);
    decision.records.push(if stays {
        Record::Woken { session, at: now }
    } else {
        Record::Left { session, at: now }
    });
    decision.effects.push(Effect::Answer { session, answer });
}
