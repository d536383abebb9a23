//! The stream protocol as the runner knows it.

mod append;
mod caching;
mod close;
mod content;
mod create;
mod delete;
mod expiry;
mod forks;
mod head;
mod http;
mod json;
mod longpoll;
mod message;
mod offsets;
mod probe;
mod producers;
mod read;
pub mod setting;
pub mod sse;

use crate::{
    protocol::{Declined, Feature, Limit, Protocol, Trial},
    wire,
};
use std::sync::OnceLock;
use wireproof_spec::{
    http::{Request, Response},
    requirement::RequirementId,
    stream::{self, Operation, requirements::*},
};

/// The stream protocol.
pub static PROTOCOL: Protocol = Protocol {
    name: "stream",
    document: stream::DOCUMENT,
    rows: stream::ROWS,
    features: &[
        Feature {
            name: "stream.crash-safe",
            default: "off",
            valued: false,
            text: "What was acknowledged survives the sudden end of the server's process.",
        },
        Feature {
            name: "stream.sse",
            default: "on",
            valued: false,
            text: "Live reading over server-sent events.",
        },
        Feature {
            name: "stream.forks",
            default: "on",
            valued: false,
            text: "Streams that begin as a part of another.",
        },
        Feature {
            name: "stream.exact-numbers",
            default: "on",
            valued: false,
            text: "JSON numbers come back with the value that was written; off if the server documents that it keeps doubles.",
        },
        Feature {
            name: "stream.retention",
            default: "off",
            valued: false,
            text: "The server drops the oldest content of a stream, as the limit retained-bytes says.",
        },
        Feature {
            name: "stream.access-control",
            default: "off",
            valued: false,
            text: "Requests without the credentials that the target file names are refused.",
        },
        Feature {
            name: "stream.rate-limit",
            default: "off",
            valued: false,
            text: "The server refuses with 429 who sends more than the limit burst-requests at once.",
        },
        Feature {
            name: "stream.read-only",
            default: "off",
            valued: false,
            text: "The server takes neither POST nor DELETE.",
        },
        Feature {
            name: "stream.http2",
            default: "off",
            valued: false,
            text: "HTTP/2 without TLS, by prior knowledge, is spoken at the same address.",
        },
    ],
    declines: &[Declined {
        feature: ("stream.read-only", "on"),
        what: "PUT, POST and DELETE, which a server with stream.read-only may refuse with 405 or 501",
        refuses: |method, status| matches!(method, "PUT" | "POST" | "DELETE") && matches!(status, 405 | 501),
    }],
    stimuli: &[],
    limits: &[
        Limit { name: "long-poll-ms", text: "How long a long-poll waits before it is answered with 204." },
        Limit { name: "sse-ms", text: "After how long an event stream is closed by the server." },
        Limit { name: "max-body-bytes", text: "The longest body of a request that is accepted." },
        Limit {
            name: "retained-bytes",
            text: "How much of a stream is kept at least; older content may be dropped.",
        },
        Limit { name: "burst-requests", text: "How many requests at once are refused in part with 429." },
    ],
    checks: &[
        offsets::CHECKS,
        create::CHECKS,
        append::CHECKS,
        content::CHECKS,
        close::CHECKS,
        delete::CHECKS,
        head::CHECKS,
        read::CHECKS,
        longpoll::CHECKS,
        longpoll::cursor::CHECKS,
        expiry::CHECKS,
        producers::CHECKS,
        sse::CHECKS,
        json::CHECKS,
        json::refused::CHECKS,
        json::faithful::CHECKS,
        forks::CHECKS,
        caching::CHECKS,
        http::CHECKS,
        message::CHECKS,
    ],
    awaited: &[],
    schemas: stream::schemas,
    openapi: Some(stream::openapi),
    shape,
    event_shape,
    frame_shape: |_| None,
    bodies: false,
    parts: &[],
    accepts_request: |request| Operation::decode(request).map(|_| ()).map_err(|e| e.to_string()),
    overloaded: wire::overload::by_status,
    alive: |link| Box::pin(wire::http::alive(link)),
    asks: probe::ASKS,
    operations: &[],
    probe: |cx| Box::pin(probe::probe(cx)),
    trial: Trial {
        reference: &crate::embed::STREAM,
        defects: crate::selftest::defects::stream::all,
        agreeable: Some(agreeable),
        socket: None,
        ordinary: Some(|cx| Box::pin(setting::ordinary(cx))),
        volatile: &[],
        timed: &[],
    },
    registry: OnceLock::new(),
    validators: OnceLock::new(),
};

fn shape(request: &Request, response: &Response) -> Option<(RequirementId, &'static str)> {
    if response.status >= 400 {
        return Some((STREAM_MESSAGE_8, "stream/refusal"));
    }
    // Who is sent elsewhere was neither served nor refused.
    if (300..400).contains(&response.status) && response.status != 304 {
        return None;
    }
    Some(match Operation::decode(request).ok()? {
        Operation::Create(_) => (STREAM_MESSAGE_1, "stream/create-response"),
        Operation::Append(_) => (STREAM_MESSAGE_2, "stream/append-response"),
        Operation::Close(_) => (STREAM_MESSAGE_3, "stream/close-response"),
        Operation::Delete(_) => (STREAM_MESSAGE_4, "stream/delete-response"),
        Operation::Head(_) => (STREAM_MESSAGE_5, "stream/head-response"),
        Operation::Read(_) if response.status == 304 => (STREAM_MESSAGE_9, "stream/read-not-modified"),
        Operation::Read(_) => (STREAM_MESSAGE_6, "stream/read-response"),
        Operation::Longpoll(_) => (STREAM_MESSAGE_7, "stream/longpoll-response"),
        Operation::Sse(_) => (STREAM_MESSAGE_10, "stream/sse-response"),
    })
}

fn event_shape(request: &Request, name: &str) -> Option<(RequirementId, &'static str)> {
    let is_control =
        name == stream::sse::CONTROL && matches!(Operation::decode(request), Ok(Operation::Sse(_)));
    is_control.then_some((STREAM_MESSAGE_11, "stream/sse-control"))
}

/// The minimal success of each operation, from the fixtures; the runner of null targets keeps nothing.
fn agreeable(request: &Request) -> Response {
    let fixture = match Operation::decode(request) {
        Ok(Operation::Create(_)) => {
            include_str!("../../../fixtures/stream/create-response/valid/minimal.json")
        }
        Ok(Operation::Append(_)) => {
            include_str!("../../../fixtures/stream/append-response/valid/minimal.json")
        }
        Ok(Operation::Close(_)) => include_str!("../../../fixtures/stream/close-response/valid/minimal.json"),
        Ok(Operation::Delete(_)) => {
            include_str!("../../../fixtures/stream/delete-response/valid/minimal.json")
        }
        Ok(Operation::Head(_)) => include_str!("../../../fixtures/stream/head-response/valid/minimal.json"),
        Ok(Operation::Longpoll(_)) => {
            include_str!("../../../fixtures/stream/longpoll-response/valid/minimal.json")
        }
        Ok(Operation::Sse(_)) => include_str!("../../../fixtures/stream/sse-response/valid/minimal.json"),
        Ok(Operation::Read(_)) => include_str!("../../../fixtures/stream/read-response/valid/minimal.json"),
        Err(_) => r#"{"status": 200}"#,
    };
    serde_json::from_str(fixture).unwrap_or_else(|_| Response::new(200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_sent_elsewhere_was_not_served() {
        let read = Request::new("GET", "/v1/stream/a");
        assert_eq!(shape(&read, &Response::new(301)), None);
        assert_eq!(shape(&read, &Response::new(304)).map(|(id, _)| id), Some(STREAM_MESSAGE_9));
        assert_eq!(shape(&read, &Response::new(200)).map(|(id, _)| id), Some(STREAM_MESSAGE_6));
    }
}
