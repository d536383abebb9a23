//! What a run says at its end, as data. Every form in which people or programs read it is a view of this.

mod build;
pub mod compare;
pub mod files;
pub mod html;
pub mod json;
pub mod judge;
pub mod junit;
pub mod markdown;
pub mod replay;
pub mod terminal;
mod timeline;
pub mod transcript;

use crate::{
    event::{Event, Source},
    verdict::{RunVerdict, Status, Verdict},
    wire::app,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use wireproof_spec::schema::Schema;

/// The schemas of what the runner itself reads and writes.
pub fn schemas() -> Vec<Schema> {
    vec![
        Schema::named::<Event>("report/event"),
        Schema::named::<Outcome>("report/result"),
        Schema::named::<compare::Comparison>("report/comparison"),
        Schema::named::<crate::target::file::TargetFile>("report/target"),
        Schema::named::<crate::target::baseline::File>("report/baseline"),
        Schema::named::<app::Request>("adapter/request"),
        Schema::named::<app::Said>("adapter/said"),
        Schema::named::<app::Hello>("adapter/hello"),
    ]
}

/// The machine form: of one run, or of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "Result")]
pub enum Outcome {
    /// One run.
    One(Box<Report>),
    /// Several runs.
    Many(Runs),
}

/// Several runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Runs {
    /// Each run.
    pub runs: Vec<Report>,
    /// The worst verdict.
    pub verdict: RunVerdict,
    /// The exit code that counts.
    pub exit_code: u8,
    /// The sums.
    pub counts: Counts,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// What tested.
    pub suite: Suite,
    /// What was tested.
    pub target: Tested,
    /// What the target has, and who says so.
    pub features: Vec<Feature>,
    /// How it was done.
    pub settings: How,
    /// What was known to fail before.
    pub baseline: Known,
    /// The verdict of the run.
    pub verdict: RunVerdict,
    /// The exit code: 0, 1, 3, 4 or 5.
    pub exit_code: u8,
    /// Checks by verdict, and how many of how many MUSTs are satisfied.
    pub counts: Counts,
    /// Whether somebody ended the run before its time.
    pub interrupted: bool,
    /// Why the target could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// The paths of what checks made and nobody could remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// The check at whose failure the run stopped, because it was to stop at the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<String>,
    /// Every requirement of the protocol, in the order of its document.
    pub requirements: Vec<Requirement>,
    /// Every check of the suite, in its order.
    pub checks: Vec<Check>,
}

/// What tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Suite {
    /// `wireproof`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The protocol.
    pub protocol: String,
    /// SHA-256 over the requirements, so that two reports can be told to speak of the same ones.
    pub requirements_digest: String,
}

/// What was tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tested {
    /// Its URL or command, without secrets.
    pub url: String,
    /// `server` or `client`.
    pub role: String,
    /// Name and version, where the owner gave them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implementation: Option<Implementation>,
}

/// A name and a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Implementation {
    /// The name of the program under test.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
}

/// A feature or limit of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Feature {
    /// `stream.crash-safe`.
    pub name: String,
    /// `on`, `off` or a value.
    pub value: String,
    /// Who says so.
    pub source: Source,
}

/// How a run was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct How {
    /// From which names and tokens were made.
    pub seed: u64,
    /// By which every wait was multiplied.
    pub time_scale: f64,
    /// How many checks ran at once.
    pub jobs: usize,
    /// How many requests left in a second, at most, where that was bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// The limits of the target, as known.
    pub limits: BTreeMap<String, u64>,
    /// How long the runner waits, in milliseconds, by what for.
    pub waits_ms: BTreeMap<String, u64>,
    /// What left checks out: `--only stream/append/*`.
    pub filters: Vec<String>,
    /// Whether a broken SHOULD counts in the exit code.
    pub strict: bool,
    /// The day of the run (UTC), by which entries of the baseline expire: `2026-12-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The round trip to the target in milliseconds, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
    /// How long the run took, in milliseconds.
    pub duration_ms: u64,
    /// How often the process of the target was acted upon: stopped or killed, and started again.
    #[serde(default)]
    pub restarts: usize,
    /// How long that took in all, in milliseconds.
    #[serde(default)]
    pub restarts_ms: u64,
}

/// What was known to fail before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Known {
    /// What is listed.
    pub listed: Vec<KnownFailure>,
    /// What is listed and no longer fails.
    pub stale: Vec<KnownFailure>,
    /// What is listed as failing sometimes, and did not fail this time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<KnownFailure>,
    /// What is listed until a day that is over: it excuses nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expired: Vec<KnownFailure>,
}

/// An entry of a baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownFailure {
    /// The check that fails.
    pub check: String,
    /// The requirement that it finds broken.
    pub requirement: String,
    /// Why it is known and left so.
    pub reason: String,
    /// What it depends on whether a run sees the failure. Then a run that does not see it makes the entry unseen, not stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sometimes: Option<String>,
    /// The last day (UTC) on which it excuses the failure: `2026-12-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The clause of the protocol that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// In which way it fails, as `wireproof baseline write` writes it: what was seen, and what was expected there. A failure in
    /// another way is not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Frame>,
    /// Whether it is known in whatever way it fails: where that differs from run to run.
    #[serde(default, rename = "any-frame", skip_serializing_if = "std::ops::Not::not")]
    pub any_frame: bool,
}

/// The ways in which a failure is known: one, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`frame` is a text or a list of texts")]
pub enum Frame {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Frame {
    /// Of these.
    pub fn of(frames: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut frames: Vec<String> = frames.into_iter().collect();
        match (frames.len(), frames.pop()) {
            (1, one) => one.map(Frame::One),
            (_, None) => None,
            (_, Some(last)) => {
                frames.push(last);
                Some(Frame::Many(frames))
            }
        }
    }

    /// Each of them.
    pub fn all(&self) -> &[String] {
        match self {
            Frame::One(one) => std::slice::from_ref(one),
            Frame::Many(many) => many,
        }
    }
}

impl KnownFailure {
    /// The ways in which the failure is known.
    pub fn frames(&self) -> &[String] {
        self.frame.as_ref().map(Frame::all).unwrap_or_default()
    }
}

/// A failure that the baseline lists, which happened in another way than the one that is listed: it is new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Otherwise {
    /// The requirement that is broken.
    pub requirement: String,
    /// Why the failure is known that is listed.
    pub reason: String,
    /// In which ways it is known.
    pub was: Vec<String>,
    /// In which ways it was seen now that are not known.
    pub is: Vec<String>,
}

impl std::fmt::Display for Otherwise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |frames: &[String]| frames.join(" | ");
        write!(f, "fails otherwise than the baseline says: was {}, is {}", list(&self.was), list(&self.is))
    }
}

/// Checks by verdict, and MUSTs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// All checks.
    pub total: usize,
    /// Checks that passed.
    pub pass: usize,
    /// Checks that found a MUST broken.
    pub fail: usize,
    /// Checks that found a SHOULD broken.
    pub warn: usize,
    /// Checks that could not say.
    pub inconclusive: usize,
    /// Checks for which the target does not offer what they take.
    pub untestable: usize,
    /// Checks of an absent feature or the other role.
    pub not_applicable: usize,
    /// Checks left out by a filter.
    pub not_selected: usize,
    /// Mistakes of ours.
    pub error: usize,
    /// Those of the failed, warned and inconclusive that the baseline lists.
    pub baselined: usize,
    /// The MUSTs of the core and of every present feature.
    pub musts: usize,
    /// Those of them that were seen kept.
    pub musts_satisfied: usize,
    /// Those of them that were seen broken, also in the baseline.
    pub musts_violated: usize,
}

impl Counts {
    /// How many checks ended so.
    pub fn of(&self, verdict: Verdict) -> usize {
        match verdict {
            Verdict::Pass => self.pass,
            Verdict::Fail => self.fail,
            Verdict::Warn => self.warn,
            Verdict::Inconclusive => self.inconclusive,
            Verdict::Untestable => self.untestable,
            Verdict::NotApplicable => self.not_applicable,
            Verdict::NotSelected => self.not_selected,
            Verdict::Error => self.error,
        }
    }

    fn add(&mut self, verdict: Verdict) {
        self.total += 1;
        *match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Fail => &mut self.fail,
            Verdict::Warn => &mut self.warn,
            Verdict::Inconclusive => &mut self.inconclusive,
            Verdict::Untestable => &mut self.untestable,
            Verdict::NotApplicable => &mut self.not_applicable,
            Verdict::NotSelected => &mut self.not_selected,
            Verdict::Error => &mut self.error,
        } += 1;
    }

    fn plus(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            pass: self.pass + other.pass,
            fail: self.fail + other.fail,
            warn: self.warn + other.warn,
            inconclusive: self.inconclusive + other.inconclusive,
            untestable: self.untestable + other.untestable,
            not_applicable: self.not_applicable + other.not_applicable,
            not_selected: self.not_selected + other.not_selected,
            error: self.error + other.error,
            baselined: self.baselined + other.baselined,
            musts: self.musts + other.musts,
            musts_satisfied: self.musts_satisfied + other.musts_satisfied,
            musts_violated: self.musts_violated + other.musts_violated,
        }
    }
}

/// What became of a requirement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Requirement {
    /// `STREAM-APPEND-4`.
    pub id: String,
    /// `must`, `should` or `may`.
    pub level: String,
    /// `server` or `client`.
    pub role: String,
    /// The feature that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// The heading under which it stands.
    pub section: String,
    /// The sentence.
    pub text: String,
    /// What became of it.
    pub status: Status,
    /// Which of the alternatives were seen.
    pub observed: Vec<String>,
    /// Every check that found it broken, or was stopped by something known, is in the baseline. Beside `satisfied`: it was
    /// seen kept, and the baseline lists that it is broken sometimes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baselined: bool,
}

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// `stream/append/empty-body`.
    pub id: String,
    /// The requirements that it names.
    pub requirements: Vec<String>,
    /// Its verdict.
    pub verdict: Verdict,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The requirement that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// What was expected: every alternative. Empty for one that passed.
    pub expected: Vec<String>,
    /// What came instead.
    pub actual: Option<String>,
    /// Why it has this verdict, unless it passed.
    pub message: Option<String>,
    /// What went over the wire, with times since the start of the check.
    pub transcript: Vec<String>,
    /// How to see it again.
    pub repro: Repro,
    /// The baseline lists it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baselined: bool,
    /// Why the owner accepts that it is untestable, or knows that it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
    /// What the baseline lists as failing in another way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<Otherwise>,
    /// What happened in it, unless it passed or did not run: for the forms that show more than the transcript does. In no
    /// machine form; events.jsonl has all of it.
    #[serde(skip)]
    pub events: Vec<Arc<Event>>,
}

/// How to see a check again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Repro {
    /// The command that runs it again.
    pub command: String,
    /// The request that decided, as a command, where it went over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curl: Option<String>,
}

impl Report {
    /// That the baseline excused what a check found until a day that is over, and why.
    fn excused_before(&self, check: &Check) -> Option<String> {
        let requirement = check.decided_by.as_ref()?;
        let is_it = |entry: &&KnownFailure| entry.check == check.id && entry.requirement == *requirement;
        let entry = self.baseline.expired.iter().find(is_it)?;
        let until = entry.expires.as_deref().unwrap_or_default();
        Some(format!("the baseline excused it until {until}: {}", entry.reason))
    }
}

impl Outcome {
    /// Of these runs.
    pub fn of(mut runs: Vec<Report>) -> Self {
        if runs.len() == 1
            && let Some(one) = runs.pop()
        {
            return Outcome::One(Box::new(one));
        }
        let verdict = runs.iter().map(|r| r.verdict).max_by_key(|v| judge::severity(*v));
        Outcome::Many(Runs {
            verdict: verdict.unwrap_or(RunVerdict::Inconclusive),
            exit_code: crate::exit::worst(runs.iter().map(|r| r.exit_code)),
            counts: runs.iter().fold(Counts::default(), |sum, r| sum.plus(r.counts)),
            runs,
        })
    }

    /// The runs.
    pub fn runs(&self) -> &[Report] {
        match self {
            Outcome::One(one) => std::slice::from_ref(one),
            Outcome::Many(many) => &many.runs,
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Outcome::One(one) => one.exit_code,
            Outcome::Many(many) => many.exit_code,
        }
    }
}
