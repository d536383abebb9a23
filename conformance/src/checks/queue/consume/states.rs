//! Messages by their states, and what makes them pending again.

use super::{filled, of};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::setting::{Queue, WORKER, data, invalid, list, refused, succeeded, succeeded_and, text},
    wire::Seen,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use wireproof_spec::{
    http::Response,
    queue::{Action, requirements::*},
};

/// That a replay succeeded or was refused, as it may be.
fn replayed_or_not() -> Vec<Alternative<Response>> {
    vec![succeeded(), refused(404).into(), refused(409).into()]
}

/// Acknowledges a message, as set-up.
async fn acknowledged(cx: &Cx, queue: &Queue, message: &Value) -> Outcome {
    let reply = cx.send(of(cx, queue, Action::Ack, text(message, "id"))).await?;
    cx.need(QUEUE_LEASES_7, &reply, &[succeeded()])?;
    Ok(())
}

pub(super) async fn replayed_early(cx: &Cx) -> Outcome {
    let settings = json!({"default_max_retries": 0});
    let queue = Queue::create_with(cx, WORKER, &settings).await?;
    queue.published_many(cx, 3).await?;
    // The first is dead or waits, the second is leased, the third is pending.
    let (first, second) = (queue.received(cx).await?, queue.received(cx).await?);
    let reply = cx.send(of(cx, &queue, Action::Nack, text(&first, "id"))).await?;
    cx.need(QUEUE_LEASES_9, &reply, &[succeeded()])?;
    let read = queue.content(cx).await?;
    let there = alternative("a message that was not received", {
        let received = [first["id"].clone(), second["id"].clone()];
        move |read: &Vec<Value>| read.iter().any(|message| !received.contains(&message["id"]))
    });
    let read = cx.need(QUEUE_CONSUME_1, &read, &[there])?;
    let third = read.iter().find(|message| message["id"] != first["id"] && message["id"] != second["id"]);
    for message in [Some(&first), Some(&second), third].into_iter().flatten() {
        let reply = cx.send(of(cx, &queue, Action::ReplayMessage, text(message, "id"))).await?;
        cx.expect(QUEUE_CONSUME_15, &reply, &replayed_or_not())?;
    }
    Ok(())
}

pub(super) async fn replayed(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, WORKER).await?;
    let sent = queue.published_many(cx, 3).await?;
    let mut taken = Vec::new();
    for _ in &sent {
        let message = queue.received(cx).await?;
        acknowledged(cx, &queue, &message).await?;
        taken.push(message);
    }
    let none = succeeded_and("no message", |r| data(r, "message").is_null());
    cx.need(QUEUE_LEASES_7, &cx.send(queue.receive(cx)).await?, &[none])?;
    // Each of them, and then again.
    for message in taken.iter().rev().chain(&taken[..1]) {
        let reply = cx.send(of(cx, &queue, Action::ReplayMessage, text(message, "id"))).await?;
        let reply = cx.expect(QUEUE_CONSUME_16, &reply, &replayed_or_not())?;
        if !succeeded().holds(reply) {
            continue;
        }
        let reply = cx.send(queue.receive(cx)).await?;
        let payload = message["payload"].clone();
        let it =
            succeeded_and("the message that was replayed", move |r| data(r, "message")["payload"] == payload);
        let again = cx.expect(QUEUE_CONSUME_16, &reply, &[it])?;
        let again = data(again, "message");
        if again.is_object() {
            acknowledged(cx, &queue, &again).await?;
        }
    }
    Ok(())
}

/// The messages of a list with this state.
async fn with_state(cx: &Cx, queue: &Queue, state: &str) -> Outcome<Seen<Response>> {
    let request = queue.operation(cx, Action::ListMessages, &[]);
    cx.send(request.param("state", state).param("limit", "1000")).await
}

/// A worker queue whose messages are in every state, or nearly so, and what the states are that are known: those of what was
/// never received and of what is leased, and what messages/get tells of the others.
async fn in_every_state(cx: &Cx) -> Outcome<(Queue, BTreeMap<String, String>)> {
    let settings = json!({
        "default_max_retries": 1, "default_retry_backoff_ms": 60_000, "default_retry_max_backoff_ms": 60_000,
    });
    let queue = Queue::create_with(cx, WORKER, &settings).await?;
    queue.published_many(cx, 9).await?;
    let mut known = BTreeMap::new();
    let mut received = Vec::new();
    for _ in 0..6 {
        received.push(queue.received(cx).await?);
    }
    for message in &received[..2] {
        acknowledged(cx, &queue, message).await?;
    }
    for message in &received[2..4] {
        let reply = cx.send(of(cx, &queue, Action::Nack, text(message, "id"))).await?;
        cx.need(QUEUE_LEASES_9, &reply, &[succeeded()])?;
    }
    for message in &received[4..] {
        known.insert(text(message, "id").to_owned(), "leased".to_owned());
    }
    for message in &received[..4] {
        let id = text(message, "id");
        let seen = cx.send(of(cx, &queue, Action::GetMessage, id)).await?;
        let reply = cx.need(QUEUE_CONSUME_10, &seen, &[succeeded(), refused(404).into()])?;
        if let Some(state) = data(reply, "message")["state"].as_str() {
            known.insert(id.to_owned(), state.to_owned());
        }
    }
    let read = queue.content(cx).await?;
    let fresh = {
        let received: Vec<Value> = received.iter().map(|message| message["id"].clone()).collect();
        move |message: &&Value| !received.contains(&message["id"])
    };
    let three = {
        let fresh = fresh.clone();
        alternative("three messages that were never received", move |read: &Vec<Value>| {
            read.iter().filter(&fresh).count() == 3
        })
    };
    for message in cx.need(QUEUE_CONSUME_1, &read, &[three])?.iter().filter(fresh) {
        known.insert(text(message, "id").to_owned(), "pending".to_owned());
    }
    Ok((queue, known))
}

/// `processing` is the old name of `leased`.
fn now(state: &str) -> &str {
    if state == "processing" { "leased" } else { state }
}

pub(super) async fn listed(cx: &Cx) -> Outcome {
    let (queue, known) = in_every_state(cx).await?;
    let all: BTreeSet<String> = known.keys().cloned().collect();
    for state in ["pending", "leased", "processing", "delivered", "failed", "dead"] {
        let reply = with_state(cx, &queue, state).await?;
        let expected: BTreeSet<String> =
            known.iter().filter(|(_, known)| now(known) == now(state)).map(|(id, _)| id.clone()).collect();
        let all = all.clone();
        let those = succeeded_and(
            &format!("the {} messages of the state {state} whose states are known", expected.len()),
            move |r| {
                let listed = list(r, "messages");
                // Of whose state nothing is known nothing is said.
                let found: BTreeSet<String> = listed
                    .iter()
                    .map(|message| text(message, "id").to_owned())
                    .filter(|id| all.contains(id))
                    .collect();
                let told =
                    |message: &Value| message["state"].as_str().is_none_or(|told| now(told) == now(state));
                found == expected && listed.iter().all(told)
            },
        );
        cx.expect(QUEUE_CONSUME_18, &reply, &[those])?;
    }
    Ok(())
}

pub(super) async fn completed(cx: &Cx) -> Outcome {
    let (queue, messages) = filled(cx, WORKER, 3).await?;
    let message = queue.received(cx).await?;
    acknowledged(cx, &queue, &message).await?;
    let pending: Vec<String> = messages
        .iter()
        .filter(|other| other["id"] != message["id"])
        .map(|message| text(message, "id").to_owned())
        .collect();
    let reply = with_state(cx, &queue, "completed").await?;
    let ids = |r: &Response| -> Vec<String> {
        list(r, "messages").iter().map(|message| text(message, "id").to_owned()).collect()
    };
    let id = text(&message, "id").to_owned();
    let mut outcomes = invalid();
    outcomes.extend([
        succeeded_and("what is delivered", move |r| ids(r) == [id.clone()]),
        succeeded_and("nothing", move |r| ids(r).is_empty()),
        succeeded_and("everything", move |r| pending.iter().all(|id| ids(r).contains(id))),
    ]);
    cx.expect(QUEUE_CONSUME_19, &reply, &outcomes)?;
    Ok(())
}
