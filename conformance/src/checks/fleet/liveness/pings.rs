//! Pings of the orchestrator, seen by an agent that reads frames itself and answers pings only if it is to.

use crate::{
    check::{Alternative, Cx, Outcome, Shown, alternative, answer},
    checks::fleet::{
        manual::masked,
        setting::{Apart, at_most, raw_handshake, ticket},
    },
    wire::{
        Seen,
        raw::{Peer, RawFrame},
    },
};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::fleet::{Poll, Snapshot, State, frames::Outer, requirements::*};

const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
/// The first byte of a last frame.
const LAST: u8 = 0x80;

impl Shown for RawFrame {
    fn shown(&self) -> String {
        format!("a frame with the opcode {} and {} bytes", self.opcode, self.payload.len())
    }
}

/// How far apart pings are.
fn interval(cx: &Cx) -> Duration {
    const USUAL: u64 = 30_000;
    Duration::from_millis(cx.features().limit("ping-ms").map_or(USUAL, |told| told.min(USUAL)))
}

/// An agent that answers Polls; and pings, if it is to.
struct Ear {
    peer: Peer,
    snapshot: Snapshot,
    pongs: bool,
    seq: u32,
    /// The hash of a Poll was that of what it said.
    known: bool,
}

impl Ear {
    async fn connect(cx: &Cx, pongs: bool) -> Outcome<Self> {
        let request = raw_handshake(cx, ticket(cx)?);
        let mut peer = cx.raw().await?;
        let sent = peer.send(&request).await;
        let seen = peer.reply(sent, "GET").await?;
        cx.need(FLEET_CONNECT_1, &seen, &[answer(101).into()])?;
        Ok(Self { peer, snapshot: cx.snapshot(), pongs, seq: 0, known: false })
    }

    /// The next frame up to this moment, answered as it has to be.
    async fn next(&mut self, until: Instant) -> Outcome<Option<Seen<RawFrame>>> {
        let Some(seen) = self.peer.frame(until).await? else { return Ok(None) };
        if let Ok(frame) = seen.look() {
            let said = match frame.opcode {
                PING if self.pongs => Some(masked(LAST | 10, &frame.payload)),
                BINARY => self.state(&frame.payload).map(|said| masked(LAST | BINARY, &said)),
                _ => None,
            };
            if let Some(bytes) = said {
                self.peer.write(&bytes).await;
            }
        }
        Ok(Some(seen))
    }

    fn state(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let outer = Outer::decode(bytes).ok().filter(|outer| outer.topic.as_deref() == Some("fleet/poll"))?;
        let poll = Poll::receive(outer.payload?).ok()?;
        self.seq += 1;
        let hash = self.snapshot.hash();
        let knows = poll.known_hash.as_ref() == Some(&hash);
        self.known |= knows;
        let snapshot = (!knows).then(|| self.snapshot.clone());
        let state = State { req_id: poll.req_id, seq: self.seq, hash, snapshot };
        Some(Outer::encode("fleet/state", &state.encode_frame()))
    }
}

/// Two pings of a connection whose agent answers them, and what lies before each.
pub(super) async fn pings(cx: &Cx) -> Outcome {
    const PINGS: usize = 2;
    let most = at_most(interval(cx));
    let mut ear = Ear::connect(cx, true).await?;
    let mut last = Instant::now();
    let (mut all, mut apart) = (Vec::new(), Vec::new());
    while apart.len() < PINGS {
        let until = last + most + Duration::from_millis(1);
        match ear.next(until).await? {
            Some(seen) => {
                let frame = seen.look().map(|frame| (frame.opcode, frame.at));
                match frame {
                    Ok((PING, at)) => {
                        apart.push(at - last);
                        last = at;
                    }
                    Ok((CLOSE, _)) => return Err(cx.stop("the connection was closed")),
                    Ok(_) => {}
                    Err(_) => return Err(cx.stop("the connection ended")),
                }
                all.push(seen);
                if last.elapsed() > most {
                    apart.push(last.elapsed());
                    break;
                }
            }
            None => {
                apart.push(last.elapsed());
                break;
            }
        }
    }
    if !ear.known {
        return Err(cx.stop("no Poll knew the hash of what was said on the connection"));
    }
    let seen = Seen::all(all).map(|_| Apart(apart));
    cx.expect(FLEET_LIVENESS_11, &seen, &[within(most, PINGS)])?;
    Ok(())
}

fn within(most: Duration, pings: usize) -> Alternative<Apart> {
    alternative(format!("{pings} pings, none later than {} ms", most.as_millis()), move |apart: &Apart| {
        apart.0.len() == pings && apart.0.iter().all(|length| *length <= most)
    })
}

/// How a connection went whose pings were not answered.
#[derive(Clone, Debug)]
struct Deaf {
    pings: usize,
    /// When it was over.
    ended: Option<Duration>,
}

impl Shown for Deaf {
    fn shown(&self) -> String {
        match self.ended {
            Some(after) => {
                format!("the end of the connection after {} ms and {} pings", after.as_millis(), self.pings)
            }
            None => format!("a connection that is open behind {} pings without a pong", self.pings),
        }
    }
}

/// A connection whose agent answers each Poll, and no ping.
pub(super) async fn deaf(cx: &Cx) -> Outcome {
    const SLACK: Duration = Duration::from_secs(5);
    let most = interval(cx) * 3 + SLACK;
    let mut ear = Ear::connect(cx, false).await?;
    let begun = Instant::now();
    let mut deaf = Deaf { pings: 0, ended: None };
    let mut all = Vec::new();
    while let Some(seen) = ear.next(begun + most).await? {
        let opcode = seen.look().map(|frame| frame.opcode);
        let (pinged, over) = (opcode == Ok(PING), opcode.is_err() || opcode == Ok(CLOSE));
        all.push(seen.or_lost());
        deaf.pings += usize::from(pinged);
        if over {
            deaf.ended = Some(begun.elapsed());
            break;
        }
    }
    // Who ends a connection sooner than it has to may have sent one.
    if deaf.pings < if deaf.ended.is_some() { 1 } else { 2 } {
        return Err(cx.stop("no two pings came"));
    }
    if !ear.known {
        return Err(cx.stop("no Poll knew the hash of what was said on the connection"));
    }
    let ended = alternative(
        format!("the end of the connection within {} ms", most.as_millis()),
        move |deaf: &Deaf| deaf.ended.is_some_and(|after| after <= most),
    );
    cx.expect(FLEET_LIVENESS_12, &Seen::all(all).map(|_| deaf), &[ended])?;
    Ok(())
}
