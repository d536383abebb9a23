//! Checks of "Replay" in spec/queue.md: what it leaves to the server.

use super::{behind, brings, up_to_now};
use crate::{
    check::{Alternative, Check, Cx, Outcome, alternative},
    checks::queue::{
        peer::{Came, Client, Push, Subscriber, auth, failure, told, welcome},
        push::payloads_in,
        setting::{PUBSUB, Queue},
    },
    drives,
};
use futures_util::future::try_join_all;
use serde_json::Value;
use wireproof_spec::queue::requirements::*;

pub(in crate::checks::queue) const CHECKS: &[Check] = &[
    Check::new("queue/replay/from-beyond", &[QUEUE_REPLAY_12], drives!(from_beyond)),
    Check::new("queue/replay/newcomer", &[QUEUE_REPLAY_16], drives!(newcomer)),
    Check::new("queue/replay/without-last-offset", &[QUEUE_REPLAY_17], drives!(without_last_offset)),
];

/// That exactly these payloads are pushed.
fn only(name: &str, payloads: Vec<Value>) -> Alternative<Vec<Value>> {
    alternative(name, move |found| *found == payloads)
}

async fn from_beyond(cx: &Cx) -> Outcome {
    try_join_all([1, 3].map(|ahead| beyond(cx, ahead))).await.map(drop)
}

/// Who comes back with an offset that is so much greater than the last one.
async fn beyond(cx: &Cx, ahead: i64) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut witness = Subscriber::join(cx, &queue).await?;
    let last = told(cx, &queue, &mut witness, 1).await?[0].offset;
    let client = Client::of(cx, &queue).await?;
    let mut back = Subscriber::open(cx, &queue).await?;
    let seen = back.asked(&client.auth(cx, last + ahead)).await?;
    let answer = cx.expect(QUEUE_REPLAY_12, &seen, &[failure(), welcome()])?;
    if !matches!(answer, Came::Auth(frame) if frame["success"] == true) {
        return Ok(());
    }
    let all = told(cx, &queue, &mut witness, 5).await?;
    let found = back.pushes_until(cx, &all[4].payload).await?.map(|pushes| payloads_in(&pushes));
    let everything = only("everything that was published later", behind(&all, -1));
    let greater = only("what has a greater offset", behind(&all, last + ahead));
    cx.expect(QUEUE_REPLAY_12, &found, &[everything, greater])?;
    Ok(())
}

/// That nothing from before is pushed.
fn none() -> Alternative<Vec<Push>> {
    alternative("only what is published later", |pushes: &Vec<Push>| payloads_in(pushes).is_empty())
}

/// That these payloads are pushed, with the type replay.
fn replayed(name: &str, payloads: Vec<Value>) -> Alternative<Vec<Push>> {
    let exactly = brings(&payloads, -2);
    alternative(name, move |pushes: &Vec<Push>| {
        exactly.holds(pushes) && pushes.iter().all(|push| push.kind == "replay" || push.messages.is_empty())
    })
}

async fn newcomer(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut witness = Subscriber::join(cx, &queue).await?;
    let all = behind(&told(cx, &queue, &mut witness, 3).await?, -2);
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let pushes = up_to_now(cx, &queue, &mut subscriber).await?;
    cx.expect(QUEUE_REPLAY_16, &pushes, &[none(), replayed("every retained message before that", all)])?;
    Ok(())
}

async fn without_last_offset(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let mut all = behind(&told(cx, &queue, &mut subscriber, 2).await?, -2);
    let client = Client::leaving(subscriber).await?;
    let mut witness = Subscriber::join(cx, &queue).await?;
    let missed = behind(&told(cx, &queue, &mut witness, 2).await?, -2);
    all.extend(missed.clone());
    let mut request = auth(cx);
    if let Some(id) = client.auth(cx, 0).get("client_id") {
        request["client_id"] = id.clone();
    }
    let mut back = Subscriber::join_as(cx, &queue, &request).await?;
    let pushes = up_to_now(cx, &queue, &mut back).await?;
    let since = replayed("what was published since this client was connected", missed);
    let retained = replayed("every retained message before that", all);
    cx.expect(QUEUE_REPLAY_17, &pushes, &[none(), since, retained])?;
    Ok(())
}
