//! The queue protocol: spec/queue.md. One file an area, named as its heading.

pub mod auth;
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

pub use crate::decode::Violation;
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

/// The JSON Schema of every message.
#[cfg(feature = "schema")]
pub fn schemas() -> Vec<crate::schema::Schema> {
    use crate::schema::Schema;
    vec![
        Schema::of::<AuthRequest>(),
        Schema::of::<AuthResponse>(),
        Schema::of::<Push>(),
        Schema::of::<Message>(),
        Schema::of::<Queue>(),
        Schema::of::<CreateRequest>(),
        Schema::of::<UpdateRequest>(),
        Schema::of::<QueueReply>(),
        Schema::of::<QueuesReply>(),
        Schema::of::<PublishRequest>(),
        Schema::of::<BatchRequest>(),
        Schema::of::<MessageReply>(),
        Schema::of::<BatchReply>(),
        Schema::of::<MessagesReply>(),
        Schema::of::<OffsetReply>(),
        Schema::of::<ReceiveReply>(),
        Schema::of::<DeadLetterMessage>(),
        Schema::of::<DeadLettersReply>(),
        Schema::of::<Destination>(),
        Schema::of::<DestinationCreateRequest>(),
        Schema::of::<DestinationUpdateRequest>(),
        Schema::of::<DestinationReply>(),
        Schema::of::<DestinationsReply>(),
        Schema::of::<Source>(),
        Schema::of::<SourceCreateRequest>(),
        Schema::of::<SourceUpdateRequest>(),
        Schema::of::<SourceReply>(),
        Schema::of::<SourcesReply>(),
        Schema::of::<Consumer>(),
        Schema::of::<ConsumersReply>(),
        Schema::of::<Done>(),
        Schema::of::<Failure>(),
    ]
}
