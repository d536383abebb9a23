//! What the frames of a server are, each by itself: text, whole, and told apart from keep-alives.

use crate::{
    check::{Cx, Outcome, alternative},
    checks::queue::{
        peer::{Subscriber, auth, auth_from},
        setting::{PUBSUB, Queue, WORKER},
    },
    wire::{Lost, Seen, ws::Frame},
};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::{queue::requirements::*, requirement::RequirementId};

/// How long nothing is said before the AuthRequest.
const BEFORE: Duration = Duration::from_millis(150);
/// What a frame is that is not awaited.
const KEEP_ALIVE: &str =
    "a Push, or a keep-alive that is no object with one of the members success, type, queue_id and messages";
/// So many frames may come where one is awaited.
const MOST: usize = 64;

/// A frame, or why there is none.
type Raw = Result<Frame, Lost>;

/// What is awaited.
struct Awaited<'a> {
    /// A text that stands in it and in nothing else.
    mark: &'a str,
    /// Whether it is the AuthResponse, before which nothing comes.
    first: bool,
    /// The requirement for it to come.
    comes: RequirementId,
}

pub(super) async fn proper(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let kept = cx.token(24);
        queue.says(cx, &json!(format!("{kept} äß € 😀"))).await?;
        // Of a worker queue it may be pushed to anybody, and is in nobody's way.
        let mut subscriber = Subscriber::open(cx, &queue).await?;
        let before = subscriber.peer.quiet(BEFORE).await?;
        let nothing = alternative("no text frame before the AuthRequest", |frame: &Option<Frame>| {
            !matches!(frame, Some(Frame::Text(_)))
        });
        cx.expect(QUEUE_CONNECT_8, &before, &[nothing])?;
        let request = if kind == PUBSUB { auth_from(cx, -1) } else { auth(cx) };
        asks(cx, &mut subscriber, &request).await?;
        if kind == PUBSUB {
            comes(cx, &mut subscriber, &Awaited { mark: &kept, first: false, comes: QUEUE_REPLAY_1 }).await?;
        }
        for payload in PAYLOADS {
            let token = cx.token(24);
            queue.says(cx, &payload(&token)).await?;
            comes(cx, &mut subscriber, &Awaited { mark: &token, first: false, comes: QUEUE_PUSH_1 }).await?;
        }
        // A second connection is as the first, and a failure is a frame too.
        let mut second = Subscriber::open(cx, &queue).await?;
        asks(cx, &mut second, &auth(cx)).await?;
        let mut stranger = Subscriber::open(cx, &queue).await?;
        asks(cx, &mut stranger, &json!({"authorization": cx.token(32)})).await?;
    }
    Ok(())
}

/// Sees that nothing comes for so long but keep-alives, each of which is looked at; what comes instead is seen as `Some`.
pub(super) async fn idle(
    cx: &Cx,
    subscriber: &mut Subscriber,
    length: Duration,
) -> Outcome<Seen<Result<Option<Frame>, Lost>>> {
    let until = Instant::now() + length;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let seen = subscriber.peer.quiet(left).await?.or_lost();
        let Ok(Ok(Some(Frame::Text(_)))) = seen.look() else { return Ok(seen) };
        let proper = alternative(KEEP_ALIVE, |seen: &Result<Option<Frame>, Lost>| {
            let Ok(Some(frame)) = seen else { return true };
            object(frame).is_none_or(|frame| !is_taken_for_one(&frame))
        });
        cx.expect(QUEUE_CONNECT_8, &seen, &[proper])?;
    }
}

/// Sends an AuthRequest and sees the frame that answers it.
async fn asks(cx: &Cx, subscriber: &mut Subscriber, request: &Value) -> Outcome {
    subscriber.peer.send_text(&request.to_string()).await;
    comes(cx, subscriber, &Awaited { mark: "\"success\"", first: true, comes: QUEUE_AUTH_2 }).await
}

/// What is published, with a token in it.
const PAYLOADS: [fn(&str) -> Value; 4] = [
    |token| json!(format!("{token} äöü € 😀 \u{7f}\u{2028}")),
    |token| json!({"a": [token, null, 1.5, {"é\n\"": true}]}),
    |token| json!([[token]]),
    |token| json!(format!("{token}{}", "ü".repeat(20_000))),
];

/// Looks at each frame until the one that is awaited has come.
async fn comes(cx: &Cx, subscriber: &mut Subscriber, awaited: &Awaited<'_>) -> Outcome {
    for _ in 0..MOST {
        let seen = subscriber.peer.next().await?;
        if looked(cx, seen, awaited)? {
            return Ok(());
        }
    }
    Err(cx.stop(&format!("{MOST} frames came, and not the one that was awaited")))
}

/// Claims what holds for each frame, and says whether it is the one that is awaited.
fn looked(cx: &Cx, seen: Seen<Frame>, awaited: &Awaited<'_>) -> Outcome<bool> {
    let seen = seen.or_lost();
    let text = alternative("no binary frame", |raw: &Raw| !matches!(raw, Ok(Frame::Binary(_))));
    cx.expect(QUEUE_CONNECT_6, &seen, &[text])?;
    let mark = awaited.mark.to_owned();
    let is_it = move |raw: &Raw| matches!(raw, Ok(Frame::Text(text)) if text.contains(&mark));
    let one_object = {
        let is_it = is_it.clone();
        alternative("in UTF-8, and one JSON object if it is the one that is awaited", move |raw: &Raw| {
            !matches!(raw, Err(Lost::Malformed(_)))
                && (!is_it(raw) || raw.as_ref().ok().and_then(object).is_some())
        })
    };
    cx.expect(QUEUE_CONNECT_7, &seen, &[one_object])?;
    let there = alternative("a text frame", |raw: &Raw| matches!(raw, Ok(Frame::Text(_))));
    let raw = cx.need(awaited.comes, &seen, &[there])?;
    if is_it(raw) {
        return Ok(true);
    }
    let none = match awaited.first {
        true => alternative("no frame before the AuthResponse", |_: &Raw| false),
        false => alternative(KEEP_ALIVE, |raw: &Raw| {
            raw.as_ref().ok().and_then(object).is_none_or(|frame| !is_taken_for_one(&frame))
        }),
    };
    cx.expect(QUEUE_CONNECT_8, &seen, &[none])?;
    Ok(false)
}

/// The object in a text frame.
fn object(frame: &Frame) -> Option<Map<String, Value>> {
    match frame {
        Frame::Text(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// Whether an object that is no Push has a member by which clients take it for one, or for an AuthResponse.
fn is_taken_for_one(frame: &Map<String, Value>) -> bool {
    let has = |name: &str| frame.contains_key(name);
    // What has messages is a Push, whose shape is looked at elsewhere.
    !has("messages") && ["success", "type", "queue_id"].into_iter().any(has)
}
