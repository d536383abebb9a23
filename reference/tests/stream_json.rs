//! Streams of messages over the wire: whatever is appended in whatever batches, and however short answers are, every offset
//! yields the messages behind it, each as it was written.

use crate::client::{Client, get, tail, url};
use proptest::prelude::*;
use serde_json::value::RawValue;
use wireproof_reference::stream::{Limits, Options, Server};
use wireproof_spec::http::Request;

const JSON: &str = "application/json";

/// The text of a JSON value, with white space and escapes that nobody asked for.
fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        Just("1.0e+02".to_owned()),
        Just("9007199254740993".to_owned()),
        "[ -~]{0,12}".prop_map(|s| serde_json::to_string(&s).expect("a string")),
        "\\PC{0,6}".prop_map(|s| serde_json::to_string(&s).expect("a string")),
        Just(r#""\u00e9\ud83d\ude00\/""#.to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[ {} ]", all.join(" ,"))),
            proptest::collection::vec(inner, 0..3).prop_map(|all| {
                let members: Vec<_> = all.iter().map(|value| format!("\"a\" :{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// A body, and the messages in it.
fn body() -> impl Strategy<Value = (String, Vec<String>)> {
    prop_oneof![
        text()
            .prop_filter("an array is taken apart", |t| !t.starts_with('['))
            .prop_map(|t| (t.clone(), vec![t])),
        proptest::collection::vec(text(), 1..6).prop_map(|all| (format!("\n[{}] ", all.join(" , ")), all)),
    ]
}

/// The messages behind an offset, and every offset on the way, each with the number of messages before it.
async fn follow(client: &mut Client, from: &str) -> (Vec<String>, Vec<(String, usize)>) {
    let (mut offset, mut all, mut ends) = (from.to_owned(), Vec::new(), Vec::new());
    loop {
        let reply = client.send(get("m", &offset)).await;
        assert_eq!(reply.status, 200, "{offset}");
        let found: Vec<&RawValue> = serde_json::from_slice(&reply.body).expect("an array");
        all.extend(found.iter().map(|message| message.get().to_owned()));
        offset = tail(&reply).to_owned();
        ends.push((offset.clone(), all.len()));
        if reply.headers.get("stream-up-to-date").is_some() {
            return (all, ends);
        }
        assert!(!found.is_empty(), "an answer that stops before the tail holds something");
    }
}

async fn appended(first: (String, Vec<String>), bodies: Vec<(String, Vec<String>)>, chunk: u64) {
    let limits = Limits { chunk, ..Limits::default() };
    let server = Server::start(Options { limits, ..Options::default() }).await.unwrap();
    let mut client = Client::to(server.addr).await;
    let created = Request::new("PUT", &url("m")).header("content-type", JSON).body(first.0);
    let created = client.send(created).await;
    assert_eq!(created.status, 201);
    let mut all = first.1;
    let mut given = vec![("-1".to_owned(), 0), (tail(&created).to_owned(), all.len())];
    for (body, messages) in bodies {
        let post = Request::new("POST", &url("m")).header("content-type", "Application/JSON").body(body);
        let reply = client.send(post).await;
        assert_eq!(reply.status, 204);
        all.extend(messages);
        given.push((tail(&reply).to_owned(), all.len()));
    }
    let (found, ends) = follow(&mut client, "-1").await;
    assert_eq!(found, all);
    given.extend(ends);
    for (offset, before) in &given {
        assert_eq!(follow(&mut client, offset).await.0, all[*before..], "{offset}");
    }
    // What lies inside of a message is no offset.
    let end: u64 = given[given.len() - 1].0.parse().unwrap();
    for position in 0..=end {
        let offset = format!("{position:020}");
        let known = position == 0 || given.iter().any(|(given, _)| *given == offset);
        let status = client.send(get("m", &offset)).await.status;
        assert!(status == 200 || (status == 400 && !known), "{status} at {offset}");
    }
    server.stop().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn every_offset_yields_the_messages_behind_it(
        first in prop_oneof![Just(("[]".to_owned(), Vec::new())), body()],
        bodies in proptest::collection::vec(body(), 0..6),
        chunk in 1_u64..80,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(appended(first, bodies, chunk));
    }
}

#[tokio::test]
async fn what_is_no_json_is_refused_and_leaves_nothing() {
    let server = Server::start(Options::default()).await.unwrap();
    let mut client = Client::to(server.addr).await;
    let put = |body: &[u8]| Request::new("PUT", &url("m")).header("content-type", JSON).body(body.to_vec());
    let post = |body: &[u8]| Request::new("POST", &url("m")).header("content-type", JSON).body(body.to_vec());
    let bad: &[&[u8]] =
        &[b"{bad", b"[1,2,", b"\xff", b"\"\xff\"", b"{} {}", b"\xef\xbb\xbf1", b" ", b"1,", b"\x0c[1]"];
    for body in bad {
        assert_eq!(client.send(put(body)).await.status, 400, "{body:?}");
        assert_eq!(client.send(get("m", "-1")).await.status, 404, "{body:?}");
    }
    assert_eq!(client.send(put(b"1")).await.status, 201);
    let empty: &[&[u8]] = &[b"[]", b" [ ] "];
    for body in bad.iter().chain(empty) {
        assert_eq!(client.send(post(body)).await.status, 400, "{body:?}");
        assert_eq!(&*client.send(get("m", "-1")).await.body, b"[1]", "{body:?}");
    }
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    assert_eq!(client.send(post(&deep)).await.status, 204);
    // It is longer than an answer, and has one to itself.
    let first = client.send(get("m", "-1")).await;
    assert_eq!(&*first.body, b"[1]");
    let rest = client.send(get("m", tail(&first))).await;
    assert_eq!(*rest.body, *deep, "one message, whose own array was taken apart");
    server.stop().await.unwrap();
}
