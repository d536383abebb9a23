//! Defects of "Sse".

pub(super) mod crowd;
pub(super) mod end;
pub(super) mod text;

use super::{
    Ask, Decision, Effect, Input, Record, START, Seams, StreamModel, Table, ask_mut, decide, is, through,
};
use crate::{
    embed::reference::{
        model::Model,
        stream::{
            model::{Answer, CURSOR_EPOCH, CURSOR_INTERVAL, From, Live, Wait},
            sse::Event,
        },
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};
use wireproof_spec::{
    http::Request,
    stream::{
        Cursor, Operation, SseControl,
        header::query,
        requirements::*,
        sse::{CONTROL, DATA},
    },
};

pub(super) const TABLE: Table = &[
    Breakage::always("stream/sse/live-ignored", STREAM_SSE_1, Wire, || {
        super::request(|request| {
            if is_sse(request) {
                request.query.remove(query::LIVE);
            }
        })
    })
    .wide("without event streams no check of them sees one")
    .shape("that the answer is an event stream is the requirement"),
    Breakage::always("stream/sse/no-offset-is-start", STREAM_SSE_2, Wire, || {
        super::request(|request| {
            let live = request.query.get(query::LIVE) == Some("sse");
            if live && request.query.get(query::OFFSET).is_none() {
                request.query.set(query::OFFSET, "-1");
            }
        })
    }),
    Breakage::always("stream/sse/missing-stream-is-a-bad-request", STREAM_SSE_3, Wire, || {
        super::reply(|request, response| {
            if is_sse(request) && response.status == 404 {
                response.status = 400;
            }
        })
    }),
    Breakage::second("stream/sse/third-answer-loses-its-data", STREAM_SSE_4, Wire, || {
        nth(2, |events| events.retain(|event| event.name != DATA))
    })
    .wide("all checks of event streams that append more than twice meet it"),
    Breakage::second("stream/sse/third-answer-is-said-twice", STREAM_SSE_4, Wire, || {
        nth(2, |events| events.extend(events.clone()))
    })
    .wide("all checks of event streams that append more than twice meet it"),
    Breakage::boundary("stream/sse/middle-is-start", STREAM_SSE_4, Port, || {
        through(Box::new(|state, now, input| {
            let mut input = input.clone();
            let tail = super::stream_of(state, &input).map_or(0, |s| s.tail);
            if let Some(Ask::Follow { from, .. }) = ask_mut(&mut input)
                && matches!(*from, From::At(place) if 0 < place && place < tail)
            {
                *from = From::Start;
            }
            StreamModel::decide(state, now, &input)
        }))
    }),
    Breakage::boundary("stream/sse/messages-share-a-control", STREAM_SSE_5, Wire, || {
        events(|_, events| {
            let taken_apart = events.drain(..).flat_map(|event| {
                let messages: Option<Vec<Value>> =
                    serde_json::from_str(&event.data).ok().filter(|_| event.name == DATA);
                match messages {
                    None => vec![event],
                    Some(messages) => messages
                        .iter()
                        .map(|message| Event { name: DATA.into(), data: format!("[{message}]") })
                        .collect(),
                }
            });
            *events = taken_apart.collect::<Vec<Event>>();
        })
    }),
    Breakage::boundary("stream/sse/successor-inherits-the-readers", STREAM_SSE_4, Port, inherited),
    Breakage::second("stream/sse/fourth-answer-without-control", STREAM_SSE_5, Wire, || {
        nth(3, |events| {
            if events.iter().any(|event| event.name == DATA) {
                events.retain(|event| event.name == DATA);
            }
        })
    }),
    Breakage::boundary("stream/sse/partial-answer-tells-a-later-offset", STREAM_SSE_6, Wire, || {
        partial(|control| {
            let place: Option<u64> = control.stream_next_offset.as_str().parse().ok();
            if let Some(later) = place.and_then(|place| offset(place + 1)) {
                control.stream_next_offset = later;
            }
        })
    })
    .variant("small-chunks"),
    Breakage::boundary("stream/sse/offset-counts-characters", STREAM_SSE_6, Wire, || {
        events(|_, events| {
            let more = |event: &Event| (event.data.len() - event.data.chars().count()) as u64;
            let more: u64 = events.iter().filter(|event| event.name == DATA).map(more).sum();
            change(events, |control| {
                let place: Option<u64> = control.stream_next_offset.as_str().parse().ok();
                if let Some(earlier) = place.and_then(|place| offset(place.checked_sub(more)?)) {
                    control.stream_next_offset = earlier;
                }
            });
        })
    }),
    Breakage::second("stream/sse/second-answer-tells-the-offset-of-the-first", STREAM_SSE_6, Wire, || {
        let before: Mutex<BTreeMap<String, Event>> = Mutex::default();
        let count = Count::new();
        events(move |request, events| {
            let turn = count.up(&request.path);
            let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(last) = events.iter_mut().rfind(|event| event.name == CONTROL) else { return };
            match before.get(&request.path) {
                Some(first) if turn == 1 => *last = first.clone(),
                _ => {
                    before.insert(request.path.clone(), last.clone());
                }
            }
        })
    }),
    Breakage::always("stream/sse/control-without-cursor", STREAM_SSE_7, Wire, || {
        controls(|_, control| control.stream_cursor = None)
    })
    .shape("that the field is there is the requirement"),
    Breakage::boundary("stream/sse/now-without-cursor", STREAM_SSE_7, Wire, || {
        controls(|request, control| {
            if is_now(request) {
                control.stream_cursor = None;
            }
        })
    })
    .shape("that the field is there is the requirement"),
    Breakage::always("stream/sse/cursor-ignored", STREAM_SSE_8, Wire, || {
        super::request(|request| {
            if is_sse(request) {
                request.query.remove(query::CURSOR);
            }
        })
    }),
    Breakage::always("stream/sse/equal-cursor-echoed", STREAM_SSE_8, Wire, || {
        controls(|request, control| {
            let theirs: Option<u64> = request.query.get(query::CURSOR).and_then(|c| c.parse().ok());
            if let Some(theirs) = theirs {
                control.stream_cursor = Some(Cursor::from(theirs));
            }
        })
    }),
    Breakage::second("stream/sse/only-the-first-cursor-passes", STREAM_SSE_8, Wire, || {
        let count = Count::new();
        events(move |request, events| {
            if request.query.get(query::CURSOR).is_some() && count.up(&request.path) > 0 {
                change(events, |control| control.stream_cursor = Some(Cursor::from(interval())));
            }
        })
    }),
    Breakage::second("stream/sse/second-answer-not-up-to-date", STREAM_SSE_9, Wire, || {
        nth(1, |events| change(events, |control| control.up_to_date = false))
    }),
    Breakage::boundary("stream/sse/messages-never-up-to-date", STREAM_SSE_9, Wire, || {
        events(|_, events| {
            if events.iter().any(|event| event.name == DATA && event.data.starts_with('[')) {
                change(events, |control| control.up_to_date = false);
            }
        })
    }),
    Breakage::boundary("stream/sse/partial-answer-up-to-date", STREAM_SSE_10, Wire, || {
        partial(|control| control.up_to_date = true)
    })
    .variant("small-chunks"),
    Breakage::boundary("stream/sse/now-is-start", STREAM_SSE_27, Wire, || {
        super::request(|request| {
            if is_now(request) {
                request.query.set(query::OFFSET, "-1");
            }
        })
    }),
    Breakage::boundary("stream/sse/now-says-nothing-first", STREAM_SSE_27, Wire, || {
        events(|request, events| {
            if is_now(request) && events.iter().all(|event| event.name != DATA) {
                events.clear();
            }
        })
    }),
    Breakage::boundary("stream/sse/now-not-up-to-date", STREAM_SSE_27, Wire, || {
        events(|request, events| {
            if is_now(request) && events.iter().all(|event| event.name != DATA) {
                change(events, |control| control.up_to_date = control.stream_closed);
            }
        })
    }),
    Breakage::boundary("stream/sse/now-tells-the-start", STREAM_SSE_27, Wire, || {
        events(|request, events| {
            if is_now(request) && events.iter().all(|event| event.name != DATA) {
                change(events, tells_start);
            }
        })
    }),
    Breakage::always("stream/sse/absent-looks-like-no-stream", STREAM_SSE_30, Wire, || {
        super::reply(|request, response| {
            if is_sse(request) {
                response.status = 404;
            }
        })
    })
    .variant("bare"),
];

/// Readers who are kept by the name of their stream, and go on with the next one of this name.
fn inherited() -> Seams {
    let mut orphans: BTreeMap<String, Vec<(u64, Wait)>> = BTreeMap::new();
    decide(move |state, input, decision| {
        let Input::Ask { name, ask, .. } = input else { return };
        let is_created = |record: &Record| matches!(record, Record::Created { .. });
        if let Ask::Delete = ask {
            let waiting = super::stream_of(state, input).map(|s| s.waiting.clone()).unwrap_or_default();
            let staying: Vec<(u64, Wait)> = (waiting.into_iter())
                .filter_map(|session| Some((session, state.waits.get(&session)?.clone())))
                .filter(|(_, wait)| wait.live == Live::Sse)
                .collect();
            let stays = |session: &u64| staying.iter().any(|(other, _)| other == session);
            decision.records.retain(|r| !matches!(r, Record::Left { session, .. } if stays(session)));
            decision.effects.retain(|e| !matches!(e, Effect::Answer { session, .. } if stays(session)));
            orphans.insert(name.clone(), staying);
        } else if decision.records.iter().any(is_created) {
            for (session, wait) in orphans.remove(name).unwrap_or_default() {
                let until = wait.deadline;
                decision.records.push(Record::Following { session, name: name.clone(), until });
                decision.records.push(Record::Waiting { session, wait: Wait { from: 0, ..wait } });
            }
        }
    })
}

fn is_sse(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Sse(_)))
}

fn is_now(request: &Request) -> bool {
    is_sse(request) && request.query.get(query::OFFSET) == Some("now")
}

/// The events of each answer changed.
fn events(change: impl Fn(&Request, &mut Vec<Event>) + Send + Sync + 'static) -> Seams {
    Seams { events: Some(Box::new(change)), ..Seams::honest() }
}

/// The events of the answer with this number, counted over all readers of a stream from 0.
fn nth(number: u32, change: fn(&mut Vec<Event>)) -> Seams {
    let count = Count::new();
    events(move |request, events| {
        if count.up(&request.path) == number {
            change(events);
        }
    })
}

/// Each control event changed.
fn controls(how: impl Fn(&Request, &mut SseControl) + Send + Sync + 'static) -> Seams {
    events(move |request, events| change(events, |control| how(request, control)))
}

/// Each control event changed that tells of more to come.
fn partial(how: fn(&mut SseControl)) -> Seams {
    controls(move |_, control| {
        if !control.up_to_date && !control.stream_closed {
            how(control);
        }
    })
}

fn change(events: &mut [Event], how: impl Fn(&mut SseControl)) {
    for event in events.iter_mut().filter(|event| event.name == CONTROL) {
        if let Ok(mut control) = serde_json::from_str(&event.data) {
            how(&mut control);
            event.data = serde_json::to_string(&control).unwrap_or_default();
        }
    }
}

fn offset(place: u64) -> Option<wireproof_spec::stream::Offset> {
    wireproof_spec::stream::Offset::parse(&format!("{place:020}")).ok()
}

fn tells_start(control: &mut SseControl) {
    if let Ok(start) = wireproof_spec::stream::Offset::parse(START) {
        control.stream_next_offset = start;
    }
}

/// The number of the current interval, which is what a cursor is for whoever has none.
fn interval() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    u64::try_from(now).unwrap_or_default().saturating_sub(CURSOR_EPOCH) / CURSOR_INTERVAL
}

/// The data of each data event changed.
fn data(how: impl Fn(&mut String) + Send + Sync + 'static) -> Seams {
    events(move |_, events| events.iter_mut().filter(|e| e.name == DATA).for_each(|e| how(&mut e.data)))
}
