//! Create: `PUT` on the URL of a stream.

use super::{MediaType, Offset, header, requirements::STREAM_MESSAGE_1};
use crate::decode::{Either, request, response};

request! {
    /// Creates a stream.
    CreateRequest = "stream/create-request", "PUT";
    query {}
    headers {
        /// The media type that the stream is to have.
        content_type: Option<MediaType> = header::CONTENT_TYPE,
        /// Whether the stream is to be closed behind the body. Only the value true, in any case, counts.
        closed: bool = header::CLOSED,
    }
    /// The first content of the stream.
    body: Bytes,
}

response! {
    /// The answer to a PUT that succeeded.
    CreateResponse = "stream/create-response", STREAM_MESSAGE_1;
    status = Either(201, 200),
        /// Whether this PUT created the stream (201) or found an equal one (200).
        created: bool;
    headers {
        /// The media type of the stream.
        content_type: MediaType = header::CONTENT_TYPE,
        /// The tail of the stream.
        next_offset: Offset = header::NEXT_OFFSET,
        /// Whether the stream is closed.
        closed: bool = header::CLOSED,
        /// The URL of the stream.
        location: Option<String> = header::LOCATION,
    }
}
