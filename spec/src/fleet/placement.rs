//! Placement: what an operator asks for, and where it goes.

use super::{
    ids::RoomId,
    requirements::{
        FLEET_HTTP_8, FLEET_HTTP_9, FLEET_HTTP_10, FLEET_HTTP_12, FLEET_HTTP_14, FLEET_PLACEMENT_15,
    },
};
use crate::{
    decode::Violation,
    json::{Strings, Text, json, words},
    requirement::RequirementId,
};

/// The requirement that says how a request of this violation is answered.
fn names(violation: &Violation) -> RequirementId {
    let is_null = violation.why.ends_with("found \"null\"");
    let wants_a_string = violation.why.starts_with("expected a string,");
    match violation.at.as_str() {
        "" => FLEET_HTTP_8,
        "/type" | "/roomId" if wants_a_string && !is_null => FLEET_HTTP_12,
        "/roomId" if !is_null => FLEET_HTTP_10,
        "/placement/strategy" => FLEET_PLACEMENT_15,
        at if at.starts_with("/placement/") => FLEET_HTTP_14,
        _ => FLEET_HTTP_9,
    }
}

words! {
    /// Which of the instances that can take a room gets it.
    Strategy;
    /// The one with the least load.
    LeastLoaded = "least-loaded",
    /// The one with the most load.
    MostLoaded = "most-loaded",
    /// Any.
    Random = "random",
}

json! {
    /// Where a room is to go.
    Placement;
    /// To this instance.
    instance_id: Option<String> = "instanceId",
    /// To the newest instance of this process.
    process_uid: Option<String> = "processUid",
    /// To which of those that can take it; least-loaded if nothing is said.
    strategy: Option<Strategy> = "strategy",
    /// To an instance with all of these labels.
    labels: Option<Strings> = "labels",
    /// To the named instance even if it is draining or stale.
    force: Option<bool> = "force",
}

json! {
    /// Asks for a room.
    CreateRequest = "fleet/create-request", names = names;
    /// Its type.
    kind: Text<1, { usize::MAX }> = "type",
    /// Its id; without one it gets one.
    room_id: Option<RoomId> = "roomId",
    /// Where it is to go.
    placement: Option<Placement> = "placement",
}
