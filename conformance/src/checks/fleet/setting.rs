//! Requests of operators and what answers look like, and what agents say of themselves.

use super::{
    agent::{Agent, done},
    client,
};
use crate::check::{Alternative, Cx, Outcome, Shown, alternative};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use wireproof_spec::{
    fleet::{
        Capacity, Cause, Label, Origin, Rejection, Snapshot, State, Status, SyncRoom, connect::SENTINEL,
        frames::VERSION, ids,
    },
    http::{Request, Response, percent_encode},
};

/// Members whose values differ from run to run.
pub const VOLATILE: &[&str] = &[
    "instanceId",
    "reqId",
    "cmdId",
    "knownHash",
    "hash",
    "stateHash",
    "lastSyncAt",
    "id",
    "name",
    "processUid",
    "endpointUrl",
    "roomId",
    "instances",
    "rooms",
    "connections",
    "roomTypes",
    "labels",
    // What a variant of the reference shows beside what the document names.
    "ageMs",
];

/// The GET of a handshake, at the URL as the owner gave it, without what is offered.
pub fn handshake(cx: &Cx) -> Request {
    let root = cx.path("");
    let path = if root == "/" { "/" } else { root.trim_end_matches('/') };
    Request::new("GET", path)
}

/// The GET of a handshake with this ticket, as it goes over the wire.
pub fn raw_handshake(cx: &Cx, ticket: &str) -> Request {
    handshake(cx)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", format!("{ticket}, {SENTINEL}"))
}

/// The key of an agent.
///
/// # Errors
/// Stops the check, inconclusive, if there is none.
pub fn ticket(cx: &Cx) -> Outcome<&str> {
    match cx.tickets()[0].as_str() {
        "" => Err(cx.stop(
            "there is no key for agents; give it as `Sec-WebSocket-Protocol = \"env:VARIABLE\"` under [headers] in the target \
             file",
        )),
        ticket => Ok(ticket),
    }
}

/// A GET of this path below the root.
pub fn get(cx: &Cx, path: &str) -> Request {
    let mut request = Request::new("GET", "");
    request.set_target(&cx.path(path));
    request
}

/// A request with this method for this path below the root.
pub fn ask(cx: &Cx, method: &str, path: &str) -> Request {
    Request { method: method.into(), ..get(cx, path) }
}

/// A GET of an instance. Its id may have any characters, and stands in a path as one segment.
pub fn instance(cx: &Cx, id: &str) -> Request {
    get(cx, &format!("v1/instances/{}", percent_encode(id)))
}

/// A GET of the rooms of an instance.
pub fn rooms_of(cx: &Cx, id: &str) -> Request {
    get(cx, &format!("v1/instances/{}/rooms", percent_encode(id)))
}

/// A GET of the rooms, filtered by an instance.
pub fn rooms_on(cx: &Cx, id: &str) -> Request {
    get(cx, "v1/rooms").param("instanceId", id)
}

/// A GET of a room, by its public id as it stands.
pub fn room(cx: &Cx, id: &str) -> Request {
    get(cx, &format!("v1/rooms/{id}"))
}

/// A DELETE of a room, by its public id as it stands.
pub fn destroy(cx: &Cx, id: &str) -> Request {
    ask(cx, "DELETE", &format!("v1/rooms/{id}"))
}

/// A POST that drains, or undrains, an instance.
pub fn drain(cx: &Cx, id: &str, drain: bool) -> Request {
    let what = if drain { "drain" } else { "undrain" };
    ask(cx, "POST", &format!("v1/instances/{}/{what}", percent_encode(id)))
}

/// A POST /v1/rooms with this body.
pub fn create(cx: &Cx, body: &Value) -> Request {
    ask(cx, "POST", "v1/rooms").header("content-type", "application/json").body(body.to_string())
}

/// A POST /v1/rooms that pins a room with this id to this instance.
pub fn pinned(cx: &Cx, agent: &Agent, id: &str) -> Request {
    create(cx, &json!({"type": "any", "roomId": id, "placement": {"instanceId": agent.id}}))
}

/// The body of an answer, or null if it is no JSON.
pub fn value(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

/// What a success carries, of all that is shown the members that the document names: others are allowed everywhere, and what they
/// say may change at any moment.
pub fn data(response: &Response) -> Value {
    named(value(response)["data"].take())
}

/// The members of an InstanceInfo.
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
    "lastSyncAt",
];

/// The members of a RoomInfo.
const ROOM: &[&str] = &["id", "type", "connections", "instanceId", "endpointUrl", "local"];

/// The members of FleetStats.
const STATS: &[&str] = &["instances", "rooms", "connections", "roomTypes", "stateHash"];

/// An InstanceInfo, a RoomInfo, FleetStats, or a list of these, without members that the document does not name.
pub fn named(mut value: Value) -> Value {
    strip(&mut value);
    value
}

fn strip(value: &mut Value) {
    if let Value::Array(all) = value {
        all.iter_mut().for_each(strip);
    }
    let Some(object) = value.as_object_mut() else { return };
    // Each by what only it has, together with what it cannot be without: members with other names may be there as well.
    let has = |names: [&str; 2]| names.iter().all(|name| object.contains_key(*name));
    let members = if has(["instanceId", "local"]) {
        ROOM
    } else if has(["lastSyncAt", "capacity"]) {
        INSTANCE
    } else if has(["stateHash", "instances"]) {
        STATS
    } else {
        return;
    };
    object.retain(|name, _| members.contains(&name.as_str()));
    if let Some(rooms) = object.get_mut("rooms") {
        strip(rooms);
    }
    if let Some(capacity) = object.get_mut("capacity").and_then(Value::as_object_mut) {
        capacity.retain(|name, _| matches!(name.as_str(), "maxConnections" | "maxRooms"));
    }
}

/// Why a request was refused, if it was, with one of the causes of the document.
pub fn cause(response: &Response) -> Option<Cause> {
    let rejection = Rejection::decode(&response.body).ok()?;
    Some(rejection.cause).filter(|cause| cause.statuses().contains(&response.status))
}

/// That a request succeeded, with this status.
pub fn ok(status: u16) -> Alternative<Response> {
    ok_and(status, "", |_| true)
}

/// That a request succeeded, and its data meets this condition.
pub fn ok_and(
    status: u16,
    name: &str,
    holds: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> Alternative<Response> {
    let beside = if name.is_empty() { String::new() } else { format!(", and {name}") };
    alternative(format!("{status} with the status OK{beside}"), move |response: &Response| {
        let mut body = value(response);
        response.status == status && body["status"] == "OK" && holds(&named(body["data"].take()))
    })
}

/// That a request was refused as this.
pub fn refused(as_what: Cause) -> Alternative<Response> {
    alternative(format!("a refusal as {}", as_what.word()), move |response: &Response| {
        cause(response) == Some(as_what)
    })
}

/// That the API shows an instance as this snapshot has it.
pub fn info(snapshot: &Snapshot, id: &str) -> Alternative<Response> {
    let expected = shown(snapshot, id);
    ok_and(200, "the instance as its agent told it", move |data| is_shown(data, &expected))
}

/// The instance as the API shows it, without lastSyncAt, and with the rooms by their number alone: public ids depend on others.
pub fn shown(snapshot: &Snapshot, id: &str) -> Value {
    json!({
        "id": id,
        "name": snapshot.name,
        "processUid": snapshot.process_uid,
        "endpointUrl": snapshot.endpoint_url,
        "labels": snapshot.labels(),
        "roomTypes": snapshot.room_types,
        "connections": snapshot.rooms.iter().map(|room| u64::from(room.connections)).sum::<u64>(),
        "capacity": {"maxConnections": snapshot.capacity.max_connections, "maxRooms": snapshot.capacity.max_rooms},
        "autoCreate": snapshot.auto_create,
        "status": snapshot.status.word(),
        "agentVersion": snapshot.agent_version,
        "protocolVersion": snapshot.protocol_version,
        "rooms": snapshot.rooms.len(),
    })
}

/// Whether an InstanceInfo is this.
pub fn is_shown(info: &Value, expected: &Value) -> bool {
    let Some(expected) = expected.as_object() else { return false };
    expected.iter().all(|(name, value)| match name.as_str() {
        "rooms" => info["rooms"].as_array().is_some_and(|rooms| Some(rooms.len() as u64) == value.as_u64()),
        name => info[name] == *value,
    })
}

/// Whether the API shows rooms with these ids: alone, or behind the processUid where another agent has the same.
pub fn has_rooms(response: &Response, snapshot: &Snapshot) -> bool {
    let info = data(response);
    let shown = info["rooms"].as_array().into_iter().flatten().filter_map(|room| room["id"].as_str());
    let shown: BTreeSet<&str> = shown.map(|id| id.rsplit('~').next().unwrap_or(id)).collect();
    snapshot.rooms.iter().all(|room| shown.contains(&*ids::public(&room.id)))
}

/// A room that an agent tells.
pub fn told(id: &str, kind: &str, connections: u32) -> SyncRoom {
    SyncRoom { id: id.into(), kind: kind.into(), connections, origin: Origin::Fleet }
}

/// What an agent says of itself, changed step by step.
pub trait Say: Sized {
    /// With this changed.
    #[must_use]
    fn but(self, change: impl FnOnce(&mut Snapshot)) -> Self;

    /// With a name that is longer than it may be, for which it is rejected.
    #[must_use]
    fn rejected(self) -> Self {
        self.but(|snapshot| snapshot.name = "n".repeat(65))
    }

    /// That can make rooms of these types.
    #[must_use]
    fn hosting(self, kinds: &[&str]) -> Self {
        self.but(|snapshot| snapshot.room_types = kinds.iter().map(|kind| (*kind).to_owned()).collect())
    }

    /// With this label beside those that are there.
    #[must_use]
    fn labelled(self, key: &str, value: &str) -> Self {
        self.but(|snapshot| snapshot.labels.push(Label { key: key.into(), value: value.into() }))
    }

    /// With these bounds.
    #[must_use]
    fn bounded(self, connections: Option<i32>, rooms: Option<i32>) -> Self {
        self.but(|snapshot| snapshot.capacity = Capacity { max_connections: connections, max_rooms: rooms })
    }

    /// With these rooms.
    #[must_use]
    fn having(self, rooms: Vec<SyncRoom>) -> Self {
        self.but(|snapshot| snapshot.rooms = rooms)
    }

    /// With this room beside those that are there.
    #[must_use]
    fn with_room(self, room: SyncRoom) -> Self {
        self.but(|snapshot| snapshot.rooms.push(room))
    }

    /// With this status.
    #[must_use]
    fn in_status(self, status: Status) -> Self {
        self.but(|snapshot| snapshot.status = status)
    }

    /// With so many more rooms that the payload of its State, in answer to a Poll with this reqId and with the seq 1, has this
    /// many bytes.
    #[must_use]
    fn padded_to(self, size: usize, req_id: &str) -> Self {
        self.but(|snapshot| pad(snapshot, size, req_id))
    }
}

impl Say for Snapshot {
    fn but(mut self, change: impl FnOnce(&mut Snapshot)) -> Self {
        change(&mut self);
        self
    }
}

/// How long the id of a room is that fills a snapshot: what is around it has the same length for this and for shorter ones.
const FILLER: usize = 110;

fn pad(snapshot: &mut Snapshot, size: usize, req_id: &str) {
    let length = |snapshot: &Snapshot| {
        let (req_id, hash, seq) = (req_id.to_owned(), "0011223344556677".to_owned(), 1);
        State { req_id, seq, hash, snapshot: Some(snapshot.clone()) }.encode_frame().len()
    };
    let filler = |number: usize, length: usize| told(&format!("{number:0>length$}"), "f", 0);
    let empty = length(snapshot);
    snapshot.rooms.push(filler(0, FILLER));
    let each = length(snapshot) - empty;
    let missing = size.saturating_sub(empty);
    snapshot.rooms.pop();
    let (whole, rest) = (missing / each, missing % each);
    // What is left over is spread over rooms with shorter ids, of which one more has place.
    let (count, mut over) = if rest == 0 { (whole, 0) } else { (whole + 1, each - rest) };
    for number in 0..count {
        let less = over.min(FILLER - 8);
        snapshot.rooms.push(filler(number, FILLER - less));
        over -= less;
    }
}

impl Cx {
    /// What an agent of this check says of itself, that has no rooms and takes those of a type that nobody else has.
    pub fn snapshot(&self) -> Snapshot {
        let name = self.name();
        Snapshot {
            process_uid: format!("p_{}", self.token(24)),
            agent_version: "1.0.0".into(),
            protocol_version: VERSION,
            endpoint_url: format!("wss://{name}.example/rooms"),
            labels: Vec::new(),
            capacity: Capacity { max_connections: None, max_rooms: None },
            auto_create: true,
            room_types: vec![name.clone()],
            rooms: Vec::new(),
            status: Status::Active,
            name,
        }
    }
}

/// Every operation once, in the ordinary way.
///
/// # Errors
/// Stops where an operation does not answer as it should.
pub async fn ordinary(cx: &Cx) -> Outcome {
    if cx.is_client() {
        return client::ordinary(cx).await;
    }
    // Nobody else is there.
    const KIND: &str = "ordinary";
    let mut agent = Agent::connect(cx).await?;
    agent.says(cx.snapshot().hosting(&[KIND]));
    agent.known(cx).await?;
    if !cx.features().is("fleet.api", "on") {
        return Ok(());
    }
    agent.acks(Some(done));
    let id = cx.name();
    let _ = cx.send(create(cx, &json!({"type": KIND, "roomId": id}))).await?;
    agent.says(agent.snapshot().with_room(told(&id, KIND, 1)));
    agent.known(cx).await?;
    for request in [
        get(cx, "healthz"),
        get(cx, "readyz"),
        get(cx, "v1/stats"),
        get(cx, "v1/instances"),
        instance(cx, &agent.id),
        rooms_of(cx, &agent.id),
        get(cx, "v1/rooms"),
        room(cx, &ids::public(&id)),
        drain(cx, &agent.id, true),
        drain(cx, &agent.id, false),
        destroy(cx, &ids::public(&id)),
    ] {
        let _ = cx.send(request).await?;
    }
    Ok(())
}

/// Somebody whose wrong keys nobody else's are counted with, where addresses are told by a proxy: then requests come from an
/// address of its own.
pub struct Caller(Option<String>);

impl Caller {
    /// Another one.
    pub fn new(cx: &Cx) -> Self {
        // Of networks of IPv6 that nobody else is in, for who counts by network.
        let name = cx.name();
        let digits = name.get(name.len().saturating_sub(8)..).unwrap_or_default();
        let network = digits.split_at(digits.len() / 2);
        let address = format!("2001:db8:{}:{}::1", network.0, network.1);
        Self(cx.features().is("fleet.trust-proxy", "on").then_some(address))
    }

    /// This request as one of its own.
    pub fn asks(&self, request: Request) -> Request {
        match &self.0 {
            Some(address) => request.header("x-forwarded-for", address),
            None => request,
        }
    }
}

/// How far apart things were, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Apart(pub Vec<Duration>);

impl Shown for Apart {
    fn shown(&self) -> String {
        let all: Vec<String> = self.0.iter().map(|length| format!("{} ms", length.as_millis())).collect();
        all.join(", ")
    }
}

/// A time that is about `length` is not less than this.
pub fn at_least(length: Duration) -> Duration {
    (length * 3 / 4).saturating_sub(Duration::from_millis(100))
}

/// A time that is about `length` is not more than this.
pub fn at_most(length: Duration) -> Duration {
    length * 5 / 4 + Duration::from_millis(100)
}

/// That each is about this.
pub fn about(length: Duration) -> Alternative<Apart> {
    let (least, most) = (at_least(length), at_most(length));
    alternative(format!("from {} to {} ms", least.as_millis(), most.as_millis()), move |apart: &Apart| {
        !apart.0.is_empty() && apart.0.iter().all(|length| (least..=most).contains(length))
    })
}
