//! Checks of "Placement" in spec/fleet.md.

mod candidates;
mod load;
mod pins;

use crate::{
    check::{Check, Waits},
    drives,
};
use wireproof_spec::fleet::requirements::*;

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/placement/nobody", &[FLEET_PLACEMENT_1], drives!(candidates::nobody_takes_it)),
    Check::new("fleet/placement/types", &[FLEET_PLACEMENT_2], drives!(candidates::types)),
    Check::new("fleet/placement/labels", &[FLEET_PLACEMENT_3], drives!(candidates::labels)),
    Check::new("fleet/placement/draining", &[FLEET_PLACEMENT_4], drives!(candidates::draining)),
    Check::new("fleet/placement/stale", &[FLEET_PLACEMENT_5, FLEET_PLACEMENT_20], drives!(pins::stale))
        .waits(Waits::Limit("heartbeat-ms", 6)),
    Check::new("fleet/placement/no-auto-create", &[FLEET_PLACEMENT_6], drives!(candidates::no_auto_create)),
    Check::new("fleet/placement/rooms", &[FLEET_PLACEMENT_7, FLEET_PLACEMENT_9], drives!(candidates::rooms)),
    Check::new(
        "fleet/placement/connections",
        &[FLEET_PLACEMENT_8, FLEET_PLACEMENT_9],
        drives!(candidates::connections),
    ),
    Check::new("fleet/placement/least-quotient", &[FLEET_PLACEMENT_10], drives!(load::least_quotient)),
    Check::new("fleet/placement/fewest-connections", &[FLEET_PLACEMENT_11], drives!(load::fewest)),
    Check::new("fleet/placement/most-loaded", &[FLEET_PLACEMENT_12], drives!(load::most)),
    Check::new("fleet/placement/random", &[FLEET_PLACEMENT_13], drives!(load::random)),
    Check::new("fleet/placement/no-strategy", &[FLEET_PLACEMENT_14], drives!(load::none)),
    Check::new("fleet/placement/unknown-strategy", &[FLEET_PLACEMENT_15], drives!(load::unknown)),
    Check::new("fleet/placement/both-pins", &[FLEET_PLACEMENT_16], drives!(pins::both)),
    Check::new("fleet/placement/pinned", &[FLEET_PLACEMENT_17], drives!(pins::whatever)),
    Check::new("fleet/placement/pinned-to-nobody", &[FLEET_PLACEMENT_18], drives!(pins::to_nobody)),
    Check::new("fleet/placement/pinned-to-draining", &[FLEET_PLACEMENT_19], drives!(pins::to_draining)),
    Check::new(
        "fleet/placement/pinned-behind-a-drain",
        &[FLEET_PLACEMENT_19, FLEET_PLACEMENT_17],
        drives!(pins::behind_a_drain),
    ),
    Check::new(
        "fleet/placement/pinned-without-auto-create",
        &[FLEET_PLACEMENT_21],
        drives!(pins::no_auto_create),
    ),
    Check::new("fleet/placement/newest", &[FLEET_PLACEMENT_22], drives!(pins::newest))
        .waits(Waits::Limit("heartbeat-ms", 2)),
    Check::new("fleet/placement/taken", &[FLEET_PLACEMENT_23], drives!(pins::taken)),
    Check::new("fleet/placement/taken-and-stale", &[FLEET_PLACEMENT_23], drives!(pins::taken_and_stale))
        .waits(Waits::Limit("heartbeat-ms", 6)),
];
