//! A naive server: each stream is its whole content, a fork a copy of what it begins with. It knows no ranges, no records and
//! no clock but the moments of reads and writes.

use std::collections::{BTreeMap, BTreeSet};
use wireproof_reference::stream::model::{
    Answer, Append, Ask, Create, Facts, Fork, From, Lifetime, Produced, Refusal, Tuple,
};
use wireproof_spec::stream::MediaType;

/// The separator behind each message of a JSON stream as the model stores it.
pub(super) const SEPARATOR: u8 = 0x1e;

/// One stream.
#[derive(Clone, Debug)]
pub(super) struct Naive {
    /// Tells it from others of its name.
    pub(super) id: u64,
    pub(super) media_type: MediaType,
    /// All of it, what it began with included.
    pub(super) content: Vec<u8>,
    /// The places behind each append, what it began with included.
    pub(super) ends: BTreeSet<usize>,
    pub(super) closed: bool,
    /// Deleted, and held for its forks.
    pub(super) deleted: bool,
    lifetime: Lifetime,
    /// The last moment at which it certainly was used.
    used: u64,
    producers: BTreeMap<String, (u64, u64)>,
    closing: Option<Tuple>,
    seq: Option<String>,
    /// How it began: the id of its source, and what a PUT has to say to mean the same.
    source: Option<u64>,
    asked: Option<Asked>,
}

#[derive(Clone, Debug, PartialEq)]
struct Asked {
    source: String,
    offset: Option<u64>,
    resolved: u64,
    sub_offset: u64,
    inherits_lifetime: bool,
}

/// What has to be answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expected {
    /// Exactly this.
    Is(Answer),
    /// Content from this position, or that there is none.
    From(u64),
    /// Nothing yet.
    Wait(u64),
}

/// All streams.
#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    pub(super) streams: BTreeMap<String, Naive>,
    next: u64,
}

impl Naive {
    pub(super) fn tail(&self) -> u64 {
        self.content.len() as u64
    }

    /// Whether its time can be over. A wait for it may have lengthened its life; nothing shortens it.
    pub(super) fn may_be_over(&self, now: u64) -> bool {
        match self.lifetime {
            _ if self.deleted => false,
            Lifetime::Unlimited => false,
            Lifetime::Ttl(seconds) => now >= self.used.saturating_add(seconds.saturating_mul(1_000)),
            Lifetime::Until(end) => now >= end,
        }
    }

    /// Whether its time is over, whoever waits for it.
    pub(super) fn is_over(&self, now: u64) -> bool {
        matches!(self.lifetime, Lifetime::Until(_)) && self.may_be_over(now)
    }

    fn facts(&self) -> Facts {
        let (media_type, lifetime) = (self.media_type.clone(), self.lifetime);
        Facts { media_type, tail: self.tail(), closed: self.closed, lifetime }
    }

    fn position(&self, from: From) -> Result<u64, Refusal> {
        match from {
            From::Start => Ok(0),
            From::Now => Ok(self.tail()),
            From::At(at) if at > self.tail() => Err(Refusal::BeyondTail),
            From::At(at) => Ok(at),
        }
    }

    /// Where a fork leaves it.
    pub(super) fn place(&self, offset: u64, sub_offset: u64) -> Option<u64> {
        let at = usize::try_from(offset).ok().filter(|at| *at <= self.content.len())?;
        if at == self.content.len() {
            return (sub_offset == 0).then_some(offset);
        }
        if self.media_type.is_json() && at > 0 && self.content[at - 1] != SEPARATOR {
            return None;
        }
        if sub_offset == 0 {
            return Some(offset);
        }
        // No further than the append goes in which it begins.
        let end = *self.ends.iter().find(|end| **end > at)?;
        if self.media_type.is_json() {
            let mut messages = (at..end).filter(|i| self.content[*i] == SEPARATOR);
            let last = messages.nth(usize::try_from(sub_offset - 1).ok()?)?;
            return Some(last as u64 + 1);
        }
        offset.checked_add(sub_offset).filter(|base| *base <= end as u64)
    }

    /// What the numbers of a producer say: new, repeated (the highest number), or refused.
    fn turn(&self, producer: &Tuple) -> Result<Option<u64>, Refusal> {
        let (epoch, seq) = (producer.epoch, producer.seq);
        match self.producers.get(&producer.id).copied() {
            None if seq == 0 => Ok(None),
            None => Err(Refusal::Gap { expected: 0, received: seq }),
            Some((last, _)) if epoch < last => Err(Refusal::Stale { epoch: last }),
            Some((last, _)) if epoch > last && seq == 0 => Ok(None),
            Some((last, _)) if epoch > last => Err(Refusal::Bump { received: seq }),
            Some((_, last)) if seq <= last => Ok(Some(last)),
            Some((_, last)) if seq == last + 1 => Ok(None),
            Some((_, last)) => Err(Refusal::Gap { expected: last + 1, received: seq }),
        }
    }

    fn append(&mut self, now: u64, append: &Append) -> Answer {
        let producer = append.producer.as_ref();
        let said = |p: &Tuple, seq, fresh| Produced { epoch: p.epoch, seq, fresh };
        let tail = self.tail();
        if self.closed {
            return match producer.filter(|p| self.closing.as_ref() == Some(p)) {
                Some(p) => Answer::Appended { tail, closed: true, produced: Some(said(p, p.seq, false)) },
                None => Answer::Refused(Refusal::Closed { tail }),
            };
        }
        if !append.media_type.same(&self.media_type) {
            return Answer::Refused(Refusal::MediaType { expected: self.media_type.clone() });
        }
        match producer.map_or(Ok(None), |p| self.turn(p)) {
            Err(refusal) => return Answer::Refused(refusal),
            Ok(Some(last)) => {
                let produced = producer.map(|p| said(p, last, false));
                return Answer::Appended { tail, closed: false, produced };
            }
            Ok(None) => {}
        }
        if let (Some(seq), Some(last)) = (&append.seq, &self.seq)
            && seq.as_bytes() <= last.as_bytes()
        {
            return Answer::Refused(Refusal::Sequence { last: last.clone() });
        }
        self.content.extend_from_slice(&append.body);
        self.ends.insert(self.content.len());
        self.seq = append.seq.clone().or(self.seq.take());
        self.used = now;
        if append.closed {
            self.closed = true;
            self.closing = producer.cloned();
        }
        self.produced(producer);
        let produced = producer.map(|p| said(p, p.seq, true));
        Answer::Appended { tail: self.tail(), closed: append.closed, produced }
    }

    fn close(&mut self, now: u64, producer: Option<&Tuple>) -> Answer {
        let tail = self.tail();
        let said = |fresh| producer.map(|p| Produced { epoch: p.epoch, seq: p.seq, fresh });
        if self.closed {
            return match producer {
                Some(_) if self.closing.as_ref() != producer => Answer::Refused(Refusal::Closed { tail }),
                _ => Answer::Closed { tail, produced: said(false) },
            };
        }
        match producer.map_or(Ok(None), |p| self.turn(p)) {
            Err(refusal) => Answer::Refused(refusal),
            // An append had this number.
            Ok(Some(last)) => {
                let received = producer.map_or(0, |p| p.seq);
                Answer::Refused(Refusal::Gap { expected: last + 1, received })
            }
            Ok(None) => {
                self.closed = true;
                self.closing = producer.cloned();
                self.used = now;
                self.produced(producer);
                Answer::Closed { tail, produced: said(true) }
            }
        }
    }

    fn produced(&mut self, producer: Option<&Tuple>) {
        self.producers.extend(producer.map(|p| (p.id.clone(), (p.epoch, p.seq))));
    }

    /// Whether a PUT asks for what it is.
    fn is_what(&self, create: &Create) -> bool {
        let equal_type = match (&create.media_type, &create.fork) {
            (Some(named), _) => named.same(&self.media_type),
            (None, Some(_)) => true,
            (None, None) => self.media_type.essence() == "application/octet-stream",
        };
        let inherited = self.asked.as_ref().map(|asked| asked.inherits_lifetime);
        let equal_lifetime = match create.lifetime {
            Some(named) => named == self.lifetime,
            None => inherited.unwrap_or(self.lifetime == Lifetime::Unlimited),
        };
        let equal_origin = match (&create.fork, &self.asked) {
            (None, None) => true,
            (Some(fork), Some(asked)) => {
                let same_offset =
                    fork.offset.map_or(asked.offset.is_none(), |offset| offset == asked.resolved);
                fork.source == asked.source && fork.sub_offset == asked.sub_offset && same_offset
            }
            _ => false,
        };
        create.closed == self.closed && equal_type && equal_lifetime && equal_origin
    }
}

impl Oracle {
    /// What has to be answered to a request, and does it.
    pub(super) fn ask(&mut self, now: u64, name: &str, ask: &Ask) -> Expected {
        let refused = |refusal| Expected::Is(Answer::Refused(refusal));
        let Some(stream) = self.streams.get_mut(name) else {
            return match ask {
                Ask::Create(create) => Expected::Is(self.create(now, name, create)),
                _ => refused(Refusal::NoStream),
            };
        };
        if stream.deleted {
            let is_create = matches!(ask, Ask::Create(_));
            return refused(if is_create { Refusal::Held } else { Refusal::Gone });
        }
        match ask {
            Ask::Create(create) if stream.is_what(create) => {
                Expected::Is(Answer::Created { fresh: false, facts: stream.facts() })
            }
            Ask::Create(_) => refused(Refusal::Exists(stream.facts())),
            Ask::Append(append) => Expected::Is(stream.append(now, append)),
            Ask::Close { producer } => Expected::Is(stream.close(now, producer.as_ref())),
            Ask::Delete => {
                self.delete(name);
                Expected::Is(Answer::Deleted)
            }
            Ask::Head => Expected::Is(Answer::Head(stream.facts())),
            Ask::Read { from, .. } | Ask::LongPoll { from, .. } | Ask::Follow { from, .. } => {
                match stream.position(*from) {
                    Err(refusal) => refused(refusal),
                    Ok(from) => {
                        stream.used = now;
                        let waits =
                            matches!(ask, Ask::LongPoll { .. }) && from == stream.tail() && !stream.closed;
                        if waits { Expected::Wait(from) } else { Expected::From(from) }
                    }
                }
            }
            Ask::Next { from, seen, .. } if *seen == stream.tail() && !stream.closed => Expected::Wait(*from),
            Ask::Next { from, .. } => Expected::From(*from),
        }
    }

    fn create(&mut self, now: u64, name: &str, create: &Create) -> Answer {
        let refused = Answer::Refused;
        let mut content = Vec::new();
        let mut ends = BTreeSet::new();
        let mut inherited = None;
        if let Some(fork) = &create.fork {
            let source = match self.source(fork, create) {
                Ok(source) => source,
                Err(refusal) => return refused(refusal),
            };
            let offset = fork.offset.unwrap_or(source.tail());
            let Some(base) = source.place(offset, fork.sub_offset) else { return refused(Refusal::NoPlace) };
            let base = usize::try_from(base).unwrap_or(usize::MAX);
            content.extend_from_slice(&source.content[..base]);
            ends = source.ends.iter().copied().filter(|end| *end < base).chain([base]).collect();
            let asked = Asked {
                source: fork.source.clone(),
                offset: fork.offset,
                resolved: offset,
                sub_offset: fork.sub_offset,
                inherits_lifetime: create.lifetime.is_none(),
            };
            inherited = Some((source.id, source.media_type.clone(), source.lifetime, asked));
        }
        let default = || MediaType::parse("application/octet-stream").unwrap_or_else(|e| panic!("{e}"));
        let of_source = |(_, media_type, ..): &(u64, MediaType, Lifetime, Asked)| media_type.clone();
        let media_type =
            create.media_type.clone().or(inherited.as_ref().map(of_source)).unwrap_or_else(default);
        let of_source = inherited.as_ref().map(|(_, _, lifetime, _)| *lifetime);
        content.extend_from_slice(&create.body);
        ends.insert(content.len());
        self.next += 1;
        let stream = Naive {
            id: self.next,
            media_type,
            content,
            ends,
            closed: create.closed,
            deleted: false,
            lifetime: create.lifetime.or(of_source).unwrap_or_default(),
            used: now,
            producers: BTreeMap::new(),
            closing: None,
            seq: None,
            source: inherited.as_ref().map(|(id, ..)| *id),
            asked: inherited.map(|(.., asked)| asked),
        };
        let facts = stream.facts();
        self.streams.insert(name.into(), stream);
        Answer::Created { fresh: true, facts }
    }

    fn source(&self, fork: &Fork, create: &Create) -> Result<&Naive, Refusal> {
        let source = self.streams.get(&fork.source).ok_or(Refusal::NoSource)?;
        if source.deleted {
            return Err(Refusal::SourceGone);
        }
        match &create.media_type {
            Some(named) if !named.same(&source.media_type) => {
                Err(Refusal::MediaType { expected: source.media_type.clone() })
            }
            _ => Ok(source),
        }
    }

    fn delete(&mut self, name: &str) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.deleted = true;
        self.sweep();
    }

    /// The stream of this name is over. Whether it was a fork, which holds its source.
    pub(super) fn end(&mut self, name: &str) -> bool {
        let over = self.streams.remove(name);
        self.sweep();
        over.is_some_and(|stream| stream.source.is_some())
    }

    /// Removes what was deleted and has no forks any more.
    fn sweep(&mut self) {
        loop {
            let sources: BTreeSet<u64> = self.streams.values().filter_map(|stream| stream.source).collect();
            let before = self.streams.len();
            self.streams.retain(|_, stream| !stream.deleted || sources.contains(&stream.id));
            if self.streams.len() == before {
                return;
            }
        }
    }
}
