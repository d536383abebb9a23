//! The stream server under load, beside what it is compared with in the same run: a bare hyper handler that does nothing, and
//! the Node server if it is installed. Every server is a process of its own, so that what is measured of it is its own.
//!
//! `cargo bench -p wireproof-reference --bench stream [-- PART]` with PART one of `load`, `idle`, `offset`.

#[path = "stream/client.rs"]
mod client;
mod common;
#[path = "stream/servers.rs"]
mod servers;

use client::Client;
use common::{Done, Outcome, raise_limit, say};
use servers::{Kind, Server};
use std::time::{Duration, Instant};

/// How long each load lasts.
const LOAD: Duration = Duration::from_secs(2);
/// So much is appended each time.
const APPEND: usize = 100;
/// So much is read each time.
const READ: usize = 1_024;

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    raise_limit()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["serve", kind, ref data @ ..] => servers::serve(kind, data.first().copied()).await,
            [] => {
                load().await?;
                idle().await?;
                offset().await
            }
            ["load"] => load().await,
            ["idle"] => idle().await,
            ["offset"] => offset().await,
            ref other => Err(format!("expected load, idle or offset, found {other:?}").into()),
        }
    })
}

/// Appends and reads at 1 and 64 connections.
async fn load() -> Done {
    say(
        "load: requests a second, and the ratio to the server named last before it with nothing kept or the same kept",
    );
    for work in ["append", "read"] {
        for connections in [1, 64] {
            let mut bare = None;
            let mut kept = None;
            for kind in Kind::ALL {
                let Some(server) = Server::start(kind).await? else {
                    say(&format!(
                        "  {:<18} is not installed (npm ci in conformance/interop/stream)",
                        kind.name()
                    ));
                    continue;
                };
                let rate = rate(&server, work, connections).await?;
                let against = match kind {
                    Kind::Bare => {
                        bare = Some(rate);
                        String::new()
                    }
                    Kind::Memory => {
                        kept = Some(rate);
                        ratio(rate, bare, "bare hyper")
                    }
                    Kind::NodeMemory => ratio(rate, kept, "the reference in memory"),
                    Kind::Data => {
                        kept = Some(rate);
                        ratio(rate, bare, "bare hyper")
                    }
                    Kind::NodeFile => ratio(rate, kept, "the reference with --data"),
                };
                say(&format!("  {work:<6} x{connections:<3} {:<18} {rate:>9.0}/s {against}", kind.name()));
            }
        }
    }
    Ok(())
}

fn ratio(rate: f64, against: Option<f64>, what: &str) -> String {
    against.map_or_else(String::new, |against| format!(" {:.2} of {what}", rate / against))
}

async fn rate(server: &Server, work: &'static str, connections: usize) -> Outcome<f64> {
    let path = format!("{}/load", server.root);
    let mut first = Client::connect(server.addr).await?;
    first.put(&path, "application/octet-stream", &[b'x'; READ]).await?;
    let until = Instant::now() + LOAD;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (path, addr) = (path.clone(), server.addr);
        tasks.spawn(async move {
            let mut client = Client::connect(addr).await?;
            let mut done = 0_u32;
            while Instant::now() < until {
                match work {
                    "append" => client.post(&path, "application/octet-stream", &[b'a'; APPEND]).await?,
                    _ => client.get(&format!("{path}?offset=-1")).await?,
                };
                done += 1;
            }
            Outcome::Ok(done)
        });
    }
    let mut all = 0.0;
    while let Some(done) = tasks.join_next().await {
        all += f64::from(done??);
    }
    Ok(all / LOAD.as_secs_f64())
}

/// What an idle reader of an event stream costs the server in memory.
async fn idle() -> Done {
    say("idle: readers of an event stream that wait, in bytes of the server's resident memory each");
    for readers in [1_000, 10_000] {
        let Some(server) = Server::start(Kind::Memory).await? else { return Ok(()) };
        let path = format!("{}/idle", server.root);
        let mut client = Client::connect(server.addr).await?;
        client.put(&path, "text/plain", b"").await?;
        // The first connections grow what stays: the allocator's arenas, the runtime's queues.
        let warm = open(&server, &path, 50).await?;
        let before = server.process.resident()?;
        let held = open(&server, &path, readers).await?;
        let after = server.process.resident()?;
        say(&format!(
            "  {readers:>6} readers: {:>6} bytes each",
            after.saturating_sub(before) / readers as u64
        ));
        drop((warm, held));
    }
    Ok(())
}

async fn open(server: &Server, path: &str, readers: usize) -> Outcome<Vec<Client>> {
    let mut held = Vec::with_capacity(readers);
    for _ in 0..readers {
        let mut client = Client::connect(server.addr).await?;
        client.follow(&format!("{path}?offset=now&live=sse")).await?;
        held.push(client);
    }
    Ok(held)
}

/// A read at an offset costs the same, however long the stream is.
async fn offset() -> Done {
    const BATCH: usize = 1_000;
    const READS: u32 = 500;
    say("offset: a read at the middle of a stream of JSON messages, in microseconds");
    for kind in [Kind::Memory, Kind::Data] {
        let Some(server) = Server::start(kind).await? else { continue };
        let mut times = Vec::new();
        for messages in [1_000, 1_000_000] {
            let path = format!("{}/long-{messages}", server.root);
            let mut client = Client::connect(server.addr).await?;
            client.put(&path, "application/json", b"").await?;
            let mut middle = String::new();
            for batch in 0..messages / BATCH {
                let body: Vec<String> =
                    (0..BATCH).map(|n| format!("{{\"n\":{}}}", batch * BATCH + n)).collect();
                let half = batch == messages / BATCH / 2;
                let next = client
                    .post(&path, "application/json", format!("[{}]", body.join(",")).as_bytes())
                    .await?;
                if half {
                    middle = next;
                }
            }
            let url = format!("{path}?offset={middle}");
            client.get(&url).await?;
            let since = Instant::now();
            for _ in 0..READS {
                client.get(&url).await?;
            }
            times.push((messages, since.elapsed().as_secs_f64() * 1e6 / f64::from(READS)));
        }
        if let [(few, short), (many, long)] = times[..] {
            say(&format!(
                "  {:<18} {few} messages: {short:.0}, {many} messages: {long:.0}, ratio {:.2}",
                kind.name(),
                long / short
            ));
        }
    }
    Ok(())
}
