//! Checks of "Push" in spec/queue.md: of queues of the type pubsub, and of what holds for both types.

mod worker;

pub(super) use worker::CHECKS as WORKER_CHECKS;

use super::{
    peer::{Came, Client, Push, Subscriber, pushed, pushed_back, told},
    setting::{PUBSUB, Queue, WORKER, payloads, succeeded, text},
};
use crate::{
    check::{Alternative, Check, Cx, Lane, Outcome, Waits, alternative},
    drives,
    wire::{Lost, Seen},
};
use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::queue::{Action, requirements::*};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/push/published", &[QUEUE_PUSH_1, QUEUE_PUSH_2], drives!(published)),
    Check::new("queue/push/behind-a-replay", &[QUEUE_PUSH_1, QUEUE_PUSH_2], drives!(behind_a_replay)),
    Check::new("queue/push/every-payload", &[QUEUE_PUSH_1], drives!(every_payload)),
    Check::new("queue/push/with-other-members", &[QUEUE_PUSH_1], drives!(with_other_members)),
    Check::new("queue/push/one-message", &[QUEUE_PUSH_3], drives!(one_message)),
    Check::new("queue/push/queue-id", &[QUEUE_PUSH_4, QUEUE_PUSH_5], drives!(queue_id)),
    Check::new("queue/push/of-this-queue", &[QUEUE_PUSH_19], drives!(of_this_queue)),
    Check::new("queue/push/to-each", &[QUEUE_PUSH_6], drives!(to_each)),
    // Megabytes through a narrow door: beside all others this takes most of the time of a check.
    Check::new("queue/push/to-a-slow-one", &[QUEUE_PUSH_6], drives!(to_a_slow_one)).lane(Lane::Alone),
    Check::new("queue/push/paused", &[QUEUE_PUSH_10, QUEUE_PUSH_11], drives!(paused)),
    Check::new("queue/push/expired-in-a-pause", &[QUEUE_PUSH_17], drives!(expired_in_a_pause))
        .waits(Waits::Millis(1_600)),
    Check::new("queue/push/state-behind", &[QUEUE_PUSH_18], drives!(state_behind)),
];

/// How long a silence is in which something could come that should not.
pub(super) const SILENCE: Duration = Duration::from_millis(250);

/// That these payloads are pushed, in this order and no others.
pub(super) fn exactly(all: &[Value]) -> Alternative<Vec<Value>> {
    let all = all.to_vec();
    let name = format!("the {} payloads that were published, in their order", all.len());
    alternative(name, move |found| *found == all)
}

/// That each of these payloads is among what is pushed.
pub(super) fn each(all: &[Value]) -> Alternative<Vec<Value>> {
    let all = all.to_vec();
    let name = format!("each of the {} payloads that were published", all.len());
    alternative(name, move |found: &Vec<Value>| all.iter().all(|payload| found.contains(payload)))
}

/// That nothing comes, or nothing that has messages.
pub(super) fn nothing() -> Alternative<Option<Came>> {
    alternative("no message", |came: &Option<Came>| match came {
        None => true,
        Some(Came::Push(push)) => push.messages.is_empty(),
        Some(_) => false,
    })
}

/// Payloads that nobody can guess.
pub(super) fn tokens(cx: &Cx, count: usize) -> Vec<Value> {
    (0..count).map(|_| json!(cx.token(16))).collect()
}

/// The payloads that were pushed.
pub(super) fn payloads_in(pushes: &[Push]) -> Vec<Value> {
    pushed(pushes).map(|message| message["payload"].clone()).collect()
}

/// Claims that something is pushed that is published now, with the type message.
async fn arrives(cx: &Cx, queue: &Queue, subscriber: &mut Subscriber) -> Outcome {
    let token = json!(cx.token(16));
    queue.says(cx, &token).await?;
    let seen = subscriber.pushes(cx, 1).await?;
    let found = seen.clone().map(|pushes| payloads_in(&pushes));
    cx.expect(QUEUE_PUSH_1, &found, &[each(&[token])])?;
    let live = alternative("a Push of the type message", |pushes: &Vec<Push>| {
        pushes.iter().all(|push| push.kind == "message")
    });
    cx.expect(QUEUE_PUSH_2, &seen, &[live])?;
    Ok(())
}

async fn published(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    for _ in 0..3 {
        arrives(cx, &queue, &mut subscriber).await?;
    }
    // Also when nothing was pushed for a while.
    let came = subscriber.quiet(SILENCE * 2).await?;
    cx.need(QUEUE_OFFSETS_4, &came, &[nothing()])?;
    arrives(cx, &queue, &mut subscriber).await?;
    // Also to one who comes when others are there and messages were published before.
    let mut later = Subscriber::join(cx, &queue).await?;
    let late = json!(cx.token(16));
    queue.says(cx, &late).await?;
    let found = later.pushes_until(cx, &late).await?.map(|pushes| payloads_in(&pushes));
    cx.expect(QUEUE_PUSH_1, &found, &[each(&[late])])?;
    arrives(cx, &queue, &mut later).await
}

async fn behind_a_replay(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let last = told(cx, &queue, &mut subscriber, 1).await?[0].offset;
    let client = Client::leaving(subscriber).await?;
    let missed = tokens(cx, 2);
    for token in &missed {
        queue.says(cx, token).await?;
    }
    let mut back = client.back(cx, &queue, last).await?;
    let found = back.pushes_until(cx, &missed[1]).await?.map(|pushes| payloads_in(&pushes));
    cx.need(QUEUE_REPLAY_1, &found, &[each(&missed)])?;
    for _ in 0..2 {
        arrives(cx, &queue, &mut back).await?;
    }
    Ok(())
}

async fn every_payload(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let all = [
        json!(cx.token(16)),
        json!({"token": cx.token(16), "nested": [{}, []]}),
        json!([cx.token(16), null]),
        // What some languages take for nothing.
        json!(""),
        json!(false),
        json!([]),
        json!({}),
        // What looks like something of the protocol.
        json!({"type": "replay", "queue_id": "", "messages": []}),
        json!({"success": false, "error": "no"}),
        json!(cx.token(16)),
    ];
    for payload in &all {
        queue.says(cx, payload).await?;
        let found = subscriber.pushes(cx, 1).await?.map(|pushes| payloads_in(&pushes));
        cx.expect(QUEUE_PUSH_1, &found, &[exactly(std::slice::from_ref(payload))])?;
    }
    Ok(())
}

async fn with_other_members(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let (key, partition) = (cx.token(12), cx.token(12));
    for (name, value) in [
        ("metadata", json!({"of": "whom", "nested": {"a": [1]}})),
        ("idempotency_key", json!(key)),
        ("partition_key", json!(partition)),
        // Of two with one key neither waits for the other.
        ("partition_key", json!(partition)),
        ("ttl_seconds", json!(600)),
        ("unknown", json!({"to": "the server"})),
    ] {
        let token = json!(cx.token(16));
        let mut body = json!({"payload": token});
        body[name] = value;
        queue.published_with(cx, body).await?;
        let found = subscriber.pushes(cx, 1).await?.map(|pushes| payloads_in(&pushes));
        cx.expect(QUEUE_PUSH_1, &found, &[exactly(&[token])])?;
    }
    Ok(())
}

/// That no Push of the type message has more messages than one, or none.
fn one_in_each() -> Alternative<Vec<Push>> {
    alternative("one message in each Push of the type message", |pushes: &Vec<Push>| {
        pushes.iter().all(|push| push.kind != "message" || push.messages.len() == 1)
    })
}

async fn one_message(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let mut subscriber = Subscriber::join(cx, &queue).await?;
        let all = tokens(cx, 4);
        queue.published_at_once(cx, &all).await?;
        let pushes = subscriber.pushes(cx, all.len()).await?;
        let pushes = cx.expect(QUEUE_PUSH_3, &pushes, &[one_in_each()])?;
        if kind == PUBSUB && payloads_in(pushes) != all {
            return Err(cx.stop("something else is pushed than what was published"));
        }
        // What waits for a resume comes at once too.
        queue.done(cx, Action::Pause, &[]).await?;
        let all = tokens(cx, 3);
        queue.published_at_once(cx, &all).await?;
        queue.done(cx, Action::Resume, &[]).await?;
        let pushes = subscriber.pushes(cx, all.len()).await?;
        // That something comes then is no MUST.
        let comes = if kind == PUBSUB { QUEUE_PUSH_11 } else { QUEUE_PUSH_12 };
        cx.need(comes, &pushes, &[alternative("a Push", |pushes: &Vec<Push>| !pushes.is_empty())])?;
        cx.expect(QUEUE_PUSH_3, &pushes, &[one_in_each()])?;
    }
    Ok(())
}

async fn queue_id(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let told = queue.told(cx).await?.map(|queue| queue["id"].clone());
        let mut subscriber = Subscriber::join(cx, &queue).await?;
        let mut last = -1;
        for _ in 0..2 {
            queue.says(cx, &json!(cx.token(16))).await?;
            let pushes = subscriber.pushes(cx, 1).await?;
            let found = ids(cx, told.clone(), pushes)?;
            last = found.iter().filter_map(|message| message["offset"].as_i64()).max().unwrap_or(last);
        }
        if kind == WORKER {
            continue;
        }
        let client = Client::leaving(subscriber).await?;
        for _ in 0..2 {
            queue.says(cx, &json!(cx.token(16))).await?;
        }
        let pushes = client.back(cx, &queue, last).await?.pushes(cx, 2).await?;
        ids(cx, told, pushes)?;
    }
    Ok(())
}

/// Claims that these Pushes, and their messages, have this id of a queue.
fn ids(cx: &Cx, queue: Seen<Value>, pushes: Seen<Vec<Push>>) -> Outcome<Vec<Value>> {
    let both = queue.and(pushes);
    let of_the_queue =
        alternative("the id of the Queue in each Push", |(id, pushes): &(Value, Vec<Push>)| {
            id.is_string() && !pushes.is_empty() && pushes.iter().all(|push| *id == push.queue_id.as_str())
        });
    cx.expect(QUEUE_PUSH_4, &both, &[of_the_queue])?;
    let of_the_push =
        alternative("the id of its Push in each message", |(_, pushes): &(Value, Vec<Push>)| {
            pushes
                .iter()
                .all(|push| push.messages.iter().all(|message| text(message, "queue_id") == push.queue_id))
        });
    let (_, pushes) = cx.expect(QUEUE_PUSH_5, &both, &[of_the_push])?;
    Ok(pushed(pushes).cloned().collect())
}

async fn of_this_queue(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queues = [Queue::create(cx, kind).await?, Queue::create(cx, kind).await?];
        let mut subscribers =
            [Subscriber::join(cx, &queues[0]).await?, Subscriber::join(cx, &queues[1]).await?];
        let mut published = [Vec::new(), Vec::new()];
        let mut came = [Vec::new(), Vec::new()];
        let comes = if kind == PUBSUB { QUEUE_PUSH_6 } else { QUEUE_PUSH_8 };
        // Round by round, and at the same time in each: what goes astray comes before what is awaited next.
        for _ in 0..4 {
            let tokens = [json!(cx.token(16)), json!(cx.token(16))];
            try_join(queues[0].says(cx, &tokens[0]), queues[1].says(cx, &tokens[1])).await?;
            for (at, token) in tokens.into_iter().enumerate() {
                let found =
                    subscribers[at].pushes_until(cx, &token).await?.map(|pushes| payloads_in(&pushes));
                // Where nothing comes, nothing came from elsewhere either.
                let awaited = token.clone();
                let there =
                    alternative("what was published", move |found: &Vec<Value>| found.contains(&awaited));
                cx.need(comes, &found, &[there])?;
                came[at].push(found);
                published[at].push(token);
            }
        }
        for (came, published) in came.into_iter().zip(published) {
            let own = alternative("what was published to this queue, and nothing else", {
                move |found: &Vec<Value>| found.iter().all(|payload| published.contains(payload))
            });
            cx.expect(QUEUE_PUSH_19, &Seen::all(came).map(|all| all.concat()), &[own])?;
        }
    }
    Ok(())
}

async fn to_each(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscribers = try_join_all((0..12).map(|_| Subscriber::join(cx, &queue))).await?;
    // One of them leaves meanwhile.
    let all = tokens(cx, 4);
    queue.says(cx, &all[0]).await?;
    Client::leaving(subscribers.swap_remove(5)).await?;
    for token in &all[1..] {
        queue.says(cx, token).await?;
    }
    let found = try_join_all(subscribers.iter_mut().map(|one| one.gather(cx, all.len()))).await?;
    for found in found {
        let found = found.map(|messages| payloads(&messages));
        cx.expect(QUEUE_PUSH_6, &found, &[each(&all)])?;
    }
    Ok(())
}

async fn to_a_slow_one(cx: &Cx) -> Outcome {
    /// Together more than the buffers of a connection have room for.
    const LONG: usize = 10;
    const SIZE: usize = 300 * 1024;
    /// And then more messages than a server may want to keep for one who does not read.
    const SHORT: usize = 300;
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut slow = Subscriber::open_narrow(cx, &queue).await?;
    slow.welcomed(cx, &super::peer::auth(cx)).await?;
    let mut quick = Subscriber::join(cx, &queue).await?;
    let mut last = told(cx, &queue, &mut slow, 1).await?[0].offset;
    let _ = quick.gather(cx, 1).await?;
    let long = "x".repeat(SIZE);
    let all: Vec<Value> = (0..LONG + SHORT).map(|_| json!({"token": cx.token(16)})).collect();
    for token in &all[..LONG] {
        let mut payload = token.clone();
        payload["long"] = json!(long);
        queue.says(cx, &payload).await?;
        // Who reads is held up by nobody.
        let found = quick.pushes(cx, 1).await?.map(|pushes| tokens_in(&pushes));
        cx.expect(QUEUE_PUSH_6, &found, &[exactly(std::slice::from_ref(token))])?;
    }
    queue.published_at_once(cx, &all[LONG..]).await?;
    let found = quick.pushes(cx, SHORT).await?.map(|pushes| tokens_in(&pushes));
    cx.expect(QUEUE_PUSH_6, &found, &[each(&all[LONG..])])?;
    let (mut found, mut comebacks) = (Vec::new(), 0);
    while found.len() < all.len() {
        let seen = slow.next().await?;
        match seen.look() {
            Ok(Came::Push(push)) => {
                last = push.messages.last().and_then(|message| message["offset"].as_i64()).unwrap_or(last);
                let over = push.messages.iter().any(|message| message["payload"] == all[all.len() - 1]);
                found.push(seen.map(|came| match came {
                    Came::Push(push) => tokens_in(&[push]),
                    _ => Vec::new(),
                }));
                if over {
                    break;
                }
            }
            // A server may give up who does not read: the connection is no more, and the client comes back.
            Ok(Came::Closed(_)) | Err(Lost::Closed(_)) if comebacks < 3 => {
                comebacks += 1;
                slow = slow.client().back(cx, &queue, last).await?;
            }
            _ => {
                found.push(seen.map(|_| Vec::new()));
                break;
            }
        }
    }
    let found = Seen::all(found).map(|all| all.concat());
    cx.expect(QUEUE_PUSH_6, &found, &[each(&all)])?;
    Ok(())
}

/// The messages that are told apart by a member of their payloads, as payloads of that member alone.
fn tokens_in(pushes: &[Push]) -> Vec<Value> {
    pushed(pushes).map(|message| json!({"token": message["payload"]["token"]})).collect()
}

async fn paused(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscribers = [Subscriber::join(cx, &queue).await?, Subscriber::join(cx, &queue).await?];
    let all = tokens(cx, 1);
    queue.says(cx, &all[0]).await?;
    for subscriber in &mut subscribers {
        let found = subscriber.gather(cx, 1).await?.map(|messages| payloads(&messages));
        cx.need(QUEUE_PUSH_6, &found, &[exactly(&all)])?;
    }
    for _ in 0..2 {
        queue.done(cx, Action::Pause, &[]).await?;
        let all = tokens(cx, 3);
        for token in &all {
            queue.says(cx, token).await?;
        }
        let quiet = try_join_all(subscribers.iter_mut().map(|one| one.quiet(SILENCE))).await?;
        for came in &quiet {
            cx.expect(QUEUE_PUSH_10, came, &[nothing()])?;
        }
        queue.done(cx, Action::Resume, &[]).await?;
        let found = try_join_all(subscribers.iter_mut().map(|one| one.gather(cx, all.len()))).await?;
        for found in found {
            let found = found.map(|messages| payloads(&messages));
            cx.expect(QUEUE_PUSH_11, &found, &[exactly(&all)])?;
        }
    }
    Ok(())
}

async fn expired_in_a_pause(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    pushed_back(cx, &queue, &mut subscriber).await?;
    queue.done(cx, Action::Pause, &[]).await?;
    let (short, long) = (json!(cx.token(16)), json!(cx.token(16)));
    queue.published_with(cx, json!({"payload": short, "ttl_seconds": 1})).await?;
    queue.published_with(cx, json!({"payload": long, "ttl_seconds": 600})).await?;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    queue.done(cx, Action::Resume, &[]).await?;
    let found = subscriber.pushes_until(cx, &long).await?.map(|pushes| payloads_in(&pushes));
    let (both, one) = (vec![short, long.clone()], vec![long]);
    let pushed = alternative("what has expired, and what has not", move |found| *found == both);
    let left_out = alternative("what has not expired alone", move |found| *found == one);
    cx.expect(QUEUE_PUSH_17, &found, &[pushed, left_out])?;
    Ok(())
}

async fn state_behind(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let told = told(cx, &queue, &mut subscriber, 1).await?;
    let seen = cx.send(queue.operation(cx, Action::GetMessage, &[&told[0].id])).await?;
    cx.need(QUEUE_CONSUME_10, &seen, &[succeeded()])?;
    let state = seen.map(|reply| super::setting::data(&reply, "message")["state"].clone());
    let is =
        |name: &'static str| alternative(format!("the state {name}"), move |state: &Value| *state == name);
    let none = alternative("no state", Value::is_null);
    cx.expect(QUEUE_PUSH_18, &state, &[is("pending"), is("delivered"), none])?;
    Ok(())
}
