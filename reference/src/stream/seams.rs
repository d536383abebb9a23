//! What a reference server can be started with: its limits, and the seams at which it can be broken.
//!
//! Every seam is a value. The honest ones change nothing; a defect replaces one of them and leaves the server as it is.

pub use crate::http::{Early, Pieces, Received};

use super::{model::StreamModel, sse::Event};
use crate::{
    log::Recovery,
    model::{self, Port},
};
use std::{sync::Arc, time::Duration};
use wireproof_spec::http::{Request, Response};

/// The bounds of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest body of a request, in bytes. A longer one is refused with 413.
    pub max_body: usize,
    /// The most content that one answer holds, in bytes.
    pub chunk: u64,
    /// How long a long-poll waits, in milliseconds.
    pub long_poll_ms: u64,
    /// How long an event stream lasts, in milliseconds, before the server closes it.
    pub sse_ms: u64,
    /// How many bytes of a stream are kept at least; none: all.
    pub retain: Option<u64>,
    /// The longest head of a request, in bytes. A longer one, or one of more than 100 headers, is refused with 431.
    pub max_head: usize,
    /// How long the head of a request may take, in milliseconds. The wait for the next request of a connection counts.
    pub head_ms: u64,
    /// How long the body of a request may take, in milliseconds. A slower one is refused with 408.
    pub body_ms: u64,
    /// How long a connection may take nothing of an answer, in milliseconds, before it is cut.
    pub write_ms: u64,
    /// How many connections there are at the same time; others are not accepted until there is room.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 16 * 1024 * 1024,
            chunk: 64 * 1024,
            long_poll_ms: 20_000,
            sse_ms: 60_000,
            retain: None,
            max_head: 32 * 1024,
            head_ms: 60_000,
            body_ms: 30_000,
            write_ms: 30_000,
            connections: 512,
        }
    }
}

/// The parts of the protocol that a server has, beside the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Event streams: "Sse".
    pub sse: bool,
    /// Forks: "Forks".
    pub forks: bool,
}

impl Default for Parts {
    fn default() -> Self {
        Self { sse: true, forks: true }
    }
}

/// Maps each request that was read whole, before it is decoded.
pub type MapRequest = Box<dyn Fn(&mut Request) + Send + Sync>;
/// Maps each answer, before it is written. The request is the mapped one.
pub type MapReply = Box<dyn Fn(&Request, &mut Response) + Send + Sync>;
/// Holds an answer back.
pub type Delay = Box<dyn Fn(&Request, &Response) -> Option<Duration> + Send + Sync>;
/// Writes other bytes than those of the answer, and then ends the connection.
pub type RawBytes = Box<dyn Fn(&Request, &Response) -> Option<Vec<u8>> + Send + Sync>;

/// Maps the events of one answer to a reader that stays, before they are written.
pub type MapEvents = Box<dyn Fn(&Request, &mut Vec<Event>) + Send + Sync>;

/// The places at which a server can be broken.
pub struct Seams {
    /// Whether a request is taken whose body ended early; none: it is not (STREAM-APPEND-9).
    pub early: Option<Early>,
    /// What becomes of a body that came in pieces; none: they are put together.
    pub pieces: Option<Pieces>,
    /// What is taken of what a connection brings; none: all.
    pub received: Option<Arc<Received>>,
    /// How many connections are served at the same time; none: as many as the limit says.
    pub connections: Option<usize>,
    /// Each request.
    pub request: MapRequest,
    /// Each answer.
    pub reply: MapReply,
    /// The events of each answer to a reader that stays; none: as they are.
    pub events: Option<MapEvents>,
    /// When each answer is written; none: at once.
    pub delay: Option<Delay>,
    /// What each answer is on the wire; none: what HTTP says.
    pub bytes: Option<RawBytes>,
    /// How the model is called.
    pub port: Port<StreamModel>,
    /// What a restart makes of the log; none: what was in it. Only for a server with data.
    pub recovery: Option<Recovery>,
}

impl Seams {
    /// Changes nothing.
    pub fn honest() -> Self {
        Self {
            early: None,
            pieces: None,
            received: None,
            connections: None,
            request: Box::new(|_| {}),
            reply: Box::new(|_, _| {}),
            events: None,
            delay: None,
            bytes: None,
            port: model::honest::<StreamModel>(),
            recovery: None,
        }
    }
}

impl Default for Seams {
    fn default() -> Self {
        Self::honest()
    }
}
