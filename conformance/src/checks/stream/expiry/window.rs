//! What starts a window anew, and what does not.

use super::life::{LATE, Life, Mortal, Timed, each, measured, timed};
use crate::{
    check::{Answer, Cx, Outcome, answer},
    checks::stream::{
        longpoll::{limit, patience, until_timeout},
        setting::{OTHER, Stream, appended, by, closed, closing},
    },
    one_of,
    run::UNKNOWN_LIMIT_MS,
};
use futures_util::future::{join, try_join_all};
use std::{pin::pin, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use wireproof_spec::{http::Request, requirement::RequirementId, stream::requirements::*};

/// The window of most settings, in seconds.
pub(super) const WINDOW: u64 = 2;
/// How long before an answer would come too late to tell anything a request leaves: so late in a window that the end of
/// the one before is behind it.
pub(super) const MARGIN: Duration = Duration::from_millis(600);
/// How long a request that is not answered is left to the server, so that it has taken it.
const TAKEN: Duration = Duration::from_millis(250);
/// How often something is done that is not to make a difference.
const OFTEN: Duration = Duration::from_millis(250);

/// What is done to a stream, at its first or second turn, and how that is answered.
type Touch = (fn(&Stream, usize) -> Request, fn() -> Answer);

pub(super) async fn read(cx: &Cx) -> Outcome {
    let touches: [Touch; 4] = [
        (|stream, _| stream.read(), || answer(200)),
        (|stream, _| stream.read_at("-1"), || answer(200)),
        (|stream, _| stream.read_at(&stream.start), || answer(200)),
        (|stream, _| stream.read_at("now"), || answer(200)),
    ];
    measured(cx, async |cx| each(touches.map(|touch| restarts(cx, STREAM_EXPIRY_4, touch))).await).await
}

pub(super) async fn append(cx: &Cx) -> Outcome {
    let touches: [Touch; 3] = [
        (|stream, _| stream.append("more"), appended),
        (|stream, turn| by(stream.append("more"), "one", 0, turn as u64), || answer(200)),
        (
            |stream, turn| match turn {
                0 => stream.append("more"),
                _ => closing(stream.append("the last")),
            },
            appended,
        ),
    ];
    measured(cx, async |cx| each(touches.map(|touch| restarts(cx, STREAM_EXPIRY_5, touch))).await).await
}

pub(super) async fn close(cx: &Cx) -> Outcome {
    let touches: [Touch; 2] =
        [(|stream, _| stream.close(), closed), (|stream, _| by(stream.close(), "one", 0, 0), closed)];
    measured(cx, async |cx| each(touches.map(|touch| restarts_once(cx, STREAM_EXPIRY_6, touch))).await).await
}

/// Touches a stream late in its window, twice; whether it could be told that each time the window started anew.
async fn restarts(cx: &Cx, requirement: RequirementId, (touch, accepted): Touch) -> Outcome<bool> {
    let mut mortal = Mortal::new(cx, Life::Window(WINDOW)).await?;
    for turn in 0..2 {
        mortal.close_to_end(MARGIN).await;
        let touched = timed(cx, touch(&mortal.stream, turn)).await?;
        if touched.answered > mortal.end.there {
            return Ok(false);
        }
        match turn {
            0 => cx.need(STREAM_EXPIRY_1, &touched.reply, &one_of![accepted()])?,
            _ => cx.expect(requirement, &touched.reply, &one_of![accepted()])?,
        };
        mortal.touched(&touched);
    }
    still_there(cx, requirement, &mortal).await
}

/// Touches a stream late in its window, once.
async fn restarts_once(cx: &Cx, requirement: RequirementId, (touch, accepted): Touch) -> Outcome<bool> {
    let mut mortal = Mortal::new(cx, Life::Window(WINDOW)).await?;
    mortal.close_to_end(MARGIN).await;
    let touched = timed(cx, touch(&mortal.stream, 0)).await?;
    if touched.answered > mortal.end.there {
        return Ok(false);
    }
    cx.need(STREAM_EXPIRY_1, &touched.reply, &one_of![accepted()])?;
    mortal.touched(&touched);
    still_there(cx, requirement, &mortal).await
}

/// Claims that a stream is there late in its window; whether that could be told.
pub(super) async fn still_there(cx: &Cx, requirement: RequirementId, mortal: &Mortal) -> Outcome<bool> {
    mortal.close_to_end(MARGIN).await;
    let told = mortal.alive(cx, requirement, mortal.stream.head(), &one_of![answer(200)]).await?;
    Ok(told.is_some())
}

pub(super) async fn long_poll(cx: &Cx) -> Outcome {
    let at_once: Touch = (|stream, _| stream.long_poll("-1"), || answer(200));
    measured(cx, async |cx| {
        let waits: [fn(&Stream) -> String; 2] = [|stream| stream.start.clone(), |_| "now".into()];
        let told = each(waits.map(|offset| begun(cx, offset)));
        let (at_once, begun) = join(restarts(cx, STREAM_EXPIRY_7, at_once), told).await;
        Ok(at_once? & begun?)
    })
    .await
}

/// Begins a long-poll at the tail late in each window, and goes away when the server had time to take it.
async fn begun(cx: &Cx, offset: fn(&Stream) -> String) -> Outcome<bool> {
    let mut mortal = Mortal::new(cx, Life::Window(WINDOW)).await?;
    for _ in 0..2 {
        mortal.close_to_end(MARGIN).await;
        let sent = Instant::now();
        let reader = cx.begin(mortal.stream.long_poll(&offset(&mortal.stream)), patience(cx)).await?;
        // Connections that were opened later are taken later.
        let mut last = None;
        for _ in 0..2 {
            last = mortal.alive(cx, STREAM_EXPIRY_7, mortal.stream.head(), &one_of![answer(200)]).await?;
        }
        // A server that reads its connections at the same time may still come to a later one first; a request that nobody waits
        // for any more it need not take.
        sleep(TAKEN).await;
        drop(reader);
        let Some(Timed { reply, answered, .. }) = last else { return Ok(false) };
        mortal.touched(&Timed { reply, sent, answered });
    }
    still_there(cx, STREAM_EXPIRY_7, &mortal).await
}

pub(super) async fn long_poll_waits(cx: &Cx) -> Outcome {
    measured(cx, async |cx| {
        let waits: [fn(&Stream) -> String; 2] = [|stream| stream.start.clone(), |_| "now".into()];
        each(waits.map(|offset| waited_for(cx, offset))).await
    })
    .await
}

/// Waits for a stream by one long-poll, or by one after the other, until its first window would be long over; whether the
/// server was quick enough to let it be told.
async fn waited_for(cx: &Cx, offset: fn(&Stream) -> String) -> Outcome<bool> {
    let mut mortal = Mortal::new(cx, Life::Window(1)).await?;
    let until = mortal.end.gone + MARGIN;
    loop {
        let (sent, long) = (Instant::now(), until.saturating_duration_since(Instant::now()) + cx.slack());
        let reader = cx.begin(mortal.stream.long_poll(&offset(&mortal.stream)), long).await?;
        // Who is beside it in time shows that the reader was in time too.
        let beside = mortal.alive(cx, STREAM_EXPIRY_10, mortal.stream.head(), &one_of![answer(200)]).await?;
        if beside.is_none() {
            return Ok(false);
        }
        let mut answered = pin!(reader.answer());
        let Ok(reply) = timeout_at(until, answered.as_mut()).await else {
            /// Half a window: who looks later may have been kept from reading an answer that came in time.
            const LATE: Duration = Duration::from_millis(500);
            let head = cx.send(mortal.stream.head()).await?;
            if until.elapsed() > LATE {
                return Ok(false);
            }
            cx.expect(STREAM_EXPIRY_10, &head, &one_of![answer(200)])?;
            return Ok(true);
        };
        let reply = reply?;
        cx.expect(STREAM_EXPIRY_10, &reply, &one_of![answer(204)])?;
        // The window of a reader who is gone may have started when he came: a long wait is behind it.
        mortal.touched(&Timed { reply, sent, answered: sent });
        if Instant::now() > mortal.end.there {
            return Ok(true);
        }
    }
}

/// Waits until its time is over; a window later there is nothing any more.
pub(super) async fn long_poll_over(cx: &Cx) -> Outcome {
    measured(cx, async |cx| {
        let waits: [fn(&Stream) -> String; 2] = [|stream| stream.start.clone(), |_| "now".into()];
        each(waits.map(|offset| over(cx, offset))).await
    })
    .await
}

async fn over(cx: &Cx, offset: fn(&Stream) -> String) -> Outcome<bool> {
    // Longer than the wait itself: whether that keeps a stream is the question of another check.
    let longest = limit(cx).unwrap_or(Duration::from_millis(UNKNOWN_LIMIT_MS));
    let seconds = longest.as_secs() + 2;
    let mortal = Mortal::new(cx, Life::Window(seconds)).await?;
    let reader = cx.begin(mortal.stream.long_poll(&offset(&mortal.stream)), until_timeout(cx)).await?;
    let beside = mortal.alive(cx, STREAM_EXPIRY_2, mortal.stream.head(), &one_of![answer(200)]).await?;
    if beside.is_none() {
        return Ok(false);
    }
    cx.need(STREAM_LONGPOLL_5, &reader.answer().await?, &one_of![answer(204)])?;
    sleep_until(Instant::now() + Duration::from_secs(seconds) + LATE).await;
    for request in [mortal.stream.head(), mortal.stream.read(), mortal.stream.append("late")] {
        cx.expect(STREAM_EXPIRY_2, &cx.send(request).await?, &one_of![answer(404)])?;
    }
    Ok(true)
}

pub(super) async fn head(cx: &Cx) -> Outcome {
    measured(cx, async |cx| {
        let idle = Idle { touch: |m| m.stream.head(), broken: false, touched: || answer(200) };
        ends_all_the_same(cx, STREAM_EXPIRY_9, Life::Window(1), None, idle).await
    })
    .await
}

pub(super) async fn refused(cx: &Cx) -> Outcome {
    type Before = Option<fn(&Stream) -> Request>;
    let refused: [(Before, Idle); 3] = [
        (
            None,
            Idle {
                touch: |m| Stream { media_type: OTHER, ..m.stream.clone() }.append("other"),
                broken: false,
                touched: || answer(409),
            },
        ),
        (None, Idle { touch: |m| m.stream.append(""), broken: true, touched: || answer(400) }),
        (
            Some(Stream::close),
            Idle { touch: |m| m.stream.append("late"), broken: false, touched: || answer(409) },
        ),
    ];
    measured(cx, async |cx| {
        each(
            refused.iter().map(|(before, idle)| {
                ends_all_the_same(cx, STREAM_EXPIRY_15, Life::Window(1), *before, *idle)
            }),
        )
        .await
    })
    .await
}

/// Something that is to make no difference to the end of a stream.
#[derive(Clone, Copy)]
pub(super) struct Idle {
    /// What is asked for.
    pub(super) touch: fn(&Mortal) -> Request,
    /// Whether its form is broken on purpose.
    pub(super) broken: bool,
    /// How it is answered while the stream is there.
    pub(super) touched: fn() -> Answer,
}

/// Does this over and over, on a stream that was changed so before, until the stream has to be gone; whether it was done in
/// time at least once, and a window so often that a stream for which it counts would be there still.
pub(super) async fn ends_all_the_same(
    cx: &Cx,
    requirement: RequirementId,
    life: Life,
    before: Option<fn(&Stream) -> Request>,
    Idle { touch, broken, touched }: Idle,
) -> Outcome<bool> {
    let mut mortal = Mortal::new(cx, life).await?;
    if let Some(before) = before {
        let changed = timed(cx, before(&mortal.stream)).await?;
        cx.need(STREAM_CLOSE_1, &changed.reply, &one_of![closed()])?;
        mortal.touched(&changed);
    }
    let (mut in_time, mut often, mut until) = (false, true, mortal.end.there);
    loop {
        sleep(OFTEN).await;
        let sent = Instant::now();
        let request = touch(&mortal);
        let reply = if broken { cx.send_broken(request).await? } else { cx.send(request).await? };
        often &= Instant::now() <= until;
        if sent >= mortal.end.gone {
            // What is refused for its form may be refused like that for ever.
            break;
        }
        if Instant::now() <= mortal.end.there {
            cx.need(STREAM_EXPIRY_1, &reply, &one_of![touched()])?;
            in_time = true;
        } else if cx.need(STREAM_EXPIRY_1, &reply, &one_of![touched(), answer(404)])?.status == 404 {
            break;
        }
        if let Life::Window(seconds) = life {
            until = sent + Duration::from_secs(seconds);
        }
    }
    let head = cx.send(mortal.stream.head()).await?;
    often &= Instant::now() <= until;
    cx.expect(requirement, &head, &one_of![answer(404)])?;
    Ok(in_time && (often || matches!(life, Life::Until(..))))
}

pub(super) async fn append_race(cx: &Cx) -> Outcome {
    /// So far from the end, as we guess it, the first and the last append leave, in milliseconds.
    const NEAR: u64 = 70;
    measured(cx, async |cx| {
        let told = try_join_all((0..=2 * NEAR).step_by(10).map(|ms| {
            let mistaken = Duration::from_millis(NEAR);
            near_the_end(cx, move |end| end - mistaken + Duration::from_millis(ms))
        }))
        .await?;
        // Each on a stream of its own; if some were answered too late, the others are enough.
        Ok(told.iter().filter(|told| **told).count() * 2 > told.len())
    })
    .await
}

/// Appends at a moment close to the end of the window; whether what became of it could be told.
async fn near_the_end(cx: &Cx, when: impl Fn(Instant) -> Instant) -> Outcome<bool> {
    let mut mortal = Mortal::new(cx, Life::Window(1)).await?;
    sleep_until(when(mortal.end.gone - LATE)).await;
    let late = cx.token(16);
    let append = timed(cx, mortal.stream.append(late.clone())).await?;
    let outcome = cx.expect(STREAM_EXPIRY_17, &append.reply, &one_of![appended(), answer(404)])?;
    if outcome.status == 404 {
        for request in [mortal.stream.head(), mortal.stream.append("later"), mortal.stream.read()] {
            cx.expect(STREAM_EXPIRY_17, &cx.send(request).await?, &one_of![answer(404)])?;
        }
        return Ok(true);
    }
    mortal.touched(&append);
    mortal.close_to_end(MARGIN).await;
    let head = mortal.alive(cx, STREAM_EXPIRY_17, mortal.stream.head(), &one_of![answer(200)]).await?;
    let kept = answer(200)
        .and("bytes of the append", move |r| !r.body.is_empty() && late.as_bytes().starts_with(&r.body));
    let read = mortal.stream.read_at(&mortal.stream.start);
    let read = mortal.alive(cx, STREAM_EXPIRY_17, read, &one_of![kept]).await?;
    Ok(head.is_some() && read.is_some())
}
