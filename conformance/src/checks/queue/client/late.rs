//! What comes late on a machine that is busy, or stands still, is no sign: it is looked for again, and our own timers say how the
//! machine is.

use crate::check::Outcome;
use std::{collections::BTreeSet, convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep};

/// What comes late is looked for again: it is late if it is so in each of so many runs.
pub const RUNS: usize = 3;
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
