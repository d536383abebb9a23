//! Checks of "Expiry" in spec/stream.md.

mod end;
mod event_stream;
mod forked;
pub(super) mod life;
mod moment;
mod window;

use crate::{
    check::{Check, Hook, Lane, Need, Waits},
    drives,
};
use wireproof_spec::stream::requirements::*;

const FORKS: &[Need] = &[Need::Feature("stream.forks", "on")];

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/expiry/not-early", &[STREAM_EXPIRY_1], drives!(end::not_early))
        .waits(Waits::Millis(3_000)),
    Check::new("stream/expiry/gone", &[STREAM_EXPIRY_2], drives!(end::gone)).waits(Waits::Millis(5_000)),
    Check::new("stream/expiry/forked-gone", &[STREAM_EXPIRY_2], drives!(forked::asked))
        .needs(FORKS)
        .waits(Waits::Millis(5_000)),
    Check::new("stream/expiry/forked-deleted", &[STREAM_EXPIRY_3], drives!(forked::deleted))
        .needs(FORKS)
        .waits(Waits::Millis(5_000)),
    Check::new("stream/expiry/forked-url", &[STREAM_EXPIRY_16], drives!(forked::url))
        .needs(FORKS)
        .waits(Waits::Millis(5_000)),
    Check::new("stream/expiry/forked-url-of-moment", &[STREAM_EXPIRY_16], drives!(forked::url_of_moment))
        .needs(FORKS)
        .waits(Waits::Millis(5_000)),
    Check::new("stream/expiry/no-time", &[STREAM_EXPIRY_2], drives!(end::no_time))
        .waits(Waits::Millis(1_000)),
    Check::new("stream/expiry/event-stream-gone", &[STREAM_EXPIRY_2], drives!(event_stream::gone))
        .needs(&[Need::Feature("stream.sse", "on")])
        .waits(Waits::Millis(5_000)),
    Check::new("stream/expiry/event-stream-over", &[STREAM_EXPIRY_2], drives!(event_stream::sent_away))
        .needs(&[Need::Feature("stream.sse", "on"), Need::Limit("sse-ms")])
        .waits(Waits::Limit("sse-ms", 2)),
    Check::new("stream/expiry/long-poll-over", &[STREAM_EXPIRY_2], drives!(window::long_poll_over))
        .waits(Waits::Limit("long-poll-ms", 2)),
    Check::new("stream/expiry/nothing-to-delete", &[STREAM_EXPIRY_3], drives!(end::nothing_to_delete))
        .waits(Waits::Millis(5_000)),
    Check::new("stream/expiry/read", &[STREAM_EXPIRY_4], drives!(window::read)).waits(Waits::Millis(4_000)),
    Check::new("stream/expiry/append", &[STREAM_EXPIRY_5], drives!(window::append))
        .waits(Waits::Millis(4_000)),
    Check::new("stream/expiry/close", &[STREAM_EXPIRY_6], drives!(window::close)).waits(Waits::Millis(3_000)),
    Check::new("stream/expiry/long-poll", &[STREAM_EXPIRY_7], drives!(window::long_poll))
        .waits(Waits::Millis(4_000)),
    Check::new("stream/expiry/event-stream", &[STREAM_EXPIRY_8], drives!(event_stream::begins))
        .waits(Waits::Millis(4_000)),
    Check::new("stream/expiry/head", &[STREAM_EXPIRY_9], drives!(window::head)).waits(Waits::Millis(2_000)),
    Check::new("stream/expiry/long-poll-waits", &[STREAM_EXPIRY_10], drives!(window::long_poll_waits))
        .waits(Waits::Millis(3_000)),
    Check::new("stream/expiry/event-stream-holds", &[STREAM_EXPIRY_11], drives!(event_stream::holds))
        .waits(Waits::Millis(3_000)),
    Check::new("stream/expiry/moment-stays", &[STREAM_EXPIRY_12], drives!(moment::stays))
        .waits(Waits::Millis(5_000)),
    Check::new("stream/expiry/long-poll-ends", &[STREAM_EXPIRY_13], drives!(moment::long_poll_ends))
        .waits(Waits::Millis(4_000)),
    Check::new("stream/expiry/event-stream-ends", &[STREAM_EXPIRY_14], drives!(event_stream::ends))
        .waits(Waits::Millis(4_000)),
    Check::new("stream/expiry/refused", &[STREAM_EXPIRY_15], drives!(window::refused))
        .waits(Waits::Millis(2_000)),
    Check::new("stream/expiry/url-is-free", &[STREAM_EXPIRY_16], drives!(end::url_is_free))
        .waits(Waits::Millis(6_000)),
    Check::new("stream/expiry/append-race", &[STREAM_EXPIRY_17], drives!(window::append_race))
        .waits(Waits::Millis(2_000)),
    Check::new("stream/expiry/restart", &[STREAM_EXPIRY_18], drives!(end::restart))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone)
        .waits(Waits::Millis(6_000)),
    Check::new("stream/expiry/head-tells", &[STREAM_EXPIRY_19], drives!(end::head_tells)),
];
