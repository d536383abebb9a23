//! Push: messages on their way to a subscriber.

use super::{Message, requirements::QUEUE_MESSAGE_2};
use crate::json::{json, words};

words! {
    /// Why messages are pushed.
    PushType;
    /// They were just published.
    Message = "message",
    /// They were missed.
    Replay = "replay",
}

json! {
    /// Messages for a subscriber.
    Push = "queue/push", names = |_| QUEUE_MESSAGE_2;
    /// Why they come.
    kind: PushType = "type",
    /// The id of their queue.
    queue_id: String = "queue_id",
    /// The messages, by rising offset.
    messages: Vec<Message> = "messages",
}
