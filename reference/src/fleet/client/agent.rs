//! An agent that runs, and the handle by which its host uses it.

use super::{
    driver::{self, Call},
    error::Error,
    model::{Ask, Condition, Event, Reply, State},
    seams::Seams,
    settings::Settings,
};
use crate::client::random;
use std::{ops::Deref, time::Duration};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::timeout,
};

/// How long [`Handle::shutdown`] waits for the end of all rooms where nothing else is said.
pub const SHUTDOWN: Duration = Duration::from_secs(60);

/// There is room for all of these events, and calls, from the beginning, so that there is a limit to what can be set.
const MOST: usize = 64 * 1024;

/// An agent as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Where it is.
    pub condition: Condition,
    /// Whether it takes no new rooms, connected or not.
    pub draining: bool,
    /// The id that the last Hello gave to the connection, as long as that lives.
    pub instance_id: Option<String>,
    /// How often it has dialled.
    pub dials: u64,
    /// How many delays there were since the last Hello, or since [`Handle::connect`].
    pub attempts: u32,
    /// How many rooms there are.
    pub rooms: usize,
    /// How many are connected to all rooms together.
    pub connections: u64,
}

/// Uses an agent. The agent lives until its last handle is gone; then it disconnects.
#[derive(Clone, Debug)]
pub struct Handle {
    process_uid: String,
    calls: mpsc::Sender<Call>,
    seen: watch::Receiver<Seen>,
}

impl Handle {
    /// Connects, and returns the id of the instance when the first Hello has come. Until then, and from then on, it dials
    /// again whenever there is no connection. Whoever calls while it is connected gets the id at once. An agent that has
    /// ended begins anew.
    ///
    /// # Errors
    /// It took longer than the settings allow, the orchestrator speaks another protocol, or the host has disconnected. It
    /// dials no more.
    pub async fn connect(&self) -> Result<String, Error> {
        match self.ask(Ask::Connect).await? {
            Reply::Connected(instance_id) => Ok(instance_id),
            // No other reply belongs to it, but a broken model may have one.
            Reply::Done | Reply::Room(_) => Err(Error::CutOff),
        }
    }

    /// Closes the connection, and dials no more. It returns when the connection is gone, within the bounds of the settings.
    ///
    /// # Errors
    /// The agent was cut off.
    pub async fn disconnect(&self) -> Result<(), Error> {
        self.ask(Ask::Disconnect).await.map(drop)
    }

    /// Makes a room, with this id or one that is made up, and returns the id. Whoever makes rooms so is not held up by the
    /// capacity, nor by draining.
    ///
    /// # Errors
    /// The id is taken, the type is none of the settings, or no snapshot could hold it.
    pub async fn create_room(&self, id: Option<String>, kind: impl Into<String>) -> Result<String, Error> {
        match self.ask(Ask::CreateRoom { id, kind: kind.into() }).await? {
            Reply::Room(id) => Ok(id),
            Reply::Done | Reply::Connected(_) => Err(Error::CutOff),
        }
    }

    /// Ends a room, whoever made it.
    ///
    /// # Errors
    /// There is none.
    pub async fn destroy_room(&self, id: impl Into<String>) -> Result<(), Error> {
        self.ask(Ask::DestroyRoom(id.into())).await.map(drop)
    }

    /// Says how many are connected to a room.
    ///
    /// # Errors
    /// There is no such room, or it is more than 1000000.
    pub async fn set_connections(&self, id: impl Into<String>, connections: u32) -> Result<(), Error> {
        self.ask(Ask::SetConnections { id: id.into(), connections }).await.map(drop)
    }

    /// Takes no new rooms from now on, and returns when the orchestrator has taken note. Without a connection it waits for
    /// one.
    ///
    /// # Errors
    /// The connection was lost before, the host has disconnected or set another status. The status stays as it is.
    pub async fn drain(&self) -> Result<(), Error> {
        self.ask(Ask::Drain).await.map(drop)
    }

    /// Takes new rooms again from now on, and returns when the orchestrator has taken note, as [`Handle::drain`] does.
    ///
    /// # Errors
    /// Those of [`Handle::drain`].
    pub async fn undrain(&self) -> Result<(), Error> {
        self.ask(Ask::Undrain).await.map(drop)
    }

    /// Waits until there are no rooms; for ever if there is no limit.
    ///
    /// # Errors
    /// It took longer, or the agent was cut off.
    pub async fn await_empty(&self, limit: Option<Duration>) -> Result<(), Error> {
        let mut seen = self.seen.clone();
        let empty = async { seen.wait_for(|seen| seen.rooms == 0).await.map(drop) };
        match limit {
            Some(limit) => timeout(limit, empty).await.map_err(|_| Error::NotEmpty)?,
            None => empty.await,
        }
        .map_err(|_| Error::CutOff)
    }

    /// Takes no new rooms, waits until there are none, for so long at most ([`SHUTDOWN`] is usual), and disconnects, whether
    /// there are rooms still or not. It does not wait for the orchestrator to take note.
    ///
    /// # Errors
    /// There were rooms for longer, or the agent was cut off. It is disconnected all the same.
    pub async fn shutdown(&self, limit: Duration) -> Result<(), Error> {
        let drain = async {
            // Whatever becomes of it: without rooms there is nothing to take note of.
            let _ = self.drain().await;
            std::future::pending().await
        };
        let empty = tokio::select! {
            biased;
            empty = drain => empty,
            empty = self.await_empty(Some(limit)) => empty,
        };
        empty.and(self.disconnect().await)
    }

    /// How the agent is now.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until the agent is as wanted; none if it was cut off.
    pub async fn until(&self, wanted: impl FnMut(&Seen) -> bool) -> Option<Seen> {
        self.seen.clone().wait_for(wanted).await.ok().map(|seen| seen.clone())
    }

    /// The id of the process, the same on all connections.
    pub fn process_uid(&self) -> &str {
        &self.process_uid
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, Error> {
        let (settle, settled) = oneshot::channel();
        self.calls.send(Call { ask, settle }).await.map_err(|_| Error::CutOff)?;
        settled.await.unwrap_or(Err(Error::CutOff))
    }
}

/// An agent that runs, with a handle and what happens to it.
#[derive(Debug)]
pub struct Agent {
    handle: Handle,
    /// What happens. Whoever reads too late misses the oldest.
    pub events: broadcast::Receiver<Event>,
}

impl Agent {
    /// An agent that dials nobody until it is told to. It needs a runtime of tokio.
    ///
    /// # Errors
    /// The settings can be those of no agent.
    pub fn start(settings: &Settings, seams: Seams) -> Result<Self, Error> {
        let process_uid = settings.process_uid.clone().unwrap_or_else(|| {
            // 24 hexadecimal digits.
            format!("p_{:016x}{:08x}", random(), random() >> 32)
        });
        let state = State::new(settings, process_uid.clone())?;
        let (events, told) = broadcast::channel(settings.bounds.events.clamp(1, MOST));
        let (calls, called) = mpsc::channel(settings.bounds.calls.clamp(1, MOST));
        let (seen, seeing) = watch::channel(Seen::default());
        driver::spawn(state, settings, seams, called, events, seen);
        Ok(Self { handle: Handle { process_uid, calls, seen: seeing }, events: told })
    }

    /// A handle of it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Deref for Agent {
    type Target = Handle;
    fn deref(&self) -> &Handle {
        &self.handle
    }
}
