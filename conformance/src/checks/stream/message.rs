//! Checks of "Message" in spec/stream.md: what every run saw, whatever the check.

use crate::check::{Body, Check};
use wireproof_spec::stream::requirements::*;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "stream/observed/create-response",
        &[STREAM_MESSAGE_1],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_1)),
    ),
    Check::new(
        "stream/observed/append-response",
        &[STREAM_MESSAGE_2],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_2)),
    ),
    Check::new(
        "stream/observed/close-response",
        &[STREAM_MESSAGE_3],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_3)),
    ),
    Check::new(
        "stream/observed/delete-response",
        &[STREAM_MESSAGE_4],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_4)),
    ),
    Check::new(
        "stream/observed/head-response",
        &[STREAM_MESSAGE_5],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_5)),
    ),
    Check::new(
        "stream/observed/read-response",
        &[STREAM_MESSAGE_6],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_6)),
    ),
    Check::new(
        "stream/observed/longpoll-response",
        &[STREAM_MESSAGE_7],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_7)),
    ),
    Check::new(
        "stream/observed/refusal",
        &[STREAM_MESSAGE_8],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_8)),
    ),
    Check::new(
        "stream/observed/read-not-modified",
        &[STREAM_MESSAGE_9],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_9)),
    ),
    Check::new(
        "stream/observed/sse-response",
        &[STREAM_MESSAGE_10],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_10)),
    ),
    Check::new(
        "stream/observed/sse-control",
        &[STREAM_MESSAGE_11],
        Body::Observes(|o| o.shapes(STREAM_MESSAGE_11)),
    ),
];
