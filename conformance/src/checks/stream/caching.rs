//! Checks of "Caching" in spec/stream.md.

mod gzip;

use super::{
    json::JSON,
    read::{fresh, grow},
    setting::{Stream, TEXT, directives, proven, put},
};
use crate::{
    check::{Answer, Check, Cx, Hook, Lane, Need, Outcome, alternative, answer},
    drives, one_of,
    wire::raw::RawAnswer,
};
use std::collections::BTreeSet;
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        header::{CACHE_CONTROL, CLOSED, ETAG, IF_NONE_MATCH, NEXT_OFFSET},
        requirements::*,
    },
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/caching/etag", &[STREAM_CACHING_1], drives!(etags)),
    Check::new("stream/caching/etag-live", &[STREAM_CACHING_1], drives!(etags_live)),
    Check::new("stream/caching/etag-of-now", &[STREAM_CACHING_2], drives!(etag_of_now)),
    Check::new("stream/caching/appended", &[STREAM_CACHING_3], drives!(after_append)),
    Check::new("stream/caching/closed", &[STREAM_CACHING_4], drives!(after_close)),
    Check::new("stream/caching/ranges", &[STREAM_CACHING_5], drives!(ranges)),
    Check::new("stream/caching/not-modified", &[STREAM_CACHING_6], drives!(not_modified)),
    Check::new("stream/caching/not-modified-has-no-body", &[STREAM_CACHING_6], drives!(no_body)),
    Check::new(
        "stream/caching/not-modified-and-compressed",
        &[STREAM_CACHING_6],
        drives!(gzip::not_modified),
    )
    .needs(&[Need::Feature("stream.http2", "on")]),
    Check::new("stream/caching/list", &[STREAM_CACHING_7], drives!(list)),
    Check::new("stream/caching/not-modified-headers", &[STREAM_CACHING_8], drives!(headers)),
    Check::new("stream/caching/deleted", &[STREAM_CACHING_9], drives!(deleted)),
    Check::new("stream/caching/deleted-over-restart", &[STREAM_CACHING_9], drives!(deleted_over_restart))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("stream/caching/cache-control", &[STREAM_CACHING_10], drives!(cache_control)),
    Check::new("stream/caching/now-not-stored", &[STREAM_CACHING_11], drives!(now_not_stored)),
    Check::new("stream/caching/gzip", &[STREAM_CACHING_12], drives!(gzip::text)),
    Check::new("stream/caching/gzip-of-messages", &[STREAM_CACHING_12], drives!(gzip::of_messages)),
    Check::new("stream/caching/gzip-unwanted", &[STREAM_CACHING_13], drives!(gzip::unwanted)),
];

/// The ETag of an answer.
fn etag(response: &Response) -> String {
    response.headers.get(ETAG).unwrap_or_default().to_owned()
}

/// An ETag without its mark of weakness, which does not count when If-None-Match is compared.
fn opaque(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

/// `"…"`, or `W/"…"` (RFC 9110, section 8.8.3).
fn is_etag(text: &str) -> bool {
    let inside = opaque(text).strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    inside.is_some_and(|t| t.chars().all(|c| c == '!' || c > '"' && c != '\u{7f}'))
}

fn tagged() -> Answer {
    answer(200).has(ETAG).and("an ETag in quotes", |r| is_etag(&etag(r)))
}

/// An answer with another ETag than these.
fn tagged_unlike(others: &[String]) -> Answer {
    let others: Vec<String> = others.iter().map(|etag| opaque(etag).to_owned()).collect();
    let name = format!("an ETag other than {}", others.join(" and "));
    tagged().and(name, move |r| others.iter().all(|other| opaque(&etag(r)) != other))
}

/// The request of a reader who has what this ETag names.
fn having(request: Request, etag: &str) -> Request {
    request.header(IF_NONE_MATCH, etag)
}

/// The ETag of what is answered to a read, as set-up.
async fn told_etag(cx: &Cx, request: Request) -> Outcome<String> {
    let seen = cx.send(request).await?;
    Ok(etag(cx.need(STREAM_CACHING_1, &seen, &one_of![tagged()])?))
}

/// Reads of a stream from the start, from the middle, and at the tail; and how many bytes are behind each offset.
async fn reads(cx: &Cx) -> Outcome<(Stream, String, Vec<(Request, usize)>)> {
    let mut content = cx.token(20);
    let stream = fresh(cx, &content).await?;
    let more = cx.token(20);
    let tail = grow(cx, &stream, &more).await?;
    content.push_str(&more);
    let reads = vec![
        (stream.read(), 40),
        (stream.read_at("-1"), 40),
        (stream.read_at(&stream.start), 20),
        (stream.read_at(&tail), 0),
    ];
    Ok((stream, content, reads))
}

/// The first bytes of the end of this content, of this length, or nothing if there are none.
fn bytes_of(content: &str, length: usize) -> Answer {
    let end = content[content.len() - length..].to_owned();
    let name =
        if end.is_empty() { "no content".to_owned() } else { format!("bytes that begin with {end:?}") };
    answer(200)
        .has(NEXT_OFFSET)
        .and(name, move |r| end.as_bytes().starts_with(&r.body) && r.body.is_empty() == end.is_empty())
}

async fn etags(cx: &Cx) -> Outcome {
    let (stream, content, reads) = reads(cx).await?;
    for closes in [false, true] {
        for (request, length) in &reads {
            let reply = cx.send(request.clone()).await?;
            cx.need(STREAM_READ_2, &reply, &one_of![bytes_of(&content, *length)])?;
            cx.expect(STREAM_CACHING_1, &reply, &one_of![tagged()])?;
        }
        if !closes {
            stream.closed(cx).await?;
        }
    }
    for stream in [Stream::create(cx, TEXT, "").await?, Stream::create(cx, JSON, "[1]").await?] {
        for closes in [false, true] {
            for request in [stream.read(), stream.read_at(&stream.start)] {
                let reply = cx.send(request).await?;
                cx.expect(STREAM_CACHING_1, &reply, &one_of![tagged()])?;
            }
            if !closes {
                stream.closed(cx).await?;
            }
        }
    }
    Ok(())
}

async fn etags_live(cx: &Cx) -> Outcome {
    let (stream, content, _) = reads(cx).await?;
    for (offset, length) in [("-1", 40), (&*stream.start, 20)] {
        let reply = cx.send(stream.long_poll(offset)).await?;
        cx.need(STREAM_LONGPOLL_2, &reply, &one_of![bytes_of(&content, length)])?;
        cx.expect(STREAM_CACHING_1, &reply, &one_of![tagged()])?;
    }
    Ok(())
}

async fn etag_of_now(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let reply = cx.send(stream.read_at("now")).await?;
    cx.expect(STREAM_CACHING_2, &reply, &one_of![answer(200).without(ETAG), answer(200).has(ETAG)])?;
    Ok(())
}

async fn after_append(cx: &Cx) -> Outcome {
    let (stream, mut content, mut reads) = reads(cx).await?;
    let mut before: Vec<Vec<String>> = vec![Vec::new(); reads.len()];
    for _ in 0..2 {
        for ((request, length), before) in reads.iter().zip(&mut before) {
            let reply = cx.send(request.clone()).await?;
            let whole = cx.need(STREAM_READ_2, &reply, &one_of![bytes_of(&content, *length)])?;
            if whole.body.len() == *length {
                before.push(etag(cx.need(STREAM_CACHING_1, &reply, &one_of![tagged()])?));
            }
        }
        let more = cx.token(20);
        grow(cx, &stream, &more).await?;
        content.push_str(&more);
        for ((request, length), before) in reads.iter_mut().zip(&before) {
            *length += more.len();
            let other = || tagged_unlike(before);
            let reply = cx.send(request.clone()).await?;
            cx.expect(STREAM_CACHING_3, &reply, &one_of![other()])?;
            for etag in before {
                let reply = cx.send(having(request.clone(), etag)).await?;
                cx.expect(STREAM_CACHING_3, &reply, &one_of![other()])?;
                cx.expect(STREAM_CACHING_3, &reply, &one_of![bytes_of(&content, *length)])?;
            }
        }
    }
    Ok(())
}

async fn after_close(cx: &Cx) -> Outcome {
    let (stream, content, reads) = reads(cx).await?;
    let empty = Stream::create(cx, TEXT, "").await?;
    let all = reads.into_iter().chain([(empty.read(), 0), (empty.read_at(&empty.start), 0)]);
    let mut before = Vec::new();
    for (request, length) in all {
        let reply = cx.send(request.clone()).await?;
        // What stops before the tail is the same when the stream is closed.
        if cx.need(STREAM_READ_5, &reply, &one_of![answer(200).without(CLOSED)])?.body.len() == length {
            before.push((request, length, etag(cx.need(STREAM_CACHING_1, &reply, &one_of![tagged()])?)));
        }
    }
    stream.closed(cx).await?;
    empty.closed(cx).await?;
    for (request, length, etag) in before {
        let other = || tagged_unlike(std::slice::from_ref(&etag));
        let reply = cx.send(request.clone()).await?;
        cx.expect(STREAM_CACHING_4, &reply, &one_of![other()])?;
        let reply = cx.send(having(request, &etag)).await?;
        cx.expect(STREAM_CACHING_4, &reply, &one_of![other().with(CLOSED, "true")])?;
        cx.need(STREAM_READ_2, &reply, &one_of![bytes_of(&content, length)])?;
    }
    Ok(())
}

async fn ranges(cx: &Cx) -> Outcome {
    // Of one length, and each with other bytes: who makes ETags of the bytes alone tells these apart too.
    let stream = fresh(cx, "").await?;
    let mut offsets = vec![stream.start.clone()];
    let mut seen: Vec<(String, String)> = Vec::new();
    for _ in 0..3 {
        offsets.push(grow(cx, &stream, &cx.token(20)).await?);
        for offset in &offsets {
            let reply = cx.send(stream.read_at(offset)).await?;
            let body = String::from_utf8_lossy(&cx.need(STREAM_READ_2, &reply, &one_of![answer(200)])?.body);
            // Behind each tail there was nothing once: those ranges are empty and have nothing but their place.
            let range = format!("{offset} {body}");
            let others: Vec<String> =
                seen.iter().filter(|(other, _)| *other != range).map(|(_, etag)| etag.clone()).collect();
            let reply = cx.expect(STREAM_CACHING_5, &reply, &one_of![tagged_unlike(&others)])?;
            seen.push((range, etag(reply)));
        }
    }
    Ok(())
}

async fn not_modified(cx: &Cx) -> Outcome {
    let (stream, content, reads) = reads(cx).await?;
    for closes in [false, true] {
        for (request, length) in &reads {
            let etag = told_etag(cx, request.clone()).await?;
            for _ in 0..2 {
                let reply = cx.send(having(request.clone(), &etag)).await?;
                cx.expect(STREAM_CACHING_6, &reply, &one_of![answer(304).body("")])?;
                // Who has something else gets the content.
                let reply = cx.send(having(request.clone(), "\"something else\"")).await?;
                cx.need(STREAM_READ_2, &reply, &one_of![bytes_of(&content, *length)])?;
            }
        }
        if !closes {
            stream.closed(cx).await?;
        }
    }
    for stream in [Stream::create(cx, TEXT, "").await?, Stream::create(cx, JSON, "[1]").await?] {
        for request in [stream.read(), stream.read_at(&stream.start)] {
            let etag = told_etag(cx, request.clone()).await?;
            let reply = cx.send(having(request, &etag)).await?;
            cx.expect(STREAM_CACHING_6, &reply, &one_of![answer(304).body("")])?;
        }
    }
    Ok(())
}

async fn no_body(cx: &Cx) -> Outcome {
    let (_, _, reads) = reads(cx).await?;
    for (request, _) in reads {
        let etag = told_etag(cx, request.clone()).await?;
        let mut peer = cx.raw().await?;
        let sent = peer.send(&having(request, &etag).header("connection", "close")).await;
        let reply = peer.answer(sent).await?;
        let nothing = alternative("304 and no byte behind the head", |raw: &RawAnswer| {
            raw.head.status == 304 && raw.rest.is_empty()
        });
        cx.expect(STREAM_CACHING_6, &reply, &[nothing])?;
    }
    Ok(())
}

async fn list(cx: &Cx) -> Outcome {
    let (stream, content, _) = reads(cx).await?;
    let tag = told_etag(cx, stream.read()).await?;
    let (strong, weak) = (opaque(&tag).to_owned(), format!("W/{}", opaque(&tag)));
    for lines in [
        vec![format!("\"one\", {tag}")],
        vec![format!("{tag}, \"one\"")],
        vec![format!("\"one\",{tag} , W/\"two\"")],
        vec![format!("\"with, a comma\", {tag}")],
        vec![strong.clone()],
        vec![weak.clone()],
        vec![format!("W/\"one\", {weak}")],
        vec!["\"one\"".to_owned(), tag.clone()],
    ] {
        let mut request = stream.read();
        lines.iter().for_each(|line| request.headers.push(IF_NONE_MATCH, line.clone()));
        let reply = cx.send(request).await?;
        cx.expect(STREAM_CACHING_7, &reply, &one_of![answer(304)])?;
    }
    // A list without it holds nothing that counts, nor does one in which it stands inside of another.
    for other in ["\"one\", W/\"two\"".to_owned(), format!("\"one\", \"x{}", &strong[1..])] {
        let reply = cx.send(having(stream.read(), &other)).await?;
        cx.expect(STREAM_CACHING_7, &reply, &one_of![bytes_of(&content, content.len())])?;
    }
    Ok(())
}

async fn headers(cx: &Cx) -> Outcome {
    let (_, _, reads) = reads(cx).await?;
    for (request, _) in reads {
        let full = cx.send(request.clone()).await?;
        let told = cx.need(STREAM_CACHING_1, &full, &one_of![tagged()])?;
        // What is counted in seconds may have been counted down.
        let names = |r: &Response| directives(r).into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>();
        let (tag, cached) = (etag(told), told.headers.get(CACHE_CONTROL).map(|_| names(told)));
        let reply = cx.send(having(request, &tag)).await?;
        cx.need(STREAM_CACHING_6, &reply, &one_of![answer(304)])?;
        let same = format!("the ETag {tag}");
        let repeats = answer(304).has(ETAG).and(same, move |r| opaque(&etag(r)) == opaque(&tag));
        let repeats = match cached {
            None => repeats,
            Some(cached) => {
                repeats.has(CACHE_CONTROL).and("the directives of the 200", move |r| names(r) == cached)
            }
        };
        cx.expect(STREAM_CACHING_8, &reply, &one_of![repeats])?;
    }
    Ok(())
}

/// A stream that was deleted, and the ETags that it had, each with the read that it belongs to.
async fn buried(cx: &Cx, stream: &Stream, content: &str) -> Outcome<Vec<(Request, String)>> {
    let tail = stream.told_tail(cx).await?;
    let mut known = Vec::new();
    for (request, length) in [(stream.read(), content.len()), (stream.read_at(&tail), 0)] {
        let reply = cx.send(request.clone()).await?;
        cx.need(STREAM_READ_2, &reply, &one_of![bytes_of(content, length)])?;
        let etag = etag(cx.need(STREAM_CACHING_1, &reply, &one_of![tagged()])?);
        let reply = cx.send(having(request.clone(), &etag)).await?;
        cx.need(STREAM_CACHING_6, &reply, &one_of![answer(304)])?;
        known.push((request, etag));
    }
    cx.need(STREAM_DELETE_1, &cx.send(stream.delete()).await?, &one_of![answer(204)])?;
    for (request, etag) in &known {
        let reply = cx.send(having(request.clone(), etag)).await?;
        cx.expect(STREAM_CACHING_9, &reply, &one_of![answer(404), answer(410)])?;
    }
    Ok(known)
}

/// Creates another stream at the URL of one that was deleted, with content of the same length, if the server allows that,
/// and claims that none of these ETags is one of it.
async fn succeeded(
    cx: &Cx,
    stream: &Stream,
    length: usize,
    known: &[(Request, String)],
) -> Outcome<Option<String>> {
    let content = cx.token(length);
    let made = cx.http().send(put(&stream.path, TEXT).body(content.clone())).await?;
    let made = made.look().is_ok_and(|reply| reply.status == 201);
    for (request, etag) in known {
        let reply = cx.http().send(having(request.clone(), etag)).await?;
        // An offset of the old stream may be none of the new one.
        let alternatives = match made {
            true => one_of![answer(200), answer(400), answer(404), answer(410)],
            false => one_of![answer(404), answer(410)],
        };
        cx.expect(STREAM_CACHING_9, &reply, &alternatives)?;
    }
    if !made {
        return Ok(None);
    }
    let reply = cx.http().send(stream.read()).await?;
    let known: Vec<String> = known.iter().map(|(_, etag)| etag.clone()).collect();
    cx.need(STREAM_READ_1, &reply, &one_of![bytes_of(&content, length)])?;
    cx.expect(STREAM_CACHING_9, &reply, &one_of![tagged_unlike(&known)])?;
    Ok(Some(content))
}

/// How long the content of a stream is that is deleted.
const LENGTH: usize = 24;

async fn deleted(cx: &Cx) -> Outcome {
    let mut content = cx.token(LENGTH);
    let stream = Stream::create(cx, TEXT, &content).await?;
    let mut known = Vec::new();
    for _ in 0..3 {
        known.extend(buried(cx, &stream, &content).await?);
        match succeeded(cx, &stream, LENGTH, &known).await? {
            Some(next) => content = next,
            None => break,
        }
    }
    Ok(())
}

async fn deleted_over_restart(cx: &Cx) -> Outcome {
    let content = cx.token(LENGTH);
    let stream = Stream::create(cx, TEXT, &content).await?;
    let known = buried(cx, &stream, &content).await?;
    cx.hook(Hook::Restart).await?;
    succeeded(cx, &stream, LENGTH, &known).await?;
    Ok(())
}

async fn cache_control(cx: &Cx) -> Outcome {
    let (stream, content, reads) = reads(cx).await?;
    let shared = |r: &Response| {
        let all = directives(r);
        let has =
            |name: &str, value: Option<&str>| all.iter().any(|(n, v)| n == name && v.as_deref() == value);
        (has("public", None) || has("private", None))
            && has("max-age", Some("60"))
            && has("stale-while-revalidate", Some("300"))
    };
    for closes in [false, true] {
        for (request, length) in &reads {
            let reply = cx.send(request.clone()).await?;
            cx.need(STREAM_READ_2, &reply, &one_of![bytes_of(&content, *length)])?;
            let name = "public or private, max-age=60, stale-while-revalidate=300";
            cx.expect(STREAM_CACHING_10, &reply, &one_of![answer(200).has(CACHE_CONTROL).and(name, shared)])?;
        }
        if !closes {
            stream.closed(cx).await?;
        }
    }
    Ok(())
}

async fn now_not_stored(cx: &Cx) -> Outcome {
    let not_stored = |r: &Response| directives(r).iter().any(|(name, _)| name == "no-store");
    for stream in [proven(cx).await?, Stream::create(cx, TEXT, "").await?] {
        for closes in [false, true] {
            let reply = cx.send(stream.read_at("now")).await?;
            cx.expect(
                STREAM_CACHING_11,
                &reply,
                &one_of![answer(200).has(CACHE_CONTROL).and("no-store", not_stored)],
            )?;
            if !closes {
                stream.closed(cx).await?;
            }
        }
    }
    Ok(())
}
