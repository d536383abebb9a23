//! Forks that have too much of their source, and sources that have too much of their forks.

use super::{Seams, answers, decide, forking, origin_mut, source};
use crate::{
    embed::reference::{log::Entry, model::Model, stream::model::From},
    selftest::defects::{
        port,
        stream::{
            Answer, Append, Ask, Input, Record, State, Stream, StreamModel, appended_record, ask, ask_mut,
            record, recovery, stream_of, through,
        },
    },
};
use std::collections::BTreeSet;

/// Appends to forks decided as if the fork had what its source has.
fn shares(change: fn(&Append, &mut Stream, &Stream)) -> Seams {
    through(Box::new(move |state: &State, now, input: &Input| {
        let Some((name, Ask::Append(append))) = ask(input) else {
            return StreamModel::decide(state, now, input);
        };
        let mut state = state.clone();
        // The first of the sources that has something to share is the nearest.
        let mut of = state.streams.get(name).and_then(|stream| stream.origin.clone());
        while let Some(origin) = of.take() {
            let Some(source) = state.streams.get(&origin.source).cloned() else { break };
            if let Some(fork) = state.streams.get_mut(name) {
                change(append, fork, &source);
            }
            of = source.origin;
        }
        StreamModel::decide(&state, now, input)
    }))
}

pub(super) fn producers() -> Seams {
    shares(|append, fork, source| {
        if let Some(producer) = &append.producer
            && let Some(last) = source.producers.get(&producer.id)
        {
            fork.producers.entry(producer.id.clone()).or_insert(*last);
        }
    })
}

pub(super) fn seq() -> Seams {
    shares(|_, fork, source| {
        if fork.seq.is_none() {
            fork.seq.clone_from(&source.seq);
        }
    })
}

pub(super) fn closure() -> Seams {
    decide(|state, input, decision| {
        let Some((name, _, fork)) = forking(input) else { return };
        let is_closed = source(state, fork).is_some_and(|source| source.closed);
        if !is_closed || origin_mut(decision).is_none() {
            return;
        }
        decision.records.push(Record::Closed { name: name.into(), producer: None, at: 0 });
        for answer in answers(decision) {
            if let Answer::Created { facts, .. } = answer {
                facts.closed = true;
            }
        }
    })
}

/// The forks of a stream.
fn forks_of<'a>(state: &'a State, name: &'a str) -> impl Iterator<Item = (&'a String, &'a Stream)> {
    state.streams.iter().filter(move |(_, s)| s.origin.as_ref().is_some_and(|origin| origin.source == name))
}

pub(super) fn closed_with_source() -> Seams {
    decide(|state, _, decision| {
        let closed: Vec<String> = decision
            .records
            .iter()
            .filter_map(|record| match record {
                Record::Closed { name, .. } => Some(name.clone()),
                _ => None,
            })
            .collect();
        for source in closed {
            for (name, _) in forks_of(state, &source) {
                decision.records.push(Record::Closed { name: name.clone(), producer: None, at: 0 });
            }
        }
    })
}

/// An append to a stream with forks, that is accepted.
fn accepted<'a>(
    input: &'a Input,
    decision: &mut super::Decision<StreamModel>,
) -> Option<(&'a str, &'a Append)> {
    let Some((name, Ask::Append(append))) = ask(input) else { return None };
    answers(decision).any(|a| matches!(a, Answer::Appended { .. })).then_some((name, append))
}

pub(super) fn later_appends() -> Seams {
    appends_to(|_, fork| !super::is_written(fork) && fork.readers.is_empty())
}

/// What is appended to a source, appended to such forks too.
pub(super) fn appends_to(which: fn(&State, &Stream) -> bool) -> Seams {
    decide(move |state, input, decision| {
        let Some((source, append)) = accepted(input, decision) else { return };
        for (name, fork) in forks_of(state, source).filter(|(_, fork)| which(state, fork)) {
            decision.records.push(appended_record(name, fork, &append.body));
        }
    })
}

/// A source drops what is old although there are forks of it, and what they inherited is dropped with it.
pub(super) fn trimmed() -> Seams {
    through(port::rewrite_state(|state: &mut State, input| {
        if let Some((name, Ask::Append(_))) = ask(input)
            && let Some(source) = state.streams.get_mut(name)
        {
            source.forks = 0;
        }
    }))
}

pub(super) fn writes_to_source() -> Seams {
    decide(|state, input, decision| {
        let Some((_, append)) = accepted(input, decision) else { return };
        let Some(origin) = stream_of(state, input).and_then(|fork| fork.origin.as_ref()) else { return };
        if let Some(source) = state.streams.get(&origin.source).filter(|s| !s.closed && !s.deleted) {
            decision.records.push(appended_record(&origin.source, source, &append.body));
        }
    })
}

pub(super) fn lost_at_restart() -> Seams {
    recovery(|orderly, entries| if orderly { entries.into_iter().map(forgets).collect() } else { entries })
}

/// Only those that nobody appended to.
pub(super) fn bare_lost_at_restart() -> Seams {
    recovery(|orderly, entries| {
        let appended = |entry: &Entry| match record(entry) {
            Some(Record::Appended { name, .. }) => Some(name),
            _ => None,
        };
        let written: BTreeSet<String> = entries.iter().filter_map(appended).collect();
        let is_bare = |entry: &Entry| match record(entry) {
            Some(Record::Created { name, .. }) => orderly && !written.contains(&name),
            _ => false,
        };
        entries.into_iter().map(|entry| if is_bare(&entry) { forgets(entry) } else { entry }).collect()
    })
}

/// A fork that knows where it begins, and no longer what with.
fn forgets(mut entry: Entry) -> Entry {
    if let Some(Record::Created { name, incarnation, media_type, lifetime, origin: Some(mut origin), at }) =
        record(&entry)
    {
        origin.inherited = [].into();
        let forgotten = Record::Created { name, incarnation, media_type, lifetime, origin: Some(origin), at };
        if let Ok(record) = serde_json::to_vec(&forgotten) {
            entry.record = record;
        }
    }
    entry
}

/// On forks of forks.
pub(super) fn offset_is_start() -> Seams {
    through(port::rewrite_input(|state, input| {
        let Some(origin) = stream_of(state, input).and_then(|stream| stream.origin.as_ref()) else { return };
        let is_chain = state.streams.get(&origin.source).is_some_and(|source| source.origin.is_some());
        if let Some(Ask::Read { from, .. }) = ask_mut(input)
            && matches!(*from, From::At(position) if position < origin.base)
            && is_chain
        {
            *from = From::Start;
        }
    }))
}

pub(super) fn told_as_start() -> Seams {
    decide(|_, input, decision| {
        if forking(input).is_none() {
            return;
        }
        for answer in answers(decision) {
            if let Answer::Created { fresh: true, facts } = answer {
                facts.tail = 0;
            }
        }
    })
}
