//! The stream protocol: spec/stream.md. One file an area, named as its heading.

pub mod append;
pub mod close;
pub mod create;
pub mod delete;
pub mod expiry;
pub mod forks;
pub mod head;
pub mod header;
pub mod json;
pub mod longpoll;
pub mod media_type;
pub mod offset;
pub mod operation;
pub mod producers;
pub mod read;
pub mod refusal;
pub mod sse;

pub use append::{AppendRequest, AppendResponse};
pub use close::{CloseRequest, CloseResponse};
pub use create::{CreateRequest, CreateResponse};
pub use delete::{DeleteRequest, DeleteResponse};
pub use expiry::{ExpiresAt, Ttl};
pub use forks::SubOffset;
pub use head::{HeadRequest, HeadResponse};
pub use longpoll::{Cursor, Longpoll, LongpollRequest, LongpollResponse};
pub use media_type::MediaType;
pub use offset::{Offset, ReadOffset};
pub use operation::Operation;
pub use producers::{Number, ProducerId};
pub use read::{ReadNotModified, ReadRequest, ReadResponse};
pub use refusal::Refusal;
pub use sse::{SseControl, SseRequest, SseResponse};

pub use crate::decode::{True, Violation};

/// The requirements of spec/stream.md.
#[allow(missing_docs)]
pub mod requirements {
    include!(concat!(env!("OUT_DIR"), "/stream_requirements.rs"));
}

/// The normative document.
#[cfg(feature = "registry")]
pub const DOCUMENT: &str = include_str!("../stream.md");

/// What became of each row of the facts that the document rests on: row, level, ids or disposition, separated by tabs.
#[cfg(feature = "registry")]
pub const ROWS: &str = include_str!("../rows/stream.tsv");

/// The JSON Schema of every message.
#[cfg(feature = "schema")]
pub fn schemas() -> Vec<crate::schema::Schema> {
    use crate::schema::Schema;
    vec![
        Schema::of::<CreateRequest>(),
        Schema::of::<CreateResponse>(),
        Schema::of::<AppendRequest>(),
        Schema::of::<AppendResponse>(),
        Schema::of::<CloseRequest>(),
        Schema::of::<CloseResponse>(),
        Schema::of::<DeleteRequest>(),
        Schema::of::<DeleteResponse>(),
        Schema::of::<HeadRequest>(),
        Schema::of::<HeadResponse>(),
        Schema::of::<ReadRequest>(),
        Schema::of::<ReadResponse>(),
        Schema::of::<ReadNotModified>(),
        Schema::of::<LongpollRequest>(),
        Schema::of::<LongpollResponse>(),
        Schema::of::<SseRequest>(),
        Schema::of::<SseResponse>(),
        Schema::of::<SseControl>(),
        Schema::of::<Refusal>(),
    ]
}

/// The OpenAPI document of the messages.
#[cfg(feature = "schema")]
pub fn openapi() -> crate::schema::Schema {
    use crate::openapi::{Api, Exchange, document};
    use serde_json::{Value, json as value};
    /// One JSON value for a message, or an array of them.
    const ANY: fn() -> Value = || value!({});
    const ARRAY: fn() -> Value = || value!({ "type": "array" });
    const TEXT: fn() -> Value = || value!({ "type": "string" });
    document(&Api {
        name: "stream/openapi",
        title: "Durable streams",
        description: "Append-only streams of bytes over HTTP. spec/stream.md says what a server has to do; this document says what \
            its messages look like.",
        root: "http://127.0.0.1:4437/v1/stream",
        path: ("stream", "The name of a stream, percent-encoded. It may consist of several segments."),
        messages: &schemas(),
        exchanges: &[
            Exchange {
                request: "stream/create-request",
                answers: &["stream/create-response"],
                bodies: &[("stream/create-request", json::MEDIA_TYPE, ANY)],
            },
            Exchange {
                request: "stream/append-request",
                answers: &["stream/append-response"],
                bodies: &[("stream/append-request", json::MEDIA_TYPE, ANY)],
            },
            Exchange { request: "stream/close-request", answers: &["stream/close-response"], bodies: &[] },
            Exchange { request: "stream/delete-request", answers: &["stream/delete-response"], bodies: &[] },
            Exchange { request: "stream/head-request", answers: &["stream/head-response"], bodies: &[] },
            Exchange {
                request: "stream/read-request",
                answers: &["stream/read-response", "stream/read-not-modified"],
                bodies: &[("stream/read-response", json::MEDIA_TYPE, ARRAY)],
            },
            Exchange {
                request: "stream/longpoll-request",
                answers: &["stream/longpoll-response"],
                bodies: &[("stream/longpoll-response", json::MEDIA_TYPE, ARRAY)],
            },
            Exchange {
                request: "stream/sse-request",
                answers: &["stream/sse-response"],
                bodies: &[("stream/sse-response", sse::EVENT_STREAM, TEXT)],
            },
        ],
        refusal: "stream/refusal",
    })
}
