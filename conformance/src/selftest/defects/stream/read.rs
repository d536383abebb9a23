//! Defects of "Read".

use super::{
    Answer, Ask, Decision, HOLD, HttpSeams, Input, START, State, StreamModel, Table, answers, ask_mut,
    decide, is, is_append, is_delete, overlap, reply, request, stream_of, through,
};
use crate::{
    embed::reference::{log::Range, stream::model::From},
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port},
};
use bytes::Bytes;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        Operation,
        header::{CLOSED, CONTENT_TYPE, NEXT_OFFSET, UP_TO_DATE, query},
        requirements::*,
    },
};

pub(super) const TABLE: Table = &[
    Breakage::always("stream/read/no-offset-is-tail", STREAM_READ_1, Wire, || {
        request(|request| {
            if is_read(request) && request.query.get(query::OFFSET).is_none() {
                request.query.set(query::OFFSET, "now");
            }
        })
    }),
    Breakage::always("stream/read/start-skips-a-byte", STREAM_READ_1, Port, || {
        decide(|_, input, decision| {
            if let Input::Ask { ask: Ask::Read { from: From::Start, .. }, .. } = input {
                answers(decision).for_each(|answer| {
                    if let Answer::Content { range, .. } = answer {
                        range.from = range.to.min(range.from + 1);
                    }
                });
            }
        })
    })
    .wide("almost every check reads from the start what it wrote"),
    Breakage::always("stream/read/repeats-a-byte", STREAM_READ_2, Port, || {
        through(port::rewrite_input(|state, input| {
            let Some(tail) = stream_of(state, input).map(|s| s.tail) else { return };
            if let Some(Ask::Read { from: From::At(position), .. }) = ask_mut(input)
                && (1..tail).contains(position)
            {
                *position -= 1;
            }
        }))
    })
    .wide("reading from an offset is how most checks about content look at it"),
    Breakage::always("stream/read/halves-of-characters-replaced", STREAM_READ_2, Wire, || {
        reply(|request, response| {
            let is_text = response.headers.get(CONTENT_TYPE).is_some_and(|t| t.starts_with("text/"));
            if is_read(request) && is_text && std::str::from_utf8(&response.body).is_err() {
                response.body.0 = String::from_utf8_lossy(&response.body).into_owned().into();
            }
        })
    }),
    // The head of the answer is written when the stream is there, and its content is looked for when it is gone.
    Breakage::race("stream/read/emptied-by-delete", STREAM_READ_2, Wire, || {
        let deleted: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let seen = Arc::clone(&deleted);
        let is_long = |request: &Request, response: &Response| {
            is_read(request) && response.status == 200 && response.body.len() > 10_000
        };
        HttpSeams {
            request: Box::new(move |request| {
                if is_delete(request) {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).insert(request.path.clone());
                }
            }),
            delay: Some(Box::new(move |request, response| is_long(request, response).then_some(HOLD))),
            bytes: Some(Box::new(move |request, response| {
                let deleted = deleted.lock().unwrap_or_else(PoisonError::into_inner);
                let is_empty = is_long(request, response) && deleted.contains(&request.path);
                is_empty.then(|| without_content(response))
            })),
            ..HttpSeams::honest()
        }
        .into()
    }),
    Breakage::always("stream/read/tail-tells-start", STREAM_READ_3, Wire, || {
        reply(|request, response| {
            if is_read(request) && response.status == 200 && response.body.is_empty() {
                response.headers.set(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::always("stream/read/up-to-date-only-when-empty", STREAM_READ_4, Wire, || {
        reply(|request, response| {
            if is_read(request) && !response.body.is_empty() && response.headers.get(CLOSED).is_none() {
                response.headers.remove(UP_TO_DATE);
            }
        })
    }),
    Breakage::always("stream/read/up-to-date-only-with-bytes", STREAM_READ_4, Wire, || {
        reply(|request, response| {
            if is_read(request) && response.body.is_empty() && response.headers.get(CLOSED).is_none() {
                response.headers.remove(UP_TO_DATE);
            }
        })
    }),
    Breakage::always("stream/read/empty-array-not-up-to-date", STREAM_READ_4, Wire, || {
        reply(|request, response| {
            if is_read(request) && is_empty_array(response) && !is_now(request) {
                response.headers.remove(UP_TO_DATE);
            }
        })
    }),
    Breakage::boundary("stream/read/full-answer-not-up-to-date", STREAM_READ_4, Wire, || {
        reply(|request, response| {
            if is_read(request) && response.body.len() == CHUNK {
                response.headers.remove(UP_TO_DATE);
            }
        })
    })
    .variant("small-chunks"),
    Breakage::boundary("stream/read/empty-array-looks-open", STREAM_READ_5, Wire, || {
        reply(|request, response| {
            if is_read(request) && is_empty_array(response) && !is_now(request) {
                response.headers.remove(CLOSED);
            }
        })
    }),
    Breakage::boundary("stream/read/full-answer-looks-open", STREAM_READ_5, Wire, || {
        reply(|request, response| {
            if is_read(request) && response.body.len() == CHUNK {
                response.headers.remove(CLOSED);
            }
        })
    })
    .variant("small-chunks"),
    Breakage::boundary("stream/read/closed-only-when-empty", STREAM_READ_5, Wire, || {
        reply(|request, response| {
            if is_read(request) && !response.body.is_empty() {
                response.headers.remove(CLOSED);
            }
        })
    }),
    Breakage::boundary("stream/read/closed-only-with-bytes", STREAM_READ_5, Wire, || {
        reply(|request, response| {
            if is_read(request) && response.status == 200 && response.body.is_empty() {
                response.headers.remove(CLOSED);
            }
        })
    }),
    Breakage::boundary("stream/read/cut-skips-a-byte", STREAM_READ_6, Wire, || {
        reply(|request, response| cut(is_read(request), response, |position| position + 1))
    }),
    Breakage::boundary("stream/read/cut-repeats-a-byte", STREAM_READ_6, Wire, || {
        reply(|request, response| cut(is_read(request), response, |position| position - 1))
    }),
    Breakage::boundary("stream/read/cut-long-poll-skips-a-byte", STREAM_READ_6, Wire, || {
        reply(|request, response| cut(is_long_poll(request), response, |position| position + 1))
    }),
    Breakage::always("stream/read/long-poll-tells-where-it-began", STREAM_READ_6, Wire, || {
        reply(|request, response| {
            let offset = request.query.get(query::OFFSET).filter(|offset| offset.len() == START.len());
            if is_long_poll(request)
                && response.status == 200
                && let Some(offset) = offset
            {
                response.headers.set(NEXT_OFFSET, offset);
            }
        })
    }),
    Breakage::always("stream/read/impossible-characters-ignored", STREAM_READ_7, Wire, || {
        request(|request| without(request, &[',', '&', '=', '?', '/', '\n']))
    }),
    Breakage::always("stream/read/slash-ignored", STREAM_READ_7, Wire, || {
        request(|request| without(request, &['/']))
    }),
    Breakage::always("stream/read/equals-sign-ignored-by-long-poll", STREAM_READ_7, Wire, || {
        request(|request| {
            if request.query.get(query::LIVE).is_some() {
                without(request, &['=']);
            }
        })
    }),
    Breakage::always("stream/read/unknown-live-ignored", STREAM_READ_8, Wire, || {
        request(|request| {
            if request.query.get(query::LIVE).is_some_and(|live| live != "long-poll") {
                request.query.remove(query::LIVE);
            }
        })
    })
    .wide("what the server takes for unknown are event streams, so that no check of them sees one")
    .shape("no honest server answers a live mode that does not exist with anything but a refusal"),
    Breakage::boundary("stream/read/beyond-tail-echoed", STREAM_READ_9, Port, || {
        decide(|state, input, decision| {
            if let Input::Ask { ask: Ask::Read { from: From::At(position), .. }, .. } = input {
                echo(state, input, *position, decision);
            }
        })
    }),
    Breakage::boundary("stream/read/beyond-tail-awaited", STREAM_READ_9, Port, || {
        super::longpoll::waits_if(|stream, position, _| position > stream.tail)
    }),
    Breakage::race("stream/read/shows-appends-under-way", STREAM_READ_10, Wire, || {
        let latest: Arc<Mutex<Option<(String, Bytes)>>> = Arc::default();
        let seen = latest.clone();
        let (flies, seams) = overlap(|request| is_append(request).then(|| request.path.clone()));
        let takes_off = seams.request;
        HttpSeams {
            request: Box::new(move |request| {
                takes_off(request);
                if is_append(request) {
                    let append = (request.path.clone(), request.body.0.clone());
                    *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(append);
                }
            }),
            reply: Box::new(move |request, response| {
                let latest = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let Some((_, append)) = latest.as_ref().filter(|(path, _)| *path == request.path) else {
                    return;
                };
                if is_read(request)
                    && response.headers.get(UP_TO_DATE).is_some()
                    && flies.several(&request.path)
                {
                    response.body.0 = [&response.body.0[..], append].concat().into();
                }
            }),
            ..seams
        }
        .into()
    }),
    Breakage::always("stream/read/always-up-to-date", STREAM_READ_11, Port, || {
        decide(|_, _, decision| {
            answers(decision).for_each(|answer| {
                if let Answer::Content { up_to_date, .. } = answer {
                    *up_to_date = true;
                }
            });
        })
    }),
    Breakage::always("stream/read/closed-on-every-part", STREAM_READ_12, Port, || {
        decide(|state, input, decision| {
            let Some(is_closed) = stream_of(state, input).map(|s| s.closed) else { return };
            answers(decision).for_each(|answer| {
                if let Answer::Content { up_to_date, closed, .. } = answer
                    && is_closed
                {
                    (*up_to_date, *closed) = (true, true);
                }
            });
        })
    }),
];

/// This answer as it goes over the wire, with its head as it is and no content.
fn without_content(response: &Response) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} OK\r\n", response.status);
    for (name, value) in response.headers.0.iter().filter(|(name, _)| name != "content-length") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("content-length: 0\r\n\r\n");
    head.into_bytes()
}

fn is_read(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Read(_)))
}

fn is_long_poll(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Longpoll(_)))
}

/// Tells another offset behind an answer that stops before the tail.
/// How much an answer of the variant `small-chunks` holds, in bytes.
const CHUNK: usize = 16;

fn is_empty_array(response: &Response) -> bool {
    response.body.0 == b"[]"[..]
}

fn is_now(request: &Request) -> bool {
    request.query.get(query::OFFSET) == Some("now")
}

fn cut(applies: bool, response: &mut Response, other: fn(u64) -> u64) {
    let position = response.headers.get(NEXT_OFFSET).and_then(|offset| offset.parse().ok());
    if let Some(position) = position.filter(|_| applies)
        && response.status == 200
        && response.headers.get(UP_TO_DATE).is_none()
    {
        response.headers.set(NEXT_OFFSET, format!("{:0width$}", other(position), width = START.len()));
    }
}

fn without(request: &mut Request, characters: &[char]) {
    if let Some(offset) = request.query.get(query::OFFSET) {
        let cleaned = offset.replace(characters, "");
        request.query.set(query::OFFSET, cleaned);
    }
}

/// Answers a read beyond the tail with nothing, and with the offset that was asked for.
fn echo(state: &State, input: &Input, position: u64, decision: &mut Decision<StreamModel>) {
    let Some(stream) = stream_of(state, input).filter(|s| position > s.tail) else { return };
    let nothing = Answer::Content {
        range: Range { owner: stream.incarnation, from: position, to: position },
        inherited: stream.inherited(),
        media_type: stream.media_type.clone(),
        up_to_date: true,
        closed: stream.closed,
        cursor: None,
    };
    answers(decision).for_each(|answer| *answer = nothing.clone());
}
