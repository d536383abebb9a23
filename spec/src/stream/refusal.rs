//! Refusals: the answers of the protocol, and of HTTP, that are no success.

use super::{MediaType, Number, Offset, header, requirements::STREAM_MESSAGE_8};
use crate::decode::{Between, response};

response! {
    /// A refusal.
    Refusal = "stream/refusal", STREAM_MESSAGE_8;
    status = Between(400, 599),
        /// The status, which says why.
        status: u16;
    headers {
        /// The media type of the body.
        content_type: Option<MediaType> = header::CONTENT_TYPE,
        /// The tail, on the 409 of a closed stream.
        next_offset: Option<Offset> = header::NEXT_OFFSET,
        /// Whether the request was refused because the stream is closed.
        closed: bool = header::CLOSED,
        /// The methods that the URL has, on a 405.
        allow: Option<String> = header::ALLOW,
        /// What caches may do with this answer.
        cache_control: Option<String> = header::CACHE_CONTROL,
        /// The epoch that the producer has by now, on a 403.
        producer_epoch: Option<Number> = header::PRODUCER_EPOCH,
        /// The number that was due from the producer, on the 409 of a gap.
        producer_expected_seq: Option<Number> = header::PRODUCER_EXPECTED_SEQ,
        /// The number that came in its place.
        producer_received_seq: Option<Number> = header::PRODUCER_RECEIVED_SEQ,
    }
    /// For people; the protocol says nothing about it.
    body: Bytes,
}

impl Refusal {
    /// A refusal with nothing but its status.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            next_offset: None,
            closed: false,
            allow: None,
            cache_control: None,
            producer_epoch: None,
            producer_expected_seq: None,
            producer_received_seq: None,
            body: bytes::Bytes::new(),
        }
    }
}
