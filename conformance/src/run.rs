//! One run: which checks, in which lanes, within which budgets; what came of it.

mod checked;
mod lane;
pub mod schemas;
pub mod select;
mod settings;

use crate::{
    check::{Body, Check, Cx, Hook, Lane, Need, Waits},
    event::{Event, Log, Sink, What},
    frame::frames,
    observers::{Observed, Told},
    protocol::{Declined, Protocol, Stimulus},
    redact::Redaction,
    target::{Fault, Features, Kind, Target},
    verdict::{self, Verdict},
    wire::{
        Link,
        limit::Times,
        pace::Pace,
        sweep::{Left, Made},
    },
};
pub use checked::Checked;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use schemas::Schemas;
use select::Choice;
pub use settings::Settings;
use sha2::{Digest, Sha256};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{BuildHasher, RandomState},
    net::Ipv4Addr,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    task::{Id, JoinSet},
    time::{Instant, timeout},
};

/// What came of a run.
pub struct Finished {
    /// The protocol.
    pub protocol: &'static Protocol,
    /// The target, as shown.
    pub target: Target,
    /// What was known of it.
    pub features: Features,
    /// How it was done.
    pub settings: Settings,
    /// The round trip to the target, if it was measured.
    pub round_trip: Option<Duration>,
    /// What came of each check, in the order of the tables.
    pub checks: Vec<Checked>,
    /// Every event, in order.
    pub events: Vec<Arc<Event>>,
    /// Whether somebody ended it before its time.
    pub interrupted: bool,
    /// Why the target could not be reached.
    pub unreachable: Option<String>,
    /// The paths of what checks made and nobody could remove.
    pub left: Vec<String>,
    /// The check at whose failure it stopped, if it was to stop at the first.
    pub stopped_at: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Runs every check of a protocol that fits against a target. `seen` is told each event as it happens.
///
/// # Errors
/// A mistake of ours that no check can be blamed for, such as a schema that is none.
pub async fn run(
    protocol: &'static Protocol,
    target: Target,
    mut settings: Settings,
    seen: impl FnMut(&Event) + Send + 'static,
) -> Result<Finished, String> {
    let started = Instant::now();
    let date = *settings.date.get_or_insert_with(|| DateTime::<Utc>::from(SystemTime::now()).date_naive());
    settings.fail_fast = settings.fail_fast.map(|known| Arc::new(Arc::unwrap_or_clone(known).on(Some(date))));
    let schemas = protocol.validators()?;
    let (sink, events) = Sink::new(Redaction::new(&target.secrets));
    let collector = tokio::spawn(collect(events, seen));
    let mut runner = Runner::new(protocol, target, settings, sink);
    runner.start();
    let round_trip = runner.greet().await;
    runner.drive().await;
    runner.observe(schemas);
    let untold = runner.untold();
    runner.unreachable = runner.unreachable.take().or_else(|| runner.fell.take()).or(untold);
    let Runner {
        target,
        features,
        settings,
        sink,
        mut checked,
        unreachable,
        interrupted,
        left,
        stopped_at,
        ..
    } = runner;
    let left = left.take();
    sink.record(What::RunFinished {
        interrupted,
        unreachable: unreachable.clone(),
        left: left.clone(),
        stopped_at: stopped_at.clone(),
        round_trip_us: round_trip.and_then(|t| u64::try_from(t.as_micros()).ok()),
    });
    drop(sink);
    let mut events = collector.await.map_err(|e| format!("the collector of events ended: {e}"))?;
    events.sort_by_key(|event| event.seq);
    Ok(Finished {
        protocol,
        target: Arc::unwrap_or_clone(target),
        features: Arc::unwrap_or_clone(features),
        settings,
        round_trip,
        checks: protocol.checks().filter_map(|check| checked.remove(check.name)).collect(),
        events,
        interrupted,
        unreachable,
        left,
        stopped_at,
        took: started.elapsed(),
    })
}

async fn collect(
    mut events: tokio::sync::mpsc::UnboundedReceiver<Arc<Event>>,
    mut seen: impl FnMut(&Event) + Send,
) -> Vec<Arc<Event>> {
    let mut all = Vec::new();
    while let Some(event) = events.recv().await {
        seen(&event);
        all.push(event);
    }
    all
}

struct Runner {
    protocol: &'static Protocol,
    target: Arc<Target>,
    features: Arc<Features>,
    times: Times,
    pace: Option<Arc<Pace>>,
    /// How long the adapter of a client took to begin.
    begins: Duration,
    settings: Settings,
    sink: Sink,
    /// A number of this run: what it makes has other names than what another makes in the same target.
    number: u64,
    checked: BTreeMap<&'static str, Checked>,
    unreachable: Option<String>,
    interrupted: bool,
    left: Left,
    stopped_at: Option<String>,
    /// How often the target was started again because it stopped answering.
    revivals: usize,
    /// Under how many checks it did so when they were alone with it.
    ended_under: usize,
    /// That it did so under several checks together and under none of them alone.
    fell: Option<String>,
    /// That it did not start on what it kept when no check had asked for a restart.
    refuses: Option<String>,
}

/// The entry under which the runner itself talks to a target.
const GREETING: Check = Check::new("greeting", &[], Body::Observes(|_| {}));

impl Runner {
    fn new(protocol: &'static Protocol, target: Target, settings: Settings, sink: Sink) -> Self {
        Self {
            protocol,
            target: Arc::new(target),
            features: Arc::default(),
            times: Times::new(settings.timeout, settings.time_scale),
            pace: settings.rate.map(|rate| Arc::new(Pace::new(rate))),
            begins: Duration::ZERO,
            settings,
            sink,
            number: RandomState::new().hash_one(protocol.name),
            checked: BTreeMap::new(),
            unreachable: None,
            interrupted: false,
            left: Left::default(),
            stopped_at: None,
            revivals: 0,
            ended_under: 0,
            fell: None,
            refuses: None,
        }
    }

    fn start(&self) {
        self.sink.record(What::RunStarted {
            protocol: self.protocol.name.into(),
            target: self.target.shown.clone(),
            settings: self.settings.written(&self.target),
        });
    }

    /// Asks the target all that has to be known before it is tested, unless somebody interrupts that: how far away it is.
    async fn greet(&mut self) -> Option<Duration> {
        let round_trip = self.meet().await;
        let mut interrupt = self.settings.interrupt.clone();
        tokio::select! {
            () = self.adapt(round_trip) => return round_trip,
            () = lane::interrupted(&mut interrupt) => {}
        }
        self.interrupted = true;
        round_trip
    }

    /// What comes of this, unless somebody interrupts it.
    async fn unless_interrupted<T>(&mut self, asks: impl Future<Output = T>) -> Option<T> {
        let mut interrupt = self.settings.interrupt.clone();
        tokio::select! {
            answer = asks => return Some(answer),
            () = lane::interrupted(&mut interrupt) => {}
        }
        self.interrupted = true;
        None
    }

    /// Asks whether the target is there, how far away it is, and what it has.
    async fn meet(&mut self) -> Option<Duration> {
        let mut round_trip = None;
        let mut probed = Vec::new();
        if let Some(adapter) = self.target.adapter().filter(|_| !self.settings.bare) {
            let cx = self.cx(&GREETING, self.times.hook);
            let asked = Instant::now();
            let hello = self.unless_interrupted(adapter.hello(&cx.link)).await;
            self.begins = asked.elapsed();
            match hello.map(|hello| hello.map(|hello| self.protocol.told_by(&hello))) {
                Some(Ok(Ok(told))) => probed = told,
                Some(Ok(Err(why))) => self.unreachable = Some(why),
                Some(Err(_)) => self.unreachable = first_stop(&cx.log),
                None => {}
            }
        } else if !self.settings.bare && matches!(self.target.kind, Kind::Server(_)) {
            let cx = self.cx(&GREETING, self.times.check);
            let asked = Instant::now();
            let alive = timeout(self.times.answer, (self.protocol.alive)(&cx.link));
            let answer = self.unless_interrupted(alive).await;
            if answer.is_some_and(|answer| !matches!(answer, Ok(Some(_)))) {
                self.unreachable = Some(first_stop(&cx.log).unwrap_or_else(|| "it did not answer".into()));
            } else if !self.interrupted {
                round_trip = Some(asked.elapsed());
                let probe = timeout(self.times.check, (self.protocol.probe)(&cx));
                probed = self.unless_interrupted(probe).await.and_then(Result::ok).unwrap_or_default();
                // What was made until then is removed in any case.
                self.left.sweep(&cx.made, &cx.link, self.times.alive).await;
            }
        }
        let features = Features::gather(self.protocol, &self.target, probed);
        for (name, value, source) in features.iter() {
            self.sink.record(What::Feature { name: name.into(), value: value.into(), source });
        }
        self.features = Arc::new(features);
        round_trip
    }

    /// A target that is far away or slow gets more time for a check. One that answers one request after the other gets fewer
    /// checks at once: so many requests of ours may stand in one queue that its end would look like silence. So does one that
    /// takes few requests in a second.
    async fn adapt(&mut self, round_trip: Option<Duration>) {
        const REQUESTS: u32 = 500;
        const AT_ONCE: u32 = 16;
        if let Some(rate) = self.settings.rate {
            // Who has the only turn of a second leaves none to another.
            self.settings.jobs = self.settings.jobs.min(usize::try_from(rate).unwrap_or(usize::MAX)).max(1);
            let turns = REQUESTS.saturating_mul(u32::try_from(self.settings.jobs).unwrap_or(u32::MAX));
            self.times.check += Duration::from_secs(1) * turns / rate.max(1);
        }
        let Some(round_trip) = round_trip else { return };
        self.times.check = self.times.check.max(round_trip * REQUESTS);
        let fit = |each: Duration| {
            let queue = self.times.answer.as_micros() / (each * AT_ONCE).as_micros().max(1);
            usize::try_from(queue).unwrap_or(usize::MAX).max(1)
        };
        if fit(round_trip) < self.settings.jobs {
            // Far away, or slow? Those who ask together tell.
            let cx = self.cx(&GREETING, self.times.check);
            let asked = Instant::now();
            let all = (0..AT_ONCE).map(|_| timeout(self.times.answer, (self.protocol.alive)(&cx.link)));
            let is_there = |answer| matches!(answer, Ok(Some(_)));
            let each = match join_all(all).await.into_iter().all(is_there) {
                true => asked.elapsed().saturating_sub(round_trip) / AT_ONCE,
                false => round_trip,
            };
            self.settings.jobs = self.settings.jobs.min(fit(each));
        }
    }

    /// Drives the checks, lane by lane.
    async fn drive(&mut self) {
        let mut chosen: Vec<&'static Check> = Vec::new();
        for check in self.protocol.checks().filter(|c| matches!(c.body, Body::Drives(_))) {
            match select::choose(self.protocol, check, &self.target, &self.features, &self.settings) {
                Choice::Runs => chosen.push(check),
                Choice::Not(verdict, reason) => self.leave_out(check, verdict, reason),
            }
        }
        let idle = self.prove(&chosen).await;
        let mut lanes: BTreeMap<Lane, VecDeque<&'static Check>> = BTreeMap::new();
        for check in chosen {
            let why = idle.iter().find(|(stimulus, _)| needs(check, stimulus)).map(|(_, why)| why.clone());
            match why {
                Some(why) => self.leave_out(check, Verdict::Inconclusive, why),
                None => lanes.entry(check.lane).or_default().push_back(check),
            }
        }
        for (lane, queue) in lanes {
            let queue = self.in_turn(queue);
            let jobs = if lane == Lane::Shared { self.settings.jobs.max(1) } else { 1 };
            self.lane(lane, queue, jobs).await;
        }
    }

    /// Uses once each stimulus that one of these checks relies on; those that do nothing, and why that is so.
    async fn prove(&mut self, chosen: &[&'static Check]) -> Vec<(&'static Stimulus, String)> {
        let mut idle = Vec::new();
        if !self.goes_on() {
            return idle;
        }
        for stimulus in self.protocol.stimuli {
            if !chosen.iter().any(|check| needs(check, stimulus)) {
                continue;
            }
            let cx = self.cx(&GREETING, self.times.check + self.times.hook);
            let over = self.times.check + self.times.hook + self.times.answer;
            let why = match timeout(over, (stimulus.proof)(&cx)).await {
                Ok(Ok(())) => None,
                Ok(Err(_)) => Some(last_word(&cx.log.events())),
                Err(_) => Some(format!("nothing was seen of it within {} ms", over.as_millis())),
            };
            self.left.sweep(&cx.made, &cx.link, self.times.check).await;
            let why = why.map(|why| format!("the stimulus {} does not work: {why}", stimulus.name));
            idle.extend(why.map(|why| (stimulus, why)));
        }
        idle
    }

    fn observe(&mut self, schemas: &Schemas) {
        let observers = self.protocol.checks().filter(|c| matches!(c.body, Body::Observes(_)));
        let events: Vec<Arc<Event>> = self.checked.values().flat_map(|c| c.events.iter().cloned()).collect();
        let observations = verdict::observations(&events);
        let passed =
            self.checked.values().filter(|c| c.verdict == Verdict::Pass).map(|c| c.check.name).collect();
        let mut told = None;
        for check in observers {
            let Body::Observes(observe) = check.body else { continue };
            if let Choice::Not(verdict, reason) =
                select::choose(self.protocol, check, &self.target, &self.features, &self.settings)
            {
                self.leave_out(check, verdict, reason);
                continue;
            }
            let (log, since) = (self.sink.log(check.name), Instant::now());
            self.begin(check, &log);
            observe(&Observed {
                check,
                protocol: self.protocol,
                told: told.get_or_insert_with(|| Told::all(self.protocol, &events, &passed)),
                schemas,
                log: &log,
            });
            let is_claim = |e: &Arc<Event>| matches!(e.what, What::Met { .. } | What::Broken { .. });
            if let Some(declined) = self.declined(check)
                && !log.events().iter().any(is_claim)
            {
                // What the target does not take nobody saw it answer.
                log.record(What::Missing { what: declined.what.into() });
            }
            self.conclude(check, &log, since.elapsed(), &observations, &events);
        }
    }

    /// What the target may refuse to a check that is not about such refusals.
    fn declined(&self, check: &Check) -> Option<&'static Declined> {
        let needs = self.protocol.needs(check);
        self.protocol.declines.iter().find(|declined| {
            let (name, value) = declined.feature;
            let is_its_matter = needs.iter().any(|(need, _)| *need == Need::Feature(name, value));
            self.features.is(name, value) && !is_its_matter
        })
    }

    fn cx(&self, check: &'static Check, budget: Duration) -> Cx {
        let log = self.sink.log(check.name);
        if check.name != GREETING.name {
            self.begin(check, &log);
        }
        let deadline = Instant::now() + budget;
        let declined = self.declined(check);
        let (mut reach, pace) = (self.target.reach(), self.pace.clone());
        if check.needs.contains(&Need::Address) {
            let reach = Arc::make_mut(&mut reach);
            reach.way = reach.way.clone().from(own_address(self.number, check.name));
        }
        let link = Link::new(reach, log.clone(), self.times, deadline, self.protocol, declined, pace)
            .adapter(self.target.adapter());
        Cx {
            check,
            protocol: self.protocol,
            target: self.target.clone(),
            features: self.features.clone(),
            kept: tokio::sync::Mutex::new(crate::wire::http::Peer::new(link.clone())),
            link,
            log,
            seed: self.settings.seed,
            run: self.number,
            names: AtomicU64::new(0),
            made: Made::default(),
        }
    }

    /// How long a check may take: round trips, and what it has to wait for on this target.
    fn budget(&self, check: &Check) -> Duration {
        /// A check may start a process of its own, and wait for another one of all, while others do so too.
        const BEGINNINGS: u32 = 3;
        let acts = |need: &&Need| matches!(need, Need::Hook(_) | Need::Stimulus(_) | Need::Program);
        let hooks = check.needs.iter().filter(acts).count();
        self.times.check
            + self.waits(check)
            + self.begins * BEGINNINGS
            + self.target.hook_time(self.times) * u32::try_from(hooks).unwrap_or(1)
    }

    /// How long a check has a reason to wait, at most.
    fn waits(&self, check: &Check) -> Duration {
        match check.waits {
            Waits::Not => Duration::ZERO,
            Waits::Limit(name, times) => {
                Duration::from_millis(self.features.limit(name).unwrap_or(UNKNOWN_LIMIT_MS)) * times
                    + self.times.slack * times
            }
            Waits::Millis(ms) => Duration::from_millis(ms.into()) + self.times.slack,
        }
    }

    fn begin(&self, check: &Check, log: &Log) {
        let requirements = check.requirements.iter().map(ToString::to_string).collect();
        log.record(What::CheckStarted { requirements });
    }

    fn finish(&mut self, check: &'static Check, log: &Log, took: Duration) {
        let events = log.events();
        let observations = verdict::observations(&events);
        self.conclude(check, log, took, &observations, &events);
    }

    /// `all` holds the observations that its claims may be about.
    fn conclude(
        &mut self,
        check: &'static Check,
        log: &Log,
        took: Duration,
        observations: &BTreeSet<u64>,
        all: &[Arc<Event>],
    ) {
        let names = check.requirements.iter().map(|id| id.as_str());
        let verdict = verdict::fold(names, |id| self.protocol.level(id), &log.events(), observations);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        log.record(What::CheckFinished { verdict: verdict.name().into(), ms });
        let events = log.events();
        let frames = frames(self.protocol.name, &events, all);
        let checked = Checked { check, verdict, reason: None, took, events, frames };
        if self.stopped_at.is_none() && self.is_first_failure(&checked) {
            self.stopped_at = Some(check.name.to_owned());
        }
        self.checked.insert(check.name, checked);
    }

    fn leave_out(&mut self, check: &'static Check, verdict: Verdict, reason: String) {
        let why = reason.clone();
        self.sink.log(check.name).record(What::LeftOut { verdict: verdict.name().into(), why });
        self.checked.insert(check.name, Checked::left_out(check, verdict, reason));
    }
}

fn needs(check: &Check, stimulus: &Stimulus) -> bool {
    check.needs.contains(&Need::Stimulus(stimulus.name))
}

/// One of these and one of those, as long as there are some.
pub(crate) fn by_turns<T>(these: Vec<T>, those: Vec<T>) -> Vec<T> {
    let mut all = Vec::with_capacity(these.len() + those.len());
    let (mut these, mut those) = (these.into_iter(), those.into_iter());
    loop {
        let turn = [these.next(), those.next()];
        if turn.iter().all(Option::is_none) {
            return all;
        }
        all.extend(turn.into_iter().flatten());
    }
}

/// Drives one flow that is no check and claims nothing, and tells what happened.
///
/// # Errors
/// The flow stopped: why.
#[cfg(feature = "suites")]
pub(crate) async fn drive_alone(
    protocol: &'static Protocol,
    target: Target,
    settings: Settings,
    flow: for<'a> fn(&'a Cx) -> crate::check::BoxFuture<'a, crate::check::Outcome>,
) -> Result<Vec<Arc<Event>>, String> {
    let (sink, events) = Sink::new(Redaction::new(&target.secrets));
    let features = Arc::new(Features::gather(protocol, &target, Vec::new()));
    let runner = Runner { features, ..Runner::new(protocol, target, settings, sink) };
    let cx = runner.cx(&GREETING, runner.times.check);
    let outcome = flow(&cx).await;
    drop(events);
    match outcome {
        Ok(()) => Ok(cx.log.events()),
        Err(_) => Err(format!("an ordinary flow stopped: {}", last_word(&cx.log.events()))),
    }
}

/// Why a check was not driven to its end in a run that stopped at the first failure.
pub const STOPPED: &str = "the run stopped at the first failure";

/// Why a check was not driven to its end in a run that was interrupted.
pub const INTERRUPTED: &str = "the run was interrupted";

/// How long a wait may be for a limit that the target did not declare, in milliseconds.
pub const UNKNOWN_LIMIT_MS: u64 = 65_000;

fn first_stop(log: &Log) -> Option<String> {
    log.events().iter().find_map(|e| match &e.what {
        What::Stopped { why, .. } => Some(why.clone()),
        _ => None,
    })
}

/// The last thing that a check recorded about itself, for people.
pub(crate) fn last_word(events: &[Arc<Event>]) -> String {
    let word = events.iter().rev().find_map(|e| match &e.what {
        What::Broken { requirement, expected, actual, .. }
        | What::SetUp { requirement, expected, actual, .. } => {
            let expected: Vec<&str> = expected.iter().map(|e| e.name.as_str()).collect();
            Some(format!("{requirement}: expected {}; came {actual}", expected.join(" or ")))
        }
        What::Stopped { why, .. } => Some(why.clone()),
        What::Harness { message } => Some(message.clone()),
        _ => None,
    });
    word.unwrap_or_else(|| "no claim".into())
}
/// An address of the loopback network that no other check has, nor another run.
fn own_address(run: u64, check: &str) -> Ipv4Addr {
    let digest = Sha256::digest(format!("{run}/{check}"));
    // 127.0.0.0/16 has what listens.
    Ipv4Addr::new(127, digest[0].max(1), digest[1], digest[2].clamp(1, 254))
}
