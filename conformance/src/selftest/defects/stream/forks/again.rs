//! PUTs on a URL that is taken.

use super::{
    Create, Decision, Input, Seams, State, Stream, StreamModel, answers, asks, decide, forking, is_written,
};
use crate::{
    embed::reference::stream::model::{Fork, Origin},
    selftest::defects::{
        stream::{Answer, Ask, Record, Refusal, ask, facts, stream_of},
        wire::Count,
    },
};

/// Every conflict of a PUT with the stream that is there taken for none, where this is so.
fn finds(which: fn(&Create, &Stream) -> bool) -> Seams {
    decide(move |state, input, decision| {
        let Some((_, Ask::Create(create))) = ask(input) else { return };
        let Some(there) = stream_of(state, input).filter(|there| which(create, there)) else { return };
        for answer in answers(decision) {
            if matches!(answer, Answer::Refused(Refusal::Exists(_))) {
                *answer = Answer::Created { fresh: false, facts: facts(there) };
            }
        }
    })
}

pub(super) fn no_fork() -> Seams {
    finds(|create, there| create.fork.is_some() && there.origin.is_none())
}

pub(super) fn without_source() -> Seams {
    finds(|create, there| create.fork.is_none() && there.origin.is_some())
}

/// Each PUT on a fork changed, given the fork.
fn compares(
    mut change: impl FnMut(&State, &Stream, &Origin, &mut Create, &mut Fork) + Send + 'static,
) -> Seams {
    asks(move |state, there, create, fork| {
        if let Some(there) = there
            && let Some(origin) = &there.origin
        {
            change(state, there, origin, create, fork);
        }
    })
}

pub(super) fn lifetime() -> Seams {
    compares(|_, there, origin, create, _| {
        create.lifetime = Some(there.lifetime).filter(|_| !origin.inherits_lifetime);
    })
}

pub(super) fn closes() -> Seams {
    decide(|_, input, decision| {
        let Some((name, create, _)) = forking(input) else { return };
        let name = name.to_owned();
        if create.closed && answers(decision).any(|a| matches!(a, Answer::Refused(Refusal::Exists(_)))) {
            decision.records.push(Record::Closed { name, producer: None, at: 0 });
        }
    })
}

/// Every equal PUT on a fork taken for a conflict, where this is so.
fn conflicts(
    mut which: impl FnMut(&State, &Create, &Fork, &Stream, &Origin) -> bool + Send + 'static,
) -> Seams {
    decide(move |state: &State, input: &Input, decision: &mut Decision<StreamModel>| {
        let Some((_, create, fork)) = forking(input) else { return };
        let Some(there) = stream_of(state, input) else { return };
        let Some(origin) = &there.origin else { return };
        for answer in answers(decision) {
            if matches!(answer, Answer::Created { .. }) && which(state, create, fork, there, origin) {
                *answer = Answer::Refused(Refusal::Exists(facts(there)));
            }
        }
    })
}

pub(super) fn once_written() -> Seams {
    conflicts(|_, create, _, there, _| create.media_type.is_some() && is_written(there))
}

pub(super) fn repeated_again() -> Seams {
    let count = Count::new();
    conflicts(move |_, create, _, there, _| {
        create.media_type.is_some() && count.up(&there.incarnation.to_string()) > 0
    })
}

pub(super) fn bare() -> Seams {
    conflicts(|_, create, _, _, _| create.media_type.is_none())
}

pub(super) fn tail() -> Seams {
    conflicts(|state, _, fork, _, origin| {
        let source = super::source(state, fork);
        fork.offset.is_none() && source.is_some_and(|source| source.tail != origin.resolved)
    })
}

pub(super) fn offset() -> Seams {
    compares(|_, there, origin, _, fork| {
        if is_written(there) && fork.offset.is_some() && origin.offset.is_some() {
            fork.offset = origin.offset;
        }
    })
}

pub(super) fn default_offset() -> Seams {
    compares(|_, _, origin, _, fork| {
        if origin.offset.is_none() {
            fork.offset = None;
        }
    })
}

pub(super) fn source() -> Seams {
    compares(|state, _, origin, _, fork| {
        let tail = |name: &str| state.streams.get(name).map(|stream| stream.tail);
        if tail(&fork.source).is_some() && tail(&fork.source) == tail(&origin.source) {
            fork.source.clone_from(&origin.source);
        }
    })
}

pub(super) fn sub_offset() -> Seams {
    compares(|_, _, origin, _, fork| {
        if fork.sub_offset > 0 {
            fork.sub_offset = origin.sub_offset;
        }
    })
}

pub(super) fn no_sub_offset() -> Seams {
    compares(|_, _, origin, _, fork| {
        if fork.sub_offset == 0 {
            fork.sub_offset = origin.sub_offset;
        }
    })
}
