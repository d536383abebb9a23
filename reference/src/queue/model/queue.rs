//! One queue: which of its messages are unfinished, which are gone, and what of it is due when.
//!
//! What was never received is everything from `fresh` on; of what is before that, only the unfinished is remembered one by
//! one. So the state grows with what is open, dead, waiting its turn, or has a time or a key, and not with what is retained.

use super::{Destination, Kind, Place, Source};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use wireproof_spec::queue::QueueType;

/// A queue is cut off in this many steps over the time of its retention.
const STEPS: u64 = 64;

/// The settings of a queue: "Queues".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Settings {
    pub ttl_s: Option<f64>,
    pub visibility_s: u64,
    pub max_retries: u64,
    pub backoff_ms: f64,
    pub max_backoff_ms: f64,
    pub multiplier: f64,
    pub in_flight: u64,
    pub retention_s: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ttl_s: None,
            visibility_s: 30,
            max_retries: 5,
            backoff_ms: 1000.0,
            max_backoff_ms: 60_000.0,
            multiplier: 2.0,
            in_flight: 10,
            retention_s: 2_592_000.0,
        }
    }
}

/// The settings that a request names; a time to live of `Some(None)` is for ever.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Differences {
    pub ttl_s: Option<Option<f64>>,
    pub visibility_s: Option<u64>,
    pub max_retries: Option<u64>,
    pub backoff_ms: Option<f64>,
    pub max_backoff_ms: Option<f64>,
    pub multiplier: Option<f64>,
    pub in_flight: Option<u64>,
    pub retention_s: Option<f64>,
}

impl Settings {
    /// These settings but for those that are named.
    pub fn with(&self, other: &Differences) -> Self {
        Self {
            ttl_s: other.ttl_s.unwrap_or(self.ttl_s),
            visibility_s: other.visibility_s.unwrap_or(self.visibility_s),
            max_retries: other.max_retries.unwrap_or(self.max_retries),
            backoff_ms: other.backoff_ms.unwrap_or(self.backoff_ms),
            max_backoff_ms: other.max_backoff_ms.unwrap_or(self.max_backoff_ms),
            multiplier: other.multiplier.unwrap_or(self.multiplier),
            in_flight: other.in_flight.unwrap_or(self.in_flight),
            retention_s: other.retention_s.unwrap_or(self.retention_s),
        }
    }

    /// The wait behind failure n, from 1, in milliseconds.
    pub fn backoff(&self, failures: u64) -> u64 {
        backoff(self.backoff_ms, self.multiplier, self.max_backoff_ms, failures)
    }
}

/// A wait that grows from failure to failure, in milliseconds.
pub(super) fn backoff(first: f64, multiplier: f64, most: f64, failures: u64) -> u64 {
    let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let wait = (first * multiplier.powi(exponent)).min(most);
    // Nothing times infinity is no number, and is no wait.
    milliseconds(if wait.is_nan() { 0.0 } else { wait })
}

/// Whole milliseconds, not less; more than there can be is the most there can be.
pub(super) fn milliseconds(time: f64) -> u64 {
    // A cast of a float saturates.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = time.max(0.0).ceil() as u64;
    whole
}

/// One queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// Tells this queue from others that had or will have its name; owner of its content.
    pub incarnation: u64,
    /// For how many consumers a message is.
    pub kind: QueueType,
    /// What it is for.
    pub description: Option<String>,
    /// Its settings.
    pub settings: Settings,
    /// When it was made: milliseconds since 1970.
    pub created: u64,
    /// When it was changed last: milliseconds since 1970.
    pub updated: u64,
    /// Since when it is paused: milliseconds since 1970.
    pub paused: Option<u64>,
    /// What is before this offset is gone.
    pub start: u64,
    /// The offset of the next message.
    pub next: u64,
    /// What else is gone: from an offset to another. No two of them touch.
    pub gone: BTreeMap<u64, u64>,
    /// How many messages these are.
    pub missing: u64,
    /// From this offset on nothing was ever received.
    pub fresh: u64,
    /// What was received and is neither finished nor dead.
    pub open: BTreeMap<u64, Open>,
    /// What is before `fresh` and can be received.
    pub ready: BTreeSet<u64>,
    /// When each lease ends (milliseconds since 1970), and of which offset.
    pub leases: BTreeSet<(u64, u64)>,
    /// When each backoff ends (milliseconds since 1970), and of which offset.
    pub backoffs: BTreeSet<(u64, u64)>,
    /// What is dead.
    pub dead: BTreeMap<u64, Death>,
    /// The unfinished messages of each partition key, in their order: only the first of them can be received.
    pub lanes: BTreeMap<String, VecDeque<u64>>,
    /// The partition key of each of them.
    pub partitions: BTreeMap<u64, String>,
    /// Those that are not the first.
    pub behind: BTreeSet<u64>,
    /// The offset of each idempotency key.
    pub keys: BTreeMap<String, u64>,
    /// And the key of each of these offsets.
    pub keyed: BTreeMap<u64, String>,
    /// When the time of a message is over: milliseconds since 1970.
    pub ends: BTreeMap<u64, u64>,
    /// The same, by time.
    pub endings: BTreeSet<(u64, u64)>,
    /// What is before `offset` was published from `first` to `last`.
    pub marks: VecDeque<Mark>,
    /// Where its messages are sent, by id.
    pub destinations: BTreeMap<String, Destination>,
    /// Where it takes messages, by id.
    pub sources: BTreeMap<String, Source>,
    /// Who waits to receive.
    pub receivers: BTreeSet<u64>,
    /// Who is subscribed and waits.
    pub idle: BTreeSet<u64>,
    /// Who is subscribed.
    pub subscribers: BTreeSet<u64>,
}

/// A part of a queue that is dropped at once when it is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When the first message of it was published: milliseconds since 1970.
    pub first: u64,
    /// And the last one.
    pub last: u64,
    /// The offset behind that.
    pub offset: u64,
}

/// A message that was received and is neither finished nor dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// How often it was received.
    pub attempts: u64,
    /// Where it is.
    pub stage: Stage,
}

/// Where an open message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Hidden, for one consumer.
    Leased {
        /// Until when: milliseconds since 1970.
        until: u64,
        /// For which subscriber, if it is one.
        session: Option<u64>,
    },
    /// It failed, and can be received again from this time on: milliseconds since 1970.
    Failed(u64),
}

/// The end of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// How often it was received.
    pub attempts: u64,
    /// Why the last delivery failed.
    pub reason: String,
    /// When: milliseconds since 1970.
    pub at: u64,
}

impl Queue {
    pub(super) fn new(
        incarnation: u64,
        kind: QueueType,
        description: Option<String>,
        settings: Settings,
        at: u64,
    ) -> Self {
        Self {
            incarnation,
            kind,
            description,
            settings,
            created: at,
            updated: at,
            paused: None,
            start: 0,
            next: 0,
            gone: BTreeMap::new(),
            missing: 0,
            fresh: 0,
            open: BTreeMap::new(),
            ready: BTreeSet::new(),
            leases: BTreeSet::new(),
            backoffs: BTreeSet::new(),
            dead: BTreeMap::new(),
            lanes: BTreeMap::new(),
            partitions: BTreeMap::new(),
            behind: BTreeSet::new(),
            keys: BTreeMap::new(),
            keyed: BTreeMap::new(),
            ends: BTreeMap::new(),
            endings: BTreeSet::new(),
            marks: VecDeque::new(),
            destinations: BTreeMap::new(),
            sources: BTreeMap::new(),
            receivers: BTreeSet::new(),
            idle: BTreeSet::new(),
            subscribers: BTreeSet::new(),
        }
    }

    /// How many messages there are.
    pub fn retained(&self) -> u64 {
        self.next - self.start - self.missing
    }

    /// When something about it is due next: milliseconds since 1970.
    pub(super) fn due(&self) -> Option<u64> {
        let first = |all: &BTreeSet<(u64, u64)>| all.first().map(|(at, _)| *at);
        let kept = self.marks.front().map(|mark| mark.last.saturating_add(self.retention()));
        // A paused queue sends nothing.
        let sending = self.destinations.values().filter(|_| self.paused.is_none());
        let retries = sending.filter_map(Destination::due).min();
        let times = [first(&self.leases), first(&self.backoffs), first(&self.endings), kept, retries];
        times.into_iter().flatten().min()
    }

    /// How long a message is kept, in milliseconds.
    pub(super) fn retention(&self) -> u64 {
        milliseconds(self.settings.retention_s * 1000.0)
    }

    /// Whether there is a message with this offset.
    pub(super) fn has(&self, offset: u64, now: u64) -> bool {
        (self.start..self.next).contains(&offset)
            && self.gone.range(..=offset).next_back().is_none_or(|(_, to)| *to <= offset)
            && !self.is_over(offset, now)
    }

    fn is_over(&self, offset: u64, now: u64) -> bool {
        self.ends.get(&offset).is_some_and(|end| *end <= now)
    }

    /// The offsets of the messages from one on, in order.
    pub(super) fn offsets(&self, from: u64, now: u64) -> impl Iterator<Item = u64> + '_ {
        let mut at = self.skip(from.max(self.start));
        std::iter::from_fn(move || {
            let offset = at;
            at = if offset < self.next { self.skip(offset + 1) } else { offset };
            (offset < self.next).then_some(offset)
        })
        .filter(move |offset| !self.is_over(*offset, now))
    }

    /// The first offset from this one on that is not gone.
    fn skip(&self, at: u64) -> u64 {
        self.gone.range(..=at).next_back().map_or(at, |(_, to)| at.max(*to))
    }

    /// The offset of the oldest message.
    pub(super) fn head(&self, now: u64) -> Option<u64> {
        self.offsets(self.start, now).next()
    }

    /// The offset of the newest message.
    pub(super) fn tail(&self, now: u64) -> Option<u64> {
        let mut at = self.next;
        while at > self.start {
            let offset = at - 1;
            match self.gone.range(..=offset).next_back() {
                Some((from, to)) if *to > offset => at = *from,
                _ if self.is_over(offset, now) => at = offset,
                _ => return Some(offset),
            }
        }
        None
    }

    /// What can be received now, in the order in which it is.
    pub(super) fn available(&self, now: u64) -> impl Iterator<Item = u64> + '_ {
        let fresh = self.offsets(self.fresh, now).filter(|offset| !self.behind.contains(offset));
        let ready = self.ready.iter().copied().filter(move |offset| !self.is_over(*offset, now));
        ready.chain(fresh)
    }

    /// Where a message is.
    pub(super) fn place(&self, offset: u64, now: u64) -> Place {
        let (kind, attempts) = if let Some(death) = self.dead.get(&offset) {
            (Kind::Dead, Some(death.attempts))
        } else if let Some(open) = self.open.get(&offset) {
            let kind = match open.stage {
                Stage::Leased { .. } => Kind::Leased,
                Stage::Failed(again) if again > now => Kind::Failed,
                Stage::Failed(_) => Kind::Pending,
            };
            (kind, Some(open.attempts))
        } else if offset >= self.fresh || self.ready.contains(&offset) || self.behind.contains(&offset) {
            (Kind::Pending, Some(0))
        } else {
            (Kind::Delivered, None)
        };
        Place { offset, kind, attempts, max_retries: self.settings.max_retries }
    }

    pub(super) fn published(
        &mut self,
        offset: u64,
        key: Option<&String>,
        partition: Option<&String>,
        expires: Option<u64>,
        at: u64,
    ) {
        self.next = offset + 1;
        if let Some(key) = key {
            self.keys.insert(key.clone(), offset);
            self.keyed.insert(offset, key.clone());
        }
        // Where every subscriber is pushed everything there are no turns.
        if let Some(partition) = partition.filter(|_| self.kind == QueueType::Worker) {
            let lane = self.lanes.entry(partition.clone()).or_default();
            if !lane.is_empty() {
                self.behind.insert(offset);
            }
            lane.push_back(offset);
            self.partitions.insert(offset, partition.clone());
        }
        if let Some(end) = expires {
            self.ends.insert(offset, end);
            self.endings.insert((end, offset));
        }
        let step = (self.retention() / STEPS).max(1);
        match self.marks.back_mut() {
            Some(mark) if at < mark.first.saturating_add(step) => {
                (mark.last, mark.offset) = (mark.last.max(at), self.next);
            }
            _ => self.marks.push_back(Mark { first: at, last: at, offset: self.next }),
        }
    }

    pub(super) fn leased(&mut self, offset: u64, until: u64) {
        let attempts = self.close(offset).map_or(0, |open| open.attempts).saturating_add(1);
        self.open.insert(offset, Open { attempts, stage: Stage::Leased { until, session: None } });
        self.leases.insert((until, offset));
        self.fresh = self.fresh.max(offset + 1);
    }

    pub(super) fn failed(&mut self, offset: u64, again: u64) {
        if let Some(open) = self.close(offset) {
            self.open.insert(offset, Open { stage: Stage::Failed(again), ..open });
            self.backoffs.insert((again, offset));
        }
    }

    pub(super) fn died(&mut self, offset: u64, reason: &str, at: u64) {
        let attempts = self.close(offset).map_or(0, |open| open.attempts);
        self.dead.insert(offset, Death { attempts, reason: reason.into(), at });
        self.turn(offset);
    }

    pub(super) fn acknowledged(&mut self, offset: u64) {
        self.close(offset);
        self.turn(offset);
    }

    pub(super) fn revived(&mut self, offset: u64) {
        self.close(offset);
        self.dead.remove(&offset);
        // What is first in its lane, or has none any more, can be received.
        if offset < self.fresh && !self.behind.contains(&offset) {
            self.ready.insert(offset);
        }
    }

    pub(super) fn ripened(&mut self, now: u64) {
        while let Some((at, offset)) = self.backoffs.first().copied().filter(|(at, _)| *at <= now) {
            self.backoffs.remove(&(at, offset));
            self.ready.insert(offset);
        }
    }

    /// A message is no longer open.
    fn close(&mut self, offset: u64) -> Option<Open> {
        self.ready.remove(&offset);
        let open = self.open.remove(&offset)?;
        match open.stage {
            Stage::Leased { until, .. } => self.leases.remove(&(until, offset)),
            Stage::Failed(again) => self.backoffs.remove(&(again, offset)),
        };
        Some(open)
    }

    /// A message leaves its lane, and the next one is the first.
    fn turn(&mut self, offset: u64) {
        self.behind.remove(&offset);
        let Some(partition) = self.partitions.remove(&offset) else { return };
        let Some(lane) = self.lanes.get_mut(&partition) else { return };
        lane.retain(|other| *other != offset);
        match lane.front() {
            Some(first) => {
                if self.behind.remove(first) && *first < self.fresh {
                    self.ready.insert(*first);
                }
            }
            None => {
                self.lanes.remove(&partition);
            }
        }
    }

    /// These messages are gone.
    pub(super) fn dropped(&mut self, from: u64, to: u64) {
        let (from, to) = (from.max(self.start), to.min(self.next));
        if from >= to {
            return;
        }
        fn inside<T>(all: &BTreeMap<u64, T>, from: u64, to: u64) -> Vec<u64> {
            all.range(from..to).map(|(offset, _)| *offset).collect()
        }
        for offset in inside(&self.keyed, from, to) {
            if let Some(key) = self.keyed.remove(&offset) {
                // The key may by now be that of a later message.
                if self.keys.get(&key) == Some(&offset) {
                    self.keys.remove(&key);
                }
            }
        }
        for offset in inside(&self.ends, from, to) {
            if let Some(end) = self.ends.remove(&offset) {
                self.endings.remove(&(end, offset));
            }
        }
        inside(&self.open, from, to).into_iter().for_each(|offset| {
            self.close(offset);
        });
        inside(&self.dead, from, to).into_iter().for_each(|offset| {
            self.dead.remove(&offset);
        });
        let ready: Vec<u64> = self.ready.range(from..to).copied().collect();
        ready.iter().for_each(|offset| {
            self.ready.remove(offset);
        });
        inside(&self.partitions, from, to).into_iter().for_each(|offset| self.turn(offset));
        self.lose(from, to);
        while self.marks.front().is_some_and(|mark| mark.offset <= self.start) {
            self.marks.pop_front();
        }
    }

    /// Joins what is gone with what was gone before.
    fn lose(&mut self, mut from: u64, mut to: u64) {
        if let Some((before, end)) = self.gone.range(..=from).next_back().map(|(a, b)| (*a, *b))
            && end >= from
        {
            self.gone.remove(&before);
            self.missing -= end - before;
            (from, to) = (before, to.max(end));
        }
        while let Some((after, end)) = self.gone.range(from..=to).next().map(|(a, b)| (*a, *b)) {
            self.gone.remove(&after);
            self.missing -= end - after;
            to = to.max(end);
        }
        if from <= self.start {
            self.start = to;
        } else {
            self.gone.insert(from, to);
            self.missing += to - from;
        }
    }

    /// Where the queue begins when these messages are gone.
    pub(super) fn start_without(&self, from: u64, to: u64) -> u64 {
        if from > self.start {
            return self.start;
        }
        let to = to.min(self.next).max(self.start);
        self.skip(to)
    }
}
