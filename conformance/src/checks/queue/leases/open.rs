//! What the document leaves open: every outcome that it allows passes.

use super::{
    acked, comes, message, nacked, none, one_leased, quick, refused_somehow, refused_with, some_of, this,
};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::setting::{PUBSUB, Published, Queue, WORKER, proven, refused, succeeded},
};
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;
use wireproof_spec::{
    http::Response,
    queue::{Action, requirements::*},
};

pub(super) async fn partition(cx: &Cx) -> Outcome {
    // A long backoff: the message waits to be tried again.
    let queue = Queue::create_with(
        cx,
        WORKER,
        &json!({"default_retry_backoff_ms": 30_000, "default_retry_max_backoff_ms": 30_000}),
    )
    .await?;
    let mut all = Vec::new();
    for _ in 0..2 {
        let body = json!({"payload": cx.token(16), "partition_key": "one"});
        all.push(queue.published_with(cx, body).await?);
    }
    let payloads = || all.iter().map(|one| one.payload.clone()).collect();
    let seen = cx.send(queue.receive(cx)).await?;
    let first = message(cx.need(QUEUE_LEASES_1, &seen, &[some_of(payloads())])?);
    nacked(cx, &queue, first["id"].as_str().unwrap_or_default()).await?;
    let seen = cx.send(queue.receive(cx)).await?;
    // The backoff is the longest wait, so that the earlier one may come again.
    let open = [
        alternative("the message null: the later one is held back", |r| none().holds(r)),
        some_of(payloads()),
    ];
    cx.expect(QUEUE_LEASES_15, &seen, &open)?;
    Ok(())
}

pub(super) async fn pubsub(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    let published = queue.published(cx, json!(cx.token(16))).await?;
    let id = published.id.as_str();
    for (action, more) in [
        (Action::Receive, vec![]),
        (Action::Nack, vec![id]),
        (Action::Ack, vec![id]),
        (Action::ListDeadLetters, vec![]),
        (Action::ReplayDeadLetter, vec![id]),
        (Action::DeleteDeadLetter, vec![id]),
        (Action::PurgeDeadLetters, vec![]),
    ] {
        let seen = cx.send(queue.operation(cx, action, &more)).await?;
        cx.expect(QUEUE_LEASES_17, &seen, &[succeeded(), refused_somehow()])?;
    }
    Ok(())
}

/// That it succeeded, or was refused because the message is not leased.
fn done_or_too_late() -> Vec<Alternative<Response>> {
    let mut all = vec![succeeded()];
    all.extend(refused_with([404, 409]));
    all
}

/// A queue whose messages die when they fail once, with a dead one.
async fn one_dead(cx: &Cx) -> Outcome<(Queue, Published)> {
    let queue = quick(cx, &json!({"default_max_retries": 0})).await?;
    let dead = queue.published(cx, json!(cx.token(16))).await?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.need(QUEUE_LEASES_1, &seen, &[this(&dead)])?;
    nacked(cx, &queue, &dead.id).await?;
    Ok((queue, dead))
}

pub(super) async fn ack_of_others(cx: &Cx) -> Outcome {
    let (queue, dead) = one_dead(cx).await?;
    let pending = queue.published(cx, json!(cx.token(16))).await?;
    let fleeting = queue.published_with(cx, json!({"payload": 1, "ttl_seconds": 1})).await?;
    for one in [&dead, &pending] {
        let seen = cx.send(queue.operation(cx, Action::Ack, &[&one.id])).await?;
        cx.expect(QUEUE_LEASES_18, &seen, &done_or_too_late())?;
    }
    sleep(Duration::from_millis(1_100)).await;
    let seen = cx.send(queue.operation(cx, Action::Ack, &[&fleeting.id])).await?;
    cx.expect(QUEUE_LEASES_18, &seen, &done_or_too_late())?;
    // One that is leased, to compare.
    let last = queue.published(cx, json!(cx.token(16))).await?;
    let seen = comes(cx, &queue, Duration::ZERO).await?;
    let taken = message(cx.need(QUEUE_LEASES_1, &seen, &[this(&last), this(&pending), this(&dead)])?);
    acked(cx, &queue, taken["id"].as_str().unwrap_or_default()).await
}

pub(super) async fn nack_of_others(cx: &Cx) -> Outcome {
    // One that is pending is still there, and was not received by that.
    let queue = quick(cx, &json!({"default_max_retries": 1})).await?;
    let pending = queue.published(cx, json!(cx.token(16))).await?;
    for _ in 0..3 {
        let seen = cx.send(queue.operation(cx, Action::Nack, &[&pending.id])).await?;
        cx.expect(QUEUE_LEASES_19, &seen, &done_or_too_late())?;
    }
    let seen = cx.send(queue.receive(cx)).await?;
    cx.expect(QUEUE_LEASES_19, &seen, &[this(&pending)])?;
    // One that was acknowledged stays so.
    acked(cx, &queue, &pending.id).await?;
    let seen = cx.send(queue.operation(cx, Action::Nack, &[&pending.id])).await?;
    cx.expect(QUEUE_LEASES_19, &seen, &done_or_too_late())?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.expect(QUEUE_LEASES_19, &seen, &[none()])?;
    // And one that is dead.
    let (queue, dead) = one_dead(cx).await?;
    let seen = cx.send(queue.operation(cx, Action::Nack, &[&dead.id])).await?;
    cx.expect(QUEUE_LEASES_19, &seen, &done_or_too_late())?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.expect(QUEUE_LEASES_19, &seen, &[none()])?;
    Ok(())
}

pub(super) async fn deleted_queue(cx: &Cx) -> Outcome {
    let (queue, _) = one_leased(cx).await?;
    let request = queue.receive(cx).param("timeout", "2");
    let waiting = cx.begin(request, Duration::from_secs(2) + cx.slack()).await?;
    sleep(Duration::from_millis(100)).await;
    let seen = cx.send(queue.operation(cx, Action::Delete, &[])).await?;
    cx.need(QUEUE_QUEUES_15, &seen, &[succeeded()])?;
    let seen = waiting.answer().await?;
    cx.expect(QUEUE_LEASES_20, &seen, &[refused(404).into(), none()])?;
    Ok(())
}

pub(super) async fn paused(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let first = queue.published(cx, json!(cx.token(16))).await?;
    let seen = cx.send(queue.operation(cx, Action::Pause, &[])).await?;
    cx.need(QUEUE_QUEUES_18, &seen, &[succeeded()])?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.expect(QUEUE_LEASES_21, &seen, &[this(&first), none(), refused_somehow()])?;
    let waiting =
        cx.begin(queue.receive(cx).param("timeout", "1"), Duration::from_secs(1) + cx.slack()).await?;
    sleep(Duration::from_millis(50)).await;
    let second = queue.published(cx, json!(cx.token(16))).await?;
    let seen = waiting.answer().await?;
    cx.expect(QUEUE_LEASES_21, &seen, &[this(&first), this(&second), none(), refused_somehow()])?;
    // When it goes on, nothing of it is lost that nobody has received.
    let seen = cx.send(queue.operation(cx, Action::Resume, &[])).await?;
    cx.need(QUEUE_QUEUES_19, &seen, &[succeeded()])?;
    let last = queue.published(cx, json!(cx.token(16))).await?;
    let seen = comes(cx, &queue, cx.slack()).await?;
    cx.need(QUEUE_LEASES_1, &seen, &[this(&first), this(&second), this(&last)])?;
    Ok(())
}
