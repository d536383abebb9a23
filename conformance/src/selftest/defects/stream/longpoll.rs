//! Defects of "Longpoll".

pub(super) mod cursor;

use super::{
    Answer, Append, Ask, Decision, Effect, Input, Live, Record, START, Seams, State, StreamModel, Table,
    answers, ask, ask_mut, decide, is, reply, request, stream_of, through,
};
use crate::{
    embed::reference::{
        log::Range,
        model::{Model, Port as ModelPort},
        stream::model::{From, Stream, Wait},
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use std::collections::{BTreeMap, BTreeSet};
use wireproof_spec::{
    http::Request,
    stream::{
        Operation,
        header::{CLOSED, CURSOR, NEXT_OFFSET, UP_TO_DATE, query},
        requirements::*,
    },
};

pub(super) const TABLE: Table = &[
    Breakage::always("stream/longpoll/no-offset-is-start", STREAM_LONGPOLL_1, Wire, || {
        request(|request| {
            if request.query.get(query::LIVE).is_some() && request.query.get(query::OFFSET).is_none() {
                request.query.set(query::OFFSET, "-1");
            }
        })
    }),
    Breakage::boundary("stream/longpoll/content-behind-the-middle-waits", STREAM_LONGPOLL_2, Port, || {
        waits_if(|stream, from, _| 0 < from && from < stream.tail)
    }),
    Breakage::always("stream/longpoll/start-is-tail", STREAM_LONGPOLL_2, Port, || {
        through(port::rewrite_input(|_, input| {
            if let Some(Ask::LongPoll { from, .. }) = ask_mut(input)
                && *from == From::Start
            {
                *from = From::Now;
            }
        }))
    }),
    Breakage::second("stream/longpoll/second-append-wakes-nobody", STREAM_LONGPOLL_3, Port, || {
        let count = Count::new();
        asleep(move |name, waiting, _| if count.up(name) > 0 { waiting } else { BTreeSet::new() })
    })
    .wide("event streams wait as long-polls do"),
    Breakage::boundary("stream/longpoll/last-append-wakes-without-it", STREAM_LONGPOLL_3, Port, || {
        decide(|state, input, decision| {
            let Some((_, Ask::Append(Append { closed: true, .. }))) = ask(input) else { return };
            let Some(tail) = stream_of(state, input).map(|s| s.tail) else { return };
            for answer in answers(decision) {
                if let Answer::Content { media_type, .. } = answer {
                    let media_type = media_type.clone();
                    *answer = Answer::Nothing { tail, media_type, closed: true, cursor: None };
                }
            }
        })
    }),
    Breakage::boundary("stream/longpoll/empty-start-answered", STREAM_LONGPOLL_4, Port, || {
        decide(|state, input, decision| {
            let Input::Ask { session, ask: Ask::LongPoll { from: From::Start, .. }, .. } = input else {
                return;
            };
            if let Some(stream) = stream_of(state, input).filter(|s| s.tail == 0 && !s.closed) {
                let answer = empty(stream, Some(1));
                *decision = Decision::default();
                decision.effects.push(Effect::Answer { session: *session, answer });
            }
        })
    }),
    Breakage::boundary("stream/longpoll/timeout-tells-start", STREAM_LONGPOLL_5, Wire, || {
        reply(|request, response| {
            if is_long_poll(request) && response.status == 204 && response.headers.get(CLOSED).is_none() {
                response.headers.set(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::boundary("stream/longpoll/timeout-answered-200", STREAM_LONGPOLL_5, Port, || {
        decide(|state, input, decision| {
            let Input::Tick = input else { return };
            for effect in &mut decision.effects {
                if let Effect::Answer { session, answer } = effect
                    && let Answer::Nothing { closed: false, cursor, .. } = answer
                    && let Some(stream) = waited_for(state, *session)
                {
                    *answer = empty(stream, *cursor);
                }
            }
        })
    }),
    Breakage::boundary("stream/longpoll/timeout-of-messages-answered-200", STREAM_LONGPOLL_5, Port, || {
        timed_out(|stream, _| stream.media_type.is_json())
    }),
    Breakage::boundary("stream/longpoll/timeout-at-start-answered-200", STREAM_LONGPOLL_4, Port, || {
        timed_out(|_, from_start| from_start)
    }),
    Breakage::boundary("stream/longpoll/timeout-not-up-to-date", STREAM_LONGPOLL_6, Wire, || {
        reply(|request, response| {
            if is_long_poll(request) && response.status == 204 && response.headers.get(CLOSED).is_none() {
                response.headers.remove(UP_TO_DATE);
            }
        })
    })
    .shape("that the header is there is the requirement"),
    Breakage::boundary("stream/longpoll/timeout-without-cursor", STREAM_LONGPOLL_7, Wire, || {
        reply(|request, response| {
            if is_long_poll(request) && response.status == 204 {
                response.headers.remove(CURSOR);
            }
        })
    })
    .shape("that the header is there is the requirement"),
    Breakage::always("stream/longpoll/content-without-cursor", STREAM_LONGPOLL_8, Wire, || {
        reply(|request, response| {
            if is_long_poll(request) && request.query.get(query::OFFSET) == Some("-1") {
                response.headers.remove(CURSOR);
            }
        })
    })
    .shape("that the header is there is the requirement"),
    Breakage::boundary("stream/longpoll/woken-without-cursor", STREAM_LONGPOLL_8, Port, || {
        decide(|_, input, decision| {
            let Input::Ask { session: asking, .. } = input else { return };
            woken(decision, *asking, |answer| {
                if let Answer::Content { cursor, .. } = answer {
                    *cursor = None;
                }
            });
        })
    })
    .shape("that the header is there is the requirement"),
    Breakage::boundary("stream/longpoll/closed-tail-waits", STREAM_LONGPOLL_9, Port, || {
        waits_if(|stream, from, asked| stream.closed && from == stream.tail && asked != From::Now)
    }),
    Breakage::boundary("stream/longpoll/closed-tail-answered-200", STREAM_LONGPOLL_10, Port, || {
        closed_answer(|stream, asked| (asked != From::Now).then(|| empty(stream, Some(1))))
    }),
    Breakage::boundary(
        "stream/longpoll/closed-tail-of-messages-answered-200",
        STREAM_LONGPOLL_10,
        Port,
        || {
            closed_answer(|stream, asked| {
                (stream.media_type.is_json() && asked != From::Now).then(|| empty(stream, Some(1)))
            })
        },
    ),
    Breakage::boundary("stream/longpoll/closed-tail-looks-open", STREAM_LONGPOLL_10, Port, || {
        closed_answer(|stream, asked| {
            let open = Answer::Nothing {
                tail: stream.tail,
                media_type: stream.media_type.clone(),
                closed: false,
                cursor: Some(1),
            };
            (asked != From::Now).then_some(open)
        })
    }),
    Breakage::boundary("stream/longpoll/closed-empty-start-answered-200", STREAM_LONGPOLL_10, Port, || {
        closed_answer(|stream, asked| (asked == From::Start).then(|| empty(stream, Some(1))))
    }),
    Breakage::boundary("stream/longpoll/last-bytes-look-open", STREAM_LONGPOLL_11, Port, || {
        decide(|_, input, decision| {
            if let Some((_, Ask::LongPoll { .. })) = ask(input) {
                answers(decision).for_each(looks_open);
            }
        })
    }),
    Breakage::boundary("stream/longpoll/woken-by-last-bytes-look-open", STREAM_LONGPOLL_11, Port, || {
        decide(|_, input, decision| {
            if let Input::Ask { session, ask: Ask::Append(Append { .. }), .. } = input {
                woken(decision, *session, looks_open);
            }
        })
    }),
    Breakage::boundary("stream/longpoll/now-is-start", STREAM_LONGPOLL_12, Wire, || {
        request(|request| {
            if is_long_poll(request) && request.query.get(query::OFFSET) == Some("now") {
                request.query.set(query::OFFSET, "-1");
            }
        })
    }),
    Breakage::boundary("stream/longpoll/now-does-not-wait", STREAM_LONGPOLL_12, Port, || {
        decide(|state, input, decision| {
            let Input::Ask { session, ask: Ask::LongPoll { from: From::Now, .. }, .. } = input else {
                return;
            };
            if let Some(stream) = stream_of(state, input).filter(|s| !s.closed) {
                let answer = Answer::Nothing {
                    tail: stream.tail,
                    media_type: stream.media_type.clone(),
                    closed: false,
                    cursor: Some(1),
                };
                *decision = Decision::default();
                decision.effects.push(Effect::Answer { session: *session, answer });
            }
        })
    }),
    Breakage::boundary("stream/longpoll/now-on-closed-waits", STREAM_LONGPOLL_13, Port, || {
        waits_if(|stream, _, asked| stream.closed && asked == From::Now)
    }),
    Breakage::boundary("stream/longpoll/now-on-closed-tells-start", STREAM_LONGPOLL_13, Port, || {
        closed_answer(|stream, asked| {
            (asked == From::Now).then_some(Answer::Nothing {
                tail: 0,
                media_type: stream.media_type.clone(),
                closed: true,
                cursor: None,
            })
        })
    }),
    Breakage::race("stream/longpoll/one-wakes", STREAM_LONGPOLL_14, Port, || {
        asleep(|_, waiting, _| waiting.into_iter().skip(1).collect())
    }),
    Breakage::race("stream/longpoll/eight-wake", STREAM_LONGPOLL_14, Port, || {
        asleep(|_, waiting, _| waiting.into_iter().skip(8).collect())
    }),
    Breakage::race("stream/longpoll/append-lost-to-new-wait", STREAM_LONGPOLL_15, Port, || {
        // Between looking at the tail and waiting, one step of the stream is missed.
        asleep(|_, _, newest| newest.into_iter().collect())
    })
    .wide("event streams wait as long-polls do"),
    Breakage::race("stream/longpoll/append-late-to-new-wait", STREAM_LONGPOLL_15, Port, || {
        late(|_, _, newest| newest.into_iter().collect())
    })
    .wide("event streams wait as long-polls do"),
];

fn is_long_poll(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Longpoll(_)))
}

/// An answer that holds nothing and reaches the tail.
fn empty(stream: &Stream, cursor: Option<u64>) -> Answer {
    Answer::Content {
        range: Range { owner: stream.incarnation, from: stream.tail, to: stream.tail },
        inherited: stream.inherited(),
        media_type: stream.media_type.clone(),
        up_to_date: true,
        closed: stream.closed,
        cursor,
    }
}

fn looks_open(answer: &mut Answer) {
    if let Answer::Content { closed, .. } = answer {
        *closed = false;
    }
}

/// The answers to those who waited.
fn woken(decision: &mut Decision<StreamModel>, asking: u64, change: fn(&mut Answer)) {
    for effect in &mut decision.effects {
        if let Effect::Answer { session, answer } = effect
            && *session != asking
        {
            change(answer);
        }
    }
}

/// The stream of which a session waits for more.
fn waited_for(state: &State, session: u64) -> Option<&Stream> {
    state.waits.get(&session).and_then(|wait| state.streams.get(&wait.name))
}

/// Timeouts that are answered with 200 and no content: of these streams, to who asked for the start or not.
fn timed_out(which: fn(&Stream, bool) -> bool) -> Seams {
    let mut from_start: BTreeSet<u64> = BTreeSet::new();
    decide(move |state, input, decision| {
        if let Input::Ask { session, ask: Ask::LongPoll { from: From::Start, .. }, .. } = input {
            from_start.insert(*session);
        }
        let Input::Tick = input else { return };
        for effect in &mut decision.effects {
            if let Effect::Answer { session, answer } = effect
                && let Answer::Nothing { closed: false, cursor, .. } = answer
                && let Some(stream) = waited_for(state, *session)
                && which(stream, from_start.contains(session))
            {
                *answer = empty(stream, *cursor);
            }
        }
    })
}

/// Another answer to a long-poll at the tail of a closed stream.
fn closed_answer(other: fn(&Stream, From) -> Option<Answer>) -> Seams {
    decide(move |state, input, decision| {
        let Some((_, Ask::LongPoll { from, .. })) = ask(input) else { return };
        let Some(stream) = stream_of(state, input).filter(|s| s.closed) else { return };
        for answer in answers(decision) {
            if let (Answer::Nothing { .. }, Some(other)) = (&*answer, other(stream, *from)) {
                *answer = other;
            }
        }
    })
}

/// Long-polls that wait although they should not: on this stream, at this position, which was asked for in this way.
pub(super) fn waits_if(which: fn(&Stream, u64, From) -> bool) -> Seams {
    through(Box::new(move |state, now, input| {
        if let Input::Ask { session, name, ask: Ask::LongPoll { from, poll } } = input
            && let Some(stream) = state.streams.get(name)
        {
            let position = match from {
                From::Start => 0,
                From::Now => stream.tail,
                From::At(position) => *position,
            };
            if which(stream, position, *from) {
                let deadline = now + poll.patience;
                let wait =
                    Wait { name: name.clone(), from: position, poll: *poll, deadline, live: Live::LongPoll };
                let waiting = Record::Waiting { session: *session, wait };
                return Decision { records: vec![waiting], effects: Vec::new() };
            }
        }
        StreamModel::decide(state, now, input)
    }))
}

/// Which of those who wait for a stream an append forgets: the stream, all who wait, and who of them waits since the last
/// step of the stream.
type Forgets = Box<dyn FnMut(&str, BTreeSet<u64>, Option<u64>) -> BTreeSet<u64> + Send>;

/// Appends that do not wake everybody; who sleeps on finds out at the timeout.
fn late(which: impl FnMut(&str, BTreeSet<u64>, Option<u64>) -> BTreeSet<u64> + Send + 'static) -> Seams {
    through(forgetful(Box::new(which)))
}

/// Appends that do not wake everybody; who sleeps on is told that nothing came.
fn asleep(which: impl FnMut(&str, BTreeSet<u64>, Option<u64>) -> BTreeSet<u64> + Send + 'static) -> Seams {
    let mut forgetful = forgetful(Box::new(which));
    through(Box::new(move |state, now, input| {
        let mut decision = forgetful(state, now, input);
        if let Input::Tick = input {
            for effect in &mut decision.effects {
                if let Effect::Answer { session, answer } = effect
                    && let Answer::Content { closed, cursor, .. } = answer
                    && let Some(stream) = waited_for(state, *session)
                {
                    *answer = Answer::Nothing {
                        tail: stream.tail,
                        media_type: stream.media_type.clone(),
                        closed: *closed,
                        cursor: *cursor,
                    };
                }
            }
        }
        decision
    }))
}

fn forgetful(mut which: Forgets) -> ModelPort<StreamModel> {
    // By stream, who began to wait in its last step.
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    Box::new(move |state, now, input| {
        let mut decision = StreamModel::decide(state, now, input);
        let Input::Ask { session: asking, name, ask } = input else { return decision };
        let new = newest.remove(name);
        if decision.records.iter().any(|r| matches!(r, Record::Waiting { .. })) {
            newest.insert(name.clone(), *asking);
        }
        let waiting = state.streams.get(name).map(|s| s.waiting.clone()).unwrap_or_default();
        if let Ask::Append(Append { .. }) = ask
            && !waiting.is_empty()
        {
            let forgotten = which(name, waiting, new);
            decision
                .records
                .retain(|r| !matches!(r, Record::Left { session, .. } if forgotten.contains(session)));
            decision
                .effects
                .retain(|e| !matches!(e, Effect::Answer { session, .. } if forgotten.contains(session)));
        }
        decision
    })
}
