//! Hash: one text for all that is shown, from texts that are kept for each instance.

use super::{Change, FleetModel, Instance, Record, State};
use crate::model::Decision;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::Arc};
use wireproof_spec::{
    fleet::{CapacityInfo, InstanceInfo, RoomInfo, hash},
    json::{Count, Strings},
};

/// What of an instance goes into the state hash: all but when its last State came. Members stand in the order of the canonical
/// text, here and below, so that it is written at once: one is written whenever a snapshot is applied.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hashed<'a> {
    agent_version: &'a str,
    auto_create: bool,
    capacity: &'a CapacityInfo,
    connections: Count,
    endpoint_url: &'a str,
    id: &'a str,
    #[serde(serialize_with = "labels")]
    labels: &'a Strings,
    name: &'a str,
    process_uid: &'a str,
    protocol_version: u32,
    room_types: &'a [String],
    #[serde(serialize_with = "rooms")]
    rooms: &'a [RoomInfo],
    status: &'a str,
}

/// What of a room goes into the state hash.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HashedRoom<'a> {
    connections: Count,
    endpoint_url: &'a str,
    id: &'a str,
    instance_id: &'a str,
    local: bool,
    r#type: &'a str,
}

fn labels<S: Serializer>(labels: &Strings, serializer: S) -> Result<S::Ok, S::Error> {
    let mut all: Vec<(&String, &String)> = labels.0.iter().collect();
    // By code units, which is another order than that of a map where there are surrogates.
    all.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    serializer.collect_map(all)
}

fn rooms<S: Serializer>(rooms: &[RoomInfo], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rooms.iter().map(|room| HashedRoom {
        connections: room.connections,
        endpoint_url: &room.endpoint_url,
        id: &room.id,
        instance_id: &room.instance_id,
        local: room.local,
        r#type: &room.kind,
    }))
}

/// The canonical text of what of an instance goes into the state hash.
pub(super) fn text(info: &InstanceInfo) -> Arc<str> {
    let hashed = Hashed {
        agent_version: &info.agent_version,
        auto_create: info.auto_create,
        capacity: &info.capacity,
        connections: info.connections,
        endpoint_url: &info.endpoint_url,
        id: &info.id,
        labels: &info.labels,
        name: &info.name,
        process_uid: &info.process_uid,
        protocol_version: info.protocol_version,
        room_types: &info.room_types,
        rooms: &info.rooms,
        status: &info.status,
    };
    // Writing it into memory does not fail.
    serde_json::to_string(&hashed).unwrap_or_default().into()
}

/// The same text, made canonical by what knows nothing of instances.
fn canonical(info: &InstanceInfo) -> String {
    let mut document = serde_json::to_value(info).unwrap_or_default();
    document.as_object_mut().and_then(|members| members.remove("lastSyncAt"));
    hash::canonical(&document)
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
    let texts: Vec<String> = state.instances().map(|instance| canonical(&instance.info)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_instance_is_canonical() {
        let odd = "\u{0}\u{1f}\u{7f}\"\\/\u{8}\u{c}\n\r\t\u{2028}\u{fb33}\u{1f600}";
        let info = serde_json::json!({
            "id": "i", "name": odd, "processUid": "p", "endpointUrl": "ws://e",
            "labels": { "\u{fb33}": "1", "\u{1f600}": odd, "a": "" }, "roomTypes": ["z", odd, "a"],
            "rooms": [{
                "id": odd, "type": "t", "connections": 1_000_000, "instanceId": "i", "endpointUrl": "ws://e",
                "local": true,
            }],
            "connections": (1_i64 << 53) - 1, "capacity": { "maxConnections": i32::MIN, "maxRooms": null },
            "autoCreate": false, "status": "active", "lastSyncAt": 5, "agentVersion": "8", "protocolVersion": 3,
        });
        let info = InstanceInfo::decode(info.to_string().as_bytes()).expect("an instance");
        assert_eq!(*text(&info), *canonical(&info));
    }
}
