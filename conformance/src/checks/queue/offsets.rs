//! Checks of "Offsets" in spec/queue.md.

use super::{
    peer::{Client, Subscriber, pushed, pushed_back, told},
    push::tokens,
    setting::{
        PUBSUB, Queue, WORKER, data, list, offsets, payloads, proven, succeeded, text, value, with_body,
    },
};
use crate::{
    check::{Alternative, Check, Cx, Outcome, Shown, alternative},
    drives,
    wire::Seen,
};
use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::{
    http::Response,
    queue::{Action, requirements::*},
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/offsets/one-more", &[QUEUE_OFFSETS_1, QUEUE_OFFSETS_2], drives!(one_more)),
    Check::new("queue/offsets/at-once", &[QUEUE_OFFSETS_3], drives!(at_once)),
    Check::new("queue/offsets/pushed-rise", &[QUEUE_OFFSETS_4], drives!(pushed_rise)),
    Check::new("queue/offsets/pushed-as-consumed", &[QUEUE_OFFSETS_5], drives!(pushed_as_consumed)),
    Check::new("queue/offsets/refused", &[QUEUE_OFFSETS_6], drives!(refused)),
    Check::new("queue/offsets/never-twice", &[QUEUE_OFFSETS_7], drives!(never_twice)),
    Check::new("queue/offsets/whole", &[QUEUE_OFFSETS_8], drives!(whole)),
];

/// Offsets as they were told.
#[derive(Clone, Debug, PartialEq)]
struct Offsets(Vec<i64>);

impl Shown for Offsets {
    fn shown(&self) -> String {
        format!("the offsets {:?}", &self.0[..self.0.len().min(64)])
    }
}

/// That offsets are these.
fn are(wanted: impl IntoIterator<Item = i64>) -> Alternative<Offsets> {
    let wanted = Offsets(wanted.into_iter().collect());
    alternative(wanted.shown(), move |found| *found == wanted)
}

/// The offsets of what is retained.
async fn retained(cx: &Cx, queue: &Queue) -> Outcome<Seen<Offsets>> {
    Ok(queue.content(cx).await?.map(|messages| Offsets(offsets(&messages))))
}

/// The offset in the answer to a publish that waits for it.
async fn next(cx: &Cx, queue: &Queue) -> Outcome<Seen<Offsets>> {
    let seen = cx.send(queue.publish(cx, &json!(cx.token(16)))).await?;
    cx.need(QUEUE_PUBLISH_1, &seen, &[succeeded()])?;
    Ok(seen.map(|reply| Offsets(offsets(&[data(&reply, "message")]))))
}

async fn one_more(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        // Another queue counts for itself.
        let other = Queue::create(cx, kind).await?;
        let first = next(cx, &queue).await?;
        cx.expect(QUEUE_OFFSETS_2, &first, &[are([0])])?;
        cx.expect(QUEUE_OFFSETS_2, &retained(cx, &queue).await?, &[are([0])])?;
        for wanted in 1..4 {
            other.published(cx, json!(cx.token(16))).await?;
            cx.expect(QUEUE_OFFSETS_1, &next(cx, &queue).await?, &[are([wanted])])?;
        }
        // Those of a batch, and what comes behind it. It may take a moment to be in the queue, and is published only then.
        queue.published_at_once(cx, &tokens(cx, 3)).await?;
        let _ = super::publish::soon(cx, &queue, 7).await?;
        let behind = next(cx, &queue).await?;
        cx.expect(QUEUE_OFFSETS_1, &behind, &[are([7])])?;
        cx.expect(QUEUE_OFFSETS_1, &retained(cx, &queue).await?, &[are(0..8)])?;
    }
    Ok(())
}

async fn at_once(cx: &Cx) -> Outcome {
    const PUBLISHERS: i64 = 24;
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let publishers = (0..PUBLISHERS).map(|_| async {
            let seen = cx.http().send(queue.publish(cx, &json!(cx.token(16)))).await?;
            cx.need(QUEUE_PUBLISH_1, &seen, &[succeeded()])?;
            Ok(seen.map(|reply| data(&reply, "message")["offset"].as_i64().unwrap_or(-1)))
        });
        let told = Seen::all(try_join_all(publishers).await?).map(|mut all| {
            all.sort_unstable();
            Offsets(all)
        });
        cx.expect(QUEUE_OFFSETS_3, &told, &[are(0..PUBLISHERS)])?;
        cx.expect(QUEUE_OFFSETS_3, &retained(cx, &queue).await?, &[are(0..PUBLISHERS)])?;
    }
    Ok(())
}

async fn pushed_rise(cx: &Cx) -> Outcome {
    const PUBLISHERS: usize = 12;
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let first = told(cx, &queue, &mut subscriber, 3).await?;
    // What is replayed is past.
    let _ =
        cx.send(with_body(queue.operation(cx, Action::ReplayMessage, &[&first[1].id]), &json!({}))).await?;
    let publishers = try_join_all((0..PUBLISHERS).map(|_| async {
        let token = json!(cx.token(16));
        let seen = cx.http().send(queue.publish(cx, &token)).await?;
        cx.need(QUEUE_PUBLISH_1, &seen, &[succeeded()])?;
        Ok(token)
    }));
    let (published, found) = try_join(publishers, subscriber.gather(cx, PUBLISHERS)).await?;
    let (before, wanted) = (first[2].offset, published);
    let rise = alternative("what was published at once, with offsets that rise strictly", {
        move |messages: &Vec<Value>| {
            let all: Vec<i64> = [before].into_iter().chain(offsets(messages)).collect();
            let found = payloads(messages);
            all.is_sorted_by(|one, next| one < next) && wanted.iter().all(|token| found.contains(token))
        }
    });
    cx.expect(QUEUE_OFFSETS_4, &found, &[rise])?;
    let came = subscriber.quiet(Duration::from_millis(50)).await?;
    cx.expect(
        QUEUE_OFFSETS_4,
        &came.map(|came| came.map_or_else(String::new, |came| came.shown())),
        &[alternative("nothing more", String::is_empty)],
    )?;
    Ok(())
}

async fn pushed_as_consumed(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let key = json!(cx.token(12));
    let bodies = [
        json!({}),
        json!({"partition_key": key}),
        json!({"partition_key": key}),
        json!({"metadata": {"offset": 0}}),
        json!({"idempotency_key": key, "ttl_seconds": 600}),
    ];
    let mut live = Vec::new();
    for mut body in bodies {
        body["payload"] = json!(cx.token(16));
        queue.published_with(cx, body).await?;
        live.push(subscriber.gather(cx, 1).await?);
    }
    same_place(cx, &queue, PUBSUB, Seen::all(live).map(|all| all.concat())).await?;
    let client = Client::leaving(subscriber).await?;
    let again = client.back(cx, &queue, -1).await?.gather(cx, 5).await?;
    same_place(cx, &queue, PUBSUB, again).await?;
    // And on a queue of the other type.
    let queue = Queue::create(cx, WORKER).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    for token in tokens(cx, 3) {
        queue.published(cx, token).await?;
    }
    let found = subscriber.gather(cx, 3).await?;
    same_place(cx, &queue, WORKER, found).await
}

/// Claims that messages were pushed with the offsets that consume tells for them.
async fn same_place(cx: &Cx, queue: &Queue, kind: &str, messages: Seen<Vec<Value>>) -> Outcome {
    let both = messages.and(queue.content(cx).await?);
    // A worker queue whose pushes deliver (QUEUE-PUSH-9) need not know any more what is delivered.
    let may_be_gone = kind == WORKER;
    let same = alternative(
        "the offset that consume tells, for each message",
        move |(found, content): &(Vec<Value>, Vec<Value>)| {
            !found.is_empty()
                && found.iter().all(|message| {
                    let place = content.iter().find(|one| one["payload"] == message["payload"]);
                    message["offset"].as_i64().is_some_and(|at| at >= 0)
                        && place.map_or(may_be_gone, |place| place["offset"] == message["offset"])
                })
        },
    );
    cx.expect(QUEUE_OFFSETS_5, &both, &[same])?;
    Ok(())
}

/// The next offset, of which `before` is the one before.
async fn behind(cx: &Cx, queue: &Queue, before: &mut i64) -> Outcome<Seen<Offsets>> {
    *before += 1;
    next(cx, queue).await
}

async fn refused(cx: &Cx) -> Outcome {
    /// The greatest size of a payload.
    const MOST: usize = 1_048_576;
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut wanted = 0;
    cx.need(QUEUE_OFFSETS_2, &next(cx, &queue).await?, &[are([wanted])])?;
    let long = json!("x".repeat(MOST - 1));
    let batch = |messages: Vec<Value>| {
        with_body(queue.operation(cx, Action::Batch, &[]), &json!({"messages": messages}))
    };
    // Each twice: also a server that gives it back at first may not do so later.
    for round in 1..3 {
        let mut seen = vec![cx.send(queue.publish(cx, &long)).await?];
        cx.expect(QUEUE_OFFSETS_6, &behind(cx, &queue, &mut wanted).await?, &[are([wanted])])?;
        seen.push(cx.send_broken(batch(Vec::new())).await?);
        seen.push(cx.send_broken(batch(vec![json!({"payload": cx.token(4)}); 1_001])).await?);
        seen.push(cx.stranger().send(queue.publish(cx, &json!(cx.token(16)))).await?);
        cx.expect(QUEUE_OFFSETS_6, &behind(cx, &queue, &mut wanted).await?, &[are([wanted])])?;
        for seen in &seen {
            // With which status others claim.
            let no = alternative(format!("a refusal, in round {round}"), |reply: &Response| {
                (400..500).contains(&reply.status) && value(reply)["success"] != true
            });
            cx.need(QUEUE_PUBLISH_16, seen, &[no])?;
        }
    }
    cx.expect(QUEUE_OFFSETS_6, &retained(cx, &queue).await?, &[are(0..=wanted)])?;
    Ok(())
}

async fn never_twice(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let mut ids = Vec::new();
        for published in queue.published_many(cx, 4).await? {
            ids.push(published.id);
        }
        // The newest, twice; then one in the middle; then all that are left.
        for (gone, wanted) in [(vec![3], 4), (vec![4], 5), (vec![1], 6), (vec![0, 2, 5, 6], 7)] {
            for index in gone {
                let id: &String = &ids[index];
                queue.done(cx, Action::DeleteMessage, &[id]).await?;
            }
            let seen = cx.send(queue.publish(cx, &json!(cx.token(16)))).await?;
            let reply = cx.need(QUEUE_PUBLISH_1, &seen, &[succeeded()])?;
            ids.push(text(&data(reply, "message"), "id").to_owned());
            let told = seen.clone().map(|reply| Offsets(offsets(&[data(&reply, "message")])));
            cx.expect(QUEUE_OFFSETS_7, &told, &[are([wanted])])?;
            let newest = retained(cx, &queue)
                .await?
                .map(|Offsets(all)| Offsets(all.last().copied().into_iter().collect()));
            cx.expect(QUEUE_OFFSETS_7, &newest, &[are([wanted])])?;
        }
    }
    // What was acknowledged was there too.
    let queue = Queue::create(cx, WORKER).await?;
    for wanted in 0..3 {
        cx.expect(QUEUE_OFFSETS_7, &next(cx, &queue).await?, &[are([wanted])])?;
        let message = queue.received(cx).await?;
        queue.done(cx, Action::Ack, &[text(&message, "id")]).await?;
    }
    Ok(())
}

/// That what stands for an offset is a whole number from -1 on that a double holds exactly.
fn is_whole(offset: &Value) -> bool {
    // 3.0 is a whole number too.
    offset
        .as_f64()
        .is_some_and(|number| number.fract() == 0.0 && (-1.0..=9_007_199_254_740_991.0).contains(&number))
}

/// Claims this of each of some offsets, of which there is at least one.
fn all_whole(cx: &Cx, offsets: &Seen<Vec<Value>>) -> Outcome {
    let whole =
        alternative("a whole number from -1 to 9007199254740991 in each place", |all: &Vec<Value>| {
            !all.is_empty() && all.iter().all(is_whole)
        });
    cx.expect(QUEUE_OFFSETS_8, offsets, &[whole])?;
    Ok(())
}

async fn whole(cx: &Cx) -> Outcome {
    let of = |messages: &[Value]| messages.iter().map(|one| one["offset"].clone()).collect::<Vec<_>>();
    for kind in [PUBSUB, WORKER] {
        let queue = proven(cx, kind).await?;
        let mut subscriber = match kind {
            PUBSUB => Some(Subscriber::join(cx, &queue).await?),
            _ => None,
        };
        if let Some(subscriber) = &mut subscriber {
            pushed_back(cx, &queue, subscriber).await?;
        }
        let seen = cx.send(queue.publish(cx, &json!(cx.token(16)))).await?;
        let id = text(&data(cx.need(QUEUE_PUBLISH_1, &seen, &[succeeded()])?, "message"), "id").to_owned();
        all_whole(cx, &seen.map(|reply| of(&[data(&reply, "message")])))?;
        if let Some(subscriber) = &mut subscriber {
            let found =
                subscriber.pushes(cx, 1).await?.map(|pushes| pushed(&pushes).cloned().collect::<Vec<_>>());
            all_whole(cx, &found.map(|messages| of(&messages)))?;
        }
        let body = json!({"payload": cx.token(16)});
        let later = with_body(queue.operation(cx, Action::Publish, &[]), &body);
        let batch = with_body(queue.operation(cx, Action::Batch, &[]), &json!({"messages": [body]}));
        let one = [
            later,
            queue.operation(cx, Action::GetMessage, &[&id]),
            queue.operation(cx, Action::MessageAt, &["0"]),
        ];
        for request in one {
            let seen = cx.send(request).await?;
            cx.need(QUEUE_CONSUME_10, &seen, &[succeeded()])?;
            all_whole(cx, &seen.map(|reply| of(&[data(&reply, "message")])))?;
        }
        let many = [batch, queue.consume(cx, 0), queue.operation(cx, Action::ListMessages, &[])];
        for request in many {
            let seen = cx.send(request).await?;
            cx.need(QUEUE_CONSUME_1, &seen, &[succeeded()])?;
            all_whole(cx, &seen.map(|reply| of(&list(&reply, "messages"))))?;
        }
        for action in [Action::Head, Action::Tail] {
            let seen = cx.send(queue.operation(cx, action, &[])).await?;
            cx.need(QUEUE_CONSUME_6, &seen, &[succeeded()])?;
            all_whole(cx, &seen.map(|reply| vec![data(&reply, "offset")]))?;
        }
    }
    let queue = Queue::create(cx, WORKER).await?;
    queue.published(cx, json!(cx.token(16))).await?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.need(QUEUE_LEASES_1, &seen, &[succeeded()])?;
    all_whole(cx, &seen.map(|reply| of(&[data(&reply, "message")])))?;
    Ok(())
}
