//! The model of queues, and what is known of it whatever is asked: what is pushed is what was published, in order and once; a
//! message has one consumer at a time and none behind its acknowledgement; who waits does so only while there is nothing; and a
//! restart finds what was there.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use wireproof_reference::{
    model::{Decision, Model},
    queue::{
        QueueModel,
        model::{
            Answer, Ask, At, Create, Draft, Effect, Input, Kind, Queue, Record, Refusal, Settings, State, Who,
        },
    },
};
use wireproof_spec::queue::QueueType;

/// How long a received message is hidden.
pub(crate) const VISIBILITY_MS: u64 = 1000;
/// How often a delivery is tried again.
pub(crate) const RETRIES: u64 = 2;

/// What may happen.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Publish {
        queue: usize,
        key: Option<usize>,
        partition: Option<usize>,
        ttl: Option<u64>,
        many: usize,
    },
    Receive {
        queue: usize,
        patience: u64,
    },
    Ack {
        queue: usize,
        offset: u64,
    },
    Nack {
        queue: usize,
        offset: u64,
    },
    Delete {
        queue: usize,
        offset: u64,
    },
    Revive {
        queue: usize,
        offset: u64,
    },
    Subscribe {
        queue: usize,
        last: Option<i64>,
    },
    /// The n-th subscriber goes away.
    Leave(usize),
    Pause {
        queue: usize,
        pause: bool,
    },
    Pass(u64),
    Restart,
}

/// The queues, by their types.
pub(crate) const NAMES: [&str; 2] = ["pubsub", "worker"];

/// A message.
pub(crate) fn draft(payload: usize) -> Draft {
    let payload = Bytes::from(payload.to_string());
    Draft { size: payload.len() as u64, payload, metadata: None, key: None, partition: None, ttl: None }
}

/// A subscriber as the shell plays it: it asks again as soon as it is answered.
#[derive(Debug)]
struct Reader {
    queue: usize,
    worker: bool,
    /// Where it is.
    at: u64,
    pushed: Vec<u64>,
}

/// The model with its log and content, and what is known of it.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) state: State,
    log: Vec<String>,
    pub(crate) content: BTreeMap<(u64, u64), Bytes>,
    pub(crate) now: u64,
    session: u64,
    /// Who asked and was not answered.
    open: BTreeSet<u64>,
    answers: BTreeMap<u64, Answer>,
    readers: BTreeMap<u64, Reader>,
    /// Of each worker queue: until when each message is hidden, and what was acknowledged.
    pub(crate) hidden: BTreeMap<(usize, u64), u64>,
    acknowledged: BTreeSet<(usize, u64)>,
    /// When each message was published that is still wanted, and when its time is over.
    published: BTreeMap<(usize, u64), Option<u64>>,
}

impl World {
    /// A queue of each type.
    pub(crate) fn new() -> Self {
        let mut world = Self { now: 1_000_000, ..Self::default() };
        for (name, kind) in NAMES.into_iter().zip([QueueType::Pubsub, QueueType::Worker]) {
            let settings = Settings {
                visibility_s: VISIBILITY_MS / 1000,
                max_retries: RETRIES,
                backoff_ms: 100.0,
                in_flight: 2,
                ..Settings::default()
            };
            let ask = Ask::Create(Create { kind, description: None, settings });
            assert!(matches!(world.ask(name, ask), Some(Answer::Queue(_))));
        }
        world
    }

    fn give(&mut self, input: &Input) {
        let Decision { records, effects } = QueueModel::decide(&self.state, self.now, input);
        for record in &records {
            QueueModel::apply(&mut self.state, record);
            if QueueModel::durable(record) {
                self.log.push(serde_json::to_string(record).unwrap());
            }
            if let Record::Published { incarnation, offset, bytes, .. } = record {
                let before = self.content.insert((*incarnation, *offset), bytes.clone());
                assert!(before.is_none(), "an offset was given twice");
            }
        }
        let mut again = Vec::new();
        for effect in effects {
            if let Effect::Answer { session, answer } = effect {
                assert!(self.open.remove(&session), "answered twice, or without a question");
                if let Answer::Push { places, to, .. } = &answer {
                    let reader = self.readers.get_mut(&session).expect("a reader");
                    let queue = reader.queue;
                    reader.at = *to;
                    reader.pushed.extend(places.iter().map(|place| place.offset));
                    if reader.worker {
                        places.iter().for_each(|place| self.leased(queue, place.offset));
                    }
                    again.push(session);
                }
                if let Answer::Received { incarnation, place: Some(place) } = &answer {
                    let found = self.state.queues.iter().find(|(_, queue)| queue.incarnation == *incarnation);
                    let queue = NAMES.iter().position(|name| *name == found.unwrap().0).unwrap();
                    self.leased(queue, place.offset);
                }
                self.answers.insert(session, answer);
            }
        }
        for session in again {
            let reader = &self.readers[&session];
            let (name, from) = (NAMES[reader.queue], reader.at);
            let ask = if reader.worker { Ask::Work } else { Ask::Next { from, most: 3 } };
            self.question(session, name, ask);
        }
    }

    fn leased(&mut self, queue: usize, offset: u64) {
        assert!(!self.acknowledged.contains(&(queue, offset)), "an acknowledged message was handed out");
        let until = self.hidden.insert((queue, offset), self.now + VISIBILITY_MS);
        assert!(until.is_none_or(|until| until <= self.now), "a message was handed out to two");
    }

    fn question(&mut self, session: u64, name: &str, ask: Ask) {
        self.open.insert(session);
        self.give(&Input::Ask { session, name: name.into(), ask });
    }

    /// What the timer does until there is nothing to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100 {
            if QueueModel::wake_at(&self.state).is_none_or(|at| at > self.now) {
                return;
            }
            self.give(&Input::Tick);
        }
        panic!("the model asks for ticks and does nothing");
    }

    /// The answer to a question, if it has one by now.
    pub(crate) fn ask(&mut self, name: &str, ask: Ask) -> Option<Answer> {
        self.session += 1;
        let session = self.session;
        self.question(session, name, ask);
        self.settle();
        self.answers.remove(&session)
    }

    fn queue(&self, queue: usize) -> &Queue {
        &self.state.queues[NAMES[queue]]
    }

    /// The message of this offset.
    pub(crate) fn at(&self, queue: usize, offset: u64) -> At {
        At { incarnation: Some(self.queue(queue).incarnation), offset: Some(offset) }
    }

    /// Does this, and looks whether everything is as it has to be.
    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Publish { queue, key, partition, ttl, many } => {
                let mut drafts: Vec<Draft> = (0..*many).map(draft).collect();
                drafts[0].key = key.map(|key| format!("key-{key}"));
                for draft in &mut drafts {
                    draft.partition = partition.map(|partition| format!("partition-{partition}"));
                    draft.ttl = ttl.map(|ttl| ttl as f64);
                }
                let next = self.queue(*queue).next;
                let known = drafts[0].key.as_ref().and_then(|key| self.queue(*queue).keys.get(key).copied());
                let ends = ttl.map(|ttl| self.now + ttl * 1000);
                let answer = self.ask(NAMES[*queue], Ask::Publish { drafts: drafts.into() });
                let Some(Answer::Messages { places, .. }) = answer else { panic!("{answer:?}") };
                let new = places.iter().filter(|place| place.offset >= next);
                new.for_each(|place| {
                    self.published.insert((*queue, place.offset), ends);
                });
                let first = places[0].offset;
                assert!(first == next || known == Some(first), "a known key tells its message");
                assert_eq!(
                    self.queue(*queue).next,
                    next + places.iter().filter(|p| p.offset >= next).count() as u64
                );
            }
            Step::Receive { queue, patience } => {
                let answer = self.ask(NAMES[*queue], Ask::Receive { patience: *patience });
                if let Some(Answer::Received { place: Some(place), .. }) = answer {
                    assert_eq!(place.kind, Kind::Leased);
                    assert!(place.attempts.is_some_and(|n| (1..=RETRIES + 1).contains(&n)));
                }
            }
            Step::Ack { queue, offset } => {
                let answer = self.ask(NAMES[*queue], Ask::Ack(self.at(*queue, *offset)));
                match answer {
                    Some(Answer::Done) => {
                        self.acknowledged.insert((*queue, *offset));
                    }
                    Some(Answer::Refused(Refusal::Elsewhere(_) | Refusal::NoMessage)) => {}
                    other => panic!("{other:?}"),
                }
            }
            Step::Nack { queue, offset } => {
                let answer = self.ask(NAMES[*queue], Ask::Nack(self.at(*queue, *offset)));
                if answer == Some(Answer::Done) {
                    self.hidden.remove(&(*queue, *offset));
                }
            }
            Step::Delete { queue, offset } => {
                let answer = self.ask(NAMES[*queue], Ask::DeleteMessage(self.at(*queue, *offset)));
                if answer == Some(Answer::Done) {
                    self.published.remove(&(*queue, *offset));
                }
            }
            Step::Revive { queue, offset } => {
                let at = self.at(*queue, *offset);
                // Before the answer, as it may be handed out in the same breath.
                let here = self.queue(*queue);
                let leased = here.leases.iter().any(|(_, leased)| leased == offset);
                if !leased && self.published.contains_key(&(*queue, *offset)) {
                    self.acknowledged.remove(&(*queue, *offset));
                    self.hidden.remove(&(*queue, *offset));
                }
                self.ask(NAMES[*queue], Ask::ReplayMessage(at));
            }
            Step::Subscribe { queue, last } => {
                let who = Who { client_id: "c".into(), ip: "i".into() };
                let Some(Answer::Subscribed { kind, from, .. }) =
                    self.ask(NAMES[*queue], Ask::Subscribe { last: *last, who })
                else {
                    panic!("a subscription")
                };
                let worker = kind == QueueType::Worker;
                let next = self.queue(*queue).next;
                let wanted = last.map_or(next, |last| (last + 1) as u64).min(next);
                assert_eq!(from, wanted, "a replay begins behind what was processed");
                let session = self.session;
                let reader = Reader { queue: *queue, worker, at: from, pushed: Vec::new() };
                self.readers.insert(session, reader);
                let ask = if worker { Ask::Work } else { Ask::Next { from, most: 3 } };
                self.question(session, NAMES[*queue], ask);
            }
            Step::Leave(n) => {
                let Some(session) = self.readers.keys().nth(*n).copied() else { return };
                self.give(&Input::Gone { session });
                self.readers.remove(&session);
                self.open.remove(&session);
            }
            Step::Pause { queue, pause } => {
                self.ask(NAMES[*queue], Ask::Pause(*pause));
            }
            Step::Pass(time) => self.now += time,
            Step::Restart => {
                let before = self.state.clone();
                self.state = State::default();
                for record in &self.log {
                    QueueModel::apply(&mut self.state, &serde_json::from_str(record).unwrap());
                }
                for (name, queue) in &self.state.queues {
                    let mut before = before.queues[name].clone();
                    // Who waited and who held is gone, and what ripened ripens again.
                    before.receivers.clear();
                    before.idle.clear();
                    before.subscribers.clear();
                    before.open.values_mut().for_each(|open| {
                        if let wireproof_reference::queue::model::Stage::Leased { session, .. } =
                            &mut open.stage
                        {
                            *session = None;
                        }
                    });
                    let mut after = queue.clone();
                    ripen(&mut after);
                    ripen(&mut before);
                    assert_eq!(after, before, "what a restart finds");
                }
                self.readers.clear();
                self.open.clear();
                self.give(&Input::Started);
            }
        }
        self.settle();
        self.check();
    }

    fn check(&self) {
        assert_eq!(
            self.state.waits.keys().collect::<Vec<_>>(),
            self.open.iter().collect::<Vec<_>>(),
            "those who wait are those who are not answered"
        );
        for reader in self.readers.values().filter(|reader| !reader.worker) {
            assert!(reader.pushed.is_sorted_by(|a, b| a < b), "order: {:?}", reader.pushed);
            let queue = self.queue(reader.queue);
            if queue.paused.is_none() {
                assert_eq!(reader.at, queue.next, "nobody waits for what is there");
                // What was deleted or is over may have been pushed before; all else was.
                let first = reader.pushed.first().copied().unwrap_or(reader.at);
                for ((_, offset), end) in
                    self.published.range((reader.queue, first)..=(reader.queue, u64::MAX))
                {
                    let over = end.is_some();
                    assert!(over || reader.pushed.contains(offset), "{offset} was not pushed");
                }
            }
        }
        for name in NAMES {
            let queue = &self.state.queues[name];
            let free = self.state.awake.contains(name);
            assert!(!free, "an awake queue after the last tick");
            if queue.paused.is_none() && !queue.receivers.is_empty() {
                let pending = self.pending(queue);
                assert_eq!(pending, None, "somebody waits for what is pending");
            }
        }
    }

    /// Looks whether every message has its content.
    pub(crate) fn finished(&self) {
        let next: u64 = self.state.queues.values().map(|queue| queue.next).sum();
        assert_eq!(self.content.len() as u64, next, "every message has its content");
    }

    /// A message that could be received, as anybody would find it.
    fn pending(&self, queue: &Queue) -> Option<u64> {
        let unfinished = |offset: &u64| {
            let dead = queue.dead.contains_key(offset);
            let gone = queue.gone.iter().any(|(from, to)| (*from..*to).contains(offset));
            let over = queue.ends.get(offset).is_some_and(|end| *end <= self.now);
            !dead && !gone && !over && !queue.behind.contains(offset)
        };
        let fresh = (queue.fresh.max(queue.start)..queue.next).find(unfinished);
        fresh.or_else(|| queue.ready.first().copied().filter(|offset| unfinished(offset)))
    }
}

/// What is remembered of a backoff whether it has passed or not.
fn ripen(queue: &mut Queue) {
    for (_, offset) in std::mem::take(&mut queue.backoffs) {
        queue.ready.insert(offset);
    }
}
