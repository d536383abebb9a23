//! Checks of "Message" in spec/queue.md: what every run saw, whatever the check.

pub(super) mod answers;
pub(super) mod requests;

use crate::check::{Body, Check};
use wireproof_spec::queue::requirements::*;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "queue/observed/auth-response",
        &[QUEUE_MESSAGE_1],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_1)),
    ),
    Check::new("queue/observed/push", &[QUEUE_MESSAGE_2], Body::Observes(|o| o.shapes(QUEUE_MESSAGE_2))),
    Check::new("queue/observed/message", &[QUEUE_MESSAGE_3], Body::Observes(|o| o.shapes(QUEUE_MESSAGE_3))),
    Check::new("queue/observed/queue", &[QUEUE_MESSAGE_4], Body::Observes(|o| o.shapes(QUEUE_MESSAGE_4))),
    Check::new(
        "queue/observed/dead-letter-message",
        &[QUEUE_MESSAGE_5],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_5)),
    ),
    Check::new(
        "queue/observed/destination",
        &[QUEUE_MESSAGE_6],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_6)),
    ),
    Check::new("queue/observed/source", &[QUEUE_MESSAGE_7], Body::Observes(|o| o.shapes(QUEUE_MESSAGE_7))),
    Check::new("queue/observed/consumer", &[QUEUE_MESSAGE_8], Body::Observes(|o| o.shapes(QUEUE_MESSAGE_8))),
    Check::new(
        "queue/observed/queue-reply",
        &[QUEUE_MESSAGE_9],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_9)),
    ),
    Check::new(
        "queue/observed/queues-reply",
        &[QUEUE_MESSAGE_10],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_10)),
    ),
    Check::new(
        "queue/observed/message-reply",
        &[QUEUE_MESSAGE_11],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_11)),
    ),
    Check::new(
        "queue/observed/messages-reply",
        &[QUEUE_MESSAGE_12],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_12)),
    ),
    Check::new(
        "queue/observed/batch-reply",
        &[QUEUE_MESSAGE_13],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_13)),
    ),
    Check::new(
        "queue/observed/receive-reply",
        &[QUEUE_MESSAGE_14],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_14)),
    ),
    Check::new(
        "queue/observed/offset-reply",
        &[QUEUE_MESSAGE_15],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_15)),
    ),
    Check::new(
        "queue/observed/dead-letters-reply",
        &[QUEUE_MESSAGE_16],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_16)),
    ),
    Check::new(
        "queue/observed/destination-reply",
        &[QUEUE_MESSAGE_17],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_17)),
    ),
    Check::new(
        "queue/observed/destinations-reply",
        &[QUEUE_MESSAGE_18],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_18)),
    ),
    Check::new(
        "queue/observed/source-reply",
        &[QUEUE_MESSAGE_19],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_19)),
    ),
    Check::new(
        "queue/observed/sources-reply",
        &[QUEUE_MESSAGE_20],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_20)),
    ),
    Check::new(
        "queue/observed/consumers-reply",
        &[QUEUE_MESSAGE_21],
        Body::Observes(|o| o.shapes(QUEUE_MESSAGE_21)),
    ),
    Check::new("queue/observed/done", &[QUEUE_MESSAGE_22], Body::Observes(|o| o.shapes(QUEUE_MESSAGE_22))),
    Check::new("queue/observed/failure", &[QUEUE_MESSAGE_23], Body::Observes(|o| o.shapes(QUEUE_MESSAGE_23))),
];
