//! The form that people read: the verdict first, then what to do about it, then what was not seen.

use super::{Check, Counts, Known, Otherwise, Report, Requirement, transcript::clean};
use crate::exit;
use crate::run::{INTERRUPTED, STOPPED};
use crate::verdict::{RunVerdict, Status, Verdict};
use std::fmt::Write;

/// Whether and how colour is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// Without colour.
    pub const PLAIN: Paint = Paint(false);

    /// With colour if this is a terminal or the environment has `CLICOLOR_FORCE`, unless it has `NO_COLOR`.
    pub fn for_terminal(is_terminal: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let forced = is_set("CLICOLOR_FORCE") && std::env::var_os("CLICOLOR_FORCE").is_none_or(|v| v != "0");
        Self((is_terminal || forced) && !is_set("NO_COLOR"))
    }

    fn on(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.on("1", text)
    }

    fn verdict(self, verdict: RunVerdict) -> String {
        let code = match verdict {
            RunVerdict::Conformant => "1;32",
            RunVerdict::Partial | RunVerdict::Inconclusive => "1;33",
            RunVerdict::NotConformant | RunVerdict::Error => "1;31",
        };
        self.on(code, verdict.name())
    }
}

/// The whole report.
pub fn text(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut out, report, paint);
    out
}

fn write_all(out: &mut String, report: &Report, paint: Paint) -> std::fmt::Result {
    head(out, report, paint)?;
    let shown = |verdict: Verdict| report.checks.iter().filter(move |c| c.verdict == verdict && !c.baselined);
    section(out, "errors: mistakes of this suite, please report them", shown(Verdict::Error), report, paint)?;
    section(out, "failed: a MUST is broken", shown(Verdict::Fail), report, paint)?;
    section(out, "warned: a SHOULD is broken", shown(Verdict::Warn), report, paint)?;
    section(out, "inconclusive: nobody knows", unknown(report), report, paint)?;
    reasons(out, untestable_title(report), shown(Verdict::Untestable), paint)?;
    baseline(out, report, paint)?;
    unclear(out, report, paint)?;
    unseen(out, report, paint)?;
    writeln!(out, "\n{} (exit {}){}", paint.verdict(report.verdict), report.exit_code, next(report))
}

/// Why the exit code is not 0, and what makes it so: the last line, which is read first where the others have gone by.
fn next(report: &Report) -> String {
    let open = |status| {
        let open = |r: &&Requirement| r.level == "must" && !r.baselined && r.status == status;
        report.requirements.iter().filter(open).count()
    };
    match report.exit_code {
        exit::OK => String::new(),
        exit::VIOLATED => match open(Status::Violated) {
            0 => ": a SHOULD is violated, and --strict counts it".into(),
            n => format!(": {} violated", are(n, "MUST")),
        },
        exit::STALE => format!(
            ": {} stale in the baseline, for nothing fails there any more; `wireproof baseline prune` removes that",
            match report.baseline.stale.len() {
                1 => "1 entry is".into(),
                many => format!("{many} entries are"),
            }
        ),
        exit::UNKNOWN if report.unreachable.is_some() => ": too little could be seen".into(),
        exit::UNKNOWN if report.interrupted || report.stopped_at.is_some() => ": the run ended early".into(),
        exit::UNKNOWN if report.verdict == RunVerdict::Partial => format!(
            ": {} untestable, and nobody said that this is fine: above stands what it takes; `[accepted]` in \
             the target file takes a reason",
            are(open(Status::Untestable), "MUST")
        ),
        exit::UNKNOWN => format!(": {} inconclusive", are(open(Status::Inconclusive), "MUST")),
        _ => ": a mistake of this suite; please report it".into(),
    }
}

/// `1 MUST is`, `2 MUSTs are`.
fn are(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what} is") } else { format!("{count} {what}s are") }
}

/// The first line, and why the exit code is what it is.
fn head(out: &mut String, report: &Report, paint: Paint) -> std::fmt::Result {
    let counts = report.counts;
    let verdict = paint.verdict(report.verdict);
    writeln!(out, "{verdict}: {}", how_many(report))?;
    writeln!(
        out,
        "target    {} ({} of {})",
        clean(&report.target.url),
        report.target.role,
        report.suite.protocol
    )?;
    if let Some(implementation) = &report.target.implementation {
        writeln!(out, "          {} {}", clean(&implementation.name), clean(&implementation.version))?;
    }
    let features: Vec<String> = report
        .features
        .iter()
        .map(|f| {
            format!("{}={} ({})", clean(&f.name), clean(&f.value), format!("{:?}", f.source).to_lowercase())
        })
        .collect();
    if !features.is_empty() {
        writeln!(out, "features  {}", features.join(", "))?;
    }
    writeln!(out, "checks    {}", by_verdict(counts))?;
    let settings = &report.settings;
    let mut how = vec![format!("seed {}", settings.seed), format!("{} ms", settings.duration_ms)];
    how.extend(match settings.restarts {
        0 => None,
        1 => Some(format!("of them 1 restart {} ms", settings.restarts_ms)),
        many => Some(format!("of them {many} restarts {} ms", settings.restarts_ms)),
    });
    how.extend(settings.rate.map(|rate| format!("{rate} requests a second")));
    how.extend((settings.time_scale != 1.0).then(|| format!("time scale {}", settings.time_scale)));
    how.extend(settings.round_trip_ms.map(|ms| format!("round trip {ms} ms")));
    how.extend(settings.filters.iter().map(|filter| clean(filter)));
    writeln!(out, "run       {}", how.join(", "))?;
    for notice in notices(report) {
        writeln!(out, "{notice}")?;
    }
    Ok(())
}

fn untestable_title(report: &Report) -> &'static str {
    match report.verdict {
        // Otherwise it would not be.
        RunVerdict::Conformant => "untestable: the target offers no way to drive it; no MUST depends on it",
        _ => "untestable: the target offers no way to drive it",
    }
}

/// Whether a run left a check alone, or in its middle, because it stopped.
fn is_left_alone(check: &Check) -> bool {
    check.message.as_deref().is_some_and(|why| [STOPPED, INTERRUPTED].contains(&why))
}

/// The inconclusive checks that have something to tell: that the target could not be reached, or that the run stopped, is said
/// once for all.
pub(super) fn unknown(report: &Report) -> impl Iterator<Item = &Check> {
    let is_unknown = |check: &&Check| check.verdict == Verdict::Inconclusive && !check.baselined;
    let reached = report.unreachable.is_none();
    report.checks.iter().filter(move |check| reached && is_unknown(check) && !is_left_alone(check))
}

/// What has to be said of a run as a whole, a sentence or two each.
pub(super) fn notices(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(why) = &report.unreachable {
        let why = why.strip_prefix("the target could not be reached: ").unwrap_or(why);
        let why = clean(why);
        all.push(format!("The target could not be reached: {why}. Nobody knows what it would have done."));
    }
    if report.interrupted {
        let rest = report.checks.iter().filter(|check| is_left_alone(check)).count();
        all.push(format!(
            "The run was interrupted. What is known is below; {rest} checks did not come to their end."
        ));
    }
    if let [first, others @ ..] = &report.left[..] {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        all.push(format!("Left behind, because the target does not remove it: {}{more}.", clean(first)));
    }
    if let Some(check) = &report.stopped_at {
        let check = clean(check);
        all.push(format!(
            "The run stopped at the first failure, {check} (--fail-fast). The rest was not seen."
        ));
    }
    let counts = report.counts;
    let left_out = counts.not_selected + counts.not_applicable + counts.untestable;
    if counts.total == left_out && report.unreachable.is_none() {
        all.push(match &report.settings.filters[..] {
            [] => "Nothing ran: no check fits this target.".into(),
            filters => format!(
                "Nothing ran: no check is left by {}. `wireproof list checks` shows what there is.",
                clean(&filters.join(", "))
            ),
        });
    }
    all
}

/// How many of how many MUSTs were seen kept, and what became of the others.
pub(super) fn how_many(report: &Report) -> String {
    let counts = report.counts;
    let mut said = format!("{} of {} MUSTs were seen kept", counts.musts_satisfied, counts.musts);
    let open = |status: Status, known: bool| {
        let binds = |r: &&Requirement| r.level == "must" && r.status == status && r.baselined == known;
        report.requirements.iter().filter(binds).count()
    };
    let parts = [
        (open(Status::Violated, false), "violated"),
        (open(Status::Violated, true) + open(Status::Inconclusive, true), "known in the baseline"),
        (open(Status::Inconclusive, false), "inconclusive"),
        (open(Status::Untestable, false), "untestable"),
        (open(Status::NotSelected, false), "not selected"),
    ];
    let lucky = open(Status::Satisfied, true);
    if lucky > 0 {
        said += &format!(" ({lucky} of them broken at other times)");
    }
    for (count, word) in parts.into_iter().filter(|(count, _)| *count > 0) {
        said += &format!(", {count} {word}");
    }
    said
}

/// How many checks ended how.
pub(super) fn by_verdict(counts: Counts) -> String {
    let parts = Verdict::ALL.into_iter().map(|v| (counts.of(v), v)).filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, verdict)| format!("{count} {verdict}")).collect();
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}

fn section<'a>(
    out: &mut String,
    title: &str,
    checks: impl Iterator<Item = &'a Check>,
    report: &Report,
    paint: Paint,
) -> std::fmt::Result {
    let mut checks = checks.peekable();
    if checks.peek().is_some() {
        writeln!(out, "\n{}", paint.bold(title))?;
    }
    checks.try_for_each(|check| one(out, check, report, paint))
}

fn one(out: &mut String, check: &Check, report: &Report, paint: Paint) -> std::fmt::Result {
    writeln!(out, "\n  {}", paint.bold(&check.id))?;
    let decided = check.decided_by.as_ref().and_then(|id| report.requirements.iter().find(|r| r.id == *id));
    if let Some(r) = decided {
        let clause = format!("{}.md, section {}", report.suite.protocol, r.section);
        writeln!(out, "    {} ({}, {clause})", r.id, r.level.to_uppercase())?;
        writeln!(out, "    \"{}\"", r.text)?;
    } else {
        writeln!(out, "    about {}", check.requirements.join(", "))?;
    }
    if let Some(excused) = report.excused_before(check) {
        writeln!(out, "    {}", clean(&excused))?;
    }
    if check.actual.is_none()
        && let Some(message) = &check.message
    {
        writeln!(out, "    {}", clean(message))?;
    }
    if check.verdict == Verdict::Inconclusive && decided.is_some() {
        writeln!(
            out,
            "    the set-up of this check stands on that requirement; it did not come to its own claim"
        )?;
    }
    for (index, expected) in check.expected.iter().enumerate() {
        let word = if index == 0 { "expected " } else { "      or " };
        writeln!(out, "    {word} {}", clean(expected))?;
    }
    if let Some(actual) = &check.actual {
        writeln!(out, "    came      {}", clean(actual))?;
    }
    for other in &check.otherwise {
        writeln!(out, "    {}", clean(&told_otherwise(check, other)))?;
    }
    for line in &check.transcript {
        writeln!(out, "    {}", clean(line))?;
    }
    writeln!(out, "    again: {}", clean(&check.repro.command))?;
    if let Some(curl) = &check.repro.curl {
        writeln!(out, "    curl:  {}", clean(curl))?;
    }
    Ok(())
}

/// That a check fails in another way than is known; of which requirement, where another decided.
pub(super) fn told_otherwise(check: &Check, other: &Otherwise) -> String {
    match check.decided_by.as_deref() {
        Some(decided) if decided == other.requirement => other.to_string(),
        _ => format!("{} {other}", other.requirement),
    }
}

/// The ids of checks that did not run, under the reasons that they share.
pub(super) fn explained<'a>(checks: impl Iterator<Item = &'a Check>) -> Vec<(String, Vec<&'a str>)> {
    let mut by_reason: Vec<(String, Vec<&str>)> = Vec::new();
    for check in checks {
        let why = match (&check.accepted, &check.message) {
            (Some(accepted), _) => format!("accepted: {accepted}"),
            (None, message) => message.clone().unwrap_or_default(),
        };
        match by_reason.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, ids)) => ids.push(&check.id),
            None => by_reason.push((why, vec![&check.id])),
        }
    }
    by_reason
}

/// Checks that share a reason stand under it.
fn reasons<'a>(
    out: &mut String,
    title: &str,
    checks: impl Iterator<Item = &'a Check>,
    paint: Paint,
) -> std::fmt::Result {
    let by_reason = explained(checks);
    if !by_reason.is_empty() {
        writeln!(out, "\n{}", paint.bold(title))?;
    }
    for (why, ids) in by_reason {
        writeln!(out, "\n  {}", clean(&why))?;
        for id in ids {
            writeln!(out, "    {id}")?;
        }
    }
    Ok(())
}

/// How many entries a baseline has, and of which kinds.
pub(super) fn counted(known: &Known) -> String {
    let mut title = format!("{} listed, {} stale", known.listed.len(), known.stale.len());
    if !known.expired.is_empty() {
        title += &format!(", {} expired", known.expired.len());
    }
    if !known.unseen.is_empty() {
        title += &format!(", {} not seen this time", known.unseen.len());
    }
    title
}

fn baseline(out: &mut String, report: &Report, paint: Paint) -> std::fmt::Result {
    let known = &report.baseline;
    if known.listed.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", paint.bold(&format!("baseline: {}", counted(known))))?;
    for check in report.checks.iter().filter(|c| c.baselined) {
        let reason = clean(check.accepted.as_deref().unwrap_or_default());
        writeln!(out, "  {} {}: {reason}", check.verdict, check.id)?;
    }
    for entry in &known.stale {
        writeln!(
            out,
            "  stale {} with {}: it no longer fails; remove the entry (`wireproof baseline prune`), or say in `sometimes` what it depends on",
            entry.check, entry.requirement
        )?;
    }
    for entry in &known.expired {
        writeln!(
            out,
            "  expired {} with {}: it was excused until {}; mend it, or give the entry a new day",
            entry.check,
            entry.requirement,
            clean(entry.expires.as_deref().unwrap_or_default())
        )?;
    }
    for entry in &known.unseen {
        let why = clean(entry.sometimes.as_deref().unwrap_or_default());
        writeln!(
            out,
            "  not seen this time {} with {}: it fails sometimes: {why}",
            entry.check, entry.requirement
        )?;
    }
    Ok(())
}

/// MUSTs of which nobody knows, although no check that tells why is shown: an observer met too little.
fn unclear(out: &mut String, report: &Report, paint: Paint) -> std::fmt::Result {
    let told = |id: &str| {
        unknown(report).any(|c| c.decided_by.as_deref() == Some(id) || c.requirements.iter().any(|r| r == id))
    };
    let open = |r: &&Requirement| r.level == "must" && r.status == Status::Inconclusive && !r.baselined;
    let whole = report.unreachable.is_none() && !report.interrupted && report.stopped_at.is_none();
    let ids: Vec<&str> =
        report.requirements.iter().filter(open).map(|r| r.id.as_str()).filter(|id| !told(id)).collect();
    if whole && !ids.is_empty() {
        writeln!(out, "\n{}", paint.bold("inconclusive MUSTs: a check that names them came to no verdict"))?;
        for line in ids.chunks(5) {
            writeln!(out, "  {}", line.join(", "))?;
        }
    }
    Ok(())
}

/// MUSTs that no check looked at although nothing left them out: the suite or the declarations have a hole.
fn unseen(out: &mut String, report: &Report, paint: Paint) -> std::fmt::Result {
    if !report.settings.filters.is_empty() || report.stopped_at.is_some() {
        return Ok(());
    }
    let unseen = report.requirements.iter().filter(|r| r.level == "must" && r.status == Status::NotSelected);
    let ids: Vec<&str> = unseen.map(|r| r.id.as_str()).collect();
    if !ids.is_empty() {
        writeln!(out, "\n{}", paint.bold("not seen: no check of this suite looks at these MUSTs"))?;
        for line in ids.chunks(5) {
            writeln!(out, "  {}", line.join(", "))?;
        }
    }
    Ok(())
}
