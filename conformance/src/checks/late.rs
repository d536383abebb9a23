//! What comes late on a machine that is busy, or stands still, is no sign: it is looked for again, and our own timers say how the
//! machine is.

use crate::check::{Cx, Outcome, Stop};
use std::{collections::BTreeSet, convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep};

/// What comes late is looked for again: it is late if it is so in each of so many runs.
pub const RUNS: usize = 3;
/// So many runs are made at most, for the sake of those in which the machine goes on.
pub const TRIES: usize = 6;
/// A run in which the machine held up more than this, which is twice what it stood still at worst, does not say what is late: what
/// has to be allowed for would be more than most of what is looked for.
const CALM: Duration = Duration::from_millis(400);
/// How often our own timers are looked at.
const TICK: Duration = Duration::from_millis(10);

/// Does this, and tells what the machine may have held up meanwhile: twice the time that our own timers were late at worst, for
/// the client under test is held up as we are, on its way there and back.
///
/// # Errors
/// Those of what is done.
pub async fn beside_timers<T>(done: impl Future<Output = Outcome<T>>) -> Outcome<(T, Duration)> {
    let mut worst = Duration::ZERO;
    let done = tokio::select! {
        done = done => done?,
        never = stalls(&mut worst) => match never {},
    };
    Ok((done, worst * 2))
}

/// Whether the machine, which held up so much, went on well enough for something late to be told.
pub fn is_calm(stall: Duration) -> bool {
    stall <= CALM
}

/// Stops a check for which the machine was never calm enough.
pub fn restless(cx: &Cx) -> Stop {
    cx.stop("the machine stands still again and again, for too long to tell what is late")
}

/// How late our own timers are: the worst of it.
async fn stalls(worst: &mut Duration) -> Infallible {
    loop {
        let due = Instant::now() + TICK;
        sleep(TICK).await;
        *worst = (*worst).max(due.elapsed());
    }
}

/// What is found in each of these runs; none of no runs.
pub fn in_each<T: Ord + Clone>(runs: impl IntoIterator<Item = BTreeSet<T>>) -> BTreeSet<T> {
    runs.into_iter().reduce(|before, here| &before & &here).unwrap_or_default()
}
