//! Event streams among each other and beside appends.

use super::{
    super::setting::{Stream, TEXT, appended, closed, closing, next_offset},
    event_stream,
    reading::{Live, Said, text},
};
use crate::{
    check::{Cx, Outcome, alternative},
    one_of,
    wire::Seen,
};
use futures_util::future::{join, join_all, try_join_all};
use std::time::Duration;
use tokio::{task::yield_now, time::sleep};
use wireproof_spec::stream::requirements::*;

/// Lets others go first so many times.
async fn pause(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
}

pub(super) async fn append_race(cx: &Cx) -> Outcome {
    const STREAMS: usize = 3;
    try_join_all((0..STREAMS).map(|_| races(cx))).await?;
    Ok(())
}

/// Lets the start of an event stream and some appends race for one stream.
async fn races(cx: &Cx) -> Outcome {
    const RACES: usize = 12;
    let mut content = cx.token(16);
    let stream = Stream::create(cx, TEXT, &content).await?;
    let mut tail = stream.start.clone();
    for turn in 0..RACES {
        // From the tail, from the start and from now on; either of them a little later than the other.
        let (offset, before) = if turn % 2 == 0 { (tail.as_str(), content.len()) } else { ("-1", 0) };
        let gap = turn / 2;
        let open = async {
            pause(if turn % 4 < 2 { 0 } else { gap }).await;
            Live::open(cx, &stream, offset).await
        };
        let append = async {
            pause(if turn % 4 < 2 { gap } else { 0 }).await;
            let mut last = (String::new(), String::new());
            for _ in 0..3 {
                let more = cx.token(16);
                last = (last.0 + &more, stream.appended(cx, more).await?);
            }
            Ok(last)
        };
        let (reader, appended) = join(open, append).await;
        let (more, now) = appended?;
        content.push_str(&more);
        let rest = &content[before..];
        let said = reader?.to(&now, rest.len()).await?;
        cx.expect(STREAM_SSE_25, &said, &[text(rest)])?;
        tail = now;
    }
    Ok(())
}

/// Event streams that begin beside a closing append: some find the last bytes before they know of the closure, and are told of
/// it all the same when it is over, and not when the time for a long-poll is.
pub(super) async fn closed_beside(cx: &Cx) -> Outcome {
    const ROUNDS: usize = 5;
    /// Whoever is late whenever these meet is late so often in a row; a busy machine is not.
    const LATE: usize = 3;
    for _ in 0..ROUNDS {
        let mut late = 0;
        loop {
            let (said, content) = closes_beside(cx).await?;
            let is_late = said.look().is_ok_and(|all| !all.iter().all(is_told_closed));
            late += usize::from(is_late);
            if is_late && late < LATE {
                continue;
            }
            let told = alternative("streamClosed in each when the stream is closed", |all: &Vec<Said>| {
                all.iter().all(is_told_closed)
            });
            cx.expect(STREAM_SSE_13, &said, &[told])?;
            let whole = alternative("in each what was written", move |all: &Vec<Said>| {
                all.iter().all(|said| said.data == content)
            });
            cx.expect(STREAM_SSE_13, &said, &[whole])?;
            break;
        }
    }
    Ok(())
}

fn is_told_closed(said: &Said) -> bool {
    said.last().is_some_and(|control| control.stream_closed)
}

/// What event streams say that begin one a little after the other beside a closing append, up to a short time behind its answer,
/// and what was written.
async fn closes_beside(cx: &Cx) -> Outcome<(Seen<Vec<Said>>, String)> {
    const READERS: u32 = 6;
    /// Between the first request of one and that of the next.
    const GAP: Duration = Duration::from_micros(1_500);
    /// Less than this is no short time on a busy machine.
    const LEAST: Duration = Duration::from_secs(1);
    let waits = cx.features().limit("long-poll-ms").map(|ms| Duration::from_millis(ms) / 2);
    let longest = cx.answer_time() / 2;
    let soon = waits.filter(|half| *half >= LEAST).map_or(longest, |half| half.min(longest));
    let (first, last) = (cx.token(16), cx.token(16));
    let stream = Stream::create(cx, TEXT, &first).await?;
    let open = try_join_all((0..READERS).map(async |turn| {
        sleep(GAP * turn).await;
        Live::open(cx, &stream, "-1").await
    }));
    let close = async {
        sleep(GAP * 2).await;
        cx.http().send(closing(stream.append(last.clone()))).await
    };
    let (reply, readers) = join(close, open).await;
    cx.need(STREAM_APPEND_12, &reply?, &one_of![closed()])?;
    let said = readers?.into_iter().map(async |mut reader| reader.for_up_to(soon, is_told_closed).await);
    Ok((Seen::all(try_join_all(said).await?), first + &last))
}

pub(super) async fn equal_readers(cx: &Cx) -> Outcome {
    const READERS: usize = 8;
    const WRITERS: usize = 3;
    for _ in 0..2 {
        let before = cx.token(16);
        let stream = Stream::create(cx, TEXT, &before).await?;
        let mut early = Vec::new();
        for _ in 0..READERS / 2 {
            early.push(Live::open(cx, &stream, "-1").await?);
        }
        let writers = join_all((0..WRITERS).map(async |_| {
            for _ in 0..4 {
                stream.appended(cx, cx.token(16)).await?;
            }
            Ok(())
        }));
        // The others come while appends are made.
        let late = try_join_all((0..READERS / 2).map(async |turn| {
            pause(turn * 3).await;
            Live::open(cx, &stream, "-1").await
        }));
        let (written, late) = join(writers, late).await;
        written.into_iter().collect::<Outcome>()?;
        let whole = stream.content(cx).await?;
        let length = 16 * (1 + 4 * WRITERS);
        let all = alternative("every append", move |read: &bytes::Bytes| read.len() == length);
        let whole = String::from_utf8_lossy(cx.need(STREAM_CONTENT_5, &whole, &[all])?).into_owned();
        let mut said = Vec::new();
        for mut reader in early.into_iter().chain(late?) {
            said.push(reader.data(length).await?);
        }
        let equal = alternative("in each the content that a read finds", move |all: &Vec<Said>| {
            all.iter().all(|said| said.data == whole)
        });
        cx.expect(STREAM_SSE_26, &Seen::all(said), &[equal])?;
    }
    Ok(())
}

/// So much is appended that no buffer between holds it, to a stream of which somebody reads nothing.
pub(super) async fn slow_reader(cx: &Cx) -> Outcome {
    /// More than systems buffer for a connection whose other side does not read, in bytes.
    const ALL: usize = 6 * 1024 * 1024;
    /// The length of an append, in bytes, if the target takes that much.
    const LENGTH: usize = 128 * 1024;
    let most = cx.features().limit("max-body-bytes").and_then(|most| usize::try_from(most).ok());
    let length = most.map_or(LENGTH, |most| most.clamp(ALL / 400, LENGTH));
    let stream = Stream::create(cx, TEXT, cx.token(16)).await?;
    // A target that takes no such length refuses it to everybody.
    stream.appended(cx, cx.token(16).repeat(length / 16)).await?;
    let mut slow = cx.sse_narrow(stream.sse("-1")).await?;
    cx.need(STREAM_SSE_1, &slow.head().await?, &one_of![event_stream()])?;
    let appends = ALL / length;
    for turn in 1..=appends {
        let reply = cx.send(stream.append(cx.token(16).repeat(length / 16))).await?;
        let tail = next_offset(cx.expect(STREAM_SSE_28, &reply, &one_of![appended()])?);
        if turn % (appends / 3) == 0 {
            let mut other = Live::open(cx, &stream, &tail).await?;
            let mark = cx.token(16);
            let reply = cx.send(stream.append(mark.clone())).await?;
            let tail = next_offset(cx.expect(STREAM_SSE_28, &reply, &one_of![appended()])?);
            cx.expect(STREAM_SSE_28, &other.to(&tail, mark.len()).await?, &[text(mark)])?;
        }
    }
    Ok(())
}

pub(super) async fn vanished_readers(cx: &Cx) -> Outcome {
    const READERS: usize = 6;
    let stream = Stream::create(cx, TEXT, cx.token(16)).await?;
    let mut stays = Live::open(cx, &stream, &stream.start).await?;
    let mut heard = String::new();
    for _ in 0..4 {
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(cx.sse(stream.sse("-1")).await?);
        }
        for (turn, mut reader) in readers.into_iter().enumerate() {
            // Some have read something, some nothing.
            if turn % 2 == 0 {
                let _ = reader.next().await?;
            }
            reader.leave();
        }
        let more = cx.token(16);
        let reply = cx.send(stream.append(more.clone())).await?;
        cx.expect(STREAM_SSE_28, &reply, &one_of![appended()])?;
        heard.push_str(&more);
        let said = stays.data(heard.len()).await?;
        cx.expect(STREAM_SSE_28, &said, &[text(heard.clone())])?;
    }
    Ok(())
}
