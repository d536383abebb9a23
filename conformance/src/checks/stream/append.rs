//! Checks of "Append" in spec/stream.md.

mod limit;
mod many;
mod refused;
mod sequence;

use super::{
    longpoll::patience,
    setting::{
        OTHER, Stream, TEXT, appended, by, closed, closing, holds, next_offset, odd_contents, shut,
        shut_in_every_way, written,
    },
};
use crate::{
    check::{Alternative, Breaks, Check, Cx, Lane, Need, Outcome, Waits, alternative, answer},
    drives, one_of,
    wire::{Seen, http::Pending},
};
use bytes::Bytes;
use futures_util::future::{join3, try_join, try_join_all};
use std::sync::atomic::{AtomicBool, Ordering};
use wireproof_spec::{
    http::{Body, Request, Response},
    stream::{
        header::{CLOSED, CONTENT_TYPE, NEXT_OFFSET, UP_TO_DATE},
        requirements::*,
    },
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/append/appends", &[STREAM_APPEND_1], drives!(appends)),
    Check::new("stream/append/odd-content", &[STREAM_APPEND_1], drives!(odd_content)),
    Check::new("stream/append/in-one-life", &[STREAM_APPEND_1], drives!(many::in_one_life))
        .needs(&[Need::Feature("stream.rate-limit", "off")])
        .lane(Lane::Last)
        .waits(Waits::Millis(many::TIME_MS)),
    Check::new("stream/append/new-tail", &[STREAM_APPEND_2], drives!(new_tail)),
    Check::new("stream/append/new-tail-of-producer", &[STREAM_APPEND_2], drives!(sequence::new_tail)),
    Check::new("stream/append/missing-stream", &[STREAM_APPEND_3], drives!(missing_stream)),
    Check::new("stream/append/other-media-type", &[STREAM_APPEND_4], drives!(other_media_type)),
    Check::new("stream/append/other-media-type-writes-nothing", &[STREAM_APPEND_5], drives!(writes_nothing)),
    Check::new("stream/append/no-media-type", &[STREAM_APPEND_6], drives!(no_media_type)),
    Check::new("stream/append/empty-body", &[STREAM_APPEND_7], drives!(empty_body)),
    Check::new("stream/append/chunked", &[STREAM_APPEND_8], drives!(chunked)),
    Check::new("stream/append/cut-off", &[STREAM_APPEND_9], drives!(cut_off)),
    Check::new("stream/append/closed", &[STREAM_APPEND_10], drives!(on_closed)),
    Check::new("stream/append/closed-before-media-type", &[STREAM_APPEND_11], drives!(closed_first)),
    Check::new("stream/append/closing", &[STREAM_APPEND_12], drives!(appends_and_closes)),
    Check::new("stream/append/closing-at-tail", &[STREAM_APPEND_12], drives!(closing_at_tail)),
    Check::new("stream/append/closing-awaited", &[STREAM_APPEND_12], drives!(closing_awaited)),
    Check::new("stream/append/seq-not-rising", &[STREAM_APPEND_13], drives!(sequence::not_rising)),
    Check::new("stream/append/seq-rising", &[STREAM_APPEND_14], drives!(sequence::rising)),
    Check::new("stream/append/seq-long", &[STREAM_APPEND_14, STREAM_APPEND_13], drives!(sequence::long)),
    Check::new(
        "stream/append/seq-beyond-ascii",
        &[STREAM_APPEND_14, STREAM_APPEND_13],
        drives!(sequence::beyond_ascii),
    ),
    Check::new("stream/append/seq-writes-nothing", &[STREAM_APPEND_15], drives!(sequence::writes_nothing)),
    Check::new("stream/append/seq-refused", &[STREAM_APPEND_16], drives!(sequence::refused_counts_not)),
    Check::new("stream/append/seq-of-another-writer", &[STREAM_APPEND_21], drives!(sequence::another_writer))
        .needs(&[Need::Second]),
    Check::new("stream/append/seq-race", &[STREAM_APPEND_17], drives!(sequence::race)),
    Check::new(
        "stream/append/media-type-before-seq",
        &[STREAM_APPEND_18],
        drives!(sequence::media_type_first),
    ),
    Check::new("stream/append/refused-and-open", &[STREAM_APPEND_20], drives!(refused::leaves_open)),
    Check::new("stream/append/too-long", &[STREAM_APPEND_19], drives!(limit::too_long))
        .needs(&[Need::Limit(limit::LIMIT)]),
];

async fn appends(cx: &Cx) -> Outcome {
    const WITH_PARAMETER: &str = "text/plain; charset=utf-8";
    for (created, appended_as) in [(TEXT, [TEXT, "TEXT/Plain", TEXT]), (WITH_PARAMETER, [WITH_PARAMETER; 3])]
    {
        let mut content = cx.token(16);
        let stream = Stream::create(cx, created, &content).await?;
        for media_type in appended_as {
            let more = format!(" {}", cx.token(16));
            let mut request = stream.append(more.clone());
            request.headers.set(CONTENT_TYPE, media_type);
            let reply = cx.send(request).await?;
            cx.expect(STREAM_APPEND_1, &reply, &one_of![answer(204)])?;
            content.push_str(&more);
            let read = stream.content(cx).await?;
            cx.expect(STREAM_APPEND_1, &read, &[holds(content.clone())])?;
        }
    }
    Ok(())
}

async fn odd_content(cx: &Cx) -> Outcome {
    for (media_type, part) in odd_contents() {
        let stream = Stream::create(cx, media_type, "").await?;
        for times in 1..=2 {
            let reply = cx.send(stream.append(part.clone())).await?;
            cx.expect(STREAM_APPEND_1, &reply, &one_of![answer(204)])?;
            let read = stream.content(cx).await?;
            cx.expect(STREAM_APPEND_1, &read, &[holds(part.repeat(times))])?;
        }
    }
    Ok(())
}

async fn new_tail(cx: &Cx) -> Outcome {
    let stream = written(cx).await?;
    let mut before = stream.start.clone();
    for content in ["one", "another", "third"] {
        let reply = cx.send(stream.append(content)).await?;
        let head = cx.send(stream.head()).await?;
        let tail = next_offset(cx.need(STREAM_HEAD_1, &head, &one_of![answer(200).has(NEXT_OFFSET)])?);
        cx.expect(STREAM_APPEND_2, &reply, &one_of![answer(204).with(NEXT_OFFSET, tail.clone())])?;
        // Between the tail before and the new one lies what was appended, and nothing behind.
        let rest = stream.content_from(cx, &before).await?;
        cx.expect(STREAM_APPEND_2, &rest, &[holds(content)])?;
        let rest = stream.content_from(cx, &tail).await?;
        cx.expect(STREAM_APPEND_2, &rest, &[holds("")])?;
        before = tail;
    }
    Ok(())
}

async fn missing_stream(cx: &Cx) -> Outcome {
    let nowhere = Stream::nowhere(cx);
    cx.refused(
        STREAM_APPEND_3,
        Breaks::Fit,
        written,
        |stream| stream.append("x"),
        |_, request| request.path = nowhere.path.clone(),
        (STREAM_APPEND_1, &one_of![appended()]),
        &one_of![answer(404)],
    )
    .await
}

async fn other_media_type(cx: &Cx) -> Outcome {
    // Also where only the first or only the second half of the type differs.
    for (media_type, other) in [(TEXT, OTHER), (TEXT, "text/csv"), (TEXT, "image/plain"), (OTHER, TEXT)] {
        cx.refused(
            STREAM_APPEND_4,
            Breaks::Fit,
            |cx| Stream::create(cx, media_type, "something"),
            |stream| stream.append("x"),
            |_, request| request.headers.set(CONTENT_TYPE, other),
            (STREAM_APPEND_1, &one_of![appended()]),
            &one_of![answer(409).without(CLOSED)],
        )
        .await?;
    }
    Ok(())
}

async fn writes_nothing(cx: &Cx) -> Outcome {
    let mut content = cx.token(16);
    let stream = Stream::create(cx, TEXT, &content).await?;
    for _ in 0..2 {
        let mut request = stream.append(cx.token(16));
        request.headers.set(CONTENT_TYPE, OTHER);
        let reply = cx.send(request).await?;
        cx.need(STREAM_APPEND_4, &reply, &one_of![answer(409)])?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_APPEND_5, &read, &[holds(content.clone())])?;
        // The stream still takes what fits, and it lands where the refused would have stood.
        let more = cx.token(16);
        stream.appended(cx, more.clone()).await?;
        content.push_str(&more);
        let read = stream.content(cx).await?;
        cx.expect(STREAM_APPEND_5, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

async fn no_media_type(cx: &Cx) -> Outcome {
    cx.refused(
        STREAM_APPEND_6,
        Breaks::Form,
        written,
        |stream| stream.append("x"),
        |_, request| request.headers.remove(CONTENT_TYPE),
        (STREAM_APPEND_1, &one_of![appended()]),
        &one_of![answer(400)],
    )
    .await
}

async fn empty_body(cx: &Cx) -> Outcome {
    cx.refused(
        STREAM_APPEND_7,
        Breaks::Form,
        written,
        |stream| stream.append("x"),
        |_, request| request.body = Body::default(),
        (STREAM_APPEND_1, &one_of![appended()]),
        &one_of![answer(400)],
    )
    .await?;
    // With a value that closes nothing it does not close either.
    let stream = written(cx).await?;
    let reply = cx.send_broken(stream.append("").header(CLOSED, "false")).await?;
    cx.expect(STREAM_APPEND_7, &reply, &one_of![answer(400)])?;
    empty_in_chunks(cx).await
}

/// An empty body is empty in chunks too, where chunks are taken at all.
async fn empty_in_chunks(cx: &Cx) -> Outcome {
    let stream = written(cx).await?;
    let mut peer = cx.raw().await?;
    let request = stream.append("x").header("connection", "close");
    let sent = peer.send_chunked(&request, 1, true).await;
    let twin = peer.answer(sent).await?;
    if twin.look().is_ok_and(|raw| raw.head.status == 204) {
        let mut peer = cx.raw().await?;
        let sent = peer.send_chunked(&Request { body: Body::default(), ..request }, 1, false).await;
        peer.write(b"0\r\n\r\n").await;
        let reply = peer.answer(sent).await?.map(|raw| raw.head);
        cx.expect(STREAM_APPEND_7, &reply, &one_of![answer(400)])?;
    }
    Ok(())
}

async fn chunked(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, TEXT, "").await?;
    let content = cx.token(48);
    let request = stream.append(content.clone()).header("connection", "close");
    let mut peer = cx.raw().await?;
    let sent = peer.send_chunked(&request, 7, true).await;
    let reply = peer.answer(sent).await?.map(|raw| raw.head);
    cx.expect(STREAM_APPEND_8, &reply, &one_of![answer(204)])?;
    let read = stream.content(cx).await?;
    cx.expect(STREAM_APPEND_8, &read, &[holds(content)])?;
    Ok(())
}

async fn cut_off(cx: &Cx) -> Outcome {
    // Short and longer than any buffer of one read. Each on a stream of its own, so that what a server keeps late of one
    // is not taken for something else in the next.
    let lengths = [48, 64 * 1024].repeat(2).into_iter();
    for (length, chunked) in lengths.flat_map(|length| [(length, true), (length, false)]) {
        let content = cx.token(16);
        let stream = Stream::create(cx, TEXT, &content).await?;
        let sent = cx.token(16).repeat(length / 16);
        let mut peer = cx.raw().await?;
        let request = stream.append(sent.clone());
        if chunked {
            let _ = peer.send_chunked(&request, length / 3, false).await;
        } else {
            let head =
                Request { body: Body::default(), ..request }.header("content-length", length.to_string());
            let head = peer.head(&head);
            peer.write(&[&head[..], &sent.as_bytes()[..length / 2]].concat()).await;
        }
        peer.cut().await;
        stream.settled(cx).await?;
        // An append behind it shows where the stream goes on, and that it goes on.
        let behind = format!("|{}|", cx.token(16));
        stream.appended(cx, behind.clone()).await?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_APPEND_9, &read, &nothing_or_prefix(&content, &sent, &behind))?;
    }
    Ok(())
}

/// The remains of a cut append may be in the content before or behind the one that came after it.
fn nothing_or_prefix(content: &str, sent: &str, behind: &str) -> [Alternative<Bytes>; 2] {
    let nothing = format!("{content}{behind}");
    let (content, sent, behind) = (content.to_owned(), sent.to_owned(), behind.to_owned());
    let prefix = move |read: &Bytes| {
        let Some(rest) = std::str::from_utf8(read).ok().and_then(|r| r.strip_prefix(&content)) else {
            return false;
        };
        rest.strip_suffix(&behind)
            .or_else(|| rest.strip_prefix(&behind))
            .is_some_and(|kept| sent.starts_with(kept))
    };
    [
        alternative("nothing of the append that was cut off", move |read: &Bytes| {
            *read == nothing.as_bytes()
        }),
        alternative("a prefix of what was sent", prefix),
    ]
}

async fn on_closed(cx: &Cx) -> Outcome {
    for stream in shut_in_every_way(cx).await? {
        let tail = stream.told_tail(cx).await?;
        let late = stream.append("late");
        let late = [by(late.clone(), "one", 0, 0), closing(late.clone()), late];
        for request in late.iter().chain(&late) {
            let reply = cx.send(request.clone()).await?;
            let refusal = answer(409).with(CLOSED, "true").with(NEXT_OFFSET, tail.clone());
            cx.expect(STREAM_APPEND_10, &reply, &one_of![refusal])?;
        }
    }
    Ok(())
}

async fn closed_first(cx: &Cx) -> Outcome {
    let open = written(cx).await?;
    let mut request = open.append("late");
    request.headers.set(CONTENT_TYPE, OTHER);
    let reply = cx.send(request.clone()).await?;
    cx.need(STREAM_APPEND_4, &reply, &one_of![answer(409).without(CLOSED)])?;
    request.path = shut(cx).await?.path;
    let reply = cx.send(request).await?;
    cx.expect(STREAM_APPEND_11, &reply, &one_of![answer(409).with(CLOSED, "true")])?;
    Ok(())
}

async fn appends_and_closes(cx: &Cx) -> Outcome {
    const WRITERS: usize = 6;
    for round in 0..6 {
        let stream = Stream::create(cx, TEXT, "").await?;
        let last = format!("[{}]", cx.token(16));
        let mut closer = cx.http();
        let mut writers: Vec<_> = (0..WRITERS).map(|_| cx.http()).collect();
        let others = try_join_all(writers.iter_mut().map(|peer| peer.send(stream.append("."))));
        let close = closer.send(closing(stream.append(last.clone())));
        let (ask, over) = (stream.read(), AtomicBool::new(false));
        let readers = watch(cx, &ask, &last, &over);
        // Whoever is polled first sends first.
        let (closed, others, watched) = match round % 2 {
            0 => join3(close, others, readers).await,
            _ => {
                let (others, close, readers) = join3(others, close, readers).await;
                (close, others, readers)
            }
        };
        let (closed, others, watched) = (closed?, others?, watched?);
        cx.expect(STREAM_APPEND_12, &closed, &one_of![appended()])?;
        let whole =
            alternative("204 before the close, or 409 and Stream-Closed behind it", |all: &Vec<Response>| {
                all.iter()
                    .all(|r| r.status == 204 || (r.status == 409 && r.headers.get(CLOSED) == Some("true")))
            });
        let others = Seen::all(others);
        let accepted = cx.expect(STREAM_APPEND_12, &others, &[whole])?;
        let dots = accepted.iter().filter(|r| r.status == 204).count();
        let read = stream.content(cx).await?;
        cx.expect(STREAM_APPEND_12, &read, &[holds(format!("{}{last}", ".".repeat(dots)))])?;
        cx.expect(STREAM_APPEND_12, &watched, &[never_without_closure(&last)])?;
        let late = cx.send(stream.append("late")).await?;
        cx.expect(STREAM_APPEND_12, &late, &one_of![answer(409).with(CLOSED, "true")])?;
    }
    Ok(())
}

/// Readers who have everything but what comes with the closure.
async fn closing_at_tail(cx: &Cx) -> Outcome {
    const READERS: usize = 4;
    for _ in 0..8 {
        let stream = Stream::create(cx, TEXT, "before").await?;
        let last = format!("[{}]", cx.token(16));
        let (ask, over) = (stream.read_at(&stream.start), AtomicBool::new(false));
        let readers = try_join_all((0..READERS).map(|_| watch(cx, &ask, &last, &over)));
        let close = async {
            let closed = cx.http().send(closing(stream.append(last.clone()))).await;
            over.store(true, Ordering::Relaxed);
            closed
        };
        let (closed, watched) = try_join(close, readers).await?;
        cx.expect(STREAM_APPEND_12, &closed, &one_of![appended()])?;
        for watched in watched {
            cx.expect(STREAM_APPEND_12, &watched, &[never_without_closure(&last)])?;
        }
        let read = stream.content(cx).await?;
        cx.expect(STREAM_APPEND_12, &read, &[holds(format!("before{last}"))])?;
    }
    Ok(())
}

/// Those who wait for the next append are readers too.
async fn closing_awaited(cx: &Cx) -> Outcome {
    const READERS: usize = 4;
    for content in ["", "before"] {
        let stream = Stream::create(cx, TEXT, content).await?;
        let last = format!("[{}]", cx.token(16));
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(cx.begin(stream.long_poll(&stream.start), patience(cx)).await?);
        }
        stream.settled(cx).await?;
        let reply = cx.send(closing(stream.append(last.clone()))).await?;
        cx.expect(STREAM_APPEND_12, &reply, &one_of![closed()])?;
        let woken = Seen::all(try_join_all(readers.into_iter().map(Pending::answer)).await?);
        let answered = alternative("each answered with 200 or 204", |all: &Vec<Response>| {
            all.iter().all(|r| matches!(r.status, 200 | 204))
        });
        cx.need(STREAM_LONGPOLL_3, &woken, &[answered])?;
        cx.expect(STREAM_APPEND_12, &woken, &[never_without_closure(&last)])?;
    }
    Ok(())
}

/// Reads over and over until the last append is there, or once more when it is over.
async fn watch(cx: &Cx, ask: &Request, last: &str, over: &AtomicBool) -> Outcome<Seen<Vec<Response>>> {
    let mut peer = cx.http();
    let mut seen = Vec::new();
    for _ in 0..200 {
        let is_over = over.load(Ordering::Relaxed);
        let reply = peer.send(ask.clone()).await?;
        let read = cx.need(STREAM_READ_1, &reply, &one_of![answer(200)])?;
        let done = is_over || read.body.ends_with(last.as_bytes());
        seen.push(reply);
        if done {
            break;
        }
    }
    Ok(Seen::all(seen))
}

fn never_without_closure(last: &str) -> Alternative<Vec<Response>> {
    let last = last.to_owned();
    alternative("never the last append at the tail of an open stream", move |all: &Vec<Response>| {
        let at_tail =
            |r: &&Response| r.body.ends_with(last.as_bytes()) && r.headers.get(UP_TO_DATE).is_some();
        all.iter().filter(at_tail).all(|r| r.headers.get(CLOSED) == Some("true"))
    })
}
