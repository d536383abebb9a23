//! Producers that close a stream, and those who come too late.

use super::{
    super::setting::{Stream, closed, closing, holds},
    Producer, accepted, fenced, stranger, too_early,
};
use crate::{
    check::{Cx, Outcome, answer},
    one_of,
};
use wireproof_spec::{
    http::Request,
    stream::{header::CLOSED, requirements::*},
};

/// A stream that this producer closed in its epoch 2 with number 1 and content, and the request that did it.
async fn shut(cx: &Cx) -> Outcome<(Stream, Producer, Request)> {
    let (stream, producer) = stranger(cx).await?;
    producer.at(1).begun(cx, &stream, 1).await?;
    let producer = producer.at(2);
    producer.begun(cx, &stream, 1).await?;
    let last = producer.sends(1, closing(stream.append(cx.token(16))));
    let reply = cx.send(last.clone()).await?;
    cx.need(STREAM_APPEND_12, &reply, &one_of![accepted().with(CLOSED, "true")])?;
    Ok((stream, producer, last))
}

pub(in super::super) async fn again(cx: &Cx) -> Outcome {
    let (_, _, last) = shut(cx).await?;
    for _ in 0..2 {
        let reply = cx.send(last.clone()).await?;
        cx.expect(STREAM_PRODUCERS_19, &reply, &one_of![answer(204).with(CLOSED, "true")])?;
    }
    Ok(())
}

pub(in super::super) async fn others(cx: &Cx) -> Outcome {
    // On an open stream each of them has an answer of its own.
    let (open, producer) = stranger(cx).await?;
    producer.at(1).begun(cx, &open, 1).await?;
    let producer = producer.at(2);
    producer.begun(cx, &open, 2).await?;
    for (request, stands_on, answered) in [
        (producer.sends(0, open.append("x")), STREAM_PRODUCERS_6, answer(204)),
        (producer.sends(3, open.append("x")), STREAM_PRODUCERS_10, too_early(2, 3)),
        (producer.at(1).sends(0, open.append("x")), STREAM_PRODUCERS_12, fenced(2)),
    ] {
        cx.need(stands_on, &cx.send(request).await?, &one_of![answered])?;
    }

    let (stream, producer, _) = shut(cx).await?;
    late(cx, &stream, &producer, &[0, 2, 3]).await?;
    // Closed by someone who is no producer, nothing is the repetition of that.
    let (stream, producer) = stranger(cx).await?;
    producer.at(1).begun(cx, &stream, 1).await?;
    let producer = producer.at(2);
    producer.begun(cx, &stream, 2).await?;
    stream.closed(cx).await?;
    late(cx, &stream, &producer, &[0, 1, 2, 3]).await
}

/// Claims that a closed stream refuses these numbers of a producer in its epoch 2, all numbers of its other epochs, and other
/// producers, one of which has the epoch and number of this one.
async fn late(cx: &Cx, stream: &Stream, producer: &Producer, numbers: &[u64]) -> Outcome {
    let mine = numbers.iter().map(|number| (producer.clone(), *number));
    let stranger = Producer::new(cx);
    let other = [(1, 0), (1, 1), (1, 2), (3, 0), (3, 1)].map(|(epoch, number)| (producer.at(epoch), number));
    for (producer, number) in mine.chain(other).chain([(stranger.clone(), 0), (stranger.at(2), 1)]) {
        let reply = cx.send(producer.sends(number, stream.append("late"))).await?;
        cx.expect(STREAM_PRODUCERS_20, &reply, &one_of![answer(409).with(CLOSED, "true")])?;
    }
    Ok(())
}

pub(in super::super) async fn takes_number(cx: &Cx) -> Outcome {
    let (stream, producer) = stranger(cx).await?;
    let content = producer.begun(cx, &stream, 1).await?;
    let close = producer.sends(1, stream.close());
    for request in [close.clone(), close] {
        let reply = cx.send(request).await?;
        cx.expect(STREAM_PRODUCERS_21, &reply, &one_of![answer(204).with(CLOSED, "true")])?;
    }
    // By its number a repetition, by its body none.
    let reply = cx.send(producer.sends(1, stream.append("late"))).await?;
    let closed = |status| answer(status).with(CLOSED, "true");
    cx.expect(STREAM_PRODUCERS_21, &reply, &one_of![closed(204), closed(409)])?;
    let head = cx.send(stream.head()).await?;
    cx.expect(STREAM_PRODUCERS_21, &head, &one_of![answer(200).with(CLOSED, "true")])?;
    let read = stream.content_from(cx, &stream.start).await?;
    cx.expect(STREAM_PRODUCERS_21, &read, &[holds(content)])?;
    Ok(())
}

pub(in super::super) async fn out_of_turn(cx: &Cx) -> Outcome {
    let fresh = async || {
        let (stream, producer) = stranger(cx).await?;
        producer.at(1).begun(cx, &stream, 1).await?;
        let producer = producer.at(2);
        producer.begun(cx, &stream, 2).await?;
        Ok((stream, producer))
    };
    // The twin: in its turn it closes.
    let (stream, producer) = fresh().await?;
    let reply = cx.send(producer.sends(2, stream.close())).await?;
    cx.need(STREAM_CLOSE_1, &reply, &one_of![closed()])?;

    let (stream, producer) = fresh().await?;
    for (due, closer, ahead, refusal) in
        [(2, producer.clone(), 1, 409), (3, producer.at(1), 0, 403), (4, producer.clone(), 5, 409)]
    {
        let number = due + ahead;
        let refusal = if refusal == 409 { too_early(due, number) } else { fenced(2) };
        let reply = cx.send(closer.sends(number, stream.close())).await?;
        cx.expect(STREAM_PRODUCERS_22, &reply, &one_of![refusal.without(CLOSED)])?;
        let head = cx.send(stream.head()).await?;
        cx.expect(STREAM_PRODUCERS_22, &head, &one_of![answer(200).without(CLOSED)])?;
        // It is open: what is due is taken.
        let reply = cx.send(producer.sends(due, stream.append("x"))).await?;
        cx.expect(STREAM_PRODUCERS_22, &reply, &one_of![accepted().without(CLOSED)])?;
    }
    Ok(())
}
