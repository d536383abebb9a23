//! The one door to the references: nothing else in this crate names them. A check never comes here.

pub mod adapter;
pub mod fleet;
pub mod queue;
pub mod stream;

pub use fleet::FLEET;
pub use queue::QUEUE;
pub use stream::STREAM;
pub use wireproof_reference as reference;

use crate::{
    check::{BoxFuture, Hook},
    selftest::defects::{self, Breakage},
    target::{Fault, Hooks, directory::Directory},
};
use reference::stream::Running;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Mutex;

/// The full reference, in memory.
pub const FULL: &str = "full";
/// With data that survives a restart and a kill.
pub const DURABLE: &str = "durable";
/// The core alone, without what is optional.
pub const BARE: &str = "bare";

/// How a reference is to be served.
#[derive(Clone, Copy, Debug)]
pub struct Serve<'a> {
    /// Where to listen.
    pub addr: SocketAddr,
    /// The directory in which state survives; without it state is in memory.
    pub data: Option<&'a Path>,
    /// Broken in this way.
    pub defect: Option<&'a str>,
    /// Which variant; otherwise the one that the defect was made for.
    pub variant: Option<&'a str>,
    /// How long its long-polls wait, in milliseconds, where it has any that are bounded by the server.
    pub long_poll_ms: Option<u64>,
}

impl<'a> Serve<'a> {
    /// A defect bites in the variant that it was made for, unless that one needs a directory that nobody gave.
    fn variant(&self, defect: Option<&'a str>) -> &'a str {
        let defect = defect.filter(|variant| *variant != DURABLE || self.data.is_some());
        self.variant.or(defect).unwrap_or(FULL)
    }

    fn data_of(&self, variant: &str) -> Result<Option<PathBuf>, String> {
        match (variant, self.data) {
            (DURABLE, None) => Err("the variant durable keeps its state: give --data DIR".into()),
            (_, data) => Ok(data.map(Path::to_owned)),
        }
    }
}

/// Serves the reference of this protocol.
///
/// # Errors
/// What was asked for does not exist, or it does not start.
pub async fn serve(protocol: &str, asked: Serve<'_>) -> Result<Running, String> {
    match protocol {
        "stream" => stream::serve(asked).await,
        "queue" => queue::serve(asked).await,
        "fleet" => fleet::serve(asked).await,
        other => Err(format!("there is no reference of {other}")),
    }
}

/// What becomes of an adapter: it ends with what it reads, or because that is no line of a runner.
pub type Served = BoxFuture<'static, Result<(), String>>;

/// Is the adapter of the reference client of this protocol, over the streams of this process.
///
/// # Errors
/// What was asked for does not exist.
pub fn client(protocol: &str, variant: Option<&str>, defect: Option<&str>) -> Result<Served, String> {
    match protocol {
        "queue" => adapter::served::<defects::queue::client::ClientSeams>(variant, defect),
        "fleet" => adapter::served::<defects::fleet::client::ClientSeams>(variant, defect),
        other => Err(format!("there is no reference client of {other}")),
    }
}

/// The breakage of a defect.
fn found<S>(
    defect: Option<&str>,
    find: fn(&str) -> Option<&'static Breakage<S>>,
) -> Result<Option<&'static Breakage<S>>, String> {
    let Some(id) = defect else { return Ok(None) };
    let found = find(id);
    found.map(Some).ok_or_else(|| format!("there is no defect `{id}`; `wireproof list defects` shows all"))
}

/// The directory of a variant that has one.
fn data_for(variant: &str) -> Result<Option<Directory>, String> {
    (variant == DURABLE).then(Directory::new).transpose()
}

/// Starts a reference at this address, with its state in this directory.
type Start =
    Box<dyn Fn(SocketAddr, Option<PathBuf>) -> BoxFuture<'static, Result<Running, String>> + Send + Sync>;

/// A running reference, and how to start it again.
struct Process {
    addr: SocketAddr,
    data: Option<Directory>,
    start: Start,
    running: Mutex<Option<Running>>,
    /// Whether it is worth starting again: it keeps its state, or nothing that its clients count on.
    restarts: bool,
}

impl Process {
    /// Starts it at a free port, and tells its root.
    async fn begin(
        data: Option<Directory>,
        start: impl Fn(SocketAddr, Option<PathBuf>) -> BoxFuture<'static, Result<Running, String>>
        + Send
        + Sync
        + 'static,
    ) -> Result<(Arc<Self>, String), String> {
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let restarts = data.is_some();
        let mut process = Self { addr, data, start: Box::new(start), running: Mutex::default(), restarts };
        let running = process.started().await?;
        let root = running.root.clone();
        process.addr = running.addr;
        process.running = Mutex::new(Some(running));
        Ok((Arc::new(process), root))
    }

    async fn started(&self) -> Result<Running, String> {
        (self.start)(self.addr, self.data.as_ref().map(|data| data.path().to_owned())).await
    }
}

impl Hooks for Process {
    fn offers(&self, _: Hook) -> bool {
        self.restarts
    }

    fn act(&self, hook: Hook) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let mut running = self.running.lock().await;
            match (running.take(), hook) {
                (Some(process), Hook::Restart) => process.stop().await.map_err(|e| e.to_string())?,
                (Some(process), Hook::Kill) => process.kill().await,
                // A start failed before.
                (None, _) => {}
            }
            *running = Some(self.started().await?);
            Ok(())
        })
    }
}
