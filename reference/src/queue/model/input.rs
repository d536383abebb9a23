//! What happens to the server, and what requests ask for.

use super::{Alter, Destination, Differences, Kind, Outcome, PolicyChange, Settings, Source};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use wireproof_spec::queue::QueueType;

/// What happens to the server.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request.
    Ask {
        /// Whom to answer.
        session: u64,
        /// Of the queue; empty if it is about none, or about one that the model finds.
        name: String,
        /// What it wants.
        ask: Ask,
    },
    /// The client of a session went away.
    Gone {
        /// Which.
        session: u64,
    },
    /// A delivery came to its end.
    Returned {
        /// Which.
        call: Taken,
        /// How.
        outcome: Outcome,
    },
    /// Time has passed.
    Tick,
    /// The server starts.
    Started,
    /// The server is about to stop.
    Stopping,
}

/// Which delivery a [`Call`](super::Call) was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The name of the queue.
    pub name: String,
    /// Its incarnation.
    pub incarnation: u64,
    /// The id of the destination.
    pub id: String,
    /// Which message.
    pub offset: u64,
    /// Which attempt, from 1.
    pub attempt: u64,
}

/// A request.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Make a queue.
    Create(Create),
    /// List the queues.
    List {
        /// How many at most.
        limit: u64,
        /// How many to skip.
        skip: u64,
    },
    /// Tell a queue.
    Get,
    /// Change a queue.
    Update(Change),
    /// Remove a queue.
    Delete,
    /// Pause a queue, or resume it.
    Pause(bool),
    /// Publish messages: all of them, or none.
    Publish {
        /// The messages.
        drafts: Arc<[Draft]>,
    },
    /// Tell a message.
    Message(At),
    /// List messages.
    Messages {
        /// How many at most.
        limit: u64,
        /// How many to skip.
        skip: u64,
        /// Only those of this kind.
        kind: Option<Kind>,
    },
    /// Remove a message.
    DeleteMessage(At),
    /// Make a message pending again.
    ReplayMessage(At),
    /// Read messages.
    Consume {
        /// From this offset on.
        from: u64,
        /// How many at most.
        limit: u64,
    },
    /// Tell the oldest offset.
    Head,
    /// Tell the newest offset.
    Tail,
    /// Lease a message.
    Receive {
        /// How long to wait for one, in milliseconds.
        patience: u64,
    },
    /// End the life of a message.
    Ack(At),
    /// Give a message back.
    Nack(At),
    /// List what is dead.
    DeadLetters {
        /// How many at most.
        limit: u64,
        /// How many to skip.
        skip: u64,
    },
    /// Make a dead message pending again.
    ReplayDead(At),
    /// Remove a dead message.
    DeleteDead(At),
    /// Remove every dead message.
    PurgeDead,
    /// Make a destination.
    Destine(Box<Given<Destination>>),
    /// List the destinations.
    Destinations,
    /// Change a destination.
    Redestine {
        /// Its id.
        id: String,
        /// What is to change.
        given: Box<Reach>,
    },
    /// Remove a destination.
    Undestine {
        /// Its id.
        id: String,
    },
    /// Make a source.
    AddSource(Box<Given<Source>>),
    /// List the sources.
    Sources,
    /// Tell a source.
    Source {
        /// Its id.
        id: String,
    },
    /// Change a source.
    ChangeSource {
        /// Its id.
        id: String,
        /// What is to change.
        given: Box<Alter>,
    },
    /// Remove a source.
    RemoveSource {
        /// Its id.
        id: String,
    },
    /// Publish what came by a source.
    Post(Posted),
    /// Push to this session from now on.
    Subscribe {
        /// The offset that it processed last.
        last: Option<i64>,
        /// Who it is.
        who: Who,
    },
    /// List who is subscribed.
    Consumers,
    /// What comes next for a subscriber of a queue that pushes everything.
    Next {
        /// From this offset on.
        from: u64,
        /// How many at most.
        most: u64,
    },
    /// A message for a subscriber of a queue whose messages are for one.
    Work,
}

/// A queue that is to be.
#[derive(Clone, Debug)]
pub struct Create {
    /// For how many consumers a message is.
    pub kind: QueueType,
    /// What it is for.
    pub description: Option<String>,
    /// Its settings.
    pub settings: Settings,
}

/// What is to change about a queue.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// What it is for.
    pub description: Option<String>,
    /// Its settings: those that are named.
    pub settings: Differences,
}

/// A message that is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The payload as compact JSON.
    pub payload: Bytes,
    /// Its size.
    pub size: u64,
    /// What is said about it: an object as compact JSON.
    pub metadata: Option<Bytes>,
    /// Under which it is published no second time.
    pub key: Option<String>,
    /// What it is in order with.
    pub partition: Option<String>,
    /// How long it lives, in seconds.
    pub ttl: Option<f64>,
}

/// Who subscribes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The id that it presents, or was given.
    pub client_id: String,
    /// Where it connects from.
    pub ip: String,
}

/// Names a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The incarnation of its queue, if its id was given.
    pub incarnation: Option<u64>,
    /// Its offset; none if what was given names none.
    pub offset: Option<u64>,
}

/// Something new with an id that the shell found.
#[derive(Clone, Debug)]
pub struct Given<T> {
    /// The id.
    pub id: String,
    /// What it is.
    pub what: T,
}

/// What is to change about a destination.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach {
    /// Its name.
    pub name: Option<String>,
    /// Where to.
    pub url: Option<String>,
    /// With which headers.
    pub headers: Option<BTreeMap<String, String>>,
    /// With which method.
    pub method: Option<String>,
    /// How long to wait for an answer, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// When to try again: what of it is named.
    pub policy: PolicyChange,
    /// Whether deliveries are signed.
    pub signed: Option<bool>,
    /// With what.
    pub secret: Option<String>,
    /// Whether anything is sent.
    pub enabled: Option<bool>,
}

/// What was posted to a source.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The id of the source.
    pub id: String,
    /// What the request says in `Authorization`.
    pub credentials: Option<String>,
    /// What was posted; none if it is nothing that can be published.
    pub draft: Option<Draft>,
}
