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
use serde_json::Value;
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
        let mut model = look.instances.clone();
        for info in model.as_array_mut().into_iter().flatten() {
            only(info, INSTANCE);
            info["rooms"].as_array_mut().into_iter().flatten().for_each(|room| only(room, ROOM));
        }
        look.hash() == hash(&model)
    })
}

/// What of an instance is hashed.
const INSTANCE: &[&str] = &[
    "id",
    "name",
    "processUid",
    "endpointUrl",
    "labels",
    "roomTypes",
    "connections",
    "capacity",
    "autoCreate",
    "status",
    "agentVersion",
    "protocolVersion",
    "rooms",
];

/// What of a room is hashed.
const ROOM: &[&str] = &["id", "type", "connections", "instanceId", "endpointUrl", "local"];

fn only(object: &mut Value, members: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|name, _| members.contains(&name.as_str()));
    }
}
