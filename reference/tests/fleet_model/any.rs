//! Whatever happens in whatever order: what always holds, compared with what is made anew from what is shown.

use super::world::{H, World, nowhere, polls, room, snapshot};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wireproof_reference::{
    fleet::{
        FleetModel,
        model::{Answer, Ask, Effect, Heard, Input, MOST_COMMANDS, Said, State as Orchestrator, Told},
    },
    model::Model,
};
use wireproof_spec::{
    fleet::{
        Ack, Capacity, CreateRequest, Origin, Placement, RoomId, Snapshot, State, Status, Strategy as Choice,
        frames::Outer, hash::hash, ids,
    },
    json::Text,
};

/// What may happen. Connections and sessions are chosen among those that there are.
#[derive(Clone, Debug)]
enum Step {
    Join,
    Leave(usize),
    /// The outstanding Poll is answered; without a snapshot hash-only.
    Reply(usize, Option<Snapshot>),
    /// Something is answered: this cmdId.
    Ack(usize, u64, bool, bool),
    Bytes(usize, Vec<u8>),
    Text(usize),
    State(usize, State),
    Create(Option<usize>, Placement, u8),
    Destroy(String),
    Drain(usize, bool),
    Listen,
    Gone(u64),
    Pass(u64),
    Stop,
}

const RAW: [&str; 6] = ["x", "y", "a b", "~", "p_a~x", ""];

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let origin = prop_oneof![Just(Origin::Fleet), Just(Origin::Local), Just(Origin::Other("z".into()))];
    let rooms = proptest::collection::vec((0..RAW.len(), 0_u32..4, origin), 0..5);
    let status = prop_oneof![4 => Just(Status::Active), 1 => Just(Status::Draining), 1 => Just(Status::Other("t".into()))];
    let most = || prop::option::weighted(0.3, -1..5_i32);
    (0_usize..3, rooms, status, most(), most(), prop::bool::weighted(0.9)).prop_map(
        |(uid, rooms, status, max_connections, max_rooms, good)| Snapshot {
            process_uid: ["p_a", "p_b", "p~"][uid].into(),
            rooms: rooms.into_iter().map(|(raw, n, origin)| room(RAW[raw], n, origin)).collect(),
            capacity: Capacity { max_connections, max_rooms },
            status,
            endpoint_url: if good { "ws://h".into() } else { "h".into() },
            ..snapshot("a")
        },
    )
}

fn any_placement() -> impl Strategy<Value = Placement> {
    let strategy = prop::option::of(prop_oneof![
        Just(Choice::LeastLoaded),
        Just(Choice::MostLoaded),
        Just(Choice::Random)
    ]);
    let pin = prop::option::weighted(0.1, 0_usize..4);
    (strategy, pin, prop::option::weighted(0.1, Just("p_a".to_owned())), any::<Option<bool>>()).prop_map(
        |(strategy, pin, process_uid, force)| {
            let instance_id = pin.map(|pin| format!("{pin:016x}"));
            Placement { strategy, instance_id, process_uid, force, ..nowhere() }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0_usize..5;
    let state =
        (0_u64..20, any::<u32>(), prop::option::of(any_snapshot())).prop_map(|(poll, seq, snapshot)| State {
            req_id: format!("poll_{poll}"),
            seq,
            hash: "h".into(),
            snapshot,
        });
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|it| Outer::encode("fleet/state", &it)),
        proptest::collection::vec(any::<u8>(), 0..20)
            .prop_map(|it| { Outer::encode("fleet/ack", &[&[3, 0][..], &it].concat()) }),
    ];
    prop_oneof![
        4 => Just(Step::Join),
        2 => which().prop_map(Step::Leave),
        12 => (which(), prop::option::weighted(0.8, any_snapshot())).prop_map(|(a, b)| Step::Reply(a, b)),
        4 => (which(), 0_u64..4, any::<bool>(), any::<bool>()).prop_map(|(a, b, c, d)| Step::Ack(a, b, c, d)),
        1 => (which(), bytes).prop_map(|(a, b)| Step::Bytes(a, b)),
        1 => which().prop_map(Step::Text),
        1 => (which(), state).prop_map(|(a, b)| Step::State(a, b)),
        8 => (prop::option::of(0_usize..3), any_placement(), any::<u8>()).prop_map(|(a, b, c)| Step::Create(a, b, c)),
        2 => (0..RAW.len()).prop_map(|raw| Step::Destroy(ids::public(RAW[raw]))),
        2 => (which(), any::<bool>()).prop_map(|(a, b)| Step::Drain(a, b)),
        1 => Just(Step::Listen),
        1 => (0_u64..20).prop_map(Step::Gone),
        6 => (0..2 * H).prop_map(Step::Pass),
        1 => Just(Step::Stop),
    ]
}

/// The public id of every room, in the order in which they are shown, made from who has which raw id.
fn names(state: &Orchestrator) -> Vec<String> {
    let shown = state.connections().filter_map(|it| state.instance(it));
    let rooms = shown.flat_map(|it| it.rooms.iter().map(|room| (it.process_uid.as_str(), room)));
    let rooms: Vec<(&str, bool, &str)> =
        rooms.map(|(uid, room)| (uid, room.local, state.raw(&room.id).expect("a room").1)).collect();
    let name = |at: usize| {
        let (uid, local, raw) = rooms[at];
        // Those that come before it: made by commands, and then in the order in which they are shown.
        let before = |other: &usize| (rooms[*other].1, *other) < (local, at);
        let mut group: Vec<usize> =
            (0..rooms.len()).filter(|it| rooms[*it].2 == raw).filter(before).collect();
        group.sort_by_key(|it| (rooms[*it].1, *it));
        let base = ids::public(raw);
        let label = ids::public(uid);
        match group.iter().skip(1).filter(|it| rooms[**it].0 == uid).count() {
            _ if group.is_empty() => base,
            0 => format!("{label}~{base}"),
            twins => format!("{label}~{}~{base}", twins + 1),
        }
    };
    (0..rooms.len()).map(name).collect()
}

/// A world that watches what goes out.
struct Watched {
    world: World,
    /// Who waits, and who listens.
    waiting: BTreeSet<u64>,
    answered: BTreeSet<u64>,
    outstanding: BTreeMap<u64, String>,
    cmds: Vec<(u64, String)>,
    /// What someone who listened from the start knows: instances, rooms, the last hash.
    instances: BTreeSet<String>,
    rooms: BTreeSet<String>,
    hash: Option<String>,
    stopped: bool,
}

impl Watched {
    fn new() -> Self {
        let mut world = World::new();
        let listener = world.listen();
        Self {
            world,
            waiting: BTreeSet::new(),
            answered: [listener].into(),
            outstanding: BTreeMap::new(),
            cmds: Vec::new(),
            instances: BTreeSet::new(),
            rooms: BTreeSet::new(),
            hash: None,
            stopped: false,
        }
    }

    fn which(&self, index: usize) -> u64 {
        let connections: Vec<u64> = self.world.state.connections().collect();
        connections.get(index % connections.len().max(1)).copied().unwrap_or(77)
    }

    fn asked(&mut self, ask: Ask) -> Vec<Effect> {
        let (session, effects) = self.world.ask(ask);
        self.waiting.insert(session);
        effects
    }

    fn step(&mut self, step: &Step) {
        let effects = match step {
            Step::Join => self.world.join().1,
            Step::Leave(index) => {
                let connection = self.which(*index);
                self.outstanding.remove(&connection);
                self.world.input(&Input::Left { connection })
            }
            Step::Reply(index, snapshot) => {
                let connection = self.which(*index);
                if self.world.state.outstanding(connection).is_none() {
                    return;
                }
                self.outstanding.remove(&connection);
                let answer = self.world.answer(connection, snapshot.as_ref());
                self.world.say(connection, &answer)
            }
            Step::Ack(index, back, ok, exists) => {
                let connection = self.which(*index);
                let mine = self.cmds.iter().rev().filter(|(on, _)| *on == connection);
                let Some((_, cmd_id)) = mine.clone().nth(usize::try_from(*back).unwrap()) else { return };
                let ack = Ack {
                    cmd_id: cmd_id.clone(),
                    ok: *ok,
                    error: None,
                    already_gone: None,
                    room: None,
                    exists: Some(*exists),
                };
                self.world.ack(connection, &ack)
            }
            Step::Bytes(index, bytes) => {
                let connection = self.which(*index);
                self.world.hear(connection, bytes.clone())
            }
            Step::Text(index) => {
                let connection = self.which(*index);
                self.world.input(&Input::Heard { connection, heard: Heard::Text })
            }
            Step::State(index, state) => {
                let connection = self.which(*index);
                if self.outstanding.get(&connection) == Some(&state.req_id) {
                    self.outstanding.remove(&connection);
                }
                self.world.say(connection, state)
            }
            Step::Create(id, placement, draw) => {
                let room_id = id.map(|id| RoomId::new(["x", "y", "z"][id]).unwrap());
                let kind = Text::new("match").unwrap();
                let request = CreateRequest { kind, room_id, placement: Some(placement.clone()) };
                self.asked(Ask::CreateRoom { request, random: [*draw; 32], timeout_ms: 2 * H })
            }
            Step::Destroy(id) => self.asked(Ask::DestroyRoom { id: id.clone(), timeout_ms: H }),
            Step::Drain(index, drain) => {
                let id = format!("{:016x}", self.which(*index));
                self.asked(Ask::Drain { id, drain: *drain, timeout_ms: H })
            }
            Step::Listen => self.asked(Ask::Events { most: 3 }),
            Step::Gone(session) => {
                // The one who listens from the start goes on.
                if (2..=self.world.sessions).contains(session) {
                    self.waiting.remove(session);
                    self.answered.insert(*session);
                    self.world.input(&Input::Gone { session: *session })
                } else {
                    Vec::new()
                }
            }
            Step::Pass(ms) => self.world.pass(*ms),
            Step::Stop => {
                self.stopped = true;
                self.world.input(&Input::Stopping)
            }
        };
        self.watch(&effects);
        if !self.stopped {
            self.check();
        }
    }

    fn watch(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Send { connection, said: Said::Poll(poll) } => {
                    let before = self.outstanding.insert(*connection, poll.req_id.clone());
                    assert_eq!(before, None, "two Polls are outstanding");
                }
                Effect::Send { connection, said: Said::Cmd(cmd) } => {
                    assert!(self.cmds.iter().all(|(_, id)| *id != cmd.cmd_id), "a cmdId twice");
                    self.cmds.push((*connection, cmd.cmd_id.clone()));
                }
                Effect::Send { said: Said::Hello(_), .. } | Effect::EndEvents { .. } => {}
                Effect::Close { connection, .. } => {
                    self.outstanding.remove(connection);
                }
                Effect::Answer { session, .. } => {
                    assert!(self.waiting.remove(session), "an answer that nobody waits for");
                    assert!(self.answered.insert(*session), "two answers");
                }
                Effect::Tell { event, sessions } => {
                    assert!(sessions.contains(&1));
                    self.event(event);
                }
            }
        }
    }

    fn event(&mut self, event: &Told) {
        match event {
            Told::Join(instance) => assert!(self.instances.insert(instance.id.clone())),
            Told::Leave(instance) => assert!(self.instances.remove(&instance.id)),
            Told::Stale(instance) => assert!(self.instances.contains(&instance.id)),
            Told::Create(room) => assert!(self.rooms.insert(room.id.clone())),
            Told::Destroy(room) => assert!(self.rooms.remove(&room.id)),
            Told::Sync(stats) => {
                assert_ne!(self.hash.as_ref(), Some(&stats.state_hash));
                self.hash = Some(stats.state_hash.clone());
            }
        }
    }

    fn check(&mut self) {
        let state = &self.world.state;
        for session in &self.waiting {
            assert!(state.waits(*session), "nothing will answer {session}");
        }
        assert!(self.waiting.is_empty() || FleetModel::wake_at(state).is_some());
        for connection in state.connections() {
            assert!(state.in_flight(connection) <= MOST_COMMANDS);
            assert_eq!(state.outstanding(connection).as_ref(), self.outstanding.get(&connection));
        }
        let shown: Vec<_> = state.connections().filter_map(|it| state.instance(it).cloned()).collect();
        let ids: Vec<String> = shown.iter().flat_map(|it| &it.rooms).map(|room| room.id.clone()).collect();
        let distinct: BTreeSet<String> = ids.iter().cloned().collect();
        assert_eq!(ids.len(), distinct.len(), "two rooms have one id: {ids:?}");
        assert_eq!(ids, names(state));
        // What was told adds up to what is shown.
        assert_eq!(self.rooms, distinct);
        assert_eq!(self.instances, shown.iter().map(|it| it.id.clone()).collect());
        // The hash is that of the document, made from what is shown alone.
        let mut documents: Vec<serde_json::Value> = shown.iter().map(|it| serde_json::json!(**it)).collect();
        documents.sort_by_key(|it| it["id"].as_str().map(str::to_owned));
        documents.iter_mut().for_each(|it| {
            it.as_object_mut().unwrap().remove("lastSyncAt");
        });
        let expected = hash(&documents);
        assert_eq!(state.hash_from_scratch(), expected);
        if let Some(told) = &self.hash {
            assert_eq!(*told, expected);
        }
        let Answer::Stats(stats) = self.world.get(Ask::Stats { known: None }) else { panic!("no stats") };
        assert_eq!(stats.state_hash, expected);
        assert_eq!(stats.rooms.get(), i64::try_from(ids.len()).unwrap());
        assert_eq!(stats.instances.get(), i64::try_from(shown.len()).unwrap());
        let connections: i64 = shown.iter().map(|it| it.connections.get()).sum();
        assert_eq!(stats.connections.get(), connections);
        let types: BTreeSet<&String> = shown.iter().flat_map(|it| &it.room_types).collect();
        assert_eq!(stats.room_types.iter().collect::<BTreeSet<_>>(), types);
        for instance in &shown {
            for room in &instance.rooms {
                let Answer::Room(found) = self.world.get(Ask::Room { id: room.id.clone() }) else {
                    panic!("{} is not found", room.id)
                };
                assert_eq!(*found, *room);
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens(steps in proptest::collection::vec(step(), 1..120)) {
        let mut watched = Watched::new();
        for step in &steps {
            if !matches!(step, Step::Stop) {
                watched.step(step);
            }
        }
        // In the end everybody is answered.
        watched.step(&Step::Stop);
        prop_assert!(watched.waiting.is_empty(), "{:?}", watched.waiting);
        prop_assert_eq!(FleetModel::wake_at(&watched.world.state), None);
    }

    /// A state that lost some of its records, as broken servers have it, is survived.
    #[test]
    fn whatever_is_lost(
        steps in proptest::collection::vec((step(), any::<u64>(), -2000_i64..2000), 1..80),
    ) {
        let mut world = World::new();
        for (step, lost, passed) in steps {
            world.now = world.now.saturating_add_signed(passed);
            let connections: Vec<u64> = world.state.connections().collect();
            let which = |index: usize| connections.get(index).copied().unwrap_or(index as u64);
            let session = lost % 8;
            let encode = |topic, inner: Vec<u8>| Heard::Binary(Outer::encode(topic, &inner));
            let input = match step {
                Step::Join => Input::Joined { connection: lost % 5, heartbeat_ms: lost % 3 * H, verified: false, random: [0; 8] },
                Step::Leave(index) => Input::Left { connection: which(index) },
                Step::Reply(index, snapshot) => {
                    let connection = which(index);
                    let state = world.answer(connection, snapshot.as_ref());
                    Input::Heard { connection, heard: encode("fleet/state", state.encode_frame()) }
                }
                Step::State(index, state) => Input::Heard {
                    connection: which(index),
                    heard: encode("fleet/state", state.encode_frame()),
                },
                Step::Ack(index, number, ok, _) => {
                    let cmd_id = format!("cmd_{number}");
                    let ack = Ack { cmd_id, ok, error: None, already_gone: None, room: None, exists: None };
                    Input::Heard { connection: which(index), heard: encode("fleet/ack", ack.encode_frame()) }
                }
                Step::Bytes(index, bytes) => {
                    Input::Heard { connection: which(index), heard: Heard::Binary(bytes) }
                }
                Step::Text(index) => Input::Heard { connection: which(index), heard: Heard::Text },
                Step::Create(id, placement, draw) => {
                    let room_id = id.map(|id| RoomId::new(["x", "y", "z"][id]).unwrap());
                    let kind = Text::new("match").unwrap();
                    let request = CreateRequest { kind, room_id, placement: Some(placement) };
                    Input::Ask { session, ask: Ask::CreateRoom { request, random: [draw; 32], timeout_ms: lost } }
                }
                Step::Destroy(id) => Input::Ask { session, ask: Ask::DestroyRoom { id, timeout_ms: 0 } },
                Step::Drain(index, drain) => {
                    let id = format!("{index:016x}");
                    Input::Ask { session, ask: Ask::Drain { id, drain, timeout_ms: H } }
                }
                Step::Listen => Input::Ask { session, ask: Ask::Events { most: 2 } },
                Step::Gone(session) => Input::Gone { session: session % 8 },
                Step::Pass(_) => Input::Tick,
                Step::Stop if lost % 8 == 0 => Input::Stopping,
                Step::Stop => Input::Started,
            };
            world.keep(&input, |index, _| lost >> (index % 64) & 3 != 3);
            for ask in [Ask::Stats { known: None }, Ask::Instances { known: None }] {
                world.input(&Input::Ask { session: 99, ask });
            }
        }
    }
}

#[test]
fn many_agents_with_many_rooms() {
    let mut world = World::new();
    let rooms = |agent: usize, from: usize| {
        let rooms =
            (from..from + 10).map(|number| room(&format!("m-{agent}-{number}"), 1, Origin::Fleet)).collect();
        Snapshot { rooms, process_uid: format!("p_{agent}"), ..snapshot("a") }
    };
    let agents: Vec<u64> = (0..1000).map(|agent| world.agent(&rooms(agent, 0))).collect();
    let Answer::Stats(stats) = world.get(Ask::Stats { known: None }) else { panic!("no stats") };
    assert_eq!((stats.instances.get(), stats.rooms.get()), (1000, 10_000));
    let effects = world.pass(H);
    for (number, agent) in agents.iter().enumerate() {
        assert_eq!(polls(&effects, *agent).len(), 1);
        world.reply(*agent, &rooms(number, 5));
    }
    let Answer::Stats(stats) = world.get(Ask::Stats { known: None }) else { panic!("no stats") };
    assert_eq!(stats.state_hash, world.state.hash_from_scratch());
    assert_eq!(world.state.connections().count(), 1000);
    world.pass(4 * H);
    assert_eq!(world.hash(), "4f53cda18c2baa0c");
}
