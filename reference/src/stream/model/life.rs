//! How streams end: deletion, expiry, and what becomes of their content.

use super::{Answer, Effect, Record, Refusal, State, Stream, StreamModel, read::leave};
use crate::model::Decision;

/// Deletes a stream; as long as it has forks its URL is held.
pub(super) fn delete(state: &State, name: &str, stream: &Stream, decision: &mut Decision<StreamModel>) {
    decision.records.push(Record::Deleted { name: name.into() });
    let refusal = if stream.forks > 0 { Refusal::Gone } else { Refusal::NoStream };
    dismiss(state, stream, &refusal, decision);
}

/// Ends a stream whose time is over.
pub(super) fn end(state: &State, name: &str, stream: &Stream, decision: &mut Decision<StreamModel>) {
    decision.records.push(Record::Expired { name: name.into() });
    dismiss(state, stream, &Refusal::NoStream, decision);
}

/// Ends every stream whose time is over.
pub(super) fn expire(state: &State, now: u64, decision: &mut Decision<StreamModel>) {
    for (_, name) in state.ends.iter().take_while(|(end, _)| *end <= now) {
        if let Some(stream) = state.streams.get(name) {
            end(state, name, stream, decision);
        }
    }
}

/// Answers those who wait for a stream that ends.
fn dismiss(state: &State, stream: &Stream, refusal: &Refusal, decision: &mut Decision<StreamModel>) {
    for session in &stream.waiting {
        leave(state, *session, stream.touched, Answer::Refused(refusal.clone()), decision);
    }
}

/// Has the content removed that nobody can read any more.
pub(super) fn sweep(state: &State, decision: &mut Decision<StreamModel>) {
    if !state.garbage.is_empty() {
        let all = state.garbage.iter();
        decision.effects.extend(all.map(|incarnation| Effect::Remove { incarnation: *incarnation }));
        decision.records.push(Record::Swept);
    }
}
