//! Whether a late answer to one who waits is the target's doing. A busy machine makes everything late, so what came late counts
//! only if requests beside it were answered quickly all the while.

use super::{before_timeout, limit, soon};
use crate::{
    check::{Cx, Outcome, answer},
    checks::stream::{probe::PATIENCE, setting::Stream},
    one_of,
    wire::{Seen, http::Pending},
};
use futures_util::future::{Either, select, try_join_all};
use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::sleep;
use wireproof_spec::{http::Response, stream::requirements::*};

/// Answers to long-polls, and how long each took.
pub(in crate::checks::stream) type Answers = Seen<Vec<(Response, Duration)>>;

/// The answers to those who have waited since then while something was done that answers them; none if that was done so late
/// that the timeout may have answered, or if nobody knows who made them late.
pub(in crate::checks::stream) async fn all_in_time(
    cx: &Cx,
    stream: &Stream,
    since: Instant,
    waiting: Vec<Pending>,
) -> Outcome<Option<Answers>> {
    let early = since.elapsed() < soon(cx);
    let answers = try_join_all(waiting.into_iter().map(Pending::timed));
    let (answers, is_steady) = watched(cx, stream, answers).await?;
    let answers = Seen::all(answers?);
    Ok(proves(cx, early && is_steady, &answers).then_some(answers))
}

/// Whether answers say something about the target: what they wait for was done early and the target was quick meanwhile, or
/// they came before the timeout.
pub(in crate::checks::stream) fn proves(cx: &Cx, is_clear: bool, answers: &Answers) -> bool {
    let in_time =
        |all: &Vec<(Response, Duration)>| all.iter().all(|(_, took)| before_timeout(limit(cx), *took));
    is_clear || answers.look().is_ok_and(in_time)
}

/// Waits for this, and asks for the stream beside it, again and again; and whether each of these requests, and there were some,
/// was answered quickly.
pub(in crate::checks::stream) async fn watched<T>(
    cx: &Cx,
    stream: &Stream,
    wait: impl Future<Output = T>,
) -> Outcome<(T, bool)> {
    const ENOUGH: usize = 4;
    let limit = limit(cx).unwrap_or(PATIENCE);
    let asked = Mutex::new((0, Duration::ZERO));
    let beside = async {
        loop {
            let since = Instant::now();
            sleep(limit / 16).await;
            cx.need(STREAM_HEAD_1, &cx.send(stream.head()).await?, &one_of![answer(200)])?;
            // From the start of the pause: a machine that stands still does so at any time.
            let took = since.elapsed().saturating_sub(limit / 16);
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            *asked = (asked.0 + 1, asked.1.max(took));
        }
    };
    let done = match select(pin!(wait), pin!(beside)).await {
        Either::Left((done, _)) => done,
        Either::Right((stopped, _)) => return stopped,
    };
    let (asked, slowest) = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((done, asked >= ENOUGH && slowest < limit / 8))
}
