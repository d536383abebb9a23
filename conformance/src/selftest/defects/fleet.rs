//! The defects of the fleet protocol.

mod access;
pub mod client;
mod commands;
mod conditional;
mod connect;
mod dial;
mod drain;
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
mod message;
mod placement;
mod poll;
mod redial;
mod report;
mod shown;
mod snapshot;
mod startup;
mod violations;

use super::{
    Breakage, port,
    wire::{self, HttpSeams, reply, request, rewrite},
};
use crate::{
    embed::reference::{
        fleet::{
            FleetModel, Seams,
            model::{Answer, Ask, Effect, Input, Said, State},
            seams::{Frame, Piece},
        },
        model::{Decision, Port},
    },
    protocol::Defect,
};
use client::{ClientSeams, ClientTable};
use serde_json::Value;
use wireproof_spec::{
    fleet::{self, Ack, Action, Cmd, Hello, Poll, Route},
    http::{Request, Response},
};

type Table = &'static [Breakage<Seams>];

const TABLES: &[Table] = &[
    connect::TABLE,
    frames::TABLE,
    hello::TABLE,
    poll::TABLE,
    liveness::TABLE,
    violations::TABLE,
    snapshot::TABLE,
    commands::TABLE,
    holds::TABLE,
    placement::TABLE,
    instances::TABLE,
    ids::TABLE,
    http::TABLE,
    access::TABLE,
    conditional::TABLE,
    events::TABLE,
    startup::TABLE,
    hash::TABLE,
    message::TABLE,
];

/// The defects of agents.
const CLIENTS: &[ClientTable] = &[
    dial::TABLE,
    report::TABLE,
    execute::TABLE,
    drain::TABLE,
    redial::TABLE,
    hash::agents::TABLE,
    message::agents::TABLE,
];

/// Every defect.
pub fn all() -> Vec<&'static Defect> {
    let servers = TABLES.iter().flat_map(|table| table.iter().map(|b| &b.defect));
    servers.chain(CLIENTS.iter().flat_map(|table| table.iter().map(|b| &b.defect))).collect()
}

/// A defect of agents by its id.
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

/// A refusal.
fn refusal(status: u16, cause: &str) -> Response {
    let body = serde_json::json!({"status": "rejected", "cause": cause});
    Response::new(status).header("content-type", "application/json").body(body.to_string())
}

/// The frames that are about to be sent on each connection, changed. The number is that of the connection.
fn frames(change: impl Fn(u64, &mut Vec<Frame>) + Send + Sync + 'static) -> Seams {
    Seams { frames: Some(Box::new(move |_, number, frames| change(number, frames))), ..Seams::honest() }
}

/// What each connection hears, changed. The number is that of the connection.
fn heard(change: impl Fn(u64, &mut Vec<Frame>) + Send + Sync + 'static) -> Seams {
    Seams { heard: Some(Box::new(move |_, number, frames| change(number, frames))), ..Seams::honest() }
}

/// Each State that is heard, changed.
fn heard_state(change: impl Fn(u64, &mut fleet::State) + Send + Sync + 'static) -> Seams {
    heard(move |number, frames| {
        each(frames, "fleet/state", |payload| {
            if let Ok(mut state) = fleet::State::receive(payload) {
                change(number, &mut state);
                *payload = state.encode_frame();
            }
        });
    })
}

/// Each Ack that is heard, changed.
fn heard_ack(change: impl Fn(u64, &mut Ack) + Send + Sync + 'static) -> Seams {
    heard(move |number, frames| {
        each(frames, "fleet/ack", |payload| {
            if let Ok(mut ack) = Ack::receive(payload) {
                change(number, &mut ack);
                *payload = ack.encode_frame();
            }
        });
    })
}

/// Each Hello that is sent, changed.
fn hello(change: impl Fn(u64, &mut Hello) + Send + Sync + 'static) -> Seams {
    frames(move |number, frames| {
        each(frames, "fleet/hello", |payload| {
            if let Ok(mut hello) = Hello::receive(payload) {
                change(number, &mut hello);
                *payload = hello.encode_frame();
            }
        });
    })
}

/// Each Poll that is sent, changed.
fn poll(change: impl Fn(u64, &mut Poll) + Send + Sync + 'static) -> Seams {
    frames(move |number, frames| {
        each(frames, "fleet/poll", |payload| {
            if let Ok(mut poll) = Poll::receive(payload) {
                change(number, &mut poll);
                *payload = poll.encode_frame();
            }
        });
    })
}

/// Each Cmd that is sent, changed.
fn cmd(change: impl Fn(u64, &mut Cmd) + Send + Sync + 'static) -> Seams {
    frames(move |number, frames| {
        each(frames, "fleet/cmd", |payload| {
            if let Ok(mut cmd) = Cmd::receive(payload) {
                change(number, &mut cmd);
                *payload = cmd.encode_frame();
            }
        });
    })
}

/// The payload of each frame with this topic, changed.
fn each(frames: &mut [Frame], of: &str, change: impl Fn(&mut Vec<u8>)) {
    for frame in frames {
        if let Frame::Message { topic, payload } = frame
            && topic == of
        {
            change(payload);
        }
    }
}

/// What is about to be written on event streams, changed.
fn events(change: impl Fn(&Request, &mut Vec<Piece>) + Send + Sync + 'static) -> Seams {
    Seams { events: Some(Box::new(change)), ..Seams::honest() }
}

/// Another port.
fn through(port: Port<FleetModel>) -> Seams {
    Seams { port, ..Seams::honest() }
}

/// Each decision changed.
fn decide(change: impl FnMut(&State, &Input, &mut Decision<FleetModel>) + Send + 'static) -> Seams {
    through(port::rewrite(change))
}

/// Each input changed.
fn input(change: impl FnMut(&State, &mut Input) + Send + 'static) -> Seams {
    through(port::rewrite_input(change))
}

/// What an input asks.
fn ask(input: &Input) -> Option<&Ask> {
    match input {
        Input::Ask { ask, .. } => Some(ask),
        _ => None,
    }
}

/// The answers in a decision.
fn answers(decision: &mut Decision<FleetModel>) -> impl Iterator<Item = &mut Answer> {
    decision.effects.iter_mut().filter_map(|effect| match effect {
        Effect::Answer { answer, .. } => Some(answer),
        _ => None,
    })
}

/// What is said to agents in a decision.
fn said(decision: &mut Decision<FleetModel>) -> impl Iterator<Item = (u64, &mut Said)> {
    decision.effects.iter_mut().filter_map(|effect| match effect {
        Effect::Send { connection, said } => Some((*connection, said)),
        _ => None,
    })
}

/// Whether a request is this operation.
fn is(request: &Request, action: Action) -> bool {
    Route::decode(request).is_ok_and(|route| route.action == action)
}

/// Each input decided as if this had been the state before it.
fn state(change: impl FnMut(&mut State, &Input) + Send + 'static) -> Seams {
    through(port::rewrite_state(change))
}
