//! What becomes of an agent whose snapshots are rejected, and of what is shown of it.

use super::bounds::Change;
use crate::{
    check::{Cx, Outcome, Shown, alternative},
    checks::fleet::{
        agent::{Agent, Came, Heard},
        by_hand::{SOON, polled},
        look::{settled, soon},
        setting::{Say, data, get, info, instance, ok_and, refused, rooms_of, told},
    },
    wire::Seen,
};
use futures_util::future::try_join_all;
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::time::Instant;
use wireproof_spec::{
    fleet::{Cause, Label, Snapshot, Status, requirements::*},
    http::Response,
};

/// One thing that breaks a bound, of each kind.
const BAD: [Change; 8] = [
    ("a name of 65 units", |s| s.name = "n".repeat(65)),
    ("an endpointUrl without a scheme", |s| s.endpoint_url = "host.example/rooms".into()),
    ("33 labels", |s| {
        s.labels = (0..33).map(|n| Label { key: n.to_string(), value: "new".into() }).collect();
    }),
    ("a value of 65 units", |s| s.labels.push(Label { key: "long".into(), value: "v".repeat(65) })),
    ("257 roomTypes", |s| s.room_types = (0..257).map(|n| n.to_string()).collect()),
    ("a room whose id has 257 units", |s| s.rooms.push(told(&"r".repeat(257), "any", 0))),
    ("a room whose type has 65 units", |s| s.rooms.push(told("last", &"t".repeat(65), 0))),
    ("a room of 1000001 connections", |s| s.rooms.push(told("last", "any", 1_000_001))),
];

/// The same agent, of which everything is another.
fn all_new(held: &Snapshot) -> Snapshot {
    let room = told(&format!("{}-new", held.name), "new", 7);
    held.clone()
        .labelled("is", "new")
        .bounded(Some(5), Some(6))
        .with_room(room)
        .in_status(Status::Draining)
        .but(|snapshot| {
            snapshot.name = "new".into();
            snapshot.endpoint_url = "wss://new.example".into();
            snapshot.room_types.push("new".into());
            snapshot.auto_create = false;
            snapshot.agent_version = "2.0.0".into();
        })
}

/// All that the API shows, but for lastSyncAt, and the ETags.
#[derive(Clone, Debug, PartialEq)]
struct Looked {
    shown: Vec<Value>,
    tags: Vec<Option<String>>,
}

impl Looked {
    /// The instances that are not these.
    fn others(&self, mine: &BTreeSet<String>) -> Vec<Value> {
        let all = self.shown.get(1).and_then(Value::as_array).cloned().unwrap_or_default();
        let is_mine = |info: &Value| info["id"].as_str().is_some_and(|id| mine.contains(id));
        all.into_iter().filter(|info| !is_mine(info)).collect()
    }
}

/// What differs between two looks.
struct Compared(Looked, Looked);

impl Shown for Compared {
    fn shown(&self) -> String {
        let (before, after) = (&self.0, &self.1);
        let differ = before.shown.iter().zip(&after.shown).filter(|(before, after)| before != after).count();
        let tags = |looked: &Looked| {
            looked
                .tags
                .iter()
                .map(|tag| tag.clone().unwrap_or_else(|| "none".into()))
                .collect::<Vec<_>>()
                .join(", ")
        };
        format!(
            "{differ} of {} answers are others than before; the ETags were {} and are {}",
            before.shown.len(),
            tags(before),
            tags(after)
        )
    }
}

async fn look(cx: &Cx, ids: &BTreeSet<String>) -> Outcome<Seen<Looked>> {
    let mut answers = Vec::new();
    for path in ["v1/stats", "v1/instances", "v1/rooms"] {
        answers.push(cx.send(get(cx, path)).await?);
    }
    for id in ids {
        answers.push(cx.send(instance(cx, id)).await?);
        answers.push(cx.send(rooms_of(cx, id)).await?);
    }
    Ok(Seen::all(answers).map(|answers: Vec<Response>| Looked {
        shown: answers.iter().map(|answer| timeless(data(answer))).collect(),
        tags: answers.iter().take(3).map(|answer| answer.headers.get("etag").map(str::to_owned)).collect(),
    }))
}

/// Without lastSyncAt.
fn timeless(mut value: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.remove("lastSyncAt");
                members.values_mut().for_each(strip);
            }
            Value::Array(all) => all.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut value);
    value
}

/// Waits for two Polls from now on: what was sent before the second one was looked at.
async fn two_polls(cx: &Cx, agent: &mut Agent) -> Outcome {
    let (now, mut polls) = (Instant::now(), 0);
    while polls < 2 {
        let seen = agent.next(cx).await?;
        match seen.look() {
            Ok(Heard { came: Came::Poll(_), at }) if *at > now => polls += 1,
            Ok(Heard { came: Came::Poll(_) | Came::Hello(_) | Came::Cmd(_), .. }) => {}
            Ok(other) => return Err(cx.stop(&format!("{} came where a Poll was awaited", other.shown()))),
            Err(why) => return Err(cx.stop(&format!("no Poll came: {why}"))),
        }
    }
    Ok(())
}

/// Agents of which everything is new, and one thing breaks a bound: all is shown as it was.
pub(super) async fn nothing_shown(cx: &Cx) -> Outcome {
    let mut agents = try_join_all(BAD.iter().map(async |_| {
        let name = cx.name();
        Agent::join(cx, cx.snapshot().labelled("is", "old").with_room(told(&name, "any", 1))).await
    }))
    .await?;
    let ids: BTreeSet<String> = agents.iter().map(|agent| agent.id.clone()).collect();
    let _ = settled(cx).await?;
    let before = look(cx, &ids).await?;
    for (agent, (_, change)) in agents.iter().zip(BAD) {
        agent.says(all_new(&agent.snapshot()).but(change));
    }
    try_join_all(agents.iter_mut().map(|agent| two_polls(cx, agent))).await?;
    let after = look(cx, &ids).await?;
    if let (Ok(before), Ok(after)) = (before.look(), after.look())
        && before.others(&ids) != after.others(&ids)
    {
        return Err(cx.stop("other instances came, changed or went in the meantime"));
    }
    let both = before.and(after).map(|(before, after)| Compared(before, after));
    let same = alternative("all that is shown, and the ETags, as before", |both: &Compared| both.0 == both.1);
    cx.expect(FLEET_SNAPSHOT_26, &both, &[same])?;
    Ok(())
}

/// Whoever was never taken at its word is not there, until it is.
pub(super) async fn first(cx: &Cx) -> Outcome {
    try_join_all(BAD.iter().map(async |(what, change)| {
        let mut agent = Agent::connect(cx).await?;
        let good = agent.snapshot();
        agent.says(good.clone().but(change));
        two_polls(cx, &mut agent).await?;
        let seen = cx.send(instance(cx, &agent.id)).await?;
        cx.expect(FLEET_SNAPSHOT_27, &seen, &[refused(Cause::InstanceNotFound)])?;
        let id = agent.id.clone();
        let none = ok_and(200, &format!("no instance of an agent with {what}"), move |data| {
            data.as_array().is_some_and(|all| all.iter().all(|info| info["id"] != id.as_str()))
        });
        let seen = cx.send(get(cx, "v1/instances")).await?;
        cx.expect(FLEET_SNAPSHOT_27, &seen, &[none])?;
        agent.says(good.clone());
        two_polls(cx, &mut agent).await?;
        let there = info(&good, &agent.id);
        let seen = soon(cx, SOON, &instance(cx, &agent.id), &there).await?;
        cx.expect(FLEET_SNAPSHOT_27, &seen, &[there])?;
        Ok(())
    }))
    .await?;
    Ok(())
}

/// Whoever answers with nothing but what is rejected is polled, for longer than the silent may be silent; whether something of it was
/// applied before or not.
pub(super) async fn all(cx: &Cx) -> Outcome {
    try_join_all([false, true].map(async |applied_before| {
        let mut agent =
            if applied_before { Agent::join(cx, cx.snapshot()).await? } else { Agent::connect(cx).await? };
        agent.says(agent.snapshot().rejected());
        let (began, long) = (Instant::now(), agent.heartbeat * 5);
        loop {
            let seen = agent.next(cx).await?;
            let heard = cx.expect(FLEET_SNAPSHOT_28, &seen, &[polled()])?;
            if heard.at > began + long {
                return Ok(());
            }
        }
    }))
    .await?;
    Ok(())
}
