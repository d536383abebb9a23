//! The named bounds of everything that is read from a target, and of every wait for it.

use std::time::Duration;

/// The longest body that a peer reads, in bytes.
pub const BODY: usize = 4 * 1024 * 1024;
/// What all answers to one check may hold together, in bytes: several times what any check writes.
pub const CHECK: u64 = 12 * 1024 * 1024;
/// The longest head of an HTTP message, in bytes.
pub const HEAD: usize = 64 * 1024;
/// The longest WebSocket message, in bytes.
pub const FRAME: usize = 4 * 1024 * 1024;
/// The longest event of an event stream, and the longest line of one, in bytes: a whole body in base64.
pub const EVENT: usize = 6 * 1024 * 1024;
/// The room for what came and was not read on a connection that a target soon feels to be slow, in bytes.
pub const NARROW: u32 = 2 * 1024;
/// The longest line of an adapter, in bytes.
pub const LINE: usize = 1024 * 1024;
/// So much a line of an adapter takes at least of what a check may be told, in bytes: what is made of a short one.
pub const LINE_LEAST: usize = 1_024;
/// So many lines of an adapter are passed over while one is awaited.
pub const LINES: usize = 1_000;
/// The longest text of an error or a close reason that goes into an event, in bytes.
pub const WORDS: usize = 500;

/// Every wait of the runner, in one place. All but the limits that a target declares grow with `--time-scale`.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For an answer to a request that has no reason to wait (`--timeout`).
    pub answer: Duration,
    /// For a connection to be established.
    pub connect: Duration,
    /// For the answer to the question whether the target is alive.
    pub alive: Duration,
    /// A connection that was idle for longer is not used again: the target may be closing it at this moment.
    pub idle: Duration,
    /// The first pause after 429 or 503; it doubles twice.
    pub back_off: Duration,
    /// How long a check may take, waits for declared limits not counted.
    pub check: Duration,
    /// What a wait for a declared limit may take on top of the limit.
    pub slack: Duration,
    /// For an orderly end, a start or a restart of a launched target.
    pub hook: Duration,
}

impl Times {
    /// The waits for a time to an answer and a scale.
    pub fn new(answer: Duration, scale: f64) -> Self {
        let scaled = |ms: u64| Duration::from_millis(ms).mul_f64(scale);
        Self {
            answer: answer.mul_f64(scale),
            connect: answer.mul_f64(scale).min(scaled(3_000)),
            alive: answer.mul_f64(scale).min(scaled(2_000)),
            idle: Duration::from_millis(500),
            back_off: scaled(100),
            check: scaled(10_000).max(answer.mul_f64(scale) * 2),
            slack: scaled(2_000),
            hook: scaled(20_000),
        }
    }
}

/// At most [`WORDS`] bytes of a text, cut at a character.
pub fn words(text: &str) -> String {
    let mut end = text.len().min(WORDS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
