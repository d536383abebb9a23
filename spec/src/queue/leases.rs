//! Leases: receiving, for one consumer at a time.

use super::{Message, requirements::QUEUE_MESSAGE_14};
use crate::json::{OrNull, reply};

reply! {
    /// What was received.
    ReceiveReply = "queue/receive-reply", names = |_| QUEUE_MESSAGE_14;
    /// The message; null if there is none.
    message: OrNull<Message> = "message",
}
