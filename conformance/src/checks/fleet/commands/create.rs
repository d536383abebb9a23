//! Checks of POST /v1/rooms: the Cmd, and what its Ack comes to.

use crate::{
    check::{Cx, Outcome, alternative},
    checks::fleet::{
        agent::{Agent, done, exists, failed},
        orders::{Answered, Asked, acknowledged, anywhere, asked, came, kind, obedient, sent},
        setting::{Say, create, data, ok, ok_and, refused, told, value},
    },
    one_of,
    wire::Seen,
};
use serde_json::json;
use std::collections::BTreeSet;
use wireproof_spec::fleet::{Ack, AckRoom, Cause, Cmd, Op, requirements::*};

/// One Cmd for a room with an id, and for one without, to the agent that takes this type; another one is told nothing.
pub(super) async fn one_cmd(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot(), cx.snapshot()]).await?;
    for n in [0, 1, 0] {
        let kind = kind(&agents[n]);
        for id in [Some(cx.name()), None] {
            let mut body = json!({"type": kind});
            if let Some(id) = &id {
                body["roomId"] = id.as_str().into();
            }
            let seen = asked(cx, &mut agents, create(cx, &body)).await?;
            let (kind, name) =
                (kind.clone(), "one create, to the agent of the instance, with its type and its roomId");
            let one = alternative(name, move |asked: &Asked| {
                let right = |cmd: &Cmd| {
                    let room = cmd.room_id.as_ref();
                    cmd.op == Op::Create
                        && cmd.room_type.as_ref() == Some(&kind)
                        && room.is_some_and(|room| !room.is_empty())
                        && (id.is_none() || room == id.as_ref())
                };
                asked.answer.status == 201
                    && matches!(asked.cmds[n].as_slice(), [cmd] if right(cmd))
                    && asked.cmds[1 - n].is_empty()
            });
            cx.expect(FLEET_COMMANDS_1, &seen, &[one])?;
        }
    }
    Ok(())
}

/// One that is acknowledged and one that is not: neither comes again, before T and behind it.
pub(super) async fn not_sent_again(cx: &Cx) -> Outcome {
    let mut agent = Agent::join(cx, cx.snapshot()).await?;
    let kind = kind(&agent);
    let (first, second) = (cx.name(), cx.name());
    let (pending, cmd) = sent(cx, &mut agent, anywhere(cx, &kind, &first)).await?;
    agent.send_ack(&done(&cmd));
    cx.need(FLEET_COMMANDS_3, &pending.answer().await?, &[ok(201)])?;
    let (pending, _) = sent(cx, &mut agent, anywhere(cx, &kind, &second)).await?;
    cx.need(FLEET_COMMANDS_9, &pending.answer().await?, &[refused(Cause::CommandTimeout)])?;
    let cmds = agent.cmds(cx).await?;
    let none = alternative("no Cmd behind the one of each request", Vec::is_empty);
    cx.expect(FLEET_COMMANDS_1, &cmds, &[none])?;
    Ok(())
}

/// Ids of rooms that nobody named, one after the other, at two agents, and before and behind a State.
pub(super) async fn made_up_ids(cx: &Cx) -> Outcome {
    const EACH: usize = 8;
    let kind = cx.name();
    let both = [cx.snapshot().hosting(&[&kind]), cx.snapshot().hosting(&[&kind])];
    let mut agents = obedient(cx, both).await?;
    let mut seen = Vec::new();
    for _ in 0..2 {
        for agent in &agents {
            let body = json!({"type": kind, "placement": {"instanceId": agent.id}});
            for _ in 0..EACH {
                let answer = cx.send(create(cx, &body)).await?;
                cx.need(FLEET_COMMANDS_3, &answer, &[ok(201)])?;
                seen.push(
                    answer.map(|response| data(&response)["id"].as_str().unwrap_or_default().to_owned()),
                );
            }
        }
        // What was held is held no more behind their next States.
        for agent in &mut agents {
            agent.becomes(cx, |snapshot| snapshot.labelled(&cx.token(6), "")).await?;
        }
    }
    let told = told_rooms(&mut agents).await;
    let legal = |id: &String| {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        (1..=64).contains(&id.len()) && id.bytes().all(is_legal)
    };
    let different = alternative(
        "ids that all differ, of 1 to 64 letters, digits, _ and -, and a Cmd for each",
        move |ids: &Vec<String>| {
            let all: BTreeSet<_> = ids.iter().cloned().collect();
            ids.iter().all(legal) && all.len() == ids.len() && all == told
        },
    );
    cx.expect(FLEET_COMMANDS_2, &Seen::all(seen), &[different])?;
    Ok(())
}

/// The roomIds of all Cmds that came.
async fn told_rooms(agents: &mut [Agent]) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for agent in agents {
        rooms.extend(came(agent).await.into_iter().filter_map(|cmd| cmd.room_id));
    }
    rooms
}

/// A room with an id, which the agent shows before it acknowledges it, and one without; each at another agent.
pub(super) async fn created(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot(), cx.snapshot()]).await?;
    for (agent, names) in agents.iter_mut().zip([true, false]) {
        agent.acks(None);
        let (kind, snapshot) = (kind(agent), agent.snapshot());
        let mut body = json!({"type": kind});
        if names {
            body["roomId"] = cx.name().into();
        }
        let (pending, cmd) = sent(cx, agent, create(cx, &body)).await?;
        let id = cmd.room_id.clone().unwrap_or_default();
        if names {
            agent.says(snapshot.clone().with_room(told(&id, &kind, 3)));
        }
        let seen = acknowledged(cx, agent, pending, &done(&cmd)).await?;
        let room = json!({
            "id": id,
            "type": kind,
            "connections": 0,
            "local": false,
            "instanceId": agent.id,
            "endpointUrl": snapshot.endpoint_url,
        });
        let name = "201 and the room as it was asked for, behind the Ack";
        let created = alternative(name, move |answered: &Answered| {
            let body = value(&answered.answer);
            let all =
                room.as_object().is_some_and(|room| room.iter().all(|(name, it)| body["data"][name] == *it));
            !answered.early && answered.answer.status == 201 && body["status"] == "OK" && all
        });
        cx.expect(FLEET_COMMANDS_3, &seen, &[created])?;
    }
    Ok(())
}

/// An agent that has such a room.
pub(super) async fn exists_there(cx: &Cx) -> Outcome {
    let agent = Agent::join(cx, cx.snapshot()).await?;
    let kind = kind(&agent);
    agent.acks(Some(exists));
    for body in [json!({"type": kind, "roomId": cx.name()}), json!({"type": kind})] {
        let seen = cx.send(create(cx, &body)).await?;
        cx.expect(FLEET_COMMANDS_5, &seen, &[refused(Cause::RoomExists)])?;
    }
    // Without exists it is another refusal, and with ok none.
    agent.acks(Some(failed));
    let seen = cx.send(create(cx, &json!({"type": kind}))).await?;
    cx.need(FLEET_COMMANDS_4, &seen, &[refused(Cause::CommandFailed)])?;
    agent.acks(Some(done));
    let seen = cx.send(create(cx, &json!({"type": kind}))).await?;
    cx.need(FLEET_COMMANDS_3, &seen, &[ok(201)])?;
    Ok(())
}

/// What is contradictory; what comes of it is told.
pub(super) async fn ok_and_exists(cx: &Cx) -> Outcome {
    let agent = Agent::join(cx, cx.snapshot()).await?;
    agent.acks(Some(|cmd| Ack { exists: Some(true), ..done(cmd) }));
    let seen = cx.send(create(cx, &json!({"type": kind(&agent)}))).await?;
    let choices = one_of![ok(201), refused(Cause::RoomExists), refused(Cause::CommandFailed)];
    cx.expect(FLEET_COMMANDS_6, &seen, &choices)?;
    Ok(())
}

/// An Ack that tells of a room that nobody asked for.
pub(super) async fn another_room(cx: &Cx) -> Outcome {
    let agent = Agent::join(cx, cx.snapshot()).await?;
    let kind = kind(&agent);
    let other_id: fn(&Cmd) -> Ack = |cmd| Ack {
        room: Some(AckRoom { id: "another".into(), kind: cmd.room_type.clone().unwrap_or_default() }),
        ..done(cmd)
    };
    let other_type: fn(&Cmd) -> Ack = |cmd| Ack {
        room: Some(AckRoom { id: cmd.room_id.clone().unwrap_or_default(), kind: "another".into() }),
        ..done(cmd)
    };
    for acks in [other_id, other_type] {
        let id = cx.name();
        agent.acks(Some(acks));
        let seen = cx.send(anywhere(cx, &kind, &id)).await?;
        let (id, kind) = (id, kind.clone());
        let as_asked =
            ok_and(201, "what was asked for", move |room| room["id"] == id && room["type"] == kind);
        cx.expect(FLEET_COMMANDS_7, &seen, &one_of![as_asked, refused(Cause::CommandFailed)])?;
    }
    Ok(())
}
