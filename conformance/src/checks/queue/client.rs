//! What checks of clients start from: the client under test as a subscriber of a server that we play, and as a caller of it.

use crate::wire::app::Operation;

/// What a client can do, as its adapter lists it (spec/adapter.md).
pub(super) const OPERATIONS: &[Operation] = &[
    Operation { name: "subscribe", option: None, feature: None },
    Operation { name: "close", option: None, feature: None },
    Operation { name: "subscribe", option: Some("handler"), feature: Some("queue.handler") },
    Operation { name: "subscribe", option: Some("iterator"), feature: Some("queue.iterator") },
    Operation { name: "subscribe", option: Some("delay_ms"), feature: Some("queue.delay-settings") },
    Operation { name: "subscribe", option: Some("client_id"), feature: Some("queue.resume-options") },
    Operation { name: "subscribe", option: Some("organisation"), feature: Some("queue.organisations") },
    Operation { name: "call", option: None, feature: Some("queue.http-client") },
    Operation { name: "call", option: Some("window_ms"), feature: Some("queue.retry-settings") },
    Operation { name: "call", option: Some("stream"), feature: Some("queue.stream-bodies") },
];
