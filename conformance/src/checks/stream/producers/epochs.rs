//! The lives of a producer: which epoch is taken, which is fenced off.

use super::{
    super::setting::{Stream, holds, proven},
    GREATEST, Producer, accepted, fenced, stranger,
};
use crate::{
    check::{Breaks, Cx, Outcome, answer},
    one_of,
};
use wireproof_spec::stream::{header::PRODUCER_EPOCH, requirements::*};

pub(in super::super) async fn greatest(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    // As the first that is heard of, and as the next one.
    let new = Producer::new(cx).at(GREATEST);
    let known = Producer::new(cx);
    known.begun(cx, &stream, 1).await?;
    let before = stream.told_tail(cx).await?;
    for (producer, content) in [(new, "one"), (known.at(GREATEST), "two")] {
        let reply = cx.send(producer.sends(0, stream.append(content))).await?;
        cx.expect(STREAM_PRODUCERS_4, &reply, &one_of![accepted()])?;
    }
    let read = stream.content_from(cx, &before).await?;
    cx.expect(STREAM_PRODUCERS_4, &read, &[holds("onetwo")])?;
    Ok(())
}

pub(in super::super) async fn told(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let producer = Producer::new(cx);
    for epoch in [3, 4, GREATEST] {
        let request = producer.at(epoch).sends(0, stream.append("x"));
        for status in [200, 204] {
            let reply = cx.send(request.clone()).await?;
            let stands_on = if status == 200 { STREAM_PRODUCERS_13 } else { STREAM_PRODUCERS_6 };
            cx.need(stands_on, &reply, &one_of![answer(status)])?;
            cx.expect(
                STREAM_PRODUCERS_9,
                &reply,
                &one_of![answer(status).with(PRODUCER_EPOCH, epoch.to_string())],
            )?;
        }
    }
    Ok(())
}

pub(in super::super) async fn older(cx: &Cx) -> Outcome {
    // The number that is due in the current epoch, one that was accepted in the older one, and one that was due there.
    for (current, older, number) in [(1, 0, 1), (5, 4, 0), (5, 0, 2), (GREATEST, GREATEST - 1, 0)] {
        cx.refused(
            STREAM_PRODUCERS_12,
            Breaks::Fit,
            async |cx| {
                let (stream, producer) = stranger(cx).await?;
                producer.at(older).begun(cx, &stream, 2).await?;
                let producer = producer.at(current);
                producer.begun(cx, &stream, 1).await?;
                Ok((stream, producer))
            },
            |(stream, producer)| producer.sends(1, stream.append("x")),
            |(stream, producer), request| *request = producer.at(older).sends(number, stream.append("x")),
            (STREAM_PRODUCERS_5, &one_of![accepted()]),
            &one_of![fenced(current)],
        )
        .await?;
    }
    Ok(())
}

pub(in super::super) async fn newer(cx: &Cx) -> Outcome {
    let (stream, producer) = stranger(cx).await?;
    let mut content = producer.begun(cx, &stream, 3).await?;
    let mut before = 0;
    // The next one, a later one, and the one behind that.
    for epoch in [1, 8, 9] {
        let newer = producer.at(epoch);
        for number in 0..2 {
            let token = cx.token(12);
            let reply = cx.send(newer.sends(number, stream.append(token.clone()))).await?;
            cx.expect(STREAM_PRODUCERS_13, &reply, &one_of![accepted()])?;
            content.push_str(&token);
        }
        let reply = cx.send(producer.at(before).sends(3, stream.append("fenced"))).await?;
        cx.expect(STREAM_PRODUCERS_12, &reply, &one_of![fenced(epoch)])?;
        before = epoch;
    }
    let read = stream.content_from(cx, &stream.start).await?;
    cx.expect(STREAM_PRODUCERS_13, &read, &[holds(content)])?;
    Ok(())
}

/// A producer that has sent 0 and 1 in its first epoch.
async fn begun(cx: &Cx) -> Outcome<(Stream, Producer)> {
    let (stream, producer) = stranger(cx).await?;
    producer.begun(cx, &stream, 2).await?;
    Ok((stream, producer))
}

pub(in super::super) async fn newer_number(cx: &Cx) -> Outcome {
    // Also the one that was accepted last and the one that is due, in the epoch before.
    for (epoch, number) in [(1, 1), (1, 2), (7, 5)] {
        cx.refused(
            STREAM_PRODUCERS_14,
            Breaks::Fit,
            begun,
            |(stream, producer)| producer.at(epoch).sends(0, stream.append("x")),
            |(stream, producer), request| *request = producer.at(epoch).sends(number, stream.append("x")),
            (STREAM_PRODUCERS_13, &one_of![accepted()]),
            &one_of![answer(400)],
        )
        .await?;
    }
    Ok(())
}
