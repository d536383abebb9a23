//! Bodies that are no JSON, or not of the shape that an operation takes.

use super::{answers, asks, body};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::setting::{PUBSUB, Queue, data, invalid, operation, succeeded, text, with_body},
    wire::Seen,
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::Request,
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

/// A queue with a message and, where the target has them, a destination and a source.
struct Setting {
    queue: Queue,
    destination: String,
    source: String,
}

async fn setting(cx: &Cx, about: Action) -> Outcome<Setting> {
    let queue = Queue::create(cx, PUBSUB).await?;
    queue.published(cx, json!(cx.token(16))).await?;
    let mut parts = [String::new(), String::new()];
    for (part, (action, name)) in
        parts.iter_mut().zip([(Action::CreateDestination, "destination"), (Action::CreateSource, "source")])
    {
        if part_of(about) == part_of(action) {
            let seen = cx.send(asks(cx, &queue, action, "")).await?;
            let made = data(cx.need(QUEUE_MESSAGE_3, &seen, &[succeeded()])?, name);
            *part = text(&made, "id").to_owned();
        }
    }
    let [destination, source] = parts;
    Ok(Setting { queue, destination, source })
}

/// What stands before the slash in the name of an operation.
fn part_of(action: Action) -> &'static str {
    action.operation().name.split('/').next().unwrap_or_default()
}

impl Setting {
    fn id(&self, action: Action) -> &str {
        if action == Action::UpdateSource { &self.source } else { &self.destination }
    }

    /// What an operation would have changed; a create would have made the queue `free`.
    async fn shown(&self, cx: &Cx, about: Action, free: &Queue) -> Outcome<Seen<Vec<Value>>> {
        let queue = &self.queue;
        let all = match part_of(about) {
            "destinations" => vec![queue.operation(cx, Action::ListDestinations, &[])],
            "sources" => vec![queue.operation(cx, Action::ListSources, &[])],
            _ => vec![
                queue.operation(cx, Action::Get, &[]),
                queue.consume(cx, 0),
                free.operation(cx, Action::Get, &[]),
            ],
        };
        answers(cx, all).await
    }
}

fn as_before(before: &[Value]) -> Alternative<Vec<Value>> {
    let before = before.to_vec();
    alternative("everything as it was", move |after: &Vec<Value>| *after == before)
}

/// Claims that an operation with each of these bodies is refused as invalid and changes nothing, and that with the right one it
/// succeeds.
async fn refuses(
    cx: &Cx,
    requirement: RequirementId,
    action: Action,
    broken: impl Fn(&Value) -> Vec<Vec<u8>>,
) -> Outcome {
    let setting = setting(cx, action).await?;
    let free = Queue::nowhere(cx);
    let mut good = body(cx, action);
    if action == Action::Create {
        good["name"] = json!(free.name);
    }
    let id = setting.id(action);
    let arguments: Vec<&str> = action
        .operation()
        .arguments
        .iter()
        .map(|name| if *name == "name" { &setting.queue.name } else { id })
        .collect();
    let request = with_body(operation(cx, action, &arguments), &good);
    let request = if action == Action::Publish { request.param("sync", "true") } else { request };
    let seen = setting.shown(cx, action, &free).await?;
    let told = alternative("an answer to each question", |all: &Vec<Value>| !all.is_empty());
    let before = cx.need(QUEUE_QUEUES_1, &seen, &[told])?;
    let mut all_refused = true;
    for bytes in broken(&good) {
        let bad: Request = request.clone().body(bytes);
        if (cx.protocol.accepts_request)(&bad).is_ok() {
            return Err(cx.stop("our own decoder accepts a request that was to be broken"));
        }
        let seen = cx.send_broken(bad).await?;
        let reply = cx.expect(requirement, &seen, &invalid())?;
        all_refused &= invalid().iter().any(|status| status.holds(reply));
    }
    let after = setting.shown(cx, action, &free).await?;
    let now = cx.expect(requirement, &after, &[as_before(before)])?;
    // What was taken is in the way of what follows.
    if !all_refused || now != before {
        return Ok(());
    }
    let seen = cx.send(request).await?;
    cx.need(QUEUE_PUBLISH_1, &seen, &[succeeded()]).map(drop)
}

pub(super) async fn no_json_for_queues(cx: &Cx) -> Outcome {
    no_json(cx, &[Action::Create, Action::Update]).await
}

pub(super) async fn no_json_for_messages(cx: &Cx) -> Outcome {
    no_json(cx, &[Action::Publish, Action::Batch]).await
}

pub(super) async fn no_json_for_destinations(cx: &Cx) -> Outcome {
    no_json(cx, &[Action::CreateDestination, Action::UpdateDestination]).await
}

pub(super) async fn no_json_for_sources(cx: &Cx) -> Outcome {
    no_json(cx, &[Action::CreateSource, Action::UpdateSource]).await
}

async fn no_json(cx: &Cx, actions: &[Action]) -> Outcome {
    for &action in actions {
        refuses(cx, QUEUE_HTTP_7, action, |good| {
            let good = good.to_string();
            let all = [
                good[..good.len() - 1].to_owned(),
                format!("{good}x"),
                good.replace('"', "'"),
                format!("{good}{good}"),
                "payload=1&name=wireproof".into(),
                "[1,]".into(),
                "wireproof".into(),
            ];
            all.map(String::into_bytes).to_vec()
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn misshapen_queues(cx: &Cx) -> Outcome {
    wrong_shape(cx, &[Action::Create, Action::Update]).await
}

pub(super) async fn misshapen_messages(cx: &Cx) -> Outcome {
    wrong_shape(cx, &[Action::Publish, Action::Batch]).await
}

pub(super) async fn misshapen_destinations(cx: &Cx) -> Outcome {
    wrong_shape(cx, &[Action::CreateDestination, Action::UpdateDestination]).await
}

pub(super) async fn misshapen_sources(cx: &Cx) -> Outcome {
    wrong_shape(cx, &[Action::CreateSource, Action::UpdateSource]).await
}

async fn wrong_shape(cx: &Cx, actions: &[Action]) -> Outcome {
    for &action in actions {
        refuses(cx, QUEUE_HTTP_8, action, |good| {
            let no_object = [json!([]), json!("wireproof"), json!(7), json!([good])];
            let misshapen = misshapen(action).into_iter().map(|(at, wrong)| {
                let mut bad = good.clone();
                set(&mut bad, at, wrong);
                bad
            });
            no_object.into_iter().chain(misshapen).map(|bad| bad.to_string().into_bytes()).collect()
        })
        .await?;
    }
    Ok(())
}

/// Sets a member of an object, or of an object in it, and makes this if it is not there.
fn set(value: &mut Value, at: &str, to: Value) {
    match at.split_once('/') {
        Some((name, rest)) => set(&mut value[name], rest, to),
        None => value[at] = to,
    }
}

/// Members with values of another type, or out of their range.
fn misshapen(action: Action) -> Vec<(&'static str, Value)> {
    match action {
        Action::Create => vec![
            ("name", json!(7)),
            ("name", json!(["wireproof"])),
            ("queue_type", json!("fifo")),
            ("queue_type", json!(1)),
            ("description", json!({})),
            ("settings", json!("none")),
            ("settings/default_max_retries", json!("5")),
            ("settings/default_max_retries", json!(101)),
            ("settings/default_visibility_timeout_seconds", json!(0)),
            ("settings/default_visibility_timeout_seconds", json!("30")),
            ("settings/max_in_flight_per_client", json!(0)),
            ("settings/max_in_flight_per_client", json!(1001)),
            ("settings/default_retry_backoff_ms", json!(-1)),
        ],
        Action::Update => vec![
            ("description", json!(7)),
            ("settings", json!([])),
            ("settings/default_max_retries", json!(true)),
            ("settings/default_max_retries", json!(-1)),
            ("settings/max_in_flight_per_client", json!("10")),
            ("settings/default_visibility_timeout_seconds", json!(43_201)),
        ],
        Action::Publish => vec![
            ("metadata", json!([])),
            ("metadata", json!("text")),
            ("idempotency_key", json!(7)),
            ("partition_key", json!({})),
            ("ttl_seconds", json!("60")),
        ],
        Action::Batch => vec![("messages", json!({})), ("messages", json!("text")), ("messages", json!(1))],
        Action::CreateDestination => vec![
            ("destination_type", json!(7)),
            ("config", json!("http://127.0.0.1:9/")),
            ("config/url", json!(7)),
            ("config/method", json!(["POST"])),
            ("config/headers", json!(["a: b"])),
            ("config/timeout_ms", json!("30000")),
            ("config/retry_policy", json!({"max_attempts": "5"})),
            ("enabled", json!("no")),
        ],
        Action::UpdateDestination => vec![
            ("config", json!([])),
            ("config/url", json!(7)),
            ("config/timeout_ms", json!(1)),
            ("enabled", json!("yes")),
        ],
        Action::CreateSource => {
            vec![("name", json!(7)), ("auth_type", json!("wireproof")), ("description", json!([]))]
        }
        Action::UpdateSource => vec![("name", json!(7)), ("enabled", json!("yes")), ("auth_type", json!(1))],
        _ => Vec::new(),
    }
}
