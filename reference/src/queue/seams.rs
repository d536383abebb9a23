//! What a reference server of queues can be started with: its limits, its parts, its keys, and the seams at which it can be
//! broken. Every seam is a value; the honest ones change nothing.

use super::model::QueueModel;
use crate::{
    http,
    log::Recovery,
    model::{self, Port},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use wireproof_spec::http::Request;

/// The bounds of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest body of a request, in bytes. A longer one is refused with 413.
    pub max_body: usize,
    /// How many bytes of messages one answer or one frame holds, in about; the last message may pass it.
    pub chunk: usize,
    /// How many bytes of messages one answer over HTTP holds at most, in about: the rest is left out.
    pub max_reply: usize,
    /// How many messages a Push of the type replay holds at most.
    pub replay_batch: u64,
    /// How long a connection has for its AuthRequest, in milliseconds, and how long it may stay behind a failure.
    pub auth_ms: u64,
    /// How often a subscriber is pinged, in milliseconds. One that says nothing for three times as long is cut.
    pub ping_ms: u64,
    /// The longest frame that a subscriber may send, in bytes.
    pub max_frame: usize,
    /// The longest head of a request, in bytes. A longer one, or one of more than 100 headers, is refused with 431.
    pub max_head: usize,
    /// How long the head of a request may take, in milliseconds. The wait for the next request of a connection counts.
    pub head_ms: u64,
    /// How long the body of a request may take, in milliseconds. A slower one is refused with 408.
    pub body_ms: u64,
    /// How long a connection may take nothing of what is sent, in milliseconds, before it is cut.
    pub write_ms: u64,
    /// How many connections there are at the same time; others are not accepted until there is room.
    pub connections: usize,
    /// How many deliveries to destinations are under way at the same time.
    pub deliveries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 16 * 1024 * 1024,
            chunk: 256 * 1024,
            max_reply: 64 * 1024 * 1024,
            replay_batch: 1000,
            auth_ms: 10_000,
            ping_ms: 25_000,
            max_frame: 1024 * 1024,
            max_head: 32 * 1024,
            head_ms: 60_000,
            body_ms: 30_000,
            write_ms: 30_000,
            connections: 16_384,
            deliveries: 64,
        }
    }
}

/// The parts of the protocol that a server has, beside the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Destinations: "Destinations".
    pub destinations: bool,
    /// Sources: "Sources".
    pub sources: bool,
    /// The list of who is subscribed: "Connect".
    pub consumers: bool,
    /// Whether operations are also found with the date behind their action.
    pub dated_paths: bool,
}

impl Default for Parts {
    fn default() -> Self {
        Self { destinations: true, sources: true, consumers: true, dated_paths: true }
    }
}

/// The key that a server knows if it is told no other.
pub const KEY: &str = "6f70656e2d746865-7175657565";

/// Who may use a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The keys of which every request and every AuthRequest carries one.
    pub keys: Vec<String>,
    /// Whether a subscriber may choose its client_id; otherwise only ids of the form that the server gives out are taken.
    pub chosen_client_ids: bool,
}

impl Default for Access {
    /// Who knows [`KEY`] may do everything.
    fn default() -> Self {
        Self { keys: vec![KEY.into()], chosen_client_ids: true }
    }
}

/// A frame of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
    /// The last one, with its code and reason.
    Close(u16, String),
    /// Nothing more comes, not even a close frame.
    Cut,
    /// A pause before what comes next.
    Pause(Duration),
}

/// Maps the frames that are about to be sent on the connection of this handshake. The number is that of the connection.
pub type MapFrames = Box<dyn Fn(&Request, u64, &mut Vec<Frame>) + Send + Sync>;
/// Maps what was received on the connection of this handshake: a text, bytes or a close.
pub type MapHeard = Box<dyn Fn(&Request, u64, &mut Frame) + Send + Sync>;
/// Maps each delivery before it is sent.
pub type MapDelivery = Box<dyn Fn(&mut Request) + Send + Sync>;
/// Maps the bytes that are about to be written on a connection that has become a WebSocket.
pub type MapWritten = Arc<dyn Fn(&mut Vec<u8>) + Send + Sync>;

/// The places at which a server can be broken.
pub struct Seams {
    /// Requests and answers.
    pub http: http::Seams,
    /// The frames that are sent before anything was heard; none: there are none.
    pub opening: Option<MapFrames>,
    /// The frames that are sent; none: as they are.
    pub frames: Option<MapFrames>,
    /// The frames that are received; none: as they are.
    pub heard: Option<MapHeard>,
    /// The bytes that a WebSocket writes, pongs and the answers to close frames among them; none: as they are.
    pub written: Option<MapWritten>,
    /// The deliveries; none: as they are.
    pub delivery: Option<MapDelivery>,
    /// How the model is called.
    pub port: Port<QueueModel>,
    /// What a restart makes of the log; none: what was in it. Only for a server with data.
    pub recovery: Option<Recovery>,
}

impl Seams {
    /// Changes nothing.
    pub fn honest() -> Self {
        Self {
            http: http::Seams::honest(),
            opening: None,
            frames: None,
            heard: None,
            written: None,
            delivery: None,
            port: model::honest::<QueueModel>(),
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
