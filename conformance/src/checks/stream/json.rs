//! Checks of "Json" in spec/stream.md.

pub(super) mod faithful;
pub(super) mod refused;
pub(super) mod value;

use super::{
    longpoll::woken,
    read::told,
    setting::{Stream, appended, by, closing, next_offset, put},
};
use crate::{
    check::{Alternative, Answer, Check, Cx, Need, Outcome, alternative, answer},
    drives, one_of,
};
use futures_util::future::{join, try_join_all};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};
use value::{Numbers, all_messages, equal, messages};
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        header::{CONTENT_TYPE, NEXT_OFFSET, SEQ, UP_TO_DATE},
        requirements::*,
    },
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/json/flattened", &[STREAM_JSON_1], drives!(flattened)),
    Check::new("stream/json/flattened-in-every-way", &[STREAM_JSON_1], drives!(in_every_way)),
    Check::new("stream/json/array", &[STREAM_JSON_2], drives!(array)),
    Check::new("stream/json/array-awaited", &[STREAM_JSON_2], drives!(array_awaited)),
    Check::new("stream/json/empty-range", &[STREAM_JSON_3], drives!(empty_range)),
    Check::new("stream/json/batch", &[STREAM_JSON_8], drives!(batch))
        .needs(&[Need::AtLeast("retained-bytes", 50_000)]),
    Check::new("stream/json/batch-awaited", &[STREAM_JSON_8], drives!(batch_awaited)),
    Check::new("stream/json/media-type-case", &[STREAM_JSON_12], drives!(media_type_case)),
    Check::new("stream/json/media-type-parameters", &[STREAM_JSON_13], drives!(media_type_parameters)),
    Check::new("stream/json/first-messages", &[STREAM_JSON_15], drives!(first_messages)),
];

/// The media type of a stream of messages.
pub(super) const JSON: &str = "application/json";

fn texts(messages: &[&str]) -> Vec<String> {
    messages.iter().map(|message| (*message).to_owned()).collect()
}

/// A message that no other stream has.
fn mark(cx: &Cx) -> String {
    format!("{{\"mark\":\"{}\"}}", cx.token(16))
}

/// Answers that are arrays which hold together exactly these messages.
pub(super) fn hold(expected: &[String]) -> Alternative<Vec<Response>> {
    let expected = expected.to_vec();
    let name = match &expected[..] {
        [] => "arrays without a message".to_owned(),
        [one] if one.len() <= 80 => format!("arrays that hold together the message {one}"),
        all => format!("arrays that hold together exactly the {} messages that were written", all.len()),
    };
    alternative(name, move |answers: &Vec<Response>| {
        all_messages(answers).is_some_and(|found| equal(&found, &expected, Numbers::Double))
    })
}

/// An array of the first of these messages, one at least.
pub(super) fn begins_with(expected: &[String]) -> Answer {
    let expected = expected.to_vec();
    let name = format!("an array of the first of {} messages, or of all", expected.len());
    answer(200).has(NEXT_OFFSET).and(name, move |reply| {
        messages(&reply.body).is_some_and(|found| {
            (1..=expected.len()).contains(&found.len())
                && equal(&found, &expected[..found.len()], Numbers::Double)
        })
    })
}

/// A stream of messages that was created empty, and a message that was written to it and read back.
async fn kept(cx: &Cx) -> Outcome<(Stream, Vec<String>)> {
    let stream = Stream::create(cx, JSON, "").await?;
    let message = mark(cx);
    stream.appended(cx, message.clone()).await?;
    let read = stream.walk(cx, "-1").await?;
    let all = vec![message];
    cx.need(STREAM_JSON_1, &read, &[hold(&all)])?;
    Ok((stream, all))
}

/// As [`kept`], for twins.
async fn fresh(cx: &Cx) -> Outcome<Stream> {
    Ok(kept(cx).await?.0)
}

async fn flattened(cx: &Cx) -> Outcome {
    let (stream, mut all) = kept(cx).await?;
    let mut offset = stream.told_tail(cx).await?;
    for (body, messages) in [
        ("[1,2,3]", &["1", "2", "3"][..]),
        (r#"{"a":[1,[2]]}"#, &[r#"{"a":[1,[2]]}"#]),
        ("[[1,2],[3]]", &["[1,2]", "[3]"]),
        ("[[]]", &["[]"]),
        ("[[[4]]]", &["[[4]]"]),
        (r#""[5]""#, &[r#""[5]""#]),
        ("6", &["6"]),
        ("null", &["null"]),
        ("[null,true,[],{}]", &["null", "true", "[]", "{}"]),
        ("false", &["false"]),
        ("[1,2,3]", &["1", "2", "3"]),
    ] {
        let reply = cx.send(stream.append(body)).await?;
        let next = next_offset(cx.expect(STREAM_JSON_1, &reply, &one_of![appended()])?);
        let messages = texts(messages);
        let read = stream.walk(cx, &offset).await?;
        cx.expect(STREAM_JSON_1, &read, &[hold(&messages)])?;
        all.extend(messages);
        offset = next;
    }
    // Many at once.
    let many: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let reply = cx.send(stream.append(format!("[{}]", many.join(",")))).await?;
    cx.expect(STREAM_JSON_1, &reply, &one_of![appended()])?;
    all.extend(many);
    let read = stream.walk(cx, "-1").await?;
    cx.expect(STREAM_JSON_1, &read, &[hold(&all)])?;
    Ok(())
}

/// However it is written: with the headers of a producer, with Stream-Seq, as the last content.
async fn in_every_way(cx: &Cx) -> Outcome {
    type Way = (fn(Request) -> Request, fn() -> Answer);
    let ways: [Way; 4] = [
        (|request| by(request, "one", 0, 0), || answer(200)),
        (|request| request.header(SEQ, "1"), appended),
        (closing, appended),
        (|request| closing(by(request, "one", 0, 0)), || answer(200)),
    ];
    for (way, accepted) in ways {
        let (stream, mut all) = kept(cx).await?;
        let more = [mark(cx), format!("[{}]", mark(cx)), "[]".to_owned()];
        let reply = cx.send(way(stream.append(format!("[{}]", more.join(","))))).await?;
        cx.expect(STREAM_JSON_1, &reply, &one_of![accepted()])?;
        all.extend(more);
        let read = stream.walk(cx, "-1").await?;
        cx.expect(STREAM_JSON_1, &read, &[hold(&all)])?;
    }
    Ok(())
}

async fn array(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, JSON, "").await?;
    let mut all: Vec<String> = Vec::new();
    let mut given = vec![("-1".to_owned(), 0), (stream.start.clone(), 0)];
    for size in [1, 3, 2] {
        let more: Vec<String> = (0..size).map(|_| mark(cx)).collect();
        let before = stream.told_tail(cx).await?;
        let tail = stream.appended(cx, format!("[{}]", more.join(","))).await?;
        told(cx, STREAM_APPEND_2, &stream, &tail).await?;
        given.push((before, all.len()));
        all.extend(more);
        for (offset, from) in &given {
            let read = stream.walk(cx, offset).await?;
            cx.expect(STREAM_JSON_2, &read, &[hold(&all[*from..])])?;
            let polled = cx.send(stream.long_poll(offset)).await?;
            cx.expect(STREAM_JSON_2, &polled, &one_of![begins_with(&all[*from..])])?;
        }
    }
    Ok(())
}

async fn array_awaited(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, JSON, mark(cx)).await?;
    for size in [1, 3, 2] {
        let more: Vec<String> = (0..size).map(|_| mark(cx)).collect();
        let body = if size == 1 { more[0].clone() } else { format!("[{}]", more.join(",")) };
        let woken = woken(cx, &stream, &body).await?;
        cx.need(STREAM_LONGPOLL_3, &woken, &one_of![answer(200).has(NEXT_OFFSET)])?;
        cx.expect(STREAM_JSON_2, &woken, &one_of![begins_with(&more)])?;
    }
    Ok(())
}

async fn empty_range(cx: &Cx) -> Outcome {
    let empty = || answer(200).and("an empty array", |r| messages(&r.body).is_some_and(|m| m.is_empty()));
    let all = [mark(cx)];
    let stream = Stream::create(cx, JSON, all.join(",")).await?;
    let tail = stream.told_tail(cx).await?;
    cx.need(STREAM_JSON_2, &cx.send(stream.read()).await?, &one_of![begins_with(&all)])?;
    let bare = Stream::create(cx, JSON, "").await?;
    let closed = Stream::create(cx, JSON, mark(cx)).await?;
    let end = closed.closed(cx).await?;
    for request in [
        stream.read_at(&tail),
        bare.read(),
        bare.read_at("-1"),
        bare.read_at(&bare.start),
        closed.read_at(&end),
    ] {
        let reply = cx.send(request).await?;
        cx.expect(STREAM_JSON_3, &reply, &one_of![empty()])?;
    }
    Ok(())
}

async fn batch(cx: &Cx) -> Outcome {
    const BATCHES: usize = 8;
    const READERS: usize = 3;
    const MOST_READS: usize = 150;
    let (stream, _) = kept(cx).await?;
    let start = stream.told_tail(cx).await?;
    let done = AtomicBool::new(false);
    let writer = async {
        let mut peer = cx.http();
        for number in 0..BATCHES {
            let reply = peer.send(stream.append(numbered(number))).await;
            let written = reply.and_then(|r| cx.need(STREAM_JSON_1, &r, &one_of![appended()]).map(drop));
            if written.is_err() || number + 1 == BATCHES {
                done.store(true, Ordering::Relaxed);
            }
            written?;
        }
        Ok(())
    };
    let readers = try_join_all((0..READERS).map(async |_| {
        let (mut peer, mut reads) = (cx.http(), Vec::new());
        while !done.load(Ordering::Relaxed) && reads.len() < MOST_READS {
            reads.push(stream.walk_by(cx, &mut peer, &start).await?);
        }
        Ok(reads)
    }));
    let (written, reads) = join(writer, readers).await;
    written?;
    let last = stream.walk(cx, &start).await?;
    for read in reads?.into_iter().flatten().chain([last]) {
        let whole = alternative("of the messages of each POST all or none", |answers: &Vec<Response>| {
            all_messages(answers).is_some_and(|found| are_whole(&found))
        });
        cx.expect(STREAM_JSON_8, &read, &[whole])?;
    }
    Ok(())
}

/// Who is told that there is no more has got whole batches.
async fn batch_awaited(cx: &Cx) -> Outcome {
    let (stream, _) = kept(cx).await?;
    for number in 0..3 {
        let woken = woken(cx, &stream, &numbered(number)).await?;
        let some = |r: &Response| messages(&r.body).is_some_and(|found| !found.is_empty());
        cx.need(STREAM_LONGPOLL_3, &woken, &one_of![answer(200).and("messages", some)])?;
        let whole = |r: &Response| messages(&r.body).is_some_and(|found| are_whole(&found));
        let alternatives = one_of![
            answer(200).and("all messages of the POST", whole),
            answer(200).without(UP_TO_DATE).and("the first of them, with more to come", some),
        ];
        cx.expect(STREAM_JSON_8, &woken, &alternatives)?;
    }
    Ok(())
}

/// So many messages make a batch.
const BATCH: usize = 12;

/// A batch of messages that know which batch they belong to.
fn numbered(batch: usize) -> String {
    let fill = ".".repeat(200);
    let one = |n| format!("{{\"batch\":{batch},\"n\":{n},\"fill\":\"{fill}\"}}");
    format!("[{}]", (0..BATCH).map(one).collect::<Vec<_>>().join(","))
}

/// Whether of each batch every message is there.
fn are_whole(found: &[String]) -> bool {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for message in found {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(message) else { return false };
        let Some(batch) = value["batch"].as_u64() else { return false };
        *counts.entry(batch).or_default() += 1;
    }
    counts.values().all(|count| *count == BATCH)
}

async fn media_type_case(cx: &Cx) -> Outcome {
    for (created, appended_as) in
        [("Application/JSON", JSON), (JSON, "APPLICATION/JSON"), ("application/Json", "application/Json")]
    {
        let stream = Stream::create(cx, created, "").await?;
        let (mark, nested) = (mark(cx), "[1]".to_owned());
        for _ in 0..2 {
            let mut request = stream.append(format!("[{mark},{nested}]"));
            request.headers.set(CONTENT_TYPE, appended_as);
            let reply = cx.send(request).await?;
            cx.expect(STREAM_JSON_12, &reply, &one_of![appended()])?;
        }
        let read = stream.walk(cx, "-1").await?;
        let all = [mark.clone(), nested.clone(), mark, nested];
        cx.expect(STREAM_JSON_12, &read, &[hold(&all)])?;
        let again = cx.send(put(&stream.path, appended_as)).await?;
        cx.expect(STREAM_JSON_12, &again, &one_of![answer(200)])?;
    }
    Ok(())
}

async fn media_type_parameters(cx: &Cx) -> Outcome {
    for media_type in ["application/json; charset=utf-8", "application/json;charset=UTF-8"] {
        let stream = Stream::create(cx, media_type, "").await?;
        let all = [mark(cx), "[1]".to_owned()];
        let reply = cx.send(stream.append(format!("[{}]", all.join(",")))).await?;
        cx.expect(STREAM_JSON_13, &reply, &one_of![appended()])?;
        let read = stream.walk(cx, "-1").await?;
        cx.expect(STREAM_JSON_13, &read, &[hold(&all)])?;
    }
    Ok(())
}

async fn first_messages(cx: &Cx) -> Outcome {
    let (one, other) = (mark(cx), mark(cx));
    for (body, messages) in [
        ("[]".to_owned(), vec![]),
        (" [ ] ".to_owned(), vec![]),
        (one.clone(), vec![one.clone()]),
        (format!("[{one},[{other}]]"), vec![one.clone(), format!("[{other}]")]),
    ] {
        let stream = Stream::nowhere(cx);
        let reply = cx.send(put(&stream.path, JSON).body(body)).await?;
        cx.expect(STREAM_JSON_15, &reply, &one_of![answer(201).has(NEXT_OFFSET)])?;
        let read = stream.walk(cx, "-1").await?;
        cx.expect(STREAM_JSON_15, &read, &[hold(&messages)])?;
        // It is there, and goes on from what it was created with.
        let stream = Stream { media_type: JSON, ..stream };
        stream.appended(cx, other.clone()).await?;
        let read = stream.walk(cx, "-1").await?;
        cx.expect(STREAM_JSON_15, &read, &[hold(&[messages, vec![other.clone()]].concat())])?;
    }
    // Nor does it matter that nothing will come behind.
    for messages in [vec![], vec![one, format!("[{other}]")]] {
        let stream = Stream::nowhere(cx);
        let request = closing(put(&stream.path, JSON)).body(format!("[{}]", messages.join(",")));
        cx.expect(STREAM_JSON_15, &cx.send(request).await?, &one_of![answer(201).has(NEXT_OFFSET)])?;
        let read = stream.walk(cx, "-1").await?;
        cx.expect(STREAM_JSON_15, &read, &[hold(&messages)])?;
    }
    Ok(())
}
