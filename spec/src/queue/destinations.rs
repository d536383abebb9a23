//! Destinations: URLs to which a queue delivers.

use super::requirements::{QUEUE_HTTP_8, QUEUE_MESSAGE_6, QUEUE_MESSAGE_17, QUEUE_MESSAGE_18};
use crate::json::{Amount, Count, HttpUrl, Nullable, Strings, Whole, json, reply, words};

words! {
    /// How a destination is reached.
    DestinationType;
    /// By HTTP.
    Http = "http",
}

words! {
    /// The method of a delivery.
    Method;
    /// POST.
    Post = "POST",
    /// PUT.
    Put = "PUT",
    /// PATCH.
    Patch = "PATCH",
}

json! {
    /// When a delivery that failed is tried again.
    RetryPolicy;
    /// How often it is sent at most.
    max_attempts: Option<Count> = "max_attempts",
    /// The wait behind the first attempt.
    initial_backoff_ms: Option<Amount> = "initial_backoff_ms",
    /// The longest wait.
    max_backoff_ms: Option<Amount> = "max_backoff_ms",
    /// By how much the wait grows from attempt to attempt.
    backoff_multiplier: Option<Amount> = "backoff_multiplier",
}

json! {
    /// Whether deliveries are signed.
    Signing;
    /// Whether they are.
    enabled: Option<bool> = "enabled",
    /// With what.
    secret_key: Option<String> = "secret_key",
}

json! {
    /// Where to, and how.
    Config;
    /// Where to.
    url: HttpUrl = "url",
    /// Headers of each delivery.
    headers: Option<Strings> = "headers",
    /// The method of each delivery; POST if it is absent.
    method: Option<Method> = "method",
    /// How long an answer is waited for.
    timeout_ms: Option<Whole<1000, 300_000>> = "timeout_ms",
    /// When a delivery that failed is tried again.
    retry_policy: Option<RetryPolicy> = "retry_policy",
    /// Whether deliveries are signed.
    signing: Option<Signing> = "signing",
}

json! {
    /// What is to change about where to, and how.
    ConfigChange;
    /// Where to.
    url: Option<HttpUrl> = "url",
    /// Headers of each delivery.
    headers: Option<Strings> = "headers",
    /// The method of each delivery.
    method: Option<Method> = "method",
    /// How long an answer is waited for.
    timeout_ms: Option<Whole<1000, 300_000>> = "timeout_ms",
    /// When a delivery that failed is tried again.
    retry_policy: Option<RetryPolicy> = "retry_policy",
    /// Whether deliveries are signed.
    signing: Option<Signing> = "signing",
}

json! {
    /// What became of deliveries.
    Stats;
    /// How many there were.
    total_deliveries: Count = "total_deliveries",
    /// How many of them succeeded.
    successful_deliveries: Count = "successful_deliveries",
    /// How many did not.
    failed_deliveries: Count = "failed_deliveries",
    /// When the last one was.
    last_delivery_at: Option<String> = "last_delivery_at",
    /// When the last one succeeded.
    last_success_at: Option<String> = "last_success_at",
    /// When the last one failed.
    last_failure_at: Option<String> = "last_failure_at",
}

json! {
    /// A URL to which a queue delivers.
    Destination = "queue/destination", names = |_| QUEUE_MESSAGE_6;
    /// Its id.
    id: String = "id",
    /// The id of its queue.
    queue_id: String = "queue_id",
    /// Its name.
    name: Option<String> = "name",
    /// What it is for.
    description: Nullable<String> = "description",
    /// How it is reached.
    destination_type: DestinationType = "destination_type",
    /// Where it is.
    config: Config = "config",
    /// Whether anything is sent to it.
    enabled: bool = "enabled",
    /// What became of deliveries.
    stats: Option<Stats> = "stats",
    /// When it was made.
    created_at: String = "created_at",
    /// When it was changed last.
    updated_at: String = "updated_at",
}

json! {
    /// Makes a destination.
    DestinationCreateRequest = "queue/destination-create-request", names = |_| QUEUE_HTTP_8;
    /// Its name.
    name: Option<String> = "name",
    /// How it is reached.
    destination_type: DestinationType = "destination_type",
    /// Where it is.
    config: Config = "config",
    /// Whether anything is sent to it; if it is absent, it is.
    enabled: Option<bool> = "enabled",
}

json! {
    /// Changes a destination: what is absent stays.
    DestinationUpdateRequest = "queue/destination-update-request", names = |_| QUEUE_HTTP_8;
    /// Its name.
    name: Option<String> = "name",
    /// Where it is.
    config: Option<ConfigChange> = "config",
    /// Whether anything is sent to it.
    enabled: Option<bool> = "enabled",
}

reply! {
    /// One destination.
    DestinationReply = "queue/destination-reply", names = |_| QUEUE_MESSAGE_17;
    /// The destination.
    destination: Destination = "destination",
}

reply! {
    /// The destinations of a queue.
    DestinationsReply = "queue/destinations-reply", names = |_| QUEUE_MESSAGE_18;
    /// The destinations.
    destinations: Vec<Destination> = "destinations",
}
