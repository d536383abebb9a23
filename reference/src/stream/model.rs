//! The stream protocol as a pure state machine over positions: what a request does and how it is answered, who waits, and
//! which bytes an answer holds. The bytes themselves are beside the state.

mod answer;
mod create;
mod life;
mod read;
mod state;
mod write;

pub use answer::{Answer, CURSOR_EPOCH, CURSOR_INTERVAL, Facts, Produced, Refusal};
pub(super) use answer::{SEPARATOR, stored};
pub use state::{Lifetime, Live, Origin, Producer, State, Stream, Wait};

use crate::{
    log::{Block, Range},
    model::{Decision, Model},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wireproof_spec::stream::MediaType;

/// All streams of a server.
#[derive(Debug)]
pub enum StreamModel {}

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
    Create(Create),
    /// "Append", with a body that is not empty.
    Append(Append),
    /// "Close", without a body.
    Close {
        /// Who closes, if it is a producer.
        producer: Option<Tuple>,
    },
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
    /// "Sse": the first answer of a reader that stays.
    Follow {
        /// Where.
        from: From,
        /// What else; its patience is that of the whole event stream.
        poll: Poll,
    },
    /// The next answer of a reader that stays.
    Next {
        /// Where it reads.
        from: u64,
        /// The tail that it knows. It is not behind `from`: the end of the content may be half a character.
        seen: u64,
        /// What else.
        poll: Poll,
    },
}

/// A stream that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The media type, if it is named.
    pub media_type: Option<MediaType>,
    /// Whether the stream is created closed.
    pub closed: bool,
    /// How long it lives, if that is said.
    pub lifetime: Option<Lifetime>,
    /// What it begins as a part of.
    pub fork: Option<Fork>,
    /// The first content, as it is stored.
    pub body: Bytes,
}

/// What a stream begins as a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The name of the source.
    pub source: String,
    /// Where the fork leaves it; none: at its tail.
    pub offset: Option<u64>,
    /// How far behind that, in messages of a JSON stream and else in bytes.
    pub sub_offset: u64,
    /// What the shell found out about the content there.
    pub found: Option<Found>,
}

/// Where a fork leaves its source, as the content of the source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// In which incarnation of the source.
    pub incarnation: u64,
    /// The position; none if there is no such place.
    pub base: Option<u64>,
}

/// A question about content, which the shell answers by asking again with [`Found`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The incarnation of the source.
    pub incarnation: u64,
    /// The content of the source; the last one is the source's own.
    pub content: Arc<[Range]>,
    /// Whether it is a stream of JSON messages.
    pub json: bool,
    /// Where the fork leaves it.
    pub offset: u64,
    /// How far behind that.
    pub sub_offset: u64,
}

/// Content for the end of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The media type of the body.
    pub media_type: MediaType,
    /// Whether the stream is closed behind the body.
    pub closed: bool,
    /// What is appended, as it is stored.
    pub body: Bytes,
    /// Who appends, if it is a producer.
    pub producer: Option<Tuple>,
    /// `Stream-Seq`.
    pub seq: Option<String>,
    /// How many bytes of the stream are kept at least; none: all.
    pub retain: Option<u64>,
}

/// What a producer says of an append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuple {
    /// Its name.
    pub id: String,
    /// Which life of it.
    pub epoch: u64,
    /// The number of the append in it.
    pub seq: u64,
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

/// What a live read asks for.
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
    /// A stream exists, open and without content of its own.
    Created {
        /// Its name.
        name: String,
        /// Its incarnation.
        incarnation: u64,
        /// Its media type.
        #[serde(with = "media_type")]
        media_type: MediaType,
        /// How long it lives.
        lifetime: Lifetime,
        /// What it begins as a part of.
        origin: Option<Origin>,
        /// When: milliseconds since 1970.
        at: u64,
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
        /// Who appended, if it was a producer.
        producer: Option<Tuple>,
        /// `Stream-Seq`.
        seq: Option<String>,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A stream is closed.
    Closed {
        /// Its name.
        name: String,
        /// Who closed it, if it was a producer.
        producer: Option<Tuple>,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// The oldest content of a stream is gone.
    Trimmed {
        /// Its name.
        name: String,
        /// The first position that is kept.
        start: u64,
        /// Where content is cut off next.
        mark: u64,
    },
    /// A stream was deleted. It is gone, or, as long as it has forks, only its URL is held.
    Deleted {
        /// Its name.
        name: String,
    },
    /// The time of a stream is over, and it is gone.
    Expired {
        /// Its name.
        name: String,
    },
    /// A stream with a time to live was used. Not durable: at a restart every window starts anew.
    Touched {
        /// Its name.
        name: String,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A reader stays. Not durable.
    Following {
        /// Whose.
        session: u64,
        /// Of which stream.
        name: String,
        /// Until when: milliseconds since 1970.
        until: u64,
    },
    /// A live read waits. Not durable.
    Waiting {
        /// Whose.
        session: u64,
        /// The wait.
        wait: Wait,
    },
    /// A wait is over. Not durable.
    Woken {
        /// Whose.
        session: u64,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A session has ended, whatever it was doing. Not durable.
    Left {
        /// Whose.
        session: u64,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// The content that nobody needs was given to be removed. Not durable.
    Swept,
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
    /// Remove the content of a stream before a position.
    Trim {
        /// Its incarnation.
        incarnation: u64,
        /// The first position that is kept.
        start: u64,
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
                let case = Case { state, now, session: *session, name };
                // The one who asked comes before those who waited for it.
                if let Some(answer) = case.ask(ask, &mut decision) {
                    decision.effects.insert(0, Effect::Answer { session: *session, answer });
                }
            }
            Input::Gone { session } => {
                if state.waits.contains_key(session) || state.readers.contains_key(session) {
                    decision.records.push(Record::Left { session: *session, at: now });
                }
            }
            Input::Tick => {
                life::expire(state, now, &mut decision);
                read::time_out(state, now, &mut decision);
                life::sweep(state, &mut decision);
            }
            Input::Stopping => {
                decision.records.push(Record::Stopping);
                let all = state.waits.keys();
                all.for_each(|session| read::end_wait(state, now, *session, &mut decision));
            }
            Input::Started => {
                decision.effects.push(Effect::Retain { incarnations: state.owners() });
                // A sliding window starts anew: late is allowed, early is not.
                let sliding = state.streams.iter().filter(|(_, s)| matches!(s.lifetime, Lifetime::Ttl(_)));
                decision
                    .records
                    .extend(sliding.map(|(name, _)| Record::Touched { name: name.clone(), at: now }));
            }
        }
        decision
    }

    fn apply(state: &mut State, record: &Record) {
        state.apply(record);
    }

    fn wake_at(state: &State) -> Option<u64> {
        if !state.garbage.is_empty() {
            return Some(0);
        }
        let wait = state.deadlines.first().map(|(deadline, _)| *deadline);
        let end = state.ends.first().map(|(end, _)| *end);
        wait.into_iter().chain(end).min()
    }

    fn durable(record: &Record) -> bool {
        match record {
            Record::Created { .. }
            | Record::Appended { .. }
            | Record::Closed { .. }
            | Record::Trimmed { .. }
            | Record::Deleted { .. }
            | Record::Expired { .. } => true,
            Record::Touched { .. }
            | Record::Following { .. }
            | Record::Waiting { .. }
            | Record::Woken { .. }
            | Record::Left { .. }
            | Record::Swept
            | Record::Stopping => false,
        }
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

/// A request.
#[derive(Clone, Copy)]
struct Case<'a> {
    state: &'a State,
    now: u64,
    session: u64,
    name: &'a str,
}

impl<'a> Case<'a> {
    /// The answer, or none yet.
    fn ask(&self, ask: &Ask, decision: &mut Decision<StreamModel>) -> Option<Answer> {
        let found = self.state.streams.get(self.name);
        if let Some(stream) = found.filter(|stream| stream.is_over(self.now)) {
            life::end(self.state, self.name, stream, decision);
        }
        let stream = self.state.at(self.name, self.now);
        let refused = |refusal| Some(Answer::Refused(refusal));
        match (stream, ask) {
            (None, Ask::Create(create)) => Some(self.create(create, decision)),
            (None, _) => refused(Refusal::NoStream),
            (Some(stream), Ask::Create(_)) if stream.deleted => refused(Refusal::Held),
            (Some(stream), Ask::Create(create)) => Some(self.created(stream, create)),
            (Some(stream), _) if stream.deleted => refused(Refusal::Gone),
            (Some(stream), ask) => self.ask_of(stream, ask, decision),
        }
    }

    fn ask_of(&self, stream: &'a Stream, ask: &Ask, decision: &mut Decision<StreamModel>) -> Option<Answer> {
        match ask {
            Ask::Create(_) => None,
            Ask::Append(append) => Some(self.append(stream, append, decision)),
            Ask::Close { producer } => Some(self.close(stream, producer.as_ref(), decision)),
            Ask::Delete => {
                life::delete(self.state, self.name, stream, decision);
                Some(Answer::Deleted)
            }
            Ask::Head => Some(Answer::Head(answer::facts(stream))),
            Ask::Read { from, chunk } => Some(self.read(stream, *from, *chunk, decision)),
            Ask::LongPoll { from, poll } => self.long_poll(stream, *from, poll, decision),
            Ask::Follow { from, poll } => Some(self.follow(stream, *from, poll, decision)),
            Ask::Next { from, seen, poll } => self.next(stream, *from, *seen, poll, decision),
        }
    }

    /// A stream with a time to live lives on.
    fn touch(&self, stream: &Stream, decision: &mut Decision<StreamModel>) {
        if matches!(stream.lifetime, Lifetime::Ttl(_)) {
            decision.records.push(Record::Touched { name: self.name.into(), at: self.now });
        }
    }
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
