//! Checks of "Http" in spec/queue.md.

mod bodies;
mod keys;
mod loose;
mod paths;

use super::{
    leases::quick,
    setting::{PUBSUB, Queue, WORKER, data, operation, succeeded, text, value, with_body},
};
use crate::{
    check::{Alternative, Body, Check, Cx, Need, Outcome, alternative},
    drives,
    wire::Seen,
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, Route, requirements::*},
    requirement::RequirementId,
};

const DATED: &[Need] = &[Need::Feature("queue.dated-paths", "on")];
const DESTINATIONS: &[Need] = &[Need::Feature("queue.destinations", "on")];
const SOURCES: &[Need] = &[Need::Feature("queue.sources", "on")];

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "queue/observed/media-type",
        &[QUEUE_HTTP_1],
        Body::Observes(|o| o.every(QUEUE_HTTP_1, |request, _| Route::decode(request).is_ok(), of_json())),
    ),
    Check::new("queue/http/no-key", &[QUEUE_HTTP_2], drives!(keys::none)),
    Check::new("queue/http/wrong-key", &[QUEUE_HTTP_3], drives!(keys::wrong)),
    Check::new("queue/http/near-keys", &[QUEUE_HTTP_3], drives!(keys::near)),
    Check::new("queue/http/no-key-changes-nothing", &[QUEUE_HTTP_4], drives!(keys::none_changes_nothing)),
    Check::new("queue/http/wrong-key-changes-nothing", &[QUEUE_HTTP_4], drives!(keys::wrong_changes_nothing)),
    Check::new("queue/http/no-such-queue", &[QUEUE_HTTP_5], drives!(paths::no_such_queue)),
    Check::new("queue/http/delete-answers", &[QUEUE_HTTP_6], drives!(delete_answers)),
    Check::new("queue/http/delete-of-destination-answers", &[QUEUE_HTTP_6], drives!(of_destination))
        .needs(DESTINATIONS),
    Check::new("queue/http/delete-of-source-answers", &[QUEUE_HTTP_6], drives!(of_source)).needs(SOURCES),
    Check::new("queue/http/ack-answers", &[QUEUE_HTTP_12], drives!(ack_answers)),
    Check::new("queue/http/nack-answers", &[QUEUE_HTTP_13], drives!(nack_answers)),
    Check::new("queue/http/purge-answers", &[QUEUE_HTTP_14], drives!(purge_answers)),
    Check::new("queue/http/no-json-for-queues", &[QUEUE_HTTP_7], drives!(bodies::no_json_for_queues)),
    Check::new("queue/http/no-json-for-messages", &[QUEUE_HTTP_7], drives!(bodies::no_json_for_messages)),
    Check::new(
        "queue/http/no-json-for-destinations",
        &[QUEUE_HTTP_7],
        drives!(bodies::no_json_for_destinations),
    )
    .needs(DESTINATIONS),
    Check::new("queue/http/no-json-for-sources", &[QUEUE_HTTP_7], drives!(bodies::no_json_for_sources))
        .needs(SOURCES),
    Check::new("queue/http/misshapen-queues", &[QUEUE_HTTP_8], drives!(bodies::misshapen_queues)),
    Check::new("queue/http/misshapen-messages", &[QUEUE_HTTP_8], drives!(bodies::misshapen_messages)),
    Check::new("queue/http/misshapen-destinations", &[QUEUE_HTTP_8], drives!(bodies::misshapen_destinations))
        .needs(DESTINATIONS),
    Check::new("queue/http/misshapen-sources", &[QUEUE_HTTP_8], drives!(bodies::misshapen_sources))
        .needs(SOURCES),
    Check::new("queue/http/encoded-names", &[QUEUE_HTTP_9], drives!(paths::encoded)),
    Check::new("queue/http/either-path", &[QUEUE_HTTP_10], drives!(paths::either)),
    Check::new("queue/http/dated-paths", &[QUEUE_HTTP_11], drives!(paths::dated)).needs(DATED),
    Check::new("queue/http/long-body", &[QUEUE_HTTP_15], drives!(loose::long)),
    Check::new("queue/http/deep-body", &[QUEUE_HTTP_16], drives!(loose::deep)),
    Check::new("queue/http/no-operation", &[QUEUE_HTTP_17], drives!(loose::no_operation)),
    Check::new("queue/http/out-of-range", &[QUEUE_HTTP_18], drives!(loose::out_of_range)),
    Check::new("queue/http/needless-body", &[QUEUE_HTTP_19], drives!(loose::needless_body)),
    Check::new("queue/http/other-content-type", &[QUEUE_HTTP_20], drives!(loose::other_content_type)),
    Check::new("queue/http/capitals-of-bearer", &[QUEUE_HTTP_21], drives!(loose::capitals)),
];

fn of_json() -> Alternative<Response> {
    alternative("with the media type application/json", |r: &Response| {
        let media = r.headers.get("content-type").and_then(|value| value.split(';').next());
        media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
    })
}

/// That a request succeeded, whatever is in its answer.
fn taken() -> Alternative<Response> {
    alternative("a 2xx", |r: &Response| (200..300).contains(&r.status))
}

/// That it says so in a body.
fn told() -> Alternative<Response> {
    alternative("a 2xx other than 204 and 205, and an envelope with success true", |r: &Response| {
        (200..300).contains(&r.status) && !matches!(r.status, 204 | 205) && value(r)["success"] == true
    })
}

/// Sends a request that succeeds, and claims that its answer says so.
async fn tells(cx: &Cx, requirement: RequirementId, request: Request) -> Outcome {
    let seen = cx.send(request).await?;
    // Whether it does, others ask.
    cx.need(QUEUE_MESSAGE_22, &seen, &[taken()])?;
    cx.expect(requirement, &seen, &[told()]).map(drop)
}

/// A message of a queue that was received, as set-up: its id.
async fn leased(cx: &Cx, queue: &Queue) -> Outcome<String> {
    let published = queue.published(cx, json!(cx.token(16))).await?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.need(QUEUE_LEASES_1, &seen, &[super::leases::this(&published)])?;
    Ok(published.id)
}

/// A queue with so many dead letters, and their ids.
async fn with_letters(cx: &Cx, many: usize) -> Outcome<(Queue, Vec<String>)> {
    let queue = quick(cx, &json!({"default_max_retries": 0})).await?;
    for _ in 0..many {
        let id = leased(cx, &queue).await?;
        super::leases::nacked(cx, &queue, &id).await?;
    }
    let all = queue.operation(cx, Action::ListDeadLetters, &[]).param("limit", "1000");
    let seen = cx.send(all).await?;
    let listed = super::setting::succeeded_and("the dead letters", move |r| {
        super::setting::list(r, "messages").len() == many
    });
    let reply = cx.need(QUEUE_DEADLETTERS_2, &seen, &[listed])?;
    let ids = super::setting::list(reply, "messages").iter().map(|one| text(one, "id").to_owned()).collect();
    Ok((queue, ids))
}

async fn delete_answers(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let published = queue.published(cx, json!(cx.token(16))).await?;
        tells(cx, QUEUE_HTTP_6, queue.operation(cx, Action::DeleteMessage, &[&published.id])).await?;
        tells(cx, QUEUE_HTTP_6, queue.operation(cx, Action::Delete, &[])).await?;
    }
    let (queue, ids) = with_letters(cx, 1).await?;
    tells(cx, QUEUE_HTTP_6, queue.operation(cx, Action::DeleteDeadLetter, &[&ids[0]])).await
}

/// Makes a part of a queue by this request, and deletes it.
async fn of_part(cx: &Cx, queue: &Queue, create: Request, name: &str, delete: Action) -> Outcome {
    let seen = cx.send(create).await?;
    let part = data(cx.need(QUEUE_MESSAGE_3, &seen, &[succeeded()])?, name);
    tells(cx, QUEUE_HTTP_6, queue.operation(cx, delete, &[text(&part, "id")])).await
}

async fn of_destination(cx: &Cx) -> Outcome {
    let queue = super::setting::proven(cx, PUBSUB).await?;
    let create = asks(cx, &queue, Action::CreateDestination, "");
    of_part(cx, &queue, create, "destination", Action::DeleteDestination).await
}

async fn of_source(cx: &Cx) -> Outcome {
    let queue = super::setting::proven(cx, PUBSUB).await?;
    let create = asks(cx, &queue, Action::CreateSource, "");
    of_part(cx, &queue, create, "source", Action::DeleteSource).await
}

async fn ack_answers(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let id = leased(cx, &queue).await?;
    tells(cx, QUEUE_HTTP_12, queue.operation(cx, Action::Ack, &[&id])).await
}

async fn nack_answers(cx: &Cx) -> Outcome {
    // One that can be tried again, and one that is dead by that.
    for retries in [5, 0] {
        let queue = quick(cx, &json!({"default_max_retries": retries})).await?;
        let id = leased(cx, &queue).await?;
        tells(cx, QUEUE_HTTP_13, queue.operation(cx, Action::Nack, &[&id])).await?;
    }
    Ok(())
}

async fn purge_answers(cx: &Cx) -> Outcome {
    for many in [0, 2] {
        let (queue, _) = with_letters(cx, many).await?;
        tells(cx, QUEUE_HTTP_14, queue.operation(cx, Action::PurgeDeadLetters, &[])).await?;
        // It is there still.
        leased(cx, &queue).await?;
    }
    Ok(())
}

/// The request of an operation, with a body that it takes if it takes one. `id` is that of whatever it is about.
fn asks(cx: &Cx, queue: &Queue, action: Action, id: &str) -> Request {
    let known = action.operation();
    let arguments: Vec<&str> = known
        .arguments
        .iter()
        .map(|argument| match *argument {
            "name" => queue.name.as_str(),
            "offset" => "0",
            _ => id,
        })
        .collect();
    let request = operation(cx, action, &arguments);
    let request = if action == Action::Consume { request.param("offset", "0") } else { request };
    match body(cx, action) {
        Value::Null => request,
        body => with_body(request, &body),
    }
}

/// A body that an operation takes, or null.
fn body(cx: &Cx, action: Action) -> Value {
    match action {
        Action::Create => json!({"name": Queue::nowhere(cx).name, "queue_type": "worker"}),
        Action::Update => json!({"description": cx.token(8)}),
        Action::Publish => json!({"payload": cx.token(8)}),
        Action::Batch => json!({"messages": [{"payload": cx.token(8)}]}),
        Action::CreateDestination => json!({
            "name": cx.name(), "destination_type": "http", "enabled": false,
            "config": {"url": format!("http://127.0.0.1:9/{}", cx.token(8))},
        }),
        Action::UpdateDestination => json!({"enabled": false}),
        Action::CreateSource => json!({"name": cx.name(), "auth_type": "none"}),
        Action::UpdateSource => json!({"enabled": false}),
        _ => Value::Null,
    }
}

/// Whether the target has this operation.
fn has(cx: &Cx, action: Action) -> bool {
    let part = match action.operation().name.split_once('/') {
        Some(("destinations", _)) => "queue.destinations",
        Some(("sources", _)) => "queue.sources",
        Some(("consumers", _)) => "queue.consumers",
        _ => return true,
    };
    cx.features().is(part, "on")
}

/// What of queues, messages and their parts a request could change.
const CHANGEABLE: [&str; 31] = [
    "id",
    "name",
    "queue_type",
    "description",
    "default_ttl_seconds",
    "default_visibility_timeout_seconds",
    "default_max_retries",
    "default_retry_backoff_ms",
    "default_retry_max_backoff_ms",
    "default_retry_multiplier",
    "max_in_flight_per_client",
    "retention_seconds",
    "next_offset",
    "message_count",
    "dlq_count",
    "paused_at",
    "created_at",
    "updated_at",
    "queue_id",
    "offset",
    "payload",
    "metadata",
    "state",
    "delivery_attempts",
    "delivered_at",
    "acknowledged_at",
    "destination_type",
    "config",
    "enabled",
    "auth_type",
    "url",
];

/// Of an answer whether it succeeded, and of what is told in it the members that a request could change. Whatever else a server
/// tells may be something else each time: the number of the request, or the time of day.
fn unchanging(reply: &Response) -> Value {
    let mut body = value(reply);
    let mut shown = json!({"status": reply.status, "success": body["success"]});
    let Value::Object(data) = body["data"].take() else { return shown };
    for (name, told) in data {
        let told = match told {
            Value::Array(list) => list.into_iter().map(changeable).collect(),
            one @ Value::Object(_) => changeable(one),
            _ => continue,
        };
        shown[name] = told;
    }
    shown
}

fn changeable(told: Value) -> Value {
    match told {
        Value::Object(members) => {
            members.into_iter().filter(|(name, _)| CHANGEABLE.contains(&name.as_str())).collect()
        }
        other => other,
    }
}

/// What each of these requests was answered with, as far as it changes by itself in nothing, put side by side.
async fn answers(cx: &Cx, requests: Vec<Request>) -> Outcome<Seen<Vec<Value>>> {
    let mut all = Vec::new();
    for request in requests {
        all.push(cx.send(request).await?.map(|reply| unchanging(&reply)));
    }
    Ok(Seen::all(all))
}
