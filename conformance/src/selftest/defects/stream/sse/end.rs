//! Event streams that end at the wrong time, or not.

use super::{
    Answer, Ask, Breakage, DATA, Decision, Effect, From, Input, Model, Port, Record, STREAM_SSE_11,
    STREAM_SSE_12, STREAM_SSE_13, STREAM_SSE_14, STREAM_SSE_15, STREAM_SSE_24, Seams, StreamModel, Table,
    Wire, ask_mut, change, decide, events, is_now, port, tells_start, through,
};
use crate::{
    embed::reference::{
        model,
        stream::model::{Append, Live, Wait},
    },
    selftest::defects::{
        stream::is_append,
        wire::{HOLD, delay},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};
use wireproof_spec::stream::Cursor;

pub(in super::super) const TABLE: Table = &[
    Breakage::boundary("stream/sse/last-bytes-look-open", STREAM_SSE_11, Wire, || {
        events(|_, events| {
            if events.iter().any(|event| event.name == DATA) {
                change(events, |control| {
                    if control.stream_closed {
                        control.stream_closed = false;
                        control.stream_cursor = Some(Cursor::from(1));
                    }
                });
            }
        })
    }),
    Breakage::boundary("stream/sse/closed-before-the-last-bytes", STREAM_SSE_11, Wire, || {
        events(|_, events| {
            // The control event of a partial answer does not know that more is to come.
            change(events, |control| {
                if !control.up_to_date {
                    control.stream_closed = true;
                    control.up_to_date = true;
                    control.stream_cursor = None;
                }
            });
        })
    })
    .variant("small-chunks"),
    Breakage::boundary("stream/sse/closed-is-said-twice", STREAM_SSE_12, Wire, || {
        events(|_, events| {
            if let Some(last) = events.last().filter(|event| is_closed(&event.data)).cloned() {
                events.push(last);
            }
        })
    }),
    Breakage::boundary("stream/sse/closed-stays-open", STREAM_SSE_12, Port, || Seams {
        events: Some(Box::new(|_, events| {
            change(events, |control| {
                // The mark of an answer that is closed and goes on.
                if control.stream_cursor == Some(Cursor::from(MARK)) {
                    control.stream_closed = true;
                    control.stream_cursor = None;
                }
            });
        })),
        port: goes_on(|_| true, Some(MARK)),
        ..Seams::honest()
    }),
    Breakage::boundary("stream/sse/close-unnoticed", STREAM_SSE_13, Port, || {
        asleep(|ask| matches!(ask, Ask::Close { .. }))
    }),
    Breakage::race("stream/sse/close-beside-a-start-unnoticed", STREAM_SSE_13, Port, || {
        let mut closed: BTreeMap<String, Instant> = BTreeMap::new();
        Seams {
            // So that nobody who waits for the answer begins beside it.
            http: delay(|request, _| is_append(request).then_some(HOLD * 3)),
            port: goes_on_where(
                move |name, ask| {
                    if let Ask::Append(Append { closed: true, .. }) = ask {
                        closed.insert(name.to_owned(), Instant::now());
                    }
                    let beside = |since: &Instant| since.elapsed() < HOLD * 2;
                    matches!(ask, Ask::Follow { .. }) && closed.get(name).is_some_and(beside)
                },
                Some(1),
            ),
            ..Seams::honest()
        }
    }),
    Breakage::boundary("stream/sse/closing-append-looks-open", STREAM_SSE_13, Port, || {
        through(goes_on(|ask| !matches!(ask, Ask::Follow { .. } | Ask::Close { .. }), Some(1)))
    }),
    Breakage::boundary("stream/sse/closed-tail-not-up-to-date", STREAM_SSE_14, Wire, || {
        events(|_, events| {
            if events.iter().all(|event| event.name != DATA) {
                change(events, |control| control.up_to_date &= !control.stream_closed);
            }
        })
    })
    .shape("which fields are there is the requirement"),
    Breakage::boundary("stream/sse/closed-tail-looks-open", STREAM_SSE_14, Port, || {
        through(goes_on(|ask| matches!(ask, Ask::Follow { from: From::At(_) | From::Start, .. }), Some(1)))
    }),
    Breakage::boundary("stream/sse/now-on-closed-looks-open", STREAM_SSE_15, Port, || {
        through(goes_on(|ask| matches!(ask, Ask::Follow { from: From::Now, .. }), Some(1)))
    }),
    Breakage::boundary("stream/sse/now-on-closed-tells-the-start", STREAM_SSE_15, Wire, || {
        events(|request, events| {
            if is_now(request) && events.last().is_some_and(|event| is_closed(&event.data)) {
                change(events, tells_start);
            }
        })
    }),
    Breakage::boundary("stream/sse/now-on-closed-says-open-first", STREAM_SSE_15, Wire, || {
        events(|request, events| {
            if is_now(request)
                && events.len() == 1
                && let Some(mut first) = events.last().filter(|event| is_closed(&event.data)).cloned()
            {
                let mut said = vec![first.clone()];
                change(&mut said, |control| {
                    control.stream_closed = false;
                    control.stream_cursor = Some(Cursor::from(1));
                });
                first.data = said.pop().map(|event| event.data).unwrap_or_default();
                events.insert(0, first);
            }
        })
    }),
    Breakage::boundary("stream/sse/never-ended", STREAM_SSE_24, Port, || lasts(|_| 3_600_000))
        .variant("durable"),
    Breakage::boundary("stream/sse/ended-early", STREAM_SSE_24, Port, || lasts(|time| time / 10))
        .variant("durable"),
];

/// A cursor that no honest answer has.
const MARK: u64 = u64::MAX;

fn is_closed(data: &str) -> bool {
    data.contains("\"streamClosed\":true")
}

/// Event streams that last for another time.
fn lasts(time: fn(u64) -> u64) -> Seams {
    through(port::rewrite_input(move |_, input| {
        if let Some(Ask::Follow { poll, .. }) = ask_mut(input) {
            poll.patience = time(poll.patience);
        }
    }))
}

/// Answers at the tail of a closed stream, to readers that stay, that say nothing of the closure; and then the reader waits.
fn goes_on(which: fn(&Ask) -> bool, cursor: Option<u64>) -> model::Port<StreamModel> {
    goes_on_where(move |_, ask| which(ask), cursor)
}

/// As [`goes_on`], by the name of the stream too.
fn goes_on_where(
    mut which: impl FnMut(&str, &Ask) -> bool + Send + 'static,
    cursor: Option<u64>,
) -> model::Port<StreamModel> {
    let mut misled: BTreeSet<u64> = BTreeSet::new();
    Box::new(move |state, now, input| {
        let mut decision = StreamModel::decide(state, now, input);
        let Input::Ask { session, ask, name } = input else { return decision };
        if let Ask::Next { from, poll, .. } = ask
            && misled.contains(session)
            && let Some((_, until)) = state.readers.get(session)
        {
            // There is nothing to wait for.
            let wait =
                Wait { name: name.clone(), from: *from, poll: *poll, deadline: *until, live: Live::Sse };
            let waiting = Record::Waiting { session: *session, wait };
            return Decision { records: vec![waiting], effects: Vec::new() };
        }
        if which(name, ask) {
            for effect in &mut decision.effects {
                if let Effect::Answer { session: to, answer } = effect
                    && (state.readers.contains_key(to) || matches!(ask, Ask::Follow { .. }))
                    && let Answer::Content { closed: told @ true, cursor: with, .. }
                    | Answer::Nothing { closed: told @ true, cursor: with, .. } = answer
                {
                    (*told, *with) = (false, cursor);
                    misled.insert(*to);
                }
            }
        }
        decision
    })
}

/// Requests that wake nobody who reads an event stream.
fn asleep(which: fn(&Ask) -> bool) -> Seams {
    decide(move |state, input, decision| {
        let Input::Ask { ask, .. } = input else { return };
        if which(ask) {
            let sleeps = |session: &u64| state.readers.contains_key(session);
            decision.records.retain(|r| !matches!(r, Record::Woken { session, .. } if sleeps(session)));
            decision.effects.retain(|e| !matches!(e, Effect::Answer { session, .. } if sleeps(session)));
        }
    })
}
