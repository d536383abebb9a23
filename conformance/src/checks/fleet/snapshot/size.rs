//! How long a snapshot may be, and how many rooms it may have.

use crate::{
    check::{Alternative, Cx, Outcome},
    checks::fleet::{
        by_hand::{Became, ByHand, applied, not_applied},
        setting::{Say, told},
    },
    wire::Seen,
};
use wireproof_spec::fleet::{Snapshot, State, requirements::*};

/// A snapshot, hashed and written ahead: for a long one that takes longer than a Poll may wait.
struct Ahead {
    hash: String,
    inner: Vec<u8>,
    req_id: usize,
}

impl Ahead {
    /// What stands before the reqId: the header, its key, and its length.
    const BEFORE: usize = 4;

    fn new(snapshot: Snapshot, req_id: usize) -> Self {
        let hash = snapshot.hash();
        let state =
            State { req_id: "0".repeat(req_id), seq: 2, hash: hash.clone(), snapshot: Some(snapshot) };
        Self { hash, inner: state.encode_frame(), req_id }
    }

    /// With this reqId; one of another length has another payload.
    fn inner(&self, req_id: &str) -> Vec<u8> {
        let rest = &self.inner[Self::BEFORE + self.req_id..];
        let mut inner = self.inner[..Self::BEFORE - 1].to_vec();
        inner.extend(u8::try_from(req_id.len()).ok());
        [&inner[..], req_id.as_bytes(), rest].concat()
    }

    /// Answers with it: what became of it.
    async fn tell(&self, cx: &Cx, hand: &mut ByHand) -> Outcome<Seen<Became>> {
        let state =
            State { req_id: hand.poll.req_id.clone(), seq: 2, hash: self.hash.clone(), snapshot: None };
        hand.agent.send_inner("fleet/state", &self.inner(&state.req_id));
        hand.became(cx, state, |state| self.inner(&state.req_id)).await
    }
}

/// An agent whose first snapshot was applied, and another snapshot that is made for its reqIds.
async fn ready(cx: &Cx, make: impl Fn(Snapshot, &str) -> Snapshot) -> Outcome<(ByHand, Ahead)> {
    /// ReqIds that are counted grow by a digit now and then.
    const TRIES: usize = 3;
    let base = cx.snapshot();
    let mut hand = ByHand::join(cx, base.clone()).await?;
    for _ in 0..TRIES {
        let ahead = Ahead::new(make(base.clone(), &hand.poll.req_id), hand.poll.req_id.len());
        hand = ByHand::join(cx, base.clone()).await?;
        if hand.poll.req_id.len() == ahead.req_id {
            return Ok((hand, ahead));
        }
    }
    Err(cx.stop("no two Polls have reqIds of one length"))
}

async fn of_bytes(cx: &Cx, bytes: usize) -> Outcome<Seen<Became>> {
    let (mut hand, ahead) = ready(cx, |base, req_id| base.padded_to(bytes, req_id)).await?;
    if ahead.inner.len() != bytes {
        return Err(
            cx.stop(&format!("a payload of {bytes} bytes was to be made, and has {}", ahead.inner.len()))
        );
    }
    ahead.tell(cx, &mut hand).await
}

fn is_applied(bytes: usize) -> [Alternative<Became>; 1] {
    [applied(&format!("a snapshot whose payload has {bytes} bytes"))]
}

/// What every orchestrator takes.
pub(super) async fn least(cx: &Cx) -> Outcome {
    const BYTES: usize = 60_000;
    let became = of_bytes(cx, BYTES).await?;
    cx.expect(FLEET_SNAPSHOT_1, &became, &is_applied(BYTES))?;
    Ok(())
}

/// What an orchestrator should take.
pub(super) async fn most(cx: &Cx) -> Outcome {
    const BYTES: usize = 4_000_000;
    let became = of_bytes(cx, BYTES).await?;
    cx.expect(FLEET_SNAPSHOT_2, &became, &is_applied(BYTES))?;
    Ok(())
}

/// 50000 rooms, with ids that are as short as may be.
pub(super) async fn rooms(cx: &Cx) -> Outcome {
    const MOST: usize = 50_000;
    let having = |count: usize| {
        move |base: Snapshot, _: &str| {
            base.having((0..count).map(|n| told(&format!("{n:x}"), "f", 0)).collect())
        }
    };
    let (mut hand, within) = ready(cx, having(MOST)).await?;
    let became = within.tell(cx, &mut hand).await?;
    cx.expect(FLEET_SNAPSHOT_15, &became, &[applied("a snapshot of 50000 rooms")])?;
    hand.agent.leave();
    let (mut hand, beyond) = ready(cx, having(MOST + 1)).await?;
    let became = beyond.tell(cx, &mut hand).await?;
    cx.expect(FLEET_SNAPSHOT_15, &became, &[not_applied("a snapshot of 50001 rooms")])?;
    Ok(())
}
