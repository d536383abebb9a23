//! What the types of the queue protocol say and do beyond what every message does.

use crate::messages::MESSAGES;
use proptest::prelude::*;
use wireproof_spec::{
    http::Request,
    json::{Any, OrNull},
    queue::{
        self, Action, AuthRequest, AuthResponse, BatchRequest, CreateRequest, DestinationCreateRequest,
        Message, OffsetReply, PublishRequest, Push, PushType, QueueName, ReceiveReply, Route, Violation,
        close, http::OPERATIONS, message,
    },
};

fn why(of: Result<impl Sized, Violation>) -> String {
    of.err().expect("a violation").to_string()
}

#[test]
fn errors_say_where_and_why() {
    let auth = |text: &str| why(AuthRequest::decode(text.as_bytes()));
    assert_eq!(auth("[]"), r#"QUEUE-AUTH-24: expected an object, found "[]""#);
    assert_eq!(auth("{}"), "QUEUE-AUTH-11: at /authorization: expected a value, found nothing");
    assert_eq!(
        auth(r#"{"authorization":7}"#),
        r#"QUEUE-AUTH-12: at /authorization: expected a string, found "7""#
    );
    assert_eq!(
        auth(r#"{"authorization":"k","last_offset":"7"}"#),
        r#"QUEUE-AUTH-14: at /last_offset: expected a whole number from -1 to 9007199254740991, found "\"7\"""#
    );
    // A wrong type is told from a wrong value.
    for (member, id) in [
        (r#""client_id":7"#, "QUEUE-AUTH-25: "),
        (r#""client_id":"""#, "QUEUE-AUTH-27: "),
        (r#""last_offset":"-1""#, "QUEUE-AUTH-14: "),
        (r#""last_offset":-2"#, "QUEUE-AUTH-28: "),
        (r#""last_offset":1.5"#, "QUEUE-AUTH-28: "),
    ] {
        let said = auth(&format!(r#"{{"authorization":"k",{member}}}"#));
        assert!(said.starts_with(id), "{member}: {said}");
    }
    assert!(auth("ping").starts_with("expected JSON, found none: "));
    assert!(AuthRequest::decode(b"\xff").is_err());

    let push = |text: &str| why(Push::decode(text.as_bytes()));
    assert_eq!(
        push(r#"{"type":"live","queue_id":"q","messages":[]}"#),
        r#"QUEUE-MESSAGE-2: at /type: expected message or replay, found "\"live\"""#
    );
    assert_eq!(
        push(
            r#"{"type":"message","queue_id":"q","messages":[{"id":"m","queue_id":"q","offset":0,"payload":1,"size":null}]}"#
        ),
        r#"QUEUE-MESSAGE-3: at /messages/0/size: expected a whole number from 0 to 9007199254740991, found "null""#
    );
    assert_eq!(
        why(OffsetReply::decode(br#"{"success":true,"data":{"offset":null}}"#)),
        r#"QUEUE-MESSAGE-15: at /data/offset: expected a whole number from -1 to 9007199254740991, found "null""#
    );
    assert_eq!(
        why(AuthResponse::decode(br#"{"success":true,"success":true}"#)),
        "QUEUE-MESSAGE-1: at /success: expected one member of this name, found two"
    );
}

#[test]
fn what_is_said_of_a_long_message_is_short() {
    let long = "\u{10ffff}".repeat(1000);
    let config = format!(r#"{{"url":"http://a","headers":{{"{long}":["{long}"]}}}}"#);
    let create = format!(r#"{{"destination_type":"http","config":{config}}}"#);
    let said = why(DestinationCreateRequest::decode(create.as_bytes()));
    assert!(
        said.starts_with("QUEUE-HTTP-8: at /config/headers/\u{10ffff}") && said.len() < 1000,
        "{}",
        said.len()
    );
}

#[test]
fn every_message_is_checked_by_its_name() {
    let named: Vec<_> = queue::MESSAGES.iter().map(|(name, _)| *name).collect();
    let known: Vec<_> = queue::schemas().iter().map(|schema| schema.name).collect();
    assert_eq!(named, known);
    for operation in OPERATIONS {
        for name in [Some(operation.reply), operation.request].into_iter().flatten() {
            let (_, check) = queue::MESSAGES.iter().find(|(known, _)| *known == name).expect(name);
            assert!(check(b"[]").is_err_and(|violation| violation.requirement.is_some()), "{name}");
        }
    }
}

#[test]
fn ids_of_messages_have_their_form() {
    for good in ["qmsg_a", "qmsg_2Yk9"] {
        assert!(message::is_id(good), "{good}");
    }
    for bad in ["", "qmsg_", "msg_a", "qmsg_a-b", "qmsg_é", "QMSG_a", " qmsg_a"] {
        assert!(!message::is_id(bad), "{bad}");
    }
    assert!(
        close::is_final(4000) && close::is_final(4999) && !close::is_final(3999) && !close::is_final(5000)
    );
}

#[test]
fn each_rule_of_a_name_is_named() {
    for good in ["_", "a", "a-1", "z_9-", &"a".repeat(256)] {
        assert_eq!(QueueName::new(good).as_ref().map(QueueName::as_str), Ok(good));
    }
    for (bad, id) in [
        ("", Some("QUEUE-QUEUES-6")),
        ("1a", Some("QUEUE-QUEUES-5")),
        ("-a", Some("QUEUE-QUEUES-21")),
        ("aB", Some("QUEUE-QUEUES-4")),
        (&"a".repeat(257), Some("QUEUE-QUEUES-7")),
        ("a b", None),
        ("é", None),
    ] {
        let violation = QueueName::new(bad).expect_err(bad);
        assert_eq!(violation.requirement.map(|id| id.as_str()), id, "{bad:?}");
    }
    let create = CreateRequest::decode(br#"{"queue_type":"worker","name":"a b"}"#);
    assert_eq!(create.err().and_then(|v| v.requirement).map(|id| id.as_str()), Some("QUEUE-HTTP-8"));
}

#[test]
fn a_batch_is_counted() {
    let batch = |n: usize| {
        let messages = vec![r#"{"payload":1}"#; n].join(",");
        BatchRequest::decode(format!(r#"{{"messages":[{messages}]}}"#).as_bytes())
    };
    assert!(batch(1).is_ok());
    assert_eq!(batch(1000).map(|b| b.messages.messages().len()), Ok(1000));
    assert_eq!(why(batch(0)), "QUEUE-PUBLISH-28: at /messages: expected at least one message, found none");
    assert_eq!(
        why(batch(1001)),
        "QUEUE-PUBLISH-29: at /messages: expected at most 1000 messages, found 1001"
    );
}

#[test]
fn a_payload_stays_as_it_was_written() {
    for payload in
        ["null", "18446744073709551616.50", "1e400", r#"{"a" : 1,"a":2}"#, r#""\u00e9\/""#, "[[],{}]"]
    {
        let request =
            PublishRequest::decode(format!(r#"{{"payload": {payload} }}"#).as_bytes()).expect(payload);
        assert_eq!(request.payload.get(), payload);
        assert_eq!(request.encode(), format!(r#"{{"payload":{payload}}}"#));
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(PublishRequest::decode(format!(r#"{{"payload":{deep}}}"#).as_bytes()).is_ok());
}

#[test]
fn a_size_is_that_of_compact_json() {
    for (payload, size) in [
        (r#"{ "test" : true }"#, 13),
        (r#""\u00e9""#, 4),
        (r#""é""#, 4),
        ("[ 1, 2 ]", 5),
        ("null", 4),
        (r#""a b""#, 5),
        (r#""\n""#, 4),
    ] {
        let request =
            PublishRequest::decode(format!(r#"{{"payload":{payload}}}"#).as_bytes()).expect(payload);
        assert_eq!(request.payload.size(), size, "{payload}");
    }
    assert_eq!(Any::from(serde_json::json!({ "test": true })).size(), 13);
}

#[test]
fn null_is_told_from_absent() {
    let read = |text: &str| Message::decode(text.as_bytes()).expect(text);
    let head = r#""id":"m","queue_id":"q","offset":0,"payload":null"#;
    assert_eq!(read(&format!("{{{head}}}")).metadata, None);
    assert_eq!(read(&format!(r#"{{{head},"metadata":null}}"#)).metadata, Some(OrNull(None)));
    assert_eq!(read(&format!("{{{head}}}")).encode(), format!("{{{head}}}"));
    assert!(ReceiveReply::decode(br#"{"success":true,"data":{}}"#).is_err());
    let none = ReceiveReply::decode(br#"{"success":true,"data":{"message":null}}"#);
    assert_eq!(none.map(|reply| reply.message), Ok(OrNull(None)));
}

#[test]
fn a_push_survives_its_frame() {
    let text = r#"{"type":"replay","queue_id":"q","messages":[{"id":"m","queue_id":"q","offset":4,"payload":{"a":[1.50]}}]}"#;
    let push = Push::decode(text.as_bytes()).expect("a push");
    assert_eq!((push.kind, push.messages[0].offset.get()), (PushType::Replay, 4));
    assert_eq!(push.encode(), text);
    assert_eq!(push.to_string().parse(), Ok(push));
}

#[test]
fn every_operation_is_found_again() {
    for operation in OPERATIONS {
        assert_eq!(operation.action.operation(), operation);
        for dated in [false, true] {
            for root in ["/", "", "/api", "/queue", "/a/queue/"] {
                let arguments = operation.arguments.iter().map(|name| format!("{name} /é")).collect();
                let route = Route { action: operation.action, dated, arguments };
                let request = route.encode(root);
                assert_eq!(Route::decode(&request), Ok(route), "{}", request.path);
            }
        }
    }
}

#[test]
fn what_is_no_operation_is_refused() {
    let decode = |method: &str, path: &str| Route::decode(&Request::new(method, path));
    assert_eq!(
        decode("GET", "/queue/get/a%2Fb/"),
        Err(Violation::new("/path", r#"expected the path of an operation, found "/queue/get/a%2Fb/""#))
    );
    for path in [
        "",
        "/",
        "/queue",
        "/queue/",
        "/queue/get",
        "/queue/list/a",
        "/get/a",
        "/queue/ws/a",
        "/queue/get/2026-01-15",
    ] {
        assert!(decode("GET", path).is_err_and(|v| !v.is_method()), "{path}");
    }
    assert!(decode("POST", "/queue/get/a").is_err_and(|v| v.is_method()));
    let found = decode("GET", "/queue/messages/get/2026-01-15/%5Fq/qmsg_1").expect("an operation");
    assert_eq!((found.action, found.dated), (Action::GetMessage, true));
    assert_eq!((found.queue(), found.id()), (Some("_q"), Some("qmsg_1")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in any::<Vec<u8>>(), text in "[\\[\\]{}\":,a-c0-9\\-.e \\\\]{0,20}") {
        for bytes in [&bytes, text.as_bytes()] {
            prop_assert!(Push::decode(bytes).is_err());
            if let Err(violation) = AuthRequest::decode(bytes) {
                prop_assert!(!violation.why.is_empty());
            }
        }
        for message in MESSAGES.iter().filter(|message| message.name.starts_with("queue/")) {
            if let Err(violation) = (message.decode)(&text) {
                prop_assert!(violation.at.is_empty() || violation.at.starts_with('/'), "{}", message.name);
            }
        }
    }

    #[test]
    fn any_path_is_an_operation_or_none(path in "(/queue)?/(get|list|messages|ack|dlq|%2F|2026-01-15|[a-c]){0,5}(/[a-c%]{0,3}){0,4}", method in "GET|POST|DELETE|PATCH|get|") {
        if let Ok(route) = Route::decode(&Request::new(&method, &path)) {
            prop_assert_eq!(Route::decode(&route.encode("/")), Ok(route));
        }
    }
}
