//! Forks in the model against a naive server: what a fork holds, what becomes of its source, and which content is kept.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wireproof_reference::{
    model::{Decision, Model},
    stream::{
        StreamModel,
        model::{
            Answer, Append, Ask, Create, Effect, Fork, Found, From, Input, Lifetime, Record, Refusal, State,
            Stream,
        },
    },
};
use wireproof_spec::stream::MediaType;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const CHUNK: u64 = 3;

#[derive(Clone, Debug)]
enum Step {
    Create {
        name: usize,
        body: Vec<u8>,
        life: Option<u64>,
    },
    Fork {
        name: usize,
        source: usize,
        offset: Option<u64>,
        sub_offset: u64,
        other_type: bool,
        life: Option<u64>,
    },
    Append {
        name: usize,
        body: Vec<u8>,
    },
    Close(usize),
    Delete(usize),
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let body = |least| proptest::collection::vec(any::<u8>(), least..6);
    let life = || prop_oneof![3 => Just(None), 1 => (1_u64..200).prop_map(Some)];
    let offset = prop_oneof![1 => Just(None), 2 => (0_u64..14).prop_map(Some)];
    let sub_offset = prop_oneof![3 => Just(0), 1 => 1_u64..8];
    prop_oneof![
        4 => (name(), body(0), life()).prop_map(|(name, body, life)| Step::Create { name, body, life }),
        8 => (name(), name(), offset, sub_offset, prop::bool::weighted(0.1), life()).prop_map(
            |(name, source, offset, sub_offset, other_type, life)| Step::Fork {
                name, source, offset, sub_offset, other_type, life,
            }
        ),
        8 => (name(), body(1)).prop_map(|(name, body)| Step::Append { name, body }),
        1 => name().prop_map(Step::Close),
        5 => name().prop_map(Step::Delete),
        2 => (1_u64..150).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// What anybody would write: each fork has a copy of what it inherited.
#[derive(Clone, Debug)]
struct Copy {
    id: u64,
    bytes: Vec<u8>,
    /// Where its appends end.
    ends: Vec<u64>,
    closed: bool,
    deleted: bool,
    source: Option<u64>,
    until: Option<u64>,
}

impl Copy {
    fn tail(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// The naive server.
#[derive(Clone, Debug, Default)]
struct Naive {
    streams: BTreeMap<usize, Copy>,
    next: u64,
}

impl Naive {
    fn has_forks(&self, id: u64) -> bool {
        self.streams.values().any(|stream| stream.source == Some(id))
    }

    fn make(&mut self, name: usize, bytes: Vec<u8>, ends: Vec<u64>, source: Option<u64>, until: Option<u64>) {
        self.next += 1;
        let id = self.next;
        self.streams.insert(name, Copy { id, bytes, ends, closed: false, deleted: false, source, until });
    }

    fn delete(&mut self, name: usize) {
        let Some(stream) = self.streams.get_mut(&name) else { return };
        stream.deleted = true;
        self.clear();
    }

    /// Removes what is deleted and has no forks left, and with it what was held for it alone.
    fn clear(&mut self) {
        while let Some(name) = self
            .streams
            .iter()
            .find(|(_, stream)| stream.deleted && !self.has_forks(stream.id))
            .map(|(name, _)| *name)
        {
            self.streams.remove(&name);
        }
    }

    fn expire(&mut self, now: u64) {
        self.streams.retain(|_, stream| stream.deleted || stream.until.is_none_or(|until| until > now));
        self.clear();
    }

    /// Where a fork leaves this source; none if there is no such place.
    fn base(source: &Copy, offset: Option<u64>, sub_offset: u64) -> Option<u64> {
        let offset = offset.unwrap_or(source.tail());
        let end = source.ends.iter().copied().find(|end| *end > offset).unwrap_or(offset);
        (offset <= source.tail() && offset + sub_offset <= end.max(offset)).then_some(offset + sub_offset)
    }
}

/// A model, its log and its content.
#[derive(Default)]
struct World {
    state: State,
    log: Vec<String>,
    /// By incarnation: where its content begins, and the content.
    content: BTreeMap<u64, (u64, Vec<u8>)>,
    now: u64,
}

impl World {
    fn give(&mut self, input: &Input) -> Option<Answer> {
        let Decision { records, effects } = StreamModel::decide(&self.state, self.now, input);
        for record in &records {
            StreamModel::apply(&mut self.state, record);
            if StreamModel::durable(record) {
                self.log.push(serde_json::to_string(record).unwrap());
            }
            if let Some(block) = StreamModel::block(record) {
                let (start, bytes) = self.content.entry(block.owner).or_insert((block.start, Vec::new()));
                assert_eq!(block.start, *start + bytes.len() as u64, "content only grows, without gaps");
                bytes.extend_from_slice(&block.bytes);
            }
        }
        let mut answered = None;
        for effect in effects {
            match effect {
                Effect::Answer { answer, .. } => answered = Some(answer),
                Effect::Remove { incarnation } => {
                    self.content.remove(&incarnation);
                }
                Effect::Trim { .. } => unreachable!("everything is retained"),
                Effect::Retain { incarnations } => {
                    self.content.retain(|owner, _| incarnations.contains(owner))
                }
            }
        }
        answered
    }

    fn ask(&mut self, name: usize, ask: Ask) -> Answer {
        self.give(&Input::Ask { session: 1, name: NAMES[name].into(), ask }).expect("nobody waits here")
    }

    /// Lets the timer do all that is due.
    fn settle(&mut self) {
        for _ in 0..3 {
            if StreamModel::wake_at(&self.state).is_some_and(|at| at <= self.now) {
                assert_eq!(self.give(&Input::Tick), None);
            }
        }
        assert!(StreamModel::wake_at(&self.state).is_none_or(|at| at > self.now));
    }

    /// Everything that a stream holds, as a reader gets it.
    fn read(&mut self, name: usize) -> Vec<u8> {
        let (mut at, mut read) = (0, Vec::new());
        loop {
            let answer = self.ask(name, Ask::Read { from: From::At(at), chunk: CHUNK });
            let Answer::Content { range, inherited, up_to_date, .. } = answer else { panic!("{answer:?}") };
            let base = inherited.last().map_or(0, |part| part.to);
            let own = wireproof_reference::log::Range { from: range.from.max(base), ..range };
            let mut place = range.from;
            for part in inherited.iter().copied().chain([own]) {
                let (from, to) = (part.from.max(range.from), part.to.min(range.to));
                if from < to {
                    assert_eq!(from, place, "ranges are in order and without gaps");
                    let (start, bytes) = self.content.get(&part.owner).expect("content that is read is kept");
                    let index = |position: u64| usize::try_from(position - start).unwrap();
                    read.extend_from_slice(&bytes[index(from)..index(to)]);
                    place = to;
                }
            }
            assert_eq!(place, range.to, "an answer holds what it says");
            at = range.to;
            if up_to_date {
                return read;
            }
        }
    }

    fn recovered(&self) -> State {
        let mut state = State::default();
        for record in &self.log {
            StreamModel::apply(&mut state, &serde_json::from_str::<Record>(record).unwrap());
        }
        state
    }
}

fn media_type(text: &str) -> MediaType {
    MediaType::parse(text).unwrap()
}

fn create(life: Option<u64>, now: u64) -> Create {
    Create {
        media_type: Some(media_type("text/plain")),
        closed: false,
        lifetime: life.map(|life| Lifetime::Until(now + life)),
        fork: None,
        body: bytes::Bytes::new(),
    }
}

/// The streams, but for when they were used last.
fn lasting(state: &State) -> BTreeMap<String, Stream> {
    let mut streams = state.streams.clone();
    streams.values_mut().for_each(|stream| stream.touched = 0);
    streams
}

/// A PUT of a fork, and its questions about content answered as the naive server would.
fn fork(world: &mut World, naive: &Naive, name: usize, mut put: Create, source: Option<&Copy>) -> Answer {
    let answer = world.ask(name, Ask::Create(put.clone()));
    let Answer::Lookup(lookup) = answer else { return answer };
    let source = source.expect("only a source that is there raises questions");
    assert_eq!(naive.streams.values().filter(|stream| stream.id == source.id).count(), 1);
    let base = Naive::base(source, Some(lookup.offset), lookup.sub_offset);
    let fork = put.fork.as_mut().unwrap();
    fork.found = Some(Found { incarnation: lookup.incarnation, base });
    world.ask(name, Ask::Create(put))
}

/// What a PUT of a fork at a free URL has to come to.
fn outcome(source: Option<&Copy>, base: Option<u64>, other_type: bool) -> Result<u64, Refusal> {
    match (source, base) {
        (None, _) => Err(Refusal::NoSource),
        (Some(source), _) if source.deleted => Err(Refusal::SourceGone),
        _ if other_type => Err(Refusal::MediaType { expected: media_type("text/plain") }),
        (_, None) => Err(Refusal::NoPlace),
        (_, Some(base)) => Ok(base),
    }
}

fn forks(world: &mut World, naive: &mut Naive, step: Step) {
    let Step::Fork { name, source, offset, sub_offset, other_type, life } = step else { return };
    let fork_of = Fork { source: NAMES[source].into(), offset, sub_offset, found: None };
    let mut put = Create { fork: Some(fork_of), ..create(life, world.now) };
    if other_type {
        put.media_type = Some(media_type("image/png"));
    }
    let of = naive.streams.get(&source).cloned();
    let before = lasting(&world.state);
    let answer = fork(world, naive, name, put, of.as_ref());
    if naive.streams.contains_key(&name) {
        assert!(matches!(
            answer,
            Answer::Created { fresh: false, .. } | Answer::Refused(Refusal::Exists(_) | Refusal::Held)
        ));
        assert_eq!(lasting(&world.state), before, "a PUT on a stream that is there changes nothing");
        return;
    }
    let base = of.as_ref().and_then(|source| Naive::base(source, offset, sub_offset));
    match outcome(of.as_ref(), base, other_type) {
        Err(refusal) => {
            assert_eq!(answer, Answer::Refused(refusal));
            assert_eq!(lasting(&world.state), before, "a fork that was refused leaves nothing behind");
        }
        Ok(base) => {
            let Answer::Created { fresh: true, facts } = answer else { panic!("{answer:?}") };
            let source = of.unwrap();
            assert_eq!((facts.tail, facts.closed), (base, false));
            let bytes = source.bytes[..usize::try_from(base).unwrap()].to_vec();
            let mut ends: Vec<u64> = source.ends.iter().copied().filter(|end| *end < base).collect();
            ends.push(base);
            let until = life.map(|life| world.now + life).or(source.until);
            naive.make(name, bytes, ends, Some(source.id), until);
        }
    }
}

/// Both say the same of every stream, and the content that is kept is that which somebody can read.
fn agree(world: &mut World, naive: &Naive) {
    for name in 0..NAMES.len() {
        let head = world.ask(name, Ask::Head);
        match naive.streams.get(&name) {
            None => assert_eq!(head, Answer::Refused(Refusal::NoStream)),
            Some(stream) if stream.deleted => {
                for ask in [
                    Ask::Head,
                    Ask::Read { from: From::Start, chunk: CHUNK },
                    Ask::Close { producer: None },
                    Ask::Delete,
                ] {
                    assert_eq!(world.ask(name, ask), Answer::Refused(Refusal::Gone));
                }
                assert_eq!(world.ask(name, Ask::Create(create(None, 0))), Answer::Refused(Refusal::Held));
            }
            Some(stream) => {
                let Answer::Head(facts) = head else { panic!("{head:?}") };
                assert_eq!((facts.tail, facts.closed), (stream.tail(), stream.closed));
                assert_eq!(world.read(name), stream.bytes);
            }
        }
    }
    let needed: BTreeSet<u64> = world
        .state
        .streams
        .values()
        .flat_map(|s| s.inherited().iter().map(|part| part.owner).chain([s.incarnation]).collect::<Vec<_>>())
        .collect();
    assert!(world.content.keys().all(|owner| needed.contains(owner)), "nothing is kept that nobody needs");
    assert_eq!(lasting(&world.recovered()), lasting(&world.state), "the log alone says what the streams are");
}

fn play(steps: Vec<Step>) {
    let mut world = World { now: 1_800_000_000_000, ..World::default() };
    let mut naive = Naive::default();
    for step in steps {
        match step {
            Step::Create { name, body, life } => {
                let put = Create { body: body.clone().into(), ..create(life, world.now) };
                let answer = world.ask(name, Ask::Create(put));
                let free = !naive.streams.contains_key(&name);
                assert_eq!(matches!(answer, Answer::Created { fresh: true, .. }), free);
                if free {
                    let until = life.map(|life| world.now + life);
                    let ends = vec![body.len() as u64];
                    naive.make(name, body, ends, None, until);
                }
            }
            Step::Append { name, body } => {
                let append = Append {
                    media_type: media_type("text/plain"),
                    closed: false,
                    body: body.clone().into(),
                    producer: None,
                    seq: None,
                    retain: None,
                };
                let answer = world.ask(name, Ask::Append(append));
                let open = naive.streams.get_mut(&name).filter(|stream| !stream.closed && !stream.deleted);
                assert_eq!(matches!(answer, Answer::Appended { .. }), open.is_some());
                if let Some(stream) = open {
                    stream.bytes.extend(body);
                    stream.ends.push(stream.tail());
                }
            }
            Step::Close(name) => {
                world.ask(name, Ask::Close { producer: None });
                if let Some(stream) = naive.streams.get_mut(&name).filter(|stream| !stream.deleted) {
                    stream.closed = true;
                }
            }
            Step::Delete(name) => {
                let answer = world.ask(name, Ask::Delete);
                let there = naive.streams.get(&name).is_some_and(|stream| !stream.deleted);
                assert_eq!(answer == Answer::Deleted, there);
                naive.delete(name);
            }
            Step::Pass(time) => {
                world.now += time;
                naive.expire(world.now);
            }
            Step::Restart => {
                world.state = world.recovered();
                assert_eq!(world.give(&Input::Started), None);
            }
            fork @ Step::Fork { .. } => forks(&mut world, &mut naive, fork),
        }
        world.settle();
        agree(&mut world, &naive);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn forks_are_copies(steps in proptest::collection::vec(step(), 0..50)) {
        play(steps);
    }
}
