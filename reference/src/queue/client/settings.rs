//! What a user of the client sets. The defaults are those of the protocol where it has any.

use crate::client::connection;

/// What subscriptions and calls have in common: where to, who, and how patiently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The root of the server, for instance `http://127.0.0.1:3000/api`. One slash at its end is passed over.
    pub base_url: String,
    /// The key. An empty one counts as missing.
    pub key: String,
    /// The organisation, if one is named.
    pub org_id: Option<String>,
    /// Whether calls have the date behind their action.
    pub dated_paths: bool,
    /// When a subscription dials again.
    pub redial: Redial,
    /// When a call is tried again.
    pub retries: Retries,
    /// What is read, kept and waited for at most.
    pub bounds: Bounds,
}

impl Settings {
    /// The defaults, for this server and key.
    pub fn new(base_url: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            key: key.into(),
            org_id: None,
            dated_paths: false,
            redial: Redial::default(),
            retries: Retries::default(),
            bounds: Bounds::default(),
        }
    }
}

/// One subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribe {
    /// The name of the queue.
    pub queue: String,
    /// An id to present from the first connection on.
    pub client_id: Option<String>,
    /// The offset of the message that was processed last, in a life before this one.
    pub last_offset: Option<i64>,
}

impl Subscribe {
    /// A fresh subscription.
    pub fn to(queue: impl Into<String>) -> Self {
        Self { queue: queue.into(), ..Self::default() }
    }
}

/// When a subscription dials again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redial {
    /// What a delay begins with, in milliseconds.
    pub base_ms: u64,
    /// The longest delay, in milliseconds.
    pub max_ms: u64,
    /// How often it dials again in a row without being let in; none: for ever.
    pub attempts: Option<u32>,
    /// Whether a close with a code from 4000 to 4999 is final, and so is an answer that is no AuthResponse.
    pub final_4xxx: bool,
    /// How long the AuthResponse may take, in milliseconds.
    pub auth_timeout_ms: u64,
    /// How long connecting may take, the handshake of the WebSocket included, in milliseconds.
    pub dial_timeout_ms: u64,
}

impl Default for Redial {
    fn default() -> Self {
        Self {
            base_ms: 1000,
            max_ms: 30_000,
            attempts: None,
            final_4xxx: true,
            auth_timeout_ms: 10_000,
            dial_timeout_ms: 10_000,
        }
    }
}

/// When a call is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often it is tried again behind 409, 501 and answers that were cut.
    pub most: u32,
    /// What the delay before that begins with, in milliseconds.
    pub delay_ms: u64,
    /// For how long it is tried again behind 502, 503 and connections that failed, in milliseconds from the first of them.
    pub window_ms: u64,
    /// What the delay before that begins with, in milliseconds.
    pub service_delay_ms: u64,
    /// The longest of these delays, in milliseconds.
    pub service_max_ms: u64,
}

impl Default for Retries {
    fn default() -> Self {
        Self { most: 3, delay_ms: 100, window_ms: 30_000, service_delay_ms: 1000, service_max_ms: 5000 }
    }
}

/// What is read, kept and waited for at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The longest frame that is read, in bytes. A longer one ends its connection with 1009.
    pub max_frame: usize,
    /// How many frames wait for the handler before no more are read.
    pub queued_frames: usize,
    /// How many bytes of frames wait for the handler before no more are read; one frame may pass it.
    pub queued_bytes: usize,
    /// How long a frame may take to be written, in milliseconds.
    pub write_ms: u64,
    /// How long a connection that was closed may take to end, in milliseconds.
    pub linger_ms: u64,
    /// How many events are kept for whoever reads them late.
    pub events: usize,
    /// The longest body of an answer that is read, in bytes.
    pub max_body: usize,
    /// How long one exchange of a call may take, from connecting to the end of the answer, in milliseconds. A receive that
    /// waits gets its time on top.
    pub exchange_ms: u64,
}

impl Bounds {
    /// Those of one connection.
    pub(super) fn line(&self) -> connection::Bounds {
        let Self { max_frame, queued_frames, queued_bytes, write_ms, linger_ms, .. } = *self;
        let written = connection::WRITTEN;
        connection::Bounds { max_frame, queued_frames, queued_bytes, written, write_ms, linger_ms }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_frame: 16 * 1024 * 1024,
            queued_frames: 64,
            queued_bytes: 16 * 1024 * 1024,
            write_ms: 10_000,
            linger_ms: 2_000,
            events: 256,
            max_body: 16 * 1024 * 1024,
            exchange_ms: 60_000,
        }
    }
}
