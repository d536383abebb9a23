//! Read: `GET` without `live`.

use super::{
    Cursor, MediaType, Offset, ReadOffset, header,
    requirements::{STREAM_MESSAGE_6, STREAM_MESSAGE_9, STREAM_READ_8},
};
use crate::{
    decode::{Only, Violation, expected, request, response, value},
    http,
};

request! {
    /// Reads from an offset towards the tail and does not wait.
    ReadRequest = "stream/read-request", "GET", check = check, refine = refine;
    query {
        /// Where the read starts; without it at the start of the stream.
        offset: Option<ReadOffset> = header::query::OFFSET,
    }
    headers {
        /// The validators of what the client has.
        if_none_match: Option<String> = header::IF_NONE_MATCH,
    }
}

fn check(request: &http::Request) -> Result<(), Violation> {
    match value(&request.query, header::query::LIVE) {
        None => Ok(()),
        Some(live) => Err(unknown_live("no live", &live)),
    }
}

/// The refusal of a value of `live` other than those that `what` names.
pub(super) fn unknown_live(what: &str, live: &str) -> Violation {
    Violation::new("/query/live", expected(what, live)).of(STREAM_READ_8)
}

#[cfg(feature = "schema")]
fn refine(schema: &mut serde_json::Value) {
    let absent =
        serde_json::json!({ "not": {}, "description": "Absent: with it the request is another one." });
    schema["properties"]["query"]["properties"][header::query::LIVE] = absent;
}

response! {
    /// The answer to a GET without live that succeeded.
    ReadResponse = "stream/read-response", STREAM_MESSAGE_6;
    status = Only(200);
    headers {
        /// The media type of the stream.
        content_type: MediaType = header::CONTENT_TYPE,
        /// Where the next read starts.
        next_offset: Offset = header::NEXT_OFFSET,
        /// Whether the body reaches the tail.
        up_to_date: bool = header::UP_TO_DATE,
        /// Whether the stream is closed and the body reaches its end.
        closed: bool = header::CLOSED,
        /// The cursor, which is of use in a long-poll.
        cursor: Option<Cursor> = header::CURSOR,
        /// What caches may do with this answer.
        cache_control: Option<String> = header::CACHE_CONTROL,
        /// The validator of this answer.
        etag: Option<String> = header::ETAG,
    }
    /// The content behind the offset, or the first part of it.
    body: Bytes,
}

response! {
    /// The answer to a GET without live whose client has what it asks for.
    ReadNotModified = "stream/read-not-modified", STREAM_MESSAGE_9;
    status = Only(304);
    headers {
        /// Where the next read starts.
        next_offset: Option<Offset> = header::NEXT_OFFSET,
        /// Whether the content reaches the tail.
        up_to_date: bool = header::UP_TO_DATE,
        /// Whether the stream is closed and the content reaches its end.
        closed: bool = header::CLOSED,
        /// What caches may do with this answer.
        cache_control: Option<String> = header::CACHE_CONTROL,
        /// The validator that matched.
        etag: Option<String> = header::ETAG,
    }
}
