//! The state of all streams, and how each record changes it.

use super::{Poll, Record, Tuple};
use crate::log::Range;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use wireproof_spec::stream::MediaType;

/// Everything that decisions depend on.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The streams, by name.
    pub streams: BTreeMap<String, Stream>,
    /// The live reads that wait, by session.
    pub waits: BTreeMap<u64, Wait>,
    /// The deadline (milliseconds since 1970) and session of each wait.
    pub deadlines: BTreeSet<(u64, u64)>,
    /// The readers that stay, by session: their stream, and until when they may (milliseconds since 1970).
    pub readers: BTreeMap<u64, (String, u64)>,
    /// When each stream is over (milliseconds since 1970), and its name.
    pub ends: BTreeSet<(u64, String)>,
    /// How many streams have content of this incarnation: the stream itself, and its forks.
    pub pins: BTreeMap<u64, usize>,
    /// Incarnations whose content nobody needs any more.
    pub garbage: BTreeSet<u64>,
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
    /// The position of the first byte that is kept.
    pub start: u64,
    /// The place at which content is cut off next.
    pub mark: u64,
    /// The position behind the last byte.
    pub tail: u64,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// When it was used last: milliseconds since 1970.
    pub touched: u64,
    /// What it begins as a part of.
    pub origin: Option<Origin>,
    /// How many forks it has.
    pub forks: usize,
    /// Whether it was deleted and its URL is held for its forks.
    pub deleted: bool,
    /// The last accepted epoch and number of each producer.
    pub producers: BTreeMap<String, Producer>,
    /// The producer that closed it.
    pub closing: Option<Tuple>,
    /// The last `Stream-Seq`.
    pub seq: Option<String>,
    /// The sessions that wait for it to change.
    pub waiting: BTreeSet<u64>,
    /// The sessions of readers that stay.
    pub readers: BTreeSet<u64>,
}

/// How long a stream lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// For ever.
    #[default]
    Unlimited,
    /// So many seconds from its last use.
    Ttl(u64),
    /// Until this instant, in milliseconds since 1970.
    Until(u64),
}

/// What a stream begins as a part of, and how that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The name of the source.
    pub source: String,
    /// The incarnation of the source.
    pub incarnation: u64,
    /// Where it leaves the source, if the request said so.
    pub offset: Option<u64>,
    /// Where it leaves the source before the sub-offset.
    pub resolved: u64,
    /// The sub-offset.
    pub sub_offset: u64,
    /// Whether its lifetime is that of the source, because none was named.
    pub inherits_lifetime: bool,
    /// The content before its own, in order and without gaps.
    pub inherited: Arc<[Range]>,
    /// Where its own content begins.
    pub base: u64,
    /// The first position that the source still had.
    pub start: u64,
}

/// The last accepted epoch and number of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its epoch.
    pub epoch: u64,
    /// The highest number in it.
    pub seq: u64,
}

/// A live read that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Of the stream.
    pub name: String,
    /// Where it reads.
    pub from: u64,
    /// What it asked for.
    pub poll: Poll,
    /// When it is over: milliseconds since 1970.
    pub deadline: u64,
    /// What becomes of it then.
    pub live: Live,
}

/// The kind of a live read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Live {
    /// One answer.
    LongPoll,
    /// A reader that stays.
    Sse,
}

impl Stream {
    /// Where its own content begins.
    pub fn base(&self) -> u64 {
        self.origin.as_ref().map_or(0, |origin| origin.base)
    }

    /// The content before its own.
    pub fn inherited(&self) -> Arc<[Range]> {
        self.origin.as_ref().map(|origin| Arc::clone(&origin.inherited)).unwrap_or_default()
    }

    /// When it is over, if nothing happens: milliseconds since 1970. A time to live does not pass while somebody reads.
    pub fn end(&self) -> Option<u64> {
        match self.lifetime {
            _ if self.deleted => None,
            Lifetime::Unlimited => None,
            Lifetime::Ttl(_) if !self.readers.is_empty() || !self.waiting.is_empty() => None,
            Lifetime::Ttl(seconds) => {
                Some(self.touched.saturating_add(seconds.saturating_mul(1_000))).filter(|end| *end < u64::MAX)
            }
            Lifetime::Until(end) => Some(end),
        }
    }

    pub(super) fn is_over(&self, now: u64) -> bool {
        self.end().is_some_and(|end| end <= now)
    }
}

impl State {
    /// The stream of this name, if its time is not over. It may be deleted and held.
    pub fn at(&self, name: &str, now: u64) -> Option<&Stream> {
        self.streams.get(name).filter(|stream| !stream.is_over(now))
    }

    /// The incarnations whose content somebody can read.
    pub(super) fn owners(&self) -> Vec<u64> {
        self.pins.keys().copied().collect()
    }

    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Created { name, incarnation, media_type, lifetime, origin, at } => {
                if let Some(origin) = origin {
                    if let Some(source) = self.streams.get_mut(&origin.source) {
                        source.forks += 1;
                    }
                    for range in origin.inherited.iter() {
                        *self.pins.entry(range.owner).or_default() += 1;
                    }
                }
                *self.pins.entry(*incarnation).or_default() += 1;
                let stream = Stream {
                    incarnation: *incarnation,
                    media_type: media_type.clone(),
                    closed: false,
                    start: origin.as_ref().map_or(0, |origin| origin.start),
                    mark: origin.as_ref().map_or(0, |origin| origin.start),
                    tail: origin.as_ref().map_or(0, |origin| origin.base),
                    lifetime: *lifetime,
                    touched: *at,
                    origin: origin.clone(),
                    forks: 0,
                    deleted: false,
                    producers: BTreeMap::new(),
                    closing: None,
                    seq: None,
                    waiting: BTreeSet::new(),
                    readers: BTreeSet::new(),
                };
                self.ends.extend(stream.end().map(|end| (end, name.clone())));
                self.streams.insert(name.clone(), stream);
                self.next = self.next.max(incarnation.saturating_add(1));
            }
            Record::Appended { name, range, producer, seq, at, .. } => self.change(name, |stream| {
                stream.tail = range.to;
                stream.touched = *at;
                stream.seq = seq.clone().or(stream.seq.take());
                stream.produced(producer.as_ref());
            }),
            Record::Closed { name, producer, at } => self.change(name, |stream| {
                stream.closed = true;
                stream.touched = *at;
                stream.closing = producer.clone();
                stream.produced(producer.as_ref());
            }),
            Record::Trimmed { name, start, mark } => self.change(name, |stream| {
                (stream.start, stream.mark) = (*start, *mark);
            }),
            Record::Touched { name, at } => self.change(name, |stream| stream.touched = *at),
            Record::Deleted { name } => {
                if self.streams.get(name).is_some_and(|stream| stream.forks > 0) {
                    self.change(name, |stream| stream.deleted = true);
                } else {
                    self.remove(name);
                }
            }
            Record::Expired { name } => self.remove(name),
            Record::Following { session, name, until } => {
                self.readers.insert(*session, (name.clone(), *until));
                self.change(name, |stream| {
                    stream.readers.insert(*session);
                });
            }
            Record::Waiting { session, wait } => {
                self.change(&wait.name, |stream| {
                    stream.waiting.insert(*session);
                });
                self.deadlines.insert((wait.deadline, *session));
                self.waits.insert(*session, wait.clone());
            }
            Record::Woken { session, at } => self.woken(*session, *at),
            Record::Left { session, at } => {
                self.woken(*session, *at);
                if let Some((name, _)) = self.readers.remove(session) {
                    self.change(&name, |stream| {
                        stream.readers.remove(session);
                        stream.touched = stream.touched.max(*at);
                    });
                }
            }
            Record::Swept => self.garbage.clear(),
            Record::Stopping => self.stopping = true,
        }
    }

    /// Changes a stream, and keeps track of when it is over.
    fn change(&mut self, name: &str, change: impl FnOnce(&mut Stream)) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        let before = stream.end();
        change(stream);
        let after = stream.end();
        if before != after {
            if let Some(before) = before {
                self.ends.remove(&(before, name.to_owned()));
            }
            self.ends.extend(after.map(|after| (after, name.to_owned())));
        }
    }

    fn woken(&mut self, session: u64, at: u64) {
        if let Some(wait) = self.waits.remove(&session) {
            self.deadlines.remove(&(wait.deadline, session));
            self.change(&wait.name, |stream| {
                stream.waiting.remove(&session);
                stream.touched = stream.touched.max(at);
            });
        }
    }

    /// Removes a stream, and what is left of the sources that were held for it alone.
    fn remove(&mut self, name: &str) {
        let mut next = Some(name.to_owned());
        while let Some(name) = next.take() {
            let Some(stream) = self.streams.remove(&name) else { return };
            if let Some(end) = stream.end() {
                self.ends.remove(&(end, name));
            }
            self.unpin(stream.incarnation);
            let Some(origin) = stream.origin else { return };
            for range in origin.inherited.iter() {
                self.unpin(range.owner);
            }
            let source = self.streams.get_mut(&origin.source);
            if let Some(source) = source.filter(|source| source.incarnation == origin.incarnation) {
                source.forks = source.forks.saturating_sub(1);
                if source.deleted && source.forks == 0 {
                    next = Some(origin.source);
                }
            }
        }
    }

    fn unpin(&mut self, owner: u64) {
        let Some(pins) = self.pins.get_mut(&owner) else { return };
        *pins -= 1;
        if *pins == 0 {
            self.pins.remove(&owner);
            self.garbage.insert(owner);
        }
    }
}

impl Stream {
    fn produced(&mut self, producer: Option<&Tuple>) {
        if let Some(Tuple { id, epoch, seq }) = producer {
            self.producers.insert(id.clone(), Producer { epoch: *epoch, seq: *seq });
        }
    }
}
