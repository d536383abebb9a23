//! Checks of "Violations" in spec/fleet.md.

mod answers;
mod frames;
mod others;
mod rate;

use super::{
    agent::{Agent, Fate, closed, done, exists, failed},
    by_hand::SOON,
    setting::{drain, pinned},
};
use crate::{
    check::{Alternative, Check, Cx, Lane, Need, Outcome, Waits, alternative},
    drives,
    wire::{Seen, http::Pending},
};
use std::time::Duration;
use wireproof_spec::fleet::{Ack, Cmd, requirements::*};

const API: &[Need] = &[Need::Feature("fleet.api", "on")];

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/violations/second-state", &[FLEET_VIOLATIONS_1], drives!(answers::second_state))
        .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new("fleet/violations/unknown-req-id", &[FLEET_VIOLATIONS_2], drives!(answers::unknown_req_id))
        .waits(Waits::Limit("heartbeat-ms", 2)),
    Check::new(
        "fleet/violations/req-id-of-another",
        &[FLEET_VIOLATIONS_2],
        drives!(answers::req_id_of_another),
    )
    .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new("fleet/violations/second-ack", &[FLEET_VIOLATIONS_3], drives!(answers::second_ack))
        .waits(Waits::Limit("heartbeat-ms", 1)),
    Check::new("fleet/violations/late-ack", &[FLEET_VIOLATIONS_4], drives!(answers::late_ack))
        .waits(Waits::Limit("command-timeout-ms", 1)),
    Check::new("fleet/violations/unknown-cmd-id", &[FLEET_VIOLATIONS_5], drives!(answers::unknown_cmd_id)),
    Check::new(
        "fleet/violations/cmd-id-of-another",
        &[FLEET_VIOLATIONS_5],
        drives!(answers::cmd_id_of_another),
    )
    .needs(API)
    .waits(Waits::Limit("heartbeat-ms", 4)),
    Check::new("fleet/violations/topics", &[FLEET_VIOLATIONS_6, FLEET_VIOLATIONS_8], drives!(frames::topics)),
    Check::new(
        "fleet/violations/malformed",
        &[FLEET_VIOLATIONS_7, FLEET_VIOLATIONS_8],
        drives!(frames::malformed),
    ),
    Check::new("fleet/violations/long-topics", &[FLEET_VIOLATIONS_18], drives!(frames::long_topics)),
    Check::new(
        "fleet/violations/malformed-states",
        &[FLEET_VIOLATIONS_12],
        drives!(frames::malformed_states),
    )
    .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new("fleet/violations/malformed-acks", &[FLEET_VIOLATIONS_12], drives!(frames::malformed_acks))
        .needs(API)
        .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new("fleet/violations/too-long", &[FLEET_VIOLATIONS_13], drives!(frames::too_long))
        .waits(Waits::Limit("heartbeat-ms", 3))
        .lane(Lane::Last),
    Check::new(
        "fleet/violations/too-many",
        &[FLEET_VIOLATIONS_9, FLEET_VIOLATIONS_19],
        drives!(rate::too_many),
    ),
    Check::new("fleet/violations/not-too-many", &[FLEET_VIOLATIONS_10], drives!(rate::not_too_many))
        .waits(Waits::Limit("heartbeat-ms", 6)),
    Check::new("fleet/violations/all-acks-at-once", &[FLEET_VIOLATIONS_11], drives!(rate::all_acks_at_once))
        .waits(Waits::Limit("heartbeat-ms", 4)),
    Check::new("fleet/violations/leaves", &[FLEET_VIOLATIONS_14], drives!(others::leaves))
        .waits(Waits::Limit("heartbeat-ms", 8)),
    Check::new("fleet/violations/who-waits", &[FLEET_VIOLATIONS_15], drives!(others::who_waits)),
    Check::new("fleet/violations/others-stay", &[FLEET_VIOLATIONS_16], drives!(others::stay))
        .waits(Waits::Limit("heartbeat-ms", 12)),
    Check::new("fleet/violations/comes-again", &[FLEET_VIOLATIONS_17], drives!(others::comes_again)),
];

/// That a connection is kicked, for this.
fn kicked(what: &str) -> Alternative<Fate> {
    let kick = closed(4003);
    alternative(format!("{} within a second, for {what}", kick.expected().name), move |fate| kick.holds(fate))
}

/// What becomes of a connection within the time in which one is kicked.
async fn fate(cx: &Cx, agent: &mut Agent) -> Outcome<Seen<Fate>> {
    agent.fate(cx, SOON).await
}

/// A request that has its instance told something.
#[derive(Clone, Copy, PartialEq)]
enum Task {
    Create,
    Drain,
    Undrain,
}

impl Task {
    /// Asks for it: the Cmd, and the request that waits for its Ack.
    async fn ask(self, cx: &Cx, agent: &mut Agent) -> Outcome<(Cmd, Pending)> {
        let request = match self {
            Task::Create => pinned(cx, agent, &cx.name()),
            Task::Drain => drain(cx, &agent.id, true),
            Task::Undrain => drain(cx, &agent.id, false),
        };
        let pending = cx.begin(request, command_time(cx) + cx.answer_time()).await?;
        let cmd = agent.cmd(cx).await?;
        let known = alternative("a Cmd", |_: &Cmd| true);
        Ok((cx.need(FLEET_COMMANDS_1, &cmd, &[known])?.clone(), pending))
    }
}

/// T.
fn command_time(cx: &Cx) -> Duration {
    const USUAL: u64 = 10_000;
    Duration::from_millis(cx.features().limit("command-timeout-ms").unwrap_or(USUAL))
}

/// What can be said to a Cmd.
const ACKS: [fn(&Cmd) -> Ack; 3] = [done, failed, exists];
