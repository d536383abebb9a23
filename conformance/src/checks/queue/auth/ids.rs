//! The client_id: given out, presented again, chosen, and presented twice.

use super::hears;
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::{
        peer::{Came, Fate, Subscriber, auth, auth_from, welcome},
        setting::{PUBSUB, Queue, WORKER, payloads},
    },
    wire::{Lost, Seen},
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wireproof_spec::queue::requirements::*;

/// The client_id of an AuthResponse, or null.
fn id_of(came: Came) -> Value {
    match came {
        Came::Auth(mut frame) => frame["client_id"].take(),
        _ => Value::Null,
    }
}

/// As [`authenticated`], without presenting a client_id: one is told.
async fn is_given(cx: &Cx, queue: &Queue, request: &Value) -> Outcome<(Subscriber, Seen<Value>)> {
    let (subscriber, id) = authenticated(cx, queue, request).await?;
    cx.expect(QUEUE_AUTH_5, &id, &[an_id()])?;
    Ok((subscriber, id))
}

/// Authenticates with this AuthRequest, as set-up: the connection, and the client_id that was told.
async fn authenticated(cx: &Cx, queue: &Queue, request: &Value) -> Outcome<(Subscriber, Seen<Value>)> {
    let (mut subscriber, seen) = Subscriber::answered(cx, queue, request).await?;
    cx.need(QUEUE_AUTH_3, &seen, &[welcome()])?;
    let id = seen.map(id_of);
    if let Ok(Value::String(id)) = id.look() {
        subscriber.client_id = Some(id.clone());
    }
    Ok((subscriber, id))
}

/// Closes a connection and waits for its end, so that its client_id has no live connection any more.
async fn left(cx: &Cx, mut subscriber: Subscriber) -> Outcome {
    subscriber.peer.close(1000, "").await;
    loop {
        let seen = subscriber.next().await?.or_lost();
        match seen.look() {
            Ok(Ok(Came::Closed(_)) | Err(Lost::Closed(_))) => return Ok(()),
            Ok(Ok(_)) => {}
            _ => return Err(cx.stop("a close frame is not answered (QUEUE-CLOSE-1)")),
        }
    }
}

/// That a client_id is told, as long as it has to be.
fn an_id() -> Alternative<Value> {
    alternative("a client_id of 1 to 256 characters", |id: &Value| {
        id.as_str().is_some_and(|id| (1..=256).contains(&id.chars().count()))
    })
}

/// That this client_id is told, or none.
fn this_or_none(id: &str) -> Alternative<Value> {
    let id = id.to_owned();
    alternative(format!("the client_id {id:?} or none"), move |told: &Value| told.is_null() || *told == *id)
}

pub(super) async fn given(cx: &Cx) -> Outcome {
    let queues = [Queue::create(cx, PUBSUB).await?, Queue::create(cx, WORKER).await?];
    let mut told = Vec::new();
    for queue in &queues {
        // One after the other, together, and one behind one that has left.
        let (first, id) = is_given(cx, queue, &auth(cx)).await?;
        told.push(id);
        let requests = [auth(cx), auth(cx), auth_from(cx, -1), auth(cx)];
        let all = try_join_all(requests.iter().map(|request| is_given(cx, queue, request))).await?;
        let (mut last, ids): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        told.extend(ids);
        left(cx, first).await?;
        let (mut again, id) = is_given(cx, queue, &auth(cx)).await?;
        told.push(id);
        if queue.name == queues[0].name {
            hears(cx, queue, &mut again).await?;
            hears(cx, queue, &mut last[0]).await?;
        }
        // Who presents an id is told one too.
        if let Some(id) = again.client_id.clone().filter(|id| id.chars().count() <= 256) {
            left(cx, again).await?;
            let request = json!({"authorization": cx.key(), "client_id": id});
            let (_, id) = authenticated(cx, queue, &request).await?;
            cx.expect(QUEUE_AUTH_5, &id, &[an_id()])?;
        }
    }
    let differ = alternative("a client_id for each that no other has", |ids: &Vec<Value>| {
        let known: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
        known.len() > 1 && known.iter().collect::<BTreeSet<_>>().len() == known.len()
    });
    cx.expect(QUEUE_AUTH_6, &Seen::all(told), &[differ])?;
    Ok(())
}

pub(super) async fn given_again(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let (queue, other) = (Queue::create(cx, kind).await?, Queue::create(cx, kind).await?);
        queue.says(cx, &json!(cx.token(8))).await?;
        let mut beside = Subscriber::join(cx, &queue).await?;
        let mut subscriber = Subscriber::join(cx, &queue).await?;
        let Some(id) = subscriber.client_id.clone() else {
            return Err(cx.stop("no client_id is given out (QUEUE-AUTH-5)"));
        };
        for (queue, last) in
            [(&queue, None), (&queue, Some(0)), (&queue, Some(-1)), (&other, None), (&queue, Some(0))]
        {
            left(cx, subscriber).await?;
            let mut request = auth(cx);
            request["client_id"] = json!(id);
            if let Some(last) = last {
                request["last_offset"] = json!(last);
            }
            let (again, told) = authenticated(cx, queue, &request).await?;
            cx.expect(QUEUE_AUTH_19, &told, &[this_or_none(&id)])?;
            subscriber = again;
        }
        if kind == PUBSUB {
            hears(cx, &queue, &mut beside).await?;
            hears(cx, &queue, &mut subscriber).await?;
        }
    }
    Ok(())
}

pub(super) async fn chosen(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let token = cx.token(16);
    let long = |unit: &str| {
        let rest = 256 - token.chars().count();
        format!("{token}{}", unit.repeat(rest))
    };
    let ids = [
        token.clone(),
        format!("qcid_{}", cx.token(6)),
        format!("device {token}/äß€😀 \"'\\\n\u{7f}"),
        format!("{token}:a.b@c#d?e&f=g%20"),
        cx.token(1),
        "7".into(),
        long("a"),
        long("ä"),
    ];
    for id in ids {
        let mut request = auth(cx);
        request["client_id"] = json!(id);
        let mut subscriber = Subscriber::open(cx, &queue).await?;
        let seen = subscriber.asked(&request).await?;
        cx.expect(QUEUE_AUTH_20, &seen, &[welcome()])?;
        let told = seen.map(id_of);
        cx.expect(QUEUE_AUTH_20, &told, &[this_or_none(&id)])?;
        hears(cx, &queue, &mut subscriber).await?;
    }
    Ok(())
}

pub(super) async fn twice_connected(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut older = Subscriber::join(cx, &queue).await?;
    hears(cx, &queue, &mut older).await?;
    let Some(id) = older.client_id.clone() else {
        return Err(cx.stop("no client_id is given out (QUEUE-AUTH-5)"));
    };
    let mut newer = Subscriber::open(cx, &queue).await?;
    let mut request = auth(cx);
    request["client_id"] = json!(id);
    let first = newer.asked(&request).await?.or_lost();
    let token = json!(cx.token(20));
    queue.says(cx, &token).await?;
    let on_older = pushed(&mut older, &token).await?;
    let welcomed = matches!(first.look(), Ok(Ok(Came::Auth(frame))) if frame["success"] == true);
    let on_newer = if welcomed { pushed(&mut newer, &token).await? } else { first };
    let is =
        move |fate: &Fate| matches!(fate, Ok(Came::Push(push)) if payloads(&push.messages).contains(&token));
    let is_over = |fate: &Fate| matches!(fate, Ok(Came::Closed(_)) | Err(Lost::Closed(_)));
    let is_refused = |fate: &Fate| matches!(fate, Ok(Came::Auth(frame)) if frame["success"] == false);
    let is_too = is.clone();
    let is_still = is.clone();
    let ways = [
        alternative("what is published on both connections", move |(older, newer): &(Fate, Fate)| {
            is(older) && is(newer)
        }),
        alternative("the end of the older one, and what is published on the newer", move |(older, newer)| {
            is_over(older) && is_too(newer)
        }),
        alternative(
            "what is published on the older one, and a failure for the newer",
            move |(older, newer)| is_still(older) && is_refused(newer),
        ),
    ];
    cx.expect(QUEUE_AUTH_23, &on_older.and(on_newer), &ways)?;
    Ok(())
}

/// The Push with this payload, or what else comes on a connection behind what was there before: its end, for example.
async fn pushed(subscriber: &mut Subscriber, payload: &Value) -> Outcome<Seen<Fate>> {
    loop {
        let seen = subscriber.next().await?.or_lost();
        // Who comes back without last_offset may be replayed what is retained (QUEUE-REPLAY-17).
        let past = |came: &Came| matches!(came, Came::Push(push) if push.kind == "replay" && !payloads(&push.messages).contains(payload));
        if !matches!(seen.look(), Ok(Ok(came)) if past(came)) {
            return Ok(seen);
        }
    }
}
