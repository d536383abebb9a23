//! What the orchestrator says, byte by byte.

use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    checks::fleet::{
        agent::{done, failed},
        look::soon,
        setting::{create, drain, handshake, info, instance, ok, ticket},
    },
    wire::{
        Seen,
        ws::{Frame, Peer},
    },
};
use serde_json::json;
use std::time::Duration;
use wireproof_spec::fleet::{
    Ack, Cmd, Hello, Poll, Snapshot, State,
    connect::SENTINEL,
    frames::{MAJOR, MINOR, Outer},
    requirements::*,
};

const TOPICS: [&str; 3] = ["fleet/hello", "fleet/poll", "fleet/cmd"];

fn no_text() -> Alternative<Frame> {
    alternative("no text frame", |frame: &Frame| !matches!(frame, Frame::Text(_)))
}

fn whole() -> Alternative<Frame> {
    let name = "an outer frame with both fields, a topic of the orchestrator, and the bytes 03 00 at the begin of its payload";
    alternative(name, |frame: &Frame| match frame {
        Frame::Binary(bytes) => Outer::decode(bytes).is_ok_and(|outer| {
            outer.topic.is_some_and(|topic| TOPICS.contains(&topic.as_ref()))
                && outer.payload.is_some_and(|payload| payload.starts_with(&[MAJOR, MINOR]))
        }),
        _ => true,
    })
}

/// An agent that looks at each frame before it is read.
struct Watcher {
    peer: Peer,
    id: String,
    snapshot: Snapshot,
    seq: u32,
    /// A Poll had the hash of what it said.
    known: bool,
}

impl Watcher {
    async fn connect(cx: &Cx) -> Outcome<Self> {
        let ticket = ticket(cx)?;
        let request = handshake(cx).header("sec-websocket-protocol", format!("{ticket}, {SENTINEL}"));
        let (seen, peer) = cx.upgrade(request).await?;
        cx.need(FLEET_CONNECT_1, &seen, &[answer(101).into()])?;
        let peer = peer.ok_or_else(|| cx.stop("there is no connection behind the 101"))?;
        Ok(Self { peer, id: String::new(), snapshot: cx.snapshot(), seq: 0, known: false })
    }

    /// The next frame, claimed about; the Cmd in it, if it is one. Polls are answered.
    async fn next(&mut self, cx: &Cx) -> Outcome<Option<Cmd>> {
        let seen: Seen<Frame> = self.peer.next().await?;
        cx.expect(FLEET_FRAMES_1, &seen, &[no_text()])?;
        let bytes = match cx.expect(FLEET_FRAMES_2, &seen, &[whole()])? {
            Frame::Binary(bytes) => bytes.clone(),
            _ => return Err(cx.stop("the connection was closed")),
        };
        let Ok(Outer { topic: Some(topic), payload: Some(payload) }) = Outer::decode(&bytes) else {
            return Ok(None);
        };
        match topic.as_ref() {
            "fleet/hello" => {
                if let Ok(hello) = Hello::receive(payload) {
                    self.id = hello.instance_id;
                }
            }
            "fleet/poll" => {
                if let Ok(poll) = Poll::receive(payload) {
                    self.answer(poll).await;
                }
            }
            _ => return Ok(Cmd::receive(payload).ok()),
        }
        Ok(None)
    }

    async fn answer(&mut self, poll: Poll) {
        self.seq += 1;
        let hash = self.snapshot.hash();
        let knows = poll.known_hash.as_ref() == Some(&hash);
        self.known |= knows;
        let snapshot = (!knows).then(|| self.snapshot.clone());
        let state = State { req_id: poll.req_id, seq: self.seq, hash, snapshot };
        self.peer.send_binary(Outer::encode("fleet/state", &state.encode_frame())).await;
    }

    async fn ack(&mut self, ack: &Ack) {
        self.peer.send_binary(Outer::encode("fleet/ack", &ack.encode_frame())).await;
    }
}

/// The Hello and the first Polls of a connection, up to one behind which it is known what was said.
pub(super) async fn polls(cx: &Cx) -> Outcome {
    const LEAST: usize = 3;
    const MOST: usize = 5;
    let mut watcher = Watcher::connect(cx).await?;
    for number in 1..=MOST {
        watcher.next(cx).await?;
        if watcher.known {
            return Ok(());
        }
        if number >= LEAST && cx.features().is("fleet.api", "on") {
            let seen = cx.send(instance(cx, &watcher.id)).await?;
            cx.need(FLEET_INSTANCES_2, &seen, &[info(&watcher.snapshot, &watcher.id)])?;
            return Ok(());
        }
    }
    Err(cx.stop("no Poll knew what was said on the connection"))
}

/// The Cmds of a connection, with a room and without.
pub(super) async fn commands(cx: &Cx) -> Outcome {
    let mut watcher = Watcher::connect(cx).await?;
    // The Hello and the first Poll.
    let (_, _) = (watcher.next(cx).await?, watcher.next(cx).await?);
    let seen = soon(cx, Duration::from_secs(2), &instance(cx, &watcher.id), &ok(200)).await?;
    cx.need(FLEET_INSTANCES_2, &seen, &[ok(200)])?;
    let requests = [
        create(cx, &json!({"type": watcher.snapshot.room_types[0]})),
        drain(cx, &watcher.id, true),
        drain(cx, &watcher.id, false),
    ];
    for (number, request) in requests.into_iter().enumerate() {
        let pending = cx.begin(request, cx.answer_time()).await?;
        let cmd = loop {
            if let Some(cmd) = watcher.next(cx).await? {
                break cmd;
            }
        };
        watcher.ack(&if number == 0 { failed(&cmd) } else { done(&cmd) }).await;
        let seen = pending.answer().await?;
        if number > 0 {
            cx.need(FLEET_COMMANDS_14, &seen, &[ok(200)])?;
        }
    }
    Ok(())
}
