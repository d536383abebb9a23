//! Sources: URLs at which a queue takes messages.

use super::{
    queues::Description,
    requirements::{QUEUE_HTTP_8, QUEUE_MESSAGE_7, QUEUE_MESSAGE_19, QUEUE_MESSAGE_20},
};
use crate::json::{Count, Nullable, Text, json, reply, words};

words! {
    /// Which credentials a source asks for.
    AuthType;
    /// None.
    None = "none",
    /// A user and a password.
    Basic = "basic",
    /// A header.
    Header = "header",
}

/// The name of a source.
pub type SourceName = Text<1, 256>;

json! {
    /// A URL at which a queue takes messages.
    Source = "queue/source", names = |_| QUEUE_MESSAGE_7;
    /// Its id.
    id: String = "id",
    /// The id of its queue.
    queue_id: String = "queue_id",
    /// Its name.
    name: String = "name",
    /// What it is for.
    description: Nullable<String> = "description",
    /// Which credentials it asks for.
    auth_type: AuthType = "auth_type",
    /// Whether it takes anything.
    enabled: bool = "enabled",
    /// The URL to post to.
    url: String = "url",
    /// How many requests there were.
    request_count: Count = "request_count",
    /// How many of them succeeded.
    success_count: Count = "success_count",
    /// How many did not.
    failure_count: Count = "failure_count",
    /// When the last one was.
    last_request_at: Nullable<String> = "last_request_at",
    /// When the last one succeeded.
    last_success_at: Nullable<String> = "last_success_at",
    /// When the last one failed.
    last_failure_at: Nullable<String> = "last_failure_at",
    /// Why that one failed.
    last_failure_error: Nullable<String> = "last_failure_error",
    /// When it was made.
    created_at: String = "created_at",
    /// When it was changed last.
    updated_at: String = "updated_at",
}

json! {
    /// Makes a source.
    SourceCreateRequest = "queue/source-create-request", names = |_| QUEUE_HTTP_8;
    /// Its name.
    name: SourceName = "name",
    /// What it is for.
    description: Option<Description> = "description",
    /// Which credentials it asks for; none if it is absent.
    auth_type: Option<AuthType> = "auth_type",
    /// The credentials.
    auth_value: Option<String> = "auth_value",
}

json! {
    /// Changes a source: what is absent stays.
    SourceUpdateRequest = "queue/source-update-request", names = |_| QUEUE_HTTP_8;
    /// Its name.
    name: Option<SourceName> = "name",
    /// What it is for; null removes it.
    description: Nullable<Description> = "description",
    /// Which credentials it asks for.
    auth_type: Option<AuthType> = "auth_type",
    /// The credentials.
    auth_value: Option<String> = "auth_value",
    /// Whether it takes anything.
    enabled: Option<bool> = "enabled",
}

reply! {
    /// One source.
    SourceReply = "queue/source-reply", names = |_| QUEUE_MESSAGE_19;
    /// The source.
    source: Source = "source",
}

reply! {
    /// The sources of a queue.
    SourcesReply = "queue/sources-reply", names = |_| QUEUE_MESSAGE_20;
    /// The sources.
    sources: Vec<Source> = "sources",
}
