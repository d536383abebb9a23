//! Checks of "Json" in spec/stream.md: bodies that are refused, or ought to be, and those that look like it.

use super::{JSON, all_messages, equal, fresh, hold, kept, mark, texts, value::Numbers};
use crate::{
    check::{Alternative, Breaks, Check, Cx, Lane, Outcome, alternative, answer},
    checks::stream::setting::{Stream, appended, put},
    drives, one_of,
};
use wireproof_spec::{
    http::{Body, Response},
    requirement::RequirementId,
    stream::{header::NEXT_OFFSET, requirements::*},
};

pub(in crate::checks::stream) const CHECKS: &[Check] = &[
    Check::new("stream/json/empty-array", &[STREAM_JSON_4], drives!(empty_array)),
    Check::new("stream/json/no-json", &[STREAM_JSON_5], drives!(no_json)),
    Check::new("stream/json/not-utf8", &[STREAM_JSON_6], drives!(not_utf8)),
    Check::new("stream/json/white-space", &[STREAM_JSON_7], drives!(white_space)),
    Check::new("stream/json/something-behind", &[STREAM_JSON_7], drives!(something_behind)),
    Check::new("stream/json/byte-order-mark", &[STREAM_JSON_7], drives!(byte_order_mark)),
    Check::new("stream/json/deep", &[STREAM_JSON_14], drives!(deep)).lane(Lane::Last),
    Check::new("stream/json/created-with-no-json", &[STREAM_JSON_16], drives!(created_with_no_json)),
    Check::new("stream/json/created-with-no-utf8", &[STREAM_JSON_16], drives!(created_with_no_utf8)),
];

async fn empty_array(cx: &Cx) -> Outcome {
    for empty in ["[]", " [\n] "] {
        cx.refused(
            STREAM_JSON_4,
            Breaks::Form,
            fresh,
            |stream| stream.append("[[]]"),
            |_, request| request.body = Body(empty.into()),
            (STREAM_JSON_1, &one_of![appended()]),
            &one_of![answer(400)],
        )
        .await?;
    }
    Ok(())
}

/// Claims that each of these bodies is refused by a stream that takes what is sound before and behind it, and that nothing
/// of them is kept.
async fn each_refused(cx: &Cx, id: RequirementId, bodies: &[&[u8]]) -> Outcome {
    let (stream, mut all) = kept(cx).await?;
    for body in bodies {
        let reply = cx.send_broken(stream.append(body.to_vec())).await?;
        cx.expect(id, &reply, &one_of![answer(400)])?;
        let sound = mark(cx);
        stream.appended(cx, sound.clone()).await?;
        all.push(sound);
        let read = stream.walk(cx, "-1").await?;
        cx.expect(id, &read, &[hold(&all)])?;
    }
    Ok(())
}

async fn no_json(cx: &Cx) -> Outcome {
    let bodies: &[&[u8]] = &[
        b"{bad",
        b"{\"a\":1,}",
        b"[1,]",
        b"'single'",
        b"NaN",
        b"01",
        b"nul",
        b"[1 2]",
        b"\"open",
        b"\"a\tb\"",
        b" \n",
        // White space elsewhere, and not in JSON.
        b"\x0c1",
        b"\xc2\xa0[1]",
        // What is sound comes first.
        b"[1,2,{\"a\":3},{bad]",
        b"[1,2,3",
    ];
    each_refused(cx, STREAM_JSON_5, bodies).await
}

async fn not_utf8(cx: &Cx) -> Outcome {
    // No UTF-8 at all, an overlong form, half a pair, a character that is cut off, and one bad byte behind sound messages.
    let bodies: &[&[u8]] = &[
        b"\xff\xfe",
        b"\"\xff\xfe\"",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xe2\x82\"",
        b"[1,{\"a\":\"\xc3\xa9\",\"\xe9\":2}]",
    ];
    each_refused(cx, STREAM_JSON_6, bodies).await
}

async fn white_space(cx: &Cx) -> Outcome {
    let (stream, mut all) = kept(cx).await?;
    for (body, messages) in [
        (" \t\r\n{\"a\":1}\n", &["{\"a\":1}"][..]),
        ("\n[ 1 ,\t\"two\"\r\n,[ ] ]  ", &["1", "\"two\"", "[]"]),
        ("  7\t", &["7"]),
    ] {
        let reply = cx.send(stream.append(body)).await?;
        cx.expect(STREAM_JSON_7, &reply, &one_of![appended()])?;
        all.extend(texts(messages));
        let read = stream.walk(cx, "-1").await?;
        cx.expect(STREAM_JSON_7, &read, &[hold(&all)])?;
    }
    Ok(())
}

async fn something_behind(cx: &Cx) -> Outcome {
    // A no-break space is no white space of JSON.
    let bodies: &[&[u8]] = &[b"{\"a\":1}x", b"1 2", b"[1][2]", b"{}{}", b"1,", b"null\xc2\xa0", b"\"a\"\0"];
    each_refused(cx, STREAM_JSON_7, bodies).await
}

async fn byte_order_mark(cx: &Cx) -> Outcome {
    for body in ["\u{feff}\"one\"", "\u{feff}[\"two\",3]"] {
        let (stream, all) = kept(cx).await?;
        let reply = cx.send_broken(stream.append(body)).await?;
        let alternatives = one_of![appended(), answer(400)];
        let taken = cx.expect(STREAM_JSON_7, &reply, &alternatives)?.status == 204;
        let more = match (taken, body.contains('[')) {
            (false, _) => &[][..],
            (true, false) => &["\"one\""],
            (true, true) => &["\"two\"", "3"],
        };
        let read = stream.walk(cx, "-1").await?;
        cx.expect(STREAM_JSON_7, &read, &[hold(&[all, texts(more)].concat())])?;
    }
    Ok(())
}

/// How deep the text of the check is nested.
const DEEP: usize = 100_000;

async fn deep(cx: &Cx) -> Outcome {
    let (other, all) = kept(cx).await?;
    let room = cx.features().limit("max-body-bytes").and_then(|most| usize::try_from(most).ok());
    for (open, inside, close) in [("[", "", "]"), ("{\"a\":", "1", "}"), ("[{\"a\":", "1", "}]")] {
        let (stream, before) = kept(cx).await?;
        // Of objects fewer, or the length of the text would be the matter; and of all no more than a body may hold.
        let levels = if inside.is_empty() { DEEP } else { DEEP / 3 };
        let levels = room
            .map_or(levels, |room| levels.min(room.saturating_sub(1) / (open.len() + close.len())).max(1));
        let body = format!("{}{inside}{}", open.repeat(levels), close.repeat(levels));
        let reply = cx.send(stream.append(body)).await?;
        let alternatives = one_of![appended(), answer(400), answer(413)];
        let taken = cx.expect(STREAM_JSON_14, &reply, &alternatives)?.status == 204;
        // Whoever took it gives it back; other streams, and this one, go on.
        let read = stream.walk(cx, "-1").await?;
        cx.expect(STREAM_JSON_14, &read, &[begins_and_counts(&before, before.len() + usize::from(taken))])?;
        stream.appended(cx, mark(cx)).await?;
        let read = other.walk(cx, "-1").await?;
        cx.expect(STREAM_JSON_14, &read, &[hold(&all)])?;
    }
    Ok(())
}

/// So many messages, of which these are the first.
fn begins_and_counts(first: &[String], count: usize) -> Alternative<Vec<Response>> {
    let first = first.to_vec();
    alternative(format!("arrays of together {count} messages"), move |answers: &Vec<Response>| {
        all_messages(answers).is_some_and(|found| {
            found.len() == count && equal(&found[..first.len()], &first, Numbers::Double)
        })
    })
}

async fn created_with_no_json(cx: &Cx) -> Outcome {
    none_created(cx, &[b"{bad", b"[1,2,", b"{} {}"]).await
}

/// Apart from the others: who takes it for JSON need not take those for it.
async fn created_with_no_utf8(cx: &Cx) -> Outcome {
    none_created(cx, &[b"\"\xff\"", b"[1,\"\xe2\x82\"]"]).await
}

/// Claims that a PUT with one of these bodies is refused and makes nothing.
async fn none_created(cx: &Cx, bodies: &[&[u8]]) -> Outcome {
    let (proof, _) = kept(cx).await?;
    for body in bodies {
        let stream = Stream::nowhere(cx);
        let reply = cx.send_broken(put(&stream.path, JSON).body(body.to_vec())).await?;
        cx.expect(STREAM_JSON_16, &reply, &one_of![answer(400)])?;
        let head = cx.send(stream.head()).await?;
        cx.expect(STREAM_JSON_16, &head, &one_of![answer(404)])?;
        let sound = mark(cx);
        let reply = cx.send(put(&stream.path, JSON).body(sound.clone())).await?;
        cx.need(STREAM_CREATE_1, &reply, &one_of![answer(201).has(NEXT_OFFSET)])?;
        let read = stream.walk(cx, "-1").await?;
        cx.need(STREAM_JSON_15, &read, &[hold(&[sound])])?;
    }
    cx.need(STREAM_HEAD_1, &cx.send(proof.head()).await?, &one_of![answer(200)])?;
    Ok(())
}
