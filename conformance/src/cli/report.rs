//! `wireproof report`: report a run from its events again, with the same fold.

use super::{Done, Failed, run::show};
use crate::{
    protocol::Protocol,
    report::{Outcome, Report, replay},
    target::{baseline::Baseline, file},
};
use std::path::PathBuf;

/// Report a run from its events again.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The directory of `run --out`, or its events.jsonl.
    #[arg(value_name = "DIR_OR_EVENTS")]
    log: PathBuf,
    /// The target file of that run, for its baseline and what it accepts.
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
    /// Print the machine form, alone.
    #[arg(long)]
    json: bool,
    /// Print only the first line.
    #[arg(long)]
    quiet: bool,
}

/// Reports a run again.
pub(super) fn report(protocols: &[&'static Protocol], args: &Args) -> Done {
    let events = replay::read(&args.log).map_err(Failed::usage)?;
    let read = args.target.as_deref().map(file::read).transpose().map_err(Failed::usage)?;
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
    let outcome = Outcome::of(reports);
    show(&outcome, args.json, args.quiet)?;
    Ok(outcome.exit_code())
}
