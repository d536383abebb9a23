//! Readers that are in each other's way, and in that of appends.

use super::{
    Ask, Breakage, DATA, Effect, Input, Model, Port, Record, STREAM_SSE_25, STREAM_SSE_26, STREAM_SSE_28,
    Seams, StreamModel, Table, Wire, decide, is_sse, port,
};
use crate::selftest::defects::{
    stream::{State, is_append},
    wire::{HOLD, HttpSeams, delay},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub(in super::super) const TABLE: Table = &[
    Breakage::race("stream/sse/append-lost-to-new-reader", STREAM_SSE_25, Port, || {
        let mut begun: BTreeSet<u64> = BTreeSet::new();
        Seams {
            // Long enough for an append to come between.
            http: delay(|request, _| is_sse(request).then_some(HOLD)),
            port: Box::new(move |state, now, input| {
                let mut input = input.clone();
                if let Input::Ask { session, name, ask: Ask::Next { from, seen, .. } } = &mut input
                    && begun.insert(*session)
                    && from == seen
                    && let Some(stream) = state.streams.get(name)
                {
                    // From the first answer it goes to the tail, wherever that is by now.
                    (*from, *seen) = (stream.tail, stream.tail);
                }
                StreamModel::decide(state, now, &input)
            }),
            ..Seams::honest()
        }
    })
    .wide("all checks of event streams append behind a reader who has just come"),
    Breakage::race("stream/sse/four-wake", STREAM_SSE_26, Port, || {
        decide(|state, input, decision| {
            let Input::Ask { ask: Ask::Append(_), .. } = input else { return };
            let woken = decision.records.iter().filter_map(|record| match record {
                Record::Woken { session, .. } if state.readers.contains_key(session) => Some(*session),
                _ => None,
            });
            let forgotten: BTreeSet<u64> = woken.skip(4).collect();
            let sleeps = |session: &u64| forgotten.contains(session);
            decision.records.retain(|r| !matches!(r, Record::Woken { session, .. } if sleeps(session)));
            decision.effects.retain(|e| !matches!(e, Effect::Answer { session, .. } if sleeps(session)));
        })
    }),
    Breakage::race("stream/sse/slow-reader-holds-up-appends", STREAM_SSE_28, Wire, || {
        let behind = Behind::default();
        let (appended, read, held) = (behind.clone(), behind.clone(), behind.clone());
        Seams {
            http: HttpSeams {
                request: Box::new(move |request| {
                    if is_append(request) {
                        appended.change(&request.path, request.body.len(), 0);
                    }
                }),
                delay: Some(Box::new(move |request, _| {
                    (is_append(request) && held.is_far(&request.path)).then_some(LONG)
                })),
                ..HttpSeams::honest()
            },
            events: Some(Box::new(move |request, events| {
                let bytes = events.iter().filter(|e| e.name == DATA).map(|e| e.data.len()).sum();
                read.change(&request.path, 0, bytes);
            })),
            ..Seams::honest()
        }
    }),
    Breakage::race("stream/sse/vanished-reader-holds-up-appends", STREAM_SSE_28, Port, || {
        let left: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let held = Arc::clone(&left);
        Seams {
            http: delay(move |request, _| {
                let held = held.lock().unwrap_or_else(PoisonError::into_inner);
                let name = request.path.rsplit('/').next().unwrap_or_default();
                (is_append(request) && held.contains(name)).then_some(LONG)
            }),
            port: port::rewrite(move |state: &State, input, _| {
                if let Input::Gone { session } = input
                    && let Some((name, _)) = state.readers.get(session)
                {
                    left.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
                }
            }),
            ..Seams::honest()
        }
    }),
];

/// Longer than anybody waits for an answer.
const LONG: Duration = Duration::from_secs(20);

/// How many bytes of a stream were appended, and how many of them were taken by readers, since there is one.
type Progress = (usize, Option<usize>);

/// How far the readers of each path are.
#[derive(Clone, Default)]
struct Behind(Arc<Mutex<BTreeMap<String, Progress>>>);

impl Behind {
    fn change(&self, path: &str, appended: usize, read: usize) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (written, taken) = all.entry(path.to_owned()).or_default();
        *written += appended;
        if appended == 0 {
            *taken = Some(taken.unwrap_or_default() + read);
        }
    }

    /// Whether a reader is as far behind as any buffer is long.
    fn is_far(&self, path: &str) -> bool {
        const FAR: usize = 1024 * 1024;
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(path)
            .is_some_and(|(written, taken)| taken.is_some_and(|taken| written - taken.min(*written) > FAR))
    }
}
