//! Who tests the tests: every suite against its reference in all variants, against targets that do nothing useful, and
//! against one defect after the other.

pub mod defects;
pub mod gate;
pub mod null;
pub mod shape;
mod witness;

use self::witness::Witnesses;
use crate::{
    check::{Body, Check, Waits},
    event::{Event, What},
    protocol::{Defect, Protocol},
    run::{Checked, Finished, Settings, by_turns, last_word, run},
    verdict::Verdict,
};
use futures_util::{StreamExt, TryStreamExt, future::try_join4, stream};
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::SetOnce;

/// How many references are tried at the same time.
const AT_ONCE: usize = 24;
/// What nothing caught is tried once more, among few, and at last alone: on a busy machine what is late is no sign.
const AGAIN: [usize; 4] = [6, 1, 1, 1];
/// How many honest references run at the same time.
const VARIANTS_AT_ONCE: usize = 9;
/// What a null target gets for an answer: it has none, and every check would wait for it.
const NULL_TIMEOUT: Duration = Duration::from_millis(250);
/// What a broken reference gets for an answer.
const BROKEN_TIMEOUT: Duration = Duration::from_millis(1_500);

/// What came of a self-test.
#[derive(Debug, Serialize)]
pub struct Score {
    /// The protocol.
    pub protocol: &'static str,
    /// Honest checks that did not pass on a variant of the reference: variant, check, verdict.
    pub honest_failures: Vec<String>,
    /// How many of the defects were caught.
    pub defects: Defects,
    /// Checks that passed on a target that does nothing useful.
    pub null_passes: Vec<String>,
    /// How many checks were tried against how many null targets.
    pub nulls: Nulls,
    /// What a busy machine kept from its end and was tried again: variant and honest check, or defect.
    pub tried_again: Vec<String>,
    /// Holes in the gate: what has no check, no defect that counts, or no reason.
    pub holes: Vec<String>,
    /// Checks counted by the distinct sets of defects that they catch.
    pub distinct_checks: usize,
    /// Which checks each defect turns red; with `--full` for all checks.
    #[serde(skip)]
    pub matrix: BTreeMap<&'static str, Red>,
}

/// What a defect turns red: check and verdict.
pub type Red = BTreeMap<&'static str, Verdict>;

/// The score over the defects.
#[derive(Debug, Serialize)]
pub struct Defects {
    /// How many there are.
    pub total: usize,
    /// How many were caught through the requirement that they break.
    pub caught: usize,
    /// The others.
    pub surviving: Vec<String>,
}

/// The score over the null targets.
#[derive(Debug, Serialize)]
pub struct Nulls {
    /// How many kinds.
    pub targets: usize,
    /// How many checks were driven against them, all together.
    pub driven: usize,
}

impl Score {
    /// Whether nothing is wrong with the suite.
    pub fn is_clean(&self) -> bool {
        self.honest_failures.is_empty()
            && self.defects.surviving.is_empty()
            && self.null_passes.is_empty()
            && self.holes.is_empty()
    }
}

/// What one defect showed.
struct Tried {
    defect: &'static Defect,
    caught_by: BTreeSet<&'static str>,
    red: Red,
    /// What was seen by the checks that it is about.
    seen: Vec<Arc<Event>>,
}

/// Which part of a suite is tested.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a>(Option<&'a str>);

impl<'a> Scope<'a> {
    /// All of it, or one area: `forks`.
    pub fn new(area: Option<&'a str>) -> Self {
        Self(area)
    }

    /// Whether it is less than all.
    fn is_part(self) -> bool {
        self.0.is_some()
    }

    /// Whether a requirement is in it.
    fn holds(self, protocol: &Protocol, id: &str) -> bool {
        self.0.is_none_or(|area| protocol.requirement(id).is_some_and(|r| r.area() == area))
    }

    /// Whether a check is about one of its requirements.
    fn has(self, protocol: &Protocol, check: &Check) -> bool {
        self.0.is_none() || check.requirements.iter().any(|id| self.holds(protocol, id.as_str()))
    }

    /// The names of its checks; none for all, which an observer needs.
    fn names(self, protocol: &Protocol) -> Option<BTreeSet<&'static str>> {
        self.0?;
        let mine = || protocol.checks().filter(|check| self.has(protocol, check));
        let observed = mine().any(|check| matches!(check.body, Body::Observes(_)));
        (!observed).then(|| mine().map(|check| check.name).collect())
    }
}

/// Tests the suite of a protocol, or a part of it. `full` drives all checks that do not wait long against all defects.
///
/// # Errors
/// A reference or a null target that does not start.
pub async fn selftest(protocol: &'static Protocol, full: bool, scope: Scope<'_>) -> Result<Score, String> {
    let mut defects = in_turn(protocol, (protocol.trial.defects)());
    defects.retain(|defect| scope.holds(protocol, defect.requirement.as_str()));
    let witnesses = Arc::new(SetOnce::new());
    let others = async {
        let mut honest = honest(protocol, scope).await?;
        let tried_again = again(protocol, &mut honest).await?;
        // Nobody else sets it.
        let _ = witnesses.set(Witnesses::of(&honest));
        let refusers = null::refusers(protocol, honest.iter().map(|(_, f)| f)).await?;
        Ok((honest, tried_again, refusers))
    };
    // Much of each is waiting, so they wait together.
    let (mut tried, (honest, mut tried_again, refusers), nulls, late) = try_join4(
        attempts(protocol, &defects, &witnesses, full, AT_ONCE),
        others,
        null::passes(protocol, scope.names(protocol)),
        late_bites(protocol, &defects),
    )
    .await?;
    let nulls = nulls.and(refusers);
    for at_once in AGAIN {
        let survivors: Vec<_> = tried.iter().filter(|t| t.caught_by.is_empty()).map(|t| t.defect).collect();
        tried_again.extend(survivors.iter().map(|defect| defect.id.to_owned()));
        tried.retain(|t| !t.caught_by.is_empty());
        tried.extend(attempts(protocol, &survivors, &witnesses, full, at_once).await?);
    }
    tried.sort_by_key(|t| t.defect.id);
    let shapes = |honest: &[(&str, Finished)]| {
        shape::Known::of(protocol, honest.iter().flat_map(|(_, finished)| &finished.events))
    };
    let mut known = shapes(&honest);
    if scope.is_part() && tried.iter().any(|t| implausible(protocol, &known, t).is_some()) {
        // What no honest variant says in a part of the checks it may say in the others.
        known = shapes(&self::honest(protocol, Scope::default()).await?);
    }
    // What goes on for a moment behind its own end may have come to a port that somebody else has taken meanwhile.
    for strange in tried.iter_mut().filter(|t| implausible(protocol, &known, t).is_some()) {
        tried_again.push(strange.defect.id.to_owned());
        let alone = apart(attempt(protocol, strange.defect, witnesses.clone(), full)).await?;
        if !alone.caught_by.is_empty() {
            *strange = alone;
        }
    }
    let caught: Vec<&Tried> = tried.iter().filter(|t| !t.caught_by.is_empty()).collect();
    let surviving = tried.iter().filter(|t| t.caught_by.is_empty()).map(|t| t.defect.id.to_owned()).collect();
    let mut holes = gate::holes(protocol, scope, caught.iter().map(|t| t.defect));
    holes.extend(tried.iter().filter_map(|t| implausible(protocol, &known, t)));
    holes.extend(gate::without_kind(protocol, &honest.iter().map(|(_, f)| f).collect::<Vec<_>>()));
    holes.extend(late);
    let sets: BTreeSet<BTreeSet<&str>> = protocol
        .checks()
        .map(|c| tried.iter().filter(|t| t.caught_by.contains(c.name)).map(|t| t.defect.id).collect())
        .filter(|set: &BTreeSet<&str>| !set.is_empty())
        .collect();
    Ok(Score {
        protocol: protocol.name,
        honest_failures: honest
            .iter()
            .flat_map(|(variant, finished)| honest_failures(variant, finished))
            .chain(never_passed(protocol, scope, &honest))
            .collect(),
        defects: Defects { total: tried.len(), caught: caught.len(), surviving },
        null_passes: nulls.passed,
        nulls: nulls.score,
        tried_again,
        holes,
        distinct_checks: sets.len(),
        matrix: tried.into_iter().map(|t| (t.defect.id, t.red)).collect(),
    })
}

/// Runs all checks against the reference in each of its variants.
///
/// # Errors
/// A reference that does not start.
pub async fn honest(
    protocol: &'static Protocol,
    scope: Scope<'_>,
) -> Result<Vec<(&'static str, Finished)>, String> {
    let chosen = scope.names(protocol);
    stream::iter(protocol.trial.reference.variants().iter().copied())
        .map(|variant| {
            let chosen = chosen.clone();
            apart(async move {
                let target = protocol.trial.reference.start(variant, None).await?;
                let names = match protocol.trial.reference.about(variant) {
                    None => chosen,
                    Some(about) => {
                        let needs =
                            |check: &&Check| protocol.needs(check).iter().any(|(need, _)| *need == about);
                        let those = |name: &&str| chosen.as_ref().is_none_or(|chosen| chosen.contains(*name));
                        Some(protocol.checks().filter(needs).map(|check| check.name).filter(those).collect())
                    }
                };
                let settings = Settings { names, bare: true, ..Settings::default() };
                Ok((variant, run(protocol, target, settings, |_| {}).await?))
            })
        })
        .buffered(VARIANTS_AT_ONCE)
        .try_collect()
        .await
}

/// Runs once more, with more time, the checks that a busy machine kept from a verdict. One that found an honest reference broken
/// was wrong, and stays so.
async fn again(
    protocol: &'static Protocol,
    honest: &mut [(&'static str, Finished)],
) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for (variant, finished) in honest {
        let names: BTreeSet<&'static str> = finished
            .checks
            .iter()
            .filter(|c| c.verdict == Verdict::Inconclusive)
            .map(|c| c.check.name)
            .collect();
        if names.is_empty() {
            continue;
        }
        all.extend(names.iter().map(|name| format!("{variant}: {name}")));
        let target = protocol.trial.reference.start(variant, None).await?;
        let settings = Settings {
            names: Some(names.clone()),
            bare: true,
            time_scale: 3.0,
            jobs: 4,
            ..Settings::default()
        };
        let tried = apart(async move { run(protocol, target, settings, |_| {}).await }).await?;
        finished.checks.retain(|c| !names.contains(c.check.name));
        finished.checks.extend(tried.checks.into_iter().filter(|c| names.contains(c.check.name)));
        finished.events.extend(tried.events);
    }
    Ok(all)
}

/// An honest check passes, or there is nothing for it to do.
fn ends_wrongly(checked: &Checked) -> bool {
    !matches!(
        checked.verdict,
        Verdict::Pass | Verdict::NotApplicable | Verdict::Untestable | Verdict::NotSelected
    )
}

fn honest_failures(variant: &str, finished: &Finished) -> Vec<String> {
    let wrong = finished.checks.iter().filter(|c| ends_wrongly(c));
    wrong
        .map(|c| format!("{variant}: {} ends in {}: {}", c.check.name, c.verdict, last_word(&c.events)))
        .collect()
}

/// A check that passes on no variant proves nothing.
fn never_passed(protocol: &Protocol, scope: Scope<'_>, honest: &[(&str, Finished)]) -> Vec<String> {
    let passed: BTreeSet<&str> = honest
        .iter()
        .flat_map(|(_, f)| f.checks.iter().filter(|c| c.verdict == Verdict::Pass).map(|c| c.check.name))
        .collect();
    protocol
        .checks()
        .filter(|c| scope.has(protocol, c) && !passed.contains(c.name))
        .map(|c| format!("{} passes on no variant", c.name))
        .collect()
}

fn settings(timeout: Duration) -> Settings {
    Settings { bare: true, timeout, ..Settings::default() }
}

/// The checks that name a requirement; none for one with an observer, which looks at what all of them saw.
fn naming(protocol: &Protocol, defect: &Defect) -> Option<BTreeSet<&'static str>> {
    let named = || protocol.checks().filter(|c| c.requirements.contains(&defect.requirement));
    let observed = named().any(|c| matches!(c.body, Body::Observes(_)));
    (!observed).then(|| named().map(|c| c.name).collect())
}

/// First those that wait, the longest first; those that an observer sees wait themselves for what honest references say.
fn in_turn(protocol: &Protocol, defects: Vec<&'static Defect>) -> Vec<&'static Defect> {
    let (observed, others): (Vec<&'static Defect>, Vec<&'static Defect>) =
        defects.into_iter().partition(|defect| naming(protocol, defect).is_none());
    let waits = |defect: &Defect| {
        let naming = protocol.checks().filter(|check| check.requirements.contains(&defect.requirement));
        naming.map(|check| about(check.waits)).max()
    };
    let is_waiting = |defect: &&'static Defect| waits(defect) > Some(Duration::ZERO);
    let (mut waiting, quick): (Vec<&'static Defect>, Vec<&'static Defect>) =
        others.into_iter().partition(is_waiting);
    waiting.sort_by_key(|defect| Reverse(waits(defect)));
    waiting.into_iter().chain(by_turns(quick, observed)).collect()
}

/// How long that is where nobody knows the limit, to tell what takes longest.
fn about(waits: Waits) -> Duration {
    Duration::from_millis(match waits {
        Waits::Not => 0,
        Waits::Limit(_, times) => u64::from(times) * 1_000,
        Waits::Millis(ms) => ms.into(),
    })
}

/// Does this on any core: many runs in one task would share one.
async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    tokio::spawn(work).await.map_err(|e| e.to_string())?
}

/// Tries all of them, so many at once.
async fn attempts(
    protocol: &'static Protocol,
    defects: &[&'static Defect],
    witnesses: &Arc<SetOnce<Witnesses>>,
    full: bool,
    at_once: usize,
) -> Result<Vec<Tried>, String> {
    stream::iter(defects.to_vec())
        .map(|defect| apart(attempt(protocol, defect, witnesses.clone(), full)))
        .buffer_unordered(at_once)
        .try_collect()
        .await
}

async fn attempt(
    protocol: &'static Protocol,
    defect: &'static Defect,
    witnesses: Arc<SetOnce<Witnesses>>,
    full: bool,
) -> Result<Tried, String> {
    let drive = async |names: Option<BTreeSet<&'static str>>| {
        let target = protocol.trial.reference.start(defect.variant, Some(defect.id)).await?;
        // Those who do not wait long stand for all.
        let settings = Settings { fast: names.is_none(), names, ..settings(BROKEN_TIMEOUT) };
        run(protocol, target, settings, |_| {}).await
    };
    let names = naming(protocol, defect);
    let others = if full && names.is_some() { Some(drive(None).await?) } else { None };
    let few = if names.is_none() && !full { witnesses.wait().await.few(defect) } else { None };
    let mut finished = drive(few.clone().or(names)).await?;
    if few.is_some() && !finished.checks.iter().any(|c| breaks(&c.events, defect)) {
        finished = drive(None).await?;
    }
    let red = |c: &&Checked| matches!(c.verdict, Verdict::Fail | Verdict::Warn);
    let caught_by = finished
        .checks
        .iter()
        .filter(red)
        .filter(|c| breaks(&c.events, defect))
        .map(|c| c.check.name)
        .collect();
    let all = others.iter().flat_map(|o| &o.checks).chain(&finished.checks);
    let red = all.filter(red).map(|c| (c.check.name, c.verdict)).collect();
    let seen = related(protocol, defect, &finished);
    Ok(Tried { defect, caught_by, red, seen })
}

/// Why a defect could not be one of a real implementation.
fn implausible(protocol: &Protocol, known: &shape::Known, tried: &Tried) -> Option<String> {
    let id = tried.defect.id;
    let judged = tried.defect.shape.is_none();
    judged.then(|| {
        known.implausible(protocol, &tried.seen).map(|why| format!("{id} is not plausible: {why}"))
    })?
}

/// What the checks saw that name the requirement of a defect. What a defect does to others is in the matrix.
fn related(protocol: &Protocol, defect: &Defect, finished: &Finished) -> Vec<Arc<Event>> {
    let names = naming(protocol, defect);
    let mine =
        finished.checks.iter().filter(|c| names.as_ref().is_none_or(|names| names.contains(c.check.name)));
    mine.flat_map(|c| c.events.iter().cloned()).collect()
}

/// Whether a claim that carries the defect's requirement did not hold.
fn breaks(events: &[Arc<Event>], defect: &Defect) -> bool {
    events.iter().any(
        |e| matches!(&e.what, What::Broken { requirement, .. } if requirement == defect.requirement.as_str()),
    )
}

/// What an ordinary flow says. A busy machine may stop one, and hardly several in a row.
async fn ordinary(
    protocol: &'static Protocol,
    variant: &'static str,
    defect: Option<&'static str>,
) -> Result<Vec<String>, String> {
    const TRIES: usize = 3;
    let mut stopped = String::new();
    for _ in 0..TRIES {
        let target = protocol.trial.reference.start(variant, defect).await?;
        match shape::ordinary(protocol, target).await {
            Ok(said) => return Ok(said),
            Err(why) => stopped = why,
        }
    }
    Err(stopped)
}

/// Defects that say that they bite later, and bite at the first ordinary use.
async fn late_bites(protocol: &'static Protocol, defects: &[&'static Defect]) -> Result<Vec<String>, String> {
    if protocol.trial.ordinary.is_none() {
        return Ok(Vec::new());
    }
    let late = || defects.iter().copied().filter(|d| d.trigger != crate::protocol::Trigger::Always);
    let mut honest: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for variant in late().map(|defect| defect.variant).collect::<BTreeSet<_>>() {
        honest.insert(variant, ordinary(protocol, variant, None).await?);
    }
    let honest = &honest;
    let found: Vec<Result<Option<String>, String>> = stream::iter(late())
        .map(|defect| async move {
            let broken = match apart(ordinary(protocol, defect.variant, Some(defect.id))).await {
                Ok(broken) => broken,
                Err(why) => return Ok(Some(format!("{} bites at the first ordinary use: {why}", defect.id))),
            };
            let expected =
                honest.get(defect.variant).ok_or_else(|| format!("{} is no variant", defect.variant))?;
            let first = expected.iter().zip(&broken).find(|(honest, broken)| honest != broken);
            Ok(first.map(|(honest, broken)| {
                format!("{} bites at the first ordinary use: {broken} for {honest}", defect.id)
            }))
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    found.into_iter().filter_map(Result::transpose).collect()
}
