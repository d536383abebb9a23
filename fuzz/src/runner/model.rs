//! The model of streams against a naive server: whatever is asked in whatever order, both say the same.
//!
//! Offsets only grow, content read from any offset on is what was appended, a producer's append counts once, closure stays,
//! a fork sees nothing that its source appends later, no stream ends before its time, a restart forgets nothing, and everyone
//! who asks is answered exactly once.

mod oracle;

use arbitrary::{Result, Unstructured};
use oracle::{Expected, Naive, Oracle, SEPARATOR};
use std::collections::BTreeMap;
use wireproof_reference::{
    log::Range,
    model::{Decision, Model},
    stream::{
        StreamModel,
        model::{
            Answer, Append, Ask, Create, Effect, Fork, Found, From, Input, Lifetime, Poll, Record, Refusal,
            State, Tuple,
        },
    },
};
use wireproof_spec::stream::MediaType;

const NAMES: [&str; 3] = ["a", "b", "c"];
const TYPES: [&str; 4] = ["text/plain", "Text/Plain", "image/png", "application/json"];
const JSON: [&[u8]; 3] = [b"1\x1e", b"{}\x1e[2]\x1e", b"\"\"\x1e3\x1e4\x1e"];
const START: u64 = 1_800_000_000_000;
const STEPS: usize = 64;

/// Does what the bytes say.
pub fn run(data: &[u8]) {
    let mut world = World { now: START, ..World::default() };
    let mut u = Unstructured::new(data);
    for session in 0..STEPS {
        if u.is_empty() || world.step(&mut u, session as u64).is_err() {
            break;
        }
        world.compare();
    }
    for name in NAMES {
        world.walk(name);
    }
    world.restart();
    world.compare();
}

/// One who waits: for which stream, from where, how much at once, and how.
struct Waiter {
    name: String,
    id: u64,
    from: u64,
    chunk: u64,
    stays: bool,
}

/// The model with its log and content, and the naive server.
#[derive(Default)]
struct World {
    now: u64,
    state: State,
    log: Vec<String>,
    blocks: BTreeMap<(u64, u64), Vec<u8>>,
    oracle: Oracle,
    waiters: BTreeMap<u64, Waiter>,
    /// Those who stay: the name and id of their stream, and until when.
    readers: BTreeMap<u64, (String, u64, u64)>,
}

impl World {
    fn step(&mut self, u: &mut Unstructured<'_>, session: u64) -> Result<()> {
        match u.int_in_range(0..=19)? {
            0 => {
                self.now += u64::from(u.arbitrary::<u16>()?);
                self.expire();
                let answers = self.give(&Input::Tick);
                for session in answers.keys() {
                    let deadline = &self.waiters[session];
                    let there = self.oracle.streams.get(&deadline.name).is_some_and(|s| s.id == deadline.id);
                    let answer = &answers[session];
                    assert!(
                        !there || matches!(answer, Answer::Nothing { .. } | Answer::Over),
                        "a wait ends with {answer:?}"
                    );
                }
                self.judge(answers);
            }
            1 => {
                let gone = self.waiters.keys().chain(self.readers.keys()).copied().collect::<Vec<_>>();
                if let Ok(session) = u.choose_iter(gone) {
                    self.waiters.remove(&session);
                    self.readers.remove(&session);
                    let answers = self.give(&Input::Gone { session });
                    self.judge(answers);
                }
            }
            2 => self.restart(),
            _ => {
                let name = *u.choose(&NAMES)?;
                let (session, ask) = self.question(u, session, name)?;
                let name = match &ask {
                    Ask::Next { .. } => self.readers[&session].0.clone(),
                    _ => name.to_owned(),
                };
                self.ask(session, &name, ask);
            }
        }
        Ok(())
    }

    fn question(&self, u: &mut Unstructured<'_>, session: u64, name: &str) -> Result<(u64, Ask)> {
        let tail = self.oracle.streams.get(name).map_or(0, Naive::tail);
        let poll = Poll {
            chunk: u.int_in_range(0..=6)?,
            patience: u64::from(u.arbitrary::<u16>()?),
            cursor: u.arbitrary()?,
            random: u.arbitrary()?,
        };
        let from = match u.int_in_range(0..=3)? {
            0 => From::Start,
            1 => From::Now,
            _ => From::At(u.int_in_range(0..=tail + 1)?),
        };
        let ask = match u.int_in_range(0..=13)? {
            0 | 1 => Ask::Create(self.creation(u)?),
            2..=5 => {
                let (media_type, body) = content(u, 1)?;
                let seq = u.ratio(1, 5)?.then(|| u.arbitrary::<u8>().map(|n| n.to_string())).transpose()?;
                let (closed, producer) = (u.ratio(1, 8)?, producer(u)?);
                Ask::Append(Append { media_type, closed, body: body.into(), producer, seq, retain: None })
            }
            6 => Ask::Close { producer: producer(u)? },
            7 => Ask::Delete,
            8 => Ask::Head,
            9 | 10 => Ask::Read { from, chunk: poll.chunk },
            11 => Ask::LongPoll { from, poll },
            12 => Ask::Follow { from, poll },
            _ => {
                let free = self.readers.iter().filter(|(session, _)| !self.waiters.contains_key(session));
                let Ok((session, (name, id, _))) = u.choose_iter(free.collect::<Vec<_>>()) else {
                    return Ok((session, Ask::Head));
                };
                let stream = self.oracle.streams.get(name).filter(|stream| stream.id == *id);
                let seen = u.int_in_range(0..=stream.map_or(0, Naive::tail))?;
                return Ok((*session, Ask::Next { from: u.int_in_range(0..=seen)?, seen, poll }));
            }
        };
        Ok((session, ask))
    }

    fn creation(&self, u: &mut Unstructured<'_>) -> Result<Create> {
        let (media_type, body) = content(u, 0)?;
        let lifetime = match u.int_in_range(0..=5)? {
            0 => Some(Lifetime::Ttl(u.int_in_range(0..=90)?)),
            1 => Some(Lifetime::Until(START + u64::from(u.arbitrary::<u16>()?) * 4)),
            _ => None,
        };
        let fork = if u.ratio(2, 5)? {
            let source = *u.choose(&NAMES)?;
            let tail = self.oracle.streams.get(source).map_or(0, Naive::tail);
            let offset = u.arbitrary::<bool>()?.then(|| u.int_in_range(0..=tail + 1)).transpose()?;
            let sub_offset = u.int_in_range(0..=4)?;
            Some(Fork { source: source.into(), offset, sub_offset, found: None })
        } else {
            None
        };
        // The body of one without a type is not stored as messages before its type is known.
        let (media_type, body) = if u.ratio(1, 5)? { (None, Vec::new()) } else { (Some(media_type), body) };
        Ok(Create { media_type, closed: u.ratio(1, 8)?, lifetime, fork, body: body.into() })
    }

    /// Asks the model, which may have to be told where a fork leaves its source, and both servers have to agree.
    fn ask(&mut self, session: u64, name: &str, mut ask: Ask) {
        self.expire();
        let before = self.oracle.streams.get(name).cloned();
        let reader = self.readers.get(&session).cloned();
        let mut answers = self.give(&Input::Ask { session, name: name.into(), ask: ask.clone() });
        if let (Some(Answer::Lookup(lookup)), Ask::Create(create)) =
            (answers.get(&session).cloned(), &mut ask)
            && let Some(fork) = &mut create.fork
        {
            let source = &self.oracle.streams[&fork.source];
            // Here every part is named as it is; in an answer the last one says what of the others is meant.
            let parts = lookup.content.iter().flat_map(|part| self.bytes(&[*part]));
            assert_eq!(parts.collect::<Vec<_>>(), source.content, "the content of the source");
            let base = source.place(lookup.offset, lookup.sub_offset);
            fork.found = Some(Found { incarnation: lookup.incarnation, base });
            answers = self.give(&Input::Ask { session, name: name.into(), ask: ask.clone() });
        }
        let own = answers.remove(&session);
        let expected = match (&ask, &reader) {
            (Ask::Next { .. }, Some((_, id, _)))
                if before.as_ref().is_none_or(|stream| stream.id != *id || stream.deleted) =>
            {
                assert!(matches!(own, Some(Answer::Refused(Refusal::NoStream | Refusal::Gone))), "{own:?}");
                self.readers.remove(&session);
                return self.judge(answers);
            }
            (Ask::Next { .. }, Some((.., until))) if *until <= self.now => Expected::Is(Answer::Over),
            _ => self.oracle.ask(self.now, name, &ask),
        };
        let chunk = match &ask {
            Ask::Read { chunk, .. } => *chunk,
            Ask::LongPoll { poll, .. } | Ask::Follow { poll, .. } | Ask::Next { poll, .. } => poll.chunk,
            _ => 0,
        };
        match (expected, own) {
            (Expected::Is(expected), own) => assert_eq!(own.as_ref(), Some(&expected), "{ask:?} of {name}"),
            (Expected::From(from), Some(own)) => self.is_content(name, from, chunk, &own),
            (Expected::Wait(from), None) => {
                let id = self.oracle.streams[name].id;
                let stays = matches!(ask, Ask::Next { .. });
                self.waiters.insert(session, Waiter { name: name.into(), id, from, chunk, stays });
            }
            (expected, own) => panic!("{ask:?} of {name}: expected {expected:?}, found {own:?}"),
        }
        if let Ask::Follow { poll, .. } = &ask
            && let Some(stream) =
                self.oracle.streams.get(name).filter(|_| self.state.readers.contains_key(&session))
        {
            self.readers.insert(session, (name.into(), stream.id, self.now.saturating_add(poll.patience)));
        }
        let after = self.oracle.streams.get(name);
        let moved = match (&before, after) {
            (Some(before), Some(after)) if before.id == after.id => {
                assert!(after.tail() >= before.tail() && (after.closed || !before.closed));
                after.tail() > before.tail()
                    || after.closed != before.closed
                    || after.deleted != before.deleted
            }
            (before, _) => before.is_some(),
        };
        // Everyone who waited is answered if and only if the end of the stream moved.
        let of_stream = |waiter: &&Waiter| before.as_ref().is_some_and(|stream| stream.id == waiter.id);
        for (waiter, _) in
            self.waiters.iter().filter(|(other, waiter)| **other != session && of_stream(waiter))
        {
            assert_eq!(answers.contains_key(waiter), moved, "who waits for {name} and {ask:?}");
        }
        self.judge(answers);
    }

    /// The answers to those who waited are true.
    fn judge(&mut self, answers: BTreeMap<u64, Answer>) {
        for (session, answer) in answers {
            let Some(waiter) = self.waiters.remove(&session) else {
                panic!("{session} is answered {answer:?}")
            };
            let stream = self.oracle.streams.get(&waiter.name);
            match (stream.filter(|stream| stream.id == waiter.id && !stream.deleted), &answer) {
                (Some(_), Answer::Over) if waiter.stays => {}
                (Some(_), answer) => self.is_content(&waiter.name, waiter.from, waiter.chunk, answer),
                (None, answer) => {
                    assert!(
                        matches!(answer, Answer::Refused(Refusal::NoStream | Refusal::Gone)),
                        "{answer:?}"
                    );
                }
            }
            if matches!(answer, Answer::Over | Answer::Refused(_)) {
                self.readers.remove(&session);
            }
        }
        assert!(
            self.state.waits.keys().eq(self.waiters.keys()),
            "those who wait are those who were not answered"
        );
    }

    /// Content from here on, or that there is none, of the naive stream.
    fn is_content(&self, name: &str, from: u64, chunk: u64, answer: &Answer) {
        let stream = &self.oracle.streams[name];
        match answer {
            Answer::Content { range, inherited, up_to_date, closed, media_type, .. } => {
                let part = &stream.content[at(range.from)..at(range.to)];
                assert_eq!(range.from, from);
                assert_eq!(
                    self.bytes(&[inherited, &[*range][..]].concat()),
                    part,
                    "{name}: {range:?} {inherited:?}"
                );
                assert!(media_type.same(&stream.media_type));
                assert!(media_type.is_json() || part.len() as u64 <= chunk.max(1), "more than a chunk");
                assert!(range.to > from || range.to == stream.tail(), "offsets grow");
                assert_eq!(*up_to_date, range.to == stream.tail());
                assert_eq!(*closed, stream.closed && range.to == stream.tail());
            }
            Answer::Nothing { tail, closed, cursor, .. } => {
                assert_eq!((*tail, *closed, from), (stream.tail(), stream.closed, stream.tail()));
                assert_eq!(cursor.is_none(), stream.closed);
            }
            other => panic!("content of {name} is {other:?}"),
        }
    }

    /// The bytes of ranges as the shell reads them: of each what the ones before it do not have.
    fn bytes(&self, ranges: &[Range]) -> Vec<u8> {
        let Some((own, inherited)) = ranges.split_last() else { return Vec::new() };
        let base = inherited.last().map_or(0, |range| range.to);
        let first = if inherited.is_empty() { own.from } else { own.from.min(base) };
        let clipped = inherited.iter().map(|range| Range {
            from: range.from.max(own.from),
            to: range.to.min(own.to),
            ..*range
        });
        let last = Range { from: own.from.max(if inherited.is_empty() { first } else { base }), ..*own };
        let mut bytes = Vec::new();
        for range in clipped.chain([last]).filter(|range| range.from < range.to) {
            for ((owner, start), block) in self.blocks.range((range.owner, 0)..=(range.owner, range.to)) {
                let end = start + block.len() as u64;
                let (from, to) = (range.from.max(*start), range.to.min(end));
                if from < to {
                    assert_eq!(*owner, range.owner);
                    bytes.extend_from_slice(&block[at(from - start)..at(to - start)]);
                }
            }
        }
        bytes
    }

    /// Gives the model an input: the answers that come of it.
    fn give(&mut self, input: &Input) -> BTreeMap<u64, Answer> {
        let Decision { records, effects } = StreamModel::decide(&self.state, self.now, input);
        for record in &records {
            StreamModel::apply(&mut self.state, record);
            if StreamModel::durable(record) {
                self.log.push(serde_json::to_string(record).unwrap_or_else(|e| panic!("{e}")));
            }
            if let Some(block) = StreamModel::block(record) {
                self.blocks.insert((block.owner, block.start), block.bytes.to_vec());
            }
        }
        let mut answers = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Answer { session, answer } => {
                    assert!(answers.insert(session, answer).is_none(), "{session} is answered twice");
                }
                Effect::Remove { incarnation } => self.blocks.retain(|(owner, _), _| *owner != incarnation),
                Effect::Retain { incarnations } => {
                    self.blocks.retain(|(owner, _), _| incarnations.contains(owner))
                }
                Effect::Trim { .. } => panic!("content is dropped that was to be kept"),
            }
        }
        answers
    }

    /// Lets the naive streams end whose time is over, if the model says so; none may end before.
    fn expire(&mut self) {
        let mut holder = false;
        for name in NAMES {
            let there = self.state.at(name, self.now).is_some();
            match self.oracle.streams.get(name) {
                Some(stream) if stream.may_be_over(self.now) => {
                    assert!(!there || !stream.is_over(self.now), "{name} is there after its time");
                    if !there {
                        holder |= self.oracle.end(name);
                    }
                }
                Some(_) => assert!(there, "{name} ended before its time"),
                None => {}
            }
        }
        if holder {
            // A source is held until the timer finds that its fork is over, which is due now.
            let answers = self.give(&Input::Tick);
            self.judge(answers);
        }
    }

    fn restart(&mut self) {
        let mut state = State::default();
        for record in &self.log {
            let record: Record = serde_json::from_str(record).unwrap_or_else(|e| panic!("{e}: {record}"));
            StreamModel::apply(&mut state, &record);
        }
        self.state = state;
        self.waiters.clear();
        self.readers.clear();
        let answers = self.give(&Input::Started);
        assert!(answers.is_empty(), "after a restart nobody waits");
        self.expire();
    }

    /// The streams of both servers are the same.
    fn compare(&mut self) {
        self.expire();
        for name in NAMES {
            let model = self.state.at(name, self.now);
            let naive = self.oracle.streams.get(name);
            let facts = model.map(|s| (s.tail, s.closed, s.deleted, s.media_type.as_str()));
            let expected = naive.map(|s| (s.tail(), s.closed, s.deleted, s.media_type.as_str()));
            assert_eq!(facts, expected, "{name}");
        }
        if let Some(wake) = StreamModel::wake_at(&self.state) {
            assert!(wake == 0 || wake >= START, "the timer wakes at {wake}");
        }
    }

    /// Reading on from any offset to the tail yields every byte once.
    fn walk(&mut self, name: &str) {
        let Some(stream) = self.oracle.streams.get(name).filter(|stream| !stream.deleted).cloned() else {
            return;
        };
        let is_start =
            |at: &usize| !stream.media_type.is_json() || *at == 0 || stream.content[*at - 1] == SEPARATOR;
        for start in (0..=stream.content.len()).filter(is_start).take(8) {
            let (mut from, mut read) = (start as u64, Vec::new());
            loop {
                let ask = Ask::Read { from: From::At(from), chunk: 5 };
                let answers = self.give(&Input::Ask { session: u64::MAX, name: name.into(), ask });
                let Some(Answer::Content { range, inherited, up_to_date, .. }) = answers.get(&u64::MAX)
                else {
                    panic!("{answers:?}")
                };
                read.extend(self.bytes(&[inherited, &[*range][..]].concat()));
                assert!(range.to > from || *up_to_date, "offsets grow");
                from = range.to;
                if *up_to_date {
                    break;
                }
            }
            assert_eq!(read, stream.content[start..], "{name} from {start}");
        }
    }
}

fn at(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// A media type and a body of it.
fn content(u: &mut Unstructured<'_>, least: usize) -> Result<(MediaType, Vec<u8>)> {
    let name = *u.choose(&TYPES)?;
    let media_type = MediaType::parse(name).unwrap_or_else(|e| panic!("{e}"));
    let body = if media_type.is_json() {
        if least == 0 && u.arbitrary()? { Vec::new() } else { u.choose(&JSON)?.to_vec() }
    } else {
        let length = u.int_in_range(least..=5)?;
        (0..length).map(|_| u.arbitrary()).collect::<Result<_>>()?
    };
    Ok((media_type, body))
}

fn producer(u: &mut Unstructured<'_>) -> Result<Option<Tuple>> {
    if u.ratio(1, 2)? {
        return Ok(None);
    }
    let id = (*u.choose(&["p", "q"])?).to_owned();
    Ok(Some(Tuple { id, epoch: u.int_in_range(0..=2)?, seq: u.int_in_range(0..=3)? }))
}
