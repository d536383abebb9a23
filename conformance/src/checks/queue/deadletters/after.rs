//! What becomes of dead letters: they are replayed, deleted, purged or forgotten.

use super::{
    dead, dies, exactly, letter_of, letters, letters_when, listing as listing_of, mortal, nothing_comes,
    quick, receivable,
};
use crate::{
    check::{Breaks, Cx, Outcome, alternative},
    checks::queue::{
        consume::in_pages,
        leases::{comes, message, nacked, none, refused_with, some_of, this},
        setting::{Published, Queue, data, list, not_found, succeeded, text},
    },
};
use futures_util::future::try_join;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;
use wireproof_spec::{
    http::Response,
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

/// Replays the dead letter of a message, as set-up for what follows.
async fn replays(cx: &Cx, queue: &Queue, published: &Published) -> Outcome {
    let id = letter_of(cx, queue, published).await?;
    let seen = cx.send(queue.operation(cx, Action::ReplayDeadLetter, &[&id])).await?;
    cx.expect(QUEUE_DEADLETTERS_6, &seen, &[succeeded()]).map(drop)
}

pub(super) async fn replayed(cx: &Cx) -> Outcome {
    let queue = mortal(cx).await?;
    let all = dead(cx, &queue, 1).await?;
    // It may die again, and be replayed again.
    for round in 0..3 {
        replays(cx, &queue, &all[0]).await?;
        let listed = letters(cx, &queue).await?;
        cx.expect(QUEUE_DEADLETTERS_7, &listed, &[exactly(&[])])?;
        let taken = receivable(cx, QUEUE_DEADLETTERS_6, &queue, &all).await?;
        let listed = letters(cx, &queue).await?;
        cx.expect(QUEUE_DEADLETTERS_7, &listed, &[exactly(&[])])?;
        if round < 2 {
            for one in &taken {
                nacked(cx, &queue, text(one, "id")).await?;
            }
            die_again(cx, &queue, &all[0]).await?;
        }
    }
    Ok(())
}

/// Gives a message back until it is dead: whether its deliveries are counted anew is left open.
async fn die_again(cx: &Cx, queue: &Queue, published: &Published) -> Outcome {
    for _ in 0..2 {
        let listed = letters(cx, queue).await?;
        if listed.look().is_ok_and(|letters| !letters.is_empty()) {
            return Ok(());
        }
        let seen = cx.send(queue.receive(cx)).await?;
        let taken = message(cx.need(QUEUE_LEASES_1, &seen, &[this(published), none()])?);
        if taken.is_object() {
            nacked(cx, queue, text(&taken, "id")).await?;
        }
    }
    Ok(())
}

pub(super) async fn one_replayed(cx: &Cx) -> Outcome {
    let queue = mortal(cx).await?;
    let all = dead(cx, &queue, 3).await?;
    // The one in the middle, then the last; the first stays.
    replays(cx, &queue, &all[1]).await?;
    let listed = letters(cx, &queue).await?;
    cx.expect(QUEUE_DEADLETTERS_7, &listed, &[exactly(&[all[0].clone(), all[2].clone()])])?;
    replays(cx, &queue, &all[2]).await?;
    let listed = letters(cx, &queue).await?;
    cx.expect(QUEUE_DEADLETTERS_7, &listed, &[exactly(&all[..1])])?;
    receivable(cx, QUEUE_DEADLETTERS_6, &queue, &all[1..]).await.map(drop)
}

pub(super) async fn deleted(cx: &Cx) -> Outcome {
    let queue = mortal(cx).await?;
    let all = dead(cx, &queue, 4).await?;
    let mut left = all.clone();
    for gone in [1, 3] {
        let id = letter_of(cx, &queue, &all[gone]).await?;
        let seen = cx.send(queue.operation(cx, Action::DeleteDeadLetter, &[&id])).await?;
        cx.expect(QUEUE_DEADLETTERS_8, &seen, &[succeeded()])?;
        left.retain(|one| one.payload != all[gone].payload);
        let listed = letters(cx, &queue).await?;
        cx.expect(QUEUE_DEADLETTERS_8, &listed, &[exactly(&left)])?;
        nothing_comes(cx, QUEUE_DEADLETTERS_8, &queue).await?;
    }
    // The others can be replayed still, and what is new can be received.
    let new = queue.published(cx, json!(cx.token(16))).await?;
    receivable(cx, QUEUE_DEADLETTERS_8, &queue, &[new]).await?;
    let id = letter_of(cx, &queue, &left[0]).await?;
    let seen = cx.send(queue.operation(cx, Action::ReplayDeadLetter, &[&id])).await?;
    cx.expect(QUEUE_DEADLETTERS_8, &seen, &[succeeded()])?;
    receivable(cx, QUEUE_DEADLETTERS_8, &queue, &left[..1]).await.map(drop)
}

pub(super) async fn purged(cx: &Cx) -> Outcome {
    let (queue, other) = try_join(mortal(cx), mortal(cx)).await?;
    let beside = dead(cx, &other, 2).await?;
    for many in [1, 3] {
        dead(cx, &queue, many).await?;
        // What is pending, and what is leased.
        let both = queue.published_many(cx, 2).await?;
        let seen = cx.send(queue.receive(cx)).await?;
        let payloads: Vec<Value> = both.iter().map(|one| one.payload.clone()).collect();
        let leased = message(cx.need(QUEUE_LEASES_1, &seen, &[some_of(payloads)])?);
        let pending: Vec<Published> =
            both.iter().filter(|one| one.payload != leased["payload"]).cloned().collect();
        let seen = cx.send(queue.operation(cx, Action::PurgeDeadLetters, &[])).await?;
        cx.expect(QUEUE_DEADLETTERS_9, &seen, &[succeeded()])?;
        let listed = letters(cx, &queue).await?;
        cx.expect(QUEUE_DEADLETTERS_9, &listed, &[exactly(&[])])?;
        let listed = letters(cx, &other).await?;
        cx.expect(QUEUE_DEADLETTERS_10, &listed, &[exactly(&beside)])?;
        let taken = receivable(cx, QUEUE_DEADLETTERS_10, &queue, &pending).await?;
        // For the next round nothing is pending.
        for one in taken.iter().chain([&leased]) {
            let seen = cx.send(queue.operation(cx, Action::Ack, &[text(one, "id")])).await?;
            cx.need(QUEUE_LEASES_7, &seen, &[succeeded()])?;
        }
    }
    again_and_again(cx).await
}

/// A message that failed, and may be tried once more, is pending too.
async fn again_and_again(cx: &Cx) -> Outcome {
    let queue = quick(cx, &json!({"default_max_retries": 3})).await?;
    let failed = queue.published(cx, json!(cx.token(16))).await?;
    dies(cx, &queue, &failed).await?;
    let seen = cx.send(queue.operation(cx, Action::PurgeDeadLetters, &[])).await?;
    cx.expect(QUEUE_DEADLETTERS_9, &seen, &[succeeded()])?;
    receivable(cx, QUEUE_DEADLETTERS_10, &queue, &[failed]).await.map(drop)
}

pub(super) async fn expired(cx: &Cx) -> Outcome {
    let queue = mortal(cx).await?;
    let payload = json!(cx.token(16));
    let published = queue.published_with(cx, json!({"payload": payload, "ttl_seconds": 1})).await?;
    dies(cx, &queue, &published).await?;
    let id = letter_of(cx, &queue, &published).await?;
    sleep(Duration::from_millis(1_200)).await;
    let listed = letters_when(cx, &queue, 0).await?;
    cx.expect(QUEUE_DEADLETTERS_11, &listed, &[exactly(std::slice::from_ref(&published)), exactly(&[])])?;
    let seen = cx.send(queue.operation(cx, Action::ReplayDeadLetter, &[&id])).await?;
    let mut open = refused_with([404, 409]);
    open.push(succeeded());
    let status = cx.expect(QUEUE_DEADLETTERS_12, &seen, &open)?.status;
    let seen = comes(cx, &queue, Duration::ZERO).await?;
    let received = if status < 300 { vec![this(&published), none()] } else { vec![none()] };
    cx.expect(QUEUE_DEADLETTERS_12, &seen, &received)?;
    Ok(())
}

pub(super) async fn pages(cx: &Cx) -> Outcome {
    let queue = mortal(cx).await?;
    let all = dead(cx, &queue, 5).await?;
    let payloads = all.into_iter().map(|one| one.payload).collect();
    let listing = queue.operation(cx, Action::ListDeadLetters, &[]);
    in_pages(cx, (QUEUE_DEADLETTERS_15, QUEUE_DEADLETTERS_16), &listing, payloads).await?;
    // Whether what has expired is listed is left open; the total says the same.
    let queue = mortal(cx).await?;
    dead(cx, &queue, 1).await?;
    let body = json!({"payload": cx.token(16), "ttl_seconds": 1});
    let mortal = queue.published_with(cx, body).await?;
    dies(cx, &queue, &mortal).await?;
    for pause in [Duration::ZERO, Duration::from_millis(1_300)] {
        sleep(pause).await;
        let seen = cx.send(listing_of(cx, &queue)).await?;
        cx.need(QUEUE_DEADLETTERS_2, &seen, &[succeeded()])?;
        let as_listed = alternative("as total the number of what is listed, or none", |r: &Response| {
            let total = data(r, "total");
            total.is_null() || total == list(r, "messages").len()
        });
        cx.expect(QUEUE_DEADLETTERS_16, &seen, &[as_listed])?;
    }
    Ok(())
}

pub(super) async fn replay_unknown(cx: &Cx) -> Outcome {
    unknown(cx, QUEUE_DEADLETTERS_13, Action::ReplayDeadLetter).await
}

pub(super) async fn delete_unknown(cx: &Cx) -> Outcome {
    unknown(cx, QUEUE_DEADLETTERS_14, Action::DeleteDeadLetter).await
}

/// A setting of a dead letter, whose id is known, and the ids of others.
struct Setting {
    queue: Queue,
    id: String,
    others: [String; 2],
}

async fn setting(cx: &Cx) -> Outcome<Setting> {
    let (queue, other) = (mortal(cx).await?, mortal(cx).await?);
    let letter = dead(cx, &queue, 1).await?;
    let foreign = dead(cx, &other, 1).await?;
    let alive = queue.published(cx, json!(cx.token(16))).await?;
    let id = letter_of(cx, &queue, &letter[0]).await?;
    let foreign = letter_of(cx, &other, &foreign[0]).await?;
    // The id of a message is well-formed as one of a dead letter only if these look alike.
    let form = |id: &str| id.split_once('_').map(|(form, _)| form.to_owned());
    let second = if form(&alive.id) == form(&id) { alive.id } else { foreign.clone() };
    let others = [foreign, second];
    Ok(Setting { queue, id, others })
}

async fn unknown(cx: &Cx, requirement: RequirementId, action: Action) -> Outcome {
    cx.refused(
        requirement,
        Breaks::Fit,
        setting,
        |setting| setting.queue.operation(cx, action, &[&setting.id]),
        |setting, request| {
            request.path = setting.queue.operation(cx, action, &[&setting.others[0]]).path;
        },
        (QUEUE_DEADLETTERS_8, &[succeeded()]),
        &not_found(),
    )
    .await?;
    let Setting { queue, id, others } = setting(cx).await?;
    let seen = cx.send(queue.operation(cx, action, &[&others[1]])).await?;
    cx.expect(requirement, &seen, &not_found())?;
    // The same letter a second time is no longer there.
    let request = queue.operation(cx, action, &[&id]);
    let seen = cx.send(request.clone()).await?;
    cx.need(QUEUE_DEADLETTERS_8, &seen, &[succeeded()])?;
    let seen = cx.send(request).await?;
    cx.expect(requirement, &seen, &not_found()).map(drop)
}
