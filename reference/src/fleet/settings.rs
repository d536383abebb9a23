//! How an orchestrator is set up, and what is wrong with a set-up before anybody can reach it.

use super::{seams::Seams, server::random};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};
use wireproof_spec::fleet::connect::SENTINEL;

/// The usual port.
pub const PORT: u16 = 7350;
/// The key for agents of an orchestrator that is told no other.
pub const AGENT_KEY: &str = "agent-6f70656e2d746865-666c656574-0001";
/// The key for operators of an orchestrator that is told no other.
pub const ADMIN_KEY: &str = "admin-6f70656e2d746865-666c656574-0002";
/// A key of fewer characters is refused in production.
pub const KEY_LEAST: usize = 16;
/// Of a key of fewer characters somebody should be warned.
pub const KEY_WEAK: usize = 32;

/// Where lines go that somebody may read, each without the end of its line.
pub type Print = Arc<dyn Fn(&str) + Send + Sync>;

/// How to start an orchestrator.
pub struct Options {
    /// Where to listen; port 0 for any.
    pub addr: SocketAddr,
    /// The keys that agents have as tickets. Empty ones and repeated ones do not count.
    pub agent_keys: Vec<String>,
    /// The keys that operators have. Empty ones and repeated ones do not count.
    pub admin_keys: Vec<String>,
    /// Whether there are routes below `/v1`.
    pub api: bool,
    /// The origins whose pages may use the API, as browsers write them; `*` for all. None: no page of another origin may.
    pub cors: Vec<String>,
    /// Whether the key of an operator may stand in the query of the event stream.
    pub sse_query_auth: bool,
    /// Whether the address of an operator is the first one in `X-Forwarded-For`.
    pub trust_proxy: bool,
    /// Whether a snapshot is rejected whose hash is not the one under "Hash".
    pub hash_verified: bool,
    /// The bounds.
    pub limits: Limits,
    /// Where a line for each request goes, in which no key stands; none: nowhere.
    pub print: Option<Print>,
    /// Where it is broken.
    pub seams: Seams,
}

impl Default for Options {
    /// An honest orchestrator on a free port of the loopback, for whoever has [`AGENT_KEY`] and [`ADMIN_KEY`].
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            agent_keys: vec![AGENT_KEY.into()],
            admin_keys: vec![ADMIN_KEY.into()],
            api: true,
            cors: Vec::new(),
            sse_query_auth: false,
            trust_proxy: false,
            hash_verified: false,
            limits: Limits::default(),
            print: None,
            seams: Seams::honest(),
        }
    }
}

/// The bounds of an orchestrator. Times are in milliseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// H: how far apart Polls are, from 1 to 4294967295.
    pub heartbeat_ms: u64,
    /// T: how long an agent has for a command, at least 1.
    pub command_timeout_ms: u64,
    /// How far apart pings are, at least 1.
    pub ping_ms: u64,
    /// So many pings in a row without a pong end a connection when the next one is due.
    pub missed_pings: u32,
    /// The longest message of an agent. A longer one ends its connection with the code 1009.
    pub max_message: usize,
    /// If more than this waits to be sent to an agent, further frames to it are dropped.
    pub max_buffered: usize,
    /// The longest body of a request. A longer one is refused with 413.
    pub max_body: usize,
    /// How many event streams there are at the same time.
    pub event_streams: usize,
    /// How far apart the pings of an event stream are, at least 1.
    pub event_ping_ms: u64,
    /// If more than this waits to be sent to a reader of events, for longer than `event_lag_ms`, the next event cuts it off.
    pub event_buffer: usize,
    /// For how long so much may wait.
    pub event_lag_ms: u64,
    /// How many wrong keys an address may present at once; with 0 nobody counts.
    pub throttle_tokens: u32,
    /// After how long an address that presented so many may present as many again.
    pub throttle_window_ms: u64,
    /// How many addresses are remembered.
    pub throttle_buckets: usize,
    /// The longest head of a request. A longer one, or one of more than 100 headers, is refused with 431.
    pub max_head: usize,
    /// How long the head of a request may take. The wait for the next request of a connection counts.
    pub head_ms: u64,
    /// How long the body of a request may take. A slower one is refused with 408.
    pub body_ms: u64,
    /// How long a connection may take nothing of what is sent before it is cut.
    pub write_ms: u64,
    /// How many connections there are at the same time; others are not accepted until there is room.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            heartbeat_ms: 5_000,
            command_timeout_ms: 10_000,
            ping_ms: 30_000,
            missed_pings: 2,
            max_message: 4 * 1024 * 1024,
            max_buffered: 1024 * 1024,
            max_body: 65_536,
            event_streams: 100,
            event_ping_ms: 15_000,
            event_buffer: 32 * 1024 * 1024,
            // A snapshot of 50000 new rooms makes as many events at once, and more bytes than that, for readers that are not slow.
            event_lag_ms: 5_000,
            throttle_tokens: 10,
            throttle_window_ms: 60_000,
            throttle_buckets: 4_096,
            // The public id of a room, which stands in the path, may have some thousand bytes.
            max_head: 64 * 1024,
            head_ms: 10_000,
            body_ms: 30_000,
            write_ms: 30_000,
            connections: 16_384,
        }
    }
}

/// For whom a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Agents.
    Agents,
    /// Operators.
    Operators,
}

impl std::fmt::Display for Audience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Agents => "agents",
            Self::Operators => "operators",
        })
    }
}

/// Why an orchestrator cannot be set up so. No key stands in the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No agent could ever connect.
    #[error("expected a key for agents, found none")]
    NoAgentKey,
    /// No operator could ever use the API.
    #[error("expected a key for operators, as the API is on, found none")]
    NoAdminKey,
    /// The constant of the subprotocol, which anybody offers, would be a key.
    #[error("expected keys for agents other than the constant {SENTINEL}")]
    Sentinel,
    /// A number is beyond its range.
    #[error("expected {name} from {least} to {most}, found {found}")]
    OutOfRange {
        /// Which.
        name: &'static str,
        /// The least that it may be.
        least: u64,
        /// The most that it may be.
        most: u64,
        /// What it is.
        found: u64,
    },
    /// A key is too short for production.
    #[error("expected keys for {audience} of at least {KEY_LEAST} characters, found one of {length}")]
    ShortKey {
        /// Whose.
        audience: Audience,
        /// Its length in characters.
        length: usize,
    },
    /// Agents and operators share a key in production.
    #[error("expected different keys for agents and operators, found a key for both")]
    SharedKey,
}

/// What somebody should know of a set-up that is possible. No key stands in the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A key is shorter than [`KEY_WEAK`].
    #[error("a key for {audience} has {length} characters only; {KEY_WEAK} are better")]
    WeakKey {
        /// Whose.
        audience: Audience,
        /// Its length in characters.
        length: usize,
    },
    /// A key for agents has characters that cannot stand in a list of subprotocols, so that no agent can use it.
    #[error("a key for agents is no token of HTTP: no agent can offer it")]
    NoToken,
    /// Agents and operators share a key.
    #[error("agents and operators share a key")]
    SharedKey,
}

/// The warnings of a set-up, in no order that means anything.
pub type Warnings = Vec<Warning>;

/// A new key that nobody can guess, for agents or operators of whom the owner has named none: 32 random bytes in base64url.
pub fn generated_key() -> String {
    URL_SAFE_NO_PAD.encode(random::<32>())
}

/// Keys without those that are empty or repeated.
pub(super) fn keys(all: &[String]) -> BTreeSet<&str> {
    all.iter().map(String::as_str).filter(|key| !key.is_empty()).collect()
}

/// Whether this is a token: RFC 9110, section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let other = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || other(byte))
}

/// Says whether an orchestrator can be set up so, in production or elsewhere.
///
/// # Errors
/// It cannot; the first reason is told.
pub fn check(options: &Options, production: bool) -> Result<Warnings, ConfigError> {
    let (agents, admins) = (keys(&options.agent_keys), keys(&options.admin_keys));
    if agents.is_empty() {
        return Err(ConfigError::NoAgentKey);
    }
    if agents.contains(SENTINEL) {
        return Err(ConfigError::Sentinel);
    }
    if options.api && admins.is_empty() {
        return Err(ConfigError::NoAdminKey);
    }
    let limits = &options.limits;
    // A Hello tells H in 32 bits.
    for (name, found, most) in [
        ("the heartbeat in milliseconds", limits.heartbeat_ms, u32::MAX.into()),
        ("the command timeout in milliseconds", limits.command_timeout_ms, u64::MAX),
        ("the time between pings in milliseconds", limits.ping_ms, u64::MAX),
        ("the time between pings of events in milliseconds", limits.event_ping_ms, u64::MAX),
    ] {
        if !(1..=most).contains(&found) {
            return Err(ConfigError::OutOfRange { name, least: 1, most, found });
        }
    }
    let mut warnings = Warnings::new();
    for (audience, keys) in [(Audience::Agents, &agents), (Audience::Operators, &admins)] {
        for length in keys.iter().map(|key| key.chars().count()) {
            if production && length < KEY_LEAST {
                return Err(ConfigError::ShortKey { audience, length });
            }
            if length < KEY_WEAK {
                warnings.push(Warning::WeakKey { audience, length });
            }
        }
    }
    if agents.iter().any(|key| !is_token(key)) {
        warnings.push(Warning::NoToken);
    }
    if agents.intersection(&admins).next().is_some() {
        if production {
            return Err(ConfigError::SharedKey);
        }
        warnings.push(Warning::SharedKey);
    }
    Ok(warnings)
}
