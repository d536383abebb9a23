//! Create: `PUT` on the URL of a stream.

use super::{
    ExpiresAt, MediaType, Offset, SubOffset, Ttl, forks, header,
    requirements::{STREAM_CREATE_22, STREAM_MESSAGE_1},
};
use crate::{
    decode::{Either, Violation, request, response, value},
    http,
};

request! {
    /// Creates a stream.
    CreateRequest = "stream/create-request", "PUT", check = check, refine = refine;
    query {}
    headers {
        /// The media type that the stream is to have.
        content_type: Option<MediaType> = header::CONTENT_TYPE,
        /// Whether the stream is to be closed behind the body. Only the value true, in any case, counts.
        closed: bool = header::CLOSED,
        /// How long the stream lives without being read or written, in seconds.
        ttl: Option<Ttl> = header::TTL,
        /// When the stream ends.
        expires_at: Option<ExpiresAt> = header::EXPIRES_AT,
        /// The path of the stream that this one begins as a part of.
        forked_from: Option<String> = header::FORKED_FROM,
        /// Where it leaves that stream; without it at its tail.
        fork_offset: Option<Offset> = header::FORK_OFFSET,
        /// How far behind that offset, in messages of a JSON stream and else in bytes.
        fork_sub_offset: Option<SubOffset> = header::FORK_SUB_OFFSET,
    }
    /// The first content of the stream.
    body: Bytes,
}

fn check(request: &http::Request) -> Result<(), Violation> {
    let has = |name: &str| value(&request.headers, name).is_some();
    if has(header::TTL) && has(header::EXPIRES_AT) {
        let why = "expected one end of the stream, found a time to live beside it";
        return Err(Violation::new("/headers/stream-expires-at", why).of(STREAM_CREATE_22));
    }
    forks::check(&request.headers)
}

#[cfg(feature = "schema")]
fn refine(schema: &mut serde_json::Value) {
    schema["properties"]["headers"]["not"] =
        serde_json::json!({ "required": [header::TTL, header::EXPIRES_AT] });
    forks::refine(schema);
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
