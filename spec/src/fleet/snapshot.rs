//! Snapshot: what an agent says of itself, and how much of it an orchestrator takes.

use super::{
    frames::{Member, Reading, Scalar, VERSION, frame, terms},
    poll::Status,
    requirements::FLEET_MESSAGE_14,
};
use crate::{
    decode::Violation,
    json::{Json, json, within},
};
use serde::{Serialize, Serializer};
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;

/// How many labels a snapshot has at most, of different keys.
pub const MOST_LABELS: usize = 32;

/// How many types of rooms a snapshot has at most.
pub const MOST_ROOM_TYPES: usize = 256;

/// How many rooms a snapshot has at most.
pub const MOST_ROOMS: usize = 50_000;

terms! {
    /// Who made a room.
    Origin, absent = Self::Local, others = false;
    /// A command.
    Fleet = "fleet",
    /// The agent's host.
    Local = "local",
}

frame! {
    /// A label of an instance.
    Label;
    /// Its name.
    1 key: String = "key",
    /// Its value.
    2 value: String = "value",
}

frame! {
    /// How much an instance takes; what is not there has no bound.
    Capacity;
    /// How many connections.
    1 max_connections: Option<i32> = "maxConnections",
    /// How many rooms.
    2 max_rooms: Option<i32> = "maxRooms",
}

frame! {
    /// A room, as its agent knows it.
    SyncRoom;
    /// Its id.
    1 id: String = "id",
    /// Its type.
    2 kind: String = "type",
    /// How many are connected to it.
    3 connections: u32 = "connections",
    /// Who made it.
    4 origin: Origin = "origin",
}

frame! {
    /// A State as it is written: what belongs to a snapshot is there or not.
    Written;
    /// The poll that it answers.
    1 req_id: Option<String> = "reqId",
    /// Whether it has a snapshot.
    2 full: Option<bool> = "full",
    /// How many States there were on this connection, with this one.
    3 seq: Option<u32> = "seq",
    /// The hash of the snapshot, sent or not.
    4 hash: Option<String> = "hash",
    /// The name of the instance, for people.
    5 name: Option<String> = "name",
    /// The id of the process.
    6 process_uid: Option<String> = "processUid",
    /// The version of the agent's software.
    7 agent_version: Option<String> = "agentVersion",
    /// The major version of the protocol.
    8 protocol_version: Option<u32> = "protocolVersion",
    /// Where players connect.
    9 endpoint_url: Option<String> = "endpointUrl",
    /// The labels; of two with one key the last one counts.
    10 labels: Option<Vec<Label>> = "labels",
    /// How much it takes.
    11 capacity: Option<Capacity> = "capacity",
    /// Whether it makes rooms when told to.
    12 auto_create: Option<bool> = "autoCreate",
    /// The types of rooms that it can make, sorted.
    13 room_types: Option<Vec<String>> = "roomTypes",
    /// Its rooms, sorted by id.
    14 rooms: Option<Vec<SyncRoom>> = "rooms",
    /// Whether it takes new rooms.
    15 status: Option<Status> = "status",
}

/// All that an agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The name of the instance, for people.
    pub name: String,
    /// The id of the process.
    pub process_uid: String,
    /// The version of the agent's software.
    pub agent_version: String,
    /// The major version of the protocol.
    pub protocol_version: u32,
    /// Where players connect.
    pub endpoint_url: String,
    /// The labels, as they were written; of two with one key the last one counts.
    pub labels: Vec<Label>,
    /// How much it takes.
    pub capacity: Capacity,
    /// Whether it makes rooms when told to.
    pub auto_create: bool,
    /// The types of rooms that it can make.
    pub room_types: Vec<String>,
    /// Its rooms.
    pub rooms: Vec<SyncRoom>,
    /// Whether it takes new rooms.
    pub status: Status,
}

impl Snapshot {
    /// The labels by name.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        self.labels.iter().map(|label| (label.key.as_str(), label.value.as_str())).collect()
    }

    /// The document from which the hash comes: "Hash".
    pub fn content(&self) -> Value {
        serde_json::json!({
            "name": self.name,
            "processUid": self.process_uid,
            "agentVersion": self.agent_version,
            "protocolVersion": self.protocol_version,
            "endpointUrl": self.endpoint_url,
            "labels": self.labels(),
            "capacity": {
                "maxConnections": self.capacity.max_connections,
                "maxRooms": self.capacity.max_rooms,
            },
            "autoCreate": self.auto_create,
            "roomTypes": self.room_types,
            "rooms": self.rooms,
            "status": self.status,
        })
    }

    /// Its hash, as an agent that follows "Hash" sends it.
    #[cfg(feature = "hash")]
    pub fn hash(&self) -> String {
        super::hash::hash(&self.content())
    }
}

/// What an agent answers to a poll: a snapshot, or that the one of this hash is still true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The poll.
    pub req_id: String,
    /// How many States there were on this connection, with this one.
    pub seq: u32,
    /// The hash of the snapshot, sent or not.
    pub hash: String,
    /// The snapshot, if it is sent.
    pub snapshot: Option<Snapshot>,
}

impl State {
    /// Takes what was written; what is missing has its default, or is a violation.
    fn of(written: Written, reading: Reading) -> Result<Self, Violation> {
        fn given<T: Scalar>(name: &str, value: Option<T>, reading: Reading) -> Result<T, Violation> {
            let missing = || within(name, Violation::new("", "expected a value, found nothing"));
            <T as Member>::finish(value, reading).ok_or_else(missing)
        }
        let req_id = given("reqId", written.req_id, reading)?;
        let full = given("full", written.full, reading)?;
        let seq = given("seq", written.seq, reading)?;
        let hash = given("hash", written.hash, reading)?;
        if !full {
            let beyond = [
                ("name", written.name.is_some()),
                ("processUid", written.process_uid.is_some()),
                ("agentVersion", written.agent_version.is_some()),
                ("protocolVersion", written.protocol_version.is_some()),
                ("endpointUrl", written.endpoint_url.is_some()),
                ("labels", written.labels.is_some()),
                ("capacity", written.capacity.is_some()),
                ("autoCreate", written.auto_create.is_some()),
                ("roomTypes", written.room_types.is_some()),
                ("rooms", written.rooms.is_some()),
                ("status", written.status.is_some()),
            ];
            return match beyond.iter().find(|(_, there)| *there && reading == Reading::Strict) {
                Some((name, _)) => Err(within(
                    name,
                    Violation::new("", "expected nothing where full is false, found a value"),
                )),
                None => Ok(Self { req_id, seq, hash, snapshot: None }),
            };
        }
        let snapshot = Snapshot {
            name: given("name", written.name, reading)?,
            process_uid: given("processUid", written.process_uid, reading)?,
            agent_version: given("agentVersion", written.agent_version, reading)?,
            protocol_version: given("protocolVersion", written.protocol_version, reading)?,
            endpoint_url: given("endpointUrl", written.endpoint_url, reading)?,
            labels: written.labels.unwrap_or_default(),
            capacity: given("capacity", written.capacity, reading)?,
            auto_create: given("autoCreate", written.auto_create, reading)?,
            room_types: written.room_types.unwrap_or_default(),
            rooms: written.rooms.unwrap_or_default(),
            status: given("status", written.status, reading)?,
        };
        let bound = |name: &str, found: usize, most: usize| match found > most && reading == Reading::Strict {
            true => Err(within(name, Violation::new("", format!("expected at most {most}, found {found}")))),
            false => Ok(()),
        };
        if snapshot.protocol_version != VERSION && reading == Reading::Strict {
            let why = format!("expected {VERSION}, found {}", snapshot.protocol_version);
            return Err(within("protocolVersion", Violation::new("", why)));
        }
        if let (Status::Other(word), Reading::Strict) = (&snapshot.status, reading) {
            let why = crate::decode::expected("active or draining", word);
            return Err(within("status", Violation::new("", why)));
        }
        // Labels of one key count once, but who has so few has no more keys.
        if snapshot.labels.len() > MOST_LABELS {
            bound("labels", snapshot.labels().len(), MOST_LABELS)?;
        }
        bound("roomTypes", snapshot.room_types.len(), MOST_ROOM_TYPES)?;
        bound("rooms", snapshot.rooms.len(), MOST_ROOMS)?;
        Ok(Self { req_id, seq, hash, snapshot: Some(snapshot) })
    }

    fn written(&self) -> Written {
        fn list<T: Clone>(all: &[T]) -> Option<Vec<T>> {
            (!all.is_empty()).then(|| all.to_vec())
        }
        let mut written = Written::absent();
        written.req_id = Some(self.req_id.clone());
        written.full = Some(self.snapshot.is_some());
        written.seq = Some(self.seq);
        written.hash = Some(self.hash.clone());
        if let Some(snapshot) = &self.snapshot {
            written.name = Some(snapshot.name.clone());
            written.process_uid = Some(snapshot.process_uid.clone());
            written.agent_version = Some(snapshot.agent_version.clone());
            written.protocol_version = Some(snapshot.protocol_version);
            written.endpoint_url = Some(snapshot.endpoint_url.clone());
            written.labels = list(&snapshot.labels);
            written.capacity = Some(snapshot.capacity.clone());
            written.auto_create = Some(snapshot.auto_create);
            written.room_types = list(&snapshot.room_types);
            written.rooms = list(&snapshot.rooms);
            written.status = Some(snapshot.status.clone());
        }
        written
    }

    fn read_frame(inner: &[u8], reading: Reading) -> Result<Self, Violation> {
        Self::of(Written::take(super::frames::body(inner)?, reading)?, reading)
    }

    /// Reads an inner frame as whoever writes it has to write it.
    ///
    /// # Errors
    /// It is malformed, of another major version, a member is missing, or one is there that belongs to a snapshot though there is
    /// none.
    pub fn decode_frame(inner: &[u8]) -> Result<Self, Violation> {
        Self::read_frame(inner, Reading::Strict).map_err(|violation| violation.of(FLEET_MESSAGE_14))
    }

    /// Reads an inner frame as whoever receives it has to read it: what is missing has its default value.
    ///
    /// # Errors
    /// It is malformed or of another major version.
    pub fn receive(inner: &[u8]) -> Result<Self, Violation> {
        Self::read_frame(inner, Reading::Lenient)
    }

    /// Writes the inner frame.
    pub fn encode_frame(&self) -> Vec<u8> {
        let mut out = super::frames::header();
        self.fields(&mut out);
        out
    }

    /// The body of the frame, as [`Written`] has it, but of what need not be copied for it.
    fn fields(&self, out: &mut Vec<u8>) {
        fn list<T: Scalar>(all: &[T], number: u32, out: &mut Vec<u8>) {
            all.iter().for_each(|one| one.put(number, out));
        }
        self.req_id.put(Written::req_id, out);
        self.snapshot.is_some().put(Written::full, out);
        self.seq.put(Written::seq, out);
        self.hash.put(Written::hash, out);
        if let Some(snapshot) = &self.snapshot {
            snapshot.name.put(Written::name, out);
            snapshot.process_uid.put(Written::process_uid, out);
            snapshot.agent_version.put(Written::agent_version, out);
            snapshot.protocol_version.put(Written::protocol_version, out);
            snapshot.endpoint_url.put(Written::endpoint_url, out);
            list(&snapshot.labels, Written::labels, out);
            snapshot.capacity.put(Written::capacity, out);
            snapshot.auto_create.put(Written::auto_create, out);
            list(&snapshot.room_types, Written::room_types, out);
            list(&snapshot.rooms, Written::rooms, out);
            snapshot.status.put(Written::status, out);
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(serializer)
    }
}

impl Json for State {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        let written = <Written as Json>::read(value).and_then(|written| Self::of(written, Reading::Strict));
        written.map_err(|violation| violation.of(FLEET_MESSAGE_14))
    }

    #[cfg(feature = "schema")]
    fn schema() -> Value {
        const ALWAYS: [&str; 4] = ["reqId", "full", "seq", "hash"];
        let mut schema = Written::schema();
        let mut snapshot: Vec<String> =
            schema["properties"].as_object().into_iter().flat_map(|all| all.keys().cloned()).collect();
        snapshot.retain(|name| !ALWAYS.contains(&name.as_str()));
        let none: serde_json::Map<_, _> = snapshot.iter().map(|name| (name.clone(), false.into())).collect();
        // An empty list is not written.
        snapshot.retain(|name| !["labels", "roomTypes", "rooms"].contains(&name.as_str()));
        schema["required"] = serde_json::json!(ALWAYS);
        schema["if"] = serde_json::json!({ "properties": { "full": { "const": true } } });
        let most = |items: usize| serde_json::json!({ "maxItems": items });
        let bounds = serde_json::json!({
            "roomTypes": most(MOST_ROOM_TYPES), "rooms": most(MOST_ROOMS),
            "protocolVersion": { "const": VERSION }, "status": { "enum": ["active", "draining"] },
        });
        schema["then"] = serde_json::json!({ "required": snapshot, "properties": bounds });
        schema["else"] = serde_json::json!({ "properties": none });
        schema
    }
}

json!(@message State, "fleet/state", "What an agent answers to a poll: a snapshot, or that the one of this hash is still true.");
