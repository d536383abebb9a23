//! What the model answers.

use super::{Destination, Queue, Settings, Source, Who};
use serde::{Deserialize, Serialize};
use wireproof_spec::queue::{self as spec, QueueType};

/// An answer to a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing is changed, for this reason.
    Refused(Refusal),
    /// It is done.
    Done,
    /// A queue.
    Queue(Facts),
    /// Queues, and how many there are in all.
    Queues(Vec<Facts>, u64),
    /// Messages, whose content the shell reads.
    Messages {
        /// Of which queue.
        incarnation: u64,
        /// Where they are.
        places: Vec<Place>,
        /// How many there are in all, if that is known.
        total: Option<u64>,
    },
    /// An offset; none if there is no message.
    Offset(Option<u64>),
    /// What was received.
    Received {
        /// From which queue.
        incarnation: u64,
        /// The message, if there was one.
        place: Option<Place>,
    },
    /// What is dead, and how much of it there is in all.
    Dead {
        /// Of which queue.
        incarnation: u64,
        /// Where they are.
        letters: Vec<Letter>,
        /// How many there are in all.
        total: u64,
    },
    /// Destinations, with their ids.
    Destinations {
        /// Of which queue.
        incarnation: u64,
        /// The destinations.
        all: Vec<(String, Destination)>,
    },
    /// Sources, with their ids.
    Sources {
        /// Of which queue.
        incarnation: u64,
        /// The sources.
        all: Vec<(String, Source)>,
    },
    /// Who is subscribed: the session, who it is, and since when (milliseconds since 1970).
    Consumers {
        /// To which queue.
        incarnation: u64,
        /// All of them.
        all: Vec<(u64, Who, u64)>,
    },
    /// The session is subscribed.
    Subscribed {
        /// To which queue.
        incarnation: u64,
        /// For how many consumers a message of it is.
        kind: QueueType,
        /// The first offset that it is pushed, if it is pushed everything.
        from: u64,
        /// What is before this offset was published before.
        live: u64,
    },
    /// What comes next for a subscriber.
    Push {
        /// Of which queue.
        incarnation: u64,
        /// Where the messages are.
        places: Vec<Place>,
        /// Where to go on.
        to: u64,
    },
    /// The subscription is over.
    Over(End),
}

/// Why a subscription is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The queue was deleted.
    Deleted,
    /// The server stops.
    Stopping,
}

/// Why nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such queue.
    NoQueue,
    /// There is such a queue.
    Exists,
    /// There is no such message.
    NoMessage,
    /// There is no such dead letter.
    NoLetter,
    /// The message is in a state in which this cannot be done.
    Elsewhere(Kind),
    /// There is no such destination.
    NoDestination,
    /// There is another destination with this URL.
    SameUrl,
    /// There is no such source.
    NoSource,
    /// The source is not enabled.
    Disabled,
    /// The source asks for other credentials.
    Unknown,
    /// What was posted is nothing that can be published.
    NoPayload,
    /// The queue has no offsets left.
    Full,
}

/// Where a message is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// It can be received.
    Pending,
    /// It was received, and is hidden.
    Leased,
    /// It was acknowledged.
    Delivered,
    /// A delivery failed, and it waits.
    Failed,
    /// The last delivery failed.
    Dead,
}

impl Kind {
    /// As it is on the wire.
    pub fn state(self) -> spec::State {
        match self {
            Self::Pending => spec::State::Pending,
            Self::Leased => spec::State::Leased,
            Self::Delivered => spec::State::Delivered,
            Self::Failed => spec::State::Failed,
            Self::Dead => spec::State::Dead,
        }
    }
}

/// What changes about a message, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its offset.
    pub offset: u64,
    /// Where it is in its life.
    pub kind: Kind,
    /// How often it was received, if that is known.
    pub attempts: Option<u64>,
    /// How often a delivery that failed is tried again.
    pub max_retries: u64,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The offset of its message.
    pub offset: u64,
    /// How often that was received.
    pub attempts: u64,
    /// Why the last delivery failed.
    pub reason: String,
    /// When: milliseconds since 1970.
    pub at: u64,
}

/// What a queue tells of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Its incarnation.
    pub incarnation: u64,
    /// Its name.
    pub name: String,
    /// For how many consumers a message is.
    pub kind: QueueType,
    /// What it is for.
    pub description: Option<String>,
    /// Its settings.
    pub settings: Settings,
    /// The offset of the next message.
    pub next: u64,
    /// How many messages there are.
    pub messages: u64,
    /// How many of them are dead.
    pub dead: u64,
    /// Since when it is paused: milliseconds since 1970.
    pub paused: Option<u64>,
    /// When it was made.
    pub created: u64,
    /// When it was changed last.
    pub updated: u64,
}

impl Queue {
    /// What the queue tells of itself.
    pub fn facts(&self, name: &str) -> Facts {
        Facts {
            incarnation: self.incarnation,
            name: name.into(),
            kind: self.kind,
            description: self.description.clone(),
            settings: self.settings.clone(),
            next: self.next,
            messages: self.retained(),
            dead: self.dead.len() as u64,
            paused: self.paused,
            created: self.created,
            updated: self.updated,
        }
    }
}
