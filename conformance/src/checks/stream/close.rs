//! Checks of "Close" in spec/stream.md.

use super::{
    longpoll::{TRIES, before_timeout, limit, patience, steady::all_in_time},
    setting::{
        OTHER, Stream, TEXT, appended, closed, closing, created, holds, proven, put, shut_in_every_way,
        written,
    },
};
use crate::{
    check::{Answer, Breaks, Check, Cx, Hook, Lane, Need, Outcome, alternative, answer},
    drives, one_of,
    wire::Seen,
};
use bytes::Bytes;
use futures_util::future::{try_join, try_join_all};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use wireproof_spec::{
    http::{Request, Response},
    requirement::RequirementId,
    stream::{
        header::{CLOSED, CONTENT_TYPE, NEXT_OFFSET},
        requirements::*,
    },
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/close/closes", &[STREAM_CLOSE_1], drives!(closes)),
    Check::new("stream/close/closed-with-body", &[STREAM_CLOSE_2], drives!(closed_with_body)),
    Check::new("stream/close/any-media-type", &[STREAM_CLOSE_3], drives!(any_media_type)),
    Check::new("stream/close/missing-stream", &[STREAM_CLOSE_4], drives!(missing_stream)),
    Check::new("stream/close/race", &[STREAM_CLOSE_5], drives!(race)),
    Check::new("stream/close/restart", &[STREAM_CLOSE_6], drives!(restart))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("stream/close/wakes-readers", &[STREAM_CLOSE_7], drives!(wakes_readers)),
    Check::new("stream/close/any-case", &[STREAM_CLOSE_8], drives!(any_case)),
    Check::new("stream/close/other-value", &[STREAM_CLOSE_9], drives!(other_value)),
    Check::new("stream/close/other-value-at-creation", &[STREAM_CLOSE_10], drives!(other_value_at_creation)),
    Check::new("stream/close/again", &[STREAM_CLOSE_12], drives!(again)),
    Check::new("stream/close/other-value-accepted", &[STREAM_CLOSE_11], drives!(other_value_accepted)),
];

/// Values that close nothing.
const OTHER_VALUES: [&str; 6] = ["false", "yes", "1", "", "truetrue", "closed"];

/// What a closed stream says to an append.
fn refused() -> Answer {
    answer(409).with(CLOSED, "true")
}

async fn closes(cx: &Cx) -> Outcome {
    for content in [cx.token(24), String::new()] {
        let stream = Stream::create(cx, TEXT, &content).await?;
        let tail = stream.told_tail(cx).await?;
        let reply = cx.send(stream.close()).await?;
        cx.expect(STREAM_CLOSE_1, &reply, &one_of![closed().with(NEXT_OFFSET, tail.clone())])?;
        let late = cx.send(stream.append("late")).await?;
        cx.expect(STREAM_CLOSE_1, &late, &one_of![refused()])?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_CLOSE_1, &read, &[holds(content)])?;
    }
    Ok(())
}

async fn again(cx: &Cx) -> Outcome {
    for stream in shut_in_every_way(cx).await? {
        // Whoever does not know whether a close arrived repeats it, perhaps more than once.
        for _ in 0..2 {
            let reply = cx.send(stream.close()).await?;
            cx.expect(STREAM_CLOSE_12, &reply, &one_of![answer(204)])?;
        }
        let late = cx.send(stream.append("late")).await?;
        cx.need(STREAM_APPEND_10, &late, &one_of![refused()])?;
    }
    Ok(())
}

async fn closed_with_body(cx: &Cx) -> Outcome {
    let closed_streams = shut_in_every_way(cx).await?;
    for stream in &closed_streams {
        cx.refused(
            STREAM_CLOSE_2,
            Breaks::Fit,
            written,
            |open| closing(open.append("last")),
            |_, request| request.path = stream.path.clone(),
            (STREAM_APPEND_12, &one_of![closed()]),
            &one_of![answer(409)],
        )
        .await?;
    }
    // A repetition of the very request that closed the stream is one too.
    let stream = written(cx).await?;
    let request = closing(stream.append(cx.token(8)));
    cx.need(STREAM_APPEND_12, &cx.send(request.clone()).await?, &one_of![closed()])?;
    for _ in 0..2 {
        let again = cx.send(request.clone()).await?;
        cx.expect(STREAM_CLOSE_2, &again, &one_of![answer(409)])?;
    }
    Ok(())
}

async fn any_media_type(cx: &Cx) -> Outcome {
    for media_type in [None, Some(OTHER), Some("application/json"), Some("image/png; q=\"1\"")] {
        let twin = written(cx).await?;
        let mut request = twin.close();
        request.headers.set(CONTENT_TYPE, TEXT);
        cx.need(STREAM_CLOSE_1, &cx.send(request.clone()).await?, &one_of![closed()])?;
        let stream = written(cx).await?;
        request.path = stream.path.clone();
        match media_type {
            Some(media_type) => request.headers.set(CONTENT_TYPE, media_type),
            None => request.headers.remove(CONTENT_TYPE),
        }
        let reply = cx.send(request).await?;
        cx.expect(STREAM_CLOSE_3, &reply, &one_of![answer(204)])?;
        let late = cx.send(stream.append("late")).await?;
        cx.expect(STREAM_CLOSE_3, &late, &one_of![refused()])?;
    }
    Ok(())
}

async fn missing_stream(cx: &Cx) -> Outcome {
    for body in ["", "last"] {
        let nowhere = Stream::nowhere(cx);
        cx.refused(
            STREAM_CLOSE_4,
            Breaks::Fit,
            written,
            |stream| if body.is_empty() { stream.close() } else { closing(stream.append(body)) },
            |_, request| request.path = nowhere.path.clone(),
            (STREAM_CLOSE_1, &one_of![closed()]),
            &one_of![answer(404)],
        )
        .await?;
    }
    Ok(())
}

async fn race(cx: &Cx) -> Outcome {
    const WRITERS: usize = 5;
    let rounds = [&[""][..], &["!"], &["", "!"], &[""]].repeat(3);
    for (round, closers) in rounds.into_iter().enumerate() {
        let stream = Stream::create(cx, TEXT, "").await?;
        let known = AtomicBool::new(false);
        let writers = try_join_all((0..WRITERS).map(|_| writes_on(cx, &stream, &known)));
        let closers = try_join_all(closers.iter().map(|last| closes_amid(cx, &stream, last, &known)));
        // Whoever starts last may well be served first: each in turn.
        let (written, closed) = if round % 2 == 0 {
            try_join(writers, closers).await?
        } else {
            try_join(closers, writers).await.map(|(closed, written)| (written, closed))?
        };
        let (late, _): (Vec<_>, Vec<_>) = written.into_iter().flatten().partition(|(late, _)| *late);
        let late = late.into_iter().map(|(_, reply)| reply).chain([cx.send(stream.append("late")).await?]);
        let none = alternative("409 and Stream-Closed for each later append", |all: &Vec<Response>| {
            all.iter().all(|r| r.status == 409 && r.headers.get(CLOSED) == Some("true"))
        });
        let late = Seen::all(late);
        cx.expect(STREAM_CLOSE_5, &late, &[none])?;
        let tail = stream.told_tail(cx).await?;
        let same = {
            let tail = tail.clone();
            alternative("the same tail in each", move |all: &Vec<Response>| {
                all.iter().all(|r| r.headers.get(NEXT_OFFSET).is_none_or(|told| told == tail))
            })
        };
        let told = Seen::all(closed).and(late).map(|(closed, late)| [closed, late].concat());
        cx.expect(STREAM_CLOSE_5, &told, &[same])?;
        let head = cx.send(stream.head()).await?;
        let still = answer(200).with(CLOSED, "true").with(NEXT_OFFSET, tail.clone());
        cx.expect(STREAM_CLOSE_5, &head, &one_of![still])?;
        cx.expect(STREAM_CLOSE_5, &stream.content_from(cx, &tail).await?, &[holds("")])?;
    }
    Ok(())
}

/// Appends until an append was refused that began when it was known that the stream is closed. Each answer, and whether the
/// append began then.
async fn writes_on(cx: &Cx, stream: &Stream, known: &AtomicBool) -> Outcome<Vec<(bool, Seen<Response>)>> {
    const MOST: usize = 40;
    let mut peer = cx.http();
    let mut sent = Vec::new();
    for _ in 0..MOST {
        let late = known.load(Ordering::SeqCst);
        let reply = peer.send(stream.append(".")).await?;
        let over =
            cx.need(STREAM_APPEND_10, &reply, &one_of![appended(), refused()]).map(|r| r.status == 409)?;
        known.fetch_or(over, Ordering::SeqCst);
        sent.push((late, reply));
        if late && over {
            break;
        }
    }
    Ok(sent)
}

/// Closes when an append of its own was acknowledged, so that others are under way.
async fn closes_amid(cx: &Cx, stream: &Stream, last: &str, known: &AtomicBool) -> Outcome<Seen<Response>> {
    let mut peer = cx.http();
    let first = peer.send(stream.append(".")).await?;
    cx.need(STREAM_APPEND_10, &first, &one_of![appended(), refused()])?;
    let request = if last.is_empty() { stream.close() } else { closing(stream.append(last.to_owned())) };
    let reply = peer.send(request).await?;
    cx.need(STREAM_CLOSE_1, &reply, &one_of![closed(), refused()])?;
    known.store(true, Ordering::SeqCst);
    Ok(reply)
}

async fn restart(cx: &Cx) -> Outcome {
    let streams = shut_in_every_way(cx).await?;
    let open = written(cx).await?;
    for _ in 0..2 {
        cx.hook(Hook::Restart).await?;
        // The server has not simply stopped to write, or forgotten everything.
        let more = cx.http().send(open.append("more")).await?;
        cx.need(STREAM_CONTENT_1, &more, &one_of![appended()])?;
        for stream in &streams {
            let head = cx.send(stream.head()).await?;
            cx.expect(STREAM_CLOSE_6, &head, &one_of![answer(200).with(CLOSED, "true")])?;
            let late = cx.send(stream.append("late")).await?;
            cx.expect(STREAM_CLOSE_6, &late, &one_of![refused()])?;
        }
    }
    Ok(())
}

async fn wakes_readers(cx: &Cx) -> Outcome {
    const READERS: usize = 6;
    for _ in 0..TRIES {
        let stream = written(cx).await?;
        let tail = stream.told_tail(cx).await?;
        let since = Instant::now();
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(cx.begin(stream.long_poll(&tail), patience(cx)).await?);
        }
        stream.settled(cx).await?;
        stream.closed(cx).await?;
        if let Some(answers) = all_in_time(cx, &stream, since, readers).await? {
            let limit = limit(cx);
            let in_time = move |took: Duration| before_timeout(limit, took);
            let name = "each answered by the close with 204 and Stream-Closed: true, before the timeout";
            let woken = alternative(name, move |all: &Vec<(Response, Duration)>| {
                all.iter().all(|(r, took)| {
                    r.status == 204 && r.headers.get(CLOSED) == Some("true") && in_time(*took)
                })
            });
            cx.expect(STREAM_CLOSE_7, &answers, &[woken])?;
            return Ok(());
        }
    }
    Err(cx.stop("the target closes too slowly to tell what answers those who wait"))
}

async fn any_case(cx: &Cx) -> Outcome {
    for value in ["TRUE", "True", "tRuE", "true"] {
        let mut seen = Vec::new();
        let stream = written(cx).await?;
        seen.push((cx.send(with(stream.close(), value)).await?, answer(204).with(CLOSED, "true"), stream));
        let stream = written(cx).await?;
        seen.push((cx.send(with(stream.append("last"), value)).await?, answer(204), stream));
        let stream = Stream::nowhere(cx);
        seen.push((cx.send(with(put(&stream.path, TEXT), value)).await?, answer(201), stream));
        for (reply, accepted, stream) in seen {
            cx.expect(STREAM_CLOSE_8, &reply, &one_of![accepted])?;
            let late = cx.send(stream.append("late")).await?;
            cx.expect(STREAM_CLOSE_8, &late, &one_of![refused()])?;
        }
    }
    Ok(())
}

fn with(mut request: Request, value: &str) -> Request {
    request.headers.set(CLOSED, value);
    request
}

async fn other_value(cx: &Cx) -> Outcome {
    for value in OTHER_VALUES {
        let stream = written(cx).await?;
        stream.appended(cx, "before").await?;
        // How it is answered is not asked here. Without content it asks for nothing at all.
        let _ = cx.send(with(stream.append("with"), value)).await?;
        let _ = cx.http().send_broken(with(stream.close(), value)).await?;
        let head = cx.send(stream.head()).await?;
        cx.expect(STREAM_CLOSE_9, &head, &one_of![answer(200).without(CLOSED)])?;
        still_open(cx, STREAM_CLOSE_9, &stream).await?;
    }
    Ok(())
}

async fn other_value_at_creation(cx: &Cx) -> Outcome {
    for (value, content) in OTHER_VALUES.into_iter().flat_map(|value| [(value, ""), (value, "first")]) {
        let stream = Stream::nowhere(cx);
        let reply = cx.send(with(put(&stream.path, TEXT), value).body(content)).await?;
        if reply.look().is_ok_and(|r| (400..500).contains(&r.status)) {
            // Whoever refuses the value has closed nothing: neither now nor when the same is asked without it.
            let plain = cx.send(put(&stream.path, TEXT).body(content)).await?;
            cx.expect(STREAM_CLOSE_10, &plain, &one_of![created().without(CLOSED)])?;
        } else {
            cx.need(STREAM_CREATE_1, &reply, &one_of![created()])?;
        }
        let head = cx.send(stream.head()).await?;
        cx.expect(STREAM_CLOSE_10, &head, &one_of![answer(200).without(CLOSED)])?;
        // Nor does the same PUT close it when it is there.
        let _ = cx.send(with(put(&stream.path, TEXT), value)).await?;
        still_open(cx, STREAM_CLOSE_10, &stream).await?;
    }
    Ok(())
}

/// An append to it is accepted, and is there.
async fn still_open(cx: &Cx, requirement: RequirementId, stream: &Stream) -> Outcome {
    let more = cx.token(16);
    let reply = cx.send(stream.append(more.clone())).await?;
    cx.expect(requirement, &reply, &one_of![appended().without(CLOSED)])?;
    let at_end = alternative(format!("content that ends with {more:?}"), move |read: &Bytes| {
        read.ends_with(more.as_bytes())
    });
    cx.expect(requirement, &stream.content(cx).await?, &[at_end])?;
    Ok(())
}

async fn other_value_accepted(cx: &Cx) -> Outcome {
    for value in OTHER_VALUES {
        let stream = proven(cx).await?;
        let request = stream.append(cx.token(8));
        cx.need(STREAM_APPEND_1, &cx.send(request.clone()).await?, &one_of![appended()])?;
        let reply = cx.send(with(request, value)).await?;
        cx.expect(STREAM_CLOSE_11, &reply, &one_of![answer(204)])?;
        let fresh = Stream::nowhere(cx);
        let reply = cx.send(with(put(&fresh.path, TEXT), value)).await?;
        cx.expect(STREAM_CLOSE_11, &reply, &one_of![answer(201)])?;
        // Nor when it is there, open as this asks for.
        let reply = cx.send(with(put(&fresh.path, TEXT), value)).await?;
        cx.expect(STREAM_CLOSE_11, &reply, &one_of![answer(200)])?;
    }
    Ok(())
}
