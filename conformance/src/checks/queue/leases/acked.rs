//! What becomes of a message that was acknowledged.

use super::{CLOCK, PAUSE, acked, foreign_id, message, one_leased, quick, refused_with, some_of, this};
use crate::{
    check::{Alternative, Breaks, Cx, Outcome},
    checks::queue::setting::{Published, Queue, data, not_found, refused, succeeded, succeeded_and, text},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{
    http::Response,
    queue::{Action, requirements::*},
};

pub(super) async fn never_again(cx: &Cx) -> Outcome {
    // A busy machine may be too slow to acknowledge in time.
    for _ in 0..3 {
        if acknowledges_in_time(cx).await? {
            return Ok(());
        }
    }
    Err(cx.stop("the target answers too slowly to acknowledge before a lease of a second ends"))
}

/// Acknowledges two of three messages, and sees that they do not come back when the third one does; false if the leases ended
/// before.
async fn acknowledges_in_time(cx: &Cx) -> Outcome<bool> {
    const HIDDEN: Duration = Duration::from_secs(1);
    let queue = quick(cx, &json!({"default_visibility_timeout_seconds": 1})).await?;
    let all = queue.published_many(cx, 3).await?;
    let payloads: Vec<Value> = all.iter().map(|one| one.payload.clone()).collect();
    let mut taken = Vec::new();
    let started = Instant::now();
    for _ in &all {
        let seen = cx.send(queue.receive(cx)).await?;
        let reply = cx.need(QUEUE_LEASES_1, &seen, &[some_of(payloads.clone())])?;
        taken.push(message(reply));
    }
    for one in &taken[..2] {
        acked(cx, &queue, text(one, "id")).await?;
    }
    if started.elapsed() + CLOCK > HIDDEN {
        return Ok(false);
    }
    let done: Vec<Value> = taken[..2].iter().map(|one| one["payload"].clone()).collect();
    let new = queue.published(cx, json!(cx.token(16))).await?;
    // The new one comes, and the third one when its time is over: it was received last, so that the time of the others is too.
    let mut awaited = vec![new.payload, taken[2]["payload"].clone()];
    let until = Instant::now() + HIDDEN + cx.slack();
    let mut more = 3;
    while more > 0 && Instant::now() < until {
        let seen = cx.send(queue.receive(cx)).await?;
        let others = not_of(done.clone());
        let payload = message(cx.expect(QUEUE_LEASES_7, &seen, &[others])?)["payload"].take();
        awaited.retain(|one| *one != payload);
        if awaited.is_empty() {
            more -= 1;
        }
        sleep(PAUSE).await;
    }
    if awaited.is_empty() { Ok(true) } else { Err(cx.stop("what was not acknowledged did not come back")) }
}

/// That a receive succeeded with nothing, or with a message that has none of these payloads.
fn not_of(payloads: Vec<Value>) -> Alternative<Response> {
    succeeded_and("no message that was acknowledged", move |r| !payloads.contains(&message(r)["payload"]))
}

pub(super) async fn delivered(cx: &Cx) -> Outcome {
    let queue = quick(cx, &json!({})).await?;
    for _ in 0..2 {
        let published = queue.published(cx, json!(cx.token(16))).await?;
        let seen = cx.send(queue.receive(cx)).await?;
        cx.need(QUEUE_LEASES_1, &seen, &[this(&published)])?;
        acked(cx, &queue, &published.id).await?;
        let seen = cx.send(queue.operation(cx, Action::GetMessage, &[&published.id])).await?;
        let payload = published.payload.clone();
        let done = succeeded_and("the message, in no other state than delivered", move |r| {
            let message = data(r, "message");
            message["payload"] == payload && matches!(message["state"].as_str(), None | Some("delivered"))
        });
        cx.expect(QUEUE_LEASES_8, &seen, &[done, refused(404).into()])?;
    }
    Ok(())
}

pub(super) async fn unknown(cx: &Cx) -> Outcome {
    for foreign in [true, false] {
        // That of a message of another queue, or of none.
        let id = |(_, published, other): &(Queue, Published, String)| {
            if foreign { other.clone() } else { format!("{}0z9", published.id) }
        };
        cx.refused(
            QUEUE_LEASES_11,
            Breaks::Fit,
            async |cx| {
                let (queue, published) = one_leased(cx).await?;
                Ok((queue, published, foreign_id(cx).await?))
            },
            |(queue, published, _)| queue.operation(cx, Action::Ack, &[&published.id]),
            |setting, request| request.path = setting.0.operation(cx, Action::Ack, &[&id(setting)]).path,
            (QUEUE_LEASES_7, &[succeeded()]),
            &not_found(),
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn twice(cx: &Cx) -> Outcome {
    let (queue, published) = one_leased(cx).await?;
    acked(cx, &queue, &published.id).await?;
    for _ in 0..2 {
        let seen = cx.send(queue.operation(cx, Action::Ack, &[&published.id])).await?;
        let mut allowed = refused_with([404, 409]);
        allowed.push(succeeded());
        cx.expect(QUEUE_LEASES_12, &seen, &allowed)?;
    }
    Ok(())
}
