//! What a stream answers, given where it ends: facts, content within the bounds of one answer, and cursors.

use super::{Lifetime, Lookup, Poll, Stream};
use crate::log::Range;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;
use std::sync::Arc;
use wireproof_spec::stream::MediaType;

/// Where the intervals that cursors count begin: 2024-10-09T00:00:00Z, in milliseconds since 1970.
pub const CURSOR_EPOCH: u64 = 1_728_432_000_000;
/// The length of an interval in milliseconds.
pub const CURSOR_INTERVAL: u64 = 20_000;
/// A cursor that has to pass the client's own goes at most this many intervals (an hour) beyond it.
const CURSOR_JITTER: u64 = 180;
/// Stands behind each stored JSON message: a byte that no JSON text holds outside its white space, nor there.
pub(in crate::stream) const SEPARATOR: u8 = 0x1e;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A stream of the configuration asked for exists.
    Created {
        /// Whether it is new.
        fresh: bool,
        /// Its media type, tail and closure.
        facts: Facts,
    },
    /// The body is the end of the content.
    Appended {
        /// The tail behind it.
        tail: u64,
        /// Whether the stream is closed now.
        closed: bool,
        /// What its producer is told.
        produced: Option<Produced>,
    },
    /// The stream is closed, by this request or an earlier one.
    Closed {
        /// Its tail.
        tail: u64,
        /// What its producer is told.
        produced: Option<Produced>,
    },
    /// The stream is gone.
    Deleted,
    /// What there is to know.
    Head(Facts),
    /// Content, possibly none.
    Content {
        /// Which bytes. The next read starts behind them. Of a stream of JSON messages they go to the tail, and the shell
        /// cuts them behind a message.
        range: Range,
        /// The content before the stream's own, in which the first of these bytes may lie.
        inherited: Arc<[Range]>,
        /// The media type of the stream.
        media_type: MediaType,
        /// Whether they reach the tail.
        up_to_date: bool,
        /// Whether nothing can come behind them.
        closed: bool,
        /// In an answer to a live read.
        cursor: Option<u64>,
    },
    /// The answer to a live read to which nothing came.
    Nothing {
        /// The tail.
        tail: u64,
        /// The media type of the stream.
        media_type: MediaType,
        /// Whether nothing can come behind it.
        closed: bool,
        /// Absent at the end of a closed stream.
        cursor: Option<u64>,
    },
    /// The time of a reader that stays is over.
    Over,
    /// Nothing yet: the shell is to look at content first, and to ask again.
    Lookup(Lookup),
    /// No.
    Refused(Refusal),
}

/// What a producer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Its epoch.
    pub epoch: u64,
    /// The highest number that was accepted in it.
    pub seq: u64,
    /// Whether this request was accepted just now.
    pub fresh: bool,
}

/// What a stream tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The media type.
    pub media_type: MediaType,
    /// The position behind the last byte.
    pub tail: u64,
    /// Whether it is closed.
    pub closed: bool,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No stream has this name.
    NoStream,
    /// The stream was deleted, and its URL is held for its forks.
    Gone,
    /// The URL is held by a stream that was deleted.
    Held,
    /// The stream has another configuration.
    Exists(Facts),
    /// The stream has another media type.
    MediaType {
        /// That of the stream.
        expected: MediaType,
    },
    /// The stream is closed.
    Closed {
        /// Its tail.
        tail: u64,
    },
    /// The offset is behind the tail.
    BeyondTail,
    /// The offset is before the oldest content that is kept.
    Dropped {
        /// The first position that is kept.
        start: u64,
    },
    /// `Stream-Seq` does not rise.
    Sequence {
        /// The last one.
        last: String,
    },
    /// The producer has a later epoch by now.
    Stale {
        /// That epoch.
        epoch: u64,
    },
    /// A new epoch does not begin with 0.
    Bump {
        /// The number that it began with.
        received: u64,
    },
    /// Numbers of the producer are missing.
    Gap {
        /// The one that is due.
        expected: u64,
        /// The one that came.
        received: u64,
    },
    /// The source of a fork does not exist.
    NoSource,
    /// The source of a fork was deleted.
    SourceGone,
    /// The source of a fork has no such place.
    NoPlace,
    /// The body is no JSON, for this reason.
    Json(String),
}

/// The end of a stream as an answer sees it.
#[derive(Clone, Copy)]
pub(super) struct Tail {
    pub(super) position: u64,
    pub(super) closed: bool,
}

impl Tail {
    pub(super) fn of(stream: &Stream) -> Self {
        Self { position: stream.tail, closed: stream.closed }
    }
}

/// The answer to a live read: content, or that there is none.
pub(super) fn polled(stream: &Stream, tail: Tail, from: u64, poll: &Poll, now: u64) -> Answer {
    let cursor = cursor(now, poll);
    if from < tail.position {
        content(stream, tail, from, poll.chunk, Some(cursor))
    } else {
        Answer::Nothing {
            tail: tail.position,
            media_type: stream.media_type.clone(),
            closed: tail.closed,
            cursor: (!tail.closed).then_some(cursor),
        }
    }
}

pub(super) fn content(stream: &Stream, tail: Tail, from: u64, chunk: u64, cursor: Option<u64>) -> Answer {
    let whole = stream.media_type.is_json();
    let to = if whole { tail.position } else { from.saturating_add(chunk.max(1)).min(tail.position) };
    let up_to_date = to == tail.position;
    Answer::Content {
        range: Range { owner: stream.incarnation, from, to },
        inherited: stream.inherited(),
        media_type: stream.media_type.clone(),
        up_to_date,
        closed: up_to_date && tail.closed,
        cursor,
    }
}

/// The number of the current interval, or beyond the client's cursor if that is not behind it.
fn cursor(now: u64, poll: &Poll) -> u64 {
    let current = now.saturating_sub(CURSOR_EPOCH) / CURSOR_INTERVAL;
    match poll.cursor {
        Some(theirs) if theirs >= current => theirs.saturating_add(1 + poll.random % CURSOR_JITTER),
        _ => current,
    }
}

pub(super) fn facts(stream: &Stream) -> Facts {
    Facts {
        media_type: stream.media_type.clone(),
        tail: stream.tail,
        closed: stream.closed,
        lifetime: stream.lifetime,
    }
}

/// JSON messages as they are stored.
pub(in crate::stream) fn stored(messages: &[&RawValue]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(messages.iter().map(|message| message.get().len() + 1).sum());
    for message in messages {
        bytes.put_slice(message.get().as_bytes());
        bytes.put_u8(SEPARATOR);
    }
    bytes.freeze()
}
