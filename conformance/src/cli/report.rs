//! `wireproof report`: report a run from its events again, with the same fold.

use super::{Done, Failed, print, run::show};
use crate::{
    protocol::Protocol,
    report::{
        Outcome, Report,
        files::{self, Form},
        html::Links,
        replay,
    },
    target::{baseline::Baseline, file},
};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// Report a run from its events again.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The directory of `run --out`, or its events.jsonl.
    #[arg(value_name = "DIR_OR_EVENTS")]
    log: PathBuf,
    /// The target file of that run, for its baseline and what it accepts.
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
    /// Print only the first line.
    #[arg(long)]
    quiet: bool,
}

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

fn site(text: &str) -> Result<String, String> {
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    // Anything else before a colon would be another scheme, which a link may not have.
    if is_url || !text.is_empty() && !text.contains(':') {
        return Ok(text.to_owned());
    }
    Err("give an http or https URL, or a path relative to the page".into())
}

/// Reports a run again.
pub(super) fn report(protocols: &[&'static Protocol], args: &Args) -> Done {
    let outcome = read(protocols, &args.log, args.target.as_deref())?;
    let links = Links { site: args.spec_site.clone() };
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir).map_err(|e| Failed::usage(format!("--out {}: {e}", dir.display())))?;
        files::write(dir, &outcome, &links).map_err(Failed::harness)?;
    }
    match args.format.form() {
        Some(form) if !args.json => print(&form.text(&outcome, &links).map_err(Failed::harness)?),
        _ => show(&outcome, args.json, args.quiet)?,
    }
    Ok(outcome.exit_code())
}

/// The runs of a log, judged with the baseline of a target file.
fn read(protocols: &[&'static Protocol], log: &Path, target: Option<&Path>) -> Result<Outcome, Failed> {
    let events = replay::read(log).map_err(Failed::usage)?;
    let read = target.map(file::read).transpose().map_err(Failed::usage)?;
    let mut reports = Vec::new();
    for run in replay::runs(protocols, events).map_err(Failed::usage)? {
        let baseline = match &read {
            Some(read) if read.file.protocol == run.protocol.name => {
                read.baseline(run.protocol).map_err(Failed::usage)?
            }
            _ => Baseline::default(),
        };
        reports.push(Report::new(&run, &baseline));
    }
    Ok(Outcome::of(reports))
}
