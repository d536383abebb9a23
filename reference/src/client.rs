//! What clients have in common, whatever they speak: a clock, places to dial, TLS, and a connection of WebSocket whose frames
//! and bytes seams can change.

pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod place;
pub(crate) mod seams;
mod tls;

use std::hash::{BuildHasher, Hasher, RandomState};

/// Random bits, for jitter and for ids that nobody has to guess.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
