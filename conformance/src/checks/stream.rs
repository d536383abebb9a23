//! The stream protocol as the runner knows it.

mod append;
mod close;
mod content;
mod create;
mod delete;
mod head;
mod longpoll;
mod message;
mod probe;
mod read;
pub mod setting;

use crate::{
    protocol::{Feature, Limit, Protocol, Trial},
    wire::http,
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
    features: &[Feature {
        name: "stream.crash-safe",
        default: "off",
        text: "What was acknowledged survives the sudden end of the server's process.",
    }],
    limits: &[Limit {
        name: "long-poll-ms",
        text: "How long a long-poll waits before it is answered with 204.",
    }],
    checks: &[
        create::CHECKS,
        append::CHECKS,
        content::CHECKS,
        close::CHECKS,
        delete::CHECKS,
        head::CHECKS,
        read::CHECKS,
        longpoll::CHECKS,
        message::CHECKS,
    ],
    schemas: stream::schemas,
    shape,
    accepts_request: |request| Operation::decode(request).map(|_| ()).map_err(|e| e.to_string()),
    alive: |link| Box::pin(http::alive(link)),
    probe: |cx| Box::pin(probe::probe(cx)),
    trial: Trial {
        reference: &crate::embed::STREAM,
        defects: crate::selftest::defects::stream::all,
        agreeable: Some(agreeable),
        ordinary: Some(|cx| Box::pin(setting::ordinary(cx))),
    },
    registry: OnceLock::new(),
};

fn shape(request: &Request, response: &Response) -> Option<(RequirementId, &'static str)> {
    if response.status >= 400 {
        return Some((STREAM_MESSAGE_8, "stream/refusal"));
    }
    Some(match Operation::decode(request).ok()? {
        Operation::Create(_) => (STREAM_MESSAGE_1, "stream/create-response"),
        Operation::Append(_) => (STREAM_MESSAGE_2, "stream/append-response"),
        Operation::Close(_) => (STREAM_MESSAGE_3, "stream/close-response"),
        Operation::Delete(_) => (STREAM_MESSAGE_4, "stream/delete-response"),
        Operation::Head(_) => (STREAM_MESSAGE_5, "stream/head-response"),
        Operation::Read(_) => (STREAM_MESSAGE_6, "stream/read-response"),
        Operation::Longpoll(_) => (STREAM_MESSAGE_7, "stream/longpoll-response"),
    })
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
        Ok(Operation::Read(_)) => include_str!("../../../fixtures/stream/read-response/valid/minimal.json"),
        Err(_) => r#"{"status": 200}"#,
    };
    serde_json::from_str(fixture).unwrap_or_else(|_| Response::new(200))
}
