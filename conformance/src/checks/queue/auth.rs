//! Checks of "Auth" in spec/queue.md.

mod ids;
mod order;
mod rejected;
mod taken;
mod time;

use super::peer::{Came, Fate, Subscriber, pushed_back as hears};
use crate::{
    check::{Alternative, Check, Need, Outcome, Waits, alternative},
    drives,
    wire::{Lost, Seen},
};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::queue::requirements::*;

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/auth/silent-before", &[QUEUE_AUTH_1], drives!(order::silent_before)),
    Check::new("queue/auth/response-first", &[QUEUE_AUTH_2], drives!(order::response_first)),
    Check::new("queue/auth/taken", &[QUEUE_AUTH_3], drives!(taken::taken)),
    Check::new("queue/auth/frames-behind", &[QUEUE_AUTH_4, QUEUE_AUTH_21], drives!(order::frames_behind)),
    Check::new("queue/auth/client-id", &[QUEUE_AUTH_5, QUEUE_AUTH_6], drives!(ids::given)),
    Check::new("queue/auth/wrong-key", &[QUEUE_AUTH_7, QUEUE_AUTH_4], drives!(rejected::wrong_key)),
    Check::new("queue/auth/not-pushed", &[QUEUE_AUTH_8], drives!(order::not_pushed)),
    Check::new("queue/auth/bearer", &[QUEUE_AUTH_9], drives!(rejected::bearer)),
    Check::new("queue/auth/no-json", &[QUEUE_AUTH_10], drives!(rejected::no_json)),
    Check::new("queue/auth/no-object", &[QUEUE_AUTH_24], drives!(rejected::no_object)),
    Check::new("queue/auth/no-authorization", &[QUEUE_AUTH_11], drives!(rejected::no_authorization)),
    Check::new("queue/auth/authorization-type", &[QUEUE_AUTH_12], drives!(rejected::authorization_type)),
    Check::new("queue/auth/binary", &[QUEUE_AUTH_13], drives!(rejected::binary)),
    Check::new("queue/auth/last-offset-type", &[QUEUE_AUTH_14], drives!(rejected::last_offset_type)),
    Check::new("queue/auth/client-id-type", &[QUEUE_AUTH_25], drives!(rejected::client_id_type)),
    Check::new("queue/auth/client-id-length", &[QUEUE_AUTH_27], drives!(rejected::client_id_length)),
    Check::new("queue/auth/last-offset-value", &[QUEUE_AUTH_28], drives!(rejected::last_offset_value)),
    Check::new("queue/auth/null", &[QUEUE_AUTH_15], drives!(rejected::null)),
    Check::new("queue/auth/closed-by-client", &[QUEUE_AUTH_16], drives!(time::closed_by_client)),
    Check::new("queue/auth/goes-on", &[QUEUE_AUTH_17], drives!(time::goes_on))
        .waits(Waits::Limit("auth-timeout-ms", 1)),
    Check::new("queue/auth/silent", &[QUEUE_AUTH_18], drives!(time::silent))
        .waits(Waits::Limit("auth-timeout-ms", 1)),
    Check::new("queue/auth/given-again", &[QUEUE_AUTH_19], drives!(ids::given_again)),
    Check::new("queue/auth/chosen", &[QUEUE_AUTH_20], drives!(ids::chosen))
        .needs(&[Need::Feature("queue.chosen-client-ids", "on")]),
    Check::new("queue/auth/unknown-members", &[QUEUE_AUTH_22], drives!(taken::unknown_members)),
    Check::new("queue/auth/long", &[QUEUE_AUTH_26], drives!(taken::long)),
    Check::new("queue/auth/twice-connected", &[QUEUE_AUTH_23], drives!(ids::twice_connected)),
];

/// Everything that comes within this time; it ends earlier with the connection.
async fn overheard(subscriber: &mut Subscriber, length: Duration) -> Outcome<Seen<Vec<Fate>>> {
    let until = Instant::now() + length;
    let mut all = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let seen = subscriber.quiet(left).await?.or_lost();
        let over = !matches!(seen.look(), Ok(Ok(Some(came))) if !matches!(came, Came::Closed(_)));
        all.push(seen.map(|fate| fate.transpose()));
        if over {
            return Ok(Seen::all(all).map(|all| all.into_iter().flatten().collect()));
        }
    }
}

/// That a first frame is rejected: by a failure, or by the end of the connection.
fn rejections() -> Vec<Alternative<Fate>> {
    vec![
        alternative(
            "an AuthResponse with success false",
            |fate: &Fate| matches!(fate, Ok(Came::Auth(frame)) if frame["success"] == false),
        ),
        alternative("a close frame", |fate: &Fate| matches!(fate, Ok(Came::Closed(_)))),
        alternative("the end of the connection", |fate: &Fate| matches!(fate, Err(Lost::Closed(_)))),
    ]
}

/// That a first frame is answered with a failure that says why.
fn told_why() -> Alternative<Fate> {
    alternative(
        "an AuthResponse with success false and a text in error",
        |fate: &Fate| matches!(fate, Ok(Came::Auth(frame)) if frame["success"] == false && frame["error"].is_string()),
    )
}
