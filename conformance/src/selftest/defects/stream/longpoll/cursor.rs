//! Defects of "Longpoll": cursors, and what caches may do with an answer.

use super::{
    super::{Seams, Table, refusal, reply, request},
    is_long_poll,
};
use crate::{
    protocol::Cut::Wire,
    selftest::defects::{Breakage, wire::Count},
};
use std::time::{SystemTime, UNIX_EPOCH};
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        header::{CACHE_CONTROL, CLOSED, CURSOR, query},
        requirements::*,
    },
};

pub(in crate::selftest::defects::stream) const TABLE: Table = &[
    Breakage::always("stream/longpoll/cursor-sent-back", STREAM_LONGPOLL_16, Wire, || {
        cursors(|request, now| sent(request).map_or(now, |sent| now.min(sent)))
    }),
    Breakage::always("stream/longpoll/far-cursor-passed-over", STREAM_LONGPOLL_16, Wire, || {
        request(|request| {
            let far = sent(request).is_some_and(|sent| sent > u64::from(u32::MAX));
            if is_long_poll(request) && far {
                request.query.remove(query::CURSOR);
            }
        })
    }),
    // What is added at random is nothing at times; counted here, so that nobody has to wait for it.
    Breakage::second("stream/longpoll/at-times-nothing-added", STREAM_LONGPOLL_16, Wire, || {
        let count = Count::new();
        cursors(move |request, now| match sent(request) {
            Some(sent) if count.up(&request.path) % 150 == 149 => sent,
            _ => now,
        })
    }),
    Breakage::boundary("stream/longpoll/end-of-numbers-reached", STREAM_LONGPOLL_16, Wire, || {
        const STEP: u64 = 1 << 56;
        const LAST: u64 = 1 << 63;
        cursors(|request, now| match sent(request) {
            Some(sent) if sent < LAST - STEP => now.max(sent + STEP),
            Some(_) => this_interval(),
            None => now,
        })
    }),
    Breakage::boundary("stream/longpoll/timeout-passes-no-cursor", STREAM_LONGPOLL_16, Wire, || {
        reply(|request, response| {
            if is_long_poll(request)
                && response.status == 204
                && let (Some(sent), Some(_)) = (sent(request), response.headers.get(CURSOR))
            {
                response.headers.set(CURSOR, sent.to_string());
            }
        })
    }),
    Breakage::boundary("stream/longpoll/woken-passes-no-cursor", STREAM_LONGPOLL_16, Wire, || {
        cursors(|request, now| match (sent(request), request.query.get(query::OFFSET)) {
            (Some(sent), Some(offset)) if offset != "-1" => now.min(sent),
            _ => now,
        })
    }),
    Breakage::second("stream/longpoll/cursor-counts-answers", STREAM_LONGPOLL_17, Wire, || {
        let count = Count::new();
        cursors(move |_, now| now + u64::from(count.up("")))
    }),
    Breakage::second("stream/longpoll/cursor-at-random", STREAM_LONGPOLL_17, Wire, || {
        let count = Count::new();
        cursors(move |_, now| match count.up("") {
            0 => now,
            // Spread well enough for that.
            n => now + u64::from(n.wrapping_mul(2_654_435_761) % 1_000),
        })
    }),
    Breakage::second("stream/longpoll/cursor-goes-back", STREAM_LONGPOLL_18, Wire, || {
        let count = Count::new();
        cursors(move |request, now| match sent(request) {
            None => now.saturating_sub(u64::from(count.up(&request.path))),
            Some(_) => now,
        })
    }),
    Breakage::boundary("stream/longpoll/old-cursor-sent-back-smaller", STREAM_LONGPOLL_18, Wire, || {
        cursors(|request, now| {
            sent(request).filter(|sent| *sent < this_interval()).map_or(now, |sent| sent - 1)
        })
    }),
    Breakage::boundary("stream/longpoll/cursor-goes-back-at-timeout", STREAM_LONGPOLL_18, Wire, || {
        reply(|request, response| {
            if is_long_poll(request)
                && response.status == 204
                && sent(request).is_none()
                && let Some(now) = given(response)
            {
                response.headers.set(CURSOR, (now - 1).to_string());
            }
        })
    }),
    Breakage::always("stream/longpoll/no-number-refused", STREAM_LONGPOLL_19, Wire, || {
        reply(|request, response| {
            if is_long_poll(request) && request.query.get(query::CURSOR).is_some() && sent(request).is_none()
            {
                *response = refusal(400);
            }
        })
    }),
    Breakage::boundary("stream/longpoll/timeout-shared", STREAM_LONGPOLL_20, Wire, || {
        reply(|request, response| {
            if is_long_poll(request) && response.status == 204 && response.headers.get(CLOSED).is_none() {
                response.headers.set(CACHE_CONTROL, "public, max-age=60, stale-while-revalidate=300");
            }
        })
    }),
];

/// The cursor that a client sent, if it is a number.
fn sent(request: &Request) -> Option<u64> {
    request.query.get(query::CURSOR)?.parse().ok()
}

fn given(response: &Response) -> Option<u64> {
    response.headers.get(CURSOR)?.parse().ok()
}

/// Another cursor in the place of each that is given out.
fn cursors(other: impl Fn(&Request, u64) -> u64 + Send + Sync + 'static) -> Seams {
    reply(move |request, response| {
        if let Some(now) = given(response).filter(|_| is_long_poll(request)) {
            response.headers.set(CURSOR, other(request, now).to_string());
        }
    })
}

/// The number of the interval that a reference counts.
fn this_interval() -> u64 {
    use crate::embed::reference::stream::model::{CURSOR_EPOCH, CURSOR_INTERVAL};
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(CURSOR_EPOCH) / CURSOR_INTERVAL
}
