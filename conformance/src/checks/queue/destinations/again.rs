//! How often a delivery is sent, and when.

use super::{created, holds};
use crate::{
    check::{Cx, Outcome, Shown, alternative},
    checks::queue::setting::{PUBSUB, Queue},
    wire::{
        Seen,
        sink::{Delivery, Sink},
    },
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::queue::requirements::*;

/// How long nothing comes behind the last attempt: many times the waits of these policies.
const BEHIND: Duration = Duration::from_millis(600);

/// A policy with short waits and so many attempts.
fn policy(attempts: u64) -> Value {
    json!({"max_attempts": attempts, "initial_backoff_ms": 30, "max_backoff_ms": 40, "backoff_multiplier": 1})
}

/// Publishes a token to a new queue with this destination, which is sent there.
async fn sent_to(cx: &Cx, sink: &Sink, path: &str, policy: Value) -> Outcome<(Queue, Value)> {
    let queue = Queue::create(cx, PUBSUB).await?;
    created(cx, &queue, &json!({"url": sink.url(path), "retry_policy": policy})).await?;
    let token = json!(cx.token(16));
    queue.published(cx, token.clone()).await?;
    Ok((queue, token))
}

/// That a delivery holds this payload.
fn of(payload: &Value) -> crate::check::Alternative<Delivery> {
    let payload = payload.clone();
    alternative("a delivery of what was published", move |d: &Delivery| holds(&d.request.body, &payload))
}

/// That nothing comes.
fn nothing() -> crate::check::Alternative<Option<Delivery>> {
    alternative("no further delivery", |came: &Option<Delivery>| came.is_none())
}

pub(super) async fn tried(cx: &Cx) -> Outcome {
    try_join_all([500, 503, 502, 504, 599].map(async |status| {
        let mut sink = cx.sink(move |_, before| if before < 2 { status } else { 200 }).await?;
        let (_queue, token) = sent_to(cx, &sink, "/x", policy(3)).await?;
        let seen = sink.next(cx.answer_time()).await?;
        cx.need(QUEUE_DESTINATIONS_6, &seen, &[of(&token)])?;
        // Twice, so that it does not give up at the second.
        for _ in 0..2 {
            let seen = sink.next(cx.answer_time()).await?;
            cx.expect(QUEUE_DESTINATIONS_8, &seen, &[of(&token)])?;
        }
        Ok(())
    }))
    .await?;
    Ok(())
}

pub(super) async fn at_most(cx: &Cx) -> Outcome {
    let mut all = Vec::new();
    for attempts in [1, 2, 3] {
        let mut sink = cx.sink(|_, _| 500).await?;
        let (queue, token) = sent_to(cx, &sink, "/x", policy(attempts)).await?;
        for n in 0..attempts {
            let seen = sink.next(cx.answer_time()).await?;
            let needed = if n == 0 { QUEUE_DESTINATIONS_6 } else { QUEUE_DESTINATIONS_8 };
            cx.need(needed, &seen, &[of(&token)])?;
        }
        all.push((queue, sink));
    }
    let quiet = try_join_all(all.iter_mut().map(|(_, sink)| sink.quiet(BEHIND))).await?;
    for seen in quiet {
        cx.expect(QUEUE_DESTINATIONS_9, &seen, &[nothing()])?;
    }
    Ok(())
}

pub(super) async fn arrived(cx: &Cx) -> Outcome {
    let mut all = Vec::new();
    for (first, later) in [(200, 200), (201, 201), (202, 202), (204, 204), (500, 200), (299, 299)] {
        let mut sink = cx.sink(move |_, before| if before == 0 { first } else { later }).await?;
        let (queue, token) = sent_to(cx, &sink, "/x", policy(4)).await?;
        let mut messages = vec![token];
        for _ in 0..(1 + u16::from(first == 500)) {
            let seen = sink.next(cx.answer_time()).await?;
            cx.need(QUEUE_DESTINATIONS_6, &seen, &[of(&messages[0])])?;
        }
        // The next message is a delivery of its own, and arrives once as well.
        let token = json!(cx.token(16));
        queue.published(cx, token.clone()).await?;
        let seen = sink.next(cx.answer_time()).await?;
        cx.expect(QUEUE_DESTINATIONS_10, &seen, &[of(&token)])?;
        messages.push(token);
        all.push((queue, sink));
    }
    let quiet = try_join_all(all.iter_mut().map(|(_, sink)| sink.quiet(BEHIND))).await?;
    for seen in quiet {
        cx.expect(QUEUE_DESTINATIONS_10, &seen, &[nothing()])?;
    }
    Ok(())
}

/// The waits between attempts.
struct Gaps(Vec<Duration>);

impl Shown for Gaps {
    fn shown(&self) -> String {
        let all: Vec<String> = self.0.iter().map(Shown::shown).collect();
        format!("waits of {}", all.join(", "))
    }
}

pub(super) async fn backoff(cx: &Cx) -> Outcome {
    let mut sink = cx.sink(|_, _| 500).await?;
    let policy =
        json!({"max_attempts": 4, "initial_backoff_ms": 100, "max_backoff_ms": 500, "backoff_multiplier": 4});
    let (_queue, token) = sent_to(cx, &sink, "/x", policy).await?;
    let mut all = Vec::new();
    for _ in 0..4 {
        let seen = sink.next(cx.answer_time()).await?;
        cx.need(QUEUE_DESTINATIONS_8, &seen, &[of(&token)])?;
        all.push(seen);
    }
    let gaps = Seen::all(all).map(|all| Gaps(all.windows(2).map(|two| two[1].at - two[0].at).collect()));
    // Half of 100, of 400, and of 500 where the policy would have 1600.
    let least = [50, 200, 250].map(Duration::from_millis);
    let kept = alternative("waits of at least 50, 200 and 250 ms", move |gaps: &Gaps| {
        gaps.0.len() == least.len() && gaps.0.iter().zip(least).all(|(gap, least)| *gap >= least)
    });
    cx.expect(QUEUE_DESTINATIONS_11, &gaps, &[kept])?;
    Ok(())
}
