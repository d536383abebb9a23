//! The longest body.

use super::super::setting::{Stream, TEXT, appended, holds};
use crate::{
    check::{Cx, Outcome, answer},
    one_of,
};
use wireproof_spec::stream::requirements::*;

/// The limit that the owner of a target declares, in bytes.
pub(super) const LIMIT: &str = "max-body-bytes";

pub(in super::super) async fn too_long(cx: &Cx) -> Outcome {
    /// A longer body is not worth sending.
    const MOST: u64 = 64 * 1024 * 1024;
    let limit = cx.features().limit(LIMIT).filter(|limit| (1..=MOST).contains(limit));
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return Err(cx.stop("max-body-bytes is 0, or more than this check sends: 64 MiB"));
    };
    let twin = Stream::create(cx, TEXT, "").await?;
    cx.need(STREAM_APPEND_1, &cx.send(twin.append("x".repeat(limit))).await?, &one_of![appended()])?;

    let content = cx.token(16);
    let stream = Stream::create(cx, TEXT, &content).await?;
    // A server may refuse before it has read all of it, and what it then closes no library can be relied on to read.
    let longest = stream.append("x".repeat(limit + 1)).header("connection", "close");
    for chunked in [false, true] {
        let mut peer = cx.raw().await?;
        let sent = match chunked {
            false => peer.send(&longest).await,
            true => peer.send_chunked(&longest, 64 * 1024, true).await,
        };
        let reply = peer.answer(sent).await?.map(|raw| raw.head);
        cx.expect(STREAM_APPEND_19, &reply, &one_of![answer(413)])?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_APPEND_19, &read, &[holds(content.clone())])?;
    }
    Ok(())
}
