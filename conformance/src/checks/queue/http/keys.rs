//! Who has no key, or a wrong one.

use super::{answers, asks, body, has, leased, with_letters};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::{
        leases::{message, none as nothing, this},
        setting::{PUBSUB, Queue, WORKER, data, operation, proven, refused, succeeded, text, with_body},
    },
    wire::http::Peer,
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::Request,
    queue::{Action, http::OPERATIONS, requirements::*},
    requirement::RequirementId,
};

pub(super) async fn none(cx: &Cx) -> Outcome {
    refused_everywhere(cx, QUEUE_HTTP_2, cx.stranger(), |request| request).await
}

pub(super) async fn wrong(cx: &Cx) -> Outcome {
    let key = format!("Bearer {}", cx.token(32));
    refused_everywhere(cx, QUEUE_HTTP_3, cx.stranger(), |request| {
        request.header("authorization", key.clone())
    })
    .await
}

/// Claims that each operation is refused: of a queue that is there and of one that is not, with a body that it takes and with
/// one that is no JSON.
async fn refused_everywhere(
    cx: &Cx,
    requirement: RequirementId,
    mut peer: Peer,
    sign: impl Fn(Request) -> Request,
) -> Outcome {
    let queue = proven(cx, WORKER).await?;
    let published = queue.published(cx, json!(cx.token(16))).await?;
    let nowhere = Queue::nowhere(cx);
    for known in OPERATIONS {
        let request = sign(asks(cx, &queue, known.action, &published.id));
        let seen = peer.send(request).await?;
        cx.expect(requirement, &seen, &[refused(401).into()])?;
        let request = sign(asks(cx, &nowhere, known.action, &published.id));
        let seen = match known.request {
            Some(_) => peer.send_broken(request.body("{")).await?,
            None => peer.send(request).await?,
        };
        cx.expect(requirement, &seen, &[refused(401).into()])?;
    }
    // Who has the key is served.
    let seen = cx.send(queue.operation(cx, Action::Get, &[])).await?;
    cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()]).map(drop)
}

pub(super) async fn near(cx: &Cx) -> Outcome {
    let queue = proven(cx, WORKER).await?;
    let key = cx.key();
    let mut peer = cx.stranger();
    let mut near = vec![
        String::new(),
        format!("{key}0"),
        format!("0{key}"),
        key.chars().skip(1).collect(),
        key.chars().take(key.chars().count().saturating_sub(1)).collect(),
        format!("{key},{}", cx.token(8)),
        format!("{} {key}", cx.token(8)),
    ];
    near.extend([key.to_uppercase(), key.to_lowercase()]);
    near.retain(|other| other != key);
    for wrong in near {
        for action in [Action::Get, Action::Publish, Action::Receive, Action::List] {
            let request = asks(cx, &queue, action, "").header("authorization", format!("Bearer {wrong}"));
            let seen = peer.send(request).await?;
            cx.expect(QUEUE_HTTP_3, &seen, &[refused(401).into()])?;
        }
    }
    let seen = cx.send(queue.operation(cx, Action::Get, &[])).await?;
    cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()]).map(drop)
}

/// A setting in which every operation would change something.
struct Setting {
    /// With a dead letter, a message that is leased and one that is pending.
    queue: Queue,
    /// That is paused.
    paused: Queue,
    letter: String,
    leased: String,
    pending: crate::checks::queue::setting::Published,
    destination: Option<String>,
    source: Option<String>,
    /// The name of a queue that is not there, and what would make it.
    free: Queue,
    create: Value,
}

async fn setting(cx: &Cx) -> Outcome<Setting> {
    let (queue, letters) = with_letters(cx, 1).await?;
    let leased = leased(cx, &queue).await?;
    let pending = queue.published(cx, json!(cx.token(16))).await?;
    let paused = Queue::create(cx, PUBSUB).await?;
    let seen = cx.send(paused.operation(cx, Action::Pause, &[])).await?;
    cx.need(QUEUE_QUEUES_18, &seen, &[succeeded()])?;
    let mut parts = [None, None];
    for (part, (action, name)) in
        parts.iter_mut().zip([(Action::CreateDestination, "destination"), (Action::CreateSource, "source")])
    {
        if has(cx, action) {
            // Enabled, so that an update would change it.
            let mut body = body(cx, action);
            if action == Action::CreateDestination {
                body["enabled"] = json!(true);
            }
            let seen = cx.send(with_body(operation(cx, action, &[&paused.name]), &body)).await?;
            let made = data(cx.need(QUEUE_MESSAGE_3, &seen, &[succeeded()])?, name);
            *part = Some(text(&made, "id").to_owned());
        }
    }
    let [destination, source] = parts;
    let free = Queue::nowhere(cx);
    let create = json!({"name": free.name, "queue_type": "worker"});
    let letter = letters.into_iter().next().unwrap_or_default();
    Ok(Setting { queue, paused, letter, leased, pending, destination, source, free, create })
}

impl Setting {
    /// Every operation that changes something, on what it would change.
    fn changes(&self, cx: &Cx) -> Vec<Request> {
        let Self { queue, paused, .. } = self;
        let mut all = vec![
            with_body(operation(cx, Action::Create, &[]), &self.create),
            asks(cx, queue, Action::Update, ""),
            asks(cx, queue, Action::Pause, ""),
            asks(cx, paused, Action::Resume, ""),
            asks(cx, queue, Action::Publish, ""),
            asks(cx, queue, Action::Publish, "").param("sync", "true"),
            asks(cx, queue, Action::Batch, ""),
            asks(cx, queue, Action::Receive, ""),
            asks(cx, queue, Action::Ack, &self.leased),
            asks(cx, queue, Action::Nack, &self.leased),
            asks(cx, queue, Action::ReplayMessage, &self.leased),
            asks(cx, queue, Action::ReplayDeadLetter, &self.letter),
            asks(cx, queue, Action::DeleteDeadLetter, &self.letter),
            asks(cx, queue, Action::PurgeDeadLetters, ""),
            asks(cx, queue, Action::DeleteMessage, &self.pending.id),
        ];
        if let Some(id) = &self.destination {
            all.push(asks(cx, paused, Action::CreateDestination, ""));
            all.push(asks(cx, paused, Action::UpdateDestination, id));
            all.push(asks(cx, paused, Action::DeleteDestination, id));
        }
        if let Some(id) = &self.source {
            all.push(asks(cx, paused, Action::CreateSource, ""));
            all.push(asks(cx, paused, Action::UpdateSource, id));
            all.push(asks(cx, paused, Action::DeleteSource, id));
        }
        all.extend([asks(cx, queue, Action::Delete, ""), asks(cx, paused, Action::Delete, "")]);
        all
    }

    /// Requests whose answers show what any of these would have changed, but for a receive and an acknowledgement.
    fn shown(&self, cx: &Cx) -> Vec<Request> {
        let Self { queue, paused, free, .. } = self;
        let mut all = vec![
            queue.operation(cx, Action::Get, &[]),
            paused.operation(cx, Action::Get, &[]),
            free.operation(cx, Action::Get, &[]),
            queue.consume(cx, 0),
            letters(cx, queue),
        ];
        if self.destination.is_some() {
            all.push(paused.operation(cx, Action::ListDestinations, &[]));
        }
        if self.source.is_some() {
            all.push(paused.operation(cx, Action::ListSources, &[]));
        }
        all
    }
}

pub(super) async fn none_changes_nothing(cx: &Cx) -> Outcome {
    changes_nothing(cx, |request| request).await
}

pub(super) async fn wrong_changes_nothing(cx: &Cx) -> Outcome {
    let key = format!("Bearer {}", cx.token(32));
    changes_nothing(cx, |request| request.header("authorization", key.clone())).await
}

async fn changes_nothing(cx: &Cx, sign: impl Fn(Request) -> Request) -> Outcome {
    let setting = setting(cx).await?;
    let before = answers(cx, setting.shown(cx)).await?;
    let told = alternative("an answer to each question", |all: &Vec<Value>| !all.is_empty());
    let before = cx.need(QUEUE_QUEUES_1, &before, &[told])?;
    for request in setting.changes(cx) {
        let refusal = cx.stranger().send(sign(request)).await?;
        cx.need(QUEUE_HTTP_2, &refusal, &[refused(401).into()])?;
    }
    // None of them undoes another.
    let after = answers(cx, setting.shown(cx)).await?;
    cx.expect(QUEUE_HTTP_4, &after, &[as_before(before)])?;
    // What is pending is so still, and what is leased too: nobody acknowledged it, and nobody else received it.
    let Setting { queue, leased, pending, .. } = &setting;
    let seen = cx.send(queue.receive(cx)).await?;
    let taken = message(cx.expect(QUEUE_HTTP_4, &seen, &[this(pending)])?);
    cx.need(QUEUE_LEASES_1, &seen, &[this(pending)])?;
    let seen = cx.send(queue.receive(cx)).await?;
    cx.expect(QUEUE_HTTP_4, &seen, &[nothing()])?;
    for id in [leased.as_str(), text(&taken, "id")] {
        let seen = cx.send(queue.operation(cx, Action::Nack, &[id])).await?;
        cx.expect(QUEUE_HTTP_4, &seen, &[succeeded()])?;
    }
    let seen = cx.send(letters(cx, queue)).await?;
    let dead = alternative("three dead letters: none was acknowledged before", |r| {
        crate::checks::queue::setting::list(r, "messages").len() == 3
    });
    cx.expect(QUEUE_HTTP_4, &seen, &[dead]).map(drop)
}

/// The request for all dead letters.
fn letters(cx: &Cx, queue: &Queue) -> Request {
    queue.operation(cx, Action::ListDeadLetters, &[]).param("limit", "1000")
}

/// That the answers are what they were.
fn as_before(before: &[Value]) -> Alternative<Vec<Value>> {
    let before = before.to_vec();
    alternative("the queues, their messages and their parts as they were", move |after: &Vec<Value>| {
        *after == before
    })
}
