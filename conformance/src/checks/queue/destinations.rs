//! Checks of "Destinations" in spec/queue.md. What is sent goes to a place of ours on the loopback.

mod again;
mod sent;

use super::setting::{PUBSUB, Queue, data, list, refused, succeeded, succeeded_and, text, with_body};
use crate::{
    check::{Check, Cx, Lane, Outcome, alternative},
    drives,
    wire::{Seen, sink::Sink},
};
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, requirements::*},
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/destinations/create", &[QUEUE_DESTINATIONS_1], drives!(create)),
    Check::new("queue/destinations/listed", &[QUEUE_DESTINATIONS_2], drives!(listed)),
    Check::new("queue/destinations/moved", &[QUEUE_DESTINATIONS_3], drives!(sent::moved)),
    Check::new("queue/destinations/deleted", &[QUEUE_DESTINATIONS_4], drives!(sent::deleted)),
    Check::new("queue/destinations/same-url", &[QUEUE_DESTINATIONS_5], drives!(same_url)),
    Check::new(
        "queue/destinations/sent",
        &[QUEUE_DESTINATIONS_6, QUEUE_DESTINATIONS_7],
        drives!(sent::everything),
    ),
    Check::new("queue/destinations/tried-again", &[QUEUE_DESTINATIONS_8], drives!(again::tried)),
    Check::new("queue/destinations/at-most", &[QUEUE_DESTINATIONS_9], drives!(again::at_most)),
    Check::new("queue/destinations/arrived", &[QUEUE_DESTINATIONS_10], drives!(again::arrived)),
    Check::new("queue/destinations/backoff", &[QUEUE_DESTINATIONS_11], drives!(again::backoff))
        .lane(Lane::Alone),
    Check::new("queue/destinations/not-enabled", &[QUEUE_DESTINATIONS_12], drives!(sent::not_enabled)),
];

/// How long nothing comes where nothing is to come.
const QUIET: Duration = Duration::from_millis(300);

/// The request that makes a destination with this config.
fn creation(cx: &Cx, queue: &Queue, config: &Value) -> Request {
    let body = json!({"destination_type": "http", "config": config});
    with_body(queue.operation(cx, Action::CreateDestination, &[]), &body)
}

/// The request that changes a destination.
fn update(cx: &Cx, queue: &Queue, id: &str, change: &Value) -> Request {
    with_body(queue.operation(cx, Action::UpdateDestination, &[id]), change)
}

/// Makes a destination with this config, as set-up: its id.
async fn created(cx: &Cx, queue: &Queue, config: &Value) -> Outcome<String> {
    let seen = cx.send(creation(cx, queue, config)).await?;
    let reply = cx.need(QUEUE_DESTINATIONS_1, &seen, &[succeeded()])?;
    Ok(text(&data(reply, "destination"), "id").to_owned())
}

/// Changes a destination, as set-up.
async fn changed(cx: &Cx, queue: &Queue, id: &str, change: &Value) -> Outcome {
    let seen = cx.send(update(cx, queue, id, change)).await?;
    cx.need(QUEUE_DESTINATIONS_3, &seen, &[succeeded()])?;
    Ok(())
}

/// The destinations of a queue, as listed.
async fn all(cx: &Cx, queue: &Queue) -> Outcome<Seen<Vec<Value>>> {
    let seen = cx.send(queue.operation(cx, Action::ListDestinations, &[])).await?;
    cx.need(QUEUE_DESTINATIONS_2, &seen, &[succeeded()])?;
    Ok(seen.map(|reply: Response| list(&reply, "destinations")))
}

/// Whether a body holds a payload: by itself, or somewhere within.
fn holds(body: &[u8], payload: &Value) -> bool {
    fn within(value: &Value, payload: &Value) -> bool {
        value == payload
            || match value {
                Value::Array(list) => list.iter().any(|one| within(one, payload)),
                Value::Object(members) => members.values().any(|one| within(one, payload)),
                _ => false,
            }
    }
    match serde_json::from_slice(body) {
        Ok(value) => within(&value, payload),
        Err(_) => String::from_utf8_lossy(body).contains(&payload.to_string()),
    }
}

/// Sees the next delivery, which is of this payload at this path, as set-up.
async fn delivered(cx: &Cx, sink: &mut Sink, path: &str, payload: &Value) -> Outcome {
    let (at, of) = (path.to_owned(), payload.clone());
    let seen = sink.next(cx.answer_time()).await?;
    let the_one =
        alternative("the delivery of what was published", move |d: &crate::wire::sink::Delivery| {
            d.request.path == at && holds(&d.request.body, &of)
        });
    cx.need(QUEUE_DESTINATIONS_6, &seen, &[the_one])?;
    Ok(())
}

/// What is told of a destination: id, url, whether it is enabled, and name.
fn facts(destination: &Value) -> Value {
    let told = |name: &str| destination[name].clone();
    json!([told("id"), destination["config"]["url"], told("enabled"), told("name")])
}

/// Where the name stands among these.
const NAME: usize = 3;

async fn create(cx: &Cx) -> Outcome {
    let queue = super::setting::proven(cx, PUBSUB).await?;
    let sink = cx.sink(|_, _| 204).await?;
    let full = json!({
        "url": sink.url("/full?a=b%20c"),
        "headers": {"x-token": cx.token(8)},
        "method": "PUT",
        "timeout_ms": 5000,
        "retry_policy": {"max_attempts": 3, "initial_backoff_ms": 50, "max_backoff_ms": 60, "backoff_multiplier": 1},
        "signing": {"enabled": false},
    });
    for config in [json!({"url": sink.url(&format!("/{}", cx.token(8)))}), full] {
        let url = config["url"].clone();
        let seen = cx.send(creation(cx, &queue, &config)).await?;
        let its_url = succeeded_and("the url of the request in the config", move |r| {
            data(r, "destination")["config"]["url"] == url
        });
        cx.expect(QUEUE_DESTINATIONS_1, &seen, &[its_url])?;
    }
    Ok(())
}

async fn listed(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let sink = cx.sink(|_, _| 204).await?;
    let mut expected: Vec<Value> = Vec::new();
    let mut named = false;
    for n in 0..3 {
        let name = cx.token(6);
        let url = sink.url(&format!("/{n}"));
        let enabled = n != 1;
        let body =
            json!({"name": name, "destination_type": "http", "config": {"url": url}, "enabled": enabled});
        let seen = cx.send(with_body(queue.operation(cx, Action::CreateDestination, &[]), &body)).await?;
        let reply = cx.need(QUEUE_DESTINATIONS_1, &seen, &[succeeded()])?;
        let told = data(reply, "destination");
        // The name is optional: who does not tell it need not list it.
        named = !told["name"].is_null();
        expected.push(json!([told["id"], url, enabled, if named { json!(name) } else { Value::Null }]));
        are_listed(cx, &queue, &expected).await?;
    }
    let ids: Vec<String> =
        expected.iter().map(|facts| facts[0].as_str().unwrap_or_default().to_owned()).collect();
    for (n, at, value, change) in [
        (0, 1, json!(sink.url("/moved")), json!({"config": {"url": sink.url("/moved")}})),
        (1, 2, json!(true), json!({"enabled": true})),
        (2, 2, json!(false), json!({"enabled": false})),
        (2, NAME, json!("another"), json!({"name": "another"})),
        (0, NAME, json!("third"), json!({"name": "third"})),
    ] {
        changed(cx, &queue, &ids[n], &change).await?;
        if at != NAME || named {
            expected[n][at] = value;
        }
        are_listed(cx, &queue, &expected).await?;
    }
    Ok(())
}

/// Claims that these destinations are listed and no others, in whatever order.
async fn are_listed(cx: &Cx, queue: &Queue, expected: &[Value]) -> Outcome {
    let sorted = |mut facts: Vec<Value>| {
        facts.sort_by_key(ToString::to_string);
        facts
    };
    let expected = sorted(expected.to_vec());
    let seen = all(cx, queue).await?.map(|all| sorted(all.iter().map(facts).collect()));
    let same = alternative(
        format!("id, url, enabled and name of each: {}", json!(expected)),
        move |told: &Vec<Value>| *told == expected,
    );
    cx.expect(QUEUE_DESTINATIONS_2, &seen, &[same])?;
    Ok(())
}

async fn same_url(cx: &Cx) -> Outcome {
    let (queue, other) = (Queue::create(cx, PUBSUB).await?, Queue::create(cx, PUBSUB).await?);
    let sink = cx.sink(|_, _| 204).await?;
    let config = |path: &str| json!({"url": sink.url(path)});
    let first = created(cx, &queue, &config("/one")).await?;
    created(cx, &queue, &config("/two")).await?;
    for path in ["/one", "/two", "/one"] {
        let seen = cx.send(creation(cx, &queue, &config(path))).await?;
        cx.expect(QUEUE_DESTINATIONS_5, &seen, &[refused(409).into()])?;
    }
    // Another URL, and another queue, are something else; so is a URL that is free again.
    created(cx, &queue, &config("/three")).await?;
    created(cx, &other, &config("/one")).await?;
    let seen = cx.send(queue.operation(cx, Action::DeleteDestination, &[&first])).await?;
    cx.need(QUEUE_DESTINATIONS_4, &seen, &[succeeded()])?;
    created(cx, &queue, &config("/one")).await?;
    let seen = cx.send(creation(cx, &queue, &config("/one"))).await?;
    cx.expect(QUEUE_DESTINATIONS_5, &seen, &[refused(409).into()])?;
    Ok(())
}
