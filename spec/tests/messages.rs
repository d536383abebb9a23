//! Every message with what the tests do to it, and the fixtures.

use crate::protocols::{self, PROTOCOLS};
use jsonschema::Validator;
use serde_json::Value;
use std::sync::LazyLock;
use wireproof_spec::{
    fleet, http, queue,
    requirement::RequirementId,
    schema::{Message as _, Schema},
    stream::{self, Violation},
};

/// One message type, its schema, and the type as functions over documents.
pub(crate) struct Message {
    /// `stream/create-request`.
    pub(crate) name: &'static str,
    /// Its schema, ready to validate.
    pub(crate) schema: Validator,
    /// Reads a document through serde.
    pub(crate) accepts: fn(&str) -> Result<(), String>,
    /// Reads a document through the HTTP message, as a peer does.
    pub(crate) decode: fn(&str) -> Result<(), Violation>,
    /// Document to type to document.
    pub(crate) rewritten: fn(&str) -> Value,
    /// Whether the type survives HTTP and its own document.
    pub(crate) round_trips: fn(&str) -> bool,
}

macro_rules! message {
    ($type:ident, $http:ident) => {
        Message {
            name: stream::$type::NAME,
            schema: jsonschema::validator_for(&Schema::of::<stream::$type>().document).expect("a schema"),
            accepts: |text| serde_json::from_str::<stream::$type>(text).map(drop).map_err(|e| e.to_string()),
            decode: |text| {
                let message: http::$http = serde_json::from_str(text).expect("an HTTP message");
                stream::$type::decode(&message).map(drop)
            },
            rewritten: |text| {
                let message: stream::$type = serde_json::from_str(text).expect("a valid message");
                serde_json::to_value(message).expect("a document")
            },
            round_trips: |text| {
                let message: stream::$type = serde_json::from_str(text).expect("a valid message");
                let again = serde_json::to_string(&message).expect("a document");
                stream::$type::decode(&message.clone().encode()).as_ref() == Ok(&message)
                    && serde_json::from_str::<stream::$type>(&again).is_ok_and(|m| m == message)
            },
        }
    };
}

/// A message that is a JSON document of its own and not an HTTP message; what its decoder says, by a function over text.
macro_rules! document {
    ($protocol:ident, $type:ident, $decode:expr) => {
        Message {
            name: $protocol::$type::NAME,
            schema: jsonschema::validator_for(&Schema::of::<$protocol::$type>().document).expect("a schema"),
            accepts: |text| {
                serde_json::from_str::<$protocol::$type>(text).map(drop).map_err(|e| e.to_string())
            },
            decode: $decode,
            rewritten: |text| {
                let message: $protocol::$type = serde_json::from_str(text).expect("a valid message");
                serde_json::to_value(message).expect("a document")
            },
            round_trips: |text| {
                let message: $protocol::$type = serde_json::from_str(text).expect("a valid message");
                let again = serde_json::to_string(&message).expect("a document");
                serde_json::from_str::<$protocol::$type>(&again).is_ok_and(|m| m == message)
            },
        }
    };
    ($protocol:ident, $type:ident) => {
        document!($protocol, $type, |text| $protocol::$type::decode(text.as_bytes()).map(drop))
    };
}

/// Every message of every protocol.
pub(crate) static MESSAGES: LazyLock<Vec<Message>> = LazyLock::new(|| {
    vec![
        message!(CreateRequest, Request),
        message!(CreateResponse, Response),
        message!(AppendRequest, Request),
        message!(AppendResponse, Response),
        message!(CloseRequest, Request),
        message!(CloseResponse, Response),
        message!(DeleteRequest, Request),
        message!(DeleteResponse, Response),
        message!(HeadRequest, Request),
        message!(HeadResponse, Response),
        message!(ReadRequest, Request),
        message!(ReadResponse, Response),
        message!(ReadNotModified, Response),
        message!(LongpollRequest, Request),
        message!(LongpollResponse, Response),
        message!(SseRequest, Request),
        message!(SseResponse, Response),
        document!(stream, SseControl, |text| {
            text.parse::<stream::SseControl>().map(drop).map_err(|e| Violation::new("", e.to_string()))
        }),
        message!(Refusal, Response),
        document!(queue, AuthRequest),
        document!(queue, AuthResponse),
        document!(queue, Push),
        document!(queue, Message),
        document!(queue, Queue),
        document!(queue, CreateRequest),
        document!(queue, UpdateRequest),
        document!(queue, QueueReply),
        document!(queue, QueuesReply),
        document!(queue, PublishRequest),
        document!(queue, BatchRequest),
        document!(queue, MessageReply),
        document!(queue, BatchReply),
        document!(queue, MessagesReply),
        document!(queue, OffsetReply),
        document!(queue, ReceiveReply),
        document!(queue, DeadLetterMessage),
        document!(queue, DeadLettersReply),
        document!(queue, Destination),
        document!(queue, DestinationCreateRequest),
        document!(queue, DestinationUpdateRequest),
        document!(queue, DestinationReply),
        document!(queue, DestinationsReply),
        document!(queue, Source),
        document!(queue, SourceCreateRequest),
        document!(queue, SourceUpdateRequest),
        document!(queue, SourceReply),
        document!(queue, SourcesReply),
        document!(queue, Consumer),
        document!(queue, ConsumersReply),
        document!(queue, Done),
        document!(queue, Failure),
        document!(fleet, Hello),
        document!(fleet, Poll),
        document!(fleet, State),
        document!(fleet, Cmd),
        document!(fleet, Ack),
        document!(fleet, InstanceInfo),
        document!(fleet, RoomInfo),
        document!(fleet, FleetStats),
        document!(fleet, StatsReply),
        document!(fleet, InstanceReply),
        document!(fleet, InstancesReply),
        document!(fleet, RoomReply),
        document!(fleet, RoomsReply),
        document!(fleet, CreateRequest),
        document!(fleet, Done),
        document!(fleet, Rejection),
    ]
});

/// A golden vector.
pub(crate) struct Fixture {
    /// The message that it is, or is not.
    pub(crate) message: &'static Message,
    /// Its file, below fixtures/.
    pub(crate) file: String,
    /// What the file holds.
    pub(crate) text: String,
    /// For an invalid one the id of the requirement that its rule comes from.
    pub(crate) breaks: Option<String>,
}

/// Every fixture of every message, in order.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut found = Vec::new();
    for message in MESSAGES.iter() {
        for kind in ["valid", "invalid"] {
            let dir = format!("{}/{kind}", message.name);
            for name in crate::names(&format!("fixtures/{dir}")) {
                let file = format!("{dir}/{name}");
                let text = crate::text(&format!("fixtures/{file}"));
                let breaks =
                    (kind == "invalid").then(|| id_of(&name).unwrap_or_else(|| panic!("{file} names no id")));
                found.push(Fixture { message, file, text, breaks });
            }
        }
    }
    found
}

/// The id in `rule.STREAM-APPEND-6.json`.
fn id_of(name: &str) -> Option<String> {
    let (rule, id) = name.strip_suffix(".json")?.split_once('.')?;
    (!rule.is_empty()).then(|| id.to_owned())
}

#[test]
fn the_table_names_every_message() {
    let mut named: Vec<_> = MESSAGES.iter().map(|m| m.name).collect();
    let mut known: Vec<_> = PROTOCOLS.iter().flat_map(|p| (p.schemas)()).map(|s| s.name).collect();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);
}

#[test]
fn every_message_has_a_minimal_a_full_and_an_invalid_fixture() {
    for message in MESSAGES.iter() {
        for name in ["minimal.json", "full.json"] {
            let valid = crate::names(&format!("fixtures/{}/valid", message.name));
            assert!(valid.iter().any(|n| n == name), "{} has no valid/{name}", message.name);
        }
        let invalid = crate::names(&format!("fixtures/{}/invalid", message.name));
        assert!(!invalid.is_empty(), "{} has no invalid fixture", message.name);
    }
}

#[test]
fn fixtures_are_of_messages_that_exist() {
    let of = |protocol: &str| {
        let mut names = crate::names(&format!("fixtures/{protocol}"));
        // Frames are no documents; fleet.rs reads them.
        names.retain(|name| name != "frames.json");
        names.into_iter().map(|name| format!("{protocol}/{name}")).collect::<Vec<_>>()
    };
    let mut dirs: Vec<_> = PROTOCOLS.iter().flat_map(|protocol| of(protocol.name)).collect();
    dirs.sort_unstable();
    let mut known: Vec<_> = MESSAGES.iter().map(|m| m.name).collect();
    known.sort_unstable();
    assert_eq!(dirs, known);
}

#[test]
fn fixtures_decide_as_their_names_say() {
    for fixture in fixtures() {
        let known = protocols::of(fixture.message.name).constants;
        let ids: Vec<&str> = known.iter().copied().map(RequirementId::as_str).collect();
        let accepted = (fixture.message.accepts)(&fixture.text);
        match &fixture.breaks {
            None => assert_eq!(accepted, Ok(()), "{}", fixture.file),
            Some(id) => {
                assert!(ids.contains(&id.as_str()), "{}: no requirement {id}", fixture.file);
                assert!(accepted.is_err(), "{} was accepted", fixture.file);
                // Where the decoder names a requirement it is that of the file.
                if let Some(named) = requirement_named(&fixture) {
                    assert_eq!(named.as_str(), id, "{}", fixture.file);
                }
            }
        }
    }
}

/// What the decoder names, if the document is of the kind that it decodes.
fn requirement_named(fixture: &Fixture) -> Option<RequirementId> {
    let (protocol, message) = fixture.message.name.split_once('/').expect("protocol and message");
    let is_decoded = match (protocol, message.ends_with("-request")) {
        ("stream", true) => serde_json::from_str::<http::Request>(&fixture.text).is_ok(),
        ("stream", false) => serde_json::from_str::<http::Response>(&fixture.text).is_ok(),
        _ => true,
    };
    is_decoded.then(|| (fixture.message.decode)(&fixture.text).err()?.requirement).flatten()
}

#[test]
fn the_shape_of_every_answer_is_a_requirement() {
    for fixture in fixtures().iter().filter(|f| f.breaks.is_some() && !f.message.name.ends_with("-request")) {
        let id = fixture.breaks.as_deref().unwrap_or_default();
        let shapes = format!("{}-MESSAGE-", protocols::of(fixture.message.name).name.to_uppercase());
        assert!(id.starts_with(&shapes), "{}", fixture.file);
    }
}
