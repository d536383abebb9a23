//! The pure model of the agent under whatever happens in whatever order.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeSet;
use wireproof_reference::{
    fleet::client::{
        AgentModel, Error, Redial, Settings,
        model::{Ask, Effect, Input, Phase, Record, Reply, State, What, delay},
    },
    model::Model,
};
use wireproof_spec::fleet::{Capacity, Cmd, Hello, Op, Poll, Status, frames::Outer};

fn settings() -> Settings {
    let mut settings = Settings::new("ws://h", "key", "ws://h", "n");
    settings.room_types = vec!["match".into()];
    settings.capacity = Capacity { max_connections: None, max_rooms: Some(4) };
    settings
}

/// What an orchestrator may say, and what it should not.
#[derive(Clone, Debug)]
enum Said {
    Hello(Hello),
    Poll(Poll),
    Cmd(Cmd),
    Garbage(Vec<u8>),
}

impl Said {
    fn bytes(&self) -> Bytes {
        match self {
            Self::Hello(hello) => Outer::encode("fleet/hello", &hello.encode_frame()),
            Self::Poll(poll) => Outer::encode("fleet/poll", &poll.encode_frame()),
            Self::Cmd(cmd) => Outer::encode("fleet/cmd", &cmd.encode_frame()),
            Self::Garbage(bytes) => bytes.clone(),
        }
        .into()
    }
}

fn said() -> impl Strategy<Value = Said> {
    let version = prop_oneof![20 => Just(3_u32), 1 => Just(2)];
    let hello = (version, prop_oneof![Just(0_u32), 1_u32..9000, Just(u32::MAX)]).prop_map(
        |(protocol_version, heartbeat_ms)| Hello { instance_id: "i".into(), protocol_version, heartbeat_ms },
    );
    let status = prop_oneof![Just(Status::Active), Just(Status::Draining), Just(Status::Other("?".into()))];
    // Whether it tells the hash that is.
    let known = prop_oneof![Just(None), Just(Some(String::new())), Just(Some("known".to_owned()))];
    let poll = ("[a-c]{0,2}", known, status).prop_map(|(req_id, known_hash, status)| Poll {
        req_id,
        known_hash,
        status,
    });
    let op = prop_oneof![3 => Just("create"), 2 => Just("destroy"), 1 => Just("drain"), 1 => Just("undrain"), 1 => Just("?")];
    let kind = prop_oneof![4 => Just("match"), 1 => Just("other"), 1 => Just("")];
    let cmd = ("[a-c]{0,2}", op, prop::option::of("[a-e]"), prop::option::weighted(0.9, kind)).prop_map(
        |(cmd_id, op, room_id, kind)| Cmd {
            cmd_id,
            op: Op::from(op),
            room_id,
            room_type: kind.map(str::to_owned),
        },
    );
    prop_oneof![
        4 => hello.prop_map(Said::Hello),
        6 => poll.prop_map(Said::Poll),
        6 => cmd.prop_map(Said::Cmd),
        // The one topic alone that can end it is left out.
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Said::Garbage),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|inner| Said::Garbage(Outer::encode("fleet/sync", &inner))),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Said(Said),
    Text,
    Opened,
    Failed,
    Closed(u16),
    Ping,
    Tick,
    Ask(Ask),
}

fn step() -> impl Strategy<Value = Step> {
    let ask = prop_oneof![
        6 => Just(Ask::Connect),
        1 => Just(Ask::Disconnect),
        2 => (prop::option::of("[a-e]"), prop_oneof![9 => Just("match"), 1 => Just("other")])
            .prop_map(|(id, kind)| Ask::CreateRoom { id, kind: kind.into() }),
        2 => "[a-e]".prop_map(Ask::DestroyRoom),
        2 => ("[a-e]", prop_oneof![0_u32..9, Just(u32::MAX)])
            .prop_map(|(id, connections)| Ask::SetConnections { id, connections }),
        2 => Just(Ask::Drain),
        2 => Just(Ask::Undrain),
    ];
    prop_oneof![
        12 => said().prop_map(Step::Said),
        1 => Just(Step::Text),
        6 => Just(Step::Opened),
        1 => Just(Step::Failed),
        1 => prop_oneof![Just(1000), Just(1006), Just(4001), Just(4003)].prop_map(Step::Closed),
        1 => Just(Step::Ping),
        6 => Just(Step::Tick),
        6 => ask.prop_map(Step::Ask),
    ]
}

fn redial() -> impl Strategy<Value = Redial> {
    (0_u64..5000, 0_u64..60_000).prop_map(|(base_ms, max_ms)| Redial { base_ms, max_ms, ..Redial::default() })
}

proptest! {
    #[test]
    fn delays_are_within_the_law(redial in redial(), n in any::<u32>(), random in any::<u64>()) {
        for n in [n, n % 20] {
            let most = (redial.base_ms as f64 * 2_f64.powi(n.min(100) as i32)).min(redial.max_ms as f64);
            let delay = delay(&redial, n, random) as f64;
            prop_assert!(delay < most || most == 0.0 && delay == 0.0);
            // The fraction is used whole.
            let wanted = (most * (random as f64 / 2_f64.powi(64))).floor();
            prop_assert!((delay - wanted).abs() <= 1.0);
        }
    }

    #[test]
    fn whatever_happens(
        redial in redial(),
        timeout in prop::option::of(0_u64..100_000),
        steps in prop::collection::vec((step(), prop_oneof![9 => Just(0_i64), 1 => -1_i64..2], 0_u64..20_000, any::<u128>()), 1..150),
    ) {
        let settings = Settings { redial, connect_timeout_ms: timeout, ..settings() };
        let mut state = State::new(&settings, "p").unwrap();
        let (mut now, mut calls, mut dials, mut seq, mut row) = (1_000_000_u64, 0_u64, 0_u64, 0_u32, 0_u32);
        let mut unsettled = BTreeSet::new();
        let wish = (Step::Ask(Ask::Connect), 0, 0, 0);
        for (step, beside, pause, random) in [wish].into_iter().chain(steps) {
            now += pause;
            // 0 is this connection; others are others.
            let dial = state.dial().wrapping_add(beside as u64);
            let what = match &step {
                Step::Said(Said::Poll(poll)) if poll.known_hash.as_deref() == Some("known") => {
                    let known_hash = Some(state.known().hash.clone());
                    What::Binary(dial, Said::Poll(Poll { known_hash, ..poll.clone() }).bytes())
                }
                Step::Said(said) => What::Binary(dial, said.bytes()),
                Step::Text => What::Text(dial),
                Step::Opened => What::Opened(dial),
                Step::Failed => What::DialFailed(dial, "refused".into()),
                Step::Closed(code) => What::Closed(dial, *code, "why".into()),
                Step::Ping => What::Ping(dial),
                Step::Tick => What::Tick,
                Step::Ask(ask) => {
                    calls += 1;
                    unsettled.insert(calls);
                    What::Host(calls, ask.clone())
                }
            };
            let before = state.clone();
            let open = matches!(before.phase(), Phase::Opened(_) | Phase::Connected(_));
            let heard = open && beside == 0;
            let decision = AgentModel::decide(&state, now, &Input { random, what });
            for record in &decision.records {
                AgentModel::apply(&mut state, record);
                if let Record::Waiting { delay, until } = record {
                    let most = (u128::from(redial.base_ms) << row.min(64)).min(redial.max_ms.into());
                    prop_assert!(u128::from(*delay) < most.max(1) && *until == now + delay);
                    row += 1;
                }
                match record {
                    Record::Greeted { .. } | Record::Begun(_) => row = 0,
                    Record::Opened(_) => seq = 0,
                    _ => {}
                }
            }
            let (mut states, mut acks) = (0, 0);
            for effect in &decision.effects {
                match effect {
                    Effect::Dial(number) => {
                        dials += 1;
                        prop_assert_eq!((*number, state.dial()), (dials, dials));
                        // Never behind an end, unless the host wants to begin anew.
                        let due = matches!(before.phase(), Phase::Waiting(until) if until <= now);
                        let wanted = matches!(step, Step::Ask(Ask::Connect)) && before.phase() == Phase::Closed;
                        prop_assert!(due || wanted);
                    }
                    Effect::State(said) => {
                        states += 1;
                        seq += 1;
                        let Step::Said(Said::Poll(poll)) = &step else { panic!("{step:?}") };
                        prop_assert_eq!((&said.req_id, said.seq), (&poll.req_id, seq));
                        prop_assert_eq!(said.snapshot.is_none(), poll.known_hash.as_deref() == Some("known"));
                        let snapshot = said.snapshot.clone().unwrap_or_else(|| state.known().snapshot.clone());
                        prop_assert_eq!(&said.hash, &snapshot.hash());
                        prop_assert_eq!(snapshot.rooms.len(), state.rooms());
                        let connections: u64 = snapshot.rooms.iter().map(|room| u64::from(room.connections)).sum();
                        prop_assert_eq!(connections, state.connections());
                    }
                    Effect::Ack(ack) => {
                        acks += 1;
                        let Step::Said(Said::Cmd(cmd)) = &step else { panic!("{step:?}") };
                        prop_assert_eq!(&ack.cmd_id, &cmd.cmd_id);
                        prop_assert_eq!(ack.ok, ack.error.is_none());
                        prop_assert!(ack.room.is_none() || state.rooms() == before.rooms() + 1);
                    }
                    Effect::Settle(call, settled) => {
                        prop_assert!(unsettled.remove(call), "{} is settled once", call);
                        let connected = matches!(settled, Ok(Reply::Connected(_)));
                        prop_assert!(!connected || matches!(state.phase(), Phase::Connected(_)));
                        prop_assert!(*settled != Err(Error::ConnectionLost) || open);
                    }
                    Effect::Close => prop_assert!(open),
                    Effect::Drop | Effect::Tell(_) | Effect::Note(_) => {}
                }
            }
            prop_assert_eq!(states, u32::from(heard && matches!(step, Step::Said(Said::Poll(_)))));
            prop_assert_eq!(acks, u32::from(heard && matches!(step, Step::Said(Said::Cmd(_)))));
            if matches!(step, Step::Ask(Ask::Disconnect)) {
                prop_assert!(state.phase() == Phase::Closed && unsettled.is_empty());
            }
            // Whoever is woken acts, or the timer would spin.
            if let Some(at) = AgentModel::wake_at(&state) {
                let woken = AgentModel::decide(&state, at, &AgentModel::tick());
                prop_assert!(!woken.records.is_empty());
                let early = AgentModel::decide(&state, at - 1, &AgentModel::tick());
                prop_assert!(early.records.is_empty() && early.effects.is_empty());
            } else {
                prop_assert_eq!(state.phase(), Phase::Closed);
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(frames in prop::collection::vec((0_usize..4, prop::collection::vec(any::<u8>(), 0..60)), 1..20)) {
        let mut state = State::new(&settings(), "p").unwrap();
        take(&mut state, What::Host(1, Ask::Connect));
        take(&mut state, What::Opened(1));
        for (topic, bytes) in frames {
            let topic = ["fleet/hello", "fleet/poll", "fleet/cmd", ""][topic];
            take(&mut state, What::Binary(1, match topic {
                "" => bytes.into(),
                topic => Outer::encode(topic, &[&[3, 0][..], &bytes].concat()).into(),
            }));
        }
    }
}

#[test]
fn the_table_of_delays() {
    let redial = Redial::default();
    let most: Vec<u64> = (0..9).map(|n| delay(&redial, n, u64::MAX)).collect();
    assert_eq!(most, [499, 999, 1999, 3999, 7999, 15_999, 29_999, 29_999, 29_999]);
    for n in [0, 9, 63, 64, u32::MAX] {
        assert_eq!(delay(&redial, n, 0), 0);
    }
    assert_eq!(delay(&redial, u32::MAX, u64::MAX / 2 + 1), 15_000);
}

/// What follows, applied.
fn take(state: &mut State, what: What) -> Vec<Effect> {
    let decision = AgentModel::decide(state, 0, &Input { random: 0, what });
    decision.records.iter().for_each(|record| AgentModel::apply(state, record));
    decision.effects
}

fn connected(settings: &Settings, process_uid: &str) -> State {
    let mut state = State::new(settings, process_uid).unwrap();
    take(&mut state, What::Host(1, Ask::Connect));
    take(&mut state, What::Opened(1));
    let hello = Hello { instance_id: "i".into(), protocol_version: 3, heartbeat_ms: 5000 };
    take(&mut state, What::Binary(1, Said::Hello(hello).bytes()));
    state
}

/// The inner frame that answers the first Poll, in hexadecimal digits.
fn answer(state: &mut State) -> String {
    let poll = Poll { req_id: "poll_1".into(), known_hash: None, status: Status::Active };
    let effects = take(state, What::Binary(1, Said::Poll(poll).bytes()));
    let [Effect::State(said)] = &*effects else { panic!("{effects:?}") };
    said.encode_frame().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Examples 1 and 2 under "Hash", and their frames under "Frames", but for the order of the labels.
#[test]
fn the_examples_of_the_document() {
    let mut settings = Settings::new("ws://h", "key", "ws://h", "n");
    (settings.agent_version, settings.auto_create) = ("8.0.0".into(), false);
    let mut state = connected(&settings, "p");
    assert_eq!(state.known().hash, "e4b48d19c3c30e02");
    assert_eq!(
        answer(&mut state),
        "03000a06706f6c6c5f31100118012210653462343864313963336333306530322a016e3201703a05382e302e3040034a0677733a2f2f685a0060007a06616374697665"
    );

    let mut settings = Settings::new("ws://h", "key", "wss://eu1.game.example.com", "eu1");
    settings.agent_version = "8.0.0".into();
    settings.labels = [("region".into(), "eu".into()), ("az".into(), "a".into())].into();
    settings.capacity = Capacity { max_connections: Some(2000), max_rooms: None };
    settings.room_types = vec!["match".into(), "lobby".into()];
    let mut state = connected(&settings, "p_000102030405060708090a0b");
    let cmd = |cmd_id: &str, room: &str| Cmd {
        cmd_id: cmd_id.into(),
        op: Op::Create,
        room_id: Some(room.into()),
        room_type: Some("match".into()),
    };
    take(&mut state, What::Binary(1, Said::Cmd(cmd("cmd_1", "m-1")).bytes()));
    take(&mut state, What::Host(2, Ask::CreateRoom { id: Some("r 2".into()), kind: "lobby".into() }));
    take(&mut state, What::Host(3, Ask::SetConnections { id: "r 2".into(), connections: 300 }));
    assert_eq!(state.known().hash, "141f3662f2b1831c");
    let frame = "03000a06706f6c6c5f31100118012210313431663336363266326231383331632a03657531321a705f3030303130323033303430353036303730383039306130623a05382e302e3040034a1a7773733a2f2f6575312e67616d652e6578616d706c652e636f6d520c0a06726567696f6e1202657552070a02617a1201615a0308d00f60016a056c6f6262796a056d6174636872150a036d2d3112056d6174636818002205666c65657472160a0372203212056c6f62627918ac0222056c6f63616c7a06616374697665";
    let (region, az) = ("520c0a06726567696f6e12026575", "52070a02617a120161");
    assert_eq!(answer(&mut state), frame.replace(&format!("{region}{az}"), &format!("{az}{region}")));
}
