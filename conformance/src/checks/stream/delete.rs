//! Checks of "Delete" in spec/stream.md.

use super::setting::{Stream, TEXT, closing, proven, shut_in_every_way, written};
use crate::{
    check::{Breaks, Check, Cx, Hook, Lane, Need, Outcome, answer},
    drives, one_of,
};
use wireproof_spec::stream::requirements::*;

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/delete/removes", &[STREAM_DELETE_1], drives!(removes)),
    Check::new("stream/delete/restart", &[STREAM_DELETE_1], drives!(restart))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("stream/delete/missing-stream", &[STREAM_DELETE_2], drives!(missing_stream)),
];

async fn removes(cx: &Cx) -> Outcome {
    let mut streams = shut_in_every_way(cx).await?;
    streams.extend([proven(cx).await?, Stream::create(cx, TEXT, "").await?]);
    for stream in streams {
        let tail = stream.told_tail(cx).await?;
        let reply = cx.send(stream.delete()).await?;
        cx.expect(STREAM_DELETE_1, &reply, &one_of![answer(204)])?;
        // From then on, and not only the first time.
        for _ in 0..3 {
            is_gone(cx, &stream, &tail).await?;
        }
    }
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
