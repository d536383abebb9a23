//! Checks of "Delete" in spec/stream.md.

use super::{
    longpoll::{before_timeout, limit, until_timeout},
    setting::{Stream, TEXT, closing, proven, shut_in_every_way, written},
};
use crate::{
    check::{Breaks, Check, Cx, Hook, Lane, Need, Outcome, Waits, alternative, answer},
    drives, one_of,
    wire::{Lost, Seen},
};
use futures_util::future::try_join_all;
use std::time::Duration;
use wireproof_spec::{http::Response, stream::requirements::*};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/delete/removes", &[STREAM_DELETE_1], drives!(removes)),
    Check::new("stream/delete/restart", &[STREAM_DELETE_1], drives!(restart))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("stream/delete/missing-stream", &[STREAM_DELETE_2], drives!(missing_stream)),
    Check::new("stream/delete/race", &[STREAM_DELETE_3], drives!(race)),
    Check::new("stream/delete/awaited", &[STREAM_DELETE_4], drives!(awaited))
        .waits(Waits::Limit("long-poll-ms", 2)),
];

async fn removes(cx: &Cx) -> Outcome {
    let mut streams = shut_in_every_way(cx).await?;
    streams.extend([proven(cx).await?, Stream::create(cx, TEXT, "").await?]);
    try_join_all(streams.into_iter().map(async |stream| {
        let tail = stream.told_tail(cx).await?;
        let reply = cx.send(stream.delete()).await?;
        cx.expect(STREAM_DELETE_1, &reply, &one_of![answer(204)])?;
        // From then on, and not only the first time.
        for _ in 0..3 {
            is_gone(cx, &stream, &tail).await?;
        }
        Ok(())
    }))
    .await?;
    Ok(())
}

/// Claims that whatever asks for this stream is told that there is none.
async fn is_gone(cx: &Cx, stream: &Stream, tail: &str) -> Outcome {
    for request in [
        stream.head(),
        stream.read(),
        stream.read_at(tail),
        stream.read_at("now"),
        stream.long_poll(tail),
        stream.append("late"),
        stream.close(),
        closing(stream.append("late")),
    ] {
        let reply = cx.send(request).await?;
        cx.expect(STREAM_DELETE_1, &reply, &one_of![answer(404)])?;
    }
    Ok(())
}

async fn restart(cx: &Cx) -> Outcome {
    let mut streams = shut_in_every_way(cx).await?;
    streams.extend([proven(cx).await?, Stream::create(cx, TEXT, "").await?]);
    for stream in &streams {
        let reply = cx.send(stream.delete()).await?;
        cx.expect(STREAM_DELETE_1, &reply, &one_of![answer(204)])?;
    }
    let kept = written(cx).await?;
    for _ in 0..2 {
        cx.hook(Hook::Restart).await?;
        // A server that forgets everything has not kept a deletion.
        let there = cx.http().send(kept.head()).await?;
        cx.need(STREAM_CONTENT_1, &there, &one_of![answer(200)])?;
        for stream in &streams {
            is_gone(cx, stream, "-1").await?;
        }
    }
    Ok(())
}

async fn missing_stream(cx: &Cx) -> Outcome {
    let nowhere = Stream::nowhere(cx);
    let gone = written(cx).await?;
    cx.need(STREAM_DELETE_1, &cx.send(gone.delete()).await?, &one_of![answer(204)])?;
    for missing in [nowhere, gone] {
        cx.refused(
            STREAM_DELETE_2,
            Breaks::Fit,
            written,
            Stream::delete,
            |_, request| request.path = missing.path.clone(),
            (STREAM_DELETE_1, &one_of![answer(204)]),
            &one_of![answer(404)],
        )
        .await?;
    }
    Ok(())
}

async fn race(cx: &Cx) -> Outcome {
    const CLIENTS: usize = 6;
    for _ in 0..6 {
        let stream = written(cx).await?;
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| cx.http()).collect();
        let all = try_join_all(clients.iter_mut().map(|client| client.send(stream.delete()))).await?;
        let once = alternative("204 once, and 404 to every other", |all: &Vec<Response>| {
            let deleted = all.iter().filter(|r| r.status == 204).count();
            deleted == 1 && all.iter().all(|r| matches!(r.status, 204 | 404))
        });
        cx.expect(STREAM_DELETE_3, &Seen::all(all), &[once])?;
        let reply = cx.send(stream.head()).await?;
        cx.expect(STREAM_DELETE_3, &reply, &one_of![answer(404)])?;
    }
    Ok(())
}

/// An answer to a long-poll, and when it came; or what happened to its connection.
type Came = Result<(Response, Duration), Lost>;

async fn awaited(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let tail = stream.told_tail(cx).await?;
    let waiting = cx.begin(stream.long_poll(&tail), until_timeout(cx)).await?;
    stream.settled(cx).await?;
    cx.need(STREAM_DELETE_1, &cx.send(stream.delete()).await?, &one_of![answer(204)])?;
    let came = waiting.timed().await?.or_lost();
    let limit = limit(cx);
    let ended = |name: &str, at_once: bool, status: fn(u16) -> bool| {
        alternative(name, move |came: &Came| {
            came.as_ref().is_ok_and(|(r, took)| before_timeout(limit, *took) == at_once && status(r.status))
        })
    };
    cx.expect(
        STREAM_DELETE_4,
        &came,
        &[
            ended("404 or 410 at once", true, |s| matches!(s, 404 | 410)),
            ended("204 at once", true, |s| s == 204),
            ended("404 or 410 at the timeout", false, |s| matches!(s, 404 | 410)),
            ended("204 at the timeout", false, |s| s == 204),
            alternative("the end of the connection", |came: &Came| matches!(came, Err(Lost::Closed(_)))),
        ],
    )?;
    Ok(())
}
