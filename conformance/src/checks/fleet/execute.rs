//! Checks of "Execute" in spec/fleet.md: what an agent does with Cmds.

mod frames;
mod rooms;
mod status;

use super::client::{
    Client, Connection, Heard, KINDS, Start, acked, command, create, destroy, hash_only, nothing, poll_of,
    snapshot, state_of,
};
use crate::{
    check::{Check, Cx, Need, Outcome, alternative},
    drives,
    wire::Seen,
};
use std::time::Duration;
use wireproof_spec::fleet::{Ack, Cmd, Op, Origin, Snapshot, Status, requirements::*};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/execute/acknowledges", &[FLEET_EXECUTE_1], drives!(frames::acknowledges)),
    Check::new("fleet/execute/at-once", &[FLEET_EXECUTE_2], drives!(frames::at_once)),
    Check::new("fleet/execute/create", &[FLEET_EXECUTE_3], drives!(rooms::creates)),
    Check::new("fleet/execute/shown", &[FLEET_EXECUTE_4], drives!(rooms::shown)),
    Check::new("fleet/execute/exists", &[FLEET_EXECUTE_5], drives!(rooms::exists)),
    Check::new("fleet/execute/unknown-type", &[FLEET_EXECUTE_6], drives!(rooms::unknown_type)),
    Check::new("fleet/execute/no-auto-create", &[FLEET_EXECUTE_7], drives!(rooms::no_auto_create)),
    Check::new("fleet/execute/max-rooms", &[FLEET_EXECUTE_8], drives!(rooms::max_rooms)),
    Check::new("fleet/execute/max-rooms-with-the-host", &[FLEET_EXECUTE_9], drives!(rooms::with_the_host))
        .needs(&[Need::Feature("fleet.local-rooms", "on")]),
    Check::new("fleet/execute/refused-makes-none", &[FLEET_EXECUTE_10], drives!(rooms::refused_makes_none)),
    Check::new("fleet/execute/made-up-id", &[FLEET_EXECUTE_11], drives!(rooms::made_up)),
    Check::new("fleet/execute/destroy", &[FLEET_EXECUTE_12], drives!(rooms::destroys)),
    Check::new("fleet/execute/already-gone", &[FLEET_EXECUTE_13], drives!(rooms::already_gone)),
    Check::new("fleet/execute/destroy-without-id", &[FLEET_EXECUTE_14], drives!(rooms::without_id)),
    Check::new("fleet/execute/made-again-by-the-host", &[FLEET_EXECUTE_15], drives!(rooms::made_again))
        .needs(&[Need::Feature("fleet.local-rooms", "on")]),
    Check::new("fleet/execute/drain", &[FLEET_EXECUTE_16], drives!(status::drains)),
    Check::new("fleet/execute/drain-twice", &[FLEET_EXECUTE_17], drives!(status::twice)),
    Check::new("fleet/execute/unknown-op", &[FLEET_EXECUTE_18], drives!(status::unknown_op)),
    Check::new("fleet/execute/newer-cmds", &[FLEET_EXECUTE_19], drives!(frames::newer)),
    Check::new("fleet/execute/malformed-cmds", &[FLEET_EXECUTE_20], drives!(frames::malformed)),
    Check::new("fleet/execute/again", &[FLEET_EXECUTE_21], drives!(frames::again)),
    Check::new("fleet/execute/other-characters", &[FLEET_EXECUTE_22], drives!(rooms::other_characters)),
];

/// How long an agent that says something unasked has for it.
const MOMENT: Duration = Duration::from_millis(300);

/// Whether a room was refused, for a reason that is told.
fn is_refused(ack: &Ack) -> bool {
    !ack.ok && ack.error.as_deref().is_some_and(|error| !error.is_empty())
}

/// Whether a snapshot has exactly one room with this id, and it is of this type and origin.
fn has(snapshot: &Snapshot, id: &str, kind: &str, origin: &Origin) -> bool {
    let mut rooms = snapshot.rooms.iter().filter(|room| room.id == id);
    rooms.next().is_some_and(|room| room.kind == kind && room.origin == *origin) && rooms.next().is_none()
}
