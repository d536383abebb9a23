//! Ids, Instances, Conditional, Events: what operators see, under which names, and what they are told of it.

use super::world::{H, World, answered, label, loaded, room, snapshot, told, with_rooms};
use wireproof_reference::fleet::model::{Answer, Ask, Effect, Filter, Input, Told};
use wireproof_spec::fleet::{Capacity, Cause, Label, Origin, Snapshot, Status, SyncRoom};

fn local(name: &str, ids: &[&str]) -> Snapshot {
    let rooms = ids.iter().map(|id| room(id, 0, Origin::Local)).collect();
    Snapshot { rooms, ..snapshot(name) }
}

#[test]
fn a_public_id_is_the_raw_one_in_letters_of_paths() {
    let mut world = World::new();
    let connection = world.agent(&with_rooms("a", &["A-z_9", "~%/. ", "ü\u{1f600}", ""]));
    let ids = ["A-z_9", "%7E%25%2F%2E%20", "%C3%BC%F0%9F%98%80", ""];
    assert_eq!(world.rooms(connection), ids);
    for id in ids {
        assert!(matches!(world.get(Ask::Room { id: id.into() }), Answer::Room(room) if room.id == id));
    }
    assert_eq!(world.get(Ask::Room { id: "%7e%25%2f%2e%20".into() }), Answer::Refused(Cause::RoomNotFound));
}

#[test]
fn one_of_several_keeps_the_base() {
    let mut world = World::new();
    let a = world.agent(&local("a", &["x"]));
    let b = world.agent(&local("b", &["x"]));
    assert_eq!((world.rooms(a), world.rooms(b)), (vec!["x".into()], vec!["p_b~x".to_owned()]));
    // One that a command made comes before, whenever it came.
    let c = world.agent(&with_rooms("c", &["x"]));
    assert_eq!(world.rooms(a), ["p_a~x"]);
    assert_eq!(world.rooms(b), ["p_b~x"]);
    assert_eq!(world.rooms(c), ["x"]);
    // Whose connection came first, not whose snapshot.
    let (early, _) = world.join();
    let d = world.agent(&with_rooms("d", &["y"]));
    assert_eq!(world.rooms(d), ["y"]);
    world.reply(early, &with_rooms("e", &["y"]));
    assert_eq!(world.rooms(early), ["y"]);
    assert_eq!(world.rooms(d), ["p_d~y"]);
    world.input(&Input::Left { connection: c });
    assert_eq!((world.rooms(a), world.rooms(b)), (vec!["x".into()], vec!["p_b~x".to_owned()]));
    world.input(&Input::Left { connection: a });
    assert_eq!(world.rooms(b), ["x"]);
}

#[test]
fn no_two_rooms_have_one_id() {
    let mut world = World::new();
    let a = world.agent(&with_rooms("a", &["x"]));
    let twins: Vec<u64> = (0..3).map(|_| world.agent(&with_rooms("t", &["x", "x", "~x"]))).collect();
    assert_eq!(world.rooms(a), ["x"]);
    assert_eq!(world.rooms(twins[0]), ["p_t~x", "p_t~2~x", "%7Ex"]);
    assert_eq!(world.rooms(twins[1]), ["p_t~3~x", "p_t~4~x", "p_t~%7Ex"]);
    assert_eq!(world.rooms(twins[2]), ["p_t~5~x", "p_t~6~x", "p_t~2~%7Ex"]);
    // Each is found by its id, and destroyed on its own agent.
    for (connection, id) in [(twins[0], "p_t~2~x"), (twins[2], "p_t~6~x")] {
        let (_, effects) = world.ask(Ask::DestroyRoom { id: id.into(), timeout_ms: 1 });
        let (sent, cmd) = super::world::cmds(&effects).remove(0);
        assert_eq!((sent, cmd.room_id.as_deref()), (connection, Some("x")));
    }
    // A process whose name has no room in a path is known by the id of its instance.
    let long = world.agent(&Snapshot { process_uid: "/".repeat(100), ..with_rooms("l", &["x"]) });
    assert_eq!(world.rooms(long), [format!("{}~x", world.id(long))]);
    let odd = world.agent(&Snapshot { process_uid: "p~1/".into(), ..with_rooms("o", &["x"]) });
    assert_eq!(world.rooms(odd), ["p%7E1%2F~x"]);
}

#[test]
fn another_process_uid_gives_other_ids() {
    let mut world = World::new();
    world.agent(&with_rooms("a", &["x"]));
    let b = world.agent(&with_rooms("b", &["x", "y"]));
    world.listen();
    world.poll(b);
    let effects = world.reply(b, &Snapshot { process_uid: "q".into(), ..with_rooms("b", &["x", "y"]) });
    assert_eq!(world.rooms(b), ["q~x", "y"]);
    assert_eq!(told(&effects), ["create q~x", "destroy p_b~x", "sync"]);
}

#[test]
fn numbers_add_up() {
    let mut world = World::new();
    let Answer::Stats(stats) = world.get(Ask::Stats { known: None }) else { panic!() };
    assert_eq!(stats.state_hash, "4f53cda18c2baa0c");
    world.join();
    assert_eq!(world.hash(), stats.state_hash);
    let types = |types: &[&str]| types.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>();
    // U+FF5E comes behind U+1F600 in code units, and before it in UTF-8.
    let a = Snapshot { room_types: types(&["z", "b", "b", "\u{ff5e}"]), ..loaded("a", 5, None) };
    let b = Snapshot { room_types: types(&["b", "\u{1f600}"]), ..loaded("b", 7, None) };
    let connection = world.agent(&a);
    world.agent(&b);
    let Answer::Stats(stats) = world.get(Ask::Stats { known: None }) else { panic!() };
    assert_eq!((stats.instances.get(), stats.rooms.get(), stats.connections.get()), (2, 2, 12));
    assert_eq!(stats.room_types, ["b", "z", "\u{1f600}", "\u{ff5e}"]);
    world.input(&Input::Left { connection });
    let Answer::Stats(stats) = world.get(Ask::Stats { known: None }) else { panic!() };
    assert_eq!((stats.instances.get(), stats.rooms.get(), stats.connections.get()), (1, 1, 7));
    assert_eq!(stats.room_types, ["b", "\u{1f600}"]);
}

#[test]
fn the_hash_follows_what_is_shown_and_nothing_else() {
    let mut world = World::new();
    let full = Snapshot { labels: vec![label("k", "v")], ..with_rooms("a", &["x"]) };
    let connection = world.agent(&full);
    let mut seen = std::collections::BTreeSet::from([world.hash()]);
    let changes: [fn(&mut Snapshot); 14] = [
        |it| it.name.push('!'),
        |it| it.process_uid.push('!'),
        |it| it.agent_version.push('!'),
        |it| it.protocol_version += 1,
        |it| it.endpoint_url.push('!'),
        |it| it.labels.push(Label { key: "l".into(), value: String::new() }),
        |it| it.capacity = Capacity { max_connections: Some(0), max_rooms: None },
        |it| it.capacity = Capacity { max_connections: None, max_rooms: Some(0) },
        |it| it.auto_create = false,
        |it| it.room_types.push("t".into()),
        |it| it.status = Status::Draining,
        |it| it.rooms[0].connections += 1,
        |it| it.rooms[0].kind.push('!'),
        |it| it.rooms[0].origin = Origin::Local,
    ];
    for change in changes {
        world.poll(connection);
        let mut changed = full.clone();
        change(&mut changed);
        world.reply(connection, &changed);
        assert!(seen.insert(world.hash()), "{changed:?}");
        assert_eq!(world.state.hash_from_scratch(), world.hash());
    }
    world.poll(connection);
    world.reply(connection, &full);
    let hash = world.hash();
    assert!(!seen.insert(hash.clone()));
    world.pass(3 * H);
    assert!(world.state.is_stale(connection));
    assert_eq!(world.hash(), hash);
}

#[test]
fn what_is_known_is_not_said_again() {
    let mut world = World::new();
    world.agent(&with_rooms("a", &["x"]));
    let hash = world.hash();
    let asks = |known: Option<String>| {
        let filter = Filter { kind: Some("none".into()), ..Filter::default() };
        [
            Ask::Stats { known: known.clone() },
            Ask::Instances { known: known.clone() },
            Ask::Rooms { filter, known },
        ]
    };
    for known in ["*".to_owned(), format!("W/\"{hash}\""), format!("\"x\", W/\"{hash}\"")] {
        for ask in asks(Some(known)) {
            assert_eq!(world.get(ask), Answer::NotModified { hash: hash.clone() });
        }
    }
    for known in [None, Some("W/\"0\"".to_owned()), Some(hash.clone())] {
        for ask in asks(known) {
            assert!(!matches!(world.get(ask), Answer::NotModified { .. }));
        }
    }
}

#[test]
fn rooms_are_filtered() {
    let mut world = World::new();
    let lobby = SyncRoom { kind: "lobby".into(), ..room("l", 0, Origin::Fleet) };
    let mut a =
        Snapshot { labels: vec![label("region", "eu:1"), label("az", "a")], ..with_rooms("a", &["x"]) };
    a.rooms.push(lobby);
    let connection = world.agent(&a);
    world.agent(&Snapshot { labels: vec![label("region", "us")], ..with_rooms("b", &["y"]) });
    let id = world.id(connection);
    let labels = |pairs: &[(&str, &str)]| {
        let labels = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Filter { labels, ..Filter::default() }
    };
    let kind = |kind: &str| Filter { kind: Some(kind.into()), ..Filter::default() };
    let on = |id: &str| Filter { instance: Some(id.into()), ..Filter::default() };
    let cases: [(Filter, &[&str]); 8] = [
        (Filter::default(), &["x", "l", "y"]),
        (kind("match"), &["x", "y"]),
        (on(&id), &["x", "l"]),
        (on("nobody"), &[]),
        (labels(&[("region", "eu:1")]), &["x", "l"]),
        (labels(&[("region", "eu:1"), ("az", "b")]), &[]),
        (Filter { instance: Some(id.clone()), ..kind("lobby") }, &["l"]),
        (Filter { kind: Some("match".into()), ..labels(&[("region", "us")]) }, &["y"]),
    ];
    for (filter, expected) in cases {
        let Answer::Rooms { rooms, hash } = world.get(Ask::Rooms { filter, known: None }) else { panic!() };
        assert_eq!(rooms.iter().map(|room| room.id.as_str()).collect::<Vec<_>>(), expected);
        assert!(hash.is_some());
    }
    let Answer::Rooms { rooms, hash } = world.get(Ask::InstanceRooms { id: id.clone() }) else { panic!() };
    assert_eq!((rooms.len(), hash), (2, None));
    assert!(matches!(world.get(Ask::Instance { id }), Answer::Instance(instance) if instance.name == "a"));
    for ask in [Ask::Instance { id: "nobody".into() }, Ask::InstanceRooms { id: "nobody".into() }] {
        assert_eq!(world.get(ask), Answer::Refused(Cause::InstanceNotFound));
    }
}

#[test]
fn events_come_in_the_order_of_what_they_tell() {
    let mut world = World::new();
    world.listen();
    let (a, effects) = world.join();
    assert_eq!(told(&effects), [""; 0]);
    let effects = world.reply(a, &local("a", &["y", "x"]));
    assert_eq!(told(&effects), ["join a", "create y", "create x", "sync"]);
    // A newcomer takes an id: the new id of the older room comes before it is announced.
    let (b, _) = world.join();
    let effects = world.reply(b, &with_rooms("b", &["x", "z"]));
    assert_eq!(told(&effects), ["create p_a~x", "join b", "create z", "sync"]);
    // Numbers alone.
    world.poll(a);
    let mut more = local("a", &["y", "x"]);
    more.rooms[0].connections = 9;
    assert_eq!(told(&world.reply(a, &more)), ["sync"]);
    world.pass(H);
    assert_eq!(told(&world.reply(a, &more)), [""; 0]);
    // New ones come before those that are gone.
    world.reply(b, &with_rooms("b", &["x", "z"]));
    world.pass(H);
    assert_eq!(told(&world.reply(b, &with_rooms("b", &["x", "w"]))), ["create w", "destroy z", "sync"]);
    // The one that kept the id leaves: the other takes it over in silence.
    let effects = world.input(&Input::Left { connection: b });
    assert_eq!(told(&effects), ["leave b", "destroy p_a~x", "destroy w", "sync"]);
    assert_eq!(world.rooms(a), ["y", "x"]);
    assert_eq!(
        told(&world.input(&Input::Left { connection: a })),
        ["leave a", "destroy y", "destroy x", "sync"]
    );
}

#[test]
fn an_id_goes_with_the_type_with_which_it_came() {
    let mut world = World::new();
    world.listen();
    let kind = |snapshot: Snapshot, kind: &str| {
        let rooms =
            snapshot.rooms.iter().map(|room| SyncRoom { kind: kind.into(), ..room.clone() }).collect();
        Snapshot { rooms, ..snapshot }
    };
    let gone = |effects: &[Effect]| {
        let kind = |effect: &Effect| match effect {
            Effect::Tell { event: Told::Destroy(room), .. } => Some(format!("{} {}", room.id, room.kind)),
            _ => None,
        };
        effects.iter().filter_map(kind).collect::<Vec<_>>()
    };
    let a = world.agent(&kind(with_rooms("a", &["x"]), "first"));
    let b = world.agent(&kind(with_rooms("b", &["x"]), "second"));
    assert_eq!(gone(&world.input(&Input::Left { connection: a })), ["p_b~x second"]);
    world.poll(b);
    assert_eq!(told(&world.reply(b, &kind(with_rooms("b", &["x"]), "third"))), ["sync"]);
    assert_eq!(gone(&world.input(&Input::Left { connection: b })), ["x first"]);
}

#[test]
fn each_listener_is_told_the_same_and_only_what_follows() {
    let mut world = World::new();
    let a = world.agent(&with_rooms("a", &["x"]));
    let (first, second) = (world.listen(), world.listen());
    world.poll(a);
    let effects = world.reply(a, &with_rooms("a", &["x", "y"]));
    assert_eq!(told(&effects), ["create y", "sync"]);
    for effect in &effects {
        let Effect::Tell { sessions, event } = effect else { panic!("{effect:?}") };
        assert_eq!(sessions[..], [first, second]);
        if let Told::Sync(stats) = event {
            assert_eq!(stats.state_hash, world.state.hash_from_scratch());
        }
    }
    world.input(&Input::Gone { session: first });
    let (third, effects) = world.ask(Ask::Events { most: 1 });
    assert_eq!(answered(&effects, third), Some(Answer::Refused(Cause::SseLimit)));
    world.input(&Input::Gone { session: second });
    let (fourth, effects) = world.ask(Ask::Events { most: 1 });
    assert_eq!(answered(&effects, fourth), Some(Answer::Listening));
}

#[test]
fn the_first_look_ever_is_told() {
    let mut world = World::new();
    world.listen();
    for expected in [&["sync"][..], &[]] {
        let (connection, _) = world.join();
        assert_eq!(told(&world.input(&Input::Left { connection })), expected);
    }
}
