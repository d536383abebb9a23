//! Which snapshot is newer than which.

use crate::{
    check::{Cx, Outcome},
    checks::fleet::{
        agent::Agent,
        by_hand::{ByHand, applied, not_applied, polled_with, takes},
        setting::Say,
    },
};
use futures_util::future::{try_join, try_join_all};
use wireproof_spec::fleet::{Snapshot, requirements::*};

/// What an agent says that has said this before.
fn next(held: &Snapshot, what: &str) -> Snapshot {
    held.clone().but(|snapshot| snapshot.labels.clear()).labelled("is", what)
}

/// A seq that was there, one that is less, and none, behind small ones and the greatest.
pub(super) async fn not_newer(cx: &Cx) -> Outcome {
    let cases: [(u32, u32); 6] = [(10, 10), (10, 9), (10, 1), (10, 0), (u32::MAX, u32::MAX), (u32::MAX, 0)];
    try_join_all(cases.map(async |(held, seq)| {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        let first = next(&hand.held, "first");
        let became = hand.tell_as(cx, &first, held, &first.hash()).await?;
        cx.need(FLEET_SNAPSHOT_31, &became, &[applied("a newer snapshot")])?;
        let second = next(&hand.held, "second");
        let became = hand.tell_as(cx, &second, seq, &second.hash()).await?;
        let what = format!("a snapshot with the seq {seq} behind one with the seq {held}");
        cx.expect(FLEET_SNAPSHOT_29, &became, &[not_applied(&what)])?;
        if let Some(seen) = hand.shown(cx, "labels").await? {
            cx.expect(FLEET_SNAPSHOT_29, &seen, &[hand.has("labels")])?;
        }
        Ok(())
    }))
    .await?;
    Ok(())
}

/// Whoever says nothing newer for longer than the silent may be silent is polled on, and is taken at its word behind it.
pub(super) async fn never_newer(cx: &Cx) -> Outcome {
    const POLLS: usize = 6;
    let mut hand = ByHand::join(cx, cx.snapshot()).await?;
    let old = next(&hand.held, "old");
    for _ in 0..POLLS {
        let became = hand.tell_as(cx, &old, 1, &old.hash()).await?;
        cx.expect(FLEET_SNAPSHOT_30, &became, &[not_applied("a snapshot with the seq of the first")])?;
    }
    let became = hand.tell_as(cx, &old, 100, &old.hash()).await?;
    cx.expect(FLEET_SNAPSHOT_30, &became, &[applied("a newer snapshot behind them")])?;
    Ok(())
}

/// Small steps and great ones; behind what was rejected; and on a second connection of a process.
pub(super) async fn newer(cx: &Cx) -> Outcome {
    let steps = async {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        for seq in [2, 1_000, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let more = next(&hand.held, &seq.to_string());
            let became = hand.tell_as(cx, &more, seq, &more.hash()).await?;
            cx.expect(FLEET_SNAPSHOT_31, &became, &[applied(&format!("a snapshot with the seq {seq}"))])?;
        }
        Ok(())
    };
    let rejected = async {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        let bad = next(&hand.held, "bad").rejected();
        let became = hand.tell_as(cx, &bad, 100, &bad.hash()).await?;
        cx.need(FLEET_SNAPSHOT_3, &became, &[not_applied("a snapshot with a name of 65 units")])?;
        let good = next(&hand.held, "good");
        let became = hand.tell_as(cx, &good, 50, &good.hash()).await?;
        let what = "a snapshot with the seq 50 behind one with the seq 1 and a rejected one with the seq 100";
        cx.expect(FLEET_SNAPSHOT_31, &became, &[applied(what)])?;
        Ok(())
    };
    let again = async {
        let mut first = ByHand::join(cx, cx.snapshot()).await?;
        let more = next(&first.held, "first");
        let became = first.tell_as(cx, &more, 1_000_000, &more.hash()).await?;
        cx.expect(FLEET_SNAPSHOT_31, &became, &[applied("a snapshot with the seq 1000000")])?;
        // Once beside the first connection, and once behind it.
        for what in ["beside", "behind"] {
            let mut agent = Agent::connect(cx).await?;
            let snapshot = next(&first.held, what);
            let hash = snapshot.hash();
            let seen = takes(cx, &mut agent, snapshot).await?;
            cx.expect(FLEET_SNAPSHOT_31, &seen, &[polled_with(&hash)])?;
            first.agent.leave();
        }
        Ok(())
    };
    try_join(steps, try_join(rejected, again)).await?;
    Ok(())
}

/// A snapshot that is known already is applied all the same: it is the one that later ones have to be newer than.
pub(super) async fn known_already(cx: &Cx) -> Outcome {
    let mut hand = ByHand::join(cx, cx.snapshot()).await?;
    if hand.poll.known_hash.as_ref() != Some(&hand.known) {
        return Err(cx.stop("the Poll does not know the hash"));
    }
    let (held, hash) = (hand.held.clone(), hand.known.clone());
    let became = hand.tell_as(cx, &held, 10, &hash).await?;
    cx.expect(FLEET_SNAPSHOT_32, &became, &[applied("a snapshot whose hash the Poll has")])?;
    let other = next(&held, "other");
    let became = hand.tell_as(cx, &other, 5, &other.hash()).await?;
    let what = "one with the seq 5 behind a snapshot with the seq 10 that was known already";
    cx.expect(FLEET_SNAPSHOT_32, &became, &[not_applied(what)])?;
    let became = hand.tell_as(cx, &other, 11, &other.hash()).await?;
    cx.expect(FLEET_SNAPSHOT_32, &became, &[applied("another snapshot, in answer to a Poll with a hash")])?;
    Ok(())
}
