//! Checks of "Push" in spec/queue.md: of queues of the type worker, each message of which is for one consumer.

use super::{SILENCE, each, nothing, payloads_in, tokens};
use crate::{
    check::{Alternative, Check, Cx, Outcome, Shown, Waits, alternative},
    checks::queue::{
        peer::{Came, Client, Push, Subscriber},
        setting::{Queue, WORKER, data, payloads, succeeded, text},
    },
    drives,
    wire::Seen,
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::queue::{Action, requirements::*};

pub(in crate::checks::queue) const CHECKS: &[Check] = &[
    Check::new("queue/push/worker-to-one", &[QUEUE_PUSH_7], drives!(to_one)),
    Check::new("queue/push/worker-pushed", &[QUEUE_PUSH_8], drives!(is_pushed)),
    Check::new("queue/push/worker-acknowledged", &[QUEUE_PUSH_8], drives!(acknowledged)),
    Check::new("queue/push/worker-received-elsewhere", &[QUEUE_PUSH_8], drives!(received_elsewhere)),
    Check::new("queue/push/worker-paused", &[QUEUE_PUSH_10, QUEUE_PUSH_12], drives!(paused)),
    Check::new("queue/push/worker-lease", &[QUEUE_PUSH_9], drives!(lease)),
    Check::new("queue/push/worker-receive-waits", &[QUEUE_PUSH_13], drives!(receive_waits))
        .waits(Waits::Millis(1_200)),
    Check::new("queue/push/worker-pending-before", &[QUEUE_PUSH_14], drives!(pending_before)),
    Check::new("queue/push/worker-left", &[QUEUE_PUSH_15], drives!(left)),
    Check::new("queue/push/worker-full", &[QUEUE_PUSH_16], drives!(full)),
];

/// What came on which of several connections.
type On = (usize, Value);

/// The next Push on one of two connections, as the payloads that it brings.
async fn next_of(cx: &Cx, pair: &mut [Subscriber; 2]) -> Outcome<Seen<Vec<On>>> {
    let [first, second] = pair;
    let (on, seen) = tokio::select! {
        seen = first.next() => (0, seen?),
        seen = second.next() => (1, seen?),
    };
    if let Ok(other @ (Came::Auth(_) | Came::Binary(_) | Came::Closed(_))) = seen.look() {
        return Err(cx.stop(&format!("{} came where a Push was awaited", other.shown())));
    }
    Ok(seen.map(|came| match came {
        Came::Push(push) => payloads_in(&[push]).into_iter().map(|payload| (on, payload)).collect(),
        _ => Vec::new(),
    }))
}

impl Shown for On {
    fn shown(&self) -> String {
        format!("{} on connection {}", self.1, self.0)
    }
}

async fn to_one(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let mut pair = [Subscriber::join(cx, &queue).await?, Subscriber::join(cx, &queue).await?];
    let all = tokens(cx, 6);
    // Some one by one, and some at once.
    let mut came = Vec::new();
    for token in &all[..3] {
        queue.says(cx, token).await?;
        came.push(next_of(cx, &mut pair).await?);
    }
    queue.published_at_once(cx, &all[3..]).await?;
    while came.iter().filter_map(|seen| seen.look().ok()).map(Vec::len).sum::<usize>() < all.len() {
        let next = next_of(cx, &mut pair).await?;
        let lost = next.look().is_err();
        came.push(next);
        if lost {
            break;
        }
    }
    // What comes beside it is one too many.
    for quiet in try_join_all(pair.iter_mut().map(|one| one.quiet(SILENCE))).await? {
        came.push(quiet.map(|came| match came {
            Some(Came::Push(push)) => payloads_in(&[push]).into_iter().map(|payload| (2, payload)).collect(),
            _ => Vec::new(),
        }));
    }
    let came = Seen::all(came).map(|all| all.concat());
    let once = alternative("each message once, on one of the two connections", move |came: &Vec<On>| {
        came.len() == all.len()
            && all.iter().all(|token| came.iter().filter(|(_, payload)| payload == token).count() == 1)
    });
    cx.expect(QUEUE_PUSH_7, &came, &[once])?;
    Ok(())
}

/// A worker queue whose clients may have so many messages open.
async fn with_room(cx: &Cx, room: u64) -> Outcome<Queue> {
    Queue::create_with(cx, WORKER, &json!({"max_in_flight_per_client": room})).await
}

/// Claims that what is published now is pushed on this connection.
async fn arrives(cx: &Cx, queue: &Queue, subscriber: &mut Subscriber) -> Outcome<Value> {
    let token = json!(cx.token(16));
    queue.says(cx, &token).await?;
    let seen = subscriber.pushes_until(cx, &token).await?;
    let found = seen.clone().map(|pushes| payloads_in(&pushes));
    cx.expect(QUEUE_PUSH_8, &found, &[each(std::slice::from_ref(&token))])?;
    let pushes = seen.look().map_err(|_| cx.stop("there is no Push"))?;
    let found = super::pushed(pushes).find(|message| message["payload"] == token);
    Ok(found.cloned().unwrap_or_default())
}

async fn is_pushed(cx: &Cx) -> Outcome {
    // As many as one may have open, and not one less.
    for room in [1, 3] {
        let queue = with_room(cx, room).await?;
        let mut subscriber = Subscriber::join(cx, &queue).await?;
        for _ in 0..room {
            arrives(cx, &queue, &mut subscriber).await?;
        }
    }
    let queue = Queue::create(cx, WORKER).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let all = tokens(cx, 10);
    for token in &all {
        queue.says(cx, token).await?;
    }
    let found = subscriber.gather(cx, all.len()).await?.map(|messages| payloads(&messages));
    cx.expect(QUEUE_PUSH_8, &found, &[each(&all)])?;
    Ok(())
}

async fn acknowledged(cx: &Cx) -> Outcome {
    // With the one that was acknowledged there is room for another.
    let queue = with_room(cx, 1).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    for _ in 0..3 {
        let message = arrives(cx, &queue, &mut subscriber).await?;
        let seen = cx.send(queue.operation(cx, Action::Ack, &[text(&message, "id")])).await?;
        // What a push did not lease may not be acknowledged, and nothing is promised then.
        if !seen.look().is_ok_and(|reply| (200..300).contains(&reply.status)) {
            return Ok(());
        }
    }
    Ok(())
}

async fn received_elsewhere(cx: &Cx) -> Outcome {
    let queue = with_room(cx, 2).await?;
    for token in tokens(cx, 2) {
        queue.published(cx, token).await?;
        queue.received(cx).await?;
    }
    // What others have in flight does not count for a connection.
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    for _ in 0..2 {
        arrives(cx, &queue, &mut subscriber).await?;
    }
    Ok(())
}

async fn paused(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let first = json!(cx.token(16));
    queue.says(cx, &first).await?;
    let found = subscriber.gather(cx, 1).await?.map(|messages| payloads(&messages));
    cx.need(QUEUE_PUSH_8, &found, &[each(&[first])])?;
    for _ in 0..2 {
        queue.done(cx, Action::Pause, &[]).await?;
        let all = tokens(cx, 3);
        for token in &all {
            queue.says(cx, token).await?;
        }
        let came = subscriber.quiet(SILENCE).await?;
        cx.expect(QUEUE_PUSH_10, &came, &[nothing()])?;
        queue.done(cx, Action::Resume, &[]).await?;
        let found = subscriber.gather(cx, all.len()).await?.map(|messages| payloads(&messages));
        cx.expect(QUEUE_PUSH_12, &found, &[each(&all)])?;
    }
    Ok(())
}

/// A message that was just pushed on the only connection of a queue.
async fn one_pushed(cx: &Cx, queue: &Queue, subscriber: &mut Subscriber) -> Outcome<Value> {
    let token = json!(cx.token(16));
    queue.says(cx, &token).await?;
    let found = subscriber.gather(cx, 1).await?;
    let it = alternative("what was published", move |messages: &Vec<Value>| {
        messages.iter().any(|message| message["payload"] == token)
    });
    Ok(cx.need(QUEUE_PUSH_8, &found, &[it])?[0].clone())
}

/// What a receive got: a message or nothing.
async fn got(cx: &Cx, queue: &Queue) -> Outcome<Seen<Value>> {
    let seen = cx.send(queue.receive(cx)).await?;
    cx.need(QUEUE_LEASES_2, &seen, &[succeeded()])?;
    Ok(seen.map(|reply| data(&reply, "message")))
}

/// That a receive got the message with this id.
fn that(id: &str, name: &str) -> Alternative<Value> {
    let id = id.to_owned();
    alternative(name, move |message: &Value| message["id"] == id.as_str())
}

async fn lease(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let message = one_pushed(cx, &queue, &mut subscriber).await?;
    let seen = got(cx, &queue).await?;
    let hidden = alternative("nothing: the message is hidden, or delivered", Value::is_null);
    cx.expect(QUEUE_PUSH_9, &seen, &[that(text(&message, "id"), "the message, still pending"), hidden])?;
    Ok(())
}

async fn receive_waits(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let wait = Duration::from_secs(1);
    let waiting = cx.begin(queue.receive(cx).param("timeout", "1"), wait + cx.answer_time()).await?;
    let token = json!(cx.token(16));
    queue.says(cx, &token).await?;
    // Who pushes it leaves the receive to wait in vain: there is time for a slow one.
    let answered = waiting.answer().await?;
    cx.need(QUEUE_LEASES_5, &answered, &[succeeded()])?;
    let came = subscriber.quiet(SILENCE).await?;
    let pushed = came.map(|came| match came {
        Some(Came::Push(push)) => payloads_in(&[push]),
        _ => Vec::new(),
    });
    let both = pushed.and(answered.map(|reply| data(&reply, "message")["payload"].clone()));
    let is = |name: &str, pushed: bool, answered: bool| {
        let token = token.clone();
        alternative(name, move |(all, received): &(Vec<Value>, Value)| {
            all.contains(&token) == pushed && (*received == token) == answered
        })
    };
    let all = [
        is("the message in a Push", true, false),
        is("the message in the answer", false, true),
        is("the message in both", true, true),
    ];
    cx.expect(QUEUE_PUSH_13, &both, &all)?;
    Ok(())
}

/// How what was there before comes to a connection, if it does.
fn however() -> [Alternative<Option<Came>>; 3] {
    let of = |kind: &'static str| {
        alternative(
            format!("a Push of the type {kind}"),
            move |came: &Option<Came>| matches!(came, Some(Came::Push(push)) if push.kind == kind),
        )
    };
    [of("message"), of("replay"), nothing()]
}

async fn pending_before(cx: &Cx) -> Outcome {
    let settings = json!({"default_retry_backoff_ms": 0, "default_retry_max_backoff_ms": 0});
    let queue = Queue::create_with(cx, WORKER, &settings).await?;
    let token = json!(cx.token(16));
    queue.published(cx, token).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let came = subscriber.quiet(SILENCE).await?;
    cx.expect(QUEUE_PUSH_14, &came, &however())?;
    // And what somebody gave back.
    let queue = Queue::create_with(cx, WORKER, &settings).await?;
    queue.published(cx, json!(cx.token(16))).await?;
    let message = queue.received(cx).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    queue.done(cx, Action::Nack, &[text(&message, "id")]).await?;
    let came = subscriber.quiet(SILENCE).await?;
    cx.expect(QUEUE_PUSH_14, &came, &however())?;
    Ok(())
}

async fn left(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let message = one_pushed(cx, &queue, &mut subscriber).await?;
    Client::leaving(subscriber).await?;
    let seen = got(cx, &queue).await?;
    let later = alternative("nothing yet", Value::is_null);
    cx.expect(QUEUE_PUSH_15, &seen, &[that(text(&message, "id"), "the message at once"), later])?;
    Ok(())
}

async fn full(cx: &Cx) -> Outcome {
    let queue = with_room(cx, 1).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let message = one_pushed(cx, &queue, &mut subscriber).await?;
    let token = json!(cx.token(16));
    queue.says(cx, &token).await?;
    let came = subscriber.quiet(SILENCE).await?;
    let more =
        |name: &str| alternative(name, |came: &Option<Came>| matches!(came, Some(Came::Push(Push { .. }))));
    cx.expect(QUEUE_PUSH_16, &came, &[more("more at once"), nothing()])?;
    let _ = cx.send(queue.operation(cx, Action::Ack, &[text(&message, "id")])).await?;
    let came = subscriber.quiet(SILENCE).await?;
    cx.expect(QUEUE_PUSH_16, &came, &[more("more behind an acknowledgement"), nothing()])?;
    Ok(())
}
