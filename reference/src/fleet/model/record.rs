//! The changes of the state.
//!
//! All are about sessions: none goes to the log, and so none is ever written or read.

use super::{
    Change, Command, Task,
    state::{Connection, Due, State},
    violations,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use wireproof_spec::{fleet::Status, json::Count};

/// A change of the state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Record {
    /// An agent is connected.
    #[serde(skip)]
    Joined {
        /// Its connection.
        connection: u64,
        /// The id that it has as an instance.
        id: Arc<str>,
        /// H, in milliseconds.
        heartbeat_ms: u64,
        /// Whether its snapshots are rejected if they tell another hash than theirs.
        verified: bool,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A Poll was sent.
    #[serde(skip)]
    Polled {
        /// On which connection.
        connection: u64,
        /// The number in its reqId.
        number: u64,
    },
    /// A connection is looked at again at this time.
    #[serde(skip)]
    Looked {
        /// Which.
        connection: u64,
        /// When: milliseconds since 1970.
        next: u64,
    },
    /// A look found a Poll that was not answered.
    #[serde(skip)]
    Missed {
        /// On which connection.
        connection: u64,
    },
    /// A frame took a token.
    #[serde(skip)]
    Took {
        /// On which connection.
        connection: u64,
        /// What is left, in thousandths of a token.
        left: u64,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// The outstanding Poll was answered.
    #[serde(skip)]
    Answered {
        /// On which connection.
        connection: u64,
        /// When: milliseconds since 1970.
        at: u64,
    },
    /// A snapshot was applied. What operators see of it is in [`Record::Changed`].
    #[serde(skip)]
    Applied {
        /// On which connection.
        connection: u64,
        /// Its seq.
        seq: u32,
        /// Its hash, as it was sent.
        hash: Arc<str>,
    },
    /// Placement takes an instance for one of this status; none: for one of the status that it has.
    #[serde(skip)]
    Overridden {
        /// The connection of the instance.
        connection: u64,
        /// The status.
        status: Option<Status>,
    },
    /// What operators see has changed.
    #[serde(skip)]
    Changed(Arc<Change>),
    /// The state hash was made.
    #[serde(skip)]
    Hashed {
        /// The hash.
        hash: Arc<str>,
    },
    /// A connection is gone, and with it its commands and holds.
    #[serde(skip)]
    Removed {
        /// Which.
        connection: u64,
    },
    /// A command was sent.
    #[serde(skip)]
    Sent {
        /// The number in its cmdId.
        number: u64,
        /// The command.
        command: Command,
    },
    /// A command was answered.
    #[serde(skip)]
    Settled {
        /// The number in its cmdId.
        number: u64,
        /// Whether a room id that it holds stays held until the next State.
        held: bool,
    },
    /// Nobody waits any more for what becomes of a command.
    #[serde(skip)]
    Abandoned {
        /// The number in its cmdId.
        number: u64,
    },
    /// The holds of a connection whose commands are settled have ended.
    #[serde(skip)]
    Released {
        /// Which.
        connection: u64,
    },
    /// An operator listens to events.
    #[serde(skip)]
    Listening {
        /// The request.
        session: u64,
    },
    /// An operator listens no more.
    #[serde(skip)]
    Deaf {
        /// The request.
        session: u64,
    },
    /// The orchestrator is about to stop: everybody is gone.
    #[serde(skip)]
    Stopping,
}

impl State {
    /// Changes the state. A record about what is not there changes nothing.
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Joined { connection, id, heartbeat_ms, verified, at } => {
                self.join(*connection, id, (*heartbeat_ms, *verified), *at);
            }
            Record::Polled { connection, number } => {
                self.polls = self.polls.max(*number);
                self.of(*connection, |connection| {
                    connection.polls += 1;
                    connection.outstanding = Some(*number);
                });
            }
            Record::Looked { connection, next } => {
                if let Some(found) = self.connections.get_mut(connection) {
                    self.deadlines.remove(&(found.look_at, Due::Look(*connection)));
                    found.look_at = *next;
                    self.deadlines.insert((*next, Due::Look(*connection)));
                }
            }
            Record::Missed { connection } => self.of(*connection, |connection| connection.missed += 1),
            Record::Took { connection, left, at } => {
                self.of(*connection, |connection| connection.tokens = (*left, *at));
            }
            Record::Answered { connection, at } => self.of(*connection, |connection| {
                connection.outstanding = None;
                connection.missed = 0;
                if let Some(instance) = &mut connection.instance {
                    // Nothing is copied unless an answer that shows it is still being written.
                    Arc::make_mut(&mut instance.info).last_sync_at = time(*at);
                }
            }),
            Record::Applied { connection, seq, hash } => {
                self.of(*connection, |connection| connection.applied = Some((*seq, hash.clone())));
            }
            Record::Overridden { connection, status } => {
                self.of(*connection, |connection| connection.target.clone_from(status));
            }
            Record::Changed(change) => self.change(change),
            Record::Hashed { hash } => self.hash = Some(hash.clone()),
            Record::Removed { connection } => self.remove(*connection),
            Record::Sent { number, command } => self.send(*number, command),
            Record::Settled { number, held } => self.settle(*number, *held),
            Record::Abandoned { number } => {
                if let Some(session) = self.commands.get_mut(number).and_then(|found| found.session.take()) {
                    self.asked.remove(&session);
                }
            }
            Record::Released { connection } => self.release(*connection, |settled| settled),
            Record::Listening { session } => {
                self.listeners.insert(*session);
            }
            Record::Deaf { session } => {
                self.listeners.remove(session);
            }
            Record::Stopping => {
                *self = Self { stopping: true, polls: self.polls, cmds: self.cmds, ..Self::default() };
            }
        }
    }

    fn of(&mut self, connection: u64, change: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            change(connection);
        }
    }

    fn join(&mut self, connection: u64, id: &Arc<str>, (heartbeat_ms, verified): (u64, bool), at: u64) {
        self.remove(connection);
        let join = self.joined;
        let look_at = at.saturating_add(heartbeat_ms);
        self.joined += 1;
        self.joins.insert(join, connection);
        self.ids.insert(id.clone(), connection);
        self.deadlines.insert((look_at, Due::Look(connection)));
        let new = Connection {
            join,
            id: id.clone(),
            heartbeat_ms,
            verified,
            look_at,
            polls: 0,
            outstanding: None,
            missed: 0,
            tokens: (violations::TOKENS, at),
            applied: None,
            target: None,
            commands: BTreeSet::new(),
            holds: BTreeMap::new(),
            instance: None,
        };
        self.connections.insert(connection, new);
    }

    fn remove(&mut self, connection: u64) {
        self.release(connection, |_| true);
        let Some(gone) = self.connections.remove(&connection) else { return };
        self.joins.remove(&gone.join);
        self.ids.remove(&gone.id);
        self.deadlines.remove(&(gone.look_at, Due::Look(connection)));
        gone.commands.iter().for_each(|number| self.settle(*number, false));
    }

    fn send(&mut self, number: u64, command: &Command) {
        self.cmds = self.cmds.max(number);
        let Some(connection) = self.connections.get_mut(&command.connection) else { return };
        connection.commands.insert(number);
        if let Task::Create { room, .. } = &command.task {
            connection.holds.insert(room.clone(), false);
            self.holds.insert(room.clone(), command.connection);
        }
        if let Some(session) = command.session {
            self.asked.insert(session, number);
        }
        self.deadlines.insert((command.deadline, Due::Ack(number)));
        self.commands.insert(number, command.clone());
    }

    fn settle(&mut self, number: u64, held: bool) {
        let Some(command) = self.commands.remove(&number) else { return };
        self.deadlines.remove(&(command.deadline, Due::Ack(number)));
        if let Some(session) = command.session {
            self.asked.remove(&session);
        }
        let Some(connection) = self.connections.get_mut(&command.connection) else { return };
        connection.commands.remove(&number);
        match &command.task {
            Task::Create { room, .. } if held => {
                connection.holds.insert(room.clone(), true);
            }
            Task::Create { room, .. } => {
                connection.holds.remove(room);
                self.holds.remove(room);
            }
            Task::Destroy | Task::Status(_) => {}
        }
    }

    /// Ends the holds of a connection for which this says so; it is told whether their command is settled.
    fn release(&mut self, connection: u64, ends: impl Fn(bool) -> bool) {
        let Some(found) = self.connections.get_mut(&connection) else { return };
        let holds = &mut self.holds;
        found.holds.retain(|room, settled| {
            let ends = ends(*settled);
            if ends {
                holds.remove(room);
            }
            !ends
        });
    }
}

/// A time in milliseconds since 1970, as operators see it.
pub(super) fn time(at: u64) -> Count {
    count(at)
}

/// A number as operators see it; one that is greater than peers can count is the greatest.
pub(super) fn count(number: u64) -> Count {
    const GREATEST: i64 = (1 << 53) - 1;
    let number = i64::try_from(number).map_or(GREATEST, |number| number.min(GREATEST));
    Count::new(number).expect("a number from 0 to the greatest")
}
