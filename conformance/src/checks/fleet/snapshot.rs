//! Checks of "Snapshot" in spec/fleet.md.

mod bounds;
mod open;
mod order;
mod rejected;
mod size;

use crate::{
    check::{Check, Lane, Need, Waits},
    drives,
};
use wireproof_spec::fleet::requirements::*;

/// What 50001 rooms with short ids take.
const ROOMS: &[Need] = &[Need::AtLeast("snapshot-bytes", 1_200_000)];

/// A check that has several Polls answered.
const fn polls(check: Check, polls: u32) -> Check {
    check.waits(Waits::Limit("heartbeat-ms", polls))
}

pub(super) const CHECKS: &[Check] = &[
    polls(Check::new("fleet/snapshot/of-60000-bytes", &[FLEET_SNAPSHOT_1], drives!(size::least)), 5),
    polls(Check::new("fleet/snapshot/of-4000000-bytes", &[FLEET_SNAPSHOT_2], drives!(size::most)), 9)
        .lane(Lane::Last),
    polls(Check::new("fleet/snapshot/name", &[FLEET_SNAPSHOT_3], drives!(bounds::name)), 6),
    polls(Check::new("fleet/snapshot/empty-strings", &[FLEET_SNAPSHOT_4], drives!(bounds::empty)), 5),
    polls(Check::new("fleet/snapshot/long-url", &[FLEET_SNAPSHOT_5], drives!(bounds::long_url)), 6),
    polls(Check::new("fleet/snapshot/schemes", &[FLEET_SNAPSHOT_6], drives!(bounds::schemes)), 5),
    polls(Check::new("fleet/snapshot/no-absolute-url", &[FLEET_SNAPSHOT_7], drives!(bounds::no_url)), 5),
    polls(Check::new("fleet/snapshot/labels", &[FLEET_SNAPSHOT_8], drives!(bounds::labels)), 6),
    polls(Check::new("fleet/snapshot/long-labels", &[FLEET_SNAPSHOT_9], drives!(bounds::long_labels)), 6),
    polls(Check::new("fleet/snapshot/room-types", &[FLEET_SNAPSHOT_10], drives!(bounds::types)), 6),
    polls(Check::new("fleet/snapshot/long-room-type", &[FLEET_SNAPSHOT_11], drives!(bounds::long_type)), 6),
    polls(Check::new("fleet/snapshot/room-id", &[FLEET_SNAPSHOT_12], drives!(bounds::room_id)), 6),
    polls(
        Check::new("fleet/snapshot/type-of-a-room", &[FLEET_SNAPSHOT_13], drives!(bounds::type_of_room)),
        6,
    ),
    polls(Check::new("fleet/snapshot/connections", &[FLEET_SNAPSHOT_14], drives!(bounds::connections)), 6),
    polls(Check::new("fleet/snapshot/rooms", &[FLEET_SNAPSHOT_15], drives!(size::rooms)), 12)
        .needs(ROOMS)
        .lane(Lane::Last),
    polls(
        Check::new("fleet/snapshot/units", &[FLEET_SNAPSHOT_16, FLEET_SNAPSHOT_17], drives!(bounds::units)),
        5,
    ),
    polls(Check::new("fleet/snapshot/url-as-spelled", &[FLEET_SNAPSHOT_18], drives!(open::spelled)), 5),
    polls(Check::new("fleet/snapshot/other-status", &[FLEET_SNAPSHOT_19], drives!(open::status)), 5),
    polls(Check::new("fleet/snapshot/other-versions", &[FLEET_SNAPSHOT_20], drives!(open::versions)), 5),
    polls(Check::new("fleet/snapshot/other-hashes", &[FLEET_SNAPSHOT_21], drives!(open::hashes)), 5),
    polls(Check::new("fleet/snapshot/odd-values", &[FLEET_SNAPSHOT_22], drives!(open::odd)), 5),
    polls(Check::new("fleet/snapshot/other-origin", &[FLEET_SNAPSHOT_23], drives!(open::origin)), 5),
    polls(Check::new("fleet/snapshot/hash-verified", &[FLEET_SNAPSHOT_24], drives!(open::verified)), 5),
    polls(Check::new("fleet/snapshot/wrong-hash", &[FLEET_SNAPSHOT_25], drives!(open::wrong_hash)), 5),
    polls(
        Check::new("fleet/snapshot/nothing-shown", &[FLEET_SNAPSHOT_26], drives!(rejected::nothing_shown)),
        6,
    )
    .lane(Lane::Alone),
    polls(Check::new("fleet/snapshot/first-rejected", &[FLEET_SNAPSHOT_27], drives!(rejected::first)), 6),
    polls(Check::new("fleet/snapshot/all-rejected", &[FLEET_SNAPSHOT_28], drives!(rejected::all)), 9),
    polls(Check::new("fleet/snapshot/not-newer", &[FLEET_SNAPSHOT_29], drives!(order::not_newer)), 6),
    polls(Check::new("fleet/snapshot/never-newer", &[FLEET_SNAPSHOT_30], drives!(order::never_newer)), 10),
    polls(Check::new("fleet/snapshot/newer", &[FLEET_SNAPSHOT_31], drives!(order::newer)), 10),
    polls(Check::new("fleet/snapshot/known-already", &[FLEET_SNAPSHOT_32], drives!(order::known_already)), 7),
    polls(Check::new("fleet/snapshot/one-key-twice", &[FLEET_SNAPSHOT_33], drives!(open::one_key_twice)), 5),
];
