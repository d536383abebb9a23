//! The model of an orchestrator with a clock in the hand, agents that say what they are told to say, and operators.

use std::collections::BTreeMap;
use wireproof_reference::{
    fleet::{
        FleetModel,
        model::{Answer, Ask, Effect, Heard, Input, Record, Said, State, Told},
    },
    model::{Decision, Model},
};
use wireproof_spec::{
    fleet::{
        self, Ack, Capacity, Cause, Cmd, CreateRequest, Label, Origin, Placement, Poll, RoomId, Snapshot,
        Status, SyncRoom, frames::Outer,
    },
    json::Text,
};

/// How far apart Polls are.
pub(crate) const H: u64 = 1000;
/// How long a command waits for its Ack.
pub(crate) const T: u64 = 2500;

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: u64,
    pub(crate) sessions: u64,
    connections: u64,
    seqs: BTreeMap<u64, u32>,
}

impl World {
    pub(crate) fn new() -> Self {
        let state = State::default();
        Self { state, now: 1_000_000, sessions: 0, connections: 0, seqs: BTreeMap::new() }
    }

    pub(crate) fn input(&mut self, input: &Input) -> Vec<Effect> {
        self.keep(input, |_, _| true)
    }

    /// Takes an input, and keeps of its records those for which this says so.
    pub(crate) fn keep(&mut self, input: &Input, keep: impl Fn(usize, &Record) -> bool) -> Vec<Effect> {
        let Decision { records, effects } = FleetModel::decide(&self.state, self.now, input);
        for (index, record) in records.iter().enumerate() {
            assert!(!FleetModel::durable(record));
            if keep(index, record) {
                FleetModel::apply(&mut self.state, record);
            }
        }
        effects
    }

    /// An agent connects, and nothing more.
    pub(crate) fn join(&mut self) -> (u64, Vec<Effect>) {
        self.connections += 1;
        let (connection, random) = (self.connections, self.connections.to_be_bytes());
        (connection, self.input(&Input::Joined { connection, heartbeat_ms: H, verified: false, random }))
    }

    /// An agent connects and answers its first Poll with this snapshot.
    pub(crate) fn agent(&mut self, snapshot: &Snapshot) -> u64 {
        let (connection, _) = self.join();
        self.reply(connection, snapshot);
        connection
    }

    pub(crate) fn id(&self, connection: u64) -> String {
        self.state.instance(connection).expect("an instance").id.clone()
    }

    pub(crate) fn hear(&mut self, connection: u64, bytes: Vec<u8>) -> Vec<Effect> {
        self.input(&Input::Heard { connection, heard: Heard::Binary(bytes) })
    }

    pub(crate) fn say(&mut self, connection: u64, state: &fleet::State) -> Vec<Effect> {
        self.hear(connection, Outer::encode("fleet/state", &state.encode_frame()))
    }

    /// The next State of an agent, in answer to the outstanding Poll.
    pub(crate) fn answer(&mut self, connection: u64, snapshot: Option<&Snapshot>) -> fleet::State {
        let seq = self.seqs.entry(connection).or_insert(0);
        *seq += 1;
        let req_id = self.state.outstanding(connection).unwrap_or_default();
        let hash = snapshot.map(Snapshot::hash).unwrap_or_default();
        fleet::State { req_id, seq: *seq, hash, snapshot: snapshot.cloned() }
    }

    /// Answers the outstanding Poll with a snapshot.
    pub(crate) fn reply(&mut self, connection: u64, snapshot: &Snapshot) -> Vec<Effect> {
        let answer = self.answer(connection, Some(snapshot));
        self.say(connection, &answer)
    }

    /// Answers the outstanding Poll hash-only.
    pub(crate) fn same(&mut self, connection: u64) -> Vec<Effect> {
        let answer = self.answer(connection, None);
        self.say(connection, &answer)
    }

    pub(crate) fn ack(&mut self, connection: u64, ack: &Ack) -> Vec<Effect> {
        self.hear(connection, Outer::encode("fleet/ack", &ack.encode_frame()))
    }

    /// Lets time pass; what is due is done when it is due.
    pub(crate) fn pass(&mut self, ms: u64) -> Vec<Effect> {
        let end = self.now + ms;
        let mut effects = Vec::new();
        while let Some(at) = FleetModel::wake_at(&self.state).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            effects.extend(self.input(&Input::Tick));
        }
        self.now = end;
        effects
    }

    /// The next Poll of an agent that has answered.
    pub(crate) fn poll(&mut self, connection: u64) -> Poll {
        polls(&self.pass(H), connection).pop().expect("a Poll")
    }

    pub(crate) fn ask(&mut self, ask: Ask) -> (u64, Vec<Effect>) {
        self.sessions += 1;
        let session = self.sessions;
        (session, self.input(&Input::Ask { session, ask }))
    }

    /// The answer to a request that is answered at once.
    pub(crate) fn get(&mut self, ask: Ask) -> Answer {
        let (session, effects) = self.ask(ask);
        answered(&effects, session).expect("an answer at once")
    }

    /// Asks for a room, which is sent to an agent.
    pub(crate) fn create(&mut self, request: CreateRequest) -> (u64, u64, Cmd) {
        let (session, effects) = self.ask(room_of(request));
        let (connection, cmd) = cmds(&effects).pop().unwrap_or_else(|| panic!("no Cmd but {effects:?}"));
        (session, connection, cmd)
    }

    /// Asks for a room, which is refused at once.
    pub(crate) fn refused(&mut self, request: CreateRequest) -> Cause {
        match self.get(room_of(request)) {
            Answer::Refused(cause) => cause,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn listen(&mut self) -> u64 {
        let (session, effects) = self.ask(Ask::Events { most: 100 });
        assert_eq!(answered(&effects, session), Some(Answer::Listening));
        session
    }

    pub(crate) fn hash(&mut self) -> String {
        match self.get(Ask::Stats { known: None }) {
            Answer::Stats(stats) => stats.state_hash,
            other => panic!("{other:?}"),
        }
    }

    /// The public ids of the rooms of a connection.
    pub(crate) fn rooms(&self, connection: u64) -> Vec<String> {
        let instance = self.state.instance(connection).expect("an instance");
        instance.rooms.iter().map(|room| room.id.clone()).collect()
    }
}

/// A snapshot with a name that makes rooms of the type match.
pub(crate) fn snapshot(name: &str) -> Snapshot {
    Snapshot {
        name: name.into(),
        process_uid: format!("p_{name}"),
        agent_version: "8.0.0".into(),
        protocol_version: 3,
        endpoint_url: format!("wss://{name}.example"),
        labels: Vec::new(),
        capacity: Capacity { max_connections: None, max_rooms: None },
        auto_create: true,
        room_types: vec!["match".into()],
        rooms: Vec::new(),
        status: Status::Active,
    }
}

/// A snapshot with these rooms, made by commands.
pub(crate) fn with_rooms(name: &str, ids: &[&str]) -> Snapshot {
    let rooms = ids.iter().map(|id| room(id, 0, Origin::Fleet)).collect();
    Snapshot { rooms, ..snapshot(name) }
}

/// One that has so many connections, and takes so many at most.
pub(crate) fn loaded(name: &str, connections: u32, most: Option<i32>) -> Snapshot {
    Snapshot {
        rooms: vec![room(&format!("r-{name}"), connections, Origin::Local)],
        capacity: Capacity { max_connections: most, max_rooms: None },
        ..snapshot(name)
    }
}

pub(crate) fn room(id: &str, connections: u32, origin: Origin) -> SyncRoom {
    SyncRoom { id: id.into(), kind: "match".into(), connections, origin }
}

pub(crate) fn label(key: &str, value: &str) -> Label {
    Label { key: key.into(), value: value.into() }
}

pub(crate) fn request(id: Option<&str>) -> CreateRequest {
    let room_id = id.map(|id| RoomId::new(id).expect("a legal id"));
    CreateRequest { kind: Text::new("match").expect("a type"), room_id, placement: None }
}

pub(crate) fn nowhere() -> Placement {
    Placement { instance_id: None, process_uid: None, strategy: None, labels: None, force: None }
}

pub(crate) fn placed(placement: Placement) -> CreateRequest {
    CreateRequest { placement: Some(placement), ..request(None) }
}

pub(crate) fn room_of(request: CreateRequest) -> Ask {
    Ask::CreateRoom { request, random: [7; 32], timeout_ms: T }
}

pub(crate) fn ok(cmd: &Cmd) -> Ack {
    let cmd_id = cmd.cmd_id.clone();
    Ack { cmd_id, ok: true, error: None, already_gone: None, room: None, exists: None }
}

pub(crate) fn failed(cmd: &Cmd) -> Ack {
    Ack { ok: false, error: Some("no".into()), ..ok(cmd) }
}

pub(crate) fn answered(effects: &[Effect], asked: u64) -> Option<Answer> {
    effects.iter().find_map(|effect| match effect {
        Effect::Answer { session, answer } if *session == asked => Some(answer.clone()),
        _ => None,
    })
}

pub(crate) fn refusal(effects: &[Effect], asked: u64) -> Option<Cause> {
    match answered(effects, asked)? {
        Answer::Refused(cause) => Some(cause),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn closed(effects: &[Effect], which: u64) -> Option<(u16, &'static str)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Close { connection, code, reason } if *connection == which => Some((*code, *reason)),
        _ => None,
    })
}

pub(crate) fn cmds(effects: &[Effect]) -> Vec<(u64, Cmd)> {
    let cmd = |effect: &Effect| match effect {
        Effect::Send { connection, said: Said::Cmd(cmd) } => Some((*connection, cmd.clone())),
        _ => None,
    };
    effects.iter().filter_map(cmd).collect()
}

pub(crate) fn polls(effects: &[Effect], which: u64) -> Vec<Poll> {
    let poll = |effect: &Effect| match effect {
        Effect::Send { connection, said: Said::Poll(poll) } if *connection == which => Some(poll.clone()),
        _ => None,
    };
    effects.iter().filter_map(poll).collect()
}

/// The events, each in two words.
pub(crate) fn told(effects: &[Effect]) -> Vec<String> {
    let event = |effect: &Effect| match effect {
        Effect::Tell { event, .. } => Some(match event {
            Told::Join(instance) => format!("join {}", instance.name),
            Told::Leave(instance) => format!("leave {}", instance.name),
            Told::Stale(instance) => format!("stale {}", instance.name),
            Told::Create(room) => format!("create {}", room.id),
            Told::Destroy(room) => format!("destroy {}", room.id),
            Told::Sync(_) => "sync".into(),
        }),
        _ => None,
    };
    effects.iter().filter_map(event).collect()
}
