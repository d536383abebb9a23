//! The state of an agent, and what it says of itself.

use super::{
    super::{
        error::Error,
        settings::{Redial, Settings},
    },
    input::{Condition, Record},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};
use wireproof_spec::fleet::{Capacity, Label, Origin, Snapshot, Status, SyncRoom, frames::VERSION};

/// Who an agent is, and how patiently it dials. It does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(super) name: String,
    pub(super) process_uid: String,
    pub(super) agent_version: String,
    pub(super) endpoint_url: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) capacity: Capacity,
    pub(super) auto_create: bool,
    pub(super) kinds: BTreeSet<String>,
    pub(super) connect_timeout_ms: Option<u64>,
    pub(super) redial: Redial,
}

impl Default for Plan {
    /// That of an agent without a name, which makes no rooms.
    fn default() -> Self {
        let settings = Settings { auto_create: false, ..Settings::new("", "", "", "") };
        Self::of(&settings, String::new())
    }
}

impl Plan {
    fn of(settings: &Settings, process_uid: String) -> Self {
        Self {
            name: settings.name.clone(),
            process_uid,
            agent_version: settings.agent_version.clone(),
            endpoint_url: settings.endpoint_url.clone(),
            labels: settings.labels.clone(),
            capacity: settings.capacity.clone(),
            auto_create: settings.auto_create,
            kinds: settings.room_types.iter().cloned().collect(),
            connect_timeout_ms: settings.connect_timeout_ms,
            redial: settings.redial,
        }
    }
}

/// Where an agent is. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It dials nobody.
    #[default]
    Closed,
    /// It dials, until then at the latest.
    Connecting(u64),
    /// The connection is open. The Hello has to come by then.
    Opened(u64),
    /// The Hello came. It leaves then if it does not hear from the orchestrator.
    Connected(u64),
    /// It dials again then.
    Waiting(u64),
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) kind: String,
    pub(super) connections: u32,
    pub(super) origin: Origin,
}

/// A call that waits for the orchestrator to take note of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) call: u64,
    pub(super) draining: bool,
    /// Whether a State told this status since it was set, on this connection.
    pub(super) told: bool,
}

/// What an agent says of itself, and its hash.
#[derive(Debug)]
pub struct Known {
    /// The hash.
    pub hash: String,
    /// What it says.
    pub snapshot: Snapshot,
}

/// What was found out already. It follows from the rest of the state, so that it makes no difference.
#[derive(Clone, Debug, Default)]
struct Cached(OnceLock<Arc<Known>>);

impl PartialEq for Cached {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Cached {}

/// Everything that decisions depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub(super) plan: Arc<Plan>,
    pub(super) phase: Phase,
    /// The number of the last dial, from 1.
    pub(super) dial: u64,
    /// How many delays there were since the last Hello, or since the host wanted to be connected.
    pub(super) attempts: u32,
    /// When it ends if there was no Hello since the host wanted to be connected.
    pub(super) connect_by: Option<u64>,
    /// The calls that wait for a Hello.
    pub(super) connects: Vec<u64>,
    pub(super) instance_id: Option<String>,
    /// After how long without Polls and pings the connection is left, in milliseconds.
    pub(super) silence_ms: u64,
    /// How many States were sent on the connection.
    pub(super) seq: u32,
    pub(super) draining: bool,
    /// Whether a State told this status since it was set, on this connection.
    pub(super) told: bool,
    pub(super) waits: Vec<Wait>,
    pub(super) rooms: BTreeMap<String, Room>,
    /// How many are connected to all rooms together.
    pub(super) connections: u64,
    cached: Cached,
}

impl State {
    /// An agent that was not connected yet, in a process of this id.
    ///
    /// # Errors
    /// The settings can be those of no agent.
    pub fn new(settings: &Settings, process_uid: impl Into<String>) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self { plan: Arc::new(Plan::of(settings, process_uid.into())), ..Self::default() })
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Where it is, as its host sees it.
    pub fn condition(&self) -> Condition {
        match self.phase {
            Phase::Closed => Condition::Closed,
            Phase::Connecting(_) | Phase::Opened(_) | Phase::Waiting(_) => Condition::Connecting,
            Phase::Connected(_) if self.draining => Condition::Draining,
            Phase::Connected(_) => Condition::Connected,
        }
    }

    /// The number of the last dial, from 1; 0 before it.
    pub fn dial(&self) -> u64 {
        self.dial
    }

    /// How many delays there were since the last Hello, or since the host wanted to be connected.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The id that the last Hello gave to the connection, as long as that lives.
    pub fn instance_id(&self) -> Option<&str> {
        self.instance_id.as_deref()
    }

    /// The id of the process.
    pub fn process_uid(&self) -> &str {
        &self.plan.process_uid
    }

    /// How many States were sent on the connection.
    pub fn seq(&self) -> u32 {
        self.seq
    }

    /// Whether it takes no new rooms.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// How many rooms there are.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// How many are connected to all rooms together.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// What it says of itself now. It is put together once for every change.
    pub fn known(&self) -> &Known {
        self.cached.0.get_or_init(|| {
            let snapshot = self.snapshot();
            Arc::new(Known { hash: snapshot.hash(), snapshot })
        })
    }

    fn snapshot(&self) -> Snapshot {
        let Plan {
            name, process_uid, agent_version, endpoint_url, labels, capacity, auto_create, kinds, ..
        } = &*self.plan;
        let label = |(key, value): (&String, &String)| Label { key: key.clone(), value: value.clone() };
        let room = |(id, room): (&String, &Room)| SyncRoom {
            id: id.clone(),
            kind: room.kind.clone(),
            connections: room.connections,
            origin: room.origin.clone(),
        };
        let mut room_types: Vec<String> = kinds.iter().cloned().collect();
        let mut rooms: Vec<SyncRoom> = self.rooms.iter().map(room).collect();
        // They are in the order of their bytes, which differs only where there are characters beyond U+FFFF.
        room_types.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
        rooms.sort_by(|a, b| a.id.encode_utf16().cmp(b.id.encode_utf16()));
        Snapshot {
            name: name.clone(),
            process_uid: process_uid.clone(),
            agent_version: agent_version.clone(),
            protocol_version: VERSION,
            endpoint_url: endpoint_url.clone(),
            labels: labels.iter().map(label).collect(),
            capacity: capacity.clone(),
            auto_create: *auto_create,
            room_types,
            rooms,
            status: if self.draining { Status::Draining } else { Status::Active },
        }
    }

    pub(super) fn take(&mut self, record: &Record) {
        match record {
            Record::Begun(by) => (self.attempts, self.connect_by) = (0, *by),
            Record::Connects(call) => self.connects.push(*call),
            Record::Dialled(until) => {
                self.dial += 1;
                self.phase = Phase::Connecting(*until);
            }
            Record::Opened(until) => {
                self.phase = Phase::Opened(*until);
                self.seq = 0;
                self.forget_told();
            }
            Record::Greeted { instance_id, silence_ms, until } => {
                self.phase = Phase::Connected(*until);
                (self.attempts, self.connect_by) = (0, None);
                self.silence_ms = *silence_ms;
                self.instance_id = Some(instance_id.clone());
                self.connects.clear();
            }
            Record::Alive(until) => self.phase = Phase::Connected(*until),
            Record::Reported => {
                self.seq = self.seq.saturating_add(1);
                self.told = true;
                for wait in &mut self.waits {
                    wait.told |= wait.draining == self.draining;
                }
            }
            Record::Lost => {
                self.waits.clear();
                self.forget_told();
            }
            Record::Waiting { until, .. } => {
                self.attempts = self.attempts.saturating_add(1);
                self.phase = Phase::Waiting(*until);
                self.instance_id = None;
            }
            Record::Ended => {
                self.phase = Phase::Closed;
                (self.instance_id, self.connect_by) = (None, None);
                self.connects.clear();
                self.waits.clear();
                self.forget_told();
            }
            Record::Created { id, kind, fleet } => {
                let origin = if *fleet { Origin::Fleet } else { Origin::Local };
                let room = Room { kind: kind.clone(), connections: 0, origin };
                let before = self.rooms.insert(id.clone(), room);
                self.connections -= before.map_or(0, |room| room.connections.into());
                self.cached = Cached::default();
            }
            Record::Destroyed(id) => {
                let before = self.rooms.remove(id);
                self.connections -= before.map_or(0, |room| room.connections.into());
                self.cached = Cached::default();
            }
            Record::Connections(id, connections) => {
                if let Some(room) = self.rooms.get_mut(id) {
                    self.connections -= u64::from(room.connections);
                    self.connections += u64::from(*connections);
                    room.connections = *connections;
                    self.cached = Cached::default();
                }
            }
            Record::Status { draining } => {
                self.draining = *draining;
                self.told = false;
                self.cached = Cached::default();
            }
            Record::Notes { call, draining } => {
                self.waits.push(Wait { call: *call, draining: *draining, told: self.told });
            }
            Record::Noted(call) => self.waits.retain(|wait| wait.call != *call),
        }
    }

    /// What was told on another connection does not count on this one.
    fn forget_told(&mut self) {
        self.told = false;
        for wait in &mut self.waits {
            wait.told = false;
        }
    }
}
