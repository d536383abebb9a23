//! Live reading of forks.

use super::{Seams, answers, decide, is_fork, own};
use crate::{
    embed::reference::stream::model::From,
    selftest::defects::{
        port,
        stream::{Answer, Ask, Effect, Live, Record, Stream, ask, ask_mut, reply, stream_of, through},
    },
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};
use wireproof_spec::http::Body;

pub(super) fn inherited_awaited() -> Seams {
    through(port::rewrite_input(|state, input| {
        let base = stream_of(state, input).map_or(0, Stream::base);
        if let Some(Ask::LongPoll { from, .. }) = ask_mut(input)
            && base > 0
            && (*from == From::Start || matches!(*from, From::At(position) if position < base))
        {
            *from = From::Now;
        }
    }))
}

pub(super) fn woken() -> Seams {
    decide(|state, input, decision| {
        let Some((source, Ask::Append(_))) = ask(input) else { return };
        if !answers(decision).any(|a| matches!(a, Answer::Appended { .. })) {
            return;
        }
        let forks = state.streams.values().filter(|s| s.origin.as_ref().is_some_and(|o| o.source == source));
        for fork in forks {
            let waiting = fork
                .waiting
                .iter()
                .filter(|session| state.waits.get(session).is_some_and(|wait| wait.live == Live::LongPoll));
            for session in waiting {
                let (media_type, tail) = (fork.media_type.clone(), fork.tail);
                let answer = Answer::Nothing { tail, media_type, closed: false, cursor: Some(1) };
                decision.records.push(Record::Left { session: *session, at: 0 });
                decision.effects.push(Effect::Answer { session: *session, answer });
            }
        }
    })
}

pub(super) fn heard() -> Seams {
    own::appends_to(|_, fork| !fork.readers.is_empty())
}

pub(super) fn two_arrays() -> Seams {
    let forks = Mutex::new(BTreeSet::new());
    reply(move |request, response| {
        let mut forks = forks.lock().unwrap_or_else(PoisonError::into_inner);
        if is_fork(request) && response.status == 201 {
            forks.insert(request.path.clone());
        }
        if request.method != "GET" || !forks.contains(&request.path) {
            return;
        }
        // Those that were inherited, and those that were not: as if each came from a place of its own.
        let messages: Vec<Value> = serde_json::from_slice(&response.body).unwrap_or_default();
        if let Some((last, rest)) = messages.split_last().filter(|(_, rest)| !rest.is_empty()) {
            let arrays = [Value::from(rest), Value::from(vec![last.clone()])].map(|array| array.to_string());
            response.body = Body(arrays.concat().into());
        }
    })
}
