//! The one door to the reference: nothing else in this crate names it. A check never comes here.

pub use wireproof_reference as reference;

use crate::{
    check::{BoxFuture, Hook},
    protocol::Reference,
    selftest::defects::{self, Breakage},
    target::{Hooks, Target, directory::Directory},
};
use reference::stream::{Limits, Options, Parts, Running, Seams, Server};
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
/// The core alone, without event streams and forks.
pub const BARE: &str = "bare";

/// How long the long-polls of the embedded references wait, in milliseconds.
pub const LONG_POLL_MS: u64 = 400;
/// Those of small chunks: longer than the shortest time to live.
const LONGER_POLL_MS: u64 = 1_500;
/// How long the event streams of the durable reference last, in milliseconds.
pub const SSE_MS: u64 = 4_000;

impl Reference for Stream {
    fn variants(&self) -> &'static [&'static str] {
        &[FULL, DURABLE, SMALL_CHUNKS, BARE]
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
            let limits = Limits { long_poll_ms: LONG_POLL_MS, ..Limits::default() };
            let varied =
                self::variant(variant, limits).ok_or_else(|| format!("there is no variant {variant}"));
            let (mut limits, parts) = varied?;
            if variant == DURABLE {
                limits.sse_ms = SSE_MS;
            }
            let data = (variant == DURABLE).then(Directory::new).transpose()?;
            let process = Process::start(limits, parts, data, breakage).await?;
            let switch = |on| if on { "on" } else { "off" };
            let mut target = Target::server(&process.root)?
                .declare("long-poll-ms", limits.long_poll_ms.to_string())
                .declare("stream.sse", switch(parts.sse))
                .declare("stream.forks", switch(parts.forks))
                .declare("stream.crash-safe", switch(process.data.is_some()));
            if variant == DURABLE {
                target = target.declare("sse-ms", SSE_MS.to_string());
            }
            Ok(target.hooks(Arc::new(process)))
        })
    }
}

/// A variant: these limits, changed, and the parts that it has beside the core.
pub fn variant(name: &str, limits: Limits) -> Option<(Limits, Parts)> {
    let parts = Parts::default();
    Some(match name {
        FULL | DURABLE => (limits, parts),
        SMALL_CHUNKS => (Limits { chunk: 16, long_poll_ms: LONGER_POLL_MS, ..limits }, parts),
        BARE => (limits, Parts { sse: false, forks: false }),
        _ => return None,
    })
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
    parts: Parts,
    data: Option<Directory>,
    breakage: Option<&'static Breakage<Seams>>,
    running: Mutex<Option<Running>>,
}

impl Process {
    async fn start(
        limits: Limits,
        parts: Parts,
        data: Option<Directory>,
        breakage: Option<&'static Breakage<Seams>>,
    ) -> Result<Self, String> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let running = serve(any, (limits, parts), data.as_ref(), breakage).await?;
        let (addr, root) = (running.addr, running.root.clone());
        Ok(Self { root, addr, limits, parts, data, breakage, running: Mutex::new(Some(running)) })
    }
}

async fn serve(
    addr: SocketAddr,
    (limits, parts): (Limits, Parts),
    data: Option<&Directory>,
    breakage: Option<&Breakage<Seams>>,
) -> Result<Running, String> {
    let data = data.map(|d| d.path().to_owned());
    Server::start(Options { addr, data, limits, parts, seams: seams(breakage) })
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
            *running =
                Some(serve(self.addr, (self.limits, self.parts), self.data.as_ref(), self.breakage).await?);
            Ok(())
        })
    }
}
