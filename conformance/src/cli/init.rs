//! `wireproof init`: ask a server what it has, see a few checks of the core pass, and write a target file for it.

mod text;

use super::{Done, Failed, print, protocol, run::header};
use crate::{
    check::{Body, Check, Lane, Waits},
    event::{Message, What},
    exit,
    protocol::Protocol,
    report::transcript::{clean, word},
    run::{self, Finished, Settings, last_word},
    target::Target,
    verdict::Verdict,
};
use std::{collections::BTreeSet, fs::OpenOptions, io::ErrorKind, io::Write, path::PathBuf, time::Duration};

/// Ask a server what it has, and write a target file for it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The protocol's root: http://HOST:PORT/v1/stream
    url: String,
    /// The protocol; without it the first one that the server speaks.
    #[arg(long, value_name = "NAME")]
    protocol: Option<String>,
    /// Where to write.
    #[arg(long, value_name = "FILE", default_value = "wireproof.toml")]
    out: PathBuf,
    /// Write over a file that is there, and even if the server does not speak the protocol.
    #[arg(long)]
    force: bool,
    /// A header of every request, for the file too; a secret is given as env:VAR or file:PATH. May be repeated.
    #[arg(long, value_name = "NAME: env:VAR|file:PATH|VALUE")]
    header: Vec<String>,
    /// How long an answer may take that has no reason to wait, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(crate::target::file::TIMEOUTS_MS))]
    timeout: u64,
}

/// A server that was asked.
pub(super) struct Asked {
    pub(super) run: Finished,
    /// Checks of the core that were tried, and how many of them passed.
    pub(super) tried: usize,
    pub(super) passed: usize,
}

/// Asks, and writes.
pub(super) async fn init(protocols: &[&'static Protocol], args: Args) -> Done {
    if args.out.exists() && !args.force {
        let file = args.out.display();
        return Err(Failed::usage(format!(
            "{file} is there already; `--force` writes over it, `--out FILE` writes another"
        )));
    }
    let candidates = match &args.protocol {
        Some(name) => vec![protocol(protocols, name)?],
        None => protocols.to_vec(),
    };
    let (target, headers) = target(&args)?;
    let mut whys = Vec::new();
    let mut found = None;
    for protocol in candidates.iter().copied() {
        let asked = ask(protocol, target.clone(), args.timeout).await?;
        if let Some(why) = &asked.run.unreachable {
            if !args.force || candidates.len() > 1 {
                return Err(dead(&args, why));
            }
        } else if asked.passed == 0 {
            whys.push(stranger(&asked));
        } else {
            found = Some(asked);
            break;
        }
        if args.force && candidates.len() == 1 {
            found = Some(asked);
        }
    }
    let Some(asked) = found else {
        let names: Vec<&str> = candidates.iter().map(|p| p.name).collect();
        let (url, names) = (clean(&args.url), names.join(" or "));
        let force = if candidates.len() == 1 { "--force" } else { "--force with --protocol NAME" };
        return Err(Failed {
            code: exit::VIOLATED,
            message: format!(
                "{url} answers, but not as a server of {names} does.\n{}\n{force} writes a file all the same.",
                whys.join("\n")
            ),
        });
    };
    write(&args, &text::text(&asked, &args.url, &headers))?;
    print(&summary(&args, &asked));
    Ok(exit::OK)
}

/// The target, and its headers as the file is to hold them.
fn target(args: &Args) -> Result<(Target, Vec<(String, String)>), Failed> {
    let mut target = Target::server(&args.url).map_err(Failed::usage)?;
    let mut headers = Vec::new();
    for given in &args.header {
        let (with, name, value, is_pointer) = header(target, given)?;
        if !is_pointer && crate::redact::is_secret(&name) {
            return Err(Failed::usage(format!(
                "the value of {name} would stand in the file for everybody to read; put it into a variable and give \
                 --header '{name}: env:VARIABLE', or file:PATH"
            )));
        }
        target = with;
        headers.push((name, value));
    }
    Ok((target, headers))
}

/// Quick checks of the core, one an area: none of them passes against a target that does nothing useful.
fn quick(protocol: &Protocol) -> BTreeSet<&'static str> {
    let is_quick = |c: &&Check| {
        let drives = matches!(c.body, Body::Drives(_));
        drives && c.lane == Lane::Shared && c.waits == Waits::Not && protocol.needs(c).is_empty()
    };
    let area = |check: &Check| check.name.rsplit_once('/').map_or(check.name, |(area, _)| area);
    let mut areas = BTreeSet::new();
    protocol.checks().filter(is_quick).filter(|c| areas.insert(area(c))).map(|c| c.name).collect()
}

async fn ask(protocol: &'static Protocol, target: Target, timeout: u64) -> Result<Asked, Failed> {
    let names = quick(protocol);
    let tried = names.len();
    let settings =
        Settings { names: Some(names), timeout: Duration::from_millis(timeout), ..Settings::default() };
    let run = run::run(protocol, target, settings, |_| {}).await.map_err(Failed::harness)?;
    let passed = run.checks.iter().filter(|c| c.verdict == Verdict::Pass).count();
    Ok(Asked { run, tried, passed })
}

fn dead(args: &Args, why: &str) -> Failed {
    let why = why.strip_prefix("the target could not be reached: ").unwrap_or(why);
    let (url, why) = (clean(&args.url), clean(why));
    Failed::unknown(format!(
        "nothing answers at {url}: {why}.\nIs the server started, and is that its address? Start it, then do this again. \
         --force writes a file without asking it."
    ))
}

/// Why a server is not taken for one of this protocol, and what its owner could do about it.
fn stranger(asked: &Asked) -> String {
    let run = &asked.run;
    let name = run.protocol.name;
    let mut said = format!("{name}: none of {} quick checks passed.", asked.tried);
    let first = run.checks.iter().find(|c| c.verdict.ran() && !c.events.is_empty());
    if let Some(first) = first {
        said += &format!(" {}: {}.", first.check.name, clean(&last_word(&first.events)));
    }
    let statuses: BTreeSet<u16> = run
        .events
        .iter()
        .filter_map(|e| match &e.what {
            What::Received { message: Message::Response { status, .. }, .. } => Some(*status),
            _ => None,
        })
        .collect();
    let all = |these: &[u16]| !statuses.is_empty() && statuses.iter().all(|status| these.contains(status));
    let advice = if statuses.contains(&401) || statuses.contains(&403) {
        "It asks for credentials: give --header 'authorization: env:VARIABLE'."
    } else if all(&[404]) {
        "It answers 404 to everything: is the path that of the root below which things are made?"
    } else if all(&[200, 204, 304]) {
        "It answers everything alike: is this another web server, or a proxy before the one that you mean?"
    } else if statuses.contains(&405) || statuses.contains(&501) {
        "It refuses to make anything: if it is read-only, write a file with --force and declare that in [features]."
    } else {
        "Is the URL the protocol's root?"
    };
    let url = word(&run.target.shown);
    format!(
        "{said}\n  {advice}\n  `wireproof run {name} {url} --tier fast` shows all that it does otherwise."
    )
}

fn write(args: &Args, text: &str) -> Result<(), Failed> {
    let failed = |e: std::io::Error| Failed::usage(format!("{}: {e}", args.out.display()));
    let mut options = OpenOptions::new();
    if args.force {
        options.write(true).create(true).truncate(true);
    } else {
        options.write(true).create_new(true);
    }
    let mut file = options.open(&args.out).map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            let dir = args.out.parent().unwrap_or(&args.out);
            Failed::usage(format!("{}: there is no directory {}", args.out.display(), dir.display()))
        }
        _ => failed(e),
    })?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn summary(args: &Args, asked: &Asked) -> String {
    let file = args.out.display();
    let mut said = format!("{file} is written.");
    said += &match (&asked.run.unreachable, asked.passed == asked.tried) {
        (Some(_), _) => " The server was not reached: nothing in it was asked for.".to_owned(),
        (None, true) => {
            format!(" {} quick checks passed: it speaks {}.", asked.tried, asked.run.protocol.name)
        }
        (None, false) => format!(" {} of {} quick checks passed.", asked.passed, asked.tried),
    };
    let path = args.out.to_string_lossy();
    format!("{said}\nLook at it, then: wireproof run --target {}\n", word(&path))
}
