//! The orchestrator over the wire.

use crate::{
    client::{Client, raw, within},
    fleet_line::{Agent, Reader, Said, asked, call, dial, handshake, room, send, sending, start},
};
use futures_util::StreamExt;
use serde_json::json;
use std::{net::SocketAddr, time::Duration};
use tokio_tungstenite::tungstenite::Message;
use wireproof_reference::fleet::{
    ADMIN_KEY, AGENT_KEY, Options, Server, StartError,
    seams::{Frame, Piece},
    settings::{Audience, ConfigError, Warning, check, generated_key},
};
use wireproof_spec::{fleet::Op, fleet::connect::SENTINEL, http::Request};

const KINDS: [&str; 3] = ["instance:join", "room:create", "sync"];

#[tokio::test]
async fn a_room_is_made_listed_and_ended() {
    let server = start(|options| options.limits.heartbeat_ms = 400).await;
    let addr = server.addr;
    let mut events = Reader::open(addr).await;
    assert_eq!(call(addr, asked("GET", "/v1/instances")).await, (200, json!([])));
    let mut agent = Agent::synced(addr, &["r 1"]).await;
    for kind in KINDS {
        assert_eq!(events.event().await.0, kind);
    }
    let (_, instance) = call(addr, asked("GET", &format!("/v1/instances/{}", agent.id))).await;
    assert_eq!(instance["rooms"][0]["id"], "r%201");
    let (_, rooms) = call(addr, asked("GET", "/v1/rooms?label=region:eu&type=match")).await;
    assert_eq!(rooms.as_array().unwrap().len(), 1);
    assert_eq!(call(addr, asked("GET", "/v1/rooms?label=region:us")).await, (200, json!([])));

    let made = sending(addr, room("m-1"));
    let cmd = agent.told().await;
    assert_eq!(
        (&cmd.op, cmd.room_id.as_deref(), cmd.room_type.as_deref()),
        (&Op::Create, Some("m-1"), Some("match"))
    );
    assert!(!made.is_finished());
    agent.ack(&cmd).await;
    let made = within(made).await.unwrap();
    assert_eq!(made.status, 201);
    assert_eq!(call(addr, room("m-1")).await, (409, json!("ROOM_EXISTS")));
    agent.sync(&["r 1", "m-1"]).await;
    let (before, told) = events.until("room:create").await;
    assert!(before.is_empty() && told["id"] == "m-1" && told["instanceId"] == agent.id.as_str());
    let (_, stats) = events.until("sync").await;
    assert_eq!((&stats["rooms"], &stats["connections"]), (&json!(2), &json!(2)));

    let ended = sending(addr, asked("DELETE", "/v1/rooms/r%201"));
    let cmd = agent.told().await;
    assert_eq!((&cmd.op, cmd.room_id.as_deref()), (&Op::Destroy, Some("r 1")));
    agent.ack(&cmd).await;
    assert_eq!(within(ended).await.unwrap().status, 200);
    agent.sync(&["m-1"]).await;
    assert_eq!(events.until("room:destroy").await.1["id"], "r%201");
    assert_eq!(call(addr, asked("GET", "/v1/rooms/r%201")).await, (404, json!("ROOM_NOT_FOUND")));

    let drained = sending(addr, asked("POST", &format!("/v1/instances/{}/drain", agent.id)));
    let cmd = agent.told().await;
    assert_eq!(cmd.op, Op::Drain);
    agent.ack(&cmd).await;
    assert_eq!(within(drained).await.unwrap().status, 200);
    drop(agent);
    assert_eq!(events.until("instance:leave").await.1["rooms"][0]["id"], "m-1");
    assert_eq!(events.event().await.0, "room:destroy");
    assert_eq!(events.event().await.0, "sync");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn tickets_are_the_first_protocol() {
    let other = "another-key-for-agents-that-is-as-good";
    let server = start(|options| options.agent_keys.push(other.into())).await;
    let both = format!("{AGENT_KEY},{SENTINEL}");
    for (offered, path, selected) in [
        (&[AGENT_KEY, SENTINEL][..], "/", Some(SENTINEL)),
        (&[&both], "/v1/events?x=y", Some(SENTINEL)),
        (&[other, "between", SENTINEL], "/x", Some(SENTINEL)),
        (&[AGENT_KEY], "/", Some(AGENT_KEY)),
    ] {
        let (found, socket) = dial(server.addr, path, offered).await.unwrap();
        assert_eq!(found.as_deref(), selected);
        let mut agent = Agent::over(socket);
        assert!(matches!(agent.hear().await, Said::Hello(_)), "{offered:?}");
        assert!(matches!(agent.hear().await, Said::Poll(_)));
    }
    let query = format!("/?ticket={AGENT_KEY}&key={AGENT_KEY}");
    for (offered, path, selected) in [
        (&[SENTINEL, AGENT_KEY][..], "/", Some(SENTINEL)),
        (&["wrong", SENTINEL], "/", Some(SENTINEL)),
        (&["wrong"], "/", Some("wrong")),
        (&[ADMIN_KEY, SENTINEL], "/", Some(SENTINEL)),
        (&[], &query, None),
    ] {
        let (found, socket) = dial(server.addr, path, offered).await.unwrap();
        assert_eq!(found.as_deref(), selected);
        let closed = Agent::over(socket).hear().await;
        assert_eq!(closed, Said::Close(4001, String::new()), "{offered:?}");
    }
    for offered in [&[AGENT_KEY, AGENT_KEY][..], &["a b"], &[","]] {
        assert_eq!(dial(server.addr, "/", offered).await.unwrap_err(), 400, "{offered:?}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn routes_are_exact_and_keyed() {
    let server = start(|options| options.admin_keys.push("another".into())).await;
    let addr = server.addr;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/stats/"),
        ("GET", "/V1/stats"),
        ("PUT", "/v1/stats"),
        ("DELETE", "/healthz"),
        ("OPTIONS", "/v1/rooms"),
    ] {
        let (status, cause) = call(addr, Request::new(method, path)).await;
        assert_eq!((status, cause), (404, json!("NOT_FOUND")), "{method} {path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(call(addr, Request::new("GET", path)).await.0, 200);
    }
    let mut client = Client::to(addr).await;
    let mut bodies = Vec::new();
    let wrong = [None, Some("Bearer wrong"), Some(ADMIN_KEY), Some("Basic x")];
    for value in
        wrong.into_iter().map(|value| value.map(str::to_owned)).chain([Some(format!("Bearer {AGENT_KEY}"))])
    {
        let mut request = Request::new("GET", "/v1/stats").param("key", ADMIN_KEY);
        request.headers.0.extend(value.map(|value| ("authorization".into(), value)));
        let refused = client.send(request).await;
        assert_eq!((refused.status, refused.headers.get("www-authenticate")), (401, None));
        bodies.push(refused.body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    let other = Request::new("GET", "/v1/stats").header("authorization", "bEARER   another");
    assert_eq!(client.send(other).await.status, 200);
    for path in ["/v1/stats", "/v1/rooms", "/v1/events"] {
        let head = client.send(asked("HEAD", path)).await;
        assert!(head.status == 200 && head.body.is_empty(), "{path}");
    }
    for (path, cause) in [
        ("/v1/instances/x", "INSTANCE_NOT_FOUND"),
        ("/v1/instances/x/rooms", "INSTANCE_NOT_FOUND"),
        ("/v1/rooms/x", "ROOM_NOT_FOUND"),
    ] {
        assert_eq!(call(addr, asked("GET", path)).await, (404, json!(cause)));
    }
    let drain = asked("POST", "/v1/instances/x/drain");
    assert_eq!(call(addr, drain.clone()).await, (404, json!("INSTANCE_NOT_FOUND")));
    assert_eq!(call(addr, drain.header("content-type", "application/json")).await.0, 400);
    server.stop().await.unwrap();

    let server = start(|options| options.api = false).await;
    assert_eq!(call(server.addr, asked("GET", "/v1/stats")).await, (404, json!("NOT_FOUND")));
    assert_eq!(call(server.addr, Request::new("GET", "/healthz")).await.0, 200);
    Agent::join(server.addr).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_is_wrong_too_often_has_to_wait() {
    let server = start(|options| {
        (options.limits.throttle_tokens, options.limits.throttle_window_ms) = (2, 3_000);
    })
    .await;
    let addr = server.addr;
    let stats = || asked("GET", "/v1/stats");
    for _ in 0..5 {
        assert_eq!(call(addr, stats()).await.0, 200);
    }
    let (mut agent, poll) = Agent::join(addr).await;
    let wrong = |from: &str| Request::new("GET", "/v1/stats").header("x-forwarded-for", from);
    assert_eq!(call(addr, wrong("192.0.2.1")).await.0, 401);
    assert_eq!(call(addr, wrong("192.0.2.2")).await.0, 401);
    assert_eq!(call(addr, stats()).await, (429, json!("AUTH_THROTTLED")));
    assert_eq!(call(addr, Request::new("GET", "/readyz")).await.0, 200);
    assert_eq!(call(addr, Request::new("GET", "/v1/none")).await.0, 404);
    agent.still(&poll).await;
    within(async { while call(addr, stats()).await.0 == 429 {} }).await;
    drop(agent);
    server.stop().await.unwrap();

    let server = start(|options| {
        (options.limits.throttle_tokens, options.trust_proxy) = (1, true);
    })
    .await;
    for from in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        assert_eq!(call(server.addr, wrong(from)).await.0, 401);
        assert_eq!(call(server.addr, wrong(from)).await.0, 429);
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn pages_of_other_origins_are_answered_if_they_may_ask() {
    let allow = "access-control-allow-origin";
    let page = |origin: &str| asked("GET", "/v1/stats").header("origin", origin);
    let preflight = Request::new("OPTIONS", "/v1/rooms")
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,x-other");
    let server = start(|_| {}).await;
    assert_eq!(send(server.addr, page("https://a.example")).await.headers.get(allow), None);
    assert_eq!(send(server.addr, preflight.clone()).await.status, 404);
    server.stop().await.unwrap();

    let server = start(|options| options.cors = vec!["https://a.example".into()]).await;
    let answer = send(server.addr, page("https://a.example")).await;
    assert_eq!(answer.headers.get(allow), Some("https://a.example"));
    assert_eq!(answer.headers.get("vary"), Some("Origin"));
    let other = send(server.addr, page("https://b.example")).await;
    assert_eq!((other.status, other.headers.get(allow)), (200, None));
    let refused = Request::new("GET", "/v1/stats").header("origin", "https://a.example");
    assert_eq!(send(server.addr, refused).await.headers.get(allow), Some("https://a.example"));
    let may = send(server.addr, preflight).await;
    assert_eq!((may.status, may.headers.get(allow)), (204, Some("https://a.example")));
    assert_eq!(may.headers.get("access-control-allow-headers"), Some("authorization,x-other"));
    assert!(may.headers.get("access-control-allow-methods").unwrap().contains("DELETE"));
    let events =
        Reader::ask(server.addr, asked("GET", "/v1/events").header("origin", "https://a.example")).await;
    assert_eq!(events.head.headers.get(allow), Some("https://a.example"));
    server.stop().await.unwrap();

    let server = start(|options| options.cors = vec!["*".into()]).await;
    assert_eq!(send(server.addr, page("https://b.example")).await.headers.get(allow), Some("*"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_has_not_changed_is_not_told_again() {
    let server = start(|_| {}).await;
    let addr = server.addr;
    let tag = |path: &str| {
        let request = asked("GET", path);
        async move { send(addr, request).await.headers.get("etag").unwrap().to_owned() }
    };
    let empty = tag("/v1/stats").await;
    assert_eq!(empty, "W/\"4f53cda18c2baa0c\"");
    let mut events = Reader::open(addr).await;
    let agent = Agent::synced(addr, &["a"]).await;
    let (_, stats) = events.until("sync").await;
    let known = format!("W/\"{}\"", stats["stateHash"].as_str().unwrap());
    for path in ["/v1/stats", "/v1/instances", "/v1/rooms", "/v1/rooms?type=none"] {
        assert_eq!(tag(path).await, known, "{path}");
        for (header, status) in
            [(known.as_str(), 304), ("*", 304), (&format!("{empty}, {known}"), 304), (&empty, 200)]
        {
            let answer = send(addr, asked("GET", path).header("if-none-match", header)).await;
            assert_eq!(answer.status, status, "{path} {header}");
            assert_eq!(answer.headers.get("etag"), Some(known.as_str()));
            assert_eq!(answer.body.is_empty(), status == 304);
        }
    }
    for path in ["/v1/rooms/a", "/v1/instances/x"] {
        assert_eq!(send(addr, asked("GET", path)).await.headers.get("etag"), None);
    }
    drop(agent);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn bodies_are_bounded_and_read() {
    let server = start(|_| {}).await;
    let padded = |length: usize| {
        let bare = json!({ "type": "match", "x": "" }).to_string();
        json!({ "type": "match", "x": "x".repeat(length - bare.len()) }).to_string()
    };
    let post = |kind: &str, body: String| {
        let mut request = asked("POST", "/v1/rooms").body(body);
        if !kind.is_empty() {
            request.headers.push("content-type", kind);
        }
        request
    };
    for (kind, body, status, cause) in [
        ("application/json", padded(65_536), 409, "NO_CANDIDATE"),
        ("application/json", padded(65_537), 413, "PAYLOAD_TOO_LARGE"),
        ("application/json", "{\"type\":".into(), 400, "VALIDATION"),
        ("application/json", "[]".into(), 400, "VALIDATION"),
        ("application/json", "{}".into(), 400, "VALIDATION"),
        ("application/json", r#"{"type":""}"#.into(), 400, "VALIDATION"),
        ("application/json", r#"{"type":"t","roomId":"a.b"}"#.into(), 400, "VALIDATION"),
        ("application/json", r#"{"type":"t","roomId":null}"#.into(), 400, "VALIDATION"),
        ("application/json", r#"{"type":"t","placement":[]}"#.into(), 400, "VALIDATION"),
        ("text/html", r#"{"type":"t"}"#.into(), 415, "VALIDATION"),
        ("", r#"{"type":"t"}"#.into(), 415, "VALIDATION"),
    ] {
        let what = format!("{kind} {}", &body[..body.len().min(40)]);
        assert_eq!(call(server.addr, post(kind, body)).await, (status, json!(cause)), "{what}");
    }
    let mut strange = post("application/json", padded(65_537));
    strange.headers.set("authorization", "Bearer wrong");
    assert_eq!(call(server.addr, strange).await.0, 401);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn bad_frames_harm_nobody_but_their_sender() {
    let server =
        start(|options| (options.limits.heartbeat_ms, options.limits.max_message) = (1_000, 70_000)).await;
    let addr = server.addr;
    let mut other = Agent::synced(addr, &[]).await;
    for (message, closed) in [
        (Message::text("{}"), (4002, "")),
        (Message::binary(vec![0x0b]), (4003, "invalid_message")),
        (Message::binary(vec![0x0a, 0x05]), (4003, "invalid_message")),
        (Message::binary(vec![0; 70_001]), (1009, "")),
    ] {
        let (mut agent, _) = Agent::join(addr).await;
        agent.send(message).await;
        assert_eq!(agent.closed().await, (closed.0, closed.1.to_owned()));
    }
    let (mut agent, poll) = Agent::join(addr).await;
    agent.say("fleet/sync", &[3, 0]).await;
    assert_eq!(agent.closed().await, (4003, "invalid_message".to_owned()));
    let (mut agent, _) = Agent::join(addr).await;
    agent.still(&poll).await;
    assert_eq!(agent.closed().await, (4003, String::new()));
    // Frames that are not masked, have a reserved opcode or reserved bits, and one that is cut off.
    for frame in [&[0x82, 0x01, 0x00][..], &[0x83, 0x80, 0, 0, 0, 0], &[0xc2, 0x80, 0, 0, 0, 0], &[0x82]] {
        for key in [AGENT_KEY, "wrong"] {
            let answer =
                raw(addr, &[handshake("/", &[key, SENTINEL]).as_bytes(), frame].concat(), true).await;
            assert!(answer.starts_with(b"HTTP/1.1 101 "));
        }
    }
    for bytes in
        [&b"GET / HTTP/1.1\r\nUpgrade: webso"[..], b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n\r\n"]
    {
        raw(addr, bytes, true).await;
    }
    assert_eq!(call(addr, Request::new("GET", "/healthz")).await.0, 200);
    other.sync(&["still-there"]).await;
    let poll = other.polled().await;
    assert!(poll.known_hash.is_some());
    drop((agent, other));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_is_silent_is_evicted_and_cut() {
    let server = start(|options| options.limits.heartbeat_ms = 100).await;
    let mut events = Reader::open(server.addr).await;
    let mut agent = Agent::synced(server.addr, &["a"]).await;
    agent.polled().await;
    assert_eq!(agent.closed().await, (4003, String::new()));
    let (before, stale) = events.until("instance:stale").await;
    assert_eq!((before, &stale["id"]), (KINDS.map(str::to_owned).to_vec(), &json!(agent.id)));
    assert_eq!(events.event().await.0, "instance:leave");
    drop(agent);
    server.stop().await.unwrap();

    // One that answers Polls, or would, and no pings.
    let server = start(|options| options.limits.ping_ms = 50).await;
    let answer = raw(server.addr, handshake("/", &[AGENT_KEY, SENTINEL]).as_bytes(), false).await;
    assert!(answer.ends_with(&[0x89, 0, 0x89, 0]), "two pings and no close frame");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn too_much_is_dropped_or_cut() {
    // Behind a Hello that waits there is no room for a Poll.
    let server = start(|options| (options.limits.max_buffered, options.limits.heartbeat_ms) = (0, 100)).await;
    let (_, socket) = dial(server.addr, "/", &[AGENT_KEY, SENTINEL]).await.unwrap();
    let mut agent = Agent::over(socket);
    assert!(matches!(agent.hear().await, Said::Hello(_)));
    assert_eq!(agent.hear().await, Said::Close(4003, String::new()));
    drop(agent);
    server.stop().await.unwrap();

    // Nor behind one event for another one.
    let server = start(|options| {
        options.limits.event_buffer = 0;
        options.limits.event_lag_ms = 0;
    })
    .await;
    let mut events = Reader::open(server.addr).await;
    let agent = Agent::synced(server.addr, &["a", "b"]).await;
    events.until_end().await;
    assert_eq!(call(server.addr, asked("GET", "/v1/rooms")).await.1.as_array().unwrap().len(), 2);
    drop(agent);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn event_streams_have_their_head_their_pings_and_their_number() {
    let server = start(|options| {
        (options.limits.event_streams, options.limits.event_ping_ms) = (1, 50);
        options.sse_query_auth = true;
    })
    .await;
    let addr = server.addr;
    let mut events = Reader::ask(addr, Request::new("GET", "/v1/events").param("key", ADMIN_KEY)).await;
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache, no-transform"),
        ("connection", "keep-alive"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(events.head.headers.get(name), Some(value));
    }
    for block in [": connected", ": ping", ": ping"] {
        assert_eq!(events.block().await.as_deref(), Some(block));
    }
    assert_eq!(call(addr, asked("GET", "/v1/events")).await, (429, json!("SSE_LIMIT")));
    assert_eq!(send(addr, asked("HEAD", "/v1/events")).await.status, 200);
    drop(events);
    within(async { while Reader::ask(addr, asked("GET", "/v1/events")).await.head.status != 200 {} }).await;
    for (path, key) in [("/v1/events", AGENT_KEY), ("/v1/stats", ADMIN_KEY)] {
        assert_eq!(call(addr, Request::new("GET", path).param("key", key)).await.0, 401);
    }
    server.stop().await.unwrap();
    let server = start(|_| {}).await;
    let queried = Request::new("GET", "/v1/events").param("key", ADMIN_KEY);
    assert_eq!(call(server.addr, queried).await.0, 401);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_orderly_end_tells_everybody() {
    let server = start(|_| {}).await;
    let addr = server.addr;
    let mut events = Reader::open(addr).await;
    let mut agent = Agent::synced(addr, &[]).await;
    events.until("sync").await;
    let waiting = sending(addr, room("m-1"));
    agent.told().await;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(events.block().await, None);
    assert_eq!(agent.closed().await, (4003, "room_destroyed".to_owned()));
    assert_eq!(within(waiting).await.unwrap().status, 502);
    drop(agent);
    tokio::time::timeout(Duration::from_secs(5), stopping).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn seams_change_what_goes_in_and_out() {
    let server = start(|options| {
        let seams = &mut options.seams;
        // A wrong ticket counts, each Poll is said to be another one, and each State is heard twice.
        seams.http.request = Box::new(|request| {
            if request.headers.get("sec-websocket-protocol").is_some() {
                request.headers.set("sec-websocket-protocol", format!("{AGENT_KEY}, {SENTINEL}"));
            }
        });
        seams.http.reply = Box::new(|request, reply| {
            if request.path == "/healthz" {
                reply.status = 503;
            }
        });
        seams.frames = Some(Box::new(|request, number, frames| {
            assert!(request.path == "/" && number > 0);
            if let [Frame::Message { topic, .. }] = &frames[..]
                && topic == "fleet/hello"
            {
                frames.insert(0, Frame::Text("first".into()));
            }
        }));
        seams.heard = Some(Box::new(|_, _, frames| frames.extend_from_within(..)));
        seams.events = Some(Box::new(|_, pieces| {
            if let [Piece::Event { name, .. }] = &mut pieces[..] {
                name.push_str(":changed");
            }
        }));
    })
    .await;
    let addr = server.addr;
    assert_eq!(send(addr, Request::new("GET", "/healthz")).await.status, 503);
    let mut events = Reader::open(addr).await;
    let (_, mut socket) = dial(addr, "/", &["wrong", SENTINEL]).await.unwrap();
    assert_eq!(within(socket.next()).await.unwrap().unwrap(), Message::text("first"));
    let mut agent = Agent::over(socket);
    assert!(matches!(agent.hear().await, Said::Hello(_)));
    agent.sync(&[]).await;
    assert_eq!(agent.closed().await, (4003, String::new()));
    assert_eq!(events.event().await.0, "instance:join:changed");
    drop(agent);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn settings_are_checked_before_anybody_listens() {
    let with = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        options
    };
    let judged = |change, production| check(&with(change), production);
    assert_eq!(judged(|_| {}, true), Ok(Vec::new()));
    let made: fn(&mut Options) =
        |o| (o.agent_keys, o.admin_keys) = (vec![generated_key()], vec![generated_key()]);
    assert_eq!(judged(made, true), Ok(Vec::new()));
    assert_eq!(judged(|o| o.agent_keys = vec![String::new()], false), Err(ConfigError::NoAgentKey));
    assert_eq!(judged(|o| o.admin_keys.clear(), false), Err(ConfigError::NoAdminKey));
    assert_eq!(judged(|o| (o.api, o.admin_keys) = (false, Vec::new()), true), Ok(Vec::new()));
    assert_eq!(judged(|o| o.agent_keys.push(SENTINEL.into()), false), Err(ConfigError::Sentinel));
    assert_eq!(judged(|o| o.agent_keys.push("no token".into()), false).unwrap().len(), 2);
    let short: fn(&mut Options) = |o| o.admin_keys.push("fifteen-bytes--".into());
    let audience = Audience::Operators;
    assert_eq!(judged(short, true), Err(ConfigError::ShortKey { audience, length: 15 }));
    assert_eq!(judged(short, false), Ok(vec![Warning::WeakKey { audience, length: 15 }]));
    let weak: fn(&mut Options) = |o| o.admin_keys.push("x".repeat(31));
    assert_eq!(judged(weak, true), Ok(vec![Warning::WeakKey { audience, length: 31 }]));
    let shared: fn(&mut Options) = |o| o.admin_keys = o.agent_keys.clone();
    assert_eq!(judged(shared, true), Err(ConfigError::SharedKey));
    assert_eq!(judged(shared, false), Ok(vec![Warning::SharedKey]));
    for change in [
        (|o| o.limits.heartbeat_ms = 0) as fn(&mut Options),
        |o| o.limits.heartbeat_ms = 1 << 32,
        |o| o.limits.command_timeout_ms = 0,
    ] {
        assert!(matches!(judged(change, false), Err(ConfigError::OutOfRange { .. })));
        assert!(matches!(Server::start(with(change)).await, Err(StartError::Config(_))));
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr: SocketAddr = taken.local_addr().unwrap();
    assert!(matches!(Server::start(Options { addr, ..Options::default() }).await, Err(StartError::Shell(_))));
}

#[tokio::test]
async fn requests_end_in_time_and_strangers_say_little() {
    let server = start(|options| (options.limits.head_ms, options.limits.body_ms) = (100, 100)).await;
    let addr = server.addr;
    assert!(raw(addr, b"GET /healthz HTTP/1.1\r\nhost:", false).await.is_empty());
    let slow = format!(
        "POST /v1/rooms HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_KEY}\r\ncontent-length: 9\r\n\r\n{{"
    );
    let answer = raw(addr, slow.as_bytes(), false).await;
    assert!(answer.starts_with(b"HTTP/1.1 400 ") && answer.ends_with(b"\"cause\":\"VALIDATION\"}"));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(80_000));
    assert!(raw(addr, long.as_bytes(), false).await.starts_with(b"HTTP/1.1 4"));
    // A close frame comes back to a stranger, whatever it says.
    let (_, socket) = dial(addr, "/", &["wrong"]).await.unwrap();
    let mut stranger = Agent::over(socket);
    stranger.send(Message::binary(vec![0; 100_000])).await;
    assert_eq!(stranger.closed().await, (4001, String::new()));
    assert_eq!(stranger.hear().await, Said::Gone);
    server.stop().await.unwrap();
}
