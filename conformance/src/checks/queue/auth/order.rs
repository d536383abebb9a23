//! What comes when: nothing before the AuthRequest, the AuthResponse before all else and once, and nothing for strangers.

use super::{hears, overheard};
use crate::{
    check::{Cx, Outcome, Shown, alternative},
    checks::queue::{
        peer::{Came, Fate, Subscriber, auth, auth_from},
        push::{each, payloads_in},
        setting::{PUBSUB, Queue, WORKER, payloads},
    },
    wire::{Seen, ws::Frame},
};
use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::queue::requirements::*;

/// How long nothing comes where nothing is to come.
pub(super) const QUIET: Duration = Duration::from_millis(300);

/// How long nothing is said before the AuthRequest: not as long as the target may wait for it.
const BEFORE: Duration = Duration::from_millis(150);

pub(super) async fn silent_before(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        queue.says(cx, &json!(cx.token(12))).await?;
        let mut connections = try_join_all((0..3).map(|_| Subscriber::open(cx, &queue))).await?;
        // Neither what was there nor what comes now is for them.
        queue.says(cx, &json!(cx.token(12))).await?;
        let seen = try_join_all(connections.iter_mut().map(|one| one.peer.quiet(BEFORE))).await?;
        for seen in seen {
            let nothing = alternative("no data frame before the AuthRequest", |frame: &Option<Frame>| {
                matches!(frame, None | Some(Frame::Close(_)))
            });
            cx.expect(QUEUE_AUTH_1, &seen, &[nothing])?;
        }
        // Each of them is served as soon as it says who it is.
        for subscriber in &mut connections {
            subscriber.welcomed(cx, &auth(cx)).await?;
        }
        if kind == PUBSUB {
            hears(cx, &queue, &mut connections[0]).await?;
        }
    }
    Ok(())
}

pub(super) async fn response_first(cx: &Cx) -> Outcome {
    const CLIENTS: usize = 4;
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        queue.published_many(cx, 6).await?;
        for _ in 0..2 {
            // There is something to replay, and something comes at this moment.
            let publishing = async {
                for _ in 0..6 {
                    queue.says(cx, &json!(cx.token(12))).await?;
                }
                Ok(())
            };
            let clients = try_join_all((0..CLIENTS).map(async |n| {
                let mut subscriber = Subscriber::open(cx, &queue).await?;
                let request = match n % 3 {
                    0 => auth_from(cx, -1),
                    1 => auth_from(cx, 2),
                    _ => auth(cx),
                };
                subscriber.peer.send_text(&request.to_string()).await;
                let first = subscriber.peer.next().await?;
                Ok((subscriber, first))
            }));
            let (clients, ()) = try_join(clients, publishing).await?;
            for (mut subscriber, first) in clients {
                let response = alternative("an AuthResponse", |frame: &Frame| is_response(frame));
                cx.expect(QUEUE_AUTH_2, &first, &[response])?;
                if kind == PUBSUB {
                    hears(cx, &queue, &mut subscriber).await?;
                }
            }
        }
        // A failure comes first too.
        let mut stranger = Subscriber::open(cx, &queue).await?;
        stranger.peer.send_text(&json!({"authorization": cx.token(32)}).to_string()).await;
        let first = stranger.peer.next().await?;
        let response = alternative("an AuthResponse", |frame: &Frame| is_response(frame));
        cx.expect(QUEUE_AUTH_2, &first, &[response])?;
    }
    Ok(())
}

/// Whether a frame is an AuthResponse. How it looks else, is asked elsewhere.
fn is_response(frame: &Frame) -> bool {
    let Frame::Text(text) = frame else { return false };
    serde_json::from_str(text).is_ok_and(|frame: Value| frame["success"].is_boolean())
}

/// A frame that a client has no reason to send.
enum Later {
    Text(String),
    Binary(Vec<u8>),
}

/// What came on a connection on which more was said than the AuthRequest: the payloads, until all were there or it ended.
enum Behind {
    Pushed(Vec<Value>),
    Ended(Vec<Value>, Fate),
}

impl Shown for Behind {
    fn shown(&self) -> String {
        match self {
            Behind::Pushed(all) => format!("the payloads {}", all.shown()),
            Behind::Ended(all, fate) => format!("the payloads {}, then {}", all.shown(), fate.shown()),
        }
    }
}

pub(super) async fn frames_behind(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    // What a second AuthRequest could have replayed. The first one may have it replayed (QUEUE-REPLAY-16).
    let old: Vec<Value> = queue.published_many(cx, 2).await?.into_iter().map(|one| one.payload).collect();
    let frames = [
        Later::Text("ping".into()),
        Later::Text(String::new()),
        Later::Text("{}".into()),
        Later::Text(auth(cx).to_string()),
        Later::Text(auth_from(cx, -1).to_string()),
        Later::Text(json!({"authorization": cx.token(32)}).to_string()),
        Later::Text(json!({"type": "unsubscribe", "success": false}).to_string()),
        Later::Text("x".repeat(50_000)),
        Later::Binary(auth(cx).to_string().into_bytes()),
        Later::Binary(vec![0xff, 0x00]),
    ];
    let mut twin = Subscriber::join(cx, &queue).await?;
    let mut all = try_join_all(frames.iter().map(|_| Subscriber::join(cx, &queue))).await?;
    let mut tokens = Vec::new();
    for round in 0..3 {
        let token = json!(cx.token(16));
        queue.says(cx, &token).await?;
        let pushed = twin.pushes_until(cx, &token).await?.map(|pushes| payloads_in(&pushes));
        cx.need(QUEUE_PUSH_6, &pushed, &[each(std::slice::from_ref(&token))])?;
        tokens.push(token);
        if round > 1 {
            break;
        }
        try_join_all(all.iter_mut().zip(&frames).map(async |(subscriber, frame)| {
            match frame {
                Later::Text(text) => subscriber.peer.send_text(text).await,
                Later::Binary(bytes) => subscriber.peer.send_binary(bytes.clone()).await,
            }
            // It was read before what comes next is published.
            subscriber.peer.ping(b"behind").await.map(drop)
        }))
        .await?;
    }
    let came = try_join_all(all.iter_mut().map(|subscriber| behind(subscriber, &old, tokens.len()))).await?;
    for (responses, seen) in came {
        let once = alternative("no second AuthResponse", |responses: &Vec<Value>| responses.is_empty());
        cx.expect(QUEUE_AUTH_4, &responses, &[once])?;
        let (tokens, before) = (tokens.clone(), tokens.clone());
        let unchanged = alternative(
            "each message that was published, once",
            move |behind: &Behind| matches!(behind, Behind::Pushed(all) if *all == tokens),
        );
        let closed = alternative(
            "messages that were published, and a close frame with a code from 4000 to 4999",
            move |behind: &Behind| matches!(behind, Behind::Ended(all, Ok(Came::Closed(Some(4000..5000)))) if before.starts_with(all)),
        );
        cx.expect(QUEUE_AUTH_21, &seen, &[unchanged, closed])?;
    }
    Ok(())
}

/// The AuthResponses that come, and what is pushed, until there are so many messages, or the connection has ended. What is old
/// may come once, before all others.
async fn behind(
    subscriber: &mut Subscriber,
    old: &[Value],
    messages: usize,
) -> Outcome<(Seen<Vec<Value>>, Seen<Behind>)> {
    let (mut all, mut responses, mut events) = (Vec::new(), Vec::new(), Vec::new());
    let ended = loop {
        let past = if all.starts_with(old) { old.len() } else { 0 };
        if all.len() >= messages + past {
            break None;
        }
        let seen = subscriber.next().await?.or_lost();
        let fate = seen.look().ok().cloned();
        events.push(seen.map(drop));
        match fate {
            Some(Ok(Came::Auth(frame))) => responses.push(frame),
            Some(Ok(Came::Push(push))) => all.extend(payloads(&push.messages)),
            Some(fate) => break Some(fate),
            None => break None,
        }
    };
    if all.starts_with(old) {
        all.drain(..old.len());
    }
    let seen = Seen::all(events);
    let count = seen.clone().map(|_| responses);
    let behind = seen.map(|_| match ended {
        Some(fate) => Behind::Ended(all, fate),
        None => Behind::Pushed(all),
    });
    Ok((count, behind))
}

pub(super) async fn not_pushed(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    queue.published_many(cx, 3).await?;
    let key = cx.key();
    let binary = auth_from(cx, -1).to_string().into_bytes();
    let frames = [
        None,
        Some(Later::Text(json!({"authorization": cx.token(32)}).to_string())),
        Some(Later::Text(json!({"authorization": format!("{key}x"), "last_offset": -1}).to_string())),
        Some(Later::Text(json!({"authorization": "", "last_offset": -1}).to_string())),
        Some(Later::Text(json!({"last_offset": -1}).to_string())),
        Some(Later::Text("no JSON".into())),
        Some(Later::Text(json!({"authorization": key, "last_offset": "-1"}).to_string())),
        Some(Later::Binary(binary)),
    ];
    let mut twin = Subscriber::join(cx, &queue).await?;
    let mut all = Vec::new();
    for frame in frames {
        let mut subscriber = Subscriber::open(cx, &queue).await?;
        match frame {
            None => {}
            Some(Later::Text(text)) => subscriber.peer.send_text(&text).await,
            Some(Later::Binary(bytes)) => subscriber.peer.send_binary(bytes).await,
        }
        all.push(subscriber);
    }
    for _ in 0..2 {
        hears(cx, &queue, &mut twin).await?;
    }
    for seen in try_join_all(all.iter_mut().map(|subscriber| overheard(subscriber, QUIET))).await? {
        let nothing = alternative("no Push without a success before it", |all: &Vec<Fate>| {
            let welcome = |fate: &Fate| matches!(fate, Ok(Came::Auth(frame)) if frame["success"] == true);
            let until = all.iter().position(welcome).unwrap_or(all.len());
            !all[..until].iter().any(|fate| matches!(fate, Ok(Came::Push(_) | Came::Binary(_))))
        });
        cx.expect(QUEUE_AUTH_8, &seen, &[nothing])?;
    }
    hears(cx, &queue, &mut twin).await
}
