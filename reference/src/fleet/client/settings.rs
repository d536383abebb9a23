//! What the owner of an agent sets. The defaults are those of the protocol where it has any.

use super::error::Error;
use crate::client::{connection, place::place};
use std::collections::BTreeMap;
use wireproof_spec::fleet::{Capacity, connect::SENTINEL};

/// The bounds of a snapshot ("Snapshot"), in units of UTF-16 or in elements.
pub(super) mod snapshot {
    pub(crate) const NAME: usize = 64;
    pub(crate) const URL: usize = 512;
    pub(crate) const LABELS: usize = 32;
    pub(crate) const LABEL: usize = 64;
    pub(crate) const KINDS: usize = 256;
    pub(crate) const KIND: usize = 64;
    pub(crate) const ROOM: usize = 256;
    pub(crate) const ROOMS: usize = 50_000;
    pub(crate) const CONNECTIONS: u32 = 1_000_000;
}

/// Where an agent goes, who it is, and how patiently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The URL of the orchestrator, `ws://` or `wss://`. It is dialled as it stands.
    pub url: String,
    /// The key for agents: a token of HTTP, and not the constant that is offered beside it.
    pub key: String,
    /// Where end users reach the rooms: a URL of ws, wss, http or https, of at most 512 units.
    pub endpoint_url: String,
    /// A name for people, of at most 64 units.
    pub name: String,
    /// At most 32, keys and values of at most 64 units each.
    pub labels: BTreeMap<String, String>,
    /// How much it takes; what is not there has no bound.
    pub capacity: Capacity,
    /// Whether it makes rooms when told to.
    pub auto_create: bool,
    /// The types of rooms that can be made: at most 256, of at most 64 units each. Their order does not matter.
    pub room_types: Vec<String>,
    /// What it says is its version.
    pub agent_version: String,
    /// The id of the process; none: one is made up when the agent starts, and stays as long as it lives.
    pub process_uid: Option<String>,
    /// How long it may take from [`connect`](super::Handle::connect) to the first Hello, redials included, in milliseconds;
    /// none: for ever.
    pub connect_timeout_ms: Option<u64>,
    /// When it leaves a connection, and when it dials again.
    pub redial: Redial,
    /// What is read, kept and waited for at most.
    pub bounds: Bounds,
}

impl Settings {
    /// The defaults, for this orchestrator and key, and this address for end users.
    pub fn new(
        url: impl Into<String>,
        key: impl Into<String>,
        endpoint_url: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            url: url.into(),
            key: key.into(),
            endpoint_url: endpoint_url.into(),
            name: name.into(),
            labels: BTreeMap::new(),
            capacity: Capacity { max_connections: None, max_rooms: None },
            auto_create: true,
            room_types: Vec::new(),
            agent_version: env!("CARGO_PKG_VERSION").into(),
            process_uid: None,
            connect_timeout_ms: None,
            redial: Redial::default(),
            bounds: Bounds::default(),
        }
    }

    /// Whether an agent can be what is set here.
    ///
    /// # Errors
    /// The first setting that cannot be: no orchestrator would let the agent in, or take its snapshots.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |name, why: &str| Err(Error::Setting(name, why.into()));
        place(&self.url, "ws").map_err(|why| Error::Setting("url", why))?;
        if self.key.is_empty() || !self.key.bytes().all(is_token) {
            return wrong("key", "expected characters of a token of HTTP");
        }
        if self.key == SENTINEL {
            return wrong("key", "expected none that every agent offers");
        }
        if units(&self.name) > snapshot::NAME {
            return wrong("name", "expected at most 64 units");
        }
        if units(&self.endpoint_url) > snapshot::URL || !is_endpoint(&self.endpoint_url) {
            return wrong("endpoint_url", "expected a URL of ws, wss, http or https of at most 512 units");
        }
        if self.labels.len() > snapshot::LABELS {
            return wrong("labels", "expected at most 32");
        }
        let longest = self.labels.iter().flat_map(|(key, value)| [units(key), units(value)]).max();
        if longest.is_some_and(|longest| longest > snapshot::LABEL) {
            return wrong("labels", "expected at most 64 units in each key and value");
        }
        if self.room_types.len() > snapshot::KINDS {
            return wrong("room_types", "expected at most 256");
        }
        if self.room_types.iter().any(|kind| kind.is_empty() || units(kind) > snapshot::KIND) {
            return wrong("room_types", "expected 1 to 64 units in each");
        }
        Ok(())
    }
}

/// When an agent leaves a connection, and when it dials again: after `floor(U * min(max, base * 2^n))` milliseconds, with `U`
/// in `[0, 1)`, where `n` counts the delays since the last Hello or the start, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redial {
    /// The bound of the first delay, in milliseconds.
    pub base_ms: u64,
    /// The bound of all delays, in milliseconds.
    pub max_ms: u64,
    /// How long connecting may take, the handshake of the WebSocket included, in milliseconds.
    pub dial_timeout_ms: u64,
    /// How long the Hello may take behind that, in milliseconds.
    pub hello_timeout_ms: u64,
    /// How long neither Polls nor pings may come, in milliseconds, unless the next says more.
    pub silence_ms: u64,
    /// How long neither Polls nor pings may come, in heartbeats. It is always more than three.
    pub silence_heartbeats: u32,
}

impl Default for Redial {
    fn default() -> Self {
        Self {
            base_ms: 500,
            max_ms: 30_000,
            dial_timeout_ms: 10_000,
            hello_timeout_ms: 10_000,
            silence_ms: 20_000,
            silence_heartbeats: 4,
        }
    }
}

impl Redial {
    /// How long neither Polls nor pings may come from an orchestrator with this heartbeat, in milliseconds.
    pub fn silence(&self, heartbeat_ms: u32) -> u64 {
        let heartbeats = |n: u64| n.saturating_mul(heartbeat_ms.into());
        // An orchestrator that waits for a late answer says nothing for three of them.
        let least = heartbeats(3).saturating_add(1);
        self.silence_ms.max(heartbeats(self.silence_heartbeats.into())).max(least)
    }
}

/// What is read, kept and waited for at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The longest frame that is read, in bytes. A longer one ends its connection with 1009.
    pub max_frame: usize,
    /// How many frames wait to be looked at before no more are read.
    pub queued_frames: usize,
    /// How many bytes of frames wait to be looked at before no more are read; one frame may pass it.
    pub queued_bytes: usize,
    /// How long a frame may take to be written, in milliseconds.
    pub write_ms: u64,
    /// How long a connection that was closed may take to end, in milliseconds.
    pub linger_ms: u64,
    /// How many events are kept for whoever reads them late.
    pub events: usize,
    /// How many calls of the host wait for the agent's task before others have to wait for room.
    pub calls: usize,
    /// The longest frame that orchestrators take, in bytes. A State above half of it is warned of, and a longer one not sent.
    pub state: usize,
}

impl Bounds {
    /// Those of one connection.
    pub(super) fn line(&self) -> connection::Bounds {
        let Self { max_frame, queued_frames, queued_bytes, write_ms, linger_ms, .. } = *self;
        let written = self.state.saturating_add(connection::WRITTEN);
        connection::Bounds { max_frame, queued_frames, queued_bytes, written, write_ms, linger_ms }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_frame: 1024 * 1024,
            queued_frames: 64,
            queued_bytes: 1024 * 1024,
            write_ms: 10_000,
            linger_ms: 2_000,
            events: 256,
            calls: 64,
            state: 4 * 1024 * 1024,
        }
    }
}

/// The length of a text in code units of UTF-16.
pub(super) fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether this begins like a URL that leads to a room, and has something behind that.
fn is_endpoint(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, rest)| {
        let known = ["ws", "wss", "http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        known && !rest.is_empty() && !rest.starts_with('/')
    })
}

#[cfg(test)]
mod tests {
    use super::{Redial, SENTINEL, Settings};

    fn good() -> Settings {
        Settings::new("ws://h:1", "key", "wss://rooms.example", "n")
    }

    #[test]
    fn what_no_orchestrator_takes_is_refused() {
        assert_eq!(good().check(), Ok(()));
        type Break = fn(&mut Settings);
        let wrong: &[(&str, Break)] = &[
            ("url", |s| s.url = "http://h".into()),
            ("url", |s| s.url = "ws:///x".into()),
            ("key", |s| s.key.clear()),
            ("key", |s| s.key = "a,b".into()),
            ("key", |s| s.key = SENTINEL.into()),
            ("name", |s| s.name = "\u{1F600}".repeat(33)),
            ("endpoint_url", |s| s.endpoint_url = "javascript:1".into()),
            ("endpoint_url", |s| s.endpoint_url = format!("ws://{}", "h".repeat(508))),
            ("labels", |s| s.labels = (0..33).map(|n| (n.to_string(), String::new())).collect()),
            ("labels", |s| s.labels = [("k".into(), "v".repeat(65))].into()),
            ("room_types", |s| s.room_types = vec!["t".into(); 257]),
            ("room_types", |s| s.room_types = vec!["t".repeat(65)]),
            ("room_types", |s| s.room_types = vec![String::new()]),
        ];
        for (name, set) in wrong {
            let mut settings = good();
            set(&mut settings);
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
        let mut most = good();
        most.name = "\u{1F600}".repeat(32);
        most.endpoint_url = format!("WS://{}", "h".repeat(507));
        assert_eq!(most.check(), Ok(()));
    }

    #[test]
    fn silence_is_longer_than_an_orchestrator_may_wait() {
        let redial = Redial { silence_ms: 0, silence_heartbeats: 0, ..Redial::default() };
        assert_eq!((redial.silence(0), redial.silence(400)), (1, 1201));
        assert_eq!(Redial::default().silence(400), 20_000);
        assert_eq!(Redial::default().silence(10_000), 40_000);
    }
}
