//! What is sent again so many times: behind 409, 501, and answers that broke off.

use super::call::{
    Ask, Course, Due, Reply, SECOND_MS, Timed, can_be_set, conflict, counted, delays as of_delays,
    delays_and_success, in_seconds, ms_of, refuses,
};
use crate::check::{Cx, Outcome, alternative};
use chrono::{DateTime, Utc};
use futures_util::future::{try_join, try_join3};
use std::{iter, time::SystemTime};
use wireproof_spec::{queue::requirements::*, requirement::RequirementId};

/// How often a request is sent again unless the client is told otherwise.
const RETRIES: usize = 3;
/// The retry base unless the client is told otherwise, in milliseconds.
const BASE_MS: u64 = 100;

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

/// When so many requests are due, with the base that the client is told, if it can be.
fn due(cx: &Cx, base: u64, count: u32) -> Vec<Due> {
    let base = if can_be_set(cx) { base } else { BASE_MS };
    (0..count).map(|k| counted(base, k)).collect()
}

pub(super) async fn delays(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get").setting(cx, "retry_delay_ms", 200);
    let (due, success) = (due(cx, 200, 3), Reply::Success);
    let first = [refuses(409), refuses(501), refuses(409), success.clone()];
    let second = [refuses(501), refuses(409), refuses(501), success];
    let plan = |replies: &[Reply]| (replies.to_vec(), due.clone());
    let (first, second) =
        try_join(ask.in_time(cx, || plan(&first)), ask.in_time(cx, || plan(&second))).await?;
    cx.expect(QUEUE_RETRY_8, &first, &[of_delays(&due)])?;
    cx.expect(QUEUE_RETRY_8, &second, &[of_delays(&due)])?;
    Ok(())
}

/// How a call is answered, and when it is due again behind each answer but the last.
type Plan = (Vec<Reply>, Vec<Due>);

/// A whole second from which it is more than this and at most a second longer, in seconds since 1970.
fn time_in(seconds: u64) -> u64 {
    ms_of(SystemTime::now()) / SECOND_MS + seconds + 1
}

/// A date as HTTP has it.
fn date(time: u64) -> String {
    let date = i64::try_from(time).ok().and_then(|time| DateTime::<Utc>::from_timestamp(time, 0));
    date.unwrap_or_default().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A 409 with these headers so many times, and then success; each time it is due again then.
fn conflicts_of(headers: &[(&str, String)], due: Due, count: usize) -> Plan {
    let replies = iter::repeat_n(conflict(headers), count).chain([Reply::Success]);
    (replies.collect(), vec![due; count])
}

/// Has the client call so, and claims that it asks again when it is due.
async fn asks_when_due(cx: &Cx, id: RequirementId, ask: &Ask, plan: impl Fn() -> Plan) -> Outcome {
    let seen = ask.in_time(cx, &plan).await?;
    // Of the last run, if there were several: times are of their run.
    let due = seen.look().map_or_else(|_| plan().1, |runs| runs.last().map(Timed::due).unwrap_or_default());
    cx.expect(id, &seen, &[delays_and_success(&due, due.len() + 1)])?;
    Ok(())
}

pub(super) async fn retry_after(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get");
    let plan = || conflicts_of(&[("retry-after", "1".into())], in_seconds(1), 2);
    asks_when_due(cx, QUEUE_RETRY_9, &ask, plan).await
}

pub(super) async fn retry_after_date(cx: &Cx) -> Outcome {
    // Delays without the header are longer than any that is right; where the client cannot be told, they are at once too.
    let without = |base: u64| Ask::new(cx, "get").setting(cx, "retry_delay_ms", base);
    let later = || {
        let time = time_in(1);
        conflicts_of(&[("retry-after", date(time))], Due::At(time * SECOND_MS), 1)
    };
    let past = || conflicts_of(&[("retry-after", date(time_in(0) - 60))], in_seconds(0), 2);
    try_join(
        asks_when_due(cx, QUEUE_RETRY_9, &without(7_000), later),
        asks_when_due(cx, QUEUE_RETRY_9, &without(4_000), past),
    )
    .await?;
    Ok(())
}

pub(super) async fn rate_limit(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get").setting(cx, "retry_delay_ms", 100);
    let reset = || {
        let time = time_in(1);
        conflicts_of(&[("x-ratelimit-reset", time.to_string())], Due::At(time * SECOND_MS), 1)
    };
    let seconds = || conflicts_of(&[("x-ratelimit-retry-after", "1".into())], in_seconds(1), 2);
    try_join(
        asks_when_due(cx, QUEUE_RETRY_10, &ask, reset),
        asks_when_due(cx, QUEUE_RETRY_10, &ask, seconds),
    )
    .await?;
    Ok(())
}

pub(super) async fn order(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get");
    let first = || {
        let headers = [
            ("x-ratelimit-retry-after", "60".into()),
            ("x-ratelimit-reset", time_in(60).to_string()),
            ("retry-after", "1".into()),
        ];
        conflicts_of(&headers, in_seconds(1), 1)
    };
    let past = || {
        let headers = [("x-ratelimit-reset", (time_in(1) - 60).to_string()), ("retry-after", "1".into())];
        conflicts_of(&headers, in_seconds(1), 1)
    };
    let second = || {
        let time = time_in(1);
        let headers = [("x-ratelimit-retry-after", "60".into()), ("x-ratelimit-reset", time.to_string())];
        conflicts_of(&headers, Due::At(time * SECOND_MS), 1)
    };
    try_join3(
        asks_when_due(cx, QUEUE_RETRY_9, &ask, first),
        asks_when_due(cx, QUEUE_RETRY_9, &ask, past),
        asks_when_due(cx, QUEUE_RETRY_10, &ask, second),
    )
    .await?;
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
    let due = due(cx, 200, 2);
    let replies = [Reply::Broken, Reply::Broken, Reply::Success];
    let seen = ask.in_time(cx, || (replies.to_vec(), due.clone())).await?;
    cx.expect(QUEUE_RETRY_20, &seen, &[of_delays(&due)])?;
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
