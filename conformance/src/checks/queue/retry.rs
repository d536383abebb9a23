//! Checks of "Retry" in spec/queue.md.

mod call;
mod conflict;
mod refused;
mod request;
mod told;
mod unavailable;

use crate::{
    check::{Check, Need, Waits},
    drives,
};
use wireproof_spec::queue::requirements::*;

/// For what takes settings.
const SETTINGS: &[Need] = &[Need::Feature("queue.retry-settings", "on")];

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/retry/unavailable", &[QUEUE_RETRY_1], drives!(unavailable::unavailable))
        .waits(Waits::Millis(3_300)),
    Check::new("queue/retry/reset", &[QUEUE_RETRY_2], drives!(unavailable::reset))
        .waits(Waits::Millis(9_900)),
    Check::new("queue/retry/refused", &[QUEUE_RETRY_2], drives!(unavailable::refused))
        .waits(Waits::Millis(3_600)),
    Check::new("queue/retry/refused-in-time", &[QUEUE_RETRY_2], drives!(refused::in_time))
        .waits(Waits::Millis(8_000)),
    Check::new("queue/retry/delays", &[QUEUE_RETRY_3], drives!(unavailable::delays))
        .waits(Waits::Millis(9_900)),
    Check::new("queue/retry/many", &[QUEUE_RETRY_3, QUEUE_RETRY_4], drives!(unavailable::many))
        .waits(Waits::Millis(72_000)),
    Check::new("queue/retry/window", &[QUEUE_RETRY_1, QUEUE_RETRY_5], drives!(unavailable::window))
        .needs(SETTINGS)
        .waits(Waits::Millis(7_500)),
    Check::new("queue/retry/no-window", &[QUEUE_RETRY_5, QUEUE_RETRY_6], drives!(unavailable::no_window))
        .needs(SETTINGS)
        .waits(Waits::Millis(1_200)),
    Check::new("queue/retry/end", &[QUEUE_RETRY_6], drives!(unavailable::end))
        .needs(SETTINGS)
        .waits(Waits::Millis(12_500)),
    Check::new("queue/retry/conflicts", &[QUEUE_RETRY_7], drives!(conflict::conflicts)),
    Check::new("queue/retry/no-retries", &[QUEUE_RETRY_7], drives!(conflict::no_retries)).needs(SETTINGS),
    Check::new("queue/retry/conflict-delays", &[QUEUE_RETRY_8], drives!(conflict::delays))
        .waits(Waits::Millis(6_000)),
    Check::new("queue/retry/retry-after", &[QUEUE_RETRY_9], drives!(conflict::retry_after))
        .waits(Waits::Millis(12_000)),
    Check::new("queue/retry/retry-after-date", &[QUEUE_RETRY_9], drives!(conflict::retry_after_date))
        .waits(Waits::Millis(22_500)),
    Check::new("queue/retry/rate-limit", &[QUEUE_RETRY_10], drives!(conflict::rate_limit))
        .waits(Waits::Millis(12_000)),
    Check::new("queue/retry/header-order", &[QUEUE_RETRY_9, QUEUE_RETRY_10], drives!(conflict::order))
        .waits(Waits::Millis(12_000)),
    Check::new("queue/retry/mixed", &[QUEUE_RETRY_17], drives!(conflict::mixed)).waits(Waits::Millis(7_500)),
    Check::new("queue/retry/broken-off", &[QUEUE_RETRY_20], drives!(conflict::broken_off))
        .waits(Waits::Millis(2_000)),
    Check::new("queue/retry/broken-off-again", &[QUEUE_RETRY_20], drives!(conflict::broken_off_again)),
    Check::new("queue/retry/final", &[QUEUE_RETRY_11], drives!(request::finals)),
    Check::new("queue/retry/final-later", &[QUEUE_RETRY_11], drives!(request::finals_later)),
    Check::new("queue/retry/stream", &[QUEUE_RETRY_12], drives!(request::stream)),
    Check::new("queue/retry/same", &[QUEUE_RETRY_13], drives!(request::same)).waits(Waits::Millis(1_500)),
    Check::new("queue/retry/key", &[QUEUE_RETRY_18], drives!(request::key)),
    Check::new("queue/retry/organisation", &[QUEUE_RETRY_19], drives!(request::organisation))
        .needs(&[Need::Feature("queue.http-client", "on")]),
    Check::new("queue/retry/text", &[QUEUE_RETRY_14], drives!(told::text)),
    Check::new("queue/retry/no-success", &[QUEUE_RETRY_15], drives!(told::no_success)),
    Check::new("queue/retry/kinds", &[QUEUE_RETRY_16], drives!(told::kinds)),
];
