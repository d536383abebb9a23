//! Target files and baselines, as their owners write them.

use super::log::TINY;
use wireproof::fuzzing::{baseline, target};

/// Reads the bytes as both.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(why) = target(&TINY, text) {
        assert!(why.contains("wireproof.toml"), "the file is not named: {why}");
    }
    match baseline(&TINY, text) {
        Ok(read) => assert!(read.known.iter().all(|entry| !entry.reason.trim().is_empty())),
        Err(why) => assert!(why.contains("baseline.toml"), "the file is not named: {why}"),
    }
}
