//! What goes wrong for an agent, in the words that its owner reads.

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The settings can be those of no agent: nothing was dialled.
    #[error("the setting {0}: {1}")]
    Setting(&'static str, String),
    /// There is no connection. It dials again.
    #[error("there is no connection: {0}")]
    Dial(String),
    /// The orchestrator closed the connection, or it broke (1006). It dials again.
    #[error("the connection was closed: {code} {reason:?}")]
    Closed {
        /// The code; 1005 if there was none.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// No Hello came in time, in milliseconds. It dials again.
    #[error("no Hello came within {0} ms")]
    NoHello(u64),
    /// Neither a Poll nor a ping came for so many milliseconds. It dials again.
    #[error("neither a Poll nor a ping came for {0} ms")]
    Silent(u64),
    /// The orchestrator speaks another version of the protocol. This is the end.
    #[error("the orchestrator speaks another protocol: {0}")]
    Incompatible(String),
    /// No Hello came within the time that the owner gave, in milliseconds. This is the end.
    #[error("not connected within {0} ms")]
    ConnectTimeout(u64),
    /// The connection was lost before the orchestrator took note.
    #[error("connection lost")]
    ConnectionLost,
    /// The owner has disconnected.
    #[error("disconnected")]
    Disconnected,
    /// The status was turned around before the orchestrator took note.
    #[error("another status was set since")]
    Superseded,
    /// The id of a room is taken.
    #[error("there is a room {0:?} already")]
    RoomExists(String),
    /// There is no such room.
    #[error("there is no room {0:?}")]
    NoSuchRoom(String),
    /// Nobody knows how to make such a room.
    #[error("unknown room type {0:?}")]
    UnknownType(String),
    /// No snapshot may hold this: it would be rejected as a whole.
    #[error("no snapshot may hold it: {0}")]
    Bound(String),
    /// There were rooms for as long as the owner would wait.
    #[error("there are rooms still")]
    NotEmpty,
    /// The task of the agent ended: the runtime is gone.
    #[error("the agent was cut off")]
    CutOff,
}
