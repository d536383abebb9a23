//! Lines of the adapter of a client under test.

use super::wait;
use wireproof::fuzzing::{Says, adapter};

/// Says the bytes, the first of which tells how many come at once, in the place of the answer to question 7.
pub fn run(data: &[u8]) {
    let Some((at_once, lines)) = data.split_first() else { return };
    let (answer, heard) = wait(adapter(Says::new(lines, usize::from(*at_once)), 7));
    assert!(heard.len() <= wireproof::wire::limit::LINES);
    match answer {
        Ok(answer) => assert_eq!(answer["id"], 7),
        Err(why) => assert!(why.len() < 1_000, "an error of {} bytes", why.len()),
    }
}
