//! The server of queues over the wire.

use crate::{
    client::within,
    queue_client::{Api, Line, operation, with},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};
use wireproof_reference::queue::{KEY, Limits, Options, Parts, Running, Server};
use wireproof_spec::http::Request;

async fn server() -> (Running, Api) {
    let server = Server::start(Options::default()).await.unwrap();
    let api = Api::to(server.addr).await;
    (server, api)
}

#[tokio::test]
async fn queues_are_made_told_changed_and_deleted() {
    let (server, mut api) = server().await;
    let queue = api.create("one", "worker", Value::Null).await;
    for (setting, value) in [
        ("default_visibility_timeout_seconds", 30),
        ("default_max_retries", 5),
        ("default_retry_backoff_ms", 1000),
        ("default_retry_max_backoff_ms", 60000),
        ("default_retry_multiplier", 2),
        ("max_in_flight_per_client", 10),
        ("retention_seconds", 2_592_000),
        ("next_offset", 0),
    ] {
        assert_eq!(queue[setting], value, "{setting}");
    }
    assert!(queue["default_ttl_seconds"].is_null());
    let body = with("POST", "create", &json!({ "name": "one", "queue_type": "pubsub" }));
    assert_eq!(api.send(body).await.0, 409);
    for name in ["A", "1a", "-a", "", &"a".repeat(257), "a b"] {
        let body = with("POST", "create", &json!({ "name": name, "queue_type": "pubsub" }));
        assert_eq!(api.send(body).await.0, 400, "{name}");
    }
    let nameless = api.done("POST", "create", json!({ "queue_type": "pubsub" })).await;
    assert!(nameless["queue"]["name"].as_str().unwrap().starts_with("queue-"));
    let change = json!({ "settings": { "default_max_retries": 7, "default_ttl_seconds": 0.5 } });
    api.done("PATCH", "update/one", change).await;
    let told = api.done("GET", "get/one", Value::Null).await;
    assert_eq!(told["queue"]["default_max_retries"], 7);
    assert_eq!(told["queue"]["default_ttl_seconds"], 0.5);
    assert_eq!(told["queue"]["default_retry_multiplier"], 2);
    assert!(api.done("POST", "pause/one", json!({})).await["queue"]["paused_at"].is_string());
    assert!(api.done("POST", "resume/one", json!({})).await["queue"]["paused_at"].is_null());
    assert_eq!(api.done("GET", "list?limit=1", Value::Null).await["total"], 2);
    api.done("DELETE", "delete/one", Value::Null).await;
    let (status, document) = api.call("GET", "get/one").await;
    assert!(status == 404 && document["message"].as_str().unwrap().contains("not found"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_done_without_a_key_or_with_nonsense() {
    let (server, mut api) = server().await;
    api.create("one", "worker", Value::Null).await;
    for credentials in [None, Some("Bearer wrong"), Some(KEY), Some("Basic abc")] {
        let mut request = Request::new("DELETE", "/queue/delete/one");
        request.headers.0.extend(credentials.map(|value| ("authorization".into(), value.into())));
        assert_eq!(api.send(request).await.0, 401, "{credentials:?}");
    }
    for (method, path, body, status) in [
        ("POST", "messages/publish/one", "{", 400),
        ("POST", "messages/publish/one", "[]", 400),
        ("POST", "messages/publish/one", "", 400),
        ("POST", "messages/publish/one", "{\"payload\":1,\"ttl_seconds\":-1}", 400),
        ("POST", "messages/batch/one", "{\"messages\":[]}", 400),
        ("POST", "pause/one", "{", 400),
        ("GET", "consume/one?limit=0", "", 400),
        ("GET", "consume/one?offset=-1", "", 400),
        ("GET", "receive/one?timeout=31", "", 400),
        ("GET", "messages/list/one?state=completed", "", 400),
        ("GET", "messages/offset/one/x", "", 400),
        ("GET", "messages/offset/one/0", "", 404),
        ("POST", "ack/one/qmsg_unknown", "", 404),
        ("POST", "messages/publish/none", "{\"payload\":1}", 404),
        ("GET", "nothing", "", 404),
        ("PUT", "get/one", "", 405),
        ("GET", "ws/one", "", 426),
    ] {
        let request = operation(method, path).body(body);
        assert_eq!(api.send(request).await.0, status, "{method} {path} {body}");
    }
    assert_eq!(api.done("GET", "get/one", Value::Null).await["queue"]["next_offset"], 0);
    assert_eq!(api.done("GET", "head/one", Value::Null).await["offset"], -1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn payloads_come_back_as_they_were() {
    let (server, mut api) = server().await;
    api.create("one", "pubsub", Value::Null).await;
    let (mut line, _) = Line::subscribe(server.addr, "one", None).await;
    for payload in [
        r#""{\"a\":1}""#,
        r#"{"a":[{},[],null,true,1.5,"é\u0000😀"],"b":{"c":{}}}"#,
        "123456789012345678901234567890",
        "null",
        "0.1",
    ] {
        let body = format!("{{ \"payload\" : {payload} }}");
        let published = api.send(operation("POST", "messages/publish/one").body(body)).await;
        assert_eq!(published.0, 201, "{payload}");
        let Some(Message::Text(text)) = line.next().await else { panic!("a push") };
        assert!(text.contains(&format!("\"payload\":{payload},")), "{payload}: {text}");
    }
    for (length, status) in [(1_048_574, 201), (1_048_575, 413)] {
        let body = json!({ "payload": "x".repeat(length) });
        assert_eq!(api.send(with("POST", "messages/publish/one", &body)).await.0, status, "{length}");
    }
    let body = format!("{{\"payload\":0.{}1}}", "0".repeat(8_000_000));
    assert_eq!(api.send(operation("POST", "messages/publish/one").body(body)).await.0, 413);
    let message = api.done("POST", "messages/publish/one", json!({ "payload": {"test": true} })).await;
    assert_eq!(message["message"]["size"], 13);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn messages_are_published_once_and_consumed() {
    let (server, mut api) = server().await;
    api.create("one", "worker", Value::Null).await;
    let keyed = json!({ "payload": 0, "idempotency_key": "k", "metadata": { "a": 1 } });
    let first = api.done("POST", "messages/publish/one", keyed.clone()).await;
    let again = api.done("POST", "messages/publish/one", keyed.clone()).await;
    assert_eq!(first["message"]["id"], again["message"]["id"]);
    assert_eq!(first["message"]["metadata"], json!({ "a": 1 }));
    api.numbers("one", 1..1500).await;
    let consumed = api.done("GET", "consume/one?offset=3&limit=4", Value::Null).await;
    let offsets: Vec<_> = consumed["messages"].as_array().unwrap().iter().map(|m| &m["offset"]).collect();
    assert_eq!(offsets, [3, 4, 5, 6]);
    let id = consumed["messages"][1]["id"].as_str().unwrap().to_owned();
    api.done("DELETE", &format!("messages/delete/one/{id}"), Value::Null).await;
    let consumed = api.done("GET", "consume/one?offset=3&limit=1000", Value::Null).await;
    let offsets: Vec<_> =
        consumed["messages"].as_array().unwrap().iter().map(|m| m["offset"].as_u64().unwrap()).collect();
    assert!(offsets.len() == 1000 && !offsets.contains(&4) && offsets.is_sorted());
    assert_eq!(api.call("GET", &format!("messages/get/one/{id}")).await.0, 404);
    assert_eq!(api.done("GET", "tail/one", Value::Null).await["offset"], 1499);
    assert_eq!(api.done("GET", "consume/one?offset=1500", Value::Null).await["messages"], json!([]));
    let too_many: Vec<_> = (0..1001).map(|n| json!({ "payload": n })).collect();
    let batch = with("POST", "messages/batch/one", &json!({ "messages": too_many }));
    assert_eq!(api.send(batch).await.0, 400);
    // A dated path is found as well.
    let dated = api.done("GET", "get/2026-01-15/one", Value::Null).await;
    assert_eq!(dated["queue"]["next_offset"], 1500);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn messages_are_leased_acknowledged_and_die() {
    let (server, mut api) = server().await;
    let settings = json!({ "default_max_retries": 1, "default_retry_backoff_ms": 0,
        "default_visibility_timeout_seconds": 1 });
    api.create("one", "worker", settings).await;
    assert!(api.receive("one", 0).await.is_null());
    let started = Instant::now();
    assert!(api.receive("one", 1).await.is_null());
    assert!(started.elapsed() >= Duration::from_secs(1));
    let addr = server.addr;
    let waiting = tokio::spawn(async move { Api::to(addr).await.receive("one", 10).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let published = api.publish("one", json!("a")).await;
    let received = within(waiting).await.unwrap();
    assert_eq!(received["id"], published["id"]);
    assert_eq!((&received["state"], &received["delivery_attempts"]), (&json!("leased"), &json!(1)));
    assert!(api.receive("one", 0).await.is_null(), "it is hidden");
    let id = received["id"].as_str().unwrap();
    api.done("POST", &format!("nack/one/{id}"), Value::Null).await;
    assert_eq!(api.receive("one", 5).await["delivery_attempts"], 2);
    // Its visibility timeout passes, and that was the last delivery.
    assert!(api.receive("one", 2).await.is_null());
    let dead = api.done("GET", "dlq/list/one", Value::Null).await;
    assert_eq!((&dead["messages"][0]["id"], &dead["total"]), (&json!(id), &json!(1)));
    assert_eq!(dead["messages"][0]["payload"], "a");
    api.done("POST", &format!("dlq/replay/one/{id}"), Value::Null).await;
    assert_eq!(api.receive("one", 0).await["id"], id);
    api.done("POST", &format!("ack/one/{id}"), Value::Null).await;
    let told = api.done("GET", &format!("messages/get/one/{id}"), Value::Null).await;
    assert_eq!(told["message"]["state"], "delivered");
    assert!(api.receive("one", 0).await.is_null());
    assert_eq!(api.done("GET", "dlq/list/one", Value::Null).await["messages"], json!([]));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_subscriber_misses_nothing_while_publishing_goes_on() {
    let (server, mut api) = server().await;
    api.create("one", "pubsub", Value::Null).await;
    const ALL: u64 = 3000;
    let addr = server.addr;
    let publishing = tokio::spawn(async move {
        let mut api = Api::to(addr).await;
        for n in 0..ALL / 10 {
            api.numbers("one", n * 10..n * 10 + 10).await;
        }
    });
    let mut last = -1_i64;
    while last < ALL as i64 - 1 {
        let (mut line, answer) = Line::subscribe(server.addr, "one", Some(last)).await;
        assert_eq!(answer["success"], true);
        let mut live = false;
        for _ in 0..20 {
            let push = line.hear().await;
            let replay = push["type"] == "replay";
            assert!(!(live && replay), "a replay behind what is live");
            live |= !replay;
            for message in push["messages"].as_array().unwrap() {
                assert_eq!(message["offset"], last + 1, "no gap, nothing twice");
                assert_eq!(message["payload"], message["offset"]);
                last += 1;
            }
            if last == ALL as i64 - 1 {
                break;
            }
        }
    }
    publishing.await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn everyone_is_pushed_what_is_published_or_one_is() {
    let (server, mut api) = server().await;
    api.create("all", "pubsub", Value::Null).await;
    let id = api.create("one", "worker", json!({ "max_in_flight_per_client": 2 })).await["id"].take();
    let (mut a, answer) = Line::subscribe(server.addr, "all", None).await;
    let (mut b, other) = Line::subscribe(server.addr, "%61ll", None).await;
    assert_ne!(answer["client_id"], other["client_id"]);
    let listed = api.done("GET", "consumers/list/all", Value::Null).await;
    assert_eq!((&listed["total"], &listed["consumers"][1]["client_id"]), (&json!(2), &other["client_id"]));
    assert_eq!(listed["consumers"][0]["ip_address"], "127.0.0.1");
    api.numbers("all", 0..3).await;
    let expected: Vec<_> = (0..3).map(|n| (n, "message".to_owned())).collect();
    assert_eq!(a.pushed(3).await, expected);
    assert_eq!(b.pushed(3).await, expected);
    let (mut a, _) = Line::subscribe(server.addr, "one", None).await;
    let (mut b, _) = Line::subscribe(server.addr, "one", None).await;
    api.numbers("one", 0..5).await;
    let mut pushed = Vec::new();
    for push in [a.hear().await, a.hear().await, b.hear().await, b.hear().await] {
        assert_eq!(push["queue_id"], id);
        pushed.push(push["messages"][0]["id"].as_str().unwrap().to_owned());
    }
    pushed.sort();
    pushed.dedup();
    assert_eq!(pushed.len(), 4, "each to one");
    // Both have as much open as they may, until one of them is done with something.
    assert_eq!(api.receive("one", 0).await["offset"], 4);
    api.done("POST", &format!("ack/one/{}", pushed[0]), Value::Null).await;
    api.publish("one", json!(5)).await;
    let heard = tokio::select! { push = a.hear() => push, push = b.hear() => push };
    assert_eq!(heard["messages"][0]["offset"], 5);
    // While it is paused nothing is pushed.
    let (mut line, _) = Line::subscribe(server.addr, "all", None).await;
    api.done("POST", "pause/all", json!({})).await;
    api.numbers("all", 3..4).await;
    let quiet = tokio::time::timeout(Duration::from_millis(100), line.0.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    api.done("POST", "resume/all", json!({})).await;
    assert_eq!(line.pushed(1).await, [(3, "message".to_owned())]);
    api.done("DELETE", "delete/all", Value::Null).await;
    assert_eq!(line.code().await, Some(4004));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_is_not_known_is_told_and_closed() {
    let (server, mut api) = server().await;
    api.create("one", "pubsub", Value::Null).await;
    for first in [
        json!({ "authorization": "wrong" }).to_string(),
        json!({ "authorization": format!("Bearer {KEY}") }).to_string(),
        json!({ "authorization": KEY, "last_offset": "1" }).to_string(),
        json!({ "authorization": KEY, "client_id": 1 }).to_string(),
        json!({ "authorization": 1 }).to_string(),
        json!({}).to_string(),
        "[]".into(),
        "no json".into(),
    ] {
        let mut line = Line::dial(server.addr, "one").await;
        line.say(&first).await;
        let answer = line.hear().await;
        assert_eq!(answer["success"], false, "{first}");
        assert!(answer["error"].is_string() && answer.get("client_id").is_none());
        let close = CloseFrame { code: 4001.into(), reason: "Auth failed".into() };
        line.0.send(Message::Close(Some(close))).await.unwrap();
        assert_eq!(line.code().await, Some(4001), "{first}");
    }
    let (mut line, answer) = Line::subscribe(server.addr, "none", None).await;
    assert_eq!(answer["success"], false);
    line.say("more").await;
    assert_eq!(line.code().await, Some(4004));
    let mut line = Line::dial(server.addr, "one").await;
    line.0.send(Message::binary(json!({ "authorization": KEY }).to_string())).await.unwrap();
    assert_eq!(line.hear().await["success"], false);
    // What a subscriber says changes nothing.
    let (mut line, answer) = Line::subscribe(server.addr, "one", None).await;
    assert_eq!(answer["success"], true);
    line.say("junk").await;
    line.0.send(Message::Ping("ping".into())).await.unwrap();
    assert_eq!(line.next().await, Some(Message::Pong("ping".into())));
    api.numbers("one", 0..1).await;
    assert_eq!(line.pushed(1).await, [(0, "message".to_owned())]);
    for code in [1000_u16, 4000] {
        let (mut line, _) = Line::subscribe(server.addr, "one", None).await;
        line.0.send(Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))).await.unwrap();
        assert_eq!(line.code().await, Some(code));
    }
    let (mut line, _) = Line::subscribe(server.addr, "one", None).await;
    server.stop().await.unwrap();
    assert_eq!(line.code().await, Some(1001));
}

#[tokio::test]
async fn who_says_nothing_is_closed_in_time() {
    let limits = Limits { auth_ms: 200, ..Limits::default() };
    let server = Server::start(Options { limits, ..Options::default() }).await.unwrap();
    let mut line = Line::dial(server.addr, "one").await;
    assert_eq!(line.code().await, Some(4008));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_refused_politely() {
    let parts = Parts { destinations: false, sources: false, consumers: false, dated_paths: false };
    let server = Server::start(Options { parts, ..Options::default() }).await.unwrap();
    let mut api = Api::to(server.addr).await;
    api.create("one", "worker", Value::Null).await;
    assert_eq!(api.call("GET", "destinations/list/one").await.0, 501);
    assert_eq!(api.call("GET", "sources/list/one").await.0, 501);
    assert_eq!(api.call("GET", "consumers/list/one").await.0, 501);
    assert_eq!(api.call("GET", "get/2026-01-15/one").await.0, 404);
    server.stop().await.unwrap();
}

/// A sink that notes what comes and answers with the next of these statuses, and then with 200.
async fn sink(statuses: Vec<u16>) -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?a", listener.local_addr().unwrap());
    let heard: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let noted = Arc::clone(&heard);
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut statuses = statuses.into_iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            let mut buffer = [0; 4096];
            let length = |head: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                line.map_or(0, |n| n.parse::<usize>().unwrap())
            };
            let (head, body) = loop {
                let count = stream.read(&mut buffer).await.unwrap();
                text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                if let Some((head, body)) = text.split_once("\r\n\r\n")
                    && body.len() >= length(head)
                {
                    break (head.to_owned(), body.to_owned());
                }
            };
            noted.lock().unwrap().push((head, body));
            let status = statuses.next().unwrap_or(200);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, heard)
}

async fn until(what: impl Fn() -> bool) {
    within(async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn messages_are_delivered_to_destinations() {
    let (server, mut api) = server().await;
    api.create("one", "pubsub", Value::Null).await;
    api.numbers("one", 0..1).await;
    let (url, heard) = sink(vec![500, 200]).await;
    let policy = json!({ "max_attempts": 3, "initial_backoff_ms": 50 });
    let config = json!({ "url": url, "headers": { "X-Key": "v" }, "retry_policy": policy });
    let body = json!({ "destination_type": "http", "name": "d", "config": config });
    let made = api.done("POST", "destinations/create/one", body.clone()).await;
    let id = made["destination"]["id"].as_str().unwrap().to_owned();
    assert_eq!(made["destination"]["config"]["url"], url);
    assert_eq!(api.send(with("POST", "destinations/create/one", &body)).await.0, 409);
    api.publish("one", json!({ "n": 1 })).await;
    until(|| heard.lock().unwrap().len() == 2).await;
    for (head, body) in heard.lock().unwrap().iter() {
        assert!(head.starts_with("POST /hook?a HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("x-key: v") && head.contains("content-type: application/json"), "{head}");
        assert_eq!(body, "{\"n\":1}");
    }
    // What always fails is given up in the end.
    let (other, refusals) = sink(vec![503; 10]).await;
    let path = format!("destinations/update/one/{id}");
    api.done("PATCH", &path, json!({ "config": { "url": other } })).await;
    api.publish("one", json!(2)).await;
    until(|| refusals.lock().unwrap().len() == 3).await;
    api.publish("one", json!(3)).await;
    until(|| refusals.lock().unwrap().len() == 6).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((heard.lock().unwrap().len(), refusals.lock().unwrap().len()), (2, 6));
    let listed = api.done("GET", "destinations/list/one", Value::Null).await;
    let stats = &listed["destinations"][0]["stats"];
    assert_eq!((&stats["successful_deliveries"], &stats["failed_deliveries"]), (&json!(1), &json!(2)));
    api.done("PATCH", &path, json!({ "enabled": false })).await;
    api.publish("one", json!(4)).await;
    api.done("DELETE", &format!("destinations/delete/one/{id}"), Value::Null).await;
    api.publish("one", json!(5)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(refusals.lock().unwrap().len(), 6);
    assert_eq!(api.done("GET", "destinations/list/one", Value::Null).await["destinations"], json!([]));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn sources_take_what_is_posted() {
    let (server, mut api) = server().await;
    api.create("one", "worker", Value::Null).await;
    let made = api.done("POST", "sources/create/one", json!({ "name": "s" })).await;
    let (id, url) = (made["source"]["id"].as_str().unwrap(), made["source"]["url"].as_str().unwrap());
    let target = url.strip_prefix("http://test.example").unwrap();
    let post = |body: &'static str| Request::new("POST", target).body(body);
    let (status, taken) = api.send(post("{\"a\": 1}")).await;
    assert_eq!(status, 201, "{taken}");
    let received = api.receive("one", 0).await;
    assert_eq!((&received["payload"], &received["source_id"]), (&json!({ "a": 1 }), &json!(id)));
    assert_eq!(received["source_name"], "s");
    assert_eq!(api.send(post("{")).await.0, 400);
    let path = format!("sources/update/one/{id}");
    api.done("PATCH", &path, json!({ "auth_type": "header", "auth_value": "secret" })).await;
    assert_eq!(api.send(post("1")).await.0, 401);
    assert_eq!(api.send(post("1").header("authorization", "secret")).await.0, 201);
    api.done("PATCH", &path, json!({ "enabled": false })).await;
    assert_eq!(api.send(post("1").header("authorization", "secret")).await.0, 403);
    let told = api.done("GET", &format!("sources/get/one/{id}"), Value::Null).await;
    assert_eq!((&told["source"]["request_count"], &told["source"]["failure_count"]), (&json!(5), &json!(3)));
    api.done("DELETE", &format!("sources/delete/one/{id}"), Value::Null).await;
    assert_eq!(api.send(post("1")).await.0, 404);
    assert_eq!(api.done("GET", "get/one", Value::Null).await["queue"]["next_offset"], 2);
    server.stop().await.unwrap();
}
