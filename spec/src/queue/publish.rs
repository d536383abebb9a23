//! Publish: how messages come into a queue.

use super::{
    Message,
    requirements::{
        QUEUE_HTTP_8, QUEUE_MESSAGE_11, QUEUE_MESSAGE_13, QUEUE_PUBLISH_12, QUEUE_PUBLISH_18,
        QUEUE_PUBLISH_19, QUEUE_PUBLISH_20, QUEUE_PUBLISH_28, QUEUE_PUBLISH_29,
    },
};
use crate::{
    decode::Violation,
    json::{Amount, Any, Count, Json, Object, Text, json, reply},
    requirement::RequirementId,
};
use serde::Serialize;
use serde_json::value::RawValue;

/// The greatest size of a payload, in bytes of compact JSON. The schema cannot tell it; see [`Any::size`].
pub const GREATEST_PAYLOAD: usize = 1_048_576;
/// The greatest size of metadata.
pub const GREATEST_METADATA: usize = 65_536;
/// How many messages a batch holds at most.
pub const GREATEST_BATCH: usize = 1000;

/// A key of idempotency or order.
pub type Key = Text<0, 256>;

json! {
    /// Publishes a message.
    PublishRequest = "queue/publish-request", names = rule;
    /// What is published.
    payload: Any = "payload",
    /// What is said about it.
    metadata: Option<Object> = "metadata",
    /// Under which it is to be published no second time.
    idempotency_key: Option<Key> = "idempotency_key",
    /// What it is in order with.
    partition_key: Option<Key> = "partition_key",
    /// How long it lives, in seconds.
    ttl_seconds: Option<Amount> = "ttl_seconds",
}

fn rule(violation: &Violation) -> RequirementId {
    let too_long = violation.why.starts_with("expected a string of ");
    match violation.at.as_str() {
        "/payload" => QUEUE_PUBLISH_12,
        "/idempotency_key" if too_long => QUEUE_PUBLISH_18,
        "/partition_key" if too_long => QUEUE_PUBLISH_19,
        "/ttl_seconds" if violation.why.contains("found \"-") => QUEUE_PUBLISH_20,
        _ => QUEUE_HTTP_8,
    }
}

/// From 1 to 1000 messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Batch(Vec<PublishRequest>);

impl Batch {
    /// The messages, if there are so many.
    ///
    /// # Errors
    /// There is none, or there are too many; `at` is empty.
    pub fn new(messages: Vec<PublishRequest>) -> Result<Self, Violation> {
        match messages.len() {
            0 => Err(Violation::new("", "expected at least one message, found none").of(QUEUE_PUBLISH_28)),
            n if n > GREATEST_BATCH => {
                Err(Violation::new("", format!("expected at most {GREATEST_BATCH} messages, found {n}"))
                    .of(QUEUE_PUBLISH_29))
            }
            _ => Ok(Self(messages)),
        }
    }

    /// The messages.
    pub fn messages(&self) -> &[PublishRequest] {
        &self.0
    }
}

impl Json for Batch {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        Self::new(Vec::read(value)?)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        let mut schema = Vec::<PublishRequest>::schema();
        schema["minItems"] = 1.into();
        schema["maxItems"] = GREATEST_BATCH.into();
        schema
    }
}

json! {
    /// Publishes several messages.
    BatchRequest = "queue/batch-request", names = |_| QUEUE_HTTP_8;
    /// The messages, in the order of their offsets.
    messages: Batch = "messages",
}

reply! {
    /// One message.
    MessageReply = "queue/message-reply", names = |_| QUEUE_MESSAGE_11;
    /// The message.
    message: Message = "message",
}

reply! {
    /// What was published of a batch.
    BatchReply = "queue/batch-reply", names = |_| QUEUE_MESSAGE_13;
    /// The messages that were published, in the order of the request.
    messages: Vec<Message> = "messages",
    /// The indexes, from 0, of those that were not.
    failed: Option<Vec<Count>> = "failed",
}
