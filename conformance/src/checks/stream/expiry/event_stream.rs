//! Event streams and the ends of what they read from.

use super::{
    life::{LATE, Life, Mortal, Timed, each, measured},
    window::{MARGIN, WINDOW, still_there},
};
use crate::{
    check::{Cx, Outcome, alternative, answer},
    checks::stream::setting::Stream,
    one_of,
    wire::sse::Item,
};
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use wireproof_spec::{
    http::Request,
    stream::{header::query, requirements::*},
};

/// Where an event stream begins: at the start, at the tail, and at whatever the tail is.
const PLACES: [fn(&Stream) -> Request; 3] =
    [|stream| live(stream, "-1"), |stream| live(stream, &stream.start), |stream| live(stream, "now")];

fn live(stream: &Stream, offset: &str) -> Request {
    stream.read_at(offset).param(query::LIVE, "sse")
}

pub(super) async fn begins(cx: &Cx) -> Outcome {
    measured(cx, async |cx| each(PLACES.map(|place| begun(cx, place))).await).await
}

/// Begins to read late in each window, and goes away at once.
async fn begun(cx: &Cx, place: fn(&Stream) -> Request) -> Outcome<bool> {
    let mut mortal = Mortal::new(cx, Life::Window(WINDOW)).await?;
    for turn in 0..2 {
        mortal.close_to_end(MARGIN).await;
        let sent = Instant::now();
        let mut reader = cx.sse(place(&mortal.stream)).await?;
        let reply = reader.head().await?;
        let answered = Instant::now();
        if answered > mortal.end.there {
            return Ok(false);
        }
        match turn {
            0 => cx.need(STREAM_EXPIRY_1, &reply, &one_of![answer(200)])?,
            _ => cx.expect(STREAM_EXPIRY_8, &reply, &one_of![answer(200)])?,
        };
        reader.leave();
        mortal.touched(&Timed { reply, sent, answered });
    }
    still_there(cx, STREAM_EXPIRY_8, &mortal).await
}

pub(super) async fn holds(cx: &Cx) -> Outcome {
    measured(cx, async |cx| each(PLACES.map(|place| held(cx, place))).await).await
}

/// Reads until the first window would be long over; whether the target let it.
async fn held(cx: &Cx, place: fn(&Stream) -> Request) -> Outcome<bool> {
    let mortal = Mortal::new(cx, Life::Window(1)).await?;
    let until = mortal.end.gone + MARGIN;
    let mut reader = cx.sse(place(&mortal.stream)).await?;
    let head = reader.head().await?;
    if Instant::now() > mortal.end.there {
        return Ok(false);
    }
    cx.need(STREAM_EXPIRY_1, &head, &one_of![answer(200)])?;
    let mut ended = false;
    while !ended && Instant::now() < until {
        let seen = reader.quiet(until.saturating_duration_since(Instant::now())).await?;
        ended = matches!(seen.look(), Ok(Some(Item::End)) | Err(_));
    }
    // The reader is there still, or was up to now.
    let head = cx.send(mortal.stream.head()).await?;
    cx.expect(STREAM_EXPIRY_11, &head, &one_of![answer(200)])?;
    Ok(!ended)
}

pub(super) async fn ends(cx: &Cx) -> Outcome {
    measured(cx, async |cx| each(PLACES.map(|place| ended(cx, place))).await).await
}

/// Reads until the target ends it; whether that came of the end of the stream.
async fn ended(cx: &Cx, place: fn(&Stream) -> Request) -> Outcome<bool> {
    let mortal = Mortal::new(cx, Life::until(Duration::from_millis(1_600))).await?;
    let began = Instant::now();
    let in_time = mortal.end.gone.saturating_duration_since(began);
    let mut reader = cx.sse(place(&mortal.stream)).await?.patient(in_time + cx.slack());
    cx.need(STREAM_EXPIRY_1, &reader.head().await?, &one_of![answer(200)])?;
    let last = loop {
        let seen = reader.next().await?;
        if !matches!(seen.look(), Ok(Item::Event(_))) {
            break seen;
        }
    };
    if Instant::now() < mortal.end.there && last.look().is_ok() {
        // It was closed for another reason.
        return Ok(false);
    }
    let took = began.elapsed();
    let name = format!(
        "the end of the event stream within {} ms, a second behind that of the stream",
        in_time.as_millis()
    );
    let in_time = alternative(name, move |item: &Item| *item == Item::End && took <= in_time);
    cx.expect(STREAM_EXPIRY_14, &last, &[in_time])?;
    Ok(true)
}

pub(super) async fn gone(cx: &Cx) -> Outcome {
    for place in PLACES {
        let twin = Mortal::new(cx, Life::Window(3_600)).await?;
        let head = cx.sse(place(&twin.stream)).await?.head().await?;
        cx.need(STREAM_EXPIRY_1, &head, &one_of![answer(200)])?;
    }
    let lives = [Life::Window(1), Life::until(Duration::from_millis(1_600))];
    let ways = PLACES.into_iter().flat_map(|place| lives.map(|life| (life, place)));
    try_join_all(ways.map(async |(life, place)| {
        let mortal = Mortal::new(cx, life).await?;
        mortal.gone().await;
        let head = cx.sse(place(&mortal.stream)).await?.head().await?;
        cx.expect(STREAM_EXPIRY_2, &head, &one_of![answer(404)])?;
        Ok(())
    }))
    .await?;
    Ok(())
}

pub(super) async fn sent_away(cx: &Cx) -> Outcome {
    measured(cx, async |cx| each(PLACES.map(|place| read_to_its_end(cx, place))).await).await
}

/// Reads until the target ends the event stream by itself; a window later there is nothing any more. Whether the target let
/// it be told.
async fn read_to_its_end(cx: &Cx, place: fn(&Stream) -> Request) -> Outcome<bool> {
    const SECONDS: u64 = 1;
    let mortal = Mortal::new(cx, Life::Window(SECONDS)).await?;
    let limit = Duration::from_millis(cx.features().limit("sse-ms").unwrap_or_default());
    let mut reader = cx.sse(place(&mortal.stream)).await?.patient(limit + cx.slack());
    let head = reader.head().await?;
    if Instant::now() > mortal.end.there {
        return Ok(false);
    }
    cx.need(STREAM_EXPIRY_1, &head, &one_of![answer(200)])?;
    // While it is read the stream stays, so that its end is a matter of the end of the reading.
    let (mut last, mut held) = (None, false);
    while last.is_none() {
        let until = if held { Instant::now() + limit + cx.slack() } else { mortal.end.gone + MARGIN };
        let seen = reader.quiet(until.saturating_duration_since(Instant::now())).await?;
        match seen.look() {
            Ok(Some(Item::Event(_))) => {}
            Ok(None) if !held => {
                let there = cx.send(mortal.stream.head()).await?;
                cx.need(STREAM_EXPIRY_11, &there, &one_of![answer(200)])?;
                held = true;
            }
            _ => last = Some(seen),
        }
    }
    let ended = alternative("the end of the event stream", |item: &Option<Item>| *item == Some(Item::End));
    if let Some(last) = last {
        cx.need(STREAM_SSE_24, &last, &[ended])?;
    }
    sleep_until(Instant::now() + Duration::from_secs(SECONDS) + LATE).await;
    for request in [mortal.stream.head(), mortal.stream.read(), mortal.stream.append("late")] {
        cx.expect(STREAM_EXPIRY_2, &cx.send(request).await?, &one_of![answer(404)])?;
    }
    Ok(true)
}
