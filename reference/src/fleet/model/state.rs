//! What an orchestrator knows.

use super::{Claim, Command, Instance, hash, instances::Totals};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use wireproof_spec::fleet::{InstanceInfo, Status};

/// What an orchestrator knows. It is changed by records alone.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Whether it is about to stop: nothing begins any more.
    pub(super) stopping: bool,
    /// How many connections there were.
    pub(super) joined: u64,
    /// How many Polls were sent, on all connections.
    pub(super) polls: u64,
    /// How many Cmds were sent, on all connections.
    pub(super) cmds: u64,
    /// The agents with a right key, by their connections.
    pub connections: BTreeMap<u64, Connection>,
    /// The connections in the order in which they came.
    pub(super) joins: BTreeMap<u64, u64>,
    /// The connections by the id that they have as instances, whether they are shown or not yet.
    pub(super) ids: BTreeMap<Arc<str>, u64>,
    /// What waits for an Ack, by the number in its cmdId.
    pub(super) commands: BTreeMap<u64, Command>,
    /// Which command a request waits for.
    pub(super) asked: BTreeMap<u64, u64>,
    /// The room ids that nobody else gets, and the connection on which each is held.
    pub holds: HashMap<Arc<str>, u64>,
    /// What is due when, in milliseconds since 1970.
    pub(super) deadlines: BTreeSet<(u64, Due)>,
    /// Who listens to events.
    pub(super) listeners: BTreeSet<u64>,
    /// Who has a room of which raw id: the one who keeps the base first.
    pub(super) groups: HashMap<Arc<str>, Arc<[Claim]>>,
    /// Where the room of a public id is.
    pub(super) places: HashMap<String, Place>,
    pub(super) totals: Totals,
    /// The state hash, if it was made since the last change.
    pub(super) hash: Option<Arc<str>>,
    /// Whether the read model was ever looked at for what has changed.
    pub(super) reconciled: bool,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Due {
    /// The Ack of this command.
    Ack(u64),
    /// The next look at this connection.
    Look(u64),
}

/// An agent with a right key.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Which connection it was, counted from 0.
    pub(super) join: u64,
    pub(super) id: Arc<str>,
    /// H, in milliseconds.
    pub(super) heartbeat_ms: u64,
    /// Whether its snapshots are rejected if they tell another hash than theirs.
    pub(super) verified: bool,
    /// When the orchestrator looks at it next.
    pub(super) look_at: u64,
    /// How many Polls were sent on it.
    pub(super) polls: u64,
    /// The number in the reqId of the Poll that was not answered yet.
    pub(super) outstanding: Option<u64>,
    /// How many looks in a row found this Poll.
    pub missed: u32,
    /// What the bucket of its frames holds, in thousandths of a token, and since when.
    pub(super) tokens: (u64, u64),
    /// The seq and the hash of the snapshot that was applied last.
    pub(super) applied: Option<(u32, Arc<str>)>,
    /// What the last drain or undrain asked for, until a snapshot agrees.
    pub target: Option<Status>,
    /// The commands in flight.
    pub commands: BTreeSet<u64>,
    /// The room ids that are held on it; whether the command is settled, so that the next State ends the hold.
    pub holds: BTreeMap<Arc<str>, bool>,
    /// What operators see of it.
    pub instance: Option<Instance>,
}

impl Connection {
    /// Whether it has not answered for two looks.
    pub(super) fn is_stale(&self) -> bool {
        self.missed >= super::liveness::STALE
    }

    /// Whether placement takes it for an instance of this status.
    pub(super) fn status<'a>(&'a self, instance: &'a Instance) -> &'a Status {
        self.target.as_ref().unwrap_or(&instance.status)
    }
}

/// Where the room of a public id is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) connection: u64,
    /// Which of the rooms of its instance it is.
    pub(super) index: usize,
    /// The type under which the id came into the read model, if the room has another one now.
    pub(super) kind: Option<Arc<str>>,
}

/// For whoever looks at a model from outside: tests, and seams that decide by what is there.
impl State {
    /// The connections in the order in which they came.
    pub fn connections(&self) -> impl Iterator<Item = u64> + '_ {
        self.joins.values().copied()
    }

    /// The connection that has, or will have, the instance of this id.
    pub fn connection(&self, id: &str) -> Option<u64> {
        self.ids.get(id).copied()
    }

    /// The id that a connection has, or will have, as an instance.
    pub fn id(&self, connection: u64) -> Option<&str> {
        self.connections.get(&connection).map(|connection| connection.id.as_ref())
    }

    /// What operators see of a connection; none before its first snapshot was applied.
    pub fn instance(&self, connection: u64) -> Option<&Arc<InstanceInfo>> {
        self.connections.get(&connection)?.instance.as_ref().map(|instance| &instance.info)
    }

    /// The reqId of the Poll that a connection has not answered yet.
    pub fn outstanding(&self, connection: u64) -> Option<String> {
        self.connections.get(&connection)?.outstanding.map(super::poll::req_id)
    }

    /// Whether a connection has not answered for two looks or more.
    pub fn is_stale(&self, connection: u64) -> bool {
        self.connections.get(&connection).is_some_and(Connection::is_stale)
    }

    /// How many commands wait for their Ack on a connection.
    pub fn in_flight(&self, connection: u64) -> usize {
        self.connections.get(&connection).map_or(0, |connection| connection.commands.len())
    }

    /// Whether a request waits for an Ack.
    pub fn waits(&self, session: u64) -> bool {
        self.asked.contains_key(&session)
    }

    /// The connection that has the room of a public id, and the id that its agent knows it by.
    pub fn raw(&self, id: &str) -> Option<(u64, &str)> {
        self.room(id).map(|(connection, room)| (connection, room.raw.as_ref()))
    }

    /// Whether a room id is held.
    pub fn holds(&self, id: &str) -> bool {
        self.holds.contains_key(id)
    }

    /// Who listens to events.
    pub fn listeners(&self) -> impl Iterator<Item = u64> + '_ {
        self.listeners.iter().copied()
    }

    /// Takes each connection for one that came at another moment than it did: what is decided on it goes by this.
    pub fn reorder(&mut self, order: impl Fn(u64) -> u64) {
        self.connections.values_mut().for_each(|connection| connection.join = order(connection.join));
    }

    /// The state hash, made anew from what is shown and not from what was kept of it.
    pub fn hash_from_scratch(&self) -> String {
        hash::from_scratch(self)
    }

    /// How many looks in a row found the Poll of each connection unanswered.
    pub fn missed_mut(&mut self) -> impl Iterator<Item = (u64, &mut u32)> {
        self.connections.iter_mut().map(|(number, connection)| (*number, &mut connection.missed))
    }

    /// How many looks in a row found the Poll of a connection unanswered.
    pub fn missed(&self, connection: u64) -> u32 {
        self.connections.get(&connection).map_or(0, |connection| connection.missed)
    }
}
