//! The shell of an agent: one task that asks the model, dials, and says what the model says.
//!
//! What comes on a connection is looked at one by one in its order, and only while there is room for the answer, so that an
//! orchestrator that asks and does not read is held up, and nothing here grows.

use super::{
    agent::Seen,
    error::Error,
    model::{AgentModel, Ask, Effect, Event, Input, Phase, Record, Reply, State, What, topic},
    seams::{Dial, Frame, MapAck, MapDelay, MapDial, MapState, Seams},
    settings::{Bounds, Settings},
};
use crate::{
    client::{
        connection::{Command, Event as Came, Happened, Line, Link, Wires},
        place::place,
        random,
    },
    clock::{AGAIN, Clock, sleep_until},
    model::{Decision, Model, Port},
};
use std::{collections::HashMap, sync::Arc};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinSet,
    time::Instant,
};
use wireproof_spec::{
    fleet::{connect::SENTINEL, frames::Outer},
    http::Fields,
};

/// A close without a code (RFC 6455, section 7.4.1).
const NO_CODE: u16 = 1005;

/// How a call is settled.
pub(super) type Settle = oneshot::Sender<Result<Reply, Error>>;

/// A call of the host.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) ask: Ask,
    pub(super) settle: Settle,
}

/// Starts the task of an agent. It ends when nobody can call any more, and the last connection is gone.
pub(super) fn spawn(
    state: State,
    settings: &Settings,
    seams: Seams,
    calls: mpsc::Receiver<Call>,
    events: broadcast::Sender<Event>,
    seen: watch::Sender<Seen>,
) {
    let Seams { dial, takes, heard, state: map_state, ack, said, written, read, delay, port } = seams;
    let driver = Driver {
        state,
        port,
        clock: Clock::start(),
        url: settings.url.clone(),
        key: settings.key.clone(),
        bounds: settings.bounds,
        dial,
        map_state,
        ack,
        delay,
        wires: Arc::new(Wires { heard, said, written, read, takes, pings: true }),
        link: None,
        lines: JoinSet::new(),
        calls,
        called: 0,
        waiting: HashMap::new(),
        leaving: Vec::new(),
        events,
        seen,
    };
    tokio::spawn(driver.run());
}

/// The task of an agent.
struct Driver {
    state: State,
    port: Port<AgentModel>,
    clock: Clock,
    url: String,
    key: String,
    bounds: Bounds,
    dial: Option<MapDial>,
    map_state: Option<MapState>,
    ack: Option<MapAck>,
    delay: Option<MapDelay>,
    wires: Arc<Wires>,
    /// The connection that counts.
    link: Option<Link>,
    /// The tasks of this connection, and of those before it that are not quite gone.
    lines: JoinSet<()>,
    calls: mpsc::Receiver<Call>,
    /// How many calls there were.
    called: u64,
    /// The calls that are not settled, and whether they wait until all connections are gone.
    waiting: HashMap<u64, (Settle, bool)>,
    /// Those that are settled but for that.
    leaving: Vec<(Settle, Result<Reply, Error>)>,
    events: broadcast::Sender<Event>,
    seen: watch::Sender<Seen>,
}

impl Driver {
    async fn run(mut self) {
        self.decide(What::Started);
        let mut ticked: Option<Instant> = None;
        let mut wanted = true;
        while wanted || !self.lines.is_empty() {
            let wake = AgentModel::wake_at(&self.state).map(|at| {
                let due = self.clock.instant(at);
                ticked.map_or(due, |last| due.max(last + AGAIN))
            });
            let what = tokio::select! {
                biased;
                // Before what comes: an orchestrator that never stops to say something holds up no deadline, and no host.
                () = sleep_until(wake), if wanted => What::Tick,
                call = self.calls.recv(), if wanted => match call {
                    Some(call) => self.call(call),
                    None => {
                        wanted = false;
                        What::Stop
                    }
                },
                _ = self.lines.join_next(), if !self.lines.is_empty() => {
                    self.left();
                    continue;
                }
                came = came(&mut self.link), if wanted && self.link.is_some() => came,
            };
            let is_tick = what == What::Tick;
            let acted = self.decide(what);
            if !wanted {
                // Whatever a broken model says: there is nobody to be connected for.
                self.link = None;
            }
            if is_tick {
                ticked = (!acted).then(Instant::now);
            }
            self.left();
        }
    }

    /// Takes a call in.
    fn call(&mut self, Call { ask, settle }: Call) -> What {
        self.called += 1;
        self.waiting.insert(self.called, (settle, ask == Ask::Disconnect));
        What::Host(self.called, ask)
    }

    /// Settles what waits until all connections are gone, if they are.
    fn left(&mut self) {
        while self.lines.try_join_next().is_some() {}
        if self.lines.is_empty() || self.state.phase() != Phase::Closed {
            for (settle, settled) in self.leaving.drain(..) {
                // Nobody may wait for it any more.
                let _ = settle.send(settled);
            }
        }
    }

    /// Asks the model, and does what it says. Tells whether anything changed.
    fn decide(&mut self, what: What) -> bool {
        let now = self.clock.now();
        let random = u128::from(random()) << u64::BITS | u128::from(random());
        let Decision { mut records, effects } = (self.port)(&self.state, now, &Input { random, what });
        let before = self.state.condition();
        for record in &mut records {
            if let (Record::Waiting { delay, until }, Some(map)) = (&mut *record, &self.delay) {
                map(self.state.attempts(), delay);
                *until = now.saturating_add(*delay);
            }
            AgentModel::apply(&mut self.state, record);
        }
        // Before its effects: whoever is told of something finds it here.
        if !records.is_empty() {
            self.look();
        }
        for effect in effects {
            self.perform(effect);
        }
        if self.state.condition() != before {
            self.tell(Event::Condition(self.state.condition()));
        }
        !records.is_empty()
    }

    fn look(&self) {
        let state = &self.state;
        self.seen.send_if_modified(|seen| {
            let now = Seen {
                condition: state.condition(),
                draining: state.is_draining(),
                instance_id: state.instance_id().map(str::to_owned),
                dials: state.dial(),
                attempts: state.attempts(),
                rooms: state.rooms(),
                connections: state.connections(),
            };
            let changed = *seen != now;
            *seen = now;
            changed
        });
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Dial(number) => self.connect(number),
            Effect::State(mut state) => {
                let Some(link) = &self.link else { return };
                if let Some(map) = &self.map_state {
                    map(link.number, &mut state);
                }
                self.say(topic::STATE, &state.encode_frame());
            }
            Effect::Ack(mut ack) => {
                let Some(link) = &self.link else { return };
                if let Some(map) = &self.ack {
                    map(link.number, &mut ack);
                }
                self.say(topic::ACK, &ack.encode_frame());
            }
            Effect::Close => {
                self.command(Command::Close(NO_CODE, String::new()));
                self.link = None;
            }
            Effect::Drop => self.link = None,
            Effect::Settle(call, settled) => match self.waiting.remove(&call) {
                Some((settle, true)) => self.leaving.push((settle, settled)),
                Some((settle, false)) => {
                    // Nobody may wait for it any more.
                    let _ = settle.send(settled);
                }
                None => {}
            },
            Effect::Tell(event) => self.tell(event),
            Effect::Note(what) => tracing::debug!(what, "passed over"),
        }
    }

    fn connect(&mut self, number: u64) {
        let protocols = vec![self.key.clone(), SENTINEL.to_owned()];
        let mut dial = Dial { url: self.url.clone(), protocols, headers: Fields::default() };
        if let Some(map) = &self.dial {
            map(number, &mut dial);
        }
        let Dial { url, protocols, mut headers } = dial;
        if !protocols.is_empty() {
            headers.push("sec-websocket-protocol", protocols.join(", "));
        }
        let (line, link) =
            Line::new(number, place(&url, "ws"), headers, Arc::clone(&self.wires), self.bounds.line());
        self.link = Some(link);
        self.lines.spawn(line.run());
    }

    fn say(&self, topic: &str, inner: &[u8]) {
        let frame = Outer::encode(topic, inner);
        let (bytes, most) = (frame.len(), self.bounds.state);
        if bytes > most / 2 {
            tracing::warn!(bytes, most, "a frame is near to the length that orchestrators take, or beyond");
            self.tell(Event::Long { bytes, most });
        }
        // How long a message the orchestrator takes nobody has told.
        self.command(Command::Say(Frame::Binary(frame.into())));
    }

    fn command(&self, command: Command) {
        // There was room for an answer and a close before the question was looked at. Only a broken model says more.
        if self.link.as_ref().is_some_and(|link| !link.command(command)) {
            tracing::warn!("a frame is dropped, because the ones before it are not written");
        }
    }

    fn tell(&self, event: Event) {
        // Nobody may listen.
        let _ = self.events.send(event);
    }
}

async fn came(link: &mut Option<Link>) -> What {
    let Some(line) = link else { return std::future::pending().await };
    let dial = line.number;
    match line.next().await.map(|Came { what, .. }| what) {
        Some(Happened::Opened) => What::Opened(dial),
        Some(Happened::Failed(why)) => What::DialFailed(dial, why),
        Some(Happened::Text(_)) => What::Text(dial),
        Some(Happened::Binary(bytes)) => What::Binary(dial, bytes),
        Some(Happened::Ping) => What::Ping(dial),
        Some(Happened::Closed(code, reason)) => What::Closed(dial, code, reason),
        None => {
            // Its task has ended, and said so before if all is well.
            *link = None;
            What::Closed(dial, 1006, String::new())
        }
    }
}
