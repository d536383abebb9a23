//! Checks of what counts for the maxRooms of an instance.

use crate::{
    check::{Cx, Outcome},
    checks::fleet::{
        agent::{Agent, done, exists, failed as fails},
        orders::{
            anywhere, asked, came, command_time, forced, in_time, kind, nobody, obedient, patience, sent,
            went,
        },
        setting::{Say, at_least, create, ok, refused, told},
    },
};
use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use tokio::time::Instant;
use wireproof_spec::fleet::{Ack, Cause, Cmd, requirements::*};

/// That an agent, the only one, has no place for one more room. It has told no State since then.
async fn is_full(cx: &Cx, agents: &mut [Agent], since: Instant) -> Outcome {
    let another = anywhere(cx, &kind(&agents[0]), &cx.name());
    let seen = asked(cx, agents, another).await?;
    in_time(cx, since, agents[0].heartbeat * 3 / 2)?;
    cx.expect(FLEET_HOLDS_12, &seen, &[nobody(Cause::NoCandidate)])?;
    Ok(())
}

/// That it has one again when it has told that there are no rooms.
async fn is_free(cx: &Cx, agents: &mut [Agent]) -> Outcome {
    agents[0].becomes(cx, |snapshot| snapshot.labelled("without", "rooms")).await?;
    let another = anywhere(cx, &kind(&agents[0]), &cx.name());
    let seen = asked(cx, agents, another).await?;
    cx.need(FLEET_PLACEMENT_9, &seen, &[went(agents, 0)])?;
    Ok(())
}

/// One in flight and one acknowledged fill two places, until a State comes without them.
pub(super) async fn held(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot().bounded(None, Some(2))]).await?;
    let kind = kind(&agents[0]);
    let since = Instant::now();
    agents[0].is_silent();
    let first = cx.send(anywhere(cx, &kind, &cx.name())).await?;
    cx.need(FLEET_COMMANDS_3, &first, &[ok(201)])?;
    let _ = came(&mut agents[0]).await;
    agents[0].acks(None);
    // There is a place left for this one, which nobody acknowledges.
    let (pending, cmd) = sent(cx, &mut agents[0], anywhere(cx, &kind, &cx.name())).await?;
    let began = Instant::now();
    agents[0].acks(Some(done));
    is_full(cx, &mut agents, since).await?;
    in_time(cx, began, at_least(command_time(cx)))?;
    agents[0].send_ack(&done(&cmd));
    cx.need(FLEET_COMMANDS_3, &pending.answer().await?, &[ok(201)])?;
    is_full(cx, &mut agents, since).await?;
    // Neither of them came to be.
    is_free(cx, &mut agents).await
}

/// One that was not acknowledged within T. The agent answers Polls at first, and none when T is over.
pub(super) async fn timed_out(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot().bounded(None, Some(1))]).await?;
    let kind = kind(&agents[0]);
    let agent = &mut agents[0];
    agent.acks(None);
    let (pending, _) = sent(cx, agent, anywhere(cx, &kind, &cx.name())).await?;
    let until = Instant::now() + command_time(cx) - agent.heartbeat.min(command_time(cx)) / 2;
    let silence = async {
        while agent.next_by(until).await?.is_some() {}
        agent.is_silent();
        Ok(Instant::now())
    };
    let (seen, since) = try_join(pending.answer(), silence).await?;
    cx.need(FLEET_COMMANDS_9, &seen, &[refused(Cause::CommandTimeout)])?;
    agents[0].acks(Some(done));
    is_full(cx, &mut agents, since).await?;
    is_free(cx, &mut agents).await
}

/// Creates that the agent refuses, which leave the one place that there is.
pub(super) async fn failed(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot().bounded(None, Some(1))]).await?;
    let kind = kind(&agents[0]);
    let since = Instant::now();
    agents[0].is_silent();
    for (acks, cause) in [(fails as fn(&Cmd) -> Ack, Cause::CommandFailed), (exists, Cause::RoomExists)] {
        agents[0].acks(Some(acks));
        let seen = cx.send(anywhere(cx, &kind, &cx.name())).await?;
        in_time(cx, since, agents[0].heartbeat * 3 / 2)?;
        // Of two in a row the second is there only if the first has left its place.
        cx.expect(FLEET_HOLDS_13, &seen, &[refused(cause)])?;
    }
    agents[0].acks(Some(done));
    let seen = asked(cx, &mut agents, anywhere(cx, &kind, &cx.name())).await?;
    in_time(cx, since, agents[0].heartbeat * 3 / 2)?;
    cx.expect(FLEET_HOLDS_13, &seen, &[went(&agents, 0)])?;
    Ok(())
}

/// With 33 places and 32 Cmds in flight another create is refused, and neither its id nor the last place is held.
pub(super) async fn busy(cx: &Cx) -> Outcome {
    const MOST: usize = 32;
    let mut agent = Agent::join(cx, cx.snapshot().bounded(None, Some(33))).await?;
    let kind = kind(&agent);
    let since = Instant::now();
    agent.is_silent();
    let begin = |_| async {
        let id = cx.name();
        Ok((id.clone(), cx.begin(forced(cx, &agent, &id), patience(cx)).await?))
    };
    let mut flying = try_join_all((0..MOST).map(begin)).await?;
    let mut first = None;
    for _ in 0..MOST {
        let seen = agent.cmd(cx).await?;
        first = first.or_else(|| seen.look().ok().cloned());
    }
    let id = cx.name();
    let seen = cx.send(anywhere(cx, &kind, &id)).await?;
    let soon = at_least(command_time(cx)).min(agent.heartbeat * 3 / 2);
    in_time(cx, since, soon)?;
    cx.need(FLEET_COMMANDS_11, &seen, &[refused(Cause::InstanceBusy)])?;
    let answered = first.and_then(|cmd| {
        let at = flying.iter().position(|(id, _)| cmd.room_id.as_ref() == Some(id))?;
        Some((cmd, flying.remove(at).1))
    });
    let Some((cmd, pending)) = answered else {
        return Err(cx.stop("a Cmd is for a room that nobody asked for"));
    };
    agent.send_ack(&done(&cmd));
    cx.need(FLEET_COMMANDS_3, &pending.answer().await?, &[ok(201)])?;
    agent.acks(Some(done));
    let seen = cx.send(anywhere(cx, &kind, &id)).await?;
    in_time(cx, since, soon)?;
    cx.expect(FLEET_HOLDS_9, &seen, &[ok(201)])?;
    cx.expect(FLEET_HOLDS_13, &seen, &[ok(201)])?;
    // Now each of the 33 places is held.
    let seen = cx.send(create(cx, &json!({"type": kind}))).await?;
    in_time(cx, since, soon)?;
    cx.need(FLEET_HOLDS_12, &seen, &[refused(Cause::NoCandidate)])?;
    Ok(())
}

/// Two places: a room that was held and is told, and then another one.
pub(super) async fn once(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot().bounded(None, Some(2))]).await?;
    let kind = kind(&agents[0]);
    for _ in 0..2 {
        let id = cx.name();
        let seen = asked(cx, &mut agents, anywhere(cx, &kind, &id)).await?;
        cx.expect(FLEET_HOLDS_14, &seen, &[went(&agents, 0)])?;
        let room = told(&id, &kind, 0);
        agents[0].becomes(cx, |snapshot| snapshot.with_room(room)).await?;
    }
    let seen = asked(cx, &mut agents, anywhere(cx, &kind, &cx.name())).await?;
    cx.expect(FLEET_HOLDS_14, &seen, &[nobody(Cause::NoCandidate)])?;
    Ok(())
}
