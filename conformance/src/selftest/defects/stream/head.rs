//! Defects of "Head".

use super::{
    Answer, Ask, Create, HttpSeams, START, Seams, Table, answers, ask, decide, is_head, is_read, reply,
    stream_of,
};
use crate::{
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, wire::Count},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};
use wireproof_spec::{
    http::Response,
    stream::{
        header::{CACHE_CONTROL, CLOSED, CONTENT_TYPE, ETAG, NEXT_OFFSET},
        requirements::*,
    },
};

pub(super) const TABLE: Table = &[
    Breakage::always("stream/head/default-media-type-told", STREAM_HEAD_1, Wire, || {
        reply(|request, response| {
            if is_head(request) && response.status == 200 {
                response.headers.set(CONTENT_TYPE, "application/octet-stream");
            }
        })
    }),
    Breakage::boundary("stream/head/start-told-of-other-media-types", STREAM_HEAD_1, Wire, || {
        reply(|request, response| {
            if is_head(request)
                && response.status == 200
                && response.headers.get(CONTENT_TYPE) != Some("text/plain")
            {
                response.headers.set(NEXT_OFFSET, START);
            }
        })
    })
    .wide("all checks of messages ask HEAD for the tail"),
    Breakage::always("stream/head/body", STREAM_HEAD_2, Wire, || with_body(200, "content"))
        .shape("bytes behind the head of the answer to a HEAD are what the requirement forbids"),
    Breakage::boundary("stream/head/body-of-refusal", STREAM_HEAD_2, Wire, || with_body(404, "no stream"))
        .shape("bytes behind the head of the answer to a HEAD are what the requirement forbids"),
    Breakage::boundary("stream/head/born-closed-not-told", STREAM_HEAD_3, Port, || {
        let mut born_closed = BTreeSet::new();
        decide(move |state, input, decision| {
            let Some((name, asked)) = ask(input) else { return };
            if matches!(asked, Ask::Create(Create { closed: true, .. })) && stream_of(state, input).is_none()
            {
                born_closed.insert(name.to_owned());
            }
            for answer in answers(decision) {
                if let Answer::Head(facts) = answer {
                    facts.closed &= !born_closed.contains(name);
                }
            }
        })
    }),
    Breakage::second("stream/head/closure-told-once", STREAM_HEAD_3, Wire, || {
        let count = Count::new();
        reply(move |request, response| {
            if is_head(request) && response.headers.get(CLOSED).is_some() && count.up(&request.path) > 0 {
                response.headers.remove(CLOSED);
            }
        })
    }),
    Breakage::boundary("stream/head/empty-told-as-closed", STREAM_HEAD_3, Port, || {
        decide(|_, _, decision| {
            for answer in answers(decision) {
                if let Answer::Head(facts) = answer {
                    facts.closed |= facts.tail == 0;
                }
            }
        })
    }),
    Breakage::always("stream/head/cached", STREAM_HEAD_4, Wire, || {
        reply(|request, response| {
            if is_head(request) && response.status == 200 {
                response.headers.set(CACHE_CONTROL, "public, max-age=60");
            }
        })
    }),
    Breakage::always("stream/head/closed-cached", STREAM_HEAD_4, Wire, || {
        reply(|request, response| {
            if is_head(request) && response.headers.get(CLOSED).is_some() {
                response.headers.set(CACHE_CONTROL, "public, max-age=60");
            }
        })
    }),
    Breakage::always("stream/head/missing-stream-gone", STREAM_HEAD_5, Wire, || {
        reply(|request, response| {
            if is_head(request) && response.status == 404 {
                response.status = 410;
            }
        })
    })
    .wide("that a stream is gone is looked for by HEAD"),
    Breakage::always("stream/head/etag-of-its-own", STREAM_HEAD_6, Wire, || {
        reply(|request, response| {
            if is_head(request) && response.status == 200 {
                let own = format!("\"{}\"", response.headers.get(NEXT_OFFSET).unwrap_or_default());
                response.headers.set(ETAG, own);
            }
        })
    })
    .shape("the reference leaves out what the requirement is about"),
    Breakage::boundary("stream/head/etag-of-the-last-read", STREAM_HEAD_6, Wire, || {
        let last = Mutex::new(BTreeMap::<String, String>::new());
        reply(move |request, response| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if response.status != 200 {
                return;
            }
            if is_head(request)
                && let Some(etag) = last.get(&request.path)
            {
                response.headers.set(ETAG, etag.clone());
            }
            if is_read(request)
                && request.query.get("offset").is_none()
                && let Some(etag) = response.headers.get(ETAG)
            {
                last.insert(request.path.clone(), etag.to_owned());
            }
        })
    })
    .shape("the reference leaves out what the requirement is about"),
];

/// Answers to HEAD with this status have a body on the wire.
fn with_body(status: u16, body: &'static str) -> Seams {
    Seams::from(HttpSeams {
        bytes: Some(Box::new(move |request, response| {
            (is_head(request) && response.status == status).then(|| written(response, body))
        })),
        ..HttpSeams::honest()
    })
}

fn written(response: &Response, body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} \r\n", response.status);
    for (name, value) in &response.headers.0 {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()));
    text.into_bytes()
}
