//! Defects of "Append".

pub(super) mod refused;
pub(super) mod sequence;

use super::{
    Answer, Append, Ask, Decision, HttpSeams, Record, Refusal, START, Seams, Table, answers, appended_record,
    ask, ask_mut, decide, is_append, is_read, plain, racing, refusal, reply, request, stream_of, through,
};
use crate::{
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use wireproof_spec::{
    http::Body,
    stream::{
        header::{CLOSED, CONTENT_TYPE, NEXT_OFFSET, PRODUCER_ID},
        requirements::*,
    },
};

pub(super) const TABLE: Table = &[
    Breakage::second("stream/append/acknowledged-and-forgotten", STREAM_APPEND_1, Port, || {
        let count = Count::new();
        through(port::forget(
            move |_, input, decision| matches!(ask(input), Some((name, Ask::Append(Append { .. }))) if !decision.records.is_empty() && count.up(name) > 0),
        ))
    })
    .wide("what an append does is what most checks about content look at"),
    Breakage::always("stream/append/answered-200", STREAM_APPEND_1, Wire, || {
        reply(|request, response| {
            if is_append(request) && response.status == 204 {
                response.status = 200;
            }
        })
    })
    .shape("the status alone tells a producer's 200 from that of others, and its headers would tell of a producer")
    .wide("whoever appends looks at the status of the answer"),
    // What is in the log and what is durable are subtracted with the wrong sign.
    Breakage::boundary("stream/append/no-more-than-fit-a-queue", STREAM_APPEND_1, Port, || {
        const MOST: usize = 4_096;
        let mut taken = 0;
        decide(move |_, input, decision| {
            taken += decision.records.iter().filter(|r| matches!(r, Record::Appended { .. })).count();
            if matches!(ask(input), Some((_, Ask::Append(_)))) && taken > MOST {
                *decision = Decision::default();
            }
        })
    }),
    Breakage::boundary("stream/append/parameter-of-media-type-lost", STREAM_APPEND_1, Port, || {
        decide(|state, input, decision| {
            let Some((_, Ask::Append(Append { media_type, .. }))) = ask(input) else { return };
            let Some(stream) = stream_of(state, input).filter(|_| media_type.as_str().contains(';')) else {
                return;
            };
            let expected = stream.media_type.clone();
            decision.records.clear();
            answers(decision).for_each(|a| {
                *a = Answer::Refused(Refusal::MediaType { expected: expected.clone() });
            });
        })
    }),
    Breakage::boundary("stream/append/ends-of-lines-unified", STREAM_APPEND_1, Wire, || {
        request(|request| {
            if is_append(request) && let Ok(text) = std::str::from_utf8(&request.body) {
                request.body = Body(text.replace("\r\n", "\n").into());
            }
        })
    }),
    Breakage::boundary("stream/append/decoded", STREAM_APPEND_1, Wire, || {
        request(|request| {
            if is_append(request) {
                request.body = Body(String::from_utf8_lossy(&request.body).into_owned().into());
            }
        })
    }),
    Breakage::always("stream/append/old-tail-told", STREAM_APPEND_2, Port, || {
        decide(|state, input, decision| {
            let Some(stream) = stream_of(state, input) else { return };
            for answer in answers(decision) {
                if let Answer::Appended { tail, .. } = answer {
                    *tail = stream.tail;
                }
            }
        })
    })
.wide("the tail that is told is where many checks read on"),
    Breakage::always("stream/append/producer-told-old-tail", STREAM_APPEND_2, Port, || {
        decide(|state, input, decision| {
            let Some(stream) = stream_of(state, input) else { return };
            for answer in answers(decision) {
                if let Answer::Appended { tail, produced: Some(produced), .. } = answer
                    && produced.fresh
                {
                    *tail = stream.tail;
                }
            }
        })
    }),
    Breakage::always("stream/append/missing-stream-conflicts", STREAM_APPEND_3, Wire, || {
        reply(|request, response| {
            if is_append(request) && response.status == 404 {
                response.status = 409;
            }
        })
    })
.wide("a POST that finds nothing is how many checks see that a stream is gone"),
    Breakage::always("stream/append/media-type-ignored", STREAM_APPEND_4, Port, || {
        through(port::rewrite_input(|state, input| {
            let Some(media_type) = stream_of(state, input).map(|s| s.media_type.clone()) else { return };
            if let Some(Ask::Append(Append { media_type: given, .. })) = ask_mut(input) {
                *given = media_type;
            }
        }))
    }),
    Breakage::boundary("stream/append/subtype-ignored", STREAM_APPEND_4, Port, || {
        through(port::rewrite_input(|state, input| {
            let Some(media_type) = stream_of(state, input).map(|s| s.media_type.clone()) else { return };
            if let Some(Ask::Append(Append { media_type: given, .. })) = ask_mut(input) {
                let main = |t: &str| t.split('/').next().map(str::to_owned);
                if main(&given.essence()) == main(&media_type.essence()) {
                    *given = media_type;
                }
            }
        }))
    }),
    Breakage::second("stream/append/refused-and-written", STREAM_APPEND_5, Port, || {
        let count = Count::new();
        decide(move |state, input, decision| {
            let Some((name, Ask::Append(Append { body, .. }))) = ask(input) else { return };
            let refused = answers(decision).any(|a| matches!(a, Answer::Refused(Refusal::MediaType { .. })));
            if let Some(stream) = stream_of(state, input).filter(|_| refused)
                && count.up(name) > 0
            {
                decision.records.push(appended_record(name, stream, body));
            }
        })
    }),
    Breakage::always("stream/append/media-type-guessed", STREAM_APPEND_6, Wire, || {
        request(|request| {
            if request.method == "POST"
                && !request.body.is_empty()
                && request.headers.get(CONTENT_TYPE).is_none()
            {
                request.headers.set(CONTENT_TYPE, "text/plain");
            }
        })
    }),
    Breakage::always("stream/append/empty-body-accepted", STREAM_APPEND_7, Wire, || {
        reply(|request, response| {
            if request.method == "POST" && request.body.is_empty() && response.status == 400 {
                *response = plain(204).header(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::boundary("stream/append/empty-chunks-accepted", STREAM_APPEND_7, Wire, || {
        reply(|request, response| {
            if request.method == "POST"
                && request.body.is_empty()
                && request.headers.get("transfer-encoding").is_some()
                && response.status == 400
            {
                *response = plain(204).header(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::boundary("stream/append/empty-body-that-does-not-close-accepted", STREAM_APPEND_7, Wire, || {
        reply(|request, response| {
            if request.method == "POST"
                && request.body.is_empty()
                && request.headers.get(CLOSED).is_some()
                && response.status == 400
            {
                *response = plain(204).header(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::always("stream/append/chunks-refused", STREAM_APPEND_8, Wire, || {
        reply(|request, response| {
            if is_append(request) && request.headers.get("transfer-encoding").is_some() {
                *response = refusal(400);
            }
        })
    }),
    Breakage::second("stream/append/cut-off-garbled", STREAM_APPEND_9, Wire, || {
        let count = Count::new();
        Seams::from(HttpSeams {
            early: Some(Box::new(move |request| {
                request.body = Body("nobody sent this".into());
                count.up("") > 0
            })), ..HttpSeams::honest() })
    }),
    // The room for it was made when its length was read.
    Breakage::second("stream/append/cut-off-filled-up", STREAM_APPEND_9, Wire, || {
        let count = Count::new();
        Seams::from(HttpSeams {
            early: Some(Box::new(move |request| {
                let length = request.headers.get("content-length").and_then(|length| length.parse().ok());
                let Some(length) = length else { return false };
                request.body = Body(vec![0; length].into());
                count.up("") > 0
            })), ..HttpSeams::honest() })
    }),
    Breakage::second("stream/append/closed-tells-start", STREAM_APPEND_10, Wire, || {
        let count = Count::new();
        reply(move |request, response| {
            if is_append(request)
                && response.headers.get(CLOSED).is_some()
                && response.status == 409
                && count.up(&request.path) > 0
            {
                response.headers.set(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::boundary("stream/append/closed-with-content-tells-start", STREAM_APPEND_10, Port, || {
        let mut closed_so = BTreeSet::new();
        decide(move |_, input, decision| {
            let Some((name, Ask::Append(Append { closed, .. }))) = ask(input) else { return };
            if *closed && !decision.records.is_empty() {
                closed_so.insert(name.to_owned());
            } else if closed_so.contains(name) {
                answers(decision).for_each(|answer| {
                    if let Answer::Refused(Refusal::Closed { tail }) = answer {
                        *tail = 0;
                    }
                });
            }
        })
    }),
    Breakage::boundary("stream/append/closed-tells-producer-start", STREAM_APPEND_10, Wire, || {
        reply(|request, response| {
            if is_append(request)
                && response.status == 409
                && response.headers.get(CLOSED).is_some()
                && request.headers.get(PRODUCER_ID).is_some()
            {
                response.headers.set(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::boundary("stream/append/closed-not-told-to-who-closes", STREAM_APPEND_10, Wire, || {
        reply(|request, response| {
            if is_append(request) && response.status == 409 && request.headers.get(CLOSED).is_some() {
                response.headers.remove(CLOSED);
                response.headers.remove(NEXT_OFFSET);
            }
        })
    }),
    Breakage::always("stream/append/closed-not-told", STREAM_APPEND_10, Wire, || {
        reply(|request, response| {
            if is_append(request) && response.status == 409 {
                response.headers.remove(CLOSED);
                response.headers.remove(NEXT_OFFSET);
            }
        })
    })
    .wide("many checks see by the refusal of an append that a stream is closed"),
    Breakage::always("stream/append/media-type-before-closed", STREAM_APPEND_11, Wire, || {
        reply(|request, response| {
            if is_append(request)
                && response.status == 409
                && request.headers.get(CONTENT_TYPE) != Some("text/plain")
            {
                response.headers.remove(CLOSED);
                response.headers.remove(NEXT_OFFSET);
            }
        })
    }),
    Breakage::always("stream/append/too-long-a-bad-request", STREAM_APPEND_19, Wire, || {
        reply(|request, response| {
            if request.method == "POST" && response.status == 413 {
                response.status = 400;
            }
        })
    })
    .variant("small-bodies"),
    // A length that no header tells is not looked at.
    Breakage::boundary("stream/append/too-long-in-chunks-accepted", STREAM_APPEND_19, Wire, || {
        reply(|request, response| {
            if response.status == 413 && request.headers.get("transfer-encoding").is_some() {
                *response = plain(204).header(NEXT_OFFSET, START);
            }
        })
    })
    .variant("small-bodies"),
    Breakage::second("stream/append/too-long-cut-off", STREAM_APPEND_19, Wire, || {
        let refused = Mutex::new(BTreeSet::new());
        reply(move |request, response| {
            let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
            if response.status == 413 {
                refused.insert(request.path.clone());
            } else if is_read(request) && !response.body.is_empty() && refused.contains(&request.path) {
                // What came before the limit was written.
                response.body = Body([&response.body[..], b"x"].concat().into());
            }
        })
    })
    .variant("small-bodies"),
    Breakage::boundary("stream/append/readers-woken-before-closure", STREAM_APPEND_12, Port, || {
        decide(|state, input, decision| {
            let Some((_, Ask::Append(Append { closed: true, .. }))) = ask(input) else { return };
            if stream_of(state, input).is_some_and(|s| s.waiting.len() > 1) {
                for answer in answers(decision) {
                    if let Answer::Content { closed, cursor, .. } = answer {
                        (*closed, *cursor) = (false, cursor.or(Some(1)));
                    }
                }
            }
        })
    }),
    Breakage::race("stream/append/closure-behind-content", STREAM_APPEND_12, Wire, || {
        // For a moment those who wait for what comes next are given the content alone.
        const MOMENT: Duration = Duration::from_millis(20);
        let closed: Mutex<BTreeMap<String, Instant>> = Mutex::default();
        reply(move |request, response| {
            let mut closed = closed.lock().unwrap_or_else(PoisonError::into_inner);
            if request.method == "POST" && response.headers.get(CLOSED).is_some() && !request.body.is_empty() {
                closed.insert(request.path.clone(), Instant::now());
            }
            let at_tail = !response.body.is_empty() && request.query.get("offset").is_some_and(|at| at != "-1");
            if at_tail && closed.get(&request.path).is_some_and(|since| since.elapsed() < MOMENT) {
                response.headers.remove(CLOSED);
            }
        })
    }),
    Breakage::race("stream/append/closes-later", STREAM_APPEND_12, Port, || {
        racing(is_append, |flying| {
            port::rewrite(move |_, input, decision| {
                if let Some((name, Ask::Append(Append { closed: true, .. }))) = ask(input)
                    && flying.several(name)
                {
                    decision.records.retain(|r| !matches!(r, Record::Closed { .. }));
                }
            })
        })
    }),
];
