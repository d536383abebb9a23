//! `--tap`: what is put between the runner and the target.

use crate::wire::distance::Distance;
use std::{fmt, ops::RangeInclusive, time::Duration};

/// What can be set, in milliseconds: more would outlast every wait.
const MS: RangeInclusive<u64> = 0..=10_000;

/// One thing that `--tap` sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    what: What,
    ms: u64,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Latency,
    Jitter,
    Pause,
}

impl What {
    const ALL: [(&'static str, What); 3] =
        [("latency", What::Latency), ("jitter", What::Jitter), ("pause", What::Pause)];
}

/// Reads `latency=20`.
pub(super) fn tap(text: &str) -> Result<Tap, String> {
    let found = text.split_once('=').and_then(|(name, ms)| {
        let (_, what) = What::ALL.into_iter().find(|(known, _)| *known == name)?;
        let ms = ms.parse().ok().filter(|ms| MS.contains(ms))?;
        Some(Tap { what, ms })
    });
    found.ok_or_else(|| {
        let names: Vec<String> = What::ALL.iter().map(|(name, _)| format!("{name}=MS")).collect();
        format!("give {}, from {} to {}", names.join(" or "), MS.start(), MS.end())
    })
}

impl fmt::Display for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.what {
            What::Latency => "latency",
            What::Jitter => "jitter",
            What::Pause => "pause",
        };
        write!(f, "{name}={}", self.ms)
    }
}

/// What all of them come to; the last of a kind counts.
pub(super) fn distance(all: &[Tap]) -> Distance {
    let mut distance = Distance::default();
    for Tap { what, ms } in all {
        let place = match what {
            What::Latency => &mut distance.latency,
            What::Jitter => &mut distance.jitter,
            What::Pause => &mut distance.pause,
        };
        *place = Duration::from_millis(*ms);
    }
    distance
}
