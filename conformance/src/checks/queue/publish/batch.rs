//! Several messages in one request.

use super::{batch_of, has, limit_sized, messages_of, publish_text, soon};
use crate::{
    check::{Alternative, Breaks, Cx, Outcome, alternative},
    checks::queue::setting::{
        PUBSUB, Queue, WORKER, data, invalid, list, payloads, proven, succeeded, succeeded_and, text, value,
    },
};
use serde_json::{Value, json};
use wireproof_spec::{http::Response, queue::requirements::*};

/// The greatest number of messages that a batch may have.
const MOST: usize = 1000;

/// So many messages, with tokens as payloads.
fn tokens(cx: &Cx, count: usize) -> Vec<Value> {
    (0..count).map(|at| json!({"payload": format!("{at} {}", cx.token(8))})).collect()
}

fn sent(messages: &[Value]) -> Vec<Value> {
    messages.iter().map(|message| message["payload"].clone()).collect()
}

pub(super) async fn of_one(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let mut all = Vec::new();
        for _ in 0..2 {
            let messages = tokens(cx, 1);
            let reply = cx.send(batch_of(cx, &queue, &messages)).await?;
            let one = succeeded_and("one message", |r| list(r, "messages").len() == 1);
            cx.expect(QUEUE_PUBLISH_27, &reply, &[one])?;
            all.extend(sent(&messages));
            cx.expect(QUEUE_PUBLISH_27, &soon(cx, &queue, all.len()).await?, &[has(&all)])?;
        }
    }
    Ok(())
}

pub(super) async fn of_many(cx: &Cx) -> Outcome {
    for (kind, count, filling) in [(WORKER, 999, 0), (PUBSUB, MOST, 1900), (PUBSUB, 2, 500_000)] {
        let queue = Queue::create(cx, kind).await?;
        let mut messages = tokens(cx, count);
        if filling > 0 {
            for message in &mut messages {
                let payload = format!("{} {}", text(message, "payload"), "a".repeat(filling));
                message["payload"] = json!(payload);
            }
        }
        let reply = cx.send(batch_of(cx, &queue, &messages)).await?;
        let all = succeeded_and(&format!("{count} messages"), move |r| list(r, "messages").len() == count);
        cx.expect(QUEUE_PUBLISH_35, &reply, &[all])?;
        let read = soon(cx, &queue, count).await?.map(|read| payloads(&read));
        let sent = sent(&messages);
        let each = alternative("each of them", move |read: &Vec<Value>| {
            let mut read: Vec<&str> = read.iter().filter_map(Value::as_str).collect();
            let mut sent: Vec<&str> = sent.iter().filter_map(Value::as_str).collect();
            read.sort_unstable();
            sent.sort_unstable();
            read == sent
        });
        cx.expect(QUEUE_PUBLISH_35, &read, &[each])?;
    }
    Ok(())
}

pub(super) async fn of_none(cx: &Cx) -> Outcome {
    cx.refused(
        QUEUE_PUBLISH_28,
        Breaks::Form,
        |cx| proven(cx, PUBSUB),
        |queue| batch_of(cx, queue, &[json!({"payload": "one more"})]),
        |queue, request| *request = batch_of(cx, queue, &[]),
        (QUEUE_PUBLISH_27, &[succeeded()]),
        &invalid(),
    )
    .await
}

pub(super) async fn of_too_many(cx: &Cx) -> Outcome {
    let messages: Vec<Value> = (0..=MOST).map(|at| json!({"payload": at})).collect();
    cx.refused(
        QUEUE_PUBLISH_29,
        Breaks::Form,
        |cx| proven(cx, PUBSUB),
        |queue| batch_of(cx, queue, &messages[..MOST]),
        |queue, request| *request = batch_of(cx, queue, &messages),
        (QUEUE_PUBLISH_35, &[succeeded()]),
        &invalid(),
    )
    .await?;
    let queue = Queue::create(cx, PUBSUB).await?;
    let token = json!(cx.token(16));
    queue.published(cx, token.clone()).await?;
    let reply = cx.send_broken(batch_of(cx, &queue, &messages)).await?;
    cx.expect(QUEUE_PUBLISH_29, &reply, &invalid())?;
    // What is published behind it stands where its first message would have stood.
    let behind = queue.published(cx, json!(cx.token(16))).await?;
    let none = [token, behind.payload];
    cx.expect(QUEUE_PUBLISH_29, &queue.content(cx).await?, &[has(&none)])?;
    Ok(())
}

pub(super) async fn in_order(cx: &Cx) -> Outcome {
    for (kind, count) in [(PUBSUB, 2), (WORKER, 7), (PUBSUB, 300)] {
        let queue = Queue::create(cx, kind).await?;
        let mut all = Vec::new();
        for round in 0..2 {
            // Nothing of what they say is in order.
            let mut messages = tokens(cx, count);
            for (at, message) in messages.iter_mut().enumerate() {
                message["payload"] = json!(format!("{} {at}", cx.token(8)));
                if round == 1 && at % 2 == 0 {
                    message["partition_key"] = json!(cx.token(4));
                }
            }
            let reply = cx.send(batch_of(cx, &queue, &messages)).await?;
            cx.need(QUEUE_PUBLISH_35, &reply, &[succeeded()])?;
            let sent = sent(&messages);
            all.extend(sent.clone());
            let answered = alternative("its messages in the order of the request", {
                let sent = sent.clone();
                move |told: &Vec<Value>| payloads(told) == sent
            });
            let told = messages_of(reply);
            cx.expect(QUEUE_PUBLISH_30, &told, &[answered])?;
            let rises = alternative("the messages in the order of the request", {
                let all = all.clone();
                move |read: &Vec<Value>| {
                    let offsets = super::super::setting::offsets(read);
                    payloads(read) == all && offsets.is_sorted_by(|a, b| a < b)
                }
            });
            cx.expect(QUEUE_PUBLISH_30, &soon(cx, &queue, all.len()).await?, &[rises])?;
        }
    }
    Ok(())
}

pub(super) async fn one_refused(cx: &Cx) -> Outcome {
    let too_great = json!({"payload": "a".repeat(limit_sized())});
    // What else publish refuses it may refuse here; whether it does is asked first.
    let others = [
        json!({"payload": "bad", "ttl_seconds": -1}),
        json!({"payload": "bad", "idempotency_key": "k".repeat(257)}),
    ];
    let twin = proven(cx, PUBSUB).await?;
    let mut bad = vec![(too_great, vec![1])];
    for other in others {
        let reply = cx.send_broken(publish_text(cx, &twin, other.to_string(), true)).await?;
        if reply.look().is_ok_and(|reply| invalid().iter().any(|refused| refused.holds(reply))) {
            bad.push((other, vec![0, 1, 2, 3]));
        }
    }
    for (bad, places) in bad {
        for place in places {
            with_bad(cx, &bad, place).await?;
        }
    }
    Ok(())
}

/// Claims what becomes of a batch with this message in this place.
async fn with_bad(cx: &Cx, bad: &Value, place: usize) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let twin = cx.send(batch_of(cx, &queue, &tokens(cx, 3))).await?;
    cx.need(QUEUE_PUBLISH_35, &twin, &[succeeded()])?;
    let read = soon(cx, &queue, 3).await?;
    let before = alternative("three messages", |read: &Vec<Value>| read.len() == 3);
    let before = sent(cx.need(QUEUE_PUBLISH_35, &read, &[before])?);

    let mut messages = tokens(cx, 3);
    let good = sent(&messages);
    messages.insert(place, bad.clone());
    let request = batch_of(cx, &queue, &messages);
    // To our own decoder a payload that is too long is one like every other.
    let reply = match bad.as_object().is_some_and(|bad| bad.len() > 1) {
        true => cx.send_broken(request).await?,
        false => cx.send(request).await?,
    };
    let mut outcomes: Vec<Alternative<Response>> =
        vec![succeeded_and("its index in failed", move |r| value(r)["data"]["failed"] == json!([place]))];
    outcomes.extend(invalid());
    let taken = succeeded().holds(cx.expect(QUEUE_PUBLISH_31, &reply, &outcomes)?);
    let all = if taken { [before, good].concat() } else { before };
    if taken {
        // It may be in the queue a moment later than it is answered.
        cx.expect(QUEUE_PUBLISH_31, &soon(cx, &queue, all.len()).await?, &[has(&all)])?;
    }
    let last = queue.published(cx, json!(cx.token(16))).await?;
    let all = [all, vec![last.payload]].concat();
    cx.expect(QUEUE_PUBLISH_31, &soon(cx, &queue, all.len()).await?, &[has(&all)])?;
    Ok(())
}

pub(super) async fn with_keys(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let (known, new) = (cx.token(8), cx.token(8));
        let first = queue.published_with(cx, json!({"payload": "first", "idempotency_key": known})).await?;
        let message = |payload: &str, key: Option<&str>| match key {
            Some(key) => json!({"payload": payload, "idempotency_key": key}),
            None => json!({"payload": payload}),
        };
        let mut all = vec![first.payload.clone()];
        for round in 0..2 {
            let fresh = [cx.token(8), cx.token(8), cx.token(8)];
            let messages = [
                message(&fresh[0], None),
                message("known", Some(&known)),
                message(&fresh[1], Some(&new)),
                message("again", Some(&new)),
                message(&fresh[2], None),
                message("known again", Some(&known)),
            ];
            let reply = cx.send(batch_of(cx, &queue, &messages)).await?;
            cx.need(QUEUE_PUBLISH_35, &reply, &[succeeded()])?;
            // In the second round the new key is known too.
            all.push(json!(fresh[0]));
            if round == 0 {
                all.push(json!(fresh[1]));
            }
            all.push(json!(fresh[2]));
            let read = soon(cx, &queue, all.len()).await?;
            cx.expect(QUEUE_PUBLISH_37, &read, &[has(&all)])?;
            let count = all.len();
            let no_gap = alternative("offsets without a gap", move |read: &Vec<Value>| {
                read.len() == count
                    && read.iter().zip(0..).all(|(message, offset)| message["offset"] == offset)
            });
            cx.expect(QUEUE_PUBLISH_37, &read, &[no_gap])?;
            if round == 0 {
                let id = first.id.clone();
                cx.expect(QUEUE_PUBLISH_38, &reply, &answered(id))?;
            }
        }
        let told = queue.told(cx).await?;
        let count = all.len();
        let next = alternative(format!("the next_offset {count}"), move |queue: &Value| {
            queue["next_offset"].as_u64() == u64::try_from(count).ok()
        });
        cx.expect(QUEUE_PUBLISH_37, &told, &[next])?;
    }
    Ok(())
}

/// What may be answered for the second message of a batch, which has the key of the message of this id.
fn answered(id: String) -> Vec<Alternative<Response>> {
    let has_it = move |r: &Response| list(r, "messages").iter().any(|message| text(message, "id") == id);
    let failed = |r: &Response| data(r, "failed").as_array().is_some_and(|failed| failed.contains(&json!(1)));
    let without = has_it.clone();
    vec![
        succeeded_and("its index in failed", failed),
        succeeded_and("the message that had the key before", has_it),
        succeeded_and("nothing of it", move |r| !without(r)),
    ]
}
