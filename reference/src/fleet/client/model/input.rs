//! What goes into the model of an agent, and what comes out of it.

use super::super::error::Error;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wireproof_spec::fleet::{Ack, State};

/// What happens to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Random bits.
    pub random: u128,
    /// What happens.
    pub what: What,
}

/// What happens. Connections are named by the number of their dial; what is said of another one is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The first input. Nothing follows from it: the host decides when to connect.
    Started,
    /// The connection is open.
    Opened(u64),
    /// There is no connection.
    DialFailed(u64, String),
    /// A text came.
    Text(u64),
    /// Bytes came. The model reads them.
    Binary(u64, Bytes),
    /// A ping came, and is answered.
    Ping(u64),
    /// The connection ended: the code and the reason. 1006 if nothing was said, 1005 if no code was.
    Closed(u64, u16, String),
    /// Time has passed.
    Tick,
    /// The host calls. The number is that of the call, by which it is settled.
    Host(u64, Ask),
    /// Nobody wants the agent any more.
    Stop,
}

/// What a host wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To be connected. Settled by the first Hello.
    Connect,
    /// To be connected no more, and to dial no more.
    Disconnect,
    /// That there is a room: with this id, or with one that is made up.
    CreateRoom {
        /// The id.
        id: Option<String>,
        /// The type, one of those in the settings.
        kind: String,
    },
    /// That there is no such room.
    DestroyRoom(String),
    /// That so many are connected to a room.
    SetConnections {
        /// The room.
        id: String,
        /// How many, at most 1000000.
        connections: u32,
    },
    /// To take no new rooms. Settled when the orchestrator has taken note.
    Drain,
    /// To take new rooms again. Settled when the orchestrator has taken note.
    Undrain,
}

/// How a call is settled that succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// Connected: the id of the instance.
    Connected(String),
    /// The id of the room that was made.
    Room(String),
}

/// A change of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The host wants to be connected, by then at the latest if there is a bound.
    Begun(Option<u64>),
    /// This call waits for the Hello.
    Connects(u64),
    /// It dials, until then at the latest.
    Dialled(u64),
    /// The connection is open. The Hello has to come by then.
    Opened(u64),
    /// A Hello came.
    Greeted {
        /// The id of the instance.
        instance_id: String,
        /// After how long without Polls and pings the connection is left, in milliseconds.
        silence_ms: u64,
        /// When that is.
        until: u64,
    },
    /// The orchestrator was heard. The connection is left then if it is not heard again.
    Alive(u64),
    /// A State was sent.
    Reported,
    /// The connection was lost: who waited for the orchestrator to take note waits no more.
    Lost,
    /// It waits for so many milliseconds, until then.
    Waiting {
        /// How long.
        delay: u64,
        /// Until when.
        until: u64,
    },
    /// It is closed: nobody waits for anything.
    Ended,
    /// There is a room.
    Created {
        /// Its id.
        id: String,
        /// Its type.
        kind: String,
        /// Whether a command made it.
        fleet: bool,
    },
    /// A room is gone.
    Destroyed(String),
    /// So many are connected to a room.
    Connections(String, u32),
    /// It takes no new rooms, or takes them again.
    Status {
        /// Whether it takes none.
        draining: bool,
    },
    /// This call waits for the orchestrator to take note of a status.
    Notes {
        /// The call.
        call: u64,
        /// Whether of draining.
        draining: bool,
    },
    /// It waits no more.
    Noted(u64),
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Dial. The number is that of the connection; an earlier one is dropped.
    Dial(u64),
    /// Answer a Poll.
    State(Box<State>),
    /// Acknowledge a Cmd.
    Ack(Ack),
    /// Close the connection, without a code.
    Close,
    /// Drop the connection, which is none yet, or no more.
    Drop,
    /// Settle a call.
    Settle(u64, Result<Reply, Error>),
    /// Tell the host.
    Tell(Event),
    /// Note for whoever looks after the host that something was passed over.
    Note(String),
}

/// What a host may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Where the agent is now.
    Condition(Condition),
    /// A Hello came.
    Connected {
        /// The id of the instance, which is that of this connection.
        instance_id: String,
        /// The id of the process, which stays.
        process_uid: String,
        /// How far apart Polls are, in milliseconds.
        heartbeat_ms: u32,
    },
    /// The connection is gone, or there was none. The agent dials again.
    Lost(Error),
    /// The agent has ended, and dials no more.
    Failed(Error),
    /// A command changed the status.
    Commanded {
        /// Whether it takes no new rooms.
        draining: bool,
    },
    /// The orchestrator has taken note of the status that the host set.
    Noted {
        /// Whether it takes no new rooms.
        draining: bool,
    },
    /// Nobody waits any more for the orchestrator to take note. The status stays as it is.
    Rejected {
        /// Of which status.
        draining: bool,
        /// Why.
        why: Error,
    },
    /// A frame is more than half as long as orchestrators take. One that is longer than they take is not sent.
    Long {
        /// How long it is, in bytes.
        bytes: usize,
        /// How long it may be, in bytes.
        most: usize,
    },
    /// A command made a room.
    RoomCreated {
        /// Its id.
        id: String,
        /// Its type.
        kind: String,
    },
    /// A command ended a room.
    RoomDestroyed {
        /// Its id.
        id: String,
        /// Its type.
        kind: String,
    },
}

/// Where an agent is, as its host sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It does nothing, and dials nobody.
    #[default]
    Closed,
    /// It dials, waits for the Hello, or waits before it dials again.
    Connecting,
    /// It is connected, and takes new rooms.
    Connected,
    /// It is connected, and takes no new rooms.
    Draining,
}
