//! Poll: what an orchestrator asks again and again.

use super::{
    frames::{frame, terms},
    requirements::FLEET_MESSAGE_2,
};
use crate::json::Rule;

/// What a Poll says beyond its types.
const RULES: &[Rule<Poll>] = &[Rule {
    at: "reqId",
    expected: "an id that is not empty",
    holds: |poll| !poll.req_id.is_empty(),
    schema: r#"{ "properties": { "reqId": { "minLength": 1 } } }"#,
}];

terms! {
    /// Whether an instance takes new rooms. A State has one of the two; an orchestrator may know others (FLEET-SNAPSHOT-19).
    Status, absent = Self::Active, others = true;
    /// It does.
    Active = "active",
    /// It does not; those that it has go on.
    Draining = "draining",
}

frame! {
    /// Asks an agent for its state.
    Poll = "fleet/poll", names = |_| FLEET_MESSAGE_2, rules = RULES;
    /// What the answer is known by.
    1 req_id: String = "reqId",
    /// The hash of the snapshot that the orchestrator has; without it the answer is a full one. An empty one is a value.
    2 known_hash: Option<String> = "knownHash",
    /// The status that the orchestrator recorded last.
    3 status: Status = "status",
}
