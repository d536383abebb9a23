//! Every operation once, so that each kind of answer is seen in every run; what each has to carry is claimed here, and how that
//! looks by those who observe.

use crate::{
    check::{Alternative, Check, Cx, Outcome, alternative},
    checks::queue::{
        peer::{Subscriber, pushed_back},
        setting::{
            PUBSUB, Queue, WORKER, data, list, operation, proven, refused, succeeded, succeeded_and, text,
            value, with_body,
        },
    },
    drives,
    wire::Seen,
};
use serde_json::{Value, json};
use tokio::time::Instant;
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, requirements::*},
};

pub(in crate::checks::queue) const CHECKS: &[Check] = &[
    Check::new(
        "queue/message/queues",
        &[QUEUE_MESSAGE_9, QUEUE_MESSAGE_10, QUEUE_MESSAGE_22],
        drives!(queues),
    ),
    Check::new(
        "queue/message/messages",
        &[QUEUE_MESSAGE_11, QUEUE_MESSAGE_12, QUEUE_MESSAGE_13],
        drives!(messages),
    ),
    Check::new("queue/message/work", &[QUEUE_MESSAGE_14, QUEUE_MESSAGE_15, QUEUE_MESSAGE_16], drives!(work)),
    Check::new("queue/message/destinations", &[QUEUE_MESSAGE_17, QUEUE_MESSAGE_18], drives!(destinations)),
    Check::new("queue/message/sources", &[QUEUE_MESSAGE_19, QUEUE_MESSAGE_20], drives!(sources)),
    Check::new("queue/message/consumers", &[QUEUE_MESSAGE_21], drives!(consumers)),
    Check::new("queue/message/refusals", &[QUEUE_MESSAGE_23], drives!(refusals)),
];

/// That data has an object of this name, in which this member is so.
fn one(name: &'static str, member: &'static str, value: &str) -> Alternative<Response> {
    let value = value.to_owned();
    succeeded_and(&format!("an object {name} under data whose {member} is {value:?}"), move |r| {
        data(r, name)[member] == *value
    })
}

/// That data has an object of this name.
fn an_object(name: &'static str) -> Alternative<Response> {
    succeeded_and(&format!("an object {name} under data"), move |r| data(r, name).is_object())
}

/// That an operation which nothing obliges to succeed here is answered like this, or refused.
fn or_refused(success: Alternative<Response>) -> Vec<Alternative<Response>> {
    vec![success, alternative("a refusal", |r: &Response| (400..500).contains(&r.status))]
}

/// That data has an array of this name with so many elements or more.
fn several(name: &'static str, least: usize) -> Alternative<Response> {
    succeeded_and(&format!("an array {name} under data, of {least} or more"), move |r| {
        data(r, name).is_array() && list(r, name).len() >= least
    })
}

async fn queues(cx: &Cx) -> Outcome {
    let queue = Queue::nowhere(cx);
    let settings = json!({"default_ttl_seconds": 3600, "default_max_retries": 3});
    let update = json!({"description": cx.token(8), "settings": {"max_in_flight_per_client": 7}});
    let nothing = json!({});
    for request in [
        queue.creation(cx, WORKER, &settings),
        queue.operation(cx, Action::Get, &[]),
        with_body(queue.operation(cx, Action::Update, &[]), &update),
        with_body(queue.operation(cx, Action::Pause, &[]), &nothing),
        queue.operation(cx, Action::Get, &[]),
        with_body(queue.operation(cx, Action::Resume, &[]), &nothing),
    ] {
        let reply = cx.send(request).await?;
        cx.expect(QUEUE_MESSAGE_9, &reply, &[one("queue", "name", &queue.name)])?;
    }
    let reply = cx.send(operation(cx, Action::List, &[])).await?;
    cx.expect(QUEUE_MESSAGE_10, &reply, &[several("queues", 0)])?;
    for message in queue.published_many(cx, 2).await? {
        let request = queue.operation(cx, Action::DeleteMessage, &[&message.id]);
        cx.expect(QUEUE_MESSAGE_22, &cx.send(request).await?, &[succeeded()])?;
    }
    for action in [Action::PurgeDeadLetters, Action::Delete] {
        let reply = cx.send(queue.operation(cx, action, &[])).await?;
        cx.expect(QUEUE_MESSAGE_22, &reply, &[succeeded()])?;
    }
    // It is really gone.
    let reply = cx.send(queue.operation(cx, Action::Get, &[])).await?;
    cx.need(QUEUE_QUEUES_15, &reply, &[refused(404).into()])?;
    Ok(())
}

async fn messages(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let more = json!({
        "payload": {"token": cx.token(12)},
        "metadata": {"a": 1},
        "idempotency_key": cx.token(8),
        "partition_key": "p",
        "ttl_seconds": 600,
    });
    let full = queue.published_with(cx, more).await?;
    let reply = cx.send(queue.operation(cx, Action::GetMessage, &[&full.id])).await?;
    cx.expect(QUEUE_MESSAGE_11, &reply, &[one("message", "id", &full.id)])?;
    let reply = cx.send(queue.operation(cx, Action::MessageAt, &["0"])).await?;
    cx.expect(QUEUE_MESSAGE_11, &reply, &[one("message", "id", &full.id)])?;
    let token = cx.token(12);
    let reply = cx.send(queue.publish(cx, &json!(token))).await?;
    cx.expect(QUEUE_MESSAGE_11, &reply, &[one("message", "payload", &token)])?;
    // One that was acknowledged, pending again.
    let taken = queue.received(cx).await?;
    let id = text(&taken, "id");
    let reply = cx.send(queue.operation(cx, Action::Ack, &[id])).await?;
    cx.need(QUEUE_LEASES_8, &reply, &[succeeded()])?;
    let reply = cx.send(queue.operation(cx, Action::ReplayMessage, &[id])).await?;
    cx.expect(QUEUE_MESSAGE_11, &reply, &or_refused(an_object("message")))?;
    // Whether null can be published is left open.
    let batch = json!({"messages": [{"payload": 1}, {"payload": {}}, {"payload": cx.token(4)}]});
    let reply = cx.send(with_body(queue.operation(cx, Action::Batch, &[]), &batch)).await?;
    cx.expect(QUEUE_MESSAGE_13, &reply, &[several("messages", 1)])?;
    for request in [queue.consume(cx, 0), queue.operation(cx, Action::ListMessages, &[])] {
        let reply = cx.send(request).await?;
        cx.expect(QUEUE_MESSAGE_12, &reply, &[several("messages", 1)])?;
    }
    Ok(())
}

async fn work(cx: &Cx) -> Outcome {
    let queue =
        Queue::create_with(cx, WORKER, &json!({"default_max_retries": 1, "default_retry_backoff_ms": 1}))
            .await?;
    let none = succeeded_and("null as message under data", |r| {
        let body = value(r);
        body["data"].as_object().is_some_and(|data| data.get("message") == Some(&Value::Null))
    });
    cx.expect(QUEUE_MESSAGE_14, &cx.send(queue.receive(cx)).await?, &[none])?;
    let offset = |least: i64| {
        succeeded_and(&format!("an offset of {least} or more under data"), move |r| {
            data(r, "offset").as_i64() >= Some(least)
        })
    };
    let ends = [Action::Head, Action::Tail];
    for action in ends {
        // What it is without a message is asked elsewhere.
        let _ = cx.send(queue.operation(cx, action, &[])).await?;
    }
    let token = cx.token(12);
    let kept = queue.published(cx, json!(token)).await?;
    // The only one: which of several is received first is left open.
    let reply = cx.send(queue.receive(cx)).await?;
    cx.expect(QUEUE_MESSAGE_14, &reply, &[one("message", "payload", &token)])?;
    queue.published_many(cx, 2).await?;
    for action in ends {
        let reply = cx.send(queue.operation(cx, action, &[])).await?;
        cx.expect(QUEUE_MESSAGE_15, &reply, &[offset(0)])?;
    }
    let reply = cx.send(queue.operation(cx, Action::Nack, &[&kept.id])).await?;
    cx.need(QUEUE_LEASES_9, &reply, &[succeeded()])?;
    let letters = died(cx, &queue).await?;
    let reply = cx.expect(QUEUE_MESSAGE_16, &letters, &[several("messages", 1)])?;
    let letter = list(reply, "messages").into_iter().next().unwrap_or_default();
    for action in [Action::ReplayDeadLetter, Action::PurgeDeadLetters] {
        let more = [text(&letter, "id")];
        let more: &[&str] = if action == Action::PurgeDeadLetters { &[] } else { &more };
        let reply = cx.send(queue.operation(cx, action, more)).await?;
        cx.need(QUEUE_DEADLETTERS_6, &reply, &[succeeded()])?;
    }
    let empty = cx.send(queue.operation(cx, Action::ListDeadLetters, &[])).await?;
    cx.expect(QUEUE_MESSAGE_16, &empty, &[several("messages", 0)])?;
    Ok(())
}

/// Gives messages back until one is dead: the list of dead letters.
async fn died(cx: &Cx, queue: &Queue) -> Outcome<Seen<Response>> {
    let until = Instant::now() + cx.answer_time() / 2;
    loop {
        let letters = cx.send(queue.operation(cx, Action::ListDeadLetters, &[])).await?;
        let some = letters.look().is_ok_and(|reply| !list(reply, "messages").is_empty());
        if some || Instant::now() >= until {
            return Ok(letters);
        }
        let seen = cx.send(queue.receive(cx)).await?;
        let message = data(cx.need(QUEUE_LEASES_1, &seen, &[succeeded()])?, "message");
        if message.is_object() {
            let nack = queue.operation(cx, Action::Nack, &[text(&message, "id")]);
            cx.need(QUEUE_LEASES_9, &cx.send(nack).await?, &[succeeded()])?;
        }
    }
}

async fn destinations(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let listing = || queue.operation(cx, Action::ListDestinations, &[]);
    cx.expect(QUEUE_MESSAGE_18, &cx.send(listing()).await?, &[several("destinations", 0)])?;
    // Nothing is sent to it.
    let url = format!("http://127.0.0.1:9/{}", cx.token(8));
    let given = json!({
        "name": cx.token(6),
        "destination_type": "http",
        "config": {
            "url": url,
            "headers": {"x-token": cx.token(6)},
            "method": "PUT",
            "timeout_ms": 2000,
            "retry_policy": {"max_attempts": 2, "initial_backoff_ms": 10, "max_backoff_ms": 20, "backoff_multiplier": 1.5},
        },
        "enabled": false,
    });
    let reply = cx.send(with_body(queue.operation(cx, Action::CreateDestination, &[]), &given)).await?;
    let there = |url: &str| {
        let url = url.to_owned();
        succeeded_and("an object destination under data with this url", move |r| {
            data(r, "destination")["config"]["url"] == *url
        })
    };
    let reply = cx.expect(QUEUE_MESSAGE_17, &reply, &[there(&url)])?;
    let id = text(&data(reply, "destination"), "id").to_owned();
    let change = json!({"config": {"url": format!("{url}/2")}});
    let update = with_body(queue.operation(cx, Action::UpdateDestination, &[&id]), &change);
    let reply = cx.send(update).await?;
    cx.expect(QUEUE_MESSAGE_17, &reply, &[there(&format!("{url}/2"))])?;
    cx.expect(QUEUE_MESSAGE_18, &cx.send(listing()).await?, &[several("destinations", 1)])?;
    let reply = cx.send(queue.operation(cx, Action::DeleteDestination, &[&id])).await?;
    cx.need(QUEUE_MESSAGE_22, &reply, &[succeeded()])?;
    Ok(())
}

async fn sources(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let listing = || queue.operation(cx, Action::ListSources, &[]);
    cx.expect(QUEUE_MESSAGE_20, &cx.send(listing()).await?, &[several("sources", 0)])?;
    let name = cx.token(8);
    let given = json!({"name": name, "description": "of a check", "auth_type": "none"});
    let reply = cx.send(with_body(queue.operation(cx, Action::CreateSource, &[]), &given)).await?;
    let reply = cx.expect(QUEUE_MESSAGE_19, &reply, &[one("source", "name", &name)])?;
    let id = text(&data(reply, "source"), "id").to_owned();
    let update: Request =
        with_body(queue.operation(cx, Action::UpdateSource, &[&id]), &json!({"enabled": false}));
    for request in [update, queue.operation(cx, Action::GetSource, &[&id])] {
        let reply = cx.send(request).await?;
        cx.expect(QUEUE_MESSAGE_19, &reply, &or_refused(one("source", "name", &name)))?;
    }
    cx.expect(QUEUE_MESSAGE_20, &cx.send(listing()).await?, &[several("sources", 0)])?;
    let reply = cx.send(queue.operation(cx, Action::DeleteSource, &[&id])).await?;
    cx.need(QUEUE_MESSAGE_22, &reply, &[succeeded()])?;
    Ok(())
}

async fn consumers(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let listing = || queue.operation(cx, Action::ListConsumers, &[]);
    cx.expect(QUEUE_MESSAGE_21, &cx.send(listing()).await?, &[several("consumers", 0)])?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    pushed_back(cx, &queue, &mut subscriber).await?;
    cx.expect(QUEUE_MESSAGE_21, &cx.send(listing()).await?, &[several("consumers", 0)])?;
    Ok(())
}

async fn refusals(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    let nowhere = Queue::nowhere(cx);
    for (status, request) in [(404, nowhere.operation(cx, Action::Get, &[])), (404, nowhere.consume(cx, 0))] {
        let reply = cx.send(request).await?;
        let told = succeeds_not(status);
        cx.expect(QUEUE_MESSAGE_23, &reply, &[told])?;
    }
    let reply = cx.stranger().send(queue.operation(cx, Action::Get, &[])).await?;
    cx.expect(QUEUE_MESSAGE_23, &reply, &[succeeds_not(401)])?;
    Ok(())
}

/// That a request was refused with this status, with a text in message.
fn succeeds_not(status: u16) -> Alternative<Response> {
    refused(status)
        .and("success false and a text in message", |r: &Response| {
            let body = value(r);
            body["success"] == false && body["message"].is_string()
        })
        .into()
}
