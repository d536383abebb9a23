//! Checks of rooms that are pinned to an instance, and of instances that are stale.

use crate::{
    check::{Cx, Outcome, alternative},
    checks::fleet::{
        agent::{Agent, done},
        look::soon,
        orders::{
            anywhere, asked, asked_soon, came, forced, in_time, kind, nobody, obedient, up_to_now, went,
        },
        setting::{Say, create, drain, get, instance, ok, refused, told},
    },
    wire::{Seen, sse::Item},
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::Instant;
use wireproof_spec::{
    fleet::{Cause, Snapshot, Status, requirements::*},
    http::{Request, Response},
};

/// A POST /v1/rooms with this placement, for a type that nobody has said to take.
fn placed(cx: &Cx, placement: &Value) -> Request {
    create(cx, &json!({"type": "any", "roomId": cx.name(), "placement": placement}))
}

/// The two ways to pin a room to an agent.
fn ways(agent: &Agent) -> [Value; 2] {
    [json!({"instanceId": agent.id}), json!({"processUid": agent.snapshot().process_uid})]
}

/// With force.
fn with_force(mut placement: Value) -> Value {
    placement["force"] = true.into();
    placement
}

/// Both pins, of one instance and of two; each of them alone is taken.
pub(super) async fn both(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot(), cx.snapshot()]).await?;
    for way in ways(&agents[0]) {
        let seen = asked(cx, &mut agents, placed(cx, &way)).await?;
        cx.need(FLEET_PLACEMENT_17, &seen, &[went(&agents, 0)])?;
    }
    for other in [0, 1] {
        let uid = agents[other].snapshot().process_uid;
        let both = json!({"instanceId": agents[0].id, "processUid": uid});
        for placement in [both.clone(), with_force(both)] {
            let seen = asked(cx, &mut agents, placed(cx, &placement)).await?;
            cx.expect(FLEET_PLACEMENT_16, &seen, &[nobody(Cause::Validation)])?;
        }
    }
    Ok(())
}

/// An instance that is no candidate in any way but for its status, while another one is.
pub(super) async fn whatever(cx: &Cx) -> Outcome {
    let room = |count| told(&cx.name(), "other", count);
    let no_types = cx.snapshot().hosting(&[]);
    let no_labels = cx.snapshot().labelled("zone", "a");
    let no_rooms = cx.snapshot().hosting(&["any"]).bounded(None, Some(1)).with_room(room(0));
    let no_connections = cx.snapshot().hosting(&["any"]).bounded(Some(2), None).with_room(room(2));
    let none = cx.snapshot().hosting(&["any"]).bounded(Some(0), Some(0));
    let all = [no_types, no_labels, no_rooms, no_connections, none, cx.snapshot().hosting(&["any"])];
    let mut agents = obedient(cx, all).await?;
    for n in 0..agents.len() {
        for mut way in ways(&agents[n]) {
            way["labels"] = json!({"zone": "b"});
            way["strategy"] = "random".into();
            let seen = asked(cx, &mut agents, placed(cx, &way)).await?;
            cx.expect(FLEET_PLACEMENT_17, &seen, &[went(&agents, n)])?;
        }
    }
    Ok(())
}

/// A drain, and an undrain, that its agent has acknowledged, and that no State has told of yet.
pub(super) async fn behind_a_drain(cx: &Cx) -> Outcome {
    for (drains, way) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        let (old, new) =
            if drains { (Status::Active, Status::Draining) } else { (Status::Draining, Status::Active) };
        let mut agents = obedient(cx, [cx.snapshot().in_status(old)]).await?;
        let since = Instant::now();
        agents[0].is_silent();
        let seen = cx.send(drain(cx, &agents[0].id, drains)).await?;
        cx.need(FLEET_COMMANDS_14, &seen, &[ok(200)])?;
        // What is asked for behind each request changes nothing.
        agents[0].plan().snapshot.status = new;
        let [by_id, by_uid] = ways(&agents[0]);
        let pin = if way == 0 { by_id } else { by_uid };
        let plain = asked(cx, &mut agents, placed(cx, &pin)).await?;
        let forced = asked(cx, &mut agents, placed(cx, &with_force(pin))).await?;
        // Later the instance would be stale.
        in_time(cx, since, agents[0].heartbeat * 3 / 2)?;
        match drains {
            true => cx.expect(FLEET_PLACEMENT_19, &plain, &[nobody(Cause::InstanceDraining)])?,
            false => cx.expect(FLEET_PLACEMENT_17, &plain, &[went(&agents, 0)])?,
        };
        cx.expect(FLEET_PLACEMENT_19, &forced, &[went(&agents, 0)])?;
    }
    Ok(())
}

/// Pins to ids that nobody has, to a connection on which nothing was applied, and to an instance that has left.
pub(super) async fn to_nobody(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot().hosting(&["any"])]).await?;
    let early = Agent::connect(cx).await?;
    early.acks(Some(done));
    let gone = Agent::join(cx, cx.snapshot()).await?;
    gone.close(1000);
    left(cx, &gone).await?;
    let unknown = [
        json!({"instanceId": cx.token(16)}),
        json!({"instanceId": early.id}),
        json!({"processUid": format!("p_{}", cx.token(24))}),
        // A name is no id.
        json!({"instanceId": agents[0].snapshot().name}),
    ];
    for placement in unknown.into_iter().chain(ways(&gone)) {
        for placement in [placement.clone(), with_force(placement)] {
            let seen = asked(cx, &mut agents, placed(cx, &placement)).await?;
            cx.expect(FLEET_PLACEMENT_18, &seen, &[nobody(Cause::InstanceNotFound)])?;
        }
    }
    Ok(())
}

/// Waits until an instance that has left is shown no more.
async fn left(cx: &Cx, agent: &Agent) -> Outcome {
    let gone = refused(Cause::InstanceNotFound);
    let seen = soon(cx, cx.answer_time(), &instance(cx, &agent.id), &gone).await?;
    cx.need(FLEET_INSTANCES_3, &seen, &[gone])?;
    Ok(())
}

/// One that says it is draining, while another one is not.
pub(super) async fn to_draining(cx: &Cx) -> Outcome {
    let draining = cx.snapshot().hosting(&["any"]).in_status(Status::Draining);
    let mut agents = obedient(cx, [draining, cx.snapshot().hosting(&["any"])]).await?;
    for way in ways(&agents[0]) {
        let mut unforced = way.clone();
        unforced["force"] = false.into();
        for placement in [way.clone(), unforced] {
            let seen = asked(cx, &mut agents, placed(cx, &placement)).await?;
            cx.expect(FLEET_PLACEMENT_19, &seen, &[nobody(Cause::InstanceDraining)])?;
        }
        let seen = asked(cx, &mut agents, placed(cx, &with_force(way))).await?;
        cx.expect(FLEET_PLACEMENT_19, &seen, &[went(&agents, 0)])?;
    }
    Ok(())
}

/// One that has no autoCreate, active and draining.
pub(super) async fn no_auto_create(cx: &Cx) -> Outcome {
    let without = |snapshot: Snapshot| snapshot.hosting(&["any"]).but(|it| it.auto_create = false);
    let draining = without(cx.snapshot()).in_status(Status::Draining);
    let mut agents = obedient(cx, [without(cx.snapshot()), draining]).await?;
    for n in [0, 1] {
        for way in ways(&agents[n]) {
            let seen = asked(cx, &mut agents, placed(cx, &with_force(way.clone()))).await?;
            cx.expect(FLEET_PLACEMENT_21, &seen, &[nobody(Cause::NoCandidate)])?;
            if n == 0 {
                let seen = asked(cx, &mut agents, placed(cx, &way)).await?;
                cx.expect(FLEET_PLACEMENT_21, &seen, &[nobody(Cause::NoCandidate)])?;
            }
        }
    }
    Ok(())
}

/// Three connections of one process, one after the other; then the newest one leaves. An older one has the newer snapshot.
pub(super) async fn newest(cx: &Cx) -> Outcome {
    let snapshot = cx.snapshot();
    let mut agents = Vec::new();
    for which in ["first", "second", "third"] {
        agents.push(Agent::obedient(cx, snapshot.clone().labelled("which", which)).await?);
        let seen = asked(cx, &mut agents, placed(cx, &json!({"processUid": snapshot.process_uid}))).await?;
        let to = agents.len() - 1;
        cx.expect(FLEET_PLACEMENT_22, &seen, &[went(&agents, to)])?;
    }
    agents[0].becomes(cx, |snapshot| snapshot.labelled("newer", "snapshot")).await?;
    let by_uid = || placed(cx, &json!({"processUid": snapshot.process_uid}));
    let seen = asked(cx, &mut agents, by_uid()).await?;
    cx.expect(FLEET_PLACEMENT_22, &seen, &[went(&agents, 2)])?;
    if let Some(third) = agents.pop() {
        third.close(1000);
        left(cx, &third).await?;
    }
    let seen = asked_soon(cx, &mut agents, by_uid).await?;
    cx.expect(FLEET_PLACEMENT_22, &seen, &[went(&agents, 1)])?;
    Ok(())
}

/// Sends requests at the same time.
async fn at_once(cx: &Cx, requests: impl IntoIterator<Item = Request>) -> Outcome<Vec<Seen<Response>>> {
    let send = |request| async move { cx.http().send(request).await };
    try_join_all(requests.into_iter().map(send)).await
}

/// The id of a room that is shown, and one that is held, asked for where the room had to be refused for another reason as well.
pub(super) async fn taken(cx: &Cx) -> Outcome {
    let plain = cx.name();
    let having = vec![told(&plain, "any", 0)];
    let draining = cx.snapshot().in_status(Status::Draining);
    let mut agents = obedient(cx, [cx.snapshot().having(having), draining]).await?;
    // It answers no Poll behind the Ack, so that the id stays held for as long as it is not evicted.
    let holder = Agent::obedient(cx, cx.snapshot()).await?;
    let since = Instant::now();
    holder.is_silent();
    let held = cx.name();
    let seen = cx.send(forced(cx, &holder, &held)).await?;
    cx.need(FLEET_PLACEMENT_17, &seen, &[ok(201)])?;
    let mut all = Vec::new();
    for id in [plain, held] {
        let pinned = |placement: Value| {
            let body = json!({"type": "any", "roomId": id, "placement": placement});
            create(cx, &body)
        };
        let requests = [
            anywhere(cx, &kind(&agents[0]), &id),
            anywhere(cx, &cx.name(), &id),
            pinned(json!({"instanceId": cx.token(16)})),
            pinned(json!({"processUid": format!("p_{}", cx.token(24))})),
            pinned(json!({"instanceId": agents[1].id})),
            pinned(json!({"processUid": agents[1].snapshot().process_uid})),
            pinned(json!({"instanceId": agents[0].id})),
            forced(cx, &agents[1], &id),
        ];
        let answers = at_once(cx, requests).await?;
        // With the eviction of its agent the hold ends.
        in_time(cx, since, holder.heartbeat * 5 / 2)?;
        for seen in answers {
            cx.expect(FLEET_PLACEMENT_23, &seen, &[refused(Cause::RoomExists)])?;
            all.push(seen);
        }
    }
    let mut cmds = Vec::new();
    for agent in &mut agents {
        cmds.extend(up_to_now(cx, agent).await?);
    }
    let none = alternative("no Cmd for any of them", Vec::is_empty);
    cx.expect(FLEET_PLACEMENT_23, &Seen::all(all).map(|_| cmds), &[none])?;
    Ok(())
}

/// Has an agent answer no Polls until it is told that its instance is stale.
async fn becomes_stale(cx: &Cx, agent: &Agent) -> Outcome {
    let until = Instant::now() + agent.heartbeat * 6 + cx.answer_time();
    let mut events = cx.sse(get(cx, "v1/events")).await?;
    let _ = events.head().await?;
    agent.is_silent();
    loop {
        let seen = events.next_by(until).await?;
        let Ok(Item::Event(event)) = seen.look() else {
            let stale =
                alternative("the event instance:stale of an agent that answers no Poll", |_: &Item| false);
            cx.need(FLEET_EVENTS_8, &seen, &[stale])?;
            return Ok(());
        };
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        if event.name == "instance:stale" && data["id"] == agent.id.as_str() {
            return Ok(());
        }
    }
}

/// One that answers no Polls: it gets rooms that are pinned to it with force, and no others. All are asked for at the same
/// time, for it is evicted soon.
pub(super) async fn stale(cx: &Cx) -> Outcome {
    let mut agent = Agent::obedient(cx, cx.snapshot()).await?;
    let of_type = |placement: Value| {
        let body = json!({"type": kind(&agent), "roomId": cx.name(), "placement": placement});
        create(cx, &body)
    };
    let [by_id, by_uid] = ways(&agent);
    let wherever = [json!({}), json!({"force": true}), json!({"strategy": "random"})].map(of_type);
    let pinned = [&by_id, &by_uid].map(|way| placed(cx, way));
    let forced = [&by_id, &by_uid].map(|way| placed(cx, &with_force(way.clone())));
    becomes_stale(cx, &agent).await?;
    let requests = wherever.into_iter().chain(pinned).chain(forced);
    let mut answers = at_once(cx, requests).await?.into_iter();
    // It is there all the time, and was not evicted yet.
    cx.need(FLEET_INSTANCES_2, &cx.send(instance(cx, &agent.id)).await?, &[ok(200)])?;
    let cmds = came(&mut agent).await.len();
    for seen in answers.by_ref().take(3) {
        cx.expect(FLEET_PLACEMENT_5, &seen, &[refused(Cause::NoCandidate)])?;
    }
    for seen in answers.by_ref().take(2) {
        cx.expect(FLEET_PLACEMENT_20, &seen, &[refused(Cause::InstanceDisconnected)])?;
    }
    for seen in answers {
        cx.expect(FLEET_PLACEMENT_20, &seen, &[ok(201)])?;
    }
    if cmds != 2 {
        return Err(cx.stop(&format!("{cmds} Cmds came for two rooms")));
    }
    Ok(())
}

/// The id of a room that is shown, pinned to an instance that is stale.
pub(super) async fn taken_and_stale(cx: &Cx) -> Outcome {
    let id = cx.name();
    let _host = Agent::obedient(cx, cx.snapshot().with_room(told(&id, "any", 0))).await?;
    let agent = Agent::obedient(cx, cx.snapshot()).await?;
    let requests = ways(&agent).map(|way| {
        let body = json!({"type": "any", "roomId": id, "placement": way});
        create(cx, &body)
    });
    becomes_stale(cx, &agent).await?;
    let answers = at_once(cx, requests).await?;
    cx.need(FLEET_INSTANCES_2, &cx.send(instance(cx, &agent.id)).await?, &[ok(200)])?;
    for seen in answers {
        cx.expect(FLEET_PLACEMENT_23, &seen, &[refused(Cause::RoomExists)])?;
    }
    Ok(())
}
