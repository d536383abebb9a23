//! The fold: from the events of a check to its verdict, and from verdicts to the state of requirements and of the run.
//!
//! Pure functions: whoever has the events can compute every verdict again.

use crate::event::{Event, What};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, sync::Arc};
use wireproof_spec::requirement::Level;

/// What became of a check, from the worst to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A mistake of ours.
    Error,
    /// A MUST is broken.
    Fail,
    /// Nothing can be said.
    Inconclusive,
    /// The target does not offer what it takes.
    Untestable,
    /// A SHOULD is broken.
    Warn,
    /// The feature is absent.
    NotApplicable,
    /// Left out by a filter.
    NotSelected,
    /// Every requirement that it names was met by a claim on an observation.
    Pass,
}

impl Verdict {
    /// Every verdict, in the order in which people want to read them.
    pub const ALL: [Verdict; 8] = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Warn,
        Verdict::Inconclusive,
        Verdict::Untestable,
        Verdict::NotApplicable,
        Verdict::NotSelected,
        Verdict::Error,
    ];

    /// `not-applicable`.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Error => "error",
            Verdict::Fail => "fail",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Untestable => "untestable",
            Verdict::Warn => "warn",
            Verdict::NotApplicable => "not-applicable",
            Verdict::NotSelected => "not-selected",
            Verdict::Pass => "pass",
        }
    }

    /// Whether the check was driven.
    pub fn ran(self) -> bool {
        !matches!(self, Verdict::NotApplicable | Verdict::NotSelected | Verdict::Untestable)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The verdict of a check that names these requirements, from its events.
///
/// `observations` are the events that count as observations for it: its own, or for an observer those of all checks.
pub fn fold<'a>(
    names: impl IntoIterator<Item = &'a str>,
    level: impl Fn(&str) -> Option<Level>,
    events: &[Arc<Event>],
    observations: &BTreeSet<u64>,
) -> Verdict {
    let mut judged = BTreeSet::new();
    let mut worst = Verdict::Pass;
    for event in events {
        let verdict = match &event.what {
            What::Harness { .. } => Verdict::Error,
            // A claim about nothing, or about what another check saw, is no claim.
            What::Broken { on, .. } | What::Met { on, .. } if !seen(on, observations) => Verdict::Error,
            What::Broken { requirement, .. } => {
                judged.insert(requirement.as_str());
                match level(requirement) {
                    Some(Level::Must) => Verdict::Fail,
                    Some(Level::Should) => Verdict::Warn,
                    // What is allowed cannot be broken; something that is not even listed says nothing.
                    Some(Level::May) => Verdict::Inconclusive,
                    None => Verdict::Error,
                }
            }
            What::Met { requirement, .. } => {
                judged.insert(requirement.as_str());
                continue;
            }
            What::SetUp { .. } | What::Stopped { .. } => Verdict::Inconclusive,
            What::Missing { .. } => Verdict::Untestable,
            _ => continue,
        };
        worst = worst.min(verdict);
    }
    let names: BTreeSet<&str> = names.into_iter().collect();
    // What the target does not offer is reason enough to have no evidence.
    let without_evidence = worst != Verdict::Untestable && (names.is_empty() || !names.is_subset(&judged));
    if without_evidence { worst.min(Verdict::Inconclusive) } else { worst }
}

/// A claim counts if it is about at least one observation, and about nothing else.
fn seen(on: &[u64], observations: &BTreeSet<u64>) -> bool {
    !on.is_empty() && on.iter().all(|seq| observations.contains(seq))
}

/// The observations among these events.
pub fn observations<'a>(events: impl IntoIterator<Item = &'a Arc<Event>>) -> BTreeSet<u64> {
    events.into_iter().filter(|e| e.what.is_observation()).map(|e| e.seq).collect()
}

/// What became of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A check broke it.
    Violated,
    /// A check that names it could not say.
    Inconclusive,
    /// A check that names it could not be driven.
    Untestable,
    /// Left out by a filter.
    NotSelected,
    /// Belongs to an absent feature, or to the other role.
    NotApplicable,
    /// No peer can see it.
    Unobservable,
    /// Every check that names it met it.
    Satisfied,
}

impl Status {
    /// `not-selected`.
    pub fn name(self) -> &'static str {
        match self {
            Status::Violated => "violated",
            Status::Inconclusive => "inconclusive",
            Status::Untestable => "untestable",
            Status::NotSelected => "not-selected",
            Status::NotApplicable => "not-applicable",
            Status::Unobservable => "unobservable",
            Status::Satisfied => "satisfied",
        }
    }
}

/// The status of a requirement, from what each check that names it says about it ([`about`]).
pub fn status(checks: impl IntoIterator<Item = Status>) -> Status {
    checks.into_iter().min().unwrap_or(Status::NotSelected)
}

/// What a check says about one requirement that it names.
pub fn about(requirement: &str, verdict: Verdict, events: &[Arc<Event>]) -> Status {
    let claims = |wanted: bool| {
        events.iter().any(|e| match &e.what {
            What::Broken { requirement: r, .. } => !wanted && r == requirement,
            What::Met { requirement: r, .. } => wanted && r == requirement,
            _ => false,
        })
    };
    match verdict {
        Verdict::NotSelected => Status::NotSelected,
        Verdict::NotApplicable => Status::NotApplicable,
        Verdict::Untestable => Status::Untestable,
        Verdict::Pass => Status::Satisfied,
        Verdict::Fail | Verdict::Warn if claims(false) => Status::Violated,
        // A broken SHOULD stops nothing: what the check says of others it has said to its end.
        Verdict::Warn if claims(true) => Status::Satisfied,
        // A broken MUST stops the check. What it would have claimed behind that nobody knows, whatever was met before.
        Verdict::Fail | Verdict::Warn | Verdict::Error | Verdict::Inconclusive => Status::Inconclusive,
    }
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunVerdict {
    /// Every MUST of the core and of every present feature is satisfied.
    Conformant,
    /// Nothing is violated, but not everything was seen.
    Partial,
    /// A MUST is violated.
    NotConformant,
    /// Too little could be seen.
    Inconclusive,
    /// A mistake of ours.
    Error,
}

impl RunVerdict {
    /// `not-conformant`.
    pub fn name(self) -> &'static str {
        match self {
            RunVerdict::Conformant => "conformant",
            RunVerdict::Partial => "partial",
            RunVerdict::NotConformant => "not-conformant",
            RunVerdict::Inconclusive => "inconclusive",
            RunVerdict::Error => "error",
        }
    }
}
