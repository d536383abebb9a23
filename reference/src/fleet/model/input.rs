//! What goes into the model of an orchestrator, and what comes out of it.

use std::{collections::BTreeMap, sync::Arc};
use wireproof_spec::fleet::{Cause, Cmd, CreateRequest, FleetStats, Hello, InstanceInfo, Poll, RoomInfo};

/// What happens to an orchestrator.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// An agent with a right key is connected.
    Joined {
        /// Its connection.
        connection: u64,
        /// How long after a poll the next one comes, in milliseconds.
        heartbeat_ms: u64,
        /// Whether its snapshots are rejected if they tell another hash than theirs.
        verified: bool,
        /// From which the id of the instance is derived.
        random: [u8; 8],
    },
    /// An agent said something.
    Heard {
        /// Its connection.
        connection: u64,
        /// What.
        heard: Heard,
    },
    /// The connection of an agent is gone.
    Left {
        /// Which.
        connection: u64,
    },
    /// An operator with a right key asks for something.
    Ask {
        /// The request.
        session: u64,
        /// What it asks for.
        ask: Ask,
    },
    /// The request of an operator is gone: nobody waits for its answer or its events.
    Gone {
        /// Which.
        session: u64,
    },
    /// Time has passed.
    Tick,
    /// The first input.
    Started,
    /// The orchestrator is about to stop.
    Stopping,
}

/// A message of a WebSocket, as an agent sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A text frame.
    Text,
    /// A binary message. The model reads it.
    Binary(Vec<u8>),
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The fleet in numbers; without data if the state hash is this one (or any, for `*`: see `known`).
    Stats {
        /// The value of If-None-Match.
        known: Option<String>,
    },
    /// The instances.
    Instances {
        /// The value of If-None-Match.
        known: Option<String>,
    },
    /// An instance.
    Instance {
        /// Its id.
        id: String,
    },
    /// The rooms of an instance.
    InstanceRooms {
        /// Its id.
        id: String,
    },
    /// Rooms.
    Rooms {
        /// Which.
        filter: Filter,
        /// The value of If-None-Match.
        known: Option<String>,
    },
    /// A room.
    Room {
        /// Its public id, as it stands in the path.
        id: String,
    },
    /// A new room.
    CreateRoom {
        /// The request.
        request: CreateRequest,
        /// From which an id is derived if the request has none, and chance in placement.
        random: [u8; 32],
        /// How long an agent has for the command, in milliseconds.
        timeout_ms: u64,
    },
    /// The end of a room.
    DestroyRoom {
        /// Its public id, as it stands in the path.
        id: String,
        /// How long an agent has for the command, in milliseconds.
        timeout_ms: u64,
    },
    /// That an instance takes no new rooms, or takes them again.
    Drain {
        /// The instance.
        id: String,
        /// Whether it is to take none.
        drain: bool,
        /// How long an agent has for the command, in milliseconds.
        timeout_ms: u64,
    },
    /// What happens from now on.
    Events {
        /// How many may listen at the same time.
        most: usize,
    },
}

/// Which rooms an operator wants to see; what is said holds together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this type.
    pub kind: Option<String>,
    /// On this instance.
    pub instance: Option<String>,
    /// On instances with these labels.
    pub labels: BTreeMap<String, String>,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Say something to an agent.
    Send {
        /// Its connection.
        connection: u64,
        /// What.
        said: Said,
    },
    /// Close the connection of an agent.
    Close {
        /// Which.
        connection: u64,
        /// The code.
        code: u16,
        /// The reason.
        reason: &'static str,
    },
    /// Answer a request.
    Answer {
        /// Which.
        session: u64,
        /// With what.
        answer: Answer,
    },
    /// Tell everyone who listens.
    Tell {
        /// The sessions.
        sessions: Arc<[u64]>,
        /// What.
        event: Told,
    },
    /// End the event stream of everyone who listens.
    EndEvents {
        /// The sessions.
        sessions: Arc<[u64]>,
    },
}

/// What an orchestrator says to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Who it is.
    Hello(Hello),
    /// How it is.
    Poll(Poll),
    /// What to do.
    Cmd(Cmd),
}

/// An event for operators.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// `instance:join`.
    Join(Arc<InstanceInfo>),
    /// `instance:leave`.
    Leave(Arc<InstanceInfo>),
    /// `instance:stale`.
    Stale(Arc<InstanceInfo>),
    /// `room:create`.
    Create(Arc<RoomInfo>),
    /// `room:destroy`.
    Destroy(Arc<RoomInfo>),
    /// `sync`.
    Sync(Arc<FleetStats>),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is done.
    Done,
    /// The fleet in numbers.
    Stats(FleetStats),
    /// Instances.
    Instances {
        /// They.
        instances: Arc<[Arc<InstanceInfo>]>,
        /// The state hash.
        hash: String,
    },
    /// An instance.
    Instance(Arc<InstanceInfo>),
    /// Rooms.
    Rooms {
        /// They.
        rooms: Vec<Arc<RoomInfo>>,
        /// The state hash, if the answer has an entity tag.
        hash: Option<String>,
    },
    /// A room.
    Room(Arc<RoomInfo>),
    /// The room that was made.
    Created(RoomInfo),
    /// Nothing has changed.
    NotModified {
        /// The state hash.
        hash: String,
    },
    /// Events follow.
    Listening,
    /// It is refused.
    Refused(Cause),
}
