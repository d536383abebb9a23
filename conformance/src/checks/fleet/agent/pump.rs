//! What an agent does by itself: it reads, answers, and does what it is told.

use super::{Came, Fate, Heard, Order, Plan};
use crate::wire::{
    Seen,
    limit::words,
    ws::{Frame, Peer},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use wireproof_spec::fleet::{Cmd, Hello, Poll, State, frames::Outer};

/// Reads what comes, does what is planned, and does what it is told.
pub(super) async fn pump(
    mut peer: Peer,
    plan: Arc<Mutex<Plan>>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    heard: mpsc::UnboundedSender<Seen<Heard>>,
) {
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => return peer.leave(),
                Some(Order::Leave) => return peer.leave(),
                Some(Order::Reset) => return peer.reset(),
                Some(Order::Binary(bytes)) => peer.send_binary(bytes).await,
                Some(Order::Text(text)) => peer.send_text(&text).await,
                Some(Order::Raw(bytes)) => peer.send_raw(&bytes).await,
                Some(Order::Answer) => {
                    if let Some(bytes) = answered(&plan) {
                        peer.send_binary(bytes).await;
                    }
                }
                Some(Order::Close(code)) => peer.close(code, "").await,
                Some(Order::Ping(content, tell)) => {
                    let Ok(seen) = peer.ping(&content).await else { return };
                    let _ = tell.send(seen);
                }
                Some(Order::Prove(tell)) => {
                    if !prove(&mut peer, &plan, &heard, tell).await {
                        return;
                    }
                }
            },
            seen = peer.next() => {
                let Ok(seen) = seen else { return };
                if !take(&mut peer, &plan, &heard, seen).await {
                    return;
                }
            }
        }
    }
}

/// Looks whether the connection is there; whether it is.
async fn prove(
    peer: &mut Peer,
    plan: &Mutex<Plan>,
    heard: &mpsc::UnboundedSender<Seen<Heard>>,
    tell: oneshot::Sender<Seen<Fate>>,
) -> bool {
    loop {
        let Ok(seen) = peer.quiet(Duration::ZERO).await else { return false };
        let fate = match seen.look() {
            Ok(None) => Fate::Open,
            Ok(Some(Frame::Close(with))) => Fate::Closed(with.clone()),
            // What came in between comes first.
            Ok(Some(_)) => {
                let frame = seen.map(|frame| frame.unwrap_or(Frame::Close(None)));
                if !take(peer, plan, heard, frame).await {
                    return false;
                }
                continue;
            }
            Err(why) => Fate::Ended(why.to_string()),
        };
        let there = fate == Fate::Open;
        let _ = tell.send(seen.or_lost().map(|_| fate));
        return there;
    }
}

/// Takes what came; whether the connection goes on.
async fn take(
    peer: &mut Peer,
    plan: &Mutex<Plan>,
    heard: &mpsc::UnboundedSender<Seen<Heard>>,
    seen: Seen<Frame>,
) -> bool {
    let at = Instant::now();
    let goes_on = matches!(seen.look(), Ok(Frame::Text(_) | Frame::Binary(_)));
    let seen = seen.map(|frame| Heard { at, came: came(frame) });
    let said = seen.look().ok().and_then(|heard| said(plan, &heard.came));
    let told = heard.send(seen);
    if let Some(bytes) = said {
        peer.send_binary(bytes).await;
    }
    goes_on && told.is_ok()
}

fn came(frame: Frame) -> Came {
    let bytes = match frame {
        Frame::Binary(bytes) => bytes,
        Frame::Text(text) => return Came::Strange(format!("the text {:?}", words(&text))),
        Frame::Close(with) => return Came::Closed(with),
    };
    let strange = |why: &str| Came::Strange(format!("{} bytes that are no message ({why})", bytes.len()));
    let outer = match Outer::decode(&bytes) {
        Ok(outer) => outer,
        Err(why) => return strange(&why.to_string()),
    };
    let inner = outer.payload.unwrap_or_default();
    let read = match outer.topic.as_deref() {
        Some("fleet/hello") => Hello::receive(inner).map(Came::Hello),
        Some("fleet/poll") => Poll::receive(inner).map(Came::Poll),
        Some("fleet/cmd") => Cmd::receive(inner).map(Came::Cmd),
        other => return Came::Strange(format!("a frame with the topic {:?}", other.map(words))),
    };
    read.unwrap_or_else(|why| strange(&why.to_string()))
}

/// What is said to this by itself.
fn said(plan: &Mutex<Plan>, came: &Came) -> Option<Vec<u8>> {
    match came {
        Came::Poll(poll) => {
            plan.lock().unwrap_or_else(PoisonError::into_inner).outstanding = Some(poll.clone());
            answered(plan)
        }
        Came::Cmd(cmd) => {
            let acks = plan.lock().unwrap_or_else(PoisonError::into_inner).acks;
            acks.map(|acks| Outer::encode("fleet/ack", &acks(cmd).encode_frame()))
        }
        _ => None,
    }
}

/// The answer to the Poll that was not answered yet, if it is answered by itself.
fn answered(plan: &Mutex<Plan>) -> Option<Vec<u8>> {
    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
    if !plan.answers {
        return None;
    }
    let poll = plan.outstanding.take()?;
    plan.seq += 1;
    let hash = plan.snapshot.hash();
    let snapshot = (poll.known_hash.as_ref() != Some(&hash)).then(|| plan.snapshot.clone());
    let state = State { req_id: poll.req_id, seq: plan.seq, hash: hash.clone(), snapshot };
    plan.said = Some(hash);
    Some(Outer::encode("fleet/state", &state.encode_frame()))
}
