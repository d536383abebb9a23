//! The seams at which a client can be broken. Every seam is a value; the honest ones are absent and cost nothing.

pub use super::retry::{Next, Outcome};
pub use crate::client::seams::{Frame, MapDelay, MapHeard, MapRead, MapSaid, MapWritten};

use super::model::SubscriberModel;
use crate::model::{self, Port};
use std::sync::Arc;
use wireproof_spec::{
    http::{Fields, Request, Response},
    queue::Message,
};

/// A dial, as it is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// The URL.
    pub url: String,
    /// Headers beside those of the handshake.
    pub headers: Fields,
}

/// What became of an exchange over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// An answer came whole.
    Answer(Response),
    /// There was no connection, or it ended before the head of an answer.
    Unreached(String),
    /// It ended within the body of an answer.
    Cut(String),
    /// The answer is longer than is read.
    TooLong,
    /// It took too long.
    Slow,
    /// What came is no HTTP.
    Garbage(String),
}

/// Maps each dial. The number is that of the connection, from 1.
pub type MapDial = Box<dyn Fn(u64, &mut Dial) + Send + Sync>;
/// Maps the messages of one frame before they are handed to the user.
pub type MapDelivered = Box<dyn Fn(&mut Vec<Message>) + Send + Sync>;
/// Maps each request over HTTP before it is sent. The number is that of the attempt, from 0.
pub type MapRequest = Box<dyn Fn(u32, &mut Request) + Send + Sync>;
/// Maps what became of a request before it is judged.
pub type MapExchanged = Box<dyn Fn(u32, &Request, &mut Exchanged) + Send + Sync>;
/// Maps what is done next behind an exchange.
pub type MapRetry = Box<dyn Fn(u32, &Exchanged, &mut Next) + Send + Sync>;

/// The places at which a subscription can be broken.
pub struct Seams {
    /// The dials; none: as they are.
    pub dial: Option<MapDial>,
    /// The frames that come; none: as they are.
    pub heard: Option<MapHeard>,
    /// The frames that are sent; none: as they are.
    pub said: Option<MapSaid>,
    /// The bytes that a connection writes behind its handshake, pongs and answers to close frames among them; none: as they
    /// are.
    pub written: Option<MapWritten>,
    /// The bytes that a connection reads behind its handshake; none: as they are.
    pub read: Option<MapRead>,
    /// The delays before redials; none: as they are.
    pub delay: Option<MapDelay>,
    /// What is delivered; none: as it is.
    pub delivered: Option<MapDelivered>,
    /// Whether it looks at what comes while a message is with the handler, the end of the connection among it.
    pub hasty: bool,
    /// How the model is called.
    pub port: Port<SubscriberModel>,
}

impl Seams {
    /// Changes nothing.
    pub fn honest() -> Self {
        Self {
            dial: None,
            heard: None,
            said: None,
            written: None,
            read: None,
            delay: None,
            delivered: None,
            hasty: false,
            port: model::honest::<SubscriberModel>(),
        }
    }
}

impl Default for Seams {
    fn default() -> Self {
        Self::honest()
    }
}

/// The places at which a caller can be broken. They are shared by its clones.
#[derive(Clone, Default)]
pub struct CallSeams {
    /// The requests; none: as they are.
    pub request: Option<Arc<MapRequest>>,
    /// What became of them; none: as it is.
    pub exchanged: Option<Arc<MapExchanged>>,
    /// What is done next; none: what the policy says.
    pub retry: Option<Arc<MapRetry>>,
}

impl CallSeams {
    /// Changes nothing.
    pub fn honest() -> Self {
        Self::default()
    }
}
