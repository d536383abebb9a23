//! Defects of appends that are refused: what they would have done besides is done all the same.

use super::super::{
    Answer, Append, Ask, HttpSeams, Record, Refusal, Seams, Table, answers, ask, decide, json::posts_json,
    producers::moved, refusal, request, stream_of,
};
use crate::{
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};
use serde_json::Value;
use wireproof_spec::{
    http::{Body, Request},
    stream::{
        header::{CLOSED, CONTENT_TYPE, SEQ},
        requirements::*,
    },
};

pub(in super::super) const TABLE: Table = &[
    Breakage::boundary("stream/append/other-media-type-closes", STREAM_APPEND_20, Port, || {
        closes(|refusal| matches!(refusal, Refusal::MediaType { .. }))
    }),
    Breakage::boundary("stream/append/old-seq-closes", STREAM_APPEND_20, Port, || {
        closes(|refusal| matches!(refusal, Refusal::Sequence { .. }))
    }),
    Breakage::boundary("stream/append/gap-closes", STREAM_APPEND_20, Port, || {
        closes(|refusal| matches!(refusal, Refusal::Gap { .. }))
    }),
    Breakage::boundary("stream/append/fenced-producer-closes", STREAM_APPEND_20, Port, || {
        closes(|refusal| matches!(refusal, Refusal::Stale { .. } | Refusal::Bump { .. }))
    }),
    Breakage::boundary("stream/append/no-media-type-closes", STREAM_APPEND_20, Wire, || {
        only_closes(|request| !request.body.is_empty() && request.headers.get(CONTENT_TYPE).is_none())
    }),
    Breakage::boundary("stream/append/broken-json-closes", STREAM_APPEND_20, Wire, || {
        only_closes(is_broken_json)
    }),
    // Its Stream-Seq is read before its body.
    Breakage::boundary("stream/append/seq-of-broken-json-kept", STREAM_APPEND_16, Port, || {
        const BROKEN: &str = "x-broken/json";
        let port = decide(|state, input, decision| {
            let Some((name, Ask::Append(Append { media_type, seq, .. }))) = ask(input) else { return };
            if let Some(stream) = stream_of(state, input).filter(|_| media_type.as_str() == BROKEN) {
                decision.records.push(moved(name, stream, None, seq.clone()));
            }
        });
        let request: HttpSeams = request(|request| {
            if is_broken_json(request) && request.headers.get(SEQ).is_some() {
                request.headers.set(CONTENT_TYPE, BROKEN);
            }
        });
        let http = HttpSeams {
            reply: Box::new(|request, response| {
                if request.headers.get(CONTENT_TYPE) == Some(BROKEN) {
                    *response = refusal(400);
                }
            }),
            ..request
        };
        Seams { http, ..port }
    }),
];

/// An append that is refused for this and would have closed the stream closes it.
fn closes(which: fn(&Refusal) -> bool) -> Seams {
    decide(move |state, input, decision| {
        let Some((name, Ask::Append(Append { closed: true, .. }))) = ask(input) else { return };
        let refused = answers(decision).any(|a| matches!(a, Answer::Refused(why) if which(why)));
        if refused && stream_of(state, input).is_some_and(|s| !s.closed) {
            decision.records.push(Record::Closed { name: name.into(), producer: None, at: 0 });
        }
    })
}

/// Of such an append that closes nothing but the closure is done, and it is refused.
fn only_closes(which: fn(&Request) -> bool) -> Seams {
    const MARK: &str = "x-refused";
    Seams::from(HttpSeams {
        reply: Box::new(|request, response| {
            if request.headers.get(MARK).is_some() {
                *response = refusal(400);
            }
        }),
        ..request(move |request| {
            if request.method == "POST" && request.headers.get(CLOSED).is_some() && which(request) {
                request.body = Body::default();
                request.headers.remove(CONTENT_TYPE);
                request.headers.set(MARK, "true");
            }
        })
    })
}

fn is_broken_json(request: &Request) -> bool {
    posts_json(request) && serde_json::from_slice::<Value>(&request.body).is_err()
}
