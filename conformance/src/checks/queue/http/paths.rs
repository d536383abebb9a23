//! Where the operations are found, and of which queue.

use super::{asks, has, leased, with_letters};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::queue::{
        leases::{comes, message, nacked, quick},
        setting::{
            PUBSUB, Queue, WORKER, data, list, payloads, proven, refused, succeeded, succeeded_and, text,
            value,
        },
    },
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::{Request, Response},
    queue::{
        Action, Route,
        http::{DATE, OPERATIONS},
        requirements::*,
    },
    requirement::RequirementId,
};

pub(super) async fn no_such_queue(cx: &Cx) -> Outcome {
    // It is said of one that never was, and of one that was deleted.
    let deleted = proven(cx, WORKER).await?;
    let seen = cx.send(deleted.operation(cx, Action::Delete, &[])).await?;
    cx.need(QUEUE_QUEUES_15, &seen, &[succeeded()])?;
    for queue in [&Queue::nowhere(cx), &deleted] {
        let seen = cx.send(queue.operation(cx, Action::Get, &[])).await?;
        cx.need(QUEUE_QUEUES_13, &seen, &[refused(404).into()])?;
        // Where something else may be missing too, 404 may be about that.
        let about_queues = OPERATIONS.iter().filter(|o| o.arguments == ["name"] && has(cx, o.action));
        for known in about_queues {
            let seen = cx.send(asks(cx, queue, known.action, "")).await?;
            cx.expect(QUEUE_HTTP_5, &seen, &[says_so(), no_404()])?;
        }
    }
    Ok(())
}

fn says_so() -> Alternative<Response> {
    alternative("404 with the words \"not found\" in its message", |r: &Response| {
        r.status == 404 && text(&value(r), "message").contains("not found")
    })
}

/// Whether there is one for this operation, others ask.
fn no_404() -> Alternative<Response> {
    alternative("another status than 404", |r: &Response| r.status != 404)
}

/// A request with another spelling of the name of its queue.
fn spelled(request: &mut Request, name: &str, spelling: &str) {
    request.path = request.path.replace(name, spelling);
}

pub(super) async fn encoded(cx: &Cx) -> Outcome {
    let escapes: [fn(u8) -> String; 3] = [
        |byte| format!("%{byte:02X}"),
        |byte| format!("%{byte:02x}"),
        |byte| {
            if matches!(byte, b'-' | b'_' | b'z') { format!("%{byte:02x}") } else { char::from(byte).into() }
        },
    ];
    for escape in escapes {
        let kind = WORKER;
        let name = format!("_j-z{}", cx.name());
        let spelling: String = name.bytes().map(escape).collect();
        let queue = Queue::named(cx, name.clone());
        let seen = cx.send(queue.creation(cx, kind, &json!({}))).await?;
        cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()])?;
        let known = json!(cx.token(16));
        queue.published(cx, known.clone()).await?;
        // A publish by the one spelling is found by the other.
        let token = json!(cx.token(16));
        let mut publish = queue.publish(cx, &token);
        spelled(&mut publish, &name, &spelling);
        let seen = cx.send(publish).await?;
        cx.expect(QUEUE_HTTP_9, &seen, &[succeeded()])?;
        let content = queue.content(cx).await?.map(|messages| payloads(&messages));
        let all = vec![known, token];
        let both = {
            let all = all.clone();
            alternative("what was published under either spelling", move |found: &Vec<Value>| *found == all)
        };
        cx.expect(QUEUE_HTTP_9, &content, &[both])?;
        let mut consume = queue.consume(cx, 0);
        spelled(&mut consume, &name, &spelling);
        let seen = cx.send(consume).await?;
        let both = succeeded_and("both messages", move |r| payloads(&list(r, "messages")) == all);
        cx.expect(QUEUE_HTTP_9, &seen, &[both])?;
        let taken = queue.received(cx).await?;
        for action in [
            Action::Get,
            Action::Update,
            Action::Head,
            Action::Tail,
            Action::ListMessages,
            Action::GetMessage,
            Action::MessageAt,
            Action::Ack,
            Action::Receive,
            Action::ListDeadLetters,
            Action::PurgeDeadLetters,
            Action::Batch,
            Action::Pause,
            Action::Resume,
            Action::Delete,
        ] {
            let mut request = asks(cx, &queue, action, text(&taken, "id"));
            spelled(&mut request, &name, &spelling);
            let seen = cx.send(request).await?;
            cx.expect(QUEUE_HTTP_9, &seen, &[succeeded()])?;
        }
        let seen = cx.send(queue.operation(cx, Action::Get, &[])).await?;
        cx.expect(QUEUE_HTTP_9, &seen, &[refused(404).into()])?;
    }
    Ok(())
}

/// The same operation without the date if it has one, and with it if it has none.
fn other_form(cx: &Cx, queue: &Queue) -> Request {
    let dated = !cx.features().is("queue.dated-paths", "on");
    Route { dated, ..Route::new(Action::Get, &[&queue.name]) }.encode(&cx.path(""))
}

pub(super) async fn either(cx: &Cx) -> Outcome {
    let queue = proven(cx, PUBSUB).await?;
    let name = queue.name.clone();
    let found = succeeded_and("the queue", move |r| data(r, "queue")["name"] == name.as_str());
    let seen = cx.send(queue.operation(cx, Action::Get, &[])).await?;
    cx.expect(QUEUE_HTTP_10, &seen, std::slice::from_ref(&found))?;
    let seen = cx.send(other_form(cx, &queue)).await?;
    let mut open = vec![found];
    open.extend([404, 405, 501].map(|status| refused(status).into()));
    cx.expect(QUEUE_HTTP_10, &seen, &open).map(drop)
}

/// Sends an operation in its dated form, and claims that it is found.
async fn found(cx: &Cx, queue: &Queue, action: Action, id: &str) -> Outcome<Response> {
    let request = asks(cx, queue, action, id);
    if !request.path.contains(DATE) {
        return Err(cx.stop("the request has no date"));
    }
    let requirement: RequirementId = QUEUE_HTTP_11;
    let seen = cx.send(request).await?;
    Ok(cx.expect(requirement, &seen, &[succeeded()])?.clone())
}

pub(super) async fn dated(cx: &Cx) -> Outcome {
    // First what everything else is made with.
    let fresh = Queue::nowhere(cx);
    found(cx, &fresh, Action::Create, "").await?;
    let fresh = quick(cx, &json!({})).await?;
    let published = data(&found(cx, &fresh, Action::Publish, "").await?, "message");
    let (queue, letters) = with_letters(cx, 3).await?;
    for action in [
        Action::List,
        Action::Get,
        Action::Update,
        Action::Pause,
        Action::Resume,
        Action::Batch,
        Action::ListMessages,
        Action::ListDeadLetters,
    ] {
        found(cx, &queue, action, "").await?;
    }
    found(cx, &queue, Action::ReplayDeadLetter, &letters[0]).await?;
    found(cx, &queue, Action::DeleteDeadLetter, &letters[1]).await?;
    found(cx, &queue, Action::PurgeDeadLetters, "").await?;
    let id = text(&published, "id");
    // Without sync it may not be in the queue at once.
    let seen = comes(cx, &fresh, cx.slack()).await?;
    cx.need(QUEUE_LEASES_1, &seen, &[super::taken()])?;
    for (action, id) in [
        (Action::GetMessage, id),
        (Action::MessageAt, ""),
        (Action::Consume, ""),
        (Action::Head, ""),
        (Action::Tail, ""),
        (Action::Nack, id),
    ] {
        found(cx, &fresh, action, id).await?;
    }
    let seen = comes(cx, &fresh, cx.slack()).await?;
    let again = message(cx.need(QUEUE_LEASES_1, &seen, &[super::taken()])?);
    found(cx, &fresh, Action::Ack, text(&again, "id")).await?;
    let one = leased(cx, &fresh).await?;
    nacked(cx, &fresh, &one).await?;
    found(cx, &fresh, Action::Receive, "").await?;
    found(cx, &fresh, Action::DeleteMessage, &one).await?;
    for (create, others, part) in [
        (
            Action::CreateDestination,
            [Action::ListDestinations, Action::UpdateDestination, Action::DeleteDestination].as_slice(),
            "destination",
        ),
        (
            Action::CreateSource,
            &[Action::ListSources, Action::GetSource, Action::UpdateSource, Action::DeleteSource],
            "source",
        ),
    ] {
        if has(cx, create) {
            let made = data(&found(cx, &fresh, create, "").await?, part);
            for action in others {
                found(cx, &fresh, *action, text(&made, "id")).await?;
            }
        }
    }
    if has(cx, Action::ListConsumers) {
        found(cx, &fresh, Action::ListConsumers, "").await?;
    }
    found(cx, &fresh, Action::Delete, "").await?;
    Ok(())
}
