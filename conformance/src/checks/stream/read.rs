//! Checks of "Read" in spec/stream.md.

mod deleted;
mod tail;

use super::{
    longpoll::{TOO_SLOW, TRIES, patience, until_timeout},
    setting::{OTHER, Stream, TEXT, appended, closed, closing, holds, is_end, next_offset, proven, put},
};
use crate::{
    check::{Alternative, Breaks, Check, Cx, Lane, Need, Outcome, Waits, alternative, answer},
    drives, one_of,
    wire::Seen,
};
use bytes::Bytes;
use futures_util::future::{join, try_join_all};
use std::sync::atomic::{AtomicBool, Ordering};
use wireproof_spec::{
    http::{Request, Response},
    requirement::RequirementId,
    stream::{
        header::{CLOSED, NEXT_OFFSET, UP_TO_DATE, query},
        requirements::*,
    },
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/read/start", &[STREAM_READ_1], drives!(start)),
    Check::new("stream/read/offset", &[STREAM_READ_2], drives!(offset)),
    Check::new("stream/read/while-deleted", &[STREAM_READ_2, STREAM_DELETE_1], drives!(deleted::under_way))
        .needs(&[
            Need::Feature("stream.rate-limit", "off"),
            Need::AtLeast("retained-bytes", deleted::CONTENT as u64),
            Need::AtLeast("max-body-bytes", deleted::CONTENT as u64),
        ])
        .lane(Lane::Alone),
    Check::new("stream/read/split-character", &[STREAM_READ_2], drives!(split_character)),
    Check::new("stream/read/tail", &[STREAM_READ_3], drives!(tail)),
    Check::new("stream/read/up-to-date", &[STREAM_READ_4], drives!(up_to_date)),
    Check::new("stream/read/closed", &[STREAM_READ_5], drives!(told_closed)),
    Check::new("stream/read/tail-of-messages", &[STREAM_READ_4, STREAM_READ_5], drives!(tail::of_messages)),
    Check::new("stream/read/full-answer", &[STREAM_READ_4, STREAM_READ_5], drives!(tail::full_answer))
        .needs(&[Need::AtLeast("retained-bytes", 100_000)]),
    Check::new("stream/read/follow", &[STREAM_READ_6], drives!(followed))
        .needs(&[Need::AtLeast("retained-bytes", 300_000)]),
    Check::new("stream/read/follow-live", &[STREAM_READ_6], drives!(followed_live)),
    Check::new("stream/read/impossible-offset", &[STREAM_READ_7], drives!(impossible_offset)),
    Check::new("stream/read/unknown-live", &[STREAM_READ_8], drives!(unknown_live)),
    Check::new("stream/read/beyond-tail", &[STREAM_READ_9], drives!(beyond_tail)),
    Check::new("stream/read/beyond-tail-live", &[STREAM_READ_9], drives!(beyond_tail_live))
        .waits(Waits::Limit("long-poll-ms", 2)),
    Check::new("stream/read/prefixes", &[STREAM_READ_10], drives!(prefixes)),
    Check::new("stream/read/prefixes-followed", &[STREAM_READ_10], drives!(prefixes_followed)),
    Check::new("stream/read/stops-before-tail", &[STREAM_READ_11], drives!(stops_before_tail))
        .needs(&[Need::AtLeast("retained-bytes", 1_200_000), Need::AtLeast("max-body-bytes", 65_536)]),
    Check::new("stream/read/stops-before-end", &[STREAM_READ_12], drives!(stops_before_end))
        .needs(&[Need::AtLeast("retained-bytes", 1_200_000), Need::AtLeast("max-body-bytes", 65_536)]),
];

/// A new stream whose tail is told alike by the PUT and by a HEAD, so that it can be relied on.
pub(super) async fn fresh(cx: &Cx, content: &str) -> Outcome<Stream> {
    let stream = Stream::create(cx, TEXT, content).await?;
    told(cx, STREAM_CREATE_13, &stream, &stream.start).await?;
    Ok(stream)
}

/// Appends, as set-up. The new tail is told alike by the POST and by a HEAD.
pub(super) async fn grow(cx: &Cx, stream: &Stream, content: &str) -> Outcome<String> {
    let tail = stream.appended(cx, content.to_owned()).await?;
    told(cx, STREAM_APPEND_2, stream, &tail).await?;
    Ok(tail)
}

/// Needs a HEAD to tell this tail too.
pub(super) async fn told(cx: &Cx, stands_on: RequirementId, stream: &Stream, tail: &str) -> Outcome {
    let head = cx.send(stream.head()).await?;
    cx.need(stands_on, &head, &one_of![answer(200).with(NEXT_OFFSET, tail)])?;
    Ok(())
}

/// Follows `Stream-Next-Offset` from this request until so many bytes have come, or until the tail. That each is answered
/// with content is claimed, or else needed.
pub(super) async fn follow(
    cx: &Cx,
    claim: Option<RequirementId>,
    mut request: Request,
    length: usize,
) -> Outcome<Vec<Seen<Response>>> {
    let (mut peer, mut replies, mut got) = (cx.http(), Vec::new(), 0);
    for _ in 0..10_000 {
        let seen = peer.send(request.clone()).await?;
        let content = one_of![answer(200).has(NEXT_OFFSET)];
        let reply = match claim {
            Some(id) => cx.expect(id, &seen, &content)?,
            None => cx.need(STREAM_READ_2, &seen, &content)?,
        };
        got += reply.body.len();
        let end = got >= length || is_end(request.query.get(query::OFFSET).unwrap_or("-1"), reply);
        request.query.set(query::OFFSET, next_offset(reply));
        replies.push(seen);
        if end {
            return Ok(replies);
        }
    }
    Err(cx.stop("following does not come to an end: every answer promises more"))
}

/// Claims that following from this request yields exactly this content, and tells where that ends.
async fn yields(
    cx: &Cx,
    id: RequirementId,
    request: Request,
    content: &str,
) -> Outcome<(usize, Vec<(String, usize)>)> {
    let replies = Seen::all(follow(cx, Some(id), request, content.len()).await?);
    let replies = cx.expect(id, &replies, &[joined(content)])?;
    let mut before = 0;
    let ends = replies.iter().map(|r| {
        before += r.body.len();
        (next_offset(r), before)
    });
    Ok((replies.len(), ends.collect()))
}

pub(super) fn joined(content: &str) -> Alternative<Vec<Response>> {
    let content = content.to_owned();
    let name = format!("together exactly the {} bytes that were written there, in order", content.len());
    alternative(name, move |all: &Vec<Response>| {
        all.iter().flat_map(|r| r.body.iter()).eq(content.as_bytes().iter())
    })
}

async fn start(cx: &Cx) -> Outcome {
    let mut content = cx.token(32);
    let stream = fresh(cx, "").await?;
    grow(cx, &stream, &content).await?;
    for _ in 0..2 {
        for request in [stream.read(), stream.read_at("-1")] {
            let (name, all) = ("bytes from the start on", content.clone());
            let from_start =
                answer(200).and(name, move |r| !r.body.is_empty() && all.as_bytes().starts_with(&r.body));
            let reply = cx.send(request).await?;
            cx.expect(STREAM_READ_1, &reply, &one_of![from_start])?;
        }
        let more = cx.token(32);
        grow(cx, &stream, &more).await?;
        content.push_str(&more);
    }
    Ok(())
}

async fn offset(cx: &Cx) -> Outcome {
    let stream = fresh(cx, "").await?;
    let (mut content, mut given) = (String::new(), vec![(stream.start.clone(), 0)]);
    for _ in 0..3 {
        let more = cx.token(20);
        let tail = grow(cx, &stream, &more).await?;
        content.push_str(&more);
        given.push((tail, content.len()));
        // What reads give out on their way may lie inside of an append.
        let (_, ends) = yields(cx, STREAM_READ_2, stream.read_at("-1"), &content).await?;
        given.extend(ends);
        for (offset, before) in &given {
            yields(cx, STREAM_READ_2, stream.read_at(offset), &content[*before..]).await?;
        }
    }
    Ok(())
}

async fn split_character(cx: &Cx) -> Outcome {
    let text = format!("{}\u{e9}\u{20ac}\u{1f600}{}", cx.token(6), cx.token(6));
    let stream = fresh(cx, "").await?;
    let reply = cx.send(stream.append(&b"\xf0\x9f"[..])).await?;
    let halves = cx.need(STREAM_APPEND_1, &reply, &one_of![appended(), answer(400)])?.status == 204;
    let (mut content, mut offset) = (Vec::new(), stream.start.clone());
    if halves {
        content.extend_from_slice(b"\xf0\x9f");
        offset = next_offset(cx.need(STREAM_APPEND_2, &reply, &one_of![appended()])?);
    }
    let mut given = vec![(stream.start.clone(), 0), (offset, content.len())];
    // Who takes no half of a character gets whole ones: their bytes are more than they are.
    let parts: Vec<Vec<u8>> = match halves {
        true => text.as_bytes().chunks(2).map(<[u8]>::to_vec).collect(),
        false => text.chars().map(|c| c.to_string().into_bytes()).collect(),
    };
    for part in parts {
        content.extend_from_slice(&part);
        given.push((stream.appended(cx, part).await?, content.len()));
    }
    for (offset, before) in given {
        let read = stream.content_from(cx, &offset).await?;
        cx.expect(STREAM_READ_2, &read, &[holds(content[before..].to_vec())])?;
    }
    Ok(())
}

async fn tail(cx: &Cx) -> Outcome {
    let filled = proven(cx).await?;
    let empty = Stream::create(cx, OTHER, "").await?;
    for stream in [filled, empty] {
        let mut tail = stream.start.clone();
        told(cx, STREAM_CREATE_13, &stream, &tail).await?;
        for _ in 0..2 {
            let reply = cx.send(stream.read_at(&tail)).await?;
            let at_tail = answer(200).with(NEXT_OFFSET, tail.clone()).body("");
            cx.expect(STREAM_READ_3, &reply, &one_of![at_tail])?;
            tail = grow(cx, &stream, "more").await?;
        }
    }
    Ok(())
}

async fn up_to_date(cx: &Cx) -> Outcome {
    for content in [cx.token(40), String::new()] {
        let stream = fresh(cx, &content).await?;
        reaches_tail(cx, STREAM_READ_4, &stream, &stream.start, &content, UP_TO_DATE).await?;
        let more = cx.token(20);
        let tail = grow(cx, &stream, &more).await?;
        reaches_tail(cx, STREAM_READ_4, &stream, &tail, &format!("{content}{more}"), UP_TO_DATE).await?;
    }
    Ok(())
}

/// Claims that the answer with the last bytes carries this header, and the empty one behind it too.
async fn reaches_tail(
    cx: &Cx,
    id: RequirementId,
    stream: &Stream,
    tail: &str,
    content: &str,
    header: &str,
) -> Outcome {
    let replies = follow(cx, None, stream.read_at("-1"), content.len()).await?;
    cx.need(STREAM_READ_6, &Seen::all(replies.clone()), &[joined(content)])?;
    let at_tail = cx.send(stream.read_at(tail)).await?;
    for seen in replies.iter().next_back().into_iter().chain([&at_tail]) {
        cx.expect(id, seen, &one_of![answer(200).with(header, "true")])?;
    }
    Ok(())
}

async fn told_closed(cx: &Cx) -> Outcome {
    for content in [cx.token(40), String::new()] {
        let stream = Stream::create(cx, TEXT, &content).await?;
        let tail = stream.closed(cx).await?;
        reaches_tail(cx, STREAM_READ_5, &stream, &tail, &content, CLOSED).await?;

        let born_closed = Stream::nowhere(cx);
        let reply = cx.send(closing(put(&born_closed.path, TEXT)).body(content.clone())).await?;
        let tail = next_offset(cx.need(STREAM_CREATE_11, &reply, &one_of![answer(201).has(NEXT_OFFSET)])?);
        reaches_tail(cx, STREAM_READ_5, &born_closed, &tail, &content, CLOSED).await?;

        let stream = Stream::create(cx, TEXT, &content).await?;
        let last = cx.token(20);
        let reply = cx.send(closing(stream.append(last.clone()))).await?;
        let tail = next_offset(cx.need(STREAM_APPEND_12, &reply, &one_of![closed()])?);
        reaches_tail(cx, STREAM_READ_5, &stream, &tail, &format!("{content}{last}"), CLOSED).await?;
    }
    Ok(())
}

async fn followed(cx: &Cx) -> Outcome {
    /// Longer appends some servers may not want.
    const PIECE: usize = 16 * 1024;
    // Until an answer stops before the tail, if any does.
    for length in [100, 10_000, 300_000] {
        let token = cx.token(8);
        let content: String = (0..length / 20).map(|line| format!("{token} line {line:05}\n")).collect();
        let stream = Stream::create(cx, TEXT, "").await?;
        for piece in content.as_bytes().chunks(PIECE) {
            let tail = stream.appended(cx, Bytes::copy_from_slice(piece)).await?;
            told(cx, STREAM_APPEND_2, &stream, &tail).await?;
        }
        let mut answers = 0;
        for request in [stream.read_at("-1"), stream.long_poll("-1")] {
            let (count, ends) = yields(cx, STREAM_READ_6, request, &content).await?;
            answers += count;
            let end = ends.last().map(|(end, _)| end.clone()).unwrap_or_default();
            let behind = cx.send(stream.read_at(&end)).await?;
            cx.expect(STREAM_READ_6, &behind, &one_of![answer(200).body("")])?;
        }
        if answers > 2 {
            break;
        }
    }
    Ok(())
}

async fn followed_live(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, TEXT, "").await?;
    let (mut content, mut offset) = (String::new(), stream.start.clone());
    let (mut replies, mut got, mut idle) = (Vec::new(), 0, 0);
    for _ in 0..4 {
        let waiting = cx.begin(stream.long_poll(&offset), patience(cx)).await?;
        let more = cx.token(24);
        grow(cx, &stream, &more).await?;
        content.push_str(&more);
        let mut seen = waiting.answer().await?;
        loop {
            let something = answer(200).has(NEXT_OFFSET).and("content", |r| !r.body.is_empty());
            // Who waits for an append that comes late is answered by the timeout, and asks again.
            let timeout = answer(204).has(NEXT_OFFSET);
            let reply = cx.need(STREAM_LONGPOLL_3, &seen, &one_of![something, timeout])?;
            idle += usize::from(reply.status == 204);
            if idle > TRIES {
                return Err(cx.stop(TOO_SLOW));
            }
            got += reply.body.len();
            offset = next_offset(reply);
            replies.push(seen);
            if got >= content.len() {
                break;
            }
            seen = cx.send(stream.long_poll(&offset)).await?;
        }
    }
    cx.expect(STREAM_READ_6, &Seen::all(replies), &[joined(&content)])?;
    Ok(())
}

async fn stops_before_tail(cx: &Cx) -> Outcome {
    let (stream, content) = longer_than_an_answer(cx).await?;
    for request in [stream.read(), stream.long_poll("-1")] {
        partial_without(cx, STREAM_READ_11, request, &content, UP_TO_DATE).await?;
    }
    stream.closed(cx).await?;
    partial_without(cx, STREAM_READ_11, stream.read(), &content, UP_TO_DATE).await
}

async fn stops_before_end(cx: &Cx) -> Outcome {
    let (stream, content) = longer_than_an_answer(cx).await?;
    stream.closed(cx).await?;
    for request in [stream.read(), stream.long_poll("-1")] {
        partial_without(cx, STREAM_READ_12, request, &content, CLOSED).await?;
    }
    Ok(())
}

/// A stream with more content than one answer holds, or, if this server puts so much into one, of a megabyte.
async fn longer_than_an_answer(cx: &Cx) -> Outcome<(Stream, String)> {
    const PIECE: usize = 64 * 1024;
    const MOST: usize = 1024 * 1024;
    let stream = Stream::create(cx, TEXT, "").await?;
    let piece = cx.features().limit("max-body-bytes").map_or(PIECE, |most| PIECE.min(most as usize));
    let (token, mut content) = (cx.token(8), String::new());
    for length in [200, PIECE / 4, PIECE * 2, PIECE * 5, MOST] {
        let before = content.len();
        while content.len() < length {
            content.push_str(&format!("{token} line {:07}\n", content.len() / 22));
        }
        for part in content.as_bytes()[before..].chunks(piece.max(1)) {
            stream.appended(cx, Bytes::copy_from_slice(part)).await?;
        }
        let first = cx.send(stream.read()).await?;
        if cx.need(STREAM_READ_1, &first, &one_of![answer(200)])?.body.len() < content.len() {
            break;
        }
    }
    Ok((stream, content))
}

/// Claims of each answer up to the tail that it does not carry this header if it stops before the tail.
async fn partial_without(
    cx: &Cx,
    id: RequirementId,
    request: Request,
    content: &str,
    header: &str,
) -> Outcome {
    let replies = follow(cx, None, request, content.len()).await?;
    cx.need(STREAM_READ_6, &Seen::all(replies.clone()), &[joined(content)])?;
    let mut rest = content.len();
    for seen in replies {
        let length = rest;
        let stops = answer(200).without(header).and("a part of the content", move |r| r.body.len() < length);
        let ends = answer(200).and("the last part of the content", move |r| r.body.len() == length);
        let all = answer(200).and("the whole content in one answer", move |r| r.body.len() == length);
        let end = if length == content.len() { all } else { ends };
        rest -= cx.expect(id, &seen, &one_of![stops, end])?.body.len().min(length);
    }
    Ok(())
}

/// A stream that has content behind the offset at which it was made.
async fn grown(cx: &Cx) -> Outcome<Stream> {
    let stream = proven(cx).await?;
    stream.appended(cx, cx.token(16)).await?;
    Ok(stream)
}

async fn impossible_offset(cx: &Cx) -> Outcome {
    for character in [',', '&', '=', '?', '/', '\n'] {
        for request in [Stream::read_at, Stream::long_poll] {
            cx.refused(
                STREAM_READ_7,
                Breaks::Form,
                grown,
                |stream| request(stream, &stream.start),
                |stream, request| {
                    let (mut token, middle) = (stream.start.clone(), stream.start.len() / 2);
                    let at = (0..=middle).rev().find(|at| token.is_char_boundary(*at)).unwrap_or(0);
                    token.insert(at, character);
                    request.query.set(query::OFFSET, token);
                },
                (STREAM_READ_2, &one_of![answer(200).has(NEXT_OFFSET)]),
                &one_of![answer(400)],
            )
            .await?;
        }
    }
    Ok(())
}

async fn unknown_live(cx: &Cx) -> Outcome {
    for live in ["bogus", "true"] {
        cx.refused(
            STREAM_READ_8,
            Breaks::Form,
            proven,
            |stream| stream.long_poll("-1"),
            |_, request| request.query.set(query::LIVE, live),
            (STREAM_LONGPOLL_2, &one_of![answer(200).has(NEXT_OFFSET)]),
            &one_of![answer(400)],
        )
        .await?;
    }
    Ok(())
}

async fn beyond_tail(cx: &Cx) -> Outcome {
    let (stream, beyond) = beyond(cx).await?;
    let reply = cx.send(stream.read_at(&beyond)).await?;
    stream.appended(cx, "[first").await?;
    misses_nothing(cx, &stream, reply).await
}

async fn beyond_tail_live(cx: &Cx) -> Outcome {
    let (stream, beyond) = beyond(cx).await?;
    let asked = cx.begin(stream.long_poll(&beyond), until_timeout(cx)).await?;
    stream.settled(cx).await?;
    stream.appended(cx, "[first").await?;
    misses_nothing(cx, &stream, asked.answer().await?).await
}

const LONG: &str =
    "a hundred bytes, so that this stream is longer than the other in bytes and in appends alike ........";

/// A stream, and an offset beyond its tail: the tail of another, that has more bytes and more appends.
async fn beyond(cx: &Cx) -> Outcome<(Stream, String)> {
    let stream = proven(cx).await?;
    let longer = Stream::create(cx, TEXT, "").await?;
    let mut tail = String::new();
    for _ in 0..5 {
        tail = longer.appended(cx, LONG).await?;
    }
    Ok((stream, tail))
}

/// Claims that who follows from this answer is refused, or gets all that was appended since.
async fn misses_nothing(cx: &Cx, stream: &Stream, first: Seen<Response>) -> Outcome {
    let mut later = "[first".to_owned();
    let (mut seen, mut replies, mut grown) = (first, Vec::new(), false);
    for _ in 0..10_000 {
        let told = one_of![
            answer(200).has(NEXT_OFFSET),
            answer(204).has(NEXT_OFFSET),
            answer(400),
            answer(404),
            answer(409),
            answer(410),
            answer(416),
        ];
        let reply = cx.expect(STREAM_READ_9, &seen, &told)?;
        if reply.status >= 400 {
            // Who is refused knows that; and from an offset of this stream everything can be read.
            let read = stream.content_from(cx, &stream.start).await?;
            cx.need(STREAM_READ_2, &read, &[holds(later)])?;
            return Ok(());
        }
        let (next, nothing) = (next_offset(reply), reply.body.is_empty());
        replies.push(seen);
        seen = cx.send(stream.read_at(&next)).await?;
        let same = seen.look().is_ok_and(|r| r.body.is_empty() && next_offset(r) == next);
        if nothing && same && grown {
            let whole = later.clone();
            let all = alternative("in the end all that was appended since", move |all: &Vec<Response>| {
                let got: Vec<u8> = all.iter().flat_map(|r| r.body.to_vec()).collect();
                got.ends_with(whole.as_bytes())
            });
            cx.expect(STREAM_READ_9, &Seen::all(replies), &[all])?;
            return Ok(());
        }
        if nothing && same {
            // At rest: now the stream grows past the place at which it was asked.
            for _ in 0..7 {
                stream.appended(cx, LONG).await?;
                later.push_str(LONG);
            }
            grown = true;
            seen = cx.send(stream.read_at(&next)).await?;
        }
    }
    Err(cx.stop("following does not come to an end: every answer promises more"))
}

/// So often readers and writers race: what they look for is rare.
const ROUNDS: usize = 5;

async fn prefixes(cx: &Cx) -> Outcome {
    for _ in 0..ROUNDS {
        while_growing(cx, false).await?;
    }
    Ok(())
}

async fn prefixes_followed(cx: &Cx) -> Outcome {
    for _ in 0..ROUNDS {
        while_growing(cx, true).await?;
    }
    Ok(())
}

/// Several writers, and until they have finished readers who read over and over, or follow.
async fn while_growing(cx: &Cx, follows: bool) -> Outcome {
    const WRITERS: usize = 4;
    const READERS: usize = 3;
    let stream = Stream::create(cx, TEXT, "").await?;
    let done = AtomicBool::new(false);
    let writers = async {
        let written = try_join_all((0..WRITERS).map(|_| write(cx, &stream))).await;
        done.store(true, Ordering::Relaxed);
        written
    };
    let readers = try_join_all((0..READERS).map(async |_| match follows {
        true => read_on(cx, &stream, &done).await,
        false => read_over(cx, &stream, &done).await,
    }));
    let (written, readers) = join(writers, readers).await;
    let appends: Vec<String> = written?.concat();
    let content = stream.content(cx).await?;
    let length = appends.concat().len();
    let all = alternative("every append once", move |read: &Bytes| {
        let text = String::from_utf8_lossy(read);
        read.len() == length && appends.iter().all(|append| text.contains(append))
    });
    cx.need(STREAM_CONTENT_5, &content, &[all])?;
    for got in readers?.into_iter().flatten() {
        let prefix = alternative("a prefix of what the stream holds in the end", |pair: &(Bytes, Bytes)| {
            pair.1.starts_with(&pair.0)
        });
        cx.expect(STREAM_READ_10, &got.and(content.clone()), &[prefix])?;
    }
    Ok(())
}

async fn write(cx: &Cx, stream: &Stream) -> Outcome<Vec<String>> {
    const APPENDS: usize = 8;
    let (mut peer, mut written) = (cx.http(), Vec::new());
    for _ in 0..APPENDS {
        let content = format!("{}.", cx.token(5));
        let reply = peer.send(stream.append(content.clone())).await?;
        cx.need(STREAM_APPEND_1, &reply, &one_of![appended()])?;
        written.push(content);
    }
    Ok(written)
}

/// More answers than this no reader waits for while a few dozen appends are made.
const MOST_READS: usize = 2_000;

/// Reads from the start to the tail, over and over.
async fn read_over(cx: &Cx, stream: &Stream, done: &AtomicBool) -> Outcome<Vec<Seen<Bytes>>> {
    let mut read = Vec::new();
    while !done.load(Ordering::Relaxed) && read.len() < MOST_READS {
        read.push(stream.content(cx).await?);
    }
    Ok(read)
}

/// Follows the stream as it grows: all that came, in the order in which it came.
async fn read_on(cx: &Cx, stream: &Stream, done: &AtomicBool) -> Outcome<Vec<Seen<Bytes>>> {
    let (mut peer, mut offset, mut read) = (cx.http(), "-1".to_owned(), Vec::new());
    while !done.load(Ordering::Relaxed) && read.len() < MOST_READS {
        let seen = peer.send(stream.read_at(&offset)).await?;
        offset = next_offset(cx.need(STREAM_READ_2, &seen, &one_of![answer(200).has(NEXT_OFFSET)])?);
        read.push(seen);
    }
    let all = Seen::all(read).map(|all| all.iter().flat_map(|r| r.body.to_vec()).collect::<Vec<u8>>().into());
    Ok(vec![all])
}
