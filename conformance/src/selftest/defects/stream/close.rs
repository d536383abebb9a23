//! Defects of "Close".

use super::{
    Answer, Append, Ask, Effect, Lifetime, Record, Refusal, Table, answers, appended_record, ask, decide,
    is_append, is_close, racing, record, recovery, refusal, reply, request, stream_of,
};
use crate::{
    embed::reference::log::{Entry, Range},
    protocol::Cut::{Log, Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use std::collections::BTreeMap;
use wireproof_spec::{
    http::{Body, Request},
    stream::{
        header::{CLOSED, CONTENT_TYPE},
        requirements::*,
    },
};

pub(super) const TABLE: Table = &[
    Breakage::boundary("stream/close/empty-stays-open", STREAM_CLOSE_1, Port, || {
        decide(|state, input, decision| {
            if matches!(ask(input), Some((_, Ask::Close { .. })))
                && stream_of(state, input).is_some_and(|s| s.tail == 0)
            {
                decision.records.clear();
            }
        })
    })
    .wide("many settings close an empty stream"),
    Breakage::always("stream/close/start-told-as-tail", STREAM_CLOSE_1, Port, || {
        decide(|_, _, decision| {
            for answer in answers(decision) {
                if let Answer::Closed { tail, .. } = answer {
                    *tail = 0;
                }
            }
        })
    }),
    Breakage::boundary("stream/close/repetition-accepted", STREAM_CLOSE_2, Port, || {
        let mut last = BTreeMap::new();
        decide(move |_, input, decision| {
            let Some((name, Ask::Append(Append { closed: true, body, .. }))) = ask(input) else { return };
            for answer in answers(decision) {
                match answer {
                    Answer::Appended { .. } => {
                        last.insert(name.to_owned(), body.clone());
                    }
                    Answer::Refused(Refusal::Closed { tail }) if last.get(name) == Some(body) => {
                        *answer = Answer::Appended { tail: *tail, closed: true, produced: None };
                    }
                    _ => {}
                }
            }
        })
    }),
    Breakage::boundary("stream/close/with-body-accepted", STREAM_CLOSE_2, Port, || {
        decide(|_, input, decision| {
            let Some((_, Ask::Append(Append { closed: true, .. }))) = ask(input) else { return };
            for answer in answers(decision) {
                if let Answer::Refused(Refusal::Closed { tail }) = answer {
                    *answer = Answer::Closed { tail: *tail, produced: None };
                }
            }
        })
    }),
    Breakage::always("stream/close/media-type-compared", STREAM_CLOSE_3, Wire, || {
        request(|request| {
            let given = request.headers.get(CONTENT_TYPE);
            if is_close(request) && given.is_some_and(|given| given != "text/plain") {
                request.body = Body("x".into());
            }
        })
    }),
    Breakage::always("stream/close/missing-stream-conflicts", STREAM_CLOSE_4, Wire, || {
        reply(|request, response| {
            if request.method == "POST" && request.headers.get(CLOSED).is_some() && response.status == 404 {
                response.status = 409;
            }
        })
    }),
    Breakage::boundary("stream/close/missing-stream-made", STREAM_CLOSE_4, Port, || {
        decide(|state, input, decision| {
            let Some((name, Ask::Append(Append { media_type, closed: true, body, .. }))) = ask(input) else {
                return;
            };
            if stream_of(state, input).is_some() {
                return;
            }
            let range = Range { owner: state.next, from: 0, to: body.len() as u64 };
            let (name, bytes) = (name.to_owned(), body.clone());
            decision.records = vec![
                Record::Created {
                    name: name.clone(),
                    incarnation: state.next,
                    media_type: media_type.clone(),
                    lifetime: Lifetime::Unlimited,
                    origin: None,
                    at: 0,
                },
                Record::Appended { name: name.clone(), range, bytes, producer: None, seq: None, at: 0 },
                Record::Closed { name, producer: None, at: 0 },
            ];
            answers(decision)
                .for_each(|a| *a = Answer::Appended { tail: range.to, closed: true, produced: None });
        })
    }),
    Breakage::race("stream/close/undone", STREAM_CLOSE_5, Port, || {
        racing(writes, |flying| {
            port::rewrite(move |_, input, decision| {
                if matches!(ask(input), Some((name, Ask::Close { .. })) if flying.several(name)) {
                    decision.records.retain(|r| !matches!(r, Record::Closed { .. }));
                }
            })
        })
    }),
    Breakage::race("stream/close/appended-behind", STREAM_CLOSE_5, Port, || {
        racing(writes, |flying| {
            port::rewrite(move |state, input, decision| {
                let Some((name, Ask::Append(Append { closed: false, body, .. }))) = ask(input) else {
                    return;
                };
                let Some(stream) = stream_of(state, input).filter(|s| s.closed) else { return };
                if flying.several(name) {
                    decision.records.push(appended_record(name, stream, body));
                    let tail = stream.tail + body.len() as u64;
                    answers(decision)
                        .for_each(|a| *a = Answer::Appended { tail, closed: false, produced: None });
                }
            })
        })
    }),
    Breakage::restart("stream/close/open-after-restart", STREAM_CLOSE_6, Log, || {
        recovery(|orderly, mut entries| {
            if orderly {
                entries.retain(|entry| !matches!(record(entry), Some(Record::Closed { .. })));
            }
            entries
        })
    }),
    Breakage::restart("stream/close/empty-open-after-restart", STREAM_CLOSE_6, Log, || {
        recovery(|orderly, entries| if orderly { without_closed_empty(entries) } else { entries })
    }),
    Breakage::boundary("stream/close/readers-left-waiting", STREAM_CLOSE_7, Port, || {
        decide(|_, input, decision| {
            if matches!(ask(input), Some((_, Ask::Close { .. }))) {
                wakes_only(0, decision);
            }
        })
    }),
    Breakage::boundary("stream/close/one-reader-woken", STREAM_CLOSE_7, Port, || {
        decide(|_, input, decision| {
            if matches!(ask(input), Some((_, Ask::Close { .. }))) {
                wakes_only(1, decision);
            }
        })
    }),
    Breakage::always("stream/close/case-sensitive", STREAM_CLOSE_8, Wire, || {
        request(|request| {
            if request.headers.get(CLOSED).is_some_and(|v| v != "true" && v.eq_ignore_ascii_case("true")) {
                request.headers.remove(CLOSED);
            }
        })
    }),
    Breakage::boundary("stream/close/mixed-case-ignored-at-creation", STREAM_CLOSE_8, Wire, || {
        request(|request| {
            if request.method == "PUT"
                && request.headers.get(CLOSED).is_some_and(|v| !matches!(v, "true" | "True" | "TRUE"))
            {
                request.headers.remove(CLOSED);
            }
        })
    }),
    Breakage::boundary("stream/close/any-value-closes", STREAM_CLOSE_9, Wire, || {
        request(|request| closes_by(request, "POST", |_| true))
    }),
    Breakage::boundary("stream/close/one-closes", STREAM_CLOSE_9, Wire, || {
        request(|request| closes_by(request, "POST", |value| value == "1"))
    }),
    Breakage::boundary("stream/close/any-value-closes-without-body", STREAM_CLOSE_9, Wire, || {
        request(|request| {
            if request.body.is_empty() {
                closes_by(request, "POST", |_| true);
            }
        })
    }),
    Breakage::boundary("stream/close/any-value-closes-at-creation", STREAM_CLOSE_10, Wire, || {
        request(|request| closes_by(request, "PUT", |_| true))
    }),
    Breakage::boundary("stream/close/empty-value-closes-at-creation", STREAM_CLOSE_10, Wire, || {
        request(|request| closes_by(request, "PUT", str::is_empty))
    }),
    Breakage::always("stream/close/other-value-refused", STREAM_CLOSE_11, Wire, || {
        reply(|request, response| {
            if is_append(request)
                && request.headers.get(CLOSED).is_some_and(|v| !v.eq_ignore_ascii_case("true"))
            {
                *response = refusal(400);
            }
        })
    }),
    Breakage::always("stream/close/other-value-refused-at-creation", STREAM_CLOSE_11, Wire, || {
        request(|request| {
            if request.method == "PUT"
                && request.headers.get(CLOSED).is_some_and(|v| !v.eq_ignore_ascii_case("true"))
            {
                request.headers.set(CONTENT_TYPE, "none");
            }
        })
    })
    .shape("no honest server has a reason to refuse a PUT as malformed"),
    Breakage::boundary("stream/close/other-value-refused-when-there", STREAM_CLOSE_11, Wire, || {
        reply(|request, response| {
            if request.method == "PUT"
                && response.status == 200
                && request.headers.get(CLOSED).is_some_and(|v| !v.eq_ignore_ascii_case("true"))
            {
                *response = refusal(409);
            }
        })
    }),
    Breakage::second("stream/close/again-refused", STREAM_CLOSE_12, Port, || {
        let count = Count::new();
        decide(move |state, input, decision| {
            let (Some((name, Ask::Close { .. })), Some(stream)) = (ask(input), stream_of(state, input))
            else {
                return;
            };
            if stream.closed && count.up(name) > 0 {
                answers(decision).for_each(|a| *a = Answer::Refused(Refusal::Closed { tail: stream.tail }));
            }
        })
    }),
];

fn writes(request: &Request) -> bool {
    is_append(request) || is_close(request)
}

fn closes_by(request: &mut Request, method: &str, which: fn(&str) -> bool) {
    if request.method == method && request.headers.get(CLOSED).is_some_and(which) {
        request.headers.set(CLOSED, "true");
    }
}

/// Without the closes of streams that were empty.
fn without_closed_empty(mut entries: Vec<Entry>) -> Vec<Entry> {
    let full: Vec<String> = entries
        .iter()
        .filter_map(|entry| match record(entry) {
            Some(Record::Appended { name, .. }) => Some(name),
            _ => None,
        })
        .collect();
    entries
        .retain(|entry| !matches!(record(entry), Some(Record::Closed { name, .. }) if !full.contains(&name)));
    entries
}

/// Answers the one who asked and so many of those who wait; the others wait on.
fn wakes_only(readers: usize, decision: &mut crate::embed::reference::model::Decision<super::StreamModel>) {
    let mut woken = Vec::new();
    decision.effects.retain(|effect| match effect {
        Effect::Answer { session, answer: Answer::Nothing { .. } } => {
            let wakes = woken.len() < readers;
            if wakes {
                woken.push(*session);
            }
            wakes
        }
        _ => true,
    });
    decision.records.retain(|r| !matches!(r, Record::Left { session, .. } if !woken.contains(session)));
}
