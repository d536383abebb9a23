//! Checks of "Close" in spec/queue.md.

use super::{
    peer::{Came, Fate, Subscriber, auth, failure, pushed_back},
    setting::{PUBSUB, Queue, payloads, succeeded},
};
use crate::{
    check::{Alternative, Check, Cx, Hook, Lane, Need, Outcome, alternative},
    drives,
    wire::{Lost, Seen},
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use wireproof_spec::{
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/close/done", &[QUEUE_CLOSE_1, QUEUE_CLOSE_4], drives!(done)),
    Check::new("queue/close/no-auth-response", &[QUEUE_CLOSE_2, QUEUE_CLOSE_4], drives!(no_auth_response)),
    Check::new("queue/close/behind-a-failure", &[QUEUE_CLOSE_3], drives!(behind_a_failure)),
    Check::new("queue/close/stopped", &[QUEUE_CLOSE_5], drives!(stopped))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("queue/close/deleted", &[QUEUE_CLOSE_6], drives!(deleted)),
    Check::new("queue/close/deleted-for-good", &[QUEUE_CLOSE_7], drives!(deleted_for_good)),
];

/// That a close frame came.
fn a_close() -> Alternative<Came> {
    alternative("a close frame", |came: &Came| matches!(came, Came::Closed(_)))
}

async fn done(cx: &Cx) -> Outcome {
    closes(cx, QUEUE_CLOSE_1, 1000).await
}

async fn no_auth_response(cx: &Cx) -> Outcome {
    closes(cx, QUEUE_CLOSE_2, 4000).await
}

/// Closes an authenticated connection, on which something was pushed, and claims that it is answered.
async fn closes(cx: &Cx, requirement: RequirementId, code: u16) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    for reason in ["", "the user is done"] {
        let mut subscriber = Subscriber::join(cx, &queue).await?;
        pushed_back(cx, &queue, &mut subscriber).await?;
        subscriber.peer.close(code, reason).await;
        let seen = subscriber.next().await?;
        cx.expect(requirement, &seen, &[a_close()])?;
        let same = alternative(format!("a close frame with the code {code}"), move |came: &Came| {
            *came == Came::Closed(Some(code))
        });
        cx.expect(QUEUE_CLOSE_4, &seen, &[same])?;
    }
    Ok(())
}

async fn behind_a_failure(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    // Who has the key is taken.
    let mut twin = Subscriber::join(cx, &queue).await?;
    pushed_back(cx, &queue, &mut twin).await?;
    let mut subscriber = Subscriber::open(cx, &queue).await?;
    let mut wrong = auth(cx);
    wrong["authorization"] = json!(cx.token(32));
    let seen = subscriber.asked(&wrong).await?;
    cx.need(QUEUE_AUTH_7, &seen, &[failure()])?;
    subscriber.peer.close(4001, "").await;
    let seen = subscriber.next().await?;
    // Whether it answers or came before, one close frame is there.
    cx.expect(QUEUE_CLOSE_3, &seen, &[a_close()])?;
    Ok(())
}

async fn stopped(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    pushed_back(cx, &queue, &mut subscriber).await?;
    cx.hook(Hook::Restart).await?;
    let seen = subscriber.next().await?;
    let later = alternative(
        "a close frame with a code outside of 4000 to 4999",
        |came: &Came| matches!(came, Came::Closed(Some(code)) if !(4000..5000).contains(code)),
    );
    cx.expect(QUEUE_CLOSE_5, &seen, &[later])?;
    Ok(())
}

async fn deleted(cx: &Cx) -> Outcome {
    for fate in fates_at_delete(cx).await? {
        cx.expect(QUEUE_CLOSE_6, &fate, &[ended()])?;
    }
    Ok(())
}

async fn deleted_for_good(cx: &Cx) -> Outcome {
    for fate in fates_at_delete(cx).await? {
        cx.need(QUEUE_CLOSE_6, &fate, &[ended()])?;
        let for_good = alternative("a close frame with a code from 4000 to 4999", |fate: &Fate| {
            matches!(fate, Ok(Came::Closed(Some(4000..5000))))
        });
        let without = alternative("the end without a close frame", |fate: &Fate| fate.is_err());
        cx.expect(QUEUE_CLOSE_7, &fate, &[for_good, without])?;
    }
    Ok(())
}

fn ended() -> Alternative<Fate> {
    alternative("the end of the connection", |fate: &Fate| {
        matches!(fate, Ok(Came::Closed(_)) | Err(Lost::Closed(_)))
    })
}

/// What becomes of the subscribers of a queue that is deleted. Those of another one stay.
async fn fates_at_delete(cx: &Cx) -> Outcome<Vec<Seen<Fate>>> {
    let (queue, other) = (Queue::create(cx, PUBSUB).await?, Queue::create(cx, PUBSUB).await?);
    let mut subscribers = Vec::new();
    for _ in 0..2 {
        subscribers.push(Subscriber::join(cx, &queue).await?);
    }
    let token = json!(cx.token(16));
    queue.says(cx, &token).await?;
    for subscriber in &mut subscribers {
        let pushed = subscriber.gather(cx, 1).await?.map(|messages| payloads(&messages));
        let token = token.clone();
        let to_each = alternative("what was published", move |p: &Vec<Value>| *p == [token.clone()]);
        cx.need(QUEUE_PUSH_6, &pushed, &[to_each])?;
    }
    let mut beside = Subscriber::join(cx, &other).await?;
    let reply = cx.send(queue.operation(cx, Action::Delete, &[])).await?;
    cx.need(QUEUE_QUEUES_15, &reply, &[succeeded()])?;
    // All at once: who is not told would keep the others waiting.
    let fates = try_join_all(subscribers.iter_mut().map(Subscriber::next)).await?;
    pushed_back(cx, &other, &mut beside).await?;
    Ok(fates.into_iter().map(Seen::or_lost).collect())
}
