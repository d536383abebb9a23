//! What is asked again as long as the window is open.

use super::call::{
    Ask, Course, Due, LATE_MS, LONGEST_MS, Reply, Timed, another, delays as of_delays, refuses,
};
use crate::check::{Cx, Outcome, alternative};
use futures_util::future::try_join;
use std::time::Duration;
use wireproof_spec::queue::requirements::*;

/// A window that is open behind delay 0, and shut behind delay 1.
const WINDOW_MS: u64 = 1_250;

fn due(count: u32) -> Vec<Due> {
    (0..count).map(super::call::unavailable).collect()
}

pub(super) async fn unavailable(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get");
    let (well, ill) = ([refuses(503), refuses(502), Reply::Success], [refuses(502), refuses(404)]);
    let (well, ill) = try_join(ask.call(cx, &well), ask.call(cx, &ill)).await?;
    let success = alternative("three requests and a success", |course: &Course| course.succeeds_with(3));
    cx.expect(QUEUE_RETRY_1, &well, &[success])?;
    let refusal = alternative("two requests and an error", |course: &Course| course.is_refused_with(2));
    cx.expect(QUEUE_RETRY_1, &ill, &[refusal])?;
    Ok(())
}

pub(super) async fn reset(cx: &Cx) -> Outcome {
    let replies = [Reply::Reset, Reply::Reset, Reply::Success];
    let seen = Ask::new(cx, "get").in_time(cx, || (replies.to_vec(), due(2))).await?;
    cx.expect(QUEUE_RETRY_2, &seen, &[of_delays(&due(2))])?;
    let success = alternative("three requests and a success", |runs: &Vec<Timed>| {
        runs.iter().all(|timed| timed.course.succeeds_with(3))
    });
    cx.expect(QUEUE_RETRY_2, &seen, &[success])?;
    Ok(())
}

pub(super) async fn refused(cx: &Cx) -> Outcome {
    // A client that took so long to come would not be refused; one that is refused comes again behind half a second.
    let refused = Duration::from_millis(300);
    let replies = [Reply::Reset, Reply::Success];
    let seen = Ask::new(cx, "get").call_refused(cx, refused, &replies).await?;
    let success =
        alternative("two requests where nobody listened at first, and a success", |course: &Course| {
            course.succeeds_with(2)
        });
    cx.expect(QUEUE_RETRY_2, &seen, &[success])?;
    Ok(())
}

pub(super) async fn delays(cx: &Cx) -> Outcome {
    let replies = [refuses(503), refuses(502), Reply::Success];
    let seen = Ask::new(cx, "publish").with("payload", 1).in_time(cx, || (replies.to_vec(), due(2))).await?;
    cx.expect(QUEUE_RETRY_3, &seen, &[of_delays(&due(2))])?;
    Ok(())
}

pub(super) async fn many(cx: &Cx) -> Outcome {
    let five = [503, 503, 503, 503, 503].map(refuses);
    let replies = [five.as_slice(), &[Reply::Success]].concat();
    let ask = Ask::new(cx, "get").setting(cx, "retries", 1);
    let seen = ask.in_time(cx, || (replies.clone(), due(5))).await?;
    let success = alternative("six requests and a success", |runs: &Vec<Timed>| {
        runs.iter().all(|timed| timed.course.succeeds_with(6))
    });
    cx.expect(QUEUE_RETRY_4, &seen, &[success])?;
    cx.expect(QUEUE_RETRY_3, &seen, &[of_delays(&due(5))])?;
    Ok(())
}

pub(super) async fn window(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get").with("window_ms", WINDOW_MS);
    let seen = ask.call(cx, &[refuses(503), refuses(503), refuses(502)]).await?;
    let not_before =
        alternative(format!("no error before {WINDOW_MS} ms from the first answer on"), |course: &Course| {
            course.lasted >= Duration::from_millis(WINDOW_MS - 1)
        });
    cx.expect(QUEUE_RETRY_1, &seen, &[not_before])?;
    // The third, if there is one, comes at least 1500 ms behind the first answer.
    let refused = |count: usize, status: u64| {
        let name = format!("the error at request {count}, with the status {status} if there is one");
        alternative(name, move |course: &Course| {
            course.is_refused_with(count)
                && course.refusal().and_then(|r| r.status).is_none_or(|s| s == status)
        })
    };
    cx.expect(QUEUE_RETRY_5, &seen, &[refused(3, 502), refused(2, 503)])?;
    Ok(())
}

pub(super) async fn no_window(cx: &Cx) -> Outcome {
    let mut place = cx.listen()?;
    let ask = Ask::new(cx, "get").with("window_ms", 0);
    let seen = ask.call_at(cx, &mut place, &[refuses(503)]).await?;
    let refused =
        alternative("one request and the error, with the status 503 if there is one", |course: &Course| {
            course.is_refused_with(1) && course.refusal().and_then(|r| r.status).is_none_or(|s| s == 503)
        });
    cx.expect(QUEUE_RETRY_5, &seen, &[refused])?;
    let later = place.quiet(Duration::from_millis(1_000 + LATE_MS), another(cx)).await?;
    let none = alternative("no request behind the error", |later: &Option<_>| later.is_none());
    cx.expect(QUEUE_RETRY_6, &later, &[none])?;
    Ok(())
}

pub(super) async fn end(cx: &Cx) -> Outcome {
    let ask = Ask::new(cx, "get").with("window_ms", WINDOW_MS);
    let replies = [503, 502, 503, 502].map(refuses);
    let (unavailable, reset) = try_join(ask.call(cx, &replies), ask.call(cx, &vec![Reply::Reset; 4])).await?;
    let latest = WINDOW_MS + LONGEST_MS + LATE_MS;
    let none_later = || {
        let name = format!("no request later than {latest} ms from the first answer on, and an error");
        alternative(name, move |course: &Course| {
            course.refusal().is_some()
                && course.delays.iter().all(|delay| delay.since_first <= Duration::from_millis(latest))
        })
    };
    cx.expect(QUEUE_RETRY_6, &unavailable, &[none_later()])?;
    cx.expect(QUEUE_RETRY_6, &reset, &[none_later()])?;
    Ok(())
}
