//! That a queue is made once, and gone when it was deleted.

use super::{default_settings, get, keeps, pause, tells, update};
use crate::{
    check::{Breaks, Cx, Outcome, alternative},
    checks::queue::setting::{
        PUBSUB, Published, Queue, WORKER, not_found, payloads, proven, refused, succeeded, succeeded_and,
        value, with_body,
    },
    wire::Seen,
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, requirements::*},
};

/// Settings that differ from the defaults.
fn own() -> Value {
    json!({"default_max_retries": 7, "default_ttl_seconds": 5000, "max_in_flight_per_client": 3})
}

/// A queue with a description, settings and messages of its own.
async fn furnished(cx: &Cx, kind: &str) -> Outcome<(Queue, Vec<Published>)> {
    let mut queue = Queue::nowhere(cx);
    let body = json!({"name": queue.name, "queue_type": kind, "description": "the first", "settings": own()});
    let request = queue.creation(cx, kind, &json!({}));
    let seen = cx.send(with_body(request, &body)).await?;
    cx.need(QUEUE_QUEUES_3, &seen, &[super::with_settings(&own())])?;
    queue.id = value(cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()])?)["data"]["queue"]["id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let messages = queue.published_many(cx, 3).await?;
    Ok((queue, messages))
}

/// A queue that is there, and one that can be made.
async fn taken_and_free(cx: &Cx, kind: &str) -> Outcome<(Queue, Queue)> {
    Ok((proven(cx, kind).await?, Queue::nowhere(cx)))
}

pub(super) async fn taken(cx: &Cx) -> Outcome {
    let cases = [
        (PUBSUB, PUBSUB, json!({})),
        (WORKER, WORKER, json!({})),
        (PUBSUB, WORKER, json!({})),
        (PUBSUB, PUBSUB, own()),
        (WORKER, PUBSUB, own()),
    ];
    for (of, asked, settings) in cases {
        cx.refused(
            QUEUE_QUEUES_10,
            Breaks::Fit,
            |cx| taken_and_free(cx, of),
            |(_, free)| free.creation(cx, asked, &settings),
            |(taken, _), request| *request = taken.creation(cx, asked, &settings),
            (QUEUE_QUEUES_1, &[succeeded()]),
            &[refused(409).into()],
        )
        .await?;
    }
    // A second time too, when it is empty, and when it is paused.
    let queue = Queue::create(cx, PUBSUB).await?;
    for paused in [false, true, true] {
        if paused {
            let seen = cx.send(pause(cx, &queue)).await?;
            cx.need(QUEUE_QUEUES_18, &seen, &[succeeded()])?;
        }
        let reply = cx.send(queue.creation(cx, PUBSUB, &json!({}))).await?;
        cx.expect(QUEUE_QUEUES_10, &reply, &[refused(409).into()])?;
    }
    Ok(())
}

pub(super) async fn unchanged(cx: &Cx) -> Outcome {
    for (kind, other) in [(PUBSUB, WORKER), (WORKER, WORKER)] {
        let (queue, messages) = furnished(cx, kind).await?;
        let before = queue.told(cx).await?;
        let before = stays(cx.need(QUEUE_QUEUES_1, &before, &[alternative("a Queue", Value::is_object)])?);
        for settings in [json!({"default_max_retries": 1, "default_ttl_seconds": 60}), json!({})] {
            let mut body = json!({"name": queue.name, "queue_type": other, "description": "the second"});
            body["settings"] = settings;
            let reply = cx.send(with_body(queue.creation(cx, other, &json!({})), &body)).await?;
            cx.need(QUEUE_QUEUES_10, &reply, &[refused(409).into()])?;
            let told = queue.told(cx).await?.map(|queue| stays(&queue));
            let before = before.clone();
            let as_before = alternative("the Queue as it was", move |told: &Value| *told == before);
            cx.expect(QUEUE_QUEUES_11, &told, &[as_before])?;
            let read = queue.content(cx).await?.map(|messages| payloads(&messages));
            let kept: Vec<Value> = messages.iter().map(|message| message.payload.clone()).collect();
            let all = alternative("every message", move |read: &Vec<Value>| *read == kept);
            cx.expect(QUEUE_QUEUES_11, &read, &[all])?;
        }
    }
    Ok(())
}

/// What of a Queue has to stay as it was: what it is, its description and its settings.
fn stays(queue: &Value) -> Value {
    let of_itself = ["id", "name", "queue_type", "description", "created_at", "next_offset"];
    let settings = default_settings();
    let names = settings.as_object().into_iter().flat_map(|settings| settings.keys().map(String::as_str));
    names.chain(of_itself).map(|name| (name.to_owned(), queue[name].clone())).collect()
}

pub(super) async fn race(cx: &Cx) -> Outcome {
    const RACERS: usize = 8;
    for round in 0..5 {
        let queue = Queue::nowhere(cx);
        let mut peers: Vec<_> = (0..RACERS).map(|_| cx.http()).collect();
        // They ask for the same queue, or each for another one.
        let sent = peers.iter_mut().zip(1..).map(|(peer, n)| {
            let settings = if round % 2 == 0 { json!({}) } else { json!({"default_max_retries": n}) };
            peer.send(queue.creation(cx, PUBSUB, &settings))
        });
        let replies = Seen::all(try_join_all(sent).await?);
        let one_winner = alternative("one success", |replies: &Vec<Response>| {
            replies.iter().filter(|r| succeeded().holds(r)).count() == 1
        });
        cx.expect(QUEUE_QUEUES_12, &replies, &[one_winner])?;
        keeps(cx, &queue).await?;
    }
    Ok(())
}

fn delete(cx: &Cx, queue: &Queue) -> Request {
    queue.operation(cx, Action::Delete, &[])
}

pub(super) async fn delete_nothing(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = proven(cx, kind).await?;
        cx.need(QUEUE_QUEUES_15, &cx.send(delete(cx, &queue)).await?, &[succeeded()])?;
        // What never was, and what was and is no more.
        for nothing in [&Queue::nowhere(cx), &queue] {
            let reply = cx.send(delete(cx, nothing)).await?;
            cx.expect(QUEUE_QUEUES_14, &reply, &not_found())?;
        }
    }
    Ok(())
}

pub(super) async fn deleted(cx: &Cx) -> Outcome {
    let beside = Queue::create(cx, PUBSUB).await?;
    let kept = beside.published_many(cx, 2).await?;
    for (kind, messages, paused) in
        [(PUBSUB, 0, false), (PUBSUB, 3, false), (WORKER, 1, false), (WORKER, 3, true), (PUBSUB, 1, true)]
    {
        let queue = Queue::create(cx, kind).await?;
        // A second life ends as the first one.
        for life in 0..2 {
            if life > 0 {
                let seen = cx.send(queue.creation(cx, kind, &json!({}))).await?;
                cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()])?;
            }
            queue.published_many(cx, messages).await?;
            if paused {
                let seen = cx.send(pause(cx, &queue)).await?;
                cx.need(QUEUE_QUEUES_18, &seen, &[succeeded()])?;
            }
            let reply = cx.send(delete(cx, &queue)).await?;
            cx.expect(QUEUE_QUEUES_15, &reply, &[succeeded()])?;
            gone(cx, &queue).await?;
        }
    }
    let read = beside.content(cx).await?.map(|messages| payloads(&messages));
    let all = alternative("what is in another queue", move |read: &Vec<Value>| {
        read.iter().eq(kept.iter().map(|message| &message.payload))
    });
    cx.expect(QUEUE_QUEUES_15, &read, &[all])?;
    Ok(())
}

/// Claims that nothing finds this queue, whatever is asked first.
async fn gone(cx: &Cx, queue: &Queue) -> Outcome {
    for request in [
        queue.publish(cx, &json!("late")),
        queue.consume(cx, 0),
        get(cx, queue),
        queue.operation(cx, Action::Tail, &[]),
        queue.operation(cx, Action::ListMessages, &[]),
        update(cx, queue, &json!({"description": "late"})),
        pause(cx, queue),
        get(cx, queue),
    ] {
        let reply = cx.send(request).await?;
        cx.expect(QUEUE_QUEUES_15, &reply, &not_found())?;
    }
    Ok(())
}

pub(super) async fn anew(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let (queue, messages) = furnished(cx, kind).await?;
        let seen = cx.send(pause(cx, &queue)).await?;
        cx.need(QUEUE_QUEUES_18, &seen, &[succeeded()])?;
        cx.need(QUEUE_QUEUES_15, &cx.send(delete(cx, &queue)).await?, &[succeeded()])?;
        let seen = cx.send(queue.creation(cx, kind, &json!({}))).await?;
        cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()])?;
        let told = queue.told(cx).await?;
        let fresh = alternative("the settings of a new queue, without a description", |queue: &Value| {
            let none = |name: &str| queue[name].is_null() || queue[name] == "";
            tells(queue, &default_settings()) && none("description") && none("paused_at")
        });
        cx.expect(QUEUE_QUEUES_16, &told, &[fresh])?;
        for message in &messages {
            let asked = queue.operation(cx, Action::GetMessage, &[&message.id]);
            cx.expect(QUEUE_QUEUES_16, &cx.send(asked).await?, &not_found())?;
        }
        let read = queue.content(cx).await?;
        let nothing = alternative("nothing", Vec::<Value>::is_empty);
        cx.expect(QUEUE_QUEUES_16, &read, &[nothing])?;
        if kind == WORKER {
            let reply = cx.send(queue.receive(cx)).await?;
            let none = succeeded_and("no message", |r| value(r)["data"]["message"].is_null());
            cx.expect(QUEUE_QUEUES_16, &reply, &[none])?;
        }
        // And then it has what is published now, alone.
        let message = queue.published(cx, json!(cx.token(16))).await?;
        let read = queue.content(cx).await?.map(|messages| payloads(&messages));
        let alone = alternative("what was published, alone", move |read: &Vec<Value>| {
            read.len() == 1 && read[0] == message.payload
        });
        cx.expect(QUEUE_QUEUES_16, &read, &[alone])?;
    }
    Ok(())
}
