//! The one door to the reference: nothing else in this crate names it. A check never comes here.

pub use wireproof_reference as reference;

use crate::{
    check::{BoxFuture, Hook, Need},
    protocol::Reference,
    selftest::defects::{self, Breakage},
    target::{Hooks, Target, directory::Directory},
};
use reference::stream::{Access, Limits, Options, Running, Seams, Server};
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

/// That takes neither POST nor DELETE.
pub const READ_ONLY: &str = "read-only";
/// That asks for credentials, and writes offsets with letters.
pub const AUTHENTICATED: &str = "authenticated";
/// That takes a few requests at once and refuses the others.
pub const RATE_LIMITED: &str = "rate-limited";
/// That drops what is old.
pub const RETAINING: &str = "retaining";
/// That refuses bodies of more than a few KiB.
pub const SMALL_BODIES: &str = "small-bodies";

/// What the variant `authenticated` asks for in `Authorization`.
pub const AUTHORIZATION: &str = "Bearer 6f70656e20736573616d65";
/// How many requests the variant `rate-limited` takes at once.
const BURST: u32 = 24;
/// How many requests are certainly too many for it.
const TOO_MANY: u32 = 64;
/// How much the variant `retaining` keeps, in bytes.
const RETAINED: u64 = 4096;
/// The longest body that the variant `small-bodies` takes, in bytes.
const SMALL_BODY: usize = 64 * 1024;

/// The bounds of a variant.
pub fn limits(variant: &str, limits: Limits) -> Limits {
    match variant {
        SMALL_CHUNKS => Limits { chunk: 16, ..limits },
        RETAINING => Limits { retain: Some(RETAINED), ..limits },
        SMALL_BODIES => Limits { max_body: SMALL_BODY, ..limits },
        _ => limits,
    }
}

/// Who may use a variant, and how.
pub fn access(variant: &str) -> Access {
    let access = Access::default();
    match variant {
        READ_ONLY => Access { writes: false, ..access },
        AUTHENTICATED => Access { authorization: Some(AUTHORIZATION.into()), lettered: true, ..access },
        RATE_LIMITED => Access { burst: Some(BURST), ..access },
        _ => access,
    }
}

/// What the owner of a variant would declare.
fn declare(variant: &str, target: Target) -> Target {
    match variant {
        DURABLE => target.declare("stream.crash-safe", "on"),
        READ_ONLY => target.declare("stream.read-only", "on"),
        AUTHENTICATED => target.declare("stream.access-control", "on").header("authorization", AUTHORIZATION),
        RATE_LIMITED => {
            target.declare("stream.rate-limit", "on").declare("burst-requests", TOO_MANY.to_string())
        }
        RETAINING => target.declare("stream.retention", "on").declare("retained-bytes", RETAINED.to_string()),
        SMALL_BODIES => target.declare("max-body-bytes", SMALL_BODY.to_string()),
        _ => target,
    }
}

impl Reference for Stream {
    fn variants(&self) -> &'static [&'static str] {
        &[FULL, DURABLE, SMALL_CHUNKS, READ_ONLY, AUTHENTICATED, RATE_LIMITED, RETAINING, SMALL_BODIES]
    }

    fn about(&self, variant: &str) -> Option<Need> {
        Some(match variant {
            RATE_LIMITED => Need::Feature("stream.rate-limit", "on"),
            RETAINING => Need::Feature("stream.retention", "on"),
            SMALL_BODIES => Need::Limit("max-body-bytes"),
            _ => return None,
        })
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
            let limits = limits(variant, Limits { long_poll_ms: LONG_POLL_MS, ..Limits::default() });
            let data = (variant == DURABLE).then(Directory::new).transpose()?;
            let process = Process::start(limits, access(variant), data, breakage).await?;
            let target = Target::server(&process.root)?
                .declare("long-poll-ms", LONG_POLL_MS.to_string())
                .declare("stream.http2", "on")
                .declare("stream.crash-safe", "off");
            Ok(declare(variant, target).hooks(Arc::new(process)))
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
    access: Access,
    data: Option<Directory>,
    breakage: Option<&'static Breakage<Seams>>,
    running: Mutex<Option<Running>>,
}

impl Process {
    async fn start(
        limits: Limits,
        access: Access,
        data: Option<Directory>,
        breakage: Option<&'static Breakage<Seams>>,
    ) -> Result<Self, String> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let running = serve(any, limits, access.clone(), data.as_ref(), breakage).await?;
        let (addr, root) = (running.addr, running.root.clone());
        Ok(Self { root, addr, limits, access, data, breakage, running: Mutex::new(Some(running)) })
    }
}

async fn serve(
    addr: SocketAddr,
    limits: Limits,
    access: Access,
    data: Option<&Directory>,
    breakage: Option<&Breakage<Seams>>,
) -> Result<Running, String> {
    let data = data.map(|d| d.path().to_owned());
    Server::start(Options { addr, data, limits, access, seams: seams(breakage), ..Options::default() })
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
            *running = Some(
                serve(self.addr, self.limits, self.access.clone(), self.data.as_ref(), self.breakage).await?,
            );
            Ok(())
        })
    }
}
