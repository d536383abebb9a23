//! Stream-Seq, and which refusal comes first.

use super::super::{
    json::JSON,
    setting::{OTHER, Stream, TEXT, appended, by, holds, written},
};
use crate::{
    check::{Answer, Breaks, Cx, Outcome, alternative, answer},
    one_of,
    wire::Seen,
};
use futures_util::future::try_join_all;
use wireproof_spec::{
    http::{Body, Request, Response},
    stream::{
        header::{CLOSED, CONTENT_TYPE, NEXT_OFFSET, PRODUCER_EXPECTED_SEQ, SEQ},
        requirements::*,
    },
};

/// An append with this Stream-Seq.
fn append(stream: &Stream, seq: &str) -> Request {
    stream.append("x").header(SEQ, seq)
}

/// A stream on which these were accepted.
async fn at(cx: &Cx, seqs: &[&str]) -> Outcome<Stream> {
    let stream = written(cx).await?;
    for seq in seqs {
        let reply = cx.send(append(&stream, seq)).await?;
        cx.need(STREAM_APPEND_14, &reply, &one_of![appended()])?;
    }
    Ok(stream)
}

/// A conflict that is not one of closure.
fn conflict() -> Answer {
    answer(409).without(CLOSED)
}

pub(in super::super) async fn not_rising(cx: &Cx) -> Outcome {
    // What was accepted, what comes then, and what would be accepted instead. Some of these rise as numbers or as words.
    for (before, seq, valid) in [
        (&["001", "002"][..], "002", "003"),
        (&["001", "002"], "001", "003"),
        (&["9"], "10", "91"),
        (&["b"], "C", "c"),
        (&["ab"], "a", "abc"),
    ] {
        cx.refused(
            STREAM_APPEND_13,
            Breaks::Fit,
            |cx| at(cx, before),
            |stream| append(stream, valid),
            |_, request| request.headers.set(SEQ, seq),
            (STREAM_APPEND_14, &one_of![appended()]),
            &one_of![conflict()],
        )
        .await?;
    }
    Ok(())
}

pub(in super::super) async fn rising(cx: &Cx) -> Outcome {
    // Rising byte by byte, and neither as numbers nor as words of any language.
    const RISING: [&str; 12] = ["-", "10", "2", "20", "A", "AA", "B", "Z", "_", "a", "aa", "b"];
    let stream = written(cx).await?;
    for seq in RISING {
        let reply = cx.send(append(&stream, seq)).await?;
        cx.expect(STREAM_APPEND_14, &reply, &one_of![appended()])?;
    }
    let read = stream.content_from(cx, &stream.start).await?;
    cx.expect(STREAM_APPEND_14, &read, &[holds("x".repeat(RISING.len()))])?;
    Ok(())
}

pub(in super::super) async fn long(cx: &Cx) -> Outcome {
    // Longer than any number, and equal but for the end.
    let base = "7".repeat(300);
    let stream = written(cx).await?;
    for end in ["1", "2", "20"] {
        let reply = cx.send(append(&stream, &format!("{base}{end}"))).await?;
        cx.expect(STREAM_APPEND_14, &reply, &one_of![appended()])?;
    }
    for seq in [base.clone(), format!("{base}1"), format!("{base}2")] {
        let reply = cx.send(append(&stream, &seq)).await?;
        cx.expect(STREAM_APPEND_13, &reply, &one_of![conflict()])?;
    }
    Ok(())
}

pub(in super::super) async fn beyond_ascii(cx: &Cx) -> Outcome {
    let stream = at(cx, &["z"]).await?;
    // The bytes c3 a9, c3 bc and d0 96: rising, and all behind "z".
    for seq in ["é", "ü", "Ж"] {
        let reply = cx.send(append(&stream, seq)).await?;
        let taken = cx.expect(STREAM_APPEND_14, &reply, &one_of![appended(), answer(400)])?.status == 204;
        let lower = if taken { "é" } else { "z" };
        for seq in ["z", lower] {
            let reply = cx.send(append(&stream, seq)).await?;
            cx.expect(STREAM_APPEND_13, &reply, &one_of![conflict()])?;
        }
    }
    Ok(())
}

pub(in super::super) async fn another_writer(cx: &Cx) -> Outcome {
    let stream = at(cx, &["5"]).await?;
    let reply = cx.second().send(append(&stream, "1")).await?;
    let alternatives = one_of![appended(), conflict(), answer(401), answer(403), answer(404)];
    cx.expect(STREAM_APPEND_21, &reply, &alternatives)?;
    Ok(())
}

pub(in super::super) async fn writes_nothing(cx: &Cx) -> Outcome {
    let stream = at(cx, &["5"]).await?;
    let mut content = "x".to_owned();
    for (refused, accepted) in [("5", "6"), ("4", "7"), ("7", "8")] {
        let mut request = append(&stream, refused);
        request.body = Body(cx.token(16).into());
        cx.need(STREAM_APPEND_13, &cx.send(request.clone()).await?, &one_of![conflict()])?;
        let read = stream.content_from(cx, &stream.start).await?;
        cx.expect(STREAM_APPEND_15, &read, &[holds(content.clone())])?;
        // The same body lands where the refused one would have stood.
        request.headers.set(SEQ, accepted);
        content.push_str(&String::from_utf8_lossy(&request.body));
        cx.need(STREAM_APPEND_14, &cx.send(request).await?, &one_of![appended()])?;
        let read = stream.content_from(cx, &stream.start).await?;
        cx.expect(STREAM_APPEND_15, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

pub(in super::super) async fn refused_counts_not(cx: &Cx) -> Outcome {
    let stream = at(cx, &["50"]).await?;
    for (higher, below) in [("60", "55"), ("70", "65")] {
        let mut typed = append(&stream, higher);
        typed.headers.set(CONTENT_TYPE, OTHER);
        cx.need(STREAM_APPEND_4, &cx.send(typed).await?, &one_of![answer(409)])?;
        let mut empty = append(&stream, higher);
        empty.body = Body::default();
        cx.need(STREAM_APPEND_7, &cx.send_broken(empty).await?, &one_of![answer(400)])?;
        // Neither moved it up.
        for seq in [below, higher] {
            let reply = cx.send(append(&stream, seq)).await?;
            cx.expect(STREAM_APPEND_16, &reply, &one_of![appended()])?;
        }
        // Nor is it moved down by one that is too low.
        cx.need(STREAM_APPEND_13, &cx.send(append(&stream, "10")).await?, &one_of![conflict()])?;
        for seq in [below, higher] {
            let reply = cx.send(append(&stream, seq)).await?;
            cx.expect(STREAM_APPEND_16, &reply, &one_of![conflict()])?;
        }
    }
    refused_json_counts_not(cx).await
}

/// Who reads the headers before the body knows the Stream-Seq first.
async fn refused_json_counts_not(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, JSON, "").await?;
    let append = |body: &'static str, seq: &str| stream.append(body).header(SEQ, seq);
    cx.need(STREAM_APPEND_14, &cx.send(append("1", "50")).await?, &one_of![appended()])?;
    for (higher, below) in [("60", "55"), ("70", "65")] {
        let reply = cx.send_broken(append("{\"half\":", higher)).await?;
        cx.need(STREAM_JSON_5, &reply, &one_of![answer(400)])?;
        for seq in [below, higher] {
            let reply = cx.send(append("2", seq)).await?;
            cx.expect(STREAM_APPEND_16, &reply, &one_of![appended()])?;
        }
    }
    Ok(())
}

pub(in super::super) async fn race(cx: &Cx) -> Outcome {
    const RIVALS: usize = 8;
    let stream = Stream::create(cx, TEXT, "").await?;
    let mut content = String::new();
    for seq in ["1", "2", "3", "4"] {
        let bodies: Vec<String> = (0..RIVALS).map(|_| format!("<{seq}:{}>", cx.token(8))).collect();
        let replies = try_join_all(
            bodies
                .iter()
                .map(async |body| cx.http().send(stream.append(body.clone()).header(SEQ, seq)).await),
        )
        .await?;
        let one = alternative("204 for exactly one and 409 for every other", |all: &Vec<Response>| {
            let with = |status: u16| all.iter().filter(|r| r.status == status).count();
            with(204) == 1 && with(409) == all.len() - 1
        });
        let replies = Seen::all(replies);
        let replies = cx.expect(STREAM_APPEND_17, &replies, &[one])?;
        content.extend(
            replies.iter().zip(&bodies).filter(|(r, _)| r.status == 204).map(|(_, body)| body.as_str()),
        );
        let read = stream.content(cx).await?;
        cx.expect(STREAM_APPEND_17, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

/// An append by a producer in its first epoch.
fn numbered(stream: &Stream, producer: &str, number: u64, content: &'static str) -> Request {
    by(stream.append(content), producer, 0, number)
}

pub(in super::super) async fn new_tail(cx: &Cx) -> Outcome {
    let (stream, producer) = (written(cx).await?, cx.name());
    let mut before = stream.start.clone();
    for (number, content) in (0..).zip(["one", "another", "third"]) {
        let reply = cx.send(numbered(&stream, &producer, number, content)).await?;
        cx.need(STREAM_PRODUCERS_5, &reply, &one_of![answer(200)])?;
        let tail = stream.told_tail(cx).await?;
        cx.expect(STREAM_APPEND_2, &reply, &one_of![answer(200).with(NEXT_OFFSET, tail.clone())])?;
        let rest = stream.content_from(cx, &before).await?;
        cx.expect(STREAM_APPEND_2, &rest, &[holds(content)])?;
        before = tail;
    }
    Ok(())
}

pub(in super::super) async fn media_type_first(cx: &Cx) -> Outcome {
    let (stream, producer) = (written(cx).await?, cx.name());
    let reply = cx.send(numbered(&stream, &producer, 0, "x")).await?;
    cx.need(STREAM_PRODUCERS_5, &reply, &one_of![answer(200)])?;
    for number in [2, 5] {
        let mut request = numbered(&stream, &producer, number, "x");
        let early = answer(409).with(PRODUCER_EXPECTED_SEQ, "1");
        cx.need(STREAM_PRODUCERS_10, &cx.send(request.clone()).await?, &one_of![early])?;
        request.headers.set(CONTENT_TYPE, OTHER);
        let reply = cx.send(request).await?;
        cx.expect(STREAM_APPEND_18, &reply, &one_of![conflict().without(PRODUCER_EXPECTED_SEQ)])?;
    }
    Ok(())
}
