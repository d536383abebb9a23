//! What is sent again so many times: behind 409, 501, and answers that broke off.

use super::call::{
    Ask, Bounds, Course, Delay, Reply, can_be_set, conflict, counted, delays as of_delays, ms_of, refuses,
};
use crate::check::{Alternative, Cx, Outcome, alternative};
use chrono::{DateTime, Utc};
use futures_util::future::{try_join, try_join3};
use std::{iter, time::SystemTime};
use wireproof_spec::queue::requirements::*;

/// How often a request is sent again unless the client is told otherwise.
const RETRIES: usize = 3;
/// The retry base unless the client is told otherwise, in milliseconds.
const BASE_MS: u64 = 100;
/// Times are whole seconds.
const SECOND_MS: u64 = 1_000;

/// What the client is told, if it can be, and else what it does without.
fn or_unset(cx: &Cx, value: usize, unset: usize) -> usize {
    if can_be_set(cx) { value } else { unset }
}

pub(super) async fn conflicts(cx: &Cx) -> Outcome {
    let requests = or_unset(cx, 2, RETRIES) + 1;
    let ask = Ask::new(cx, "get").setting(cx, "retries", 2);
    let replies = |status: u16| vec![refuses(status); requests];
    let (conflicts, missing) = try_join(ask.call(cx, &replies(409)), ask.call(cx, &replies(501))).await?;
    let refused = |status: u64| {
        let name = format!("{requests} requests that are answered with {status}, and an error");
        alternative(name, move |course: &Course| course.is_refused_with(requests))
    };
    cx.expect(QUEUE_RETRY_7, &conflicts, &[refused(409)])?;
    cx.expect(QUEUE_RETRY_7, &missing, &[refused(501)])?;
    Ok(())
}

pub(super) async fn no_retries(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get").with("retries", 0);
    let (conflict, missing) = try_join(ask.call(cx, &[refuses(409)]), ask.call(cx, &[refuses(501)])).await?;
    let refused = || alternative("one request and an error", |course: &Course| course.is_refused_with(1));
    cx.expect(QUEUE_RETRY_7, &conflict, &[refused()])?;
    cx.expect(QUEUE_RETRY_7, &missing, &[refused()])?;
    Ok(())
}

/// The bounds of so many delays, with the base that the client is told, if it can be.
fn bounds(cx: &Cx, base: u64, count: u32) -> Vec<Bounds> {
    let base = if can_be_set(cx) { base } else { BASE_MS };
    (0..count).map(|k| counted(base, k)).collect()
}

pub(super) async fn delays(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get").setting(cx, "retry_delay_ms", 200);
    let (bounds, success) = (bounds(cx, 200, 3), Reply::Success);
    let first = [refuses(409), refuses(501), refuses(409), success.clone()];
    let second = [refuses(501), refuses(409), refuses(501), success];
    let (first, second) =
        try_join(ask.in_time(cx, &first, &bounds), ask.in_time(cx, &second, &bounds)).await?;
    cx.expect(QUEUE_RETRY_8, &first, &[of_delays(bounds.clone())])?;
    cx.expect(QUEUE_RETRY_8, &second, &[of_delays(bounds)])?;
    Ok(())
}

/// That the call succeeds, and that a request came behind each delay as it was asked for, in words and as a condition.
fn after(
    asked: &str,
    count: usize,
    is: impl Fn(&Delay) -> bool + Send + Sync + 'static,
) -> Alternative<Course> {
    let name = format!("{count} requests, each but the first {asked}, and a success");
    alternative(name, move |course: &Course| course.succeeds_with(count) && course.delays.iter().all(&is))
}

/// How late a request may be that was asked for by a time in whole seconds, in milliseconds, on a busy machine.
fn late(cx: &Cx) -> u64 {
    SECOND_MS + u64::try_from(cx.slack().as_millis()).unwrap_or(u64::MAX)
}

/// As [`after`], for the seconds that were asked for.
fn after_seconds(cx: &Cx, seconds: u64, count: usize) -> Alternative<Course> {
    let (least, late) = (seconds * SECOND_MS, late(cx));
    after(&format!("{least} ms later at least, and {} at most", least + late), count, move |delay| {
        delay.is_least(least) && delay.is_most(least + late)
    })
}

/// As [`after`], for a time in seconds since 1970.
fn at_time(cx: &Cx, time: u64, count: usize) -> Alternative<Course> {
    let (ms, late) = (time * SECOND_MS, late(cx));
    after(&format!("not before the time {time}, and {late} ms behind it at most"), count, move |delay| {
        delay.is_until(ms) && (!delay.is_until(ms + late) || delay.is_most(late))
    })
}

/// A whole second from which it is more than this and at most a second longer, in seconds since 1970.
fn in_seconds(seconds: u64) -> u64 {
    ms_of(SystemTime::now()) / SECOND_MS + seconds + 1
}

/// A date as HTTP has it.
fn date(time: u64) -> String {
    let date = i64::try_from(time).ok().and_then(|time| DateTime::<Utc>::from_timestamp(time, 0));
    date.unwrap_or_default().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A 409 with these headers so many times, and then success.
fn conflicts_of(headers: &[(&str, String)], count: usize) -> Vec<Reply> {
    iter::repeat_n(conflict(headers), count).chain([Reply::Success]).collect()
}

pub(super) async fn retry_after(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get");
    let replies = conflicts_of(&[("retry-after", "1".into())], 2);
    let seen = ask.call(cx, &replies).await?;
    cx.expect(QUEUE_RETRY_9, &seen, &[after_seconds(cx, 1, 3)])?;
    Ok(())
}

pub(super) async fn retry_after_date(cx: &Cx) -> Outcome {
    // Where the client cannot be told, what it does without the header is at once too.
    let ask = Ask::new(cx, "get").setting(cx, "retry_delay_ms", 7_000);
    let (time, past) = (in_seconds(1), in_seconds(0) - 60);
    let replies = conflicts_of(&[("retry-after", date(time))], 1);
    let past = conflicts_of(&[("retry-after", date(past))], 2);
    let (seen, past) = try_join(ask.call(cx, &replies), ask.call(cx, &past)).await?;
    cx.expect(QUEUE_RETRY_9, &seen, &[at_time(cx, time, 2)])?;
    let late = late(cx);
    let at_once = after(&format!("at once, {late} ms later at most"), 3, move |delay| delay.is_most(late));
    cx.expect(QUEUE_RETRY_9, &past, &[at_once])?;
    Ok(())
}

pub(super) async fn rate_limit(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get").setting(cx, "retry_delay_ms", 100);
    let time = in_seconds(1);
    let reset = conflicts_of(&[("x-ratelimit-reset", time.to_string())], 1);
    let seconds = conflicts_of(&[("x-ratelimit-retry-after", "1".into())], 2);
    let (reset, seconds) = try_join(ask.call(cx, &reset), ask.call(cx, &seconds)).await?;
    cx.expect(QUEUE_RETRY_10, &reset, &[at_time(cx, time, 2)])?;
    cx.expect(QUEUE_RETRY_10, &seconds, &[after_seconds(cx, 1, 3)])?;
    Ok(())
}

pub(super) async fn order(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get");
    let time = in_seconds(1);
    let later = in_seconds(60);
    let first = [
        ("x-ratelimit-retry-after", "60".into()),
        ("x-ratelimit-reset", later.to_string()),
        ("retry-after", "1".into()),
    ];
    let second = [("x-ratelimit-retry-after", "60".into()), ("x-ratelimit-reset", time.to_string())];
    let past = [("x-ratelimit-reset", (time - 60).to_string()), ("retry-after", "1".into())];
    let (first, second, past) = (conflicts_of(&first, 1), conflicts_of(&second, 1), conflicts_of(&past, 1));
    let (first, second, past) =
        try_join3(ask.call(cx, &first), ask.call(cx, &second), ask.call(cx, &past)).await?;
    cx.expect(QUEUE_RETRY_9, &first, &[after_seconds(cx, 1, 2)])?;
    cx.expect(QUEUE_RETRY_9, &past, &[after_seconds(cx, 1, 2)])?;
    cx.expect(QUEUE_RETRY_10, &second, &[at_time(cx, time, 2)])?;
    Ok(())
}

pub(super) async fn mixed(cx: &Cx) -> Outcome {
    let unavailable = or_unset(cx, 1, RETRIES);
    let ask = Ask::new(cx, "get").setting(cx, "retries", 1);
    let replies: Vec<Reply> =
        iter::repeat_n(refuses(503), unavailable).chain([refuses(409), Reply::Success]).collect();
    let seen = ask.call(cx, &replies).await?;
    let refused =
        alternative("refused at the 409", move |course: &Course| course.is_refused_with(unavailable + 1));
    let again = alternative("sent again behind the 409", move |course: &Course| {
        course.succeeds_with(unavailable + 2)
    });
    cx.expect(QUEUE_RETRY_17, &seen, &[refused, again])?;
    Ok(())
}

pub(super) async fn broken_off(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get").setting(cx, "retry_delay_ms", 200);
    let bounds = bounds(cx, 200, 2);
    let seen = ask.in_time(cx, &[Reply::Broken, Reply::Broken, Reply::Success], &bounds).await?;
    cx.expect(QUEUE_RETRY_20, &seen, &[of_delays(bounds)])?;
    Ok(())
}

pub(super) async fn broken_off_again(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get").setting(cx, "retries", 2);
    let most = or_unset(cx, 2, RETRIES) + 1;
    let seen = ask.call(cx, &vec![Reply::Broken; most]).await?;
    let name = format!("from 2 to {most} requests whose answers break off, and an error");
    let refused = alternative(name, move |course: &Course| {
        (2..=most).contains(&course.requests.len()) && course.refusal().is_some()
    });
    cx.expect(QUEUE_RETRY_20, &seen, &[refused])?;
    Ok(())
}
