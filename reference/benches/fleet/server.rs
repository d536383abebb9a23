//! The orchestrator, in a process of its own.

use super::common::{Done, Outcome, Process, say};
use std::{net::SocketAddr, time::Duration};
use wireproof_reference::fleet::{Limits, Options, Server as Reference};

/// An orchestrator that runs, and ends when this is dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) process: Process,
}

impl Server {
    pub(crate) async fn start(heartbeat: Duration) -> Outcome<Self> {
        let (process, line) = Process::serve(&[&heartbeat.as_millis().to_string()]).await?;
        Ok(Self { addr: line.parse()?, process })
    }

    /// For how long its threads have run until now.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let mut all = 0;
        for task in std::fs::read_dir(format!("{}/task", self.process.proc()?))? {
            let line = std::fs::read_to_string(task?.path().join("schedstat"))?;
            all += line.split(' ').next().ok_or("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(all))
    }
}

/// The other side of [`Server::start`]: serves until it is killed.
pub(crate) async fn serve(heartbeat_ms: &str) -> Done {
    let limits = Limits {
        connections: 20_000,
        heartbeat_ms: heartbeat_ms.parse()?,
        ping_ms: 600_000,
        head_ms: 600_000,
        ..Limits::default()
    };
    let mut running = Reference::start(Options { limits, ..Options::default() }).await?;
    say(&running.addr.to_string());
    Ok(running.ended().await?)
}
