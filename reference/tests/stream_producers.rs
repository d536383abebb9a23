//! Producers exactly once: in whatever order their requests arrive, however often each is repeated, over new epochs, other
//! writers, closure and restarts, the model says what a server would say that remembers everything, and the content of
//! every epoch is its messages from 0, once each and in order.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wireproof_reference::{
    model::{Decision, Model},
    stream::{
        StreamModel,
        model::{Answer, Append, Ask, Create, Effect, Input, Refusal, State, Tuple},
    },
};
use wireproof_spec::stream::MediaType;

const STREAMS: usize = 2;
const PRODUCERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A producer sends its next number to a stream, and whether that is to close it and has a body.
    Send { producer: usize, stream: usize, closes: bool, empty: bool },
    /// A producer sends a number that is too large by this.
    Skip { producer: usize, stream: usize, by: u64 },
    /// A producer begins another epoch.
    Bump { producer: usize, by: u64 },
    /// What was sent as the n-th arrives, for the first time or again.
    Arrive(usize),
    /// Somebody who is no producer appends.
    Other(usize),
    /// Somebody who is no producer closes.
    Close(usize),
    /// The server starts again from its log.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (producer, stream) = (|| 0..PRODUCERS, || 0..STREAMS);
    let rare = || prop::bool::weighted(0.04);
    prop_oneof![
        12 => (producer(), stream(), rare(), rare()).prop_map(|(producer, stream, closes, empty)| {
            Step::Send { producer, stream, closes, empty: closes && empty }
        }),
        2 => (producer(), stream(), 1..4_u64)
            .prop_map(|(producer, stream, by)| Step::Skip { producer, stream, by }),
        2 => (producer(), 1..3_u64).prop_map(|(producer, by)| Step::Bump { producer, by }),
        30 => any::<prop::sample::Index>().prop_map(|index| Step::Arrive(index.index(usize::MAX))),
        2 => stream().prop_map(Step::Other),
        1 => stream().prop_map(Step::Close),
        2 => Just(Step::Restart),
    ]
}

/// A request on its way.
#[derive(Clone, Debug)]
struct Sent {
    stream: usize,
    producer: usize,
    epoch: u64,
    number: u64,
    closes: bool,
    /// None in a request that only closes.
    body: Option<String>,
}

/// What a server would remember that forgets nothing: of each stream every request that was accepted, in order.
#[derive(Clone, Debug, Default)]
struct Memory {
    accepted: Vec<Sent>,
    content: String,
    closed: bool,
    /// The producer, epoch and number that closed it.
    closing: Option<(usize, u64, u64)>,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    New,
    Again { highest: u64 },
    Late,
    Fenced { current: u64 },
    Bump,
    Gap { due: u64 },
}

impl Memory {
    /// "Producers" of stream.md, said of everything that was ever accepted.
    fn judge(&self, sent: &Sent) -> Verdict {
        let mine = || self.accepted.iter().filter(|a| a.producer == sent.producer);
        let highest = |epoch| mine().filter(|a| a.epoch == epoch).map(|a| a.number).max();
        if self.closed {
            let again = self.closing == Some((sent.producer, sent.epoch, sent.number));
            return if again { Verdict::Again { highest: sent.number } } else { Verdict::Late };
        }
        let current = mine().map(|a| a.epoch).max();
        let due = highest(sent.epoch).map_or(0, |highest| highest + 1);
        match current {
            Some(current) if sent.epoch < current => Verdict::Fenced { current },
            Some(current) if sent.epoch > current && sent.number > 0 => Verdict::Bump,
            _ if sent.number == due => Verdict::New,
            _ if mine().any(|a| (a.epoch, a.number) == (sent.epoch, sent.number)) => {
                Verdict::Again { highest: due - 1 }
            }
            _ => Verdict::Gap { due },
        }
    }
}

#[derive(Default)]
struct World {
    state: State,
    log: Vec<String>,
    content: BTreeMap<u64, Vec<u8>>,
    sessions: u64,
}

impl World {
    fn give(&mut self, input: &Input) -> Vec<Answer> {
        let Decision { records, effects } = StreamModel::decide(&self.state, 0, input);
        for record in &records {
            StreamModel::apply(&mut self.state, record);
            if StreamModel::durable(record) {
                self.log.push(serde_json::to_string(record).unwrap());
            }
            if let Some(block) = StreamModel::block(record) {
                self.content.entry(block.owner).or_default().extend_from_slice(&block.bytes);
            }
        }
        let answer = |effect| if let Effect::Answer { answer, .. } = effect { Some(answer) } else { None };
        effects.into_iter().filter_map(answer).collect()
    }

    fn ask(&mut self, stream: usize, ask: Ask) -> Answer {
        self.sessions += 1;
        let mut answers = self.give(&Input::Ask { session: self.sessions, name: name(stream), ask });
        assert_eq!(answers.len(), 1, "one question, one answer");
        answers.remove(0)
    }

    fn restart(&mut self) {
        self.state = State::default();
        for record in &self.log {
            StreamModel::apply(&mut self.state, &serde_json::from_str(record).unwrap());
        }
        self.give(&Input::Started);
    }

    fn content_of(&self, stream: usize) -> String {
        let incarnation = self.state.streams[&name(stream)].incarnation;
        String::from_utf8(self.content.get(&incarnation).cloned().unwrap_or_default()).unwrap()
    }
}

fn name(stream: usize) -> String {
    format!("stream-{stream}")
}

fn text() -> MediaType {
    MediaType::parse("text/plain").unwrap()
}

fn append(body: &str, closed: bool, producer: Option<Tuple>) -> Ask {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Ask::Append(Append { media_type: text(), closed, body, producer, seq: None, retain: None })
}

/// Lets a request arrive, and compares the answer with what memory says of it.
fn arrives(world: &mut World, memory: &mut [Memory], sent: &Sent) -> Result<(), TestCaseError> {
    let tuple = Tuple { id: format!("p{}", sent.producer), epoch: sent.epoch, seq: sent.number };
    let stream = &mut memory[sent.stream];
    let verdict = stream.judge(sent);
    let answer = match &sent.body {
        Some(body) => world.ask(sent.stream, append(body, sent.closes, Some(tuple))),
        None => world.ask(sent.stream, Ask::Close { producer: Some(tuple) }),
    };
    if verdict == Verdict::New {
        stream.accepted.push(sent.clone());
        stream.content.push_str(sent.body.as_deref().unwrap_or_default());
        if sent.closes {
            stream.closed = true;
            stream.closing = Some((sent.producer, sent.epoch, sent.number));
        }
    }
    let tail = stream.content.len() as u64;
    let told = match answer {
        Answer::Appended { tail: told, closed, produced: Some(produced) } => {
            prop_assert_eq!((told, closed, produced.epoch), (tail, stream.closed, sent.epoch));
            if produced.fresh { Verdict::New } else { Verdict::Again { highest: produced.seq } }
        }
        Answer::Closed { tail: told, produced: Some(produced) } => {
            prop_assert_eq!((told, produced.epoch), (tail, sent.epoch));
            if produced.fresh { Verdict::New } else { Verdict::Again { highest: produced.seq } }
        }
        Answer::Refused(Refusal::Closed { .. }) => Verdict::Late,
        Answer::Refused(Refusal::Stale { epoch }) => Verdict::Fenced { current: epoch },
        Answer::Refused(Refusal::Bump { .. }) => Verdict::Bump,
        Answer::Refused(Refusal::Gap { expected, received }) => {
            prop_assert_eq!(received, sent.number);
            Verdict::Gap { due: expected }
        }
        other => return Err(TestCaseError::fail(format!("{other:?} to a producer"))),
    };
    // A close whose number an append had is no repetition of it, and the document does not say what it is.
    let unsaid = sent.body.is_none() && matches!(verdict, Verdict::Again { .. }) && !stream.closed;
    prop_assert!(unsaid || told == verdict, "{:?}: {:?} for {:?}", sent, told, verdict);
    Ok(())
}

/// That every epoch of every producer is in the content from 0, once each and in order, and no epoch behind a newer one.
fn exactly_once(memory: &Memory, content: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(content, &memory.content);
    let mut last: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for accepted in &memory.accepted {
        let (mine, now) = (last.get(&accepted.producer).copied(), (accepted.epoch, accepted.number));
        let follows = match mine {
            Some((epoch, number)) => now == (epoch, number + 1) || (now.0 > epoch && now.1 == 0),
            None => now.1 == 0,
        };
        prop_assert!(follows, "{:?} behind {:?}", now, mine);
        last.insert(accepted.producer, now);
        if let Some(body) = &accepted.body {
            prop_assert_eq!(content.matches(body.as_str()).count(), 1, "{}", body);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn exactly_once_in_whatever_order(steps in proptest::collection::vec(step(), 1..160)) {
        let mut world = World::default();
        let mut memory = vec![Memory::default(); STREAMS];
        for stream in 0..STREAMS {
            let create =
                Create { media_type: Some(text()), closed: false, lifetime: None, fork: None, body: Bytes::new() };
            world.ask(stream, Ask::Create(create));
        }
        let mut epochs = [0; PRODUCERS];
        let mut next: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        let mut sent: Vec<Sent> = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            match *step {
                Step::Send { producer, stream, closes, empty } => {
                    let number = next.entry((producer, stream)).or_default();
                    let body = (!empty).then(|| format!("<{index}>"));
                    let (epoch, of) = (epochs[producer], *number);
                    sent.push(Sent { stream, producer, epoch, number: of, closes, body });
                    *number += 1;
                }
                Step::Skip { producer, stream, by } => {
                    let number = next.get(&(producer, stream)).copied().unwrap_or_default() + by;
                    let body = Some(format!("<{index}>"));
                    sent.push(Sent { stream, producer, epoch: epochs[producer], number, closes: false, body });
                }
                Step::Bump { producer, by } => {
                    epochs[producer] += by;
                    next.retain(|(of, _), _| *of != producer);
                }
                Step::Arrive(which) => {
                    if let Some(one) = which.checked_rem(sent.len()).map(|which| sent[which].clone()) {
                        arrives(&mut world, &mut memory, &one)?;
                    }
                }
                Step::Other(stream) => {
                    let body = format!("<{index}>");
                    let answer = world.ask(stream, append(&body, false, None));
                    if memory[stream].closed {
                        let late = matches!(answer, Answer::Refused(Refusal::Closed { .. }));
                        prop_assert!(late, "{:?}", answer);
                    } else {
                        let taken = matches!(answer, Answer::Appended { produced: None, .. });
                        prop_assert!(taken, "{:?}", answer);
                        memory[stream].content.push_str(&body);
                    }
                }
                Step::Close(stream) => {
                    let answer = world.ask(stream, Ask::Close { producer: None });
                    let closed = matches!(answer, Answer::Closed { .. });
                    prop_assert!(closed, "a close can be repeated: {:?}", answer);
                    memory[stream].closed = true;
                }
                Step::Restart => world.restart(),
            }
            for (stream, memory) in memory.iter().enumerate() {
                prop_assert_eq!(&world.content_of(stream), &memory.content);
            }
        }
        // However much was lost before: who repeats everything in order has everything there.
        let fenced: BTreeSet<usize> = (0..sent.len()).filter(|n| sent[*n].epoch < epochs[sent[*n].producer]).collect();
        let mut due: Vec<&Sent> = (0..sent.len()).filter(|n| !fenced.contains(n)).map(|n| &sent[n]).collect();
        due.sort_by_key(|sent| sent.number);
        for one in &due {
            arrives(&mut world, &mut memory, one)?;
        }
        for (stream, memory) in memory.iter().enumerate() {
            exactly_once(memory, &world.content_of(stream))?;
            let in_turn = due.iter().filter(|sent| sent.stream == stream && !memory.closed);
            for one in in_turn {
                let known = |a: &Sent| (a.producer, a.epoch, a.number) == (one.producer, one.epoch, one.number);
                let skipped = one.number >= next.get(&(one.producer, stream)).copied().unwrap_or_default();
                prop_assert!(skipped || memory.accepted.iter().any(known), "{:?} is lost", one);
            }
        }
    }
}
