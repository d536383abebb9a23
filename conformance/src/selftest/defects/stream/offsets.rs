//! Defects of "Offsets".

use super::{
    Answer, Ask, HttpSeams, Refusal, Seams, Table, answers, ask, ask_mut, decide, is_append, is_create,
    is_read, racing, reply, request, stream_of, through,
};
use crate::{
    embed::reference::stream::model::From,
    protocol::Cut::{Log, Port, Wire},
    selftest::defects::{Breakage, port},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use wireproof_spec::{
    http::{Body, Request, Response},
    stream::{
        Offset, SseControl,
        header::{CLOSED, CONTENT_TYPE, NEXT_OFFSET, query},
        requirements::*,
        sse::CONTROL,
    },
};

const FORM: &str = "the form of the token is the requirement";

pub(super) const TABLE: Table = &[
    // Up to here tokens are as long as ever.
    Breakage::boundary("stream/offsets/shorter-behind-a-thousand-bytes", STREAM_OFFSETS_1, Wire, || {
        other_tokens(
            |token| match token.parse::<u64>() {
                Ok(position) if position >= 1_000 => position.to_string(),
                _ => token.into(),
            },
            |token| format!("{token:0>20}"),
        )
    }),
    Breakage::race("stream/offsets/one-for-two-appends", STREAM_OFFSETS_1, Port, || {
        racing(is_append, |flying| {
            port::rewrite(move |state, input, decision| {
                let (Some((name, _)), Some(stream)) = (ask(input), stream_of(state, input)) else { return };
                for answer in answers(decision) {
                    if let Answer::Appended { tail, .. } = answer
                        && flying.several(name)
                    {
                        *tail = stream.tail;
                    }
                }
            })
        })
    }),
    Breakage::always("stream/offsets/with-a-slash", STREAM_OFFSETS_2, Wire, || {
        on_second_create(|token| format!("{}/{}", &token[..10], &token[10..]))
    })
    .shape(FORM),
    Breakage::always("stream/offsets/with-a-space", STREAM_OFFSETS_3, Wire, || {
        on_second_create(|token| format!("{} {}", &token[..10], &token[10..]))
    }),
    Breakage::always("stream/offsets/too-long", STREAM_OFFSETS_3, Wire, || {
        on_second_create(|token| format!("{token:0>256}"))
    }),
    Breakage::always("stream/offsets/now-given-out", STREAM_OFFSETS_4, Wire, || {
        on_second_create(|_| "now".into())
    })
    .shape(FORM),
    Breakage::always("stream/offsets/start-given-out", STREAM_OFFSETS_4, Wire, || {
        on_second_create(|_| "-1".into())
    })
    .shape(FORM),
    Breakage::always("stream/offsets/case-ignored", STREAM_OFFSETS_5, Wire, || {
        request(|request| {
            if let Some(token) = request.query.get(query::OFFSET).map(str::to_ascii_lowercase) {
                request.query.set(query::OFFSET, token);
            }
        })
    })
    .variant("authenticated"),
    Breakage::boundary("stream/offsets/refused-when-closed", STREAM_OFFSETS_6, Port, || {
        decide(|state, input, decision| {
            let Some(stream) = stream_of(state, input) else { return };
            if let Some((_, Ask::Read { from: From::At(from), .. })) = ask(input)
                && stream.closed
                && *from < stream.tail
            {
                answers(decision).for_each(|a| *a = Answer::Refused(Refusal::BeyondTail));
            }
        })
    })
    .wide("closed streams are read from the middle by many checks"),
    Breakage::restart("stream/offsets/forgotten-by-restart", STREAM_OFFSETS_6, Log, || {
        let restarted = Arc::new(AtomicBool::new(false));
        let starts = restarted.clone();
        Seams {
            recovery: Some(Box::new(move |entries| {
                starts.store(!entries.is_empty(), Ordering::Relaxed);
                entries
            })),
            ..decide(move |state, input, decision| {
                let Some(stream) = stream_of(state, input) else { return };
                if let Some((_, Ask::Read { from: From::At(from), .. })) = ask(input)
                    && restarted.load(Ordering::Relaxed)
                    && (1..stream.tail).contains(from)
                {
                    answers(decision).for_each(|a| *a = Answer::Refused(Refusal::BeyondTail));
                }
            })
        }
    }),
    Breakage::always("stream/offsets/now-is-the-start", STREAM_OFFSETS_7, Wire, || {
        request(|request| {
            if is_now(request) {
                request.query.set(query::OFFSET, "-1");
            }
        })
    }),
    Breakage::boundary("stream/offsets/now-without-an-array", STREAM_OFFSETS_7, Wire, || {
        reply(|request, response| {
            if is_now(request) && response.headers.get(CONTENT_TYPE) == Some("application/json") {
                response.body = Body::default();
            }
        })
    }),
    // The same place by another name, which can be read from as well.
    Breakage::boundary("stream/offsets/another-name-when-closed", STREAM_OFFSETS_8, Wire, || {
        HttpSeams {
            reply: Box::new(|request, response| {
                if is_read(request) && response.headers.get(CLOSED).is_some() {
                    tells(response, |token| format!("{token}x"));
                }
            }),
            ..known_by_other_names()
        }
        .into()
    }),
    Breakage::always("stream/offsets/another-name-in-event-streams", STREAM_OFFSETS_8, Wire, || Seams {
        events: Some(Box::new(|_, events| {
            for event in events.iter_mut().filter(|event| event.name == CONTROL) {
                let Ok(mut control) = serde_json::from_str::<SseControl>(&event.data) else { continue };
                if let Ok(other) = Offset::parse(&format!("{}x", control.stream_next_offset.as_str())) {
                    control.stream_next_offset = other;
                }
                event.data = serde_json::to_string(&control).unwrap_or_default();
            }
        })),
        ..known_by_other_names().into()
    }),
    Breakage::boundary("stream/offsets/dropped-not-found", STREAM_OFFSETS_9, Wire, || {
        reply(|request, response| {
            if is_read(request) && response.status == 410 {
                response.status = 404;
                response.headers.remove(NEXT_OFFSET);
            }
        })
    })
    .wide("410 is also how a deleted source is told, and what is dropped is missing from every long read")
    .variant("retaining"),
    Breakage::boundary("stream/offsets/dropped-passed-over", STREAM_OFFSETS_9, Port, || {
        through(port::rewrite_input(|state, input| {
            let start = stream_of(state, input).map_or(0, |s| s.start);
            if let Some(Ask::Read { from: From::At(from), .. }) = ask_mut(input) {
                *from = start.max(*from);
            }
        }))
    })
    .variant("retaining"),
];

/// A server that also knows each offset with an x behind it.
fn known_by_other_names() -> HttpSeams {
    request(|request| {
        if let Some(token) = request.query.get(query::OFFSET) {
            let token = token.trim_end_matches('x').to_owned();
            request.query.set(query::OFFSET, token);
        }
    })
}

fn is_now(request: &Request) -> bool {
    is_read(request) && request.query.get(query::OFFSET) == Some("now")
}

/// Tells another token.
fn tells(response: &mut Response, token: impl Fn(&str) -> String) {
    if let Some(token) = response.headers.get(NEXT_OFFSET).map(token) {
        response.headers.set(NEXT_OFFSET, token);
    }
}

/// Tokens that are written in another way, and read so too.
fn other_tokens(written: fn(&str) -> String, read: fn(&str) -> String) -> Seams {
    HttpSeams {
        reply: Box::new(move |_, response| tells(response, written)),
        ..request(move |request| {
            let offset = request.query.get(query::OFFSET).filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
            if let Some(token) = offset.map(read) {
                request.query.set(query::OFFSET, token);
            }
        })
    }
    .into()
}

/// Another token where a PUT finds its stream: there hardly anybody reads on from it.
fn on_second_create(token: fn(&str) -> String) -> Seams {
    reply(move |request, response| {
        if is_create(request) && response.status == 200 {
            tells(response, token);
        }
    })
}
