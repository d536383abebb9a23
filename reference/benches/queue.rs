//! The queue server under load, beside a bare fan-out of equal frames over tokio-tungstenite in the same run; what a long replay
//! and what idle subscribers cost. Every server is a process of its own, so that what is measured of it is its own.
//!
//! `cargo bench -p wireproof-reference --bench queue [-- PART]` with PART one of `push`, `replay`, `idle`.

#[path = "queue/client.rs"]
mod client;
mod common;
#[path = "queue/servers.rs"]
mod servers;
#[path = "common/wire.rs"]
mod wire;

use client::{Api, Subscriber};
use common::{Done, Outcome, raise_limit, say};
use servers::{Kind, Server};
use std::time::{Duration, Instant};

/// So many frames are pushed in all, however many subscribers there are.
const FRAMES: usize = 200_000;
/// How often each throughput is measured; the best of them counts, for the machine does other things too.
const TIMES: usize = 3;
/// How many messages a publish takes at once.
const BATCH: usize = 1_000;

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    raise_limit()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["serve", kind] => servers::serve(kind).await,
            [] => {
                push().await?;
                replay().await?;
                idle().await
            }
            ["push"] => push().await,
            ["replay"] => replay().await,
            ["idle"] => idle().await,
            ref other => Err(format!("expected push, replay or idle, found {other:?}").into()),
        }
    })
}

/// Frames a second to 1, 100 and 1,000 subscribers.
///
/// The messages are published while the queue is paused, and are pushed when it is resumed, each in a frame of the type
/// message: what is measured is pushing alone. The bare server has frames of the same length, and is told to send them.
async fn push() -> Done {
    say("push: frames a second to all subscribers together, and the ratio to the bare fan-out");
    for subscribers in [1, 100, 1_000] {
        let messages = FRAMES / subscribers;
        let mut best = [0.0_f64; 2];
        let mut size = 0;
        for _ in 0..TIMES {
            let server = Server::start(Kind::Reference).await?;
            let mut api = Api::connect(server.addr).await?;
            api.create("load").await?;
            let mut all = joined(&server, "load", subscribers).await?;
            api.ask("POST", "pause/load", "{}").await?;
            api.publish("load", messages).await?;
            let started = Instant::now();
            api.ask("POST", "resume/load", "{}").await?;
            size = drained(&mut all, messages).await?;
            best[0] = best[0].max(rate(subscribers * messages, started));

            let server = Server::start(Kind::Bare).await?;
            let mut all = joined(&server, "load", subscribers).await?;
            let mut trigger = Subscriber::open(server.addr, "load").await?;
            let started = Instant::now();
            trigger.send(&format!("push {messages} {size}")).await?;
            drained(&mut all, messages).await?;
            best[1] = best[1].max(rate(subscribers * messages, started));
        }
        let [reference, bare] = best;
        say(&format!(
            "  to {subscribers:>5}: {reference:>9.0}/s, bare {bare:>9.0}/s, {:.2}; {messages} messages in frames of {size} bytes",
            reference / bare
        ));
    }
    Ok(())
}

fn rate(frames: usize, since: Instant) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let frames = frames as f64;
    frames / since.elapsed().as_secs_f64()
}

async fn joined(server: &Server, queue: &str, subscribers: usize) -> Outcome<Vec<Subscriber>> {
    let mut all = Vec::with_capacity(subscribers);
    for _ in 0..subscribers {
        let mut subscriber = Subscriber::open(server.addr, queue).await?;
        subscriber.join(None).await?;
        all.push(subscriber);
    }
    Ok(all)
}

/// Reads so many frames on each connection; tells how long the last of them was.
async fn drained(all: &mut Vec<Subscriber>, frames: usize) -> Outcome<usize> {
    let mut tasks = tokio::task::JoinSet::new();
    for mut subscriber in std::mem::take(all) {
        tasks.spawn(async move {
            let mut last = 0;
            for _ in 0..frames {
                last = subscriber.frame().await?;
            }
            Outcome::Ok((subscriber, last))
        });
    }
    let mut size = 0;
    while let Some(done) = tasks.join_next().await {
        let (subscriber, last) = done??;
        all.push(subscriber);
        size = last;
    }
    Ok(size)
}

/// What a replay of a million messages costs the server in memory, and how long it takes.
async fn replay() -> Done {
    const MESSAGES: usize = 1_000_000;
    let server = Server::start(Kind::Data).await?;
    let mut api = Api::connect(server.addr).await?;
    api.create("long").await?;
    api.publish("long", MESSAGES).await?;
    let before = server.process.resident()?;
    let mut subscriber = Subscriber::open(server.addr, "long").await?;
    let started = Instant::now();
    subscriber.join(Some(-1)).await?;
    let (mut found, mut most) = (0, before);
    while found < MESSAGES {
        found += subscriber.messages().await?;
        most = most.max(server.process.resident()?);
    }
    say(&format!(
        "replay: {MESSAGES} retained messages in {:.1} s, with {:.1} MiB more than before",
        started.elapsed().as_secs_f64(),
        mebibytes(most.saturating_sub(before))
    ));
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// What a subscriber who waits costs the server in memory.
async fn idle() -> Done {
    say("idle: subscribers that wait, in bytes of the server's resident memory each");
    for subscribers in [1_000, 10_000] {
        let server = Server::start(Kind::Reference).await?;
        let mut api = Api::connect(server.addr).await?;
        api.create("idle").await?;
        // The first connections grow what stays: the allocator's arenas, the runtime's queues.
        let warm = joined(&server, "idle", 50).await?;
        let before = server.process.resident()?;
        let held = joined(&server, "idle", subscribers).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let after = server.process.resident()?;
        let each = after.saturating_sub(before) / u64::try_from(subscribers)?;
        say(&format!("  {subscribers:>6} subscribers: {each:>6} bytes each"));
        drop((warm, held));
    }
    Ok(())
}
