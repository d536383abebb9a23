//! The queue protocol: spec/queue.md. One file an area, named as its heading.

pub mod auth;
pub mod close;
pub mod connect;
pub mod consume;
pub mod deadletters;
pub mod destinations;
pub mod http;
pub mod leases;
pub mod message;
#[cfg(feature = "schema")]
mod openapi;
pub mod publish;
pub mod push;
pub mod queues;
pub mod sources;

pub use auth::{AuthRequest, AuthResponse};
pub use connect::{Consumer, ConsumersReply};
pub use consume::{MessagesReply, OffsetReply};
pub use deadletters::{DeadLetterMessage, DeadLettersReply};
pub use destinations::{
    Destination, DestinationCreateRequest, DestinationReply, DestinationUpdateRequest, DestinationsReply,
};
pub use http::{Action, Done, Failure, Route};
pub use leases::ReceiveReply;
pub use message::{Message, Offset, State};
pub use publish::{BatchReply, BatchRequest, MessageReply, PublishRequest};
pub use push::{Push, PushType};
pub use queues::{CreateRequest, Queue, QueueName, QueueReply, QueueType, QueuesReply, UpdateRequest};
pub use sources::{Source, SourceCreateRequest, SourceReply, SourceUpdateRequest, SourcesReply};

pub use crate::decode::{Check, Violation};
#[cfg(feature = "schema")]
pub use openapi::openapi;

/// The requirements of spec/queue.md.
#[allow(missing_docs)]
pub mod requirements {
    include!(concat!(env!("OUT_DIR"), "/queue_requirements.rs"));
}

/// The normative document.
#[cfg(feature = "registry")]
pub const DOCUMENT: &str = include_str!("../queue.md");

/// What became of each row of the facts that the document rests on: row, level, ids or disposition, separated by tabs.
#[cfg(feature = "registry")]
pub const ROWS: &str = include_str!("../rows/queue.tsv");

crate::decode::messages! {
    AuthRequest = "queue/auth-request",
    AuthResponse = "queue/auth-response",
    Push = "queue/push",
    Message = "queue/message",
    Queue = "queue/queue",
    CreateRequest = "queue/create-request",
    UpdateRequest = "queue/update-request",
    QueueReply = "queue/queue-reply",
    QueuesReply = "queue/queues-reply",
    PublishRequest = "queue/publish-request",
    BatchRequest = "queue/batch-request",
    MessageReply = "queue/message-reply",
    BatchReply = "queue/batch-reply",
    MessagesReply = "queue/messages-reply",
    OffsetReply = "queue/offset-reply",
    ReceiveReply = "queue/receive-reply",
    DeadLetterMessage = "queue/dead-letter-message",
    DeadLettersReply = "queue/dead-letters-reply",
    Destination = "queue/destination",
    DestinationCreateRequest = "queue/destination-create-request",
    DestinationUpdateRequest = "queue/destination-update-request",
    DestinationReply = "queue/destination-reply",
    DestinationsReply = "queue/destinations-reply",
    Source = "queue/source",
    SourceCreateRequest = "queue/source-create-request",
    SourceUpdateRequest = "queue/source-update-request",
    SourceReply = "queue/source-reply",
    SourcesReply = "queue/sources-reply",
    Consumer = "queue/consumer",
    ConsumersReply = "queue/consumers-reply",
    Done = "queue/done",
    Failure = "queue/failure",
}
