//! The target file, `wireproof.toml`: where a target is, what it has, how it is started. For its users: spec/target.md.

use super::{
    Identity, Target, Tls, Via,
    baseline::Baseline,
    client::{Adapters, Client},
    command,
    launch::{Commands, Given, Launched},
    proper,
};
use crate::{protocol::Protocol, report::Implementation, wire::dial::filled};
use globset::Glob;
use hyper::header::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The content of a target file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Target")]
pub struct TargetFile {
    /// The protocol that the target speaks: `stream`.
    pub protocol: String,
    /// The protocol's root; `{port}` stands for the port that a launched target is given. Not for a client.
    #[serde(default)]
    pub url: Option<String>,
    /// How the adapter of a client under test is started.
    #[serde(default)]
    pub client: Option<Client>,
    /// A unix socket at which the target listens, relative to this file; `url` still names host and root.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// A file of known failures, relative to this file.
    #[serde(default)]
    pub baseline: Option<PathBuf>,
    /// Name and version of the program under test.
    #[serde(default)]
    pub implementation: Option<Implementation>,
    /// How TLS is spoken with the target.
    #[serde(default)]
    pub tls: Tls,
    /// Headers that go with every request: `env:VARIABLE`, `file:PATH` or the value. They are secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Those of a second identity, which go instead: somebody else whom the target knows. They are secrets too.
    #[serde(default)]
    pub second: BTreeMap<String, String>,
    /// What the target has: `on`, `off` or a value.
    #[serde(default)]
    pub features: BTreeMap<String, Declared>,
    /// What the target says about itself in numbers.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
    /// Commands that act on the process of a target that is running already.
    #[serde(default)]
    pub hooks: Option<Commands>,
    /// Commands that have the target act on the protocol, by the names of the protocol's stimuli.
    #[serde(default)]
    pub stimuli: BTreeMap<String, String>,
    /// How to start the target.
    #[serde(default)]
    pub launch: Option<Launch>,
    /// How much at once and how patiently it is tested, where the command line does not say so.
    #[serde(default)]
    pub pace: Pace,
    /// Checks that cannot be driven on this target, each with the reason why that is accepted.
    #[serde(default)]
    pub accepted: BTreeMap<String, String>,
}

/// How many checks can run at once.
pub const JOBS: RangeInclusive<u16> = 1..=1024;
/// By what waits can be multiplied.
pub const SCALES: RangeInclusive<f64> = 0.01..=100.0;
/// How many requests can leave in a second.
pub const RATES: RangeInclusive<i64> = 1..=100_000;
/// How long an answer may take that has no reason to wait, in milliseconds.
pub const TIMEOUTS_MS: RangeInclusive<u64> = 1..=600_000;

/// How a target is tested that is slower than most.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// How many checks run at once, 1 to 1024: `--jobs`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub jobs: Option<u16>,
    /// How many requests leave in a second, at most, over all connections, 1 to 100000: `--rate`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100_000))]
    pub rate: Option<u32>,
    /// Multiplies every wait of ours, 0.01 to 100: `--time-scale`.
    #[serde(default)]
    #[schemars(range(min = 0.01, max = 100.0))]
    pub time_scale: Option<f64>,
}

/// The value of a feature.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "on, off or a value; a name with a dot stands in quotes, as in \"stream.sse\" = \"on\""
)]
pub enum Declared {
    /// `true` is `on`.
    Flag(bool),
    /// `on`, `off` or a value.
    Text(String),
}

/// How to start a target.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// The command, for `sh -c`. `{port}` stands for a free port, which `PORT` in its environment holds too; `{data}` for a
    /// directory of this run, empty at the first start, kept at every other, and removed at the end.
    pub command: String,
    /// Where it runs, relative to this file; otherwise where this file is.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// How long it may take until its URL answers, in milliseconds.
    #[serde(default = "ready_timeout_ms")]
    pub ready_timeout_ms: u64,
    /// More of its environment: `env:VARIABLE`, `file:PATH` or the value.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

fn ready_timeout_ms() -> u64 {
    15_000
}

/// A target file that was read, and where it was.
#[derive(Clone, Debug)]
pub struct Read {
    /// What it says.
    pub file: TargetFile,
    path: PathBuf,
}

/// Reads a target file.
///
/// # Errors
/// A sentence with the file, and the line if it is malformed.
pub fn read(path: &Path) -> Result<Read, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| {
        format!("the target file {shown} cannot be read: {e}; spec/target.md shows how to write one")
    })?;
    Read::parse(&text, path)
}

impl Read {
    /// Reads the text of a target file that is at this path.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let file = toml::from_str(text).map_err(|e| {
            let (shown, place) = (path.display(), place(text, e.span()));
            let why = without_values(e.message());
            format!("the target file {shown} is malformed{place}: {why}; spec/target.md lists what may stand in it")
        })?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// A path in the file is relative to the file.
    fn path(&self, path: &Path) -> PathBuf {
        self.directory().join(path)
    }

    fn directory(&self) -> PathBuf {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    fn said(&self, why: impl std::fmt::Display) -> String {
        format!("the target file {}: {why}", self.path.display())
    }

    /// Where its baseline is, if it names one.
    pub fn baseline_path(&self) -> Option<PathBuf> {
        self.file.baseline.as_ref().map(|path| self.path(path))
    }

    /// What its owner knows and accepts.
    ///
    /// # Errors
    /// A baseline that cannot be read, or an accepted check that does not exist.
    pub fn baseline(&self, protocol: &Protocol) -> Result<Baseline, String> {
        let mut baseline = match &self.file.baseline {
            Some(path) => Baseline::read(&self.path(path), protocol)?,
            None => Baseline::default(),
        };
        for (pattern, reason) in &self.file.accepted {
            let glob = Glob::new(pattern).map_err(|e| self.said(format!("[accepted] `{pattern}`: {e}")))?;
            let glob = glob.compile_matcher();
            let mut named = protocol.checks().filter(|c| glob.is_match(c.name)).peekable();
            if named.peek().is_none() {
                return Err(self.said(format!("[accepted] names `{pattern}`, which is no check")));
            }
            if reason.trim().is_empty() {
                return Err(self.said(format!("[accepted] gives no reason for `{pattern}`")));
            }
            baseline.accepted.extend(named.map(|check| (check.name.to_owned(), reason.clone())));
        }
        Ok(baseline)
    }

    /// What is wrong with it before anything is started.
    pub(crate) fn examine(&self, protocol: &Protocol) -> Result<(), String> {
        let file = &self.file;
        for (name, value) in &file.features {
            proper(protocol, name, &value.text()).map_err(|e| self.said(e))?;
        }
        for (name, value) in &file.limits {
            proper(protocol, name, &value.to_string()).map_err(|e| self.said(e))?;
        }
        for name in file.stimuli.keys() {
            protocol.stimulus(name).map_err(|e| self.said(e))?;
        }
        if file.pace.jobs.is_some_and(|jobs| !JOBS.contains(&jobs)) {
            return Err(self.said(format!("[pace] jobs is from {} to {}", JOBS.start(), JOBS.end())));
        }
        if file.pace.rate.is_some_and(|rate| !RATES.contains(&i64::from(rate))) {
            return Err(self.said(format!("[pace] rate is from {} to {}", RATES.start(), RATES.end())));
        }
        if file.pace.time_scale.is_some_and(|scale| !SCALES.contains(&scale)) {
            return Err(self.said(format!(
                "[pace] time_scale is from {} to {}",
                SCALES.start(),
                SCALES.end()
            )));
        }
        if let Some(what) = file.client.is_some().then(|| self.of_servers()).flatten() {
            return Err(self.said(format!(
                "[client] is a client, and {what} speaks of a server; leave one of them out"
            )));
        }
        if file.client.is_none() && file.url.is_none() {
            return Err(self.said("what is to be tested? `url` with the protocol's root, or [client] with the adapter of a client"));
        }
        if file.launch.is_some() && file.hooks.is_some() {
            return Err(self.said("[launch] can restart and kill what it started; leave out [hooks]"));
        }
        if file.launch.is_none() && file.url.as_ref().is_some_and(|url| url.contains("{port}")) {
            return Err(self.said("only [launch] gives `{port}` a value; write the port into `url`"));
        }
        Ok(())
    }

    /// The target. Starts it, if the file says how.
    ///
    /// # Errors
    /// The file makes no sense ([`Failed::File`]), or the target does not start.
    pub async fn target(&self, protocol: &Protocol, url: Option<&str>) -> Result<Target, Failed> {
        self.examine(protocol).map_err(Failed::File)?;
        let file = &self.file;
        let url = url.or(file.url.as_deref()).unwrap_or_default();
        let mut target = match (&file.client, &file.launch) {
            (Some(client), _) => self.client(protocol, client)?,
            (None, Some(launch)) => self.launched(launch, url).await?,
            (None, None) => {
                let target = self.at(url, &|text| text.to_owned())?;
                target.reach().way.prepare().map_err(|e| Failed::File(self.said(e)))?;
                target
            }
        };
        if file.launch.is_none() && file.client.is_none() {
            target = self.stimulated(target, &|text| text.to_owned());
        }
        if let Some(commands) = &file.hooks {
            let hooks = commands.clone().at(target.reach(), self.directory());
            target = target.hooks(Arc::new(hooks));
        }
        for (name, value) in &file.features {
            target = target.declare(name, value.text());
        }
        for (name, value) in &file.limits {
            target = target.declare(name, value.to_string());
        }
        target.implementation = file.implementation.clone().map(|i| (i.name, i.version));
        Ok(target)
    }

    /// What it says that is for servers only.
    fn of_servers(&self) -> Option<&'static str> {
        let TargetFile { url, socket, tls, headers, second, hooks, stimuli, launch, .. } = &self.file;
        let said = [
            ("`url`", url.is_some()),
            ("`socket`", socket.is_some()),
            ("[tls]", tls.ca.is_some()),
            ("[headers]", !headers.is_empty()),
            ("[second]", !second.is_empty()),
            ("[hooks]", hooks.is_some()),
            ("[stimuli]", !stimuli.is_empty()),
            ("[launch]", launch.is_some()),
        ];
        said.into_iter().find_map(|(what, is_there)| is_there.then_some(what))
    }

    /// The environment that a table of the file asks for, and what of it is secret.
    fn env(
        &self,
        table: &str,
        asked: &BTreeMap<String, String>,
    ) -> Result<(BTreeMap<String, String>, Vec<String>), Failed> {
        let mut env = BTreeMap::new();
        let mut secrets = Vec::new();
        for (name, value) in asked {
            let found = resolve(value, &self.directory())
                .map_err(|e| Failed::File(self.said(format!("[{table}] env {name}: {e}"))))?;
            secrets.extend((found != *value).then(|| found.clone()));
            env.insert(name.clone(), found);
        }
        Ok((env, secrets))
    }

    fn client(&self, protocol: &Protocol, client: &Client) -> Result<Target, Failed> {
        let (env, secrets) = self.env("client", &client.env)?;
        let cwd = client.cwd.as_ref().map_or_else(|| self.directory(), |cwd| self.path(cwd));
        let words = ["sh", "-c", &client.command].map(str::to_owned).to_vec();
        let adapters = Adapters::new(protocol.name, words, cwd, env, &secrets).map_err(Failed::Start)?;
        let mut target = Target::client(&client.command, Arc::new(adapters));
        target.secrets.extend(secrets);
        Ok(target)
    }

    async fn launched(&self, launch: &Launch, url: &str) -> Result<Target, Failed> {
        let (env, secrets) = self.env("launch", &launch.env)?;
        let given = Given::new().map_err(Failed::Start)?;
        let mut target = self.at(url, &|text| given.filled(text))?;
        target.secrets.extend(secrets);
        target = self.stimulated(target, &|text| given.filled(text));
        let cwd = launch.cwd.as_ref().map_or_else(|| self.directory(), |cwd| self.path(cwd));
        let started = Launched::start(launch, given, target.reach(), cwd, env, &target.secrets)
            .await
            .map_err(Failed::Start)?;
        Ok(target.hooks(Arc::new(started)))
    }

    /// The target with the stimuli of the file.
    fn stimulated(&self, target: Target, fill: &dyn Fn(&str) -> String) -> Target {
        if self.file.stimuli.is_empty() {
            return target;
        }
        let commands =
            self.file.stimuli.iter().map(|(name, command)| (name.clone(), fill(command))).collect();
        target.stimuli(Arc::new(command::Commands { commands, cwd: self.directory() }))
    }

    /// The target at this URL, reached as the file says and with its headers.
    fn at(&self, url: &str, fill: &dyn Fn(&str) -> String) -> Result<Target, Failed> {
        let path = |path: &PathBuf| self.path(&filled(path, fill));
        let via = Via {
            socket: self.file.socket.as_ref().map(path),
            tls: Tls { ca: self.file.tls.ca.as_ref().map(path) },
        };
        let target = Target::server(&fill(url)).and_then(|target| target.via(via));
        let mut target = target.map_err(|e| Failed::File(self.said(e)))?;
        let identities = [
            (Identity::First, "[headers]", &self.file.headers),
            (Identity::Second, "[second]", &self.file.second),
        ];
        for (who, table, headers) in identities {
            for (name, value) in headers {
                target = header(target, who, name, value, &self.directory())
                    .map_err(|e| Failed::File(self.said(format!("{table}: {e}"))))?;
            }
        }
        Ok(target)
    }
}

/// Where in a text something is: of the line itself nothing is shown, because it may hold a secret.
fn place(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else { return String::new() };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(" at line {line}, column {column}")
}

/// What is wrong, without the value that is: `invalid type: string "…", expected a map`.
fn without_values(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => {
            let what = found.split([':', '`', '"']).next().unwrap_or("invalid value");
            let expected =
                if matches!(expected, "u64" | "u32" | "u16") { "a whole number" } else { expected };
            format!("{what}, expected {expected}")
        }
        _ => message.trim_end().to_owned(),
    }
}

/// Why there is no target.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The file makes no sense.
    #[error("{0}")]
    File(String),
    /// The target does not start.
    #[error("{0}")]
    Start(String),
}

impl Declared {
    /// As the runner compares it.
    pub fn text(&self) -> String {
        match self {
            Declared::Flag(true) => "on".into(),
            Declared::Flag(false) => "off".into(),
            Declared::Text(text) => text.clone(),
        }
    }
}

/// The text itself, or what it points at: `env:VARIABLE`, `file:PATH`.
///
/// # Errors
/// Nothing is there.
pub fn resolve(value: &str, directory: &Path) -> Result<String, String> {
    if let Some(variable) = value.strip_prefix("env:") {
        return std::env::var(variable).map_err(|_| format!("the environment has no usable {variable}"));
    }
    if let Some(path) = value.strip_prefix("file:") {
        let path = directory.join(path);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    Ok(value.to_owned())
}

/// Literal values shorter than this are not taken out of reports: too much would be gone, and they hide nothing.
const SECRET: usize = 6;

/// The target with a header whose value is given as [`resolve`] reads it. What is wrong is said without the value.
///
/// # Errors
/// A name or a value that no header can have, or nothing to read the value from.
pub fn header(
    target: Target,
    who: Identity,
    name: &str,
    value: &str,
    directory: &Path,
) -> Result<Target, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name of a header"))?;
    let found = resolve(value, directory).map_err(|e| format!("{name}: {e}"))?;
    HeaderValue::from_str(&found)
        .map_err(|_| format!("the value of {name} is none that a header can have"))?;
    let mut target = target.header(who, name, &found);
    if found == value && found.len() < SECRET {
        target.secrets.retain(|secret| *secret != found);
    }
    Ok(target)
}
