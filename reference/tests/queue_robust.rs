//! The seams at which a server of queues is broken on purpose, and what it survives.

use crate::{
    client::{Client, raw, within},
    queue_client::{Api, Line, operation},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;
use wireproof_reference::{
    http,
    model::{Decision, Model},
    queue::{
        KEY, Limits, Options, QueueModel, Seams, Server,
        model::{Ask, Input},
        seams::Frame,
    },
};

async fn started(seams: Seams) -> (wireproof_reference::queue::Running, Api) {
    let server = Server::start(Options { seams, ..Options::default() }).await.unwrap();
    let api = Api::to(server.addr).await;
    (server, api)
}

#[tokio::test]
async fn seams_of_http() {
    let seams = http::Seams {
        request: Box::new(|request| request.query.remove("limit")),
        reply: Box::new(|request, reply| {
            if request.path.starts_with("/queue/get/") {
                reply.status = 404;
            }
        }),
        delay: Some(Box::new(|request, _| (request.method == "PATCH").then_some(Duration::from_millis(30)))),
        bytes: Some(Box::new(|request, _| request.path.contains("/tail/").then(|| b"cut".to_vec()))),
        ..http::Seams::honest()
    }
    .into();
    let (server, mut api) = started(seams).await;
    api.create("one", "pubsub", Value::Null).await;
    api.numbers("one", 0..3).await;
    let consumed = api.done("GET", "consume/one?offset=0&limit=1", Value::Null).await;
    assert_eq!(consumed["messages"].as_array().unwrap().len(), 3);
    let told = Client::to(server.addr).await.send(operation("GET", "get/one")).await;
    assert_eq!(told.status, 404);
    let before = Instant::now();
    api.done("PATCH", "update/one", json!({})).await;
    assert!(before.elapsed() >= Duration::from_millis(30));
    let head = format!("GET /queue/tail/one HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
    assert_eq!(raw(server.addr, head.as_bytes(), false).await, b"cut");
}

#[tokio::test]
async fn seams_of_connections() {
    let seams = Seams {
        frames: Some(Box::new(|handshake, _, frames| {
            if handshake.path.ends_with("/cut") {
                frames.retain(|frame| !matches!(frame, Frame::Text(text) if text.contains("\"payload\":1,")));
                let last =
                    |frame: &Frame| matches!(frame, Frame::Text(text) if text.contains("\"payload\":2,"));
                if let Some(at) = frames.iter().position(last) {
                    frames.truncate(at + 1);
                    frames.push(Frame::Cut);
                }
            }
        })),
        heard: Some(Box::new(|_, _, frame| {
            if let Frame::Text(text) = frame {
                *text = text.replace("open sesame", KEY);
            }
        })),
        // A pong is a frame whose first byte is 0x8a.
        written: Some(Arc::new(|bytes| {
            if bytes.first() == Some(&0x8a) {
                bytes.clear();
            }
        })),
        ..Seams::honest()
    };
    let (server, mut api) = started(seams).await;
    api.create("cut", "pubsub", Value::Null).await;
    let mut line = Line::dial(server.addr, "cut").await;
    line.say(&json!({ "authorization": "open sesame" }).to_string()).await;
    assert_eq!(line.hear().await["success"], true);
    line.0.send(Message::Ping("x".into())).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(100), line.0.next()).await;
    assert!(quiet.is_err(), "no pong: {quiet:?}");
    api.numbers("cut", 0..4).await;
    assert_eq!(line.hear().await["messages"][0]["payload"], 0);
    assert_eq!(line.hear().await["messages"][0]["payload"], 2);
    assert_eq!(line.next().await, None);
}

#[tokio::test]
async fn what_comes_too_early_or_too_late_has_seams_and_keep_alives_are_texts() {
    let text = |text: &str| Some(Message::text(text));
    let seams = Seams {
        opening: Some(Box::new(|_, _, frames| frames.push(Frame::Text("early".into())))),
        heard: Some(Box::new(|_, _, frame| match frame {
            Frame::Text(text) if text == "close" => *frame = Frame::Close(4321, "heard".into()),
            Frame::Binary(_) => *frame = Frame::Cut,
            _ => {}
        })),
        ..Seams::honest()
    };
    let limits = Limits { ping_ms: 20, ..Limits::default() };
    let options = Options { limits, seams, keep_alive: Some("alive"), ..Options::default() };
    let server = Server::start(options).await.unwrap();
    let mut api = Api::to(server.addr).await;
    api.create("one", "pubsub", Value::Null).await;
    for last in [Message::text("close"), Message::binary("cut")] {
        let mut line = Line::dial(server.addr, "one").await;
        assert_eq!(line.next().await, text("early"));
        line.say(&json!({ "authorization": KEY }).to_string()).await;
        assert_eq!(line.hear().await["success"], true);
        // One behind the answer, and one along with each ping.
        for _ in 0..3 {
            assert_eq!(line.next().await, text("alive"));
        }
        line.say("passed over").await;
        assert_eq!(line.next().await, text("alive"));
        let closes = last.is_text();
        line.0.send(last).await.unwrap();
        let end = loop {
            let next = line.next().await;
            if next != text("alive") {
                break next;
            }
        };
        match end {
            Some(Message::Close(Some(frame))) => assert!(closes && u16::from(frame.code) == 4321),
            other => assert!(!closes && other.is_none(), "{other:?}"),
        }
    }
}

#[tokio::test]
async fn seams_of_the_model_and_the_log() {
    let forgets = Box::new(|state: &<QueueModel as Model>::State, now, input: &Input| {
        let decision = QueueModel::decide(state, now, input);
        match input {
            Input::Ask { ask: Ask::Ack(_), .. } => {
                Decision { records: Vec::new(), effects: decision.effects }
            }
            _ => decision,
        }
    });
    let data = tempfile::tempdir().unwrap();
    let options = |seams| Options { data: Some(data.path().into()), seams, ..Options::default() };
    let server = Server::start(options(Seams { port: forgets, ..Seams::honest() })).await.unwrap();
    let mut api = Api::to(server.addr).await;
    api.create("one", "worker", Value::Null).await;
    api.numbers("one", 0..3).await;
    let received = api.receive("one", 0).await;
    let id = received["id"].as_str().unwrap();
    api.done("POST", &format!("ack/one/{id}"), Value::Null).await;
    let told = api.done("GET", &format!("messages/get/one/{id}"), Value::Null).await;
    assert_eq!(told["message"]["state"], "leased", "the ack was forgotten");
    drop(api);
    server.stop().await.unwrap();
    // The last message is lost, and so is that there was a lease.
    let recovery = Box::new(|entries: Vec<_>| entries.into_iter().take(3).collect());
    let server = Server::start(options(Seams { recovery: Some(recovery), ..Seams::honest() })).await.unwrap();
    let mut api = Api::to(server.addr).await;
    let consumed = api.done("GET", "consume/one?offset=0", Value::Null).await;
    assert_eq!(consumed["messages"].as_array().unwrap().len(), 2);
    assert_eq!(api.receive("one", 0).await["delivery_attempts"], 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn bounds_hold() {
    let limits = Limits {
        max_body: 2000,
        max_frame: 1000,
        body_ms: 50,
        replay_batch: 3,
        chunk: 1,
        ping_ms: 20,
        ..Limits::default()
    };
    let server = Server::start(Options { limits, ..Options::default() }).await.unwrap();
    let mut api = Api::to(server.addr).await;
    api.create("one", "pubsub", Value::Null).await;
    let long = operation("POST", "messages/publish/one").body(vec![b' '; 2001]);
    assert_eq!(api.send(long).await.0, 413);
    let head = format!(
        "POST /queue/pause/one HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 9\r\n\r\n"
    );
    let slow = raw(server.addr, head.as_bytes(), false).await;
    assert!(slow.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&slow));
    for n in 0..10 {
        api.publish("one", json!(n)).await;
    }
    let (mut line, _) = Line::subscribe(server.addr, "one", Some(-1)).await;
    assert_eq!(line.pushed(10).await.last().unwrap(), &(9, "replay".to_owned()));
    line.say(&"x".repeat(1001)).await;
    assert_eq!(line.code().await, Some(4009));
    let mut line = Line::dial(server.addr, "one").await;
    line.say(&"x".repeat(1001)).await;
    assert_eq!(line.code().await, Some(4009));
    // Who answers no ping is gone; nobody reads from this one, so that no pong is sent.
    let (line, _) = Line::subscribe(server.addr, "one", None).await;
    let consumers = "consumers/list/one";
    assert_eq!(api.done("GET", consumers, Value::Null).await["total"], 1);
    within(async {
        while api.done("GET", consumers, Value::Null).await["total"] != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    drop(line);
    // Bytes that are no WebSocket, and an end without a word.
    let (mut line, _) = Line::subscribe(server.addr, "one", None).await;
    line.0.get_mut().write_all(b"\xff\xff\xff\xff").await.unwrap();
    while line.next().await.is_some() {}
    let (line, _) = Line::subscribe(server.addr, "one", None).await;
    drop(line);
    within(async {
        while api.done("GET", consumers, Value::Null).await["total"] != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_subscriber_that_takes_nothing_is_cut_off_and_holds_up_nobody() {
    let limits = Limits { write_ms: 200, ..Limits::default() };
    let server = Server::start(Options { limits, ..Options::default() }).await.unwrap();
    let mut api = Api::to(server.addr).await;
    api.create("one", "pubsub", Value::Null).await;
    for _ in 0..40 {
        api.publish("one", json!("x".repeat(500_000))).await;
    }
    let (slow, _) = Line::subscribe(server.addr, "one", Some(-1)).await;
    let (mut quick, _) = Line::subscribe(server.addr, "one", Some(-1)).await;
    let mut count = 0;
    while count < 40 {
        count += quick.hear().await["messages"].as_array().unwrap().len();
    }
    within(async {
        while api.done("GET", "consumers/list/one", Value::Null).await["total"] != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    drop(slow);
}
