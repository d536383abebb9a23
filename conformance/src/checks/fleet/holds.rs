//! Checks of "Holds" in spec/fleet.md.

mod places;
mod taken;

use crate::{
    check::{Check, Waits},
    drives,
};
use wireproof_spec::fleet::requirements::*;

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/holds/in-flight", &[FLEET_HOLDS_1], drives!(taken::in_flight)),
    Check::new("fleet/holds/at-once", &[FLEET_HOLDS_2], drives!(taken::at_once)),
    Check::new("fleet/holds/behind-the-ack", &[FLEET_HOLDS_3, FLEET_HOLDS_4], drives!(taken::behind_the_ack))
        .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new("fleet/holds/behind-a-timeout", &[FLEET_HOLDS_3, FLEET_HOLDS_4], drives!(taken::timed_out))
        .waits(Waits::Limit("command-timeout-ms", 3)),
    Check::new("fleet/holds/hash-only", &[FLEET_HOLDS_5], drives!(taken::hash_only))
        .waits(Waits::Limit("heartbeat-ms", 6)),
    Check::new("fleet/holds/state-before-the-ack", &[FLEET_HOLDS_6], drives!(taken::state_before))
        .waits(Waits::Limit("heartbeat-ms", 4)),
    Check::new("fleet/holds/state-of-another", &[FLEET_HOLDS_7], drives!(taken::state_of_another))
        .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new("fleet/holds/without-effect", &[FLEET_HOLDS_8], drives!(taken::without_effect))
        .waits(Waits::Limit("heartbeat-ms", 6)),
    Check::new("fleet/holds/refused", &[FLEET_HOLDS_9], drives!(taken::refused_before)),
    Check::new("fleet/holds/busy", &[FLEET_HOLDS_9, FLEET_HOLDS_13], drives!(places::busy)),
    Check::new("fleet/holds/connection-ends", &[FLEET_HOLDS_10], drives!(taken::connection_ends)),
    Check::new("fleet/holds/pins-another", &[FLEET_HOLDS_11], drives!(taken::pins_another)),
    Check::new("fleet/holds/places", &[FLEET_HOLDS_12], drives!(places::held))
        .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new("fleet/holds/places-behind-a-timeout", &[FLEET_HOLDS_12], drives!(places::timed_out))
        .waits(Waits::Limit("command-timeout-ms", 3)),
    Check::new("fleet/holds/no-place", &[FLEET_HOLDS_13], drives!(places::failed)),
    Check::new("fleet/holds/counts-once", &[FLEET_HOLDS_14], drives!(places::once))
        .waits(Waits::Limit("heartbeat-ms", 4)),
];
