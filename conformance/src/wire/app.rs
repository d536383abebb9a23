//! The adapter of a client under test: lines of JSON over a pair of pipes (spec/adapter.md).
//!
//! One process serves every check of a run, each in sessions of its own. Its word alone proves nothing: its lines are no
//! observations.

mod line;

pub(crate) use line::Lines;
pub use line::{Hello, Operation, Request, Said};

use super::{Link, limit};
use crate::{
    check::{BoxFuture, Stop},
    event::{Log, Message, What},
};
use line::{Line, Words};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, WriteHalf, split},
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
    time::timeout_at,
};

/// Both directions of a connection, or of an adapter.
pub trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// Starts adapters of the client under test.
pub trait Apps: Send + Sync {
    /// Starts one; it ends when its pipe is dropped.
    fn start(&self) -> BoxFuture<'_, io::Result<Box<dyn Pipe>>>;

    /// The last that an adapter which ended, or was ended, said beside its lines; empty if that is not known.
    fn last_words(&self) -> BoxFuture<'_, String> {
        Box::pin(async { String::new() })
    }
}

/// The adapter of a run: started when it is first needed, and again when it ended.
pub(crate) struct Adapter {
    /// Goes first: what its process may still write to goes with the other.
    running: Mutex<Option<Arc<Running>>>,
    apps: Arc<dyn Apps>,
}

/// One process that answers.
struct Running {
    shared: Arc<Shared>,
    write: Mutex<WriteHalf<Box<dyn Pipe>>>,
    hello: Hello,
    numbers: AtomicU64,
    reader: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[derive(Default)]
struct Shared(StdMutex<State>);

#[derive(Default)]
struct State {
    /// Why it is no longer there.
    ended: Option<String>,
    asked: HashMap<u64, Asked>,
    sessions: HashMap<String, Ear>,
}

/// Who asked, and waits.
struct Asked {
    log: Log,
    conn: u32,
    answer: oneshot::Sender<(Words, u64)>,
}

/// Somebody waits for an answer. Who goes away before it came is not kept in mind, nor is the log.
struct Asking<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let gone = self.shared.state().asked.remove(&self.id);
        drop(gone);
    }
}

/// Who listens to a session.
struct Ear {
    link: Link,
    conn: u32,
    /// None once it told more than anybody can hear.
    told: Option<mpsc::Sender<Told>>,
}

/// What a client told of its own accord.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// What happened: `delivered`.
    pub event: String,
    /// What is said about it, its numbers written in one way; `null` if nothing is.
    pub data: Value,
}

/// A session of the client under test. The adapter is told when it is dropped.
pub struct App {
    link: Link,
    conn: u32,
    running: Arc<Running>,
    session: String,
    told: mpsc::Receiver<Told>,
}

impl Adapter {
    pub(crate) fn new(apps: Arc<dyn Apps>) -> Self {
        Self { apps, running: Mutex::default() }
    }

    /// What it says of itself, for the sake of no session.
    ///
    /// # Errors
    /// Stops whoever asks if it does not start or does not say so.
    pub(crate) async fn hello(&self, link: &Link) -> Result<Hello, Stop> {
        Ok(self.running(link).await?.hello.clone())
    }

    /// Another session with the process that serves all.
    pub(crate) async fn session(&self, link: &Link) -> Result<App, Stop> {
        App::of(link, self.running(link).await?)
    }

    /// A session with a process of its own, which ends with it.
    pub(crate) async fn alone(&self, link: &Link) -> Result<App, Stop> {
        App::of(link, self.begin(link).await?)
    }

    /// The event that shows it alive, if it is.
    pub(crate) async fn sign_of_life(&self, link: &Link) -> Option<u64> {
        let running = self.running.lock().await.clone().filter(|running| running.is_there())?;
        let conn = link.number();
        let (_, event) = running.ask(link, conn, None, "hello", greeting(link)).await.ok()?;
        Some(event)
    }

    async fn running(&self, link: &Link) -> Result<Arc<Running>, Stop> {
        // Somebody else may be about to start it, and that may take its time.
        let Ok(mut running) = timeout_at(link.until(link.times.hook), self.running.lock()).await else {
            return Err(link.stop("the adapter of the client did not start in time"));
        };
        if let Some(there) = running.as_ref().filter(|running| running.is_there()) {
            return Ok(there.clone());
        }
        let begun = self.begin(link).await?;
        *running = Some(begun.clone());
        Ok(begun)
    }

    async fn begin(&self, link: &Link) -> Result<Arc<Running>, Stop> {
        match self.greeted(link).await {
            Ok(running) => Ok(Arc::new(running)),
            // It is gone with what was given up: whatever it had to say it has said.
            Err(why) => {
                let said = self.apps.last_words().await;
                let said = match end_of(&said) {
                    "" => String::new(),
                    said => format!("; the last that it said: {said}"),
                };
                Err(link.unreachable(&format!("{why}{said}")))
            }
        }
    }

    /// Another process, which said what it can do.
    async fn greeted(&self, link: &Link) -> Result<Running, String> {
        let until = link.until(link.times.hook);
        let started = timeout_at(until, self.apps.start()).await;
        let pipe = started
            .map_err(|_| "the adapter of the client did not start in time".to_owned())?
            .map_err(|e| format!("the adapter of the client did not start: {e}"))?;
        let conn = link.number();
        link.log.record(What::Opened { conn, peer: "adapter of the client".into() });
        let (read, write) = split(pipe);
        let shared = Arc::new(Shared::default());
        let reader = tokio::spawn(listen(BufReader::new(read), shared.clone()));
        let mut running = Running {
            shared,
            write: Mutex::new(write),
            hello: Hello::default(),
            numbers: AtomicU64::new(1),
            reader,
        };
        let asked = running.ask(link, conn, None, "hello", greeting(link));
        let (said, _) = timeout_at(until, asked)
            .await
            .map_err(|_| "the adapter did not answer `hello` in time".to_owned())??;
        running.hello = match said {
            Words::Ok(said) => serde_json::from_value(said)
                .map_err(|e| format!("the adapter's answer to `hello` is none: {e}"))?,
            Words::Error(why) => return Err(format!("the adapter refuses `hello`: {why}")),
        };
        Ok(running)
    }
}

impl Running {
    fn is_there(&self) -> bool {
        self.shared.state().ended.is_none()
    }

    /// Asks, and waits as long as it takes: what is answered, and the event of the answer.
    async fn ask(
        &self,
        link: &Link,
        conn: u32,
        session: Option<&str>,
        op: &str,
        args: Value,
    ) -> Result<(Words, u64), String> {
        let id = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if let Some(why) = &state.ended {
                return Err(format!("the adapter of the client ended: {why}"));
            }
            state.asked.insert(id, Asked { log: link.log.clone(), conn, answer: sender });
        }
        let _asking = Asking { shared: &self.shared, id };
        let text = line::request(id, session, op, args);
        link.log.record(What::Sent { conn, message: Message::Line { text: text.clone() } });
        if let Err(e) = self.say(&text).await {
            self.shared.end(&e.to_string());
        }
        answer.await.map_err(|_| {
            let state = self.shared.state();
            let why = state.ended.as_deref().unwrap_or("nobody listens any more");
            format!("the adapter of the client ended: {why}")
        })
    }

    async fn say(&self, text: &str) -> io::Result<()> {
        let mut write = self.write.lock().await;
        write.write_all(format!("{text}\n").as_bytes()).await?;
        write.flush().await
    }
}

impl App {
    fn of(link: &Link, running: Arc<Running>) -> Result<Self, Stop> {
        let session = format!("s{}", running.numbers.fetch_add(1, Ordering::Relaxed));
        let conn = link.number();
        let (sender, told) = mpsc::channel(limit::LINES);
        let ear = Ear { link: link.clone(), conn, told: Some(sender) };
        link.log.record(What::Opened { conn, peer: format!("adapter of the client, session {session}") });
        running.shared.state().sessions.insert(session.clone(), ear);
        Ok(Self { link: link.clone(), conn, running, session, told })
    }

    /// Has the client do something, and waits for the adapter's word.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not answer, or says that it cannot.
    pub async fn ask(&mut self, op: &str, args: Value) -> Result<Value, Stop> {
        let said = self.attempt(op, args).await?;
        said.map_err(|why| self.link.stop(&format!("the client says that it cannot {op}: {why}")))
    }

    /// As [`App::ask`], where it counts as an outcome that the client refuses, or fails, and says why.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the adapter does not answer or does not know the operation.
    pub async fn attempt(&mut self, op: &str, args: Value) -> Result<Result<Value, String>, Stop> {
        self.attempt_within(self.link.times.answer, op, args).await
    }

    /// As [`App::attempt`], for what may take so long.
    ///
    /// # Errors
    /// As [`App::attempt`].
    pub async fn attempt_within(
        &mut self,
        wait: Duration,
        op: &str,
        args: Value,
    ) -> Result<Result<Value, String>, Stop> {
        if !self.running.hello.operations.contains_key(op) {
            return Err(self.link.stop(&format!("the adapter does not list the operation `{op}`")));
        }
        let asked = self.running.ask(&self.link, self.conn, Some(&self.session), op, args);
        match timeout_at(self.link.until(wait), asked).await {
            Ok(Ok((Words::Ok(value), _))) => Ok(Ok(value)),
            Ok(Ok((Words::Error(why), _))) => Ok(Err(why)),
            Ok(Err(why)) => Err(self.link.stop(&why)),
            Err(_) => {
                Err(self.link.stop(&format!("the adapter of the client did not answer `{op}` in time")))
            }
        }
    }

    /// The next that it tells of its own accord; none if that is nothing, although the adapter answers.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the adapter ended or does not answer.
    pub async fn told(&mut self) -> Result<Option<Told>, Stop> {
        self.told_within(self.link.times.answer).await
    }

    /// As [`App::told`], within this time.
    ///
    /// # Errors
    /// As [`App::told`].
    pub async fn told_within(&mut self, wait: Duration) -> Result<Option<Told>, Stop> {
        match timeout_at(self.link.until(wait), self.told.recv()).await {
            Ok(Some(told)) => {
                // Who never falls silent is not heard without end.
                self.link.in_time()?;
                Ok(Some(told))
            }
            Ok(None) => Err(self.lost()),
            Err(_) => {
                self.link.in_time()?;
                self.so_far().await?;
                Ok(self.told.try_recv().ok())
            }
        }
    }

    /// Everything that it told up to now and nobody asked for yet: an answer behind it shows that nothing is on its way.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the adapter ended or does not answer.
    pub async fn all_told(&mut self) -> Result<Vec<Told>, Stop> {
        self.so_far().await?;
        Ok(std::iter::from_fn(|| self.told.try_recv().ok()).collect())
    }

    /// Waits until the adapter has said all that it had to say.
    async fn so_far(&self) -> Result<(), Stop> {
        let greeting = greeting(&self.link);
        let asked = self.running.ask(&self.link, self.conn, Some(&self.session), "hello", greeting);
        match timeout_at(self.link.until(self.link.times.answer), asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => Err(self.link.stop(&why)),
            Err(_) => {
                self.link.in_time()?;
                // Whoever comes next gets another process.
                self.running.shared.end("it does not answer `hello` any more");
                Err(self.link.stop("the adapter of the client does not answer `hello` any more"))
            }
        }
    }

    fn lost(&self) -> Stop {
        let state = self.running.shared.state();
        let why = state.ended.clone().unwrap_or_else(|| "the session told more than anybody can hear".into());
        drop(state);
        self.link.stop(&format!("the adapter of the client tells nothing more: {why}"))
    }
}

impl Drop for App {
    /// What the session left open is the adapter's to end.
    fn drop(&mut self) {
        self.running.shared.state().sessions.remove(&self.session);
        let id = self.running.numbers.fetch_add(1, Ordering::Relaxed);
        let text = line::request(id, Some(&self.session), "end", json!({}));
        let running = self.running.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Whoever is gone has nothing left to end.
                let _ = running.say(&text).await;
            });
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody is heard any more: whoever waits is told.
    fn end(&self, why: &str) {
        let mut state = self.state();
        state.ended.get_or_insert_with(|| limit::words(why));
        state.asked.clear();
        state.sessions.clear();
    }

    /// Hands a line to whom it is for; false if nobody asked for it.
    fn hand(&self, line: Line, text: &str) -> bool {
        let heard = |log: &Log, conn| {
            let message = Message::Line { text: limit::words(text) };
            log.record(What::Received { conn, message, answers: None })
        };
        let mut state = self.state();
        match line {
            Line::Answer(id, words) => match state.asked.remove(&id) {
                Some(asked) => {
                    let event = heard(&asked.log, asked.conn);
                    // Who went away in the meantime misses nothing.
                    let _ = asked.answer.send((words, event));
                    true
                }
                None => false,
            },
            Line::Told(session, told) => {
                let Some(ear) = state.sessions.get_mut(&session) else { return false };
                let Some(out) = &ear.told else { return false };
                heard(&ear.link.log, ear.conn);
                if ear.link.heard(text.len().max(limit::LINE_LEAST)).is_err() || out.try_send(told).is_err() {
                    ear.told = None;
                }
                true
            }
        }
    }
}

/// As much of the end of a text as an event has room for beside what it is about.
fn end_of(text: &str) -> &str {
    let text = text.trim();
    let mut begin = text.len().saturating_sub(limit::WORDS * 2 / 3);
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    &text[begin..]
}

/// What every adapter is asked first, and again to see that it is there.
fn greeting(link: &Link) -> Value {
    json!({"protocol": link.protocol_name()})
}

/// Hears what an adapter says, up to its end.
async fn listen(read: impl tokio::io::AsyncBufRead + Unpin, shared: Arc<Shared>) {
    let mut lines = Lines::new(read);
    // Answers to those who went away, and to `end`, are for nobody; without end they are a flood.
    let mut idle = 0;
    let why = loop {
        let (line, text) = match lines.next().await {
            Ok(read) => read,
            Err(e) => break e.to_string(),
        };
        if shared.hand(line, &text) {
            idle = 0;
        } else {
            idle += 1;
        }
        if idle > limit::LINES {
            break format!("more than {} lines that nobody asked for", limit::LINES);
        }
    };
    shared.end(&why);
}
