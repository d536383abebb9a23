//! Agents that cost little beside the orchestrator: a connection each, and the codec.

use super::{
    common::{Done, Outcome},
    wire::Wire,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::oneshot,
    task::{AbortHandle, JoinSet},
};
use wireproof_reference::fleet::AGENT_KEY;
use wireproof_spec::fleet::{
    Ack, Capacity, Cmd, Hello, Label, Op, Origin, Poll, Snapshot, State, Status, SyncRoom, connect::SENTINEL,
    frames::Outer,
};

/// A message of the WebSocket that is bytes.
const BINARY: u8 = 2;

/// Agents of one orchestrator. They end when this is dropped.
pub(crate) struct Agents {
    addr: SocketAddr,
    rooms: usize,
    seen: Arc<Seen>,
    next: usize,
    running: JoinSet<Done>,
}

/// What agents have seen, and what they are to do.
#[derive(Default)]
pub(crate) struct Seen {
    /// Whether each State is another one than before.
    pub(crate) changing: AtomicBool,
    polls: AtomicUsize,
    /// How much later than its heartbeat behind the Poll before each Poll came.
    late: Mutex<Vec<Duration>>,
    /// Who waits for the next State that says something new.
    probe: Mutex<Option<oneshot::Sender<Said>>>,
}

/// A State that says something new.
pub(crate) struct Said {
    /// The instance.
    pub(crate) id: String,
    /// How many are connected to it from now on.
    pub(crate) connections: u32,
    /// When it was sent.
    pub(crate) at: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    /// How many Polls were answered.
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Relaxed)
    }

    /// How late Polls were since this was asked last.
    pub(crate) fn late(&self) -> Vec<Duration> {
        std::mem::take(&mut lock(&self.late))
    }

    /// The next State that says something new.
    pub(crate) async fn probe(&self) -> Outcome<Said> {
        let (sender, said) = oneshot::channel();
        *lock(&self.probe) = Some(sender);
        Ok(said.await?)
    }
}

impl Agents {
    /// None yet; each that joins has so many rooms.
    pub(crate) fn new(addr: SocketAddr, rooms: usize) -> Self {
        Self { addr, rooms, seen: Arc::default(), next: 0, running: JoinSet::new() }
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// One more. It has an id, and answers Polls from now on; it leaves when it is aborted.
    pub(crate) async fn join(&mut self) -> Outcome<(String, AbortHandle)> {
        let ticket = format!("sec-websocket-protocol: {AGENT_KEY}, {SENTINEL}\r\n");
        let mut wire = Wire::upgrade(self.addr, "/", &ticket).await?;
        let hello = Outer::decode(wire.payload().await?)?.payload.map(Hello::receive);
        let hello = hello.ok_or("no Hello")??;
        let id = hello.instance_id.clone();
        let agent = Agent {
            wire,
            heartbeat: Duration::from_millis(hello.heartbeat_ms.into()),
            id: hello.instance_id,
            seen: Arc::clone(&self.seen),
            changes: 0,
            said: State {
                req_id: String::new(),
                seq: 0,
                hash: "0".into(),
                snapshot: Some(snapshot(self.next, self.rooms)),
            },
        };
        self.next += 1;
        Ok((id, self.running.spawn(agent.run())))
    }

    /// So many more.
    pub(crate) async fn join_all(&mut self, count: usize) -> Done {
        for _ in 0..count {
            self.join().await?;
        }
        Ok(())
    }

    /// Says whether all are still there that were not aborted.
    pub(crate) fn check(&mut self) -> Done {
        while let Some(ended) = self.running.try_join_next() {
            match ended {
                Err(aborted) if aborted.is_cancelled() => {}
                ended => ended??,
            }
        }
        Ok(())
    }
}

fn snapshot(number: usize, rooms: usize) -> Snapshot {
    let room = |n| SyncRoom {
        id: format!("room-{number}-{n}"),
        kind: "match".into(),
        connections: 0,
        origin: Origin::Fleet,
    };
    Snapshot {
        name: format!("eu{number}"),
        process_uid: format!("p_{number:024x}"),
        agent_version: "8.0.0".into(),
        protocol_version: 3,
        endpoint_url: format!("wss://eu{number}.game.example.com"),
        labels: vec![Label { key: "region".into(), value: "eu".into() }],
        capacity: Capacity { max_connections: Some(2_000_000_000), max_rooms: None },
        auto_create: true,
        room_types: vec!["lobby".into(), "match".into()],
        rooms: (0..rooms).map(room).collect(),
        status: Status::Active,
    }
}

struct Agent {
    wire: Wire,
    heartbeat: Duration,
    id: String,
    seen: Arc<Seen>,
    /// How often it said something new; so many are connected to its first room.
    changes: u32,
    /// What it said last; the snapshot is always there.
    said: State,
}

impl Agent {
    async fn run(mut self) -> Done {
        let mut polled: Option<Instant> = None;
        loop {
            let Outer { topic: Some(topic), payload: Some(payload) } =
                Outer::decode(self.wire.payload().await?)?
            else {
                continue;
            };
            match topic.as_ref() {
                "fleet/poll" => {
                    let poll = Poll::receive(payload)?;
                    let now = Instant::now();
                    if let Some(before) = polled.replace(now) {
                        lock(&self.seen.late).push((now - before).saturating_sub(self.heartbeat));
                    }
                    self.answer(poll).await?;
                    self.seen.polls.fetch_add(1, Relaxed);
                    self.wire.shrink();
                }
                "fleet/cmd" => {
                    let cmd = Cmd::receive(payload)?;
                    self.obey(cmd).await?;
                }
                _ => {}
            }
        }
    }

    async fn answer(&mut self, poll: Poll) -> Done {
        let mut waiting = None;
        if self.seen.changing.load(Relaxed) {
            self.changes += 1;
            self.said.hash = self.changes.to_string();
            if let Some(room) = self.said.snapshot.iter_mut().flat_map(|it| &mut it.rooms).next() {
                room.connections = self.changes;
            }
            waiting = lock(&self.seen.probe).take();
        }
        self.said.seq += 1;
        self.said.req_id = poll.req_id;
        // Of what it knows already it is sent the hash alone.
        let kept = self.said.snapshot.take_if(|_| poll.known_hash.as_deref() == Some(&self.said.hash));
        let state = self.said.encode_frame();
        self.said.snapshot = self.said.snapshot.take().or(kept);
        let said = Said { id: self.id.clone(), connections: self.changes, at: Instant::now() };
        self.wire.send(BINARY, &Outer::encode("fleet/state", &state)).await?;
        // Who waited may have given up.
        waiting.map(|waiting| waiting.send(said));
        Ok(())
    }

    async fn obey(&mut self, cmd: Cmd) -> Done {
        if let (Op::Create, Some(id), Some(kind)) = (cmd.op, cmd.room_id, cmd.room_type) {
            let room = SyncRoom { id, kind, connections: 0, origin: Origin::Fleet };
            self.said.hash = format!("{}+", self.said.hash);
            self.said.snapshot.iter_mut().for_each(|it| it.rooms.push(room.clone()));
        }
        let ack =
            Ack { cmd_id: cmd.cmd_id, ok: true, error: None, already_gone: None, room: None, exists: None };
        self.wire.send(BINARY, &Outer::encode("fleet/ack", &ack.encode_frame())).await
    }
}
