//! Targets whose process we can act on: one that we start ourselves, and one whose owner gives commands.

use super::{
    Fault, Hooks,
    command::{COMMAND, run},
    directory::Directory,
    file::Launch,
};
use crate::{
    check::{BoxFuture, Hook},
    redact::{self, Redaction},
    wire::{
        Reach,
        program::{self, Begun, Ended, How as Way, Printed, Signal as Asked},
    },
};
use futures_util::future::join_all;
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// How much of what a process says is shown, in bytes.
const TAIL: usize = 8 * 1024;
/// How much of what a program prints is looked at when it has ended, in bytes.
const PRINTED: usize = 4 * 1024 * 1024;
/// Of a shell that is still there the exit code is not that of the target.
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"];
/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How long it may take to be gone after it was killed.
pub(super) const GONE: Duration = Duration::from_secs(5);
/// How long something may take to answer that is there before the target.
const TAKEN: Duration = Duration::from_millis(500);
/// What stands for the directory in which a target keeps what it keeps.
const DATA: &str = "{data}";
/// The pause between two looks at a process: nobody tells when a port is open or a group is gone.
const PAUSE: Duration = Duration::from_millis(20);

/// A target that we started. Its process group is killed when this is dropped.
pub struct Launched {
    reach: Arc<Reach>,
    how: How,
    secrets: Redaction,
    running: Mutex<Option<Process>>,
    /// Goes last: until then the process may write into it.
    data: Directory,
}

/// How it is started, again and again in the same way.
#[derive(Clone)]
struct How {
    command: String,
    cwd: PathBuf,
    env: BTreeMap<String, String>,
    /// Variables that it does not get from us.
    without: Vec<String>,
    ready: Duration,
    /// Whether it was told where to keep what it keeps.
    keeps: bool,
}

/// What a target is given before it is started: a port, and a directory for what it keeps.
pub struct Given {
    port: String,
    data: Directory,
}

impl Given {
    /// A free port and a new directory.
    ///
    /// # Errors
    /// There is none.
    pub fn new() -> Result<Self, String> {
        let port = free_port().map_err(|e| format!("there is no free port: {e}"))?;
        let data = Directory::new().map_err(|e| format!("there is no directory for its data: {e}"))?;
        Ok(Self { port, data })
    }

    /// A text in which `{port}` and `{data}` stand for them.
    pub fn filled(&self, text: &str) -> String {
        text.replace("{port}", &self.port).replace(DATA, &self.data.path().to_string_lossy())
    }
}

impl Launched {
    /// Starts a target that is reached so, and returns when it answers.
    ///
    /// # Errors
    /// It does not start, ends, or does not answer in time: with the last that it said, and without these secrets.
    pub async fn start(
        launch: &Launch,
        given: Given,
        reach: Arc<Reach>,
        cwd: PathBuf,
        mut env: BTreeMap<String, String>,
        secrets: &[String],
    ) -> Result<Self, String> {
        let command = given.filled(&launch.command);
        env.insert("PORT".into(), given.port);
        let (ready, keeps) = (Duration::from_millis(launch.ready_timeout_ms), launch.command.contains(DATA));
        let how = How { command, cwd, env, without: Vec::new(), ready, keeps };
        let secrets = Redaction::new(secrets);
        let launched = Self { reach, how, secrets, running: Mutex::default(), data: given.data };
        // A free port was found a moment ago; what the file names itself may be in use.
        if answers(&launched.reach, Instant::now() + TAKEN).await.is_ok() {
            return Err(format!(
                "something answers at {} before `{}` was started: it would be tested instead; stop it, or let `url` \
                 have {{port}}",
                launched.reach.url(),
                launch.command
            ));
        }
        let process = launched.begin().await.map_err(|why| launched.secrets.text(&why))?;
        *launched.running.lock().await = Some(process);
        Ok(launched)
    }

    async fn begin(&self) -> Result<Process, String> {
        let command = &self.how.command;
        let mut process =
            Process::spawn(&self.how).map_err(|e| format!("`{command}` cannot be started: {e}"))?;
        let until = Instant::now() + self.how.ready;
        loop {
            let Err(missed) = answers(&self.reach, until).await else {
                if process.is_gone() {
                    return Err(format!(
                        "`{command}` ended, and something else answers at {}. The last that it said:\n{}",
                        self.reach.url(),
                        process.last_words().await?
                    ));
                }
                return Ok(process);
            };
            let failed = match process.child.try_wait() {
                Ok(Some(status)) => Some(format!("it ended with {status}")),
                Err(e) => Some(format!("nobody knows what became of it: {e}")),
                Ok(None) if Instant::now() >= until => {
                    let ms = self.how.ready.as_millis();
                    Some(format!("{} did not answer HTTP within {ms} ms ({missed})", self.reach.url()))
                }
                Ok(None) => None,
            };
            if let Some(why) = failed {
                let said = process.last_words().await?;
                return Err(format!(
                    "the target did not start: `{command}`: {why}. The last that it said:\n{said}"
                ));
            }
            sleep(PAUSE).await;
        }
    }
}

impl Launched {
    /// Starts it on its data; or, if it twice does not start on them and does on an empty directory, there, with why it did not.
    async fn again(&self) -> Result<(Process, Option<String>), String> {
        let why = match self.begin().await {
            Ok(process) => return Ok((process, None)),
            Err(why) => why,
        };
        if !self.how.keeps {
            return Err(why);
        }
        // A machine may be busy, a port taken for a moment: nobody is blamed for that.
        let why = match self.begin().await {
            Ok(process) => return Ok((process, None)),
            Err(why) => why,
        };
        self.data.clear()?;
        match self.begin().await {
            Ok(process) => Ok((process, Some(why))),
            Err(_) => Err(why),
        }
    }
}

impl Hooks for Launched {
    fn offers(&self, _: Hook) -> bool {
        true
    }

    fn is_launched(&self) -> bool {
        true
    }

    fn act(&self, hook: Hook) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let mut running = self.running.lock().await;
            if let Some(process) = running.take() {
                process.end(hook).await?;
            }
            let (process, refused) = self.again().await?;
            *running = Some(process);
            refused.map_or(Ok(()), |why| Err(Fault::Refuses(why)))
        })
    }

    fn is_program(&self) -> bool {
        true
    }

    fn end<'a>(
        &'a self,
        signal: Asked,
        within: Duration,
        texts: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Ended, Fault>> {
        Box::pin(async move {
            let mut running = self.running.lock().await;
            let Some(process) = running.take() else { return Err(Fault::Failed("it does not run".into())) };
            if let Err(why) = process.is_its_own_leader() {
                *running = Some(process);
                return Err(why);
            }
            let ended = process.asked(signal, within, texts).await?;
            // What was seen counts. If it does not start, or not on what it kept, whoever needs it next says so.
            *running = self.again().await.ok().map(|(process, _)| process);
            Ok(ended)
        })
    }

    fn start_with<'a>(
        &'a self,
        variables: &'a [(&'a str, Option<&'a str>)],
        texts: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Begun, Fault>> {
        Box::pin(async move {
            let mut running = self.running.lock().await;
            if let Some(process) = running.take() {
                process.end(Hook::Restart).await?;
            }
            let mut how = self.how.clone();
            for (name, value) in variables {
                how.env.remove(*name);
                match value {
                    Some(value) => drop(how.env.insert((*name).to_owned(), (*value).to_owned())),
                    None => how.without.push((*name).to_owned()),
                }
            }
            let mut process = Process::spawn(&how)?;
            let ended = async { process.child.wait().await.map_or(Way::Late, way) };
            let begun = program::begun(&self.reach, ended, how.ready).await;
            let is_so = match begun {
                // Of one that listens it can be seen whether what happened to it says anything about the target.
                Begun::Listens => process.is_its_own_leader().and_then(|()| process.has(variables)),
                _ => Ok(()),
            };
            let begun = match begun {
                // Its group may be somebody else's soon.
                Begun::Ended(how, _) => Begun::Ended(how, process.printed().await?.search(texts)),
                Begun::Listens | Begun::Neither => {
                    *running = Some(process);
                    begun
                }
            };
            is_so.map(|()| begun)
        })
    }

    fn longest(&self) -> Duration {
        // The end of the old process, and a start on its data twice and on nothing once, each with its end.
        GRACE + GONE + (self.how.ready + GONE) * 3
    }
}

/// A process and everything that it started: a group of its own.
struct Process {
    child: Child,
    group: Pid,
    tail: Tail,
    /// Those who read what it says.
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    fn spawn(how: &How) -> Result<Self, String> {
        let mut command = Command::new("sh");
        for name in &how.without {
            command.env_remove(name);
        }
        let mut child = command
            .arg("-c")
            .arg(&how.command)
            .current_dir(&how.cwd)
            .envs(&how.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| e.to_string())?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).ok_or("it has no process id")?;
        let tail = Tail::default();
        let out = child.stdout.take().map(|out| tokio::spawn(tail.clone().follow(out)));
        let err = child.stderr.take().map(|err| tokio::spawn(tail.clone().follow(err)));
        let readers = out.into_iter().chain(err).collect();
        Ok(Self { child, group: Pid::from_raw(id), tail, readers })
    }

    /// Ends the group: in order, with force if that takes too long, or at once.
    async fn end(mut self, hook: Hook) -> Result<(), String> {
        if hook == Hook::Restart {
            self.signal(Signal::SIGTERM);
            if self.is_gone_within(GRACE).await {
                return Ok(());
            }
        }
        self.signal(Signal::SIGKILL);
        if self.is_gone_within(GONE).await { Ok(()) } else { Err("the target does not end".into()) }
    }

    /// Ends it, so that another start finds nobody where it wants to be, and tells the last that it said.
    async fn last_words(self) -> Result<String, String> {
        let text = self.printed().await?.text();
        Ok(if text.trim().is_empty() { "(nothing)".into() } else { text })
    }

    /// Ends it, and tells all that it said.
    async fn printed(mut self) -> Result<Tail, String> {
        let (tail, readers) = (self.tail.clone(), std::mem::take(&mut self.readers));
        self.end(Hook::Kill).await?;
        // It may still be on its way to us, up to the end of what it says, which its own end brings.
        let _ = timeout(GONE, join_all(readers)).await;
        Ok(tail)
    }

    /// That its exit code is that of the target.
    fn is_its_own_leader(&self) -> Result<(), Fault> {
        // Elsewhere than on Linux nobody tells.
        let name = std::fs::read_to_string(format!("/proc/{}/comm", self.group)).unwrap_or_default();
        if SHELLS.contains(&name.trim()) {
            return Err(Fault::Failed(format!(
                "the process that was started is {}, whose exit code is not that of the target; let the command under \
                 [launch] be `exec` and the target",
                name.trim()
            )));
        }
        Ok(())
    }

    /// That these variables came to it as they were set.
    fn has(&self, variables: &[(&str, Option<&str>)]) -> Result<(), Fault> {
        // Elsewhere than on Linux nobody tells.
        let Ok(environment) = std::fs::read(format!("/proc/{}/environ", self.group)) else { return Ok(()) };
        let found = |name: &str| {
            let mut all = environment.split(|byte| *byte == 0);
            all.find_map(|one| one.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        match variables.iter().find(|(name, value)| found(name) != value.map(str::as_bytes)) {
            None => Ok(()),
            Some((name, _)) => Err(Fault::Failed(format!(
                "the process that was started does not have {name} as it was set; let the command under [launch] pass on its \
                 environment"
            ))),
        }
    }

    /// Asks the group to end, with force if that takes longer than this, and looks at how its leader did.
    async fn asked(mut self, signal: Asked, within: Duration, texts: &[&str]) -> Result<Ended, String> {
        let since = Instant::now();
        self.signal(match signal {
            Asked::Term => Signal::SIGTERM,
            Asked::Int => Signal::SIGINT,
        });
        let how = match timeout(within, self.child.wait()).await {
            Ok(status) => way(status.map_err(|e| format!("nobody knows what became of it: {e}"))?),
            Err(_) => Way::Late,
        };
        let after = since.elapsed();
        Ok(Ended { how, after, printed: self.printed().await?.search(texts) })
    }

    fn signal(&self, signal: Signal) {
        // Whoever is gone already needs no signal.
        let _ = killpg(self.group, signal);
    }

    /// Whether it and all that it started have ended.
    fn is_gone(&mut self) -> bool {
        // Collects the leader: until then the group is not gone.
        let _ = self.child.try_wait();
        killpg(self.group, None) == Err(Errno::ESRCH)
    }

    async fn is_gone_within(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            if self.is_gone() {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            sleep(PAUSE).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// How a process ended.
fn way(status: std::process::ExitStatus) -> Way {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Way::Code(code),
        (None, signal) => Way::Signal(signal.unwrap_or_default()),
    }
}

/// The last that a process said.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<StdMutex<Kept>>);

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// How much went before them.
    gone: u64,
}

impl Tail {
    pub(crate) async fn follow(self, mut from: impl AsyncRead + Unpin) {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut part).await {
            self.add(&part[..length]);
        }
    }

    /// Adds what was said.
    pub(crate) fn add(&self, part: &[u8]) {
        let mut kept = self.kept();
        kept.bytes.extend_from_slice(part);
        // Seldom, for it moves all of it.
        if kept.bytes.len() > 2 * PRINTED {
            let over = kept.bytes.len() - PRINTED;
            kept.bytes.drain(..over);
            kept.gone += over as u64;
        }
    }

    /// Forgets all of it.
    #[cfg(feature = "suites")]
    pub(crate) fn clear(&self) {
        *self.kept() = Kept::default();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn text(&self) -> String {
        let kept = self.kept();
        let tail = &kept.bytes[kept.bytes.len().saturating_sub(TAIL)..];
        // A line whose beginning is gone may be the rest of a secret.
        let whole = if tail.len() < TAIL {
            0
        } else {
            tail.iter().position(|b| *b == b'\n').map_or(TAIL, |at| at + 1)
        };
        let text = String::from_utf8_lossy(&tail[whole.min(tail.len())..]);
        text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
    }

    /// How many of these texts are in it, however they are written.
    pub(crate) fn search(&self, texts: &[&str]) -> Printed {
        let kept = self.kept();
        Printed {
            bytes: kept.gone + kept.bytes.len() as u64,
            found: texts.iter().filter(|text| redact::is_in(text, &kept.bytes)).count(),
            cut: kept.gone > 0,
        }
    }
}

/// The port is free at this moment; whoever takes it before the target does makes the start fail, and it says so.
fn free_port() -> std::io::Result<String> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port().to_string())
}

/// Whether anything answers there in HTTP.
async fn answers(reach: &Reach, until: Instant) -> Result<(), String> {
    let wait = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(2));
    let path = if reach.root.is_empty() { "/" } else { &reach.root };
    reach.way.answers(&reach.authority, path, wait).await
}

/// Commands that act on the process of a target that somebody else started, for `sh -c`. Each returns when it is done.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// Ends the target in order and starts it again.
    #[serde(default)]
    pub restart: Option<String>,
    /// Ends the target suddenly, as `kill -9` does, and starts it again.
    #[serde(default)]
    pub kill: Option<String>,
}

impl Commands {
    /// For the target that is reached so; the commands run in this directory.
    pub fn at(self, reach: Arc<Reach>, cwd: PathBuf) -> Commanded {
        Commanded { commands: self, reach, cwd }
    }

    fn command(&self, hook: Hook) -> Option<&str> {
        match hook {
            Hook::Restart => self.restart.as_deref(),
            Hook::Kill => self.kill.as_deref(),
        }
    }
}

/// A target whose owner gives commands.
pub struct Commanded {
    commands: Commands,
    reach: Arc<Reach>,
    cwd: PathBuf,
}

impl Hooks for Commanded {
    fn offers(&self, hook: Hook) -> bool {
        self.commands.command(hook).is_some()
    }

    fn act(&self, hook: Hook) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let command =
                self.commands.command(hook).ok_or_else(|| format!("there is no {}", hook.name()))?;
            run(command, &self.cwd, &BTreeMap::new(), &[]).await?;
            let until = Instant::now() + COMMAND;
            while let Err(missed) = answers(&self.reach, until).await {
                if Instant::now() >= until {
                    let url = self.reach.url();
                    return Err(Fault::Failed(format!(
                        "after `{command}` nothing answers at {url} ({missed})"
                    )));
                }
                sleep(PAUSE).await;
            }
            Ok(())
        })
    }
}
