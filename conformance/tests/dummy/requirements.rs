// Generated from the normative document. Do not edit.
/// **must**: The first message on a new connection of an agent is 01 and the number of agents that are connected, this one included.
pub const BELL_HELLO_1: wireproof_spec::requirement::RequirementId = wireproof_spec::requirement::RequirementId::new("BELL-HELLO-1");
/// **must**: When the operator sends 10, every connected agent is sent 02 and the number of this ring, counted from 1 for each server.
pub const BELL_RING_1: wireproof_spec::requirement::RequirementId = wireproof_spec::requirement::RequirementId::new("BELL-RING-1");
/// **must**: An agent answers 02 with 03 and the same number.
pub const BELL_RING_2: wireproof_spec::requirement::RequirementId = wireproof_spec::requirement::RequirementId::new("BELL-RING-2");
/// **must**: An agent answers each 02 once.
pub const BELL_RING_3: wireproof_spec::requirement::RequirementId = wireproof_spec::requirement::RequirementId::new("BELL-RING-3");
/// Every requirement, in the order of the document.
pub const ALL: &[wireproof_spec::requirement::RequirementId] = &[
    BELL_HELLO_1,
    BELL_RING_1,
    BELL_RING_2,
    BELL_RING_3,
];
