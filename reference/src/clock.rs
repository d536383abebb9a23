//! The time of whoever drives a model, and when to wake it.

use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::{Duration, Instant};

/// A model whose deadline has passed and that does nothing about it is asked again after this time. Only a broken one needs it:
/// without it, the timer would spin.
pub(crate) const AGAIN: Duration = Duration::from_millis(5);

/// Sleeps until then; for ever if there is no such moment.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Milliseconds since 1970 that never go back: the wall clock at the start, and the clock of the runtime from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: u64,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self { epoch: u64::try_from(epoch).unwrap_or_default(), start: Instant::now() }
    }

    pub(crate) fn now(&self) -> u64 {
        let passed = self.start.elapsed().as_millis();
        self.epoch.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// The instant of a time; one too far away to be an instant is a year from the start.
    pub(crate) fn instant(&self, at: u64) -> Instant {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        self.start + Duration::from_millis(at.saturating_sub(self.epoch)).min(YEAR)
    }
}
