//! What a fork begins with.

use super::{JSON, Source, at, bare, begins, fork, forked, holding, made, sub};
use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    checks::stream::setting::{OTHER, Stream, TEXT, appended, created, is_of, odd_contents, proven, put},
    one_of,
    wire::Seen,
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::Response,
    requirement::RequirementId,
    stream::{
        header::{FORKED_FROM, NEXT_OFFSET},
        requirements::*,
    },
};

pub(super) async fn at_tail(cx: &Cx) -> Outcome {
    let mut source = Source::new(cx, 0).await?;
    // Of an empty source, and of one that grows from fork to fork.
    for _ in 0..3 {
        let request = fork(&source.stream, &Stream::nowhere(cx));
        begins(cx, STREAM_FORKS_1, &source.stream, request, source.content().as_bytes()).await?;
        source.grow(cx).await?;
    }
    // A fork is a source too, of what it inherited and of what is its own.
    let (mut of, mut content) = (forked(cx, &source.stream).await?, source.content());
    for _ in 0..2 {
        let more = cx.token(8);
        of.appended(cx, more.clone()).await?;
        content.push_str(&more);
        of = begins(cx, STREAM_FORKS_1, &of, fork(&of, &Stream::nowhere(cx)), content.as_bytes()).await?;
        let read = of.content(cx).await?;
        content = String::from_utf8_lossy(cx.need(STREAM_READ_1, &read, &[any()])?).into_owned();
    }
    Ok(())
}

/// Content that is read to go on from.
pub(super) fn any() -> Alternative<bytes::Bytes> {
    alternative("any content", |_: &bytes::Bytes| true)
}

pub(super) async fn odd_content(cx: &Cx) -> Outcome {
    for (media_type, part) in odd_contents() {
        let source = Stream::create(cx, media_type, "").await?;
        source.appended(cx, part.clone()).await?;
        let request = fork(&source, &Stream::nowhere(cx));
        begins(cx, STREAM_FORKS_1, &source, request, &part).await?;
        // Bytes are counted, and no characters or lines.
        for by in 1..part.len().min(4) {
            let request = sub(at(fork(&source, &Stream::nowhere(cx)), &source.start), by);
            begins(cx, STREAM_FORKS_7, &source, request, &part[..by]).await?;
        }
    }
    Ok(())
}

pub(super) async fn at_offset(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 3).await?;
    for (n, offset) in source.offsets.iter().enumerate() {
        let request = at(fork(&source.stream, &Stream::nowhere(cx)), offset);
        begins(cx, STREAM_FORKS_2, &source.stream, request, source.before(n).as_bytes()).await?;
    }
    // Of a fork: where all is inherited from its source, where its own begins, and behind.
    let of =
        made(cx, &source.stream, at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[2])).await?;
    let own = cx.token(8);
    let tail = of.appended(cx, own.clone()).await?;
    let all = source.before(2) + &own;
    for (offset, content) in
        [(&source.offsets[1], &source.before(1)), (&source.offsets[2], &source.before(2)), (&tail, &all)]
    {
        let request = at(fork(&of, &Stream::nowhere(cx)), offset);
        begins(cx, STREAM_FORKS_2, &of, request, content.as_bytes()).await?;
    }
    Ok(())
}

/// More than a server may want to give in one answer: of so many lengths the first that takes several.
pub(super) async fn long(cx: &Cx) -> Outcome {
    for length in [64, 4 * 1024, 48 * 1024] {
        let source = Stream::create(cx, TEXT, "").await?;
        let (mut content, mut ends) = (String::new(), Vec::new());
        for _ in 0..4 {
            let part = cx.token(16).repeat(length / 16);
            ends.push(source.appended(cx, part.clone()).await?);
            content.push_str(&part);
        }
        let request = at(fork(&source, &Stream::nowhere(cx)), &ends[2]);
        let fork = begins(cx, STREAM_FORKS_2, &source, request, &content.as_bytes()[..3 * length]).await?;
        let walked = fork.walk(cx, "-1").await?;
        if cx.need(STREAM_READ_2, &walked, &[answers()])?.len() > 3 {
            break;
        }
    }
    Ok(())
}

pub(super) async fn bytes(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 3).await?;
    let content = source.content();
    // Up to the end of the append, and that included.
    for (n, by) in [(0, 1), (0, 12), (1, 5), (2, 11), (2, 12)] {
        let request = sub(at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[n]), by);
        begins(cx, STREAM_FORKS_7, &source.stream, request, &content.as_bytes()[..12 * n + by]).await?;
    }
    // A fork that begins within an append is a source like any other.
    let request = sub(at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[1]), 7);
    let of = begins(cx, STREAM_FORKS_7, &source.stream, request, &content.as_bytes()[..19]).await?;
    let request = sub(at(fork(&of, &Stream::nowhere(cx)), &source.offsets[0]), 3);
    begins(cx, STREAM_FORKS_7, &of, request, &content.as_bytes()[..3]).await?;
    Ok(())
}

/// Answers that are an array each, together of these messages.
pub(super) fn arrays_of(messages: &[Value]) -> Alternative<Vec<Response>> {
    let expected = messages.to_vec();
    let name = format!("one JSON array in each answer, together of {} messages, as written", expected.len());
    alternative(name, move |all: &Vec<Response>| {
        let arrays = all.iter().map(|r| serde_json::from_slice::<Vec<Value>>(&r.body));
        arrays.collect::<Result<Vec<_>, _>>().is_ok_and(|arrays| arrays.concat() == expected)
    })
}

/// Claims that a stream of messages holds exactly these.
async fn holding_messages(cx: &Cx, id: RequirementId, stream: &Stream, messages: &[Value]) -> Outcome {
    cx.expect(id, &stream.walk(cx, "-1").await?, &[arrays_of(messages)])?;
    Ok(())
}

/// A stream of messages, its messages, and the offsets before the first, behind the third, and behind all five.
async fn batches(cx: &Cx) -> Outcome<(Stream, Vec<Value>, Vec<String>)> {
    let first = [json!({ "a": [cx.token(8)] }), json!([cx.token(8), [1, 2]]), json!(cx.token(8))];
    let second = [json!([]), json!({ "b": cx.token(8) })];
    let source = Stream::create(cx, JSON, "").await?;
    let mut offsets = vec![source.start.clone()];
    for batch in [&first[..], &second] {
        offsets.push(source.appended(cx, json!(batch).to_string()).await?);
    }
    let messages = [&first[..], &second].concat();
    let read = source.walk(cx, "-1").await?;
    cx.need(STREAM_READ_2, &read, &[arrays_of(&messages)])?;
    Ok((source, messages, offsets))
}

pub(super) async fn messages(cx: &Cx) -> Outcome {
    let (source, messages, offsets) = batches(cx).await?;
    for (n, before, by) in [(0, 0, 1), (0, 0, 2), (0, 0, 3), (1, 3, 1), (1, 3, 2)] {
        let request = sub(at(fork(&source, &Stream::nowhere(cx)), &offsets[n]), by);
        let target = Stream { path: request.path.clone(), ..source.clone() };
        let reply = cx.send(request).await?;
        cx.expect(STREAM_FORKS_8, &reply, &one_of![created()])?;
        holding_messages(cx, STREAM_FORKS_8, &target, &messages[..before + by]).await?;
        let more = json!([cx.token(8)]);
        target.appended(cx, json!([more]).to_string()).await?;
        let all = [&messages[..before + by], &[more]].concat();
        holding_messages(cx, STREAM_FORKS_8, &target, &all).await?;
    }
    Ok(())
}

/// Answers that are an array each, together ending in these messages.
fn arrays_to(last: &[Value]) -> Alternative<Vec<Response>> {
    let expected = last.to_vec();
    let name = format!("one JSON array in each answer, at last {}", Value::from(last));
    alternative(name, move |all: &Vec<Response>| {
        let arrays = all.iter().map(|r| serde_json::from_slice::<Vec<Value>>(&r.body));
        arrays.collect::<Result<Vec<_>, _>>().is_ok_and(|arrays| arrays.concat().ends_with(&expected))
    })
}

pub(super) async fn one_array(cx: &Cx) -> Outcome {
    let (source, messages, offsets) = batches(cx).await?;
    let bare = || fork(&source, &Stream::nowhere(cx));
    for (request, inherited) in
        [(bare(), 5), (at(bare(), &offsets[1]), 3), (sub(at(bare(), &offsets[0]), 2), 2)]
    {
        let fork = made(cx, &source, request).await?;
        let mut own = Vec::new();
        for _ in 0..2 {
            own.push(json!({ "own": cx.token(8) }));
            fork.appended(cx, own.last().map_or_else(String::new, Value::to_string)).await?;
            // With what was inherited, which is a matter of other checks; live too, as far as one answer goes.
            cx.expect(STREAM_FORKS_39, &fork.walk(cx, "-1").await?, &[arrays_to(&own)])?;
            let reply = Seen::all([cx.send(fork.long_poll("-1")).await?]);
            cx.expect(STREAM_FORKS_39, &reply, &[arrays_to(&[])])?;
        }
        if inherited > 2 {
            // From within it: nothing before, everything behind.
            let rest = [&messages[3..inherited], &own].concat();
            cx.expect(STREAM_FORKS_39, &fork.walk(cx, &offsets[1]).await?, &[arrays_of(&rest)])?;
        }
    }
    Ok(())
}

pub(super) async fn no_sub_offset(cx: &Cx) -> Outcome {
    let source = Source::new(cx, 2).await?;
    for n in [1, 2] {
        let bare = at(fork(&source.stream, &Stream::nowhere(cx)), &source.offsets[n]);
        for (first, second) in [(bare.clone(), sub(bare.clone(), 0)), (sub(bare.clone(), 0), bare)] {
            let target = Stream::nowhere(cx);
            let (mut first, mut second) = (first, second);
            (first.path, second.path) = (target.path.clone(), target.path.clone());
            let reply = cx.send(first).await?;
            cx.expect(STREAM_FORKS_9, &reply, &one_of![created()])?;
            holding(cx, STREAM_FORKS_9, &target, source.before(n).as_bytes()).await?;
            let reply = cx.send(second).await?;
            cx.expect(STREAM_FORKS_9, &reply, &one_of![answer(200).has(NEXT_OFFSET)])?;
        }
    }
    Ok(())
}

pub(super) async fn media_type(cx: &Cx) -> Outcome {
    proven(cx).await?;
    for (media_type, more) in [(TEXT, "text"), (OTHER, "\0"), ("text/csv", "a,b"), (JSON, "[1]")] {
        let source = Stream::create(cx, media_type, "").await?;
        let mut of = source.clone();
        // Of a fork that inherited it too.
        for _ in 0..2 {
            let target = Stream { media_type, ..Stream::nowhere(cx) };
            let reply = cx.send(bare(&of, &target)).await?;
            let typed = created().and(media_type, move |r| is_of(r, media_type));
            cx.expect(STREAM_FORKS_13, &reply, &one_of![typed])?;
            let typed = answer(200).and(media_type, move |r| is_of(r, media_type));
            cx.expect(STREAM_FORKS_13, &cx.send(target.head()).await?, &one_of![typed])?;
            let reply = cx.send(target.append(more)).await?;
            cx.expect(STREAM_FORKS_13, &reply, &one_of![appended()])?;
            of = target;
        }
    }
    Ok(())
}

pub(super) async fn none(cx: &Cx) -> Outcome {
    let source = proven(cx).await?;
    let target = Stream::nowhere(cx);
    let reply = cx.send(put(&target.path, TEXT).header(FORKED_FROM, &source.path)).await?;
    let plain = one_of![created(), answer(400), answer(501)];
    if cx.expect(STREAM_FORKS_40, &reply, &plain)?.status == 201 {
        return holding(cx, STREAM_FORKS_40, &target, b"").await;
    }
    cx.expect(STREAM_FORKS_40, &cx.send(target.head()).await?, &one_of![answer(404)])?;
    Ok(())
}

/// Answers to go through one by one.
pub(super) fn answers() -> Alternative<Vec<Response>> {
    alternative("one answer or more", |all: &Vec<Response>| !all.is_empty())
}
