//! The fleet protocol: spec/fleet.md. One file an area, named as its heading.

pub mod commands;
pub mod conditional;
pub mod connect;
pub mod events;
pub mod frames;
#[cfg(feature = "hash")]
pub mod hash;
pub mod hello;
pub mod http;
pub mod ids;
pub mod instances;
#[cfg(feature = "schema")]
mod openapi;
pub mod placement;
pub mod poll;
pub mod snapshot;

pub use commands::{Ack, AckRoom, Cmd, Op};
pub use events::Event;
pub use hello::Hello;
pub use http::{Action, Cause, Done, Rejection, Route};
pub use ids::RoomId;
pub use instances::{
    CapacityInfo, FleetStats, InstanceInfo, InstanceReply, InstancesReply, RoomInfo, RoomReply, RoomsReply,
    StatsReply,
};
pub use placement::{CreateRequest, Placement, Strategy};
pub use poll::{Poll, Status};
pub use snapshot::{Capacity, Label, Origin, Snapshot, State, SyncRoom};

pub use crate::decode::{Check, Violation};
#[cfg(feature = "schema")]
pub use openapi::openapi;

/// The requirements of spec/fleet.md.
#[allow(missing_docs)]
pub mod requirements {
    include!(concat!(env!("OUT_DIR"), "/fleet_requirements.rs"));
}

/// The normative document.
#[cfg(feature = "registry")]
pub const DOCUMENT: &str = include_str!("../fleet.md");

/// What became of each row of the facts that the document rests on: row, level, ids or disposition, separated by tabs.
#[cfg(feature = "registry")]
pub const ROWS: &str = include_str!("../rows/fleet.tsv");

crate::decode::messages! {
    Hello = "fleet/hello",
    Poll = "fleet/poll",
    State = "fleet/state",
    Cmd = "fleet/cmd",
    Ack = "fleet/ack",
    InstanceInfo = "fleet/instance-info",
    RoomInfo = "fleet/room-info",
    FleetStats = "fleet/fleet-stats",
    StatsReply = "fleet/stats-reply",
    InstanceReply = "fleet/instance-reply",
    InstancesReply = "fleet/instances-reply",
    RoomReply = "fleet/room-reply",
    RoomsReply = "fleet/rooms-reply",
    CreateRequest = "fleet/create-request",
    Done = "fleet/done",
    Rejection = "fleet/rejected",
}
