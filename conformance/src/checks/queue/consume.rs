//! Checks of "Consume" in spec/queue.md.

mod one;
mod pages;
mod states;

pub(super) use pages::in_pages;

use super::setting::{
    PUBSUB, Queue, WORKER, data, list, not_found, nowhere_found, offsets, payloads, succeeded, succeeded_and,
    text, with_body,
};
use crate::{
    check::{Alternative, Check, Cx, Outcome, Waits, alternative},
    drives,
    wire::Seen,
};
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/consume/from-an-offset", &[QUEUE_CONSUME_1, QUEUE_CONSUME_2], drives!(from_an_offset)),
    Check::new("queue/consume/limit", &[QUEUE_CONSUME_3, QUEUE_CONSUME_17], drives!(limit)),
    Check::new("queue/consume/much", &[QUEUE_CONSUME_17], drives!(much)),
    Check::new("queue/consume/changes-nothing", &[QUEUE_CONSUME_4], drives!(changes_nothing)),
    Check::new("queue/consume/nothing-there", &[QUEUE_CONSUME_5], drives!(nothing_there)),
    Check::new("queue/consume/head-and-tail", &[QUEUE_CONSUME_6, QUEUE_CONSUME_7], drives!(head_and_tail)),
    Check::new(
        "queue/consume/head-and-tail-expired",
        &[QUEUE_CONSUME_6, QUEUE_CONSUME_7],
        drives!(head_and_tail_expired),
    )
    .waits(Waits::Millis(400)),
    Check::new("queue/consume/head-and-tail-of-nothing", &[QUEUE_CONSUME_8], drives!(of_nothing)),
    Check::new("queue/consume/no-queue", &[QUEUE_CONSUME_9], drives!(no_queue)),
    Check::new("queue/consume/head-no-queue", &[QUEUE_CONSUME_13], drives!(head_no_queue)),
    Check::new("queue/consume/by-id", &[QUEUE_CONSUME_10], drives!(one::by_id)),
    Check::new("queue/consume/by-offset", &[QUEUE_CONSUME_14], drives!(one::by_offset)),
    Check::new("queue/consume/other-id", &[QUEUE_CONSUME_11], drives!(one::other_id)),
    Check::new("queue/consume/other-offset", &[QUEUE_CONSUME_20], drives!(one::other_offset)),
    Check::new("queue/consume/delete-other-id", &[QUEUE_CONSUME_21], drives!(one::delete_other_id)),
    Check::new("queue/consume/replay-other-id", &[QUEUE_CONSUME_22], drives!(one::replay_other_id)),
    Check::new("queue/consume/deleted", &[QUEUE_CONSUME_12], drives!(one::deleted)),
    Check::new("queue/consume/odd-ids", &[QUEUE_CONSUME_23], drives!(one::odd_ids)),
    Check::new("queue/consume/replayed-early", &[QUEUE_CONSUME_15], drives!(states::replayed_early)),
    Check::new("queue/consume/replayed", &[QUEUE_CONSUME_16], drives!(states::replayed)),
    Check::new("queue/consume/listed-by-state", &[QUEUE_CONSUME_18], drives!(states::listed)),
    Check::new("queue/consume/pages", &[QUEUE_CONSUME_24, QUEUE_CONSUME_25], drives!(pages::of_messages)),
    Check::new("queue/consume/listed-as-completed", &[QUEUE_CONSUME_19], drives!(states::completed)),
];

/// A request about a queue.
type Asks = fn(&Cx, &Queue) -> Request;

/// A request of an operation on a queue whose last argument names a message or an offset.
fn of(cx: &Cx, queue: &Queue, action: Action, argument: &str) -> Request {
    queue.operation(cx, action, &[argument])
}

/// Publishes so many messages in batches, as set-up, and reads them.
async fn filled(cx: &Cx, kind: &str, count: usize) -> Outcome<(Queue, Vec<Value>)> {
    let queue = Queue::create(cx, kind).await?;
    let sent: Vec<Value> = (0..count).map(|at| json!(format!("{at} {}", cx.token(8)))).collect();
    let messages: Vec<Value> = sent.iter().map(|payload| json!({"payload": payload})).collect();
    let batch = queue.operation(cx, Action::Batch, &[]);
    let reply = cx.send(with_body(batch, &json!({"messages": messages}))).await?;
    cx.need(QUEUE_PUBLISH_35, &reply, &[succeeded()])?;
    let read = super::publish::soon(cx, &queue, count).await?;
    let all = alternative("what was published", move |read: &Vec<Value>| payloads(read) == sent);
    let messages = cx.need(QUEUE_PUBLISH_35, &read, &[all])?.clone();
    Ok((queue, messages))
}

/// Removes a message, as set-up.
async fn removed(cx: &Cx, queue: &Queue, message: &Value) -> Outcome {
    let reply = cx.send(of(cx, queue, Action::DeleteMessage, text(message, "id"))).await?;
    cx.need(QUEUE_CONSUME_12, &reply, &[succeeded()])?;
    Ok(())
}

/// What an answer has of messages: their offsets and payloads.
fn told(messages: &[Value]) -> Vec<(i64, Value)> {
    offsets(messages).into_iter().zip(payloads(messages)).collect()
}

async fn from_an_offset(cx: &Cx) -> Outcome {
    for (kind, count) in [(PUBSUB, 7), (WORKER, 5)] {
        let queue = Queue::create(cx, kind).await?;
        let mut sent = Vec::new();
        for message in queue.published_many(cx, count).await? {
            sent.push((message.offset, message.payload, message.id));
        }
        // First with all, then without the second and third, then without the first too.
        for without in [vec![], vec![1, 2], vec![0]] {
            for at in &without {
                let (_, _, id) = &sent[*at];
                let reply = cx.send(of(cx, &queue, Action::DeleteMessage, id)).await?;
                cx.need(QUEUE_CONSUME_12, &reply, &[succeeded()])?;
            }
            let mut at = 0;
            sent.retain(|_| {
                at += 1;
                !without.contains(&(at - 1))
            });
            for (number, (from, payload, _)) in sent.iter().enumerate() {
                for limit in [None, Some(3)] {
                    let request = queue.consume(cx, *from);
                    let request = match limit {
                        Some(limit) => request.param("limit", limit.to_string()),
                        None => request,
                    };
                    let reply = cx.send(request).await?;
                    let (from, payload) = (*from, payload.clone());
                    let it_first =
                        succeeded_and(&format!("the message of the offset {from} first"), move |r| {
                            told(&list(r, "messages")).first() == Some(&(from, payload.clone()))
                        });
                    cx.expect(QUEUE_CONSUME_1, &reply, &[it_first])?;
                    let rest: Vec<(i64, Value)> = sent[number..]
                        .iter()
                        .map(|(offset, payload, _)| (*offset, payload.clone()))
                        .collect();
                    let all = alternative("rising offsets without a gap", move |read: &Vec<Value>| {
                        rest.starts_with(&told(read))
                    });
                    let read = reply.map(|reply| list(&reply, "messages"));
                    cx.expect(QUEUE_CONSUME_2, &read, &[all])?;
                }
            }
        }
    }
    Ok(())
}

/// That an answer has so many messages, which begin at this offset.
fn so_many(count: usize, from: i64) -> Alternative<Response> {
    succeeded_and(&format!("{count} messages from {from} on"), move |r| {
        let messages = list(r, "messages");
        messages.len() == count && offsets(&messages).first() == Some(&from)
    })
}

async fn limit(cx: &Cx) -> Outcome {
    let (queue, _) = filled(cx, PUBSUB, 105).await?;
    for (from, limit) in [(0, 1), (3, 1), (0, 2), (40, 10), (0, 64), (1, 99), (0, 100), (5, 100)] {
        let reply = cx.send(queue.consume(cx, from).param("limit", limit.to_string())).await?;
        let no_more = succeeded_and(&format!("at most {limit} messages, and one at least"), move |r| {
            (1..=limit).contains(&list(r, "messages").len())
        });
        cx.expect(QUEUE_CONSUME_3, &reply, &[no_more])?;
        cx.expect(QUEUE_CONSUME_17, &reply, &[so_many(limit, from)])?;
    }
    // Of what is less than the limit, all.
    let reply = cx.send(queue.consume(cx, 95).param("limit", "100")).await?;
    cx.expect(QUEUE_CONSUME_17, &reply, &[so_many(10, 95)])?;
    let reply = cx.send(queue.consume(cx, 0).param("limit", "101")).await?;
    let no_more = succeeded_and("at most 101 messages", |r| (1..=101).contains(&list(r, "messages").len()));
    cx.expect(QUEUE_CONSUME_3, &reply, &[no_more])?;
    Ok(())
}

async fn much(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    // With its metadata each has a fourth of 1048576 bytes, or a little less.
    for _ in 0..4 {
        let payload = format!("{} {}", cx.token(8), "a".repeat(200_000));
        let metadata = json!({"m": "b".repeat(60_000)});
        queue.published_with(cx, json!({"payload": payload, "metadata": metadata})).await?;
    }
    for limit in [4, 3, 100] {
        let reply = cx.send(queue.consume(cx, 0).param("limit", limit.to_string())).await?;
        cx.expect(QUEUE_CONSUME_17, &reply, &[so_many(limit.min(4), 0)])?;
    }
    Ok(())
}

async fn changes_nothing(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let (queue, messages) = filled(cx, kind, 4).await?;
        let states = async || -> Outcome<Seen<Vec<Value>>> {
            let mut states = Vec::new();
            for message in &messages {
                let seen = cx.send(of(cx, &queue, Action::GetMessage, text(message, "id"))).await?;
                cx.need(QUEUE_CONSUME_10, &seen, &[succeeded()])?;
                states.push(seen.map(|reply| data(&reply, "message")["state"].take()));
            }
            Ok(Seen::all(states))
        };
        let before = states().await?;
        let before = cx.need(QUEUE_CONSUME_10, &before, &[alternative("states", |_: &Vec<Value>| true)])?;
        for (from, limit) in [(0, 10), (0, 10), (1, 2), (0, 1), (1, 2), (0, 10)] {
            let reply = cx.send(queue.consume(cx, from).param("limit", limit.to_string())).await?;
            let expected: Vec<(i64, Value)> =
                told(&messages).into_iter().filter(|(at, _)| (from..from + limit).contains(at)).collect();
            let again = succeeded_and("what is there", move |r| told(&list(r, "messages")) == expected);
            cx.expect(QUEUE_CONSUME_4, &reply, &[again])?;
        }
        let before = before.clone();
        let the_same = alternative("the states that they had", move |now: &Vec<Value>| *now == before);
        cx.expect(QUEUE_CONSUME_4, &states().await?, &[the_same])?;
        if kind == WORKER {
            let mut received = Vec::new();
            for _ in &messages {
                let seen = cx.send(queue.receive(cx)).await?;
                received.push(seen.map(|reply| data(&reply, "message")["offset"].take()));
            }
            let each = alternative("each of them", |offsets: &Vec<Value>| {
                let mut found: Vec<i64> = offsets.iter().filter_map(Value::as_i64).collect();
                found.sort_unstable();
                found == [0, 1, 2, 3]
            });
            cx.expect(QUEUE_CONSUME_4, &Seen::all(received), &[each])?;
        }
    }
    Ok(())
}

async fn nothing_there(cx: &Cx) -> Outcome {
    let none = || succeeded_and("no message", |r| data(r, "messages").as_array().is_some_and(Vec::is_empty));
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        cx.expect(QUEUE_CONSUME_5, &cx.send(queue.consume(cx, 0)).await?, &[none()])?;
        let messages = queue.published_many(cx, 3).await?;
        // They are there: an answer without messages is no habit.
        let read = queue.content(cx).await?;
        let all = alternative("three messages", |read: &Vec<Value>| read.len() == 3);
        cx.need(QUEUE_PUBLISH_1, &read, &[all])?;
        for request in [queue.consume(cx, 3), queue.consume(cx, 3).param("limit", "10")] {
            cx.expect(QUEUE_CONSUME_5, &cx.send(request).await?, &[none()])?;
        }
        // The newest go, one after the other.
        for message in messages.iter().rev() {
            let reply = cx.send(of(cx, &queue, Action::DeleteMessage, &message.id)).await?;
            cx.need(QUEUE_CONSUME_12, &reply, &[succeeded()])?;
            for from in message.offset..=3 {
                cx.expect(QUEUE_CONSUME_5, &cx.send(queue.consume(cx, from)).await?, &[none()])?;
            }
        }
    }
    Ok(())
}

/// That an answer tells this offset.
fn at(offset: i64) -> Alternative<Response> {
    succeeded_and(&format!("the offset {offset}"), move |r| data(r, "offset") == offset)
}

async fn ends(cx: &Cx, queue: &Queue, head: i64, tail: i64) -> Outcome {
    cx.expect(QUEUE_CONSUME_6, &cx.send(queue.operation(cx, Action::Head, &[])).await?, &[at(head)])?;
    cx.expect(QUEUE_CONSUME_7, &cx.send(queue.operation(cx, Action::Tail, &[])).await?, &[at(tail)])?;
    Ok(())
}

async fn head_and_tail(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let mut messages = Vec::new();
        for at in 0..6 {
            messages.extend(queue.published_many(cx, 1).await?);
            ends(cx, &queue, 0, at).await?;
        }
        // From within, from behind and from before, until one is left.
        for (remove, head, tail) in [(2, 0, 5), (5, 0, 4), (0, 1, 4), (1, 3, 4), (4, 3, 3)] {
            let reply = cx.send(of(cx, &queue, Action::DeleteMessage, &messages[remove].id)).await?;
            cx.need(QUEUE_CONSUME_12, &reply, &[succeeded()])?;
            ends(cx, &queue, head, tail).await?;
        }
        queue.published_many(cx, 1).await?;
        ends(cx, &queue, 3, 6).await?;
    }
    Ok(())
}

async fn head_and_tail_expired(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let soon = |token: String| json!({"payload": token, "ttl_seconds": 0.05});
    queue.published_with(cx, soon(cx.token(8))).await?;
    queue.published_many(cx, 2).await?;
    queue.published_with(cx, soon(cx.token(8))).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Where an expiry is late, what consume tells is retained for head and tail as well.
    let read = queue.content(cx).await?;
    let two = alternative("what has not expired", |read: &Vec<Value>| {
        [1, 2].iter().all(|offset| offsets(read).contains(offset))
    });
    let told = offsets(cx.need(QUEUE_CONSUME_1, &read, &[two])?);
    let (first, last) = (told.first().copied().unwrap_or(1), told.last().copied().unwrap_or(2));
    let head = cx.send(queue.operation(cx, Action::Head, &[])).await?;
    cx.expect(QUEUE_CONSUME_6, &head, &[at(1), at(first)])?;
    let tail = cx.send(queue.operation(cx, Action::Tail, &[])).await?;
    cx.expect(QUEUE_CONSUME_7, &tail, &[at(2), at(last)])?;
    Ok(())
}

async fn of_nothing(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        // A queue to which nothing was published, and one in which nothing is left.
        let empty = Queue::create(cx, kind).await?;
        let (left, messages) = filled(cx, kind, 3).await?;
        for message in &messages {
            removed(cx, &left, message).await?;
        }
        for (queue, next) in [(&empty, 0), (&left, 3)] {
            for action in [Action::Head, Action::Tail] {
                let reply = cx.send(queue.operation(cx, action, &[])).await?;
                let mut outcomes: Vec<Alternative<Response>> = not_found();
                outcomes.extend([-1, 0, next, next - 1].map(at));
                cx.expect(QUEUE_CONSUME_8, &reply, &outcomes)?;
            }
        }
    }
    Ok(())
}

async fn no_queue(cx: &Cx) -> Outcome {
    let consumes: [Asks; 2] =
        [|cx, queue| queue.consume(cx, 0), |cx, queue| queue.consume(cx, 1).param("limit", "10")];
    for consume in consumes {
        nowhere_found(cx, QUEUE_CONSUME_9, PUBSUB, (QUEUE_CONSUME_1, consume)).await?;
    }
    nowhere_found(cx, QUEUE_CONSUME_9, WORKER, (QUEUE_CONSUME_1, consumes[0])).await
}

async fn head_no_queue(cx: &Cx) -> Outcome {
    let ends: [(RequirementId, Asks); 2] = [
        (QUEUE_CONSUME_6, |cx, queue| queue.operation(cx, Action::Head, &[])),
        (QUEUE_CONSUME_7, |cx, queue| queue.operation(cx, Action::Tail, &[])),
    ];
    for end in ends {
        nowhere_found(cx, QUEUE_CONSUME_13, PUBSUB, end).await?;
        nowhere_found(cx, QUEUE_CONSUME_13, WORKER, end).await?;
    }
    Ok(())
}
