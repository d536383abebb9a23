//! What the frames, hashes and routes of the fleet protocol are, beyond what every message does.

use crate::messages::MESSAGES;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::borrow::Cow;
use wireproof_spec::{
    fleet::{
        Ack, Action, Capacity, Cmd, Hello, Label, Op, Origin, Poll, RoomId, Route, Snapshot, State, Status,
        SyncRoom, Violation, conditional,
        frames::{self, Outer},
        hash::hash,
        http::OPERATIONS,
        ids,
    },
    http::Request,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// What was read of an inner frame.
struct Read {
    /// The document.
    document: Value,
    /// The frame that this document makes.
    again: Vec<u8>,
    /// Whether its writer had to write it otherwise.
    lacks: bool,
}

fn read(topic: &str, inner: &[u8]) -> Result<Read, Violation> {
    macro_rules! of {
        ($type:ident) => {{
            let message = $type::receive(inner)?;
            // Whoever reads it strictly reads the same, or refuses it.
            let strict = $type::decode_frame(inner);
            assert!(strict.as_ref().is_err() || strict.as_ref() == Ok(&message));
            let document = serde_json::to_value(&message).expect("a document");
            Read { document, again: message.encode_frame(), lacks: strict.is_err() }
        }};
    }
    Ok(match topic {
        "fleet/hello" => of!(Hello),
        "fleet/poll" => of!(Poll),
        "fleet/state" => of!(State),
        "fleet/cmd" => of!(Cmd),
        "fleet/ack" => of!(Ack),
        other => panic!("no topic {other}"),
    })
}

fn vectors() -> Vec<Value> {
    serde_json::from_str(&crate::text("fixtures/fleet/frames.json")).expect("a list")
}

#[test]
fn every_vector_is_read_and_written_as_it_says() {
    let (mut valid, mut malformed) = (0, 0);
    for vector in vectors() {
        let name = vector["name"].as_str().expect("a name");
        let frame = bytes(vector["frame"].as_str().expect("a frame"));
        let outer = Outer::decode(&frame);
        if vector["malformed"] == "outer" {
            malformed += 1;
            assert!(outer.is_err(), "{name} was read");
            continue;
        }
        let outer = outer.unwrap_or_else(|error| panic!("{name}: {error}"));
        let (Some(topic), Some(payload)) = (outer.topic, outer.payload) else {
            assert!(vector["incomplete"].is_string(), "{name} lacks something");
            continue;
        };
        assert!(vector["incomplete"].is_null(), "{name} lacks nothing");
        assert_eq!(vector["topic"], *topic, "{name}");
        if vector["malformed"] == "inner" {
            malformed += 1;
            assert!(read(&topic, payload).is_err(), "{name} was read");
            continue;
        }
        valid += 1;
        let Read { document, again, lacks } =
            read(&topic, payload).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(document, vector["document"], "{name}");
        assert_eq!(lacks, vector["lacks"].is_string(), "{name}");
        let schema = MESSAGES.iter().find(|m| m.name == vector["message"]).expect("a message");
        assert!(schema.schema.is_valid(&document), "{name}");
        let same = Outer::encode(&topic, &again) == frame;
        assert_eq!(same, !lacks && vector["writtenOtherwise"].is_null(), "{name}: {}", hex(&again));
    }
    assert!(valid > 30 && malformed > 20, "{valid} {malformed}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A frame that is cut anywhere is malformed or a shorter message, and never a panic; the same where any byte is another.
#[test]
fn every_vector_may_be_cut_or_bent_anywhere() {
    for vector in vectors() {
        let frame = bytes(vector["frame"].as_str().expect("a frame"));
        let take = |frame: &[u8]| {
            if let Ok(Outer { topic: Some(topic), payload: Some(payload) }) = Outer::decode(frame)
                && OUR_TOPICS.contains(&&*topic)
            {
                let _ = read(&topic, payload);
            }
        };
        for cut in 0..frame.len() {
            take(&frame[..cut]);
            for bent in [0, 0xff, frame[cut] ^ 1, frame[cut] ^ 0x80] {
                let mut frame = frame.clone();
                frame[cut] = bent;
                take(&frame);
            }
        }
    }
}

const OUR_TOPICS: [&str; 5] = ["fleet/hello", "fleet/poll", "fleet/state", "fleet/cmd", "fleet/ack"];

#[test]
fn a_message_that_lacks_something_is_refused_and_yet_received() {
    let inner = frames::header();
    let why = |violation: Violation| violation.to_string();
    assert_eq!(
        Hello::decode_frame(&inner).map_err(why),
        Err("FLEET-MESSAGE-1: at /instanceId: expected a value, found nothing".into())
    );
    let hello = Hello { instance_id: String::new(), protocol_version: 0, heartbeat_ms: 0 };
    assert_eq!(Hello::receive(&inner), Ok(hello));
    assert_eq!(Poll::receive(&inner).expect("a poll").status, Status::Active);
    assert_eq!(Cmd::receive(&inner).expect("a command").op, Op::Other(String::new()));
    let state = State::receive(&inner).expect("a state");
    assert_eq!((state.seq, state.snapshot), (0, None));

    // A full State of which all is missing has a snapshot of defaults.
    let full = [&inner[..], &[0x10, 1]].concat();
    assert!(State::decode_frame(&full).is_err());
    let snapshot = State::receive(&full).expect("a state").snapshot.expect("a snapshot");
    assert_eq!(snapshot.capacity, Capacity { max_connections: None, max_rooms: None });
    assert_eq!((snapshot.status, snapshot.auto_create), (Status::Active, false));

    // What belongs to a snapshot has no place beside none.
    let state = State { req_id: "p".into(), seq: 1, hash: "h".into(), snapshot: None };
    let mut frame = state.encode_frame();
    frame.extend([0x60, 1]);
    assert!(why(State::decode_frame(&frame).expect_err("a violation")).contains("/autoCreate"));
    assert_eq!(State::receive(&frame), Ok(state));
}

#[test]
fn a_word_of_another_version_is_received() {
    let cmd = Cmd { cmd_id: "c".into(), op: Op::Other("explode".into()), room_id: None, room_type: None };
    let frame = cmd.encode_frame();
    assert!(Cmd::decode_frame(&frame).is_err());
    assert_eq!(Cmd::receive(&frame), Ok(cmd));
}

#[test]
fn hashes_are_those_of_the_document() {
    for (document, expected) in [
        (json!([]), "4f53cda18c2baa0c"),
        (json!({}), "44136fa355b3678a"),
        (json!({ "a": 2, "b": 1 }), "d3626ac30a87e6f7"),
        (json!({ "a": [1, null, "x", true] }), "15e9796ab3d7700d"),
        (json!({ "m": 0.1, "n": 1e21, "z": 0 }), "e6ca63ac5192a546"),
        (json!({ "m": 0.1, "n": 1e21, "z": -0.0 }), "e6ca63ac5192a546"),
        (json!({ "y": null }), "947f39165ae708cb"),
    ] {
        assert_eq!(hash(&document), expected, "{document}");
    }
    // The worked States carry the hash of their content.
    for name in ["state-full", "state-minimal"] {
        let vector = vectors().into_iter().find(|v| v["name"] == name).expect("the vector");
        let state: State = serde_json::from_value(vector["document"].clone()).expect("a state");
        assert_eq!(state.snapshot.expect("a snapshot").hash(), state.hash, "{name}");
    }
}

#[test]
fn members_are_sorted_by_code_units() {
    // U+1F600 is written with surrogates, which are less than U+FB00.
    let document = json!({ "\u{fb00}": 1, "\u{1f600}": 2, "\u{2028}/\u{7}": "\"\\\u{1f}" });
    let text = wireproof_spec::fleet::hash::canonical(&document);
    assert_eq!(text, "{\"\u{2028}/\\u0007\":\"\\\"\\\\\\u001f\",\"\u{1f600}\":2,\"\u{fb00}\":1}");
}

#[test]
fn public_ids_are_percent_encoded() {
    for (raw, public) in [
        ("m-1_Z", "m-1_Z"),
        ("r 2", "r%202"),
        ("a~b", "a%7Eb"),
        ("50%", "50%25"),
        ("ä/😀", "%C3%A4%2F%F0%9F%98%80"),
        ("", ""),
    ] {
        assert_eq!(ids::public(raw), public);
    }
    assert!(RoomId::new("a".repeat(64)).is_some());
    for wrong in [String::new(), "a".repeat(65), "a.b".into(), "ä".into(), "a\n".into()] {
        assert!(RoomId::new(wrong.as_str()).is_none(), "{wrong}");
    }
}

#[test]
fn entity_tags_are_compared_as_text() {
    let etag = conditional::etag("00ff");
    assert_eq!(etag, "W/\"00ff\"");
    for (sent, same) in [
        ("W/\"00ff\"", true),
        ("*", true),
        ("\"x\" , W/\"00ff\"", true),
        ("\"00ff\"", false),
        ("W/\"00fe\"", false),
        ("", false),
    ] {
        assert_eq!(conditional::matches(sent, &etag), same, "{sent}");
    }
}

#[test]
fn every_route_is_found_again() {
    for operation in OPERATIONS {
        let id = operation.path.contains("{id}").then_some("pA~x%20");
        let route = Route::new(operation.action, id);
        for root in ["/", "/a/v1"] {
            let mut request = route.encode(root);
            assert_eq!(Route::decode(&request), Ok(route.clone()));
            request.method = "PUT".into();
            assert!(Route::decode(&request).expect_err("another method").is_method());
            if operation.method == "GET" {
                request.method = "HEAD".into();
                assert_eq!(Route::decode(&request), Ok(route.clone()));
            }
        }
    }
    let get = |path: &str| Route::decode(&Request::new("GET", path)).map(|route| route.action);
    assert_eq!(get("/v1/rooms/rooms"), Ok(Action::Room));
    for path in ["/v1/rooms/", "/v1/Rooms", "/v1/rooms/a/b", "/", "/v1/instances//rooms"] {
        assert!(get(path).is_err(), "{path}");
    }
}

prop_compose! {
    fn room()(id in ".{0,8}", kind in "[a-z]{0,4}", connections: u32, fleet: bool) -> SyncRoom {
        SyncRoom { id, kind, connections, origin: if fleet { Origin::Fleet } else { Origin::Local } }
    }
}

prop_compose! {
    fn snapshot()(
        texts in proptest::array::uniform4(".{0,12}"),
        labels in proptest::collection::vec((".{0,4}", ".{0,4}"), 0..4),
        capacity: (Option<i32>, Option<i32>),
        auto_create: bool,
        room_types in proptest::collection::vec(".{0,4}", 0..4),
        rooms in proptest::collection::vec(room(), 0..4),
        draining: bool,
    ) -> Snapshot {
        let [name, process_uid, agent_version, endpoint_url] = texts;
        Snapshot {
            name, process_uid, agent_version, endpoint_url,
            protocol_version: frames::VERSION,
            labels: labels.into_iter().map(|(key, value)| Label { key, value }).collect(),
            capacity: Capacity { max_connections: capacity.0, max_rooms: capacity.1 },
            auto_create, room_types, rooms,
            status: if draining { Status::Draining } else { Status::Active },
        }
    }
}

proptest! {
    #[test]
    fn states_survive_frames_and_documents(
        req_id in ".{0,8}", seq: u32, hash in "[0-9a-f]{0,16}", snapshot in proptest::option::of(snapshot()),
    ) {
        let state = State { req_id, seq, hash, snapshot };
        let frame = state.encode_frame();
        let read = State::decode_frame(&frame);
        prop_assert_eq!(read.as_ref(), Ok(&state));
        let message = Outer::encode("fleet/state", &frame);
        let outer = Outer { topic: Some(Cow::Borrowed("fleet/state")), payload: Some(&frame) };
        prop_assert_eq!(Outer::decode(&message), Ok(outer));
        let document = serde_json::to_string(&state).expect("a document");
        prop_assert_eq!(serde_json::from_str::<State>(&document).expect("a state"), state);
    }

    #[test]
    fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Outer::decode(&bytes);
        let inner = [&frames::header(), &bytes[..]].concat();
        for inner in [&bytes[..], &inner] {
            let _ = (Hello::receive(inner), Poll::receive(inner), Cmd::receive(inner), Ack::receive(inner));
            // What is received is written so that it is received as the same again.
            if let Ok(state) = State::receive(inner) {
                prop_assert_eq!(State::receive(&state.encode_frame()), Ok(state));
            }
        }
    }
}
