//! From the log of a run back to the run: so that one that was interrupted, or crashed, can still be reported, and so that
//! anybody can compute its verdicts again.

use crate::{
    check::{Body, BoxFuture, Check},
    event::{Event, Source, What},
    frame::frames,
    protocol::Protocol,
    run::{Checked, Finished, Settings},
    target::{
        Features, Target, Tls, Via,
        file::{SCALES, TIMEOUTS_MS},
    },
    verdict::{self, Verdict},
    wire::app::{Apps, Pipe},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use wireproof_spec::requirement::Level;

/// The name of the log in the directory of `--out`.
pub const EVENTS: &str = "events.jsonl";

/// Reads a log: the file itself, or the directory of `--out` that holds it. A last line that was cut off is left out.
///
/// # Errors
/// The file cannot be read, or a line of it is no event.
pub fn read(path: &Path) -> Result<Vec<Event>, String> {
    let file = if path.is_dir() { path.join(EVENTS) } else { path.to_owned() };
    let shown = file.display();
    let text = std::fs::read_to_string(&file)
        .map_err(|e| format!("{shown}: {e}; give the directory of `run --out`, or its {EVENTS}"))?;
    parse(&text).map_err(|(line, e)| format!("{shown}:{line}: this line is no event: {e}"))
}

/// Reads the text of a log. A last line that was cut off is left out.
///
/// # Errors
/// The first line that is no event, counted from 1, and why it is none.
pub(crate) fn parse(text: &str) -> Result<Vec<Event>, (usize, serde_json::Error)> {
    let mut events = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            // The run ended while it wrote this line.
            Err(_) if !line.ends_with('\n') => {}
            Err(e) => return Err((index + 1, e)),
        }
    }
    Ok(events)
}

/// The runs of a log, in their order.
///
/// # Errors
/// A log that begins with no run, or with one of a protocol that these are not.
pub fn runs(protocols: &[&'static Protocol], events: Vec<Event>) -> Result<Vec<Finished>, String> {
    let mut each: Vec<Vec<Arc<Event>>> = Vec::new();
    for event in events {
        if matches!(event.what, What::RunStarted { .. }) {
            each.push(Vec::new());
        }
        let run = each.last_mut().ok_or("the log does not begin with the start of a run")?;
        run.push(Arc::new(event));
    }
    if each.is_empty() {
        return Err("the log is empty: there is nothing to report".into());
    }
    each.into_iter().map(|events| finished(protocols, events)).collect()
}

fn finished(protocols: &[&'static Protocol], mut events: Vec<Arc<Event>>) -> Result<Finished, String> {
    events.sort_by_key(|e| e.seq);
    let Some(What::RunStarted { protocol, target, settings }) = events.first().map(|e| e.what.clone()) else {
        return Err("the log does not begin with the start of a run".into());
    };
    let protocol = *protocols
        .iter()
        .find(|p| p.name == protocol)
        .ok_or_else(|| format!("the log is of the protocol {protocol}, which this suite does not have"))?;
    let target = tested(&target, &settings, &events)?;
    let settings = read_settings(protocol, &settings)?;
    let end = events.iter().find_map(|e| match &e.what {
        What::RunFinished { interrupted, unreachable, left, stopped_at, round_trip_us } => {
            let round_trip = round_trip_us.map(Duration::from_micros);
            Some((*interrupted, unreachable.clone(), left.clone(), stopped_at.clone(), round_trip))
        }
        _ => None,
    });
    // Without an end it was not even interrupted in order.
    let (interrupted, unreachable, left, stopped_at, round_trip) =
        end.unwrap_or((true, None, Vec::new(), None, None));
    let took = Duration::from_micros(events.last().map_or(0, |e| e.at_us));
    Ok(Finished {
        protocol,
        features: features(&events),
        checks: checks(protocol, &events),
        target,
        settings,
        round_trip,
        events,
        interrupted,
        unreachable,
        left,
        stopped_at,
        took,
    })
}

fn tested(shown: &str, settings: &BTreeMap<String, String>, events: &[Arc<Event>]) -> Result<Target, String> {
    let is_client = settings.get("role").is_some_and(|role| role == "client");
    let mut target = if is_client { Target::client(shown, Arc::new(Past)) } else { Target::server(shown)? };
    let path = |name| settings.get(name).map(PathBuf::from);
    // For the commands that show it again: nothing is dialled.
    target.via = Via { socket: path("socket"), tls: Tls { ca: path("ca") } };
    target.implementation = settings
        .get("implementation")
        .map(|name| (name.clone(), settings.get("version").cloned().unwrap_or_default()));
    for (name, value, source) in features(events).iter() {
        if source == Source::Declared {
            target = target.declare(name, value);
        }
    }
    Ok(target)
}

/// The adapter of a client that was tested once.
struct Past;

impl Apps for Past {
    fn start(&self) -> BoxFuture<'_, io::Result<Box<dyn Pipe>>> {
        Box::pin(async { Err(io::Error::other("the run is over")) })
    }
}

fn features(events: &[Arc<Event>]) -> Features {
    let known = events.iter().filter_map(|e| match &e.what {
        What::Feature { name, value, source } => Some((name.clone(), value.clone(), *source)),
        _ => None,
    });
    known.collect()
}

fn read_settings(protocol: &Protocol, written: &BTreeMap<String, String>) -> Result<Settings, String> {
    fn number<T: std::str::FromStr>(written: &BTreeMap<String, String>, name: &str, other: T) -> T {
        written.get(name).and_then(|value| value.parse().ok()).unwrap_or(other)
    }
    let default = Settings::default();
    let patterns: Vec<String> =
        written.get("only").map(|p| p.split(' ').map(str::to_owned).collect()).unwrap_or_default();
    // No run had others; what a log claims is not to be counted with.
    let pace = written.get("time scale").and_then(|scale| scale.parse().ok());
    let time_scale = pace.filter(|scale| (0.0..=*SCALES.end()).contains(scale)).unwrap_or(default.time_scale);
    let timeout = number(written, "timeout ms", 5_000).min(*TIMEOUTS_MS.end());
    let names = written.get("names").map(|names| {
        let names: BTreeSet<&str> = names.split(' ').collect();
        protocol.checks().map(|c| c.name).filter(|name| names.contains(name)).collect()
    });
    Ok(Settings {
        seed: number(written, "seed", default.seed),
        jobs: number(written, "jobs", default.jobs),
        rate: written.get("rate").and_then(|rate| rate.parse().ok()),
        timeout: Duration::from_millis(timeout),
        time_scale,
        only: crate::run::select::globs(&patterns)?,
        patterns,
        names,
        level: written.get("level").and_then(|level| Level::parse(level)),
        fast: written.get("tier").is_some_and(|tier| tier == "fast"),
        strict: number(written, "strict", false),
        date: written.get("date").and_then(|date| date.parse().ok()),
        again: written.get("again").cloned(),
        behind: written.get("behind").cloned(),
        ..default
    })
}

fn checks(protocol: &'static Protocol, events: &[Arc<Event>]) -> Vec<Checked> {
    let mut by_check: BTreeMap<&str, Vec<Arc<Event>>> = BTreeMap::new();
    for event in events {
        if let Some(check) = &event.check {
            let own = by_check.entry(check).or_default();
            if matches!(event.what, What::CheckStarted { .. }) {
                // One that was driven twice is told by the second time.
                own.clear();
            }
            own.push(event.clone());
        }
    }
    let drives = protocol.checks().filter(|c| matches!(c.body, Body::Drives(_)));
    let all = verdict::observations(drives.filter_map(|c| by_check.get(c.name)).flatten());
    protocol.checks().map(|c| checked(protocol, c, by_check.remove(c.name), (&all, events))).collect()
}

fn checked(
    protocol: &'static Protocol,
    check: &'static Check,
    events: Option<Vec<Arc<Event>>>,
    (all, of_all): (&BTreeSet<u64>, &[Arc<Event>]),
) -> Checked {
    let left_out = |verdict, why: &str| Checked::left_out(check, verdict, why.to_owned());
    let Some(mut events) = events else {
        return left_out(Verdict::Inconclusive, "the run ended before this check");
    };
    for event in &events {
        if let What::LeftOut { verdict, why } = &event.what {
            let verdict = Verdict::ALL.into_iter().find(|v| v.name() == verdict);
            return left_out(verdict.unwrap_or(Verdict::Inconclusive), why);
        }
    }
    let took = events.iter().find_map(|e| match &e.what {
        What::CheckFinished { ms, .. } => Some(Duration::from_millis(*ms)),
        _ => None,
    });
    if took.is_none()
        && let Some(last) = events.last()
    {
        let what = What::Stopped { why: "the run ended during this check".into(), unreachable: false };
        let cut = Event { seq: last.seq, at_us: last.at_us, check: Some(check.name.into()), what };
        events.push(Arc::new(cut));
    }
    let own = verdict::observations(&events);
    let (observations, about) =
        if matches!(check.body, Body::Observes(_)) { (all, of_all) } else { (&own, &events[..]) };
    let names = check.requirements.iter().map(|id| id.as_str());
    let verdict = verdict::fold(names, |id| protocol.level(id), &events, observations);
    let frames = frames(protocol.name, &events, about);
    Checked { check, verdict, reason: None, took: took.unwrap_or_default(), events, frames }
}
