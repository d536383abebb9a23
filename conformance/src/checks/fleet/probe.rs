//! What an orchestrator tells about itself when asked: whether it has an API, how far apart its Polls are, and how long a State
//! it takes.

use super::{
    agent::{Agent, Came},
    setting::{Say, get},
};
use crate::check::{Cx, Outcome};
use std::time::Duration;

/// What [`probe`] asks for.
pub(super) const ASKS: &[&str] =
    &["fleet.api", "heartbeat-ms", "snapshot-bytes", "command-timeout-ms", "shutdown-ms", "ping-ms"];

/// The payloads that are tried: what every orchestrator takes, and what it should.
const LEAST: usize = 60_000;
const MOST: usize = 4_000_000;

/// Asks for what is not declared.
pub(super) async fn probe(cx: &Cx) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let declared = |name: &str| cx.target.declared.contains_key(name);
    if !declared("fleet.api")
        && let Ok(seen) = cx.send(get(cx, "v1/stats")).await
        && let Ok(response) = seen.look()
    {
        found.push(("fleet.api", if response.status == 404 { "off" } else { "on" }.to_owned()));
    }
    if !declared("heartbeat-ms")
        && let Ok(agent) = Agent::connect(cx).await
    {
        found.push(("heartbeat-ms", agent.heartbeat.as_millis().to_string()));
    }
    for (name, usual) in [("command-timeout-ms", "10000"), ("shutdown-ms", "10000"), ("ping-ms", "30000")] {
        if !declared(name) {
            found.push((name, usual.to_owned()));
        }
    }
    if !declared("snapshot-bytes")
        && let Ok(bytes) = longest(cx).await
    {
        found.push(("snapshot-bytes", bytes.to_string()));
    }
    found
}

/// The longest payload of a State that is taken, to within a hundredth.
async fn longest(cx: &Cx) -> Outcome<usize> {
    let (mut taken, mut refused) = (LEAST, MOST + 1);
    let mut size = MOST;
    while refused - taken > taken / 100 + 1 {
        if is_taken(cx, size).await? {
            taken = size;
        } else {
            refused = size;
        }
        size = usize::midpoint(taken, refused);
    }
    Ok(taken)
}

/// Whether a State with a payload of this size is applied: the Poll behind it knows its hash.
async fn is_taken(cx: &Cx, size: usize) -> Outcome<bool> {
    let mut agent = Agent::connect(cx).await?;
    let snapshot = cx.snapshot().padded_to(size, "poll_1");
    let hash = snapshot.hash();
    agent.says(snapshot);
    let until = tokio::time::Instant::now() + agent.heartbeat * 4 + Duration::from_secs(2);
    while let Some(heard) = agent.next_by(until).await? {
        match heard.look().map(|heard| &heard.came) {
            Ok(Came::Poll(poll)) if poll.known_hash.as_ref() == Some(&hash) => return Ok(true),
            Ok(Came::Hello(_) | Came::Poll(_)) => {}
            _ => break,
        }
    }
    Ok(false)
}
