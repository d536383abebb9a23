//! The orchestrator with up to 10,000 agents, each with ten rooms: what an agent costs, how its cost grows, and how long
//! operators wait. The orchestrator is a process of its own, so that what is measured of it is its own; agents and operators
//! share the other one, and where they are many they wait for the processors too.
//!
//! Whoever asks for all is answered in proportion to all, and so is whoever asks for the state hash first behind a change, or is
//! told one with a sync: it is a hash of all that is shown (spec/fleet.md, "Hash").
//!
//! `cargo bench -p wireproof-reference --bench fleet [-- PART]` with PART one of `idle`, `poll`, `read`, `change`, `place`.

#[path = "fleet/agents.rs"]
mod agents;
mod common;
#[path = "fleet/operator.rs"]
mod operator;
#[path = "fleet/server.rs"]
mod server;
#[path = "common/wire.rs"]
mod wire;

use agents::Agents;
use common::{Done, Outcome, raise_limit, say};
use operator::Operator;
use server::Server;
use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

/// How many agents there are, from few to many.
const FLEETS: [usize; 3] = [100, 1_000, 10_000];
/// How many rooms an agent has.
const ROOMS: usize = 10;
/// H where Polls are measured. It is shorter than the usual 5 s, so that there are many of them.
const BUSY: Duration = Duration::from_secs(2);
/// H where they are to disturb nothing.
const QUIET: Duration = Duration::from_secs(300);
/// For how long Polls are measured.
const WINDOW: Duration = Duration::from_secs(10);
/// How often what is asked for is asked for.
const TIMES: usize = 50;
/// How many ask for rooms at once.
const AT_ONCE: usize = 32;

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    raise_limit()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["serve", heartbeat_ms] => server::serve(heartbeat_ms).await,
            [] => {
                idle().await?;
                poll().await?;
                read().await?;
                change().await?;
                place().await
            }
            ["idle"] => idle().await,
            ["poll"] => poll().await,
            ["read"] => read().await,
            ["change"] => change().await,
            ["place"] => place().await,
            ref other => Err(format!("expected idle, poll, read, change or place, found {other:?}").into()),
        }
    })
}

/// An orchestrator with so many agents, all of them seen by an operator.
async fn fleet(heartbeat: Duration, agents: usize, rooms: usize) -> Outcome<(Server, Agents, Operator)> {
    let server = Server::start(heartbeat).await?;
    let mut all = Agents::new(server.addr, rooms);
    let mut operator = Operator::connect(server.addr).await?;
    all.join_all(agents).await?;
    operator.until(agents).await?;
    Ok((server, all, operator))
}

/// The value below which this part of all lies.
fn quantile(all: &mut [Duration], part: f64) -> Duration {
    all.sort_unstable();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let index = ((all.len() as f64 * part) as usize).min(all.len().saturating_sub(1));
    all.get(index).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How many times as much as what was measured first.
fn against(first: &mut Option<Duration>, time: Duration) -> f64 {
    time.as_secs_f64() / first.get_or_insert(time).as_secs_f64()
}

#[allow(clippy::cast_precision_loss)]
fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// What an agent costs the orchestrator in memory, between two Polls.
async fn idle() -> Done {
    const WARM: usize = 50;
    say("idle: an agent between two Polls, in bytes of the orchestrator's resident memory");
    for rooms in [0, ROOMS] {
        for agents in FLEETS {
            // The first connections grow what stays: the allocator's arenas, the runtime's queues.
            let (server, mut all, mut operator) = fleet(QUIET, WARM, rooms).await?;
            let before = server.process.resident()?;
            all.join_all(agents).await?;
            operator.until(WARM + agents).await?;
            let after = server.process.resident()?;
            let each = after.saturating_sub(before) / u64::try_from(agents)?;
            say(&format!("  {agents:>6} agents with {rooms:>2} rooms: {each:>6} bytes each"));
            all.check()?;
        }
    }
    Ok(())
}

/// What a Poll costs the orchestrator, and how late it comes: where nothing changes, so that all States but one in twelve are
/// hash-only, and where each State is a snapshot that changes something.
///
/// A Poll is as late as it comes more than H behind the one before, at the agent. A change is seen from when its State is sent
/// to the end of the first answer to a GET of its instance that shows it; these are asked one behind the other from the moment
/// when it was sent.
async fn poll() -> Done {
    say(&format!("poll: an agent with {ROOMS} rooms every {BUSY:?}, and the ratio to the first line"));
    for changing in [false, true] {
        let mut first = None;
        for agents in FLEETS {
            let (server, mut all, mut operator) = fleet(BUSY, agents, ROOMS).await?;
            all.seen().changing.store(changing, Relaxed);
            tokio::time::sleep(BUSY).await;
            let (cpu, polls, started) = (server.cpu()?, all.seen().polls(), Instant::now());
            all.seen().late();
            tokio::time::sleep(WINDOW).await;
            let (spent, answered) = (server.cpu()? - cpu, all.seen().polls() - polls);
            let busy = 100.0 * spent.as_secs_f64() / started.elapsed().as_secs_f64();
            let mut late = all.seen().late();
            let each = spent.div_f64(rate(answered, Duration::from_secs(1)));
            let mut seen = String::new();
            if changing {
                let mut times = Vec::new();
                for _ in 0..TIMES {
                    let said = all.seen().probe().await?;
                    operator.until_connected(&said.id, said.connections).await?;
                    times.push(said.at.elapsed());
                }
                let (half, most) = (quantile(&mut times, 0.5), quantile(&mut times, 0.95));
                seen = format!("; seen after {:.1} ms, 95 %: {:.1}", ms(half), ms(most));
            }
            let kind = if changing { "changing" } else { "unchanged" };
            say(&format!(
                "  {agents:>6} {kind:<9}: {:>5.1} us of CPU each, ratio {:.2} ({busy:.0} % of a processor, {:.0} Polls/s); \
                 late by {:.1} ms, 99 %: {:.1}, most {:.1}{seen}",
                ms(each) * 1e3,
                against(&mut first, each),
                rate(answered, WINDOW),
                ms(quantile(&mut late, 0.5)),
                ms(quantile(&mut late, 0.99)),
                ms(quantile(&mut late, 1.0)),
            ));
            all.check()?;
        }
    }
    Ok(())
}

/// How long reading takes while nothing changes, with what has an entity tag asked for again with it.
async fn read() -> Done {
    say(&format!(
        "read: one request after the other, {ROOMS} rooms an agent; medians, and the ratio to the least fleet"
    ));
    let mut first: Vec<Option<Duration>> = vec![None; 16];
    for agents in [FLEETS[0], FLEETS[2]] {
        let (_server, mut all, mut operator) = fleet(QUIET, agents, ROOMS).await?;
        let (id, _) = all.join().await?;
        operator.until(agents + 1).await?;
        let etag = operator.get("stats", None, 200).await?.etag()?;
        let instance = format!("instances/{id}");
        let mut slots = first.iter_mut();
        for path in ["stats", "instances", "rooms", "rooms?type=lobby", instance.as_str(), "rooms/room-7-7"] {
            let tagged = path != instance && path != "rooms/room-7-7";
            for known in [None, Some(etag.as_str())].into_iter().take(1 + usize::from(tagged)) {
                let status = if known.is_some() { 304 } else { 200 };
                let mut times = Vec::with_capacity(TIMES);
                let mut length = 0;
                for _ in 0..TIMES {
                    let answer = operator.get(path, known, status).await?;
                    times.push(answer.took);
                    length = answer.length;
                }
                let took = quantile(&mut times, 0.5);
                let ratio = slots.next().map_or(1.0, |first| against(first, took));
                let path = if path == instance { "instances/ID" } else { path };
                say(&format!(
                    "  {agents:>6} agents, {path:<16} {status}: {:>8.3} ms, {length:>9} bytes, ratio {ratio:.2}",
                    ms(took)
                ));
            }
        }
        all.check()?;
    }
    Ok(())
}

/// What it costs that something has changed: the first answer with an entity tag behind it, for which the state hash is made
/// over all that is shown; and what an agent that comes and goes costs the orchestrator without and with a reader of events,
/// who is told a state hash each time.
async fn change() -> Done {
    say(&format!(
        "change: an agent with {ROOMS} rooms comes and goes; medians, and the ratio to the least fleet"
    ));
    let mut first: [Option<Duration>; 4] = [None; 4];
    for agents in FLEETS {
        let (server, mut all, mut operator) = fleet(QUIET, agents, ROOMS).await?;
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..TIMES {
            let (id, agent) = all.join().await?;
            operator.until_connected(&id, 0).await?;
            let behind = operator.get("stats", None, 200).await?;
            times[0].push(behind.took);
            times[1].push(operator.get("stats", Some(&behind.etag()?), 304).await?.took);
            agent.abort();
            operator.until_gone(&id).await?;
        }
        let mut spent = Vec::new();
        for listens in [false, true] {
            let listening = if listens { Some(operator::listen(server.addr).await?) } else { None };
            let cpu = server.cpu()?;
            for _ in 0..TIMES {
                let (id, agent) = all.join().await?;
                operator.until_connected(&id, 0).await?;
                agent.abort();
                operator.until_gone(&id).await?;
            }
            spent.push((server.cpu()? - cpu) / u32::try_from(TIMES)?);
            drop(listening);
        }
        let [behind, again] = &mut times;
        let all_times = [quantile(behind, 0.5), quantile(again, 0.5), spent[0], spent[1]];
        let what =
            ["stats behind a change", "304 again", "CPU of both, nobody listens", "CPU of both, one listens"];
        for ((what, took), first) in what.into_iter().zip(all_times).zip(&mut first) {
            say(&format!(
                "  {agents:>6} agents, {what:<27}: {:>8.3} ms, ratio {:.2}",
                ms(took),
                against(first, took)
            ));
        }
        all.check()?;
    }
    Ok(())
}

/// How long it takes until a room is made, from the request to its answer, with the command and its Ack between them.
async fn place() -> Done {
    say(&format!(
        "place: rooms one after the other, and with {AT_ONCE} requests at once; {ROOMS} rooms an agent; the ratio to the least fleet"
    ));
    let mut first: [Option<Duration>; 3] = [None; 3];
    for agents in FLEETS {
        let (server, mut all, mut operator) = fleet(QUIET, agents, ROOMS).await?;
        for (way, first) in ["least-loaded", "random", "pinned"].into_iter().zip(&mut first) {
            let mut placement = format!(r#"{{"strategy":"{way}"}}"#);
            if way == "pinned" {
                // One that has sent nothing yet: the frames that an agent may send are counted.
                let (id, _) = all.join().await?;
                operator.until(agents + 1).await?;
                placement = format!(r#"{{"instanceId":"{id}"}}"#);
            }
            let mut times = Vec::with_capacity(TIMES);
            for _ in 0..TIMES {
                times.push(operator.create(&placement).await?);
            }
            let took = quantile(&mut times, 0.5);
            let at_once = match way {
                "pinned" => String::new(),
                _ => at_once(&server, &placement).await?,
            };
            say(&format!(
                "  {agents:>6} agents, {way:<12}: {:>6.3} ms, ratio {:.2}{at_once}",
                ms(took),
                against(first, took)
            ));
        }
        all.check()?;
    }
    Ok(())
}

/// How many rooms a second are made where many ask at once, and what each costs.
async fn at_once(server: &Server, placement: &str) -> Outcome<String> {
    let (cpu, started) = (server.cpu()?, Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let mut operator = Operator::connect(server.addr).await?;
        let placement = placement.to_owned();
        tasks.spawn(async move {
            for _ in 0..TIMES {
                operator.create(&placement).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let each = (server.cpu()? - cpu) / u32::try_from(AT_ONCE * TIMES)?;
    let rate = rate(AT_ONCE * TIMES, started.elapsed());
    Ok(format!("; {rate:.0}/s at once, {:.0} us of CPU each", ms(each) * 1e3))
}
