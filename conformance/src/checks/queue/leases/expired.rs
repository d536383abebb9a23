//! Messages whose time is over.

use super::{acked, any, comes, message, nacked, none, quick, some_of};
use crate::{
    check::{Cx, Outcome},
    checks::queue::setting::{Queue, WORKER, text},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use wireproof_spec::{queue::requirements::*, requirement::RequirementId};

/// The time of the messages that expire.
const LIFE: Duration = Duration::from_secs(1);
/// That of those which are to be received before, also on a busy machine.
const LONGER: Duration = Duration::from_secs(2);
/// So much behind its end a server has noticed it, also one that counts in parts of a second.
const NOTICED: Duration = Duration::from_millis(300);

/// Receives everything that there is, and claims that it is the messages with these payloads and no others.
async fn left(cx: &Cx, requirement: RequirementId, queue: &Queue, mut alive: Vec<Value>) -> Outcome {
    while !alive.is_empty() {
        let seen = comes(cx, queue, cx.slack()).await?;
        let reply = cx.need(QUEUE_LEASES_1, &seen, &[any()])?;
        let message = message(reply);
        cx.expect(requirement, &seen, &[some_of(alive.clone())])?;
        if !alive.contains(&message["payload"]) {
            return Ok(());
        }
        alive.retain(|one| *one != message["payload"]);
        acked(cx, queue, text(&message, "id")).await?;
    }
    let seen = cx.send(queue.receive(cx)).await?;
    cx.expect(requirement, &seen, &[none()]).map(drop)
}

pub(super) async fn by_itself(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let body = |ttl: Value| json!({"payload": cx.token(16), "ttl_seconds": ttl});
    // Who is there in time receives it.
    let twin = queue.published_with(cx, body(json!(60))).await?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.need(QUEUE_LEASES_1, &seen, &[super::this(&twin)])?;
    acked(cx, &queue, &twin.id).await?;
    // One is before those that stay, one among them, and one is the last.
    let mut alive = Vec::new();
    for stays in [false, true, false, true, false] {
        if !stays {
            queue.published_with(cx, body(json!(1))).await?;
        } else if alive.is_empty() {
            alive.push(queue.published(cx, json!(cx.token(16))).await?.payload);
        } else {
            alive.push(queue.published_with(cx, body(json!(3600))).await?.payload);
        }
    }
    sleep(LIFE + NOTICED).await;
    left(cx, QUEUE_LEASES_14, &queue, alive).await
}

pub(super) async fn while_open(cx: &Cx) -> Outcome {
    let queue = quick(cx, &json!({"default_visibility_timeout_seconds": 2})).await?;
    let mut mortal = Vec::new();
    for ttl in [Some(2), Some(2), None] {
        let mut body = json!({"payload": cx.token(16)});
        if let Some(ttl) = ttl {
            body["ttl_seconds"] = json!(ttl);
        }
        mortal.push(queue.published_with(cx, body).await?);
    }
    let payloads: Vec<Value> = mortal.iter().map(|one| one.payload.clone()).collect();
    for _ in &mortal {
        let seen = cx.send(queue.receive(cx)).await?;
        cx.need(QUEUE_LEASES_1, &seen, &[some_of(payloads.clone())])?;
    }
    // Behind this moment all are over: the leases, and two of the lives. One of these was given back, one is leased.
    let over = Instant::now() + LONGER + NOTICED;
    nacked(cx, &queue, &mortal[0].id).await?;
    sleep_until(over).await;
    left(cx, QUEUE_LEASES_14, &queue, vec![mortal[2].payload.clone()]).await
}

pub(super) async fn by_default(cx: &Cx) -> Outcome {
    let queue = Queue::create_with(cx, WORKER, &json!({"default_ttl_seconds": 2})).await?;
    let twin = queue.published(cx, json!(cx.token(16))).await?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.need(QUEUE_LEASES_1, &seen, &[super::this(&twin)])?;
    acked(cx, &queue, &twin.id).await?;
    let mut alive = Vec::new();
    for stays in [false, true, false] {
        let mut body = json!({"payload": cx.token(16)});
        if stays {
            body["ttl_seconds"] = json!(3600);
        }
        let published = queue.published_with(cx, body).await?;
        alive.extend(stays.then_some(published.payload));
    }
    sleep(LONGER + NOTICED).await;
    left(cx, QUEUE_LEASES_16, &queue, alive).await
}
