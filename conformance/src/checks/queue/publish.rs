//! Checks of "Publish" in spec/queue.md.

mod batch;
mod faithful;
mod keys;
mod limit;

use super::setting::{
    PUBSUB, Queue, WORKER, data, list, nowhere_found, payloads, proven, succeeded, text, with_body,
};
use crate::{
    check::{Alternative, Check, Cx, Outcome, Waits, alternative},
    drives,
    wire::Seen,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{
    http::Request,
    queue::{Action, requirements::*},
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/publish/kept", &[QUEUE_PUBLISH_1], drives!(kept)),
    Check::new("queue/publish/kept-soon", &[QUEUE_PUBLISH_36, QUEUE_PUBLISH_5], drives!(kept_soon)),
    Check::new("queue/publish/told", &[QUEUE_PUBLISH_3, QUEUE_PUBLISH_4], drives!(told)),
    Check::new("queue/publish/ids", &[QUEUE_PUBLISH_2, QUEUE_PUBLISH_6], drives!(faithful::ids)),
    Check::new("queue/publish/strings", &[QUEUE_PUBLISH_7], drives!(faithful::strings)),
    Check::new("queue/publish/structures", &[QUEUE_PUBLISH_8], drives!(faithful::structures)),
    Check::new("queue/publish/constants", &[QUEUE_PUBLISH_32], drives!(faithful::constants)),
    Check::new("queue/publish/characters", &[QUEUE_PUBLISH_9], drives!(faithful::characters)),
    Check::new("queue/publish/numbers", &[QUEUE_PUBLISH_10], drives!(faithful::numbers)),
    Check::new("queue/publish/great-numbers", &[QUEUE_PUBLISH_11], drives!(faithful::great_numbers)),
    Check::new("queue/publish/metadata", &[QUEUE_PUBLISH_13], drives!(faithful::metadata)),
    Check::new("queue/publish/size", &[QUEUE_PUBLISH_14], drives!(faithful::size)),
    Check::new("queue/publish/nothing", &[QUEUE_PUBLISH_12], drives!(nothing)),
    Check::new("queue/publish/greatest-payload", &[QUEUE_PUBLISH_15], drives!(limit::greatest)),
    Check::new("queue/publish/too-great-a-payload", &[QUEUE_PUBLISH_16], drives!(limit::too_great)),
    Check::new("queue/publish/bytes-count", &[QUEUE_PUBLISH_33], drives!(limit::bytes_count)),
    Check::new("queue/publish/too-much-metadata", &[QUEUE_PUBLISH_17], drives!(limit::metadata)),
    Check::new(
        "queue/publish/too-long-a-key",
        &[QUEUE_PUBLISH_18, QUEUE_PUBLISH_19],
        drives!(limit::long_keys),
    ),
    Check::new("queue/publish/negative-ttl", &[QUEUE_PUBLISH_20], drives!(limit::negative_ttl)),
    Check::new("queue/publish/same-key", &[QUEUE_PUBLISH_21, QUEUE_PUBLISH_22], drives!(keys::same)),
    Check::new("queue/publish/other-key", &[QUEUE_PUBLISH_1, QUEUE_PUBLISH_24], drives!(keys::other)),
    Check::new("queue/publish/racing-keys", &[QUEUE_PUBLISH_23], drives!(keys::race)),
    Check::new("queue/publish/empty-key", &[QUEUE_PUBLISH_39], drives!(keys::empty)),
    Check::new("queue/publish/no-queue", &[QUEUE_PUBLISH_25], drives!(no_queue)),
    Check::new("queue/publish/batch-no-queue", &[QUEUE_PUBLISH_34], drives!(batch_no_queue)),
    Check::new("queue/publish/unknown-members", &[QUEUE_PUBLISH_26], drives!(unknown_members)),
    Check::new("queue/publish/no-time", &[QUEUE_PUBLISH_40], drives!(no_time)).waits(Waits::Millis(200)),
    Check::new("queue/publish/batch-of-one", &[QUEUE_PUBLISH_27], drives!(batch::of_one)),
    Check::new("queue/publish/batch-of-many", &[QUEUE_PUBLISH_35], drives!(batch::of_many)),
    Check::new("queue/publish/batch-of-none", &[QUEUE_PUBLISH_28], drives!(batch::of_none)),
    Check::new("queue/publish/batch-of-too-many", &[QUEUE_PUBLISH_29], drives!(batch::of_too_many)),
    Check::new("queue/publish/batch-in-order", &[QUEUE_PUBLISH_30], drives!(batch::in_order)),
    Check::new("queue/publish/batch-with-one-refused", &[QUEUE_PUBLISH_31], drives!(batch::one_refused)),
    Check::new(
        "queue/publish/batch-with-keys",
        &[QUEUE_PUBLISH_37, QUEUE_PUBLISH_38],
        drives!(batch::with_keys),
    ),
];

/// A publish whose body is this text; with `sync` it is answered when the message is in the queue.
fn publish_text(cx: &Cx, queue: &Queue, body: impl Into<String>, sync: bool) -> Request {
    let request = queue.operation(cx, Action::Publish, &[]);
    let request = if sync { request.param("sync", "true") } else { request };
    request.header("content-type", "application/json").body(body.into())
}

/// A batch of these messages.
fn batch_of(cx: &Cx, queue: &Queue, messages: &[Value]) -> Request {
    with_body(queue.operation(cx, Action::Batch, &[]), &json!({"messages": messages}))
}

/// What is in a queue as soon as it has so many messages, or after the time of an answer: what is published without sync may
/// come a moment later. Until then it reads on from where it is, and at last once more from the start: megabytes are not read
/// again and again.
pub(super) async fn soon(cx: &Cx, queue: &Queue, messages: usize) -> Outcome<Seen<Vec<Value>>> {
    let until = Instant::now() + cx.answer_time();
    let mut parts = vec![queue.content(cx).await?];
    let mut pause = Duration::from_millis(10);
    loop {
        let read = || parts.iter().filter_map(|part| part.look().ok()).flatten();
        if read().count() >= messages {
            return Ok(Seen::all(parts).map(|parts| parts.concat()));
        }
        if Instant::now() > until {
            return queue.content(cx).await;
        }
        let next = read().filter_map(|message| message["offset"].as_i64()).max().map_or(0, |last| last + 1);
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(80));
        parts.push(queue.content_from(cx, next).await?);
    }
}

/// That these are the payloads of what was read, in this order.
fn has(expected: &[Value]) -> Alternative<Vec<Value>> {
    let expected = expected.to_vec();
    alternative(format!("the {} payloads that were published", expected.len()), move |read: &Vec<Value>| {
        payloads(read) == expected
    })
}

async fn kept(cx: &Cx) -> Outcome {
    for (kind, paused) in [(PUBSUB, false), (WORKER, true)] {
        let queue = Queue::create(cx, kind).await?;
        if paused {
            let pause = with_body(queue.operation(cx, Action::Pause, &[]), &json!({}));
            cx.need(QUEUE_QUEUES_18, &cx.send(pause).await?, &[succeeded()])?;
        }
        let mut all = Vec::new();
        for more in [
            json!({}),
            json!({"metadata": {"of": "it"}}),
            json!({"partition_key": "one"}),
            json!({"partition_key": "one", "ttl_seconds": 600}),
            json!({"idempotency_key": cx.token(8)}),
            json!({}),
        ] {
            let payload = json!({"token": cx.token(16)});
            let mut body = more;
            body["payload"] = payload.clone();
            let reply = cx.send(queue.publish_with(cx, &body)).await?;
            cx.expect(QUEUE_PUBLISH_1, &reply, &[succeeded()])?;
            all.push(payload);
            cx.expect(QUEUE_PUBLISH_1, &queue.content(cx).await?, &[has(&all)])?;
        }
    }
    Ok(())
}

async fn kept_soon(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let (mut all, mut told) = (Vec::new(), Vec::new());
        for more in [json!({}), json!({"ttl_seconds": 600}), json!({"partition_key": "k"}), json!({})] {
            let mut body = more;
            body["payload"] = json!(cx.token(16));
            let reply = cx.send(publish_text(cx, &queue, body.to_string(), false)).await?;
            cx.expect(QUEUE_PUBLISH_36, &reply, &[succeeded()])?;
            all.push(body["payload"].clone());
            let read = soon(cx, &queue, all.len()).await?;
            cx.expect(QUEUE_PUBLISH_36, &read, &[has(&all)])?;
            told.push(reply.map(|reply| data(&reply, "message")));
        }
        let read = queue.content(cx).await?;
        for (at, told) in told.into_iter().enumerate() {
            let both = told.and(read.clone());
            let assigned = alternative("the offset that it has in the queue", move |(told, read): &Both| {
                told["offset"] == read[at]["offset"]
            });
            let not_yet = alternative("the offset -1", |(told, _): &Both| told["offset"] == -1);
            cx.expect(QUEUE_PUBLISH_5, &both, &[assigned, not_yet])?;
        }
    }
    Ok(())
}

/// What the answer to a publish told, and what is in the queue.
type Both = (Value, Vec<Value>);

async fn told(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let told = queue.told(cx).await?;
        let an_id = alternative("an id", |queue: &Value| !text(queue, "id").is_empty());
        let id = cx.need(QUEUE_QUEUES_1, &told, &[an_id])?["id"].clone();
        for at in 0..4 {
            let payload = json!(cx.token(16));
            // With sync three times, and once without.
            let body = json!({"payload": payload}).to_string();
            let reply = cx.send(publish_text(cx, &queue, body, at != 2)).await?;
            cx.need(QUEUE_PUBLISH_1, &reply, &[succeeded()])?;
            let message = reply.map(|reply| data(&reply, "message"));
            let read = soon(cx, &queue, at + 1).await?;
            let both = message.and(read);
            let id = id.clone();
            let its_queue = alternative("the id of the queue in queue_id", move |(told, _): &Both| {
                told["queue_id"] == id
            });
            cx.expect(QUEUE_PUBLISH_3, &both, &[its_queue])?;
            if at == 2 {
                continue;
            }
            let its_place = alternative("the offset that it has in the queue", move |(told, read): &Both| {
                let found = read.iter().find(|message| message["payload"] == payload);
                found.is_some_and(|found| found["offset"].is_i64() && found["offset"] == told["offset"])
            });
            cx.expect(QUEUE_PUBLISH_4, &both, &[its_place])?;
        }
    }
    Ok(())
}

async fn nothing(cx: &Cx) -> Outcome {
    for body in [json!({"payload": null}), json!({})] {
        let queue = proven(cx, PUBSUB).await?;
        let request = publish_text(cx, &queue, body.to_string(), true);
        // Our own decoder takes null, and no absence.
        let reply = match body.get("payload") {
            Some(_) => cx.send(request).await?,
            None => cx.send_broken(request).await?,
        };
        let mut outcomes = vec![succeeded()];
        outcomes.extend(super::setting::invalid());
        let taken = succeeded().holds(cx.expect(QUEUE_PUBLISH_12, &reply, &outcomes)?);
        let read = queue.content(cx).await?;
        let as_answered = match taken {
            true => alternative("the payload null behind what was there", |read: &Vec<Value>| {
                read.len() == 2 && read[1].get("payload") == Some(&Value::Null)
            }),
            false => alternative("what was there, alone", |read: &Vec<Value>| read.len() == 1),
        };
        cx.expect(QUEUE_PUBLISH_12, &read, &[as_answered])?;
    }
    Ok(())
}

fn publish_one(cx: &Cx, queue: &Queue) -> Request {
    queue.publish(cx, &json!("one more"))
}

async fn no_queue(cx: &Cx) -> Outcome {
    let later: fn(&Cx, &Queue) -> Request =
        |cx, queue| publish_text(cx, queue, r#"{"payload": "one more"}"#, false);
    nowhere_found(cx, QUEUE_PUBLISH_25, PUBSUB, (QUEUE_PUBLISH_1, publish_one)).await?;
    nowhere_found(cx, QUEUE_PUBLISH_25, WORKER, (QUEUE_PUBLISH_36, later)).await
}

async fn batch_no_queue(cx: &Cx) -> Outcome {
    let batch: fn(&Cx, &Queue) -> Request =
        |cx, queue| batch_of(cx, queue, &[json!({"payload": 1}), json!({"payload": 2})]);
    nowhere_found(cx, QUEUE_PUBLISH_34, PUBSUB, (QUEUE_PUBLISH_27, batch)).await?;
    nowhere_found(cx, QUEUE_PUBLISH_34, WORKER, (QUEUE_PUBLISH_27, batch)).await
}

async fn unknown_members(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut all = Vec::new();
    for (sync, unknown) in [
        (true, json!({"project_id": "proj_1", "agent_id": "agent_1"})),
        (true, json!({"wireproof": {"deep": [1, null, {"payload": 2}]}})),
        (false, json!({"offset": "none", "x": null})),
    ] {
        let mut body = unknown;
        body["payload"] = json!(cx.token(16));
        all.push(body["payload"].clone());
        let reply = cx.send(publish_text(cx, &queue, body.to_string(), sync)).await?;
        cx.expect(QUEUE_PUBLISH_26, &reply, &[succeeded()])?;
        let read = soon(cx, &queue, all.len()).await?;
        cx.expect(QUEUE_PUBLISH_26, &read, &[has(&all)])?;
    }
    Ok(())
}

async fn no_time(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    let message = queue.published_with(cx, json!({"payload": cx.token(16), "ttl_seconds": 0})).await?;
    sleep(Duration::from_millis(100)).await;
    let read = queue.content(cx).await?.map(|read| payloads(&read));
    let (stays, goes) = (message.payload.clone(), message.payload);
    let lives = alternative("that it lives on", move |read: &Vec<Value>| read.contains(&stays));
    let over = alternative("that it has expired", move |read: &Vec<Value>| !read.contains(&goes));
    cx.expect(QUEUE_PUBLISH_40, &read, &[lives, over])?;
    Ok(())
}

/// The messages of an answer that has them, if it succeeded.
fn messages_of(reply: Seen<wireproof_spec::http::Response>) -> Seen<Vec<Value>> {
    reply.map(|reply| list(&reply, "messages"))
}

/// So many characters in a string make a payload that is too great by one byte.
fn limit_sized() -> usize {
    wireproof_spec::queue::publish::GREATEST_PAYLOAD - 1
}
