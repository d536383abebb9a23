//! One log under all protocols: records by position, and content beside them, keyed by owner and start.
//!
//! Records are read once, at recovery; content is read by ranges and never at recovery. What is appended together is
//! durable together. See "Models, log, shells" in the design: a failed commit ends the log, and with it the server.

mod memory;
mod sqlite;

use bytes::Bytes;
use memory::Memory;
use serde::{Deserialize, Serialize};
use sqlite::Sqlite;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bytes `from..to` of the content of one owner (of a stream: its incarnation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range {
    /// Whose content.
    pub owner: u64,
    /// The first byte.
    pub from: u64,
    /// The byte behind the last one.
    pub to: u64,
}

/// Content that a record brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose content.
    pub owner: u64,
    /// The position of the first byte. What the owner has there or behind is replaced.
    pub start: u64,
    /// The bytes.
    pub bytes: Bytes,
}

/// A record on its way into the log.
#[derive(Clone, Debug)]
pub struct Item {
    /// The record as JSON.
    pub record: Vec<u8>,
    /// The content that it brings.
    pub block: Option<Block>,
}

/// A record as it is found at recovery: without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log, from 1.
    pub position: u64,
    /// The record as JSON.
    pub record: Vec<u8>,
    /// Where the content that it brought lies.
    pub content: Option<Range>,
}

/// What a restart makes of the log: lost entries are left out, an old log ends early, a torn entry has content that ends
/// early (`content.to` is less than it was). What is not returned is removed from the log, content included.
pub type Recovery = Box<dyn FnMut(Vec<Entry>) -> Vec<Entry> + Send>;

/// Why a log failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused.
    #[error("the database: {0}")]
    Database(#[from] rusqlite::Error),
    /// The data directory cannot be used.
    #[error("the data directory: {0}")]
    Directory(#[from] std::io::Error),
    /// A record cannot be written or read back.
    #[error("a record: {0}")]
    Record(#[from] serde_json::Error),
    /// The database was written by another version.
    #[error("the database has layout {found}, this program reads {expected}")]
    Layout {
        /// What it says.
        found: i64,
        /// What this program reads.
        expected: i64,
    },
    /// The thread that writes, or one that reads, is gone.
    #[error("the log has ended")]
    Ended,
}

/// The writing side of a log; its owner is the one who decides.
pub struct Log {
    store: Store,
    content: Content,
}

enum Store {
    Memory { memory: Arc<Memory>, position: u64 },
    Sqlite(Box<Sqlite>),
}

impl Log {
    /// A log that is gone when the process ends. Everything in it is durable at once.
    pub fn memory() -> Self {
        let memory = Arc::new(Memory::default());
        let content = Content::new(Source::Memory(Arc::clone(&memory)));
        Self { store: Store::Memory { memory, position: 0 }, content }
    }

    /// Opens the log in the directory `data`, which is made if it is missing, and hands every record to `each` in order.
    pub fn open(
        data: &Path,
        recovery: Option<Recovery>,
        each: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(data)?;
        let sqlite = Sqlite::open(&data.join("log.sqlite"), recovery, each)?;
        let content = Content::new(Source::Sqlite(sqlite.readers()));
        Ok(Self { store: Store::Sqlite(Box::new(sqlite)), content })
    }

    /// The reading side.
    pub fn content(&self) -> Content {
        self.content.clone()
    }

    /// Appends items that become durable together. The caller bounds what is not yet durable: see [`Log::position`].
    pub fn append(&mut self, items: Vec<Item>) -> Result<(), Error> {
        match &mut self.store {
            Store::Memory { memory, position } => {
                *position += items.len() as u64;
                items.into_iter().filter_map(|i| i.block).for_each(|block| memory.put(block));
                Ok(())
            }
            Store::Sqlite(sqlite) => sqlite.append(items),
        }
    }

    /// Whether records are kept at all: without, they need not be written as JSON.
    pub fn keeps_records(&self) -> bool {
        matches!(self.store, Store::Sqlite(_))
    }

    /// The position of the last item that was appended.
    pub fn position(&self) -> u64 {
        match &self.store {
            Store::Memory { position, .. } => *position,
            Store::Sqlite(sqlite) => sqlite.position(),
        }
    }

    /// The position up to which everything is durable.
    pub fn durable(&self) -> u64 {
        match &self.store {
            Store::Memory { position, .. } => *position,
            Store::Sqlite(sqlite) => sqlite.durable(),
        }
    }

    /// Waits until more is durable than when it last returned, and fails with what ended the log.
    pub async fn progress(&mut self) -> Result<(), Error> {
        match &mut self.store {
            Store::Memory { .. } => std::future::pending().await,
            Store::Sqlite(sqlite) => sqlite.progress().await,
        }
    }

    /// Commits what is queued and closes every handle, so that the directory can be opened again at once.
    pub async fn close(self) -> Result<(), Error> {
        match self.store {
            Store::Memory { .. } => Ok(()),
            Store::Sqlite(sqlite) => sqlite.close().await,
        }
    }
}

/// The reading side of a log. Content that someone is about to read is not removed: see [`Content::lease`].
#[derive(Clone)]
pub struct Content {
    source: Source,
    leases: Arc<Mutex<Leases>>,
}

#[derive(Clone)]
enum Source {
    Memory(Arc<Memory>),
    Sqlite(Arc<sqlite::Readers>),
}

#[derive(Default)]
struct Leases {
    held: HashMap<u64, usize>,
    doomed: HashSet<u64>,
}

impl Content {
    fn new(source: Source) -> Self {
        Self { source, leases: Arc::default() }
    }

    /// The bytes of a range. A place at which nothing lies yields nothing, so the answer may be shorter than the range.
    /// The caller keeps ranges short: the whole answer is held in memory.
    pub async fn read(&self, range: Range) -> Result<Bytes, Error> {
        if range.from >= range.to {
            return Ok(Bytes::new());
        }
        match &self.source {
            Source::Memory(memory) => Ok(memory.read(range)),
            Source::Sqlite(readers) => readers.read(range).await,
        }
    }

    /// The appends of an owner that begin in a range, in their order and whole, with where they begin: as many as come to
    /// `most` bytes, and at least one if there is one.
    pub async fn appends(&self, range: Range, most: usize) -> Result<Vec<(u64, Bytes)>, Error> {
        match &self.source {
            Source::Memory(memory) => Ok(memory.appends(range, most)),
            Source::Sqlite(readers) => readers.appends(range, most).await,
        }
    }

    /// Keeps the content of an owner until the lease is dropped.
    pub fn lease(&self, owner: u64) -> Lease {
        *self.leases().held.entry(owner).or_default() += 1;
        Lease { content: self.clone(), owner }
    }

    /// Removes the content of an owner, now or with the last lease of it.
    pub fn remove(&self, owner: u64) {
        let mut leases = self.leases();
        if leases.held.contains_key(&owner) {
            leases.doomed.insert(owner);
        } else {
            self.source.remove(owner);
        }
    }

    /// Removes the appends of an owner that end at or before a position.
    pub fn trim(&self, owner: u64, before: u64) {
        match &self.source {
            Source::Memory(memory) => memory.trim(owner, before),
            Source::Sqlite(readers) => readers.trim(owner, before),
        }
    }

    /// The end of the append that holds the byte at a position, if there is one.
    pub async fn end_of_append(&self, owner: u64, at: u64) -> Result<Option<u64>, Error> {
        match &self.source {
            Source::Memory(memory) => Ok(memory.end_of_append(owner, at)),
            Source::Sqlite(readers) => readers.end_of_append(owner, at).await,
        }
    }

    /// Removes the content of every owner that is not in `owners`: what a removal that a stop cut off has left behind.
    pub fn retain(&self, owners: Vec<u64>) {
        match &self.source {
            Source::Memory(memory) => memory.retain(&owners),
            Source::Sqlite(readers) => readers.retain(owners),
        }
    }

    // A panic while this lock is held is impossible short of no memory; the maps are whole after each step anyway.
    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn remove(&self, owner: u64) {
        match self {
            Self::Memory(memory) => memory.remove(owner),
            Self::Sqlite(readers) => readers.remove(owner),
        }
    }
}

/// Keeps the content of one owner from being removed.
pub struct Lease {
    content: Content,
    owner: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = self.content.leases();
        let Some(held) = leases.held.get_mut(&self.owner) else { return };
        *held -= 1;
        if *held == 0 {
            leases.held.remove(&self.owner);
            if leases.doomed.remove(&self.owner) {
                self.content.source.remove(self.owner);
            }
        }
    }
}
