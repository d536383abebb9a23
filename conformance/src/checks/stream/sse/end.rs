//! How event streams end.

use super::{
    super::setting::{Stream, TEXT, closed, closing, proven, put, shut_in_every_way, written},
    LIMIT, closed_at,
    reading::{Live, Said, text},
};
use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    one_of,
    wire::sse::Item,
};
use std::time::{Duration, Instant};
use wireproof_spec::stream::{requirements::*, sse::DATA};

/// Closed streams, each with its content.
async fn closed_streams(cx: &Cx) -> Outcome<Vec<(Stream, String)>> {
    let mut all = Vec::new();
    for stream in shut_in_every_way(cx).await? {
        let read = stream.content(cx).await?;
        let any = alternative("content", |_: &bytes::Bytes| true);
        let content = String::from_utf8_lossy(cx.need(STREAM_READ_1, &read, &[any])?).into_owned();
        all.push((stream, content));
    }
    let mut content = cx.token(16);
    let long = Stream::create(cx, TEXT, &content).await?;
    for _ in 0..3 {
        let more = cx.token(16);
        long.appended(cx, more.clone()).await?;
        content.push_str(&more);
    }
    long.closed(cx).await?;
    all.push((long, content));
    Ok(all)
}

/// The end is told behind the last bytes and not before.
fn closed_behind(content: usize) -> Alternative<Said> {
    alternative(
        "streamClosed in a control event behind the last bytes, and in none before",
        move |said: &Said| {
            let places = said.places();
            let is_closed = |p: &super::reading::Place| p.control.as_ref().is_some_and(|c| c.stream_closed);
            said.last().is_some_and(|c| c.stream_closed)
                && places.iter().all(|p| !is_closed(p) || p.behind >= content)
        },
    )
}

fn is_closed(said: &Said) -> bool {
    said.last().is_some_and(|c| c.stream_closed)
}

pub(super) async fn last_bytes(cx: &Cx) -> Outcome {
    for (stream, content) in closed_streams(cx).await? {
        let said = Live::open(cx, &stream, "-1").await?.until(is_closed).await?;
        cx.expect(STREAM_SSE_11, &said, &[closed_behind(content.len())])?;
        cx.expect(STREAM_SSE_11, &said, &[text(content)])?;
    }
    Ok(())
}

pub(super) async fn last_bytes_awaited(cx: &Cx) -> Outcome {
    for _ in 0..2 {
        let mut content = cx.token(16);
        let stream = Stream::create(cx, TEXT, &content).await?;
        let mut reader = Live::open(cx, &stream, "-1").await?;
        let said = reader.data(content.len()).await?;
        cx.need(STREAM_SSE_4, &said, &[text(content.clone())])?;
        let last = cx.token(40);
        let reply = cx.send(closing(stream.append(last.clone()))).await?;
        cx.need(STREAM_APPEND_12, &reply, &one_of![closed()])?;
        content.push_str(&last);
        let said = reader.until(is_closed).await?;
        cx.expect(STREAM_SSE_11, &said, &[closed_behind(content.len())])?;
        cx.expect(STREAM_SSE_11, &said, &[text(content)])?;
    }
    Ok(())
}

/// Nothing but the end behind the word that the stream is closed.
fn ended() -> Alternative<Said> {
    alternative("the end behind a control event with streamClosed, and nothing between", |said: &Said| {
        let closes = |c: &super::reading::Place| c.control.as_ref().is_some_and(|c| c.stream_closed);
        said.ended && is_closed(said) && said.places().iter().filter(|p| closes(p)).count() == 1
    })
}

pub(super) async fn ends(cx: &Cx) -> Outcome {
    for (stream, _) in closed_streams(cx).await? {
        let said = Live::open(cx, &stream, "-1").await?.end().await?;
        cx.expect(STREAM_SSE_12, &said, &[ended()])?;
    }
    for body in ["", "the last"] {
        let stream = written(cx).await?;
        let mut reader = Live::open(cx, &stream, "-1").await?;
        reader.needed(16).await?;
        let reply = cx.send(closing(stream.append(body))).await?;
        cx.need(STREAM_CLOSE_1, &reply, &one_of![closed()])?;
        cx.expect(STREAM_SSE_12, &reader.end().await?, &[ended()])?;
    }
    Ok(())
}

pub(super) async fn closed_meanwhile(cx: &Cx) -> Outcome {
    for (content, last) in [("", ""), ("something", ""), ("", "the last"), ("something", "the last")] {
        let stream = Stream::create(cx, TEXT, content).await?;
        let mut readers =
            vec![Live::open(cx, &stream, "now").await?, Live::open(cx, &stream, &stream.start).await?];
        let said = readers[0].controlled(0).await?;
        let open = alternative("a control event without streamClosed", |said: &Said| {
            said.last().is_some_and(|c| !c.stream_closed)
        });
        cx.need(STREAM_SSE_27, &said, &[open])?;
        stream.settled(cx).await?;
        let reply = cx.send(closing(stream.append(last))).await?;
        cx.need(STREAM_CLOSE_1, &reply, &one_of![closed()])?;
        for reader in &mut readers {
            let said = reader.until(is_closed).await?;
            let closed =
                alternative("a control event with streamClosed when the stream is closed", is_closed);
            cx.expect(STREAM_SSE_13, &said, &[closed])?;
            cx.expect(STREAM_SSE_13, &said, &[text(last)])?;
        }
    }
    Ok(())
}

/// One word: closed, and here.
fn end_at(tail: &str) -> Alternative<Said> {
    let name =
        format!("no data, and a control event with streamClosed, upToDate and streamNextOffset {tail:?}");
    let tail = tail.to_owned();
    alternative(name, move |said: &Said| {
        let end = said.last().filter(|_| said.data.is_empty());
        end.is_some_and(|c| c.stream_closed && c.up_to_date && c.stream_next_offset.as_str() == tail)
    })
}

pub(super) async fn closed_tail(cx: &Cx) -> Outcome {
    for (stream, content) in closed_streams(cx).await? {
        let tail = closed_at(cx, &stream).await?;
        let mut offsets = vec![tail.as_str(), &tail];
        if content.is_empty() {
            offsets.push("-1");
        }
        for offset in offsets {
            let said = Live::open(cx, &stream, offset).await?.until(is_closed).await?;
            cx.expect(STREAM_SSE_14, &said, &[end_at(&tail)])?;
        }
    }
    Ok(())
}

pub(super) async fn now_on_closed(cx: &Cx) -> Outcome {
    for (stream, _) in closed_streams(cx).await? {
        let tail = closed_at(cx, &stream).await?;
        let said = Live::open(cx, &stream, "now").await?.end().await?;
        cx.expect(STREAM_SSE_15, &said, &[end_at(&tail)])?;
        let alone =
            alternative("one control event and no data event", |said: &Said| said.known().count() == 1);
        cx.expect(STREAM_SSE_15, &said, &[alone])?;
    }
    Ok(())
}

/// The server ends the event stream of its own accord, neither long before its time nor long after.
pub(super) async fn lifetime(cx: &Cx) -> Outcome {
    let Some(limit) = cx.features().limit(LIMIT).map(Duration::from_millis) else {
        return Err(cx.stop("the limit sse-ms is not known"));
    };
    let stream = proven(cx).await?;
    let since = Instant::now();
    let mut reader = Live::open(cx, &stream, "-1").await?;
    let said = reader.data(32).await?;
    let content = alternative("the content", |said: &Said| said.data.len() == 32 && !said.ended);
    cx.need(STREAM_SSE_4, &said, &[content])?;
    // Something happens, and the event stream goes on: it is no answer to one append.
    stream.appended(cx, cx.token(16)).await?;
    reader.needed(48).await?;
    let longest = limit * 2 + cx.slack();
    let ended = reader.within(longest.saturating_sub(since.elapsed()), |_| false).await?;
    let took = since.elapsed();
    let name = format!("an end between {} and {} ms", limit.as_millis() / 2, longest.as_millis());
    let in_time = alternative(name, move |(said, took): &(Said, Duration)| {
        said.ended && (limit / 2..=longest).contains(took)
    });
    cx.expect(STREAM_SSE_24, &ended.map(|said| (said, took)), &[in_time])?;
    Ok(())
}

/// What is not ended in this time is taken for what stays open.
const SOON: Duration = Duration::from_millis(400);

pub(super) async fn deleted(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let mut live = Live::open(cx, &stream, "-1").await?;
    let _ = live.controlled(32).await?;
    let mut reader = live.into_reader();
    let reply = cx.send(stream.delete()).await?;
    cx.need(STREAM_DELETE_1, &reply, &one_of![answer(204)])?;
    let seen = reader.quiet(SOON).await?;
    let ended = alternative("the end of the event stream", |item: &Option<Item>| *item == Some(Item::End));
    let no_content =
        alternative("silence, or an event that holds no content", |item: &Option<Item>| match item {
            Some(Item::Event(event)) => event.name != DATA,
            other => other.is_none(),
        });
    cx.expect(STREAM_SSE_29, &seen, &[ended, no_content])?;
    Ok(())
}

/// What another stream holds that is made at the URL of one that was deleted is no content of this one.
pub(super) async fn successor(cx: &Cx) -> Outcome {
    let content = cx.token(32);
    let stream = Stream::create(cx, TEXT, &content).await?;
    let mut readers =
        vec![Live::open(cx, &stream, "-1").await?, Live::open(cx, &stream, &stream.start).await?];
    let _ = readers[0].controlled(content.len()).await?;
    // On a busy machine the other may be served last, and then it asks for what is gone.
    let _ = readers[1].for_up_to(SOON, |said| said.last().is_some()).await?;
    stream.settled(cx).await?;
    let reply = cx.send(stream.delete()).await?;
    cx.need(STREAM_DELETE_1, &reply, &one_of![answer(204)])?;
    let made = cx.send(put(&stream.path, TEXT).body(cx.token(16))).await?;
    let made = cx.need(STREAM_CREATE_25, &made, &one_of![answer(201), answer(409), answer(410)])?.status;
    if made == 201 {
        for _ in 0..2 {
            stream.appended(cx, cx.token(48)).await?;
        }
    }
    for (mut reader, content) in readers.into_iter().zip([content.as_str(), ""]) {
        let said = reader.for_a_while(SOON).await?;
        cx.expect(STREAM_SSE_4, &said, &[text(content)])?;
    }
    Ok(())
}
