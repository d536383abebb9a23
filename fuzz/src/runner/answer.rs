//! HTTP answers on a connection of the ordinary peer.

use super::{kept, wait};
use wireproof::{
    fuzzing::{Says, answer},
    wire::{Lost, limit},
};

/// Says the bytes, the first of which tells how many come at once, to a GET.
pub fn run(data: &[u8]) {
    let Some((at_once, bytes)) = data.split_first() else { return };
    match wait(answer(Says::new(bytes, usize::from(*at_once)))) {
        Ok(response) => {
            assert!((100..1000).contains(&response.status) && response.body.len() <= limit::BODY);
            assert!(response.headers.0.iter().all(|(name, _)| *name == name.to_ascii_lowercase()));
            kept(&response.body);
        }
        Err(Lost::Silence(_)) => panic!("an answer is waited for that cannot come"),
        Err(why) => assert!(why.to_string().len() < 1_000),
    }
}
