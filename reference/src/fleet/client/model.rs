//! An agent as a pure state machine: when to dial, what to answer to Polls and Cmds, when to leave, and when to give up.
//!
//! No I/O, no clock, no randomness: the time is an argument, and random bits come in with each input. There is one State for
//! each Poll that can be read, and one Ack for each Cmd that can be, on the connection on which it came and in its order;
//! nothing is said without being asked. Who sets the status is told that the orchestrator has taken note by the first Poll
//! that says so behind a State with this status: an echo that is older does not count.

mod input;
mod state;

pub use input::{Ask, Condition, Effect, Event, Input, Record, Reply, What};
pub use state::{Known, Phase, Plan, State};

use super::{
    error::Error,
    settings::{Redial, snapshot, units},
};
use crate::{
    client::shown,
    log::Block,
    model::{Decision, Model},
};
use wireproof_spec::fleet::{
    self, Ack, AckRoom, Cmd, Hello, Op, Poll, Status,
    frames::{MAJOR, Outer, VERSION},
};

/// The topics of the protocol.
pub(super) mod topic {
    pub(crate) const HELLO: &str = "fleet/hello";
    pub(crate) const POLL: &str = "fleet/poll";
    pub(crate) const STATE: &str = "fleet/state";
    pub(crate) const CMD: &str = "fleet/cmd";
    pub(crate) const ACK: &str = "fleet/ack";
}

/// The model of an agent.
#[derive(Clone, Copy, Debug)]
pub enum AgentModel {}

/// The delay before the redial of this number since the last Hello or the start, from 0, in milliseconds.
pub fn delay(redial: &Redial, n: u32, random: u64) -> u64 {
    let factor = 1_u64.checked_shl(n).unwrap_or(u64::MAX);
    let most = redial.base_ms.saturating_mul(factor).min(redial.max_ms);
    // The random bits are a fraction of 64 bits, so that the product is one as well, and less than the most.
    let product = u128::from(random) * u128::from(most);
    u64::try_from(product >> u64::BITS).unwrap_or(most)
}

impl Model for AgentModel {
    type State = State;
    type Input = Input;
    type Record = Record;
    type Effect = Effect;

    fn decide(state: &State, now: u64, input: &Input) -> Decision<Self> {
        let mut turn = Turn { state, now, random: input.random, decision: Decision::default() };
        turn.take(&input.what);
        turn.decision
    }

    fn apply(state: &mut State, record: &Record) {
        state.take(record);
    }

    fn wake_at(state: &State) -> Option<u64> {
        let at = match state.phase {
            Phase::Closed => return None,
            Phase::Connecting(at) | Phase::Opened(at) | Phase::Connected(at) | Phase::Waiting(at) => at,
        };
        Some(state.connect_by.map_or(at, |by| at.min(by)))
    }

    /// An agent lives as long as its process.
    fn durable(_: &Record) -> bool {
        false
    }

    fn block(_: &Record) -> Option<Block> {
        None
    }

    /// The shell says it with random bits.
    fn tick() -> Input {
        Input { random: 0, what: What::Tick }
    }

    fn started() -> Input {
        Input { random: 0, what: What::Started }
    }

    fn stopping() -> Input {
        Input { random: 0, what: What::Stop }
    }
}

/// One decision in the making.
struct Turn<'a> {
    state: &'a State,
    now: u64,
    random: u128,
    decision: Decision<AgentModel>,
}

impl Turn<'_> {
    fn take(&mut self, what: &What) {
        match what {
            What::Started => {}
            What::Opened(dial) if self.is(*dial) && matches!(self.state.phase, Phase::Connecting(_)) => {
                let wait = self.state.plan.redial.hello_timeout_ms;
                self.record(Record::Opened(self.now.saturating_add(wait)));
            }
            What::DialFailed(dial, why) if self.is(*dial) && self.has_line() => {
                self.effect(Effect::Drop);
                self.lost(Error::Dial(shown(why)));
            }
            What::Text(dial) if self.is(*dial) && self.is_open() => self.note("a text frame".into()),
            What::Binary(dial, bytes) if self.is(*dial) && self.is_open() => self.heard(bytes),
            What::Ping(dial) if self.is(*dial) => self.alive(),
            What::Closed(dial, code, reason) if self.is(*dial) && self.has_line() => {
                self.effect(Effect::Drop);
                self.lost(Error::Closed { code: *code, reason: shown(reason) });
            }
            What::Tick => self.woken(),
            What::Host(call, ask) => self.asked(*call, ask),
            What::Stop => self.disconnect(),
            _ => {}
        }
    }

    /// Whether this is the connection that counts.
    fn is(&self, dial: u64) -> bool {
        self.state.dial == dial
    }

    /// Whether there is a connection.
    fn is_open(&self) -> bool {
        matches!(self.state.phase, Phase::Opened(_) | Phase::Connected(_))
    }

    /// Whether there is a connection, or about to be one.
    fn has_line(&self) -> bool {
        self.is_open() || matches!(self.state.phase, Phase::Connecting(_))
    }

    fn woken(&mut self) {
        let State { plan, phase, connect_by, silence_ms, .. } = self.state;
        if *phase == Phase::Closed {
            return;
        }
        if connect_by.is_some_and(|by| by <= self.now) {
            return self.end(&Error::ConnectTimeout(plan.connect_timeout_ms.unwrap_or_default()));
        }
        match *phase {
            Phase::Waiting(at) if at <= self.now => self.dial(),
            Phase::Connecting(at) if at <= self.now => {
                self.effect(Effect::Drop);
                self.lost(Error::Dial(format!("none within {} ms", plan.redial.dial_timeout_ms)));
            }
            Phase::Opened(at) if at <= self.now => {
                self.effect(Effect::Close);
                self.lost(Error::NoHello(plan.redial.hello_timeout_ms));
            }
            Phase::Connected(at) if at <= self.now => {
                self.effect(Effect::Close);
                self.lost(Error::Silent(*silence_ms));
            }
            _ => {}
        }
    }

    fn dial(&mut self) {
        self.record(Record::Dialled(self.now.saturating_add(self.state.plan.redial.dial_timeout_ms)));
        self.effect(Effect::Dial(self.state.dial + 1));
    }

    /// There is no connection any more, or there was none: dials again after a while.
    fn lost(&mut self, error: Error) {
        if self.is_open() {
            self.reject(&Error::ConnectionLost);
            self.record(Record::Lost);
        }
        self.tell(Event::Lost(error));
        let State { attempts, plan, .. } = self.state;
        // The upper half of what came in.
        let random = u64::try_from(self.random >> u64::BITS).unwrap_or_default();
        let delay = delay(&plan.redial, *attempts, random);
        self.record(Record::Waiting { delay, until: self.now.saturating_add(delay) });
    }

    /// Dials no more.
    fn end(&mut self, error: &Error) {
        match self.state.phase {
            Phase::Opened(_) | Phase::Connected(_) => self.effect(Effect::Close),
            Phase::Connecting(_) => self.effect(Effect::Drop),
            Phase::Closed | Phase::Waiting(_) => {}
        }
        for call in &self.state.connects {
            self.effect(Effect::Settle(*call, Err(error.clone())));
        }
        self.reject(error);
        if *error != Error::Disconnected {
            self.tell(Event::Failed(error.clone()));
        }
        self.record(Record::Ended);
    }

    /// Settles what waits for the orchestrator to take note. The records that forget it are with the caller.
    fn reject(&mut self, why: &Error) {
        for wait in &self.state.waits {
            self.effect(Effect::Settle(wait.call, Err(why.clone())));
            self.tell(Event::Rejected { draining: wait.draining, why: why.clone() });
        }
    }

    fn asked(&mut self, call: u64, ask: &Ask) {
        let settled = match ask {
            Ask::Connect => return self.connect(call),
            Ask::Drain => return self.set_status(call, true),
            Ask::Undrain => return self.set_status(call, false),
            Ask::Disconnect => {
                self.disconnect();
                Ok(Reply::Done)
            }
            Ask::CreateRoom { id, kind } => self.create_local(id.as_deref(), kind),
            Ask::DestroyRoom(id) => self.with_room(id, Record::Destroyed(id.clone())),
            Ask::SetConnections { connections, .. } if *connections > snapshot::CONNECTIONS => {
                Err(Error::Bound(format!("at most {} connections to a room", snapshot::CONNECTIONS)))
            }
            Ask::SetConnections { id, connections } => {
                self.with_room(id, Record::Connections(id.clone(), *connections))
            }
        };
        self.effect(Effect::Settle(call, settled));
    }

    fn connect(&mut self, call: u64) {
        let state = self.state;
        match (&state.phase, &state.instance_id) {
            (Phase::Connected(_), Some(id)) => {
                self.effect(Effect::Settle(call, Ok(Reply::Connected(id.clone()))));
            }
            (Phase::Closed, _) => {
                let by = state.plan.connect_timeout_ms.map(|bound| self.now.saturating_add(bound));
                self.record(Record::Begun(by));
                self.record(Record::Connects(call));
                self.dial();
            }
            _ => self.record(Record::Connects(call)),
        }
    }

    fn disconnect(&mut self) {
        // Before it is connected there may be who waits for the orchestrator to take note.
        if self.state.phase != Phase::Closed || !self.state.waits.is_empty() {
            self.end(&Error::Disconnected);
        }
    }

    fn set_status(&mut self, call: u64, draining: bool) {
        if self.state.draining != draining {
            self.record(Record::Status { draining });
        }
        self.record(Record::Notes { call, draining });
    }

    fn create_local(&mut self, id: Option<&str>, kind: &str) -> Result<Reply, Error> {
        let id = id.map_or_else(|| self.made_up(), str::to_owned);
        self.room_to_be(&id, kind)?;
        self.record(Record::Created { id: id.clone(), kind: kind.to_owned(), fleet: false });
        Ok(Reply::Room(id))
    }

    fn with_room(&mut self, id: &str, record: Record) -> Result<Reply, Error> {
        if !self.state.rooms.contains_key(id) {
            return Err(Error::NoSuchRoom(shown(id)));
        }
        self.record(record);
        Ok(Reply::Done)
    }

    /// Whether there can be a room with this id and type.
    fn room_to_be(&self, id: &str, kind: &str) -> Result<(), Error> {
        let State { plan, rooms, .. } = self.state;
        if rooms.contains_key(id) {
            Err(Error::RoomExists(shown(id)))
        } else if !plan.kinds.contains(kind) {
            Err(Error::UnknownType(shown(kind)))
        } else if units(id) > snapshot::ROOM {
            // The orchestrator would reject everything for this one.
            Err(Error::Bound(format!("an id has at most {} units", snapshot::ROOM)))
        } else if rooms.len() >= snapshot::ROOMS {
            Err(Error::Bound(format!("there are at most {} rooms", snapshot::ROOMS)))
        } else {
            Ok(())
        }
    }

    /// An id of 32 hexadecimal digits.
    fn made_up(&self) -> String {
        format!("{:032x}", self.random)
    }

    /// A message of the orchestrator. What cannot be read is passed over, unless it is a Hello of another version.
    fn heard(&mut self, bytes: &[u8]) {
        let outer = match Outer::decode(bytes) {
            Ok(outer) => outer,
            Err(violation) => return self.note(format!("an outer frame: {violation}")),
        };
        let (Some(topic), Some(inner)) = (outer.topic, outer.payload) else {
            return self.note("an outer frame without a topic or a payload".into());
        };
        let read = match &*topic {
            topic::HELLO => self.greeted(inner),
            topic::POLL => Poll::receive(inner).map(|poll| self.polled(poll)),
            topic::CMD => Cmd::receive(inner).map(|cmd| self.commanded(&cmd)),
            other => return self.note(format!("the topic {}", shown(other))),
        };
        if let Err(violation) = read {
            self.note(format!("{topic}: {violation}"));
        }
    }

    fn greeted(&mut self, inner: &[u8]) -> Result<(), fleet::Violation> {
        if let [major, _, ..] = inner
            && *major != MAJOR
        {
            let json = if *major == b'{' { ", which begins JSON" } else { "" };
            let found = format!("expected the major version {MAJOR}, found {major}{json}");
            self.end(&Error::Incompatible(found));
            return Ok(());
        }
        let Hello { instance_id, protocol_version, heartbeat_ms } = Hello::receive(inner)?;
        if protocol_version != VERSION {
            let found = format!("expected the protocol version {VERSION}, found {protocol_version}");
            self.end(&Error::Incompatible(found));
            return Ok(());
        }
        for call in &self.state.connects {
            self.effect(Effect::Settle(*call, Ok(Reply::Connected(instance_id.clone()))));
        }
        self.tell(Event::Connected {
            instance_id: instance_id.clone(),
            process_uid: self.state.plan.process_uid.clone(),
            heartbeat_ms,
        });
        let silence_ms = self.state.plan.redial.silence(heartbeat_ms);
        let until = self.now.saturating_add(silence_ms);
        self.record(Record::Greeted { instance_id, silence_ms, until });
        Ok(())
    }

    /// The orchestrator is there. Before the Hello that is not enough.
    fn alive(&mut self) {
        if matches!(self.state.phase, Phase::Connected(_)) {
            self.record(Record::Alive(self.now.saturating_add(self.state.silence_ms)));
        }
    }

    fn polled(&mut self, poll: Poll) {
        let state = self.state;
        self.alive();
        for wait in &state.waits {
            let draining = wait.draining;
            let echo = if draining { Status::Draining } else { Status::Active };
            if wait.told && poll.status == echo {
                self.effect(Effect::Settle(wait.call, Ok(Reply::Done)));
                self.tell(Event::Noted { draining });
            } else if draining != state.draining {
                // No State will tell it any more.
                self.effect(Effect::Settle(wait.call, Err(Error::Superseded)));
                self.tell(Event::Rejected { draining, why: Error::Superseded });
            } else {
                continue;
            }
            self.record(Record::Noted(wait.call));
        }
        let known = state.known();
        let full = poll.known_hash.as_ref() != Some(&known.hash);
        self.effect(Effect::State(Box::new(fleet::State {
            req_id: poll.req_id,
            seq: state.seq.saturating_add(1),
            hash: known.hash.clone(),
            snapshot: full.then(|| known.snapshot.clone()),
        })));
        self.record(Record::Reported);
    }

    fn commanded(&mut self, cmd: &Cmd) {
        let mut ack = Ack {
            cmd_id: cmd.cmd_id.clone(),
            ok: true,
            error: None,
            already_gone: None,
            room: None,
            exists: None,
        };
        // An absent id or type is an empty one.
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let done = match &cmd.op {
            Op::Create => self.create(given(&cmd.room_id), given(&cmd.room_type), &mut ack),
            Op::Destroy => self.destroy(given(&cmd.room_id), &mut ack),
            Op::Drain => self.command_status(true),
            Op::Undrain => self.command_status(false),
            Op::Other(op) => Err(format!("unknown op: {}", shown(op))),
        };
        if let Err(error) = done {
            ack.ok = false;
            ack.error = Some(error);
        }
        self.effect(Effect::Ack(ack));
    }

    fn create(&mut self, id: Option<String>, kind: Option<String>, ack: &mut Ack) -> Result<(), String> {
        let State { plan, rooms, .. } = self.state;
        if !plan.auto_create {
            return Err("this agent makes no rooms when told to".into());
        }
        let kind = kind.ok_or("roomType is missing")?;
        // Those that the host made count as well; of less than none there are always enough.
        let most = plan.capacity.max_rooms.map(|most| usize::try_from(most).unwrap_or_default());
        if most.is_some_and(|most| rooms.len() >= most) {
            return Err("there are as many rooms as there may be".into());
        }
        let id = id.unwrap_or_else(|| self.made_up());
        self.room_to_be(&id, &kind).map_err(|error| {
            if matches!(error, Error::RoomExists(_)) {
                ack.exists = Some(true);
            }
            error.to_string()
        })?;
        self.record(Record::Created { id: id.clone(), kind: kind.clone(), fleet: true });
        ack.room = Some(AckRoom { id: id.clone(), kind: kind.clone() });
        self.tell(Event::RoomCreated { id, kind });
        Ok(())
    }

    fn destroy(&mut self, id: Option<String>, ack: &mut Ack) -> Result<(), String> {
        let id = id.ok_or("roomId is missing")?;
        match self.state.rooms.get(&id) {
            None => ack.already_gone = Some(true),
            Some(room) => {
                self.record(Record::Destroyed(id.clone()));
                self.tell(Event::RoomDestroyed { id, kind: room.kind.clone() });
            }
        }
        Ok(())
    }

    fn command_status(&mut self, draining: bool) -> Result<(), String> {
        if self.state.draining != draining {
            self.record(Record::Status { draining });
            self.tell(Event::Commanded { draining });
        }
        Ok(())
    }

    fn record(&mut self, record: Record) {
        self.decision.records.push(record);
    }

    fn effect(&mut self, effect: Effect) {
        self.decision.effects.push(effect);
    }

    fn tell(&mut self, event: Event) {
        self.effect(Effect::Tell(event));
    }

    fn note(&mut self, what: String) {
        self.effect(Effect::Note(what));
    }
}
