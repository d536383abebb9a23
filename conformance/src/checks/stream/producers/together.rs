//! Producers at the same time, beside each other, and over the end of a process.

use super::{
    super::setting::{Stream, TEXT, closing, holds, written},
    Producer, accepted, fenced, stranger, too_early,
};
use crate::{
    check::{Alternative, Cx, Hook, Outcome, alternative, answer},
    one_of,
    wire::Seen,
};
use bytes::Bytes;
use futures_util::future::try_join_all;
use wireproof_spec::{
    http::Response,
    stream::{
        header::{CLOSED, PRODUCER_EPOCH, PRODUCER_SEQ},
        requirements::*,
    },
};

pub(in super::super) async fn race(cx: &Cx) -> Outcome {
    const RIVALS: usize = 8;
    let stream = Stream::create(cx, TEXT, "").await?;
    let first = Producer::new(cx);
    let mut content = String::new();
    for (producer, number) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)].map(|(epoch, n)| (first.at(epoch), n))
    {
        let token = cx.token(16);
        let mut peers: Vec<_> = (0..RIVALS).map(|_| cx.http()).collect();
        let request = producer.sends(number, stream.append(token.clone()));
        let replies = Seen::all(try_join_all(peers.iter_mut().map(|p| p.send(request.clone()))).await?);
        let one = alternative("200 for exactly one and 204 for every other", |all: &Vec<Response>| {
            let with = |status: u16| all.iter().filter(|r| r.status == status).count();
            with(200) == 1 && with(204) == all.len() - 1
        });
        cx.expect(STREAM_PRODUCERS_15, &replies, &[one])?;
        content.push_str(&token);
        let read = stream.content(cx).await?;
        cx.expect(STREAM_PRODUCERS_15, &read, &[holds(content.clone())])?;
    }
    Ok(())
}

pub(in super::super) async fn pipeline(cx: &Cx) -> Outcome {
    const PRODUCERS: usize = 3;
    const NUMBERS: usize = 6;
    let stream = Stream::create(cx, TEXT, "").await?;
    let messages: Vec<Vec<String>> = (0..PRODUCERS)
        .map(|p| (0..NUMBERS).map(|n| format!("<{p}:{n}:{}>", cx.token(8))).collect())
        .collect();
    try_join_all(messages.iter().map(|mine| pipelined(cx, &stream, mine))).await?;
    let read = stream.content(cx).await?;
    let total = messages.concat().concat().len();
    let in_order = alternative("every message once, those of each producer in order", move |read: &Bytes| {
        let text = String::from_utf8_lossy(read);
        text.len() == total
            && messages.iter().all(|mine| {
                let places: Vec<_> = mine.iter().map(|message| text.find(message.as_str())).collect();
                places.iter().all(Option::is_some) && places.is_sorted()
            })
    });
    cx.expect(STREAM_PRODUCERS_16, &read, &[in_order])?;
    Ok(())
}

/// Sends all messages of one producer at once, the last one first, and each of them twice; and again what came too early,
/// until nothing is left.
async fn pipelined(cx: &Cx, stream: &Stream, messages: &[String]) -> Outcome {
    let producer = Producer::new(cx);
    let mut left: Vec<usize> = (0..messages.len()).rev().collect();
    while let Some(due) = left.last().copied() {
        let sent: Vec<usize> = left.iter().chain(&left).copied().collect();
        let replies = Seen::all(
            try_join_all(sent.iter().map(async |n| {
                let request = producer.sends(*n as u64, stream.append(messages[*n].clone()));
                cx.http().send(request).await
            }))
            .await?,
        );
        let (one, two) = (left.len() - 1, sent.len() - 1);
        // So in each round at least one is taken, and the rounds come to an end.
        let name =
            format!("200, 204 or 409 for each, and for number {due}, which is due, once 200 and once 204");
        let taken = alternative(name, move |all: &Vec<Response>| {
            all.iter().all(|r| matches!(r.status, 200 | 204 | 409))
                && matches!((all[one].status, all[two].status), (200, 204) | (204, 200))
        });
        let replies = cx.expect(STREAM_PRODUCERS_16, &replies, &[taken])?;
        left.retain(|n| replies.iter().zip(&sent).all(|(r, of)| of != n || r.status == 409));
    }
    Ok(())
}

pub(in super::super) async fn apart(cx: &Cx) -> Outcome {
    let stream = written(cx).await?;
    let one = Producer::new(cx);
    // One whose name begins as that of the first, one that looks like the first with its epoch, and one in other letters.
    let longer = Producer { id: format!("{}1", one.id), epoch: 0 };
    let colon = Producer { id: format!("{}:0", one.id), epoch: 0 };
    let upper = Producer { id: one.id.to_ascii_uppercase(), epoch: 0 };
    let taken = |number: u64| one_of![accepted().with(PRODUCER_SEQ, number.to_string())];
    // The first is far ahead and in a later epoch when the others begin.
    one.at(3).begun(cx, &stream, 3).await?;
    for (producer, number) in
        [(&longer, 0), (&colon, 0), (&upper, 0), (&longer, 1), (&colon, 1), (&longer.at(9), 0)]
    {
        let reply = cx.send(producer.sends(number, stream.append("x"))).await?;
        cx.expect(STREAM_PRODUCERS_17, &reply, &taken(number))?;
    }
    let reply = cx.send(colon.sends(4, stream.append("x"))).await?;
    cx.expect(STREAM_PRODUCERS_17, &reply, &one_of![too_early(2, 4)])?;
    // The new epoch of one and the gap of another are nothing to the rest.
    for (producer, number) in [(&one.at(3), 3), (&colon, 2)] {
        let reply = cx.send(producer.sends(number, stream.append("x"))).await?;
        cx.expect(STREAM_PRODUCERS_17, &reply, &taken(number))?;
    }
    Ok(())
}

pub(in super::super) async fn streams_apart(cx: &Cx) -> Outcome {
    let streams = [written(cx).await?, written(cx).await?];
    let producer = Producer::new(cx);
    producer.at(3).begun(cx, &streams[0], 3).await?;
    // On the other stream it is unknown: at an older epoch and from 0.
    for (epoch, number) in [(1, 0), (1, 1), (2, 0)] {
        let reply = cx.send(producer.at(epoch).sends(number, streams[1].append("x"))).await?;
        let own = accepted().with(PRODUCER_EPOCH, epoch.to_string()).with(PRODUCER_SEQ, number.to_string());
        cx.expect(STREAM_PRODUCERS_17, &reply, &one_of![own])?;
    }
    let reply = cx.send(producer.at(2).sends(2, streams[1].append("x"))).await?;
    cx.expect(STREAM_PRODUCERS_17, &reply, &one_of![too_early(1, 2)])?;
    // And on the first it goes on.
    let reply = cx.send(producer.at(3).sends(3, streams[0].append("x"))).await?;
    cx.expect(STREAM_PRODUCERS_17, &reply, &one_of![accepted()])?;
    Ok(())
}

/// Content in which each of these messages is exactly once.
fn once(messages: &[String]) -> Alternative<Bytes> {
    let messages = messages.to_vec();
    alternative(format!("each of {} messages exactly once", messages.len()), move |read: &Bytes| {
        let text = String::from_utf8_lossy(read);
        messages.iter().all(|message| text.matches(message.as_str()).count() == 1)
    })
}

pub(in super::super) async fn kill(cx: &Cx) -> Outcome {
    let stream = written(cx).await?;
    let mut messages: Vec<String> = Vec::new();
    // At rest, in the middle of a POST, and behind what is left of that; each by another producer.
    for amid in [false, true, false] {
        let producer = Producer::new(cx);
        producer.begun(cx, &stream, 1).await?;
        let [answered, unanswered] = [(); 2].map(|()| format!("<{}>", cx.token(16)));
        producer.appended(cx, &stream, 1, &answered).await?;
        let dying = producer.sends(2, stream.append(unanswered.clone()));
        let left = match amid {
            true => Some(cx.begin(dying.clone(), cx.answer_time()).await?),
            false => None,
        };
        cx.hook(Hook::Kill).await?;
        drop(left);
        let there = cx.http().send(stream.read()).await?;
        cx.need(STREAM_CONTENT_2, &there, &one_of![answer(200)])?;
        let reply = cx.send(producer.sends(1, stream.append(answered.clone()))).await?;
        cx.expect(STREAM_PRODUCERS_23, &reply, &one_of![answer(204)])?;
        if reply.look().is_ok_and(|reply| reply.status != 204) {
            // A server that forgot the producer has nothing to say to what comes behind.
            return Ok(());
        }
        // Of this one nobody knows whether it was taken.
        let reply = cx.send(dying).await?;
        let either = if amid { one_of![accepted(), answer(204)] } else { one_of![accepted()] };
        cx.expect(STREAM_PRODUCERS_23, &reply, &either)?;
        messages.extend([answered, unanswered]);
        let read = stream.content(cx).await?;
        cx.expect(STREAM_PRODUCERS_23, &read, &[once(&messages)])?;
    }
    Ok(())
}

pub(in super::super) async fn restart(cx: &Cx) -> Outcome {
    let (stream, producer) = stranger(cx).await?;
    let producer = producer.at(3);
    let mut content = producer.begun(cx, &stream, 2).await?;
    // Another that its producer closed.
    let (ended, closer) = stranger(cx).await?;
    closer.begun(cx, &ended, 1).await?;
    let closing_it = closer.sends(1, closing(ended.append("last")));
    let reply = cx.send(closing_it.clone()).await?;
    cx.need(STREAM_APPEND_12, &reply, &one_of![accepted().with(CLOSED, "true")])?;
    let repeated = answer(204).with(CLOSED, "true");
    cx.need(STREAM_PRODUCERS_19, &cx.send(closing_it.clone()).await?, &one_of![repeated.clone()])?;
    // The second time with what came in between.
    for last in [1, 2] {
        cx.hook(Hook::Restart).await?;
        let there = cx.http().send(stream.head()).await?;
        cx.need(STREAM_CONTENT_1, &there, &one_of![answer(200)])?;
        let read = stream.content_from(cx, &stream.start).await?;
        cx.need(STREAM_CONTENT_1, &read, &[holds(content.clone())])?;
        let token = cx.token(12);
        let mut kept = true;
        for (request, status, answered) in [
            (closing_it.clone(), 204, repeated.clone()),
            (producer.sends(last, stream.append("again")), 204, answer(204)),
            (producer.sends(0, stream.append("again")), 204, answer(204)),
            (producer.sends(last + 2, stream.append("early")), 409, too_early(last + 1, last + 2)),
            (producer.at(2).sends(0, stream.append("fenced")), 403, fenced(3)),
            (producer.sends(last + 1, stream.append(token.clone())), 200, accepted()),
        ] {
            let reply = cx.send(request).await?;
            kept &= cx.expect(STREAM_PRODUCERS_24, &reply, &one_of![answered])?.status == status;
        }
        content.push_str(&token);
        // What was lost once is lost; a second look would tell nothing new.
        if !kept {
            break;
        }
    }
    Ok(())
}
