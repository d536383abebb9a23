//! What a subscriber bears, what it does not begin, and where it can be broken.

use crate::{
    client::within,
    queue_script::{Script, error, offsets, processed, push, telling, welcome},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    sync::{Semaphore, mpsc},
};
use tokio_tungstenite::tungstenite::Message as Wire;
use wireproof_reference::{
    model::{Decision, Model},
    queue::{
        KEY,
        client::{
            Bounds, Error, Seams, Settings, Subscribe, SubscriberModel, model::What, stream, subscribe,
        },
        seams::Frame,
    },
};

#[tokio::test]
async fn a_slow_handler_holds_up_the_server_and_nothing_grows() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.bounds = Bounds { queued_frames: 4, queued_bytes: 100_000, ..Bounds::default() };
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let (tell, mut told) = mpsc::unbounded_channel();
    let _subscription = subscribe(&settings, &Subscribe::to("one"), Seams::honest(), move |message| {
        let (held, tell) = (Arc::clone(&held), tell.clone());
        async move {
            tell.send(message.offset.get()).unwrap();
            held.acquire().await.map(std::mem::forget)
        }
    })
    .unwrap();
    let (mut peer, _) = script.let_in(welcome()).await;
    let mut long = push(&[0]);
    long["messages"][0]["payload"] = "x".repeat(1 << 20).into();
    // Far more than buffers of sockets hold.
    let mut sent = 0;
    while let Ok(()) = tokio::time::timeout(Duration::from_millis(300), async {
        long["messages"][0]["offset"] = sent.into();
        peer.0.send(Wire::text(long.to_string())).await.unwrap();
    })
    .await
    {
        sent += 1;
        assert!(sent < 100, "it reads on and on");
    }
    gate.add_permits(1000);
    let flush = peer.0.flush();
    let (flushed, told) = tokio::join!(within(flush), offsets(&mut told, sent as usize + 1));
    flushed.unwrap();
    assert_eq!(told, (0..=sent).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_frame_that_is_too_long_ends_its_connection() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.bounds.max_frame = 1000;
    let (mut subscription, mut told) = telling(&settings, Seams::honest(), |_| false);
    let (mut peer, _) = script.let_in(welcome()).await;
    peer.push(&[0]).await;
    peer.text(&" ".repeat(1001)).await;
    assert_eq!(peer.closed().await, Some((1009, "Message too big".into())));
    assert!(matches!(error(&mut subscription.events).await, Error::Closed { code: 1009, .. }));
    let (_peer, asked) = script.let_in(welcome()).await;
    assert_eq!(asked["last_offset"], 0);
    assert_eq!(offsets(&mut told, 1).await, [0]);
}

#[tokio::test]
async fn what_is_no_websocket_ends_its_connection() {
    let script = Script::start().await;
    let (mut subscription, mut told) = telling(&script.settings(), Seams::honest(), |_| false);
    // A frame with a code that there is not, and a text that is none.
    for (bytes, code) in [(&b"\x83\x00"[..], 1002), (&b"\x81\x01\xff"[..], 1007)] {
        let (mut peer, _) = script.let_in(welcome()).await;
        peer.0.get_mut().write_all(bytes).await.unwrap();
        assert_eq!(peer.closed().await.unwrap().0, code);
        assert!(matches!(error(&mut subscription.events).await, Error::Closed { code: c, .. } if c == code));
    }
    let (mut peer, _) = script.let_in(welcome()).await;
    peer.push(&[0]).await;
    assert_eq!(offsets(&mut told, 1).await, [0]);
}

#[tokio::test]
async fn what_cannot_be_fails_without_a_dial() {
    let script = Script::start().await;
    let settings = script.settings();
    let attempt = |settings: &Settings, to: &Subscribe| stream(settings, to, Seams::honest()).err();
    for name in ["", "A", "1a", "-a", "a b", &"a".repeat(257)] {
        assert!(matches!(attempt(&settings, &Subscribe::to(name)), Some(Error::Name(_))), "{name}");
    }
    let one = Subscribe::to("one");
    let keyless = Settings { key: String::new(), ..settings.clone() };
    assert_eq!(attempt(&keyless, &one), Some(Error::NoKey));
    for base_url in ["h", "ftp://h", "https://", ""] {
        let elsewhere = Settings { base_url: base_url.into(), ..settings.clone() };
        assert!(matches!(attempt(&elsewhere, &one), Some(Error::Url(..))), "{base_url}");
    }
    for wrong in [
        Subscribe { last_offset: Some(-2), ..one.clone() },
        Subscribe { client_id: Some("x".repeat(257)), ..one },
    ] {
        assert!(matches!(attempt(&settings, &wrong), Some(Error::Presented(_))));
    }
    script.quiet(50).await;
}

#[tokio::test]
async fn seams_break_it_where_they_say() {
    let script = Script::start().await;
    let seams = Seams {
        dial: Some(Box::new(|number, dial| {
            dial.headers.push("authorization", format!("number {number}"));
            dial.url.push_str("?more");
        })),
        heard: Some(Box::new(|_, frame| {
            if let Frame::Text(text) = frame {
                *text = text.replace("yes", "true");
            }
        })),
        said: Some(Box::new(|_, frames| match &mut frames[0] {
            Frame::Text(text) => *text = text.replace(KEY, "another"),
            Frame::Close(code, _) => *code = 1001,
            _ => {}
        })),
        written: Some(Arc::new(|bytes| {
            if bytes.first() == Some(&0x8a) {
                bytes.clear();
            }
        })),
        read: Some(Arc::new(|bytes| {
            if let Some(at) = bytes.windows(3).position(|three| three == b"YES") {
                bytes[at..at + 3].make_ascii_lowercase();
            }
        })),
        delivered: Some(Box::new(|messages| messages.reverse())),
        port: Box::new(|state, now, input| {
            let decision = SubscriberModel::decide(state, now, input);
            match input.what {
                What::Returned(..) => Decision { records: Vec::new(), effects: decision.effects },
                _ => decision,
            }
        }),
        delay: None,
        hasty: false,
    };
    let (subscription, mut told) = telling(&script.settings(), seams, |_| false);
    let (mut peer, request) = script.dialled().await;
    assert_eq!(request.uri(), "/queue/ws/one?more");
    assert_eq!(request.headers()["authorization"], "number 1");
    assert_eq!(peer.hear().await, json!({ "authorization": "another" }));
    peer.text("{\"success\":YES}").await;
    peer.push(&[0, 1, 2]).await;
    assert_eq!(offsets(&mut told, 3).await, [2, 1, 0]);
    peer.0.send(Wire::Ping("p".into())).await.unwrap();
    peer.push(&[3]).await;
    assert_eq!(offsets(&mut told, 1).await, [3]);
    subscription.close().await;
    // No pong comes before it.
    match within(peer.0.next()).await {
        Some(Ok(Wire::Close(Some(close)))) => assert_eq!(u16::from(close.code), 1001),
        other => panic!("expected a close, heard {other:?}"),
    }
    assert_eq!(subscription.seen().last_offset, None, "that it returned was forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_delivered_behind_a_close_whenever_it_comes() {
    let script = Script::start().await;
    for round in 0..10 {
        let closed = Arc::new(AtomicBool::new(false));
        let (seen, late) = (Arc::clone(&closed), Arc::new(AtomicBool::new(false)));
        let is_late = Arc::clone(&late);
        let (begun, mut beginning) = mpsc::unbounded_channel();
        let subscription =
            subscribe(&script.settings(), &Subscribe::to("one"), Seams::honest(), move |message| {
                is_late.fetch_or(seen.load(Ordering::SeqCst), Ordering::SeqCst);
                let _ = begun.send(message.offset.get());
                async { Ok::<_, String>(()) }
            })
            .unwrap();
        let (mut peer, _) = script.let_in(welcome()).await;
        let flood = tokio::spawn(async move {
            let many: Vec<i64> = (0..50).collect();
            // Until it is closed.
            while peer.0.send(Wire::text(push(&many).to_string())).await.is_ok() {}
            peer
        });
        for _ in 0..=round * 37 {
            within(beginning.recv()).await.unwrap();
        }
        within(subscription.close()).await;
        closed.store(true, Ordering::SeqCst);
        flood.abort();
        let _ = flood.await;
        within(subscription.ended()).await.unwrap();
        assert!(!late.load(Ordering::SeqCst), "round {round}");
    }
}

#[tokio::test]
async fn a_stream_gives_nothing_behind_a_close_and_holds_nothing_up() {
    let script = Script::start().await;
    let mut messages = stream(&script.settings(), &Subscribe::to("one"), Seams::honest()).unwrap();
    let (mut peer, _) = script.let_in(welcome()).await;
    peer.push(&[0, 1]).await;
    assert_eq!(within(messages.next()).await.unwrap().unwrap().offset.get(), 0);
    messages.processed();
    // The next one is on its way, or there.
    processed(&messages, 0).await;
    messages.close().await;
    assert_eq!(peer.closed().await.unwrap().0, 1000);
    drop(peer);
    within(messages.ended()).await.unwrap();
    assert_eq!(messages.next().await, None);
    assert_eq!(messages.seen().last_offset, Some(0));
}
