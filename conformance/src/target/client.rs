//! A client under test whose adapter is a program that we start (spec/adapter.md).

use super::{
    directory::Directory,
    launch::{GONE, Tail},
};
use crate::{
    check::BoxFuture,
    redact::Redaction,
    wire::app::{Apps, Pipe},
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    pin::Pin,
    process::Stdio,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Join, ReadBuf, join},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

/// The variable with the name of the protocol.
const PROTOCOL: &str = "WIREPROOF_PROTOCOL";
/// The variable with the directory that every process of a run finds again.
const STATE: &str = "WIREPROOF_STATE";

/// How to start the adapter of a client.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The command, for `sh -c`.
    pub command: String,
    /// Where it runs, relative to this file; otherwise where this file is.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// More of its environment: `env:VARIABLE`, `file:PATH` or the value.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// What a process says beside its lines, and who follows that.
#[derive(Default)]
struct Last {
    tail: Tail,
    follows: Option<JoinHandle<()>>,
}

/// Starts adapters of a client, each in a process group of its own.
pub struct Adapters {
    words: Vec<String>,
    cwd: PathBuf,
    env: BTreeMap<String, String>,
    secrets: Redaction,
    /// Of the one that was started last.
    last: Mutex<Last>,
    /// Removed with this.
    _state: Directory,
}

impl Adapters {
    /// Those that this program with these arguments is, in this directory, with this added to its environment. What they say
    /// beside their lines is told without these secrets.
    ///
    /// # Errors
    /// There is no directory for what they keep.
    pub fn new(
        protocol: &str,
        words: Vec<String>,
        cwd: PathBuf,
        mut env: BTreeMap<String, String>,
        secrets: &[String],
    ) -> Result<Self, String> {
        let state = Directory::new().map_err(|e| format!("there is no directory for what it keeps: {e}"))?;
        env.insert(PROTOCOL.into(), protocol.into());
        env.insert(STATE.into(), state.path().to_string_lossy().into_owned());
        Ok(Self { words, cwd, env, secrets: Redaction::new(secrets), last: Mutex::default(), _state: state })
    }

    fn spawn(&self) -> io::Result<Process> {
        let (program, arguments) =
            self.words.split_first().ok_or_else(|| io::Error::other("there is no command"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&self.cwd)
            .envs(&self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("`{program}` cannot be started: {e}")))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("it has no pipes"));
        };
        let tail = Tail::default();
        let follows = Some(tokio::spawn(tail.clone().follow(stderr)));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Last { tail, follows };
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Process { lines: join(stdout, stdin), group, _child: child })
    }
}

impl Apps for Adapters {
    fn start(&self) -> BoxFuture<'_, io::Result<Box<dyn Pipe>>> {
        Box::pin(async { Ok(Box::new(self.spawn()?) as Box<dyn Pipe>) })
    }

    fn last_words(&self) -> BoxFuture<'_, String> {
        Box::pin(async {
            let (tail, follows) = {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                (last.tail.clone(), last.follows.take())
            };
            if let Some(follows) = follows {
                // It may still be on its way to us, up to the end of what it says, which its own end brings.
                let _ = timeout(GONE, follows).await;
            }
            self.secrets.text(&tail.text())
        })
    }
}

/// One adapter: its group is killed when this is dropped.
struct Process {
    lines: Join<ChildStdout, ChildStdin>,
    group: Option<Pid>,
    _child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Whoever is gone already needs no signal.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl AsyncRead for Process {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lines).poll_read(cx, buf)
    }
}

impl AsyncWrite for Process {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lines).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lines).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lines).poll_shutdown(cx)
    }
}
