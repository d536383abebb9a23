//! The reference of the queue protocol, in variants.

pub mod client;

use super::{
    BARE, DURABLE, FULL, Process, Serve,
    adapter::{self, CLIENT, PLAIN_CLIENT},
    data_for, found, reference,
};
use crate::{
    check::BoxFuture,
    protocol::Reference,
    selftest::defects::{self, Breakage, queue::client::ClientSeams},
    target::{Identity, Target},
};
use client::ITERATOR_CLIENT;
use reference::{
    queue::{Access, KEY, Limits, Options, Parts, Seams, Server},
    stream::Running,
};

/// The reference of the queue protocol.
pub static QUEUE: Queue = Queue;

/// The reference of the queue protocol.
pub struct Queue;

/// Whose replays come in many small frames, and which keeps connections alive by texts too.
pub const SMALL_BATCHES: &str = "small-batches";
/// That takes no client_id which it did not give out.
pub const GIVEN_IDS: &str = "given-ids";

/// How long a connection of the embedded references has for its first frame, in milliseconds.
pub const AUTH_MS: u64 = 1_500;
/// How long a connection to the embedded references may be idle at least, in milliseconds. They end none for that; a minute would
/// be as long as the whole self-test may take.
pub const IDLE_MS: u64 = 4_000;
/// How many messages a replay of the variant `small-batches` holds at most in one frame.
const SMALL_BATCH: u64 = 3;

/// What a server of the variant is started with; none if there is no such variant.
pub fn variant(name: &str) -> Option<Options> {
    let options = Options::default();
    Some(match name {
        FULL | DURABLE => options,
        SMALL_BATCHES => {
            let limits = Limits { replay_batch: SMALL_BATCH, chunk: 64, ping_ms: 500, ..Limits::default() };
            Options { limits, keep_alive: Some("ping"), ..options }
        }
        BARE => {
            let parts = Parts { destinations: false, sources: false, consumers: false, dated_paths: false };
            Options { parts, ..options }
        }
        GIVEN_IDS => Options { access: Access { chosen_client_ids: false, ..Access::default() }, ..options },
        _ => return None,
    })
}

/// What the owner of a server with these options would declare.
fn declare(options: &Options, target: Target) -> Target {
    let switch = |on| if on { "on" } else { "off" };
    let Parts { destinations, sources, consumers, dated_paths } = options.parts;
    target
        .declare("queue.dated-paths", switch(dated_paths))
        .declare("queue.chosen-client-ids", switch(options.access.chosen_client_ids))
        .declare("queue.destinations", switch(destinations))
        .declare("queue.sources", switch(sources))
        .declare("queue.consumers", switch(consumers))
        .declare("auth-timeout-ms", options.limits.auth_ms.to_string())
        .declare("replay-batch", options.limits.replay_batch.to_string())
        .declare("idle-ms", IDLE_MS.to_string())
        .header(Identity::First, "authorization", &format!("Bearer {KEY}"))
}

impl Reference for Queue {
    fn variants(&self) -> &'static [&'static str] {
        &[FULL, DURABLE, SMALL_BATCHES, BARE, GIVEN_IDS, CLIENT, PLAIN_CLIENT, ITERATOR_CLIENT]
    }

    fn start<'a>(&'a self, name: &'a str, defect: Option<&'a str>) -> BoxFuture<'a, Result<Target, String>> {
        if let Some(target) = adapter::target::<ClientSeams>(name, defect) {
            return Box::pin(async { target });
        }
        Box::pin(async move {
            let breakage = found(defect, defects::queue::find)?;
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
            Ok(declare(&options, Target::server(&root)?).hooks(process))
        })
    }
}

/// What the embedded reference is started with.
fn options(name: &str) -> Result<Options, String> {
    let mut options = variant(name).ok_or_else(|| format!("there is no variant {name}"))?;
    options.limits.auth_ms = AUTH_MS;
    Ok(options)
}

/// Serves it until it is stopped.
pub(super) async fn serve(asked: Serve<'_>) -> Result<Running, String> {
    let breakage = found(asked.defect, defects::queue::find)?;
    let name = asked.variant(breakage.map(|b| b.defect.variant));
    let options = variant(name).ok_or_else(|| {
        format!("the reference of queue has no variant `{name}`; it has {}", QUEUE.variants().join(", "))
    })?;
    let options = Options { addr: asked.addr, data: asked.data_of(name)?, seams: seams(breakage), ..options };
    Server::start(options).await.map_err(|e| e.to_string())
}

/// The seams of a defect, or the honest ones.
fn seams(breakage: Option<&Breakage<Seams>>) -> Seams {
    breakage.map_or_else(Seams::honest, |b| (b.seams)())
}
