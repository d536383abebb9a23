//! The orchestrator as a program: its flags and variables, what it prints, and how it begins and ends. Startup.

use super::{
    Running, Seams, Server, StartError,
    seams::MapExit,
    settings::{ConfigError, Options, PORT, Print, Warnings, check, generated_key},
};
use crate::shell;
use clap::{ArgAction, Parser, ValueEnum};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

/// How a program is called.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// What stands behind its name.
    pub flags: Vec<String>,
    /// Its environment.
    pub variables: BTreeMap<String, String>,
}

/// Why a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// It was called so that it may not begin in production.
    Refused(&'a ConfigError),
    /// SIGTERM.
    Terminated,
    /// SIGINT.
    Interrupted,
}

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: u8,
    /// What it waits before; one that was refused listens meanwhile.
    pub after: Duration,
}

/// An orchestrator that runs.
pub struct Program {
    running: Running,
    exit: Option<MapExit>,
}

impl Program {
    /// Begins as it was called, and prints that it listens.
    ///
    /// # Errors
    /// The exit code with which it ended instead, behind a line that says why.
    pub async fn begin(call: &Call, mut seams: Seams, print: Print) -> Result<Self, u8> {
        let (map, refusal) = (seams.exit.take(), seams.refusal.take());
        let flags = match Flags::try_parse_from(std::iter::once(&String::new()).chain(&call.flags)) {
            Ok(flags) => flags,
            // What cannot be read may be a key, which nobody is to read.
            Err(told) if told.use_stderr() => {
                print(&format!("{}; --help lists the flags", told.kind()));
                return Err(1);
            }
            Err(asked) => {
                print(asked.to_string().trim_end());
                return Err(0);
            }
        };
        let production = call.variables.get("NODE_ENV").is_some_and(|value| value == "production");
        let settled = match settle(&flags, &call.variables, production, &print) {
            Err(Unsettled::Config(why)) if production => {
                let refused = Exit { code: 1, after: Duration::ZERO };
                match exit(map.as_ref(), Occasion::Refused(&why), refused) {
                    Some(exit) => {
                        let mut line = why.to_string();
                        if let Some(map) = &refusal {
                            map(call, &mut line);
                        }
                        print(&line);
                        listen_for(&flags, &call.variables, exit.after).await;
                        return Err(exit.code);
                    }
                    None => settle(&flags, &call.variables, false, &print),
                }
            }
            other => other,
        };
        let begun = match settled {
            Ok((options, warnings)) => {
                warnings.iter().for_each(|warning| print(&format!("warning: {warning}")));
                Self::with(Options { seams, ..options }, map, &print).await.map_err(|e| e.to_string())
            }
            Err(why) => Err(why.to_string()),
        };
        begun.map_err(|why| {
            print(&why);
            1
        })
    }

    /// Begins with these options.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn with(options: Options, exit: Option<MapExit>, print: &Print) -> Result<Self, StartError> {
        let running = Server::start(options).await?;
        print(&format!("orchestrator listening {}", running.root));
        Ok(Self { running, exit })
    }

    /// The server.
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// How it ends on a signal; none: it goes on.
    pub fn ends(&self, occasion: Occasion<'_>) -> Option<Exit> {
        exit(self.exit.as_ref(), occasion, Exit { code: 0, after: Duration::ZERO })
    }

    /// Ends so, in order, and hands out its exit code: 1 if something failed.
    pub async fn end(self, exit: Exit) -> u8 {
        tokio::time::sleep(exit.after).await;
        if self.running.stop().await.is_ok() { exit.code } else { 1 }
    }

    /// Ends at once and without order.
    pub async fn kill(self) {
        self.running.kill().await;
    }
}

fn exit(map: Option<&MapExit>, occasion: Occasion<'_>, exit: Exit) -> Option<Exit> {
    map.map_or(Some(exit), |map| map(occasion, exit))
}

/// The flags of the program.
#[derive(Debug, Parser)]
#[command(name = "orchestrator", version, disable_version_flag = true)]
struct Flags {
    /// The host to listen at.
    #[arg(short = 'H', long)]
    host: Option<String>,
    /// The port to listen at; 0 for any.
    #[arg(short, long)]
    port: Option<u16>,
    /// A key for agents; may be repeated.
    #[arg(long, value_name = "KEY")]
    agent_key: Vec<String>,
    /// A key for operators; may be repeated.
    #[arg(long, value_name = "KEY")]
    admin_key: Vec<String>,
    /// Serve agents and the health routes alone.
    #[arg(long)]
    no_api: bool,
    /// An origin whose pages may use the API; may be repeated.
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
    /// Take the key of an operator from the query of the event stream too.
    #[arg(long)]
    sse_query_auth: bool,
    /// Take the address of an operator from X-Forwarded-For.
    #[arg(long)]
    trust_proxy: bool,
    /// How far apart Polls are, in milliseconds.
    #[arg(long, value_name = "MS")]
    heartbeat: Option<u64>,
    /// How long an agent has for a command, in milliseconds.
    #[arg(long, value_name = "MS")]
    command_timeout: Option<u64>,
    /// What is printed: each request from `info` on.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// Print the version.
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: (),
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Why there are no options.
#[derive(Debug, thiserror::Error)]
enum Unsettled {
    #[error("{0}")]
    Variable(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

type Variables = BTreeMap<String, String>;

/// A flag comes before its variable, and that before the default.
fn settle(
    flags: &Flags,
    variables: &Variables,
    production: bool,
    print: &Print,
) -> Result<(Options, Warnings), Unsettled> {
    let mut options = Options {
        addr: address(flags, variables)?,
        agent_keys: list(&flags.agent_key, variables, "FLEET_AGENT_KEY"),
        admin_keys: list(&flags.admin_key, variables, "FLEET_ADMIN_KEY"),
        api: !flags.no_api,
        cors: list(&flags.cors, variables, "FLEET_CORS_ORIGINS"),
        sse_query_auth: flags.sse_query_auth || is_on(variables, "FLEET_SSE_QUERY_AUTH"),
        trust_proxy: flags.trust_proxy || is_on(variables, "FLEET_TRUST_PROXY"),
        ..Options::default()
    };
    let limits = &mut options.limits;
    if let Some(ms) = flags.heartbeat.or_else(|| number(variables, "FLEET_HEARTBEAT_MS")) {
        limits.heartbeat_ms = ms;
    }
    if let Some(ms) = flags.command_timeout.or_else(|| number(variables, "FLEET_COMMAND_TIMEOUT_MS")) {
        limits.command_timeout_ms = ms;
    }
    let level = match (flags.log_level, variables.get("FLEET_LOG_LEVEL")) {
        (Some(level), _) => level,
        (None, Some(word)) => LogLevel::from_str(word, false)
            .map_err(|_| Unsettled::Variable("FLEET_LOG_LEVEL: expected a level, see --help".into()))?,
        (None, None) => LogLevel::Info,
    };
    options.print = (level <= LogLevel::Info).then(|| Arc::clone(print));
    let mut made = Vec::new();
    if !production {
        for (keys, of, needed) in
            [(&mut options.agent_keys, "agents", true), (&mut options.admin_keys, "operators", options.api)]
        {
            if needed && keys.is_empty() {
                let key = generated_key();
                made.push(format!("no key for {of} was given; this one was made: {key}"));
                keys.push(key);
            }
        }
    }
    let warnings = check(&options, production)?;
    made.iter().for_each(|line| print(line));
    Ok((options, warnings))
}

fn address(flags: &Flags, variables: &Variables) -> Result<SocketAddr, Unsettled> {
    let host = flags.host.as_ref().or_else(|| variables.get("FLEET_HOST")).map_or("0.0.0.0", String::as_str);
    let port = match (flags.port, number(variables, "FLEET_PORT")) {
        (Some(port), _) => port,
        (None, Some(port)) => port.try_into().map_err(|_| {
            Unsettled::Variable(format!("FLEET_PORT: expected a number from 0 to 65535, found {port}"))
        })?,
        (None, None) => PORT,
    };
    let found = (host, port).to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| Unsettled::Variable(format!("expected a host to listen at, found {host:?}")))
}

/// A list of flags, or that of the variable.
fn list(flags: &[String], variables: &Variables, name: &str) -> Vec<String> {
    if !flags.is_empty() {
        return flags.to_vec();
    }
    let all = variables.get(name).into_iter().flat_map(|list| list.split(','));
    all.map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

/// The number in a variable; none if it is no number.
fn number(variables: &Variables, name: &str) -> Option<u64> {
    variables.get(name)?.trim().parse().ok()
}

fn is_on(variables: &Variables, name: &str) -> bool {
    variables.get(name).is_some_and(|value| matches!(value.as_str(), "1" | "true" | "on"))
}

/// Listens for this long, and answers nobody.
async fn listen_for(flags: &Flags, variables: &Variables, length: Duration) {
    if length.is_zero() {
        return;
    }
    let listener = address(flags, variables).ok().map(shell::listen);
    tokio::time::sleep(length).await;
    drop(listener);
}
