//! Content that is compressed on its way, if reader and server agree on that.

use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    checks::stream::{
        json::{
            JSON, begins_with,
            value::{Numbers, all_messages, equal},
        },
        setting::{Stream, TEXT, bodies, is_end, next_offset},
    },
    one_of,
    wire::{Seen, limit},
};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use std::io::Read;
use wireproof_spec::{
    http::{Body, Response},
    stream::{
        header::{ETAG, IF_NONE_MATCH, NEXT_OFFSET},
        requirements::*,
    },
};

const ACCEPT_ENCODING: &str = "accept-encoding";
const CONTENT_ENCODING: &str = "content-encoding";
const VARY: &str = "vary";

pub(super) async fn text(cx: &Cx) -> Outcome {
    // Short enough to be left alone, and long enough to be worth the work.
    for lines in [1, 1_500] {
        let token = cx.token(8);
        let content: String = (0..lines).map(|line| format!("{token} line {line:05}\n")).collect();
        let stream = Stream::create(cx, TEXT, &content).await?;
        let part = content.clone();
        let begins = answer(200)
            .and("the first bytes", move |r| !r.body.is_empty() && part.as_bytes().starts_with(&r.body));
        cx.need(STREAM_READ_1, &cx.send(stream.read()).await?, &one_of![begins])?;
        for _ in 0..2 {
            let (seen, ended) = accepting_gzip(cx, &stream).await?;
            cx.expect(STREAM_CACHING_12, &seen, &[plain(), compressed()])?;
            let (read, all) = (seen.map(|replies| bodies(&decoded(&replies))), content.clone());
            let same =
                alternative("the content that was written, as far as it was read", move |read: &Bytes| {
                    !read.is_empty()
                        && all.as_bytes().starts_with(read)
                        && (read.len() == all.len() || !ended)
                });
            cx.expect(STREAM_CACHING_12, &read, &[same])?;
        }
    }
    Ok(())
}

pub(super) async fn of_messages(cx: &Cx) -> Outcome {
    for count in [1, 500] {
        let token = cx.token(8);
        let messages: Vec<String> = (0..count).map(|n| format!("{{\"{token}\":{n}}}")).collect();
        let stream = Stream::create(cx, JSON, format!("[{}]", messages.join(","))).await?;
        cx.need(STREAM_JSON_2, &cx.send(stream.read()).await?, &one_of![begins_with(&messages)])?;
        let (seen, ended) = accepting_gzip(cx, &stream).await?;
        cx.expect(STREAM_CACHING_12, &seen, &[plain(), compressed()])?;
        let same = alternative(
            "the messages that were written, as far as they were read",
            move |all: &Vec<Response>| {
                all_messages(&decoded(all)).is_some_and(|found| {
                    !found.is_empty()
                        && found.len() <= messages.len()
                        && equal(&found, &messages[..found.len()], Numbers::Double)
                        && (found.len() == messages.len() || !ended)
                })
            },
        );
        cx.expect(STREAM_CACHING_12, &seen, &[same])?;
    }
    Ok(())
}

/// To readers who cannot take gzip, although they speak of it.
pub(super) async fn unwanted(cx: &Cx) -> Outcome {
    let token = cx.token(8);
    let content: String = (0..1_500).map(|line| format!("{token} line {line:05}\n")).collect();
    let stream = Stream::create(cx, TEXT, &content).await?;
    // That there is something to be compressed, and what the first answer holds.
    let reply = cx.send(stream.read()).await?;
    cx.need(STREAM_READ_1, &reply, &one_of![answer(200).and("content", |r| !r.body.is_empty())])?;
    let plain = answer(200).and("without Content-Encoding, and the first bytes", move |reply| {
        codings(reply).is_empty() && !reply.body.is_empty() && content.as_bytes().starts_with(&reply.body)
    });
    for accepted in ["identity", "gzip;q=0", "identity, gzip;q=0.000"] {
        let request = stream.read().header(ACCEPT_ENCODING, accepted);
        cx.expect(STREAM_CACHING_13, &cx.send(request).await?, &one_of![plain.clone()])?;
    }
    Ok(())
}

/// Over HTTP/2 nothing but the server itself keeps a body from following a 304; and who can take gzip may be sent one that is
/// made of nothing.
pub(super) async fn not_modified(cx: &Cx) -> Outcome {
    const FRAME: usize = 1_024;
    let stream = Stream::create(cx, TEXT, cx.token(24)).await?;
    for accepted in [None, Some("gzip")] {
        let mut request = stream.read();
        request.headers.0.extend(accepted.map(|value| (ACCEPT_ENCODING.to_owned(), value.to_owned())));
        let reply = cx.http2(request.clone(), FRAME).await?;
        let tag = cx.need(STREAM_CACHING_1, &reply, &one_of![answer(200).has(ETAG)])?.headers.get(ETAG);
        let request = request.header(IF_NONE_MATCH, tag.unwrap_or_default());
        for _ in 0..2 {
            let reply = cx.http2(request.clone(), FRAME).await?;
            cx.expect(STREAM_CACHING_6, &reply, &one_of![answer(304).body("")])?;
        }
    }
    Ok(())
}

/// The answers of reading from the start by a reader who can take gzip, and whether they reach the tail. A server whose
/// answers are short has shown enough before that.
async fn accepting_gzip(cx: &Cx, stream: &Stream) -> Outcome<(Seen<Vec<Response>>, bool)> {
    const MOST: usize = 20;
    let (mut peer, mut offset, mut replies) = (cx.http(), "-1".to_owned(), Vec::new());
    let mut ended = false;
    while !ended && replies.len() < MOST {
        let seen = peer.send(stream.read_at(&offset).header(ACCEPT_ENCODING, "gzip")).await?;
        let reply = cx.expect(STREAM_CACHING_12, &seen, &one_of![answer(200).has(NEXT_OFFSET)])?;
        ended = is_end(&offset, &decode(reply));
        offset = next_offset(reply);
        replies.push(seen);
    }
    Ok((Seen::all(replies), ended))
}

/// The codings of an answer, in the order in which they were applied.
fn codings(reply: &Response) -> Vec<String> {
    let all = reply.headers.joined();
    let codings = all.get(CONTENT_ENCODING).into_iter().flat_map(|all| all.split(','));
    codings
        .map(|one| one.trim().to_ascii_lowercase())
        .filter(|one| !one.is_empty() && one != "identity")
        .collect()
}

fn plain() -> Alternative<Vec<Response>> {
    alternative("answers as they are, without Content-Encoding", |all: &Vec<Response>| {
        all.iter().all(|reply| codings(reply).is_empty())
    })
}

fn compressed() -> Alternative<Vec<Response>> {
    alternative(
        "answers with Content-Encoding: gzip and a Vary for it, or as they are",
        |all: &Vec<Response>| {
            all.iter().all(|reply| match &codings(reply)[..] {
                [] => true,
                [gzip] => matches!(gzip.as_str(), "gzip" | "x-gzip") && varies(reply),
                _ => false,
            })
        },
    )
}

fn varies(reply: &Response) -> bool {
    let all = reply.headers.joined();
    let mut names = all.get(VARY).into_iter().flat_map(|all| all.split(','));
    names.any(|name| name.trim() == "*" || name.trim().eq_ignore_ascii_case(ACCEPT_ENCODING))
}

fn decoded(replies: &[Response]) -> Vec<Response> {
    replies.iter().map(decode).collect()
}

/// An answer as it was before it was compressed. What is no gzip becomes nothing; so does what a few bytes would blow up
/// beyond all that a peer reads.
fn decode(reply: &Response) -> Response {
    if codings(reply).is_empty() {
        return reply.clone();
    }
    let mut bytes = Vec::new();
    let most = limit::BODY as u64;
    let read = MultiGzDecoder::new(&reply.body[..]).take(most + 1).read_to_end(&mut bytes);
    if read.is_err() || bytes.len() as u64 > most {
        bytes.clear();
    }
    Response { body: Body(Bytes::from(bytes)), ..reply.clone() }
}
