//! Placement: who is a candidate, and who of them it is.

use super::world::{H, World, cmds, label, loaded, nowhere, placed, request, room_of, snapshot, with_rooms};
use std::collections::BTreeSet;
use wireproof_reference::fleet::model::{Ask, Effect, Input};
use wireproof_spec::{
    fleet::{Capacity, Cause, Placement, Snapshot, Status, Strategy},
    json::{Strings, Text},
};

fn capacity(max_connections: Option<i32>, max_rooms: Option<i32>) -> Capacity {
    Capacity { max_connections, max_rooms }
}

/// Where rooms go, over many draws.
fn chosen(world: &mut World, strategy: Option<Strategy>) -> BTreeSet<u64> {
    let request = placed(Placement { strategy, ..nowhere() });
    let one = |draw: u8| {
        let ask = Ask::CreateRoom { request: request.clone(), random: [draw; 32], timeout_ms: 1 };
        let effects = world.input(&Input::Ask { session: 1000 + u64::from(draw), ask });
        let connection = cmds(&effects).remove(0).0;
        // The command is out of the way before the next draw; nothing else is due so soon.
        world.pass(1);
        connection
    };
    (0..40).map(one).collect()
}

#[test]
fn only_candidates_get_rooms() {
    let full = Snapshot { capacity: capacity(None, Some(1)), ..with_rooms("a", &["x"]) };
    for bad in [
        Snapshot { status: Status::Draining, ..snapshot("a") },
        Snapshot { auto_create: false, ..snapshot("a") },
        Snapshot { room_types: vec!["Match".into(), "matc".into()], ..snapshot("a") },
        Snapshot { capacity: capacity(None, Some(0)), ..snapshot("a") },
        Snapshot { capacity: capacity(None, Some(-1)), ..snapshot("a") },
        Snapshot { capacity: capacity(Some(0), None), ..snapshot("a") },
        loaded("a", 5, Some(5)),
        full,
    ] {
        let mut world = World::new();
        let connection = world.agent(&bad);
        assert_eq!(world.refused(request(None)), Cause::NoCandidate, "{bad:?}");
        world.poll(connection);
        let good = Snapshot { capacity: capacity(Some(6), Some(2)), ..loaded("a", 5, None) };
        world.reply(connection, &good);
        assert_eq!(world.create(request(None)).1, connection);
    }
    let mut world = World::new();
    assert_eq!(world.refused(request(None)), Cause::NoCandidate);
    world.join();
    assert_eq!(world.refused(request(None)), Cause::NoCandidate);
}

#[test]
fn all_labels_have_to_be_there() {
    let mut world = World::new();
    let labels = vec![label("region", "eu"), label("az", "a")];
    let connection = world.agent(&Snapshot { labels, ..snapshot("a") });
    let asked = |pairs: &[(&str, &str)]| {
        let labels = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        placed(Placement { labels: Some(Strings(labels)), ..nowhere() })
    };
    for pairs in [&[("region", "us")][..], &[("region", "eu"), ("az", "b")], &[("zone", "a")], &[("", "")]] {
        assert_eq!(world.refused(asked(pairs)), Cause::NoCandidate);
    }
    for pairs in [&[][..], &[("region", "eu")], &[("region", "eu"), ("az", "a")]] {
        assert_eq!(world.create(asked(pairs)).1, connection);
    }
}

#[test]
fn load_is_a_quotient_if_all_have_a_bound() {
    let mut world = World::new();
    // 10 of 100, 8 of 10.
    let (wide, narrow) = (world.agent(&loaded("a", 10, Some(100))), world.agent(&loaded("b", 8, Some(10))));
    assert_eq!(chosen(&mut world, None), [wide].into());
    assert_eq!(chosen(&mut world, Some(Strategy::LeastLoaded)), [wide].into());
    assert_eq!(chosen(&mut world, Some(Strategy::MostLoaded)), [narrow].into());
    assert_eq!(chosen(&mut world, Some(Strategy::Random)), [wide, narrow].into());
    // One candidate without a bound, and numbers count.
    let free = world.agent(&loaded("c", 9, None));
    assert_eq!(chosen(&mut world, None), [narrow].into());
    assert_eq!(chosen(&mut world, Some(Strategy::MostLoaded)), [wide].into());
    // One that is none does not matter.
    world.input(&Input::Left { connection: free });
    world.agent(&Snapshot { auto_create: false, ..loaded("d", 0, None) });
    assert_eq!(chosen(&mut world, None), [wide].into());
}

#[test]
fn chance_decides_where_load_does_not() {
    let mut world = World::new();
    // 1 of 3 and 2 of 6 are the same.
    let (a, b) = (world.agent(&loaded("a", 1, Some(3))), world.agent(&loaded("b", 2, Some(6))));
    world.agent(&loaded("c", 3, Some(6)));
    assert_eq!(chosen(&mut world, None), [a, b].into());
}

#[test]
fn a_pin_asks_for_little() {
    let mut world = World::new();
    let odd =
        Snapshot { room_types: Vec::new(), capacity: capacity(Some(0), Some(0)), ..with_rooms("a", &["x"]) };
    let connection = world.agent(&odd);
    let id = world.id(connection);
    let labels = Some(Strings([("no".into(), "such".into())].into()));
    let by_id = Placement { instance_id: Some(id.clone()), labels, ..nowhere() };
    assert_eq!(world.create(placed(by_id.clone())).1, connection);
    let both = Placement { process_uid: Some("p_a".into()), ..by_id.clone() };
    assert_eq!(world.refused(placed(both)), Cause::Validation);
    // The newest of a process.
    let by_uid = Placement { process_uid: Some("p_a".into()), ..nowhere() };
    let newest = world.agent(&odd);
    let (_unsynced, _) = world.join();
    assert_eq!(world.create(placed(by_uid.clone())).1, newest);
    world.input(&Input::Left { connection: newest });
    assert_eq!(world.create(placed(by_uid)).1, connection);
}

#[test]
fn a_pin_is_refused_for_cause() {
    for force in [None, Some(false), Some(true)] {
        let forced = force == Some(true);
        let mut world = World::new();
        let draining = world.agent(&Snapshot { status: Status::Draining, ..snapshot("a") });
        let fixed = world.agent(&Snapshot { auto_create: false, ..snapshot("b") });
        let pin = |id: String| placed(Placement { instance_id: Some(id), force, ..nowhere() });
        let outcome = |world: &mut World, id: String| {
            let (_, effects) = world.ask(room_of(pin(id)));
            match &effects[..] {
                [Effect::Send { .. }] => None,
                [Effect::Answer { answer, .. }] => Some(answer.clone()),
                other => panic!("{other:?}"),
            }
        };
        let refused = |cause| Some(wireproof_reference::fleet::model::Answer::Refused(cause));
        let unless_forced = |cause| if forced { None } else { refused(cause) };
        assert_eq!(outcome(&mut world, "nobody".into()), refused(Cause::InstanceNotFound));
        let uid = Placement { process_uid: Some("nobody".into()), force, ..nowhere() };
        assert_eq!(world.refused(placed(uid)), Cause::InstanceNotFound);
        let id = world.id(draining);
        assert_eq!(outcome(&mut world, id), unless_forced(Cause::InstanceDraining));
        let id = world.id(fixed);
        assert_eq!(outcome(&mut world, id), refused(Cause::NoCandidate));

        let stale = world.agent(&snapshot("c"));
        world.pass(H);
        world.same(draining);
        world.same(fixed);
        world.pass(2 * H);
        assert!(world.state.is_stale(stale));
        world.same(draining);
        world.same(fixed);
        let id = world.id(stale);
        assert_eq!(outcome(&mut world, id), unless_forced(Cause::InstanceDisconnected));
        assert_eq!(world.refused(request(None)), Cause::NoCandidate);
        world.same(stale);
        world.create(request(None));
    }
}

#[test]
fn an_id_that_is_taken_is_found_before_the_place() {
    let mut world = World::new();
    let connection = world.agent(&with_rooms("a", &["x"]));
    world.create(request(Some("y")));
    let id = world.id(connection);
    for taken in ["x", "y"] {
        for placement in [
            Placement { instance_id: Some("nobody".into()), ..nowhere() },
            Placement { instance_id: Some(id.clone()), ..nowhere() },
            Placement { instance_id: Some(id.clone()), process_uid: Some("p_a".into()), ..nowhere() },
            nowhere(),
        ] {
            let mut wanted = placed(placement);
            wanted.room_id = request(Some(taken)).room_id;
            wanted.kind = Text::new("unknown").unwrap();
            assert_eq!(world.refused(wanted), Cause::RoomExists);
        }
    }
}
