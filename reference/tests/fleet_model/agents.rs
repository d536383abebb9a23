//! Hello, Poll, Liveness, Violations.

use super::world::{
    H, World, answered, closed, cmds, failed, ok, polls, refusal, request, room_of, snapshot, told,
};
use wireproof_reference::fleet::model::{Answer, Ask, Effect, Heard, Input, Said};
use wireproof_spec::fleet::{Ack, Cause, Snapshot, State, Status, frames::Outer};

const KICKED: Option<(u16, &str)> = Some((4003, ""));
const INVALID: Option<(u16, &str)> = Some((4003, "invalid_message"));

#[test]
fn a_hello_comes_first_and_a_poll_behind_it() {
    let mut world = World::new();
    let (connection, effects) = world.join();
    let [Effect::Send { said: Said::Hello(hello), .. }, Effect::Send { said: Said::Poll(poll), .. }] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!((hello.instance_id.as_str(), hello.protocol_version), ("0000000000000001", 3));
    assert_eq!(u64::from(hello.heartbeat_ms), H);
    assert_eq!((poll.known_hash.as_ref(), &poll.status), (None, &Status::Active));
    assert_eq!(world.state.outstanding(connection).as_ref(), Some(&poll.req_id));
}

#[test]
fn no_two_connections_have_one_id_whatever_was_drawn() {
    let mut world = World::new();
    for connection in [5, 6, 7] {
        world.input(&Input::Joined { connection, heartbeat_ms: H, verified: false, random: [0xff; 8] });
    }
    assert_eq!(world.state.connection("ffffffffffffffff"), Some(5));
    assert_eq!(world.state.connection("0000000000000000"), Some(6));
    assert_eq!(world.state.connection("0000000000000001"), Some(7));
    assert_eq!(
        world.input(&Input::Joined { connection: 5, heartbeat_ms: H, verified: false, random: [1; 8] }),
        []
    );
}

#[test]
fn every_twelfth_poll_asks_for_all() {
    let mut world = World::new();
    let (connection, first) = world.join();
    let mut all = polls(&first, connection);
    let snapshot = snapshot("a");
    for _ in 1..27 {
        world.reply(connection, &snapshot);
        all.push(world.poll(connection));
    }
    let forced: Vec<usize> =
        (1..).zip(&all).filter(|(_, poll)| poll.known_hash.is_none()).map(|(number, _)| number).collect();
    assert_eq!(forced, [1, 13, 25]);
    assert_eq!(all[1].known_hash, Some(snapshot.hash()));
    let ids: std::collections::BTreeSet<_> = all.iter().map(|poll| &poll.req_id).collect();
    assert_eq!(ids.len(), all.len());
}

#[test]
fn a_poll_tells_what_was_applied_last() {
    let mut world = World::new();
    let (connection, _) = world.join();
    world.same(connection);
    assert_eq!(world.poll(connection).known_hash, None);
    let draining = Snapshot { status: Status::Draining, ..snapshot("a") };
    world.reply(connection, &draining);
    let poll = world.poll(connection);
    assert_eq!((poll.known_hash, poll.status), (Some(draining.hash()), Status::Draining));

    let rejected = Snapshot { endpoint_url: "nowhere".into(), ..snapshot("b") };
    world.reply(connection, &rejected);
    assert_eq!(world.poll(connection).known_hash, Some(draining.hash()));
    let hash_only = State { hash: "other".into(), ..world.answer(connection, None) };
    world.say(connection, &hash_only);
    let poll = world.poll(connection);
    assert_eq!((poll.known_hash, poll.status), (Some(draining.hash()), Status::Draining));
    let old = State { seq: 1, ..world.answer(connection, Some(&snapshot("c"))) };
    assert_eq!(world.say(connection, &old), []);
    assert_eq!(world.poll(connection).status, Status::Draining);
    // A hash is what it is, an empty one too.
    let empty = State { hash: String::new(), ..world.answer(connection, Some(&snapshot("d"))) };
    world.say(connection, &empty);
    let poll = world.poll(connection);
    assert_eq!((poll.known_hash.as_deref(), poll.status), (Some(""), Status::Active));
}

#[test]
fn a_hash_is_looked_at_where_that_is_asked_for() {
    let mut world = World::new();
    let connection = 9;
    world.input(&Input::Joined { connection, heartbeat_ms: H, verified: true, random: [9; 8] });
    let other = State { hash: snapshot("b").hash(), ..world.answer(connection, Some(&snapshot("a"))) };
    let effects = world.say(connection, &other);
    assert_eq!(closed(&effects, connection), None);
    assert_eq!(world.poll(connection).known_hash, None);
    assert_eq!(world.state.instance(connection), None);
    world.reply(connection, &snapshot("a"));
    assert_eq!(world.poll(connection).known_hash, Some(snapshot("a").hash()));
}

#[test]
fn who_is_silent_is_stale_and_then_evicted() {
    let mut world = World::new();
    let connection = world.agent(&snapshot("a"));
    world.listen();
    assert_eq!(polls(&world.pass(H), connection).len(), 1);
    assert_eq!(world.pass(2 * H - 1), []);
    assert!(!world.state.is_stale(connection));
    assert_eq!(told(&world.pass(1)), ["stale a"]);
    assert!(world.state.is_stale(connection));
    let (session, effects) =
        world.ask(Ask::Drain { id: world.id(connection), drain: true, timeout_ms: 10 * H });
    assert_eq!(cmds(&effects).len(), 1);
    assert_eq!(world.pass(H - 1), []);
    let effects = world.pass(1);
    assert_eq!(closed(&effects, connection), KICKED);
    assert_eq!(refusal(&effects, session), Some(Cause::InstanceDisconnected));
    assert_eq!(told(&effects), ["leave a", "sync"]);
    assert_eq!(world.pass(20 * H), []);
    assert_eq!(world.state.connections().count(), 0);
}

#[test]
fn a_late_answer_counts_and_misses_begin_anew() {
    let mut world = World::new();
    let connection = world.agent(&snapshot("a"));
    world.listen();
    for wait in [H, 1, 1] {
        assert_eq!(polls(&world.pass(wait), connection).len(), 1);
        // Late by two looks, and a moment short of the third.
        assert_eq!(told(&world.pass(3 * H - 1)), ["stale a"]);
        let before = world.hash();
        let answer = world.answer(connection, None);
        assert_eq!(world.say(connection, &answer), []);
        assert!(!world.state.is_stale(connection));
        assert_eq!(world.hash(), before);
        let now = i64::try_from(world.now).unwrap();
        assert_eq!(world.state.instance(connection).unwrap().last_sync_at.get(), now);
    }
}

#[test]
fn a_late_tick_takes_nothing_from_an_agent() {
    let mut world = World::new();
    let connection = world.agent(&snapshot("a"));
    world.now += 10 * H;
    let effects = world.input(&Input::Tick);
    assert_eq!(polls(&effects, connection).len(), 1);
    assert_eq!(world.pass(3 * H - 1), []);
    assert_eq!(closed(&world.pass(1), connection), KICKED);
}

#[test]
fn each_of_those_who_are_silent_at_once_is_evicted() {
    let mut world = World::new();
    world.agent(&snapshot("a"));
    let (unsynced, _) = world.join();
    world.agent(&snapshot("c"));
    world.listen();
    let effects = world.pass(4 * H);
    assert_eq!(closed(&effects, unsynced), KICKED);
    // The one without a snapshot has nothing to leave, and never was stale.
    let expected = ["stale a", "stale c", "leave a", "sync", "leave c", "sync"];
    assert_eq!(told(&effects), expected);
    assert_eq!(world.state.connections().count(), 0);
}

#[test]
fn what_nobody_waits_for_ends_its_connection() {
    let mut world = World::new();
    let (a, b) = (world.agent(&snapshot("a")), world.agent(&snapshot("b")));
    let (session, effects) = world.ask(room_of(request(Some("x"))));
    let (owner, cmd) = cmds(&effects).remove(0);
    let other = if owner == a { b } else { a };
    // The second answer to one Poll, whatever it holds.
    let (third, _) = world.join();
    let answer = world.answer(third, Some(&snapshot("c")));
    world.say(third, &answer);
    assert_eq!(closed(&world.say(third, &answer), third), KICKED);
    assert!(world.state.instance(third).is_none());
    // The Ack of a command that another has in flight; the owner's still counts.
    assert_eq!(closed(&world.ack(other, &ok(&cmd)), other), KICKED);
    assert!(matches!(answered(&world.ack(owner, &ok(&cmd)), session), Some(Answer::Created(_))));
    // The second Ack.
    assert_eq!(closed(&world.ack(owner, &ok(&cmd)), owner), KICKED);
    assert_eq!(world.state.connections().count(), 0);
}

#[test]
fn an_answer_to_the_poll_of_another_connection_ends_only_its_own() {
    let mut world = World::new();
    let ((a, _), (b, _)) = (world.join(), world.join());
    let answer = world.answer(a, Some(&snapshot("a")));
    assert_eq!(closed(&world.say(b, &answer), b), KICKED);
    assert_eq!(world.state.outstanding(a), Some(answer.req_id.clone()));
    world.say(a, &answer);
    assert!(world.state.instance(a).is_some());
}

#[test]
fn a_cmd_id_is_compared_as_it_is_spelled() {
    for id in ["cmd_01", "cmd_+1", "1", "cmd_", "cmd_1 ", "CMD_1", "cmd_18446744073709551616"] {
        let mut world = World::new();
        let connection = world.agent(&snapshot("a"));
        let (session, _, cmd) = world.create(request(None));
        assert_eq!(cmd.cmd_id, "cmd_1");
        let effects = world.ack(connection, &Ack { cmd_id: id.into(), ..ok(&cmd) });
        assert_eq!(closed(&effects, connection), KICKED, "{id}");
        assert_eq!(refusal(&effects, session), Some(Cause::InstanceDisconnected));
    }
}

#[test]
fn what_has_no_place_on_a_connection_ends_it() {
    let long = |letters: usize| Outer::encode(&"t".repeat(letters), &[]);
    let astral = Outer::encode(&"\u{1f600}".repeat(129), &[]);
    let cases: [(Heard, Option<(u16, &str)>); 11] = [
        (Heard::Text, Some((4002, ""))),
        (Heard::Binary(vec![0x0a, 0x05, 0x00]), INVALID),
        (Heard::Binary(vec![0x0b]), INVALID),
        (Heard::Binary(vec![0x0d, 1, 2, 3, 4]), INVALID),
        (Heard::Binary(vec![0x18, 0x80]), INVALID),
        (Heard::Binary(long(257)), INVALID),
        (Heard::Binary(astral), INVALID),
        (Heard::Binary(Outer::encode("fleet/poll", &[3, 0])), INVALID),
        (Heard::Binary(Outer::encode("", &[])), INVALID),
        // These two say nothing.
        (Heard::Binary(vec![]), None),
        (Heard::Binary(vec![0x12, 0x00]), None),
    ];
    for (heard, expected) in cases {
        let mut world = World::new();
        let (connection, _) = world.join();
        let effects = world.input(&Input::Heard { connection, heard: heard.clone() });
        assert_eq!(closed(&effects, connection), expected, "{heard:?}");
        assert_eq!(world.state.outstanding(connection).is_none(), expected.is_some());
    }
}

#[test]
fn a_malformed_inner_frame_is_dropped() {
    let mut world = World::new();
    let connection = world.agent(&snapshot("a"));
    let (session, _, cmd) = world.create(request(None));
    world.pass(H);
    let frame = world.answer(connection, Some(&snapshot("b"))).encode_frame();
    for topic in ["fleet/state", "fleet/ack"] {
        for inner in
            [&[][..], &[3], &[2, 0], &[4, 0], b"{\"reqId\":1}", &[3, 0, 0x0a, 9, 1], &[3, 0, 0x00, 0]]
        {
            assert_eq!(world.hear(connection, Outer::encode(topic, inner)), []);
        }
    }
    let other_minor = [&[3, 9], &frame[2..]].concat();
    assert_eq!(world.hear(connection, Outer::encode("fleet/state", &other_minor)), []);
    assert_eq!(world.state.instance(connection).unwrap().name, "b");
    assert_eq!(refusal(&world.ack(connection, &failed(&cmd)), session), Some(Cause::CommandFailed));
}

#[test]
fn frames_take_tokens() {
    let mut world = World::new();
    let (connection, _) = world.join();
    let dropped = || Outer::encode("fleet/state", &[]);
    for _ in 0..66 {
        assert_eq!(world.hear(connection, dropped()), []);
    }
    // 33 a second are one in 30 ms and a bit more.
    world.now += 31;
    assert_eq!(world.hear(connection, dropped()), []);
    world.now += 29;
    assert_eq!(closed(&world.hear(connection, dropped()), connection), Some((4003, "rate_limited")));
    assert_eq!(world.hear(connection, dropped()), []);

    let (connection, _) = world.join();
    world.same(connection);
    for _ in 0..3 {
        world.poll(connection);
        world.same(connection);
    }
    for _ in 0..65 {
        assert_eq!(world.hear(connection, vec![]), []);
    }
    // None is left, but what is malformed is found before that.
    assert_eq!(closed(&world.hear(connection, vec![0xff]), connection), INVALID);
}

#[test]
fn those_who_connect_while_it_stops_are_sent_away() {
    let mut world = World::new();
    let (a, (b, _)) = (world.agent(&snapshot("a")), world.join());
    let (session, _, _) = world.create(request(None));
    let listener = world.listen();
    let effects = world.input(&Input::Stopping);
    let Effect::EndEvents { sessions } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(sessions[..], [listener]);
    assert_eq!(refusal(&effects, session), Some(Cause::InstanceDisconnected));
    for connection in [a, b] {
        assert_eq!(closed(&effects, connection), Some((4003, "room_destroyed")));
    }
    assert_eq!(told(&effects), [""; 0]);
    let (late, effects) = world.join();
    assert_eq!(closed(&effects, late), Some((4003, "server_shutdown")));
    assert_eq!(effects.len(), 1);
    assert_eq!(world.get(Ask::Instances { known: None }), Answer::Refused(Cause::NotReady));
    assert_eq!(world.pass(10 * H), []);
    assert_eq!(world.input(&Input::Left { connection: a }), []);
    assert_eq!(world.input(&Input::Stopping), []);
}
