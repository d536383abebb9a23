//! Checks of "Longpoll" in spec/stream.md: cursors, and what caches may do with an answer.

use super::{LIMIT, TOO_SLOW, TRIES, idle, in_time, patience, until_timeout};
use crate::{
    check::{Alternative, Answer, Check, Cx, Lane, Need, Outcome, Waits, alternative, answer},
    checks::stream::{
        read::{fresh, grow},
        setting::{Stream, directives, next_offset, proven},
    },
    drives, one_of,
    wire::Seen,
};
use futures_util::future::try_join_all;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        header::{CACHE_CONTROL, CURSOR, query},
        requirements::*,
    },
};

pub(in crate::checks::stream) const CHECKS: &[Check] = &[
    Check::new("stream/longpoll/cursor-passes", &[STREAM_LONGPOLL_16], drives!(passes)),
    Check::new("stream/longpoll/cursor-walk", &[STREAM_LONGPOLL_16], drives!(walk))
        .needs(&[Need::Feature("stream.rate-limit", "off")])
        .lane(Lane::Alone)
        .waits(Waits::Millis(1_000)),
    Check::new("stream/longpoll/cursor-passes-woken", &[STREAM_LONGPOLL_16], drives!(passes_woken)),
    Check::new("stream/longpoll/cursor-passes-idle", &[STREAM_LONGPOLL_16], drives!(passes_idle))
        .waits(Waits::Limit(LIMIT, 2)),
    Check::new("stream/longpoll/cursor-of-interval", &[STREAM_LONGPOLL_17], drives!(of_interval)),
    Check::new("stream/longpoll/cursor-order", &[STREAM_LONGPOLL_18], drives!(order)),
    Check::new("stream/longpoll/cursor-order-live", &[STREAM_LONGPOLL_18], drives!(order_live))
        .waits(Waits::Limit(LIMIT, 2)),
    Check::new("stream/longpoll/cursor-no-number", &[STREAM_LONGPOLL_19], drives!(no_number)),
    Check::new("stream/longpoll/timeout-not-shared", &[STREAM_LONGPOLL_20], drives!(not_shared))
        .waits(Waits::Limit(LIMIT, 2)),
];

/// A decimal number of any length, so that it can be compared: its length and its digits, without zeros in front.
fn decimal(text: &str) -> Option<(usize, String)> {
    let digits = text.trim_start_matches('0');
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| (digits.len(), digits.to_owned()))
}

fn cursor(response: &Response) -> String {
    response.headers.get(CURSOR).unwrap_or_default().to_owned()
}

fn sending(request: Request, cursor: &str) -> Request {
    request.param(query::CURSOR, cursor)
}

/// An answer whose cursor is greater than this one.
fn beyond(status: u16, sent: &str) -> Answer {
    let (name, sent) = (format!("a {CURSOR} greater than {sent}"), decimal(sent));
    answer(status).has(CURSOR).and(name, move |r| sent.is_some() && decimal(&cursor(r)) > sent)
}

/// Cursors that no clock reaches soon: two months of intervals behind this one, and a number of more than 32 bits.
fn far(cursor: &str) -> [String; 2] {
    let near = cursor.parse::<u64>().unwrap_or_default();
    [near.saturating_add(262_144).to_string(), near.max(5_000_000_000).to_string()]
}

async fn passes(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let first = cx.send(stream.long_poll("-1")).await?;
    let mut sent = cursor(cx.need(STREAM_LONGPOLL_8, &first, &one_of![answer(200).has(CURSOR)])?);
    let far = far(&sent);
    // What the server gave out itself: it is that of the interval now, or ahead of it.
    for _ in 0..4 {
        let reply = cx.send(sending(stream.long_poll("-1"), &sent)).await?;
        sent = cursor(cx.expect(STREAM_LONGPOLL_16, &reply, &one_of![beyond(200, &sent)])?);
    }
    for sent in far {
        let reply = cx.send(sending(stream.long_poll("-1"), &sent)).await?;
        cx.expect(STREAM_LONGPOLL_16, &reply, &one_of![beyond(200, &sent)])?;
    }
    Ok(())
}

/// Each cursor sent back, so often that a server which once in two hundred answers adds nothing is found out, and one whose
/// cursors rise so steeply that they come to the end of its numbers.
async fn walk(cx: &Cx) -> Outcome {
    const WALKERS: usize = 3;
    const STEPS: usize = 250;
    let stream = proven(cx).await?;
    try_join_all((0..WALKERS).map(async |_| {
        let mut peer = cx.http();
        let first = peer.send(stream.long_poll("-1")).await?;
        let mut sent = cursor(cx.need(STREAM_LONGPOLL_8, &first, &one_of![answer(200).has(CURSOR)])?);
        for _ in 0..STEPS {
            let reply = peer.send(sending(stream.long_poll("-1"), &sent)).await?;
            sent = cursor(cx.expect(STREAM_LONGPOLL_16, &reply, &one_of![beyond(200, &sent)])?);
        }
        Ok(())
    }))
    .await?;
    Ok(())
}

async fn passes_woken(cx: &Cx) -> Outcome {
    let stream = fresh(cx, "something").await?;
    let first = cx.send(stream.long_poll("-1")).await?;
    let mut sent = cursor(cx.need(STREAM_LONGPOLL_8, &first, &one_of![answer(200).has(CURSOR)])?);
    let (mut tail, mut proven) = (stream.start.clone(), 0);
    for _ in 0..TRIES {
        let since = Instant::now();
        let waiting = cx.begin(sending(stream.long_poll(&tail), &sent), patience(cx)).await?;
        stream.settled(cx).await?;
        tail = grow(cx, &stream, &cx.token(16)).await?;
        if let Some(reply) = in_time(cx, &stream, since, waiting).await? {
            cx.need(STREAM_LONGPOLL_3, &reply, &one_of![answer(200)])?;
            sent = cursor(cx.expect(STREAM_LONGPOLL_16, &reply, &one_of![beyond(200, &sent)])?);
            proven += 1;
        }
        if proven == 3 {
            return Ok(());
        }
    }
    Err(cx.stop(TOO_SLOW))
}

async fn passes_idle(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let first = cx.send(stream.long_poll("-1")).await?;
    let sent = cursor(cx.need(STREAM_LONGPOLL_8, &first, &one_of![answer(200).has(CURSOR)])?);
    let tail = stream.told_tail(cx).await?;
    let cursors = far(&sent).into_iter().chain([sent]);
    let waiting = try_join_all(cursors.map(async |sent| {
        let request = sending(stream.long_poll(&tail), &sent);
        let reply = cx.begin(request, until_timeout(cx)).await?.answer().await?;
        Ok((reply, sent))
    }));
    for (reply, sent) in waiting.await? {
        cx.need(STREAM_LONGPOLL_5, &reply, &one_of![answer(204)])?;
        cx.expect(STREAM_LONGPOLL_16, &reply, &one_of![beyond(204, &sent)])?;
    }
    Ok(())
}

/// Where the intervals begin and how long they are, unless the owner of the server chose otherwise, in seconds.
const EPOCH: u64 = 1_728_432_000;
const INTERVAL: u64 = 20;
/// So far the clock of the target may be from ours, in seconds.
const SKEW: u64 = 120;

async fn of_interval(cx: &Cx) -> Outcome {
    const READERS: usize = 8;
    let streams = [proven(cx).await?, proven(cx).await?];
    let since = Instant::now();
    let mut replies = Vec::new();
    for reader in 0..READERS {
        let reply = cx.http().send(streams[reader % 2].long_poll("-1")).await?;
        cx.need(STREAM_LONGPOLL_8, &reply, &one_of![answer(200).has(CURSOR)])?;
        replies.push(reply);
    }
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().saturating_sub(EPOCH);
    let (first, last) = (now.saturating_sub(SKEW) / INTERVAL, (now + SKEW) / INTERVAL);
    // So many intervals may have begun meanwhile.
    let begun = 1 + since.elapsed().as_secs() / INTERVAL;
    let default = alternative(
        format!("for all the number of the interval now, counted from the usual epoch: {first} to {last}"),
        move |all: &Vec<Response>| {
            let numbers: Option<Vec<u64>> = all.iter().map(|r| cursor(r).parse().ok()).collect();
            numbers.is_some_and(|n| n.iter().all(|n| (first..=last).contains(n)) && spread(&n) <= begun)
        },
    );
    let other = alternative(
        "for all the number of one interval, counted in another way",
        move |all: &Vec<Response>| {
            let numbers: Option<Vec<u64>> = all.iter().map(|r| cursor(r).parse().ok()).collect();
            numbers.is_some_and(|n| spread(&n) <= begun)
        },
    );
    cx.expect(STREAM_LONGPOLL_17, &Seen::all(replies), &[default, other])?;
    Ok(())
}

fn spread(numbers: &[u64]) -> u64 {
    numbers.iter().max().zip(numbers.iter().min()).map_or(0, |(most, least)| most - least)
}

/// Cursors in the order in which they came to one reader.
fn never_smaller() -> Alternative<Vec<Response>> {
    alternative("no cursor smaller than one before", |all: &Vec<Response>| {
        let numbers: Option<Vec<_>> = all.iter().map(|r| decimal(&cursor(r))).collect();
        numbers.is_some_and(|n| n.is_sorted())
    })
}

/// What a reader gets who follows a growing stream, and sends back the cursors that come or none.
async fn follows(cx: &Cx, stream: &Stream, echoes: bool) -> Outcome<Vec<Seen<Response>>> {
    let (mut offset, mut sent, mut replies) = ("-1".to_owned(), None::<String>, Vec::new());
    for _ in 0..6 {
        grow(cx, stream, &cx.token(16)).await?;
        let mut request = stream.long_poll(&offset);
        if let Some(sent) = sent.as_ref().filter(|_| echoes) {
            request = sending(request, sent);
        }
        let seen = cx.send(request).await?;
        let reply = cx.need(STREAM_LONGPOLL_8, &seen, &one_of![answer(200).has(CURSOR)])?;
        (offset, sent) = (next_offset(reply), Some(cursor(reply)));
        replies.push(seen);
    }
    Ok(replies)
}

async fn order(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    for echoes in [true, false] {
        let replies = follows(cx, &stream, echoes).await?;
        cx.expect(STREAM_LONGPOLL_18, &Seen::all(replies), &[never_smaller()])?;
    }
    // Who comes back after a long time gets no smaller one than he left with.
    let first = cx.send(stream.long_poll("-1")).await?;
    let now = cursor(cx.need(STREAM_LONGPOLL_8, &first, &one_of![answer(200).has(CURSOR)])?);
    for ago in [1, 3, 1_000] {
        let old = now.parse::<u64>().unwrap_or_default().saturating_sub(ago);
        let reply = cx.send(sending(stream.long_poll("-1"), &old.to_string())).await?;
        let no_smaller = decimal(&old.to_string());
        let name = format!("a {CURSOR} of {old} or more");
        let later = answer(200).has(CURSOR).and(name, move |r| decimal(&cursor(r)) >= no_smaller);
        cx.expect(STREAM_LONGPOLL_18, &reply, &one_of![later])?;
    }
    Ok(())
}

/// Content, then nothing in time, then content again.
async fn order_live(cx: &Cx) -> Outcome {
    let readers = [true, false].map(async |echoes| {
        let stream = proven(cx).await?;
        let mut replies = vec![cx.http().send(stream.long_poll("-1")).await?];
        for status in [200, 204] {
            let Some(seen) = replies.last() else { break };
            let told = cx.need(STREAM_LONGPOLL_7, seen, &one_of![answer(status).has(CURSOR)])?;
            let mut request = stream.long_poll(&stream.told_tail(cx).await?);
            if echoes {
                request = sending(request, &cursor(told));
            }
            let waiting = cx.begin(request, until_timeout(cx)).await?;
            if status == 204 {
                stream.settled(cx).await?;
                stream.appended(cx, cx.token(16)).await?;
            }
            replies.push(waiting.answer().await?);
        }
        Ok(replies)
    });
    for replies in try_join_all(readers).await? {
        cx.expect(STREAM_LONGPOLL_18, &Seen::all(replies), &[never_smaller()])?;
    }
    Ok(())
}

async fn no_number(cx: &Cx) -> Outcome {
    for sent in ["abc", "12x", "-1", "1.5", "0x10"] {
        let stream = proven(cx).await?;
        let twin = cx.send(stream.long_poll("-1")).await?;
        let content = cx.need(STREAM_LONGPOLL_8, &twin, &one_of![answer(200).has(CURSOR)])?.body.0.clone();
        let reply = cx.send(sending(stream.long_poll("-1"), sent)).await?;
        cx.expect(STREAM_LONGPOLL_19, &reply, &one_of![answer(200).has(CURSOR).body(content)])?;
    }
    Ok(())
}

async fn not_shared(cx: &Cx) -> Outcome {
    for (reply, _) in idle(cx).await? {
        cx.need(STREAM_LONGPOLL_5, &reply, &one_of![answer(204)])?;
        let for_one = |r: &Response| {
            directives(r).iter().any(|(name, _)| ["no-store", "no-cache", "private"].contains(&name.as_str()))
        };
        // A time of 0 makes nothing fresh.
        let for_nobody = |r: &Response| {
            directives(r).iter().all(|(name, value)| match name.as_str() {
                "public" => false,
                "max-age" | "s-maxage" | "stale-while-revalidate" => value.as_deref() == Some("0"),
                _ => true,
            })
        };
        let alternatives = one_of![
            answer(204).without(CACHE_CONTROL),
            answer(204).has(CACHE_CONTROL).and("no-store, no-cache or private", for_one),
            answer(204).has(CACHE_CONTROL).and("nothing that makes it fresh", for_nobody),
        ];
        cx.expect(STREAM_LONGPOLL_20, &reply, &alternatives)?;
    }
    Ok(())
}
