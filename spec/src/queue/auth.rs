//! Auth: the first frame of either side.

use super::{
    Offset,
    requirements::{
        QUEUE_AUTH_11, QUEUE_AUTH_12, QUEUE_AUTH_14, QUEUE_AUTH_15, QUEUE_AUTH_24, QUEUE_AUTH_25,
        QUEUE_AUTH_27, QUEUE_AUTH_28, QUEUE_MESSAGE_1,
    },
};
use crate::{
    decode::Violation,
    json::{Any, Text, json},
    requirement::RequirementId,
};

/// The id of a subscriber.
pub type ClientId = Text<1, 256>;

json! {
    /// The first and only frame of a client: who it is, and where it was.
    AuthRequest = "queue/auth-request", names = rule;
    /// The key itself.
    authorization: String = "authorization",
    /// The id from an earlier AuthResponse, or a chosen one.
    client_id: Option<ClientId> = "client_id",
    /// The offset of the message that was processed last.
    last_offset: Option<Offset> = "last_offset",
    /// The organisation, a string. Who does not know it passes over it, whatever it holds.
    org_id: Option<Any> = "orgId",
}

fn rule(violation: &Violation) -> RequirementId {
    let found = |what: &str| violation.why.ends_with(what);
    match violation.at.as_str() {
        "/authorization" if !found("found nothing") => QUEUE_AUTH_12,
        "" => QUEUE_AUTH_24,
        "/authorization" => QUEUE_AUTH_11,
        _ if found("found \"null\"") => QUEUE_AUTH_15,
        // The type is right and the value is not.
        "/client_id" if violation.why.starts_with("expected a string of ") => QUEUE_AUTH_27,
        "/client_id" => QUEUE_AUTH_25,
        _ if is_number(&violation.why) => QUEUE_AUTH_28,
        _ => QUEUE_AUTH_14,
    }
}

/// Whether what was found begins like a number.
fn is_number(why: &str) -> bool {
    let found = why.split_once("found \"").map_or("", |(_, found)| found);
    found.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

json! {
    /// The first frame of a server: whether the client may stay.
    AuthResponse = "queue/auth-response", names = |_| QUEUE_MESSAGE_1;
    /// Whether it may.
    success: bool = "success",
    /// Why not.
    error: Option<String> = "error",
    /// The id under which the client is known.
    client_id: Option<String> = "client_id",
}
