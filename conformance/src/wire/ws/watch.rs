//! What the WebSocket library does not tell: how a target closes. A code that no close frame may carry the library replaces by
//! one of its own, and what the target said could not be claimed about.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest payload of a control frame, in bytes (RFC 6455, section 5.5).
const LONGEST: usize = 125;

/// A connection whose frames are followed, up to the first that closes.
pub(crate) struct Watched<S> {
    inner: S,
    frames: Frames,
}

impl<S> Watched<S> {
    /// A connection behind its handshake.
    pub(crate) fn without_handshake(inner: S) -> Self {
        Self { inner, frames: Frames::new(Place::Head) }
    }

    /// Follows what was read of the connection before.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        self.frames.follow(bytes);
    }

    /// Code and reason of the first close frame that came, if it has them.
    pub(super) fn closing(&self) -> Option<(u16, String)> {
        let (code, reason) = self.frames.closing.split_first_chunk()?;
        Some((u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned()))
    }
}

/// The bytes of a connection, cut into frames. It holds no more than a control frame.
struct Frames {
    place: Place,
    /// The head of the frame at this place, as far as it came.
    head: Vec<u8>,
    /// The payload of the first close frame.
    closing: Vec<u8>,
}

/// Where in them the next byte is.
enum Place {
    /// In the head of a frame.
    Head,
    /// So many bytes before the end of a frame that does not close.
    Payload(u64),
    /// So many bytes before the end of one that does, which is masked like this.
    Closing { left: usize, mask: [u8; 4] },
    /// Behind all that matters.
    Over,
}

/// What the head of a frame says.
struct Head {
    closes: bool,
    length: u64,
    mask: [u8; 4],
}

impl Frames {
    fn new(place: Place) -> Self {
        Self { place, head: Vec::new(), closing: Vec::new() }
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            bytes = rest;
            match &mut self.place {
                Place::Head => {
                    self.head.push(*byte);
                    if let Some(head) = head(&self.head) {
                        self.head.clear();
                        self.place = behind(&head);
                    }
                }
                Place::Payload(left) => {
                    let passed = (*left - 1).min(bytes.len() as u64);
                    bytes = &bytes[usize::try_from(passed).unwrap_or(bytes.len())..];
                    *left -= 1 + passed;
                    if *left == 0 {
                        self.place = Place::Head;
                    }
                }
                Place::Closing { left, mask } => {
                    self.closing.push(byte ^ mask[self.closing.len() % 4]);
                    *left -= 1;
                    if *left == 0 {
                        self.place = Place::Over;
                    }
                }
                Place::Over => return,
            }
        }
    }
}

/// The head of a frame, if it is whole.
fn head(bytes: &[u8]) -> Option<Head> {
    let (first, rest) = bytes.split_first()?;
    let (second, rest) = rest.split_first()?;
    let (length, rest) = match second & 0x7f {
        126 => rest.split_first_chunk().map(|(length, rest)| (u16::from_be_bytes(*length).into(), rest))?,
        127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
        length => (length.into(), rest),
    };
    let mask = if second & 0x80 == 0 { [0; 4] } else { *rest.first_chunk()? };
    Some(Head { closes: first & 0x0f == 8, length, mask })
}

/// What comes behind a head.
fn behind(head: &Head) -> Place {
    match usize::try_from(head.length) {
        Ok(0) if head.closes => Place::Over,
        Ok(0) => Place::Head,
        Ok(left @ ..=LONGEST) if head.closes => Place::Closing { left, mask: head.mask },
        // No close frame is that long, and the library says so.
        _ if head.closes => Place::Over,
        _ => Place::Payload(head.length),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.frames.follow(buf.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in these bytes, however they are cut.
    fn closing(bytes: &[u8]) -> Option<(u16, String)> {
        let found = |size: usize| {
            let mut watched = Watched::without_handshake(());
            bytes.chunks(size).for_each(|piece| watched.frames.follow(piece));
            watched.closing()
        };
        let whole = found(bytes.len().max(1));
        (1..8).for_each(|size| assert_eq!(found(size), whole, "in pieces of {size}"));
        whole
    }

    #[test]
    fn a_target_closes_as_it_said() {
        assert_eq!(closing(b"\x88\x05\x03\xe8bye"), Some((1000, "bye".into())));
        assert_eq!(closing(b"\x88\x02\x03\x80"), Some((896, String::new())));
        assert_eq!(closing(b"\x88\x00"), None);
        assert_eq!(closing(b"\x88\x01\x03"), None);
        assert_eq!(closing(b""), None);
        assert_eq!(closing(b"\x88\x05\x03\xe8by\x88\x05\x03\xe9bye"), Some((1000, "by\u{fffd}".into())));
    }

    #[test]
    fn frames_before_the_last_are_passed_over() {
        let text = |length: usize| match u8::try_from(length) {
            Ok(length @ ..126) => vec![0x81, length],
            _ => [&[0x82, 126][..], &(length as u16).to_be_bytes()].concat(),
        };
        for length in [0, 1, 125, 126, 300, 40_000] {
            let bytes = [&text(length)[..], &vec![0x88; length], b"\x88\x05\x03\xe8bye"].concat();
            assert_eq!(closing(&bytes), Some((1000, "bye".into())), "behind {length} bytes");
        }
        let long = [&[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2][..], b"\x88\x03\x03\xe8b"].concat();
        assert_eq!(closing(&long), Some((1000, "b".into())));
    }

    #[test]
    fn masked_frames_are_read_too() {
        let bytes = [
            &[0x81, 0x82, 1, 2, 3, 4, 9, 9, 0x88, 0x85, 1, 2, 3, 4][..],
            &[2, 0xea, b'b' ^ 3, b'y' ^ 4, b'e' ^ 1],
        ];
        assert_eq!(closing(&bytes.concat()), Some((1000, "bye".into())));
    }
}
