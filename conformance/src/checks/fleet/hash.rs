//! Checks of "Hash" in spec/fleet.md.

pub(super) mod agents;

use super::{
    agent::Agent,
    look::{Look, look, settled},
    setting::{Say, told},
};
use crate::{
    check::{Alternative, Check, Cx, Lane, Outcome, alternative},
    drives,
};
use wireproof_spec::fleet::{Origin, SyncRoom, hash::hash, requirements::*};

pub(super) const CHECKS: &[Check] =
    &[Check::new("fleet/hash/read-model", &[FLEET_HASH_1], drives!(read_model)).lane(Lane::Alone)];

/// The fleet as it is found, which may be empty; with an instance that has everything; and with a second one.
async fn read_model(cx: &Cx) -> Outcome {
    let seen = settled(cx).await?;
    cx.expect(FLEET_HASH_1, &seen, &[of_the_model()])?;
    let full = cx.snapshot().labelled("z\u{1f600}", "\"\\/\u{8}\u{1}").labelled("\u{ff21}", "\u{2028}");
    let full = full.bounded(Some(0), None).hosting(&["z", "a"]).with_room(told(&cx.name(), "any", 1_000_000));
    let full =
        full.with_room(SyncRoom { origin: Origin::Local, ..told(&format!("{} /", cx.name()), "a", 3) });
    let _full = Agent::join(cx, full).await?;
    let seen = look(cx).await?;
    cx.expect(FLEET_HASH_1, &seen, &[of_the_model()])?;
    let _second = Agent::join(cx, cx.snapshot()).await?;
    let seen = look(cx).await?;
    cx.expect(FLEET_HASH_1, &seen, &[of_the_model()])?;
    Ok(())
}

/// That the hash is that of the instances without lastSyncAt, in the order of their ids.
fn of_the_model() -> Alternative<Look> {
    alternative("the stateHash that the canonical JSON of the instances gives", |look: &Look| {
        look.hash() == hash(&look.instances)
    })
}
