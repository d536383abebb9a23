//! The one door to the reference: nothing else in this crate names it. A check never comes here.

pub use wireproof_reference as reference;

use crate::{
    check::{BoxFuture, Hook},
    protocol::Reference,
    selftest::defects::{self, Breakage},
    target::{Hooks, Target, directory::Directory},
};
use reference::stream::{Limits, Options, Running, Seams, Server};
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::Mutex;

/// The reference of the stream protocol.
pub static STREAM: Stream = Stream;

/// The reference of the stream protocol.
pub struct Stream;

/// The full reference, in memory.
pub const FULL: &str = "full";
/// With data that survives a restart and a kill.
pub const DURABLE: &str = "durable";
/// Answers of a few bytes, so that every read takes many.
pub const SMALL_CHUNKS: &str = "small-chunks";

/// How long the long-polls of the embedded references wait, in milliseconds.
pub const LONG_POLL_MS: u64 = 400;
/// Those of small chunks: longer than the shortest time to live.
const LONGER_POLL_MS: u64 = 1_500;

impl Reference for Stream {
    fn variants(&self) -> &'static [&'static str] {
        &[FULL, DURABLE, SMALL_CHUNKS]
    }

    fn start<'a>(
        &'a self,
        variant: &'a str,
        defect: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Target, String>> {
        Box::pin(async move {
            let breakage = match defect {
                Some(id) => {
                    Some(defects::stream::find(id).ok_or_else(|| format!("there is no defect {id}"))?)
                }
                None => None,
            };
            let chunk = if variant == SMALL_CHUNKS { 16 } else { Limits::default().chunk };
            let long_poll_ms = if variant == SMALL_CHUNKS { LONGER_POLL_MS } else { LONG_POLL_MS };
            let limits = Limits { long_poll_ms, chunk, ..Limits::default() };
            let data = (variant == DURABLE).then(Directory::new).transpose()?;
            let process = Process::start(limits, data, breakage).await?;
            let target = Target::server(&process.root)?
                .declare("long-poll-ms", long_poll_ms.to_string())
                .declare("stream.crash-safe", if process.data.is_some() { "on" } else { "off" });
            Ok(target.hooks(Arc::new(process)))
        })
    }
}

/// The seams of a defect, or the honest ones.
pub fn seams(breakage: Option<&Breakage<Seams>>) -> Seams {
    breakage.map_or_else(Seams::honest, |b| (b.seams)())
}

/// A running reference, and how to start it again.
struct Process {
    root: String,
    addr: SocketAddr,
    limits: Limits,
    data: Option<Directory>,
    breakage: Option<&'static Breakage<Seams>>,
    running: Mutex<Option<Running>>,
}

impl Process {
    async fn start(
        limits: Limits,
        data: Option<Directory>,
        breakage: Option<&'static Breakage<Seams>>,
    ) -> Result<Self, String> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let running = serve(any, limits, data.as_ref(), breakage).await?;
        let (addr, root) = (running.addr, running.root.clone());
        Ok(Self { root, addr, limits, data, breakage, running: Mutex::new(Some(running)) })
    }
}

async fn serve(
    addr: SocketAddr,
    limits: Limits,
    data: Option<&Directory>,
    breakage: Option<&Breakage<Seams>>,
) -> Result<Running, String> {
    let data = data.map(|d| d.path().to_owned());
    Server::start(Options { addr, data, limits, seams: seams(breakage), ..Options::default() })
        .await
        .map_err(|e| e.to_string())
}

impl Hooks for Process {
    fn offers(&self, _: Hook) -> bool {
        self.data.is_some()
    }

    fn act(&self, hook: Hook) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let mut running = self.running.lock().await;
            match (running.take(), hook) {
                (Some(process), Hook::Restart) => process.stop().await.map_err(|e| e.to_string())?,
                (Some(process), Hook::Kill) => process.kill().await,
                // A start failed before.
                (None, _) => {}
            }
            *running = Some(serve(self.addr, self.limits, self.data.as_ref(), self.breakage).await?);
            Ok(())
        })
    }
}
