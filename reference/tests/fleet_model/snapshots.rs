//! Snapshot: each bound from both sides, and what becomes of one that breaks it.

use super::world::{World, closed, label, room, snapshot};
use wireproof_reference::fleet::model::{Bound, check};
use wireproof_spec::fleet::{Capacity, Origin, Snapshot, State, Status};

/// A character of two units.
const ASTRAL: &str = "\u{1f600}";

fn both_sides(bound: Bound, most: usize, make: impl Fn(&mut Snapshot, usize)) {
    for (number, expected) in [(most, Ok(())), (most + 1, Err(bound))] {
        let mut snapshot = snapshot("a");
        make(&mut snapshot, number);
        assert_eq!(check(&snapshot), expected, "{number}");
    }
}

#[test]
fn every_bound_has_two_sides() {
    both_sides(Bound::Name, 64, |it, n| it.name = "n".repeat(n));
    both_sides(Bound::Name, 32, |it, n| it.name = ASTRAL.repeat(n));
    both_sides(Bound::EndpointUrl, 512, |it, n| it.endpoint_url = format!("ws://h/{}", "u".repeat(n - 7)));
    both_sides(Bound::Labels, 32, |it, n| it.labels = (0..n).map(|i| label(&i.to_string(), "")).collect());
    both_sides(Bound::Labels, 64, |it, n| it.labels = vec![label(&"k".repeat(n), "v")]);
    both_sides(Bound::Labels, 64, |it, n| it.labels = vec![label("k", &"v".repeat(n))]);
    both_sides(Bound::RoomTypes, 256, |it, n| it.room_types = vec!["t".into(); n]);
    both_sides(Bound::RoomTypes, 64, |it, n| it.room_types = vec!["t".repeat(n)]);
    both_sides(Bound::Rooms, 256, |it, n| it.rooms = vec![room(&"r".repeat(n), 0, Origin::Local)]);
    both_sides(Bound::Rooms, 64, |it, n| {
        it.rooms = vec![room("r", 0, Origin::Local)];
        it.rooms[0].kind = "t".repeat(n);
    });
    both_sides(Bound::Rooms, 1_000_000, |it, n| {
        it.rooms = vec![room("r", u32::try_from(n).unwrap(), Origin::Local)];
    });
    both_sides(Bound::Rooms, 50_000, |it, n| it.rooms = vec![room("r", 0, Origin::Local); n]);
}

#[test]
fn only_distinct_labels_count() {
    let labels = (0..100).map(|number| label("k", &number.to_string())).collect();
    assert_eq!(check(&Snapshot { labels, ..snapshot("a") }), Ok(()));
}

#[test]
fn an_endpoint_is_an_absolute_url_of_four_schemes() {
    for (url, fits) in [
        ("ws://h", true),
        ("WSS://h:1/p?q", true),
        ("http://[::1]", true),
        ("hTTps://h", true),
        ("", false),
        ("h", false),
        ("/p", false),
        ("//h/p", false),
        ("ws://", false),
        ("ws://h:99999", false),
        ("javascript:alert(1)", false),
        ("ftp://h", false),
        ("wss ://h", false),
    ] {
        let expected = if fits { Ok(()) } else { Err(Bound::EndpointUrl) };
        assert_eq!(check(&Snapshot { endpoint_url: url.into(), ..snapshot("a") }), expected, "{url}");
    }
}

#[test]
fn what_is_unbounded_is_taken() {
    let odd = Snapshot {
        name: String::new(),
        process_uid: "p".repeat(10_000),
        protocol_version: 9,
        capacity: Capacity { max_connections: Some(-1), max_rooms: Some(0) },
        rooms: vec![room("", 0, Origin::Other("x".into()))],
        ..snapshot("a")
    };
    assert_eq!(check(&odd), Ok(()));
    let other = Snapshot { status: Status::Other("tired".into()), ..snapshot("a") };
    assert_eq!(check(&other), Err(Bound::Status));
}

#[test]
fn a_rejected_snapshot_leaves_all_as_it_was() {
    let mut world = World::new();
    let good = Snapshot { rooms: vec![room("x", 3, Origin::Fleet)], ..snapshot("a") };
    let connection = world.agent(&good);
    let (before, hash) = (world.state.instance(connection).unwrap().clone(), world.hash());
    // For longer than an agent may be silent.
    for _ in 0..5 {
        world.poll(connection);
        let bad = Snapshot { name: "n".repeat(65), ..snapshot("b") };
        assert_eq!(world.reply(connection, &bad), []);
        assert!(!world.state.is_stale(connection));
    }
    let mut after = world.state.instance(connection).unwrap().as_ref().clone();
    assert_ne!(after.last_sync_at, before.last_sync_at);
    after.last_sync_at = before.last_sync_at;
    assert_eq!((&after, world.hash()), (before.as_ref(), hash));

    let (first, _) = world.join();
    world.reply(first, &Snapshot { endpoint_url: "x".into(), ..snapshot("c") });
    assert!(world.state.instance(first).is_none());
    world.poll(first);
    world.reply(first, &snapshot("c"));
    assert!(world.state.instance(first).is_some());
}

#[test]
fn only_what_is_newer_is_applied() {
    let mut world = World::new();
    let (connection, _) = world.join();
    // The first may have any number; then only greater ones are newer, however far away.
    for (seq, name, expected) in
        [(7, "a", "a"), (7, "b", "a"), (1, "c", "a"), (u32::MAX, "d", "d"), (0, "e", "d")]
    {
        let state = State { seq, ..world.answer(connection, Some(&snapshot(name))) };
        assert_eq!(closed(&world.say(connection, &state), connection), None);
        assert_eq!(world.state.instance(connection).unwrap().name, expected);
        world.poll(connection);
    }
    // Hash-only States have no order.
    let state = State { seq: 0, ..world.answer(connection, None) };
    assert_eq!(world.say(connection, &state), []);
    let other = world.agent(&snapshot("f"));
    assert_eq!(world.state.instance(other).unwrap().name, "f");
}

#[test]
fn a_snapshot_is_shown_as_it_was_said() {
    let mut world = World::new();
    let said = Snapshot {
        labels: vec![label("k", "first"), label("k", "last"), label("", "")],
        capacity: Capacity { max_connections: Some(0), max_rooms: None },
        rooms: vec![
            room("b", 2, Origin::Fleet),
            room("a", 3, Origin::Local),
            room("c", 0, Origin::Other("x".into())),
        ],
        endpoint_url: "WSS://Host.Example".into(),
        ..snapshot("a")
    };
    let connection = world.agent(&said);
    let shown = world.state.instance(connection).unwrap();
    assert_eq!(shown.labels.0.iter().collect::<Vec<_>>().len(), 2);
    assert_eq!(shown.labels.0["k"], "last");
    assert_eq!((shown.capacity.max_connections.0, shown.capacity.max_rooms.0), (Some(0), None));
    assert_eq!(shown.connections.get(), 5);
    let rooms: Vec<_> = shown.rooms.iter().map(|room| (room.id.as_str(), room.local)).collect();
    assert_eq!(rooms, [("b", false), ("a", true), ("c", false)]);
    assert!(shown.rooms.iter().all(|room| room.endpoint_url == "WSS://Host.Example"));
    assert!(shown.rooms.iter().all(|room| room.instance_id == shown.id));
}
