//! The seams at which an agent can be broken. Every seam is a value; the honest ones are absent and cost nothing.

pub use crate::client::seams::{Frame, MapDelay, MapHeard, MapRead, MapSaid, MapWritten, TakesProtocol};

use super::model::AgentModel;
use crate::model::{self, Port};
use wireproof_spec::{
    fleet::{Ack, State},
    http::Fields,
};

/// A dial, as it is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// The URL.
    pub url: String,
    /// What is offered in `Sec-WebSocket-Protocol`, in this order: the key, and the constant. The header is absent if there
    /// is none.
    pub protocols: Vec<String>,
    /// Headers beside those of the handshake.
    pub headers: Fields,
}

/// Maps each dial. The number is that of the connection, from 1.
pub type MapDial = Box<dyn Fn(u64, &mut Dial) + Send + Sync>;
/// Maps each State before it is written. The number is that of the connection.
pub type MapState = Box<dyn Fn(u64, &mut State) + Send + Sync>;
/// Maps each Ack before it is written. The number is that of the connection.
pub type MapAck = Box<dyn Fn(u64, &mut Ack) + Send + Sync>;

/// The places at which an agent can be broken.
pub struct Seams {
    /// The dials; none: as they are.
    pub dial: Option<MapDial>,
    /// Whether a handshake is taken that was answered with this protocol; none: whatever RFC 6455 lets a server select.
    pub takes: Option<TakesProtocol>,
    /// The frames that come, the last one among them; none: as they are.
    pub heard: Option<MapHeard>,
    /// The States that are sent; none: as they are.
    pub state: Option<MapState>,
    /// The Acks that are sent; none: as they are.
    pub ack: Option<MapAck>,
    /// The frames that are sent, behind `state` and `ack`, the last one among them; none: as they are.
    pub said: Option<MapSaid>,
    /// The bytes that a connection writes behind its handshake, pongs and answers to close frames among them; none: as they
    /// are.
    pub written: Option<MapWritten>,
    /// The bytes that a connection reads behind its handshake; none: as they are.
    pub read: Option<MapRead>,
    /// The delays before redials; none: as they are.
    pub delay: Option<MapDelay>,
    /// How the model is called.
    pub port: Port<AgentModel>,
}

impl Seams {
    /// Changes nothing.
    pub fn honest() -> Self {
        Self {
            dial: None,
            takes: None,
            heard: None,
            state: None,
            ack: None,
            said: None,
            written: None,
            read: None,
            delay: None,
            port: model::honest::<AgentModel>(),
        }
    }
}

impl Default for Seams {
    fn default() -> Self {
        Self::honest()
    }
}
