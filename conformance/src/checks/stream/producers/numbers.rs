//! Which number is due, which was there before, and which comes too early.

use super::{
    super::setting::{Stream, TEXT, closing, holds, written},
    GREATEST, Producer, accepted, stranger, too_early,
};
use crate::{
    check::{Breaks, Cx, Outcome, answer},
    one_of,
};
use wireproof_spec::stream::{
    header::{CLOSED, NEXT_OFFSET, PRODUCER_EXPECTED_SEQ, PRODUCER_SEQ, SEQ},
    requirements::*,
};

pub(in super::super) async fn new_content(cx: &Cx) -> Outcome {
    let mut content = cx.token(16);
    let stream = Stream::create(cx, TEXT, &content).await?;
    let producer = Producer::new(cx);
    for number in 0..4 {
        let more = format!(" {}", cx.token(16));
        let reply = cx.send(producer.sends(number, stream.append(more.clone()))).await?;
        cx.expect(STREAM_PRODUCERS_5, &reply, &one_of![answer(200)])?;
        content.push_str(&more);
        let read = stream.content(cx).await?;
        cx.expect(STREAM_PRODUCERS_5, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

pub(in super::super) async fn repetition(cx: &Cx) -> Outcome {
    let stream = Stream::create(cx, TEXT, "").await?;
    let producer = Producer::new(cx);
    let mut parts = Vec::new();
    for number in 0..4 {
        let part = cx.token(16);
        producer.appended(cx, &stream, number, &part).await?;
        parts.push((number, part));
        // The last one twice, and after that all from the first: which of them was answered nobody knows.
        for (number, part) in parts.last().into_iter().chain(&parts) {
            let reply = cx.send(producer.sends(*number, stream.append(part.clone()))).await?;
            cx.expect(STREAM_PRODUCERS_6, &reply, &one_of![answer(204)])?;
        }
        let read = stream.content(cx).await?;
        let content: String = parts.iter().map(|(_, part)| part.as_str()).collect();
        cx.expect(STREAM_PRODUCERS_6, &read, &[holds(content)])?;
    }
    for (number, part) in parts {
        let reply = cx.send(closing(producer.sends(number, stream.append(part)))).await?;
        cx.expect(STREAM_PRODUCERS_6, &reply, &one_of![answer(204)])?;
        let head = cx.send(stream.head()).await?;
        cx.expect(STREAM_PRODUCERS_6, &head, &one_of![answer(200).without(CLOSED)])?;
    }
    Ok(())
}

pub(in super::super) async fn repetition_offset(cx: &Cx) -> Outcome {
    let (stream, producer) = stranger(cx).await?;
    for number in 0..2 {
        let part = cx.token(16);
        let behind = producer.appended(cx, &stream, number, &part).await?;
        let again = producer.sends(number, stream.append(part));
        let reply = cx.send(again.clone()).await?;
        cx.expect(STREAM_PRODUCERS_7, &reply, &one_of![answer(204).with(NEXT_OFFSET, behind.clone())])?;
        let now = stream.appended(cx, "another's").await?;
        let reply = cx.send(again).await?;
        let either = one_of![answer(204).with(NEXT_OFFSET, now), answer(204).with(NEXT_OFFSET, behind)];
        cx.expect(STREAM_PRODUCERS_7, &reply, &either)?;
    }
    Ok(())
}

pub(in super::super) async fn highest(cx: &Cx) -> Outcome {
    let (stream, first) = stranger(cx).await?;
    for producer in [first.clone(), first.at(1)] {
        for number in 0..3 {
            let part = cx.token(16);
            let told = |status: u16| one_of![answer(status).with(PRODUCER_SEQ, number.to_string())];
            let reply = cx.send(producer.sends(number, stream.append(part.clone()))).await?;
            cx.need(STREAM_PRODUCERS_5, &reply, &one_of![answer(200)])?;
            cx.expect(STREAM_PRODUCERS_8, &reply, &told(200))?;
            // Whichever of them is repeated.
            for number in [number, 0] {
                let reply = cx.send(producer.sends(number, stream.append(part.clone()))).await?;
                cx.need(STREAM_PRODUCERS_6, &reply, &one_of![answer(204)])?;
                cx.expect(STREAM_PRODUCERS_8, &reply, &told(204))?;
            }
        }
    }
    Ok(())
}

pub(in super::super) async fn gap(cx: &Cx) -> Outcome {
    for (accepted_before, number) in [(1, 2), (1, 7), (3, 4), (3, GREATEST)] {
        cx.refused(
            STREAM_PRODUCERS_10,
            Breaks::Fit,
            async |cx| {
                let (stream, producer) = stranger(cx).await?;
                producer.begun(cx, &stream, accepted_before).await?;
                Ok((stream, producer))
            },
            |(stream, producer)| producer.sends(accepted_before, stream.append("x")),
            |(stream, producer), request| *request = producer.sends(number, stream.append("x")),
            (STREAM_PRODUCERS_5, &one_of![accepted()]),
            &one_of![too_early(accepted_before, number).without(CLOSED)],
        )
        .await?;
    }
    // In a later epoch it is the numbers of this epoch that count.
    let (stream, producer) = stranger(cx).await?;
    producer.begun(cx, &stream, 3).await?;
    let later = producer.at(4);
    later.begun(cx, &stream, 1).await?;
    let reply = cx.send(later.sends(3, stream.append("x"))).await?;
    cx.expect(STREAM_PRODUCERS_10, &reply, &one_of![too_early(1, 3).without(CLOSED)])?;
    Ok(())
}

pub(in super::super) async fn unknown(cx: &Cx) -> Outcome {
    for (epoch, number) in [(0, 1), (0, 3), (5, 1), (0, GREATEST)] {
        cx.refused(
            STREAM_PRODUCERS_18,
            Breaks::Fit,
            async |cx| {
                let (stream, producer) = stranger(cx).await?;
                Ok((stream, producer.at(epoch)))
            },
            |(stream, producer)| producer.sends(0, stream.append("x")),
            |(stream, producer), request| *request = producer.sends(number, stream.append("x")),
            (STREAM_PRODUCERS_5, &one_of![accepted()]),
            &one_of![too_early(0, number).without(CLOSED)],
        )
        .await?;
    }
    Ok(())
}

pub(in super::super) async fn beside_seq(cx: &Cx) -> Outcome {
    let stream = written(cx).await?;
    let producer = Producer::new(cx);
    let sends = |number, seq: &str| {
        producer.sends(number, stream.append(format!("<{number}{seq}>")).header(SEQ, seq))
    };
    let taken = one_of![answer(200).has(NEXT_OFFSET)];
    let repeated = one_of![answer(204)];
    for (number, seq) in [(0, "a"), (1, "b")] {
        cx.expect(STREAM_PRODUCERS_26, &cx.send(sends(number, seq)).await?, &taken)?;
        cx.expect(STREAM_PRODUCERS_26, &cx.send(sends(number, seq)).await?, &repeated)?;
    }
    // One that is older than the last.
    cx.expect(STREAM_PRODUCERS_26, &cx.send(sends(0, "a")).await?, &repeated)?;
    // Either sequence alone is not enough, and what is refused moves neither.
    let conflict = one_of![answer(409).without(CLOSED).without(PRODUCER_EXPECTED_SEQ)];
    cx.expect(STREAM_PRODUCERS_26, &cx.send(sends(2, "b")).await?, &conflict)?;
    cx.expect(STREAM_PRODUCERS_26, &cx.send(sends(4, "d")).await?, &one_of![too_early(2, 4)])?;
    cx.expect(STREAM_PRODUCERS_26, &cx.send(sends(2, "c")).await?, &taken)?;
    let read = stream.content_from(cx, &stream.start).await?;
    cx.expect(STREAM_PRODUCERS_26, &read, &[holds("<0a><1b><2c>")])?;
    Ok(())
}
