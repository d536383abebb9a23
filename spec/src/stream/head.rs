//! Head: `HEAD` on the URL of a stream.

use super::{ExpiresAt, MediaType, Offset, Ttl, header, requirements::STREAM_MESSAGE_5};
use crate::decode::{Only, request, response};

request! {
    /// Asks for the media type, the tail and the closure of a stream.
    HeadRequest = "stream/head-request", "HEAD";
    query {}
    headers {}
}

response! {
    /// The answer to a HEAD that succeeded.
    HeadResponse = "stream/head-response", STREAM_MESSAGE_5;
    status = Only(200);
    headers {
        /// The media type of the stream.
        content_type: MediaType = header::CONTENT_TYPE,
        /// The tail of the stream.
        next_offset: Offset = header::NEXT_OFFSET,
        /// Whether the stream is closed.
        closed: bool = header::CLOSED,
        /// What caches may do with this answer.
        cache_control: Option<String> = header::CACHE_CONTROL,
        /// How long the stream lives without being read or written, in seconds.
        ttl: Option<Ttl> = header::TTL,
        /// When the stream ends.
        expires_at: Option<ExpiresAt> = header::EXPIRES_AT,
    }
}
