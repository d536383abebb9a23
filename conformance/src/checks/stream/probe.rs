//! What a stream server tells about itself when asked: how long its long-polls wait, and whether it speaks HTTP/2.

use super::setting::{Stream, TEXT};
use crate::check::Cx;
use futures_util::future::join;
use std::time::Duration;

/// Longer than this the probe does not wait; a server that does is left to the declaration of its owner.
pub(super) const PATIENCE: Duration = Duration::from_millis(2_500);

/// What [`probe`] asks for.
pub(super) const ASKS: &[&str] = &["long-poll-ms", "stream.http2"];

/// Asks for the limit `long-poll-ms` and the feature `stream.http2`, unless they are declared.
pub(super) async fn probe(cx: &Cx) -> Vec<(&'static str, String)> {
    let asks = |name: &str| !cx.target.declared.contains_key(name);
    let long_poll = async { if asks("long-poll-ms") { long_poll(cx).await } else { None } };
    let http2 = async { asks("stream.http2") && http2(cx).await };
    let (ms, http2) = join(long_poll, http2).await;
    let ms = ms.map(|ms| ("long-poll-ms", ms.to_string()));
    ms.into_iter().chain(http2.then(|| ("stream.http2", "on".to_owned()))).collect()
}

/// Whether anything is answered over HTTP/2.
async fn http2(cx: &Cx) -> bool {
    let head = Stream::nowhere(cx).head();
    let asked = tokio::time::timeout(PATIENCE, cx.http2(head, 1)).await;
    asked.is_ok_and(|asked| asked.is_ok_and(|seen| seen.look().is_ok()))
}

async fn long_poll(cx: &Cx) -> Option<u128> {
    let stream = Stream::create(cx, TEXT, "").await.ok()?;
    let waiting = cx.begin(stream.long_poll(&stream.start), PATIENCE).await.ok()?;
    let seen = tokio::time::timeout(PATIENCE, waiting.timed()).await.ok()?.ok()?;
    let (response, took) = seen.look().ok()?;
    (response.status == 204).then_some(took.as_millis())
}
