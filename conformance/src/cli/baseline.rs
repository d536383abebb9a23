//! `wireproof baseline`: what is known to fail, from a recorded run into the file, and what no longer fails out of it.

use super::{Done, Failed, print, protocol};
use crate::{
    exit,
    protocol::Protocol,
    report::{Frame, KnownFailure, Report, replay},
    run::{Finished, select},
    target::{
        baseline::{Baseline, Document},
        file,
    },
    verdict::Verdict,
};
use clap::Subcommand;
use std::{
    collections::BTreeSet,
    fmt::Write,
    io::ErrorKind,
    path::{Path, PathBuf},
};
use toml_edit::{DocumentMut, value};

/// Write and prune the list of known failures.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Add what failed in a recorded run, with the reason why it is left so.
    Write(Entries),
    /// Remove what a recorded run no longer found broken.
    Prune(Recorded),
}

#[derive(Clone, Debug, clap::Args)]
struct Recorded {
    /// The directory of `run --out`, or its events.jsonl; several runs show what only some of them see.
    #[arg(value_name = "DIR_OR_EVENTS", required = true)]
    logs: Vec<PathBuf>,
    /// The target file whose `baseline` is edited; one that names none gets one.
    #[arg(long, value_name = "FILE", default_value = "wireproof.toml")]
    target: PathBuf,
}

#[derive(Clone, Debug, clap::Args)]
struct Entries {
    #[command(flatten)]
    recorded: Recorded,
    /// Why these failures are known and left so; it stands in every report.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: String,
    /// The last day (UTC) on which these entries excuse anything: 2026-12-31
    #[arg(long, value_name = "YYYY-MM-DD")]
    expires: Option<String>,
    /// Only checks and requirements that match; may be repeated. So failures get reasons of their own.
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Broken SHOULDs too, for runs with --strict.
    #[arg(long)]
    strict: bool,
}

/// Edits the baseline.
pub(super) fn baseline(protocols: &[&'static Protocol], args: &Args) -> Done {
    match &args.verb {
        Verb::Write(entries) => write(protocols, entries),
        Verb::Prune(recorded) => prune(protocols, recorded),
    }
}

fn write(protocols: &[&'static Protocol], args: &Entries) -> Done {
    if args.reason.trim().is_empty() {
        return Err(Failed::usage("--reason is empty; say why these failures are known and left so"));
    }
    let only = select::globs(&args.only).map_err(|e| Failed::usage(format!("--only: {e}")))?;
    let mut work = Work::open(protocols, &args.recorded)?;
    let place = |check: &str| work.protocol.checks().position(|c| c.name == check).unwrap_or(usize::MAX);
    let (mut said, mut added, mut widened, mut old) = (String::new(), 0, 0, 0);
    let mut seen = BTreeSet::new();
    for checked in work.runs.iter().flat_map(|run| &run.checks) {
        if !(checked.verdict == Verdict::Fail || args.strict && checked.verdict == Verdict::Warn) {
            continue;
        }
        for requirement in checked.broken() {
            let check = checked.check.name;
            let is_chosen =
                only.as_ref().is_none_or(|only| only.is_match(check) || only.is_match(requirement));
            if !is_chosen || !seen.insert((check, requirement.to_owned())) {
                continue;
            }
            if let Some(entry) = work.baseline.entry(check, requirement) {
                old += 1;
                if let Some(day) = &entry.expires {
                    let _ = writeln!(said, "  there already, until {day}: {check} with {requirement}");
                }
                let known = entry.frames();
                let more: Vec<String> = work
                    .frames(check, requirement)
                    .into_iter()
                    .filter(|frame| !known.contains(frame))
                    .collect();
                if !more.is_empty() && !entry.any_frame {
                    work.document.widen(entry, &more);
                    let more = more.join(" | ");
                    let _ = writeln!(
                        said,
                        "  also fails so, for the same reason: {check} with {requirement}: {more}"
                    );
                    widened += 1;
                }
                continue;
            }
            let entry = KnownFailure {
                check: check.into(),
                requirement: requirement.into(),
                reason: args.reason.trim().into(),
                sometimes: work.sometimes(check, requirement),
                expires: args.expires.clone(),
                clause: work
                    .protocol
                    .requirement(requirement)
                    .map(|r| format!("{}.md, {}", work.protocol.name, r.section)),
                frame: Frame::of(work.frames(check, requirement)),
                any_frame: false,
            };
            work.document.add(&entry, place);
            let _ = writeln!(said, "  added: {check} with {requirement}");
            added += 1;
        }
    }
    if added + widened == 0 {
        print(&format!(
            "{said}nothing to add: {}\n",
            match (old, only.is_some()) {
                (0, false) => "no check of this run failed".to_owned(),
                (0, true) => "no check that failed in this run matches --only".to_owned(),
                _ => format!("{old} that failed are in {} already", work.path.display()),
            }
        ));
        return Ok(exit::OK);
    }
    work.save()?;
    let in_other_ways =
        if widened == 0 { String::new() } else { format!(", {widened} of them fail in one more way") };
    print(&format!(
        "{said}{added} added to {}, {old} were there already{in_other_ways}\n",
        work.path.display()
    ));
    if work.is_named_anew {
        print(&format!("{} names it now: baseline = {}\n", args.recorded.target.display(), work.name()));
    }
    Ok(exit::OK)
}

fn prune(protocols: &[&'static Protocol], args: &Recorded) -> Done {
    let mut work = Work::open(protocols, args)?;
    // What one of several runs still saw is not stale.
    let mut all = work.runs.iter().map(|run| Report::new(run, &work.baseline).baseline.stale);
    let mut stale = all.next().unwrap_or_default();
    all.for_each(|other| stale.retain(|entry| other.contains(entry)));
    let mut said = String::new();
    let mut removed = 0;
    for entry in &stale {
        if work.document.remove(entry) {
            removed += 1;
            let _ = writeln!(said, "  removed: {} with {}", entry.check, entry.requirement);
        }
    }
    if removed == 0 {
        print("nothing is stale: every entry whose check ran still fails\n");
        return Ok(exit::OK);
    }
    work.save()?;
    let left = work.baseline.known.len() - removed;
    print(&format!("{said}{removed} removed from {}, {left} left\n", work.path.display()));
    Ok(exit::OK)
}

/// A recorded run, and the baseline that is to be edited by it.
struct Work {
    protocol: &'static Protocol,
    runs: Vec<Finished>,
    baseline: Baseline,
    document: Document,
    path: PathBuf,
    target: PathBuf,
    is_named_anew: bool,
}

impl Work {
    fn open(protocols: &[&'static Protocol], args: &Recorded) -> Result<Self, Failed> {
        let read = file::read(&args.target).map_err(Failed::usage)?;
        let protocol = protocol(protocols, &read.file.protocol)?;
        let mut runs = Vec::new();
        for log in &args.logs {
            let events = replay::read(log).map_err(Failed::usage)?;
            let mut found = replay::runs(protocols, events).map_err(Failed::usage)?;
            found.retain(|run| run.protocol.name == protocol.name);
            if found.is_empty() {
                let (log, file) = (log.display(), args.target.display());
                let name = protocol.name;
                return Err(Failed::usage(format!(
                    "{log} holds no run of {name}, which is what {file} is about"
                )));
            }
            runs.append(&mut found);
        }
        let named = read.baseline_path();
        let is_named_anew = named.is_none();
        let path = named.unwrap_or_else(|| args.target.with_extension("baseline.toml"));
        let shown = path.display();
        let text = match std::fs::read_to_string(&path) {
            Ok(_) if is_named_anew => {
                return Err(Failed::usage(format!(
                    "{shown} is there already, but {} does not name it; write `baseline = {}` above its first [table]",
                    args.target.display(),
                    shown_name(&path),
                )));
            }
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Failed::usage(format!("the baseline {shown}: {e}"))),
        };
        let baseline = Baseline::parse(&text, &path, protocol).map_err(Failed::usage)?;
        let document =
            Document::parse(&text).map_err(|e| Failed::usage(format!("the baseline {shown}: {e}")))?;
        Ok(Self { protocol, runs, baseline, document, path, target: args.target.clone(), is_named_anew })
    }

    /// Writes the baseline, once what is to be written was read again, and names it in a target file that named none.
    fn save(&self) -> Result<(), Failed> {
        let text = self.document.text();
        Baseline::parse(&text, &self.path, self.protocol).map_err(Failed::usage)?;
        put(&self.path, &text)?;
        if self.is_named_anew {
            let text = std::fs::read_to_string(&self.target)
                .map_err(|e| Failed::usage(format!("{}: {e}", self.target.display())))?;
            let mut document: DocumentMut =
                text.parse().map_err(|e| Failed::usage(format!("{}: {e}", self.target.display())))?;
            document.insert("baseline", value(file_name(&self.path)));
            // The line that `init` leaves for it, with the comment above it, is its place.
            let line = format!("baseline = {}\n", self.name());
            let kept = format!("# {line}");
            let text = match text.matches(&kept).count() {
                1 => text.replacen(&kept, &line, 1),
                _ => document.to_string(),
            };
            put(&self.target, &text)?;
        }
        Ok(())
    }

    /// The ways in which these runs saw a failure.
    fn frames(&self, check: &str, requirement: &str) -> BTreeSet<String> {
        let checked = self.runs.iter().flat_map(|run| run.checks.iter().filter(|c| c.check.name == check));
        checked.filter_map(|c| c.frames.get(requirement)).flatten().cloned().collect()
    }

    /// What a failure says that only some of several runs saw: the rest is for people to say.
    fn sometimes(&self, check: &str, requirement: &str) -> Option<String> {
        let came: Vec<bool> = self
            .runs
            .iter()
            .flat_map(|run| run.checks.iter().filter(|c| c.check.name == check))
            .filter(|c| matches!(c.verdict, Verdict::Pass | Verdict::Warn | Verdict::Fail))
            .map(|c| c.broken().contains(requirement))
            .collect();
        let (broken, all) = (came.iter().filter(|broken| **broken).count(), came.len());
        (broken < all).then(|| format!("seen in {broken} of {all} runs; say here what it depends on"))
    }

    fn name(&self) -> String {
        shown_name(&self.path)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn shown_name(path: &Path) -> String {
    format!("\"{}\"", file_name(path))
}

fn put(path: &Path, text: &str) -> Result<(), Failed> {
    std::fs::write(path, text).map_err(|e| Failed::usage(format!("{}: {e}", path.display())))
}
