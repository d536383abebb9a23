//! The log in SQLite: one thread writes and commits in groups, read-only connections read ranges.

use super::{Entry, Error, Item, Range, Recovery};
use bytes::{Bytes, BytesMut};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{Semaphore, oneshot, watch};

/// The layout of the tables, in the database's `user_version`.
const LAYOUT: i64 = 2;
/// Longer content is stored in pieces of this many bytes, so that a read never loads much more than it returns.
const PIECE: usize = 64 * 1024;
/// How many pieces one transaction removes, so that commits do not wait long for a removal.
const REMOVE: i64 = 512;
/// How many items one transaction takes at most.
const GROUP: usize = 4096;
/// How many connections read at the same time.
const READERS: usize = 4;
/// How long a connection waits for another process that holds the database.
const BUSY: Duration = Duration::from_secs(5);

/// The writing side.
pub(super) struct Sqlite {
    readers: Arc<Readers>,
    position: u64,
    durable: watch::Receiver<u64>,
    done: oneshot::Receiver<Error>,
    writer: Option<JoinHandle<()>>,
}

enum Command {
    Append(Vec<Item>),
    Remove(u64),
    Retain(Vec<u64>),
    Trim(u64, u64),
    Close,
}

impl Sqlite {
    pub(super) fn open(
        path: &Path,
        recovery: Option<Recovery>,
        mut each: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let mut connection = Connection::open(path)?;
        prepare(&connection)?;
        if let Some(recovery) = recovery {
            rewrite(&mut connection, recovery)?;
        }
        let mut position = 0;
        {
            let mut statement = connection.prepare("SELECT position, record FROM log ORDER BY position")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                position = unsigned(row, 0)?;
                each(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
            }
        }
        let (commands, queue) = mpsc::channel();
        let (report, durable) = watch::channel(position);
        let (fail, done) = oneshot::channel();
        let requeue = commands.clone();
        let writer = std::thread::Builder::new().name("log".into()).spawn(move || {
            let mut writer = Writer { connection, position, report, requeue };
            if let Err(error) = writer.run(&queue) {
                // Nobody listens if the owner was dropped.
                let _ = fail.send(error);
            }
        })?;
        let readers = Arc::new(Readers {
            path: path.to_owned(),
            commands,
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(READERS)),
        });
        Ok(Self { readers, position, durable, done, writer: Some(writer) })
    }

    pub(super) fn readers(&self) -> Arc<Readers> {
        Arc::clone(&self.readers)
    }

    pub(super) fn append(&mut self, items: Vec<Item>) -> Result<(), Error> {
        self.position += items.len() as u64;
        self.readers.commands.send(Command::Append(items)).map_err(|_| Error::Ended)
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn durable(&self) -> u64 {
        // Not marked as seen: whoever looks here must not take the news from `progress`.
        *self.durable.borrow()
    }

    pub(super) async fn progress(&mut self) -> Result<(), Error> {
        match self.durable.changed().await {
            Ok(()) => Ok(()),
            Err(_) => Err((&mut self.done).await.unwrap_or(Error::Ended)),
        }
    }

    pub(super) async fn close(mut self) -> Result<(), Error> {
        // An error here means that the writer has ended, and `done` says why.
        let _ = self.readers.commands.send(Command::Close);
        let writer = self.writer.take();
        let readers = Arc::clone(&self.readers);
        // The thread closes its connection before it drops its end of `done`.
        let failure = (&mut self.done).await.ok();
        tokio::task::spawn_blocking(move || {
            readers.close();
            writer.map(JoinHandle::join)
        })
        .await
        .map_err(|_| Error::Ended)?;
        failure.map_or(Ok(()), Err)
    }
}

impl Drop for Sqlite {
    /// Nothing writes any more when it is dropped, so that whoever opens the database next is alone.
    fn drop(&mut self) {
        let _ = self.readers.commands.send(Command::Close);
        // An error is a panic of the thread, and then it has ended too.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

/// The thread that owns the only connection that writes.
struct Writer {
    connection: Connection,
    position: u64,
    report: watch::Sender<u64>,
    requeue: mpsc::Sender<Command>,
}

impl Writer {
    fn run(&mut self, queue: &mpsc::Receiver<Command>) -> Result<(), Error> {
        let mut next = queue.recv().ok();
        while let Some(command) = next.take() {
            match command {
                Command::Append(items) => next = self.commit(items, queue)?,
                Command::Remove(owner) => self.remove(owner)?,
                Command::Retain(owners) => self.retain(&owners)?,
                Command::Trim(owner, before) => trim(&self.connection, owner, before)?,
                Command::Close => return Ok(()),
            }
            if next.is_none() {
                next = queue.recv().ok();
            }
        }
        Ok(())
    }

    /// Commits these items and all that is queued behind them in one transaction, and returns the first command that
    /// does not belong to it.
    fn commit(
        &mut self,
        first: Vec<Item>,
        queue: &mpsc::Receiver<Command>,
    ) -> Result<Option<Command>, Error> {
        let transaction = self.connection.transaction()?;
        let mut left = GROUP;
        let mut next = Some(Command::Append(first));
        while let Some(Command::Append(items)) = next {
            left = left.saturating_sub(items.len());
            for item in &items {
                self.position += 1;
                insert(&transaction, self.position, item)?;
            }
            next = if left > 0 { queue.try_recv().ok() } else { None };
        }
        transaction.commit()?;
        self.report.send_replace(self.position);
        Ok(next)
    }

    fn remove(&mut self, owner: u64) -> Result<(), Error> {
        let removed = self
            .connection
            .prepare_cached(
                "DELETE FROM content WHERE rowid IN (SELECT rowid FROM content WHERE owner = ?1 LIMIT ?2)",
            )?
            .execute(params![signed(owner), REMOVE])?;
        if removed > 0 {
            // Behind what waits for its commit.
            let _ = self.requeue.send(Command::Remove(owner));
        }
        Ok(())
    }

    fn retain(&mut self, owners: &[u64]) -> Result<(), Error> {
        let mut statement = self.connection.prepare("SELECT min(owner) FROM content WHERE owner > ?1")?;
        let mut last = -1;
        while let Some(owner) = statement.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
            if !owners.contains(&owner.cast_unsigned()) {
                let _ = self.requeue.send(Command::Remove(owner.cast_unsigned()));
            }
            last = owner;
        }
        Ok(())
    }
}

fn prepare(connection: &Connection) -> Result<(), Error> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 => Ok(connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             CREATE TABLE IF NOT EXISTS log (
                 position INTEGER PRIMARY KEY, record BLOB NOT NULL, owner INTEGER, start INTEGER, length INTEGER);
             CREATE TABLE IF NOT EXISTS content (
                 owner INTEGER NOT NULL, start INTEGER NOT NULL, bytes BLOB NOT NULL, ends INTEGER NOT NULL,
                 UNIQUE (owner, start));
             PRAGMA user_version = {LAYOUT};
             COMMIT;"
        ))?),
        LAYOUT => Ok(()),
        found => Err(Error::Layout { found, expected: LAYOUT }),
    }
}

fn insert(connection: &Connection, position: u64, item: &Item) -> Result<(), Error> {
    let block = item.block.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO log (position, record, owner, start, length) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            signed(position),
            item.record,
            block.map(|b| signed(b.owner)),
            block.map(|b| signed(b.start)),
            block.map(|b| signed(b.bytes.len() as u64)),
        ])?;
    let Some(block) = block else { return Ok(()) };
    let mut statement = connection
        .prepare_cached("INSERT INTO content (owner, start, bytes, ends) VALUES (?1, ?2, ?3, ?4)")?;
    for (index, piece) in block.bytes.chunks(PIECE).enumerate() {
        let start = block.start + (index * PIECE) as u64;
        let ends = (index + 1) * PIECE >= block.bytes.len();
        let inserted = statement.execute(params![signed(block.owner), signed(start), piece, ends]);
        match inserted {
            Ok(_) => {}
            // Only a broken port writes below the end.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                let end = i64::MAX.cast_unsigned();
                cut(connection, Range { owner: block.owner, from: start, to: end }, start)?;
                statement.execute(params![signed(block.owner), signed(start), piece, ends])?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Removes the pieces of an owner that end at or before a position.
fn trim(connection: &Connection, owner: u64, before: u64) -> Result<(), Error> {
    connection
        .prepare_cached(
            "DELETE FROM content WHERE owner = ?1 AND start < ?2 AND start + length(bytes) <= ?2",
        )?
        .execute(params![signed(owner), signed(before)])?;
    Ok(())
}

/// Removes the bytes of a range from `keep` on.
fn cut(connection: &Connection, range: Range, keep: u64) -> Result<(), Error> {
    connection.execute(
        "UPDATE content SET bytes = substr(bytes, 1, ?3 - start)
         WHERE owner = ?1 AND start >= ?2 AND start < ?3 AND start + length(bytes) > ?3",
        params![signed(range.owner), signed(range.from), signed(keep)],
    )?;
    connection.execute(
        "DELETE FROM content WHERE owner = ?1 AND start >= ?2 AND start < ?3",
        params![signed(range.owner), signed(keep), signed(range.to)],
    )?;
    Ok(())
}

/// Makes the log what the recovery returns: this is how a restart that loses, tears or goes back is played.
fn rewrite(connection: &mut Connection, mut recovery: Recovery) -> Result<(), Error> {
    let transaction = connection.transaction()?;
    let found: Vec<Entry> = transaction
        .prepare("SELECT position, record, owner, start, length FROM log ORDER BY position")?
        .query_map([], entry)?
        .collect::<Result<_, _>>()?;
    let extents: Vec<(u64, Range)> = found.iter().filter_map(|e| Some((e.position, e.content?))).collect();
    let kept = recovery(found);
    let ends: HashMap<u64, u64> = kept.iter().filter_map(|e| Some((e.position, e.content?.to))).collect();
    for (position, range) in extents {
        let keep = ends.get(&position).copied().unwrap_or(range.from);
        if keep < range.to {
            cut(&transaction, range, keep.max(range.from))?;
        }
    }
    transaction.execute("DELETE FROM log", [])?;
    for (entry, position) in kept.iter().zip(1_u64..) {
        let content = entry.content;
        transaction.execute(
            "INSERT INTO log (position, record, owner, start, length) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                signed(position),
                entry.record,
                content.map(|c| signed(c.owner)),
                content.map(|c| signed(c.from)),
                content.map(|c| signed(c.to.saturating_sub(c.from))),
            ],
        )?;
    }
    Ok(transaction.commit()?)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let content = match row.get::<_, Option<i64>>(2)? {
        None => None,
        Some(owner) => {
            let from = unsigned(row, 3)?;
            Some(Range { owner: owner.cast_unsigned(), from, to: from + unsigned(row, 4)? })
        }
    };
    Ok(Entry { position: unsigned(row, 0)?, record: row.get(1)?, content })
}

/// SQLite has only signed integers; no position comes near the sign.
fn signed(value: u64) -> i64 {
    value.cast_signed()
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// The reading side, and the way to the writer for removals.
pub(super) struct Readers {
    path: PathBuf,
    commands: mpsc::Sender<Command>,
    idle: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) async fn read(self: &Arc<Self>, range: Range) -> Result<Bytes, Error> {
        self.reading(move |connection| read(connection, range)).await
    }

    pub(super) async fn appends(
        self: &Arc<Self>,
        range: Range,
        most: usize,
    ) -> Result<Vec<(u64, Bytes)>, Error> {
        self.reading(move |connection| appends(connection, range, most)).await
    }

    pub(super) async fn end_of_append(self: &Arc<Self>, owner: u64, at: u64) -> Result<Option<u64>, Error> {
        self.reading(move |connection| end_of_append(connection, owner, at)).await
    }

    async fn reading<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Error::Ended)?;
        let readers = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            // Kept to the end of the read, also if nobody waits for it any more.
            let _place = place;
            readers.ask(question)
        });
        reading.await.map_err(|_| Error::Ended)?
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = Connection::open_with_flags(
                    &self.path,
                    OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
                )?;
                connection.busy_timeout(BUSY)?;
                connection
            }
        };
        let answer = question(&connection)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }

    pub(super) fn remove(&self, owner: u64) {
        // A writer that has ended ends the server, and the next start removes what is left.
        let _ = self.commands.send(Command::Remove(owner));
    }

    pub(super) fn trim(&self, owner: u64, before: u64) {
        let _ = self.commands.send(Command::Trim(owner, before));
    }

    pub(super) fn retain(&self, owners: Vec<u64>) {
        let _ = self.commands.send(Command::Retain(owners));
    }

    fn close(&self) {
        self.places.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The end of the last piece of the append that holds this position.
fn end_of_append(connection: &Connection, owner: u64, at: u64) -> Result<Option<u64>, Error> {
    let end: Option<i64> = connection
        .prepare_cached(
            "SELECT start + length(bytes) FROM content
             WHERE owner = ?1 AND start + length(bytes) > ?2 AND ends
                 AND start >= (SELECT max(start) FROM content WHERE owner = ?1 AND start <= ?2)
             ORDER BY start LIMIT 1",
        )?
        .query_row(params![signed(owner), signed(at)], |row| row.get(0))
        .optional()?;
    Ok(end.map(i64::cast_unsigned))
}

/// The appends that begin in a range: pieces up to one that ends an append.
fn appends(connection: &Connection, range: Range, most: usize) -> Result<Vec<(u64, Bytes)>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT start, bytes, ends FROM content WHERE owner = ?1 AND start >= ?2 ORDER BY start",
    )?;
    let mut rows = statement.query(params![signed(range.owner), signed(range.from)])?;
    let (mut all, mut length) = (Vec::new(), 0_usize);
    let mut append: Option<(u64, BytesMut)> = None;
    while let Some(row) = rows.next()? {
        let start = unsigned(row, 0)?;
        if append.is_none() && (start >= range.to || length >= most) {
            break;
        }
        let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let (begun, mut joined) = append.take().unwrap_or((start, BytesMut::new()));
        joined.extend_from_slice(bytes);
        length = length.saturating_add(bytes.len());
        if row.get(2)? {
            all.push((begun, joined.freeze()));
        } else {
            append = Some((begun, joined));
        }
    }
    Ok(all)
}

fn read(connection: &Connection, range: Range) -> Result<Bytes, Error> {
    let first: Option<i64> = connection
        .prepare_cached("SELECT max(start) FROM content WHERE owner = ?1 AND start <= ?2")?
        .query_row(params![signed(range.owner), signed(range.from)], |row| row.get(0))
        .optional()?
        .flatten();
    let mut statement = connection.prepare_cached(
        "SELECT start, bytes FROM content WHERE owner = ?1 AND start >= ?2 AND start < ?3 ORDER BY start",
    )?;
    let mut rows =
        statement.query(params![signed(range.owner), first.unwrap_or_default(), signed(range.to)])?;
    let mut joined = BytesMut::new();
    while let Some(row) = rows.next()? {
        let start = unsigned(row, 0)?;
        let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let at = |position: u64| {
            usize::try_from(position.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len())
        };
        joined.extend_from_slice(&bytes[at(range.from)..at(range.to)]);
    }
    Ok(joined.freeze())
}
