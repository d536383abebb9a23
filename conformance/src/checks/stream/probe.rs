//! What a stream server tells about itself when asked: how long its long-polls wait.

use super::setting::{Stream, TEXT};
use crate::check::Cx;
use std::time::Duration;

/// Longer than this the probe does not wait; a server that does is left to the declaration of its owner.
pub(super) const PATIENCE: Duration = Duration::from_millis(2_500);

/// Asks for the limit `long-poll-ms`, unless it is declared.
pub(super) async fn probe(cx: &Cx) -> Vec<(&'static str, String)> {
    if cx.target.declared.contains_key("long-poll-ms") {
        return Vec::new();
    }
    long_poll(cx).await.map(|ms| ("long-poll-ms", ms.to_string())).into_iter().collect()
}

async fn long_poll(cx: &Cx) -> Option<u128> {
    let stream = Stream::create(cx, TEXT, "").await.ok()?;
    let waiting = cx.begin(stream.long_poll(&stream.start), PATIENCE).await.ok()?;
    let seen = tokio::time::timeout(PATIENCE, waiting.timed()).await.ok()?.ok()?;
    let (response, took) = seen.look().ok()?;
    (response.status == 204).then_some(took.as_millis())
}
