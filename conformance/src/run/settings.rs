//! How a run is to be done.

use crate::target::{Target, baseline::Baseline};
use chrono::NaiveDate;
use globset::GlobSet;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
use wireproof_spec::requirement::Level;

/// How a run is to be done.
#[derive(Clone)]
pub struct Settings {
    /// How many checks of the shared lane run at once.
    pub jobs: usize,
    /// How many requests leave in a second, at most.
    pub rate: Option<u32>,
    /// From which tokens are made: what requests hold.
    pub seed: u64,
    /// For an answer that has no reason to wait.
    pub timeout: Duration,
    /// By which every wait of ours is multiplied.
    pub time_scale: f64,
    /// Only checks, requirements and features that match.
    pub only: Option<GlobSet>,
    /// The patterns of `only`, as reports show them.
    pub patterns: Vec<String>,
    /// Only these checks.
    pub names: Option<BTreeSet<&'static str>>,
    /// Only requirements of this level or a stronger one.
    pub level: Option<Level>,
    /// Without checks that wait long.
    pub fast: bool,
    /// Whether a broken SHOULD counts in the exit code.
    pub strict: bool,
    /// Without probe, canary and early stop: each check is judged by itself.
    pub bare: bool,
    /// Stop at the first check that fails and is not excused by this: what it does not list, or no longer excuses.
    pub fail_fast: Option<Arc<Baseline>>,
    /// The day of the run (UTC), by which entries of the baseline expire; none: the day on which it begins.
    pub date: Option<NaiveDate>,
    /// The command that chooses this target again, without the name of the program; none: `run PROTOCOL URL`.
    pub again: Option<String>,
    /// What stands behind all options in that command, and behind `--`.
    pub behind: Option<String>,
    /// Becomes true when the run is to end.
    pub interrupt: Option<watch::Receiver<bool>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            jobs: 16,
            rate: None,
            seed: 1,
            timeout: Duration::from_secs(5),
            time_scale: 1.0,
            only: None,
            patterns: Vec::new(),
            names: None,
            level: None,
            fast: false,
            strict: false,
            bare: false,
            fail_fast: None,
            date: None,
            again: None,
            behind: None,
            interrupt: None,
        }
    }
}

impl Settings {
    /// The settings of a run as its first event holds them.
    pub(super) fn written(&self, target: &Target) -> BTreeMap<String, String> {
        let text = |value: &dyn ToString| Some(value.to_string());
        let (name, version) = target.implementation.clone().unzip();
        let role = target.role().name();
        let all = [
            ("seed", text(&self.seed)),
            ("jobs", text(&self.jobs)),
            ("rate", self.rate.map(|rate| rate.to_string())),
            ("socket", target.via.socket.as_ref().map(|path| path.to_string_lossy().into_owned())),
            ("ca", target.via.tls.ca.as_ref().map(|path| path.to_string_lossy().into_owned())),
            ("timeout ms", text(&self.timeout.as_millis())),
            ("time scale", text(&self.time_scale)),
            ("tier", text(&if self.fast { "fast" } else { "full" })),
            ("strict", text(&self.strict)),
            ("date", self.date.as_ref().and_then(|date| text(date))),
            ("level", self.level.map(|l| l.name().to_owned())),
            ("only", (!self.patterns.is_empty()).then(|| self.patterns.join(" "))),
            ("names", self.names.as_ref().map(|n| n.iter().copied().collect::<Vec<_>>().join(" "))),
            ("again", self.again.clone()),
            ("behind", self.behind.clone()),
            ("role", text(&role)),
            ("implementation", name),
            ("version", version),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}
