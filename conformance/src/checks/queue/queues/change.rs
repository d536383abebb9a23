//! What changes about a queue: its settings, whether it is paused, and the offset that comes next.

use super::{LEAST, ONE, get, pause, resume, tells, update, whole};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::setting::{
        PUBSUB, Queue, WORKER, data, invalid, not_found, payloads, proven, succeeded, succeeded_and,
        with_body,
    },
};
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::{
    http::Response,
    queue::{Action, requirements::*},
};

/// A time to live that is soon over, in seconds, and a wait behind which it is.
const SOON: f64 = 0.05;
const LATER: Duration = Duration::from_millis(300);

/// A queue that was paused.
pub(super) async fn paused_one(cx: &Cx) -> Outcome<Queue> {
    let queue = proven(cx, PUBSUB).await?;
    cx.need(QUEUE_QUEUES_18, &cx.send(pause(cx, &queue)).await?, &[succeeded()])?;
    Ok(queue)
}

pub(super) async fn updated(cx: &Cx) -> Outcome {
    let all: Value = ONE.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let queue = Queue::create_with(cx, WORKER, &whole(all.clone())).await?;
    let beside = Queue::create_with(cx, WORKER, &whole(all.clone())).await?;
    queue.published(cx, json!(cx.token(8))).await?;
    let mut expected = all.clone();
    // Each alone, to the least of its range; then several; then what takes one away.
    let mut steps: Vec<Value> = LEAST.iter().map(|(name, value)| whole(json!({*name: value}))).collect();
    steps.push(json!({"default_max_retries": 9, "retention_seconds": 5000}));
    steps.push(json!({}));
    steps.push(json!({"default_ttl_seconds": null}));
    steps.push(json!({"default_max_retries": 8}));
    let mut description = Value::Null;
    for (number, step) in steps.into_iter().enumerate() {
        let mut body = json!({"settings": step});
        if number % 3 == 1 {
            description = json!(cx.token(8));
            body["description"] = description.clone();
        }
        if let (Some(expected), Some(step)) = (expected.as_object_mut(), step.as_object()) {
            expected.extend(step.clone());
        }
        let reply = cx.send(update(cx, &queue, &body)).await?;
        cx.expect(QUEUE_QUEUES_17, &reply, &[succeeded()])?;
        let told = queue.told(cx).await?;
        cx.expect(QUEUE_QUEUES_17, &told, &[with(&expected, &description)])?;
    }
    // A description alone.
    description = json!("alone");
    let reply = cx.send(update(cx, &queue, &json!({"description": description}))).await?;
    cx.expect(QUEUE_QUEUES_17, &reply, &[succeeded()])?;
    cx.expect(QUEUE_QUEUES_17, &queue.told(cx).await?, &[with(&expected, &description)])?;
    cx.expect(QUEUE_QUEUES_17, &beside.told(cx).await?, &[with(&all, &Value::Null)])?;
    Ok(())
}

/// A Queue with these settings and this description.
fn with(settings: &Value, description: &Value) -> Alternative<Value> {
    let (settings, description) = (settings.clone(), description.clone());
    alternative(format!("the description {description} and {settings}"), move |queue: &Value| {
        tells(queue, &settings) && (queue["description"] == description)
    })
}

/// That a Queue has a text in `paused_at`.
fn is_paused(queue: &Value) -> bool {
    queue["paused_at"].as_str().is_some_and(|text| !text.is_empty())
}

pub(super) async fn paused(cx: &Cx) -> Outcome {
    let paused = || alternative("a text in paused_at", is_paused);
    let resumed = || alternative("no paused_at", |queue: &Value| queue["paused_at"].is_null());
    let with_pause = || succeeded_and("a text in paused_at", |r| is_paused(&data(r, "queue")));
    let without = || succeeded_and("no paused_at", |r| data(r, "queue")["paused_at"].is_null());
    for kind in [PUBSUB, WORKER] {
        let queue = proven(cx, kind).await?;
        for round in 0..3 {
            cx.expect(QUEUE_QUEUES_18, &cx.send(pause(cx, &queue)).await?, &[with_pause()])?;
            cx.expect(QUEUE_QUEUES_18, &queue.told(cx).await?, &[paused()])?;
            // Whatever comes in between, it stays so.
            queue.published(cx, json!(cx.token(8))).await?;
            cx.expect(QUEUE_QUEUES_18, &queue.told(cx).await?, &[paused()])?;
            let change = json!({"settings": {"default_max_retries": round}});
            cx.need(QUEUE_QUEUES_17, &cx.send(update(cx, &queue, &change)).await?, &[succeeded()])?;
            cx.expect(QUEUE_QUEUES_18, &queue.told(cx).await?, &[paused()])?;
            if round == 1 {
                cx.expect(QUEUE_QUEUES_18, &cx.send(pause(cx, &queue)).await?, &[with_pause()])?;
                cx.expect(QUEUE_QUEUES_18, &queue.told(cx).await?, &[paused()])?;
            }
            cx.expect(QUEUE_QUEUES_19, &cx.send(resume(cx, &queue)).await?, &[without()])?;
            cx.expect(QUEUE_QUEUES_19, &queue.told(cx).await?, &[resumed()])?;
            queue.published(cx, json!(cx.token(8))).await?;
            cx.expect(QUEUE_QUEUES_19, &queue.told(cx).await?, &[resumed()])?;
        }
    }
    Ok(())
}

/// A Queue with this next offset.
fn next_is(offset: i64) -> Alternative<Value> {
    alternative(format!("the next_offset {offset}"), move |queue: &Value| queue["next_offset"] == offset)
}

pub(super) async fn next_offset(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        cx.expect(QUEUE_QUEUES_20, &queue.told(cx).await?, &[next_is(0)])?;
        let mut ids = Vec::new();
        for count in 1..=3 {
            let message = queue.published(cx, json!(cx.token(8))).await?;
            ids.push(message.id);
            cx.expect(QUEUE_QUEUES_20, &queue.told(cx).await?, &[next_is(count)])?;
        }
        let batch = json!({"messages": [{"payload": cx.token(8)}, {"payload": cx.token(8)}]});
        let reply = cx.send(with_body(queue.operation(cx, Action::Batch, &[]), &batch)).await?;
        cx.need(QUEUE_PUBLISH_35, &reply, &[succeeded()])?;
        // A batch may be in the queue a moment later than it is answered.
        let five = alternative("five messages", |messages: &Vec<Value>| messages.len() == 5);
        let read = super::super::publish::soon(cx, &queue, 5).await?;
        let messages = cx.need(QUEUE_PUBLISH_35, &read, &[five])?;
        cx.expect(QUEUE_QUEUES_20, &queue.told(cx).await?, &[next_is(5)])?;
        // Nothing takes it back: not the removal of the newest message, nor that of all.
        for message in messages.iter().rev() {
            let id = message["id"].as_str().unwrap_or_default();
            let reply = cx.send(queue.operation(cx, Action::DeleteMessage, &[id])).await?;
            cx.need(QUEUE_CONSUME_12, &reply, &[succeeded()])?;
            cx.expect(QUEUE_QUEUES_20, &queue.told(cx).await?, &[next_is(5)])?;
        }
        let message = queue.published(cx, json!(cx.token(8))).await?;
        let offset = queue.told(cx).await?.map(|queue| (queue, json!(message.offset)));
        let both = alternative("the offset 5, and 6 as the next", |(queue, offset): &(Value, Value)| {
            queue["next_offset"] == 6 && *offset == 5
        });
        cx.expect(QUEUE_QUEUES_20, &offset, &[both])?;
    }
    Ok(())
}

pub(super) async fn next_offset_expired(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    queue.published(cx, json!(cx.token(8))).await?;
    queue.published_with(cx, json!({"payload": cx.token(8), "ttl_seconds": SOON})).await?;
    cx.expect(QUEUE_QUEUES_20, &queue.told(cx).await?, &[next_is(2)])?;
    tokio::time::sleep(LATER).await;
    cx.expect(QUEUE_QUEUES_20, &queue.told(cx).await?, &[next_is(2)])?;
    Ok(())
}

pub(super) async fn messages_that_are_there(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let before = queue.published(cx, json!(cx.token(8))).await?.payload;
    let there = {
        let before = before.clone();
        alternative("what was published", move |read: &Vec<Value>| read.contains(&before))
    };
    let read = || async { Ok(queue.content(cx).await?.map(|messages| payloads(&messages))) };
    cx.need(QUEUE_PUBLISH_1, &read().await?, std::slice::from_ref(&there))?;
    let change = json!({"settings": {"default_ttl_seconds": SOON}});
    cx.need(QUEUE_QUEUES_17, &cx.send(update(cx, &queue, &change)).await?, &[succeeded()])?;
    tokio::time::sleep(LATER).await;
    let gone = alternative("that it has expired by the new setting", move |read: &Vec<Value>| {
        !read.contains(&before)
    });
    cx.expect(QUEUE_QUEUES_26, &read().await?, &[there, gone])?;
    Ok(())
}

pub(super) async fn no_description(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    let token = json!(cx.token(8));
    let reply = cx.send(update(cx, &queue, &json!({"description": token}))).await?;
    cx.need(QUEUE_QUEUES_17, &reply, &[succeeded()])?;
    let told = queue.told(cx).await?;
    let that = alternative("the description", move |queue: &Value| queue["description"] == token);
    cx.need(QUEUE_QUEUES_17, &told, &[that])?;
    let reply = cx.send(update(cx, &queue, &json!({"description": ""}))).await?;
    cx.need(QUEUE_QUEUES_17, &reply, &[succeeded()])?;
    let empty = alternative("the description \"\"", |queue: &Value| queue["description"] == "");
    let none = alternative("no description, or null", |queue: &Value| queue["description"].is_null());
    cx.expect(QUEUE_QUEUES_27, &queue.told(cx).await?, &[empty, none])?;
    Ok(())
}

pub(super) async fn of_the_name(cx: &Cx) -> Outcome {
    for (kind, other) in [(PUBSUB, WORKER), (WORKER, PUBSUB)] {
        let queue = proven(cx, kind).await?;
        let elsewhere = Queue::nowhere(cx);
        for body in [json!({"name": elsewhere.name}), json!({"queue_type": other})] {
            let reply = cx.send(update(cx, &queue, &body)).await?;
            let mut outcomes: Vec<Alternative<Response>> = vec![succeeded()];
            outcomes.extend(invalid());
            cx.expect(QUEUE_QUEUES_28, &reply, &outcomes)?;
            let name = queue.name.clone();
            let as_before = alternative("the name and the queue_type that it had", move |queue: &Value| {
                queue["name"] == *name && queue["queue_type"] == kind
            });
            cx.expect(QUEUE_QUEUES_28, &queue.told(cx).await?, &[as_before])?;
            let nothing = cx.send(get(cx, &elsewhere)).await?;
            cx.expect(QUEUE_QUEUES_28, &nothing, &not_found())?;
        }
    }
    Ok(())
}
