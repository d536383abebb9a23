//! Checks of the requests about what is there already: DELETE, drain and undrain.

use crate::{
    check::{Cx, Outcome, alternative},
    checks::fleet::{
        agent::{Agent, done, failed as fails},
        orders::{Asked, acknowledged, asked, behind_the_ack, came, forced, kind, nobody, obedient, sent},
        setting::{Say, create, destroy, drain, ok, refused, room, told},
    },
    one_of,
};
use serde_json::json;
use wireproof_spec::{
    fleet::{Ack, Cause, Cmd, Op, ids, requirements::*},
    http::Request,
};

/// What an agent says to Cmds.
type Acks = fn(&Cmd) -> Ack;

/// Each op, refused by the agent with an error, with an empty one and without.
pub(super) async fn failed(cx: &Cx) -> Outcome {
    let id = cx.name();
    let agent = Agent::join(cx, cx.snapshot().with_room(told(&id, "any", 0))).await?;
    let kind = kind(&agent);
    let empty: Acks = |cmd| Ack { error: Some(String::new()), ..fails(cmd) };
    let without: Acks = |cmd| Ack { error: None, ..fails(cmd) };
    for acks in [fails, empty, without] {
        agent.acks(Some(acks));
        for request in [
            create(cx, &json!({"type": kind})),
            destroy(cx, &id),
            drain(cx, &agent.id, true),
            drain(cx, &agent.id, false),
        ] {
            let seen = cx.send(request).await?;
            cx.expect(FLEET_COMMANDS_4, &seen, &[refused(Cause::CommandFailed)])?;
        }
    }
    Ok(())
}

/// Rooms of two agents; some of them have ids that are not shown as they are.
pub(super) async fn destroys(cx: &Cx) -> Outcome {
    let raw = [cx.name(), format!("{} ~/%é.", cx.name()), cx.name(), format!("{}:1", cx.name())];
    let having = |two: &[String]| cx.snapshot().having(two.iter().map(|raw| told(raw, "any", 1)).collect());
    let mut agents = obedient(cx, [having(&raw[..2]), having(&raw[2..])]).await?;
    for (n, raw) in raw.into_iter().enumerate() {
        let at = n / 2;
        let seen = asked(cx, &mut agents, destroy(cx, &ids::public(&raw))).await?;
        let name = format!("200, and one destroy with the roomId {raw:?}, to the agent that has the room");
        let one = alternative(name, move |asked: &Asked| {
            let right = |cmd: &Cmd| cmd.op == Op::Destroy && cmd.room_id.as_ref() == Some(&raw);
            asked.answer.status == 200
                && matches!(asked.cmds[at].as_slice(), [cmd] if right(cmd))
                && asked.cmds[1 - at].is_empty()
        });
        cx.expect(FLEET_COMMANDS_13, &seen, &[one])?;
    }
    Ok(())
}

/// Each op, with ok, more than once; a destroy with alreadyGone too. None is answered before.
pub(super) async fn behind(cx: &Cx) -> Outcome {
    let rooms = [cx.name(), cx.name()];
    let having = rooms.iter().map(|id| told(id, "any", 0)).collect();
    let mut agent = Agent::join(cx, cx.snapshot().having(having)).await?;
    let gone: Acks = |cmd| Ack { already_gone: Some(true), ..done(cmd) };
    let all: [(Request, Acks); 6] = [
        (destroy(cx, &rooms[0]), done),
        (destroy(cx, &rooms[1]), gone),
        (drain(cx, &agent.id, true), done),
        (drain(cx, &agent.id, false), done),
        (drain(cx, &agent.id, true), done),
        (drain(cx, &agent.id, false), done),
    ];
    for (request, acks) in all {
        let (pending, cmd) = sent(cx, &mut agent, request).await?;
        let seen = acknowledged(cx, &mut agent, pending, &acks(&cmd)).await?;
        cx.expect(FLEET_COMMANDS_14, &seen, &[behind_the_ack(ok(200))])?;
    }
    Ok(())
}

/// Rooms and instances that are not in the read model: ids that nobody has, one that is held, a raw id that is shown as another
/// one, and a connection on which nothing was applied.
pub(super) async fn not_there(cx: &Cx) -> Outcome {
    let raw = format!("{}~", cx.name());
    let snapshot = cx.snapshot().with_room(told(&raw, "any", 0));
    let mut agents = obedient(cx, [snapshot]).await?;
    let mut unknown = Agent::connect(cx).await?;
    for id in [cx.name(), raw] {
        let seen = asked(cx, &mut agents, destroy(cx, &id)).await?;
        cx.expect(FLEET_COMMANDS_15, &seen, &[nobody(Cause::RoomNotFound)])?;
    }
    for id in [cx.token(16), unknown.id.clone()] {
        for drains in [true, false] {
            let seen = asked(cx, &mut agents, drain(cx, &id, drains)).await?;
            cx.expect(FLEET_COMMANDS_15, &seen, &[nobody(Cause::InstanceNotFound)])?;
        }
    }
    // Behind the pong all has come that was sent.
    let pong = unknown.fence(cx).await?;
    let cmds = came(&mut unknown).await;
    let none = alternative("no Cmd on a connection on which nothing was applied", Vec::is_empty);
    cx.expect(FLEET_COMMANDS_15, &pong.map(|_| cmds), &[none])?;
    // What was asked for is not shown before its agent has told it.
    agents[0].is_silent();
    let held = cx.name();
    let made = cx.send(forced(cx, &agents[0], &held)).await?;
    cx.need(FLEET_COMMANDS_3, &made, &[ok(201)])?;
    let seen = asked(cx, &mut agents, destroy(cx, &held)).await?;
    cx.expect(FLEET_COMMANDS_15, &seen, &[nobody(Cause::RoomNotFound)])?;
    Ok(())
}

/// A room whose destroy was acknowledged, before the next State; what is shown of it is told.
pub(super) async fn destroyed_room(cx: &Cx) -> Outcome {
    let id = cx.name();
    let agent = Agent::obedient(cx, cx.snapshot().with_room(told(&id, "any", 0))).await?;
    agent.is_silent();
    let seen = cx.send(destroy(cx, &id)).await?;
    cx.need(FLEET_COMMANDS_14, &seen, &[ok(200)])?;
    let seen = cx.send(room(cx, &id)).await?;
    cx.expect(FLEET_COMMANDS_16, &seen, &one_of![ok(200), refused(Cause::RoomNotFound)])?;
    Ok(())
}
