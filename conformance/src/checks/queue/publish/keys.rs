//! Keys under which a message is published no second time.

use super::{has, publish_text};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::setting::{
        PUBSUB, Queue, WORKER, data, invalid, list, payloads, succeeded, succeeded_and, text,
    },
    wire::Seen,
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, requirements::*},
};

/// A publish under this key.
fn keyed(cx: &Cx, queue: &Queue, key: &str, payload: &Value, sync: bool) -> Request {
    publish_text(cx, queue, json!({"payload": payload, "idempotency_key": key}).to_string(), sync)
}

pub(super) async fn same(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let keys = [cx.token(12), "\u{e9}".repeat(256), "k e/y?".into()];
        let mut firsts = Vec::new();
        let mut all = Vec::new();
        for key in &keys {
            let payload = json!({"token": cx.token(16)});
            let reply = cx.send(keyed(cx, &queue, key, &payload, true)).await?;
            let first = data(cx.need(QUEUE_PUBLISH_1, &reply, &[succeeded()])?, "message");
            firsts.push((key, payload.clone(), text(&first, "id").to_owned()));
            all.push(payload);
            // Others come in between.
            let between = queue.published(cx, json!(cx.token(16))).await?;
            all.push(between.payload);
        }
        cx.need(QUEUE_PUBLISH_1, &queue.content(cx).await?, &[has(&all)])?;
        // At once and again, in either way, with the same payload and with others; the last one first.
        for sync in [true, false] {
            for (key, payload, id) in firsts.iter().rev() {
                for payload in [payload.clone(), json!({"large": "a".repeat(3000)})] {
                    let reply = cx.send(keyed(cx, &queue, key, &payload, sync)).await?;
                    let id = id.clone();
                    let the_first = succeeded_and("the id of the message that has this key", move |r| {
                        text(&data(r, "message"), "id") == id
                    });
                    cx.expect(QUEUE_PUBLISH_21, &reply, &[the_first])?;
                }
            }
            let told = queue.told(cx).await?;
            let count = all.len();
            let as_before = alternative(format!("the next_offset {count}"), move |queue: &Value| {
                queue["next_offset"].as_u64() == u64::try_from(count).ok()
            });
            cx.expect(QUEUE_PUBLISH_22, &told, &[as_before])?;
            cx.expect(QUEUE_PUBLISH_22, &queue.content(cx).await?, &[has(&all)])?;
        }
        // What comes next has the next offset.
        let message = queue.published(cx, json!(cx.token(16))).await?;
        all.push(message.payload);
        let read = queue.content(cx).await?;
        cx.expect(QUEUE_PUBLISH_22, &read, &[has(&all)])?;
        let count = all.len();
        let no_gap = alternative("offsets without a gap", move |read: &Vec<Value>| {
            read.len() == count && read.iter().zip(0..).all(|(message, offset)| message["offset"] == offset)
        });
        cx.expect(QUEUE_PUBLISH_22, &read, &[no_gap])?;
    }
    Ok(())
}

pub(super) async fn other(cx: &Cx) -> Outcome {
    // Keys that differ in little are different keys.
    let queue = Queue::create(cx, PUBSUB).await?;
    let long = "k".repeat(255);
    let keys = [
        "key".into(),
        "Key".into(),
        "key ".into(),
        " key".into(),
        "key2".into(),
        format!("{long}a"),
        format!("{long}b"),
        "\u{e9}".into(),
        "e\u{301}".into(),
    ];
    let mut all = Vec::new();
    for key in &keys {
        let payload = json!(cx.token(16));
        let reply = cx.send(keyed(cx, &queue, key, &payload, true)).await?;
        cx.expect(QUEUE_PUBLISH_1, &reply, &[succeeded()])?;
        all.push(payload);
    }
    cx.expect(QUEUE_PUBLISH_1, &queue.content(cx).await?, &[has(&all)])?;
    // And the keys of another queue are its own: of each type, and of one that had the name before.
    for kind in [PUBSUB, WORKER, PUBSUB] {
        let other = Queue::create(cx, kind).await?;
        for life in 0..2 {
            let mut all = Vec::new();
            for key in &keys[..3] {
                let payload = json!(cx.token(16));
                let reply = cx.send(keyed(cx, &other, key, &payload, true)).await?;
                cx.expect(QUEUE_PUBLISH_24, &reply, &[succeeded()])?;
                all.push(payload);
            }
            cx.expect(QUEUE_PUBLISH_24, &other.content(cx).await?, &[has(&all)])?;
            if life == 0 {
                let gone = cx.send(other.operation(cx, Action::Delete, &[])).await?;
                cx.need(QUEUE_QUEUES_15, &gone, &[succeeded()])?;
                let anew = cx.send(other.creation(cx, kind, &json!({}))).await?;
                cx.need(QUEUE_QUEUES_1, &anew, &[succeeded()])?;
            }
        }
    }
    cx.expect(QUEUE_PUBLISH_24, &queue.content(cx).await?, &[has(&all)])?;
    Ok(())
}

pub(super) async fn race(cx: &Cx) -> Outcome {
    const RACERS: usize = 8;
    for round in 0..6 {
        let queue = Queue::create(cx, if round % 2 == 0 { PUBSUB } else { WORKER }).await?;
        let key = cx.token(12);
        let mut peers: Vec<_> = (0..RACERS).map(|_| cx.http()).collect();
        let payloads: Vec<Value> = (0..RACERS).map(|_| json!(cx.token(12))).collect();
        let sent = peers
            .iter_mut()
            .zip(&payloads)
            .map(|(peer, payload)| peer.send(keyed(cx, &queue, &key, payload, round != 4)));
        let replies = Seen::all(try_join_all(sent).await?);
        let read = super::soon(cx, &queue, 1).await?;
        let one: Alternative<(Vec<Response>, Vec<Value>)> = alternative(
            "one message, and its id in each answer that succeeded",
            |(replies, read): &(Vec<Response>, Vec<Value>)| {
                let told: BTreeSet<String> = replies
                    .iter()
                    .filter(|reply| succeeded().holds(reply))
                    .map(|reply| text(&data(reply, "message"), "id").to_owned())
                    .collect();
                read.len() == 1 && told.len() == 1 && told.contains(text(&read[0], "id"))
            },
        );
        cx.expect(QUEUE_PUBLISH_23, &replies.and(read), &[one])?;
    }
    Ok(())
}

pub(super) async fn empty(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let token = json!(cx.token(16));
    queue.published(cx, token.clone()).await?;
    cx.need(QUEUE_PUBLISH_1, &queue.content(cx).await?, &[has(std::slice::from_ref(&token))])?;
    let mut taken = Vec::new();
    for _ in 0..2 {
        let payload = json!(cx.token(16));
        let reply = cx.send(keyed(cx, &queue, "", &payload, true)).await?;
        let mut outcomes = vec![succeeded()];
        outcomes.extend(invalid());
        if succeeded().holds(cx.expect(QUEUE_PUBLISH_39, &reply, &outcomes)?) {
            taken.push(payload);
        }
    }
    let read = cx.send(queue.consume(cx, 0)).await?;
    cx.need(QUEUE_CONSUME_1, &read, &[succeeded()])?;
    let read = read.map(|reply| payloads(&list(&reply, "messages")));
    let behind = |payloads: &[Value]| [std::slice::from_ref(&token), payloads].concat();
    let (none, one, both) = (behind(&[]), behind(&taken[..taken.len().min(1)]), behind(&taken));
    let refused = taken.is_empty();
    let outcomes = [
        alternative("nothing of what was refused", move |read: &Vec<Value>| refused && *read == none),
        alternative("one message for the key", move |read: &Vec<Value>| !refused && *read == one),
        alternative("both, as if there were no key", move |read: &Vec<Value>| !refused && *read == both),
    ];
    cx.expect(QUEUE_PUBLISH_39, &read, &outcomes)?;
    Ok(())
}
