//! The stream protocol as a pure state machine over positions: what a request does and how it is answered, who waits, and
//! which bytes an answer holds. The bytes themselves are beside the state.

mod answer;

pub use answer::{Answer, CURSOR_EPOCH, CURSOR_INTERVAL, Facts, Refusal};

use crate::{
    log::{Block, Range},
    model::{Decision, Model},
};
use answer::{Tail, content, facts, polled};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use wireproof_spec::stream::MediaType;

/// All streams of a server.
#[derive(Debug)]
pub enum StreamModel {}

/// Everything that decisions depend on.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The streams, by name.
    pub streams: BTreeMap<String, Stream>,
    /// The long-polls that wait, by session.
    pub waits: BTreeMap<u64, Wait>,
    /// The deadline (milliseconds since 1970) and session of each wait.
    pub deadlines: BTreeSet<(u64, u64)>,
    /// The incarnation of the next stream that is created.
    pub next: u64,
    /// Whether the server is about to stop: nobody waits any more.
    pub stopping: bool,
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Tells this stream from others that had or will have its name; owner of its content.
    pub incarnation: u64,
    /// As it was written when the stream was created.
    pub media_type: MediaType,
    /// Whether it is closed.
    pub closed: bool,
    /// The position behind the last byte.
    pub tail: u64,
    /// The sessions that wait at the tail.
    pub waiting: BTreeSet<u64>,
}

/// A long-poll that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Of the stream.
    pub name: String,
    /// Where it reads.
    pub from: u64,
    /// What it asked for.
    pub poll: Poll,
    /// When it is answered without content: milliseconds since 1970.
    pub deadline: u64,
}

/// What happens to the server.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request.
    Ask {
        /// Whom to answer.
        session: u64,
        /// Of the stream.
        name: String,
        /// What it wants.
        ask: Ask,
    },
    /// The client of a session went away.
    Gone {
        /// Which.
        session: u64,
    },
    /// Time has passed.
    Tick,
    /// The server starts.
    Started,
    /// The server is about to stop.
    Stopping,
}

/// A request for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// "Create".
    Create {
        /// The media type.
        media_type: MediaType,
        /// Whether the stream is created closed.
        closed: bool,
        /// The first content.
        body: Bytes,
    },
    /// "Append", with a body that is not empty.
    Append {
        /// The media type of the body.
        media_type: MediaType,
        /// Whether the stream is closed behind the body.
        closed: bool,
        /// What is appended.
        body: Bytes,
    },
    /// "Close", without a body.
    Close,
    /// "Delete".
    Delete,
    /// "Head".
    Head,
    /// "Read".
    Read {
        /// Where.
        from: From,
        /// How many bytes the answer may hold.
        chunk: u64,
    },
    /// "Longpoll".
    LongPoll {
        /// Where.
        from: From,
        /// What else.
        poll: Poll,
    },
}

/// Where a read starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At the first byte.
    Start,
    /// At the tail.
    Now,
    /// At a position.
    At(u64),
}

/// What a long-poll asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// How many bytes the answer may hold.
    pub chunk: u64,
    /// How long it waits at most, in milliseconds.
    pub patience: u64,
    /// The cursor that the client sent back.
    pub cursor: Option<u64>,
    /// Random bits: how far a cursor goes that has to pass the client's.
    pub random: u64,
}

/// A change of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A stream exists, empty and open.
    Created {
        /// Its name.
        name: String,
        /// Its incarnation.
        incarnation: u64,
        /// Its media type.
        #[serde(with = "media_type")]
        media_type: MediaType,
    },
    /// The tail of a stream moved.
    Appended {
        /// Its name.
        name: String,
        /// Which bytes came.
        range: Range,
        /// The bytes. They are stored beside the record, and absent from it at recovery.
        #[serde(skip)]
        bytes: Bytes,
    },
    /// A stream is closed.
    Closed {
        /// Its name.
        name: String,
    },
    /// A stream is gone.
    Deleted {
        /// Its name.
        name: String,
    },
    /// A long-poll waits. Not durable.
    Waiting {
        /// Whose.
        session: u64,
        /// The wait.
        wait: Wait,
    },
    /// A long-poll waits no longer. Not durable.
    Left {
        /// Whose.
        session: u64,
    },
    /// Nobody waits any more. Not durable.
    Stopping,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer a session.
    Answer {
        /// Which.
        session: u64,
        /// With what.
        answer: Answer,
    },
    /// Remove the content of a stream that is gone.
    Remove {
        /// Its incarnation.
        incarnation: u64,
    },
    /// Remove all content but that of these streams.
    Retain {
        /// Their incarnations.
        incarnations: Vec<u64>,
    },
}

impl Model for StreamModel {
    type State = State;
    type Input = Input;
    type Record = Record;
    type Effect = Effect;

    fn decide(state: &State, now: u64, input: &Input) -> Decision<Self> {
        let mut decision = Decision::default();
        match input {
            Input::Ask { session, name, ask } => {
                let answer = match (state.streams.get(name), ask) {
                    (None, Ask::Create { media_type, closed, body }) => {
                        Some(create(state, name, media_type, *closed, body, &mut decision))
                    }
                    (None, _) => Some(Answer::Refused(Refusal::NoStream)),
                    (Some(stream), ask) => {
                        let case = Case { state, now, session: *session, name, stream };
                        case.ask(ask, &mut decision)
                    }
                };
                // The one who asked comes before those who waited for it, and content goes last.
                if let Some(answer) = answer {
                    decision.effects.insert(0, Effect::Answer { session: *session, answer });
                }
            }
            Input::Gone { session } if state.waits.contains_key(session) => {
                decision.records.push(Record::Left { session: *session });
            }
            Input::Gone { .. } => {}
            Input::Tick => {
                let due = state.deadlines.range(..=(now, u64::MAX));
                due.for_each(|(_, session)| end_wait(state, now, *session, &mut decision));
            }
            Input::Stopping => {
                decision.records.push(Record::Stopping);
                state.waits.keys().for_each(|session| end_wait(state, now, *session, &mut decision));
            }
            Input::Started => {
                let incarnations = state.streams.values().map(|s| s.incarnation).collect();
                decision.effects.push(Effect::Retain { incarnations });
            }
        }
        decision
    }

    fn apply(state: &mut State, record: &Record) {
        match record {
            Record::Created { name, incarnation, media_type } => {
                let stream = Stream {
                    incarnation: *incarnation,
                    media_type: media_type.clone(),
                    closed: false,
                    tail: 0,
                    waiting: BTreeSet::new(),
                };
                state.streams.insert(name.clone(), stream);
                state.next = state.next.max(incarnation.saturating_add(1));
            }
            Record::Appended { name, range, .. } => {
                if let Some(stream) = state.streams.get_mut(name) {
                    stream.tail = range.to;
                }
            }
            Record::Closed { name } => {
                if let Some(stream) = state.streams.get_mut(name) {
                    stream.closed = true;
                }
            }
            Record::Deleted { name } => {
                state.streams.remove(name);
            }
            Record::Waiting { session, wait } => {
                if let Some(stream) = state.streams.get_mut(&wait.name) {
                    stream.waiting.insert(*session);
                }
                state.deadlines.insert((wait.deadline, *session));
                state.waits.insert(*session, wait.clone());
            }
            Record::Stopping => state.stopping = true,
            Record::Left { session } => {
                if let Some(wait) = state.waits.remove(session) {
                    state.deadlines.remove(&(wait.deadline, *session));
                    if let Some(stream) = state.streams.get_mut(&wait.name) {
                        stream.waiting.remove(session);
                    }
                }
            }
        }
    }

    fn wake_at(state: &State) -> Option<u64> {
        state.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn durable(record: &Record) -> bool {
        !matches!(record, Record::Waiting { .. } | Record::Left { .. } | Record::Stopping)
    }

    fn block(record: &Record) -> Option<Block> {
        match record {
            Record::Appended { range, bytes, .. } => {
                Some(Block { owner: range.owner, start: range.from, bytes: bytes.clone() })
            }
            _ => None,
        }
    }

    fn tick() -> Input {
        Input::Tick
    }

    fn started() -> Input {
        Input::Started
    }

    fn stopping() -> Input {
        Input::Stopping
    }
}

/// STREAM-CREATE-1, -9 and -11: one step, whatever it consists of.
fn create(
    state: &State,
    name: &str,
    media_type: &MediaType,
    closed: bool,
    body: &Bytes,
    decision: &mut Decision<StreamModel>,
) -> Answer {
    let (incarnation, media_type) = (state.next, media_type.clone());
    decision.records.push(Record::Created { name: name.into(), incarnation, media_type: media_type.clone() });
    if !body.is_empty() {
        decision.records.push(appended(name, incarnation, 0, body));
    }
    if closed {
        decision.records.push(Record::Closed { name: name.into() });
    }
    Answer::Created { fresh: true, facts: Facts { media_type, tail: body.len() as u64, closed } }
}

fn appended(name: &str, owner: u64, from: u64, body: &Bytes) -> Record {
    let range = Range { owner, from, to: from.saturating_add(body.len() as u64) };
    Record::Appended { name: name.into(), range, bytes: body.clone() }
}

/// A request for a stream that exists.
struct Case<'a> {
    state: &'a State,
    now: u64,
    session: u64,
    name: &'a str,
    stream: &'a Stream,
}

impl Case<'_> {
    /// The answer, or none yet.
    fn ask(&self, ask: &Ask, decision: &mut Decision<StreamModel>) -> Option<Answer> {
        let stream = self.stream;
        Some(match ask {
            Ask::Create { media_type, closed, .. } => {
                if *closed == stream.closed && media_type.same(&stream.media_type) {
                    Answer::Created { fresh: false, facts: facts(stream) }
                } else {
                    Answer::Refused(Refusal::Exists(facts(stream)))
                }
            }
            // Closure comes first: STREAM-APPEND-11.
            Ask::Append { .. } if stream.closed => Answer::Refused(Refusal::Closed { tail: stream.tail }),
            Ask::Append { media_type, closed, body } => {
                if media_type.same(&stream.media_type) {
                    self.append(body, *closed, decision)
                } else {
                    Answer::Refused(Refusal::MediaType { expected: stream.media_type.clone() })
                }
            }
            Ask::Close => {
                if !stream.closed {
                    decision.records.push(Record::Closed { name: self.name.into() });
                    self.wake(stream.tail, true, decision);
                }
                Answer::Closed { tail: stream.tail }
            }
            Ask::Delete => {
                decision.records.push(Record::Deleted { name: self.name.into() });
                for session in &stream.waiting {
                    leave(*session, Answer::Refused(Refusal::NoStream), decision);
                }
                decision.effects.push(Effect::Remove { incarnation: stream.incarnation });
                Answer::Deleted
            }
            Ask::Head => Answer::Head(facts(stream)),
            Ask::Read { from, chunk } => match self.position(*from) {
                Some(from) => content(stream, Tail::of(stream), from, *chunk, None),
                None => Answer::Refused(Refusal::BeyondTail),
            },
            Ask::LongPoll { from, poll } => match self.position(*from) {
                Some(from) if from == stream.tail && !stream.closed && !self.state.stopping => {
                    let deadline = self.now.saturating_add(poll.patience);
                    let wait = Wait { name: self.name.into(), from, poll: *poll, deadline };
                    decision.records.push(Record::Waiting { session: self.session, wait });
                    return None;
                }
                Some(from) => polled(stream, Tail::of(stream), from, poll, self.now),
                None => Answer::Refused(Refusal::BeyondTail),
            },
        })
    }

    fn append(&self, body: &Bytes, close: bool, decision: &mut Decision<StreamModel>) -> Answer {
        let record = appended(self.name, self.stream.incarnation, self.stream.tail, body);
        let tail = self.stream.tail.saturating_add(body.len() as u64);
        decision.records.push(record);
        if close {
            decision.records.push(Record::Closed { name: self.name.into() });
        }
        self.wake(tail, close, decision);
        Answer::Appended { tail, closed: close }
    }

    /// Answers everyone who waits: the stream is about to have this tail and closure.
    fn wake(&self, position: u64, closed: bool, decision: &mut Decision<StreamModel>) {
        let tail = Tail { position, closed };
        for session in &self.stream.waiting {
            if let Some(wait) = self.state.waits.get(session) {
                let answer = polled(self.stream, tail, wait.from, &wait.poll, self.now);
                leave(*session, answer, decision);
            }
        }
    }

    /// Where a read starts; none beyond the tail.
    fn position(&self, from: From) -> Option<u64> {
        match from {
            From::Start => Some(0),
            From::Now => Some(self.stream.tail),
            From::At(position) => (position <= self.stream.tail).then_some(position),
        }
    }
}

/// A wait whose time is over is answered with what there is: nothing.
fn end_wait(state: &State, now: u64, session: u64, decision: &mut Decision<StreamModel>) {
    let Some(wait) = state.waits.get(&session) else { return };
    let answer = match state.streams.get(&wait.name) {
        Some(stream) => polled(stream, Tail::of(stream), wait.from, &wait.poll, now),
        None => Answer::Refused(Refusal::NoStream),
    };
    leave(session, answer, decision);
}

fn leave(session: u64, answer: Answer, decision: &mut Decision<StreamModel>) {
    decision.records.push(Record::Left { session });
    decision.effects.push(Effect::Answer { session, answer });
}

/// A media type in a record is the text that it was on the wire.
mod media_type {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use wireproof_spec::stream::MediaType;

    pub(super) fn serialize<S: Serializer>(media_type: &MediaType, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(media_type.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<MediaType, D::Error> {
        MediaType::parse(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}
