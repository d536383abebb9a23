//! Hello: the first thing that an orchestrator says.

use super::{
    frames::{VERSION, frame},
    requirements::FLEET_MESSAGE_1,
};
use crate::json::Rule;

/// What a Hello says beyond its types.
const RULES: &[Rule<Hello>] = &[
    Rule {
        at: "instanceId",
        expected: "an id that is not empty",
        holds: |hello| !hello.instance_id.is_empty(),
        schema: r#"{ "properties": { "instanceId": { "minLength": 1 } } }"#,
    },
    Rule {
        at: "protocolVersion",
        expected: "3",
        holds: |hello| hello.protocol_version == VERSION,
        schema: r#"{ "properties": { "protocolVersion": { "const": 3 } } }"#,
    },
    Rule {
        at: "heartbeatMs",
        expected: "at least 1",
        holds: |hello| hello.heartbeat_ms > 0,
        schema: r#"{ "properties": { "heartbeatMs": { "minimum": 1 } } }"#,
    },
];

frame! {
    /// What an orchestrator says first on each connection.
    Hello = "fleet/hello", names = |_| FLEET_MESSAGE_1, rules = RULES;
    /// The id of the instance, new for each connection.
    1 instance_id: String = "instanceId",
    /// The major version of the protocol.
    2 protocol_version: u32 = "protocolVersion",
    /// How long after a poll the next one comes, in milliseconds.
    3 heartbeat_ms: u32 = "heartbeatMs",
}
