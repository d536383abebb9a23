//! From a run that is over to its report. Pure: the same run gives the same report, today or from its log in a year.

use super::{
    Check, Counts, Feature, How, Implementation, Known, KnownFailure, Report, Repro, Requirement, Suite,
    Tested,
    judge::{Facts, Open, judge},
    transcript,
};
use crate::{
    check::Body,
    check::Need,
    event::{Event, What},
    redact::Redaction,
    run::{Checked, Finished},
    target::{Features, baseline::Baseline},
    verdict::{self, Status, Verdict},
    wire::limit::Times,
};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use wireproof_spec::requirement::{Level, Requirement as Sentence};

impl Report {
    /// The report of a run.
    pub fn new(run: &Finished, baseline: &Baseline) -> Self {
        let baseline = &baseline.clone().on(run.settings.date);
        let checks: Vec<Check> = run.checks.iter().map(|checked| check(run, checked, baseline)).collect();
        let requirements: Vec<Requirement> =
            run.protocol.requirements().iter().map(|sentence| requirement(run, sentence, baseline)).collect();
        let known = known(run, baseline);
        let facts = facts(run, &checks, &requirements, &known);
        let (verdict, exit_code) = judge(&facts);
        let secrets = Redaction::new(&run.target.secrets);
        Self {
            suite: Suite {
                name: "wireproof".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                protocol: run.protocol.name.into(),
                requirements_digest: digest(run.protocol.requirements()),
            },
            target: Tested {
                url: secrets.text(&run.target.shown),
                role: run.target.role().name().into(),
                implementation: run
                    .target
                    .implementation
                    .clone()
                    .map(|(name, version)| Implementation { name, version }),
            },
            features: features(&run.features),
            settings: how(run),
            baseline: known,
            verdict,
            exit_code,
            counts: counts(run, &checks, &requirements),
            interrupted: run.interrupted,
            unreachable: run.unreachable.clone(),
            left: run.left.clone(),
            stopped_at: run.stopped_at.clone(),
            requirements,
            checks,
        }
    }
}

/// SHA-256 over what the requirements say.
pub(super) fn digest(requirements: &[Sentence]) -> String {
    let mut hash = Sha256::new();
    for r in requirements {
        let feature = r.feature.as_deref().unwrap_or_default();
        hash.update(format!("{}\t{}\t{}\t{feature}\t{}\n", r.id, r.level.name(), r.role.name(), r.text));
    }
    crate::event::hex(&hash.finalize())
}

fn features(features: &Features) -> Vec<Feature> {
    features
        .iter()
        .map(|(name, value, source)| Feature { name: name.into(), value: value.into(), source })
        .collect()
}

fn how(run: &Finished) -> How {
    let s = &run.settings;
    let times = Times::new(s.timeout, s.time_scale);
    let waits = [
        ("answer", times.answer),
        ("connect", times.connect),
        ("alive", times.alive),
        ("check", times.check),
        ("slack", times.slack),
        ("hook", times.hook),
    ];
    let limits = run.protocol.limits.iter();
    let restarts: Vec<u64> = run
        .events
        .iter()
        .filter_map(|e| match &e.what {
            What::Hook { ms, .. } => Some(*ms),
            _ => None,
        })
        .collect();
    How {
        seed: s.seed,
        time_scale: s.time_scale,
        jobs: s.jobs,
        rate: s.rate,
        limits: limits.filter_map(|l| Some((l.name.to_owned(), run.features.limit(l.name)?))).collect(),
        waits_ms: waits.into_iter().map(|(name, wait)| (name.to_owned(), whole_ms(wait))).collect(),
        filters: filters(run),
        strict: s.strict,
        date: s.date.map(|date| date.to_string()),
        round_trip_ms: run.round_trip.map(ms),
        duration_ms: whole_ms(run.took),
        restarts: restarts.len(),
        restarts_ms: restarts.iter().fold(0, |sum, ms| sum.saturating_add(*ms)),
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

fn filters(run: &Finished) -> Vec<String> {
    let s = &run.settings;
    let mut all: Vec<String> = s.patterns.iter().map(|p| format!("--only {p}")).collect();
    if s.only.is_some() && all.is_empty() {
        all.push("--only".into());
    }
    all.extend(s.names.as_ref().map(|names| format!("{} checks by name", names.len())));
    all.extend(s.level.map(|level| format!("--level {}", level.name())));
    all.extend(s.fast.then(|| "--tier fast".to_owned()));
    all
}

/// Whether a requirement counts for this target: not the other role's, not of an absent feature, not of one who has not a part
/// that this target has, not invisible.
fn binds(run: &Finished, sentence: &Sentence) -> bool {
    sentence.role == run.target.role()
        && sentence.unobservable.is_none()
        && is_present(run, sentence)
        && !is_of_others(run, sentence)
}

/// Whether it says what a target does that has not a feature, and this one has it: then each of its checks takes it as off.
fn is_of_others(run: &Finished, sentence: &Sentence) -> bool {
    let of_others = |c: &Checked| {
        let is_on = |need: &Need| matches!(need, Need::Feature(name, "off") if run.features.is(name, "on"));
        c.check.needs.iter().any(is_on)
    };
    let mut checks = naming(run, sentence.id.as_str()).peekable();
    checks.peek().is_some() && checks.all(of_others)
}

fn is_present(run: &Finished, sentence: &Sentence) -> bool {
    sentence.feature.as_deref().is_none_or(|feature| run.features.is(feature, "on"))
}

fn naming<'a>(run: &'a Finished, id: &'a str) -> impl Iterator<Item = &'a Checked> {
    run.checks.iter().filter(move |c| c.check.requirements.iter().any(|r| r.as_str() == id))
}

fn requirement(run: &Finished, sentence: &Sentence, baseline: &Baseline) -> Requirement {
    let id = sentence.id.as_str();
    let status = if sentence.unobservable.is_some() {
        Status::Unobservable
    } else if !binds(run, sentence) {
        Status::NotApplicable
    } else {
        let said: Vec<Status> = naming(run, id).map(|c| verdict::about(id, c.verdict, &c.events)).collect();
        // A check that does not fit this target takes nothing from one that does.
        let fitting = said.iter().copied().filter(|s| *s != Status::NotApplicable);
        if fitting.clone().count() == 0 && !said.is_empty() {
            Status::NotApplicable
        } else {
            verdict::status(fitting)
        }
    };
    let observed: BTreeSet<&str> = naming(run, id)
        .flat_map(|c| &c.events)
        .filter_map(|e| match &e.what {
            What::Met { requirement, alternative, .. } if requirement == id => Some(alternative.as_str()),
            _ => None,
        })
        .collect();
    let baselined = match status {
        Status::Violated | Status::Inconclusive => naming(run, id)
            .filter(|c| verdict::about(id, c.verdict, &c.events) == status)
            .all(|c| match status {
                Status::Violated => baseline.excused(c, id).is_some(),
                _ => set_up_known(run, c, baseline).is_some() || baseline.excuses(c),
            }),
        // Luck is no change: what is broken at other times is not kept for good because it was kept this time.
        Status::Satisfied => unseen(run, baseline).any(|entry| entry.requirement == id),
        _ => false,
    };
    Requirement {
        id: sentence.id.clone(),
        level: sentence.level.name().into(),
        role: sentence.role.name().into(),
        feature: sentence.feature.clone(),
        section: sentence.section.clone(),
        text: sentence.text.clone(),
        status,
        observed: observed.into_iter().map(str::to_owned).collect(),
        baselined,
    }
}

/// The entry of the baseline that explains why a check came to no verdict.
fn set_up_known<'a>(run: &Finished, checked: &Checked, baseline: &'a Baseline) -> Option<&'a KnownFailure> {
    checked.events.iter().find_map(|e| match &e.what {
        What::SetUp { requirement, .. } => baseline.about(requirement, &run.checks),
        _ => None,
    })
}

fn known(run: &Finished, baseline: &Baseline) -> Known {
    // A run that was cut short saw too little for that: an observer passes on the little that there was.
    let whole = !is_cut_short(run);
    let stale: Vec<KnownFailure> =
        kept(run, baseline).filter(|entry| whole && entry.sometimes.is_none()).cloned().collect();
    Known {
        listed: baseline.entries().cloned().collect(),
        unseen: unseen(run, baseline).cloned().collect(),
        expired: baseline.expired.iter().filter(|entry| !stale.contains(entry)).cloned().collect(),
        stale,
    }
}

/// The entries whose check ran and did not find them broken.
fn kept<'a>(run: &'a Finished, baseline: &'a Baseline) -> impl Iterator<Item = &'a KnownFailure> {
    let filtered = run.checks.iter().any(|c| c.verdict == Verdict::NotSelected);
    baseline.entries().filter(move |entry| {
        run.checks.iter().any(|c| {
            c.check.name == entry.check
                && !c.broken().contains(entry.requirement.as_str())
                // A check that another claim stopped has not come to this one, and one that looks at what others saw has not
                // seen what they did not ask for.
                && matches!(c.verdict, Verdict::Pass | Verdict::Warn)
                && !(filtered && matches!(c.check.body, Body::Observes(_)))
        })
    })
}

/// Those of them that a run need not see broken.
fn unseen<'a>(run: &'a Finished, baseline: &'a Baseline) -> impl Iterator<Item = &'a KnownFailure> {
    kept(run, baseline).filter(|entry| entry.sometimes.is_some())
}

/// Whether a run ended before its time.
fn is_cut_short(run: &Finished) -> bool {
    run.interrupted || run.unreachable.is_some() || run.stopped_at.is_some()
}

fn facts(run: &Finished, checks: &[Check], requirements: &[Requirement], known: &Known) -> Facts {
    let mut facts = Facts {
        errors: checks.iter().filter(|c| c.verdict == Verdict::Error).count(),
        ran: run.checks.iter().filter(|c| !c.events.is_empty() && c.verdict.ran()).count(),
        passed: run.checks.iter().filter(|c| c.verdict == Verdict::Pass).count(),
        stale: known.stale.len(),
        cut_short: is_cut_short(run),
        filtered: run.checks.iter().any(|c| c.verdict == Verdict::NotSelected),
        strict: run.settings.strict,
        ..Facts::default()
    };
    for (sentence, requirement) in run.protocol.requirements().iter().zip(requirements) {
        let status = requirement.status;
        let violated = status == Status::Violated && !requirement.baselined;
        match sentence.level {
            Level::Must if violated => facts.violated += 1,
            Level::Should if violated => facts.warned += 1,
            Level::Must if binds(run, sentence) && (status != Status::Satisfied || requirement.baselined) => {
                let mut untestable = checks
                    .iter()
                    .filter(|c| c.verdict == Verdict::Untestable && c.requirements.contains(&sentence.id));
                let accepted = status == Status::Untestable && untestable.all(|c| c.accepted.is_some());
                facts.open.push(Open { status, excused: requirement.baselined || accepted });
            }
            _ => {}
        }
    }
    facts
}

fn counts(run: &Finished, checks: &[Check], requirements: &[Requirement]) -> Counts {
    let mut counts = Counts::default();
    for check in checks {
        counts.add(check.verdict);
        counts.baselined += usize::from(check.baselined);
    }
    for (sentence, requirement) in run.protocol.requirements().iter().zip(requirements) {
        if sentence.level == Level::Must && binds(run, sentence) {
            counts.musts += 1;
            counts.musts_satisfied += usize::from(requirement.status == Status::Satisfied);
            counts.musts_violated += usize::from(requirement.status == Status::Violated);
        }
    }
    counts
}

fn check(run: &Finished, checked: &Checked, baseline: &Baseline) -> Check {
    let name = checked.check.name;
    let decided = decisive(run, checked);
    let (requirement, expected, actual, on) = match decided.map(|e| &e.what) {
        Some(
            What::Broken { requirement, expected, actual, on }
            | What::SetUp { requirement, expected, actual, on },
        ) => {
            let expected = expected.iter().map(|e| e.name.clone()).collect();
            (Some(requirement.clone()), expected, Some(actual.clone()), on.as_slice())
        }
        _ => (None, Vec::new(), None, &[][..]),
    };
    let broken = checked.broken();
    let entry = match checked.verdict {
        Verdict::Fail | Verdict::Warn if baseline.excuses(checked) => {
            broken.iter().find_map(|id| baseline.entry(name, id))
        }
        Verdict::Inconclusive => set_up_known(run, checked, baseline),
        _ => None,
    };
    let accepted = match checked.verdict {
        Verdict::Untestable => baseline.accepted.get(name).cloned(),
        _ => entry.map(|entry| entry.reason.clone()),
    };
    Check {
        id: name.into(),
        requirements: checked.check.requirements.iter().map(ToString::to_string).collect(),
        verdict: checked.verdict,
        duration_ms: whole_ms(checked.took),
        message: message(checked, decided),
        decided_by: requirement,
        expected,
        actual,
        transcript: transcript::lines(&checked.events),
        repro: Repro {
            command: transcript::command(run, name),
            curl: transcript::curl(run, &checked.events, on),
        },
        baselined: entry.is_some(),
        accepted,
        otherwise: baseline.otherwise(checked),
        events: if is_told(checked.verdict) { checked.events.clone() } else { Vec::new() },
    }
}

/// Whether a report tells what went over the wire in a check that ended so.
fn is_told(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Fail | Verdict::Warn | Verdict::Inconclusive | Verdict::Error)
}

/// The event that decided the verdict of a check.
fn decisive<'a>(run: &Finished, checked: &'a Checked) -> Option<&'a Event> {
    let find = |wanted: &dyn Fn(&What) -> bool| {
        checked.events.iter().find(|e| wanted(&e.what)).map(|e: &Arc<Event>| &**e)
    };
    let level = |id: &str| run.protocol.level(id);
    match checked.verdict {
        Verdict::Fail => find(
            &|w| matches!(w, What::Broken { requirement, .. } if level(requirement) == Some(Level::Must)),
        ),
        Verdict::Warn => find(&|w| matches!(w, What::Broken { .. })),
        Verdict::Inconclusive => find(&|w| matches!(w, What::SetUp { .. } | What::Stopped { .. }))
            .or_else(|| find(&|w| matches!(w, What::Broken { .. }))),
        Verdict::Untestable => find(&|w| matches!(w, What::Missing { .. })),
        Verdict::Error => find(&|w| matches!(w, What::Harness { .. })),
        Verdict::Pass | Verdict::NotApplicable | Verdict::NotSelected => None,
    }
}

/// Why a check has its verdict, in a sentence.
fn message(checked: &Checked, decided: Option<&Event>) -> Option<String> {
    if checked.verdict == Verdict::Pass {
        return None;
    }
    if let Some(reason) = &checked.reason {
        return Some(reason.clone());
    }
    Some(match decided.map(|e| &e.what) {
        Some(What::Broken { requirement, actual, expected, .. }) => {
            format!("{requirement} is broken: expected {}; came {actual}", alternatives(expected))
        }
        Some(What::SetUp { requirement, actual, expected, .. }) => {
            format!("the set-up broke on {requirement}: needed {}; came {actual}", alternatives(expected))
        }
        Some(What::Stopped { why, .. }) => why.clone(),
        Some(What::Missing { what }) => format!("it takes {what}"),
        Some(What::Harness { message }) => message.clone(),
        _ => {
            let met: BTreeSet<&str> = checked
                .events
                .iter()
                .filter_map(|e| match &e.what {
                    What::Met { requirement, .. } | What::Broken { requirement, .. } => {
                        Some(requirement.as_str())
                    }
                    _ => None,
                })
                .collect();
            let without: Vec<&str> = checked
                .check
                .requirements
                .iter()
                .map(|id| id.as_str())
                .filter(|id| !met.contains(id))
                .collect();
            format!("nothing was seen that says anything about {}", without.join(", "))
        }
    })
}

fn alternatives(expected: &[crate::event::Expected]) -> String {
    let names: Vec<&str> = expected.iter().map(|e| e.name.as_str()).collect();
    names.join(", or ")
}
