//! The reference of the fleet protocol, in variants.

pub mod client;
mod more;
mod program;

use super::{
    BARE, FULL, Serve,
    adapter::{self, CLIENT, PLAIN_CLIENT},
    found, reference,
};
use crate::{
    check::{BoxFuture, Need},
    protocol::Reference,
    selftest::defects::{self, Breakage, fleet::client::ClientSeams},
    target::{Identity, Target},
    wire::program::Signal,
};
use program::Embedded;
use reference::{
    fleet::{
        ADMIN_KEY, AGENT_KEY, Limits, Options, Program, Seams, Server,
        program::{Call, Occasion},
        settings::Print,
    },
    stream::Running,
};
use std::sync::Arc;

/// The reference of the fleet protocol.
pub static FLEET: Fleet = Fleet;

/// The reference of the fleet protocol.
pub struct Fleet;

/// For pages of one other origin, for who has the key in the query of the event stream, and behind a proxy; it shows more than the
/// document names.
pub const OPEN: &str = "open";

/// The key of the first operator, for defects that know it.
pub const OPERATOR_KEY: &str = ADMIN_KEY;

/// That looks whether snapshots have the hash that they tell.
pub const STRICT: &str = "strict";

/// The second key for agents, and the second one for operators.
const AGENT_KEY_2: &str = "agent-6f70656e2d746865-666c656574-0003";
const ADMIN_KEY_2: &str = "admin-6f70656e2d746865-666c656574-0004";
/// The origin whose pages may use the API of the variant `open`.
const ORIGIN: &str = "https://pages.example";

/// H of the embedded references, in milliseconds.
pub const HEARTBEAT_MS: u64 = 300;
/// T of the embedded references, in milliseconds.
pub const COMMAND_MS: u64 = 1_000;
/// How far apart the pings of event streams of the embedded references are, in milliseconds.
pub const EVENT_PING_MS: u64 = 1_000;
/// How long an orderly end of the embedded references takes at most, in milliseconds: less than what an end that waits for
/// somebody takes.
const SHUTDOWN_MS: u64 = 2_500;

/// How far apart the pings of the embedded references are, in milliseconds.
pub const PING_MS: u64 = 1_000;

/// What a server of the variant is started with; none if there is no such variant.
pub fn variant(name: &str) -> Option<Options> {
    let options = Options {
        agent_keys: vec![AGENT_KEY.into(), AGENT_KEY_2.into()],
        admin_keys: vec![ADMIN_KEY.into(), ADMIN_KEY_2.into()],
        ..Options::default()
    };
    Some(match name {
        FULL => options,
        BARE => Options { api: false, admin_keys: Vec::new(), ..options },
        OPEN => Options { cors: vec![ORIGIN.into()], sse_query_auth: true, trust_proxy: true, ..options },
        STRICT => Options { hash_verified: true, ..options },
        _ => return None,
    })
}

/// What the owner of a server with these options would declare.
fn declare(options: &Options, target: Target) -> Target {
    let switch = |on| if on { "on" } else { "off" };
    let cors = options.cors.first().map_or("off", String::as_str);
    let target = target
        .declare("fleet.api", switch(options.api))
        .declare("fleet.cors", cors)
        .declare("fleet.sse-query-auth", switch(options.sse_query_auth))
        .declare("fleet.trust-proxy", switch(options.trust_proxy))
        .declare("fleet.hash-verified", switch(options.hash_verified))
        .declare("fleet.command-line", switch(options.api))
        .declare("heartbeat-ms", options.limits.heartbeat_ms.to_string())
        .declare("command-timeout-ms", options.limits.command_timeout_ms.to_string())
        .declare("snapshot-bytes", "4000000")
        .declare("shutdown-ms", SHUTDOWN_MS.to_string())
        .declare("ping-ms", options.limits.ping_ms.to_string());
    let keys = [(Identity::First, AGENT_KEY, ADMIN_KEY), (Identity::Second, AGENT_KEY_2, ADMIN_KEY_2)];
    keys.into_iter().fold(target, |target, (who, agent, admin)| {
        let target = target.header(who, "sec-websocket-protocol", agent);
        target.header(who, "authorization", &format!("Bearer {admin}"))
    })
}

impl Reference for Fleet {
    fn variants(&self) -> &'static [&'static str] {
        &[FULL, BARE, OPEN, STRICT, CLIENT, PLAIN_CLIENT]
    }

    fn about(&self, variant: &str) -> Option<Need> {
        (variant == STRICT).then_some(Need::Feature("fleet.hash-verified", "on"))
    }

    fn start<'a>(&'a self, name: &'a str, defect: Option<&'a str>) -> BoxFuture<'a, Result<Target, String>> {
        if let Some(target) = adapter::target::<ClientSeams>(name, defect) {
            return Box::pin(async { target });
        }
        Box::pin(async move {
            let breakage = found(defect, defects::fleet::find)?;
            let options = options(name)?;
            let (program, root) = Embedded::begin(name, breakage).await?;
            let target = Target::server(&root)?;
            let embedded = program.reached(target.reach());
            Ok(declare(&options, target).hooks(Arc::new(embedded)))
        })
    }
}

/// What the embedded reference is started with.
fn options(name: &str) -> Result<Options, String> {
    let options = variant(name).ok_or_else(|| format!("there is no variant {name}"))?;
    let limits = Limits {
        heartbeat_ms: HEARTBEAT_MS,
        command_timeout_ms: COMMAND_MS,
        event_ping_ms: EVENT_PING_MS,
        ping_ms: PING_MS,
        ..options.limits
    };
    Ok(Options { limits, ..options })
}

/// Serves it until it is stopped.
pub(super) async fn serve(asked: Serve<'_>) -> Result<Running, String> {
    let breakage = found(asked.defect, defects::fleet::find)?;
    let name = asked.variant(breakage.map(|b| b.defect.variant));
    let options = variant(name).ok_or_else(|| {
        format!("the reference of fleet has no variant `{name}`; it has {}", FLEET.variants().join(", "))
    })?;
    let options = Options { addr: asked.addr, seams: seams(name, breakage), ..options };
    Server::start(options).await.map_err(|e| e.to_string())
}

/// Is the program of the document with these flags and the variables of this process, until it ends; hands out its exit code.
/// `signal` waits for the next signal.
///
/// # Errors
/// There is no such defect.
pub async fn program(
    flags: Vec<String>,
    defect: Option<&str>,
    print: Print,
    mut signal: impl AsyncFnMut() -> Signal,
) -> Result<u8, String> {
    let breakage = found(defect, defects::fleet::find)?;
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut program = match Program::begin(&Call { flags, variables }, seams(FULL, breakage), print).await {
        Ok(program) => program,
        Err(code) => return Ok(code),
    };
    loop {
        let occasion = tokio::select! {
            signal = signal() => match signal {
                Signal::Term => Occasion::Terminated,
                Signal::Int => Occasion::Interrupted,
            },
            ended = program.running().ended() => return Ok(u8::from(ended.is_err())),
        };
        if let Some(exit) = program.ends(occasion) {
            return Ok(program.end(exit).await);
        }
    }
}

/// The seams of a defect, or the honest ones of this variant.
fn seams(variant: &str, breakage: Option<&Breakage<Seams>>) -> Seams {
    let seams = breakage.map_or_else(Seams::honest, |b| (b.seams)());
    if variant == OPEN { more::seams(seams) } else { seams }
}
