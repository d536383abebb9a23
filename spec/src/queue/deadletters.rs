//! DeadLetters: messages whose last delivery failed.

use super::{
    Offset,
    requirements::{QUEUE_MESSAGE_5, QUEUE_MESSAGE_16},
};
use crate::json::{Any, Count, Nullable, Object, json, reply};

json! {
    /// A message whose last delivery failed.
    DeadLetterMessage = "queue/dead-letter-message", names = |_| QUEUE_MESSAGE_5;
    /// The id to replay or delete it by.
    id: String = "id",
    /// The id of its queue.
    queue_id: String = "queue_id",
    /// The id of the message that it was.
    original_message_id: Option<String> = "original_message_id",
    /// The place of that message in the queue.
    offset: Offset = "offset",
    /// What was published.
    payload: Any = "payload",
    /// What was said about it.
    metadata: Nullable<Object> = "metadata",
    /// Why the last delivery failed.
    failure_reason: Nullable<String> = "failure_reason",
    /// How often it was received.
    delivery_attempts: Count = "delivery_attempts",
    /// When it died.
    moved_at: Option<String> = "moved_at",
    /// When the message was published.
    original_published_at: Option<String> = "original_published_at",
    /// The same, by its older name.
    published_at: Option<String> = "published_at",
    /// When it was made.
    created_at: String = "created_at",
}

reply! {
    /// Dead letters of a queue.
    DeadLettersReply = "queue/dead-letters-reply", names = |_| QUEUE_MESSAGE_16;
    /// The dead letters.
    messages: Vec<DeadLetterMessage> = "messages",
    /// How many there are in all.
    total: Option<Count> = "total",
}
