//! Checks of "Startup" in spec/fleet.md: an orchestrator as a program, how it begins, what it prints, how it ends.

mod end;
mod keys;

use super::{agent::Agent, setting::get};
use crate::{
    check::{Alternative, Check, Cx, Lane, Need, Waits, alternative},
    drives,
    wire::program::{Begun, Ended, How},
};
use std::time::Duration;
use wireproof_spec::fleet::requirements::*;

/// That its exit code can be seen.
const PROGRAM: &[Need] = &[Need::Program];
/// That it is told its keys by the variables of the document.
const CALLED: &[Need] = &[Need::Program, Need::Feature("fleet.command-line", "on")];
/// The same, of an orchestrator that has operators too.
const BOTH: &[Need] =
    &[Need::Program, Need::Feature("fleet.command-line", "on"), Need::Feature("fleet.api", "on")];

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/startup/short-key", &[FLEET_STARTUP_1, FLEET_STARTUP_4], drives!(keys::short))
        .needs(CALLED)
        .lane(Lane::Last),
    Check::new("fleet/startup/shared-key", &[FLEET_STARTUP_2, FLEET_STARTUP_4], drives!(keys::shared))
        .needs(BOTH)
        .lane(Lane::Last),
    Check::new("fleet/startup/missing-key", &[FLEET_STARTUP_3, FLEET_STARTUP_4], drives!(keys::missing))
        .needs(CALLED)
        .lane(Lane::Last),
    Check::new("fleet/startup/keys-not-printed", &[FLEET_STARTUP_4], drives!(keys::not_printed))
        .needs(PROGRAM)
        .lane(Lane::Last),
    Check::new("fleet/startup/close-frames", &[FLEET_STARTUP_5, FLEET_STARTUP_7], drives!(end::close_frames))
        .needs(PROGRAM)
        .lane(Lane::Last)
        .waits(Waits::Limit("shutdown-ms", 1)),
    Check::new("fleet/startup/exit-code", &[FLEET_STARTUP_6], drives!(end::exit_code))
        .needs(PROGRAM)
        .lane(Lane::Last)
        .waits(Waits::Limit("shutdown-ms", 2)),
    Check::new(
        "fleet/startup/waiting-request",
        &[FLEET_STARTUP_6, FLEET_STARTUP_8],
        drives!(end::waiting_request),
    )
    .needs(PROGRAM)
    .lane(Lane::Last)
    .waits(Waits::Limit("shutdown-ms", 1)),
    Check::new("fleet/startup/interrupted", &[FLEET_STARTUP_9], drives!(end::interrupted))
        .needs(PROGRAM)
        .lane(Lane::Last)
        .waits(Waits::Limit("shutdown-ms", 1)),
];

/// How long an orderly end may take.
fn limit(cx: &Cx) -> Duration {
    Duration::from_millis(cx.features().limit("shutdown-ms").unwrap_or_default())
}

/// That a program ended in order and in time.
fn in_order(cx: &Cx) -> Alternative<Ended> {
    let limit = limit(cx);
    let late = limit + cx.slack();
    alternative(format!("the exit code 0 within {} ms", limit.as_millis()), move |ended: &Ended| {
        ended.how == How::Code(0) && ended.after <= late
    })
}
