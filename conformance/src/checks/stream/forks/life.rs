//! How long forks live, and whether they outlive their sources.

use super::{fork, made};
use crate::{
    check::{Cx, Outcome, answer},
    checks::stream::{
        expiry::life::{End, Life, Mortal, Timed, each, measured, timed},
        setting::{Stream, TEXT, created, holds, put},
    },
    one_of,
};
use futures_util::future::try_join;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use wireproof_spec::{requirement::RequirementId, stream::requirements::*};

/// A moment that comes while a check waits.
fn soon() -> Life {
    Life::until(Duration::from_millis(1_600))
}

/// A moment that does not.
fn late() -> Life {
    Life::until(Duration::from_secs(3_600))
}

pub(super) async fn expired_source(cx: &Cx) -> Outcome {
    measured(cx, async |cx| each([Life::Window(1), soon()].map(|life| no_source(cx, life))).await).await
}

/// Claims that a stream is no source behind its end; whether its twin could be forked before that.
async fn no_source(cx: &Cx, life: Life) -> Outcome<bool> {
    let (mortal, twin) = (Mortal::new(cx, life).await?, Mortal::new(cx, life).await?);
    let Timed { reply, answered, .. } = timed(cx, fork(&twin.stream, &Stream::nowhere(cx))).await?;
    if answered > twin.end.there {
        return Ok(false);
    }
    cx.need(STREAM_FORKS_1, &reply, &one_of![created()])?;
    mortal.gone().await;
    let target = Stream::nowhere(cx);
    for _ in 0..2 {
        let reply = cx.send(fork(&mortal.stream, &target)).await?;
        cx.expect(STREAM_FORKS_4, &reply, &one_of![answer(404)])?;
    }
    cx.expect(STREAM_FORKS_4, &cx.send(target.head()).await?, &one_of![answer(404)])?;
    Ok(true)
}

/// A stream that was read back, with this lifetime or none, and what it holds.
async fn source(cx: &Cx, life: Option<Life>) -> Outcome<(Stream, String)> {
    let (stream, content) = (Stream::nowhere(cx), cx.token(16));
    let request = put(&stream.path, TEXT).body(content.clone());
    let request = life.map_or(request.clone(), |life| life.given_by(request));
    cx.need(STREAM_CREATE_1, &cx.send(request).await?, &one_of![created()])?;
    cx.need(STREAM_READ_1, &stream.content(cx).await?, &[holds(content.clone())])?;
    Ok((stream, content))
}

/// The end of a stream that was created so, or touched last.
fn end(life: Life, timed: &Timed) -> End {
    match life {
        Life::Window(seconds) => End::of_window(seconds, timed.sent, timed.answered),
        Life::Until(moment, _) => End::at(moment),
    }
}

/// Claims that a stream is there before its end and gone behind it; whether the first was measured.
async fn ends(cx: &Cx, id: RequirementId, stream: &Stream, end: End) -> Outcome<bool> {
    const MARGIN: Duration = Duration::from_millis(250);
    sleep_until(end.there.checked_sub(MARGIN).unwrap_or(end.there)).await;
    let Timed { reply, answered, .. } = timed(cx, stream.head()).await?;
    let early = answered <= end.there;
    if early {
        cx.expect(id, &reply, &one_of![answer(200)])?;
    }
    sleep_until(end.gone).await;
    cx.expect(id, &cx.send(stream.head()).await?, &one_of![answer(404)])?;
    Ok(early)
}

pub(super) async fn inherited(cx: &Cx) -> Outcome {
    measured(cx, async |cx| {
        let (window, moment) = (inherits(cx, Life::Window(2), 1_000), inherits(cx, soon(), 0));
        let (ended, lived) = try_join(each([window, moment]), lives_on(cx)).await?;
        Ok(ended && lived)
    })
    .await
}

/// Claims that a fork of a fork ends as their source was told to, so long behind the source's beginning.
async fn inherits(cx: &Cx, life: Life, behind: u64) -> Outcome<bool> {
    let began = Instant::now();
    let (source, _) = source(cx, Some(life)).await?;
    let middle = made(cx, &source, fork(&source, &Stream::nowhere(cx))).await?;
    // Its window begins when most of that of its source is over.
    sleep_until(began + Duration::from_millis(behind)).await;
    let fork_of_fork = Stream::nowhere(cx);
    let timed = timed(cx, fork(&middle, &fork_of_fork)).await?;
    let first = Timed { reply: timed.reply.clone(), sent: began, answered: began };
    if timed.answered > end(life, &first).there {
        return Ok(false);
    }
    cx.need(STREAM_FORKS_1, &timed.reply, &one_of![created()])?;
    ends(cx, STREAM_FORKS_25, &fork_of_fork, end(life, &timed)).await
}

/// Claims that the fork of a stream without an end has none, as far as a check can wait.
async fn lives_on(cx: &Cx) -> Outcome<bool> {
    let (source, content) = source(cx, None).await?;
    let fork = made(cx, &source, fork(&source, &Stream::nowhere(cx))).await?;
    sleep_until(Instant::now() + Duration::from_secs(3)).await;
    cx.expect(STREAM_FORKS_25, &cx.send(fork.head()).await?, &one_of![answer(200)])?;
    super::holding(cx, STREAM_FORKS_25, &fork, content.as_bytes()).await?;
    Ok(true)
}

pub(super) async fn own(cx: &Cx) -> Outcome {
    measured(cx, async |cx| {
        let sources = [None, Some(Life::Window(3_600)), Some(late())];
        let short = sources.into_iter().flat_map(|of| [(of, Life::Window(1)), (of, soon())]);
        each(short.map(|(of, own)| ends_by_itself(cx, of, own))).await
    })
    .await
}

/// Claims that a fork ends as it was told to, and not as its source.
async fn ends_by_itself(cx: &Cx, of: Option<Life>, own: Life) -> Outcome<bool> {
    let (source, _) = source(cx, of).await?;
    let target = Stream::nowhere(cx);
    let timed = timed(cx, own.given_by(fork(&source, &target))).await?;
    cx.need(STREAM_FORKS_1, &timed.reply, &one_of![created()])?;
    let told = ends(cx, STREAM_FORKS_26, &target, end(own, &timed)).await?;
    cx.need(STREAM_EXPIRY_1, &cx.send(source.head()).await?, &one_of![answer(200)])?;
    Ok(told)
}

pub(super) async fn outlives(cx: &Cx) -> Outcome {
    measured(cx, async |cx| {
        let sources = [Life::Window(1), soon()];
        let long = sources.into_iter().flat_map(|of| [(of, Life::Window(3_600)), (of, late())]);
        // Deleted too, it has a second reason to be gone.
        let all = long.flat_map(|(of, own)| [(of, own, false), (of, own, true)]);
        each(all.map(|(of, own, deleted)| is_left(cx, of, own, deleted))).await
    })
    .await
}

/// Claims that a fork holds what it inherited when its source is gone, and when another stream has the source's URL; whether
/// it was made before the source ended.
async fn is_left(cx: &Cx, of: Life, own: Life, deleted: bool) -> Outcome<bool> {
    let (source, mut content) = source(cx, Some(of)).await?;
    let target = Stream::nowhere(cx);
    let timed = timed(cx, own.given_by(fork(&source, &target))).await?;
    if timed.reply.look().is_ok_and(|reply| reply.status == 404) {
        return Ok(false);
    }
    cx.need(STREAM_FORKS_1, &timed.reply, &one_of![created()])?;
    let more = cx.token(8);
    target.appended(cx, more.clone()).await?;
    content.push_str(&more);
    if deleted {
        let reply = cx.send(source.delete()).await?;
        let in_time = one_of![answer(204), answer(404), answer(410)];
        if cx.need(STREAM_FORKS_29, &reply, &in_time)?.status != 204 {
            return Ok(false);
        }
    }
    sleep_until(end(of, &timed).gone).await;
    // What it is to others by now, and whether its URL is free, is the server's choice: the ruling on STREAM-FORKS-26.
    cx.need(STREAM_EXPIRY_2, &cx.send(source.head()).await?, &one_of![answer(404), answer(410)])?;
    super::holding(cx, STREAM_FORKS_26, &target, content.as_bytes()).await?;
    let anew = cx.send(put(&source.path, TEXT).body(cx.token(24))).await?;
    cx.need(STREAM_EXPIRY_16, &anew, &one_of![created(), answer(409)])?;
    super::holding(cx, STREAM_FORKS_26, &target, content.as_bytes()).await?;
    Ok(true)
}
