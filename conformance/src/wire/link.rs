//! The way from a check to the target: where it is, how long to wait, and what to do when nothing comes.

use super::{
    Lost, Seen,
    app::{Adapter, Pipe},
    dial::{Speaks, Way},
    limit::{CHECK, Times, words},
    pace::{Pace, Waiting},
    tap::{Passed, Tap},
};
use crate::{
    check::Stop,
    event::{Log, Message, What},
    protocol::{Declined, Protocol},
};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use wireproof_spec::http::{Request, Response};

/// Where the target is.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Host, and port, as in `Host`.
    pub authority: String,
    /// What to connect to.
    pub way: Way,
    /// The path of the protocol's root, without a slash at its end.
    pub root: String,
    /// Headers that go with every request.
    pub headers: Vec<(String, String)>,
    /// Those of a second identity, which go instead of the first one's; none: the owner gave no second identity.
    pub second: Vec<(String, String)>,
    /// What the first and the second identity have as `Sec-WebSocket-Protocol`, which goes with handshakes alone, and only where
    /// a check says so; empty: nothing.
    pub tickets: [String; 2],
}

impl Reach {
    /// The URL of the protocol's root.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority, self.root)
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.way.is_secure() { "https" } else { "http" }
    }
}

/// Asks a target whether it is alive, and tells the event of its answer.
pub type Alive = for<'a> fn(&'a Link) -> Pin<Box<dyn Future<Output = Option<u64>> + Send + 'a>>;

/// The way to the target for one check.
#[derive(Clone)]
pub struct Link {
    pub(crate) reach: Arc<Reach>,
    pub(crate) log: Log,
    pub(crate) times: Times,
    /// After this moment nothing is waited for.
    pub(crate) deadline: Instant,
    pub(in crate::wire) protocol: &'static Protocol,
    /// What this target may refuse for good, and this check is not about.
    declined: Option<&'static Declined>,
    connections: Arc<AtomicU32>,
    heard: Arc<AtomicU64>,
    pace: Option<Arc<Pace>>,
    /// Whether the target was started for this check, and nobody else speaks with it.
    alone: bool,
    /// How many in this check wait for an answer.
    waiting: Arc<AtomicU32>,
    /// Whether the target was asked to end, and is not started again yet.
    ending: Arc<AtomicBool>,
    /// The adapter of the target, if that is a client.
    adapter: Option<Arc<Adapter>>,
}

/// A connection on which nothing is said.
pub(crate) struct Idle {
    stream: Option<Box<dyn Pipe>>,
    patience: Duration,
}

impl Idle {
    /// Whether it is still open.
    pub(crate) async fn is_open(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        timeout(self.patience, stream.read(&mut [0])).await.is_err()
    }
}

impl Link {
    pub(crate) fn new(
        reach: Arc<Reach>,
        log: Log,
        times: Times,
        deadline: Instant,
        protocol: &'static Protocol,
        declined: Option<&'static Declined>,
        pace: Option<Arc<Pace>>,
    ) -> Self {
        let (connections, heard, waiting) = Default::default();
        Self {
            reach,
            log,
            times,
            deadline,
            protocol,
            declined,
            connections,
            heard,
            pace,
            alone: false,
            waiting,
            ending: Arc::default(),
            adapter: None,
        }
    }

    /// To a target that was started for this check alone: if it stops answering, this check did it.
    pub(crate) fn alone(mut self, alone: bool) -> Self {
        self.alone = alone;
        self
    }

    /// Says that the target is asked to end, or that it is there again: an end of a connection in between needs no sign of life.
    pub(in crate::wire) fn ending(&self, ending: bool) {
        self.ending.store(ending, Ordering::Relaxed);
    }

    /// To a client behind this adapter, if it is one.
    pub(crate) fn adapter(mut self, adapter: Option<Arc<Adapter>>) -> Self {
        self.adapter = adapter;
        self
    }

    /// `queue`.
    pub(in crate::wire) fn protocol_name(&self) -> &'static str {
        self.protocol.name
    }

    /// Waits until a request may leave. What somebody in this check waits for leaves at once: it is made good by others.
    pub(in crate::wire) async fn turn(&self) {
        self.turn_by(self.deadline).await;
    }

    /// As [`Link::turn`], up to this moment.
    pub(in crate::wire) async fn turn_by(&self, until: Instant) {
        let Some(pace) = &self.pace else { return };
        let turn = pace.turn();
        if self.waiting.load(Ordering::Relaxed) == 0 {
            sleep_until(turn.min(until)).await;
        }
    }

    /// Takes a turn without waiting for it.
    pub(in crate::wire) fn take_turn(&self) {
        if let Some(pace) = &self.pace {
            pace.turn();
        }
    }

    /// Somebody in this check waits for an answer as long as this is kept.
    pub(in crate::wire) fn waiting(&self) -> Waiting {
        Waiting::new(&self.waiting)
    }

    /// The same way without the headers that go with every request.
    pub(crate) fn without_headers(&self) -> Self {
        let reach = Reach { headers: Vec::new(), ..(*self.reach).clone() };
        Self { reach: Arc::new(reach), ..self.clone() }
    }

    /// The same way without this one of the headers that go with every request.
    pub(crate) fn without_header(&self, header: &str) -> Self {
        let headers = self.reach.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(header));
        let reach = Reach { headers: headers.cloned().collect(), ..(*self.reach).clone() };
        Self { reach: Arc::new(reach), ..self.clone() }
    }

    /// The same way with the headers of the second identity; without one there is nothing to go with.
    pub(crate) fn with_second_headers(&self) -> Self {
        let reach = Reach { headers: self.reach.second.clone(), ..(*self.reach).clone() };
        Self { reach: Arc::new(reach), ..self.clone() }
    }

    /// The same way with the target's own headers, and another value in each.
    pub(crate) fn with_wrong_headers(&self) -> Self {
        let wrong = |value: &str| match value.split_once(' ') {
            Some((scheme, _)) => format!("{scheme} wireproof"),
            None => "wireproof".into(),
        };
        let headers = self.reach.headers.iter().map(|(name, value)| (name.clone(), wrong(value))).collect();
        let reach = Reach { headers, ..(*self.reach).clone() };
        Self { reach: Arc::new(reach), ..self.clone() }
    }

    /// A number for a new connection of this check.
    pub(crate) fn number(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Connects and records it.
    pub(in crate::wire) async fn connect(&self, peer: &str) -> Result<(u32, Tap, Passed), Stop> {
        self.connect_with(peer, None, Speaks::Http1).await
    }

    /// As [`Link::connect`]; with this much room, in bytes, for what came and was not read, and for this HTTP.
    pub(in crate::wire) async fn connect_with(
        &self,
        peer: &str,
        room: Option<u32>,
        speaks: Speaks,
    ) -> Result<(u32, Tap, Passed), Stop> {
        let conn = self.number();
        let until = self.deadline.min(Instant::now() + self.times.connect);
        let connected = timeout_at(until, self.reach.way.dial(room, speaks)).await;
        let stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => {
                return Err(self.unreachable(&format!("cannot connect to {}: {e}", self.reach.way)));
            }
            Err(_) => {
                return Err(self.unreachable(&format!("no connection to {} in time", self.reach.way)));
            }
        };
        self.log.record(What::Opened { conn, peer: format!("{peer} {}", self.reach.authority) });
        let (tap, passed) = Tap::new(stream);
        Ok((conn, tap, passed))
    }

    /// A connection on which nothing is said: it tells whether the process behind it goes on.
    pub(crate) async fn idle(&self) -> Idle {
        let connected = timeout(self.times.connect, self.reach.way.dial(None, Speaks::Http1)).await;
        Idle { stream: connected.ok().and_then(Result::ok), patience: self.times.back_off }
    }

    /// The time for an answer that may take so long, cut at the end of the check.
    pub(in crate::wire) fn until(&self, wait: Duration) -> Instant {
        self.deadline.min(Instant::now() + wait)
    }

    pub(crate) fn unreachable(&self, why: &str) -> Stop {
        let why = words(why);
        self.log.record(What::Stopped {
            why: format!("the target could not be reached: {why}"),
            unreachable: true,
        });
        Stop::new()
    }

    /// Stops the check for a reason that is not the target's violation.
    pub(crate) fn stop(&self, why: &str) -> Stop {
        self.log.record(What::Stopped { why: words(why), unreachable: false });
        Stop::new()
    }

    /// Stops the check for a mistake of ours.
    pub(crate) fn harness(&self, message: &str) -> Stop {
        self.log.record(What::Harness { message: words(message) });
        Stop::new()
    }

    /// A request of ours that our own decoder refuses, and that was not broken on purpose, is a mistake of ours.
    pub(in crate::wire) fn proper(&self, request: &Request) -> Result<(), Stop> {
        (self.protocol.accepts_request)(request).map_err(|why| {
            if self.was_heard(request) {
                return self.stop(&format!("the target gave out what no request can hold: {why}"));
            }
            self.harness(&format!("our own {} {} is not valid: {why}", request.method, request.path))
        })
    }

    /// Whether a parameter of a request is what the target told in a header.
    fn was_heard(&self, request: &Request) -> bool {
        let said = |value: &String| {
            self.log.events().iter().any(|event| match &event.what {
                What::Received { message: Message::Response { headers, .. }, .. } => {
                    headers.values().any(|heard| heard == value)
                }
                _ => false,
            })
        };
        request.query.0.iter().any(|(_, value)| said(value))
    }

    /// A target that refuses what it says that it does not take is not driven any further. `sent` is the event of the request.
    pub(in crate::wire) fn takes(&self, sent: u64, response: &Response) -> Result<(), Stop> {
        let Some(declined) = self.declined else { return Ok(()) };
        let events = self.log.events();
        let method =
            events.iter().rev().find(|event| event.seq == sent).and_then(|event| match &event.what {
                What::Sent { message: Message::Request { method, .. }, .. } => Some(method.as_str()),
                _ => None,
            });
        if !method.is_some_and(|method| (declined.refuses)(method, response.status)) {
            return Ok(());
        }
        self.log.record(What::Missing { what: declined.what.into() });
        Err(Stop::new())
    }

    /// Counts what was read. A target that sends without measure is not read to its end.
    pub(in crate::wire) fn heard(&self, bytes: usize) -> Result<(), Stop> {
        let all = self.heard.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if all > CHECK {
            Err(self.stop(&format!("the answers to this check hold more than {CHECK} bytes")))
        } else {
            Ok(())
        }
    }

    /// Whether the time of this check is over.
    pub(in crate::wire) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Goes on only within the time of this check: a silence behind it is one of ours.
    pub(in crate::wire) fn in_time(&self) -> Result<(), Stop> {
        if self.is_over() {
            return Err(self.stop(
                "the time of this check is over: the target answers too slowly for it; --time-scale 3 gives it more, --jobs 4 \
                 less to do at once",
            ));
        }
        Ok(())
    }

    /// Makes an observation of an answer that did not come, if the target is alive behind it.
    pub(in crate::wire) async fn lost<T>(
        &self,
        conn: u32,
        waited: Duration,
        why: Lost,
    ) -> Result<Seen<T>, Stop> {
        if matches!(why, Lost::Silence(_)) {
            self.in_time()?;
        }
        if let Lost::Closed(how) = &why
            && self.ending.load(Ordering::Relaxed)
        {
            let event = What::Closed { conn, how: words(how), code: None };
            return Ok(Seen::lost(self.log.record(event), Lost::AtItsEnd(how.clone())));
        }
        let Some(alive) = self.answers(&why).await? else {
            let how = words(&why.to_string().replace("; the target was alive", ""));
            let event = What::Closed { conn, how: how.clone(), code: None };
            return Ok(Seen::lost(self.log.record(event), Lost::Gone(how)));
        };
        let ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let event = match &why {
            Lost::Silence(_) => What::Silence { conn, ms, alive: vec![alive] },
            Lost::Closed(_)
            | Lost::AtItsEnd(_)
            | Lost::Gone(_)
            | Lost::Malformed(_)
            | Lost::TooLong(_)
            | Lost::NoEvents(_) => What::Closed { conn, how: words(&why.to_string()), code: None },
        };
        Ok(Seen::lost(self.log.record(event), why))
    }

    /// Makes an observation of a silence that was to be, if the target is alive behind it.
    pub(in crate::wire) async fn silent(&self, conn: u32, waited: Duration) -> Result<Seen<()>, Stop> {
        let ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let Some(alive) = self.answers(&Lost::Silence(ms)).await? else {
            return Err(self.gone(&format!("nothing came in {ms} ms, as it was to be")));
        };
        let alive = vec![alive];
        Ok(Seen::new(self.log.record(What::Silence { conn, ms, alive }), ()))
    }

    /// Makes an observation of a connection that broke, if the target is alive behind it.
    pub(in crate::wire) async fn broken_off(&self, conn: u32, how: &str) -> Result<Seen<()>, Stop> {
        if self.answers(&Lost::Closed(how.to_owned())).await?.is_none() {
            return Err(self.gone(how));
        }
        Ok(Seen::new(self.log.record(What::Closed { conn, how: words(how), code: None }), ()))
    }

    /// The event that shows the target alive, if it is.
    pub(in crate::wire) async fn sign_of_life(&self) -> Option<u64> {
        let alive = async {
            match &self.adapter {
                Some(adapter) => adapter.sign_of_life(self).await,
                None => (self.protocol.alive)(self).await,
            }
        };
        timeout(self.times.alive, alive).await.ok().flatten()
    }

    fn gone(&self, why: &str) -> Stop {
        self.unreachable(&format!("{why}, and no answer on a fresh connection"))
    }

    /// The event that shows the target alive, behind something that did not come; none if it is gone and only this check can
    /// have done that.
    async fn answers(&self, why: &Lost) -> Result<Option<u64>, Stop> {
        // Who is about to be blamed for being gone is asked more than once: a busy machine may keep it from one answer.
        let times = if self.alone { 3 } else { 1 };
        for _ in 0..times {
            let alive = self.sign_of_life().await;
            if alive.is_some() {
                return Ok(alive);
            }
        }
        match self.alone {
            true => Ok(None),
            false => Err(self.gone(&why.to_string().replace("; the target was alive", ""))),
        }
    }
}
