//! That a stream is there before its end, gone behind it, and its URL free.

use super::life::{End, LATE, Life, Moment, Mortal, each, measured, timed};
use crate::{
    check::{Answer, Cx, Hook, Outcome, answer},
    checks::stream::setting::{
        OTHER, Stream, TEXT, appended, by, closed, created, deletable, holds, proven, put, written,
    },
    one_of,
};
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use wireproof_spec::{
    http::Request,
    stream::{
        header::{CLOSED, EXPIRES_AT, SEQ, TTL},
        requirements::*,
    },
};

/// A request, and what it is answered with while the stream is there.
type Ask = (fn(&Stream) -> Request, fn() -> Answer);

const HEAD: Ask = (Stream::head, || answer(200));
const DELETE: Ask = (Stream::delete, || answer(204));
const GET_AND_POST: [Ask; 5] = [
    (Stream::read, || answer(200)),
    (|stream| stream.read_at("now"), || answer(200)),
    (|stream| stream.long_poll("-1"), || answer(200)),
    (|stream| stream.append("more"), appended),
    (Stream::close, closed),
];

/// Moments that are not written in UTC: who takes no notice of the offset is hours away from them.
fn elsewhere() -> [Life; 2] {
    [330, -480].map(|minutes| Life::Until(Moment::after(Duration::from_millis(1_600)), Some(minutes)))
}

fn soon() -> Life {
    Life::until(Duration::from_millis(1_600))
}

pub(super) async fn not_early(cx: &Cx) -> Outcome {
    deletable(cx).await?;
    measured(cx, async |cx| {
        let asks = GET_AND_POST.into_iter().chain([HEAD, DELETE]);
        let ways = asks.map(|ask| (Life::Window(2), ask));
        let lives = [Life::Window(3), soon()].into_iter().chain(elsewhere());
        each(ways.chain(lives.map(|life| (life, HEAD))).map(|(life, ask)| there(cx, life, ask))).await
    })
    .await
}

/// Whether a stream was found there close to its end.
async fn there(cx: &Cx, life: Life, (request, found): Ask) -> Outcome<bool> {
    /// An answer that takes longer comes too late to tell anything.
    const MARGIN: Duration = Duration::from_millis(250);
    let (mut mortal, token) = Mortal::made(cx, life).await?;
    // A moment that is taken for another one may be over already.
    let made = mortal.alive(cx, STREAM_EXPIRY_1, mortal.stream.head(), &one_of![answer(200)]).await?;
    if made.is_none() {
        return Ok(false);
    }
    if !mortal.proven(cx, token).await? {
        return Ok(false);
    }
    mortal.close_to_end(MARGIN).await;
    let told = mortal.alive(cx, STREAM_EXPIRY_1, request(&mortal.stream), &one_of![found()]).await?;
    Ok(told.is_some())
}

pub(super) async fn gone(cx: &Cx) -> Outcome {
    let asks = GET_AND_POST.into_iter().chain([HEAD]).map(|(request, _)| request);
    let plain = asks.flat_map(|request| [(Life::Window(1), None, request), (soon(), None, request)]);
    let changed: [fn(&Stream) -> Request; 2] = [|stream| stream.append("more"), Stream::close];
    let changed = changed
        .into_iter()
        .flat_map(|change| [Life::Window(1), soon()].map(|life| (life, Some(change), HEAD.0)));
    let elsewhere = elsewhere().map(|life| (life, None, HEAD.0));
    let all = plain.chain(changed).chain(elsewhere);
    try_join_all(all.map(|(life, change, request)| is_gone(cx, life, change, request))).await?;
    Ok(())
}

/// That a stream, with this change before its end, is not found behind it.
async fn is_gone(
    cx: &Cx,
    life: Life,
    change: Option<fn(&Stream) -> Request>,
    request: fn(&Stream) -> Request,
) -> Outcome {
    let mut mortal = Mortal::new(cx, life).await?;
    if let Some(change) = change {
        let changed = timed(cx, change(&mortal.stream)).await?;
        cx.need(STREAM_APPEND_1, &changed.reply, &one_of![appended()])?;
        mortal.touched(&changed);
    }
    mortal.gone().await;
    // Who noticed the end does not forget it.
    for _ in 0..2 {
        let reply = cx.send(request(&mortal.stream)).await?;
        cx.expect(STREAM_EXPIRY_2, &reply, &one_of![answer(404)])?;
    }
    Ok(())
}

/// A window of no time ends at once.
pub(super) async fn no_time(cx: &Cx) -> Outcome {
    proven(cx).await?;
    let stream = Stream::nowhere(cx);
    let reply = cx.send(Life::Window(0).given_by(put(&stream.path, TEXT))).await?;
    cx.need(STREAM_CREATE_20, &reply, &one_of![created()])?;
    sleep_until(Instant::now() + LATE).await;
    let head = cx.send(stream.head()).await?;
    cx.expect(STREAM_EXPIRY_2, &head, &one_of![answer(404)])?;
    Ok(())
}

pub(super) async fn nothing_to_delete(cx: &Cx) -> Outcome {
    let lives = [Life::Window(1), soon()];
    try_join_all(lives.map(async |life| {
        let twin = Mortal::new(cx, life).await?;
        cx.need(STREAM_DELETE_1, &cx.send(twin.stream.delete()).await?, &one_of![answer(204)])?;
        let mortal = Mortal::new(cx, life).await?;
        mortal.gone().await;
        for _ in 0..2 {
            let reply = cx.send(mortal.stream.delete()).await?;
            cx.expect(STREAM_EXPIRY_3, &reply, &one_of![answer(404)])?;
        }
        Ok(())
    }))
    .await?;
    Ok(())
}

pub(super) async fn url_is_free(cx: &Cx) -> Outcome {
    measured(cx, async |cx| {
        let ways = [(Life::Window(1), false), (Life::Window(1), true), (soon(), false)];
        each(ways.map(|(life, noticed)| free_again(cx, life, noticed))).await
    })
    .await
}

/// Who appends to each of the streams at one URL.
const PRODUCER: &str = "one";

/// That one stream after the other can be made at one URL, where somebody noticed the end of the first or nobody did; whether
/// the server was quick enough to let it be told.
async fn free_again(cx: &Cx, life: Life, noticed: bool) -> Outcome<bool> {
    /// Of the second one, in seconds: long enough to ask it a few things.
    const WINDOW: u64 = 2;
    let mut mortal = Mortal::new(cx, life).await?;
    for (id, request, accepted) in [
        (STREAM_PRODUCERS_5, by(mortal.stream.append("old"), PRODUCER, 3, 0), answer(200)),
        (STREAM_APPEND_14, mortal.stream.append("old").header(SEQ, "9"), appended()),
        (STREAM_CLOSE_1, mortal.stream.close(), closed()),
    ] {
        let changed = timed(cx, request).await?;
        if changed.answered > mortal.end.there {
            return Ok(false);
        }
        cx.need(id, &changed.reply, &one_of![accepted])?;
        mortal.touched(&changed);
    }
    mortal.gone().await;
    if noticed {
        cx.need(STREAM_EXPIRY_2, &cx.send(mortal.stream.head()).await?, &one_of![answer(404)])?;
    }
    let Some(answered) = new_at(cx, &mortal.stream, OTHER, WINDOW).await? else { return Ok(false) };
    sleep_until(answered + Duration::from_secs(WINDOW) + LATE).await;
    if new_at(cx, &mortal.stream, TEXT, 3_600).await?.is_none() {
        return Ok(false);
    }
    let equal = cx.send(Life::Window(3_600).given_by(put(&mortal.stream.path, TEXT))).await?;
    cx.expect(STREAM_EXPIRY_16, &equal, &one_of![answer(200)])?;
    let first = cx.send(Life::Window(1).given_by(put(&mortal.stream.path, TEXT))).await?;
    cx.expect(STREAM_EXPIRY_16, &first, &one_of![answer(409)])?;
    Ok(true)
}

/// Claims that a PUT makes a new stream, open and with nothing but its own content, which knows nobody; when that was seen, if
/// it was within the first window of so many seconds.
async fn new_at(cx: &Cx, stream: &Stream, media_type: &'static str, window: u64) -> Outcome<Option<Instant>> {
    let token = cx.token(20);
    let life = Life::Window(window);
    let there = End::of_window(window, Instant::now(), Instant::now()).there;
    let request = life.given_by(put(&stream.path, media_type)).body(token.clone());
    let reply = cx.send(request).await?;
    cx.expect(STREAM_EXPIRY_16, &reply, &one_of![created().without(CLOSED)])?;
    let head = cx.send(stream.head()).await?;
    if Instant::now() > there {
        return Ok(None);
    }
    cx.expect(STREAM_EXPIRY_16, &head, &one_of![answer(200).without(CLOSED)])?;
    let content = stream.content(cx).await?;
    if Instant::now() > there {
        return Ok(None);
    }
    cx.expect(STREAM_EXPIRY_16, &content, &[holds(token)])?;
    // The old one would take the first for a fenced producer's or a repetition, and the second for out of sequence.
    let stream = Stream { media_type, ..stream.clone() };
    for (request, accepted) in [
        (by(stream.append("new"), PRODUCER, 0, 0), answer(200)),
        (stream.append("new").header(SEQ, "1"), appended()),
    ] {
        let reply = cx.send(request).await?;
        if Instant::now() > there {
            return Ok(None);
        }
        cx.expect(STREAM_EXPIRY_16, &reply, &one_of![accepted])?;
    }
    Ok(Some(Instant::now()))
}

pub(super) async fn restart(cx: &Cx) -> Outcome {
    const WINDOW: u64 = 2;
    let lasting = written(cx).await?;
    let long = Mortal::new(cx, Life::Window(3_600)).await?;
    let short = Mortal::new(cx, Life::Window(WINDOW)).await?;
    let moment = Mortal::new(cx, Life::until(Duration::from_secs(2))).await?;
    cx.hook(Hook::Restart).await?;
    let restarted = Instant::now();
    // A server that keeps nothing at all has other troubles.
    let kept = cx.http().send(lasting.head()).await?;
    cx.need(STREAM_CONTENT_1, &kept, &one_of![answer(200)])?;
    for mortal in [&long, &short, &moment] {
        mortal.alive(cx, STREAM_EXPIRY_18, mortal.stream.head(), &one_of![answer(200)]).await?;
    }
    let equal = cx.send(long.life.given_by(put(&long.stream.path, TEXT))).await?;
    cx.expect(STREAM_EXPIRY_18, &equal, &one_of![answer(200)])?;
    let other = cx.send(put(&long.stream.path, TEXT)).await?;
    cx.expect(STREAM_EXPIRY_18, &other, &one_of![answer(409)])?;
    sleep_until(restarted + Duration::from_secs(WINDOW) + LATE).await;
    let head = cx.send(short.stream.head()).await?;
    cx.expect(STREAM_EXPIRY_18, &head, &one_of![answer(404)])?;
    moment.gone().await;
    let head = cx.send(moment.stream.head()).await?;
    cx.expect(STREAM_EXPIRY_18, &head, &one_of![answer(404)])?;
    Ok(())
}

pub(super) async fn head_tells(cx: &Cx) -> Outcome {
    let window = Mortal::new(cx, Life::Window(3_600)).await?;
    let moment = Moment::after(Duration::from_secs(3_600));
    let until = Mortal::new(cx, Life::Until(moment, None)).await?;
    for (mortal, header, given) in [(window, TTL, "3600".into()), (until, EXPIRES_AT, moment.utc())] {
        let alternatives =
            one_of![answer(200).with(header, given), answer(200).has(header), answer(200).without(header)];
        cx.expect(STREAM_EXPIRY_19, &cx.send(mortal.stream.head()).await?, &alternatives)?;
        mortal.stream.closed(cx).await?;
        cx.expect(STREAM_EXPIRY_19, &cx.send(mortal.stream.head()).await?, &alternatives)?;
    }
    Ok(())
}
