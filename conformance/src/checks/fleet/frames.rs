//! Checks of "Frames" in spec/fleet.md.

mod acks;
mod bytes;
mod hostile;
mod said;
mod states;

use crate::{
    check::{Check, Lane, Need, Waits},
    drives,
};
use wireproof_spec::fleet::requirements::*;

const API: &[Need] = &[Need::Feature("fleet.api", "on")];

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/frames/of-the-orchestrator", &[FLEET_FRAMES_1, FLEET_FRAMES_2], drives!(said::polls)),
    Check::new("fleet/frames/of-commands", &[FLEET_FRAMES_1, FLEET_FRAMES_2], drives!(said::commands))
        .needs(API),
    Check::new("fleet/frames/text", &[FLEET_FRAMES_3, FLEET_FRAMES_4], drives!(states::text)),
    Check::new("fleet/frames/other-majors", &[FLEET_FRAMES_5], drives!(states::other_majors)),
    Check::new("fleet/frames/other-majors-alone", &[FLEET_FRAMES_6], drives!(states::other_majors_alone))
        .waits(Waits::Limit("heartbeat-ms", 18)),
    Check::new("fleet/frames/acks-of-other-majors", &[FLEET_FRAMES_5], drives!(acks::other_majors))
        .needs(API),
    Check::new("fleet/frames/other-minors", &[FLEET_FRAMES_7], drives!(states::other_minors)),
    Check::new("fleet/frames/acks-of-other-minors", &[FLEET_FRAMES_7], drives!(acks::other_minors))
        .needs(API),
    Check::new("fleet/frames/unknown-outer-fields", &[FLEET_FRAMES_8], drives!(states::unknown_outer)),
    Check::new("fleet/frames/unknown-outer-fields-of-acks", &[FLEET_FRAMES_8], drives!(acks::unknown_outer))
        .needs(API),
    Check::new("fleet/frames/unknown-fields", &[FLEET_FRAMES_9], drives!(states::unknown)),
    Check::new("fleet/frames/unknown-fields-of-acks", &[FLEET_FRAMES_9], drives!(acks::unknown)).needs(API),
    Check::new("fleet/frames/any-order", &[FLEET_FRAMES_10], drives!(states::any_order)),
    Check::new("fleet/frames/any-order-of-acks", &[FLEET_FRAMES_10], drives!(acks::any_order)).needs(API),
    Check::new("fleet/frames/defaults", &[FLEET_FRAMES_11], drives!(states::defaults)),
    Check::new("fleet/frames/first-without-full", &[FLEET_FRAMES_12], drives!(states::first_without_full)),
    Check::new("fleet/frames/without-full", &[FLEET_FRAMES_12], drives!(states::without_full))
        .waits(Waits::Limit("heartbeat-ms", 6)),
    Check::new("fleet/frames/without-ok", &[FLEET_FRAMES_12], drives!(acks::without_ok)).needs(API),
    Check::new("fleet/frames/last-of-several", &[FLEET_FRAMES_13], drives!(states::last_of_several)),
    Check::new("fleet/frames/last-of-several-in-acks", &[FLEET_FRAMES_13], drives!(acks::last_of_several))
        .needs(API),
    Check::new("fleet/frames/what-nobody-writes", &[FLEET_FRAMES_14], drives!(states::nobody_writes)),
    Check::new("fleet/frames/incomplete", &[FLEET_FRAMES_15], drives!(states::incomplete)),
    Check::new("fleet/frames/without-what-is-always-written", &[FLEET_FRAMES_16], drives!(states::lacking)),
    Check::new("fleet/frames/in-pieces", &[FLEET_FRAMES_17], drives!(states::in_pieces)),
    Check::new("fleet/frames/broken", &[FLEET_FRAMES_18], drives!(hostile::broken))
        .lane(Lane::Last)
        .waits(Waits::Limit("heartbeat-ms", 14)),
    Check::new("fleet/frames/too-long", &[FLEET_FRAMES_19], drives!(hostile::too_long))
        .lane(Lane::Last)
        .waits(Waits::Limit("heartbeat-ms", 6)),
    Check::new("fleet/frames/half-a-handshake", &[FLEET_FRAMES_20], drives!(hostile::half_a_handshake))
        .lane(Lane::Last)
        .waits(Waits::Limit("heartbeat-ms", 6)),
];
