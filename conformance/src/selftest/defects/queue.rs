//! The defects of the queue protocol.

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
mod publish;
mod push;
mod queues;
mod redial;
mod replay;
mod resume;
mod retry;
mod sources;
mod subscriber;

use super::{
    Breakage, port,
    wire::{self, Count, Flying, HttpSeams, overlap, reply, request, rewrite},
};
use crate::{
    embed::reference::{
        model::{Decision, Port},
        queue::{
            QueueModel, Seams,
            model::{Answer, Ask, Effect, Input, Queue, Record, State},
            seams::Frame,
        },
    },
    protocol::Defect,
};
use serde_json::Value;
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, Route},
};

use client::{ClientSeams, ClientTable};

type Table = &'static [Breakage<Seams>];

const TABLES: &[Table] = &[
    connect::TABLE,
    auth::TABLE,
    auth::first::TABLE,
    auth::later::TABLE,
    push::TABLE,
    replay::TABLE,
    close::TABLE,
    offsets::TABLE,
    http::TABLE,
    queues::TABLE,
    queues::LIFE,
    publish::TABLE,
    publish::BATCH,
    publish::CONTENT,
    consume::TABLE,
    leases::TABLE,
    deadletters::TABLE,
    destinations::TABLE,
    sources::TABLE,
    message::TABLE,
];

/// The defects of clients.
const CLIENTS: &[ClientTable] =
    &[subscriber::TABLE, delivery::TABLE, resume::TABLE, redial::TABLE, retry::TABLE, message::CLIENTS];

/// Every defect.
pub fn all() -> Vec<&'static Defect> {
    let servers = TABLES.iter().flat_map(|table| table.iter().map(|b| &b.defect));
    servers.chain(CLIENTS.iter().flat_map(|table| table.iter().map(|b| &b.defect))).collect()
}

/// A defect of clients by its id.
pub fn find_client(id: &str) -> Option<&'static Breakage<ClientSeams>> {
    CLIENTS.iter().flat_map(|table| table.iter()).find(|b| b.defect.id == id)
}

/// A defect by its id.
pub fn find(id: &str) -> Option<&'static Breakage<Seams>> {
    TABLES.iter().flat_map(|table| table.iter()).find(|b| b.defect.id == id)
}

/// The JSON of each answer to this operation that succeeded, changed.
fn told<S: From<HttpSeams>>(
    action: Action,
    change: impl Fn(&Request, &mut Value) + Send + Sync + 'static,
) -> S {
    wire::told(move |request| is(request, action), change)
}

/// An answer that succeeded, with these data.
fn success(data: &Value) -> Response {
    let body = if data.is_null() {
        serde_json::json!({"success": true})
    } else {
        serde_json::json!({"success": true, "data": data})
    };
    Response::new(200).header("content-type", "application/json").body(body.to_string())
}

/// A refusal.
fn refusal(status: u16) -> Response {
    let body = serde_json::json!({"success": false, "message": "refused"});
    Response::new(status).header("content-type", "application/json").body(body.to_string())
}

/// The frames that are about to be sent on each connection, changed. The number is that of the connection.
fn frames(change: impl Fn(u64, &mut Vec<Frame>) + Send + Sync + 'static) -> Seams {
    Seams { frames: Some(Box::new(move |_, number, frames| change(number, frames))), ..Seams::honest() }
}

/// What each connection hears, changed. The number is that of the connection.
fn heard(change: impl Fn(u64, &mut Frame) + Send + Sync + 'static) -> Seams {
    Seams { heard: Some(Box::new(move |_, number, frame| change(number, frame))), ..Seams::honest() }
}

/// The JSON of each frame that is sent, changed.
fn said(change: impl Fn(u64, &mut Value) + Send + Sync + 'static) -> Seams {
    frames(move |number, frames| {
        for frame in frames {
            let Frame::Text(text) = frame else { continue };
            let Ok(mut value) = serde_json::from_str::<Value>(text) else { continue };
            change(number, &mut value);
            *text = value.to_string();
        }
    })
}

/// Another port.
fn through(port: Port<QueueModel>) -> Seams {
    Seams { port, ..Seams::honest() }
}

/// Each decision changed.
fn decide(change: impl FnMut(&State, &Input, &mut Decision<QueueModel>) + Send + 'static) -> Seams {
    through(port::rewrite(change))
}

/// Each input changed.
fn input(change: impl FnMut(&State, &mut Input) + Send + 'static) -> Seams {
    through(port::rewrite_input(change))
}

/// What an input asks of a queue.
fn ask(input: &Input) -> Option<(&str, &Ask)> {
    match input {
        Input::Ask { name, ask, .. } => Some((name, ask)),
        _ => None,
    }
}

/// What an input asks, to be changed.
fn ask_mut(input: &mut Input) -> Option<&mut Ask> {
    match input {
        Input::Ask { ask, .. } => Some(ask),
        _ => None,
    }
}

/// The queue that an input is about, as it was before.
fn queue_of<'a>(state: &'a State, input: &Input) -> Option<&'a Queue> {
    match input {
        Input::Ask { name, .. } => state.queues.get(name),
        _ => None,
    }
}

/// The answers in a decision.
fn answers(decision: &mut Decision<QueueModel>) -> impl Iterator<Item = &mut Answer> {
    decision.effects.iter_mut().filter_map(|effect| match effect {
        Effect::Answer { answer, .. } => Some(answer),
        _ => None,
    })
}

/// Whether a request is this operation.
fn is(request: &Request, action: Action) -> bool {
    Route::decode(request).is_ok_and(|route| route.action == action)
}

/// A port that knows which of these requests are under way at the same time, by the name of what they are about. Their answers
/// are held for a moment, so that they are when several clients send at once, and never when one client sends after the other.
fn racing(which: fn(&Request) -> Option<String>, port: impl FnOnce(Flying) -> Port<QueueModel>) -> Seams {
    let (flying, http) = overlap(which);
    Seams { http, port: port(flying), ..Seams::honest() }
}

/// The name of the queue that a request of this operation is about.
fn named(request: &Request, action: Action) -> Option<String> {
    let route = Route::decode(request).ok().filter(|route| route.action == action)?;
    route.queue().map(str::to_owned)
}
