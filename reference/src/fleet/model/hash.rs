//! Hash: one text for all that is shown, from texts that are kept for each instance.

use super::{Change, FleetModel, Instance, Record, State};
use crate::model::Decision;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::Arc};
use wireproof_spec::{
    fleet::{CapacityInfo, InstanceInfo, RoomInfo, hash},
    json::{Count, Strings},
};

/// What of an instance goes into the state hash: all but when its last State came.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hashed<'a> {
    id: &'a str,
    name: &'a str,
    process_uid: &'a str,
    endpoint_url: &'a str,
    labels: &'a Strings,
    room_types: &'a [String],
    rooms: &'a [RoomInfo],
    connections: Count,
    capacity: &'a CapacityInfo,
    auto_create: bool,
    status: &'a str,
    agent_version: &'a str,
    protocol_version: u32,
}

/// The canonical text of what of an instance goes into the state hash.
pub(super) fn text(info: &InstanceInfo) -> Arc<str> {
    hash::canonical(&Hashed {
        id: &info.id,
        name: &info.name,
        process_uid: &info.process_uid,
        endpoint_url: &info.endpoint_url,
        labels: &info.labels,
        room_types: &info.room_types,
        rooms: &info.rooms,
        connections: info.connections,
        capacity: &info.capacity,
        auto_create: info.auto_create,
        status: &info.status,
        agent_version: &info.agent_version,
        protocol_version: info.protocol_version,
    })
    .into()
}

/// The state hash, and the record that keeps it if it was not kept yet.
pub(super) fn current(state: &State, decision: &mut Decision<FleetModel>) -> Arc<str> {
    state.hash.clone().unwrap_or_else(|| {
        let hash: Arc<str> = of(state.instances().map(|instance| &*instance.text)).into();
        decision.records.push(Record::Hashed { hash: hash.clone() });
        hash
    })
}

/// The state hash behind a change.
pub(super) fn behind(state: &State, change: &Change) -> Arc<str> {
    let views: HashMap<u64, Option<&Instance>> =
        change.views.iter().map(|view| (view.connection, view.instance.as_ref())).collect();
    let instance = |connection: &u64| match views.get(connection) {
        Some(new) => *new,
        None => state.connections.get(connection)?.instance.as_ref(),
    };
    of(state.ids.values().filter_map(instance).map(|instance| &*instance.text)).into()
}

/// The state hash, with nothing taken from what was kept.
pub(super) fn from_scratch(state: &State) -> String {
    let texts: Vec<Arc<str>> = state.instances().map(|instance| text(&instance.info)).collect();
    of(texts.iter().map(AsRef::as_ref))
}

/// The hash of the array of these documents, which are in canonical form.
fn of<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut sha = Sha256::new();
    sha.update("[");
    for (index, text) in texts.enumerate() {
        if index > 0 {
            sha.update(",");
        }
        sha.update(text);
    }
    sha.update("]");
    sha.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
