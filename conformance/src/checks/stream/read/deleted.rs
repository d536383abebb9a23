//! Reads that are under way when their stream is deleted.

use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    checks::stream::{
        json::JSON,
        setting::{Stream, TEXT, next_offset},
    },
    one_of,
    wire::{Lost, raw},
};
use futures_util::future::try_join_all;
use serde_json::Value;
use wireproof_spec::{
    http::Response,
    stream::{header::NEXT_OFFSET, requirements::*},
};

/// So long is the content, in bytes: all reads together stay below what is read for one check, and each takes a moment.
pub(super) const CONTENT: usize = 15_000;

/// What a stream holds: so many parts, bytes of a text or messages of JSON.
#[derive(Clone)]
struct Held {
    text: String,
    messages: Option<Vec<Value>>,
}

impl Held {
    fn new(cx: &Cx, is_json: bool) -> Self {
        let token = cx.token(8);
        let lines: Vec<String> = (0..CONTENT / 80).map(|n| format!("{token} {n:04} {:.<60}", "")).collect();
        if !is_json {
            return Self { text: lines.join("\n"), messages: None };
        }
        let text = format!("[\"{}\"]", lines.join("\",\""));
        Self { text, messages: Some(lines.into_iter().map(Value::String).collect()) }
    }

    fn all(&self) -> usize {
        self.messages.as_ref().map_or(self.text.len(), Vec::len)
    }

    /// With how many parts from the start on a body is filled; none if it is anything else.
    fn parts(&self, body: &[u8]) -> Option<usize> {
        let Some(messages) = &self.messages else {
            return self.text.as_bytes().starts_with(body).then_some(body.len());
        };
        let found: Vec<Value> = serde_json::from_slice(body).ok()?;
        messages.starts_with(&found).then_some(found.len())
    }
}

/// An answer to a read, or what happened to its connection.
type Came = Result<Response, Lost>;

/// What may come of a read from the start while its stream goes. `told` are the offsets of which is known how much is before
/// them.
fn there_or_gone(held: &Held, told: Vec<(String, usize)>) -> Vec<Alternative<Came>> {
    let held = held.clone();
    let all = "200 and the content up to its Stream-Next-Offset";
    vec![
        alternative(all, move |came: &Came| {
            let Ok(reply) = came else { return false };
            let next = next_offset(reply);
            let parts = held.parts(&reply.body);
            let known = told.iter().find(|(offset, _)| *offset == next);
            reply.status == 200
                && !next.is_empty()
                && parts.is_some_and(|n| known.is_none_or(|(_, before)| n == *before))
        }),
        alternative("404 or 410", |came: &Came| came.as_ref().is_ok_and(|r| matches!(r.status, 404 | 410))),
        alternative("an answer that is cut off", |came: &Came| matches!(came, Err(Lost::Closed(_)))),
    ]
}

/// Many reads are sent, the DELETE among them, and nothing is read before all are on their way.
pub(super) async fn under_way(cx: &Cx) -> Outcome {
    const READERS: usize = 40;
    const ROUNDS: usize = 12;
    let mut answered = 0;
    for round in 0..ROUNDS {
        let mut readers = try_join_all((0..READERS).map(|_| cx.raw())).await?;
        let mut deleter = cx.raw().await?;
        let is_json = round % 3 == 2;
        let held = Held::new(cx, is_json);
        let stream = Stream::create(cx, if is_json { JSON } else { TEXT }, &held.text).await?;
        let before = cx.send(stream.read()).await?;
        let content = held.clone();
        let some = answer(200)
            .has(NEXT_OFFSET)
            .and("content from the start on", move |r| content.parts(&r.body).is_some_and(|parts| parts > 0));
        let first = cx.need(STREAM_READ_1, &before, &one_of![some])?;
        let first = (next_offset(first), held.parts(&first.body).unwrap_or_default());
        let told = vec![(stream.start.clone(), held.all()), first];
        let (early, late) = readers.split_at_mut(READERS / 2);
        let mut sent = asked(early, &stream).await;
        let deletion = deleter.send(&stream.delete()).await;
        sent.extend(asked(late, &stream).await);
        for (reader, sent) in readers.iter_mut().zip(sent) {
            let came = reader.reply(sent, "GET").await?.or_lost();
            answered +=
                usize::from(cx.expect(STREAM_READ_2, &came, &there_or_gone(&held, told.clone()))?.is_ok());
        }
        let deleted = deleter.reply(deletion, "DELETE").await?;
        if matches!(deleted.look(), Err(Lost::Closed(_))) {
            // Nobody knows whether it was taken before its connection was closed.
            let again = cx.send(stream.delete()).await?;
            cx.need(STREAM_DELETE_1, &again, &one_of![answer(204), answer(404)])?;
        } else {
            cx.expect(STREAM_DELETE_1, &deleted, &one_of![answer(204)])?;
        }
        let gone = cx.send(stream.read()).await?;
        cx.expect(STREAM_DELETE_1, &gone, &one_of![answer(404)])?;
    }
    if answered == 0 {
        return Err(cx.stop("every read ended with its connection and without an answer"));
    }
    Ok(())
}

async fn asked(readers: &mut [raw::Peer], stream: &Stream) -> Vec<u64> {
    let mut sent = Vec::new();
    for reader in readers {
        sent.push(reader.send(&stream.read()).await);
    }
    sent
}
