//! The queue protocol as the runner knows it.

mod auth;
pub mod client;
mod close;
mod connect;
mod consume;
mod deadletters;
mod delivery;
mod destinations;
mod http;
mod leases;
mod message;
mod offsets;
pub mod peer;
mod probe;
mod publish;
mod push;
mod queues;
mod redial;
mod replay;
mod resume;
mod retry;
pub mod setting;
mod sources;
mod subscriber;

use crate::{
    protocol::{Feature, Framed, Limit, Part, Payload, Protocol, Stimulus, Talk, Trial},
    wire::{self, ws::Frame},
};
use serde_json::Value;
use std::sync::OnceLock;
use wireproof_spec::{
    http::{Request, Response},
    queue::{self, MESSAGES, Route, requirements::*},
    requirement::RequirementId,
};

/// The queue protocol.
pub static PROTOCOL: Protocol = Protocol {
    name: "queue",
    document: queue::DOCUMENT,
    rows: queue::ROWS,
    features: &[
        Feature {
            name: "queue.dated-paths",
            default: "off",
            valued: false,
            text: "The operations of the HTTP API have the segment 2026-01-15 behind their action.",
        },
        Feature {
            name: "queue.chosen-client-ids",
            default: "on",
            valued: false,
            text: "A subscriber may choose its client_id.",
        },
        Feature {
            name: "queue.exact-numbers",
            default: "on",
            valued: false,
            text: "Numbers in payloads come back with the value that was published; off if the server documents that it keeps doubles.",
        },
        Feature {
            name: "queue.destinations",
            default: "on",
            valued: false,
            text: "A queue delivers its messages to URLs by HTTP.",
        },
        Feature {
            name: "queue.sources",
            default: "on",
            valued: false,
            text: "A queue has URLs at which it takes messages.",
        },
        Feature {
            name: "queue.consumers",
            default: "off",
            valued: false,
            text: "Who is or was subscribed can be listed.",
        },
        Feature {
            name: "queue.handler",
            default: "on",
            valued: false,
            text: "A client calls a function of its owner with each message.",
        },
        Feature {
            name: "queue.iterator",
            default: "on",
            valued: false,
            text: "The owner of a client takes messages from it, one after the other.",
        },
        Feature {
            name: "queue.persistent-iterator",
            default: "on",
            valued: false,
            text: "The iterator of a client outlives dials that fail and connections that break.",
        },
        Feature {
            name: "queue.final-4xxx",
            default: "on",
            valued: false,
            text: "A client takes a close with a code from 4000 to 4999 for the end.",
        },
        Feature {
            name: "queue.resume-options",
            default: "on",
            valued: false,
            text: "The owner of a client can tell it where an earlier one stopped.",
        },
        Feature {
            name: "queue.organisations",
            default: "on",
            valued: false,
            text: "The owner of a client can name an organisation.",
        },
        Feature {
            name: "queue.delay-settings",
            default: "on",
            valued: false,
            text: "The owner of a client can set the delays before redials, and how many there may be.",
        },
        Feature {
            name: "queue.http-client",
            default: "on",
            valued: false,
            text: "A client calls operations of the HTTP API.",
        },
        Feature {
            name: "queue.retry-settings",
            default: "on",
            valued: false,
            text: "The owner of a client can set how patiently a request is sent again.",
        },
        Feature {
            name: "queue.stream-bodies",
            default: "on",
            valued: false,
            text: "A client can send a request whose body is a stream.",
        },
    ],
    declines: &[],
    stimuli: &[Stimulus {
        name: "publish",
        text: "Publishes its content, which is JSON, as the payload of a message of a queue: for servers with another API for it.",
        given: &["queue"],
        proof: |cx| Box::pin(setting::published_by_owner(cx)),
    }],
    limits: &[
        Limit {
            name: "auth-timeout-ms",
            text: "After how long a connection that sends no AuthRequest, or that goes on after a failure, is closed.",
        },
        Limit { name: "replay-batch", text: "How many messages a Push of the type replay holds at most." },
        Limit { name: "idle-ms", text: "For how long at least a connection may be idle." },
        Limit {
            name: "answer-timeout-ms",
            text: "After how long a client gives up that waits for an AuthResponse.",
        },
    ],
    checks: &[
        connect::CHECKS,
        auth::CHECKS,
        push::CHECKS,
        push::WORKER_CHECKS,
        replay::CHECKS,
        replay::OPEN_CHECKS,
        replay::CUTS_CHECKS,
        close::CHECKS,
        offsets::CHECKS,
        http::CHECKS,
        queues::CHECKS,
        publish::CHECKS,
        consume::CHECKS,
        leases::CHECKS,
        deadletters::CHECKS,
        destinations::CHECKS,
        sources::CHECKS,
        subscriber::CHECKS,
        delivery::CHECKS,
        resume::CHECKS,
        redial::CHECKS,
        retry::CHECKS,
        message::answers::CHECKS,
        message::CHECKS,
        message::requests::CHECKS,
    ],
    awaited: &[],
    schemas: queue::schemas,
    openapi: Some(queue::openapi),
    shape,
    event_shape: |_, _| None,
    frame_shape,
    bodies: true,
    parts: PARTS,
    accepts_request,
    overloaded: wire::overload::by_status,
    alive: |link| Box::pin(wire::http::alive(link)),
    asks: probe::ASKS,
    operations: client::OPERATIONS,
    probe: |cx| Box::pin(probe::probe(cx)),
    trial: Trial {
        reference: &crate::embed::QUEUE,
        defects: crate::selftest::defects::queue::all,
        agreeable: Some(agreeable),
        socket: Some(Talk { greeting: Vec::new, reply: welcome }),
        ordinary: Some(|cx| Box::pin(setting::ordinary(cx))),
        volatile: setting::VOLATILE,
        timed: &[],
    },
    registry: OnceLock::new(),
    validators: OnceLock::new(),
};

const fn part(
    of: &'static str,
    at: &'static [&'static str],
    requirement: RequirementId,
    schema: &'static str,
) -> Part {
    Part { of, at, requirement, schema }
}

/// What stands within messages and has a shape of its own.
const PARTS: &[Part] = &[
    part("queue/queue-reply", &["data", "queue"], QUEUE_MESSAGE_4, "queue/queue"),
    part("queue/queues-reply", &["data", "queues", "*"], QUEUE_MESSAGE_4, "queue/queue"),
    part("queue/message-reply", &["data", "message"], QUEUE_MESSAGE_3, "queue/message"),
    part("queue/batch-reply", &["data", "messages", "*"], QUEUE_MESSAGE_3, "queue/message"),
    part("queue/messages-reply", &["data", "messages", "*"], QUEUE_MESSAGE_3, "queue/message"),
    part("queue/receive-reply", &["data", "message"], QUEUE_MESSAGE_3, "queue/message"),
    part("queue/push", &["messages", "*"], QUEUE_MESSAGE_3, "queue/message"),
    part(
        "queue/dead-letters-reply",
        &["data", "messages", "*"],
        QUEUE_MESSAGE_5,
        "queue/dead-letter-message",
    ),
    part("queue/destination-reply", &["data", "destination"], QUEUE_MESSAGE_6, "queue/destination"),
    part("queue/destinations-reply", &["data", "destinations", "*"], QUEUE_MESSAGE_6, "queue/destination"),
    part("queue/source-reply", &["data", "source"], QUEUE_MESSAGE_7, "queue/source"),
    part("queue/sources-reply", &["data", "sources", "*"], QUEUE_MESSAGE_7, "queue/source"),
    part("queue/consumers-reply", &["data", "consumers", "*"], QUEUE_MESSAGE_8, "queue/consumer"),
];

/// Which shape the answer to an operation has. What is no operation of the document has none.
fn shape(request: &Request, response: &Response) -> Option<(RequirementId, &'static str)> {
    let reply = Route::decode(request).ok()?.action.operation().reply;
    if response.status >= 400 {
        return Some((QUEUE_MESSAGE_23, "queue/failure"));
    }
    // Who is sent elsewhere was neither served nor refused.
    if !(200..300).contains(&response.status) {
        return None;
    }
    let requirement = match reply {
        "queue/queue-reply" => QUEUE_MESSAGE_9,
        "queue/queues-reply" => QUEUE_MESSAGE_10,
        "queue/message-reply" => QUEUE_MESSAGE_11,
        "queue/messages-reply" => QUEUE_MESSAGE_12,
        "queue/batch-reply" => QUEUE_MESSAGE_13,
        "queue/receive-reply" => QUEUE_MESSAGE_14,
        "queue/offset-reply" => QUEUE_MESSAGE_15,
        "queue/dead-letters-reply" => QUEUE_MESSAGE_16,
        "queue/destination-reply" => QUEUE_MESSAGE_17,
        "queue/destinations-reply" => QUEUE_MESSAGE_18,
        "queue/source-reply" => QUEUE_MESSAGE_19,
        "queue/sources-reply" => QUEUE_MESSAGE_20,
        "queue/consumers-reply" => QUEUE_MESSAGE_21,
        "queue/done" => QUEUE_MESSAGE_22,
        _ => return None,
    };
    Some((requirement, reply))
}

/// An AuthRequest, an AuthResponse or a Push; everything else is a keep-alive.
fn frame_shape(payload: Payload<'_>) -> Option<Framed> {
    let Payload::Text(text) = payload else { return None };
    let frame: Value = serde_json::from_str(text).ok()?;
    let has = |name: &str| frame.get(name).is_some();
    // First what no server says, whatever else a client says with it.
    if has("authorization") {
        Some(Framed::text(QUEUE_MESSAGE_24, "queue/auth-request"))
    } else if has("success") {
        Some(Framed::text(QUEUE_MESSAGE_1, "queue/auth-response"))
    } else if ["type", "queue_id", "messages"].into_iter().any(has) {
        Some(Framed::text(QUEUE_MESSAGE_2, "queue/push"))
    } else {
        None
    }
}

/// Whether the body of a request is what its operation takes. Of what is no operation the document says nothing.
fn accepts_request(request: &Request) -> Result<(), String> {
    let Ok(route) = Route::decode(request) else { return Ok(()) };
    let Some(name) = route.action.operation().request else { return Ok(()) };
    let Some((_, decode)) = MESSAGES.iter().find(|(known, _)| *known == name) else { return Ok(()) };
    decode(&request.body).map_err(|e| e.to_string())
}

/// The minimal success of each operation, from the fixtures; the runner of null targets keeps nothing.
fn agreeable(request: &Request) -> Response {
    let reply = Route::decode(request).map_or("queue/done", |route| route.action.operation().reply);
    let body = match reply {
        "queue/queue-reply" => include_str!("../../../fixtures/queue/queue-reply/valid/minimal.json"),
        "queue/queues-reply" => include_str!("../../../fixtures/queue/queues-reply/valid/minimal.json"),
        "queue/message-reply" => include_str!("../../../fixtures/queue/message-reply/valid/minimal.json"),
        "queue/messages-reply" => include_str!("../../../fixtures/queue/messages-reply/valid/minimal.json"),
        "queue/batch-reply" => include_str!("../../../fixtures/queue/batch-reply/valid/minimal.json"),
        "queue/receive-reply" => include_str!("../../../fixtures/queue/receive-reply/valid/minimal.json"),
        "queue/offset-reply" => include_str!("../../../fixtures/queue/offset-reply/valid/minimal.json"),
        "queue/dead-letters-reply" => {
            include_str!("../../../fixtures/queue/dead-letters-reply/valid/minimal.json")
        }
        "queue/destination-reply" => {
            include_str!("../../../fixtures/queue/destination-reply/valid/minimal.json")
        }
        "queue/destinations-reply" => {
            include_str!("../../../fixtures/queue/destinations-reply/valid/minimal.json")
        }
        "queue/source-reply" => include_str!("../../../fixtures/queue/source-reply/valid/minimal.json"),
        "queue/sources-reply" => include_str!("../../../fixtures/queue/sources-reply/valid/minimal.json"),
        "queue/consumers-reply" => include_str!("../../../fixtures/queue/consumers-reply/valid/minimal.json"),
        "queue/done" => include_str!("../../../fixtures/queue/done/valid/minimal.json"),
        _ => r#"{"success": true}"#,
    };
    Response::new(200).header("content-type", "application/json").body(body)
}

/// The success of every AuthRequest. Nothing is ever pushed.
fn welcome(frame: &Frame) -> Option<Frame> {
    matches!(frame, Frame::Text(_)).then(|| Frame::Text(r#"{"success": true, "client_id": "qcid_1"}"#.into()))
}
