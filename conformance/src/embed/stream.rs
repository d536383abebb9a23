//! The reference of the stream protocol, in variants.

use super::{BARE, DURABLE, FULL, Process, Serve, data_for, found, reference};
use crate::{
    check::{BoxFuture, Need},
    protocol::Reference,
    selftest::defects::{self, Breakage},
    target::{Identity, Target},
};
use reference::stream::{Access, Limits, Options, Parts, Running, Seams, Server};
/// The reference of the stream protocol.
pub static STREAM: Stream = Stream;

/// The reference of the stream protocol.
pub struct Stream;

/// Answers of a few bytes, so that every read takes many.
pub const SMALL_CHUNKS: &str = "small-chunks";
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

/// How long the long-polls of the embedded references wait, in milliseconds.
pub const LONG_POLL_MS: u64 = 400;
/// Those of small chunks: longer than the shortest time to live.
const LONGER_POLL_MS: u64 = 1_500;
/// How long the event streams of the durable reference last, in milliseconds.
pub const SSE_MS: u64 = 4_000;
/// What the variant `authenticated` asks for in `Authorization`.
pub const AUTHORIZATION: &str = "Bearer 6f70656e20736573616d65";
/// What a second identity says there.
pub const SECOND: &str = "Bearer 736563726574207365636f6e64";
/// How many requests the variant `rate-limited` takes at once.
const BURST: u32 = 24;
/// How many requests are certainly too many for it.
const TOO_MANY: u32 = 64;
/// How much the variant `retaining` keeps, in bytes.
const RETAINED: u64 = 4096;
/// The longest body that the variant `small-bodies` takes, in bytes.
const SMALL_BODY: usize = 64 * 1024;

/// What a server of the variant is started with; none if there is no such variant.
pub fn variant(name: &str) -> Option<Options> {
    let (limits, access) = (Limits::default(), Access::default());
    let options = Options::default();
    Some(match name {
        FULL => options,
        DURABLE => Options { limits: Limits { sse_ms: SSE_MS, ..limits }, ..options },
        SMALL_CHUNKS => {
            Options { limits: Limits { chunk: 16, long_poll_ms: LONGER_POLL_MS, ..limits }, ..options }
        }
        BARE => Options { parts: Parts { sse: false, forks: false }, ..options },
        READ_ONLY => Options { access: Access { writes: false, ..access }, ..options },
        AUTHENTICATED => {
            let authorization = vec![AUTHORIZATION.into(), SECOND.into()];
            let access = Access { authorization, lettered: true, ..access };
            Options { access, ..options }
        }
        RATE_LIMITED => Options { access: Access { burst: Some(BURST), ..access }, ..options },
        RETAINING => Options { limits: Limits { retain: Some(RETAINED), ..limits }, ..options },
        SMALL_BODIES => Options { limits: Limits { max_body: SMALL_BODY, ..limits }, ..options },
        _ => return None,
    })
}

/// What the owner of a server with these options would declare.
fn declare(variant: &str, options: &Options, target: Target) -> Target {
    let switch = |on| if on { "on" } else { "off" };
    let target = target
        .declare("long-poll-ms", options.limits.long_poll_ms.to_string())
        .declare("stream.sse", switch(options.parts.sse))
        .declare("stream.forks", switch(options.parts.forks))
        .declare("stream.http2", "on")
        .declare("stream.crash-safe", switch(variant == DURABLE));
    match variant {
        DURABLE => target.declare("sse-ms", SSE_MS.to_string()),
        READ_ONLY => target.declare("stream.read-only", "on"),
        AUTHENTICATED => target
            .declare("stream.access-control", "on")
            .header(Identity::First, "authorization", AUTHORIZATION)
            .header(Identity::Second, "authorization", SECOND),
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
        &[FULL, DURABLE, SMALL_CHUNKS, BARE, READ_ONLY, AUTHENTICATED, RATE_LIMITED, RETAINING, SMALL_BODIES]
    }

    fn about(&self, variant: &str) -> Option<Need> {
        Some(match variant {
            RATE_LIMITED => Need::Feature("stream.rate-limit", "on"),
            _ => return None,
        })
    }

    fn start<'a>(&'a self, name: &'a str, defect: Option<&'a str>) -> BoxFuture<'a, Result<Target, String>> {
        Box::pin(async move {
            let breakage = found(defect, defects::stream::find)?;
            let options = options(name)?;
            let variant = name.to_owned();
            let start = move |addr, data| -> BoxFuture<'static, Result<Running, String>> {
                let options = self::options(&variant).map(|options| Options {
                    addr,
                    data,
                    seams: seams(breakage),
                    ..options
                });
                Box::pin(async move { Server::start(options?).await.map_err(|e| e.to_string()) })
            };
            let (process, root) = Process::begin(data_for(name)?, start).await?;
            Ok(declare(name, &options, Target::server(&root)?).hooks(process))
        })
    }
}

/// What the embedded reference is started with.
fn options(name: &str) -> Result<Options, String> {
    let mut options = variant(name).ok_or_else(|| format!("there is no variant {name}"))?;
    if name != SMALL_CHUNKS {
        options.limits.long_poll_ms = LONG_POLL_MS;
    }
    Ok(options)
}

/// Serves it until it is stopped.
pub(super) async fn serve(asked: Serve<'_>) -> Result<Running, String> {
    let breakage = found(asked.defect, defects::stream::find)?;
    let name = asked.variant(breakage.map(|b| b.defect.variant));
    let mut options = variant(name).ok_or_else(|| {
        format!("the reference of stream has no variant `{name}`; it has {}", STREAM.variants().join(", "))
    })?;
    if let Some(wait) = asked.long_poll_ms {
        options.limits.long_poll_ms = wait;
    }
    let options = Options { addr: asked.addr, data: asked.data_of(name)?, seams: seams(breakage), ..options };
    Server::start(options).await.map_err(|e| e.to_string())
}

/// The seams of a defect, or the honest ones.
fn seams(breakage: Option<&Breakage<Seams>>) -> Seams {
    breakage.map_or_else(Seams::honest, |b| (b.seams)())
}
