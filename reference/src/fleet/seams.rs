//! The places at which a reference orchestrator can be broken. Every seam is a value; the honest ones change nothing and cost
//! nothing.

pub use crate::queue::seams::MapWritten;

use super::{
    model::FleetModel,
    program::{Call, Exit, Occasion},
};
use crate::{
    http,
    model::{self, Port},
};
use std::time::Duration;
use wireproof_spec::http::Request;

/// What goes over the WebSocket of an agent, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A binary message that holds an outer frame with both fields.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload: an inner frame, as bytes.
        payload: Vec<u8>,
    },
    /// A binary message that holds anything else.
    Binary(Vec<u8>),
    /// A text message.
    Text(String),
    /// A ping. Of what is heard there is none.
    Ping(Vec<u8>),
    /// The last frame, with its code and reason; with the code 1005 it is sent without either. One that is put into what was
    /// heard is sent.
    Close(u16, String),
    /// Nothing more comes, not even a close frame.
    Cut,
    /// A pause before what comes next.
    Pause(Duration),
}

/// A part of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// An event.
    Event {
        /// Its name.
        name: String,
        /// Its data; each line of it is a line of the event.
        data: String,
    },
    /// A comment: `connected` first, `ping` now and then.
    Comment(String),
    /// Any text, as it stands.
    Raw(String),
    /// A pause before what comes next.
    Pause(Duration),
    /// Nothing more comes.
    End,
}

/// Maps frames of the connection of this handshake. The number is the one by which the model knows the connection; that of a
/// handshake that was turned away is known to nobody.
pub type MapFrames = Box<dyn Fn(&Request, u64, &mut Vec<Frame>) + Send + Sync>;
/// Maps what is about to be written on the event stream of this request.
pub type MapEvents = Box<dyn Fn(&Request, &mut Vec<Piece>) + Send + Sync>;
/// Maps the line that is printed of a request.
pub type MapLine = Box<dyn Fn(&Request, &mut String) + Send + Sync>;
/// Maps the line that is printed of a call that is refused.
pub type MapRefusal = Box<dyn Fn(&Call, &mut String) + Send + Sync>;
/// Maps how the program ends; none: it goes on, and one that was refused begins.
pub type MapExit = Box<dyn Fn(Occasion<'_>, Exit) -> Option<Exit> + Send + Sync>;

/// The places at which an orchestrator can be broken.
pub struct Seams {
    /// Requests and answers.
    pub http: http::Seams,
    /// What is sent to an agent, one frame at a time: messages, pings and the close frame, and the cut of one that answers no
    /// pings; none: as it is.
    pub frames: Option<MapFrames>,
    /// What an agent said, one message at a time; none: as it is.
    pub heard: Option<MapFrames>,
    /// The bytes that a WebSocket writes, pongs and the answers to close frames among them; none: as they are.
    pub written: Option<MapWritten>,
    /// What is written on event streams, one piece at a time; none: as it is.
    pub events: Option<MapEvents>,
    /// How long the end of a connection waits for the agent behind a close frame; none: as long as it does.
    pub linger: Option<Duration>,
    /// What is printed of requests; none: as it is.
    pub line: Option<MapLine>,
    /// What is printed of a call that is refused; none: as it is.
    pub refusal: Option<MapRefusal>,
    /// How the program ends; none: as it does.
    pub exit: Option<MapExit>,
    /// How the model is called.
    pub port: Port<FleetModel>,
}

impl Seams {
    /// Changes nothing.
    pub fn honest() -> Self {
        Self {
            http: http::Seams::honest(),
            frames: None,
            heard: None,
            written: None,
            events: None,
            linger: None,
            line: None,
            refusal: None,
            exit: None,
            port: model::honest::<FleetModel>(),
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
