//! Checks of "Events" in spec/fleet.md.

mod instances;
mod limits;
mod rooms;
mod stream;
mod sync;

use super::ear::Told;
use crate::{
    check::{Check, Hook, Lane, Need, Waits},
    drives,
};
use serde_json::Value;
use wireproof_spec::fleet::requirements::*;

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/events/headers", &[FLEET_EVENTS_1, FLEET_EVENTS_2], drives!(stream::headers)),
    Check::new("fleet/events/connected", &[FLEET_EVENTS_3], drives!(stream::connected)),
    Check::new("fleet/events/form", &[FLEET_EVENTS_4], drives!(stream::form)),
    Check::new("fleet/events/pings", &[FLEET_EVENTS_5], drives!(stream::pings)).waits(Waits::Millis(45_000)),
    Check::new("fleet/events/join", &[FLEET_EVENTS_6], drives!(instances::join))
        .waits(Waits::Limit("heartbeat-ms", 4)),
    Check::new("fleet/events/leave", &[FLEET_EVENTS_7], drives!(instances::leave))
        .waits(Waits::Limit("heartbeat-ms", 7)),
    Check::new("fleet/events/stale", &[FLEET_EVENTS_8], drives!(instances::stale))
        .waits(Waits::Limit("heartbeat-ms", 10)),
    Check::new("fleet/events/nothing-said", &[FLEET_EVENTS_9], drives!(instances::nothing_said))
        .waits(Waits::Limit("heartbeat-ms", 7)),
    Check::new("fleet/events/rooms", &[FLEET_EVENTS_10, FLEET_EVENTS_11], drives!(rooms::come_and_go))
        .waits(Waits::Limit("heartbeat-ms", 6)),
    Check::new("fleet/events/behind-the-join", &[FLEET_EVENTS_15], drives!(rooms::behind_the_join)),
    Check::new("fleet/events/renamed", &[FLEET_EVENTS_18], drives!(rooms::renamed)),
    Check::new("fleet/events/sync", &[FLEET_EVENTS_12, FLEET_EVENTS_14], drives!(sync::changes))
        .lane(Lane::Alone)
        .waits(Waits::Limit("heartbeat-ms", 7)),
    Check::new("fleet/events/no-sync", &[FLEET_EVENTS_13], drives!(sync::none))
        .lane(Lane::Alone)
        .waits(Waits::Limit("heartbeat-ms", 8)),
    Check::new("fleet/events/order", &[FLEET_EVENTS_16, FLEET_EVENTS_17], drives!(sync::order))
        .lane(Lane::Alone)
        .waits(Waits::Limit("heartbeat-ms", 5)),
    Check::new("fleet/events/first-connection", &[FLEET_EVENTS_19], drives!(sync::first_connection))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("fleet/events/several", &[FLEET_EVENTS_20], drives!(stream::several))
        .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new("fleet/events/from-now-on", &[FLEET_EVENTS_21], drives!(stream::from_now_on))
        .lane(Lane::Alone),
    Check::new("fleet/events/hundred", &[FLEET_EVENTS_22, FLEET_EVENTS_23], drives!(limits::hundred))
        .lane(Lane::Last)
        .waits(Waits::Millis(10_000)),
    Check::new("fleet/events/key-in-query", &[FLEET_EVENTS_24], drives!(limits::key_in_query)),
    Check::new("fleet/events/wrong-key-in-query", &[FLEET_EVENTS_25], drives!(limits::wrong_key_in_query)),
    Check::new("fleet/events/query-not-looked-at", &[FLEET_EVENTS_26], drives!(limits::query_not_looked_at))
        .needs(&[Need::Feature("fleet.sse-query-auth", "off")]),
    Check::new("fleet/events/end", &[FLEET_EVENTS_27], drives!(limits::end))
        .needs(&[Need::Hook(Hook::Restart), Need::Limit("shutdown-ms")])
        .lane(Lane::Alone)
        .waits(Waits::Limit("shutdown-ms", 2)),
];

/// How often an event of this name was told of this id.
fn times(all: &[Told], name: &str, id: &str) -> usize {
    all.iter().filter(|told| told.is(name, id)).count()
}

/// The first event of this name and id.
fn first<'a>(all: &'a [Told], name: &str, id: &str) -> Option<&'a Told> {
    all.iter().find(|told| told.is(name, id))
}

/// Where in the list the first event of this name and id stands.
fn place(all: &[Told], name: &str, id: &str) -> Option<usize> {
    all.iter().position(|told| told.is(name, id))
}

/// Whether an object has these members, among others.
fn has(object: &Value, members: &Value) -> bool {
    members.as_object().is_some_and(|members| members.iter().all(|(name, value)| object[name] == *value))
}
