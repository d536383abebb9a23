//! Checks of "Head" in spec/stream.md.

use super::setting::{
    OTHER, Stream, TEXT, holds, is_of, next_offset, proven, shut, shut_in_every_way, written,
};
use crate::{
    check::{Breaks, Check, Cx, Outcome, alternative, answer},
    drives, one_of,
    wire::raw::RawAnswer,
};
use wireproof_spec::{
    http::Response,
    stream::{
        header::{CACHE_CONTROL, CLOSED, ETAG, NEXT_OFFSET},
        requirements::*,
    },
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/head/facts", &[STREAM_HEAD_1], drives!(facts)),
    Check::new("stream/head/no-body", &[STREAM_HEAD_2], drives!(no_body)),
    Check::new("stream/head/closure", &[STREAM_HEAD_3], drives!(closure)),
    Check::new("stream/head/no-store", &[STREAM_HEAD_4], drives!(no_store)),
    Check::new("stream/head/missing-stream", &[STREAM_HEAD_5], drives!(missing_stream)),
    Check::new("stream/head/etag", &[STREAM_HEAD_6], drives!(etag)),
];

async fn facts(cx: &Cx) -> Outcome {
    for media_type in [TEXT, OTHER] {
        let stream = Stream::create(cx, media_type, &cx.token(16)).await?;
        let mut tail = stream.start.clone();
        for content in ["more", "and more"] {
            let facts = answer(200)
                .and(format!("content-type: {media_type}"), move |r| is_of(r, media_type))
                .with(NEXT_OFFSET, tail);
            let reply = cx.send(stream.head()).await?;
            let told = next_offset(cx.expect(STREAM_HEAD_1, &reply, &one_of![facts])?);
            // It is the tail: there is nothing behind it but what is appended later.
            cx.expect(STREAM_HEAD_1, &stream.content_from(cx, &told).await?, &[holds("")])?;
            tail = stream.appended(cx, content).await?;
            cx.expect(STREAM_HEAD_1, &stream.content_from(cx, &told).await?, &[holds(content)])?;
        }
    }
    Ok(())
}

async fn no_body(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    for (stream, id, status) in [(stream, STREAM_HEAD_1, 200), (Stream::nowhere(cx), STREAM_DELETE_1, 404)] {
        let mut peer = cx.raw().await?;
        let sent = peer.send(&stream.head().header("connection", "close")).await;
        let reply = peer.answer(sent).await?;
        cx.need(id, &reply.clone().map(|raw| raw.head), &one_of![answer(status)])?;
        let nothing = alternative("no byte behind the head", |raw: &RawAnswer| raw.rest.is_empty());
        cx.expect(STREAM_HEAD_2, &reply, &[nothing])?;
    }
    Ok(())
}

async fn closure(cx: &Cx) -> Outcome {
    for stream in [Stream::create(cx, TEXT, "").await?, written(cx).await?] {
        let open = cx.send(stream.head()).await?;
        cx.expect(STREAM_HEAD_3, &open, &one_of![answer(200).without(CLOSED)])?;
        stream.appended(cx, "more").await?;
        let open = cx.send(stream.head()).await?;
        cx.expect(STREAM_HEAD_3, &open, &one_of![answer(200).without(CLOSED)])?;
        stream.closed(cx).await?;
        let closed = cx.send(stream.head()).await?;
        cx.expect(STREAM_HEAD_3, &closed, &one_of![answer(200).with(CLOSED, "true")])?;
    }
    for stream in shut_in_every_way(cx).await? {
        for _ in 0..2 {
            let closed = cx.send(stream.head()).await?;
            cx.expect(STREAM_HEAD_3, &closed, &one_of![answer(200).with(CLOSED, "true")])?;
        }
    }
    Ok(())
}

async fn no_store(cx: &Cx) -> Outcome {
    let no_store = |r: &Response| {
        // All lines of the header count as one.
        let all = r.headers.joined();
        let mut directives = all.get(CACHE_CONTROL).into_iter().flat_map(|d| d.split(','));
        directives.any(|d| d.trim().eq_ignore_ascii_case("no-store"))
    };
    // A closed one is deleted or comes to its end as others do.
    for stream in [proven(cx).await?, Stream::create(cx, TEXT, "").await?, shut(cx).await?] {
        let reply = cx.send(stream.head()).await?;
        let kept_by_none = answer(200).has(NEXT_OFFSET).and("cache-control: no-store", no_store);
        cx.expect(STREAM_HEAD_4, &reply, &one_of![kept_by_none])?;
    }
    Ok(())
}

async fn missing_stream(cx: &Cx) -> Outcome {
    let nowhere = Stream::nowhere(cx);
    cx.refused(
        STREAM_HEAD_5,
        Breaks::Fit,
        proven,
        Stream::head,
        |_, request| request.path = nowhere.path.clone(),
        (STREAM_HEAD_1, &one_of![answer(200).has(NEXT_OFFSET)]),
        &one_of![answer(404)],
    )
    .await
}

async fn etag(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    for step in 0..3 {
        match step {
            0 => {}
            1 => drop(stream.appended(cx, cx.token(8)).await?),
            _ => drop(stream.closed(cx).await?),
        }
        let before = cx.send(stream.head()).await?;
        let read = cx.send(stream.read()).await?;
        let read = cx.need(STREAM_CACHING_1, &read, &one_of![answer(200).has(ETAG)])?;
        let told = read.headers.get(ETAG).unwrap_or_default().to_owned();
        let after = cx.send(stream.head()).await?;
        for head in [before, after] {
            let expected = one_of![answer(200).with(ETAG, told.clone()), answer(200).without(ETAG)];
            cx.expect(STREAM_HEAD_6, &head, &expected)?;
        }
    }
    Ok(())
}
