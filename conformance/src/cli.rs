//! The command line. One file a verb.

mod explain;
mod list;
mod report;
mod run;
mod schema;
mod selftest;
mod serve;

use crate::{exit, protocol::Protocol};
use clap::{Parser, Subcommand};
use std::{io::Write, process::ExitCode};

/// Tells the truth about any server or client that claims to speak a wireproof protocol.
#[derive(Debug, Parser)]
#[command(name = "wireproof", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 conformant, or partial for a reason that you gave; 1 violated; 2 usage; \
     3 inconclusive, partial, or nothing ran; 4 a mistake of the suite; 5 the baseline is stale.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Test a target.
    Run(run::Args),
    /// List what the suite has.
    List(list::Args),
    /// Explain a requirement, check, defect or feature.
    Explain(explain::Args),
    /// Serve a protocol with the reference, honestly or with a defect.
    Serve(serve::Args),
    /// Write the JSON Schemas, or check that they are those of the types.
    Schema(schema::Args),
    /// Test the suite itself: references, null targets, defects.
    Selftest(selftest::Args),
    /// Report a run again, in any form, or tell what changed since another.
    Report(report::Args),
}

/// Why a verb ended without doing what it was asked.
#[derive(Debug)]
struct Failed {
    code: u8,
    message: String,
}

impl Failed {
    fn usage(message: impl Into<String>) -> Self {
        Self { code: exit::USAGE, message: message.into() }
    }

    fn harness(message: impl Into<String>) -> Self {
        Self { code: exit::HARNESS, message: message.into() }
    }

    fn unknown(message: impl Into<String>) -> Self {
        Self { code: exit::UNKNOWN, message: message.into() }
    }
}

/// What a verb comes to: an exit code.
type Done = Result<u8, Failed>;

/// Reads the command line and does what it says.
pub async fn main(protocols: &[&'static Protocol]) -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Run(args) => run::run(protocols, args).await,
        Verb::List(args) => list::list(protocols, &args),
        Verb::Explain(args) => explain::explain(protocols, &args),
        Verb::Serve(args) => serve::serve(protocols, args).await,
        Verb::Schema(args) => schema::schema(protocols, &args),
        Verb::Selftest(args) => selftest::selftest(protocols, args).await,
        Verb::Report(args) => report::report(protocols, &args),
    };
    ExitCode::from(done.unwrap_or_else(|failed| {
        say(&failed.message);
        failed.code
    }))
}

/// Says something to people, beside the output.
fn say(text: &str) {
    // Nobody is there to be told that nobody listens.
    let _ = writeln!(std::io::stderr().lock(), "wireproof: {text}");
}

/// Prints the output. Whoever closed the pipe has read enough.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A value as JSON, for `--json`.
fn json(value: &impl serde::Serialize) -> Result<String, Failed> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| Failed::harness(e.to_string()))
}

/// The protocol of this name.
fn protocol(protocols: &[&'static Protocol], name: &str) -> Result<&'static Protocol, Failed> {
    protocols.iter().copied().find(|p| p.name == name).ok_or_else(|| {
        let names: Vec<&str> = protocols.iter().map(|p| p.name).collect();
        Failed::usage(format!("there is no protocol `{name}`; there is {}", names.join(", ")))
    })
}

/// The names that look most like a wrong one.
fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = wrong.to_ascii_lowercase();
    let mut near: Vec<(f64, &str)> = names
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_ascii_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}
