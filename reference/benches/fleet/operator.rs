//! An operator: asks one thing after the other, and waits until it sees what it wants.

use super::{
    common::{Done, Outcome},
    wire::{Head, Wire},
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};
use wireproof_reference::fleet::ADMIN_KEY;

/// How long between two looks at something that is about to come.
const AGAIN: Duration = Duration::from_millis(20);
/// After so long it does not come.
const LONGEST: Duration = Duration::from_secs(60);

pub(crate) struct Operator(Wire);

/// An answer: its head, its length, and how long it took.
pub(crate) struct Answer {
    head: Head,
    pub(crate) length: usize,
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn etag(&self) -> Outcome<String> {
        Ok(self.head.header("etag").ok_or("no ETag")?.to_owned())
    }
}

impl Operator {
    pub(crate) async fn connect(addr: SocketAddr) -> Outcome<Self> {
        Ok(Self(Wire::connect(addr).await?))
    }

    async fn ask(&mut self, method: &str, path: &str, more: &str, body: &str) -> Outcome<(Head, &[u8])> {
        let headers = format!("authorization: Bearer {ADMIN_KEY}\r\n{more}");
        self.0.ask(method, &format!("/v1/{path}"), &headers, body).await
    }

    /// Asks, and wants this status; with an entity tag, only for what has changed since.
    pub(crate) async fn get(&mut self, path: &str, known: Option<&str>, status: u16) -> Outcome<Answer> {
        let known = known.map_or_else(String::new, |known| format!("if-none-match: {known}\r\n"));
        let started = Instant::now();
        let (head, body) = self.ask("GET", path, &known, "").await?;
        let (length, took) = (body.len(), started.elapsed());
        match head.status()? {
            found if found == status => Ok(Answer { head, length, took }),
            found => Err(format!("GET {path}: expected {status}, found {found}").into()),
        }
    }

    /// Asks for a room; tells how long that took.
    pub(crate) async fn create(&mut self, placement: &str) -> Outcome<Duration> {
        let body = format!(r#"{{"type":"match","placement":{placement}}}"#);
        let started = Instant::now();
        let (head, answer) = self.ask("POST", "rooms", "", &body).await?;
        match head.status()? {
            201 => Ok(started.elapsed()),
            status => Err(format!("POST rooms: {status} {}", String::from_utf8_lossy(answer)).into()),
        }
    }

    /// Waits until there are so many instances.
    pub(crate) async fn until(&mut self, instances: usize) -> Done {
        let wanted = format!(r#""instances":{instances},"#);
        let started = Instant::now();
        while !contains(self.ask("GET", "stats", "", "").await?.1, &wanted) {
            in_time(started)?;
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }

    /// Asks for an instance at once and again and again, until so many or more are connected to it.
    pub(crate) async fn until_connected(&mut self, id: &str, connections: u32) -> Done {
        let path = format!("instances/{id}");
        let started = Instant::now();
        loop {
            let answer: serde_json::Value = serde_json::from_slice(self.ask("GET", &path, "", "").await?.1)?;
            if answer["data"]["connections"].as_u64().is_some_and(|found| found >= connections.into()) {
                return Ok(());
            }
            in_time(started)?;
        }
    }

    /// Waits until an instance is gone.
    pub(crate) async fn until_gone(&mut self, id: &str) -> Done {
        let path = format!("instances/{id}");
        let started = Instant::now();
        while self.ask("GET", &path, "", "").await?.0.status()? != 404 {
            in_time(started)?;
        }
        Ok(())
    }
}

/// A reader of events, as long as this is held.
pub(crate) async fn listen(addr: SocketAddr) -> Outcome<JoinSet<std::io::Result<u64>>> {
    let mut stream = TcpStream::connect(addr).await?;
    let ask =
        format!("GET /v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN_KEY}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await?;
    // The head has come: it listens.
    stream.readable().await?;
    let mut listening = JoinSet::new();
    listening.spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
    Ok(listening)
}

fn in_time(started: Instant) -> Done {
    if started.elapsed() > LONGEST { Err("what was to be seen did not come".into()) } else { Ok(()) }
}

fn contains(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len()).any(|found| found == wanted.as_bytes())
}
