//! Checks of "Commands" in spec/fleet.md.

mod create;
mod flight;
mod others;
mod status;

use crate::{
    check::{Check, Waits},
    drives,
};
use wireproof_spec::fleet::requirements::*;

/// So many times T.
const fn commands(times: u32) -> Waits {
    Waits::Limit("command-timeout-ms", times)
}

/// So many times H.
const fn heartbeats(times: u32) -> Waits {
    Waits::Limit("heartbeat-ms", times)
}

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/commands/one-cmd", &[FLEET_COMMANDS_1], drives!(create::one_cmd)),
    Check::new("fleet/commands/not-sent-again", &[FLEET_COMMANDS_1], drives!(create::not_sent_again))
        .waits(commands(2)),
    Check::new("fleet/commands/made-up-ids", &[FLEET_COMMANDS_2], drives!(create::made_up_ids))
        .waits(heartbeats(3)),
    Check::new("fleet/commands/created", &[FLEET_COMMANDS_3], drives!(create::created)).waits(commands(2)),
    Check::new("fleet/commands/failed", &[FLEET_COMMANDS_4], drives!(others::failed)),
    Check::new("fleet/commands/exists", &[FLEET_COMMANDS_5], drives!(create::exists_there)),
    Check::new("fleet/commands/ok-and-exists", &[FLEET_COMMANDS_6], drives!(create::ok_and_exists)),
    Check::new("fleet/commands/another-room", &[FLEET_COMMANDS_7], drives!(create::another_room)),
    Check::new("fleet/commands/any-order", &[FLEET_COMMANDS_8], drives!(flight::any_order)),
    Check::new("fleet/commands/timeout", &[FLEET_COMMANDS_9], drives!(flight::timeout)).waits(commands(2)),
    Check::new("fleet/commands/disconnected", &[FLEET_COMMANDS_10], drives!(flight::disconnected)),
    Check::new("fleet/commands/evicted", &[FLEET_COMMANDS_10], drives!(flight::evicted)).waits(heartbeats(6)),
    Check::new("fleet/commands/busy", &[FLEET_COMMANDS_11], drives!(flight::busy)).waits(heartbeats(1)),
    Check::new("fleet/commands/thirty-two", &[FLEET_COMMANDS_12], drives!(flight::thirty_two)),
    Check::new("fleet/commands/destroy", &[FLEET_COMMANDS_13], drives!(others::destroys)),
    Check::new("fleet/commands/behind-the-ack", &[FLEET_COMMANDS_14], drives!(others::behind))
        .waits(commands(4)),
    Check::new("fleet/commands/not-there", &[FLEET_COMMANDS_15], drives!(others::not_there)),
    Check::new("fleet/commands/destroyed-room", &[FLEET_COMMANDS_16], drives!(others::destroyed_room)),
    Check::new("fleet/commands/drain", &[FLEET_COMMANDS_17], drives!(status::drains)),
    Check::new("fleet/commands/counts-at-once", &[FLEET_COMMANDS_18], drives!(status::at_once)),
    Check::new("fleet/commands/status-of-the-snapshot", &[FLEET_COMMANDS_19], drives!(status::as_told))
        .waits(heartbeats(6)),
    Check::new("fleet/commands/agreed", &[FLEET_COMMANDS_20], drives!(status::agreed)).waits(heartbeats(6)),
    Check::new("fleet/commands/failed-drain", &[FLEET_COMMANDS_21], drives!(status::fails))
        .waits(commands(2)),
    Check::new("fleet/commands/new-ids", &[FLEET_COMMANDS_22], drives!(flight::new_ids)).waits(commands(2)),
];
