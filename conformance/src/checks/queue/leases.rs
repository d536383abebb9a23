//! Checks of "Leases" in spec/queue.md.

mod acked;
mod expired;
mod open;
mod timing;
mod together;

use super::setting::{
    Published, Queue, WORKER, data, not_found, proven, refused, succeeded, succeeded_and, text,
};
use crate::{
    check::{Alternative, Breaks, Check, Cx, Outcome, Waits, alternative},
    drives,
    wire::Seen,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{
    http::Response,
    queue::{Action, requirements::*},
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/leases/receive", &[QUEUE_LEASES_1], drives!(receive)),
    Check::new("queue/leases/nothing", &[QUEUE_LEASES_2], drives!(nothing)),
    Check::new("queue/leases/hidden", &[QUEUE_LEASES_3], drives!(hidden)),
    Check::new("queue/leases/visibility", &[QUEUE_LEASES_3, QUEUE_LEASES_10], drives!(timing::visibility))
        .waits(Waits::Millis(2_200)),
    Check::new("queue/leases/together", &[QUEUE_LEASES_4], drives!(together::at_once)),
    Check::new("queue/leases/waiting-together", &[QUEUE_LEASES_4], drives!(together::waiting))
        .waits(Waits::Millis(1_000)),
    Check::new("queue/leases/meanwhile", &[QUEUE_LEASES_5], drives!(timing::meanwhile))
        .waits(Waits::Millis(400)),
    Check::new("queue/leases/in-vain", &[QUEUE_LEASES_6], drives!(timing::in_vain))
        .waits(Waits::Millis(2_000)),
    Check::new("queue/leases/acknowledged", &[QUEUE_LEASES_7], drives!(acked::never_again))
        .waits(Waits::Millis(1_200)),
    Check::new("queue/leases/delivered", &[QUEUE_LEASES_8], drives!(acked::delivered)),
    Check::new("queue/leases/given-back", &[QUEUE_LEASES_9], drives!(timing::given_back)),
    Check::new("queue/leases/backoff", &[QUEUE_LEASES_9], drives!(timing::backoff))
        .waits(Waits::Millis(1_000)),
    Check::new("queue/leases/ack-unknown", &[QUEUE_LEASES_11], drives!(acked::unknown)),
    Check::new("queue/leases/ack-twice", &[QUEUE_LEASES_12], drives!(acked::twice)),
    Check::new("queue/leases/nowhere", &[QUEUE_LEASES_13], drives!(nowhere)),
    Check::new("queue/leases/expired", &[QUEUE_LEASES_14], drives!(expired::by_itself))
        .waits(Waits::Millis(1_500)),
    Check::new("queue/leases/expired-while-open", &[QUEUE_LEASES_14], drives!(expired::while_open))
        .waits(Waits::Millis(2_500)),
    Check::new("queue/leases/expired-by-default", &[QUEUE_LEASES_16], drives!(expired::by_default))
        .waits(Waits::Millis(2_500)),
    Check::new("queue/leases/partition", &[QUEUE_LEASES_15], drives!(open::partition)),
    Check::new("queue/leases/pubsub", &[QUEUE_LEASES_17], drives!(open::pubsub)),
    Check::new("queue/leases/ack-of-others", &[QUEUE_LEASES_18], drives!(open::ack_of_others))
        .waits(Waits::Millis(1_200)),
    Check::new("queue/leases/nack-of-others", &[QUEUE_LEASES_19], drives!(open::nack_of_others)),
    Check::new("queue/leases/deleted-queue", &[QUEUE_LEASES_20], drives!(open::deleted_queue))
        .waits(Waits::Millis(2_000)),
    Check::new("queue/leases/paused", &[QUEUE_LEASES_21], drives!(open::paused)).waits(Waits::Millis(1_000)),
];

/// How long to wait before asking again for what has not come yet.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// What the clock of a server may be off within a short time, and the parts of a millisecond that it cuts off.
const CLOCK: Duration = Duration::from_millis(50);

/// A worker queue whose failed deliveries can be tried again at once, with these settings too.
///
/// # Errors
/// As [`Queue::create`].
pub(super) async fn quick(cx: &Cx, more: &Value) -> Outcome<Queue> {
    let mut settings = json!({
        "default_retry_backoff_ms": 1, "default_retry_multiplier": 1, "default_retry_max_backoff_ms": 1,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    Queue::create_with(cx, WORKER, &settings).await
}

/// The message that an answer to a receive carries, or null.
pub(super) fn message(response: &Response) -> Value {
    data(response, "message")
}

/// That a receive succeeded with nothing.
pub(super) fn none() -> Alternative<Response> {
    succeeded_and("the message null", |r| message(r).is_null())
}

/// That a receive succeeded with a message.
pub(super) fn any() -> Alternative<Response> {
    succeeded_and("a message", |r| message(r).is_object())
}

/// That a receive succeeded with a message that has one of these payloads.
pub(super) fn some_of(payloads: Vec<Value>) -> Alternative<Response> {
    succeeded_and("a message that was published", move |r| {
        let message = message(r);
        message.is_object() && payloads.contains(&message["payload"])
    })
}

/// That a receive succeeded with this message.
pub(super) fn this(published: &Published) -> Alternative<Response> {
    let payload = published.payload.clone();
    succeeded_and("the message that was published", move |r| {
        let message = message(r);
        message.is_object() && message["payload"] == payload
    })
}

/// That a request was refused with some 4xx.
pub(super) fn refused_somehow() -> Alternative<Response> {
    alternative("a 4xx, with no success true", |r: &Response| {
        (400..500).contains(&r.status) && super::setting::value(r)["success"] != true
    })
}

/// That a request was refused with one of these statuses.
pub(super) fn refused_with<const N: usize>(statuses: [u16; N]) -> Vec<Alternative<Response>> {
    statuses.map(|status| refused(status).into()).to_vec()
}

/// What a receive is answered with: at once, or as soon as there is a message within this time.
///
/// # Errors
/// As [`Cx::send`].
pub(super) async fn comes(cx: &Cx, queue: &Queue, within: Duration) -> Outcome<Seen<Response>> {
    let until = Instant::now() + within;
    loop {
        let late = Instant::now() >= until;
        let seen = cx.send(queue.receive(cx)).await?;
        let nothing = seen.look().is_ok_and(|r| none().holds(r));
        if late || !nothing {
            return Ok(seen);
        }
        sleep(PAUSE).await;
    }
}

/// Acknowledges, as set-up.
///
/// # Errors
/// Stops the check, inconclusive, if it does not succeed.
pub(super) async fn acked(cx: &Cx, queue: &Queue, id: &str) -> Outcome {
    let seen = cx.send(queue.operation(cx, Action::Ack, &[id])).await?;
    cx.need(QUEUE_LEASES_7, &seen, &[succeeded()]).map(drop)
}

/// Gives back, as set-up.
///
/// # Errors
/// Stops the check, inconclusive, if it does not succeed.
pub(super) async fn nacked(cx: &Cx, queue: &Queue, id: &str) -> Outcome {
    let seen = cx.send(queue.operation(cx, Action::Nack, &[id])).await?;
    cx.need(QUEUE_LEASES_9, &seen, &[succeeded()]).map(drop)
}

/// A worker queue with one message, which was received: its id and payload.
///
/// # Errors
/// As [`Queue::received`].
pub(super) async fn one_leased(cx: &Cx) -> Outcome<(Queue, Published)> {
    let queue = Queue::create(cx, WORKER).await?;
    let published = queue.published(cx, json!(cx.token(16))).await?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.need(QUEUE_LEASES_1, &seen, &[this(&published)])?;
    Ok((queue, published))
}

/// A well-formed id that no message of this queue has: that of a message of another one.
///
/// # Errors
/// As [`Queue::published`].
pub(super) async fn foreign_id(cx: &Cx) -> Outcome<String> {
    let other = Queue::create(cx, WORKER).await?;
    Ok(other.published(cx, json!(cx.token(16))).await?.id)
}

async fn receive(cx: &Cx) -> Outcome {
    let queue = quick(cx, &json!({})).await?;
    let all = queue.published_many(cx, 3).await?;
    let leased = || {
        let all = all.clone();
        succeeded_and("a message that was published, in no other state than leased or processing", move |r| {
            let message = message(r);
            let known = |one: &Published| {
                text(&message, "id") == one.id && message.get("payload") == Some(&one.payload)
            };
            all.iter().any(known) && matches!(message["state"].as_str(), None | Some("leased" | "processing"))
        })
    };
    let mut last = String::new();
    for timeout in [None, Some("0"), Some("1")] {
        let request = queue.receive(cx);
        let request = timeout.into_iter().fold(request, |request, value| request.param("timeout", value));
        let seen = cx.send(request).await?;
        last = text(&message(cx.expect(QUEUE_LEASES_1, &seen, &[leased()])?), "id").to_owned();
    }
    // Also what was received before.
    nacked(cx, &queue, &last).await?;
    let seen = comes(cx, &queue, cx.slack()).await?;
    cx.expect(QUEUE_LEASES_1, &seen, &[leased()])?;
    Ok(())
}

async fn nothing(cx: &Cx) -> Outcome {
    let queue = quick(cx, &json!({"default_max_retries": 0})).await?;
    at_once(cx, &queue).await?;
    for end in [Action::Ack, Action::Nack] {
        let published = queue.published(cx, json!(cx.token(16))).await?;
        let seen = cx.send(queue.receive(cx)).await?;
        cx.need(QUEUE_LEASES_1, &seen, &[this(&published)])?;
        // It is leased, and then delivered or dead.
        at_once(cx, &queue).await?;
        let seen = cx.send(queue.operation(cx, end, &[&published.id])).await?;
        cx.need(QUEUE_LEASES_7, &seen, &[succeeded()])?;
        at_once(cx, &queue).await?;
    }
    Ok(())
}

/// Claims that a receive without a timeout comes back at once with nothing.
async fn at_once(cx: &Cx, queue: &Queue) -> Outcome {
    /// Nobody who waits, waits for less than this and a little more.
    const SOON: Duration = Duration::from_millis(700);
    // What does not wait takes as long as what never waits, at least once in so many times.
    let mut tries = 0;
    let (seen, soon) = loop {
        let started = Instant::now();
        let get = cx.send(queue.operation(cx, Action::Get, &[])).await?;
        cx.need(QUEUE_QUEUES_1, &get, &[succeeded()])?;
        let soon = SOON + started.elapsed();
        let started = Instant::now();
        let answer = cx.send(queue.receive(cx)).await?;
        let took = started.elapsed();
        tries += 1;
        if took < soon || tries == 5 || answer.look().is_err() {
            break (answer.map(|answer| (answer, took)), soon);
        }
    };
    let nothing = alternative(
        "a 2xx with the message null, and no more than 700 ms later than what does not wait",
        move |(r, took): &(Response, Duration)| none().holds(r) && *took < soon,
    );
    cx.expect(QUEUE_LEASES_2, &seen, &[nothing]).map(drop)
}

async fn hidden(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let all = queue.published_many(cx, 3).await?;
    let mut taken: Vec<Value> = Vec::new();
    let payloads: Vec<Value> = all.iter().map(|one| one.payload.clone()).collect();
    for _ in &all {
        let seen = cx.send(queue.receive(cx)).await?;
        let others = payloads.iter().filter(|payload| !taken.contains(payload)).cloned().collect();
        let reply = cx.need(QUEUE_LEASES_1, &seen, &[some_of(payloads.clone())])?;
        let payload = message(reply)["payload"].take();
        let another = some_of(others);
        cx.expect(QUEUE_LEASES_3, &seen, &[another])?;
        taken.push(payload);
    }
    // Whoever asks.
    for _ in 0..3 {
        let seen = cx.http().send(queue.receive(cx)).await?;
        cx.expect(QUEUE_LEASES_3, &seen, &[none()])?;
    }
    // What becomes of the others does not change that.
    acked(cx, &queue, &all[1].id).await?;
    let new = queue.published(cx, json!(cx.token(12))).await?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.expect(QUEUE_LEASES_3, &seen, &[this(&new)])?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.expect(QUEUE_LEASES_3, &seen, &[none()])?;
    Ok(())
}

async fn nowhere(cx: &Cx) -> Outcome {
    for timeout in [None, Some("1")] {
        cx.refused(
            QUEUE_LEASES_13,
            Breaks::Fit,
            async |cx| Ok((proven(cx, WORKER).await?, Queue::nowhere(cx))),
            |(queue, _)| {
                timeout.into_iter().fold(queue.receive(cx), |request, value| request.param("timeout", value))
            },
            |(_, nowhere), request| request.path = nowhere.receive(cx).path,
            (QUEUE_LEASES_1, &[succeeded()]),
            &not_found(),
        )
        .await?;
    }
    // One that was there is there no more.
    let queue = proven(cx, WORKER).await?;
    let seen = cx.send(queue.operation(cx, Action::Delete, &[])).await?;
    cx.need(QUEUE_QUEUES_15, &seen, &[succeeded()])?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.expect(QUEUE_LEASES_13, &seen, &not_found())?;
    Ok(())
}
