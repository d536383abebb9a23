//! What the benches share: servers as processes of their own, and what is said of them.

use std::{io::Write, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
pub(crate) type Done = Outcome<()>;

/// Thousands of connections need as many descriptors.
pub(crate) fn raise_limit() -> Done {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

pub(crate) fn say(line: &str) {
    // Whoever reads may be gone.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A server that runs, and ends when this is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts it, and tells the line with which it says that it listens.
    pub(crate) async fn start(mut command: Command) -> Outcome<(Self, String)> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let line = BufReader::new(stdout).lines().next_line().await?.ok_or("the server did not start")?;
        Ok((Self(child), line))
    }

    /// Starts this bench again as a server: `serve`, and these arguments.
    pub(crate) async fn serve(arguments: &[&str]) -> Outcome<(Self, String)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").args(arguments);
        Self::start(command).await
    }

    /// Where the system tells what it knows of it.
    pub(crate) fn proc(&self) -> Outcome<String> {
        Ok(format!("/proc/{}", self.0.id().ok_or("the server has ended")?))
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("{}/status", self.proc()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }
}
