//! The places at which a server over HTTP can be broken, whatever it speaks. Every seam is a value; the honest ones change
//! nothing.

use std::{sync::Arc, time::Duration};
use wireproof_spec::http::{Request, Response};

/// Takes a request whose body ended before its end, and whose body is therefore empty here, for one that came whole.
pub type Early = Box<dyn Fn(&mut Request) -> bool + Send + Sync>;
/// Changes a request whose body came in so many pieces.
pub type Pieces = Box<dyn Fn(usize, &mut Request) + Send + Sync>;
/// How many of the bytes that were read at once are taken, at least one; the others are dropped.
pub type Received = Box<dyn Fn(&[u8]) -> usize + Send + Sync>;
/// Maps each request that was read whole, before anybody looks at it; the handshake of a WebSocket too.
pub type MapRequest = Box<dyn Fn(&mut Request) + Send + Sync>;
/// Maps each answer before it is written; that to a handshake too, which becomes a WebSocket only if its status is 101. The
/// request is the mapped one.
pub type MapReply = Box<dyn Fn(&Request, &mut Response) + Send + Sync>;
/// Holds an answer back.
pub type Delay = Box<dyn Fn(&Request, &Response) -> Option<Duration> + Send + Sync>;
/// Writes other bytes than those of the answer, and then ends the connection.
pub type RawBytes = Box<dyn Fn(&Request, &Response) -> Option<Vec<u8>> + Send + Sync>;

/// The places at which a server over HTTP can be broken.
pub struct Seams {
    /// Whether a request is taken whose body ended early; none: it is not.
    pub early: Option<Early>,
    /// What becomes of a body that came in pieces; none: they are put together.
    pub pieces: Option<Pieces>,
    /// What is taken of what a connection brings; none: all.
    pub received: Option<Arc<Received>>,
    /// Each request.
    pub request: MapRequest,
    /// Each answer.
    pub reply: MapReply,
    /// When each answer is written; none: at once.
    pub delay: Option<Delay>,
    /// What each answer is on the wire; none: what HTTP says.
    pub bytes: Option<RawBytes>,
}

impl Seams {
    /// Changes nothing.
    pub fn honest() -> Self {
        Self {
            early: None,
            pieces: None,
            received: None,
            request: Box::new(|_| {}),
            reply: Box::new(|_, _| {}),
            delay: None,
            bytes: None,
        }
    }
}

impl Default for Seams {
    fn default() -> Self {
        Self::honest()
    }
}
