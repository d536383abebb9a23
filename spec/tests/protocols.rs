//! The protocols as the tests look at them: one table, so that what holds for one holds for all.

use wireproof_spec::{fleet, queue, requirement::RequirementId, schema::Schema, stream};

/// A protocol.
pub(crate) struct Protocol {
    /// `stream`.
    pub(crate) name: &'static str,
    /// The normative document.
    pub(crate) document: &'static str,
    /// The map of the rows of the facts.
    pub(crate) rows: &'static str,
    /// The keys of these rows, in order.
    pub(crate) keys: fn() -> Vec<String>,
    /// The generated constants.
    pub(crate) constants: &'static [RequirementId],
    /// The schemas of its messages.
    pub(crate) schemas: fn() -> Vec<Schema>,
    /// The OpenAPI document of its messages.
    pub(crate) openapi: fn() -> Schema,
    /// The area of a message, by the name of the message without the protocol.
    pub(crate) area: fn(&str) -> &str,
    /// Areas that have a file and no requirements: they are about messages of every area.
    pub(crate) files_only: &'static [&'static str],
    /// Areas that say something about messages of other areas and have none.
    pub(crate) of_others: &'static [&'static str],
}

/// Every protocol.
pub(crate) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        name: "stream",
        document: stream::DOCUMENT,
        rows: stream::ROWS,
        keys: || (1..=305).map(|n| n.to_string()).collect(),
        constants: stream::requirements::ALL,
        schemas: stream::schemas,
        openapi: stream::openapi,
        area: |message| message.split('-').next().unwrap_or_default(),
        // A refusal belongs to no operation: its shape is under Message.
        files_only: &["refusal"],
        of_others: &[
            "offsets",
            "content",
            "expiry",
            "producers",
            "json",
            "forks",
            "caching",
            "http",
            "message",
        ],
    },
    Protocol {
        name: "queue",
        document: queue::DOCUMENT,
        rows: queue::ROWS,
        keys: || {
            let rows = |prefix: &'static str, last: u32| (1..=last).map(move |n| format!("{prefix}{n}"));
            rows("S", 33)
                .chain(rows("H", 27))
                .chain(rows("C", 26))
                .chain(rows("R", 13))
                .chain(rows("6.", 25))
                .collect()
        },
        constants: queue::requirements::ALL,
        schemas: queue::schemas,
        openapi: queue::openapi,
        area: |message| match message {
            "auth-request" | "auth-response" => "auth",
            "consumer" | "consumers-reply" => "connect",
            "push" => "push",
            "message" => "message",
            "queue" | "create-request" | "update-request" | "queue-reply" | "queues-reply" => "queues",
            "publish-request" | "batch-request" | "message-reply" | "batch-reply" => "publish",
            "messages-reply" | "offset-reply" => "consume",
            "receive-reply" => "leases",
            "dead-letter-message" | "dead-letters-reply" => "deadletters",
            "done" | "failure" => "http",
            other if other.starts_with("destination") => "destinations",
            other if other.starts_with("source") => "sources",
            other => panic!("queue/{other} has no area: add it here"),
        },
        files_only: &[],
        of_others: &["replay", "close", "offsets", "subscriber", "delivery", "resume", "redial", "retry"],
    },
    Protocol {
        name: "fleet",
        document: fleet::DOCUMENT,
        rows: fleet::ROWS,
        keys: || {
            let rows = |prefix: &'static str, last: u32| (1..=last).map(move |n| format!("{prefix}{n}"));
            rows("A", 92).chain(rows("B", 24)).collect()
        },
        constants: fleet::requirements::ALL,
        schemas: fleet::schemas,
        openapi: fleet::openapi,
        area: |message| match message {
            "hello" => "hello",
            "poll" => "poll",
            "state" => "snapshot",
            "cmd" | "ack" => "commands",
            "done" | "rejected" => "http",
            "create-request" => "placement",
            "instance-info" | "room-info" | "fleet-stats" | "stats-reply" | "instance-reply"
            | "instances-reply" | "room-reply" | "rooms-reply" => "instances",
            other => panic!("fleet/{other} has no area: add it here"),
        },
        files_only: &[],
        of_others: &[
            "connect",
            "frames",
            "liveness",
            "violations",
            "holds",
            "ids",
            "access",
            "conditional",
            "events",
            "startup",
            "hash",
            "message",
            "dial",
            "report",
            "execute",
            "drain",
            "redial",
        ],
    },
];

/// The protocol of a message, by the name of that: `stream/refusal`.
pub(crate) fn of(message: &str) -> &'static Protocol {
    let name = message.split('/').next().unwrap_or_default();
    PROTOCOLS.iter().find(|protocol| protocol.name == name).unwrap_or_else(|| panic!("no protocol {name}"))
}
