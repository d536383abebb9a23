//! What a reference server can be started with: its limits, and the seams at which it can be broken.
//!
//! Every seam is a value. The honest ones change nothing; a defect replaces one of them and leaves the server as it is.

use super::{model::StreamModel, sse::Event};
use crate::{
    http,
    log::Recovery,
    model::{self, Port},
};
use wireproof_spec::http::Request;

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

/// Maps the events of one answer to a reader that stays, before they are written.
pub type MapEvents = Box<dyn Fn(&Request, &mut Vec<Event>) + Send + Sync>;

/// The places at which a server can be broken.
pub struct Seams {
    /// Requests and answers.
    pub http: http::Seams,
    /// How many connections are served at the same time; none: as many as the limit says.
    pub connections: Option<usize>,
    /// The events of each answer to a reader that stays; none: as they are.
    pub events: Option<MapEvents>,
    /// How the model is called.
    pub port: Port<StreamModel>,
    /// What a restart makes of the log; none: what was in it. Only for a server with data.
    pub recovery: Option<Recovery>,
}

impl Seams {
    /// Changes nothing.
    pub fn honest() -> Self {
        Self {
            http: http::Seams::honest(),
            connections: None,
            events: None,
            port: model::honest::<StreamModel>(),
            recovery: None,
        }
    }
}

impl From<http::Seams> for Seams {
    fn from(http: http::Seams) -> Self {
        Self { http, ..Self::honest() }
    }
}

impl Default for Seams {
    fn default() -> Self {
        Self::honest()
    }
}
