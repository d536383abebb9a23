//! The agent over the wire, against an orchestrator that says what a test wants.

mod model;
mod script;

use crate::client::within;
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt};
use script::{KEY, Script, hello, is, told};
use std::{
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_tungstenite::tungstenite::Message as Wire;
use wireproof_reference::fleet::client::{
    Agent, Condition, Error, Event, Seams,
    seams::{Frame, MapDelay},
};
use wireproof_spec::fleet::{
    AckRoom, Capacity, Hello, Origin, Status, SyncRoom, connect::SENTINEL, frames::Outer,
};

fn room(id: &str, kind: &str, connections: u32, origin: Origin) -> SyncRoom {
    SyncRoom { id: id.into(), kind: kind.into(), connections, origin }
}

#[tokio::test]
async fn it_dials_the_url_as_it_stands_with_its_key_first() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.url += "/a/%7Eb?c=d&e";
    let agent = Agent::start(&settings, Seams::honest()).unwrap();
    assert_eq!(agent.seen().condition, Condition::Closed);
    for selected in [SENTINEL, KEY] {
        let connecting = agent.connect();
        let served = async {
            let (mut peer, request) = script.selecting(selected).await;
            peer.hello("i1").await;
            (peer, request)
        };
        let (instance, (mut peer, request)) = tokio::join!(within(connecting), served);
        assert_eq!(instance.unwrap(), "i1");
        assert_eq!(request.uri().to_string(), "/a/%7Eb?c=d&e");
        let offered: Vec<_> = request.headers().get_all("sec-websocket-protocol").iter().collect();
        assert_eq!(offered, [format!("{KEY}, {SENTINEL}").as_str()]);
        let elsewhere = request.headers().iter().filter(|(name, _)| *name != "sec-websocket-protocol");
        assert!(elsewhere.into_iter().all(|(_, value)| !value.to_str().unwrap().contains(KEY)));
        assert_eq!(agent.seen().instance_id.as_deref(), Some("i1"));
        let (ended, closed) = tokio::join!(within(agent.disconnect()), peer.closed());
        assert_eq!((ended, closed), (Ok(()), Some(None)), "a close frame without a code");
        assert_eq!(agent.seen().condition, Condition::Closed);
    }
    script.quiet(100).await;
    assert_eq!(agent.seen().dials, 2);
}

#[tokio::test]
async fn it_says_nothing_unless_it_is_polled() {
    let script = Script::start().await;
    let (agent, mut peer) = script.connected(&script.settings(), Seams::honest()).await;
    peer.silent().await;
    agent.create_room(None, "match").await.unwrap();
    let drained = agent.drain();
    tokio::pin!(drained);
    assert!(drained.as_mut().now_or_never().is_none());
    within(agent.until(|seen| seen.draining)).await.unwrap();
    peer.silent().await;
    let state = peer.ask("", Status::Active).await;
    assert_eq!((state.seq, state.snapshot.unwrap().status), (1, Status::Draining));
}

#[tokio::test]
async fn states_are_full_or_a_hash() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.labels = [("region".into(), "eu".into()), ("az".into(), String::new())].into();
    settings.capacity = Capacity { max_connections: None, max_rooms: Some(0) };
    settings.auto_create = false;
    let (agent, mut peer) = script.connected(&settings, Seams::honest()).await;
    let first = peer.ask("poll_1", Status::Active).await;
    let snapshot = first.snapshot.unwrap();
    assert_eq!((first.seq, &first.hash), (1, &snapshot.hash()));
    assert_eq!((snapshot.name.as_str(), snapshot.endpoint_url.as_str()), ("one", "wss://rooms.example/"));
    assert_eq!((snapshot.process_uid.as_str(), snapshot.protocol_version), (agent.process_uid(), 3));
    assert!(snapshot.process_uid.strip_prefix("p_").is_some_and(|uid| uid.len() == 24));
    assert_eq!((&snapshot.capacity, snapshot.auto_create), (&settings.capacity, false));
    assert_eq!(snapshot.labels().into_iter().collect::<Vec<_>>(), [("az", ""), ("region", "eu")]);
    assert_eq!(
        (snapshot.room_types, snapshot.status),
        (vec!["lobby".into(), "match".into()], Status::Active)
    );
    assert!(snapshot.rooms.is_empty());

    // Several at once are answered in their order.
    let known = first.hash.as_str();
    for (id, known) in [("a", Some(known)), ("b", Some("")), ("c", Some("other")), ("a", Some(known))] {
        peer.poll(id, known, Status::Active).await;
    }
    for (n, (id, full)) in [("a", false), ("b", true), ("c", true), ("a", false)].into_iter().enumerate() {
        let state = peer.state().await;
        assert_eq!((state.req_id.as_str(), state.seq, state.snapshot.is_some()), (id, n as u32 + 2, full));
        assert_eq!(state.hash, first.hash);
    }

    // Rooms are in the order of UTF-16, in which what is beyond U+FFFF comes before U+FFFD.
    for id in ["b", "\u{FFFD}", "\u{1F600}", "a"] {
        agent.create_room(Some(id.into()), "match").await.unwrap();
    }
    agent.set_connections("a", 1_000_000).await.unwrap();
    peer.poll("d", Some(known), Status::Active).await;
    let state = peer.state().await;
    let ids: Vec<_> = state.snapshot.as_ref().unwrap().rooms.iter().map(|room| room.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "\u{1F600}", "\u{FFFD}"]);
    assert_eq!(state.snapshot.as_ref().unwrap().rooms[0], room("a", "match", 1_000_000, Origin::Local));
    assert_eq!(state.hash, state.snapshot.unwrap().hash());
    assert_ne!(state.hash, known);

    // What was is again, and so is its hash.
    for id in ["b", "\u{FFFD}", "\u{1F600}", "a"] {
        agent.destroy_room(id).await.unwrap();
    }
    assert_eq!(agent.seen().connections, 0);
    assert_eq!(peer.ask("e", Status::Active).await.hash, known);
}

#[tokio::test]
async fn commands_are_done_and_acknowledged() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.capacity = Capacity { max_connections: None, max_rooms: Some(3) };
    let (mut agent, mut peer) = script.connected(&settings, Seams::honest()).await;
    let done = |ack: &wireproof_spec::fleet::Ack| (ack.ok, ack.exists, ack.already_gone);

    let ack = peer.command("1", "create", Some("m 1"), Some("match")).await;
    assert_eq!(ack.room, Some(AckRoom { id: "m 1".into(), kind: "match".into() }));
    assert_eq!(done(&ack), (true, None, None));
    let made = told(&mut agent.events, |event| match event {
        Event::RoomCreated { id, kind } => Some((id, kind)),
        _ => None,
    });
    assert_eq!(made.await, ("m 1".into(), "match".into()));
    let ack = peer.command("2", "create", None, Some("lobby")).await;
    let made_up = ack.room.unwrap().id;
    assert!(made_up.len() == 32 && made_up.bytes().all(|b| b.is_ascii_hexdigit()));
    for (id, room, kind, exists) in [
        ("3", Some("m 1"), Some("match"), Some(true)),
        ("4", Some("x"), Some("unknown"), None),
        ("5", Some("x"), None, None),
        ("6", Some("x"), Some(""), None),
        ("7", Some("y".repeat(257).as_str()), Some("match"), None),
    ] {
        assert_eq!(done(&peer.command(id, "create", room, kind).await), (false, exists, None), "{id}");
    }
    // The rooms of the host count too, and then not even the same id is looked at.
    agent.create_room(Some("own".into()), "match").await.unwrap();
    assert_eq!(done(&peer.command("8", "create", Some("m 1"), Some("match")).await), (false, None, None));
    let rooms = peer.ask("p", Status::Active).await.snapshot.unwrap().rooms;
    let mut wanted = vec![
        room("m 1", "match", 0, Origin::Fleet),
        room(&made_up, "lobby", 0, Origin::Fleet),
        room("own", "match", 0, Origin::Local),
    ];
    wanted.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(rooms, wanted);

    assert_eq!(done(&peer.command("9", "destroy", Some("m 1"), None).await), (true, None, None));
    let gone = told(&mut agent.events, |event| match event {
        Event::RoomDestroyed { id, kind } => Some((id, kind)),
        _ => None,
    });
    assert_eq!(gone.await, ("m 1".into(), "match".into()));
    assert_eq!(done(&peer.command("9", "destroy", Some("m 1"), None).await), (true, None, Some(true)));
    assert_eq!(done(&peer.command("10", "destroy", None, None).await), (false, None, None));
    assert_eq!(done(&peer.command("11", "reboot", None, None).await), (false, None, None));
    assert_eq!(done(&peer.command("", "", None, None).await), (false, None, None));
    agent.create_room(Some("m 1".into()), "match").await.unwrap();
    let rooms = peer.ask("p", Status::Active).await.snapshot.unwrap().rooms;
    assert!(rooms.contains(&room("m 1", "match", 0, Origin::Local)));

    for (id, op, status) in [
        ("12", "drain", Status::Draining),
        ("12", "drain", Status::Draining),
        ("13", "undrain", Status::Active),
        ("13", "undrain", Status::Active),
    ] {
        assert_eq!(done(&peer.command(id, op, None, None).await), (true, None, None));
        assert_eq!(peer.ask("p", Status::Active).await.snapshot.unwrap().status, status);
    }
    let commanded = |event| match event {
        Event::Commanded { draining } => Some(draining),
        _ => None,
    };
    assert!(told(&mut agent.events, commanded).await && !told(&mut agent.events, commanded).await);

    settings.auto_create = false;
    let (_other, mut peer) = script.connected(&settings, Seams::honest()).await;
    assert_eq!(done(&peer.command("1", "create", Some("m"), Some("match")).await), (false, None, None));
}

#[tokio::test]
async fn the_host_is_told_why_a_room_cannot_be() {
    let script = Script::start().await;
    let agent = Agent::start(&script.settings(), Seams::honest()).unwrap();
    assert_eq!(agent.create_room(Some("a".into()), "match").await.as_deref(), Ok("a"));
    assert_eq!(agent.create_room(Some("a".into()), "match").await, Err(Error::RoomExists("a".into())));
    assert_eq!(agent.create_room(None, "x").await, Err(Error::UnknownType("x".into())));
    let long = agent.create_room(Some("\u{1F600}".repeat(129)), "match").await;
    assert!(matches!(long, Err(Error::Bound(_))));
    assert_eq!(agent.destroy_room("b").await, Err(Error::NoSuchRoom("b".into())));
    assert_eq!(agent.set_connections("b", 0).await, Err(Error::NoSuchRoom("b".into())));
    assert!(matches!(agent.set_connections("a", 1_000_001).await, Err(Error::Bound(_))));
}

#[tokio::test]
async fn draining_is_done_when_the_orchestrator_has_taken_note() {
    let script = Script::start().await;
    let agent = Agent::start(&script.settings(), Seams::honest()).unwrap();
    // Before it is connected it is kept.
    let handle = agent.handle();
    let mut drained = tokio::spawn(async move { handle.drain().await });
    within(agent.until(|seen| seen.draining)).await.unwrap();
    let (instance, mut peer) = tokio::join!(within(agent.connect()), script.greeted());
    instance.unwrap();
    is(&agent, Condition::Draining).await;
    // Whatever this echoes, it is older than the State.
    let state = peer.ask("1", Status::Draining).await;
    assert_eq!(state.snapshot.unwrap().status, Status::Draining);
    assert!((&mut drained).now_or_never().is_none());
    peer.ask("2", Status::Active).await;
    assert!((&mut drained).now_or_never().is_none());
    peer.poll("3", Some(&state.hash), Status::Draining).await;
    assert!(peer.state().await.snapshot.is_none());
    assert_eq!(within(drained).await.unwrap(), Ok(()));

    // An undrain that follows a drain is not done by an echo from before both.
    peer.command("c", "undrain", None, None).await;
    peer.ask("4", Status::Draining).await;
    let (drain, undrain) = (agent.handle(), agent.handle());
    let drained = tokio::spawn(async move { drain.drain().await });
    within(agent.until(|seen| seen.draining)).await.unwrap();
    let mut undrained = tokio::spawn(async move { undrain.undrain().await });
    within(agent.until(|seen| !seen.draining)).await.unwrap();
    peer.ask("5", Status::Active).await;
    assert_eq!(within(drained).await.unwrap(), Err(Error::Superseded));
    assert!((&mut undrained).now_or_never().is_none());
    peer.ask("6", Status::Active).await;
    assert_eq!(within(undrained).await.unwrap(), Ok(()));

    // Who waits is told when the connection is lost, and the status stays.
    let handle = agent.handle();
    let drained = tokio::spawn(async move { handle.drain().await });
    within(agent.until(|seen| seen.draining)).await.unwrap();
    peer.ask("7", Status::Active).await;
    peer.close(4003).await;
    assert_eq!(within(drained).await.unwrap(), Err(Error::ConnectionLost));
    let mut peer = script.greeted().await;
    let state = peer.ask("8", Status::Active).await;
    assert_eq!((state.seq, state.snapshot.unwrap().status), (1, Status::Draining));
    let handle = agent.handle();
    let undrained = tokio::spawn(async move { handle.undrain().await });
    within(agent.until(|seen| !seen.draining)).await.unwrap();
    let (ended, closed) = tokio::join!(within(agent.disconnect()), peer.closed());
    assert_eq!((ended, closed), (Ok(()), Some(None)));
    assert_eq!(within(undrained).await.unwrap(), Err(Error::Disconnected));
}

#[tokio::test]
async fn a_hello_of_another_version_is_the_end() {
    let mut other = hello("i").encode_frame();
    other[0] = 4;
    let json = b"{\"instanceId\":\"i\",\"protocolVersion\":3,\"heartbeatMs\":300}".to_vec();
    let version = Hello { protocol_version: 2, ..hello("i") }.encode_frame();
    for inner in [other, json, version, b"\x03\x00".to_vec()] {
        let script = Script::start().await;
        let mut agent = Agent::start(&script.settings(), Seams::honest()).unwrap();
        let served = async {
            let mut peer = script.dialled().await;
            peer.say("fleet/hello", &inner).await;
            peer.closed().await
        };
        let (connected, closed) = tokio::join!(within(agent.connect()), served);
        assert!(matches!(connected, Err(Error::Incompatible(_))), "{connected:?}");
        assert_eq!(closed, Some(None));
        let failed = told(&mut agent.events, |event| match event {
            Event::Failed(error) => Some(error),
            _ => None,
        });
        assert_eq!(Err(failed.await), connected);
        script.quiet(100).await;
        let seen = agent.seen();
        assert_eq!((seen.condition, seen.dials), (Condition::Closed, 1));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_passed_over() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.redial.max_ms = 0;
    let agent = Agent::start(&settings, Seams::honest()).unwrap();
    let connecting = agent.handle();
    let connecting = tokio::spawn(async move { connecting.connect().await });
    let mut peer = script.dialled().await;
    // A Hello that is cut off is none, and Polls are answered before one.
    for inner in [&b""[..], b"\x03", b"{", b"\x03\x00\x0a\x10half"] {
        peer.say("fleet/hello", inner).await;
    }
    assert_eq!(peer.ask("before", Status::Active).await.seq, 1);
    assert_eq!(agent.seen().condition, Condition::Connecting);
    let mut minor = hello("i1").encode_frame();
    minor[1] = 9;
    // Unknown fields, of each wire type.
    minor.extend(b"\xf8\x01\x05\xfa\x01\x01x\xf9\x0112345678\xfd\x011234");
    let mut outer = b"\x12".to_vec();
    outer.push(minor.len() as u8);
    outer.extend(&minor);
    outer.extend(b"\x18\x07\x22\x02hi\x0a\x0bfleet/hello");
    peer.bytes(outer).await;
    assert_eq!(within(connecting).await.unwrap().as_deref(), Ok("i1"));
    for bytes in [&b""[..], b"\x0a", b"\x0a\x7fshort", b"\x0b", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
        peer.bytes(bytes.to_vec()).await;
    }
    peer.0.send(Wire::text("{\"topic\":\"fleet/poll\"}")).await.unwrap();
    peer.bytes(b"\x0a\x0afleet/poll".to_vec()).await;
    peer.bytes(b"\x12\x00".to_vec()).await;
    for topic in ["fleet/poll", "fleet/cmd"] {
        for inner in
            [&b""[..], b"\x03", b"\x04\x00\x0a\x01x", b"{\"a\":1}", b"\x03\x00\x0a\x7fx", b"\x03\x00\x00\x00"]
        {
            peer.say(topic, inner).await;
        }
    }
    for topic in ["", "fleet/sync", "fleet/state", "x".repeat(300).as_str()] {
        peer.say(topic, b"\x03\x00\x0a\x01x").await;
    }
    peer.silent().await;
    assert_eq!(peer.ask("after", Status::Active).await.seq, 2);
    // A second Hello counts like the first.
    peer.hello("i2").await;
    within(agent.until(|seen| seen.instance_id.as_deref() == Some("i2"))).await.unwrap();
    assert_eq!(peer.ask("again", Status::Active).await.seq, 3);
    assert_eq!(agent.seen().dials, 1);
}

/// Delays as they are told, and none at all.
fn at_once() -> (MapDelay, Arc<Mutex<Vec<u32>>>) {
    let told: Arc<Mutex<Vec<u32>>> = Arc::default();
    let tell = Arc::clone(&told);
    let map = move |n, delay: &mut u64| {
        tell.lock().unwrap().push(n);
        *delay = 0;
    };
    (Box::new(map), told)
}

#[tokio::test]
async fn it_dials_again_whatever_the_code() {
    let script = Script::start().await;
    let (delay, delays) = at_once();
    let seams = Seams { delay: Some(delay), ..Seams::honest() };
    let (mut agent, mut peer) = script.connected(&script.settings(), seams).await;
    let first = peer.ask("p", Status::Active).await;
    for code in [1000, 1001, 1011, 4001, 4003, 4005, 4999] {
        peer.close(code).await;
        let lost = told(&mut agent.events, |event| match event {
            Event::Lost(error) => Some(error),
            _ => None,
        });
        assert_eq!(lost.await, Error::Closed { code, reason: String::new() });
        peer = script.greeted().await;
        let state = peer.ask("p", Status::Active).await;
        assert_eq!((state.seq, &state.hash), (1, &first.hash), "the same process");
    }
    // Without a Hello the delays grow, however it ends.
    drop(peer);
    for _ in 0..2 {
        script.dialled().await.close(4001).await;
        drop(script.dialled().await);
        drop(within(script.0.accept()).await.unwrap());
        script.refused(503).await;
    }
    let mut peer = script.greeted().await;
    is(&agent, Condition::Connected).await;
    peer.silent().await;
    assert_eq!(*delays.lock().unwrap(), [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(agent.seen().attempts, 0);
}

#[tokio::test]
async fn it_survives_that_nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let agent = Agent::start(&script::quick(addr), Seams::honest()).unwrap();
    let connecting = agent.handle();
    let connecting = tokio::spawn(async move { connecting.connect().await });
    within(agent.until(|seen| seen.dials > 2)).await.unwrap();
    let script = Script(TcpListener::bind(addr).await.unwrap());
    let _peer = script.greeted().await;
    assert_eq!(within(connecting).await.unwrap().as_deref(), Ok("i1"));
}

#[tokio::test]
async fn it_gives_up_when_its_owner_wants_that() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.connect_timeout_ms = Some(100);
    let agent = Agent::start(&settings, Seams::honest()).unwrap();
    let (connected, closed) =
        tokio::join!(within(agent.connect()), async { script.dialled().await.closed().await });
    assert_eq!((connected, closed), (Err(Error::ConnectTimeout(100)), Some(None)));
    assert_eq!(agent.seen().condition, Condition::Closed);
    script.quiet(100).await;
}

#[tokio::test]
async fn it_leaves_who_says_nothing() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.redial.hello_timeout_ms = 50;
    settings.redial.silence_ms = 0;
    settings.redial.silence_heartbeats = 0;
    let mut agent = Agent::start(&settings, Seams::honest()).unwrap();
    let connecting = agent.handle();
    let connecting = tokio::spawn(async move { connecting.connect().await });
    let lost = |event| match event {
        Event::Lost(error) => Some(error),
        _ => None,
    };
    let mut peer = script.dialled().await;
    assert_eq!(told(&mut agent.events, lost).await, Error::NoHello(50));
    assert_eq!(peer.closed().await, Some(None));
    let mut peer = script.dialled().await;
    peer.say("fleet/hello", &Hello { heartbeat_ms: 20, ..hello("i1") }.encode_frame()).await;
    assert_eq!(within(connecting).await.unwrap().as_deref(), Ok("i1"));
    assert_eq!(told(&mut agent.events, lost).await, Error::Silent(61));
    assert_eq!(peer.closed().await, Some(None));
    let _peer = script.dialled().await;
}

#[tokio::test]
async fn it_ends_in_order() {
    let script = Script::start().await;
    let (agent, mut peer) = script.connected(&script.settings(), Seams::honest()).await;
    agent.create_room(Some("a".into()), "match").await.unwrap();
    peer.command("c", "create", Some("b"), Some("match")).await;
    assert_eq!(agent.await_empty(Some(Duration::ZERO)).await, Err(Error::NotEmpty));
    let handle = agent.handle();
    let mut over = tokio::spawn(async move { handle.shutdown(Duration::from_secs(60)).await });
    within(agent.until(|seen| seen.draining)).await.unwrap();
    // It goes on as before as long as there are rooms, whether the orchestrator takes note or not.
    assert_eq!(peer.ask("1", Status::Active).await.snapshot.unwrap().status, Status::Draining);
    peer.ask("2", Status::Draining).await;
    peer.command("d", "destroy", Some("b"), None).await;
    peer.silent().await;
    assert!((&mut over).now_or_never().is_none());
    agent.destroy_room("a").await.unwrap();
    assert_eq!(peer.closed().await, Some(None));
    assert_eq!(within(over).await.unwrap(), Ok(()));
    assert_eq!(within(agent.shutdown(Duration::ZERO)).await, Ok(()), "there is nothing to wait for");

    // The end comes in spite of rooms, later.
    let (mut peer, instance) = tokio::join!(script.greeted(), within(agent.connect()));
    instance.unwrap();
    agent.create_room(None, "match").await.unwrap();
    let (over, closed) = tokio::join!(within(agent.shutdown(Duration::from_millis(20))), peer.closed());
    assert_eq!((over, closed), (Err(Error::NotEmpty), Some(None)));

    // Without a handle there is no agent.
    let (agent, mut peer) = script.connected(&script.settings(), Seams::honest()).await;
    drop(agent);
    assert_eq!(peer.closed().await, Some(None));
}

#[tokio::test]
async fn long_states_and_many_polls_are_answered() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.bounds.state = 2 * 1024 * 1024;
    let (mut agent, mut peer) = script.connected(&settings, Seams::honest()).await;
    for n in 0..4000 {
        agent.create_room(Some(format!("{n:0256}")), "match").await.unwrap();
    }
    // More than the sockets hold, and nobody reads while they are asked for.
    const POLLS: usize = 20;
    for n in 0..POLLS {
        peer.poll(&n.to_string(), None, Status::Active).await;
    }
    for n in 0..POLLS {
        let state = peer.state().await;
        assert_eq!((state.req_id, state.seq as usize), (n.to_string(), n + 1));
        assert_eq!(state.snapshot.unwrap().rooms.len(), 4000);
    }
    let long = told(&mut agent.events, |event| match event {
        Event::Long { bytes, most } => Some((bytes, most)),
        _ => None,
    });
    let (bytes, most) = long.await;
    assert!(bytes > most / 2 && bytes < most);
    // How long a message the orchestrator takes is for it to say: beyond the bound there is a warning and no more.
    for n in 4000..8000 {
        agent.create_room(Some(format!("{n:0256}")), "match").await.unwrap();
    }
    peer.poll("long", None, Status::Active).await;
    assert_eq!(peer.state().await.snapshot.unwrap().rooms.len(), 8000);
}

#[tokio::test]
async fn a_flood_holds_up_no_deadline() {
    let script = Script::start().await;
    let mut settings = script.settings();
    settings.redial.hello_timeout_ms = 50;
    let mut agent = Agent::start(&settings, Seams::honest()).unwrap();
    let handle = agent.handle();
    tokio::spawn(async move { handle.connect().await });
    let mut peer = script.dialled().await;
    let flood = async { while peer.0.send(Wire::binary(b"\x0a\x01x\x12\x00".to_vec())).await.is_ok() {} };
    let lost =
        told(&mut agent.events, |event| matches!(event, Event::Lost(Error::NoHello(50))).then_some(()));
    tokio::join!(flood, lost);
}

#[tokio::test]
async fn it_is_stopped_while_it_dials_or_waits() {
    let script = Script::start().await;
    let seams = Seams { delay: Some(Box::new(|_, delay| *delay = 3_600_000)), ..Seams::honest() };
    let agent = Agent::start(&script.settings(), seams).unwrap();
    for dials in [1, 2] {
        let handle = agent.handle();
        let connecting = tokio::spawn(async move { handle.connect().await });
        let (mut stream, _) = within(script.0.accept()).await.unwrap();
        if dials == 2 {
            stream.shutdown().await.unwrap();
            within(agent.until(|seen| seen.attempts == 1)).await.unwrap();
        }
        assert_eq!(within(agent.disconnect()).await, Ok(()));
        assert_eq!(within(connecting).await.unwrap(), Err(Error::Disconnected));
        // Nothing is open any more.
        within(stream.read_to_end(&mut Vec::new())).await.unwrap();
        assert_eq!((agent.seen().condition, agent.seen().dials), (Condition::Closed, dials));
    }
    script.quiet(100).await;
}

#[tokio::test]
async fn seams_are_used() {
    let script = Script::start().await;
    let heard = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&heard);
    let seams = Seams {
        dial: Some(Box::new(|number, dial| {
            dial.protocols.reverse();
            dial.headers.push("x-number", number.to_string());
        })),
        heard: Some(Box::new(move |_, frame| {
            count.fetch_add(1, Ordering::Relaxed);
            if let Frame::Text(text) = frame {
                *frame = Frame::Binary(Outer::encode("fleet/poll", text.as_bytes()).into());
            }
        })),
        state: Some(Box::new(|_, state| state.seq += 40)),
        ack: Some(Box::new(|_, ack| ack.cmd_id.push('!'))),
        said: Some(Box::new(|_, frames| {
            for frame in frames.iter_mut() {
                if let Frame::Close(code, reason) = frame {
                    (*code, *reason) = (4321, "because".into());
                }
            }
            frames.insert(0, Frame::Binary(Bytes::from_static(b"more")));
        })),
        ..Seams::honest()
    };
    let agent = Agent::start(&script.settings(), seams).unwrap();
    let served = async {
        let (mut peer, request) = script.selecting(SENTINEL).await;
        peer.hello("i1").await;
        (peer, request)
    };
    let (instance, (mut peer, request)) = tokio::join!(within(agent.connect()), served);
    instance.unwrap();
    assert_eq!(request.headers()["sec-websocket-protocol"], format!("{SENTINEL}, {KEY}"));
    assert_eq!(request.headers()["x-number"], "1");
    peer.0.send(Wire::text("\u{3}\u{0}")).await.unwrap();
    assert_eq!(peer.next().await, Wire::Binary(Bytes::from_static(b"more")));
    assert_eq!(peer.state().await.seq, 41);
    peer.cmd("c", "drain", None, None).await;
    assert_eq!(peer.next().await, Wire::Binary(Bytes::from_static(b"more")));
    assert_eq!(peer.ack().await.cmd_id, "c!");
    let (_, closed) = tokio::join!(within(agent.disconnect()), peer.closed());
    assert_eq!(closed, Some(Some(4321)));
    assert!(heard.load(Ordering::Relaxed) >= 3);
}
