//! Consume: reading by offset.

use super::{
    Message, Offset,
    requirements::{QUEUE_MESSAGE_12, QUEUE_MESSAGE_15},
};
use crate::json::{Count, reply};

reply! {
    /// Messages of a queue.
    MessagesReply = "queue/messages-reply", names = |_| QUEUE_MESSAGE_12;
    /// The messages.
    messages: Vec<Message> = "messages",
    /// How many there are in all.
    total: Option<Count> = "total",
}

reply! {
    /// Where a queue begins or ends.
    OffsetReply = "queue/offset-reply", names = |_| QUEUE_MESSAGE_15;
    /// The offset.
    offset: Offset = "offset",
}
