//! HTTP answers on a raw connection, whole.

use super::kept;
use wireproof::fuzzing::raw;

/// Reads the bytes as all that a target sent.
pub fn run(data: &[u8]) {
    match raw(data) {
        Ok(answer) => {
            assert!(data.ends_with(&answer.rest), "what is behind the head is what came behind it");
            assert!(answer.head.status >= 200 || answer.head.status == 101, "an interim answer is none");
            assert!(answer.head.headers.0.iter().all(|(name, _)| *name == name.to_ascii_lowercase()));
            kept(&answer.rest);
        }
        Err(why) => assert!(why.to_string().len() < 1_000),
    }
}
