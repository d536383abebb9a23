//! The seams that connections of clients have in common. Each is a value; where there is none, nothing changes.

pub use crate::queue::seams::{Frame, MapWritten};

use std::sync::Arc;

/// Maps each frame that came on a connection: a text, bytes, or a close, which is 1006 if nothing was said, and 1005 if no
/// code was. The number is that of the connection, from 1.
pub type MapHeard = Box<dyn Fn(u64, &mut Frame) + Send + Sync>;
/// Maps the frames that are about to be sent on a connection; a close with the code 1005 is sent without a code.
pub type MapSaid = Box<dyn Fn(u64, &mut Vec<Frame>) + Send + Sync>;
/// Maps the bytes that a connection reads behind its handshake, in place, as they come.
pub type MapRead = Arc<dyn Fn(&mut [u8]) + Send + Sync>;
/// Maps the delay before a redial, in milliseconds. The number is that of the redial, from 0 since the client was let in.
pub type MapDelay = Box<dyn Fn(u32, &mut u64) + Send + Sync>;
/// Whether a handshake is taken that was answered with this `Sec-WebSocket-Protocol`.
pub type TakesProtocol = Box<dyn Fn(Option<&str>) -> bool + Send + Sync>;
