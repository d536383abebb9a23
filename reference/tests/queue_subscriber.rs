//! The subscriber against the reference server, and against a server that says what a test wants.

use crate::{
    client::within,
    queue_client::Api,
    queue_script::{Script, error, is, offsets, processed, push, quick, telling, welcome},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::tungstenite::Message as Wire;
use wireproof_reference::queue::{
    KEY, Limits, Options, Server,
    client::{Error, Handle, Seams, Settings, Status, Subscribe, seams::MapDelay, stream, subscribe},
    seams::Frame,
};

#[tokio::test]
async fn what_is_published_is_delivered() {
    let server = Server::start(Options::default()).await.unwrap();
    let mut api = Api::to(server.addr).await;
    api.create("one", "pubsub", Value::Null).await;
    let settings = quick(server.addr);
    let (subscription, mut told) = telling(&settings, Seams::honest(), |_| false);
    let mut messages = stream(&settings, &Subscribe::to("one"), Seams::honest()).unwrap();
    is(&subscription, Status::Connected).await;
    is(&messages, Status::Connected).await;
    api.numbers("one", 0..300).await;
    assert_eq!(offsets(&mut told, 300).await, (0..300).collect::<Vec<_>>());
    for n in 0..300 {
        let message = within(messages.next()).await.unwrap().unwrap();
        assert_eq!(message.payload.get(), n.to_string());
    }
    messages.processed();
    processed(&messages, 299).await;
    processed(&subscription, 299).await;
    assert!(subscription.seen().client_id.is_some_and(|id| id.starts_with("qcid_")));
    messages.close().await;
    assert_eq!(messages.next().await, None);
    subscription.close().await;
    within(subscription.ended()).await.unwrap();
    api.publish("one", json!(300)).await;
    assert!(told.try_recv().is_err());
    // A new life goes on where the old one was.
    let again = Subscribe { last_offset: Some(298), ..Subscribe::to("one") };
    let mut messages = stream(&settings, &again, Seams::honest()).unwrap();
    for n in 299..=300 {
        assert_eq!(within(messages.next()).await.unwrap().unwrap().offset.get(), n);
    }
    drop(messages);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_missed_while_cut_off_comes_in_order_and_once() {
    // Every connection is cut behind its tenth frame, or somewhere in the middle of many.
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seams = wireproof_reference::queue::Seams {
        frames: Some({
            let counts = Mutex::new(std::collections::HashMap::<u64, usize>::new());
            Box::new(move |_, number, frames| {
                let mut counts = counts.lock().unwrap();
                let count = counts.entry(number).or_default();
                let left = 10_usize.saturating_sub(*count);
                *count += frames.len();
                if frames.len() >= left {
                    frames.truncate(left);
                    frames.push(Frame::Cut);
                }
            })
        }),
        heard: Some({
            let asked = Arc::clone(&asked);
            Box::new(move |_, _, frame| {
                if let Frame::Text(text) = frame {
                    asked.lock().unwrap().push(serde_json::from_str::<Value>(text).unwrap());
                }
            })
        }),
        ..wireproof_reference::queue::Seams::honest()
    };
    let limits = Limits { replay_batch: 7, ..Limits::default() };
    let server = Server::start(Options { limits, seams, ..Options::default() }).await.unwrap();
    let mut api = Api::to(server.addr).await;
    api.create("one", "pubsub", Value::Null).await;
    let seams = Seams { delay: Some(Box::new(|_, delay| *delay = 1)), ..Seams::honest() };
    let (subscription, mut told) = telling(&quick(server.addr), seams, |_| false);
    is(&subscription, Status::Connected).await;
    for n in 0..20 {
        api.numbers("one", n * 20..n * 20 + 20).await;
    }
    assert_eq!(offsets(&mut told, 400).await, (0..400).collect::<Vec<_>>());
    subscription.close().await;
    let asked = asked.lock().unwrap();
    assert!(asked.len() > 3, "it was cut off: {asked:?}");
    let ids: std::collections::HashSet<_> =
        asked.iter().filter_map(|asked| asked["client_id"].as_str()).collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn the_first_frame_says_who_it_is_and_no_more() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.base_url.push_str("pre/");
    settings.org_id = Some("org_1".into());
    let (subscription, mut told) = telling(&settings, Seams::honest(), |_| false);
    let (mut peer, request) = script.dialled().await;
    assert_eq!(request.uri().path(), "/pre/queue/ws/one");
    assert!(request.headers().get("authorization").is_none());
    assert!(request.headers().get("sec-websocket-protocol").is_none());
    assert_eq!(peer.hear().await, json!({ "authorization": KEY, "orgId": "org_1" }));
    peer.say(&welcome()).await;
    // Nothing was processed: there is an id, and no offset.
    is(&subscription, Status::Connected).await;
    peer.close(1012).await;
    let (mut peer, asked) = script.let_in(json!({ "success": true, "client_id": "", "more": 1 })).await;
    assert_eq!(asked, json!({ "authorization": KEY, "client_id": "qcid_1", "orgId": "org_1" }));
    peer.push(&[0]).await;
    assert_eq!(offsets(&mut told, 1).await, [0]);
    peer.close(1000).await;
    let (mut peer, asked) = script.let_in(json!({ "success": true, "error": "none" })).await;
    assert_eq!((&asked["client_id"], &asked["last_offset"]), (&json!("qcid_1"), &json!(0)));
    peer.push(&[5, 2, 3]).await;
    assert_eq!(offsets(&mut told, 3).await, [5, 2, 3]);
    processed(&subscription, 3).await;
    drop(peer);
    let (mut peer, asked) = script.let_in(json!({ "success": true, "client_id": "qcid_2" })).await;
    assert_eq!((&asked["client_id"], &asked["last_offset"]), (&json!("qcid_1"), &json!(3)));
    is(&subscription, Status::Connected).await;
    assert_eq!(subscription.seen().client_id.as_deref(), Some("qcid_2"));
    drop(subscription);
    assert_eq!(peer.closed().await, Some((1000, "Client closed".into())));
}

#[tokio::test]
async fn a_handler_that_fails_keeps_the_offset_and_gets_the_rest() {
    let script = Script::start().await;
    let mut failed = false;
    let fails = move |offset| offset == 2 && !std::mem::replace(&mut failed, true);
    let (mut subscription, mut told) = telling(&script.settings(), Seams::honest(), fails);
    let (mut peer, _) = script.let_in(welcome()).await;
    peer.push(&[0, 1, 2, 3]).await;
    peer.push(&[4]).await;
    assert_eq!(offsets(&mut told, 5).await, [0, 1, 2, 3, 4]);
    let failed = Error::Handler { offset: 2, why: "as wanted".into() };
    assert_eq!(error(&mut subscription.events).await, failed);
    peer.close(1011).await;
    let (mut peer, asked) = script.let_in(welcome()).await;
    assert_eq!(asked["last_offset"], 1);
    peer.push(&[2, 3, 4, 5]).await;
    assert_eq!(offsets(&mut told, 4).await, [2, 3, 4, 5]);
    processed(&subscription, 5).await;
}

#[tokio::test]
async fn what_a_stream_does_not_process_comes_again() {
    let script = Script::start().await;
    let mut messages = stream(&script.settings(), &Subscribe::to("one"), Seams::honest()).unwrap();
    let (mut peer, _) = script.let_in(welcome()).await;
    peer.push(&[0, 1, 2]).await;
    for offset in 0..=1 {
        assert_eq!(within(messages.next()).await.unwrap().unwrap().offset.get(), offset);
    }
    messages.failed("no");
    assert_eq!(within(messages.next()).await.unwrap().unwrap().offset.get(), 2);
    messages.processed();
    peer.close(1001).await;
    let (mut peer, asked) = script.let_in(welcome()).await;
    assert_eq!(asked["last_offset"], 0);
    peer.push(&[1]).await;
    assert_eq!(within(messages.next()).await.unwrap().unwrap().offset.get(), 1);
    peer.close(4321).await;
    assert!(matches!(within(messages.next()).await, Some(Err(Error::Final { code: 4321, .. }))));
    assert_eq!(messages.next().await, None);
    script.quiet(100).await;
}

#[tokio::test]
async fn what_is_no_push_is_passed_over() {
    let script = Script::start().await;
    let (_subscription, mut told) = telling(&script.settings(), Seams::honest(), |_| false);
    let (mut peer, _) = script.let_in(welcome()).await;
    for text in ["ping", "{}", "[]", "null", "{\"type\":\"more\",\"queue_id\":\"q\",\"messages\":[]}"] {
        peer.text(text).await;
    }
    peer.say(&json!({ "success": false, "error": "late" })).await;
    peer.push(&[]).await;
    let mut nameless = push(&[7]);
    nameless.as_object_mut().unwrap().remove("queue_id");
    peer.say(&nameless).await;
    let mut mixed = push(&[7, 8, 9]);
    mixed["messages"][1]["state"] = "unheard of".into();
    peer.say(&mixed).await;
    peer.0.send(Wire::binary(push(&[7]).to_string())).await.unwrap();
    let mut lenient = push(&[10]);
    lenient["more"] = json!(1);
    lenient["type"] = "replay".into();
    lenient["messages"][0]["metadata"] = Value::Null;
    lenient["messages"][0]["more"] = json!({});
    peer.say(&lenient).await;
    assert_eq!(offsets(&mut told, 1).await, [10]);
    // A frame in pieces, and a ping between them.
    let text = push(&[11]).to_string();
    let (first, rest) = text.as_bytes().split_at(10);
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame as Raw,
        coding::{Data, OpCode},
    };
    let part = |bytes: &[u8], code, last| Wire::Frame(Raw::message(bytes.to_vec(), OpCode::Data(code), last));
    peer.0.send(part(first, Data::Text, false)).await.unwrap();
    peer.0.send(Wire::Ping("p".into())).await.unwrap();
    assert_eq!(within(peer.0.next()).await.unwrap().unwrap(), Wire::Pong("p".into()));
    peer.0.send(part(rest, Data::Continue, true)).await.unwrap();
    assert_eq!(offsets(&mut told, 1).await, [11]);
}

#[tokio::test]
async fn a_wrong_key_is_the_end() {
    let server = Server::start(Options::default()).await.unwrap();
    Api::to(server.addr).await.create("one", "pubsub", Value::Null).await;
    let settings = Settings { key: "wrong".into(), ..quick(server.addr) };
    let mut messages = stream(&settings, &Subscribe::to("one"), Seams::honest()).unwrap();
    let why = Error::AuthFailed("invalid key".into());
    assert_eq!(within(messages.next()).await, Some(Err(why.clone())));
    assert_eq!(messages.seen().dials, 1);
    assert_eq!(within(messages.ended()).await, Err(why));
    let script = Script::start().await;
    let (mut subscription, _told) = telling(&script.settings(), Seams::honest(), |_| false);
    let (mut peer, _) = script.let_in(json!({ "success": false })).await;
    assert_eq!(peer.closed().await, Some((4001, "Auth failed".into())));
    assert_eq!(error(&mut subscription.events).await, Error::AuthFailed("Unknown error".into()));
    script.quiet(100).await;
}

#[tokio::test]
async fn a_first_frame_that_is_no_auth_response_is_the_end_or_not() {
    let vectors = [
        "{}",
        "[]",
        "{\"ok\":true}",
        "{\"success\":\"true\"}",
        "{\"success\":false,\"error\":null}",
        "{\"success\":true,\"client_id\":null}",
        "no JSON",
        &push(&[0]).to_string(),
    ];
    for text in vectors {
        let script = Script::start().await;
        let (subscription, mut told) = telling(&script.settings(), Seams::honest(), |_| false);
        let (mut peer, _) = script.asked().await;
        peer.text(text).await;
        peer.push(&[1]).await;
        assert_eq!(peer.closed().await, Some((4000, "Invalid auth response".into())), "{text}");
        let end = within(subscription.until(|seen| seen.end.is_some())).await.unwrap().end.unwrap();
        assert!(matches!(end, Err(Error::AuthUnexpected(_) | Error::AuthNotJson(_))), "{text}: {end:?}");
        assert!(told.try_recv().is_err(), "{text}");
    }
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.redial.final_4xxx = false;
    let (subscription, mut told) = telling(&settings, Seams::honest(), |_| false);
    let (mut peer, _) = script.asked().await;
    peer.0.send(Wire::binary(welcome().to_string())).await.unwrap();
    assert_eq!(peer.closed().await.unwrap().0, 4000);
    let (peer, _) = script.let_in(welcome()).await;
    peer.close(4100).await;
    let (mut peer, _) = script.let_in(welcome()).await;
    peer.push(&[0]).await;
    assert_eq!(offsets(&mut told, 1).await, [0]);
    assert_eq!(subscription.seen().dials, 3);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_dialled_again() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.redial.auth_timeout_ms = 50;
    let (mut subscription, _told) = telling(&settings, Seams::honest(), |_| false);
    let (mut peer, _) = script.asked().await;
    assert_eq!(peer.closed().await, Some((4000, "Invalid auth response".into())));
    assert_eq!(error(&mut subscription.events).await, Error::NoAuthResponse(50));
    let (_peer, _) = script.let_in(welcome()).await;
    is(&subscription, Status::Connected).await;
    drop(subscription);
    // Nor is one that does not answer the handshake.
    settings.redial.dial_timeout_ms = 50;
    let (mut subscription, _told) = telling(&settings, Seams::honest(), |_| false);
    let (held, _) = within(script.0.accept()).await.unwrap();
    assert!(matches!(error(&mut subscription.events).await, Error::Dial(_)));
    let (_peer, _) = script.let_in(welcome()).await;
    drop(held);
}

#[tokio::test]
async fn it_dials_again_as_often_as_it_may_and_the_delays_grow() {
    let free = Script::start().await.addr();
    for most in [0, 2] {
        let delays = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&delays);
        let seams = Seams {
            delay: Some(Box::new(move |n, delay| {
                seen.lock().unwrap().push((n, *delay));
                *delay = 0;
            })),
            ..Seams::honest()
        };
        let mut settings = Settings::new(format!("http://{free}"), KEY);
        settings.redial.attempts = Some(most);
        let mut messages = stream(&settings, &Subscribe::to("one"), seams).unwrap();
        assert_eq!(within(messages.next()).await, Some(Err(Error::Exhausted(most))));
        assert_eq!(messages.seen().dials, u64::from(most) + 1);
        let delays = delays.lock().unwrap();
        assert_eq!(delays.len(), most as usize);
        for (n, delay) in delays.iter() {
            assert!((500 << n..1000 << n).contains(delay), "{delays:?}");
        }
    }
    // Only who is let in begins anew.
    let script = Script::start().await;
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&numbers);
    let delay: MapDelay = Box::new(move |n, delay| {
        seen.lock().unwrap().push(n);
        *delay = 0;
    });
    let seams = Seams { delay: Some(delay), ..Seams::honest() };
    let (_subscription, _told) = telling(&script.settings(), seams, |_| false);
    for _ in 0..3 {
        script.asked().await.0.close(1012).await;
    }
    script.let_in(welcome()).await.0.close(1012).await;
    let (refused, _) = within(script.0.accept()).await.unwrap();
    drop(refused);
    script.asked().await;
    assert_eq!(*numbers.lock().unwrap(), [0, 1, 2, 0, 1]);
}

#[tokio::test]
async fn a_close_ends_it_in_every_phase() {
    let client_closed = Some((1000, "Client closed".to_owned()));
    // While it connects: there is nobody to say it to.
    let script = Script::start().await;
    let (subscription, _told) = telling(&script.settings(), Seams::honest(), |_| false);
    let (held, _) = within(script.0.accept()).await.unwrap();
    assert_eq!(subscription.seen().status, Status::Connecting);
    subscription.close().await;
    within(subscription.ended()).await.unwrap();
    drop(held);
    script.quiet(60).await;
    // While it waits for the AuthResponse.
    let (subscription, _told) = telling(&script.settings(), Seams::honest(), |_| false);
    let (mut peer, _) = script.asked().await;
    subscription.close().await;
    assert_eq!(peer.closed().await, client_closed);
    drop(peer);
    within(subscription.ended()).await.unwrap();
    // While it is connected.
    let (subscription, mut told) = telling(&script.settings(), Seams::honest(), |_| false);
    let (mut peer, _) = script.let_in(welcome()).await;
    is(&subscription, Status::Connected).await;
    subscription.close().await;
    assert_eq!(subscription.seen().status, Status::Closed);
    peer.push(&[0]).await;
    assert_eq!(peer.closed().await, client_closed);
    drop(peer);
    within(subscription.ended()).await.unwrap();
    assert_eq!(told.recv().await, None);
    // While it waits to dial again.
    let mut settings = script.settings();
    (settings.redial.base_ms, settings.redial.max_ms) = (100, 100);
    let (subscription, _told) = telling(&settings, Seams::honest(), |_| false);
    script.let_in(welcome()).await.0.close(1001).await;
    is(&subscription, Status::Waiting).await;
    subscription.close().await;
    within(subscription.ended()).await.unwrap();
    // Behind its end, and a second time.
    subscription.close().await;
    script.quiet(200).await;
}

#[tokio::test]
async fn nothing_is_delivered_behind_a_close_in_the_handler_or_beside_it() {
    let script = Script::start().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let own = Arc::new(Mutex::new(None::<Handle>));
    let handle = Arc::clone(&own);
    let subscription =
        subscribe(&script.settings(), &Subscribe::to("one"), Seams::honest(), move |message| {
            let (tell, handle) = (tell.clone(), handle.lock().unwrap().clone());
            async move {
                tell.send(message.offset.get()).unwrap();
                if message.offset.get() == 1
                    && let Some(handle) = handle
                {
                    handle.close().await;
                }
                Ok::<_, String>(())
            }
        })
        .unwrap();
    *own.lock().unwrap() = Some(subscription.handle());
    let (mut peer, _) = script.let_in(welcome()).await;
    peer.push(&[0, 1, 2, 3]).await;
    peer.push(&[4]).await;
    assert_eq!(peer.closed().await, Some((1000, "Client closed".into())));
    drop(peer);
    within(subscription.ended()).await.unwrap();
    assert_eq!(offsets(&mut told, 2).await, [0, 1]);
    assert_eq!(told.recv().await, None);
    assert_eq!(subscription.seen().last_offset, Some(1), "the handler has returned");
    // While a message is with the handler, the end does not wait for it.
    let gate = Arc::new(Semaphore::new(0));
    let (begun, mut beginning) = mpsc::unbounded_channel();
    let held = Arc::clone(&gate);
    let subscription = subscribe(&script.settings(), &Subscribe::to("one"), Seams::honest(), move |_| {
        let held = Arc::clone(&held);
        begun.send(()).unwrap();
        async move { held.acquire().await.map(drop) }
    })
    .unwrap();
    let (mut peer, _) = script.let_in(welcome()).await;
    peer.push(&[0, 1]).await;
    within(beginning.recv()).await.unwrap();
    within(subscription.close()).await;
    assert_eq!(peer.closed().await, Some((1000, "Client closed".into())));
    drop(peer);
    gate.add_permits(2);
    within(subscription.ended()).await.unwrap();
    assert_eq!(beginning.recv().await, None);
}
