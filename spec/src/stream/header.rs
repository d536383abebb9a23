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

/// The parameters of the query of a GET.
pub mod query {
    /// Where the read starts.
    pub const OFFSET: &str = "offset";
    /// How the read goes on at the tail.
    pub const LIVE: &str = "live";
    /// The cursor that came last.
    pub const CURSOR: &str = "cursor";
}
