//! `wireproof report`: report a run from its events again, with the same fold; or tell what changed since another.

use super::{Done, Failed, directory, print, run::show};
use crate::{
    protocol::Protocol,
    report::{
        Outcome, Report,
        compare::{self, Comparison},
        files::{self, Form},
        html::Links,
        replay,
    },
    target::{baseline::Baseline, file},
    verdict::Verdict,
};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// Report a run again, in any form, or tell what changed since another.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = COMPARING)]
pub(super) struct Args {
    /// The directory of `run --out`, or its events.jsonl.
    #[arg(value_name = "DIR_OR_EVENTS")]
    log: PathBuf,
    /// A target file, for its baseline and what it accepts; otherwise what the result in the directory lists.
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
    /// The form to print.
    #[arg(long, default_value = "terminal")]
    format: Format,
    /// Print the machine form, alone: --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write result.json, junit.xml, report.html and summary.md into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the specification is published: a site with a page for each protocol, such as stream.html, to which the HTML form
    /// then links.
    #[arg(long, value_name = "URL", value_parser = site)]
    spec_site: Option<String>,
    /// Tell what changed since this result: a directory of `run --out`, its result.json, or its events.jsonl.
    #[arg(long, value_name = "OLD", conflicts_with_all = ["out", "spec_site"])]
    against: Option<PathBuf>,
    /// With --against: every step back counts, not only a check that passed and now fails.
    #[arg(long, requires = "against")]
    strict: bool,
    /// Print only the first line.
    #[arg(long)]
    quiet: bool,
}

const COMPARING: &str = "With --against, the result in DIR is read as it was written; with --target, it is judged again from \
     the events. Exit code 1: a check that passed now finds a MUST broken, and the baseline does not list it; with --strict \
     also: one that passed is not seen any more or gone, one warns now, or one fails of which nothing was known. 3: the newer \
     run was cut short, or the two say nothing about the same checks. 0: neither.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people who look at a terminal.
    Terminal,
    /// For programs.
    Json,
    /// For continuous integration.
    Junit,
    /// For a browser: one page that needs no network.
    Html,
    /// For the summary of a CI job.
    Markdown,
}

impl Format {
    fn form(self) -> Option<Form> {
        match self {
            Format::Terminal => None,
            Format::Json => Some(Form::Json),
            Format::Junit => Some(Form::Junit),
            Format::Html => Some(Form::Html),
            Format::Markdown => Some(Form::Markdown),
        }
    }
}

/// Where a specification is published, as `--spec-site` takes it.
pub(super) fn site(text: &str) -> Result<String, String> {
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    // Anything else before a colon would be another scheme, which a link may not have.
    if is_url || !text.is_empty() && !text.contains(':') {
        return Ok(text.to_owned());
    }
    Err("give an http or https URL, or a path relative to the page".into())
}

/// Reports a run again.
pub(super) fn report(protocols: &[&'static Protocol], args: &Args) -> Done {
    if let Some(old) = &args.against {
        return compare(protocols, args, old);
    }
    let outcome = read(protocols, &args.log, args.target.as_deref())?;
    let links = Links { site: args.spec_site.clone() };
    if let Some(dir) = &args.out {
        directory(dir)?;
        files::write(dir, &outcome, &links).map_err(Failed::harness)?;
    }
    match args.format.form() {
        Some(form) if !args.json => print(&form.text(&outcome, &links).map_err(Failed::harness)?),
        _ => show(&outcome, args.json, args.quiet)?,
    }
    Ok(outcome.exit_code())
}

/// Tells what changed since another run.
fn compare(protocols: &[&'static Protocol], args: &Args, old: &Path) -> Done {
    let format = if args.json { Format::Json } else { args.format };
    if !matches!(format, Format::Terminal | Format::Json) {
        return Err(Failed::usage("what changed can be told with --format terminal or --format json"));
    }
    let new = match &args.target {
        Some(target) => read(protocols, &args.log, Some(target))?,
        None => result(protocols, &args.log)?,
    };
    let comparison = Comparison::new(&result(protocols, old)?, &new, args.strict);
    let text = match format {
        Format::Json => super::json(&comparison)?,
        _ => compare::text(&comparison),
    };
    let is_short = args.quiet && format == Format::Terminal;
    let first = text.lines().next().unwrap_or_default();
    print(&if is_short { format!("{first}\n") } else { text });
    Ok(comparison.exit_code)
}

/// A result as it was written, or the one that its log comes to.
fn result(protocols: &[&'static Protocol], path: &Path) -> Result<Outcome, Failed> {
    if path.is_dir()
        && let Some(outcome) = compare::in_directory(path).map_err(Failed::usage)?
    {
        return Ok(outcome);
    }
    let is_log = path.is_dir() || path.extension().is_some_and(|extension| extension == "jsonl");
    if is_log {
        return read(protocols, path, None);
    }
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failed::usage(format!("{shown}: {e}; give a directory of `run --out`, or its result.json"))
    })?;
    compare::parse(&text).map_err(|e| Failed::usage(format!("{shown}: this is no result of a run: {e}")))
}

/// What the owner knew and accepted when the run wrote its own result, if that is beside the log.
fn written(log: &Path, protocol: &Protocol) -> Result<Baseline, Failed> {
    let written = if log.is_dir() { compare::in_directory(log).map_err(Failed::usage)? } else { None };
    let runs = written.as_ref().map(Outcome::runs).unwrap_or_default();
    let Some(report) = runs.iter().find(|r| r.suite.protocol == protocol.name) else {
        return Ok(Baseline::default());
    };
    let accepted = report.checks.iter().filter(|c| c.verdict == Verdict::Untestable);
    Ok(Baseline {
        known: report.baseline.listed.clone(),
        accepted: accepted.filter_map(|c| Some((c.id.clone(), c.accepted.clone()?))).collect(),
        ..Baseline::default()
    })
}

/// The runs of a log, judged with the baseline of a target file, or with the one that they were judged with.
fn read(protocols: &[&'static Protocol], log: &Path, target: Option<&Path>) -> Result<Outcome, Failed> {
    let events = replay::read(log).map_err(Failed::usage)?;
    let read = target.map(file::read).transpose().map_err(Failed::usage)?;
    let mut reports = Vec::new();
    for run in replay::runs(protocols, events).map_err(Failed::usage)? {
        let baseline = match &read {
            Some(read) if read.file.protocol == run.protocol.name => {
                read.baseline(run.protocol).map_err(Failed::usage)?
            }
            Some(_) => Baseline::default(),
            None => written(log, run.protocol)?,
        };
        reports.push(Report::new(&run, &baseline));
    }
    Ok(Outcome::of(reports))
}
