//! Defects of producers at the same time, beside each other, and over the end of a process.

use super::{
    super::{Entry, Record, Seams, Table, is_append, port, racing, record, recovery, through},
    Producer, State, Tuple, ask, knowing, known, tuple, tuple_mut,
};
use crate::{
    protocol::Cut::{Log, Port},
    selftest::defects::Breakage,
};
use std::collections::BTreeSet;
use wireproof_spec::stream::requirements::*;

pub(in super::super) const TABLE: Table = &[
    Breakage::race("stream/producers/judged-before-the-other-was-written", STREAM_PRODUCERS_15, Port, || {
        in_race(|last, tuple| {
            let rival = last.filter(|last| (last.epoch, last.seq) == (tuple.epoch, tuple.seq))?;
            Some(rival.seq.checked_sub(1).map(|seq| Producer { seq, ..rival }))
        })
    }),
    Breakage::race("stream/producers/overtakes", STREAM_PRODUCERS_16, Port, || {
        in_race(|last, tuple| {
            let last = last.filter(|last| last.epoch == tuple.epoch && tuple.seq > last.seq)?;
            Some(Some(Producer { seq: tuple.seq - 1, ..last }))
        })
    }),
    Breakage::boundary("stream/producers/names-end-at-a-colon", STREAM_PRODUCERS_17, Port, || {
        renamed(|id| id.split(':').next().unwrap_or_default().to_owned())
    }),
    Breakage::boundary("stream/producers/names-without-case", STREAM_PRODUCERS_17, Port, || {
        renamed(|id| id.to_ascii_lowercase())
    }),
    Breakage::boundary("stream/producers/names-cut", STREAM_PRODUCERS_17, Port, || {
        renamed(|id| id.chars().take("wp-".len() + 12).collect())
    }),
    Breakage::boundary("stream/producers/one-for-all-streams", STREAM_PRODUCERS_17, Port, || {
        knowing(|state, input, tuple| {
            let own = known(state, input);
            let elsewhere =
                || state.streams.values().find_map(|stream| stream.producers.get(&tuple.id).copied());
            own.is_none().then(elsewhere)
        })
    }),
    Breakage::restart("stream/producers/forgotten-when-killed", STREAM_PRODUCERS_23, Log, || {
        recovery(|orderly, entries| if orderly { entries } else { without_producers(entries) })
    }),
    Breakage::restart("stream/producers/content-lost-and-number-kept", STREAM_PRODUCERS_23, Log, || {
        recovery(|orderly, entries| if orderly { entries } else { last_without_content(entries) })
    }),
    Breakage::restart("stream/producers/forgotten-at-restart", STREAM_PRODUCERS_24, Log, || {
        recovery(|orderly, entries| if orderly { without_producers(entries) } else { entries })
    }),
    Breakage::restart("stream/producers/who-closed-forgotten-at-restart", STREAM_PRODUCERS_24, Log, || {
        recovery(|orderly, entries| if orderly { without_closers(entries) } else { entries })
    }),
    Breakage::restart("stream/producers/old-numbers-at-restart", STREAM_PRODUCERS_24, Log, || {
        recovery(|orderly, entries| if orderly { first_of_producers(entries) } else { entries })
    }),
];

/// Judges a producer by other knowledge of it while several appends to its stream are under way.
fn in_race(change: fn(Option<Producer>, &Tuple) -> Option<Option<Producer>>) -> Seams {
    racing(is_append, |flying| {
        port::rewrite_state(move |state: &mut State, input| {
            let (Some((name, _)), Some(tuple)) = (ask(input), tuple(input)) else { return };
            if !flying.several(name) {
                return;
            }
            let Some(other) = change(known(state, input), tuple) else { return };
            let Some(stream) = state.streams.get_mut(name) else { return };
            match other {
                Some(producer) => stream.producers.insert(tuple.id.clone(), producer),
                None => stream.producers.remove(&tuple.id),
            };
        })
    })
}

/// Producers under other names.
fn renamed(name: fn(&str) -> String) -> Seams {
    through(port::rewrite_input(move |_, input| {
        if let Some(tuple) = tuple_mut(input) {
            tuple.id = name(&tuple.id);
        }
    }))
}

/// Each record of an append changed; it comes with its place.
fn appends(mut entries: Vec<Entry>, mut change: impl FnMut(usize, &mut Record)) -> Vec<Entry> {
    for (place, entry) in entries.iter_mut().enumerate() {
        if let Some(mut found) = record(entry)
            && matches!(found, Record::Appended { .. })
        {
            change(place, &mut found);
            entry.record = serde_json::to_vec(&found).unwrap_or_default();
        }
    }
    entries
}

fn without_producers(entries: Vec<Entry>) -> Vec<Entry> {
    appends(entries, |_, record| {
        if let Record::Appended { producer, .. } = record {
            *producer = None;
        }
    })
}

/// Streams that are closed, and nobody knows by whom.
fn without_closers(mut entries: Vec<Entry>) -> Vec<Entry> {
    for entry in &mut entries {
        if let Some(mut found) = record(entry)
            && let Record::Closed { producer, .. } = &mut found
        {
            *producer = None;
            entry.record = serde_json::to_vec(&found).unwrap_or_default();
        }
    }
    entries
}

/// Only the first append of each producer counts.
fn first_of_producers(entries: Vec<Entry>) -> Vec<Entry> {
    let mut met = BTreeSet::new();
    appends(entries, |_, record| {
        if let Record::Appended { name, producer, .. } = record
            && producer.as_ref().is_some_and(|tuple| !met.insert((name.clone(), tuple.id.clone())))
        {
            *producer = None;
        }
    })
}

/// The last append of a producer without its content.
fn last_without_content(entries: Vec<Entry>) -> Vec<Entry> {
    let by_producer =
        |entry: &Entry| matches!(record(entry), Some(Record::Appended { producer: Some(_), .. }));
    let last = entries.iter().rposition(by_producer);
    appends(entries, |place, record| {
        if let Record::Appended { range, .. } = record
            && Some(place) == last
        {
            range.to = range.from;
        }
    })
}
