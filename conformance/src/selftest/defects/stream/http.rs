//! Defects of "Http".

use super::{HttpSeams, Seams, Table, is_append, is_delete, is_head, is_read, refusal, reply, request};
use crate::{
    protocol::Cut::Wire,
    selftest::defects::{
        Breakage,
        wire::{Count, received},
    },
};
use wireproof_spec::{
    http::{Body, Request},
    stream::{
        header::{ALLOW, query},
        requirements::*,
    },
};

const HEADER: &str = "whether the header is there is the requirement";
const ERROR: &str = "an error of the server is what the requirement forbids";

pub(super) const TABLE: Table = &[
    Breakage::always("stream/http/refusals-sniffed", STREAM_HTTP_1, Wire, || {
        reply(|_, response| {
            if response.status >= 400 {
                response.headers.remove("x-content-type-options");
            }
        })
    })
    .shape(HEADER),
    Breakage::always("stream/http/no-policy", STREAM_HTTP_2, Wire, || {
        reply(|request, response| {
            if is_read(request) {
                response.headers.remove("cross-origin-resource-policy");
            }
        })
    })
    .shape(HEADER),
    Breakage::always("stream/http/broken-escape-fails", STREAM_HTTP_3, Wire, || {
        fails(|request| request.path.contains("%zz"))
    })
    .shape(ERROR),
    Breakage::boundary("stream/http/long-offset-fails", STREAM_HTTP_3, Wire, || {
        fails(|request| request.query.get(query::OFFSET).is_some_and(|token| token.len() > 1_000))
    })
    .shape(ERROR),
    Breakage::second("stream/http/broken-chunks-taken", STREAM_HTTP_4, Wire, || {
        let count = Count::new();
        Seams::from(HttpSeams {
            early: Some(Box::new(move |request| {
                request.body = Body("hello".into());
                count.up(&request.path) > 0
            })),
            ..HttpSeams::honest()
        })
    }),
    Breakage::always("stream/http/url-ends-at-nul", STREAM_HTTP_5, Wire, || {
        request(|request| {
            if let Some(end) = request.path.find("%00") {
                request.path.truncate(end);
            }
        })
    }),
    Breakage::always("stream/http/escaped-slashes-climb", STREAM_HTTP_5, Wire, || {
        request(|request| {
            let path = request.path.replace("%2F", "/").replace("%2f", "/");
            if path != request.path {
                request.path = resolved(&path);
            }
        })
    }),
    Breakage::always("stream/http/long-url-fails", STREAM_HTTP_5, Wire, || {
        fails(|request| request.path.len() > 8_000)
    })
    .shape(ERROR),
    Breakage::always("stream/http/unknown-headers-refused", STREAM_HTTP_6, Wire, || {
        reply(|request, response| {
            let known = |name: &str| !name.starts_with("stream-") || KNOWN.contains(&name);
            if request.method == "PUT" && !request.headers.0.iter().all(|(name, _)| known(name)) {
                *response = refusal(400);
            }
        })
    }),
    Breakage::boundary("stream/http/unknown-parameters-refused", STREAM_HTTP_6, Wire, || {
        reply(|request, response| {
            let known = |name: &str| matches!(name, query::OFFSET | query::LIVE | query::CURSOR);
            if request.method == "GET" && !request.query.0.iter().all(|(name, _)| known(name)) {
                *response = refusal(400);
            }
        })
    }),
    Breakage::always("stream/http/unknown-method-malformed", STREAM_HTTP_7, Wire, || {
        reply(|_, response| {
            if response.status == 405 {
                *response = refusal(400);
            }
        })
    })
    .shape("no honest server has another answer to a method that it does not have"),
    Breakage::always("stream/http/nothing-allowed", STREAM_HTTP_8, Wire, || {
        reply(|_, response| response.headers.remove(ALLOW))
    })
    .shape(HEADER),
    Breakage::always("stream/http/read-only-append-not-found", STREAM_HTTP_9, Wire, || {
        not_found(|request| request.method == "POST")
    })
    .wide("every check that appends is refused, and not as a server without appends refuses")
    .variant("read-only"),
    Breakage::always("stream/http/read-only-delete-not-found", STREAM_HTTP_9, Wire, || not_found(is_delete))
        .variant("read-only"),
    Breakage::always("stream/http/strangers-read", STREAM_HTTP_10, Wire, || {
        request(|request| {
            if is_read(request) {
                request.headers.set("authorization", crate::embed::stream::AUTHORIZATION);
            }
        })
    })
    .variant("authenticated"),
    Breakage::always("stream/http/strangers-follow", STREAM_HTTP_10, Wire, || {
        request(|request| {
            if request.query.get(query::LIVE) == Some("sse") {
                request.headers.set("authorization", crate::embed::stream::AUTHORIZATION);
            }
        })
    })
    .variant("authenticated"),
    Breakage::always("stream/http/any-credentials-will-do", STREAM_HTTP_10, Wire, || {
        request(|request| {
            if request.headers.get("authorization").is_some() {
                request.headers.set("authorization", crate::embed::stream::AUTHORIZATION);
            }
        })
    })
    .variant("authenticated"),
    Breakage::second("stream/http/refused-and-done", STREAM_HTTP_10, Wire, || {
        const SLIPPED: &str = "x-slipped";
        let count = Count::new();
        Seams::from(HttpSeams {
            reply: Box::new(|request, response| {
                if request.headers.get(SLIPPED).is_some() {
                    *response = refusal(401).header("www-authenticate", "Bearer");
                }
            }),
            ..request(move |request| {
                let stranger = request.headers.get("authorization").is_none();
                if stranger && is_append(request) && count.up(&request.path) > 0 {
                    request.headers.set("authorization", crate::embed::stream::AUTHORIZATION);
                    request.headers.set(SLIPPED, "1");
                }
            })
        })
    })
    .variant("authenticated"),
    Breakage::race("stream/http/too-many-not-found", STREAM_HTTP_11, Wire, || {
        reply(|request, response| {
            if is_head(request) && response.status == 429 {
                *response = refusal(404);
            }
        })
    })
    .variant("rate-limited"),
    Breakage::second("stream/http/too-many-and-done", STREAM_HTTP_12, Wire, || {
        const TAKEN: u32 = 4;
        let count = Count::new();
        reply(move |request, response| {
            if is_append(request) && response.status == 204 && count.up(&request.path) >= TAKEN {
                *response = refusal(429);
            }
        })
    })
    .variant("rate-limited"),
    Breakage::always("stream/http/length-required", STREAM_HTTP_15, Wire, || {
        reply(|request, response| {
            let has = |name: &str| request.headers.get(name).is_some();
            if is_append(request) && !has("content-length") && !has("transfer-encoding") {
                *response = refusal(400);
            }
        })
    }),
    Breakage::boundary("stream/http/last-piece-lost", STREAM_HTTP_16, Wire, || {
        Seams::from(HttpSeams {
            pieces: Some(Box::new(|pieces, request| {
                if pieces > 1 {
                    request.body.0.truncate(request.body.len() - 1);
                }
            })),
            ..HttpSeams::honest()
        })
    })
    .wide("whoever appends much appends it in pieces"),
    Breakage::boundary("stream/http/read-ahead-lost", STREAM_HTTP_16, Wire, || {
        received(|bytes: &[u8]| {
            const END: &[u8] = b"\r\n\r\n";
            let end = bytes.windows(END.len()).position(|four| four == END).map(|at| at + END.len());
            let next = |end: &usize| [&b"GET "[..], b"HEAD "].iter().any(|m| bytes[*end..].starts_with(m));
            end.filter(next).unwrap_or(bytes.len())
        })
    }),
    // Who reads the preface of HTTP/2 in one go takes a part of it for the beginning of something else.
    Breakage::boundary("stream/http/preface-in-one-piece", STREAM_HTTP_16, Wire, || {
        received(|bytes: &[u8]| {
            const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
            let is_part = bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes);
            if is_part { 1 } else { bytes.len() }
        })
    }),
    Breakage::race("stream/http/few-at-a-time", STREAM_HTTP_17, Wire, || Seams {
        connections: Some(4),
        ..Seams::honest()
    }),
    Breakage::race("stream/http/read-ahead-of-a-producer-lost", STREAM_HTTP_16, Wire, || {
        received(|bytes: &[u8]| {
            const POST: &[u8] = b"POST /";
            let next = (1..bytes.len()).find(|at| bytes[*at..].starts_with(POST));
            let is_of_a_producer = bytes.windows(11).any(|name| name == b"producer-id");
            next.filter(|_| is_of_a_producer).unwrap_or(bytes.len())
        })
    }),
];

/// The headers of requests that begin as those of the protocol do.
const KNOWN: [&str; 7] = [
    "stream-closed",
    "stream-ttl",
    "stream-expires-at",
    "stream-seq",
    "stream-forked-from",
    "stream-fork-offset",
    "stream-fork-sub-offset",
];

/// An error of the server in the place of the answer to such a request.
fn fails(which: fn(&Request) -> bool) -> Seams {
    reply(move |request, response| {
        if which(request) {
            *response = refusal(500);
        }
    })
}

/// What a read-only server refuses, refused as if nothing were there.
fn not_found(which: fn(&Request) -> bool) -> Seams {
    reply(move |request, response| {
        if which(request) && response.status == 405 {
            *response = refusal(404);
        }
    })
}

/// A path without dot segments and empty ones.
fn resolved(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').filter(|segment| !matches!(*segment, "" | ".")) {
        if segment == ".." {
            segments.pop();
        } else {
            segments.push(segment);
        }
    }
    format!("/{}", segments.join("/"))
}
