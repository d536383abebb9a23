//! Frames: what stands in a binary message of the WebSocket, to the byte.
//!
//! An *outer* frame is a topic and a payload. The payload of the five topics of the protocol is an *inner* frame: a header of two
//! bytes, and behind it a message in the encoding of Protocol Buffers. Decoders never panic, whatever the bytes.

mod message;
mod wire;

pub(crate) use message::{frame, terms};
pub(crate) use wire::{Member, Scalar, put_message};
pub use wire::{Reader, Reading, WireType, put_bytes, put_varint};

use crate::decode::Violation;
use std::borrow::Cow;

/// The first byte of an inner frame: what has another one is of an incompatible version.
pub const MAJOR: u8 = 3;

/// The second byte of an inner frame; whoever reads it passes over it.
pub const MINOR: u8 = 0;

/// The version that a Hello and a full State name.
pub const VERSION: u32 = MAJOR as u32;

/// The longest topic, in code units of UTF-16.
pub const TOPIC_LIMIT: usize = 256;

/// The most bytes that a varint of an outer frame has.
const OUTER_VARINT: usize = 8;

/// The most bytes that a varint of an inner frame has.
const INNER_VARINT: usize = 10;

/// What an outer frame holds. A field that is not there is [`None`]: whoever gets such a frame passes over it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outer<'a> {
    /// What the payload is.
    pub topic: Option<Cow<'a, str>>,
    /// The inner frame.
    pub payload: Option<&'a [u8]>,
}

impl<'a> Outer<'a> {
    /// Reads a message of the WebSocket. Of a field that occurs twice the last one counts; a field that is known and has another
    /// wire type is there and empty; bytes of a topic that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// The frame is malformed: it ends early, a varint has more than eight bytes, or there is a wire type other than 0 and 2.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(bytes, OUTER_VARINT);
        let mut outer = Self::default();
        while !reader.is_empty() {
            let tag = reader.varint()?;
            let value = match WireType::of(tag) {
                Some(WireType::Varint) => {
                    reader.varint()?;
                    &[][..]
                }
                Some(WireType::Bytes) => reader.bytes()?,
                _ => return Err(reader.refuse(&format!("the wire type 0 or 2, found {}", tag & 7))),
            };
            match tag >> 3 {
                1 => outer.topic = Some(String::from_utf8_lossy(value)),
                2 => outer.payload = Some(value),
                _ => {}
            }
        }
        Ok(outer)
    }

    /// The message of the WebSocket for a topic and an inner frame.
    pub fn encode(topic: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(topic.len() + payload.len() + 12);
        put_bytes(&mut out, 1, topic.as_bytes());
        put_bytes(&mut out, 2, payload);
        out
    }
}

/// What stands behind the header of an inner frame, ready to read.
///
/// # Errors
/// There is no header, or it is one of another major version.
pub fn body(inner: &[u8]) -> Result<Reader<'_>, Violation> {
    let [major, _minor, body @ ..] = inner else {
        return Err(Violation::new("", format!("expected a header of two bytes, found {}", inner.len())));
    };
    if *major != MAJOR {
        let other = if *major == b'{' { ", which begins a JSON text" } else { "" };
        return Err(Violation::new("", format!("expected the major version {MAJOR}, found {major}{other}")));
    }
    Ok(Reader::new(body, INNER_VARINT))
}

/// The header of an inner frame, with room for most messages behind it.
pub fn header() -> Vec<u8> {
    const ROOM: usize = 256;
    let mut out = Vec::with_capacity(ROOM);
    out.extend([MAJOR, MINOR]);
    out
}
