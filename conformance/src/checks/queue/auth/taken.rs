//! AuthRequests that are taken, however they are written.

use super::{hears, rejections};
use crate::{
    check::{Cx, Outcome, alternative},
    checks::queue::{
        peer::{Came, Fate, Subscriber, auth, auth_from, welcome},
        setting::{PUBSUB, Queue, WORKER, payloads, succeeded},
    },
};
use futures_util::future::try_join_all;
use serde_json::json;
use wireproof_spec::{
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

/// So long a first frame may be at least, in bytes.
const LONGEST: usize = 65_536;

/// The AuthRequest with an unknown member that makes it so long.
fn padded(cx: &Cx, length: usize) -> String {
    let mut request = auth(cx);
    request["padding"] = json!("");
    let rest = length.saturating_sub(request.to_string().len());
    request["padding"] = json!("x".repeat(rest));
    request.to_string()
}

/// A text in which each character is escaped.
fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Claims that each of these first frames is answered with success, and that who sent it is pushed what comes.
async fn are_taken(cx: &Cx, requirement: RequirementId, queue: &Queue, frames: &[String]) -> Outcome {
    let all = try_join_all(frames.iter().map(async |frame| {
        let mut subscriber = Subscriber::open(cx, queue).await?;
        subscriber.peer.send_text(frame).await;
        let seen = subscriber.next().await?;
        Ok((subscriber, seen))
    }))
    .await?;
    let token = json!(cx.token(20));
    queue.says(cx, &token).await?;
    for (mut subscriber, seen) in all {
        cx.expect(requirement, &seen, &[welcome()])?;
        loop {
            let seen = subscriber.next().await?;
            let served = alternative("a Push", |came: &Came| matches!(came, Came::Push(_)));
            if let Came::Push(push) = cx.expect(requirement, &seen, &[served])?
                && payloads(&push.messages).contains(&token)
            {
                break;
            }
        }
    }
    Ok(())
}

pub(super) async fn taken(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    queue.published_many(cx, 3).await?;
    let mut first = Subscriber::join(cx, &queue).await?;
    hears(cx, &queue, &mut first).await?;
    let key = cx.key();
    let mut frames: Vec<String> = [-1, 0, 1, 3].map(|offset| auth_from(cx, offset).to_string()).into();
    frames.extend([
        auth(cx).to_string(),
        format!("\n {{ \"authorization\" :\t\"{key}\"\r\n}} "),
        format!("{{\"last_offset\":3,\"authorization\":\"{key}\"}}"),
        format!("{{\"authorization\":\"{}\"}}", escaped(key)),
        format!("{{\"{}\":\"{key}\"}}", escaped("authorization")),
        padded(cx, LONGEST),
    ]);
    are_taken(cx, QUEUE_AUTH_3, &queue, &frames).await?;
    // So is whoever comes to a worker queue, or to one that is paused.
    let work = Queue::create(cx, WORKER).await?;
    let seen = cx.send(queue.operation(cx, Action::Pause, &[])).await?;
    cx.need(QUEUE_QUEUES_18, &seen, &[succeeded()])?;
    for (queue, request) in
        [(&work, auth(cx)), (&work, auth_from(cx, -1)), (&queue, auth(cx)), (&queue, auth_from(cx, 0))]
    {
        let mut subscriber = Subscriber::open(cx, queue).await?;
        let seen = subscriber.asked(&request).await?;
        cx.expect(QUEUE_AUTH_3, &seen, &[welcome()])?;
    }
    Ok(())
}

pub(super) async fn unknown_members(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let frames: Vec<String> = [
        json!({"orgId": format!("org_{}", cx.token(12))}),
        json!({"orgId": ""}),
        json!({"org_id": 7, "orgid": null}),
        json!({"x": null, "": 0.5}),
        json!({"clientId": 7, "lastOffset": "x"}),
        json!({"more": {"authorization": [1, {"last_offset": "x"}]}, "type": "auth", "success": false}),
        json!({"version": 2, "durable": true, "subscribe": ["a"]}),
    ]
    .into_iter()
    .map(|mut members| {
        members["authorization"] = json!(cx.key());
        members.to_string()
    })
    .chain([padded(cx, LONGEST)])
    .collect();
    are_taken(cx, QUEUE_AUTH_22, &queue, &frames).await
}

pub(super) async fn long(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut twin = Subscriber::join(cx, &queue).await?;
    hears(cx, &queue, &mut twin).await?;
    for length in [LONGEST + 1, 300_000, 2 * 1024 * 1024] {
        let mut subscriber = Subscriber::open(cx, &queue).await?;
        subscriber.peer.send_text(&padded(cx, length)).await;
        let seen = subscriber.next().await?.or_lost();
        let mut ways = rejections();
        ways.push(alternative(
            "an AuthResponse with success true",
            |fate: &Fate| matches!(fate, Ok(Came::Auth(frame)) if frame["success"] == true),
        ));
        cx.expect(QUEUE_AUTH_26, &seen, &ways)?;
    }
    hears(cx, &queue, &mut twin).await
}
