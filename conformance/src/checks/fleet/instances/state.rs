//! The stateHash: when it stays, and when it changes.

use crate::{
    check::{Cx, Outcome, alternative},
    checks::fleet::{
        agent::Agent,
        ear::Ear,
        look::{GONE, Look, due, look, settled, soon},
        setting::{Say, drain, instance, ok, refused, told},
    },
    wire::Seen,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;
use wireproof_spec::fleet::{Cause, Label, Origin, Snapshot, Status, requirements::*};

/// Hash-only States, a drain that is acknowledged, and an instance that becomes stale leave the hash as it is.
pub(super) async fn same_hash(cx: &Cx) -> Outcome {
    let snapshot = cx.snapshot().with_room(told(&cx.name(), "any", 1));
    let mut agent = Agent::obedient(cx, snapshot).await?;
    let mut ear = Ear::open(cx).await?;
    let mut looks = vec![settled(cx).await?];
    // The first one came before, and when the third comes the second was answered.
    for _ in 0..3 {
        let _ = agent.poll(cx).await?;
    }
    looks.push(look(cx).await?);
    let drained = cx.send(drain(cx, &agent.id, true)).await?;
    cx.need(FLEET_COMMANDS_13, &drained, &[ok(200)])?;
    looks.push(look(cx).await?);
    agent.is_silent();
    let id = agent.id.clone();
    let until = Instant::now() + agent.heartbeat * 4 + cx.answer_time();
    let stale = ear.until(until, |told| told.is("instance:stale", &id)).await?;
    cx.need(FLEET_EVENTS_8, &stale, &[alternative("an instance:stale", |_| true)])?;
    looks.push(look(cx).await?);
    let id = agent.id.clone();
    let all = Seen::all(looks);
    if let Ok(looks) = all.look()
        && looks.iter().any(|look| look.instances != looks[0].instances || !look.has(&id))
    {
        return Err(cx.stop("somebody else has changed the fleet, or the agent was evicted"));
    }
    let same = alternative("the same stateHash each time", |looks: &Vec<Look>| {
        !looks[0].hash().is_empty() && looks.iter().all(|look| look.hash() == looks[0].hash())
    });
    cx.expect(FLEET_INSTANCES_13, &all, &[same])?;
    Ok(())
}

/// Every change that an instance and a room can have.
const CHANGES: [fn(&mut Snapshot); 14] = [
    |it| it.name.push('x'),
    |it| it.endpoint_url.push('x'),
    |it| it.labels[0].value.push('x'),
    |it| it.labels.push(Label { key: "other".into(), value: "label".into() }),
    |it| it.room_types.push("other".into()),
    |it| it.capacity.max_connections = Some(0),
    |it| it.capacity.max_rooms = None,
    |it| it.auto_create = false,
    |it| it.status = Status::Draining,
    |it| it.agent_version.push('x'),
    |it| it.rooms[0].connections += 1,
    |it| it.rooms[0].kind.push('x'),
    |it| it.rooms[0].origin = Origin::Local,
    |it| it.rooms.truncate(0),
];

/// Each instance that joins, each change of one, and one that leaves, give a hash that was not there before.
pub(super) async fn other_hash(cx: &Cx) -> Outcome {
    let mut looks = vec![settled(cx).await?];
    let mut agents = Vec::new();
    for _ in CHANGES {
        let snapshot = cx.snapshot().labelled("k", "v").bounded(None, Some(1));
        let agent = Agent::join(cx, snapshot.with_room(told(&cx.name(), "any", 1))).await?;
        // Its next Poll waits until it is its turn.
        agent.is_silent();
        agents.push(agent);
        looks.push(look(cx).await?);
    }
    // The first one was answered.
    for agent in &mut agents {
        let _ = (agent.poll(cx).await?, agent.poll(cx).await?);
    }
    for (agent, change) in agents.iter_mut().zip(CHANGES) {
        let changed = agent.snapshot().but(change);
        agent.says(changed);
        looks.push(changed_from(cx, looks.last(), due(agent)).await?);
    }
    let absent = refused(Cause::InstanceNotFound);
    for agent in agents.iter().take(1) {
        agent.close(1000);
        let seen = soon(cx, GONE, &instance(cx, &agent.id), &absent).await?;
        cx.need(FLEET_INSTANCES_3, &seen, std::slice::from_ref(&absent))?;
        looks.push(look(cx).await?);
    }
    let other = alternative("another stateHash each time", |looks: &Vec<Look>| {
        let hashes: BTreeSet<&str> = looks.iter().map(Look::hash).collect();
        hashes.len() == looks.len()
    });
    cx.expect(FLEET_INSTANCES_14, &Seen::all(looks), &[other])?;
    Ok(())
}

/// The first look that shows something else than the one before, within this time.
async fn changed_from(cx: &Cx, before: Option<&Seen<Look>>, within: Duration) -> Outcome<Seen<Look>> {
    let shows = |seen: &Seen<Look>| seen.look().ok().map(|look| look.instances.clone());
    let (before, until) = (before.and_then(shows), Instant::now() + within);
    while Instant::now() < until {
        let now = look(cx).await?;
        if shows(&now) != before {
            return Ok(now);
        }
    }
    Err(cx.stop("what an agent said is not shown"))
}
