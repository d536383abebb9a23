//! Checks of "Longpoll" in spec/stream.md.

pub(super) mod cursor;
pub(super) mod steady;

use super::{
    json::JSON,
    probe::PATIENCE,
    read::{follow, fresh, grow, told},
    setting::{Stream, TEXT, appended, closed, closing, next_offset, proven, put},
};
use crate::{
    check::{Alternative, Answer, Breaks, Check, Cx, Outcome, Waits, alternative, answer},
    drives, one_of,
    run::UNKNOWN_LIMIT_MS,
    wire::{Seen, http::Pending},
};
use futures_util::future::{join, try_join_all};
use std::{
    pin::pin,
    time::{Duration, Instant},
};
use steady::{all_in_time, proves, watched};
use tokio::{task::yield_now, time::timeout};
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        header::{CLOSED, CURSOR, NEXT_OFFSET, UP_TO_DATE, query},
        requirements::*,
    },
};

const LIMIT: &str = "long-poll-ms";

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/longpoll/no-offset", &[STREAM_LONGPOLL_1], drives!(no_offset)),
    Check::new("stream/longpoll/content-at-once", &[STREAM_LONGPOLL_2], drives!(content_at_once)),
    Check::new("stream/longpoll/next-append", &[STREAM_LONGPOLL_3], drives!(next_append)),
    Check::new("stream/longpoll/last-append", &[STREAM_LONGPOLL_3], drives!(last_append)),
    Check::new("stream/longpoll/empty-start", &[STREAM_LONGPOLL_4], drives!(empty_start)),
    Check::new("stream/longpoll/empty-start-timeout", &[STREAM_LONGPOLL_4], drives!(empty_start_timeout))
        .waits(Waits::Limit(LIMIT, 2)),
    Check::new("stream/longpoll/timeout", &[STREAM_LONGPOLL_5], drives!(timed_out))
        .waits(Waits::Limit(LIMIT, 2)),
    Check::new("stream/longpoll/timeout-up-to-date", &[STREAM_LONGPOLL_6], drives!(timed_out_up_to_date))
        .waits(Waits::Limit(LIMIT, 2)),
    Check::new("stream/longpoll/timeout-cursor", &[STREAM_LONGPOLL_7], drives!(timed_out_cursor))
        .waits(Waits::Limit(LIMIT, 2)),
    Check::new("stream/longpoll/content-cursor", &[STREAM_LONGPOLL_8], drives!(content_cursor)),
    Check::new("stream/longpoll/closed-at-once", &[STREAM_LONGPOLL_9], drives!(closed_at_once)),
    Check::new("stream/longpoll/closed-tail", &[STREAM_LONGPOLL_10], drives!(closed_tail)),
    Check::new("stream/longpoll/closed-empty-start", &[STREAM_LONGPOLL_10], drives!(closed_empty_start)),
    Check::new("stream/longpoll/last-bytes", &[STREAM_LONGPOLL_11], drives!(last_bytes)),
    Check::new("stream/longpoll/last-bytes-awaited", &[STREAM_LONGPOLL_11], drives!(last_bytes_awaited)),
    Check::new("stream/longpoll/now", &[STREAM_LONGPOLL_12], drives!(now)),
    Check::new("stream/longpoll/now-on-closed", &[STREAM_LONGPOLL_13], drives!(now_on_closed)),
    Check::new("stream/longpoll/all-wake", &[STREAM_LONGPOLL_14], drives!(all_wake)),
    Check::new("stream/longpoll/append-race", &[STREAM_LONGPOLL_15], drives!(append_race)),
];

/// How long a long-poll of the target waits, if that is known.
pub(super) fn limit(cx: &Cx) -> Option<Duration> {
    cx.features().limit(LIMIT).map(Duration::from_millis)
}

/// For the answer to a long-poll that something happens to.
pub(super) fn patience(cx: &Cx) -> Duration {
    limit(cx).map_or(cx.answer_time(), |limit| limit.min(cx.answer_time())) + cx.slack()
}

/// For the answer to a long-poll that nothing happens to.
pub(super) fn until_timeout(cx: &Cx) -> Duration {
    limit(cx).unwrap_or(Duration::from_millis(UNKNOWN_LIMIT_MS)) * 2 + cx.slack()
}

/// What comes in this time did not wait for the server's timeout.
pub(super) fn soon(cx: &Cx) -> Duration {
    const LONGEST: Duration = Duration::from_millis(1_500);
    limit(cx).map_or(LONGEST, |limit| (limit / 2).min(LONGEST))
}

/// So often something is tried that a busy machine keeps from proving anything.
pub(super) const TRIES: usize = 8;

/// The answer to a request that has no reason to wait, and the time that it took. Who is late is asked again, unless a HEAD
/// beside it was quick and the answer came as late as one that waited for the timeout, twice: who is only slow does not
/// keep to the timeout.
pub(super) async fn prompt(
    cx: &Cx,
    stream: &Stream,
    request: Request,
) -> Outcome<(Seen<Response>, Seen<Duration>)> {
    let mut late = 0;
    for _ in 0..TRIES {
        let asked = cx.begin(request.clone(), patience(cx)).await?;
        let beside = Instant::now();
        cx.need(STREAM_HEAD_1, &cx.send(stream.head()).await?, &one_of![answer(200)])?;
        let quick = beside.elapsed() < soon(cx) / 2;
        let seen = asked.timed().await?;
        let took = seen.look().map_or(Duration::MAX, |(_, took)| *took);
        late += usize::from(quick && !before_timeout(limit(cx), took));
        if took <= soon(cx) || late == 2 {
            return Ok((seen.clone().map(|(reply, _)| reply), seen.map(|(_, took)| took)));
        }
    }
    Err(cx.stop("the target answers too slowly to tell a wait from its absence"))
}

pub(super) fn within(soon: Duration) -> Alternative<Duration> {
    let name = format!("an answer within {} ms", soon.as_millis());
    alternative(name, move |took: &Duration| *took <= soon)
}

/// A long-poll that has left and that the server had time to take.
pub(super) async fn waiting(cx: &Cx, stream: &Stream, offset: &str) -> Outcome<Pending> {
    let waiting = cx.begin(stream.long_poll(offset), patience(cx)).await?;
    stream.settled(cx).await?;
    Ok(waiting)
}

/// The answer to one long-poll that has waited since then, as [`all_in_time`].
pub(super) async fn in_time(
    cx: &Cx,
    stream: &Stream,
    since: Instant,
    waiting: Pending,
) -> Outcome<Option<Seen<Response>>> {
    let answers = all_in_time(cx, stream, since, vec![waiting]).await?;
    Ok(answers.map(|answers| answers.map(|mut all| all.swap_remove(0).0)))
}

/// The answer to a long-poll at the tail that waits while this is appended.
pub(super) async fn woken(cx: &Cx, stream: &Stream, content: &str) -> Outcome<Seen<Response>> {
    for _ in 0..TRIES {
        let tail = stream.told_tail(cx).await?;
        let since = Instant::now();
        let waiting = waiting(cx, stream, &tail).await?;
        stream.appended(cx, content.to_owned()).await?;
        if let Some(reply) = in_time(cx, stream, since, waiting).await? {
            return Ok(reply);
        }
    }
    Err(cx.stop(TOO_SLOW))
}

/// Why a check about waiting ends without a verdict.
pub(super) const TOO_SLOW: &str = "the target appends too slowly to tell what answers those who wait";

/// Whether these bytes begin with the content, or with as much of it as one answer holds.
fn begins_with(body: &[u8], content: &str) -> bool {
    !body.is_empty() && (content.as_bytes().starts_with(body) || body.starts_with(content.as_bytes()))
}

pub(super) fn bytes_of(content: &str) -> Answer {
    let content = content.to_owned();
    let name = format!("bytes that begin with {content:?}");
    answer(200).has(NEXT_OFFSET).and(name, move |r| begins_with(&r.body, &content))
}

async fn no_offset(cx: &Cx) -> Outcome {
    cx.refused(
        STREAM_LONGPOLL_1,
        Breaks::Form,
        proven,
        |stream| stream.long_poll("-1"),
        |_, request| request.query.remove(query::OFFSET),
        (STREAM_LONGPOLL_2, &one_of![answer(200).has(NEXT_OFFSET)]),
        &one_of![answer(400)],
    )
    .await
}

async fn content_at_once(cx: &Cx) -> Outcome {
    let mut content = cx.token(20);
    let stream = fresh(cx, "").await?;
    let mut offsets = vec![("-1".to_owned(), 0), (stream.start.clone(), 0)];
    for _ in 0..2 {
        let tail = grow(cx, &stream, &content[offsets.last().map_or(0, |o| o.1)..]).await?;
        for (offset, before) in &offsets {
            let (reply, took) = prompt(cx, &stream, stream.long_poll(offset)).await?;
            cx.expect(STREAM_LONGPOLL_2, &reply, &one_of![bytes_of(&content[*before..])])?;
            cx.expect(STREAM_LONGPOLL_2, &took, &[within(soon(cx))])?;
        }
        offsets.push((tail, content.len()));
        content.push_str(&cx.token(20));
    }
    Ok(())
}

async fn next_append(cx: &Cx) -> Outcome {
    for content in ["", "something"] {
        let stream = fresh(cx, content).await?;
        let (mut tail, mut proven) = (stream.start.clone(), 0);
        for _ in 0..TRIES {
            let since = Instant::now();
            let waiting = waiting(cx, &stream, &tail).await?;
            let token = cx.token(16);
            tail = grow(cx, &stream, &token).await?;
            if let Some(reply) = in_time(cx, &stream, since, waiting).await? {
                cx.expect(STREAM_LONGPOLL_3, &reply, &one_of![bytes_of(&token)])?;
                proven += 1;
            }
            if proven == 3 {
                break;
            }
        }
        if proven < 3 {
            return Err(cx.stop(TOO_SLOW));
        }
    }
    Ok(())
}

/// The answer to a long-poll that waits while content is appended and the stream closed behind it.
async fn awaited_last(cx: &Cx, content: &str) -> Outcome<(Stream, Seen<Response>)> {
    for _ in 0..TRIES {
        let stream = fresh(cx, "something").await?;
        let since = Instant::now();
        let waiting = waiting(cx, &stream, &stream.start).await?;
        let reply = cx.send(closing(stream.append(content.to_owned()))).await?;
        cx.need(STREAM_APPEND_12, &reply, &one_of![closed()])?;
        if let Some(reply) = in_time(cx, &stream, since, waiting).await? {
            return Ok((stream, reply));
        }
    }
    Err(cx.stop(TOO_SLOW))
}

async fn last_append(cx: &Cx) -> Outcome {
    for _ in 0..3 {
        let token = cx.token(16);
        let (_, reply) = awaited_last(cx, &token).await?;
        cx.expect(STREAM_LONGPOLL_3, &reply, &one_of![bytes_of(&token)])?;
    }
    Ok(())
}

async fn empty_start(cx: &Cx) -> Outcome {
    let mut proven = 0;
    for _ in 0..TRIES {
        let stream = fresh(cx, "").await?;
        let since = Instant::now();
        let waiting = waiting(cx, &stream, "-1").await?;
        let token = cx.token(16);
        grow(cx, &stream, &token).await?;
        if let Some(reply) = in_time(cx, &stream, since, waiting).await? {
            cx.expect(STREAM_LONGPOLL_4, &reply, &one_of![bytes_of(&token)])?;
            proven += 1;
        }
        if proven == 2 {
            return Ok(());
        }
    }
    Err(cx.stop(TOO_SLOW))
}

async fn empty_start_timeout(cx: &Cx) -> Outcome {
    let beside = proven(cx).await?;
    let at_once = cx.send(beside.long_poll("-1")).await?;
    cx.need(STREAM_LONGPOLL_2, &at_once, &one_of![answer(200)])?;
    let mut waiting = Vec::new();
    for (media_type, nothing) in [(TEXT, ""), (JSON, "[]")] {
        let stream = Stream::create(cx, media_type, nothing).await?;
        told(cx, STREAM_CREATE_13, &stream, &stream.start).await?;
        let tail = stream.start.clone();
        waiting.push((cx.begin(stream.long_poll("-1"), until_timeout(cx)).await?, tail));
    }
    for (waiting, tail) in waiting {
        let reply = waiting.answer().await?;
        cx.expect(STREAM_LONGPOLL_4, &reply, &one_of![answer(204).with(NEXT_OFFSET, tail)])?;
    }
    Ok(())
}

/// The answers to long-polls at tails in whose time nothing is appended, each with its tail.
async fn idle(cx: &Cx) -> Outcome<Vec<(Seen<Response>, String)>> {
    let stream = proven(cx).await?;
    let tail = grow(cx, &stream, &cx.token(16)).await?;
    let empty = fresh(cx, "").await?;
    let messages = Stream::create(cx, JSON, "[1]").await?;
    told(cx, STREAM_CREATE_13, &messages, &messages.start).await?;
    let no_message = Stream::create(cx, JSON, "[]").await?;
    told(cx, STREAM_CREATE_13, &no_message, &no_message.start).await?;
    let mut all = Vec::new();
    for (stream, offset, tail) in [
        (&stream, &*tail, &tail),
        (&stream, "now", &tail),
        (&empty, &*empty.start, &empty.start),
        (&messages, &*messages.start, &messages.start),
        (&messages, "now", &messages.start),
        (&no_message, &*no_message.start, &no_message.start),
    ] {
        all.push((cx.begin(stream.long_poll(offset), until_timeout(cx)).await?, tail.clone()));
    }
    try_join_all(all.into_iter().map(async |(waiting, tail)| Ok((waiting.answer().await?, tail)))).await
}

async fn timed_out(cx: &Cx) -> Outcome {
    for (reply, tail) in idle(cx).await? {
        cx.expect(STREAM_LONGPOLL_5, &reply, &one_of![answer(204).with(NEXT_OFFSET, tail)])?;
    }
    Ok(())
}

async fn timed_out_up_to_date(cx: &Cx) -> Outcome {
    for (reply, _) in idle(cx).await? {
        cx.need(STREAM_LONGPOLL_5, &reply, &one_of![answer(204)])?;
        cx.expect(STREAM_LONGPOLL_6, &reply, &one_of![answer(204).with(UP_TO_DATE, "true")])?;
    }
    Ok(())
}

async fn timed_out_cursor(cx: &Cx) -> Outcome {
    for (reply, _) in idle(cx).await? {
        cx.need(STREAM_LONGPOLL_5, &reply, &one_of![answer(204)])?;
        cx.expect(STREAM_LONGPOLL_7, &reply, &one_of![answer(204).has(CURSOR)])?;
    }
    Ok(())
}

async fn content_cursor(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let at_once = cx.send(stream.long_poll("-1")).await?;
    cx.need(STREAM_LONGPOLL_2, &at_once, &one_of![answer(200)])?;
    let woken = woken(cx, &stream, &cx.token(16)).await?;
    cx.need(STREAM_LONGPOLL_3, &woken, &one_of![answer(200)])?;
    for reply in [at_once, woken] {
        cx.expect(STREAM_LONGPOLL_8, &reply, &one_of![answer(200).has(CURSOR)])?;
    }
    Ok(())
}

/// Closed streams of every kind, each with its tail.
async fn closed_tails(cx: &Cx) -> Outcome<Vec<(Stream, String)>> {
    let stream = proven(cx).await?;
    let tail = stream.closed(cx).await?;
    let empty = Stream::create(cx, TEXT, "").await?;
    let end = empty.closed(cx).await?;
    let born_closed = Stream::nowhere(cx);
    let reply = cx.send(closing(put(&born_closed.path, TEXT)).body(cx.token(16))).await?;
    let born = next_offset(cx.need(STREAM_CREATE_11, &reply, &one_of![answer(201).has(NEXT_OFFSET)])?);
    let mut all = vec![(stream, tail), (empty, end), (born_closed, born)];
    for content in ["[]", "[1]"] {
        let messages = Stream::create(cx, JSON, content).await?;
        let tail = messages.closed(cx).await?;
        all.push((messages, tail));
    }
    for (stream, tail) in &all {
        let head = cx.send(stream.head()).await?;
        let closed_here = answer(200).with(NEXT_OFFSET, tail).with(CLOSED, "true");
        cx.need(STREAM_HEAD_3, &head, &one_of![closed_here])?;
    }
    Ok(all)
}

async fn closed_at_once(cx: &Cx) -> Outcome {
    for (stream, tail) in closed_tails(cx).await? {
        let (reply, took) = prompt(cx, &stream, stream.long_poll(&tail)).await?;
        cx.expect(STREAM_LONGPOLL_9, &reply, &one_of![answer(204), answer(200).with(CLOSED, "true")])?;
        cx.expect(STREAM_LONGPOLL_9, &took, &[within(soon(cx))])?;
    }
    Ok(())
}

/// The end of a closed stream.
fn end() -> Answer {
    answer(204).with(CLOSED, "true").with(UP_TO_DATE, "true")
}

async fn closed_tail(cx: &Cx) -> Outcome {
    for (stream, tail) in closed_tails(cx).await? {
        for _ in 0..2 {
            let reply = cx.send(stream.long_poll(&tail)).await?;
            cx.expect(STREAM_LONGPOLL_10, &reply, &one_of![end()])?;
        }
    }
    Ok(())
}

async fn closed_empty_start(cx: &Cx) -> Outcome {
    let content = proven(cx).await?;
    let reply = cx.send(content.long_poll("-1")).await?;
    cx.need(STREAM_LONGPOLL_2, &reply, &one_of![answer(200)])?;
    // Of an empty stream the start is the tail: the ruling on STREAM-LONGPOLL-4.
    let stream = Stream::create(cx, TEXT, "").await?;
    stream.closed(cx).await?;
    let reply = cx.send(stream.long_poll("-1")).await?;
    cx.expect(STREAM_LONGPOLL_10, &reply, &one_of![end()])?;
    Ok(())
}

async fn last_bytes(cx: &Cx) -> Outcome {
    let content = cx.token(40);
    let stream = fresh(cx, &content).await?;
    stream.closed(cx).await?;
    let mut replies = follow(cx, None, stream.long_poll("-1"), content.len()).await?;
    ends_closed(cx, replies.pop(), &content)
}

async fn last_bytes_awaited(cx: &Cx) -> Outcome {
    let content = cx.token(40);
    let (stream, first) = awaited_last(cx, &content).await?;
    let reply = cx.need(STREAM_LONGPOLL_3, &first, &one_of![bytes_of(&content)])?;
    let last = match content.len().saturating_sub(reply.body.len()) {
        0 => Some(first),
        rest => follow(cx, None, stream.long_poll(&next_offset(reply)), rest).await?.pop(),
    };
    ends_closed(cx, last, &content)
}

fn ends_closed(cx: &Cx, last: Option<Seen<Response>>, content: &str) -> Outcome {
    let Some(last) = last else { return Ok(()) };
    let end = content.to_owned();
    let holds_last = move |r: &Response| !r.body.is_empty() && end.as_bytes().ends_with(&r.body);
    cx.need(STREAM_READ_6, &last, &one_of![answer(200).and("the last bytes", holds_last)])?;
    cx.expect(STREAM_LONGPOLL_11, &last, &one_of![answer(200).with(CLOSED, "true")])?;
    Ok(())
}

async fn now(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let mut idle = Vec::new();
    for _ in 0..TRIES {
        // The longest time in which there may have been no append.
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        let waiting = waiting(cx, &stream, "now").await?;
        let mut answered = pin!(waiting.answer());
        let mut later = Vec::new();
        // One append after the other: whoever waits is answered by one of them.
        let seen = loop {
            later.push(cx.token(16));
            let sent = Instant::now();
            grow(cx, &stream, later.last().map_or("", String::as_str)).await?;
            longest = longest.max(last.elapsed());
            last = sent;
            if let Ok(seen) = timeout(soon(cx) / 4, answered.as_mut()).await {
                break seen?;
            }
        };
        let of_later =
            move |r: &Response| (0..later.len()).any(|first| begins_with(&r.body, &later[first..].concat()));
        let bytes = answer(200).and("bytes that begin with an append that was made meanwhile", of_later);
        let alternatives = one_of![bytes, answer(204).has(NEXT_OFFSET)];
        if cx.expect(STREAM_LONGPOLL_12, &seen, &alternatives)?.status == 200 {
            return Ok(());
        }
        if before_timeout(limit(cx), longest.max(last.elapsed())) {
            idle.push(seen);
        }
        if idle.len() == 3 {
            let sometimes = alternative(
                "not 204 each time, although each time something was appended",
                |all: &Vec<Response>| all.iter().any(|r| r.status == 200),
            );
            cx.expect(STREAM_LONGPOLL_12, &Seen::all(idle), &[sometimes])?;
            return Ok(());
        }
    }
    Err(cx.stop(TOO_SLOW))
}

async fn now_on_closed(cx: &Cx) -> Outcome {
    for (stream, tail) in closed_tails(cx).await? {
        let (reply, took) = prompt(cx, &stream, stream.long_poll("now")).await?;
        cx.expect(STREAM_LONGPOLL_13, &reply, &one_of![end().with(NEXT_OFFSET, tail)])?;
        cx.expect(STREAM_LONGPOLL_13, &took, &[within(soon(cx))])?;
    }
    Ok(())
}

/// Whether an answer that took so long did not come by the timeout. Of a timeout that is not known, the probe has at least
/// found that it is longer than its patience.
pub(super) fn before_timeout(limit: Option<Duration>, took: Duration) -> bool {
    took < limit.unwrap_or(PATIENCE) * 7 / 8
}

/// Long-polls that were answered by this append, and not by the timeout.
fn answered_by(cx: &Cx, content: &str) -> Alternative<Vec<(Response, Duration)>> {
    let (content, limit) = (content.to_owned(), limit(cx));
    let before = limit.map_or(String::new(), |l| format!(", before the timeout of {} ms", l.as_millis()));
    let name = format!("each answered with 200 and bytes that begin with {content:?}{before}");
    alternative(name, move |all: &Vec<(Response, Duration)>| {
        all.iter().all(|(reply, took)| {
            reply.status == 200 && begins_with(&reply.body, &content) && before_timeout(limit, *took)
        })
    })
}

async fn all_wake(cx: &Cx) -> Outcome {
    const READERS: usize = 12;
    let stream = fresh(cx, "").await?;
    let (mut tail, mut rounds) = (stream.start.clone(), 0);
    for _ in 0..TRIES {
        let since = Instant::now();
        let (mut readers, mut gone) = (Vec::new(), Vec::new());
        for reader in 0..READERS {
            // In front of some stands one who goes away before the append.
            if reader % 6 == 0 {
                gone.push(cx.begin(stream.long_poll(&tail), patience(cx)).await?);
            }
            readers.push(cx.begin(stream.long_poll(&tail), patience(cx)).await?);
        }
        drop(gone);
        stream.settled(cx).await?;
        let token = cx.token(16);
        tail = grow(cx, &stream, &token).await?;
        if let Some(answers) = all_in_time(cx, &stream, since, readers).await? {
            cx.expect(STREAM_LONGPOLL_14, &answers, &[answered_by(cx, &token)])?;
            rounds += 1;
        }
        if rounds == 2 {
            return Ok(());
        }
    }
    Err(cx.stop(TOO_SLOW))
}

async fn append_race(cx: &Cx) -> Outcome {
    const STREAMS: usize = 3;
    try_join_all((0..STREAMS).map(|_| races(cx))).await?;
    Ok(())
}

/// Lets a long-poll and an append race for one stream, each on a connection of its own.
async fn races(cx: &Cx) -> Outcome {
    const RACES: usize = 14;
    let stream = fresh(cx, "").await?;
    let (mut reader, mut writer) = (cx.http().patient(patience(cx)), cx.http());
    let (mut tail, mut proven) = (stream.start.clone(), 0);
    for turn in 0..RACES + TRIES {
        let token = cx.token(16);
        // Either of them a little later than the other.
        let (gap, reader_first) = (turn / 2, turn % 2 == 0);
        let since = Instant::now();
        let poll = async {
            pause(if reader_first { 0 } else { gap }).await;
            let left = Instant::now();
            Ok(reader.send(stream.long_poll(&tail)).await?.map(|reply| (reply, left.elapsed())))
        };
        let append = async {
            pause(if reader_first { gap } else { 0 }).await;
            let reply = writer.send(stream.append(token.clone())).await;
            (reply, since.elapsed() < soon(cx))
        };
        let ((polled, (reply, early)), is_steady) = watched(cx, &stream, join(poll, append)).await?;
        tail = next_offset(cx.need(STREAM_APPEND_1, &reply?, &one_of![appended()])?);
        told(cx, STREAM_APPEND_2, &stream, &tail).await?;
        let polled = Seen::all([polled?]);
        if proves(cx, early && is_steady, &polled) {
            cx.expect(STREAM_LONGPOLL_15, &polled, &[answered_by(cx, &token)])?;
            proven += 1;
        }
        if proven == RACES {
            return Ok(());
        }
    }
    Err(cx.stop("the target appends too slowly to let an append race with a long-poll"))
}

/// Lets others go first so many times.
async fn pause(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
}
