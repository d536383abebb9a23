//! How messages die, and what is told of them then.

use super::{dead, dies, exactly, letters, letters_when, mortal, nothing_comes, receivable};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::{
        leases::{PAUSE, message, nacked, quick},
        setting::{Published, Queue, text},
    },
    wire::Seen,
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{http::Response, queue::requirements::*};

/// How a delivery fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    GivenBack,
    TimedOut,
}

pub(super) async fn given_back(cx: &Cx) -> Outcome {
    try_join_all([0, 1, 2, 4].map(|retries| fails(cx, Failure::GivenBack, retries))).await.map(drop)
}

pub(super) async fn timed_out(cx: &Cx) -> Outcome {
    try_join_all([0, 1].map(|retries| fails(cx, Failure::TimedOut, retries))).await.map(drop)
}

/// Lets every delivery of two messages fail, until each is dead.
async fn fails(cx: &Cx, how: Failure, retries: usize) -> Outcome {
    let mut settings = json!({"default_max_retries": retries});
    if how == Failure::TimedOut {
        settings["default_visibility_timeout_seconds"] = json!(1);
    }
    let queue = quick(cx, &settings).await?;
    let (list, hidden) = match how {
        Failure::GivenBack => (QUEUE_DEADLETTERS_2, Duration::ZERO),
        Failure::TimedOut => (QUEUE_DEADLETTERS_3, Duration::from_secs(1)),
    };
    // Both at the same time where each failure takes its time, and else the second behind the first.
    let mut all: Vec<Published> = Vec::new();
    let rounds: &[usize] = if how == Failure::TimedOut { &[2] } else { &[1, 1] };
    for new in rounds {
        all.extend(queue.published_many(cx, *new).await?);
        let before = all.len() - new;
        let received = exhausted(cx, &queue, how, &all[before..], before, retries, hidden).await?;
        let most = (retries + 1) * new;
        let least = retries.max(1) * new;
        let so_often = alternative(
            format!("{least} to {most} deliveries of {new} messages with {retries} retries"),
            move |all: &Vec<Response>| (least..=most).contains(&all.len()),
        );
        cx.expect(QUEUE_DEADLETTERS_1, &received, &[so_often])?;
        let listed = letters_when(cx, &queue, all.len()).await?;
        cx.expect(list, &listed, &[exactly(&all)])?;
    }
    Ok(())
}

/// Receives these messages until they are dead, and lets each delivery fail: the deliveries.
async fn exhausted(
    cx: &Cx,
    queue: &Queue,
    how: Failure,
    published: &[Published],
    dead_before: usize,
    retries: usize,
    hidden: Duration,
) -> Outcome<Seen<Vec<Response>>> {
    let payloads: Vec<Value> = published.iter().map(|one| one.payload.clone()).collect();
    let mut deliveries = Vec::new();
    let mut last = Instant::now();
    // One more than there can be is enough to know.
    while deliveries.len() <= (retries + 1) * published.len() {
        let seen = cx.send(queue.receive(cx)).await?;
        let taken = seen.look().map_or(Value::Null, message);
        if payloads.contains(&taken["payload"]) {
            deliveries.push(seen);
            last = Instant::now();
            if how == Failure::GivenBack {
                nacked(cx, queue, text(&taken, "id")).await?;
            }
            continue;
        }
        let there = letters(cx, queue).await?;
        let over = there.look().is_ok_and(|letters| letters.len() >= dead_before + published.len());
        if over || last.elapsed() > hidden + cx.slack() {
            break;
        }
        sleep(PAUSE).await;
    }
    if deliveries.is_empty() {
        return Err(cx.stop("what was published cannot be received"));
    }
    Ok(Seen::all(deliveries))
}

pub(super) async fn not_received(cx: &Cx) -> Outcome {
    let queue =
        quick(cx, &json!({"default_max_retries": 0, "default_visibility_timeout_seconds": 1})).await?;
    dead(cx, &queue, 2).await?;
    nothing_comes(cx, QUEUE_DEADLETTERS_4, &queue).await?;
    // Nor by who waits, nor when its visibility timeout would have passed.
    let waiting =
        cx.begin(queue.receive(cx).param("timeout", "1"), Duration::from_secs(1) + cx.slack()).await?;
    let seen = waiting.answer().await?;
    cx.expect(QUEUE_DEADLETTERS_4, &seen, &[super::none()])?;
    sleep(PAUSE).await;
    nothing_comes(cx, QUEUE_DEADLETTERS_4, &queue).await?;
    // Another one is.
    let other = queue.published(cx, json!(cx.token(16))).await?;
    receivable(cx, QUEUE_DEADLETTERS_4, &queue, &[other]).await.map(drop)
}

pub(super) async fn content(cx: &Cx) -> Outcome {
    let queue = mortal(cx).await?;
    let payloads = [
        json!({"token": cx.token(16), "nested": [{"empty": {}}, [], null, true]}),
        json!(format!("{{\"text\": \"{}\"}}", cx.token(16))),
        json!([1, -2.5, cx.token(8)]),
        json!(format!("\u{e9}\u{1f600} \"{}\"", cx.token(8))),
        json!(7_000_000_001_i64),
    ];
    let mut all: Vec<Published> = Vec::new();
    for payload in payloads {
        let published = queue.published(cx, payload).await?;
        dies(cx, &queue, &published).await?;
        all.push(published);
        let listed = letters_when(cx, &queue, all.len()).await?;
        cx.need(QUEUE_DEADLETTERS_2, &listed, &[so_many(all.len())])?;
        cx.expect(QUEUE_DEADLETTERS_5, &listed, &[of(&queue, &all)])?;
    }
    Ok(())
}

fn so_many(many: usize) -> Alternative<Vec<Value>> {
    alternative(format!("{many} dead letters"), move |letters: &Vec<Value>| letters.len() == many)
}

/// That there is a letter of each message, with its payload, and all have the id of the queue.
fn of(queue: &Queue, published: &[Published]) -> Alternative<Vec<Value>> {
    let (payloads, id) = (exactly(published), queue.id.clone());
    alternative("the payload of each message, with the queue_id of the queue", move |letters: &Vec<Value>| {
        payloads.holds(letters) && letters.iter().all(|letter| text(letter, "queue_id") == id)
    })
}
