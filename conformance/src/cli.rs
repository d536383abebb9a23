//! The command line. One file a verb.

mod baseline;
mod client;
mod completions;
mod explain;
mod init;
mod list;
mod report;
mod run;
mod schema;
mod selftest;
mod serve;
mod site;

use crate::{exit, protocol::Protocol};
use clap::{Parser, Subcommand};
use std::{io::Write, path::Path, process::ExitCode};

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
    /// Ask a server what it has, and write a target file for it.
    Init(init::Args),
    /// Test a target.
    Run(Box<run::Args>),
    /// List what the suite has.
    List(list::Args),
    /// Explain a requirement, check, defect or feature.
    Explain(explain::Args),
    /// Serve a protocol with the reference, honestly or with a defect.
    Serve(serve::Args),
    /// Be the adapter of the reference client of a protocol: what `run PROTOCOL --client --` starts.
    Client(client::Args),
    /// Write the JSON Schemas, or check that they are those of the types.
    Schema(schema::Args),
    /// Write the specification as a site: each requirement with its checks, defects and an example.
    Site(site::Args),
    /// Test the suite itself: references, null targets, defects.
    Selftest(selftest::Args),
    /// Report a run again, in any form, or tell what changed since another.
    Report(report::Args),
    /// Write and prune the list of known failures.
    Baseline(baseline::Args),
    /// Print a script that completes the command line of a shell.
    Completions(completions::Args),
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
        Verb::Init(args) => init::init(protocols, args).await,
        Verb::Run(args) => run::run(protocols, *args).await,
        Verb::List(args) => list::list(protocols, &args),
        Verb::Explain(args) => explain::explain(protocols, &args),
        Verb::Serve(args) => serve::serve(protocols, args).await,
        Verb::Client(args) => client::client(protocols, args).await,
        Verb::Schema(args) => schema::schema(protocols, &args),
        Verb::Site(args) => site::site(protocols, &args).await,
        Verb::Selftest(args) => selftest::selftest(protocols, args).await,
        Verb::Report(args) => report::report(protocols, &args),
        Verb::Baseline(args) => baseline::baseline(protocols, &args),
        Verb::Completions(args) => completions::completions(protocols, &args),
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

/// Makes the directory of `--out`, if it is not there.
fn directory(dir: &Path) -> Result<(), Failed> {
    if dir.is_file() {
        let dir = dir.display();
        return Err(Failed::usage(format!(
            "--out takes a directory, and {dir} is a file; give another name"
        )));
    }
    std::fs::create_dir_all(dir).map_err(|e| Failed::usage(format!("--out {}: {e}", dir.display())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    /// The README and the guides: path and text.
    fn pages() -> Vec<(PathBuf, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let guides = std::fs::read_dir(root.join("guides")).expect("the guides");
        let guides = guides.map(|entry| entry.expect("an entry").path());
        let mut all: Vec<PathBuf> = guides.filter(|path| path.is_file()).collect();
        let others = [
            "README.md",
            "spec/adapter.md",
            "spec/target.md",
            "conformance/interop/queue/README.md",
            "conformance/interop/queue/agentuity/README.md",
            "conformance/interop/stream/README.md",
        ];
        all.extend(others.map(|page| root.join(page)));
        let read = |path: PathBuf| (path.clone(), std::fs::read_to_string(path).expect("a page"));
        all.into_iter().map(read).collect()
    }

    /// The words of a command, as a shell takes them apart; without what the shell does with its output.
    fn words(command: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in command.chars() {
            match (c, quote) {
                (_, Some(open)) if c == open => quote = None,
                (_, Some(_)) => word.get_or_insert_default().push(c),
                ('\'' | '"', None) => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                ('#' | '>' | '|' | '&', None) if word.is_none() => break,
                (' ', None) => words.extend(word.take()),
                (_, None) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    #[test]
    fn the_pages_show_commands_that_there_are() {
        let mut seen = 0;
        for (path, text) in pages() {
            let blocks = text.split("```").skip(1).step_by(2);
            let lines =
                blocks.flat_map(str::lines).chain(text.lines().filter_map(|line| line.strip_prefix("    ")));
            for line in lines {
                let line = line.trim().trim_start_matches("- ").trim_start_matches("run: ");
                let line = line
                    .replace("cargo run --release -- ", "wireproof ")
                    .replace("cargo run -- ", "wireproof ");
                let line = line.replace(".wireproof/bin/wireproof ", "wireproof ");
                // A key of that name is no command.
                if line.starts_with("wireproof ") && !line.starts_with("wireproof = ") {
                    Cli::try_parse_from(words(&line))
                        .unwrap_or_else(|e| panic!("{}: {line}\n{e}", path.display()));
                    seen += 1;
                }
            }
        }
        assert!(seen > 15, "only {seen} commands were found");
    }

    #[test]
    fn the_pages_lead_to_files_that_there_are() {
        for (path, text) in pages() {
            for rest in text.split("](").skip(1) {
                let link = rest.split([')', '#']).next().unwrap_or_default();
                let there = path.parent().expect("a directory").join(link);
                assert!(there.exists(), "{} leads to {link}", path.display());
            }
        }
    }
}
