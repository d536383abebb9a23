//! The model against a naive server: whatever is asked in whatever order, both say the same, offsets only grow, content is
//! what was appended, and everyone who asks is answered exactly once.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wireproof_reference::{
    model::{Decision, Model},
    stream::{
        StreamModel,
        model::{Answer, Append, Ask, Create, Effect, From, Input, Poll, Record, Refusal, State},
    },
};
use wireproof_spec::stream::MediaType;

const CHUNK: u64 = 3;
const PATIENCE: u64 = 100;

#[derive(Clone, Debug)]
enum Step {
    Ask {
        name: usize,
        ask: Ask,
    },
    /// The n-th of those who wait goes away.
    Gone(usize),
    Pass(u64),
    Restart,
}

fn media_type() -> impl Strategy<Value = MediaType> {
    prop_oneof![4 => Just("text/plain"), 1 => Just("Text/Plain"), 1 => Just("image/png")]
        .prop_map(|text| MediaType::parse(text).unwrap())
}

fn body(shortest: usize) -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), shortest..6).prop_map(Bytes::from)
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![1 => Just(From::Start), 1 => Just(From::Now), 2 => (0_u64..20).prop_map(From::At)]
}

fn poll() -> impl Strategy<Value = Poll> {
    (any::<Option<u64>>(), any::<u64>()).prop_map(|(cursor, random)| Poll {
        chunk: CHUNK,
        patience: PATIENCE,
        cursor,
        random,
    })
}

fn create(media_type: MediaType, closed: bool, body: Bytes) -> Create {
    Create { media_type: Some(media_type), closed, lifetime: None, fork: None, body }
}

fn append(media_type: MediaType, closed: bool, body: Bytes) -> Append {
    Append { media_type, closed, body, producer: None, seq: None, retain: None }
}

fn ask() -> impl Strategy<Value = Ask> {
    let closed = || prop::bool::weighted(0.2);
    prop_oneof![
        3 => (media_type(), closed(), body(0))
            .prop_map(|(media_type, closed, body)| Ask::Create(create(media_type, closed, body))),
        6 => (media_type(), closed(), body(1))
            .prop_map(|(media_type, closed, body)| Ask::Append(append(media_type, closed, body))),
        1 => Just(Ask::Close { producer: None }),
        1 => Just(Ask::Delete),
        1 => Just(Ask::Head),
        3 => from().prop_map(|from| Ask::Read { from, chunk: CHUNK }),
        6 => (from(), poll()).prop_map(|(from, poll)| Ask::LongPoll { from, poll }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0_usize..2, ask()).prop_map(|(name, ask)| Step::Ask { name, ask }),
        2 => (0_usize..4).prop_map(Step::Gone),
        1 => (0..2 * PATIENCE).prop_map(Step::Pass),
        1 => Just(Step::Pass(PATIENCE / 2)),
        1 => Just(Step::Restart),
    ]
}

/// What anybody would write: the streams with their bytes.
#[derive(Clone)]
struct Naive {
    media_type: MediaType,
    closed: bool,
    bytes: Vec<u8>,
}

/// A model, its log, its content and what it said.
#[derive(Default)]
struct World {
    state: State,
    log: Vec<String>,
    content: BTreeMap<u64, Vec<u8>>,
    now: u64,
    answers: BTreeMap<u64, Answer>,
    /// Who asked and was neither answered nor went away, with the stream.
    open: BTreeMap<u64, usize>,
}

impl World {
    fn give(&mut self, input: &Input) {
        let Decision { records, effects } = StreamModel::decide(&self.state, self.now, input);
        for record in &records {
            StreamModel::apply(&mut self.state, record);
            if StreamModel::durable(record) {
                self.log.push(serde_json::to_string(record).unwrap());
            }
            if let Some(block) = StreamModel::block(record) {
                let bytes = self.content.entry(block.owner).or_default();
                assert_eq!(block.start, bytes.len() as u64, "content only grows, without gaps");
                bytes.extend_from_slice(&block.bytes);
            }
        }
        for effect in effects {
            match effect {
                Effect::Answer { session, answer } => {
                    assert!(self.open.remove(&session).is_some(), "answered twice, or without a question");
                    self.answers.insert(session, answer);
                }
                Effect::Remove { incarnation } => {
                    self.content.remove(&incarnation);
                }
                Effect::Trim { .. } => unreachable!("everything is retained"),
                Effect::Retain { incarnations } => {
                    self.content.retain(|owner, _| incarnations.contains(owner))
                }
            }
        }
        assert_eq!(
            self.state.waits.keys().collect::<Vec<_>>(),
            self.open.keys().collect::<Vec<_>>(),
            "those who wait are those who are not answered"
        );
    }

    fn bytes(&self, answer: &Answer) -> Vec<u8> {
        match answer {
            Answer::Content { range, .. } if range.from < range.to => {
                let content = &self.content[&range.owner];
                content[usize::try_from(range.from).unwrap()..usize::try_from(range.to).unwrap()].to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// What the log says, after a restart.
    fn recovered(&self) -> State {
        let mut state = State::default();
        for record in &self.log {
            StreamModel::apply(&mut state, &serde_json::from_str::<Record>(record).unwrap());
        }
        state
    }
}

/// What the naive server answers at once, as far as it is worth comparing; none for one who waits.
fn expected(naive: &mut Option<Naive>, ask: &Ask) -> Option<&'static str> {
    let position = |stream: &Naive, from: From| match from {
        From::Start => 0,
        From::Now => stream.bytes.len() as u64,
        From::At(at) => at,
    };
    let Some(stream) = naive else {
        return Some(match ask {
            Ask::Create(Create { media_type: Some(media_type), closed, body, .. }) => {
                *naive =
                    Some(Naive { media_type: media_type.clone(), closed: *closed, bytes: body.to_vec() });
                "created"
            }
            _ => "no stream",
        });
    };
    let same = |other: &MediaType| other.as_str().eq_ignore_ascii_case(stream.media_type.as_str());
    Some(match ask {
        Ask::Create(Create { media_type: Some(media_type), closed, .. })
            if same(media_type) && *closed == stream.closed =>
        {
            "exists"
        }
        Ask::Create(_) => "differs",
        Ask::Append(_) if stream.closed => "closed",
        Ask::Append(Append { media_type, .. }) if !same(media_type) => "media type",
        Ask::Append(Append { closed, body, .. }) => {
            stream.bytes.extend_from_slice(body);
            stream.closed = *closed;
            "appended"
        }
        Ask::Close { .. } => {
            stream.closed = true;
            "end"
        }
        Ask::Delete => {
            *naive = None;
            "deleted"
        }
        Ask::Head => "head",
        Ask::Read { from, .. } | Ask::LongPoll { from, .. }
            if position(stream, *from) > stream.bytes.len() as u64 =>
        {
            "beyond"
        }
        Ask::Read { .. } => "content",
        Ask::LongPoll { from, .. } if position(stream, *from) < stream.bytes.len() as u64 => "content",
        Ask::LongPoll { .. } if stream.closed => "nothing",
        Ask::LongPoll { .. } => return None,
        Ask::Follow { .. } | Ask::Next { .. } => unreachable!("no reader stays here"),
    })
}

fn said(answer: &Answer) -> &'static str {
    match answer {
        Answer::Created { fresh: true, .. } => "created",
        Answer::Created { .. } => "exists",
        Answer::Appended { .. } => "appended",
        Answer::Closed { .. } => "end",
        Answer::Deleted => "deleted",
        Answer::Head(_) => "head",
        Answer::Content { .. } => "content",
        Answer::Nothing { .. } => "nothing",
        Answer::Refused(Refusal::NoStream) => "no stream",
        Answer::Refused(Refusal::Exists(_)) => "differs",
        Answer::Refused(Refusal::MediaType { .. }) => "media type",
        Answer::Refused(Refusal::Closed { .. }) => "closed",
        Answer::Refused(Refusal::BeyondTail) => "beyond",
        Answer::Over | Answer::Lookup(_) | Answer::Refused(_) => "something else",
    }
}

/// The answer is true: the tail, the closure and the bytes are those of the naive stream, which may be none by now.
fn check(world: &World, answer: &Answer, naive: Option<&Naive>) {
    let Some(stream) = naive else { return };
    let end = stream.bytes.len() as u64;
    match answer {
        Answer::Created { facts, .. } | Answer::Head(facts) => {
            assert_eq!((facts.tail, facts.closed), (end, stream.closed));
            assert_eq!(facts.media_type, stream.media_type);
        }
        Answer::Appended { tail, closed, .. } => assert_eq!((*tail, *closed), (end, stream.closed)),
        Answer::Closed { tail, .. } | Answer::Refused(Refusal::Closed { tail }) => {
            assert!(stream.closed);
            assert_eq!(*tail, end);
        }
        Answer::Nothing { tail, closed, cursor, .. } => {
            assert_eq!((*tail, *closed), (end, stream.closed));
            assert_eq!(cursor.is_none(), *closed);
        }
        Answer::Content { range, up_to_date, closed, .. } => {
            let part =
                &stream.bytes[usize::try_from(range.from).unwrap()..usize::try_from(range.to).unwrap()];
            assert_eq!(world.bytes(answer), part);
            assert!(range.to - range.from <= CHUNK);
            assert_eq!(*up_to_date, range.to == end);
            assert_eq!(*closed, stream.closed && range.to == end);
        }
        _ => {}
    }
}

fn play(steps: Vec<Step>) {
    const NAMES: [&str; 2] = ["a", "b"];
    let mut world = World { now: 1_800_000_000_000, ..World::default() };
    let mut naive: [Option<Naive>; 2] = [None, None];
    for (step, session) in steps.into_iter().zip(0_u64..) {
        let before: BTreeSet<u64> = world.answers.keys().copied().collect();
        let waited = world.open.clone();
        match step {
            Step::Ask { name, ask } => {
                let tail = naive[name].as_ref().map(|n| (n.bytes.len(), n.closed));
                let expected = expected(&mut naive[name], &ask);
                world.open.insert(session, name);
                world.give(&Input::Ask { session, name: NAMES[name].into(), ask });
                assert_eq!(world.answers.get(&session).map(said), expected);
                // Everyone who waited for this stream is answered if and only if its end moved (no wake-up is lost).
                let moved = tail != naive[name].as_ref().map(|n| (n.bytes.len(), n.closed));
                for (waiter, at) in &waited {
                    assert_eq!(world.answers.contains_key(waiter), moved && *at == name);
                }
                for answer in world.answers.iter().filter(|(s, _)| !before.contains(s)).map(|(_, a)| a) {
                    check(&world, answer, naive[name].as_ref());
                }
            }
            Step::Gone(index) => {
                if let Some(session) = world.open.keys().nth(index).copied() {
                    world.open.remove(&session);
                    world.give(&Input::Gone { session });
                }
                world.give(&Input::Gone { session: u64::MAX });
            }
            Step::Pass(time) => {
                world.now += time;
                let garbage = !world.state.garbage.is_empty();
                let due = StreamModel::wake_at(&world.state).is_some_and(|at| at <= world.now);
                world.give(&Input::Tick);
                assert_eq!(
                    due,
                    world.answers.len() > before.len() || garbage,
                    "the timer wakes for a reason, and in time"
                );
                assert!(StreamModel::wake_at(&world.state).is_none_or(|at| at > world.now));
                for session in waited.keys().filter(|s| world.answers.contains_key(s)) {
                    assert_eq!(said(&world.answers[session]), "nothing");
                }
            }
            Step::Restart => {
                world.state = world.recovered();
                world.open.clear();
                world.give(&Input::Started);
            }
        }
        // The log alone says what the streams are.
        let lasting = |state: &State| {
            let mut streams = state.streams.clone();
            // Who waits, and when somebody last did, is known to the running server alone.
            streams.values_mut().for_each(|stream| {
                stream.waiting.clear();
                stream.touched = 0;
            });
            streams
        };
        assert_eq!(lasting(&world.recovered()), lasting(&world.state));
    }
    for (name, stream) in naive.iter().enumerate() {
        walk(&mut world, NAMES[name], stream.as_ref());
    }
    world.give(&Input::Stopping);
    assert!(world.open.is_empty(), "a stop leaves nobody behind");
}

/// Following the offsets from the start to the tail yields every byte once (STREAM-READ-6), and so does starting anywhere.
fn walk(world: &mut World, name: &str, stream: Option<&Naive>) {
    let Some(stream) = stream else { return };
    for start in 0..=stream.bytes.len() {
        let (mut at, mut read) = (start as u64, Vec::new());
        loop {
            let session = 1_000_000 + world.answers.len() as u64;
            world.open.insert(session, 0);
            let ask = Ask::Read { from: From::At(at), chunk: CHUNK };
            world.give(&Input::Ask { session, name: name.into(), ask });
            let answer = world.answers[&session].clone();
            let Answer::Content { range, up_to_date, .. } = answer else { panic!("{answer:?}") };
            read.extend(world.bytes(&answer));
            assert!(range.to > at || up_to_date, "offsets grow");
            at = range.to;
            if up_to_date {
                break;
            }
        }
        assert_eq!(read, stream.bytes[start..]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn the_model_is_a_server(steps in proptest::collection::vec(step(), 0..60)) {
        play(steps);
    }

    /// Records in any order leave a state that can be asked anything: a broken port makes such ones.
    #[test]
    fn nothing_panics(steps in proptest::collection::vec((step(), any::<prop::sample::Index>()), 0..60)) {
        let mut state = State::default();
        let mut records: Vec<Record> = Vec::new();
        for ((step, index), session) in steps.into_iter().zip(0_u64..) {
            let input = match step {
                Step::Ask { ask, .. } => Input::Ask { session, name: "a".into(), ask },
                Step::Gone(_) => Input::Gone { session: session / 2 },
                Step::Pass(_) => Input::Tick,
                Step::Restart => Input::Stopping,
            };
            records.extend(StreamModel::decide(&state, session * 10, &input).records);
            if !records.is_empty() {
                StreamModel::apply(&mut state, &records[index.index(records.len())]);
            }
        }
    }
}

#[test]
fn cursors_count_intervals_and_pass_the_clients() {
    let mut world = World { now: 1_728_432_000_000 + 20_000 * 1000 + 19_999, ..World::default() };
    let ask = |world: &mut World, session, ask| {
        world.open.insert(session, 0);
        world.give(&Input::Ask { session, name: "c".into(), ask });
        world.answers.remove(&session)
    };
    let media_type = MediaType::parse("text/plain").unwrap();
    ask(&mut world, 0, Ask::Create(create(media_type, false, "x".into())));
    for (theirs, least, most) in
        [(None, 1000, 1000), (Some(999), 1000, 1000), (Some(1000), 1001, 1180), (Some(5000), 5001, 5180)]
    {
        for random in [0, 1, 179, 180, u64::MAX] {
            let poll = Poll { chunk: 1, patience: 0, cursor: theirs, random };
            let answer = ask(&mut world, 1, Ask::LongPoll { from: From::Start, poll });
            let Some(Answer::Content { cursor: Some(cursor), .. }) = answer else { panic!("{answer:?}") };
            assert!((least..=most).contains(&cursor));
        }
    }
}
