//! How much a message may hold.

use super::publish_text;
use crate::{
    check::{Breaks, Cx, Outcome, Shown, alternative},
    checks::queue::setting::{PUBSUB, Queue, WORKER, invalid, list, payloads, proven, succeeded, with_body},
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::Request,
    queue::{
        publish::{GREATEST_METADATA, GREATEST_PAYLOAD},
        requirements::*,
    },
    requirement::RequirementId,
};

/// JSON of this size that is one string of one-byte characters.
fn plain(size: usize) -> String {
    format!("\"{}\"", "a".repeat(size - 2))
}

/// JSON of this size that is one string of characters of two bytes, but for one if the size is odd.
fn wide(size: usize) -> String {
    let inner = size - 2;
    format!("\"{}{}\"", "\u{e9}".repeat(inner / 2), "a".repeat(inner % 2))
}

/// JSON of this size with spaces that do not count.
fn spaced(size: usize) -> String {
    format!("{{ \"a\" : [\n \"{}\" ,\t1 ] }}", "a".repeat(size - r#"{"a":["",1]}"#.len()))
}

/// JSON of this size with escapes that need not be.
fn escaped(size: usize) -> String {
    const ESCAPES: usize = 100_000;
    format!("\"{}\\u00e9{}\"", "\\/".repeat(ESCAPES), "a".repeat(size - ESCAPES - 4))
}

pub(super) async fn greatest(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let metadata = format!("{{\"m\":{}}}", plain(GREATEST_METADATA - 6));
    let key = "k".repeat(256);
    let bodies = [
        format!("{{\"payload\":{}}}", wide(GREATEST_PAYLOAD)),
        format!("{{\"payload\":{}}}", spaced(GREATEST_PAYLOAD)),
        format!("{{\"payload\":{}}}", escaped(GREATEST_PAYLOAD)),
        format!(
            r#"{{"payload":{},"metadata":{metadata},"idempotency_key":"{key}","partition_key":"{key}","ttl_seconds":600}}"#,
            plain(GREATEST_PAYLOAD)
        ),
    ];
    for (body, from) in bodies.into_iter().zip(0..) {
        let sent: Value = serde_json::from_str(&body).unwrap_or_default();
        let reply = cx.send(publish_text(cx, &queue, body, true)).await?;
        cx.expect(QUEUE_PUBLISH_15, &reply, &[succeeded()])?;
        let read = cx.send(queue.consume(cx, from).param("limit", "1")).await?;
        cx.need(QUEUE_CONSUME_1, &read, &[succeeded()])?;
        let read = read.map(|reply| payloads(&list(&reply, "messages")) == [sent["payload"].clone()]);
        let it = alternative("the payload as it was", |same: &Is| same.0);
        cx.expect(QUEUE_PUBLISH_15, &read.map(Is), &[it])?;
    }
    Ok(())
}

/// Whether something long is what it should be.
struct Is(bool);

impl Shown for Is {
    fn shown(&self) -> String {
        if self.0 { "the same" } else { "something else" }.into()
    }
}

/// Claims that a publish with this payload is refused as invalid, which with the other one succeeds.
async fn refused(cx: &Cx, requirement: RequirementId, valid: String, broken: String) -> Outcome {
    let body = |payload: &str| format!("{{\"payload\":{payload}}}");
    cx.refused(
        requirement,
        Breaks::Fit,
        |cx| proven(cx, PUBSUB),
        |queue| publish_text(cx, queue, body(&valid), true),
        |queue, request| *request = publish_text(cx, queue, body(&broken), true),
        (QUEUE_PUBLISH_15, &[succeeded()]),
        &invalid(),
    )
    .await
}

pub(super) async fn too_great(cx: &Cx) -> Outcome {
    refused(cx, QUEUE_PUBLISH_16, plain(GREATEST_PAYLOAD), plain(GREATEST_PAYLOAD + 1)).await
}

pub(super) async fn bytes_count(cx: &Cx) -> Outcome {
    refused(cx, QUEUE_PUBLISH_33, wide(GREATEST_PAYLOAD), wide(GREATEST_PAYLOAD + 1)).await
}

/// Claims that a publish with this member is refused as invalid, which with another value of it succeeds. What succeeds is in
/// the queue, and what is refused is not.
async fn member(
    cx: &Cx,
    requirement: RequirementId,
    breaks: Breaks,
    name: &str,
    (valid, broken): (Value, Value),
) -> Outcome {
    let body = |value: &Value| {
        let mut body = json!({"payload": "one more"});
        body[name] = value.clone();
        body
    };
    cx.refused(
        requirement,
        breaks,
        |cx| proven(cx, WORKER),
        |queue: &Queue| queue.publish_with(cx, &body(&valid)),
        |_, request: &mut Request| request.body = with_body(Request::default(), &body(&broken)).body,
        (QUEUE_PUBLISH_1, &[succeeded()]),
        &invalid(),
    )
    .await
}

pub(super) async fn metadata(cx: &Cx) -> Outcome {
    // {"m":"…"} has eight bytes around its text.
    let of = |text: String| json!({"m": text});
    let most = GREATEST_METADATA - 8;
    let ascii = (of("a".repeat(most)), of("a".repeat(most + 1)));
    let wide = (of("\u{e9}".repeat(most / 2)), of("\u{e9}".repeat(most / 2 + 1)));
    for values in [ascii, wide] {
        member(cx, QUEUE_PUBLISH_17, Breaks::Fit, "metadata", values).await?;
    }
    Ok(())
}

pub(super) async fn long_keys(cx: &Cx) -> Outcome {
    for character in ["k", "\u{e9}"] {
        for (requirement, name) in
            [(QUEUE_PUBLISH_18, "idempotency_key"), (QUEUE_PUBLISH_19, "partition_key")]
        {
            let values = (json!(character.repeat(256)), json!(character.repeat(257)));
            member(cx, requirement, Breaks::Form, name, values).await?;
        }
    }
    Ok(())
}

pub(super) async fn negative_ttl(cx: &Cx) -> Outcome {
    for negative in [json!(-1), json!(-0.5), json!(-86_400)] {
        member(cx, QUEUE_PUBLISH_20, Breaks::Form, "ttl_seconds", (json!(600), negative)).await?;
    }
    Ok(())
}
