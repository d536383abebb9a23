//! Longpoll: `GET` with `offset` and `live=long-poll`.

use super::{
    MediaType, Offset, ReadOffset, header,
    read::unknown_live,
    requirements::{STREAM_LONGPOLL_1, STREAM_MESSAGE_7},
};
use crate::{
    decode::{Either, Value, Violation, expected, request, response, value},
    http,
};

/// The value of `live` that asks for a long-poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Longpoll;

const LIVE: &str = "long-poll";

impl Value for Longpoll {
    const WHAT: &'static str = "live=long-poll";

    fn parse(text: &str) -> Result<Self, Violation> {
        if text == LIVE { Ok(Self) } else { Err(Violation::new("", expected(LIVE, text))) }
    }

    fn text(&self) -> &str {
        LIVE
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        serde_json::json!({ "const": LIVE })
    }
}

/// A cursor as a server gives it out: a decimal number of any length.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for Cursor {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl Value for Cursor {
    const WHAT: &'static str = "a decimal number";

    fn parse(text: &str) -> Result<Self, Violation> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.into()))
        } else {
            Err(Violation::new("", expected(Self::WHAT, text)))
        }
    }

    fn text(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "schema")]
    fn syntax() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": "^[0-9]+$" })
    }
}

request! {
    /// Reads from an offset, and waits if there is nothing behind it.
    LongpollRequest = "stream/longpoll-request", "GET", check = check;
    query {
        /// Where the read starts.
        offset: ReadOffset = header::query::OFFSET,
        /// The value long-poll.
        live: Longpoll = header::query::LIVE,
        /// The cursor that came last, as it came.
        cursor: Option<String> = header::query::CURSOR,
    }
    headers {}
}

fn check(request: &http::Request) -> Result<(), Violation> {
    match value(&request.query, header::query::LIVE) {
        Some(live) if live != LIVE => Err(unknown_live(LIVE, &live)),
        _ if request.query.get(header::query::OFFSET).is_none() => {
            Err(Violation::new("/query/offset", "expected an offset, found nothing").of(STREAM_LONGPOLL_1))
        }
        _ => Ok(()),
    }
}

response! {
    /// The answer to a long-poll that succeeded.
    LongpollResponse = "stream/longpoll-response", STREAM_MESSAGE_7, check = check_response, refine = refine_response;
    status = Either(200, 204),
        /// Whether there is content (200) or none came in time or can come (204).
        content: bool;
    headers {
        /// The media type of the stream.
        content_type: Option<MediaType> = header::CONTENT_TYPE,
        /// Where the next read starts.
        next_offset: Offset = header::NEXT_OFFSET,
        /// Whether the answer reaches the tail; always on a 204.
        up_to_date: bool = header::UP_TO_DATE,
        /// Whether the stream is closed and the answer reaches its end.
        closed: bool = header::CLOSED,
        /// What the next long-poll sends back.
        cursor: Option<Cursor> = header::CURSOR,
        /// What caches may do with this answer.
        cache_control: Option<String> = header::CACHE_CONTROL,
        /// The validator of this answer.
        etag: Option<String> = header::ETAG,
    }
    /// The content behind the offset, or the first part of it.
    body: Bytes,
}

fn check_response(response: &http::Response) -> Result<(), Violation> {
    if response.status == 204 && response.headers.get(header::UP_TO_DATE).is_none() {
        return Err(Violation::new("/headers/stream-up-to-date", "expected true on a 204, found nothing"));
    }
    Ok(())
}

#[cfg(feature = "schema")]
fn refine_response(schema: &mut serde_json::Value) {
    schema["if"] = serde_json::json!({ "properties": { "status": { "const": 204 } } });
    let headers = serde_json::json!({
        "type": "object",
        "properties": { header::UP_TO_DATE: { "const": "true" } },
        "required": [header::UP_TO_DATE],
    });
    schema["then"] = serde_json::json!({ "properties": { "headers": headers } });
}
