//! The queue protocol as a pure state machine over offsets: what a request does and how it is answered, who waits, who is
//! pushed what, and which deliveries are under way. What was published lies beside the state, in a place for each offset.
//!
//! A queue hands out what it has at a tick: whatever makes a message available, or a taker, marks the queue as awake, and
//! an awake queue asks for a tick at once. So there is one place at which messages meet those who wait for them.

mod answer;
mod consume;
mod destinations;
mod input;
mod leases;
mod life;
mod publish;
mod push;
mod queue;
mod record;
mod sources;
mod state;

pub use answer::{Answer, End, Facts, Kind, Letter, Place, Refusal};
pub use destinations::{Call, Destination, Flight, Outcome, Policy, PolicyChange, Tally};
pub use input::{Ask, At, Change, Create, Draft, Given, Input, Posted, Reach, Taken, Who};
pub use publish::Stored;
pub use queue::{Death, Differences, Open, Queue, Settings, Stage};
pub use record::Record;
pub use sources::{Alter, Auth, Source, SourceTally};
pub use state::{State, Subscriber, Wait, Waits};

use crate::{
    log::{Block, Range},
    model::{Decision, Model},
};

/// The room that each offset has among the positions of the content, in bits: more than any message needs, as a character of
/// a payload has at most six bytes when it is escaped.
const ROOM: u32 = 23;

/// The range of content in which the messages of these offsets lie.
pub fn range(incarnation: u64, from: u64, to: u64) -> Range {
    let at = |offset: u64| offset.saturating_mul(1 << ROOM);
    Range { owner: incarnation, from: at(from), to: at(to) }
}

/// The offset of the message that lies at a position.
pub fn offset(position: u64) -> u64 {
    position >> ROOM
}

/// All queues of a server.
#[derive(Debug)]
pub enum QueueModel {}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer a session.
    Answer {
        /// Which.
        session: u64,
        /// With what.
        answer: Answer,
    },
    /// Send a message to a destination, and say how it went.
    Call(Call),
    /// Remove the content of a queue that is gone.
    Remove {
        /// Its incarnation.
        incarnation: u64,
    },
    /// Remove the content of a queue before an offset.
    Trim {
        /// Its incarnation.
        incarnation: u64,
        /// The first offset that is kept.
        start: u64,
    },
    /// Remove all content but that of these queues.
    Retain {
        /// Their incarnations.
        incarnations: Vec<u64>,
    },
}

impl Model for QueueModel {
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
                if state.waits.contains_key(session) || state.subscribers.contains_key(session) {
                    decision.records.push(Record::Left { session: *session });
                }
            }
            Input::Returned { call, outcome } => {
                destinations::returned(state, now, call, outcome, &mut decision)
            }
            Input::Tick => {
                state.time_out(now, &mut decision);
                life::pass(state, now, &mut decision);
                life::sweep(state, &mut decision);
            }
            Input::Stopping => {
                decision.records.push(Record::Stopping);
                state.waits.keys().for_each(|session| state.stop(*session, &mut decision));
            }
            Input::Started => {
                let incarnations = state.queues.values().map(|queue| queue.incarnation).collect();
                decision.effects.push(Effect::Retain { incarnations });
                for (name, queue) in &state.queues {
                    let (incarnation, start) = (queue.incarnation, queue.start);
                    decision.effects.push(Effect::Trim { incarnation, start });
                    destinations::resume(name, queue, now, &mut decision);
                }
            }
        }
        decision
    }

    fn apply(state: &mut State, record: &Record) {
        state.apply(record);
    }

    fn wake_at(state: &State) -> Option<u64> {
        if !state.garbage.is_empty() || !state.awake.is_empty() {
            return Some(0);
        }
        let wait = state.deadlines.first().map(|(deadline, _)| *deadline);
        let due = state.dues.first().map(|(due, _)| *due);
        wait.into_iter().chain(due).min()
    }

    fn durable(record: &Record) -> bool {
        record.is_durable()
    }

    fn block(record: &Record) -> Option<Block> {
        match record {
            Record::Published { incarnation, offset, bytes, .. } => {
                let start = range(*incarnation, *offset, *offset).from;
                Some(Block { owner: *incarnation, start, bytes: bytes.clone() })
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
    fn ask(&self, ask: &Ask, decision: &mut Decision<QueueModel>) -> Option<Answer> {
        match (ask, self.state.queues.get(self.name)) {
            (Ask::List { limit, skip }, _) => Some(self.list(*limit, *skip)),
            (Ask::Post(posted), _) => Some(self.post(posted, decision)),
            (Ask::Create(create), found) => Some(self.create(found, create, decision)),
            // Whoever was subscribed to a queue that is gone is told that it is over, also if there is another of its name.
            (Ask::Next { .. } | Ask::Work, _) if !self.state.subscribers.contains_key(&self.session) => {
                Some(Answer::Over(End::Deleted))
            }
            (_, None) => Some(Answer::Refused(Refusal::NoQueue)),
            (ask, Some(queue)) => self.of(queue, ask, decision),
        }
    }

    fn of(&self, queue: &'a Queue, ask: &Ask, decision: &mut Decision<QueueModel>) -> Option<Answer> {
        Some(match ask {
            Ask::List { .. } | Ask::Post(_) | Ask::Create(_) | Ask::Get => {
                Answer::Queue(queue.facts(self.name))
            }
            Ask::Update(change) => self.update(queue, change, decision),
            Ask::Delete => self.delete(queue, decision),
            Ask::Pause(pause) => self.pause(queue, *pause, decision),
            Ask::Publish { drafts } => self.publish(queue, drafts, None, decision),
            Ask::Message(at) => self.message(queue, *at),
            Ask::Messages { limit, skip, kind } => self.messages(queue, *limit, *skip, *kind),
            Ask::DeleteMessage(at) => self.remove(queue, *at, decision),
            Ask::ReplayMessage(at) => self.replay(queue, *at, decision),
            Ask::Consume { from, limit } => self.consume(queue, *from, *limit),
            Ask::Head => Answer::Offset(queue.head(self.now)),
            Ask::Tail => Answer::Offset(queue.tail(self.now)),
            Ask::Receive { patience } => return self.receive(queue, *patience, decision),
            Ask::Ack(at) => self.ack(queue, *at, decision),
            Ask::Nack(at) => self.nack(queue, *at, decision),
            Ask::DeadLetters { limit, skip } => self.dead_letters(queue, *limit, *skip),
            Ask::ReplayDead(at) => self.replay_dead(queue, *at, decision),
            Ask::DeleteDead(at) => self.delete_dead(queue, *at, decision),
            Ask::PurgeDead => self.purge_dead(queue, decision),
            Ask::Destine(given) => self.destine(queue, given, decision),
            Ask::Destinations => self.destinations(queue),
            Ask::Redestine { id, given } => self.redestine(queue, id, given, decision),
            Ask::Undestine { id } => self.undestine(queue, id, decision),
            Ask::AddSource(given) => self.add_source(queue, given, decision),
            Ask::Sources => self.sources(queue),
            Ask::Source { id } => self.source(queue, id),
            Ask::ChangeSource { id, given } => self.change_source(queue, id, given, decision),
            Ask::RemoveSource { id } => self.remove_source(queue, id, decision),
            Ask::Subscribe { last, who } => self.subscribe(queue, *last, who, decision),
            Ask::Consumers => self.consumers(queue),
            Ask::Next { from, most } => return self.next(queue, *from, *most, decision),
            Ask::Work => return self.work(queue, decision),
        })
    }
}
