//! The changes of the state.

use super::{Destination, Settings, Source, Wait, Who};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wireproof_spec::queue::QueueType;

/// A change of the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A queue exists.
    Created {
        /// Its name.
        name: String,
        /// Its incarnation.
        incarnation: u64,
        /// For how many consumers a message is.
        #[serde(with = "queue_type")]
        kind: QueueType,
        /// What it is for.
        description: Option<String>,
        /// Its settings.
        settings: Settings,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A queue has this description and these settings.
    Changed {
        /// Its name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// Its settings.
        settings: Settings,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A queue is paused, or is no longer.
    Paused {
        /// Its name.
        name: String,
        /// Since when: milliseconds since 1970.
        since: Option<u64>,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A queue is gone, and everyone who waited at it has been told.
    Deleted {
        /// Its name.
        name: String,
    },
    /// A message is in a queue.
    Published {
        /// The name of the queue.
        name: String,
        /// Its incarnation.
        incarnation: u64,
        /// The offset of the message.
        offset: u64,
        /// The message. It is stored beside the record, and absent from it at recovery.
        #[serde(skip)]
        bytes: Bytes,
        /// Under which it is published no second time.
        key: Option<String>,
        /// What it is in order with.
        partition: Option<String>,
        /// When its time is over: milliseconds since 1970.
        expires: Option<u64>,
        /// The id of the source that it came by.
        source: Option<String>,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A message is hidden, for one consumer.
    Leased {
        /// The name of the queue.
        name: String,
        /// Which message.
        offset: u64,
        /// Until when: milliseconds since 1970.
        until: u64,
    },
    /// A message that was just leased is open at this subscriber. Not durable.
    Held {
        /// The name of the queue.
        name: String,
        /// Which message.
        offset: u64,
        /// Whose.
        session: u64,
    },
    /// A message was acknowledged.
    Acknowledged {
        /// The name of the queue.
        name: String,
        /// Which message.
        offset: u64,
    },
    /// A delivery failed, and the message can be received again from a time on.
    Failed {
        /// The name of the queue.
        name: String,
        /// Which message.
        offset: u64,
        /// From when on: milliseconds since 1970.
        again: u64,
    },
    /// The last delivery failed.
    Died {
        /// The name of the queue.
        name: String,
        /// Which message.
        offset: u64,
        /// How that failed.
        reason: String,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A message is pending again, as if it had never been received.
    Revived {
        /// The name of the queue.
        name: String,
        /// Which message.
        offset: u64,
    },
    /// The backoff of every message has passed that was to pass by this time. Not durable.
    Ripened {
        /// The name of the queue.
        name: String,
        /// Which time: milliseconds since 1970.
        now: u64,
    },
    /// Messages are no longer in their queue.
    Dropped {
        /// The name of the queue.
        name: String,
        /// The first offset.
        from: u64,
        /// The offset behind the last one.
        to: u64,
    },
    /// A destination is there, and is this.
    Destined {
        /// The name of the queue.
        name: String,
        /// Its id.
        id: String,
        /// What it is.
        destination: Destination,
    },
    /// A destination is gone.
    Undestined {
        /// The name of the queue.
        name: String,
        /// Its id.
        id: String,
    },
    /// A message is about to be sent to a destination.
    Called {
        /// The name of the queue.
        name: String,
        /// The id of the destination.
        id: String,
        /// Which message.
        offset: u64,
        /// Which attempt, from 1.
        attempt: u64,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A delivery came to its end.
    Returned {
        /// The name of the queue.
        name: String,
        /// The id of the destination.
        id: String,
        /// Which message.
        offset: u64,
        /// Whether it arrived.
        arrived: bool,
        /// When it is tried again, if it is: milliseconds since 1970.
        again: Option<u64>,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A source is there, and is this.
    Sourced {
        /// The name of the queue.
        name: String,
        /// Its id.
        id: String,
        /// What it is.
        source: Source,
    },
    /// A source is gone.
    Unsourced {
        /// The name of the queue.
        name: String,
        /// Its id.
        id: String,
    },
    /// What was posted to a source was refused.
    Turned {
        /// The name of the queue.
        name: String,
        /// The id of the source.
        id: String,
        /// Why.
        why: String,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A session is subscribed. Not durable.
    Subscribed {
        /// Which.
        session: u64,
        /// To which queue.
        name: String,
        /// What is before this offset was published before.
        live: u64,
        /// Who it is.
        who: Who,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A session waits. Not durable.
    Waiting {
        /// Which.
        session: u64,
        /// The wait.
        wait: Wait,
    },
    /// A wait is over. Not durable.
    Woken {
        /// Whose.
        session: u64,
    },
    /// A session has ended. Not durable.
    Left {
        /// Which.
        session: u64,
    },
    /// A queue has handed out what it could. Not durable.
    Quiet {
        /// Its name.
        name: String,
    },
    /// The content that nobody needs was given to be removed. Not durable.
    Swept,
    /// Nobody waits any more. Not durable.
    Stopping,
}

impl Record {
    /// Whether it goes to the log.
    pub(super) fn is_durable(&self) -> bool {
        !matches!(
            self,
            Self::Held { .. }
                | Self::Ripened { .. }
                | Self::Subscribed { .. }
                | Self::Waiting { .. }
                | Self::Woken { .. }
                | Self::Left { .. }
                | Self::Quiet { .. }
                | Self::Swept
                | Self::Stopping
        )
    }
}

/// A type of a queue in a record is the word that it is on the wire.
mod queue_type {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use wireproof_spec::queue::QueueType;

    pub(super) fn serialize<S: Serializer>(kind: &QueueType, s: S) -> Result<S::Ok, S::Error> {
        kind.serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<QueueType, D::Error> {
        let word = String::deserialize(d)?;
        [QueueType::Worker, QueueType::Pubsub]
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or_else(|| D::Error::custom(format_args!("{word:?} is no type of a queue")))
    }
}
