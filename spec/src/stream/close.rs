//! Close: `POST` with closure and an empty body.

use super::{
    Number, Offset, ProducerId, header, producers,
    requirements::{STREAM_APPEND_7, STREAM_MESSAGE_3},
};
use crate::{
    decode::{Either, Side, True, Violation, field, request, response},
    http,
};

request! {
    /// Closes a stream and appends nothing.
    CloseRequest = "stream/close-request", "POST", check = check, refine = refine;
    query {}
    headers {
        /// Any text: where there is no body its type does not matter (STREAM-CLOSE-3).
        content_type: Option<String> = header::CONTENT_TYPE,
        /// The value true, in any case.
        closed: True = header::CLOSED,
        /// The name of the producer.
        producer_id: Option<ProducerId> = header::PRODUCER_ID,
        /// Which life of the producer this is.
        producer_epoch: Option<Number> = header::PRODUCER_EPOCH,
        /// The number of this request in it.
        producer_seq: Option<Number> = header::PRODUCER_SEQ,
    }
}

fn check(request: &http::Request) -> Result<(), Violation> {
    if !request.body.is_empty() {
        let why = format!("expected no content, found {} bytes", request.body.len());
        return Err(Violation::new("/body", why));
    }
    // Without content and without closure it asks for nothing.
    field::<True>(&request.headers, "headers", header::CLOSED, Side::Client)
        .map(|True| ())
        .map_err(|violation| violation.of(STREAM_APPEND_7))?;
    producers::check(&request.headers)
}

#[cfg(feature = "schema")]
fn refine(schema: &mut serde_json::Value) {
    crate::schema::body_without_content(schema);
    producers::refine(schema);
}

response! {
    /// The answer to a POST that closed without appending.
    CloseResponse = "stream/close-response", STREAM_MESSAGE_3;
    status = Either(200, 204),
        /// Whether the status is 200, as an idempotent producer may see it, or 204.
        produced: bool;
    headers {
        /// The tail, which closing does not move.
        next_offset: Offset = header::NEXT_OFFSET,
        /// The stream is closed.
        closed: True = header::CLOSED,
        /// The epoch of the producer.
        producer_epoch: Option<Number> = header::PRODUCER_EPOCH,
        /// The highest number of the producer that was accepted in this epoch.
        producer_seq: Option<Number> = header::PRODUCER_SEQ,
    }
}
