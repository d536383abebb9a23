//! What is sent where.

use super::{QUIET, all, changed, created, delivered, holds, update};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::setting::{PUBSUB, Queue, WORKER, data, succeeded, succeeded_and, with_body},
    wire::sink::{Delivery, Sink},
};
use serde_json::{Value, json};
use wireproof_spec::{
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

/// That nothing comes.
fn nothing() -> Alternative<Option<Delivery>> {
    alternative("no delivery", |came: &Option<Delivery>| came.is_none())
}

/// Publishes a payload that nobody can guess.
async fn publishes(cx: &Cx, queue: &Queue) -> Outcome<Value> {
    let payload = json!({"token": cx.token(16)});
    queue.published(cx, payload.clone()).await?;
    Ok(payload)
}

/// Claims that the next delivery is of this payload, at this path.
async fn comes(cx: &Cx, requirement: RequirementId, sink: &mut Sink, path: &str, payload: &Value) -> Outcome {
    let (at, of) = (path.to_owned(), payload.clone());
    let seen = sink.next(cx.answer_time()).await?;
    let the_one =
        alternative(format!("the delivery of what was published, to {path}"), move |d: &Delivery| {
            d.request.path == at && holds(&d.request.body, &of)
        });
    cx.expect(requirement, &seen, &[the_one])?;
    Ok(())
}

pub(super) async fn everything(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let token = cx.token(12);
        let mut sinks = Vec::new();
        for (method, shown) in
            [(None, "POST"), (Some("PUT"), "PUT"), (Some("PATCH"), "PATCH"), (Some("POST"), "POST")]
        {
            let sink = cx.sink(|_, _| 200).await?;
            let mut config = json!({"url": sink.url("/here/%C3%A4?q=1%20"), "headers": {"X-Token": token, "x-more": "a, b"}});
            if let Some(method) = method {
                config["method"] = json!(method);
            }
            created(cx, &queue, &config).await?;
            sinks.push((sink, shown));
        }
        for payload in [
            json!(cx.token(16)),
            json!({"token": cx.token(16), "list": [1, null, {"ä": "€\n"}]}),
            json!([cx.token(16), 0.5, true]),
        ] {
            queue.published(cx, payload.clone()).await?;
            for (sink, method) in &mut sinks {
                let (method, of) = (*method, payload.clone());
                let seen = sink.next(cx.answer_time()).await?;
                let the_one = alternative(
                    format!("a {method} of the url whose body holds what was published"),
                    move |d: &Delivery| {
                        d.request.method == method
                            && d.request.path == "/here/%C3%A4"
                            && d.request.query.get("q") == Some("1 ")
                            && holds(&d.request.body, &of)
                    },
                );
                cx.expect(QUEUE_DESTINATIONS_6, &seen, &[the_one])?;
                let token = token.clone();
                let headers = alternative("the headers of the config", move |d: &Delivery| {
                    d.request.headers.get("x-token") == Some(token.as_str())
                        && d.request.headers.get("x-more") == Some("a, b")
                });
                cx.expect(QUEUE_DESTINATIONS_7, &seen, &[headers])?;
            }
        }
    }
    // A delivery that is sent again has them too.
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut sink = cx.sink(|_, before| if before == 0 { 500 } else { 200 }).await?;
    let token = cx.token(12);
    let policy = json!({"max_attempts": 2, "initial_backoff_ms": 20, "max_backoff_ms": 20});
    let config = json!({"url": sink.url("/again"), "headers": {"x-token": token}, "retry_policy": policy});
    created(cx, &queue, &config).await?;
    publishes(cx, &queue).await?;
    for _ in 0..2 {
        let token = token.clone();
        let seen = sink.next(cx.answer_time()).await?;
        let headers = alternative("the headers of the config", move |d: &Delivery| {
            d.request.headers.get("x-token") == Some(token.as_str())
        });
        cx.expect(QUEUE_DESTINATIONS_7, &seen, &[headers])?;
    }
    Ok(())
}

pub(super) async fn moved(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let (mut old, mut new) = (cx.sink(|_, _| 200).await?, cx.sink(|_, _| 200).await?);
    let id = created(cx, &queue, &json!({"url": old.url("/a")})).await?;
    let payload = publishes(cx, &queue).await?;
    delivered(cx, &mut old, "/a", &payload).await?;
    moves(cx, &queue, &id, &new.url("/b")).await?;
    let payload = publishes(cx, &queue).await?;
    comes(cx, QUEUE_DESTINATIONS_3, &mut new, "/b", &payload).await?;
    // A second time, and within one place.
    moves(cx, &queue, &id, &new.url("/c")).await?;
    let payload = publishes(cx, &queue).await?;
    comes(cx, QUEUE_DESTINATIONS_3, &mut new, "/c", &payload).await?;
    cx.expect(QUEUE_DESTINATIONS_3, &old.quiet(QUIET).await?, &[nothing()])?;
    Ok(())
}

/// Claims that an update changes the url of a destination, as its answer tells.
async fn moves(cx: &Cx, queue: &Queue, id: &str, url: &str) -> Outcome {
    let seen = cx.send(update(cx, queue, id, &json!({"config": {"url": url}}))).await?;
    let url = url.to_owned();
    let there =
        succeeded_and("the new url in the config", move |r| data(r, "destination")["config"]["url"] == *url);
    cx.expect(QUEUE_DESTINATIONS_3, &seen, &[there])?;
    Ok(())
}

pub(super) async fn deleted(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let (mut gone, mut kept) = (cx.sink(|_, _| 200).await?, cx.sink(|_, _| 200).await?);
    let stays = created(cx, &queue, &json!({"url": kept.url("/kept")})).await?;
    let mut ids = Vec::new();
    for path in ["/1", "/2"] {
        ids.push(created(cx, &queue, &json!({"url": gone.url(path)})).await?);
    }
    let payload = publishes(cx, &queue).await?;
    delivered(cx, &mut kept, "/kept", &payload).await?;
    for _ in &ids {
        let seen = gone.next(cx.answer_time()).await?;
        cx.need(QUEUE_DESTINATIONS_6, &seen, &[alternative("a delivery", |_| true)])?;
    }
    for id in &ids {
        let seen = cx.send(queue.operation(cx, Action::DeleteDestination, &[id])).await?;
        cx.expect(QUEUE_DESTINATIONS_4, &seen, &[succeeded()])?;
        let listed = all(cx, &queue).await?;
        let (id, stays) = (id.clone(), stays.clone());
        let no_more = alternative("the others, and not the one that was deleted", move |all: &Vec<Value>| {
            !all.iter().any(|one| one["id"] == *id) && all.iter().any(|one| one["id"] == *stays)
        });
        cx.expect(QUEUE_DESTINATIONS_4, &listed, &[no_more])?;
    }
    let payload = publishes(cx, &queue).await?;
    delivered(cx, &mut kept, "/kept", &payload).await?;
    cx.expect(QUEUE_DESTINATIONS_4, &gone.quiet(QUIET).await?, &[nothing()])?;
    Ok(())
}

pub(super) async fn not_enabled(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let (mut beside, mut off) = (cx.sink(|_, _| 200).await?, cx.sink(|_, _| 200).await?);
    let mut never = cx.sink(|_, _| 200).await?;
    created(cx, &queue, &json!({"url": beside.url("/beside")})).await?;
    // One that never was enabled, and one that is no more.
    let body = json!({"destination_type": "http", "config": {"url": never.url("/never")}, "enabled": false});
    let seen = cx.send(with_body(queue.operation(cx, Action::CreateDestination, &[]), &body)).await?;
    cx.need(QUEUE_DESTINATIONS_1, &seen, &[succeeded()])?;
    let id = created(cx, &queue, &json!({"url": off.url("/once")})).await?;
    let payload = publishes(cx, &queue).await?;
    delivered(cx, &mut off, "/once", &payload).await?;
    delivered(cx, &mut beside, "/beside", &payload).await?;
    changed(cx, &queue, &id, &json!({"enabled": false})).await?;
    for _ in 0..2 {
        let payload = publishes(cx, &queue).await?;
        delivered(cx, &mut beside, "/beside", &payload).await?;
    }
    for sink in [&mut never, &mut off] {
        cx.expect(QUEUE_DESTINATIONS_12, &sink.quiet(QUIET).await?, &[nothing()])?;
    }
    Ok(())
}
