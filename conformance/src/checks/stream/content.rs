//! Checks of "Content" in spec/stream.md.

use super::{
    json::{JSON, hold},
    setting::{
        OTHER, Stream, TEXT, appended, bodies, closed, closing, holds, next_offset, odd_contents, put,
    },
};
use crate::{
    check::{Alternative, Check, Cx, Hook, Lane, Need, Outcome, alternative, answer},
    drives, one_of,
    wire::Seen,
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use wireproof_spec::{http::Response, stream::requirements::*};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/content/restart", &[STREAM_CONTENT_1], drives!(restart))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("stream/content/kill", &[STREAM_CONTENT_2, STREAM_CONTENT_5], drives!(kill))
        .needs(&[Need::Hook(Hook::Kill)])
        .lane(Lane::Alone),
    Check::new("stream/content/unchanging", &[STREAM_CONTENT_3], drives!(unchanging)),
    Check::new(
        "stream/content/unchanging-over-restart",
        &[STREAM_CONTENT_3],
        drives!(unchanging_over_restart),
    )
    .needs(&[Need::Hook(Hook::Restart)])
    .lane(Lane::Alone),
    Check::new("stream/content/in-one-piece", &[STREAM_CONTENT_4], drives!(in_one_piece))
        .needs(&[Need::AtLeast("retained-bytes", 600_000), Need::AtLeast("max-body-bytes", 200_000)]),
    Check::new("stream/content/exactly-once", &[STREAM_CONTENT_5], drives!(exactly_once)),
    Check::new("stream/content/in-order", &[STREAM_CONTENT_6], drives!(in_order)),
    Check::new("stream/content/visible", &[STREAM_CONTENT_7], drives!(visible)),
];

async fn restart(cx: &Cx) -> Outcome {
    let mut kept = Vec::new();
    for content in [String::new(), cx.token(16), cx.token(64).repeat(512)] {
        kept.push((Stream::create(cx, TEXT, &content).await?, content.into_bytes()));
    }
    for (media_type, content) in odd_contents() {
        kept.push((Stream::create(cx, media_type, &content).await?, content));
    }
    let of_messages = Stream::create(cx, JSON, "[]").await?;
    let mut messages = Vec::new();
    // The second time with what came in between.
    for _ in 0..2 {
        for (stream, content) in &mut kept {
            let more = cx.token(32);
            stream.appended(cx, more.clone()).await?;
            content.extend_from_slice(more.as_bytes());
        }
        let more = [format!("{:?}", cx.token(8)), "[1,[2]]".into(), "{\"\u{20ac}\":null}".into()];
        of_messages.appended(cx, format!("[{}]", more.join(","))).await?;
        messages.extend(more);
        cx.hook(Hook::Restart).await?;
        for (stream, content) in &kept {
            // On a new connection: the old ones went with the process.
            let there = cx.http().send(stream.read()).await?;
            cx.expect(STREAM_CONTENT_1, &there, &one_of![answer(200)])?;
            let read = stream.content(cx).await?;
            cx.expect(STREAM_CONTENT_1, &read, &[holds(content.clone())])?;
        }
        let there = cx.http().send(of_messages.read()).await?;
        cx.expect(STREAM_CONTENT_1, &there, &one_of![answer(200)])?;
        let read = of_messages.walk(cx, "-1").await?;
        cx.expect(STREAM_CONTENT_1, &read, &[hold(&messages)])?;
    }
    Ok(())
}

async fn kill(cx: &Cx) -> Outcome {
    const WRITERS: usize = 4;
    /// Long enough that the process dies in the middle of it.
    const DYING: usize = 1024 * 1024;
    let stream = Stream::create(cx, TEXT, "").await?;
    let mut acknowledged = Vec::new();
    // At rest; in the middle of an append; behind what is left of the append that was never answered.
    for amid in [false, true, false] {
        let messages: Vec<String> = (0..WRITERS).map(|_| cx.token(24)).collect();
        let replies = try_join_all(messages.iter().map(|m| cx.send(stream.append(m.clone())))).await?;
        cx.need(STREAM_APPEND_1, &Seen::all(replies), &[all_appended()])?;
        acknowledged.extend(messages);
        let dying = match amid {
            true => Some(cx.begin(stream.append(".".repeat(DYING)), cx.answer_time()).await?),
            false => None,
        };
        cx.hook(Hook::Kill).await?;
        drop(dying);
        let there = cx.http().send(stream.read()).await?;
        cx.expect(STREAM_CONTENT_2, &there, &one_of![answer(200)])?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_CONTENT_2, &read, &[each(&acknowledged, "there", |count| count > 0)])?;
        // What is replayed at the start must not be there again.
        let once = each(&acknowledged, "there exactly once", |count| count == 1);
        cx.expect(STREAM_CONTENT_5, &read, &[once])?;
    }
    Ok(())
}

async fn unchanging(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, TEXT, "").await?;
    let mut parts: Vec<(String, String)> = Vec::new();
    let mut offset = stream.start.clone();
    for length in [8, 40, 16, 24, 32, 12, 20] {
        let part = cx.token(length);
        let next = stream.appended(cx, part.clone()).await?;
        parts.push((std::mem::replace(&mut offset, next), part));
    }
    let unchanged = async || {
        for (index, (offset, _)) in parts.iter().enumerate() {
            let behind: String = parts[index..].iter().map(|(_, part)| part.as_str()).collect();
            let read = stream.content_from(cx, offset).await?;
            cx.expect(STREAM_CONTENT_3, &read, &[holds(behind)])?;
        }
        Ok(())
    };
    unchanged().await?;
    unchanged().await?;
    // Nor does what happens to the stream later.
    let again = cx.send(put(&stream.path, TEXT).body("another")).await?;
    cx.need(STREAM_CREATE_2, &again, &one_of![answer(200)])?;
    unchanged().await?;
    // How these are answered is not asked here.
    for refused in [put(&stream.path, OTHER), closing(put(&stream.path, TEXT))] {
        let _ = cx.send(refused.body("refused")).await?;
        unchanged().await?;
    }
    cx.need(STREAM_CLOSE_1, &cx.send(stream.close()).await?, &one_of![closed()])?;
    unchanged().await
}

async fn unchanging_over_restart(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, TEXT, "").await?;
    let (mut content, mut given) = (String::new(), vec![(stream.start.clone(), 0)]);
    for _ in 0..2 {
        for length in [8, 40, 16] {
            let part = cx.token(length);
            let tail = stream.appended(cx, part.clone()).await?;
            content.push_str(&part);
            given.push((tail, content.len()));
        }
        cx.hook(Hook::Restart).await?;
        // That all of it is there is another matter.
        let there = cx.http().send(stream.head()).await?;
        cx.need(STREAM_CONTENT_1, &there, &one_of![answer(200)])?;
        cx.need(STREAM_CONTENT_1, &stream.content(cx).await?, &[holds(content.clone())])?;
        for (offset, position) in &given {
            let read = stream.content_from(cx, offset).await?;
            cx.expect(STREAM_CONTENT_3, &read, &[holds(content[*position..].to_owned())])?;
        }
    }
    Ok(())
}

async fn in_one_piece(cx: &Cx) -> Outcome {
    const WRITERS: usize = 6;
    let size = large(cx).await?;
    for _ in 0..3 {
        let stream = Stream::create(cx, TEXT, "").await?;
        let tags: Vec<String> = (0..WRITERS).map(|_| cx.token(8)).collect();
        let bodies: Vec<String> = tags.iter().map(|tag| numbered(tag, size)).collect();
        let mut peers: Vec<_> = bodies.iter().map(|_| cx.http()).collect();
        let sent = peers.iter_mut().zip(&bodies).map(|(peer, body)| peer.send(stream.append(body.clone())));
        let replies = try_join_all(sent).await?;
        cx.need(STREAM_APPEND_1, &Seen::all(replies), &[all_appended()])?;
        let read = stream.content(cx).await?;
        // What is not there at all is another matter.
        let begun: Vec<String> = tags.iter().map(|tag| format!("<{tag}:0>")).collect();
        cx.need(STREAM_CONTENT_5, &read, &[each(&begun, "there", |count| count > 0)])?;
        cx.expect(STREAM_CONTENT_4, &read, &[each(&bodies, "in one piece", |count| count > 0)])?;
    }
    Ok(())
}

/// How long an append has to be so that no buffer holds it whole: less where every answer of this server is short.
async fn large(cx: &Cx) -> Outcome<usize> {
    const MOST: usize = 192 * 1024;
    /// All writers and rounds together make a few hundred answers: also a server that is slow with each comes to an end.
    const ANSWERS: usize = 20;
    let stream = Stream::create(cx, TEXT, &"x".repeat(MOST)).await?;
    let first = cx.send(stream.read()).await?;
    let held = cx.need(STREAM_READ_1, &first, &one_of![answer(200)])?.body.len();
    Ok(held.saturating_mul(ANSWERS).min(MOST))
}

/// A text of about this size in which every piece has the writer's tag and its own number.
fn numbered(tag: &str, size: usize) -> String {
    let mut text = String::with_capacity(size + tag.len() + 16);
    for number in 0.. {
        text.push_str(&format!("<{tag}:{number}>"));
        if text.len() >= size {
            break;
        }
    }
    text
}

async fn exactly_once(cx: &Cx) -> Outcome {
    const WRITERS: usize = 6;
    const EACH: usize = 5;
    let stream = Stream::create(cx, TEXT, "").await?;
    let messages: Vec<Vec<String>> =
        (0..WRITERS).map(|writer| (0..EACH).map(|n| message(cx, writer, n)).collect()).collect();
    let replies = try_join_all(messages.iter().map(async |mine| {
        let mut peer = cx.http();
        let mut replies = Vec::new();
        for message in mine {
            replies.push(peer.send(stream.append(message.clone())).await?);
        }
        Ok(replies)
    }))
    .await?;
    cx.need(STREAM_APPEND_1, &Seen::all(replies.into_iter().flatten()), &[all_appended()])?;
    let read = stream.content(cx).await?;
    cx.expect(
        STREAM_CONTENT_5,
        &read,
        &[each(&messages.concat(), "there exactly once", |count| count == 1)],
    )?;
    Ok(())
}

async fn in_order(cx: &Cx) -> Outcome {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 5;
    let stream = Stream::create(cx, TEXT, "").await?;
    let mut peers: Vec<_> = (0..WRITERS).map(|_| cx.http()).collect();
    let mut rounds: Vec<Vec<String>> = Vec::new();
    for round in 0..ROUNDS {
        // Every append of a round starts after all of the round before were acknowledged.
        let messages: Vec<String> = (0..WRITERS).map(|writer| message(cx, writer, round)).collect();
        let sent = peers.iter_mut().zip(&messages).map(|(peer, m)| peer.send(stream.append(m.clone())));
        cx.need(STREAM_APPEND_1, &Seen::all(try_join_all(sent).await?), &[all_appended()])?;
        rounds.push(messages);
    }
    let read = stream.content(cx).await?;
    cx.need(STREAM_CONTENT_5, &read, &[each(&rounds.concat(), "there", |count| count > 0)])?;
    let ascending = alternative("each append behind those acknowledged before it", move |read: &Bytes| {
        let text = String::from_utf8_lossy(read);
        let places = |round: &Vec<String>| -> Vec<Option<usize>> {
            round.iter().map(|message| text.find(message.as_str())).collect()
        };
        let places: Vec<_> = rounds.iter().map(places).collect();
        places.windows(2).all(|two| two[0].iter().max() < two[1].iter().min())
    });
    cx.expect(STREAM_CONTENT_6, &read, &[ascending])?;
    Ok(())
}

async fn visible(cx: &Cx) -> Outcome {
    // One writer, and several who write at the same time: each sees its own.
    for writers in [1, 4] {
        let stream = Stream::create(cx, TEXT, "").await?;
        try_join_all((0..writers).map(|writer| sees_its_own(cx, &stream, writer))).await?;
    }
    Ok(())
}

async fn sees_its_own(cx: &Cx, stream: &Stream, writer: usize) -> Outcome {
    let mut peer = cx.http();
    let mut readers = [cx.http(), cx.http()];
    let mut before = stream.start.clone();
    for n in 0..8 {
        let message = message(cx, writer, n);
        let reply = peer.send(stream.append(message.clone())).await?;
        let tail = next_offset(cx.need(STREAM_APPEND_1, &reply, &one_of![appended()])?);
        for reader in &mut readers {
            let read = stream.walk_by(cx, reader, &before).await?.map(|replies| bodies(&replies));
            cx.expect(
                STREAM_CONTENT_7,
                &read,
                &[each(std::slice::from_ref(&message), "seen", |count| count > 0)],
            )?;
        }
        before = tail;
    }
    Ok(())
}

/// A message that no other contains, of a length of its own.
fn message(cx: &Cx, writer: usize, n: usize) -> String {
    format!("<{writer}:{n}:{}{}>", cx.token(8), ".".repeat((writer * 7 + n * 3) % 24))
}

fn all_appended() -> Alternative<Vec<Response>> {
    alternative("204 for each", |all: &Vec<Response>| all.iter().all(|r| r.status == 204))
}

/// Of each of these texts so many are in the content.
fn each(texts: &[String], what: &str, right: fn(usize) -> bool) -> Alternative<Bytes> {
    let texts = texts.to_vec();
    alternative(format!("each of {} acknowledged appends {what}", texts.len()), move |read: &Bytes| {
        let read = String::from_utf8_lossy(read);
        texts.iter().all(|text| right(read.matches(text.as_str()).count()))
    })
}
