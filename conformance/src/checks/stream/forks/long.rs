//! Forks that begin within an append of many bytes or messages, which a server may keep in pieces.

use super::{JSON, at, begin::arrays_of, fork, sub};
use crate::{
    check::{Cx, Outcome, answer},
    checks::stream::setting::{Stream, TEXT, created, holds},
    one_of,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wireproof_spec::{requirement::RequirementId, stream::requirements::*};

/// How long the append is, in bytes: three of the largest pieces that servers are known to keep, and a bit.
pub(super) const BYTES: usize = 200_000;
/// How many messages it has.
pub(super) const MESSAGES: usize = 2_500;
/// How long each message is, in bytes.
pub(super) const MESSAGE: usize = 100;
/// Where every answer is short, the append is shorter: reading it is to come to an end.
const ANSWERS: usize = 20;

/// The sub-offsets to try in so much: its edges, and round numbers that pieces may end at.
fn places(all: usize) -> BTreeSet<usize> {
    [1, 65_536, 100_000, 1_000, all - 1, all].into_iter().filter(|by| (1..=all).contains(by)).collect()
}

pub(super) async fn append(cx: &Cx) -> Outcome {
    let mut content = cx.token(20).repeat(BYTES / 20);
    let probe = Stream::create(cx, TEXT, &content).await?;
    let first = cx.send(probe.read()).await?;
    let held = cx.need(STREAM_READ_1, &first, &one_of![answer(200)])?.body.len();
    content.truncate(held.saturating_mul(ANSWERS).clamp(2, BYTES));
    let before = cx.token(8);
    let source = Stream::create(cx, TEXT, &before).await?;
    let tail = source.appended(cx, content.clone()).await?;
    for by in places(content.len()) {
        let target = Stream::nowhere(cx);
        let reply = cx.send(sub(at(fork(&source, &target), &source.start), by)).await?;
        cx.expect(STREAM_FORKS_7, &reply, &one_of![created()])?;
        let read = target.content(cx).await?;
        let inherited = [before.as_bytes(), &content.as_bytes()[..by]].concat();
        cx.expect(STREAM_FORKS_7, &read, &[holds(Bytes::from(inherited))])?;
    }
    beyond(cx, &source, STREAM_FORKS_7, content.len()).await?;
    // Also where there is something behind it.
    source.appended(cx, cx.token(40)).await?;
    beyond(cx, &source, STREAM_FORKS_7, content.len()).await?;
    // An append behind a long one is an append like others.
    let target = Stream::nowhere(cx);
    let reply = cx.send(sub(at(fork(&source, &target), &tail), 40)).await?;
    cx.expect(STREAM_FORKS_7, &reply, &one_of![created()])?;
    Ok(())
}

/// Claims that one more than all of the long append is refused, and all of it is not.
async fn beyond(cx: &Cx, source: &Stream, stands_on: RequirementId, all: usize) -> Outcome {
    let request = |by| sub(at(fork(source, &Stream::nowhere(cx)), &source.start), by);
    let reply = cx.send(request(all)).await?;
    cx.expect(stands_on, &reply, &one_of![created()])?;
    let reply = cx.send(request(all + 1)).await?;
    cx.expect(STREAM_FORKS_10, &reply, &one_of![answer(400)])?;
    Ok(())
}

pub(super) async fn array(cx: &Cx) -> Outcome {
    let fill = "-".repeat(MESSAGE - 40);
    let mut messages: Vec<Value> =
        (0..MESSAGES).map(|n| json!(format!("{n:05} {} {fill}", cx.token(20)))).collect();
    let probe = Stream::create(cx, JSON, json!(messages).to_string()).await?;
    let first = cx.send(probe.read()).await?;
    let held = cx.need(STREAM_READ_1, &first, &one_of![answer(200)])?.body.len() / MESSAGE;
    messages.truncate(held.saturating_mul(ANSWERS).clamp(ANSWERS, MESSAGES));
    let before = json!(cx.token(8));
    let source = Stream::create(cx, JSON, json!([before]).to_string()).await?;
    source.appended(cx, json!(messages).to_string()).await?;
    for by in places(messages.len()) {
        let target = Stream { media_type: JSON, ..Stream::nowhere(cx) };
        let reply = cx.send(sub(at(fork(&source, &target), &source.start), by)).await?;
        cx.expect(STREAM_FORKS_8, &reply, &one_of![created()])?;
        let inherited = [std::slice::from_ref(&before), &messages[..by]].concat();
        cx.expect(STREAM_FORKS_8, &target.walk(cx, "-1").await?, &[arrays_of(&inherited)])?;
    }
    beyond(cx, &source, STREAM_FORKS_8, messages.len()).await?;
    source.appended(cx, json!([cx.token(8), cx.token(8)]).to_string()).await?;
    beyond(cx, &source, STREAM_FORKS_8, messages.len()).await
}
