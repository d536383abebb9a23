//! Instances: what operators see of them.

use super::{
    http::Ok,
    requirements::{
        FLEET_MESSAGE_6, FLEET_MESSAGE_7, FLEET_MESSAGE_8, FLEET_MESSAGE_9, FLEET_MESSAGE_10,
        FLEET_MESSAGE_11, FLEET_MESSAGE_12, FLEET_MESSAGE_13,
    },
};
use crate::json::{Count, Held, OrNull, Strings, json};

json! {
    /// A room.
    RoomInfo = "fleet/room-info", names = |_| FLEET_MESSAGE_12;
    /// Its public id.
    id: String = "id",
    /// Its type.
    kind: String = "type",
    /// How many are connected to it.
    connections: Count = "connections",
    /// The instance that it is on.
    instance_id: String = "instanceId",
    /// Where players connect.
    endpoint_url: String = "endpointUrl",
    /// Whether it was made by the host of its agent and not by a command.
    local: bool = "local",
}

json! {
    /// How much an instance takes; `null` has no bound.
    CapacityInfo;
    /// How many connections.
    max_connections: OrNull<i32> = "maxConnections",
    /// How many rooms.
    max_rooms: OrNull<i32> = "maxRooms",
}

json! {
    /// An instance.
    InstanceInfo = "fleet/instance-info", names = |_| FLEET_MESSAGE_11;
    /// The id of its connection.
    id: String = "id",
    /// Its name.
    name: String = "name",
    /// The id of its process.
    process_uid: String = "processUid",
    /// Where players connect.
    endpoint_url: String = "endpointUrl",
    /// Its labels.
    labels: Strings = "labels",
    /// The types of rooms that it can make.
    room_types: Vec<String> = "roomTypes",
    /// Its rooms.
    rooms: Vec<RoomInfo> = "rooms",
    /// How many are connected to its rooms.
    connections: Count = "connections",
    /// How much it takes.
    capacity: CapacityInfo = "capacity",
    /// Whether it makes rooms when told to.
    auto_create: bool = "autoCreate",
    /// Whether it takes new rooms.
    status: String = "status",
    /// When its last State came, in milliseconds since 1970.
    last_sync_at: Count = "lastSyncAt",
    /// The version of its software.
    agent_version: String = "agentVersion",
    /// The major version of the protocol.
    protocol_version: u32 = "protocolVersion",
}

json! {
    /// The fleet in numbers.
    FleetStats = "fleet/fleet-stats", names = |_| FLEET_MESSAGE_13;
    /// How many instances there are.
    instances: Count = "instances",
    /// How many rooms.
    rooms: Count = "rooms",
    /// How many are connected to them.
    connections: Count = "connections",
    /// The types of rooms that instances can make, sorted, each once.
    room_types: Vec<String> = "roomTypes",
    /// The hash of all that operators see.
    state_hash: String = "stateHash",
}

json! {
    /// The fleet in numbers, as an answer.
    StatsReply = "fleet/stats-reply", names = |_| FLEET_MESSAGE_6;
    /// That it succeeded.
    status: Ok = "status",
    /// The numbers.
    data: Held<FleetStats> = "data",
}

json! {
    /// An instance, as an answer.
    InstanceReply = "fleet/instance-reply", names = |_| FLEET_MESSAGE_8;
    /// That it succeeded.
    status: Ok = "status",
    /// The instance.
    data: Held<InstanceInfo> = "data",
}

json! {
    /// Instances, as an answer.
    InstancesReply = "fleet/instances-reply", names = |_| FLEET_MESSAGE_7;
    /// That it succeeded.
    status: Ok = "status",
    /// The instances.
    data: Vec<Held<InstanceInfo>> = "data",
    /// How many they are.
    count: Option<Count> = "count",
}

json! {
    /// A room, as an answer.
    RoomReply = "fleet/room-reply", names = |_| FLEET_MESSAGE_10;
    /// That it succeeded.
    status: Ok = "status",
    /// The room.
    data: Held<RoomInfo> = "data",
}

json! {
    /// Rooms, as an answer.
    RoomsReply = "fleet/rooms-reply", names = |_| FLEET_MESSAGE_9;
    /// That it succeeded.
    status: Ok = "status",
    /// The rooms.
    data: Vec<Held<RoomInfo>> = "data",
    /// How many they are.
    count: Option<Count> = "count",
}
