//! What came of one check.

use crate::{
    check::Check,
    event::{Event, What},
    frame::Frames,
    verdict::Verdict,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// What came of a check.
pub struct Checked {
    /// Its entry.
    pub check: &'static Check,
    /// The fold of its events.
    pub verdict: Verdict,
    /// Why it did not run, where it did not.
    pub reason: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// Its events.
    pub events: Vec<Arc<Event>>,
    /// In which ways it found what broken.
    pub frames: Frames,
}

impl Checked {
    /// One that did not run.
    pub fn left_out(check: &'static Check, verdict: Verdict, reason: String) -> Self {
        let (took, events, frames) = (Duration::ZERO, Vec::new(), Frames::new());
        Self { check, verdict, reason: Some(reason), took, events, frames }
    }

    /// The requirements that it found broken.
    pub fn broken(&self) -> BTreeSet<&str> {
        if !matches!(self.verdict, Verdict::Fail | Verdict::Warn) {
            return BTreeSet::new();
        }
        let broken = self.events.iter().filter_map(|e| match &e.what {
            What::Broken { requirement, .. } => Some(requirement.as_str()),
            _ => None,
        });
        broken.collect()
    }
}
