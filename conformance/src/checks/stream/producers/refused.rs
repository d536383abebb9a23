//! What is refused changes nothing, and is refused for the same reasons as without a producer.

use super::{
    super::setting::{OTHER, Stream, TEXT, holds, proven},
    Producer, accepted, fenced, stranger, too_early,
};
use crate::{
    check::{Alternative, Breaks, Cx, Outcome, alternative, answer},
    one_of,
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::{Body, Response},
    stream::{
        header::{CLOSED, CONTENT_TYPE, PRODUCER_EXPECTED_SEQ, SEQ},
        requirements::*,
    },
};

const JSON: &str = "application/json";

pub(in super::super) async fn gap(cx: &Cx) -> Outcome {
    let (stream, producer) = stranger(cx).await?;
    let mut content = String::new();
    for due in 0..3 {
        let early = async |number| cx.send(producer.sends(number, stream.append(cx.token(16)))).await;
        cx.need(STREAM_PRODUCERS_10, &early(due + 1).await?, &one_of![too_early(due, due + 1)])?;
        // Neither is the same number due now, nor another.
        for number in [due + 1, due + 9] {
            let reply = early(number).await?;
            cx.expect(STREAM_PRODUCERS_11, &reply, &one_of![too_early(due, number)])?;
        }
        let read = stream.content_from(cx, &stream.start).await?;
        cx.expect(STREAM_PRODUCERS_11, &read, &[holds(content.clone())])?;
        let token = cx.token(16);
        let reply = cx.send(producer.sends(due, stream.append(token.clone()))).await?;
        cx.expect(STREAM_PRODUCERS_11, &reply, &one_of![accepted()])?;
        content.push_str(&token);
    }
    Ok(())
}

pub(in super::super) async fn others(cx: &Cx) -> Outcome {
    let (stream, producer) = stranger(cx).await?;
    let producer = producer.at(2);
    let first = cx.token(16);
    let reply = cx.send(producer.sends(0, stream.append(first.clone()).header(SEQ, "5"))).await?;
    cx.need(STREAM_PRODUCERS_26, &reply, &one_of![accepted()])?;
    let mut content = first;
    for round in 0..2_u64 {
        let due = round * 4 + 1;
        let mut typed = producer.sends(due, stream.append("refused"));
        typed.headers.set(CONTENT_TYPE, OTHER);
        let conflict = || answer(409).without(CLOSED).without(PRODUCER_EXPECTED_SEQ);
        let out_of_order = producer.sends(due + 1, stream.append("refused").header(SEQ, "5"));
        let older = producer.at(1).sends(due + 2, stream.append("refused"));
        let newer = producer.at(3).sends(due + 3, stream.append("refused"));
        for (index, (request, stands_on, refusal)) in (0..).zip([
            (typed, STREAM_APPEND_4, conflict()),
            (out_of_order, STREAM_APPEND_13, conflict()),
            (older, STREAM_PRODUCERS_12, fenced(2)),
            (newer, STREAM_PRODUCERS_14, answer(400)),
        ]) {
            cx.need(stands_on, &cx.send(request).await?, &one_of![refusal])?;
            let token = cx.token(16);
            let reply = cx.send(producer.sends(due + index, stream.append(token.clone()))).await?;
            cx.expect(STREAM_PRODUCERS_11, &reply, &one_of![accepted()])?;
            content.push_str(&token);
            let read = stream.content_from(cx, &stream.start).await?;
            cx.expect(STREAM_PRODUCERS_11, &read, &[holds(content.clone())])?;
        }
    }
    Ok(())
}

pub(in super::super) async fn json(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, JSON, "").await?;
    let producer = Producer::new(cx);
    let mut content = Vec::new();
    for (due, text) in (0..).zip(["{\"half\":", "[]"]) {
        let reply = cx.send_broken(producer.sends(due, stream.append(text))).await?;
        cx.need(STREAM_PRODUCERS_25, &reply, &one_of![answer(400)])?;
        let token = cx.token(16);
        let reply = cx.send(producer.sends(due, stream.append(json!(token).to_string()))).await?;
        cx.expect(STREAM_PRODUCERS_11, &reply, &one_of![accepted()])?;
        content.push(json!(token));
        let read = stream.walk(cx, "-1").await?;
        cx.expect(STREAM_PRODUCERS_11, &read, &[messages(&content)])?;
    }
    Ok(())
}

/// The arrays that were read hold exactly these messages, however many answers that took.
fn messages(all: &[Value]) -> Alternative<Vec<Response>> {
    let all = all.to_vec();
    alternative(format!("the messages {}", json!(all)), move |read: &Vec<Response>| {
        let arrays = read.iter().map(|reply| serde_json::from_slice::<Vec<Value>>(&reply.body));
        arrays.collect::<Result<Vec<_>, _>>().is_ok_and(|arrays| arrays.concat() == all)
    })
}

pub(in super::super) async fn as_without(cx: &Cx) -> Outcome {
    let nowhere = Stream::nowhere(cx);
    let fits = |status: u16| one_of![answer(status).without(CLOSED).without(PRODUCER_EXPECTED_SEQ)];
    let fresh = async |cx, media_type, content: &str| {
        proven(cx).await?;
        Ok((Stream::create(cx, media_type, content).await?, Producer::new(cx)))
    };
    cx.refused(
        STREAM_PRODUCERS_25,
        Breaks::Fit,
        |cx| fresh(cx, TEXT, ""),
        |(stream, producer)| producer.sends(0, stream.append("x")),
        |_, request| request.path = nowhere.path.clone(),
        (STREAM_PRODUCERS_5, &one_of![accepted()]),
        &fits(404),
    )
    .await?;
    cx.refused(
        STREAM_PRODUCERS_25,
        Breaks::Fit,
        |cx| fresh(cx, TEXT, ""),
        |(stream, producer)| producer.sends(0, stream.append("x")),
        |_, request| request.headers.set(CONTENT_TYPE, OTHER),
        (STREAM_PRODUCERS_5, &one_of![accepted()]),
        &fits(409),
    )
    .await?;
    cx.refused(
        STREAM_PRODUCERS_25,
        Breaks::Form,
        |cx| fresh(cx, TEXT, ""),
        |(stream, producer)| producer.sends(0, stream.append("x")),
        |_, request| request.body = Body::default(),
        (STREAM_PRODUCERS_5, &one_of![accepted()]),
        &fits(400),
    )
    .await?;
    cx.refused(
        STREAM_PRODUCERS_25,
        Breaks::Form,
        |cx| fresh(cx, JSON, "[1]"),
        |(stream, producer)| producer.sends(0, stream.append("{}")),
        |_, request| request.body = Body("{\"half\":".into()),
        (STREAM_PRODUCERS_5, &one_of![accepted()]),
        &fits(400),
    )
    .await
}
