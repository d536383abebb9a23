//! Message: what a queue holds.

use super::requirements::QUEUE_MESSAGE_3;
use crate::json::{Amount, Any, Count, Nullable, Object, Whole, json, words};

/// A place in a queue; -1 is none yet.
pub type Offset = Whole<-1, 9_007_199_254_740_991>;

/// Whether a message may be published under this id: `qmsg_`, and behind it letters and digits of ASCII. See QUEUE-PUBLISH-2.
pub fn is_id(text: &str) -> bool {
    text.strip_prefix("qmsg_")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

words! {
    /// Where a message of a worker queue is in its life.
    State;
    /// It can be received.
    Pending = "pending",
    /// It was received, and is hidden.
    Leased = "leased",
    /// The same, by its older name.
    Processing = "processing",
    /// It was acknowledged.
    Delivered = "delivered",
    /// A delivery failed.
    Failed = "failed",
    /// The last delivery failed.
    Dead = "dead",
}

json! {
    /// A message of a queue.
    Message = "queue/message", names = |_| QUEUE_MESSAGE_3;
    /// Its id.
    id: String = "id",
    /// The id of its queue.
    queue_id: String = "queue_id",
    /// Its place in the queue.
    offset: Offset = "offset",
    /// What was published.
    payload: Any = "payload",
    /// The bytes of the payload as compact JSON.
    size: Option<Count> = "size",
    /// What was said about it.
    metadata: Nullable<Object> = "metadata",
    /// Where it is in its life.
    state: Option<State> = "state",
    /// Under which it was published no second time.
    idempotency_key: Nullable<String> = "idempotency_key",
    /// What it is in order with.
    partition_key: Nullable<String> = "partition_key",
    /// How long it lives, in seconds; null is for ever.
    ttl_seconds: Nullable<Amount> = "ttl_seconds",
    /// How often it was received.
    delivery_attempts: Option<Count> = "delivery_attempts",
    /// How often a delivery that failed is tried again.
    max_retries: Option<Count> = "max_retries",
    /// When it was published.
    published_at: Option<String> = "published_at",
    /// When it expires.
    expires_at: Nullable<String> = "expires_at",
    /// When it was delivered.
    delivered_at: Nullable<String> = "delivered_at",
    /// When it was acknowledged.
    acknowledged_at: Nullable<String> = "acknowledged_at",
    /// When it was made.
    created_at: Option<String> = "created_at",
    /// When it was changed last.
    updated_at: Option<String> = "updated_at",
    /// The id of the source that it came by.
    source_id: Nullable<String> = "source_id",
    /// The name of that source.
    source_name: Nullable<String> = "source_name",
}
