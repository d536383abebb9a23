//! The fleet protocol as the runner knows it.

mod access;
pub mod agent;
pub mod by_hand;
pub mod client;
mod commands;
mod conditional;
mod connect;
mod dial;
mod drain;
pub mod ear;
mod events;
mod execute;
mod frames;
mod hash;
mod hello;
mod holds;
mod http;
mod ids;
mod instances;
mod liveness;
pub mod look;
pub mod manual;
mod message;
pub mod orders;
mod placement;
mod poll;
mod probe;
mod redial;
mod report;
pub mod setting;
mod snapshot;
mod startup;
mod violations;

use crate::{
    protocol::{Feature, Framed, Limit, Payload, Protocol, Talk, Trial},
    wire::{self, ws::Frame},
};
use serde::Serialize;
use serde_json::Value;
use std::sync::OnceLock;
use wireproof_spec::{
    fleet::{
        self, Ack, Cmd, Event, Hello, MESSAGES, Poll, Route, State, Status, Violation,
        frames::{Outer, VERSION},
        requirements::*,
    },
    http::{Request, Response},
    requirement::RequirementId,
};

/// The fleet protocol.
pub static PROTOCOL: Protocol = Protocol {
    name: "fleet",
    document: fleet::DOCUMENT,
    rows: fleet::ROWS,
    features: &[
        Feature {
            name: "fleet.api",
            default: "on",
            valued: false,
            text: "The orchestrator has the routes below /v1; off if only agents and the two health routes are served.",
        },
        Feature {
            name: "fleet.sse-query-auth",
            default: "off",
            valued: false,
            text: "The key of an operator may stand in the query of the event stream.",
        },
        Feature {
            name: "fleet.cors",
            default: "off",
            valued: true,
            text: "Pages of other origins may use the API; the value is one origin that may, or * if all may.",
        },
        Feature {
            name: "fleet.trust-proxy",
            default: "off",
            valued: false,
            text: "The address of an operator is taken from X-Forwarded-For.",
        },
        Feature {
            name: "fleet.hash-verified",
            default: "off",
            valued: false,
            text: "The orchestrator computes the hash of a snapshot, and rejects one that tells another.",
        },
        Feature {
            name: "fleet.command-line",
            default: "off",
            valued: false,
            text: "The orchestrator is a program with the flags and variables of the document.",
        },
        Feature {
            name: "fleet.connect-timeout",
            default: "on",
            valued: false,
            text: "The owner of an agent may bound the time until the first Hello.",
        },
        Feature {
            name: "fleet.instance-ids",
            default: "on",
            valued: false,
            text: "The owner of an agent is told the id that a Hello gave to the connection.",
        },
        Feature {
            name: "fleet.local-rooms",
            default: "on",
            valued: false,
            text: "The host of an agent makes and ends rooms itself.",
        },
        Feature {
            name: "fleet.room-connections",
            default: "on",
            valued: false,
            text: "The host of an agent tells how many connections a room has.",
        },
        Feature {
            name: "fleet.host-drain",
            default: "on",
            valued: false,
            text: "The host of an agent may drain and undrain, and is told when the orchestrator has taken note.",
        },
        Feature {
            name: "fleet.graceful-shutdown",
            default: "off",
            valued: false,
            text: "The owner of an agent may ask for an end that drains and waits until there are no rooms.",
        },
    ],
    declines: &[],
    stimuli: &[],
    limits: &[
        Limit {
            name: "heartbeat-ms",
            text: "How far apart Polls are; what the Hello says if nothing is declared.",
        },
        Limit {
            name: "command-timeout-ms",
            text: "How long the orchestrator waits for an Ack; 10000 if nothing is said.",
        },
        Limit {
            name: "snapshot-bytes",
            text: "The longest payload of a State that the orchestrator takes; it is measured if nothing is said.",
        },
        Limit {
            name: "shutdown-ms",
            text: "How long an orderly end takes at most; 10000 if nothing is said.",
        },
        Limit { name: "ping-ms", text: "How far apart its pings are; 30000 if nothing is said." },
        Limit {
            name: "hello-timeout-ms",
            text: "After how long an agent leaves a connection on which no Hello came; 60000 if nothing is said.",
        },
        Limit {
            name: "silence-ms",
            text: "After how long an agent leaves a connection on which neither Polls nor pings come; 120000 if nothing is said.",
        },
    ],
    checks: &[
        connect::CHECKS,
        frames::CHECKS,
        hello::CHECKS,
        poll::CHECKS,
        liveness::CHECKS,
        violations::CHECKS,
        snapshot::CHECKS,
        commands::CHECKS,
        holds::CHECKS,
        placement::CHECKS,
        instances::CHECKS,
        ids::CHECKS,
        http::CHECKS,
        access::CHECKS,
        conditional::CHECKS,
        events::CHECKS,
        startup::CHECKS,
        dial::CHECKS,
        report::CHECKS,
        execute::CHECKS,
        drain::CHECKS,
        redial::CHECKS,
        hash::CHECKS,
        hash::agents::CHECKS,
        message::CHECKS,
        message::agents::CHECKS,
    ],
    awaited: &[],
    schemas: fleet::schemas,
    openapi: Some(fleet::openapi),
    shape,
    event_shape: |_, name| Event::of(name).map(Event::shape),
    frame_shape,
    bodies: true,
    parts: &[],
    accepts_request,
    overloaded,
    alive: |link| Box::pin(wire::http::alive(link)),
    asks: probe::ASKS,
    operations: client::OPERATIONS,
    probe: |cx| Box::pin(probe::probe(cx)),
    trial: Trial {
        reference: &crate::embed::FLEET,
        defects: crate::selftest::defects::fleet::all,
        agreeable: Some(agreeable),
        socket: Some(Talk { greeting, reply }),
        ordinary: Some(|cx| Box::pin(setting::ordinary(cx))),
        volatile: setting::VOLATILE,
        timed: &["fleet/poll"],
    },
    registry: OnceLock::new(),
    validators: OnceLock::new(),
};

/// Which shape the answer to an operation has. What is no operation of the document has none.
fn shape(request: &Request, response: &Response) -> Option<(RequirementId, &'static str)> {
    let reply = Route::decode(request).ok()?.action.operation().reply;
    if request.method == "HEAD" {
        return None;
    }
    if response.status >= 400 {
        return Some((FLEET_MESSAGE_4, "fleet/rejected"));
    }
    if !(200..300).contains(&response.status) {
        return None;
    }
    let requirement = match reply? {
        "fleet/done" => FLEET_MESSAGE_5,
        "fleet/stats-reply" => FLEET_MESSAGE_6,
        "fleet/instances-reply" => FLEET_MESSAGE_7,
        "fleet/instance-reply" => FLEET_MESSAGE_8,
        "fleet/rooms-reply" => FLEET_MESSAGE_9,
        "fleet/room-reply" => FLEET_MESSAGE_10,
        _ => return None,
    };
    Some((requirement, reply?))
}

/// The message in a frame, by its topic.
fn frame_shape(payload: Payload<'_>) -> Option<Framed> {
    let Payload::Binary(bytes) = payload else { return None };
    let outer = Outer::decode(bytes).ok()?;
    let inner = outer.payload?;
    let (requirement, schema, document) = match outer.topic?.as_ref() {
        "fleet/hello" => (FLEET_MESSAGE_1, "fleet/hello", document(inner, Hello::decode_frame)),
        "fleet/poll" => (FLEET_MESSAGE_2, "fleet/poll", document(inner, Poll::decode_frame)),
        "fleet/cmd" => (FLEET_MESSAGE_3, "fleet/cmd", document(inner, Cmd::decode_frame)),
        "fleet/state" => (FLEET_MESSAGE_14, "fleet/state", document(inner, State::decode_frame)),
        "fleet/ack" => (FLEET_MESSAGE_15, "fleet/ack", document(inner, Ack::decode_frame)),
        _ => return None,
    };
    Some(Framed { requirement, schema, document: Some(document) })
}

/// What the schema of a message speaks of.
fn document<T: Serialize>(
    inner: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Violation>,
) -> Result<Value, String> {
    let message = decode(inner).map_err(|e| e.to_string())?;
    serde_json::to_value(message).map_err(|e| e.to_string())
}

/// Whether the body of a request is what its operation takes. Of what is no operation the document says nothing.
fn accepts_request(request: &Request) -> Result<(), String> {
    let Ok(route) = Route::decode(request) else { return Ok(()) };
    let Some(name) = route.action.operation().request else { return Ok(()) };
    let Some((_, decode)) = MESSAGES.iter().find(|(known, _)| *known == name) else { return Ok(()) };
    decode(&request.body).map_err(|e| e.to_string())
}

/// 429 and 503 mean several things here, and the cause says which.
fn overloaded(response: &Response) -> bool {
    wire::overload::by_status(response) && setting::cause(response).is_none()
}

/// The minimal success of each operation, from the fixtures; the runner of null targets keeps nothing.
fn agreeable(request: &Request) -> Response {
    let operation = Route::decode(request).ok().map(|route| route.action.operation());
    let body = match operation.and_then(|operation| operation.reply) {
        Some("fleet/stats-reply") => include_str!("../../../fixtures/fleet/stats-reply/valid/minimal.json"),
        Some("fleet/instances-reply") => {
            include_str!("../../../fixtures/fleet/instances-reply/valid/minimal.json")
        }
        Some("fleet/instance-reply") => {
            include_str!("../../../fixtures/fleet/instance-reply/valid/minimal.json")
        }
        Some("fleet/rooms-reply") => include_str!("../../../fixtures/fleet/rooms-reply/valid/minimal.json"),
        Some("fleet/room-reply") => include_str!("../../../fixtures/fleet/room-reply/valid/minimal.json"),
        _ => r#"{"status": "OK"}"#,
    };
    let status = operation.map_or(200, |operation| operation.status);
    Response::new(status).header("content-type", "application/json").body(body)
}

/// A Hello and the first Poll.
fn greeting() -> Vec<Frame> {
    let hello =
        Hello { instance_id: "b633be34d9ba1101".into(), protocol_version: VERSION, heartbeat_ms: 300 };
    vec![said("fleet/hello", &hello.encode_frame()), poll("poll_1")]
}

/// The next Poll behind each State.
fn reply(frame: &Frame) -> Option<Frame> {
    let Frame::Binary(bytes) = frame else { return None };
    let outer = Outer::decode(bytes).ok()?;
    (outer.topic? == "fleet/state").then(|| poll("poll_2"))
}

fn poll(req_id: &str) -> Frame {
    let poll = Poll { req_id: req_id.into(), known_hash: None, status: Status::Active };
    said("fleet/poll", &poll.encode_frame())
}

fn said(topic: &str, inner: &[u8]) -> Frame {
    Frame::Binary(Outer::encode(topic, inner).into())
}
