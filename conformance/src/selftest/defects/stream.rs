//! The defects of the stream protocol.

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
mod producers;
mod read;
mod sse;

use super::{
    Breakage, port,
    wire::{Flying, HOLD, HttpSeams, overlap, reply, request},
};
use crate::{
    embed::reference::{
        log::{Entry, Range},
        model::{Decision, Port},
        stream::{
            Seams, StreamModel,
            model::{
                Answer, Append, Ask, Create, Effect, Facts, Input, Lifetime, Live, Record, Refusal, State,
                Stream,
            },
        },
    },
    protocol::Defect,
};
use wireproof_spec::{
    http::{Request, Response},
    stream::Operation,
};

type Table = &'static [Breakage<Seams>];

const TABLES: &[Table] = &[
    offsets::TABLE,
    create::TABLE,
    create::lifetime::TABLE,
    append::TABLE,
    append::sequence::TABLE,
    append::refused::TABLE,
    content::TABLE,
    close::TABLE,
    delete::TABLE,
    head::TABLE,
    read::TABLE,
    longpoll::TABLE,
    longpoll::cursor::TABLE,
    expiry::TABLE,
    producers::TABLE,
    producers::numbers::TABLE,
    producers::epochs::TABLE,
    producers::together::TABLE,
    producers::closing::TABLE,
    sse::TABLE,
    sse::end::TABLE,
    sse::text::TABLE,
    sse::crowd::TABLE,
    json::TABLE,
    json::faithful::TABLE,
    forks::TABLE,
    caching::TABLE,
    http::TABLE,
    message::TABLE,
];

/// Every defect.
pub fn all() -> Vec<&'static Defect> {
    TABLES.iter().flat_map(|table| table.iter().map(|b| &b.defect)).collect()
}

/// A defect by its id.
pub fn find(id: &str) -> Option<&'static Breakage<Seams>> {
    TABLES.iter().flat_map(|table| table.iter()).find(|b| b.defect.id == id)
}

/// An answer with the headers that the reference gives to all.
fn plain(status: u16) -> Response {
    Response::new(status)
        .header("x-content-type-options", "nosniff")
        .header("cross-origin-resource-policy", "cross-origin")
}

/// A refusal with the headers that the reference gives to all.
fn refusal(status: u16) -> Response {
    plain(status).header("content-type", "text/plain; charset=utf-8").header("cache-control", "no-store")
}

/// Another port.
fn through(port: Port<StreamModel>) -> Seams {
    Seams { port, ..Seams::honest() }
}

/// Each decision changed.
fn decide(change: impl FnMut(&State, &Input, &mut Decision<StreamModel>) + Send + 'static) -> Seams {
    through(port::rewrite(change))
}

/// A port that knows which of these requests are under way at the same time. Their answers are held for a moment, so that
/// they are when several clients send at once, and never when one client sends after the other.
fn racing(which: fn(&Request) -> bool, port: impl FnOnce(Flying) -> Port<StreamModel>) -> Seams {
    let (flying, http) = overlap(move |request| which(request).then(|| request.path.clone()));
    Seams { http, port: port(flying), ..Seams::honest() }
}

/// The stream that an input is about, as it was before.
fn stream_of<'a>(state: &'a State, input: &Input) -> Option<&'a Stream> {
    match input {
        Input::Ask { name, .. } => state.streams.get(name),
        _ => None,
    }
}

/// What an input asks of a stream.
fn ask(input: &Input) -> Option<(&str, &Ask)> {
    match input {
        Input::Ask { name, ask, .. } => Some((name, ask)),
        _ => None,
    }
}

/// The answers in a decision.
fn answers(decision: &mut Decision<StreamModel>) -> impl Iterator<Item = &mut Answer> {
    decision.effects.iter_mut().filter_map(|effect| match effect {
        Effect::Answer { answer, .. } => Some(answer),
        _ => None,
    })
}

fn is(request: &Request, which: fn(&Operation) -> bool) -> bool {
    Operation::decode(request).is_ok_and(|operation| which(&operation))
}

fn is_create(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Create(_)))
}

fn is_append(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Append(_)))
}

/// Where a reference starts every stream: the offset before the first byte.
const START: &str = "00000000000000000000";

fn ask_mut(input: &mut Input) -> Option<&mut Ask> {
    match input {
        Input::Ask { ask, .. } => Some(ask),
        _ => None,
    }
}

fn facts(stream: &Stream) -> Facts {
    Facts {
        media_type: stream.media_type.clone(),
        tail: stream.tail,
        closed: stream.closed,
        lifetime: stream.lifetime,
    }
}

/// The record of an append to a stream.
fn appended_record(name: &str, stream: &Stream, body: &bytes::Bytes) -> Record {
    let range = Range { owner: stream.incarnation, from: stream.tail, to: stream.tail + body.len() as u64 };
    Record::Appended { name: name.into(), range, bytes: body.clone(), producer: None, seq: None, at: 0 }
}

/// What a start makes of the log, given whether the server was stopped in order before.
fn recovery(change: fn(bool, Vec<Entry>) -> Vec<Entry>) -> Seams {
    // The last record of an orderly stop: it closes a stream that cannot be.
    let mark = || Record::Closed { name: String::new(), producer: None, at: 0 };
    let marked = serde_json::to_vec(&mark()).unwrap_or_default();
    Seams {
        port: port::rewrite(move |_, input, decision| {
            if matches!(input, Input::Stopping) {
                decision.records.push(mark());
            }
        }),
        recovery: Some(Box::new(move |mut entries| {
            let orderly = entries.last().is_some_and(|entry| entry.record == marked);
            entries.retain(|entry| entry.record != marked);
            change(orderly, entries)
        })),
        ..Seams::honest()
    }
}

/// The record of an entry of the log.
fn record(entry: &Entry) -> Option<Record> {
    serde_json::from_slice(&entry.record).ok()
}

fn is_close(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Close(_)))
}

fn is_delete(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Delete(_)))
}

fn is_head(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Head(_)))
}

fn is_read(request: &Request) -> bool {
    is(request, |o| matches!(o, Operation::Read(_)))
}
