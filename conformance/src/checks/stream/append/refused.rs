//! Appends that would close the stream, and are refused.

use super::super::{
    json::JSON,
    setting::{OTHER, Stream, TEXT, appended, by, closed, closing, holds},
};
use crate::{
    check::{Cx, Outcome, answer},
    one_of,
};
use wireproof_spec::stream::{
    header::{CLOSED, CONTENT_TYPE, SEQ},
    requirements::*,
};

pub(in super::super) async fn leaves_open(cx: &Cx) -> Outcome {
    let (stream, producer) = (Stream::create(cx, TEXT, cx.token(16)).await?, cx.name());
    let reply = cx.send(by(stream.append("a"), &producer, 1, 0)).await?;
    cx.need(STREAM_PRODUCERS_5, &reply, &one_of![answer(200)])?;
    let reply = cx.send(stream.append("b").header(SEQ, "5")).await?;
    cx.need(STREAM_APPEND_14, &reply, &one_of![appended()])?;
    let last = || closing(stream.append("last"));
    let (mut typed, mut untyped) = (last(), last());
    typed.headers.set(CONTENT_TYPE, OTHER);
    untyped.headers.remove(CONTENT_TYPE);
    let mut content = "ab".to_owned();
    for (id, status, request) in [
        (STREAM_APPEND_4, 409, typed),
        (STREAM_APPEND_6, 400, untyped),
        (STREAM_APPEND_13, 409, last().header(SEQ, "5")),
        (STREAM_PRODUCERS_10, 409, by(last(), &producer, 1, 2)),
        (STREAM_PRODUCERS_12, 403, by(last(), &producer, 0, 1)),
        (STREAM_PRODUCERS_14, 400, by(last(), &producer, 2, 1)),
    ] {
        let broken = id == STREAM_APPEND_6;
        let reply = if broken { cx.send_broken(request).await? } else { cx.send(request).await? };
        cx.need(id, &reply, &one_of![answer(status)])?;
        is_open(cx, &stream, ".").await?;
        content.push('.');
        let read = stream.content_from(cx, &stream.start).await?;
        cx.expect(STREAM_APPEND_20, &read, &[holds(content.clone())])?;
    }
    // With nothing wrong in it, it closes.
    cx.need(STREAM_APPEND_12, &cx.send(last()).await?, &one_of![closed()])?;

    let stream = Stream::create(cx, JSON, "[1]").await?;
    for _ in 0..2 {
        let reply = cx.send_broken(closing(stream.append("{\"half\":"))).await?;
        cx.need(STREAM_JSON_5, &reply, &one_of![answer(400)])?;
        is_open(cx, &stream, "2").await?;
    }
    Ok(())
}

/// Claims that a stream says that it is open, and takes what is appended.
async fn is_open(cx: &Cx, stream: &Stream, content: &'static str) -> Outcome {
    let head = cx.send(stream.head()).await?;
    cx.expect(STREAM_APPEND_20, &head, &one_of![answer(200).without(CLOSED)])?;
    let reply = cx.send(stream.append(content)).await?;
    cx.expect(STREAM_APPEND_20, &reply, &one_of![appended().without(CLOSED)])?;
    Ok(())
}
