//! Connect: who is or was connected.

use super::{
    Offset,
    requirements::{QUEUE_MESSAGE_8, QUEUE_MESSAGE_21},
};
use crate::json::{Count, Nullable, Text, json, reply};

/// The path of a WebSocket, behind the root.
pub fn path(queue: &str) -> String {
    format!("/queue/ws/{}", crate::http::percent_encode(queue))
}

json! {
    /// Who is or was connected to a queue.
    Consumer = "queue/consumer", names = |_| QUEUE_MESSAGE_8;
    /// Its id.
    id: String = "id",
    /// The id of the queue.
    queue_id: String = "queue_id",
    /// The id that it presents.
    client_id: Nullable<Text<0, 256>> = "client_id",
    /// Whether the server remembers where it was.
    durable: bool = "durable",
    /// Where it connects from.
    ip_address: String = "ip_address",
    /// The offset that it was pushed last.
    last_offset: Nullable<Offset> = "last_offset",
    /// Since when it is connected, or was last.
    connected_at: String = "connected_at",
    /// Since when it is not; null while it is.
    disconnected_at: Nullable<String> = "disconnected_at",
    /// When it was first seen.
    created_at: String = "created_at",
    /// When it was changed last.
    updated_at: String = "updated_at",
}

reply! {
    /// Who is or was connected to a queue.
    ConsumersReply = "queue/consumers-reply", names = |_| QUEUE_MESSAGE_21;
    /// The consumers.
    consumers: Vec<Consumer> = "consumers",
    /// How many there are in all.
    total: Count = "total",
}
