//! Checks of "Connect" in spec/queue.md.

mod frames;

use super::{
    peer::{Came, Fate, Subscriber, auth, handshake, pushed_back},
    push::{each, payloads_in},
    setting::{PUBSUB, Queue, WORKER, payloads, succeeded},
};
use crate::{
    check::{Alternative, Check, Cx, Outcome, Shown, Waits, alternative, answer},
    drives,
    wire::{Lost, Seen, ws::Frame},
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::{
    http::{Request, Response, percent_encode},
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/connect/handshake", &[QUEUE_CONNECT_1, QUEUE_CONNECT_2], drives!(handshakes)),
    Check::new("queue/connect/percent-encoded", &[QUEUE_CONNECT_3], drives!(percent_encoded)),
    Check::new("queue/connect/nowhere", &[QUEUE_CONNECT_4], drives!(nowhere)),
    Check::new("queue/connect/deleted", &[QUEUE_CONNECT_5], drives!(deleted)),
    Check::new(
        "queue/connect/frames",
        &[QUEUE_CONNECT_6, QUEUE_CONNECT_7, QUEUE_CONNECT_8],
        drives!(frames::proper),
    ),
    Check::new("queue/connect/ping", &[QUEUE_CONNECT_9], drives!(ping)),
    Check::new("queue/connect/idle", &[QUEUE_CONNECT_10, QUEUE_CONNECT_8], drives!(idle))
        .waits(Waits::Limit("idle-ms", 1)),
    Check::new("queue/connect/subprotocols", &[QUEUE_CONNECT_11], drives!(subprotocols)),
    Check::new("queue/connect/no-upgrade", &[QUEUE_CONNECT_12], drives!(no_upgrade)),
];

/// How long a connection is idle if the target tells no limit.
const IDLE_MS: u64 = 60_000;

/// A handshake at this path.
fn at(path: String) -> Request {
    Request::new("GET", &path)
}

/// The path of a connection to a queue, up to its name.
fn stem(cx: &Cx) -> String {
    handshake(cx, "").path
}

/// The connection behind a 101, and its AuthRequest taken, as set-up.
async fn joined(
    cx: &Cx,
    (seen, peer): (&Seen<Response>, Option<crate::wire::ws::Peer>),
) -> Outcome<Subscriber> {
    cx.need(QUEUE_CONNECT_1, seen, &[answer(101).into()])?;
    let peer = peer.ok_or_else(|| cx.stop("there is no connection behind the 101"))?;
    let mut subscriber = Subscriber { peer, client_id: None };
    subscriber.welcomed(cx, &auth(cx)).await?;
    Ok(subscriber)
}

async fn handshakes(cx: &Cx) -> Outcome {
    let paused = Queue::create(cx, PUBSUB).await?;
    let seen = cx.send(paused.operation(cx, Action::Pause, &[])).await?;
    cx.need(QUEUE_QUEUES_18, &seen, &[succeeded()])?;
    let (shared, work) = (Queue::create(cx, PUBSUB).await?, Queue::create(cx, WORKER).await?);
    let mut all = Vec::new();
    // The second connection is as good as the first.
    for queue in [&shared, &work, &paused, &shared] {
        let (seen, peer) = cx.upgrade(handshake(cx, &queue.name)).await?;
        cx.expect(QUEUE_CONNECT_1, &seen, &[answer(101).into()])?;
        cx.expect(QUEUE_CONNECT_2, &seen, &[answer(101).without("sec-websocket-protocol").into()])?;
        all.push(joined(cx, (&seen, peer)).await?);
    }
    // What was upgraded leads to the queue.
    let (mut second, _, mut working, mut first) = match <[Subscriber; 4]>::try_from(all) {
        Ok([first, working, paused, second]) => (second, paused, working, first),
        Err(_) => return Err(cx.stop("not all connections are there")),
    };
    let token = json!(cx.token(24));
    shared.says(cx, &token).await?;
    for subscriber in [&mut first, &mut second] {
        let pushed = subscriber.gather(cx, 1).await?.map(|messages| payloads(&messages));
        cx.need(QUEUE_PUSH_6, &pushed, &[holds(&token)])?;
    }
    pushed_back(cx, &work, &mut working).await
}

/// That exactly this was pushed.
fn holds(token: &Value) -> Alternative<Vec<Value>> {
    let token = token.clone();
    alternative("what was published", move |pushed: &Vec<Value>| *pushed == [token.clone()])
}

/// A name with each of its bytes escaped, in digits as `form` writes them.
fn escaped(name: &str, form: fn(u8) -> String) -> String {
    name.bytes().map(form).collect()
}

async fn percent_encoded(cx: &Cx) -> Outcome {
    let queue = Queue::named(cx, format!("_{}", cx.name()));
    let seen = cx.send(queue.creation(cx, PUBSUB, &json!({}))).await?;
    cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()])?;
    // The name as it stands is the twin.
    let mut twin = Subscriber::join(cx, &queue).await?;
    pushed_back(cx, &queue, &mut twin).await?;
    for name in [
        format!("%5F{}", &queue.name[1..]),
        format!("%5f{}", &queue.name[1..]),
        queue.name.replace('-', "%2D"),
        escaped(&queue.name, |byte| format!("%{byte:02X}")),
        escaped(&queue.name, |byte| format!("%{byte:02x}")),
    ] {
        let (seen, peer) = cx.upgrade(at(format!("{}{name}", stem(cx)))).await?;
        cx.expect(QUEUE_CONNECT_3, &seen, &[answer(101).into()])?;
        let peer = peer.ok_or_else(|| cx.stop("there is no connection behind the 101"))?;
        let mut subscriber = Subscriber { peer, client_id: None };
        let seen = subscriber.asked(&auth(cx)).await?;
        cx.expect(QUEUE_CONNECT_3, &seen, &[super::peer::welcome()])?;
        let token = json!(cx.token(24));
        queue.says(cx, &token).await?;
        let pushed = twin.gather(cx, 1).await?.map(|messages| payloads(&messages));
        cx.need(QUEUE_PUSH_6, &pushed, &[holds(&token)])?;
        // Who is new may be replayed what was there before.
        let pushed = subscriber.pushes_until(cx, &token).await?.map(|pushes| payloads_in(&pushes));
        cx.expect(QUEUE_CONNECT_3, &pushed, &[each(std::slice::from_ref(&token))])?;
    }
    Ok(())
}

/// What comes of who connects to a queue that is not there.
enum Met {
    /// The handshake was not answered with 101.
    Handshake(u16),
    /// The first that came on the connection, or its end.
    Came(Fate),
}

impl Shown for Met {
    fn shown(&self) -> String {
        match self {
            Met::Handshake(status) => format!("a handshake that is answered with {status}"),
            Met::Came(fate) => fate.shown(),
        }
    }
}

/// Connects to a queue that is not there, with a valid key.
async fn met(cx: &Cx, name: &str) -> Outcome<Seen<Met>> {
    let (seen, peer) = cx.upgrade(handshake(cx, name)).await?;
    let Some(peer) = peer else {
        return Ok(seen.map(|response| Met::Handshake(response.status)));
    };
    let mut subscriber = Subscriber { peer, client_id: None };
    Ok(subscriber.asked(&auth(cx)).await?.or_lost().map(Met::Came))
}

/// The ways in which somebody is told that there is no such queue.
fn sent_away() -> Vec<Alternative<Met>> {
    vec![
        alternative("a handshake that is answered with 404", |met: &Met| matches!(met, Met::Handshake(404))),
        alternative(
            "an AuthResponse with success false",
            |met: &Met| matches!(met, Met::Came(Ok(Came::Auth(frame))) if frame["success"] == false),
        ),
        alternative("a close frame with a code from 4000 to 4999", |met: &Met| {
            matches!(met, Met::Came(Ok(Came::Closed(Some(4000..5000)))))
        }),
    ]
}

/// Claims that these queues are not there for who connects.
async fn are_nowhere(cx: &Cx, requirement: RequirementId, names: &[String]) -> Outcome {
    // All at once: each may take its time to say so.
    let all = try_join_all(names.iter().map(|name| met(cx, name))).await?;
    for seen in all {
        cx.expect(requirement, &seen, &sent_away())?;
    }
    Ok(())
}

async fn nowhere(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut twin = Subscriber::join(cx, &queue).await?;
    pushed_back(cx, &queue, &mut twin).await?;
    let cut = &queue.name[..queue.name.len() - 1];
    let names =
        [Queue::nowhere(cx).name, format!("{}x", queue.name), cut.to_owned(), format!("q{}", cx.token(40))];
    are_nowhere(cx, QUEUE_CONNECT_4, &names).await?;
    // It is not made by who looks for it.
    are_nowhere(cx, QUEUE_CONNECT_4, &names).await?;
    pushed_back(cx, &queue, &mut twin).await
}

async fn deleted(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let queue = Queue::create(cx, kind).await?;
        let kept = Queue::create(cx, kind).await?;
        let mut subscriber = Subscriber::join(cx, &queue).await?;
        pushed_back(cx, &queue, &mut subscriber).await?;
        let reply = cx.send(queue.operation(cx, Action::Delete, &[])).await?;
        cx.need(QUEUE_QUEUES_15, &reply, &[succeeded()])?;
        for _ in 0..2 {
            are_nowhere(cx, QUEUE_CONNECT_5, std::slice::from_ref(&queue.name)).await?;
        }
        // Who connects elsewhere, or to a new queue of this name, is welcome.
        let seen = cx.send(queue.creation(cx, kind, &json!({}))).await?;
        cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()])?;
        for queue in [&kept, &queue] {
            let mut subscriber = Subscriber::join(cx, queue).await?;
            pushed_back(cx, queue, &mut subscriber).await?;
        }
    }
    Ok(())
}

async fn ping(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let longest: Vec<u8> = (0..125).map(|n| n * 2 + 1).collect();
    let token = cx.token(20);
    let contents: [&[u8]; 5] = [b"", b"\0", token.as_bytes(), &[0xff, 0xfe, 0x80], &longest];
    let mut subscriber = Subscriber::open(cx, &queue).await?;
    for authenticated in [false, true] {
        if authenticated {
            subscriber.welcomed(cx, &auth(cx)).await?;
        }
        // Who has not yet said who it is has not much time.
        let few = if authenticated { contents.len() } else { 2 };
        for content in contents.into_iter().rev().take(few) {
            let pong = subscriber.peer.ping(content).await?;
            let expected = content.to_vec();
            let same = alternative("a pong with the content of the ping", move |pong: &bytes::Bytes| {
                pong[..] == expected[..]
            });
            cx.expect(QUEUE_CONNECT_9, &pong, &[same])?;
        }
    }
    pushed_back(cx, &queue, &mut subscriber).await
}

async fn idle(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    pushed_back(cx, &queue, &mut subscriber).await?;
    let length = Duration::from_millis(cx.features().limit("idle-ms").unwrap_or(IDLE_MS));
    let seen = frames::idle(cx, &mut subscriber, length).await?;
    let there = alternative("nothing, and a pong behind it", |seen: &Result<Option<Frame>, Lost>| {
        matches!(seen, Ok(None))
    });
    cx.expect(
        QUEUE_CONNECT_8,
        &seen,
        &[alternative("nothing else in a text", |seen: &Result<Option<Frame>, Lost>| {
            !matches!(seen, Ok(Some(Frame::Text(_))))
        })],
    )?;
    cx.expect(QUEUE_CONNECT_10, &seen, &[there])?;
    // It is still a subscription.
    let token = json!(cx.token(24));
    queue.says(cx, &token).await?;
    let pushed = subscriber.gather(cx, 1).await?.map(|messages| payloads(&messages));
    cx.expect(QUEUE_CONNECT_10, &pushed, &[holds(&token)])?;
    Ok(())
}

async fn subprotocols(cx: &Cx) -> Outcome {
    const OFFERED: [&str; 2] = ["wireproof.v1", "wireproof.v2"];
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut twin = Subscriber::join(cx, &queue).await?;
    pushed_back(cx, &queue, &mut twin).await?;
    let offer = handshake(cx, &queue.name).header("sec-websocket-protocol", OFFERED.join(", "));
    let (seen, _peer) = cx.upgrade(offer).await?;
    let chosen = |r: &Response| r.headers.get("sec-websocket-protocol").map(str::to_owned);
    cx.expect(
        QUEUE_CONNECT_11,
        &seen,
        &[
            alternative("101 and none of the subprotocols", move |r: &Response| {
                r.status == 101 && chosen(r).is_none()
            }),
            alternative("101 and one of the subprotocols", move |r: &Response| {
                r.status == 101 && chosen(r).is_some_and(|one| OFFERED.contains(&one.trim()))
            }),
            alternative("a 4xx", |r: &Response| (400..500).contains(&r.status)),
        ],
    )?;
    Ok(())
}

async fn no_upgrade(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut twin = Subscriber::join(cx, &queue).await?;
    pushed_back(cx, &queue, &mut twin).await?;
    let get = at(format!("{}{}", stem(cx), percent_encode(&queue.name)));
    let seen = cx.send(get).await?;
    let mut ways: Vec<Alternative<Response>> =
        [400, 401, 404, 426].map(|status| answer(status).into()).into();
    ways.push(alternative("another 4xx", |r: &Response| (400..500).contains(&r.status)));
    cx.expect(QUEUE_CONNECT_12, &seen, &ways)?;
    Ok(())
}
