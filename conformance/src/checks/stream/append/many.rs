//! As many appends as a server gets in an hour, in one life of its process.

use super::super::setting::{Stream, TEXT, holds, next_offset};
use crate::{
    check::{Cx, Outcome, alternative, answer},
    one_of,
    wire::{Lost, raw},
};
use futures_util::future::try_join_all;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use wireproof_spec::{http::Response, stream::requirements::*};

/// So long it may take, in milliseconds.
pub(super) const TIME_MS: u32 = 40_000;
/// More than what servers are known to number, to buffer or to hold in a table before something has to be done about it.
const APPENDS: usize = 5_000;
const WRITERS: usize = 8;

pub(in super::super) async fn in_one_life(cx: &Cx) -> Outcome {
    let since = Instant::now();
    let left = AtomicUsize::new(APPENDS);
    try_join_all((0..WRITERS).map(|_| writes(cx, &left, since))).await?;
    // And then all is as at the start.
    let (first, second) = (cx.token(16), cx.token(16));
    let stream = Stream::create(cx, TEXT, &first).await?;
    let reply = cx.send(stream.append(second.clone())).await?;
    cx.expect(STREAM_APPEND_1, &reply, &one_of![answer(204)])?;
    cx.expect(STREAM_APPEND_1, &stream.content(cx).await?, &[holds(format!("{first}{second}"))])?;
    Ok(())
}

/// One client, who appends to a stream of its own until all together are enough.
async fn writes(cx: &Cx, left: &AtomicUsize, since: Instant) -> Outcome {
    let stream = Stream::create(cx, TEXT, "").await?;
    let mut tail = stream.start.clone();
    let mut connection: Option<raw::Peer> = None;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        if since.elapsed() > Duration::from_millis(TIME_MS.into()) {
            return Err(cx.stop("the target is too slow for so many appends"));
        }
        let (mut peer, is_kept) = match connection.take() {
            Some(peer) => (peer, true),
            None => (cx.raw().await?, false),
        };
        let sent = peer.send_in_turn(&stream.append("0123456789abcdef")).await;
        let reply = peer.reply(sent, "POST").await?;
        if is_kept && matches!(reply.look(), Err(Lost::Closed(_))) {
            // A connection that is kept may be closed at any moment, and nobody knows what became of the request.
            continue;
        }
        let before = std::mem::take(&mut tail);
        let grown = alternative("204 and another Stream-Next-Offset than before", move |reply: &Response| {
            let next = next_offset(reply);
            reply.status == 204 && !next.is_empty() && next != before
        });
        let reply = cx.expect(STREAM_APPEND_1, &reply, &[grown])?;
        tail = next_offset(reply);
        if !reply.headers.get("connection").is_some_and(|said| said.eq_ignore_ascii_case("close")) {
            connection = Some(peer);
        }
    }
    Ok(())
}
