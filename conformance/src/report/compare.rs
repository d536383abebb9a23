//! What changed between two results. Pure. Checks decide: one that passed and now finds a MUST broken is a regression, unless
//! the newer result has it in its baseline. Who wants more is strict: then it is also one that a check no longer passes or is no
//! longer there, and that one breaks of which nothing was known. Two results that say nothing about the same checks are no
//! reason to be calm, and neither is a newer one that was cut short.

use super::{Check, Implementation, Outcome, Report, Requirement, transcript::clean};
use crate::{
    exit,
    verdict::{RunVerdict, Status, Verdict},
};
use hyper::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write},
    net::IpAddr,
    path::Path,
};

/// Reads the machine form of a result.
///
/// # Errors
/// A sentence that says why it is none.
pub fn parse(text: &str) -> Result<Outcome, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    // One or several, decided here, so that the error is about the one and not about both.
    if value.get("runs").is_some() {
        return serde_json::from_value(value).map(Outcome::Many).map_err(|e| e.to_string());
    }
    serde_json::from_value(value).map(|one| Outcome::One(Box::new(one))).map_err(|e| e.to_string())
}

/// Reads the result in a directory of `--out`, if it has one.
///
/// # Errors
/// It has one that cannot be read.
pub fn in_directory(dir: &Path) -> Result<Option<Outcome>, String> {
    let file = dir.join(super::files::Form::Json.file());
    match std::fs::read_to_string(&file) {
        Ok(text) => parse(&text).map(Some).map_err(|e| format!("{}: this is no result: {e}", file.display())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("{}: {e}", file.display())),
    }
}

/// What changed between two results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// In a word.
    pub judgement: Judgement,
    /// The exit code: 0, 1 or 3.
    pub exit_code: u8,
    /// Whether every step back counts.
    pub strict: bool,
    /// How many checks took a step back that counts.
    pub regressions: usize,
    /// How many checks said something in both results.
    pub compared: usize,
    /// Each protocol that either result is about.
    pub protocols: Vec<Compared>,
}

/// A comparison in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// There are regressions.
    Worse,
    /// There is none.
    NoWorse,
    /// There is none, but too little was seen to say so.
    Unknown,
}

impl Judgement {
    /// `no worse`.
    pub fn words(self) -> &'static str {
        match self {
            Judgement::Worse => "worse",
            Judgement::NoWorse => "no worse",
            Judgement::Unknown => "unknown",
        }
    }
}

/// What changed in one protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// The protocol.
    pub protocol: String,
    /// The older run; absent if there is none.
    pub old: Option<Side>,
    /// The newer run; absent if there is none.
    pub new: Option<Side>,
    /// In what else the two differ than in what the target did: the more, the less the comparison says about the target.
    pub differences: Vec<Difference>,
    /// The checks that changed, the worst first.
    pub checks: Vec<Moved>,
    /// The requirements that changed, the worst first.
    pub requirements: Vec<Moved>,
}

/// One of the two runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// The URL or command of the target.
    pub target: String,
    /// Name and version, where the owner gave them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implementation: Option<Implementation>,
    /// The verdict.
    pub verdict: RunVerdict,
    /// The exit code.
    pub exit_code: u8,
}

/// Something in which two runs differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// `feature stream.fork`.
    pub what: String,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
}

/// A check or requirement that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// Its id.
    pub id: String,
    /// How.
    pub change: Change,
    /// Its verdict or status before; absent if it was not there.
    pub old: Option<String>,
    /// Its verdict or status now; absent if it is not there.
    pub new: Option<String>,
    /// Whether it counts as a step back. Only checks do.
    pub regression: bool,
    /// What the newer result says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a check or requirement changed, from the worst to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was well, and a MUST is broken now.
    Regressed,
    /// Nothing was known of it, and a MUST is broken now.
    Failing,
    /// A SHOULD is broken now.
    Warned,
    /// It said something, and says nothing now.
    Unseen,
    /// It is not there any more.
    Gone,
    /// It is broken now, and the newer baseline lists it.
    Known,
    /// It was not there.
    New,
    /// Nothing was known of it, and it is well now.
    Seen,
    /// A MUST was broken, and a SHOULD is now.
    Better,
    /// It was broken, and is well now.
    Fixed,
}

impl Change {
    /// As the title of those that changed so.
    fn title(self) -> &'static str {
        match self {
            Change::Regressed => "regressed: it was well, and now a MUST is broken",
            Change::Failing => "failing: nothing was known of it, and now a MUST is broken",
            Change::Warned => "warned: now a SHOULD is broken",
            Change::Unseen => "not seen any more",
            Change::Gone => "gone: it is not there any more",
            Change::Known => "known: it is broken now, and the newer baseline lists it",
            Change::New => "new: it was not there",
            Change::Seen => "seen: nothing was known of it, and it is well",
            Change::Better => "better: a MUST was broken, and now a SHOULD is",
            Change::Fixed => "fixed",
        }
    }
}

/// What a verdict or a status comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Well,
    Warned,
    Broken,
    Unseen,
}

impl Standing {
    fn of_check(check: &Check) -> Self {
        match check.verdict {
            Verdict::Pass => Standing::Well,
            Verdict::Warn => Standing::Warned,
            Verdict::Fail => Standing::Broken,
            _ => Standing::Unseen,
        }
    }

    fn of_requirement(requirement: &Requirement) -> Self {
        match requirement.status {
            Status::Satisfied => Standing::Well,
            Status::Violated if requirement.level == "must" => Standing::Broken,
            Status::Violated => Standing::Warned,
            _ => Standing::Unseen,
        }
    }
}

/// How something changed that stood so; none: it did not.
fn change(old: Option<Standing>, new: Option<Standing>, known: bool) -> Option<Change> {
    use Standing::{Broken, Unseen, Warned, Well};
    Some(match (old, new) {
        (old, new) if old == new => return None,
        (_, None) => Change::Gone,
        (_, Some(Broken | Warned)) if known => Change::Known,
        (Some(Well | Warned), Some(Broken)) => Change::Regressed,
        (None | Some(_), Some(Broken)) => Change::Failing,
        (Some(Broken), Some(Warned)) => Change::Better,
        (None | Some(_), Some(Warned)) => Change::Warned,
        (None, Some(_)) => Change::New,
        (Some(Unseen), Some(Well)) => Change::Seen,
        (Some(_), Some(Well)) => Change::Fixed,
        (Some(_), Some(Unseen)) => Change::Unseen,
    })
}

/// Whether a change of a check that stood so counts as a step back.
fn counts(change: Change, old: Option<Standing>, strict: bool) -> bool {
    let was_well = matches!(old, Some(Standing::Well | Standing::Warned));
    match change {
        Change::Regressed => true,
        Change::Failing | Change::Warned => strict,
        Change::Unseen | Change::Gone => strict && was_well,
        Change::Known | Change::New | Change::Seen | Change::Better | Change::Fixed => false,
    }
}

impl Comparison {
    /// Compares two results.
    pub fn new(old: &Outcome, new: &Outcome, strict: bool) -> Self {
        let names: BTreeSet<&str> =
            old.runs().iter().chain(new.runs()).map(|run| run.suite.protocol.as_str()).collect();
        let of = |outcome: &'_ Outcome, name: &str| -> Option<Report> {
            outcome.runs().iter().find(|run| run.suite.protocol == name).cloned()
        };
        let pairs: Vec<(&str, Option<Report>, Option<Report>)> =
            names.into_iter().map(|name| (name, of(old, name), of(new, name))).collect();
        let protocols: Vec<Compared> =
            pairs.iter().map(|(name, old, new)| compared(name, old.as_ref(), new.as_ref(), strict)).collect();
        let seen_in_both =
            pairs.iter().map(|(_, old, new)| in_both(old.as_ref(), new.as_ref())).sum::<usize>();
        let regressions = protocols.iter().flat_map(|p| &p.checks).filter(|moved| moved.regression).count();
        let cut_short = new
            .runs()
            .iter()
            .any(|r| r.interrupted || r.unreachable.is_some() || r.verdict == RunVerdict::Error);
        let judgement = if regressions > 0 {
            Judgement::Worse
        } else if cut_short || seen_in_both == 0 {
            Judgement::Unknown
        } else {
            Judgement::NoWorse
        };
        let exit_code = match judgement {
            Judgement::Worse => exit::VIOLATED,
            Judgement::Unknown => exit::UNKNOWN,
            Judgement::NoWorse => exit::OK,
        };
        Self { judgement, exit_code, strict, regressions, compared: seen_in_both, protocols }
    }
}

fn compared(name: &str, old: Option<&Report>, new: Option<&Report>, strict: bool) -> Compared {
    let checks = |report: Option<&Report>| -> BTreeMap<String, (Standing, Told)> {
        let all = report.into_iter().flat_map(|r| &r.checks);
        all.map(|c| (c.id.clone(), (Standing::of_check(c), Told::of_check(c)))).collect()
    };
    let requirements = |report: Option<&Report>| -> BTreeMap<String, (Standing, Told)> {
        let all = report.into_iter().flat_map(|r| &r.requirements);
        all.map(|r| (r.id.clone(), (Standing::of_requirement(r), Told::of_requirement(r)))).collect()
    };
    let mut moved_requirements = moved(&requirements(old), &requirements(new), strict);
    for requirement in &mut moved_requirements {
        requirement.regression = false;
    }
    Compared {
        protocol: name.into(),
        old: old.map(side),
        new: new.map(side),
        differences: differences(old, new),
        checks: moved(&checks(old), &checks(new), strict),
        requirements: moved_requirements,
    }
}

/// How many checks said something in both runs.
fn in_both(old: Option<&Report>, new: Option<&Report>) -> usize {
    let said = |report: Option<&Report>| -> BTreeSet<String> {
        let all = report.into_iter().flat_map(|r| &r.checks);
        all.filter(|c| Standing::of_check(c) != Standing::Unseen).map(|c| c.id.clone()).collect()
    };
    said(old).intersection(&said(new)).count()
}

fn side(report: &Report) -> Side {
    Side {
        target: report.target.url.clone(),
        implementation: report.target.implementation.clone(),
        verdict: report.verdict,
        exit_code: report.exit_code,
    }
}

/// What a result says of a check or requirement.
struct Told {
    word: String,
    known: bool,
    message: Option<String>,
}

impl Told {
    fn of_check(check: &Check) -> Self {
        Self { word: check.verdict.name().into(), known: check.baselined, message: check.message.clone() }
    }

    fn of_requirement(requirement: &Requirement) -> Self {
        let word = requirement.status.name().into();
        Self { word, known: requirement.baselined, message: None }
    }
}

fn moved(
    old: &BTreeMap<String, (Standing, Told)>,
    new: &BTreeMap<String, (Standing, Told)>,
    strict: bool,
) -> Vec<Moved> {
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut all: Vec<Moved> = ids
        .into_iter()
        .filter_map(|id| {
            let (before, now) = (old.get(id), new.get(id));
            let stood = before.map(|(standing, _)| *standing);
            let change = change(stood, now.map(|(s, _)| *s), now.is_some_and(|(_, told)| told.known))?;
            let word = |side: Option<&(Standing, Told)>| side.map(|(_, told)| told.word.clone());
            Some(Moved {
                id: id.clone(),
                change,
                old: word(before),
                new: word(now),
                regression: counts(change, stood, strict),
                message: now.and_then(|(_, told)| told.message.clone()),
            })
        })
        .collect();
    all.sort_by(|a, b| a.change.cmp(&b.change).then_with(|| a.id.cmp(&b.id)));
    all
}

fn differences(old: Option<&Report>, new: Option<&Report>) -> Vec<Difference> {
    let (Some(old), Some(new)) = (old, new) else {
        let said = |side: Option<&Report>| if side.is_some() { "there" } else { "not there" }.to_owned();
        return vec![Difference { what: "a run of this protocol".into(), old: said(old), new: said(new) }];
    };
    let (before, now) = (facts(old), facts(new));
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let value = |facts: &BTreeMap<String, String>, name: &String| {
        facts.get(name).cloned().unwrap_or_else(|| "none".into())
    };
    names
        .into_iter()
        .map(|name| Difference { what: name.clone(), old: value(&before, name), new: value(&now, name) })
        .filter(|difference| difference.old != difference.new)
        .collect()
}

/// What a run was done with, by name.
fn facts(report: &Report) -> BTreeMap<String, String> {
    let settings = &report.settings;
    let mut facts: BTreeMap<String, String> = [
        ("version of the suite", report.suite.version.clone()),
        ("requirements of the suite", report.suite.requirements_digest.clone()),
        ("target", place(&report.target.url)),
        ("role", report.target.role.clone()),
        ("seed", settings.seed.to_string()),
        ("time scale", settings.time_scale.to_string()),
        ("checks at once", settings.jobs.to_string()),
        ("filters", settings.filters.join(", ")),
        ("interrupted", report.interrupted.to_string()),
        ("unreachable", report.unreachable.clone().unwrap_or_else(|| "no".into())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Some(Implementation { name, version }) = &report.target.implementation {
        facts.insert("implementation".into(), format!("{name} {version}"));
    }
    facts.extend(report.features.iter().map(|f| (format!("feature {}", f.name), f.value.clone())));
    facts.extend(settings.waits_ms.iter().map(|(name, ms)| (format!("wait: {name}"), format!("{ms} ms"))));
    facts
}

/// Where a target is. A port of this machine is another one each time that the target is launched, and says nothing.
fn place(target: &str) -> String {
    let url = target.parse::<Uri>().ok().filter(|url| url.host().is_some_and(is_here));
    match url.as_ref().and_then(Uri::port) {
        Some(port) => target.replacen(&format!(":{port}"), "", 1),
        None => target.to_owned(),
    }
}

fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// For people.
pub fn text(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut out, comparison);
    out
}

fn write_all(out: &mut String, comparison: &Comparison) -> fmt::Result {
    let Comparison { judgement, regressions, compared, strict, .. } = comparison;
    let plural = |count: &usize| if *count == 1 { "" } else { "s" };
    let (steps, checks) = (plural(regressions), plural(compared));
    let strict = if *strict { ", strictly" } else { "" };
    writeln!(
        out,
        "{}: {regressions} regression{steps}{strict}; {compared} check{checks} said something in both results",
        judgement.words()
    )?;
    for one in &comparison.protocols {
        for (name, side) in [("old", &one.old), ("new", &one.new)] {
            write!(out, "{name}       {}", one.protocol)?;
            match side {
                None => writeln!(out, ": no run")?,
                Some(side) => {
                    write!(out, ": {}, {}", side.verdict.name(), clean(&side.target))?;
                    if let Some(Implementation { name, version }) = &side.implementation {
                        write!(out, ", {} {}", clean(name), clean(version))?;
                    }
                    writeln!(out)?;
                }
            }
        }
        if !one.differences.is_empty() {
            writeln!(out, "\nnot only the target may have changed; these differ too")?;
        }
        for Difference { what, old, new } in &one.differences {
            writeln!(out, "  {}: {} -> {}", clean(what), short(old), short(new))?;
        }
        list(out, "", &one.checks)?;
        list(out, "requirements, ", &one.requirements)?;
    }
    Ok(())
}

/// How many are listed that changed in one way and do not count; of those that count, all.
const MOST: usize = 30;

fn list(out: &mut String, of: &str, all: &[Moved]) -> fmt::Result {
    for group in all.chunk_by(|a, b| a.change == b.change) {
        let Some(first) = group.first() else { continue };
        writeln!(out, "\n{of}{}", first.change.title())?;
        let (counting, others): (Vec<&Moved>, Vec<&Moved>) = group.iter().partition(|m| m.regression);
        let left_out = others.len().saturating_sub(MOST);
        for moved in counting.into_iter().chain(others.into_iter().take(MOST)) {
            one(out, moved)?;
        }
        if left_out > 0 {
            writeln!(out, "  {left_out} more, with --json")?;
        }
    }
    Ok(())
}

fn one(out: &mut String, moved: &Moved) -> fmt::Result {
    let word = |word: &Option<String>| clean(word.as_deref().unwrap_or("none"));
    let counts = if moved.regression { "  (counts)" } else { "" };
    writeln!(out, "  {}: {} -> {}{counts}", clean(&moved.id), word(&moved.old), word(&moved.new))?;
    if let (Some(message), Change::Regressed | Change::Failing | Change::Warned | Change::Unseen) =
        (&moved.message, moved.change)
    {
        writeln!(out, "    {}", short(message))?;
    }
    Ok(())
}

/// A line that fits a terminal.
fn short(text: &str) -> String {
    const MOST: usize = 300;
    let text = clean(text);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Standing, change, counts, place};

    #[test]
    fn a_port_of_this_machine_is_no_place() {
        for (target, expected) in [
            ("http://127.0.0.1:4437/v1/stream", "http://127.0.0.1/v1/stream"),
            ("http://[::1]:4437/v1", "http://[::1]/v1"),
            ("https://localhost:1", "https://localhost"),
            ("http://localhost/v1:2", "http://localhost/v1:2"),
            ("https://other.host:4437/v1", "https://other.host:4437/v1"),
            ("./my-client --port :1", "./my-client --port :1"),
        ] {
            assert_eq!(place(target), expected);
        }
    }

    #[test]
    fn the_table_of_changes() {
        use Standing::{Broken, Unseen, Warned, Well};
        // Before, now, in the baseline, how it changed, whether that counts, whether it counts strictly.
        let table = [
            (Some(Well), Some(Well), false, None, false, false),
            (Some(Well), Some(Broken), false, Some(Change::Regressed), true, true),
            (Some(Warned), Some(Broken), false, Some(Change::Regressed), true, true),
            (Some(Well), Some(Broken), true, Some(Change::Known), false, false),
            (Some(Unseen), Some(Broken), false, Some(Change::Failing), false, true),
            (None, Some(Broken), false, Some(Change::Failing), false, true),
            (Some(Well), Some(Warned), false, Some(Change::Warned), false, true),
            (None, Some(Warned), false, Some(Change::Warned), false, true),
            (Some(Well), Some(Unseen), false, Some(Change::Unseen), false, true),
            (Some(Broken), Some(Unseen), false, Some(Change::Unseen), false, false),
            (Some(Well), None, false, Some(Change::Gone), false, true),
            (Some(Broken), None, false, Some(Change::Gone), false, false),
            (None, Some(Well), false, Some(Change::New), false, false),
            (None, Some(Unseen), false, Some(Change::New), false, false),
            (Some(Unseen), Some(Well), false, Some(Change::Seen), false, false),
            (Some(Broken), Some(Warned), false, Some(Change::Better), false, false),
            (Some(Broken), Some(Well), false, Some(Change::Fixed), false, false),
            (Some(Warned), Some(Well), false, Some(Change::Fixed), false, false),
        ];
        for (old, new, known, expected, plainly, strictly) in table {
            let found = change(old, new, known);
            assert_eq!(found, expected, "{old:?} to {new:?}");
            let count = |strict| found.is_some_and(|found| counts(found, old, strict));
            assert_eq!((count(false), count(true)), (plainly, strictly), "{old:?} to {new:?}");
        }
    }
}
