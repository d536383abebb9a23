//! `wireproof run`: test a target.

use super::{Done, Failed, print, protocol, say};
use crate::{
    embed,
    event::{Event, What},
    protocol::{Defect, Protocol},
    report::{Outcome, Report, files, html::Links, json, replay, terminal, transcript::word},
    run::{self, Settings, select},
    target::{
        Target,
        baseline::Baseline,
        file::{self, Pace, RATES, Read, SCALES, TIMEOUTS_MS},
        proper,
    },
};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
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
    /// `fast` leaves out checks that have to wait for more than about a second on this target.
    #[arg(long, default_value = "full")]
    tier: Tier,
    /// What the target has; may be repeated. `auto` takes a declaration of the target file back.
    #[arg(long, value_name = "NAME=on|off|auto|VALUE")]
    feature: Vec<String>,
    /// What the target says about itself in numbers; may be repeated: long-poll-ms=500
    #[arg(long, value_name = "NAME=NUMBER")]
    limit: Vec<String>,
    /// How many checks run at once; otherwise what the target file says, or 16.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// How many requests leave in a second, at most, over all connections; otherwise what the target file says, or as many as
    /// there are.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(RATES))]
    rate: Option<u32>,
    /// From which names and tokens are made.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long an answer may take that has no reason to wait, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(TIMEOUTS_MS))]
    timeout: u64,
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
    /// Write events.jsonl, result.json, junit.xml, report.html and summary.md into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the machine form, alone.
    #[arg(long)]
    json: bool,
    /// Print only the first line, and no progress.
    #[arg(long)]
    quiet: bool,
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

/// What is tested, and what its owner knows about it.
struct Chosen {
    protocol: &'static Protocol,
    target: Target,
    baseline: Baseline,
    pace: Pace,
    again: String,
}

/// Tests a target.
pub(super) async fn run(protocols: &[&'static Protocol], args: Args) -> Done {
    let mut settings = settings(&args)?;
    let outputs = Outputs::open(&args)?;
    settings.interrupt = Some(interrupt());
    let mut reports = Vec::new();
    for chosen in plan(protocols, &args)? {
        let mut stopped = settings.interrupt.clone();
        let chosen = tokio::select! {
            chosen = chosen.start(&args) => chosen?,
            () = ended(&mut stopped) => return Err(Failed::unknown("interrupted before the target was there")),
        };
        let settings = Settings { again: Some(chosen.again), ..paced(settings.clone(), &args, chosen.pace) };
        let progress = progress(&args);
        let seen = outputs.listener(progress.clone());
        let finished =
            run::run(chosen.protocol, chosen.target, settings, seen).await.map_err(Failed::harness)?;
        progress.finish_and_clear();
        reports.push(Report::new(&finished, &chosen.baseline));
    }
    let outcome = Outcome::of(reports);
    outputs.write(&outcome)?;
    show(&outcome, args.json, args.quiet)?;
    Ok(outcome.exit_code())
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
    File(Box<Read>, Option<String>),
}

fn plan(protocols: &[&'static Protocol], args: &Args) -> Result<Vec<Planned>, Failed> {
    let named = args.protocol.as_deref().map(|name| protocol(protocols, name)).transpose()?;
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
        if args.url.is_some() && read.file.launch.is_some() {
            return Err(Failed::usage(
                "the target file starts the target itself, at its own `url`; leave out the URL, or [launch]",
            ));
        }
        return Ok(vec![Planned { protocol: own, from: From::File(Box::new(read), args.url.clone()) }]);
    }
    match (named, &args.url) {
        (Some(protocol), Some(url)) => Ok(vec![Planned { protocol, from: From::Url(url.clone()) }]),
        (Some(protocol), None) => Err(Failed::usage(format!(
            "what is to be tested? `wireproof run {} URL` with the protocol's root, or --target FILE, or --reference",
            protocol.name
        ))),
        (None, _) => Err(Failed::usage(
            "what is to be tested? `wireproof run PROTOCOL URL`, or --target FILE, or --reference",
        )),
    }
}

impl Planned {
    async fn start(self, args: &Args) -> Result<Chosen, Failed> {
        let Planned { protocol, from } = self;
        let (mut baseline, mut again) = (Baseline::default(), String::new());
        let mut pace = Pace::default();
        // What is wrong with the options is said before anything is started.
        let declared = declared(protocol, args)?;
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
            From::File(read, url) => {
                baseline = read.baseline(protocol).map_err(Failed::usage)?;
                pace = read.file.pace;
                let path = args.target.as_deref().unwrap_or(Path::new("wireproof.toml"));
                again += &format!("run {}", protocol.name);
                again.extend(url.as_deref().map(|url| format!(" {}", word(url))));
                again += &format!(" --target {}", word(&path.to_string_lossy()));
                read.target(protocol, url.as_deref()).await.map_err(|failed| match failed {
                    file::Failed::File(why) => Failed::usage(why),
                    file::Failed::Start(why) => Failed::unknown(why),
                })?
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
        for header in &args.header {
            let (name, value) =
                header.split_once(':').map(|(name, value)| (name.trim(), value.trim())).ok_or_else(|| {
                    Failed::usage("--header takes 'NAME: VALUE', 'NAME: env:VAR' or 'NAME: file:PATH'")
                })?;
            target = file::header(target, name, value, Path::new("."))
                .map_err(|e| Failed::usage(format!("--header: {e}")))?;
            let is_pointer = value.starts_with("env:") || value.starts_with("file:");
            let shown = if is_pointer { value } else { "[redacted]" };
            again += &format!(" --header {}", word(&format!("{name}: {shown}")));
        }
        again.extend((args.timeout != 5_000).then(|| format!(" --timeout {}", args.timeout)));
        again.extend(args.rate.map(|rate| format!(" --rate {rate}")));
        again.extend(args.time_scale.map(|scale| format!(" --time-scale {scale}")));
        Ok(Chosen { protocol, target, baseline, pace, again })
    }
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
    Ok(Settings {
        seed: args.seed,
        timeout: Duration::from_millis(args.timeout),
        only: select::globs(&args.only).map_err(|e| Failed::usage(format!("--only: {e}")))?,
        patterns: args.only.clone(),
        level: args.level.map(|level| match level {
            LevelArg::Must => Level::Must,
            LevelArg::Should => Level::Should,
            LevelArg::May => Level::May,
        }),
        fast: args.tier == Tier::Fast,
        strict: args.strict,
        ..Settings::default()
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

fn progress(args: &Args) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if args.quiet || args.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} checks, {elapsed}: {msg}") {
        bar.set_style(style);
    }
    bar
}

/// The files of `--out`.
struct Outputs {
    dir: Option<PathBuf>,
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
            std::fs::create_dir_all(dir).map_err(failed)?;
            log.file = Some(LineWriter::new(File::create(dir.join(replay::EVENTS)).map_err(failed)?));
        }
        Ok(Self { dir: args.out.clone(), events: Arc::new(Mutex::new(log)) })
    }

    /// Writes each event as it happens: what is known survives a crash.
    fn listener(&self, progress: ProgressBar) -> impl FnMut(&Event) + Send + 'static {
        let log = self.events.clone();
        move |event| {
            match &event.what {
                What::CheckStarted { .. } => progress.set_message(event.check.clone().unwrap_or_default()),
                What::CheckFinished { .. } => progress.inc(1),
                _ => {}
            }
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
        files::write(dir, outcome, &Links::default()).map_err(Failed::harness)?;
        let log = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let file = dir.join(replay::EVENTS);
        let failed = |e| Failed::harness(format!("{} cannot be written: {e}", file.display()));
        log.failed.as_ref().map_or(Ok(()), |e| Err(failed(e)))
    }
}
