//! Bodies of messages: which are JSON, and what their messages are.

use proptest::prelude::*;
use serde_json::Value;
use wireproof_spec::{
    http::Request,
    stream::{Operation, json},
};

/// A request to write this body to a stream of messages.
fn write(method: &str, body: &[u8]) -> Request {
    Request::new(method, "/s").header("content-type", "Application/JSON; charset=utf-8").body(body.to_vec())
}

#[test]
fn messages_are_taken_apart_once() {
    let table: &[(&str, &[&str])] = &[
        ("{\"a\":[1,[2]]}", &["{\"a\":[1,[2]]}"]),
        ("[1, 2.0 ,\t\"x\"]", &["1", "2.0", "\"x\""]),
        ("[[1,2],[3],[]]", &["[1,2]", "[3]", "[]"]),
        ("[[]]", &["[]"]),
        ("[]", &[]),
        (" \r\n[ ] ", &[]),
        ("\"[1]\"", &["\"[1]\""]),
        ("  null\n", &["null"]),
        ("1e400", &["1e400"]),
        ("{\"a\":1,\"a\":2}", &["{\"a\":1,\"a\":2}"]),
    ];
    for (body, expected) in table {
        let found: Vec<&str> =
            json::messages(body.as_bytes()).expect("messages").iter().map(|message| message.get()).collect();
        assert_eq!(found, *expected, "{body}");
        assert!(Operation::decode(&write("PUT", body.as_bytes())).is_ok(), "{body}");
        let refused = Operation::decode(&write("POST", body.as_bytes())).err();
        let id = refused.and_then(|violation| violation.requirement).map(|id| id.as_str());
        assert_eq!(id, expected.is_empty().then_some("STREAM-JSON-4"), "{body}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    let table: &[&[u8]] = &[
        b"{bad",
        b"{\"a\":1,}",
        b"[1,]",
        b"'single'",
        b"NaN",
        b"01",
        b"[1 2]",
        b"\"open",
        b"\"a\tb\"",
        b" \n",
        b"1 2",
        b"{}{}",
        b"null\xc2\xa0",
        b"\x0c[1]",
        b"\xef\xbb\xbf1",
        b"\xff\xfe",
        b"\"\xff\xfe\"",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"[1,\"\xe2\x82\"]",
    ];
    for body in table {
        assert!(json::messages(body).is_err(), "{body:?}");
        for (method, expected) in [("PUT", "STREAM-JSON-16"), ("POST", "STREAM-JSON-5")] {
            let refused = Operation::decode(&write(method, body)).expect_err("a violation");
            assert_eq!(refused.requirement.map(|id| id.as_str()), Some(expected), "{method} {body:?}");
        }
    }
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    assert_eq!(json::messages(&deep).map(|all| all.len()), Ok(1));
    assert!(json::messages(&deep[..150_000]).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,3}", inner, 0..4)
                .prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_are_the_elements_of_an_array_or_the_value(value in value()) {
        let body = value.to_string();
        let found = json::messages(body.as_bytes()).expect("messages");
        let found: Vec<Value> = found.iter().map(|m| serde_json::from_str(m.get()).expect("JSON")).collect();
        let expected = match value {
            Value::Array(all) => all,
            other => vec![other],
        };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_panic_and_what_is_taken_is_json(body in proptest::collection::vec(any::<u8>(), 0..40)) {
        let taken = json::messages(&body).is_ok();
        prop_assert_eq!(taken, serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() && std::str::from_utf8(&body).is_ok());
    }
}
