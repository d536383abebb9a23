//! A subscription as a pure state machine: when to dial, who to say one is, what to deliver, and when to give up.
//!
//! No I/O, no clock, no randomness: the time is an argument, and random bits come in with each input. Delays follow
//! `min(floor(base * 2^n * J), max)` with `J` in `[0.5, 1)`, where `n` counts from the last AuthResponse that let the client
//! in. The offset that is acknowledged is that of the last message whose handler returned without an error; once a handler
//! has failed, it stays where it was until the server has had a chance to send the message again, behind the next dial.

use super::{
    error::Error,
    settings::{Redial, Subscribe},
};
use crate::{
    client::shown,
    log::Block,
    model::{Decision, Model},
};
use serde::{Deserialize, Serialize};
use wireproof_spec::{
    json::Any,
    queue::{
        AuthRequest, AuthResponse, Message, Offset, Push,
        auth::ClientId,
        close::{AUTH_FAILED, CLIENT_CLOSED, INVALID_AUTH_RESPONSE, is_final},
    },
};

/// The model of a subscription.
#[derive(Clone, Copy, Debug)]
pub enum SubscriberModel {}

/// Where a subscription is, as its user sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// It dials.
    #[default]
    Connecting,
    /// It has said who it is, and waits for the answer.
    Authenticating,
    /// Messages come.
    Connected,
    /// It waits before it dials again.
    Waiting,
    /// It has ended.
    Closed,
}

/// Where a subscription is. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing was dialled.
    #[default]
    New,
    /// It dials, until then at the latest.
    Connecting(u64),
    /// The AuthResponse has to come by then.
    Authenticating(u64),
    /// It was let in.
    Connected,
    /// It dials again then.
    Waiting(u64),
    /// It has ended.
    Closed,
}

/// Who subscribes to what, and how patiently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The key.
    pub key: String,
    /// The organisation.
    pub org_id: Option<String>,
    /// When to dial again.
    pub redial: Redial,
}

/// Everything that decisions depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    plan: Plan,
    phase: Phase,
    /// The number of the last dial, from 1.
    dial: u64,
    /// How often it was decided to dial again since it was let in last.
    attempts: u32,
    client_id: Option<ClientId>,
    last: Option<Offset>,
    /// Whether a handler has failed since the last dial.
    failed: bool,
}

impl State {
    /// A subscription that has not begun.
    ///
    /// # Errors
    /// The client_id or the offset can be presented to no server.
    pub fn new(plan: Plan, subscribe: &Subscribe) -> Result<Self, Error> {
        let offset = |last: i64| {
            Offset::new(last).ok_or_else(|| Error::Presented(format!("{last} is no offset of a message")))
        };
        let id = |id: &String| {
            ClientId::new(id.as_str())
                .ok_or_else(|| Error::Presented("a client_id has at most 256 characters".into()))
        };
        Ok(Self {
            plan,
            // An empty one is as good as none.
            client_id: subscribe.client_id.as_ref().filter(|id| !id.is_empty()).map(id).transpose()?,
            last: subscribe.last_offset.map(offset).transpose()?,
            ..Self::default()
        })
    }

    /// Who subscribes, and how patiently.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Where it is, as its user sees it.
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::New | Phase::Connecting(_) => Status::Connecting,
            Phase::Authenticating(_) => Status::Authenticating,
            Phase::Connected => Status::Connected,
            Phase::Waiting(_) => Status::Waiting,
            Phase::Closed => Status::Closed,
        }
    }

    /// The number of the last dial, from 1; 0 before it.
    pub fn dial(&self) -> u64 {
        self.dial
    }

    /// How often it was decided to dial again since it was let in last.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The id that the next AuthRequest presents.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_ref().map(ClientId::as_str)
    }

    /// The offset that the next AuthRequest acknowledges.
    pub fn last_offset(&self) -> Option<i64> {
        self.last.map(Offset::get)
    }
}

/// What happens to a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Random bits.
    pub random: u64,
    /// What happens.
    pub what: What,
}

/// What happens. Connections are named by the number of their dial; what is said of another one is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The user wants messages.
    Started,
    /// The connection is open.
    Opened(u64),
    /// There is no connection.
    DialFailed(u64, String),
    /// A frame of text came.
    Text(u64, String),
    /// A frame of bytes came.
    Binary(u64),
    /// The connection ended: the code and the reason. 1006 if nothing was said.
    Closed(u64, u16, String),
    /// The handler has returned from a message of this connection with this offset; why it failed, if it did.
    Returned(u64, Offset, Result<(), String>),
    /// Time has passed.
    Tick,
    /// The user is done.
    Close,
}

/// A change of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// It dials, until then at the latest.
    Dialled(u64),
    /// The AuthResponse has to come by then.
    Opened(u64),
    /// It was let in, perhaps under a new id.
    LetIn(Option<String>),
    /// It waits for so many milliseconds, until then.
    Waiting {
        /// How long.
        delay: u64,
        /// Until when.
        until: u64,
    },
    /// A message was processed.
    Processed(i64),
    /// A message was not.
    Failed,
    /// It has ended.
    Ended,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Dial. The number is that of the connection; an earlier one is dropped.
    Dial(u64),
    /// Say who it is.
    Authenticate(AuthRequest),
    /// Close the connection with this code and reason.
    Close(u16, String),
    /// Drop the connection, which is none yet, or no more.
    Drop,
    /// Hand a message of this connection to the handler, behind those before it, and tell when it has returned.
    Deliver(u64, Box<Message>),
    /// Tell the user what went wrong and is tried again.
    Report(Error),
    /// Tell the user where the subscription is.
    Now(Status),
    /// Nothing more comes: deliver nothing that was not handed over yet. With an error if the user did not want that.
    End(Option<Error>),
}

/// The delay before the redial of this number, from 0, in milliseconds.
pub fn delay(redial: &Redial, n: u32, random: u64) -> u64 {
    backoff(redial.base_ms, n, random).min(redial.max_ms)
}

/// `floor(base * 2^n * J)` milliseconds, with `J` in `[0.5, 1)` from random bits.
pub(super) fn backoff(base_ms: u64, n: u32, random: u64) -> u64 {
    /// So many random bits leave room for the one half in a double: with more, `J` could be rounded to 1.
    const BITS: u32 = 52;
    let fraction = (random >> (u64::BITS - BITS)) as f64 / (1_u64 << BITS) as f64;
    let jitter = 0.5 + fraction / 2.0;
    // What is too much for a double is infinite, and the conversion takes the greatest number for it.
    (base_ms as f64 * 2_f64.powi(i32::try_from(n).unwrap_or(i32::MAX)) * jitter) as u64
}

impl Model for SubscriberModel {
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
        match record {
            Record::Dialled(until) => {
                state.dial += 1;
                state.failed = false;
                state.phase = Phase::Connecting(*until);
            }
            Record::Opened(until) => state.phase = Phase::Authenticating(*until),
            Record::LetIn(id) => {
                // One that cannot be presented is not kept, nor is an empty one.
                if let Some(id) = id.as_deref().and_then(ClientId::new) {
                    state.client_id = Some(id);
                }
                state.attempts = 0;
                state.phase = Phase::Connected;
            }
            Record::Waiting { until, .. } => {
                state.attempts = state.attempts.saturating_add(1);
                state.phase = Phase::Waiting(*until);
            }
            Record::Processed(offset) => state.last = Offset::new(*offset).or(state.last),
            Record::Failed => state.failed = true,
            Record::Ended => state.phase = Phase::Closed,
        }
    }

    fn wake_at(state: &State) -> Option<u64> {
        match state.phase {
            Phase::Connecting(at) | Phase::Authenticating(at) | Phase::Waiting(at) => Some(at),
            Phase::New | Phase::Connected | Phase::Closed => None,
        }
    }

    /// A subscription lives as long as its process.
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
        Input { random: 0, what: What::Close }
    }
}

/// One decision in the making.
struct Turn<'a> {
    state: &'a State,
    now: u64,
    random: u64,
    decision: Decision<SubscriberModel>,
}

impl Turn<'_> {
    fn take(&mut self, what: &What) {
        let state = self.state;
        if state.phase == Phase::Closed {
            // A handler may return from its last message behind the end.
            if let What::Returned(dial, offset, result) = what {
                self.returned(*dial, *offset, result);
            }
            return;
        }
        match what {
            What::Started if state.phase == Phase::New => self.dial(),
            What::Opened(dial) if self.is(*dial) && matches!(state.phase, Phase::Connecting(_)) => {
                self.opened();
            }
            What::DialFailed(dial, why) if self.is(*dial) && self.is_open() => {
                self.effect(Effect::Report(Error::Dial(why.clone())));
                self.effect(Effect::Drop);
                self.again();
            }
            What::Text(dial, text) if self.is(*dial) => match state.phase {
                Phase::Authenticating(_) => self.answered(text),
                Phase::Connected => self.pushed(text),
                _ => {}
            },
            What::Binary(dial) if self.is(*dial) && matches!(state.phase, Phase::Authenticating(_)) => {
                self.unexpected(Error::AuthNotJson("a binary frame".into()));
            }
            What::Closed(dial, code, reason) if self.is(*dial) && self.is_open() => {
                self.closed(*code, reason);
            }
            What::Returned(dial, offset, result) => self.returned(*dial, *offset, result),
            What::Tick => self.woken(),
            What::Close => self.close(),
            _ => {}
        }
    }

    /// Whether this is the connection that counts.
    fn is(&self, dial: u64) -> bool {
        self.state.dial == dial
    }

    /// Whether there is a connection, or about to be one.
    fn is_open(&self) -> bool {
        matches!(self.state.phase, Phase::Connecting(_) | Phase::Authenticating(_) | Phase::Connected)
    }

    fn dial(&mut self) {
        self.record(Record::Dialled(self.now.saturating_add(self.state.plan.redial.dial_timeout_ms)));
        self.effect(Effect::Now(Status::Connecting));
        self.effect(Effect::Dial(self.state.dial + 1));
    }

    fn opened(&mut self) {
        let State { plan, client_id, last, .. } = self.state;
        self.record(Record::Opened(self.now.saturating_add(plan.redial.auth_timeout_ms)));
        self.effect(Effect::Authenticate(AuthRequest {
            authorization: plan.key.clone(),
            client_id: client_id.clone(),
            last_offset: *last,
            org_id: plan.org_id.as_ref().map(|org| Any::from(serde_json::Value::from(org.as_str()))),
        }));
        self.effect(Effect::Now(Status::Authenticating));
    }

    /// The first frame of the server.
    fn answered(&mut self, text: &str) {
        match AuthResponse::decode(text.as_bytes()) {
            Ok(AuthResponse { success: true, client_id, .. }) => {
                self.record(Record::LetIn(client_id));
                self.effect(Effect::Now(Status::Connected));
            }
            Ok(AuthResponse { error, .. }) => {
                let why = error.map_or_else(|| "Unknown error".into(), |error| shown(&error));
                self.say_close(AUTH_FAILED);
                self.end(Some(Error::AuthFailed(why)));
            }
            Err(_) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => {
                self.unexpected(Error::AuthUnexpected(shown(text)));
            }
            Err(_) => self.unexpected(Error::AuthNotJson(shown(text))),
        }
    }

    fn unexpected(&mut self, error: Error) {
        self.say_close(INVALID_AUTH_RESPONSE);
        if self.state.plan.redial.final_4xxx {
            self.end(Some(error));
        } else {
            self.effect(Effect::Report(error));
            self.again();
        }
    }

    /// A frame behind the AuthResponse. What is no valid Push is passed over, and of one with an invalid Message nothing is
    /// delivered.
    fn pushed(&mut self, text: &str) {
        let Ok(push) = Push::decode(text.as_bytes()) else { return };
        for message in push.messages {
            self.effect(Effect::Deliver(self.state.dial, Box::new(message)));
        }
    }

    fn closed(&mut self, code: u16, reason: &str) {
        let reason = shown(reason);
        self.effect(Effect::Drop);
        if is_final(code) && self.state.plan.redial.final_4xxx {
            self.end(Some(Error::Final { code, reason }));
        } else {
            self.effect(Effect::Report(Error::Closed { code, reason }));
            self.again();
        }
    }

    /// What a handler of an earlier connection returns does not count: its messages come again.
    fn returned(&mut self, dial: u64, offset: Offset, result: &Result<(), String>) {
        match result {
            Ok(()) if self.is(dial) && !self.state.failed => self.record(Record::Processed(offset.get())),
            Ok(()) => {}
            Err(why) => {
                if self.is(dial) {
                    self.record(Record::Failed);
                }
                // Nothing is told behind the end.
                if self.state.phase != Phase::Closed {
                    self.effect(Effect::Report(Error::Handler { offset: offset.get(), why: shown(why) }));
                }
            }
        }
    }

    fn woken(&mut self) {
        match self.state.phase {
            Phase::Waiting(at) if at <= self.now => self.dial(),
            Phase::Connecting(at) if at <= self.now => {
                let waited = self.state.plan.redial.dial_timeout_ms;
                self.effect(Effect::Report(Error::Dial(format!("no connection within {waited} ms"))));
                self.effect(Effect::Drop);
                self.again();
            }
            Phase::Authenticating(at) if at <= self.now => {
                // That nothing was said is no word of the server that something is wrong for ever.
                self.say_close(INVALID_AUTH_RESPONSE);
                let waited = self.state.plan.redial.auth_timeout_ms;
                self.effect(Effect::Report(Error::NoAuthResponse(waited)));
                self.again();
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        match self.state.phase {
            Phase::Authenticating(_) | Phase::Connected => self.say_close(CLIENT_CLOSED),
            Phase::Connecting(_) => self.effect(Effect::Drop),
            Phase::New | Phase::Waiting(_) | Phase::Closed => {}
        }
        self.end(None);
    }

    /// Waits before it dials again, or ends if it has done so often enough.
    fn again(&mut self) {
        let State { attempts, plan: Plan { redial, .. }, .. } = self.state;
        match redial.attempts {
            Some(most) if *attempts >= most => self.end(Some(Error::Exhausted(most))),
            _ => {
                let delay = delay(redial, *attempts, self.random);
                self.record(Record::Waiting { delay, until: self.now.saturating_add(delay) });
                self.effect(Effect::Now(Status::Waiting));
            }
        }
    }

    fn end(&mut self, error: Option<Error>) {
        self.record(Record::Ended);
        self.effect(Effect::Now(Status::Closed));
        self.effect(Effect::End(error));
    }

    fn say_close(&mut self, (code, reason): (u16, &str)) {
        self.effect(Effect::Close(code, reason.into()));
    }

    fn record(&mut self, record: Record) {
        self.decision.records.push(record);
    }

    fn effect(&mut self, effect: Effect) {
        self.decision.effects.push(effect);
    }
}
