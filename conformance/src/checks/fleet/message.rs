//! Checks of "Message" in spec/fleet.md: what every run saw, whatever the check, and each message once, so that it is seen.

pub(super) mod agents;

use super::{
    agent::{Agent, Came, Heard, done},
    setting::{Say, create, destroy, drain, get, instance, ok, ok_and, refused, room, told},
};
use crate::{
    check::{Alternative, Body, Check, Cx, Outcome, Waits, alternative},
    drives,
    observers::Observed,
    wire::sse::Item,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::{
    fleet::{Cause, Cmd, Event, Op, Origin, requirements::*},
    http::{Response, percent_encode},
    requirement::RequirementId,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/message/to-agents", &[FLEET_MESSAGE_1, FLEET_MESSAGE_2], drives!(to_agents))
        .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new("fleet/message/commands", &[FLEET_MESSAGE_3, FLEET_MESSAGE_5], drives!(commands)),
    Check::new("fleet/message/refusals", &[FLEET_MESSAGE_4], drives!(refusals)),
    Check::new(
        "fleet/message/instances",
        &[FLEET_MESSAGE_6, FLEET_MESSAGE_7, FLEET_MESSAGE_8],
        drives!(instances),
    ),
    Check::new("fleet/message/rooms", &[FLEET_MESSAGE_9, FLEET_MESSAGE_10], drives!(rooms)),
    Check::new(
        "fleet/message/events",
        &[FLEET_MESSAGE_11, FLEET_MESSAGE_12, FLEET_MESSAGE_13],
        drives!(events),
    )
    .waits(Waits::Limit("heartbeat-ms", 4)),
    observed("fleet/observed/hello", &[FLEET_MESSAGE_1], |o| o.shapes(FLEET_MESSAGE_1)),
    observed("fleet/observed/poll", &[FLEET_MESSAGE_2], |o| o.shapes(FLEET_MESSAGE_2)),
    observed("fleet/observed/cmd", &[FLEET_MESSAGE_3], |o| o.shapes(FLEET_MESSAGE_3)),
    observed("fleet/observed/rejected", &[FLEET_MESSAGE_4], |o| o.shapes(FLEET_MESSAGE_4)),
    observed("fleet/observed/done", &[FLEET_MESSAGE_5], |o| o.shapes(FLEET_MESSAGE_5)),
    observed("fleet/observed/stats-reply", &[FLEET_MESSAGE_6], |o| o.shapes(FLEET_MESSAGE_6)),
    observed("fleet/observed/instances-reply", &[FLEET_MESSAGE_7], |o| o.shapes(FLEET_MESSAGE_7)),
    observed("fleet/observed/instance-reply", &[FLEET_MESSAGE_8], |o| o.shapes(FLEET_MESSAGE_8)),
    observed("fleet/observed/rooms-reply", &[FLEET_MESSAGE_9], |o| o.shapes(FLEET_MESSAGE_9)),
    observed("fleet/observed/room-reply", &[FLEET_MESSAGE_10], |o| o.shapes(FLEET_MESSAGE_10)),
    observed("fleet/observed/instance-events", &[FLEET_MESSAGE_11], |o| o.shapes(FLEET_MESSAGE_11)),
    observed("fleet/observed/room-events", &[FLEET_MESSAGE_12], |o| o.shapes(FLEET_MESSAGE_12)),
    observed("fleet/observed/sync", &[FLEET_MESSAGE_13], |o| o.shapes(FLEET_MESSAGE_13)),
];

const fn observed(name: &'static str, requirements: &'static [RequirementId], look: fn(&Observed)) -> Check {
    Check::new(name, requirements, Body::Observes(look))
}

/// A Hello, and Polls with and without a knownHash.
async fn to_agents(cx: &Cx) -> Outcome {
    let mut agent = Agent::open(cx).await?;
    agent.says(cx.snapshot());
    let hello = alternative("a Hello", |heard: &Heard| matches!(heard.came, Came::Hello(_)));
    cx.expect(FLEET_MESSAGE_1, &agent.next(cx).await?, &[hello])?;
    for _ in 0..3 {
        let poll = alternative("a Poll", |heard: &Heard| matches!(heard.came, Came::Poll(_)));
        cx.expect(FLEET_MESSAGE_2, &agent.next(cx).await?, &[poll])?;
    }
    Ok(())
}

/// Each op, and what is answered behind its Ack.
async fn commands(cx: &Cx) -> Outcome {
    let kind = cx.name();
    let (kept, made) = (cx.name(), cx.name());
    let snapshot = cx.snapshot().hosting(&[&kind]).with_room(told(&kept, &kind, 0));
    let mut agent = Agent::join(cx, snapshot).await?;
    let requests = [
        (Op::Create, create(cx, &json!({"type": kind, "roomId": made})), 201),
        (Op::Create, create(cx, &json!({"type": kind})), 201),
        (Op::Drain, drain(cx, &agent.id, true), 200),
        (Op::Undrain, drain(cx, &agent.id, false), 200),
        (Op::Destroy, destroy(cx, &kept), 200),
    ];
    for (op, request, status) in requests {
        let pending = cx.begin(request, cx.answer_time()).await?;
        let seen = agent.cmd(cx).await?;
        let name = format!("a Cmd with the op {}", op.word());
        let cmd = cx.expect(FLEET_MESSAGE_3, &seen, &[alternative(name, move |cmd: &Cmd| cmd.op == op)])?;
        agent.send_ack(&done(cmd));
        let answered = pending.answer().await?;
        if status == 200 {
            cx.expect(FLEET_MESSAGE_5, &answered, &[ok(200)])?;
        } else {
            cx.need(FLEET_COMMANDS_3, &answered, &[ok(status)])?;
        }
    }
    for path in ["healthz", "readyz"] {
        cx.expect(FLEET_MESSAGE_5, &cx.send(get(cx, path)).await?, &[ok(200)])?;
    }
    Ok(())
}

/// Refusals of several kinds.
async fn refusals(cx: &Cx) -> Outcome {
    let nobody = cx.token(16);
    for (request, as_what) in [
        (instance(cx, &nobody), Cause::InstanceNotFound),
        (room(cx, &nobody), Cause::RoomNotFound),
        (get(cx, "v1/nothing"), Cause::NotFound),
        (create(cx, &json!({"type": cx.name()})), Cause::NoCandidate),
    ] {
        cx.expect(FLEET_MESSAGE_4, &cx.send(request).await?, &[refused(as_what)])?;
    }
    Ok(())
}

/// The numbers of the fleet, and instances: one that has everything, and one that has as little as can be.
async fn instances(cx: &Cx) -> Outcome {
    let kind = cx.name();
    let rich = cx.snapshot().hosting(&[&kind]).labelled("region", "eu").bounded(Some(0), Some(7));
    let rich = Agent::join(cx, rich.with_room(told(&cx.name(), &kind, 3))).await?;
    let poor = Agent::join(cx, cx.snapshot().hosting(&[])).await?;
    let stats = ok_and(200, "at least two instances", |data| data["instances"].as_u64() >= Some(2));
    cx.expect(FLEET_MESSAGE_6, &cx.send(get(cx, "v1/stats")).await?, &[stats])?;
    let ids = [rich.id.clone(), poor.id.clone()];
    let both = ok_and(200, "both instances", move |data| {
        let all = data.as_array().map(Vec::as_slice).unwrap_or_default();
        ids.iter().all(|id| all.iter().any(|info| info["id"] == id.as_str()))
    });
    cx.expect(FLEET_MESSAGE_7, &cx.send(get(cx, "v1/instances")).await?, &[both])?;
    for agent in [&rich, &poor] {
        let id = agent.id.clone();
        let one = ok_and(200, "the instance", move |data| data["id"] == id.as_str());
        cx.expect(FLEET_MESSAGE_8, &cx.send(instance(cx, &agent.id)).await?, &[one])?;
    }
    Ok(())
}

/// Lists of rooms, a room, and one that was just made.
async fn rooms(cx: &Cx) -> Outcome {
    let kind = cx.name();
    let ids = [cx.name(), cx.name()];
    let mut local = told(&ids[1], &kind, 5);
    local.origin = Origin::Local;
    let snapshot = cx.snapshot().hosting(&[&kind]).having(vec![told(&ids[0], &kind, 0), local]);
    let agent = Agent::obedient(cx, snapshot).await?;
    for path in ["v1/rooms".to_owned(), format!("v1/instances/{}/rooms", percent_encode(&agent.id))] {
        let mine = ids.clone();
        let both = ok_and(200, "both rooms", move |data| {
            let all = data.as_array().map(Vec::as_slice).unwrap_or_default();
            mine.iter().all(|id| all.iter().any(|info| info["id"] == id.as_str()))
        });
        cx.expect(FLEET_MESSAGE_9, &cx.send(get(cx, &path)).await?, &[both])?;
    }
    for id in ids {
        let seen = cx.send(room(cx, &id)).await?;
        cx.expect(FLEET_MESSAGE_10, &seen, &[the_room(200, &id)])?;
    }
    let id = cx.name();
    let seen = cx.send(create(cx, &json!({"type": kind, "roomId": id}))).await?;
    cx.expect(FLEET_MESSAGE_10, &seen, &[the_room(201, &id)])?;
    Ok(())
}

fn the_room(status: u16, id: &str) -> Alternative<Response> {
    let id = id.to_owned();
    ok_and(status, "the room", move |data| data["id"] == id.as_str())
}

/// Each event, of an instance that comes, becomes stale and goes, and of its room.
async fn events(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(get(cx, "v1/events")).await?;
    let _ = reader.head().await?;
    let (kind, id) = (cx.name(), cx.name());
    let agent = Agent::join(cx, cx.snapshot().hosting(&[&kind]).with_room(told(&id, &kind, 1))).await?;
    agent.is_silent();
    let heartbeat = agent.heartbeat;
    let mine = [agent.id.clone(), id];
    // It is evicted at the third miss.
    let until = Instant::now() + heartbeat * 6 + Duration::from_secs(2);
    let awaited =
        [Event::Join, Event::Create, Event::Sync, Event::Stale, Event::Leave, Event::Destroy, Event::Sync];
    for event in awaited {
        let (requirement, _) = event.shape();
        let seen = loop {
            let seen = reader.next_by(until).await?;
            match seen.look() {
                Ok(Item::Event(came)) => {
                    let about: Value = serde_json::from_str(&came.data).unwrap_or_default();
                    let is_mine = mine.iter().any(|id| about["id"] == id.as_str());
                    if came.name == event.name() && (event == Event::Sync || is_mine) {
                        break seen;
                    }
                }
                _ => break seen,
            }
        };
        let name = event.name();
        let one = alternative(
            format!("the event {name}"),
            move |item: &Item| matches!(item, Item::Event(came) if came.name == name),
        );
        cx.expect(requirement, &seen, &[one])?;
    }
    Ok(())
}
