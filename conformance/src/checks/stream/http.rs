//! Checks of "Http" in spec/stream.md.

mod burst;
mod malformed;
mod pipelined;
mod url;

use super::setting::{
    OTHER, Stream, TEXT, appended, closed, deletable, holds, next_offset, proven, put, shut,
};
use crate::{
    check::{Alternative, Answer, Body, Check, Cx, Lane, Need, Outcome, Waits, alternative, answer},
    drives, one_of,
    wire::Lost,
};
use std::{pin::pin, time::Duration};
use tokio::time::timeout;
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        Operation,
        header::{ALLOW, CLOSED, NEXT_OFFSET},
        requirements::*,
    },
};

const READ_ONLY: &[Need] = &[Need::Feature("stream.read-only", "on")];

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "stream/observed/nosniff",
        &[STREAM_HTTP_1],
        Body::Observes(|o| o.every(STREAM_HTTP_1, |_, _| true, nosniff())),
    ),
    Check::new(
        "stream/observed/cross-origin-resource-policy",
        &[STREAM_HTTP_2],
        Body::Observes(|o| o.every(STREAM_HTTP_2, tells_of_stream, policy())),
    ),
    Check::new("stream/http/malformed", &[STREAM_HTTP_3], drives!(malformed::answered)).lane(Lane::Last),
    Check::new(
        "stream/http/malformed-writes",
        &[STREAM_HTTP_3, STREAM_HTTP_4],
        drives!(malformed::writes_nothing),
    )
    .lane(Lane::Last),
    Check::new("stream/http/odd-urls", &[STREAM_HTTP_5], drives!(url::odd)).lane(Lane::Last),
    Check::new("stream/http/urls-of-others", &[STREAM_HTTP_5], drives!(url::of_others)).lane(Lane::Last),
    Check::new("stream/http/unknown-headers", &[STREAM_HTTP_6], drives!(unknown_headers)),
    Check::new("stream/http/unknown-parameters", &[STREAM_HTTP_6], drives!(unknown_parameters)),
    Check::new("stream/http/unknown-method", &[STREAM_HTTP_7], drives!(unknown_method)),
    Check::new("stream/http/allow", &[STREAM_HTTP_8], drives!(allow)),
    Check::new("stream/http/read-only-append", &[STREAM_HTTP_9], drives!(read_only_append)).needs(READ_ONLY),
    Check::new("stream/http/read-only-delete", &[STREAM_HTTP_9], drives!(read_only_delete)).needs(READ_ONLY),
    Check::new("stream/http/no-credentials", &[STREAM_HTTP_10], drives!(no_credentials)),
    Check::new("stream/http/burst", &[STREAM_HTTP_11], drives!(burst::refused))
        .needs(&[Need::Limit("burst-requests")])
        .lane(Lane::Last)
        .waits(Waits::Millis(burst::RECOVERY_MS)),
    Check::new("stream/http/burst-of-writes", &[STREAM_HTTP_12], drives!(burst::without_effect))
        .needs(&[Need::Limit("burst-requests")])
        .lane(Lane::Last)
        .waits(Waits::Millis(burst::RECOVERY_MS)),
    Check::new("stream/http/http2-in-frames", &[STREAM_HTTP_15], drives!(http2_in_frames)),
    Check::new("stream/http/in-pieces", &[STREAM_HTTP_16], drives!(in_pieces)),
    Check::new("stream/http/http2-in-pieces", &[STREAM_HTTP_16], drives!(http2_in_pieces))
        .needs(&[Need::Feature("stream.http2", "on")]),
    Check::new("stream/http/beside-idle", &[STREAM_HTTP_17], drives!(beside_idle)).lane(Lane::Alone),
    Check::new("stream/http/pipelined", &[STREAM_HTTP_16], drives!(pipelined)),
    Check::new("stream/http/pipelined-producer", &[STREAM_HTTP_16], drives!(pipelined::of_a_producer)),
];

fn nosniff() -> Alternative<Response> {
    alternative("with x-content-type-options: nosniff", |r: &Response| {
        r.headers.get("x-content-type-options").is_some_and(|v| v.trim().eq_ignore_ascii_case("nosniff"))
    })
}

fn tells_of_stream(request: &Request, response: &Response) -> bool {
    let reads = matches!(
        Operation::decode(request),
        Ok(Operation::Read(_) | Operation::Longpoll(_) | Operation::Sse(_) | Operation::Head(_))
    );
    reads && response.status < 300
}

fn policy() -> Alternative<Response> {
    alternative("with cross-origin-resource-policy", |r: &Response| {
        let policy = r.headers.get("cross-origin-resource-policy").map(str::trim);
        matches!(policy, Some("same-origin" | "same-site" | "cross-origin"))
    })
}

/// With headers that nobody knows, one of which could be ours.
fn strange(request: Request) -> Request {
    request.header("x-wireproof", "1").header("stream-wireproof", "yes, \"no\"; q=0.5")
}

async fn unknown_headers(cx: &Cx) -> Outcome {
    let plain = proven(cx).await?;
    plain.appended(cx, cx.token(8)).await?;
    deletable(cx).await?;
    let stream = Stream { media_type: OTHER, ..Stream::nowhere(cx) };
    let (first, second) = (cx.token(16), cx.token(16));
    let create = put(&stream.path, OTHER).body(first.clone());
    let content = format!("{first}{second}");
    let held = move |r: &Response| !r.body.is_empty() && content.as_bytes().starts_with(&r.body);
    for (request, expected) in [
        (create, answer(201)),
        (stream.append(second), answer(204)),
        (stream.head(), answer(200)),
        (stream.read(), answer(200).and("the content", held.clone())),
        (stream.long_poll("-1"), answer(200).and("the content", held)),
        (stream.close(), closed()),
        (stream.delete(), answer(204)),
        (stream.head(), answer(404)),
    ] {
        let reply = cx.send(strange(request)).await?;
        cx.expect(STREAM_HTTP_6, &reply, &one_of![expected])?;
    }
    Ok(())
}

async fn unknown_parameters(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let (first, second) = (cx.token(24), cx.token(24));
    let middle = stream.appended(cx, first.clone()).await?;
    stream.appended(cx, second.clone()).await?;
    for asked in [stream.read_at(&middle), stream.long_poll(&middle), stream.read_at("now")] {
        let plain = cx.send(asked.clone()).await?;
        let told = cx.need(STREAM_READ_2, &plain, &one_of![answer(200).has(NEXT_OFFSET)])?.clone();
        for (name, value) in [("wireproof", "1"), ("Offset", "0"), ("wp", "")] {
            let same = answer(200).with(NEXT_OFFSET, next_offset(&told)).body(told.body.to_vec());
            let before = Request { query: Default::default(), ..asked.clone() }.param(name, value);
            let before = asked.query.0.iter().fold(before, |request, (n, v)| request.param(n, v));
            for request in [asked.clone().param(name, value), before] {
                let reply = cx.send(request).await?;
                cx.expect(STREAM_HTTP_6, &reply, &one_of![same.clone()])?;
            }
        }
    }
    Ok(())
}

/// Methods that HTTP libraries know and streams do not have.
const METHODS: [&str; 2] = ["PATCH", "PROPFIND"];

async fn unknown_method(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    for method in METHODS {
        let reply = cx.send_broken(Request::new(method, &stream.path)).await?;
        cx.expect(STREAM_HTTP_7, &reply, &one_of![answer(405), answer(501)])?;
    }
    Ok(())
}

async fn allow(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    for method in METHODS {
        let reply = cx.send_broken(Request::new(method, &stream.path)).await?;
        cx.need(STREAM_HTTP_7, &reply, &one_of![answer(405), answer(501)])?;
        cx.expect(STREAM_HTTP_8, &reply, &one_of![answer(405).has(ALLOW), answer(501)])?;
    }
    Ok(())
}

/// A stream of a read-only server, which may take PUT or not; and proof that it does not refuse everything.
async fn of_read_only(cx: &Cx) -> Outcome<Stream> {
    let nowhere = Stream::nowhere(cx);
    let missing = cx.send(nowhere.head()).await?;
    cx.need(STREAM_HEAD_5, &missing, &one_of![answer(404)])?;
    let token = cx.token(16);
    let made = cx.send(put(&nowhere.path, TEXT).body(token.clone())).await?;
    let reply = cx.need(STREAM_CREATE_1, &made, &one_of![answer(201), answer(405), answer(501)])?;
    if reply.status == 201 {
        let read = nowhere.content(cx).await?;
        cx.need(STREAM_READ_1, &read, &[holds(token)])?;
    }
    Ok(nowhere)
}

async fn read_only_append(cx: &Cx) -> Outcome {
    let stream = of_read_only(cx).await?;
    for request in [stream.append("x"), stream.close()] {
        let reply = cx.send(request).await?;
        cx.expect(STREAM_HTTP_9, &reply, &one_of![answer(405), answer(501)])?;
    }
    Ok(())
}

async fn read_only_delete(cx: &Cx) -> Outcome {
    let stream = of_read_only(cx).await?;
    let reply = cx.send(stream.delete()).await?;
    cx.expect(STREAM_HTTP_9, &reply, &one_of![answer(405), answer(501)])?;
    Ok(())
}

/// What a stranger is told.
fn kept_out() -> Vec<Alternative<Response>> {
    one_of![answer(401), answer(403), answer(404)]
}

async fn no_credentials(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let content = stream.content(cx).await?;
    let content = cx.need(STREAM_READ_1, &content, &[alternative("content", |_| true)])?.clone();
    let nowhere = Stream::nowhere(cx);
    // An event stream on it ends by itself, so that who is let in is seen too.
    let closed = shut(cx).await?;
    // Credentials that nobody has may be malformed for this server.
    let wrong = [kept_out(), one_of![answer(400)]].into_iter().flatten().collect();
    for (mut peer, kept_out) in
        [(cx.stranger(), kept_out()), (cx.stranger(), kept_out()), (cx.impostor(), wrong)]
    {
        for request in [
            put(&nowhere.path, TEXT).body("x"),
            stream.head(),
            stream.read(),
            stream.read_at("now"),
            stream.long_poll("-1"),
            stream.append("x"),
            stream.close(),
            stream.delete(),
        ] {
            let reply = peer.send(request).await?;
            cx.expect(STREAM_HTTP_10, &reply, &kept_out)?;
        }
        if cx.features().is("stream.sse", "on") {
            let reply = peer.send(closed.sse("-1")).await?;
            cx.expect(STREAM_HTTP_10, &reply, &kept_out)?;
        }
        // Nothing of it was done.
        let made = cx.send(nowhere.head()).await?;
        cx.expect(STREAM_HTTP_10, &made, &one_of![answer(404)])?;
        let head = cx.send(stream.head()).await?;
        cx.expect(STREAM_HTTP_10, &head, &one_of![answer(200).without(CLOSED)])?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_HTTP_10, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

async fn http2_in_frames(cx: &Cx) -> Outcome {
    let mut content = cx.token(16);
    let stream = Stream::create(cx, TEXT, &content).await?;
    for size in [7, 1] {
        let more = cx.token(24);
        let reply = cx.http2(stream.append(more.clone()), size).await?;
        cx.expect(STREAM_HTTP_15, &reply, &one_of![appended()])?;
        content.push_str(&more);
        let read = stream.content(cx).await?;
        cx.expect(STREAM_HTTP_15, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

async fn in_pieces(cx: &Cx) -> Outcome {
    let mut content = cx.token(16);
    let stream = Stream::create(cx, TEXT, &content).await?;
    // Cut in the body, in front of it, and in the head; a server that is busy would put smaller pieces together.
    for last in [1, 16, 24, 31] {
        let more = cx.token(24);
        let mut peer = cx.raw().await?;
        let sent = peer.send_in_two(&stream.append(more.clone()), last, stream.settled(cx)).await?;
        let reply = peer.reply(sent, "POST").await?;
        cx.expect(STREAM_HTTP_16, &reply, &one_of![appended()])?;
        content.push_str(&more);
        let read = stream.content(cx).await?;
        cx.expect(STREAM_HTTP_16, &read, &[holds(content.clone())])?;
    }
    for size in [1, 7] {
        let more = format!("{}\r\n\r\n{}", cx.token(24), cx.token(8));
        let mut peer = cx.raw().await?;
        let sent = peer.send_in_pieces(&stream.append(more.clone()), size).await;
        let reply = peer.reply(sent, "POST").await?;
        cx.expect(STREAM_HTTP_16, &reply, &one_of![appended()])?;
        content.push_str(&more);
        let sent = peer.send_in_pieces(&stream.head(), size).await;
        let reply = peer.reply(sent, "HEAD").await?.or_lost();
        let or_closed = or_closed(vec![answer(200).has(NEXT_OFFSET)]);
        cx.expect(STREAM_HTTP_16, &reply, &or_closed)?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_HTTP_16, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

async fn http2_in_pieces(cx: &Cx) -> Outcome {
    let mut content = cx.token(16);
    let stream = Stream::create(cx, TEXT, &content).await?;
    let whole = cx.http2(stream.head(), 1).await?;
    cx.need(STREAM_HEAD_1, &whole, &one_of![answer(200).has(NEXT_OFFSET)])?;
    // The preface of a connection has 24 bytes; behind it the frames are cut wherever that comes to lie.
    for sizes in [&[3, 13, 8, 20][..], &[23, 30]] {
        let more = cx.token(24);
        let settled = || stream.settled(cx);
        let reply = cx.http2_in_pieces(stream.head(), sizes, settled).await?;
        cx.expect(STREAM_HTTP_16, &reply, &one_of![answer(200).has(NEXT_OFFSET)])?;
        let reply = cx.http2_in_pieces(stream.append(more.clone()), sizes, settled).await?;
        cx.expect(STREAM_HTTP_16, &reply, &one_of![appended()])?;
        content.push_str(&more);
        let read = stream.content(cx).await?;
        cx.expect(STREAM_HTTP_16, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

/// Requests on one connection after the other while ever more stay open behind their answers.
async fn beside_idle(cx: &Cx) -> Outcome {
    const IDLE: usize = 4;
    let (stream, mut first, content) = (Stream::nowhere(cx), cx.http(), cx.token(16));
    let made = first.send(put(&stream.path, TEXT).body(content.clone())).await?;
    cx.need(STREAM_CREATE_1, &made, &one_of![answer(201).has(NEXT_OFFSET)])?;
    cx.need(STREAM_CREATE_9, &first.send(stream.read()).await?, &one_of![answer(200).body(content)])?;
    let (mut idle, limit) = (vec![first], cx.answer_time());
    loop {
        let mut reply = pin!(cx.begin(stream.head(), limit * 2).await?.timed());
        let mut came = timeout(limit, reply.as_mut()).await;
        let beside = idle.len();
        if came.is_err() {
            // Whether it is for these that nothing comes.
            idle.clear();
            came = Ok(reply.await);
        }
        let Ok(reply) = came else { return Ok(()) };
        let name =
            format!("200 while {beside} other connections are open, and not only when they are closed");
        let at_once = alternative(name, move |(reply, took): &(Response, Duration)| {
            reply.status == 200 && *took <= limit
        });
        cx.expect(STREAM_HTTP_17, &reply?, &[at_once])?;
        if idle.len() == IDLE {
            return Ok(());
        }
        let mut another = cx.http();
        cx.need(STREAM_HEAD_1, &another.send(stream.head()).await?, &one_of![answer(200)])?;
        idle.push(another);
    }
}

/// One of these answers, or the end of the connection without one.
fn or_closed(answers: Vec<Answer>) -> Vec<Alternative<Result<Response, Lost>>> {
    let mut all: Vec<_> = answers
        .into_iter()
        .map(|one| {
            let one = Alternative::from(one);
            let name = one.expected().name.clone();
            alternative(name, move |r: &Result<Response, Lost>| r.as_ref().is_ok_and(|r| one.holds(r)))
        })
        .collect();
    all.push(alternative("the end of the connection", |r: &Result<Response, Lost>| {
        matches!(r, Err(Lost::Closed(_)))
    }));
    all
}

async fn pipelined(cx: &Cx) -> Outcome {
    let (first, second) = (cx.token(16), cx.token(16));
    let one = Stream::create(cx, TEXT, &first).await?;
    let two = Stream::create(cx, OTHER, &second).await?;
    let more = cx.token(16);
    let reads = |content: &str| {
        let content = content.to_owned();
        answer(200).and(format!("bytes of {content:?}"), move |r| {
            !r.body.is_empty() && content.as_bytes().starts_with(&r.body)
        })
    };
    // What changes something comes last: behind it a client should send nothing (RFC 9112, section 9.3.2).
    let requests = [one.read(), two.read(), two.head(), one.read(), two.append(more.clone())];
    let expected = [reads(&first), reads(&second), answer(200).body(""), reads(&first), appended()];
    let mut peer = cx.raw().await?;
    let sent = peer.send_together(&requests).await;
    for (index, ((request, sent), expected)) in requests.iter().zip(sent).zip(expected).enumerate() {
        let reply = peer.reply(sent, &request.method).await?;
        if index == 0 {
            cx.expect(STREAM_HTTP_16, &reply, &one_of![expected])?;
            continue;
        }
        let reply = reply.or_lost();
        let told = cx.expect(STREAM_HTTP_16, &reply, &or_closed(vec![expected]))?;
        if told.is_err() {
            return Ok(());
        }
    }
    let read = two.content(cx).await?;
    cx.expect(STREAM_HTTP_16, &read, &[holds(format!("{second}{more}"))])?;
    Ok(())
}
