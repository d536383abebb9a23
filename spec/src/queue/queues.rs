//! Queues: what they are, and how they are made.

use super::requirements::{
    QUEUE_HTTP_8, QUEUE_MESSAGE_4, QUEUE_MESSAGE_9, QUEUE_MESSAGE_10, QUEUE_QUEUES_4, QUEUE_QUEUES_5,
    QUEUE_QUEUES_6, QUEUE_QUEUES_7, QUEUE_QUEUES_21,
};
use crate::{
    decode::Violation,
    json::{Amount, Count, Json, Nullable, Text, Whole, expected, json, reply, words},
};
use serde::Serialize;
use serde_json::value::RawValue;

words! {
    /// For how many consumers a message is.
    QueueType;
    /// For one.
    Worker = "worker",
    /// For everyone who subscribes.
    Pubsub = "pubsub",
}

/// A name by which requests name a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct QueueName(String);

impl QueueName {
    /// The name, if it is legal.
    ///
    /// # Errors
    /// It is empty or too long, or holds or begins with a character that it must not; `at` is empty.
    pub fn new(name: impl Into<String>) -> Result<Self, Violation> {
        let name = name.into();
        let refuse = |what: &str| Violation::new("", crate::decode::expected(what, &name));
        let Some(first) = name.chars().next() else {
            return Err(refuse("a name of at least one character").of(QUEUE_QUEUES_6));
        };
        if name.chars().count() > 256 {
            return Err(refuse("a name of at most 256 characters").of(QUEUE_QUEUES_7));
        }
        if name.chars().any(char::is_uppercase) {
            return Err(refuse("a name without capital letters").of(QUEUE_QUEUES_4));
        }
        if first.is_ascii_digit() {
            return Err(refuse("a name that begins with a letter or _").of(QUEUE_QUEUES_5));
        }
        if first == '-' {
            return Err(refuse("a name that begins with a letter or _").of(QUEUE_QUEUES_21));
        }
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if !name.chars().all(legal) {
            return Err(refuse("a name of small letters of ASCII, digits, _ and -"));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Json for QueueName {
    fn read(value: &RawValue) -> Result<Self, Violation> {
        Self::new(String::read(value).map_err(|_| expected("a name", value))?)
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": "^[a-z_][a-z0-9_-]*$", "maxLength": 256 })
    }
}

json! {
    /// A queue.
    Queue = "queue/queue", names = |_| QUEUE_MESSAGE_4;
    /// Its id.
    id: String = "id",
    /// Its name.
    name: String = "name",
    /// For how many consumers a message is.
    queue_type: QueueType = "queue_type",
    /// What it is for.
    description: Nullable<String> = "description",
    /// How long a message lives that says nothing itself, in seconds; null is for ever.
    default_ttl_seconds: Nullable<Amount> = "default_ttl_seconds",
    /// How long a received message stays hidden.
    default_visibility_timeout_seconds: Option<Amount> = "default_visibility_timeout_seconds",
    /// How often a delivery that failed is tried again.
    default_max_retries: Option<Count> = "default_max_retries",
    /// The wait before the first retry.
    default_retry_backoff_ms: Option<Amount> = "default_retry_backoff_ms",
    /// The longest wait before a retry.
    default_retry_max_backoff_ms: Option<Amount> = "default_retry_max_backoff_ms",
    /// By how much the wait grows from retry to retry.
    default_retry_multiplier: Option<Amount> = "default_retry_multiplier",
    /// How many messages one client may have open.
    max_in_flight_per_client: Option<Count> = "max_in_flight_per_client",
    /// How long a message is kept.
    retention_seconds: Option<Amount> = "retention_seconds",
    /// The offset of the message that is published next.
    next_offset: Option<Count> = "next_offset",
    /// How many messages there are.
    message_count: Option<Count> = "message_count",
    /// How many of them are dead.
    dlq_count: Option<Count> = "dlq_count",
    /// Since when it is paused.
    paused_at: Nullable<String> = "paused_at",
    /// Whether it is one of the server's own.
    internal: Option<bool> = "internal",
    /// When it was made.
    created_at: String = "created_at",
    /// When it was changed last.
    updated_at: String = "updated_at",
}

json! {
    /// The settings in a request: those that are to differ.
    Settings;
    /// How long a message lives that says nothing itself, in seconds; null is for ever.
    default_ttl_seconds: Nullable<Amount> = "default_ttl_seconds",
    /// How long a received message stays hidden.
    default_visibility_timeout_seconds: Option<Whole<1, 43_200>> = "default_visibility_timeout_seconds",
    /// How often a delivery that failed is tried again.
    default_max_retries: Option<Whole<0, 100>> = "default_max_retries",
    /// The wait before the first retry.
    default_retry_backoff_ms: Option<Amount> = "default_retry_backoff_ms",
    /// The longest wait before a retry.
    default_retry_max_backoff_ms: Option<Amount> = "default_retry_max_backoff_ms",
    /// By how much the wait grows from retry to retry.
    default_retry_multiplier: Option<Amount> = "default_retry_multiplier",
    /// How many messages one client may have open.
    max_in_flight_per_client: Option<Whole<1, 1000>> = "max_in_flight_per_client",
    /// How long a message is kept.
    retention_seconds: Option<Amount> = "retention_seconds",
}

/// The settings of a queue that was created without any: QUEUE-QUEUES-2.
pub mod defaults {
    /// How long a received message stays hidden.
    pub const VISIBILITY_TIMEOUT_SECONDS: u32 = 30;
    /// How often a delivery that failed is tried again.
    pub const MAX_RETRIES: u32 = 5;
    /// The wait before the first retry.
    pub const RETRY_BACKOFF_MS: u32 = 1000;
    /// The longest wait before a retry.
    pub const RETRY_MAX_BACKOFF_MS: u32 = 60_000;
    /// By how much the wait grows from retry to retry.
    pub const RETRY_MULTIPLIER: u32 = 2;
    /// How many messages one client may have open.
    pub const MAX_IN_FLIGHT_PER_CLIENT: u32 = 10;
    /// How long a message is kept.
    pub const RETENTION_SECONDS: u32 = 2_592_000;
}

/// What a queue is for.
pub type Description = Text<0, 1024>;

json! {
    /// Makes a queue.
    CreateRequest = "queue/create-request", names = |_| QUEUE_HTTP_8;
    /// Its name; the server finds one if it is absent.
    name: Option<QueueName> = "name",
    /// What it is for.
    description: Option<Description> = "description",
    /// For how many consumers a message is.
    queue_type: QueueType = "queue_type",
    /// What differs from the defaults.
    settings: Option<Settings> = "settings",
}

json! {
    /// Changes a queue: what is absent stays.
    UpdateRequest = "queue/update-request", names = |_| QUEUE_HTTP_8;
    /// What it is for.
    description: Option<Description> = "description",
    /// What is to change.
    settings: Option<Settings> = "settings",
}

reply! {
    /// One queue.
    QueueReply = "queue/queue-reply", names = |_| QUEUE_MESSAGE_9;
    /// The queue.
    queue: Queue = "queue",
}

reply! {
    /// Queues of a list.
    QueuesReply = "queue/queues-reply", names = |_| QUEUE_MESSAGE_10;
    /// The queues.
    queues: Vec<Queue> = "queues",
    /// How many there are in all.
    total: Option<Count> = "total",
}
