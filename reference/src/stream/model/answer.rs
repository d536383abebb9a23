//! What a stream answers, given where it ends: facts, content within the bounds of one answer, and cursors.

use super::{Poll, Stream};
use crate::log::Range;
use wireproof_spec::stream::MediaType;

/// Where the intervals that cursors count begin: 2024-10-09T00:00:00Z, in milliseconds since 1970.
pub const CURSOR_EPOCH: u64 = 1_728_432_000_000;
/// The length of an interval in milliseconds.
pub const CURSOR_INTERVAL: u64 = 20_000;
/// A cursor that has to pass the client's own goes at most this many intervals (an hour) beyond it.
const CURSOR_JITTER: u64 = 180;

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
    },
    /// The stream is closed, by this request or an earlier one.
    Closed {
        /// Its tail.
        tail: u64,
    },
    /// The stream is gone.
    Deleted,
    /// What there is to know.
    Head(Facts),
    /// Content, possibly none.
    Content {
        /// Which bytes. The next read starts behind them.
        range: Range,
        /// The media type of the stream.
        media_type: MediaType,
        /// Whether they reach the tail.
        up_to_date: bool,
        /// Whether nothing can come behind them.
        closed: bool,
        /// In an answer to a long-poll.
        cursor: Option<u64>,
    },
    /// The end of a long-poll to which nothing came.
    Nothing {
        /// The tail.
        tail: u64,
        /// Whether nothing can come behind it.
        closed: bool,
        /// Absent at the end of a closed stream.
        cursor: Option<u64>,
    },
    /// No.
    Refused(Refusal),
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
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No stream has this name.
    NoStream,
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

/// The answer to a long-poll: content, or that there is none.
pub(super) fn polled(stream: &Stream, tail: Tail, from: u64, poll: &Poll, now: u64) -> Answer {
    let cursor = cursor(now, poll);
    if from < tail.position {
        content(stream, tail, from, poll.chunk, Some(cursor))
    } else {
        Answer::Nothing { tail: tail.position, closed: tail.closed, cursor: (!tail.closed).then_some(cursor) }
    }
}

pub(super) fn content(stream: &Stream, tail: Tail, from: u64, chunk: u64, cursor: Option<u64>) -> Answer {
    let to = from.saturating_add(chunk.max(1)).min(tail.position);
    let up_to_date = to == tail.position;
    Answer::Content {
        range: Range { owner: stream.incarnation, from, to },
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
    Facts { media_type: stream.media_type.clone(), tail: stream.tail, closed: stream.closed }
}
