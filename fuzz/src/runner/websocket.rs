//! Frames on a WebSocket connection.

use super::{kept, wait};
use wireproof::{
    fuzzing::{Frame, Says, frames},
    wire::limit,
};

/// Says the bytes, the first of which tells how many come at once, behind the handshake.
pub fn run(data: &[u8]) {
    let Some((at_once, bytes)) = data.split_first() else { return };
    let (frames, lost) = wait(frames(Says::new(bytes, usize::from(*at_once))));
    let size: usize = frames.iter().map(size).sum();
    assert!(size <= bytes.len() && size <= limit::FRAME, "{size} bytes were heard of {}", bytes.len());
    assert_eq!(lost.is_none(), matches!(frames.last(), Some(Frame::Close(_))));
    if let Some(Frame::Close(Some((code, reason)))) = frames.last() {
        let said = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
        assert!(
            bytes.windows(said.len()).any(|part| part == said),
            "a close that nobody sent: {code} {reason:?}"
        );
    }
    if let Some(why) = lost {
        assert!(why.to_string().len() < 1_000);
    }
}

fn size(frame: &Frame) -> usize {
    match frame {
        Frame::Text(text) => {
            kept(text.as_bytes());
            text.len()
        }
        Frame::Binary(bytes) => {
            kept(bytes);
            bytes.len()
        }
        Frame::Close(with) => with.as_ref().map_or(0, |(_, reason)| reason.len()),
    }
}
