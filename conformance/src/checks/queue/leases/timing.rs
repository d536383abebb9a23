//! When a receive is answered, and when a message comes back.

use super::{CLOCK, PAUSE, acked, comes, message, nacked, none, quick, some_of, this};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::setting::{Published, Queue, WORKER, succeeded_and, text},
    wire::Seen,
};
use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};
use wireproof_spec::{http::Response, queue::requirements::*};

/// So long nobody is answered who waits, before that for which it waits happens.
const MEANWHILE: Duration = Duration::from_millis(250);

pub(super) async fn visibility(cx: &Cx) -> Outcome {
    try_join(comes_back(cx, 1, 2), comes_back(cx, 2, 1)).await.map(drop)
}

/// Lets leases of so many seconds end so many times, and claims that each message comes back then and not before.
async fn comes_back(cx: &Cx, seconds: u64, rounds: usize) -> Outcome {
    let queue = quick(cx, &json!({"default_visibility_timeout_seconds": seconds})).await?;
    let hidden = Duration::from_secs(seconds);
    let published = queue.published(cx, json!(cx.token(16))).await?;
    let mut asked = Instant::now();
    let seen = cx.http().send(queue.receive(cx)).await?;
    let mut before = attempts(cx.need(QUEUE_LEASES_1, &seen, &[this(&published)])?);
    let mut answered = Instant::now();
    for _ in 0..rounds {
        let latest = answered + hidden + cx.slack();
        let (start, seen, at) = loop {
            let start = Instant::now();
            let seen = cx.http().send(queue.receive(cx)).await?;
            let at = Instant::now();
            if at > latest || !seen.look().is_ok_and(|r| none().holds(r)) {
                break (start, seen, at);
            }
            sleep(PAUSE).await;
        };
        // The lease began when its receive had left at the earliest.
        let early = at + CLOCK < asked + hidden;
        if early {
            cx.expect(QUEUE_LEASES_3, &seen, &[none()])?;
        }
        let counted = counted(&published, before);
        before = attempts(cx.expect(QUEUE_LEASES_10, &seen, &[counted])?);
        (asked, answered) = (start, at);
    }
    // Right behind its last receive it is hidden too.
    let seen = cx.http().send(queue.receive(cx)).await?;
    if asked.elapsed() + CLOCK < hidden {
        cx.expect(QUEUE_LEASES_3, &seen, &[none()])?;
    }
    Ok(())
}

/// What the message in an answer tells of how often it was received.
fn attempts(response: &Response) -> Option<i64> {
    message(response)["delivery_attempts"].as_i64()
}

/// This message, received once more than before. The counter is optional: one that was told goes on.
fn counted(published: &Published, before: Option<i64>) -> Alternative<Response> {
    let payload = published.payload.clone();
    let name = match before {
        Some(before) => format!("the message once more, with {} delivery_attempts", before + 1),
        None => "the message once more".to_owned(),
    };
    succeeded_and(&name, move |r| {
        let goes_on = before.is_none_or(|before| attempts(r) == Some(before + 1));
        message(r)["payload"] == payload && goes_on
    })
}

pub(super) async fn given_back(cx: &Cx) -> Outcome {
    let queue = quick(cx, &json!({"default_max_retries": 5})).await?;
    let all = queue.published_many(cx, 2).await?;
    // One after the other, so that each message that comes is known.
    let payloads: Vec<Value> = all.iter().map(|one| one.payload.clone()).collect();
    let mut counts = BTreeMap::new();
    for _ in &all {
        let seen = cx.send(queue.receive(cx)).await?;
        let reply = cx.need(QUEUE_LEASES_1, &seen, &[some_of(payloads.clone())])?;
        counts.insert(message(reply)["payload"].to_string(), attempts(reply));
    }
    // Each has a count of its own.
    for (one, rounds) in all.iter().zip([4, 1]) {
        let mut before = counts.get(&one.payload.to_string()).copied().flatten();
        for _ in 0..rounds {
            nacked(cx, &queue, &one.id).await?;
            let seen = comes(cx, &queue, cx.slack()).await?;
            before = attempts(cx.expect(QUEUE_LEASES_9, &seen, &[counted(one, before)])?);
        }
    }
    Ok(())
}

pub(super) async fn backoff(cx: &Cx) -> Outcome {
    let settings = [
        // It grows by the multiplier to the greatest and no further: without that the third wait were of 100 s.
        json!({"default_retry_backoff_ms": 10, "default_retry_multiplier": 100, "default_retry_max_backoff_ms": 200}),
        // It need not grow.
        json!({"default_retry_backoff_ms": 100, "default_retry_multiplier": 1, "default_retry_max_backoff_ms": 60_000}),
        // The greatest wait holds for the first one too.
        json!({"default_retry_backoff_ms": 60_000, "default_retry_multiplier": 2, "default_retry_max_backoff_ms": 50}),
    ];
    try_join_all(settings.iter().map(|settings| backs_off(cx, settings))).await.map(drop)
}

async fn backs_off(cx: &Cx, settings: &Value) -> Outcome {
    let queue = Queue::create_with(cx, WORKER, settings).await?;
    let number = |name: &str| settings[name].as_f64().unwrap_or_default();
    let published = queue.published(cx, json!(cx.token(16))).await?;
    let seen = cx.send(queue.receive(cx)).await?;
    let mut before = attempts(cx.need(QUEUE_LEASES_1, &seen, &[this(&published)])?);
    for failures in 0..3 {
        nacked(cx, &queue, &published.id).await?;
        let grown = number("default_retry_backoff_ms") * number("default_retry_multiplier").powi(failures);
        let wait = grown.min(number("default_retry_max_backoff_ms"));
        let seen = comes(cx, &queue, Duration::from_secs_f64(wait / 1000.0) + cx.slack()).await?;
        before = attempts(cx.expect(QUEUE_LEASES_9, &seen, &[counted(&published, before)])?);
    }
    Ok(())
}

/// The ways in which nothing is pending in a queue.
#[derive(Clone, Copy)]
enum Idle {
    Fresh,
    Leased,
    Acknowledged,
}

const IDLE: [Idle; 3] = [Idle::Fresh, Idle::Leased, Idle::Acknowledged];

impl Idle {
    async fn queue(self, cx: &Cx) -> Outcome<Queue> {
        let queue = Queue::create(cx, WORKER).await?;
        if !matches!(self, Self::Fresh) {
            queue.published(cx, json!(cx.token(16))).await?;
            let taken = queue.received(cx).await?;
            if matches!(self, Self::Acknowledged) {
                acked(cx, &queue, text(&taken, "id")).await?;
            }
        }
        Ok(queue)
    }
}

pub(super) async fn meanwhile(cx: &Cx) -> Outcome {
    try_join_all(IDLE.map(|idle| published_meanwhile(cx, idle))).await.map(drop)
}

async fn published_meanwhile(cx: &Cx, idle: Idle) -> Outcome {
    let queue = idle.queue(cx).await?;
    // It waits once more behind the first time.
    for _ in 0..2 {
        let waiting = cx
            .begin(queue.receive(cx).param("timeout", "20"), cx.answer_time() + cx.slack() + MEANWHILE)
            .await?;
        sleep(MEANWHILE / 2).await;
        let published = queue.published(cx, json!(cx.token(16))).await?;
        let seen = waiting.answer().await?;
        cx.expect(QUEUE_LEASES_5, &seen, &[this(&published)])?;
    }
    Ok(())
}

pub(super) async fn in_vain(cx: &Cx) -> Outcome {
    let ones = IDLE.map(|idle| waits_in_vain(cx, idle, 1));
    try_join(try_join_all(ones), waits_in_vain(cx, Idle::Fresh, 2)).await.map(drop)
}

async fn waits_in_vain(cx: &Cx, idle: Idle, seconds: u64) -> Outcome {
    let queue = idle.queue(cx).await?;
    let wait = Duration::from_secs(seconds);
    let request = queue.receive(cx).param("timeout", seconds.to_string());
    let seen: Seen<(Response, Duration)> = cx.begin(request, wait + cx.slack()).await?.timed().await?;
    let in_time = alternative(
        format!("a 2xx with the message null, {seconds} s after the receive left and not before"),
        move |(r, took): &(Response, Duration)| none().holds(r) && *took + CLOCK >= wait,
    );
    cx.expect(QUEUE_LEASES_6, &seen, &[in_time])?;
    // What comes behind it is for the next one.
    let published = queue.published(cx, json!(cx.token(16))).await?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.need(QUEUE_LEASES_1, &seen, &[this(&published)])?;
    Ok(())
}
