//! More requests at once than a server takes.

use crate::{
    check::answer,
    check::{Alternative, Cx, Outcome, alternative},
    checks::stream::setting::{Stream, TEXT, proven, put},
    one_of,
    wire::Seen,
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use std::time::{Duration, Instant};
use wireproof_spec::{
    http::{Request, Response},
    stream::requirements::*,
};

/// For so long a server may go on to refuse when a burst is over, in milliseconds.
pub(super) const RECOVERY_MS: u32 = 20_000;
/// More connections at once are too many for the machine that opens them.
const MOST: u64 = 1_000;

/// How many requests are a burst for this target.
fn size(cx: &Cx) -> Outcome<usize> {
    let declared = cx.features().limit("burst-requests").unwrap_or(0);
    if declared > MOST {
        return Err(cx.stop(&format!("a burst of more than {MOST} requests is not tried")));
    }
    Ok(usize::try_from(declared).unwrap_or(0).max(2))
}

/// The answers to all of these, each sent once and by a client of its own, at the same time.
async fn at_once(cx: &Cx, requests: Vec<Request>) -> Outcome<Vec<Seen<Response>>> {
    try_join_all(requests.into_iter().map(async |request| cx.http().once(request).await)).await
}

/// Waits until the target takes requests again, as it said or a little later.
async fn recovered(cx: &Cx, stream: &Stream) -> Outcome {
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(RECOVERY_MS.into()) {
        let seen = cx.http().once(stream.head()).await?;
        let Some(reply) = seen.look().ok().filter(|r| r.status == 429) else { return Ok(()) };
        let asked = reply.headers.get("retry-after").and_then(|after| after.trim().parse().ok());
        let pause = asked.map_or(Duration::from_millis(200), Duration::from_secs);
        tokio::time::sleep(pause.min(Duration::from_secs(2))).await;
    }
    Err(cx.stop("the target goes on to answer 429 long after a burst"))
}

/// That some are refused with 429, and each of the others has this status.
fn in_part(others: u16) -> Alternative<Vec<Response>> {
    alternative(format!("429 to some, {others} to the others"), move |all: &Vec<Response>| {
        all.iter().all(|r| matches!(r.status, s if s == 429 || s == others))
            && all.iter().any(|r| r.status == 429)
    })
}

pub(super) async fn refused(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let burst = at_once(cx, vec![stream.head(); size(cx)?]).await?;
    cx.expect(STREAM_HTTP_11, &Seen::all(burst), &[in_part(200)])?;
    recovered(cx, &stream).await
}

pub(super) async fn without_effect(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let content = stream.content(cx).await?;
    let content = cx.need(STREAM_READ_1, &content, &[alternative("content", |_: &Bytes| true)])?.clone();
    // Every second one appends, the others create.
    let each: Vec<(String, Stream)> = (0..size(cx)?).map(|_| (cx.token(12), Stream::nowhere(cx))).collect();
    let request = |(index, (token, nowhere)): (usize, &(String, Stream))| match index % 2 {
        0 => stream.append(token.clone()),
        _ => put(&nowhere.path, TEXT).body(token.clone()),
    };
    let burst = at_once(cx, each.iter().enumerate().map(request).collect()).await?;
    recovered(cx, &stream).await?;
    let some = alternative("429 to some", |all: &Vec<Response>| all.iter().any(|r| r.status == 429));
    cx.need(STREAM_HTTP_11, &Seen::all(burst.clone()), &[some])?;
    let status = |seen: &Seen<Response>| seen.look().map_or(0, |r| r.status);
    let taken = |index: usize, status: u16| index.is_multiple_of(2) && status == 204;
    let appended: Vec<String> = (each.iter().zip(&burst).enumerate())
        .filter(|(index, (_, seen))| taken(*index, status(seen)))
        .map(|(_, ((token, _), _))| token.clone())
        .collect();
    let read = stream.content(cx).await?;
    let length = content.len() + appended.concat().len();
    let only =
        alternative("what was accepted, each once, and nothing that was refused", move |read: &Bytes| {
            let text = String::from_utf8_lossy(read);
            read.len() == length && appended.iter().all(|token| text.contains(token))
        });
    cx.expect(STREAM_HTTP_12, &read, &[only])?;
    /// So many streams that were not made are looked for.
    const LOOKED_FOR: usize = 4;
    let not_made = each.iter().zip(&burst).skip(1).step_by(2).filter(|(_, seen)| status(seen) == 429);
    for ((_, nowhere), _) in not_made.take(LOOKED_FOR) {
        recovered(cx, &stream).await?;
        let head = cx.send(nowhere.head()).await?;
        cx.expect(STREAM_HTTP_12, &head, &one_of![answer(404)])?;
    }
    Ok(())
}
