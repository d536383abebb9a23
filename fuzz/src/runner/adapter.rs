//! Lines of the adapter of a client under test.

use super::wait;
use wireproof::fuzzing::{Says, adapter};

/// Says the bytes, the first of which tells how many come at once.
pub fn run(data: &[u8]) {
    let Some((at_once, lines)) = data.split_first() else { return };
    let (heard, why) = wait(adapter(Says::new(lines, usize::from(*at_once))));
    assert!(heard <= lines.iter().filter(|byte| **byte == b'\n').count() + 1);
    assert!(why.len() < 1_000, "an error of {} bytes", why.len());
}
