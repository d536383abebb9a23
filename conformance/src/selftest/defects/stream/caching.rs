//! Defects of "Caching".

use super::{HttpSeams, Seams, Table, is, is_create, is_read, reply, request};
use crate::{protocol::Cut::Wire, selftest::defects::Breakage};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use wireproof_spec::{
    http::{Body, Request, Response},
    stream::{
        Operation,
        header::{CACHE_CONTROL, CLOSED, CONTENT_TYPE, ETAG, IF_NONE_MATCH, NEXT_OFFSET, query},
        requirements::*,
    },
};

pub(super) const TABLE: Table = &[
    Breakage::always("stream/caching/no-etag-at-tail", STREAM_CACHING_1, Wire, || {
        reply(|request, response| {
            if is_read(request) && response.body.is_empty() {
                response.headers.remove(ETAG);
            }
        })
    }),
    Breakage::always("stream/caching/no-etag-on-messages", STREAM_CACHING_1, Wire, || {
        reply(|request, response| {
            if is_read(request) && response.headers.get(CONTENT_TYPE) == Some("application/json") {
                response.headers.remove(ETAG);
            }
        })
    }),
    Breakage::always("stream/caching/no-etag-on-long-poll", STREAM_CACHING_1, Wire, || {
        reply(|request, response| {
            if is(request, |o| matches!(o, Operation::Longpoll(_))) {
                response.headers.remove(ETAG);
            }
        })
    }),
    Breakage::always("stream/caching/etag-without-quotes", STREAM_CACHING_1, Wire, || {
        reply(|_, response| {
            if let Some(bare) = response.headers.get(ETAG).map(|etag| etag.replace('"', "")) {
                response.headers.set(ETAG, bare);
            }
        })
    }),
    Breakage::second("stream/caching/etag-kept-after-append", STREAM_CACHING_3, Wire, || {
        kept(|request, response| {
            format!("{} {}", url(request), response.headers.get(CLOSED).unwrap_or_default())
        })
    }),
    Breakage::boundary("stream/caching/etag-at-tail-kept-after-append", STREAM_CACHING_3, Wire, || {
        // Made once for each offset at which there was nothing yet.
        let empty: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        retagged(move |request, response, etag| {
            let mut empty = empty.lock().unwrap_or_else(PoisonError::into_inner);
            let name = format!("{} {}", url(request), response.headers.get(CLOSED).unwrap_or_default());
            match response.body.is_empty() {
                true => empty.entry(name).or_insert(etag).clone(),
                false => empty.get(&name).cloned().unwrap_or(etag),
            }
        })
    }),
    Breakage::second("stream/caching/etag-kept-after-close", STREAM_CACHING_4, Wire, || {
        kept(|request, response| {
            format!("{} {}", url(request), response.headers.get(NEXT_OFFSET).unwrap_or_default())
        })
    }),
    Breakage::boundary("stream/caching/etag-at-end-kept-after-close", STREAM_CACHING_4, Wire, || {
        let tails: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        retagged(move |request, response, etag| {
            let mut tails = tails.lock().unwrap_or_else(PoisonError::into_inner);
            let name = url(request);
            if response.body.is_empty() { tails.entry(name).or_insert(etag).clone() } else { etag }
        })
    }),
    Breakage::always("stream/caching/etag-of-the-end", STREAM_CACHING_5, Wire, || {
        retagged(|request, response, _| {
            let next = response.headers.get(NEXT_OFFSET).unwrap_or_default();
            format!("\"{}:{next}\"", request.path)
        })
    }),
    Breakage::boundary("stream/caching/etag-of-the-length", STREAM_CACHING_5, Wire, || {
        retagged(|request, response, _| format!("\"{}:{}\"", request.path, response.body.len()))
    }),
    Breakage::always("stream/caching/validators-ignored", STREAM_CACHING_6, Wire, || {
        request(|request| {
            if is_read(request) {
                request.headers.remove(IF_NONE_MATCH);
            }
        })
    })
    .wide("whoever looks at validators looks for a 304"),
    Breakage::boundary("stream/caching/validators-ignored-at-tail", STREAM_CACHING_6, Wire, || {
        reply(|request, response| {
            if response.status == 304 && response.headers.get(NEXT_OFFSET) == request.query.get(query::OFFSET)
            {
                response.status = 200;
                response.headers.push(CONTENT_TYPE, "text/plain");
            }
        })
    }),
    Breakage::always("stream/caching/body-behind-304", STREAM_CACHING_6, Wire, || {
        Seams::from(HttpSeams {
            bytes: Some(Box::new(|request, response| {
                let closing =
                    request.headers.get("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
                (response.status == 304 && closing).then(|| {
                    let etag = response.headers.get(ETAG).unwrap_or_default();
                    format!(
                        "HTTP/1.1 304 Not Modified\r\netag: {etag}\r\nconnection: close\r\n\r\nNot Modified"
                    )
                    .into_bytes()
                })
            })),
            ..HttpSeams::honest()
        })
    })
    .shape("that nothing stands behind the head is the requirement"),
    Breakage::always("stream/caching/first-of-list-only", STREAM_CACHING_7, Wire, || {
        validators(|all| all.split(',').next().unwrap_or_default().to_owned())
    }),
    Breakage::always("stream/caching/last-of-list-only", STREAM_CACHING_7, Wire, || {
        validators(|all| all.rsplit(',').next().unwrap_or_default().to_owned())
    }),
    Breakage::always("stream/caching/weak-never-matches", STREAM_CACHING_7, Wire, || {
        validators(|all| all.replace("W/\"", "\"weak "))
    }),
    Breakage::always("stream/caching/found-inside-of-another", STREAM_CACHING_7, Wire, || {
        validators(|all| all.replace("\"x", "\""))
    }),
    Breakage::always("stream/caching/first-line-only", STREAM_CACHING_7, Wire, || {
        request(|request| {
            if let Some(first) = request.headers.get(IF_NONE_MATCH).map(str::to_owned) {
                request.headers.set(IF_NONE_MATCH, first);
            }
        })
    }),
    Breakage::always("stream/caching/304-without-etag", STREAM_CACHING_8, Wire, || {
        reply(|_, response| {
            if response.status == 304 {
                response.headers.remove(ETAG);
            }
        })
    })
    .shape("that the header is there is the requirement"),
    Breakage::always("stream/caching/304-without-cache-control", STREAM_CACHING_8, Wire, || {
        reply(|_, response| {
            if response.status == 304 {
                response.headers.remove(CACHE_CONTROL);
            }
        })
    })
    .shape("that the header is there is the requirement"),
    Breakage::always("stream/caching/304-not-stored", STREAM_CACHING_8, Wire, || {
        reply(|_, response| {
            if response.status == 304 {
                response.headers.set(CACHE_CONTROL, "no-store");
            }
        })
    }),
    Breakage::second("stream/caching/etag-kept-for-the-successor", STREAM_CACHING_9, Wire, || {
        kept(|request, response| {
            let next = response.headers.get(NEXT_OFFSET).unwrap_or_default();
            format!("{} {next} {}", url(request), response.headers.get(CLOSED).unwrap_or_default())
        })
    }),
    Breakage::second("stream/caching/deleted-not-modified", STREAM_CACHING_9, Wire, || {
        // What was told last, and is still told when the stream is gone.
        let told: Arc<Mutex<BTreeMap<String, Response>>> = Arc::default();
        reply(move |request, response| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if is_read(request) && response.status == 304 {
                told.insert(url(request), response.clone());
            } else if let Some(last) = told.get(&url(request)).filter(|_| is_read(request))
                && response.status == 404
                && request.headers.get(IF_NONE_MATCH) == last.headers.get(ETAG)
            {
                *response = last.clone();
            }
        })
    }),
    Breakage::restart("stream/caching/incarnations-counted-anew", STREAM_CACHING_9, Wire, || {
        let made: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
        let of = made.clone();
        let seams = retagged(move |request, response, _| {
            let next = response.headers.get(NEXT_OFFSET).unwrap_or_default();
            let closed = response.headers.get(CLOSED).unwrap_or_default();
            let of = of.lock().unwrap_or_else(PoisonError::into_inner);
            let incarnation = of.get(&request.path).copied().unwrap_or_default();
            format!("\"{incarnation}:{}:{next}:{closed}\"", url(request))
        });
        reply(move |request, response| {
            if is_create(request) && response.status == 201 {
                let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                *made.entry(request.path.clone()).or_default() += 1;
            }
            (seams.http.reply)(request, response);
        })
    }),
    Breakage::always("stream/caching/kept-for-a-day", STREAM_CACHING_10, Wire, || {
        cache_control(|request| !is_now(request), "public, max-age=86400")
    }),
    Breakage::always("stream/caching/content-not-stored", STREAM_CACHING_10, Wire, || {
        cache_control(|request| !is_now(request), "no-store")
    }),
    Breakage::always("stream/caching/now-kept-like-content", STREAM_CACHING_11, Wire, || {
        cache_control(is_now, "public, max-age=60, stale-while-revalidate=300")
    }),
    Breakage::always("stream/caching/said-to-be-compressed", STREAM_CACHING_12, Wire, || {
        reply(|_, response| {
            if response.headers.get("content-encoding").is_some() {
                response.body = Body("as it is".into());
            }
        })
    }),
    Breakage::boundary("stream/caching/compressed-twice-over", STREAM_CACHING_12, Wire, || {
        // Two members, as of two writes, of which the second repeats the first.
        reply(|_, response| {
            if response.headers.get("content-encoding").is_some() {
                response.body = Body([&response.body[..], &response.body[..]].concat().into());
            }
        })
    }),
    Breakage::always("stream/caching/compressed-without-vary", STREAM_CACHING_12, Wire, || {
        reply(|_, response| {
            if response.headers.get("content-encoding").is_some() {
                response.headers.remove("vary");
            }
        })
    })
    .shape("that the header is there is a part of the requirement"),
    Breakage::boundary("stream/caching/weight-ignored", STREAM_CACHING_13, Wire, || {
        request(|request| {
            let unweighted = |all: &str| all.split(';').next().unwrap_or_default().to_owned();
            if let Some(all) = request.headers.get("accept-encoding").filter(|all| all.contains("gzip")) {
                let all: Vec<String> = all.split(',').map(unweighted).collect();
                request.headers.set("accept-encoding", all.join(","));
            }
        })
    }),
    Breakage::boundary("stream/caching/nothing-compressed", STREAM_CACHING_6, Wire, || {
        // Ten bytes of head, an empty block, no check sum and no length: gzip of nothing.
        const NOTHING: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0";
        reply(|request, response| {
            let takes = request.headers.get("accept-encoding").is_some_and(|all| all.contains("gzip"));
            if takes && response.status == 304 {
                response.headers.set("content-encoding", "gzip");
                response.body = Body(NOTHING.into());
            }
        })
    })
    .shape("that nothing follows a 304 is the requirement"),
];

/// What a read asks for.
fn url(request: &Request) -> String {
    format!("{}?{}", request.path, request.query.get(query::OFFSET).unwrap_or_default())
}

fn is_now(request: &Request) -> bool {
    request.query.get(query::OFFSET) == Some("now")
}

/// Other ETags on the answers to reads, and 304 where the client has one of these.
fn retagged(other: impl Fn(&Request, &Response, String) -> String + Send + Sync + 'static) -> Seams {
    reply(move |request, response| {
        let Some(etag) = response.headers.get(ETAG).map(str::to_owned) else { return };
        if !is_read(request) || response.status != 200 {
            return;
        }
        let etag = other(request, response, etag);
        if request.headers.get(IF_NONE_MATCH).is_some_and(|known| known.split(", ").any(|one| one == etag)) {
            response.status = 304;
            response.headers.remove(CONTENT_TYPE);
            response.body = Body::default();
        }
        response.headers.set(ETAG, etag);
    })
}

/// The first ETag of each thing of a name for all of that name.
fn kept(name: impl Fn(&Request, &Response) -> String + Send + Sync + 'static) -> Seams {
    let first: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    retagged(move |request, response, etag| {
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        first.entry(name(request, response)).or_insert(etag).clone()
    })
}

/// Other validators in the place of those that a client has.
fn validators(other: impl Fn(&str) -> String + Send + Sync + 'static) -> Seams {
    request(move |request| {
        if let Some(all) = request.headers.joined().get(IF_NONE_MATCH).cloned() {
            request.headers.set(IF_NONE_MATCH, other(&all));
        }
    })
}

fn cache_control(which: fn(&Request) -> bool, value: &'static str) -> Seams {
    reply(move |request, response| {
        if is_read(request) && response.status == 200 && which(request) {
            response.headers.set(CACHE_CONTROL, value);
        }
    })
}
