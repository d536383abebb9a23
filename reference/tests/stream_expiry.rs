//! The ends of streams: whatever is asked and however time passes, a stream is there exactly until its end, its end is where
//! its uses put it, and whoever waits for it is told.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wireproof_reference::{
    model::{Decision, Model},
    stream::{
        StreamModel,
        model::{Answer, Append, Ask, Create, Effect, From, Input, Lifetime, Poll, Record, Refusal, State},
    },
};
use wireproof_spec::stream::MediaType;

const NAME: &str = "a";
const PATIENCE: u64 = 700;

/// What happens.
#[derive(Clone, Debug)]
enum Step {
    Ask(Ask),
    /// The one who waits longest goes away.
    Gone,
    /// So many milliseconds, with nobody looking after ends.
    Pass(u64),
    /// The timer goes off, whether it is time or not.
    Tick,
    Restart,
}

fn media_type(text: &str) -> MediaType {
    MediaType::parse(text).unwrap()
}

fn ask() -> impl Strategy<Value = Ask> {
    let lifetime = prop_oneof![
        1 => Just(None),
        4 => (0_u64..3).prop_map(|seconds| Some(Lifetime::Ttl(seconds))),
        3 => (0_u64..6_000).prop_map(|end| Some(Lifetime::Until(end))),
    ];
    let create = (lifetime, any::<bool>()).prop_map(|(lifetime, closed)| {
        let media_type = Some(media_type("text/plain"));
        Ask::Create(Create { media_type, closed, lifetime, fork: None, body: Bytes::from_static(b"first") })
    });
    let append = (prop::bool::weighted(0.3), prop::bool::weighted(0.2)).prop_map(|(other, closed)| {
        let media_type = media_type(if other { "image/png" } else { "text/plain" });
        let body = Bytes::from_static(b"more");
        Ask::Append(Append { media_type, closed, body, producer: None, seq: None, retain: None })
    });
    let from = || prop_oneof![Just(From::Start), Just(From::Now), (0_u64..12).prop_map(From::At)];
    let poll = Poll { chunk: 100, patience: PATIENCE, cursor: None, random: 0 };
    prop_oneof![
        6 => create,
        4 => append,
        1 => Just(Ask::Close { producer: None }),
        1 => Just(Ask::Delete),
        3 => Just(Ask::Head),
        3 => from().prop_map(|from| Ask::Read { from, chunk: 100 }),
        4 => from().prop_map(move |from| Ask::LongPoll { from, poll }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => ask().prop_map(Step::Ask),
        1 => Just(Step::Gone),
        4 => (0_u64..1_500).prop_map(Step::Pass),
        2 => prop_oneof![Just(999_u64), Just(1_000), Just(1_001), Just(1)].prop_map(Step::Pass),
        3 => Just(Step::Tick),
        1 => Just(Step::Restart),
    ]
}

/// What anybody would keep of a stream to know when it ends.
#[derive(Clone, Debug)]
struct Naive {
    lifetime: Lifetime,
    used: u64,
    closed: bool,
    tail: u64,
    /// Until when whoever waits has patience, by session.
    waiting: BTreeMap<u64, u64>,
}

impl Naive {
    fn end(&self) -> Option<u64> {
        match self.lifetime {
            Lifetime::Unlimited => None,
            Lifetime::Until(end) => Some(end),
            Lifetime::Ttl(_) if !self.waiting.is_empty() => None,
            Lifetime::Ttl(seconds) => Some(self.used + seconds * 1_000),
        }
    }
}

/// The model beside what anybody would keep.
#[derive(Default)]
struct World {
    state: State,
    log: Vec<String>,
    now: u64,
    sessions: u64,
    naive: Option<Naive>,
}

impl World {
    /// Gives an input to the model, and tells who was answered how.
    fn give(&mut self, input: &Input) -> BTreeMap<u64, Answer> {
        let Decision { records, effects } = StreamModel::decide(&self.state, self.now, input);
        for record in &records {
            StreamModel::apply(&mut self.state, record);
            if StreamModel::durable(record) {
                self.log.push(serde_json::to_string(record).unwrap());
            }
        }
        let mut answers = BTreeMap::new();
        for effect in effects {
            if let Effect::Answer { session, answer } = effect {
                assert!(answers.insert(session, answer).is_none(), "{session} was answered twice");
            }
        }
        answers
    }

    /// The stream ends if its time is over; tells who waited for it.
    fn end_naively(&mut self) -> BTreeSet<u64> {
        match self.naive.take_if(|naive| naive.end().is_some_and(|end| end <= self.now)) {
            Some(naive) => naive.waiting.into_keys().collect(),
            None => BTreeSet::new(),
        }
    }

    fn ask(&mut self, ask: Ask) {
        self.sessions += 1;
        let session = self.sessions;
        let told = self.end_naively();
        let woken = self.naive.as_ref().map(|naive| naive.waiting.clone()).unwrap_or_default();
        let expected = naively(&mut self.naive, self.now, session, &ask);
        let answers = self.give(&Input::Ask { session, name: NAME.into(), ask });
        match expected {
            Some(expected) => assert_eq!(said(&answers[&session]), expected),
            None => assert!(!answers.contains_key(&session), "{session} is to wait"),
        }
        for session in told {
            assert_eq!(said(&answers[&session]), "gone", "{session} waited for a stream that ended");
        }
        let waits = self.naive.as_ref().map(|naive| naive.waiting.clone()).unwrap_or_default();
        for session in woken.into_keys().filter(|session| !waits.contains_key(session)) {
            assert!(answers.contains_key(&session), "{session} was forgotten");
        }
    }

    fn tick(&mut self) {
        let told = self.end_naively();
        let now = self.now;
        let mut patient = BTreeSet::new();
        if let Some(naive) = &mut self.naive {
            let over: Vec<u64> =
                naive.waiting.iter().filter(|(_, until)| **until <= now).map(|(session, _)| *session).collect();
            for session in over {
                naive.waiting.remove(&session);
                naive.used = now;
                patient.insert(session);
            }
        }
        let answers = self.give(&Input::Tick);
        assert_eq!(answers.keys().copied().collect::<BTreeSet<_>>(), &told | &patient);
        assert!(told.iter().all(|session| said(&answers[session]) == "gone"));
        assert!(!self.state.streams.contains_key(NAME) || self.naive.is_some(), "what has ended is removed");
    }

    fn gone(&mut self) {
        let Some(naive) = &mut self.naive else { return };
        let Some(session) = naive.waiting.keys().next().copied() else { return };
        // Whoever waits for a stream whose moment has passed holds nothing.
        naive.waiting.remove(&session);
        naive.used = naive.used.max(self.now);
        assert!(self.give(&Input::Gone { session }).is_empty());
    }

    fn restart(&mut self) {
        let mut state = State::default();
        for record in &self.log {
            StreamModel::apply(&mut state, &serde_json::from_str::<Record>(record).unwrap());
        }
        self.state = state;
        self.give(&Input::Started);
        if let Some(naive) = &mut self.naive {
            naive.waiting.clear();
            // Nobody knows how long nobody could have asked: the window starts anew.
            naive.used = self.now;
        }
    }

    fn compare(&self) {
        let there = self.naive.as_ref().filter(|naive| naive.end().is_none_or(|end| end > self.now));
        let found = self.state.at(NAME, self.now);
        assert_eq!(found.is_some(), there.is_some(), "at {}: {:?}", self.now, self.naive);
        if let (Some(found), Some(there)) = (found, there) {
            assert_eq!(found.end(), there.end(), "at {}: {there:?}", self.now);
        }
        let wake_at = StreamModel::wake_at(&self.state);
        if let Some(end) = self.state.streams.get(NAME).and_then(|stream| stream.end()) {
            assert!(wake_at.is_some_and(|at| at <= end), "the timer goes off at the end, or before");
        }
    }
}

/// What is answered at once; none for one who waits.
fn naively(naive: &mut Option<Naive>, now: u64, session: u64, ask: &Ask) -> Option<&'static str> {
    let Some(stream) = naive else {
        let Ask::Create(create) = ask else { return Some("gone") };
        *naive = Some(Naive {
            lifetime: create.lifetime.unwrap_or_default(),
            used: now,
            closed: create.closed,
            tail: create.body.len() as u64,
            waiting: BTreeMap::new(),
        });
        return Some("made");
    };
    let beyond = |from: &From, tail: u64| matches!(from, From::At(at) if *at > tail);
    match ask {
        Ask::Create(create) => {
            let equal =
                create.lifetime.unwrap_or_default() == stream.lifetime && create.closed == stream.closed;
            return Some(if equal { "found" } else { "refused" });
        }
        Ask::Head => return Some("told"),
        Ask::Delete => {
            *naive = None;
            return Some("told");
        }
        Ask::Append(append) => {
            if stream.closed || append.media_type.as_str() != "text/plain" {
                return Some("refused");
            }
            stream.tail += append.body.len() as u64;
            stream.closed = append.closed;
            stream.waiting.clear();
        }
        Ask::Close { .. } => {
            stream.closed = true;
            stream.waiting.clear();
        }
        Ask::Read { from, .. } | Ask::LongPoll { from, .. } if beyond(from, stream.tail) => {
            return Some("refused");
        }
        Ask::LongPoll { from, .. } => {
            let at_tail = match from {
                From::Start => stream.tail == 0,
                From::Now => true,
                From::At(at) => *at == stream.tail,
            };
            if at_tail && !stream.closed {
                stream.used = now;
                stream.waiting.insert(session, now + PATIENCE);
                return None;
            }
        }
        Ask::Read { .. } => {}
        Ask::Follow { .. } | Ask::Next { .. } => unreachable!("nobody stays here"),
    }
    stream.used = now;
    Some("told")
}

fn said(answer: &Answer) -> &'static str {
    match answer {
        Answer::Created { fresh: true, .. } => "made",
        Answer::Created { .. } => "found",
        Answer::Refused(Refusal::NoStream) => "gone",
        Answer::Refused(_) => "refused",
        _ => "told",
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn streams_end_when_their_lifetimes_say(steps in proptest::collection::vec(step(), 1..40)) {
        let mut world = World::default();
        for step in steps {
            match step {
                Step::Ask(ask) => world.ask(ask),
                Step::Gone => world.gone(),
                Step::Pass(ms) => world.now += ms,
                Step::Tick => world.tick(),
                Step::Restart => world.restart(),
            }
            world.compare();
        }
    }
}
