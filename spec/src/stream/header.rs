//! The names of the headers and parameters that the stream protocol uses, as they stand in documents.

/// The media type of a body, and of the stream.
pub const CONTENT_TYPE: &str = "content-type";
/// The tail behind a write, or where the next read starts.
pub const NEXT_OFFSET: &str = "stream-next-offset";
/// The answer reaches the tail.
pub const UP_TO_DATE: &str = "stream-up-to-date";
/// In a request: close the stream. In an answer: it is closed.
pub const CLOSED: &str = "stream-closed";
/// The cursor of a long-poll.
pub const CURSOR: &str = "stream-cursor";
/// The URL of a stream that was created.
pub const LOCATION: &str = "location";
/// What caches may do with an answer.
pub const CACHE_CONTROL: &str = "cache-control";
/// The methods that a URL has, on a 405.
pub const ALLOW: &str = "allow";
/// How long a stream lives without being read or written, in seconds.
pub const TTL: &str = "stream-ttl";
/// When a stream ends.
pub const EXPIRES_AT: &str = "stream-expires-at";
/// The path of the stream that a new one begins as a part of.
pub const FORKED_FROM: &str = "stream-forked-from";
/// Where in its source a fork leaves it.
pub const FORK_OFFSET: &str = "stream-fork-offset";
/// How far behind that offset, in messages or bytes.
pub const FORK_SUB_OFFSET: &str = "stream-fork-sub-offset";
/// A token that has to rise from append to append.
pub const SEQ: &str = "stream-seq";
/// The name of an idempotent producer.
pub const PRODUCER_ID: &str = "producer-id";
/// Which life of the producer this is.
pub const PRODUCER_EPOCH: &str = "producer-epoch";
/// The number of the append in this life. In an answer: the highest that was accepted.
pub const PRODUCER_SEQ: &str = "producer-seq";
/// On a gap: the number that was due.
pub const PRODUCER_EXPECTED_SEQ: &str = "producer-expected-seq";
/// On a gap: the number that came.
pub const PRODUCER_RECEIVED_SEQ: &str = "producer-received-seq";
/// How the content of an event stream is encoded.
pub const SSE_DATA_ENCODING: &str = "stream-sse-data-encoding";
/// The validator of an answer.
pub const ETAG: &str = "etag";
/// The validators that a client has.
pub const IF_NONE_MATCH: &str = "if-none-match";

/// The parameters of the query of a GET.
pub mod query {
    /// Where the read starts.
    pub const OFFSET: &str = "offset";
    /// How the read goes on at the tail.
    pub const LIVE: &str = "live";
    /// The cursor that came last.
    pub const CURSOR: &str = "cursor";
}
