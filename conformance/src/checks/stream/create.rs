//! Checks of "Create" in spec/stream.md.

mod anew;
mod lifetime;

use super::setting::{
    OTHER, Stream, TEXT, appended, closing, holds, is_of, next_offset, odd_contents, proven, put, shut,
    shut_in_every_way, shut_with_content, written,
};
use crate::{
    check::{Answer, Breaks, Check, Cx, Outcome, alternative, answer},
    drives, one_of,
    wire::Seen,
};
use futures_util::future::try_join_all;
use hyper::Uri;
use wireproof_spec::{
    http::Response,
    stream::{
        header::{CLOSED, CONTENT_TYPE, LOCATION, NEXT_OFFSET},
        requirements::*,
    },
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/create/free-url", &[STREAM_CREATE_1], drives!(free_url)),
    Check::new("stream/create/again", &[STREAM_CREATE_2], drives!(again)),
    Check::new("stream/create/other-media-type", &[STREAM_CREATE_3], drives!(other_media_type)),
    Check::new("stream/create/open-on-closed", &[STREAM_CREATE_4], drives!(open_on_closed)),
    Check::new("stream/create/closed-on-open", &[STREAM_CREATE_5], drives!(closed_on_open)),
    Check::new("stream/create/closed-again", &[STREAM_CREATE_6], drives!(closed_again)),
    Check::new("stream/create/race", &[STREAM_CREATE_7], drives!(race)),
    Check::new("stream/create/no-media-type", &[STREAM_CREATE_8], drives!(no_media_type)),
    Check::new("stream/create/first-content", &[STREAM_CREATE_9], drives!(first_content)),
    Check::new("stream/create/odd-content", &[STREAM_CREATE_9], drives!(odd_content)),
    Check::new("stream/create/other-body", &[STREAM_CREATE_10], drives!(other_body)),
    Check::new("stream/create/closed", &[STREAM_CREATE_11, STREAM_CREATE_14], drives!(closed)),
    Check::new("stream/create/location", &[STREAM_CREATE_15], drives!(location)),
    Check::new("stream/create/facts", &[STREAM_CREATE_12, STREAM_CREATE_13], drives!(facts)),
    Check::new("stream/create/lifetime-again", &[STREAM_CREATE_2], drives!(lifetime::again)),
    Check::new("stream/create/other-ttl", &[STREAM_CREATE_16], drives!(lifetime::other_ttl)),
    Check::new("stream/create/other-moment", &[STREAM_CREATE_17], drives!(lifetime::other_moment)),
    Check::new("stream/create/other-kind-of-lifetime", &[STREAM_CREATE_18], drives!(lifetime::other_kind)),
    Check::new("stream/create/ttl-forms", &[STREAM_CREATE_19], drives!(lifetime::ttl_forms)),
    Check::new("stream/create/no-time", &[STREAM_CREATE_20], drives!(lifetime::no_time)),
    Check::new("stream/create/long-time", &[STREAM_CREATE_21], drives!(lifetime::long_time)),
    Check::new("stream/create/two-lifetimes", &[STREAM_CREATE_22], drives!(lifetime::both)),
    Check::new("stream/create/moment-forms", &[STREAM_CREATE_23], drives!(lifetime::moment_forms)),
    Check::new("stream/create/moments", &[STREAM_CREATE_24], drives!(lifetime::moments)),
    Check::new("stream/create/deleted-url", &[STREAM_CREATE_25], drives!(lifetime::deleted)),
    Check::new("stream/create/anew", &[STREAM_CREATE_26], drives!(anew::nothing_of_the_old)),
];

/// The configuration in a second PUT equals that of the stream.
fn same() -> Answer {
    answer(200)
}

async fn free_url(cx: &Cx) -> Outcome {
    let stream = Stream::nowhere(cx);
    let before = cx.send(stream.head()).await?;
    cx.need(STREAM_DELETE_1, &before, &one_of![answer(404)])?;
    let reply = cx.send(put(&stream.path, TEXT)).await?;
    cx.expect(STREAM_CREATE_1, &reply, &one_of![answer(201)])?;
    // It is there: only a server that made something can tell its media type and keep what is appended.
    let token = cx.token(16);
    stream.appended(cx, token.clone()).await?;
    let content = stream.content(cx).await?;
    cx.expect(STREAM_CREATE_1, &content, &[holds(token)])?;
    Ok(())
}

async fn again(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, TEXT, &cx.token(16)).await?;
    let reply = cx.send(put(&stream.path, TEXT)).await?;
    cx.expect(STREAM_CREATE_2, &reply, &one_of![same()])?;
    // Also after the stream has grown, and in another spelling of the same media type.
    stream.appended(cx, "more").await?;
    let reply = cx.send(put(&stream.path, "Text/PLAIN")).await?;
    cx.expect(STREAM_CREATE_2, &reply, &one_of![same()])?;
    // A type with parameters equals itself too.
    let typed = Stream::create(cx, "text/plain; charset=utf-8", &cx.token(16)).await?;
    let reply = cx.send(put(&typed.path, typed.media_type)).await?;
    cx.expect(STREAM_CREATE_2, &reply, &one_of![same()])?;
    Ok(())
}

async fn other_media_type(cx: &Cx) -> Outcome {
    for other in [OTHER, "text/csv"] {
        cx.refused(
            STREAM_CREATE_3,
            Breaks::Fit,
            written,
            |stream| put(&stream.path, TEXT),
            |_, request| request.headers.set(CONTENT_TYPE, other),
            (STREAM_CREATE_2, &one_of![same()]),
            &one_of![answer(409)],
        )
        .await?;
    }
    Ok(())
}

async fn open_on_closed(cx: &Cx) -> Outcome {
    refused_on_closed(cx, shut).await?;
    refused_on_closed(cx, shut_with_content).await?;
    refused_on_closed(cx, born_closed).await
}

async fn refused_on_closed<'a, F>(cx: &'a Cx, fresh: impl Fn(&'a Cx) -> F) -> Outcome
where
    F: Future<Output = Outcome<Stream>>,
{
    cx.refused(
        STREAM_CREATE_4,
        Breaks::Fit,
        fresh,
        |stream| closing(put(&stream.path, TEXT)),
        |_, request| request.headers.remove(CLOSED),
        (STREAM_CREATE_6, &one_of![same()]),
        &one_of![answer(409)],
    )
    .await
}

async fn born_closed(cx: &Cx) -> Outcome<Stream> {
    let stream = Stream::nowhere(cx);
    let reply = cx.send(closing(put(&stream.path, TEXT))).await?;
    cx.need(STREAM_CREATE_11, &reply, &one_of![answer(201)])?;
    Ok(stream)
}

async fn closed_on_open(cx: &Cx) -> Outcome {
    for content in ["something", ""] {
        let twin = Stream::create(cx, TEXT, content).await?;
        cx.need(STREAM_CREATE_2, &cx.send(put(&twin.path, TEXT)).await?, &one_of![same()])?;
        let stream = Stream::create(cx, TEXT, content).await?;
        let reply = cx.send(closing(put(&stream.path, TEXT))).await?;
        cx.expect(STREAM_CREATE_5, &reply, &one_of![answer(409)])?;
        let head = cx.send(stream.head()).await?;
        cx.expect(STREAM_CREATE_5, &head, &one_of![answer(200).without(CLOSED)])?;
        // It stays open: what can be appended to is not closed.
        let reply = cx.send(stream.append("still open")).await?;
        cx.expect(STREAM_CREATE_5, &reply, &one_of![appended()])?;
    }
    Ok(())
}

async fn closed_again(cx: &Cx) -> Outcome {
    for stream in shut_in_every_way(cx).await? {
        for _ in 0..2 {
            let reply = cx.send(closing(put(&stream.path, TEXT))).await?;
            cx.expect(STREAM_CREATE_6, &reply, &one_of![same()])?;
        }
    }
    Ok(())
}

async fn race(cx: &Cx) -> Outcome {
    const RACERS: usize = 8;
    for round in 0..6 {
        let stream = Stream::nowhere(cx);
        let mut peers: Vec<_> = (0..RACERS).map(|_| cx.http()).collect();
        // A body is no part of the configuration: each brings the same, or its own, which tells whose the stream is.
        let one = cx.token(16);
        let bodies: Vec<String> =
            (0..RACERS).map(|_| if round < 2 { one.clone() } else { cx.token(16) }).collect();
        let sent = peers.iter_mut().zip(&bodies).map(|(peer, body)| {
            let open = put(&stream.path, TEXT).body(body.clone());
            peer.send(if round % 2 == 0 { open } else { closing(open) })
        });
        let replies = Seen::all(try_join_all(sent).await?);
        let one_winner = alternative("one 201 and otherwise 200", |replies: &Vec<Response>| {
            replies.iter().filter(|r| r.status == 201).count() == 1
                && replies.iter().all(|r| matches!(r.status, 200 | 201))
        });
        let answered = cx.expect(STREAM_CREATE_7, &replies, &[one_winner])?.iter().zip(&bodies);
        let content: String =
            answered.filter(|(r, _)| r.status == 201).map(|(_, body)| body.as_str()).collect();
        let read = stream.content(cx).await?;
        cx.expect(STREAM_CREATE_7, &read, &[holds(content)])?;
    }
    Ok(())
}

async fn no_media_type(cx: &Cx) -> Outcome {
    proven(cx).await?;
    let stream = Stream::nowhere(cx);
    let mut request = put(&stream.path, TEXT);
    request.headers.remove(CONTENT_TYPE);
    let reply = cx.send(request).await?;
    let alternatives = one_of![
        answer(201).and("the type application/octet-stream", |r| is_of(r, OTHER)),
        answer(201).has(CONTENT_TYPE),
        answer(400),
    ];
    cx.expect(STREAM_CREATE_8, &reply, &alternatives)?;
    Ok(())
}

async fn first_content(cx: &Cx) -> Outcome {
    let content = format!("first {}", cx.token(24));
    let stream = Stream::create(cx, TEXT, &content).await?;
    let read = stream.content(cx).await?;
    cx.expect(STREAM_CREATE_9, &read, &[holds(content.clone())])?;
    stream.appended(cx, " second").await?;
    let read = stream.content(cx).await?;
    cx.expect(STREAM_CREATE_9, &read, &[holds(format!("{content} second"))])?;
    Ok(())
}

async fn odd_content(cx: &Cx) -> Outcome {
    for (media_type, content) in odd_contents() {
        let stream = Stream::create(cx, media_type, &content).await?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_CREATE_9, &read, &[holds(content)])?;
    }
    Ok(())
}

async fn other_body(cx: &Cx) -> Outcome {
    let content = cx.token(24);
    let stream = Stream::create(cx, TEXT, &content).await?;
    for body in ["another body", "", "a third"] {
        let reply = cx.send(put(&stream.path, TEXT).body(body)).await?;
        cx.need(STREAM_CREATE_2, &reply, &one_of![same()])?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_CREATE_10, &read, &[holds(content.clone())])?;
    }
    stream.closed(cx).await?;
    for body in ["another body", "", "a third"] {
        let reply = cx.send(closing(put(&stream.path, TEXT)).body(body)).await?;
        cx.need(STREAM_CREATE_6, &reply, &one_of![same()])?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_CREATE_10, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

async fn closed(cx: &Cx) -> Outcome {
    for content in [cx.token(24), String::new()] {
        let stream = Stream::nowhere(cx);
        let reply = cx.send(closing(put(&stream.path, TEXT)).body(content.clone())).await?;
        cx.expect(STREAM_CREATE_14, &reply, &one_of![answer(201).with(CLOSED, "true")])?;
        let late = cx.send(stream.append("late")).await?;
        cx.expect(STREAM_CREATE_11, &late, &one_of![answer(409).with(CLOSED, "true")])?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_CREATE_11, &read, &[holds(content)])?;
    }
    Ok(())
}

async fn location(cx: &Cx) -> Outcome {
    proven(cx).await?;
    let stream = Stream::nowhere(cx);
    let reply = cx.send(put(&stream.path, TEXT)).await?;
    cx.need(STREAM_CREATE_1, &reply, &one_of![answer(201)])?;
    // Absolute or relative; which name of the host a server calls its own is its own matter.
    let path = stream.path.clone();
    let names_it = move |r: &Response| {
        let location: Option<Uri> = r.headers.get(LOCATION).and_then(|l| l.parse().ok());
        location.is_some_and(|l| l.path() == path && l.query().is_none())
    };
    let name = format!("location: the URL of {}", stream.path);
    cx.expect(STREAM_CREATE_15, &reply, &one_of![answer(201).has(LOCATION).and(name, names_it)])?;
    Ok(())
}

async fn facts(cx: &Cx) -> Outcome {
    for media_type in [TEXT, OTHER] {
        facts_of(cx, media_type).await?;
    }
    Ok(())
}

async fn facts_of(cx: &Cx, media_type: &'static str) -> Outcome {
    let stream = Stream { media_type, ..Stream::nowhere(cx) };
    for (status, content) in [(201, "abc"), (200, "")] {
        let reply = cx.send(put(&stream.path, media_type).body(content)).await?;
        let of_type =
            answer(status).and(format!("content-type: {media_type}"), move |r| is_of(r, media_type));
        cx.expect(STREAM_CREATE_12, &reply, &one_of![of_type])?;
        let tail = cx.send(stream.head()).await?;
        let tail = next_offset(cx.need(STREAM_HEAD_1, &tail, &one_of![answer(200).has(NEXT_OFFSET)])?);
        cx.expect(STREAM_CREATE_13, &reply, &one_of![answer(status).with(NEXT_OFFSET, tail)])?;
        // The second time the stream has grown since: the tail is that of now.
        stream.appended(cx, "more").await?;
    }
    // What the answer calls the tail has all the content before it and none behind it.
    let reply = cx.send(put(&stream.path, media_type)).await?;
    let tail = next_offset(cx.need(STREAM_CREATE_2, &reply, &one_of![same().has(NEXT_OFFSET)])?);
    let rest = stream.content_from(cx, &tail).await?;
    cx.expect(STREAM_CREATE_13, &rest, &[holds(String::new())])?;
    // A closed stream is found like an open one.
    let tail = stream.closed(cx).await?;
    let reply = cx.send(closing(put(&stream.path, media_type))).await?;
    cx.need(STREAM_CREATE_6, &reply, &one_of![same()])?;
    let of_type = same().and(format!("content-type: {media_type}"), move |r| is_of(r, media_type));
    cx.expect(STREAM_CREATE_12, &reply, &one_of![of_type])?;
    cx.expect(STREAM_CREATE_13, &reply, &one_of![same().with(NEXT_OFFSET, tail)])?;
    Ok(())
}
