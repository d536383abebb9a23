//! Checks of "DeadLetters" in spec/queue.md.

mod after;
mod death;

use super::{
    leases::{PAUSE, comes, message, nacked, none, quick, some_of, this},
    setting::{Published, Queue, list, succeeded, text},
};
use crate::{
    check::{Alternative, Check, Cx, Outcome, Waits, alternative},
    drives,
    wire::Seen,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{
    http::Request,
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "queue/deadletters/given-back",
        &[QUEUE_DEADLETTERS_1, QUEUE_DEADLETTERS_2],
        drives!(death::given_back),
    ),
    Check::new(
        "queue/deadletters/timed-out",
        &[QUEUE_DEADLETTERS_1, QUEUE_DEADLETTERS_3],
        drives!(death::timed_out),
    )
    .waits(Waits::Millis(2_500)),
    Check::new("queue/deadletters/not-received", &[QUEUE_DEADLETTERS_4], drives!(death::not_received))
        .waits(Waits::Millis(1_500)),
    Check::new("queue/deadletters/content", &[QUEUE_DEADLETTERS_5], drives!(death::content)),
    Check::new(
        "queue/deadletters/replayed",
        &[QUEUE_DEADLETTERS_6, QUEUE_DEADLETTERS_7],
        drives!(after::replayed),
    ),
    Check::new(
        "queue/deadletters/one-replayed",
        &[QUEUE_DEADLETTERS_6, QUEUE_DEADLETTERS_7],
        drives!(after::one_replayed),
    ),
    Check::new("queue/deadletters/deleted", &[QUEUE_DEADLETTERS_8], drives!(after::deleted)),
    Check::new(
        "queue/deadletters/purged",
        &[QUEUE_DEADLETTERS_9, QUEUE_DEADLETTERS_10],
        drives!(after::purged),
    ),
    Check::new(
        "queue/deadletters/expired",
        &[QUEUE_DEADLETTERS_11, QUEUE_DEADLETTERS_12],
        drives!(after::expired),
    )
    .waits(Waits::Millis(1_500)),
    Check::new(
        "queue/deadletters/pages",
        &[QUEUE_DEADLETTERS_15, QUEUE_DEADLETTERS_16],
        drives!(after::pages),
    )
    .waits(Waits::Millis(1_500)),
    Check::new("queue/deadletters/replay-unknown", &[QUEUE_DEADLETTERS_13], drives!(after::replay_unknown)),
    Check::new("queue/deadletters/delete-unknown", &[QUEUE_DEADLETTERS_14], drives!(after::delete_unknown)),
];

/// The request for the list of dead letters, of all of them: without a limit a server shows as many as it likes.
fn listing(cx: &Cx, queue: &Queue) -> Request {
    queue.operation(cx, Action::ListDeadLetters, &[]).param("limit", "1000")
}

/// The dead letters of a queue, as a list tells them.
///
/// # Errors
/// Stops the check, inconclusive, if the list does not succeed.
async fn letters(cx: &Cx, queue: &Queue) -> Outcome<Seen<Vec<Value>>> {
    let seen = cx.send(listing(cx, queue)).await?;
    cx.need(QUEUE_DEADLETTERS_2, &seen, &[succeeded()])?;
    Ok(seen.map(|reply| list(&reply, "messages")))
}

/// The dead letters of a queue, as soon as there are this many.
///
/// # Errors
/// As [`letters`].
async fn letters_when(cx: &Cx, queue: &Queue, many: usize) -> Outcome<Seen<Vec<Value>>> {
    let until = Instant::now() + cx.slack();
    loop {
        let seen = letters(cx, queue).await?;
        if Instant::now() > until || !seen.look().is_ok_and(|letters| letters.len() < many) {
            return Ok(seen);
        }
        sleep(PAUSE).await;
    }
}

/// That the dead letters are those of these messages and no others, in whatever order.
fn exactly(published: &[Published]) -> Alternative<Vec<Value>> {
    let mut expected: Vec<String> = published.iter().map(|one| one.payload.to_string()).collect();
    expected.sort();
    let name = match published.len() {
        0 => "no dead letter".to_owned(),
        many => format!("the dead letters of these messages and no others: {many}"),
    };
    alternative(name, move |letters: &Vec<Value>| {
        let mut found: Vec<String> = letters.iter().map(|letter| letter["payload"].to_string()).collect();
        found.sort();
        found == expected
    })
}

/// The id of the dead letter of a message.
///
/// # Errors
/// Stops the check, inconclusive, if there is none.
async fn letter_of(cx: &Cx, queue: &Queue, published: &Published) -> Outcome<String> {
    let seen = letters_when(cx, queue, 1).await?;
    let payload = published.payload.clone();
    let there = alternative("the dead letter of the message", move |letters: &Vec<Value>| {
        letters.iter().any(|letter| letter["payload"] == payload)
    });
    let letters = cx.need(QUEUE_DEADLETTERS_2, &seen, &[there])?;
    let found = letters.iter().find(|letter| letter["payload"] == published.payload);
    Ok(found.map(|letter| text(letter, "id").to_owned()).unwrap_or_default())
}

/// A queue whose messages die when they fail once.
///
/// # Errors
/// As [`Queue::create`].
async fn mortal(cx: &Cx) -> Outcome<Queue> {
    quick(cx, &json!({"default_max_retries": 0})).await
}

/// Publishes so many messages and lets them all die.
///
/// # Errors
/// Stops the check, inconclusive, if they do not.
async fn dead(cx: &Cx, queue: &Queue, many: usize) -> Outcome<Vec<Published>> {
    let mut all = Vec::new();
    let before = letters(cx, queue).await?.look().map_or(0, Vec::len);
    for _ in 0..many {
        let published = queue.published(cx, json!(cx.token(16))).await?;
        dies(cx, queue, &published).await?;
        all.push(published);
    }
    let seen = letters_when(cx, queue, before + many).await?;
    let enough = alternative("a dead letter of each message", move |letters: &Vec<Value>| {
        letters.len() == before + many
    });
    cx.need(QUEUE_DEADLETTERS_2, &seen, &[enough])?;
    Ok(all)
}

/// Receives this message, the only pending one, and gives it back.
///
/// # Errors
/// Stops the check, inconclusive, if another one comes.
async fn dies(cx: &Cx, queue: &Queue, published: &Published) -> Outcome {
    let seen = comes(cx, queue, cx.slack()).await?;
    let taken = message(cx.need(QUEUE_LEASES_1, &seen, &[this(published)])?);
    nacked(cx, queue, text(&taken, "id")).await
}

/// Claims that all that can be received are these messages, and receives them.
async fn receivable(
    cx: &Cx,
    requirement: RequirementId,
    queue: &Queue,
    published: &[Published],
) -> Outcome<Vec<Value>> {
    let mut left: Vec<Value> = published.iter().map(|one| one.payload.clone()).collect();
    let mut taken = Vec::new();
    while !left.is_empty() {
        let seen = comes(cx, queue, cx.slack()).await?;
        let message = message(cx.expect(requirement, &seen, &[some_of(left.clone())])?);
        left.retain(|payload| *payload != message["payload"]);
        taken.push(message);
    }
    nothing_comes(cx, requirement, queue).await?;
    Ok(taken)
}

/// Claims that nothing can be received.
async fn nothing_comes(cx: &Cx, requirement: RequirementId, queue: &Queue) -> Outcome {
    // What was to come soon has come by the second time.
    for pause in [Duration::ZERO, PAUSE] {
        sleep(pause).await;
        let seen = cx.send(queue.receive(cx)).await?;
        cx.expect(requirement, &seen, &[none()])?;
    }
    Ok(())
}
