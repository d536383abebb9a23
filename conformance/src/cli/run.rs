//! `wireproof run`: test a target.

mod clients;
mod config;
mod dry;
mod progress;
mod tap;

use super::{Done, Failed, directory, nearest, print, protocol, report::site, say};
use crate::{
    embed,
    event::Event,
    exit,
    protocol::{Defect, Protocol},
    report::{Outcome, Report, files, html::Links, json, replay, terminal, transcript::word},
    run::{self, Settings, select},
    target::{
        Identity, Target,
        baseline::Baseline,
        client::Adapters,
        file::{self, Pace, RATES, Read, SCALES, TIMEOUTS_MS},
        proper,
    },
};
use clap::ValueEnum;
use progress::Progress;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{IsTerminal, LineWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use wireproof_spec::requirement::Level;

/// Test a target.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The protocol; a target file names its own, and with --reference none means every one.
    protocol: Option<String>,
    /// The protocol's root: http://HOST:PORT/v1/stream
    url: Option<String>,
    /// A target file: where the target is, what it has, how it is started (spec/target.md).
    #[arg(long, value_name = "FILE", conflicts_with = "reference")]
    target: Option<PathBuf>,
    /// Test a client: what stands behind `--` starts its adapter (spec/adapter.md).
    #[arg(long, requires_all = ["protocol", "command"], conflicts_with_all = ["url", "target", "reference"])]
    client: bool,
    /// The program that is the adapter of a client, and its arguments.
    #[arg(last = true, value_name = "COMMAND", requires = "client")]
    command: Vec<String>,
    /// Test the embedded reference, over the wire: the demonstration.
    #[arg(long, conflicts_with = "url")]
    reference: bool,
    /// Which variant of the reference; otherwise the one that survives restarts, so that everything can be seen.
    #[arg(long, requires = "reference")]
    variant: Option<String>,
    /// Break the reference in this way.
    #[arg(long, value_name = "ID", requires = "reference")]
    defect: Option<String>,
    /// Only checks, requirements and features that match; may be repeated. `*` matches slashes too.
    #[arg(long, value_name = "GLOB")]
    only: Vec<String>,
    /// Only requirements of this level or a stronger one.
    #[arg(long)]
    level: Option<LevelArg>,
    /// `fast` leaves out checks that have to wait for more than about a second on this target; otherwise full.
    #[arg(long)]
    tier: Option<Tier>,
    /// What the target has; may be repeated. `auto` takes a declaration of the target file back.
    #[arg(long, value_name = "NAME=on|off|auto|VALUE")]
    feature: Vec<String>,
    /// What the target says about itself in numbers; may be repeated: long-poll-ms=500
    #[arg(long, value_name = "NAME=NUMBER")]
    limit: Vec<String>,
    /// How many checks run at once; otherwise what the target file says, or 16.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// How many requests leave in a second, at most, over all connections; otherwise what the target file says, or as many as
    /// there are.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(RATES))]
    rate: Option<u32>,
    /// Have the target seem further away, to see that no verdict hangs on it: latency=MS and jitter=MS for all that goes and
    /// comes, pause=MS between one byte that comes and the next. May be repeated.
    #[arg(long, value_name = "NAME=MS", value_parser = tap::tap)]
    tap: Vec<tap::Tap>,
    /// From which the content of requests is made, where it is arbitrary; otherwise 1. Names are new in each run.
    #[arg(long, value_name = "NUMBER", value_parser = seed, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// How long an answer may take that has no reason to wait, in milliseconds; otherwise 5000.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(TIMEOUTS_MS))]
    timeout: Option<u64>,
    /// Multiplies every wait of ours: greater than 1 for a slow target or a busy machine. Otherwise what the target file says,
    /// or 1.
    #[arg(long, value_name = "X", value_parser = scale)]
    time_scale: Option<f64>,
    /// A header of every request; its value is kept out of every report. May be repeated.
    #[arg(long, value_name = "NAME: env:VAR|file:PATH|VALUE")]
    header: Vec<String>,
    /// A broken SHOULD counts in the exit code.
    #[arg(long)]
    strict: bool,
    /// Stop at the first failure that the baseline does not excuse. What was not seen then is inconclusive.
    #[arg(long)]
    fail_fast: bool,
    /// Show every setting with its value and where it comes from, and test nothing. A target that is running is asked what it
    /// has, unless --dry-run forbids that.
    #[arg(long, conflicts_with_all = ["out", "quiet", "verbose", "fail_fast"])]
    show_config: bool,
    /// Tell which checks would run and why the others would not. Nothing is started, and nothing is sent.
    #[arg(long, conflicts_with_all = ["out", "verbose", "fail_fast"])]
    dry_run: bool,
    /// Write events.jsonl, result.json, junit.xml, report.html and summary.md into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the specification is published: a site with a page for each protocol, such as stream.html, to which report.html
    /// then links.
    #[arg(long, value_name = "URL", value_parser = site, requires = "out")]
    spec_site: Option<String>,
    /// Print the machine form, alone.
    #[arg(long)]
    json: bool,
    /// Print only the first line, and no progress.
    #[arg(long)]
    quiet: bool,
    /// Tell of each check as it ends: its verdict, how long it took, what was seen. On stderr, beside the report.
    #[arg(long, conflicts_with = "quiet")]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelArg {
    Must,
    Should,
    May,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tier {
    Fast,
    Full,
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if SCALES.contains(&scale) => Ok(scale),
        _ => Err("give a number from 0.01 to 100".into()),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("give a whole number from 0 to {}", u64::MAX))
}

/// What is tested, and what its owner knows about it.
struct Chosen {
    protocol: &'static Protocol,
    target: Target,
    baseline: Baseline,
    pace: Pace,
    again: String,
    /// What stands behind all options in the command that does this again.
    behind: Option<String>,
}

/// Tests a target.
pub(super) async fn run(protocols: &[&'static Protocol], args: Args) -> Done {
    let mut settings = settings(&args)?;
    if args.dry_run || args.show_config {
        return look(protocols, &args, settings).await;
    }
    let outputs = Outputs::open(&args)?;
    settings.interrupt = Some(interrupt());
    let mut reports = Vec::new();
    for chosen in plan(protocols, &args)? {
        let mut stopped = settings.interrupt.clone();
        let chosen = tokio::select! {
            chosen = chosen.start(&args, true) => chosen?,
            () = ended(&mut stopped) => return Err(Failed::unknown("interrupted before the target was there")),
        };
        let fail_fast = args.fail_fast.then(|| Arc::new(chosen.baseline.clone()));
        let settings = Settings {
            again: Some(chosen.again),
            behind: chosen.behind,
            fail_fast,
            ..paced(settings.clone(), &args, chosen.pace)
        };
        let mut progress = Progress::new(!args.quiet && !args.json, args.verbose);
        let bar = progress.bar();
        let mut written = outputs.listener();
        let seen = move |event: &Event| {
            progress.see(event);
            written(event);
        };
        let finished =
            run::run(chosen.protocol, chosen.target, settings, seen).await.map_err(Failed::harness)?;
        bar.finish_and_clear();
        reports.push(Report::new(&finished, &chosen.baseline));
    }
    let outcome = Outcome::of(reports);
    outputs.write(&outcome)?;
    show(&outcome, args.json, args.quiet)?;
    Ok(outcome.exit_code())
}

/// Shows what a run would do, and does not do it.
async fn look(protocols: &[&'static Protocol], args: &Args, settings: Settings) -> Done {
    let (mut shown, mut plans) = (Vec::new(), Vec::new());
    for planned in plan(protocols, args)? {
        let is_running = planned.is_running();
        let chosen = planned.start(args, false).await?;
        let settings = paced(settings.clone(), args, chosen.pace);
        if args.show_config {
            let asks = is_running && !args.dry_run;
            shown.push(config::of(args, &chosen, settings.clone(), asks).await?);
        }
        if args.dry_run {
            plans.push(dry::Plan::of(chosen.protocol, &chosen.target, &settings));
        }
    }
    let paint = terminal::Paint::for_terminal(std::io::stdout().is_terminal());
    if args.json {
        let value = match (args.show_config, args.dry_run) {
            (true, true) => serde_json::json!({"config": shown, "plan": plans}),
            (true, false) => serde_json::json!(shown),
            _ => serde_json::json!(plans),
        };
        print(&super::json(&value)?);
    } else {
        let texts = shown.iter().map(config::Config::text);
        let texts: Vec<String> = texts.chain(plans.iter().map(|plan| plan.text(args.quiet, paint))).collect();
        print(&texts.join("\n"));
    }
    let nothing = args.dry_run && plans.iter().all(dry::Plan::is_empty);
    Ok(if nothing { exit::UNKNOWN } else { exit::OK })
}

/// Prints what came of it.
pub(super) fn show(outcome: &Outcome, as_json: bool, quiet: bool) -> Result<(), Failed> {
    if as_json {
        print(&json::text(outcome).map_err(|e| Failed::harness(e.to_string()))?);
        return Ok(());
    }
    let paint = terminal::Paint::for_terminal(std::io::stdout().is_terminal());
    for report in outcome.runs() {
        let text = terminal::text(report, paint);
        let first = text.lines().next().unwrap_or_default();
        print(&if quiet { format!("{first}\n") } else { text });
    }
    Ok(())
}

/// A run that is still to be started.
struct Planned {
    protocol: &'static Protocol,
    from: From,
}

enum From {
    Reference,
    Url(String),
    Client(Vec<String>),
    File(Box<Read>, Option<String>),
}

fn plan(protocols: &[&'static Protocol], args: &Args) -> Result<Vec<Planned>, Failed> {
    let named = args.protocol.as_deref().map(|name| named(protocols, name)).transpose()?;
    if args.reference {
        let all = named.map_or_else(|| protocols.to_vec(), |one| vec![one]);
        return Ok(all.into_iter().map(|protocol| Planned { protocol, from: From::Reference }).collect());
    }
    if let Some(path) = &args.target {
        let read = file::read(path).map_err(Failed::usage)?;
        let own = protocol(protocols, &read.file.protocol)
            .map_err(|e| Failed::usage(format!("the target file {}: {}", path.display(), e.message)))?;
        if let Some(named) = named.filter(|named| named.name != own.name) {
            let (file, said) = (path.display(), own.name);
            return Err(Failed::usage(format!(
                "the target file {file} is for {said}, not for {}",
                named.name
            )));
        }
        if read.file.client.is_some() {
            clients::fits(args)?;
        }
        if args.url.is_some() && read.file.launch.is_some() {
            return Err(Failed::usage(
                "the target file starts the target itself, at its own `url`; leave out the URL, or [launch]",
            ));
        }
        return Ok(vec![Planned { protocol: own, from: From::File(Box::new(read), args.url.clone()) }]);
    }
    if let (Some(protocol), true) = (named, args.client) {
        clients::fits(args)?;
        return Ok(vec![Planned { protocol, from: From::Client(args.command.clone()) }]);
    }
    match (named, &args.url) {
        (Some(protocol), Some(url)) => Ok(vec![Planned { protocol, from: From::Url(url.clone()) }]),
        (Some(protocol), None) => Err(Failed::usage(format!(
            "what is to be tested? `wireproof run {} URL` with the protocol's root, or --target FILE, or --client -- COMMAND, or --reference",
            protocol.name
        ))),
        (None, _) => {
            let here = if Path::new(INIT).exists() {
                ". wireproof.toml is here: --target wireproof.toml"
            } else {
                ""
            };
            Err(Failed::usage(format!(
                "what is to be tested? `wireproof run PROTOCOL URL`, or --target FILE, or --reference{here}"
            )))
        }
    }
}

/// What `wireproof init` writes, unless it is told otherwise.
const INIT: &str = "wireproof.toml";

/// The protocol of this name; something else in its place is told from a wrong name.
fn named(protocols: &[&'static Protocol], name: &str) -> Result<&'static Protocol, Failed> {
    if name.contains("://") {
        return Err(Failed::usage(format!(
            "`{name}` is a URL, and the protocol comes first: `wireproof run PROTOCOL {}`",
            word(name)
        )));
    }
    if name.ends_with(".toml") {
        return Err(Failed::usage(format!("`{name}` is a file: `wireproof run --target {}`", word(name))));
    }
    protocol(protocols, name)
}

/// Tells of patterns that match nothing, which is more likely a slip than a wish.
fn tell_of_idle_patterns(protocol: &Protocol, patterns: &[String]) -> Result<(), Failed> {
    for pattern in patterns {
        let one = std::slice::from_ref(pattern);
        let Some(set) = select::globs(one).map_err(Failed::usage)? else { continue };
        let ids = protocol.requirements().iter().map(|r| r.id.as_str());
        let features = protocol.features.iter().map(|f| f.name);
        let names: Vec<&str> = protocol.checks().map(|c| c.name).chain(ids).chain(features).collect();
        if names.iter().any(|name| set.is_match(name)) {
            continue;
        }
        let near = nearest(pattern, names.into_iter());
        let hint = if near.is_empty() {
            "it takes ids of checks, requirements and features".to_owned()
        } else {
            format!("did you mean {}?", near.join(", "))
        };
        say(&format!("--only {} matches nothing of {}; {hint}", word(pattern), protocol.name));
    }
    Ok(())
}

impl Planned {
    /// Whether it is there without being started.
    fn is_running(&self) -> bool {
        !matches!(&self.from, From::File(read, _) if read.file.launch.is_some())
    }

    /// The target; one that a file launches is started only if it is meant.
    async fn start(self, args: &Args, is_meant: bool) -> Result<Chosen, Failed> {
        let Planned { protocol, from } = self;
        let (mut baseline, mut again, mut behind) = (Baseline::default(), String::new(), None);
        let mut pace = Pace::default();
        // What is wrong with the options is said before anything is started.
        let declared = declared(protocol, args)?;
        tell_of_idle_patterns(protocol, &args.only)?;
        let mut target = match from {
            From::Reference => {
                let reference = protocol.trial.reference;
                let variant = variant(protocol, args)?;
                let defect = args.defect.as_deref();
                again = format!("run --reference {} --variant {variant}", protocol.name);
                again.extend(defect.map(|id| format!(" --defect {}", word(id))));
                if !args.json && !args.quiet {
                    say(&format!("testing the embedded reference of {}, variant {variant}", protocol.name));
                }
                let mut target = reference.start(variant, defect).await.map_err(Failed::unknown)?;
                let name = format!("wireproof reference, {variant}");
                target.implementation = Some((name, env!("CARGO_PKG_VERSION").into()));
                target
            }
            From::Url(url) => {
                let target = Target::server(&url).map_err(Failed::usage)?;
                again = format!("run {} {}", protocol.name, word(&url));
                target
            }
            From::Client(words) => {
                again = format!("run {} --client", protocol.name);
                let shown = words.iter().map(|w| word(w)).collect::<Vec<_>>().join(" ");
                let here = PathBuf::from(".");
                let adapters = Adapters::new(protocol.name, words, here, BTreeMap::new(), &[]);
                let target = Target::client(&shown, Arc::new(adapters.map_err(Failed::unknown)?));
                behind = Some(shown);
                target
            }
            From::File(mut read, url) => {
                let stays_away = !is_meant && dry::unlaunch(&mut read.file);
                baseline = read.baseline(protocol).map_err(Failed::usage)?;
                pace = read.file.pace;
                let path = args.target.as_deref().unwrap_or(Path::new("wireproof.toml"));
                again += &format!("run {}", protocol.name);
                again.extend(url.as_deref().map(|url| format!(" {}", word(url))));
                again += &format!(" --target {}", word(&path.to_string_lossy()));
                let target = read.target(protocol, url.as_deref()).await.map_err(|failed| match failed {
                    file::Failed::File(why) => Failed::usage(why),
                    file::Failed::Start(why) => Failed::unknown(why),
                })?;
                if stays_away { target.hooks(Arc::new(dry::Promised)) } else { target }
            }
        };
        for (name, value) in declared {
            again += &crate::report::transcript::declaration(protocol, &name, &value);
            if value == "auto" {
                target.declared.remove(&name);
            } else {
                target = target.declare(&name, value);
            }
        }
        for given in &args.header {
            let (with, name, value, is_pointer) = header(target, given)?;
            target = with;
            let shown = if is_pointer { &value } else { "[redacted]" };
            again += &format!(" --header {}", word(&format!("{name}: {shown}")));
        }
        target = target.distance(tap::distance(&args.tap));
        again.extend(args.tap.iter().map(|tap| format!(" --tap {tap}")));
        again.extend(args.timeout.filter(|ms| *ms != 5_000).map(|ms| format!(" --timeout {ms}")));
        again.extend(args.rate.map(|rate| format!(" --rate {rate}")));
        again.extend(args.time_scale.map(|scale| format!(" --time-scale {scale}")));
        Ok(Chosen { protocol, target, baseline, pace, again, behind })
    }
}

/// The target with a header as `--header` gives it; the name, the value, and whether that says where the value is.
pub(super) fn header(target: Target, given: &str) -> Result<(Target, String, String, bool), Failed> {
    let (name, value) = given
        .split_once(':')
        .map(|(name, value)| (name.trim(), value.trim()))
        .ok_or_else(|| Failed::usage("--header takes 'NAME: VALUE', 'NAME: env:VAR' or 'NAME: file:PATH'"))?;
    let target = file::header(target, Identity::First, name, value, Path::new("."))
        .map_err(|e| Failed::usage(format!("--header: {e}")))?;
    let is_pointer = value.starts_with("env:") || value.starts_with("file:");
    Ok((target, name.to_owned(), value.to_owned(), is_pointer))
}

/// The variant that was asked for; otherwise the one that the defect breaks, or the one that survives restarts.
fn variant<'a>(protocol: &Protocol, args: &'a Args) -> Result<&'a str, Failed> {
    let variants = protocol.trial.reference.variants();
    let broken = |d: &&'static Defect| Some(d.id) == args.defect.as_deref();
    let defect = (protocol.trial.defects)().into_iter().find(broken);
    if let (Some(id), None) = (&args.defect, defect) {
        return Err(Failed::usage(format!("there is no defect `{id}`; `wireproof list defects` shows all")));
    }
    let wanted = args.variant.as_deref().or(defect.map(|d| d.variant)).unwrap_or(embed::DURABLE);
    match variants.iter().find(|v| **v == wanted) {
        Some(found) => Ok(found),
        None if args.variant.is_none() => {
            variants.first().copied().ok_or_else(|| Failed::harness("the reference has no variant"))
        }
        None => Err(Failed::usage(format!(
            "the reference of {} has no variant `{wanted}`; it has {}",
            protocol.name,
            variants.join(", ")
        ))),
    }
}

fn declared(protocol: &Protocol, args: &Args) -> Result<Vec<(String, String)>, Failed> {
    let pairs = args.feature.iter().chain(&args.limit).map(|text| {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failed::usage(format!("`{text}` declares nothing; give NAME=VALUE")))?;
        if value != "auto" || !protocol.features.iter().any(|f| f.name == name) {
            proper(protocol, name, value).map_err(Failed::usage)?;
        }
        Ok((name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

/// With the pace of the command line, or else of the target file.
fn paced(mut settings: Settings, args: &Args, pace: Pace) -> Settings {
    if let Some(jobs) = args.jobs.or(pace.jobs) {
        settings.jobs = usize::from(jobs);
    }
    settings.rate = args.rate.or(pace.rate);
    if let Some(scale) = args.time_scale.or(pace.time_scale) {
        settings.time_scale = scale;
    }
    settings
}

fn settings(args: &Args) -> Result<Settings, Failed> {
    let default = Settings::default();
    Ok(Settings {
        seed: args.seed.unwrap_or(default.seed),
        timeout: args.timeout.map_or(default.timeout, Duration::from_millis),
        only: select::globs(&args.only).map_err(|e| Failed::usage(format!("--only: {e}")))?,
        patterns: args.only.clone(),
        level: args.level.map(|level| match level {
            LevelArg::Must => Level::Must,
            LevelArg::Should => Level::Should,
            LevelArg::May => Level::May,
        }),
        fast: args.tier == Some(Tier::Fast),
        strict: args.strict,
        ..default
    })
}

/// Becomes true at Ctrl-C, or when somebody asks the process to end.
fn interrupt() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        if super::serve::asked_to_end().await.is_ok() {
            let _ = stop.send(true);
        }
        // Kept, so that the other end goes on waiting for a value and not for nobody.
        stop.closed().await;
    });
    stopped
}

async fn ended(stopped: &mut Option<watch::Receiver<bool>>) {
    if let Some(stopped) = stopped
        && stopped.wait_for(|stop| *stop).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// The files of `--out`.
struct Outputs {
    dir: Option<PathBuf>,
    links: Links,
    events: Arc<Mutex<Log>>,
}

/// The log of events, and the first reason why it could not be written.
#[derive(Default)]
struct Log {
    file: Option<LineWriter<File>>,
    failed: Option<std::io::Error>,
}

impl Outputs {
    fn open(args: &Args) -> Result<Self, Failed> {
        let mut log = Log::default();
        if let Some(dir) = &args.out {
            let failed = |e| Failed::usage(format!("--out {}: {e}", dir.display()));
            directory(dir)?;
            log.file = Some(LineWriter::new(File::create(dir.join(replay::EVENTS)).map_err(failed)?));
        }
        let links = Links { site: args.spec_site.clone() };
        Ok(Self { dir: args.out.clone(), links, events: Arc::new(Mutex::new(log)) })
    }

    /// Writes each event as it happens: what is known survives a crash.
    fn listener(&self) -> impl FnMut(&Event) + Send + 'static {
        let log = self.events.clone();
        move |event| {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(file) = &mut log.file else { return };
            let written = serde_json::to_vec(event).map_err(std::io::Error::from).and_then(|mut line| {
                line.push(b'\n');
                file.write_all(&line)
            });
            if let Err(e) = written {
                log.failed.get_or_insert(e);
            }
        }
    }

    fn write(&self, outcome: &Outcome) -> Result<(), Failed> {
        let Some(dir) = &self.dir else { return Ok(()) };
        files::write(dir, outcome, &self.links).map_err(Failed::harness)?;
        let log = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let file = dir.join(replay::EVENTS);
        let failed = |e| Failed::harness(format!("{} cannot be written: {e}", file.display()));
        log.failed.as_ref().map_or(Ok(()), |e| Err(failed(e)))
    }
}
