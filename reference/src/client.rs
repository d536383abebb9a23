//! What clients have in common, whatever they speak: places to dial, TLS, and a connection of WebSocket whose frames
//! and bytes seams can change.

pub(crate) mod connection;
pub(crate) mod place;
pub(crate) mod seams;
mod tls;

use std::hash::{BuildHasher, Hasher, RandomState};

/// Random bits, for jitter and for ids that nobody has to guess.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A text of the other side, cut to a length that an error can show.
pub(crate) fn shown(text: &str) -> String {
    /// In characters.
    const SHOWN: usize = 200;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}
