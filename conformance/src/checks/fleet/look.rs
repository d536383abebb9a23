//! Looks at the read model: until it shows what was said, and as a whole.

use super::{
    agent::Agent,
    setting::{data, get, ok},
};
use crate::{
    check::{Alternative, Cx, Outcome, Shown},
    wire::Seen,
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{
    fleet::requirements::{FLEET_INSTANCES_2, FLEET_INSTANCES_10},
    http::{Request, Response},
};

/// How long the read model may take to show that a connection has ended, with a little slack.
pub const GONE: Duration = Duration::from_millis(1_500);

/// How far apart looks are.
const PAUSE: Duration = Duration::from_millis(10);

/// How long it may take until what an agent says from now on is shown: up to the next Poll, and a second.
pub fn due(agent: &Agent) -> Duration {
    agent.heartbeat * 2 + Duration::from_secs(2)
}

/// Asks until the answer is this, for so long; the last answer.
///
/// # Errors
/// As [`Cx::send`].
pub async fn soon(
    cx: &Cx,
    within: Duration,
    request: &Request,
    awaited: &Alternative<Response>,
) -> Outcome<Seen<Response>> {
    let until = Instant::now() + within;
    loop {
        // One that left in time may be answered later.
        let last = Instant::now() >= until;
        let seen = cx.send(request.clone()).await?;
        match seen.look() {
            Ok(response) if !last && !awaited.holds(response) => sleep(PAUSE).await,
            _ => return Ok(seen),
        }
    }
}

/// All that is shown at one moment, but lastSyncAt.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The numbers of FleetStats.
    pub stats: Value,
    /// The ETag of FleetStats.
    pub tag: String,
    /// The instances in the order of their ids.
    pub instances: Value,
}

impl Look {
    /// The stateHash.
    pub fn hash(&self) -> &str {
        self.stats["stateHash"].as_str().unwrap_or_default()
    }

    /// The instances but for this one.
    pub fn without(&self, id: &str) -> Vec<&Value> {
        self.instances.as_array().into_iter().flatten().filter(|info| info["id"] != id).collect()
    }

    /// Whether an instance is shown.
    pub fn has(&self, id: &str) -> bool {
        self.instances.as_array().is_some_and(|all| all.iter().any(|info| info["id"] == id))
    }
}

impl Shown for Look {
    fn shown(&self) -> String {
        let count = self.instances.as_array().map_or(0, Vec::len);
        format!("the numbers {} with {count} instances in the list", self.stats)
    }
}

/// Instances without what changes with each State, in the order of their ids by code units.
pub fn timeless(instances: &Value) -> Value {
    let mut all = instances.as_array().cloned().unwrap_or_default();
    for info in &mut all {
        if let Some(members) = info.as_object_mut() {
            members.remove("lastSyncAt");
        }
    }
    all.sort_by_cached_key(|info| info["id"].as_str().unwrap_or_default().encode_utf16().collect::<Vec<_>>());
    Value::Array(all)
}

/// Looks at all that is shown: the numbers, between two looks at the instances that are the same.
///
/// # Errors
/// Stops the check, inconclusive, if the lists are refused, or the fleet does not come to rest.
pub async fn look(cx: &Cx) -> Outcome<Seen<Look>> {
    const TRIES: usize = 50;
    let instances = async || {
        let seen = cx.send(get(cx, "v1/instances")).await?;
        cx.need(FLEET_INSTANCES_2, &seen, &[ok(200)])?;
        Outcome::Ok(seen.map(|response| timeless(&data(&response))))
    };
    let mut before = instances().await?;
    for _ in 0..TRIES {
        let numbers = cx.send(get(cx, "v1/stats")).await?;
        cx.need(FLEET_INSTANCES_10, &numbers, &[ok(200)])?;
        let behind = instances().await?;
        if before.look().ok() == behind.look().ok() {
            return Ok(numbers.and(behind).map(|(numbers, instances)| Look {
                stats: data(&numbers),
                tag: numbers.headers.get("etag").unwrap_or_default().to_owned(),
                instances,
            }));
        }
        before = behind;
        sleep(PAUSE).await;
    }
    Err(cx.stop("others change the fleet all the time"))
}

/// As [`look`], when two looks in a row have shown the same: those who left before are gone.
///
/// # Errors
/// As [`look`].
pub async fn settled(cx: &Cx) -> Outcome<Seen<Look>> {
    const TRIES: usize = 20;
    let shows = |seen: &Seen<Look>| seen.look().ok().map(|look| look.instances.clone());
    let mut before = look(cx).await?;
    for _ in 0..TRIES {
        sleep(PAUSE * 5).await;
        let behind = look(cx).await?;
        if shows(&before) == shows(&behind) {
            return Ok(behind);
        }
        before = behind;
    }
    Err(cx.stop("others change the fleet all the time"))
}
