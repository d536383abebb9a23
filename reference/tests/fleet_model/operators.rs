//! Commands and Holds: what becomes of a request, and what nobody else gets meanwhile.

use super::world::{
    H, T, World, answered, closed, cmds, failed, nowhere, ok, placed, refusal, request, room_of, snapshot,
    with_rooms,
};
use wireproof_reference::fleet::model::{Answer, Ask, Input, MOST_COMMANDS};
use wireproof_spec::fleet::{Ack, AckRoom, Capacity, Cause, CreateRequest, Op, Placement, Snapshot, Status};

fn destroy(id: &str) -> Ask {
    Ask::DestroyRoom { id: id.into(), timeout_ms: T }
}

fn drain(id: &str, drain: bool) -> Ask {
    Ask::Drain { id: id.into(), drain, timeout_ms: T }
}

#[test]
fn a_room_is_there_when_the_agent_says_so() {
    let mut world = World::new();
    let connection = world.agent(&snapshot("a"));
    let (session, sent, cmd) = world.create(request(Some("m-1")));
    assert_eq!((sent, &cmd.op), (connection, &Op::Create));
    assert_eq!((cmd.room_id.as_deref(), cmd.room_type.as_deref()), (Some("m-1"), Some("match")));
    // What the agent says of the room, and exists beside ok, count for nothing.
    let room = Some(AckRoom { id: "other".into(), kind: "other".into() });
    let effects = world.ack(connection, &Ack { room, exists: Some(true), ..ok(&cmd) });
    let Some(Answer::Created(room)) = answered(&effects, session) else { panic!("{effects:?}") };
    assert_eq!((room.id.as_str(), room.kind.as_str(), room.local), ("m-1", "match", false));
    assert_eq!((room.connections.get(), room.instance_id), (0, world.id(connection)));
    assert_eq!(room.endpoint_url, "wss://a.example");
    assert_eq!(world.get(Ask::Room { id: "m-1".into() }), Answer::Refused(Cause::RoomNotFound));
}

#[test]
fn ids_that_are_made_up_are_legal_and_free() {
    let mut world = World::new();
    world.agent(&snapshot("a"));
    let mut ids = std::collections::BTreeSet::new();
    // The same bytes are drawn each time.
    for _ in 0..20 {
        let (_, _, cmd) = world.create(request(None));
        let id = cmd.room_id.unwrap();
        assert!(wireproof_spec::fleet::RoomId::new(id.as_str()).is_some_and(|id| id.as_str().len() == 23));
        assert!(ids.insert(id));
    }
}

#[test]
fn each_way_in_which_a_command_ends() {
    type End =
        fn(&mut World, u64, &wireproof_spec::fleet::Cmd) -> Vec<wireproof_reference::fleet::model::Effect>;
    let exists = |cmd: &_| Ack { exists: Some(true), ..failed(cmd) };
    let asks: [Ask; 4] = [room_of(request(Some("y"))), destroy("x"), drain("0000000000000001", true), {
        drain("0000000000000001", false)
    }];
    let ends: [(End, Cause); 3] = [
        (|world, connection, cmd| world.ack(connection, &failed(cmd)), Cause::CommandFailed),
        (|world, _, _| world.pass(T), Cause::CommandTimeout),
        (|world, connection, _| world.input(&Input::Left { connection }), Cause::InstanceDisconnected),
    ];
    for (index, ask) in asks.iter().enumerate() {
        for (end, cause) in &ends {
            let mut world = World::new();
            let connection = world.agent(&with_rooms("a", &["x"]));
            let (session, effects) = world.ask(ask.clone());
            let cmd = cmds(&effects).remove(0).1;
            assert_eq!(answered(&effects, session), None);
            assert_eq!(refusal(&end(&mut world, connection, &cmd), session), Some(*cause));
            assert!(!world.state.waits(session));
            assert_eq!(world.state.in_flight(connection), 0);
        }
        let mut world = World::new();
        let connection = world.agent(&with_rooms("a", &["x"]));
        let (session, effects) = world.ask(ask.clone());
        let cmd = cmds(&effects).remove(0).1;
        let expected = if index == 0 { Cause::RoomExists } else { Cause::CommandFailed };
        assert_eq!(refusal(&world.ack(connection, &exists(&cmd)), session), Some(expected));
    }
}

#[test]
fn a_timeout_is_for_the_operator_and_an_ack_behind_it_ends_the_connection() {
    let mut world = World::new();
    let connection = world.agent(&snapshot("a"));
    let (session, _, cmd) = world.create(request(Some("x")));
    world.pass(H);
    world.same(connection);
    world.pass(H);
    world.same(connection);
    assert_eq!(world.pass(T - 2 * H - 1), []);
    assert_eq!(refusal(&world.pass(1), session), Some(Cause::CommandTimeout));
    assert!(world.state.instance(connection).is_some());
    assert_eq!(closed(&world.ack(connection, &ok(&cmd)), connection), Some((4003, "")));
}

#[test]
fn acks_come_in_any_order() {
    let mut world = World::new();
    let connection = world.agent(&with_rooms("a", &["x"]));
    let (first, _, create) = world.create(request(None));
    let (second, effects) = world.ask(destroy("x"));
    let gone = Ack { already_gone: Some(true), ..ok(&cmds(&effects)[0].1) };
    assert_eq!(answered(&world.ack(connection, &gone), second), Some(Answer::Done));
    assert_eq!(refusal(&world.ack(connection, &failed(&create)), first), Some(Cause::CommandFailed));
}

#[test]
fn so_many_commands_are_in_flight_and_no_more() {
    let mut world = World::new();
    let (a, b) = (world.agent(&snapshot("a")), world.agent(&with_rooms("b", &["x"])));
    let pin = |world: &World, connection| {
        let id = world.id(connection);
        placed(Placement { instance_id: Some(id), ..nowhere() })
    };
    let sent: Vec<_> = (0..MOST_COMMANDS).map(|_| world.create(pin(&world, a))).collect();
    let (session, effects) =
        world.ask(room_of(CreateRequest { room_id: request(Some("late")).room_id, ..pin(&world, a) }));
    assert_eq!(refusal(&effects, session), Some(Cause::InstanceBusy));
    assert_eq!(effects.len(), 1);
    assert!(!world.state.holds("late"));
    assert_eq!(world.get(drain(&world.id(a), true)), Answer::Refused(Cause::InstanceBusy));
    // Another one has its own.
    assert_eq!(cmds(&world.ask(destroy("x")).1)[0].0, b);
    world.pass(H);
    for (session, _, cmd) in &sent {
        assert!(matches!(answered(&world.ack(a, &ok(cmd)), *session), Some(Answer::Created(_))));
        assert!(world.state.in_flight(a) < MOST_COMMANDS);
    }
    assert_eq!(world.same(a), []);
    world.create(pin(&world, a));
}

#[test]
fn a_room_is_destroyed_by_the_id_that_its_agent_knows() {
    let mut world = World::new();
    let connection = world.agent(&with_rooms("a", &["r 2~/", "x"]));
    let (session, effects) = world.ask(destroy("r%202%7E%2F"));
    let (sent, cmd) = cmds(&effects).remove(0);
    assert_eq!((sent, &cmd.op, cmd.room_id.as_deref()), (connection, &Op::Destroy, Some("r 2~/")));
    assert_eq!(cmd.room_type, None);
    assert_eq!(answered(&world.ack(connection, &ok(&cmd)), session), Some(Answer::Done));
    // The read model follows snapshots alone.
    assert_eq!(world.rooms(connection), ["r%202%7E%2F", "x"]);
    assert_eq!(world.get(destroy("r 2~/")), Answer::Refused(Cause::RoomNotFound));
}

#[test]
fn a_drain_counts_for_placement_until_a_snapshot_agrees() {
    let mut world = World::new();
    let connection = world.agent(&snapshot("a"));
    let id = world.id(connection);
    assert_eq!(world.get(drain("nobody", true)), Answer::Refused(Cause::InstanceNotFound));
    let (unsynced, _) = world.join();
    let ids: Vec<String> = vec![format!("{unsynced:016x}")];
    assert_eq!(world.get(drain(&ids[0], true)), Answer::Refused(Cause::InstanceNotFound));

    let settle = |world: &mut World, to: bool, done: bool| {
        let (session, effects) = world.ask(drain(&id, to));
        let cmd = cmds(&effects).remove(0).1;
        assert_eq!(cmd.op, if to { Op::Drain } else { Op::Undrain });
        let effects = world.ack(connection, &if done { ok(&cmd) } else { failed(&cmd) });
        assert_eq!(answered(&effects, session) == Some(Answer::Done), done);
    };
    let takes = |world: &mut World| {
        let (session, effects) = world.ask(room_of(request(None)));
        match refusal(&effects, session) {
            None => {
                let cmd = cmds(&effects).remove(0).1;
                world.ack(connection, &failed(&cmd));
                true
            }
            Some(cause) => {
                assert_eq!(cause, Cause::NoCandidate);
                false
            }
        }
    };
    let draining = Snapshot { status: Status::Draining, ..snapshot("a") };
    settle(&mut world, true, false);
    assert!(takes(&mut world));
    let hash = world.hash();
    settle(&mut world, true, true);
    assert!(!takes(&mut world));
    // Neither what is shown nor what is echoed follows an Ack; a snapshot that was on its way ends nothing.
    assert_eq!(world.hash(), hash);
    assert_eq!(world.poll(connection).status, Status::Active);
    world.reply(connection, &snapshot("a"));
    assert!(!takes(&mut world));
    world.poll(connection);
    world.reply(connection, &draining);
    assert!(!takes(&mut world));
    // It has agreed: from now on snapshots count.
    world.poll(connection);
    world.reply(connection, &snapshot("a"));
    assert!(takes(&mut world));
    world.poll(connection);
    world.reply(connection, &draining);
    settle(&mut world, false, true);
    assert!(takes(&mut world));
    // Back to what is shown: nothing is left to override.
    settle(&mut world, true, true);
    world.poll(connection);
    world.reply(connection, &snapshot("a"));
    assert!(takes(&mut world));
}

#[test]
fn a_request_that_is_gone_is_answered_no_more() {
    let mut world = World::new();
    let connection = world.agent(&snapshot("a"));
    let (session, _, cmd) = world.create(request(Some("x")));
    assert_eq!(world.input(&Input::Gone { session }), []);
    assert!(world.state.holds("x"));
    assert_eq!(world.ack(connection, &ok(&cmd)), []);
    assert_eq!(world.input(&Input::Gone { session }), []);
    assert_eq!(world.refused(request(Some("x"))), Cause::RoomExists);
}

#[test]
fn an_id_is_held_until_the_agent_has_answered() {
    for acknowledged in [true, false] {
        for seen in [Some(&["x"][..]), Some(&[][..]), None] {
            let mut world = World::new();
            let (a, b) = (world.agent(&snapshot("a")), world.agent(&with_rooms("b", &["z"])));
            let pinned = placed(Placement { instance_id: Some(world.id(b)), ..nowhere() });
            let create = CreateRequest { room_id: request(Some("x")).room_id, ..pinned.clone() };
            let first = placed(Placement { instance_id: Some(world.id(a)), ..nowhere() });
            let first = CreateRequest { room_id: create.room_id.clone(), ..first };
            let (session, _, cmd) = world.create(first);
            assert_eq!(world.refused(create.clone()), Cause::RoomExists);
            // A State that comes before the command is settled ends nothing, nor does one of another agent.
            world.pass(H);
            world.same(a);
            assert_eq!(world.refused(create.clone()), Cause::RoomExists);
            if acknowledged {
                world.ack(a, &ok(&cmd));
            } else {
                world.pass(H);
                world.same(a);
                world.same(b);
                assert_eq!(refusal(&world.pass(T - 2 * H), session), Some(Cause::CommandTimeout));
            }
            assert!(world.state.holds("x"));
            if world.state.outstanding(b).is_some() {
                world.same(b);
            }
            if world.state.outstanding(a).is_none() {
                world.poll(a);
            }
            assert_eq!(world.refused(create.clone()), Cause::RoomExists);
            match seen {
                Some(rooms) => world.reply(a, &with_rooms("a", rooms)),
                None => world.same(a),
            };
            assert!(!world.state.holds("x"));
            let (session, effects) = world.ask(room_of(create));
            let expected = (seen == Some(&["x"])).then_some(Cause::RoomExists);
            assert_eq!(refusal(&effects, session), expected);
        }
    }
}

#[test]
fn an_id_is_free_again_at_once_when_nothing_came_of_it() {
    let mut world = World::new();
    assert_eq!(world.refused(request(Some("x"))), Cause::NoCandidate);
    let connection = world.agent(&snapshot("a"));
    let (_, _, cmd) = world.create(request(Some("x")));
    world.ack(connection, &failed(&cmd));
    let (_, _, cmd) = world.create(request(Some("x")));
    world.ack(connection, &ok(&cmd));
    world.create(request(Some("y")));
    world.input(&Input::Left { connection });
    assert!(!world.state.holds("x") && !world.state.holds("y"));
    world.agent(&snapshot("a"));
    world.create(request(Some("x")));
    world.create(request(Some("y")));
}

#[test]
fn what_is_held_counts_as_a_room() {
    let mut world = World::new();
    let small = |rooms| Snapshot {
        capacity: Capacity { max_connections: None, max_rooms: Some(2) },
        ..with_rooms("a", rooms)
    };
    let connection = world.agent(&small(&["z"]));
    let (_, _, cmd) = world.create(request(Some("x")));
    assert_eq!(world.refused(request(None)), Cause::NoCandidate);
    world.ack(connection, &failed(&cmd));
    let (_, _, cmd) = world.create(request(Some("x")));
    world.ack(connection, &ok(&cmd));
    assert_eq!(world.refused(request(None)), Cause::NoCandidate);
    world.poll(connection);
    world.reply(connection, &small(&["x"]));
    // Held and then seen, it counts once.
    world.create(request(None));
    assert_eq!(world.refused(request(None)), Cause::NoCandidate);
    // A pin asks for no room.
    let pin = Placement { process_uid: Some("p_a".into()), ..nowhere() };
    world.create(placed(pin));
}
