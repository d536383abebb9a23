//! Append: `POST` with a body.

use super::{
    MediaType, Number, Offset, ProducerId, header, producers,
    requirements::{STREAM_APPEND_6, STREAM_APPEND_7, STREAM_MESSAGE_2},
};
use crate::{
    decode::{Either, Violation, request, response},
    http,
};

request! {
    /// Appends a body to a stream, and closes the stream behind it if asked to.
    AppendRequest = "stream/append-request", "POST", check = check, refine = refine;
    query {}
    headers {
        /// The media type of the body.
        content_type: MediaType = header::CONTENT_TYPE,
        /// Whether the stream is to be closed behind the body. Only the value true, in any case, counts.
        closed: bool = header::CLOSED,
        /// A token that has to be larger, byte by byte, than that of the append before.
        seq: Option<String> = header::SEQ,
        /// The name of the producer.
        producer_id: Option<ProducerId> = header::PRODUCER_ID,
        /// Which life of the producer this is.
        producer_epoch: Option<Number> = header::PRODUCER_EPOCH,
        /// The number of this append in it.
        producer_seq: Option<Number> = header::PRODUCER_SEQ,
    }
    /// What is appended; it is not empty.
    body: Bytes,
}

impl AppendRequest {
    /// Whether it also closes the stream.
    pub fn closes(&self) -> bool {
        self.closed
    }
}

fn check(request: &http::Request) -> Result<(), Violation> {
    if request.body.is_empty() {
        Err(Violation::new("/body", "expected content or closure, found neither").of(STREAM_APPEND_7))
    } else if request.headers.get(header::CONTENT_TYPE).is_none() {
        Err(Violation::new("/headers/content-type", "expected a media type, found nothing")
            .of(STREAM_APPEND_6))
    } else {
        producers::check(&request.headers)
    }
}

#[cfg(feature = "schema")]
fn refine(schema: &mut serde_json::Value) {
    crate::schema::body_with_content(schema);
    producers::refine(schema);
}

response! {
    /// The answer to a POST that appended, or that repeats one that did.
    AppendResponse = "stream/append-response", STREAM_MESSAGE_2;
    status = Either(200, 204),
        /// Whether the status is 200, as for new content of an idempotent producer, or 204, as for all other content.
        produced: bool;
    headers {
        /// The tail behind the body.
        next_offset: Offset = header::NEXT_OFFSET,
        /// Whether the stream is closed.
        closed: bool = header::CLOSED,
        /// The epoch of the producer.
        producer_epoch: Option<Number> = header::PRODUCER_EPOCH,
        /// The highest number of the producer that was accepted in this epoch.
        producer_seq: Option<Number> = header::PRODUCER_SEQ,
    }
}
