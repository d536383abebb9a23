//! Checks of room ids that are held.

use crate::{
    check::{Cx, Outcome, Shown, alternative},
    checks::fleet::{
        agent::{Agent, done, exists, failed},
        orders::{
            anywhere, asked, asked_soon, came, command_time, forced, in_time, kind, nobody, obedient,
            patience, sent, unanswered, up_to_now, went,
        },
        setting::{Say, at_least, cause, create, ok, refused},
    },
    one_of,
    wire::Seen,
};
use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use tokio::time::Instant;
use wireproof_spec::{
    fleet::{Ack, Cause, Cmd, Snapshot, State, requirements::*},
    http::{Request, Response},
};

/// Requests for a room of this id in each way: wherever, pinned, and of another type.
fn again(cx: &Cx, agent: &Agent, id: &str) -> [Request; 3] {
    let other =
        json!({"type": "other", "roomId": id, "placement": {"processUid": agent.snapshot().process_uid}});
    [anywhere(cx, &kind(agent), id), forced(cx, agent, id), create(cx, &other)]
}

/// A create that its agent has not acknowledged.
pub(super) async fn in_flight(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot()]).await?;
    let id = cx.name();
    agents[0].acks(None);
    let request = anywhere(cx, &kind(&agents[0]), &id);
    let began = Instant::now();
    let (_pending, cmd) = sent(cx, &mut agents[0], request).await?;
    for request in again(cx, &agents[0], &id) {
        let seen = asked(cx, &mut agents, request).await?;
        // With T all goes on as before, so that it does not matter when it is over.
        cx.expect(FLEET_HOLDS_1, &seen, &[nobody(Cause::RoomExists)])?;
    }
    // Another one is made meanwhile.
    agents[0].acks(Some(done));
    let other = anywhere(cx, &kind(&agents[0]), &cx.name());
    cx.need(FLEET_COMMANDS_3, &cx.send(other).await?, &[ok(201)])?;
    if began.elapsed() < at_least(command_time(cx)) {
        agents[0].send_ack(&done(&cmd));
    }
    Ok(())
}

/// What became of requests for one room.
struct Race {
    answers: Vec<Response>,
    cmds: Vec<Cmd>,
}

impl Shown for Race {
    fn shown(&self) -> String {
        format!("{} answers: {}; {} Cmds", self.answers.len(), self.answers.shown(), self.cmds.len())
    }
}

/// Several at the same time, again and again. The agent acknowledges at once, and answers no Poll meanwhile.
pub(super) async fn at_once(cx: &Cx) -> Outcome {
    const ROUNDS: usize = 4;
    const AT_ONCE: usize = 8;
    for _ in 0..ROUNDS {
        let mut agent = Agent::obedient(cx, cx.snapshot()).await?;
        let (kind, id) = (kind(&agent), cx.name());
        let since = Instant::now();
        agent.is_silent();
        let _ = came(&mut agent).await;
        let begin = |_| cx.begin(anywhere(cx, &kind, &id), patience(cx));
        let pending = try_join_all((0..AT_ONCE).map(begin)).await?;
        let answers = try_join_all(pending.into_iter().map(|pending| pending.answer())).await?;
        let cmds = up_to_now(cx, &mut agent).await?;
        in_time(cx, since, agent.heartbeat * 3 / 2)?;
        let one = alternative("201 once, ROOM_EXISTS for the others, and one Cmd", |race: &Race| {
            let made = race.answers.iter().filter(|answer| answer.status == 201).count();
            let refused =
                race.answers.iter().filter(|answer| cause(answer) == Some(Cause::RoomExists)).count();
            made == 1 && made + refused == race.answers.len() && race.cmds.len() == 1
        });
        let race = Seen::all(answers).map(|answers| Race { answers, cmds });
        cx.expect(FLEET_HOLDS_2, &race, &[one])?;
    }
    Ok(())
}

/// Makes a room at an agent that answers no Poll, and so holds its id.
async fn held(cx: &Cx, agent: &Agent) -> Outcome<String> {
    let id = cx.name();
    agent.is_silent();
    let seen = cx.send(forced(cx, agent, &id)).await?;
    cx.need(FLEET_COMMANDS_3, &seen, &[ok(201)])?;
    Ok(id)
}

/// Behind the Ack, until a snapshot comes without the room.
pub(super) async fn behind_the_ack(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot()]).await?;
    let id = held(cx, &agents[0]).await?;
    for request in again(cx, &agents[0], &id) {
        let seen = asked(cx, &mut agents, request).await?;
        cx.expect(FLEET_HOLDS_3, &seen, &[nobody(Cause::RoomExists)])?;
    }
    asked_again(cx, &mut agents, &id).await
}

/// Once a snapshot without the room was applied its id may be asked for.
async fn asked_again(cx: &Cx, agents: &mut [Agent], id: &str) -> Outcome {
    agents[0].becomes(cx, |snapshot| snapshot.labelled(&cx.token(6), "")).await?;
    let kind = kind(&agents[0]);
    let seen = asked(cx, agents, anywhere(cx, &kind, id)).await?;
    cx.expect(FLEET_HOLDS_4, &seen, &[went(agents, 0)])?;
    Ok(())
}

/// Behind T: the agent answers Polls at first, and none when T is over.
pub(super) async fn timed_out(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot()]).await?;
    let id = cx.name();
    let agent = &mut agents[0];
    agent.acks(None);
    let request = anywhere(cx, &kind(agent), &id);
    let (pending, _) = sent(cx, agent, request).await?;
    let until = Instant::now() + at_least(command_time(cx)).saturating_sub(agent.heartbeat);
    let silence = async {
        while agent.next_by(until).await?.is_some() {}
        agent.is_silent();
        Ok(())
    };
    let (seen, ()) = try_join(pending.answer(), silence).await?;
    cx.need(FLEET_COMMANDS_9, &seen, &[refused(Cause::CommandTimeout)])?;
    agents[0].acks(Some(done));
    for request in again(cx, &agents[0], &id) {
        let seen = asked(cx, &mut agents, request).await?;
        cx.expect(FLEET_HOLDS_3, &seen, &[nobody(Cause::RoomExists)])?;
    }
    asked_again(cx, &mut agents, &id).await
}

/// A hash-only State behind the Ack.
pub(super) async fn hash_only(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot()]).await?;
    let (poll, hash) = known(cx, &mut agents[0]).await?;
    let id = held(cx, &agents[0]).await?;
    let request = anywhere(cx, &kind(&agents[0]), &id);
    let seen = asked(cx, &mut agents, request.clone()).await?;
    cx.need(FLEET_HOLDS_3, &seen, &[nobody(Cause::RoomExists)])?;
    let seq = next_seq(&agents[0]);
    agents[0].send_state(&State { req_id: poll, seq, hash, snapshot: None });
    let seen = asked_soon(cx, &mut agents, || request.clone()).await?;
    cx.expect(FLEET_HOLDS_5, &seen, &[went(&agents, 0)])?;
    Ok(())
}

/// A Poll with the hash of what its agent says, which is not answered: its reqId, and the hash.
async fn known(cx: &Cx, agent: &mut Agent) -> Outcome<(String, String)> {
    /// One Poll of two may ask for all (FLEET-POLL-7), and one may be under way.
    const POLLS: usize = 5;
    agent.is_silent();
    let hash = agent.snapshot().hash();
    for _ in 0..POLLS {
        let seen = agent.poll(cx).await?;
        let Ok(poll) = seen.look() else { break };
        // Those that were answered when it joined are among those that were read.
        if agent.outstanding().as_ref() != Some(poll) {
            continue;
        }
        if poll.known_hash.as_ref() == Some(&hash) {
            return Ok((poll.req_id.clone(), hash));
        }
        agent.send_state(&agent.state(poll));
    }
    Err(cx.stop("no Poll has the hash of the snapshot that was applied"))
}

fn next_seq(agent: &Agent) -> u32 {
    let mut plan = agent.plan();
    plan.seq += 1;
    plan.seq
}

/// A snapshot and a Poll that was answered while the create was in flight.
pub(super) async fn state_before(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot()]).await?;
    let id = cx.name();
    let agent = &mut agents[0];
    agent.acks(None);
    let kind = kind(agent);
    // The snapshot leaves at once, and not with a Poll that may come when T is over.
    let _ = unanswered(cx, agent).await?;
    let began = Instant::now();
    let (pending, cmd) = sent(cx, agent, anywhere(cx, &kind, &id)).await?;
    agent.becomes(cx, |snapshot| snapshot.labelled("state", "before")).await?;
    agent.is_silent();
    in_time(cx, began, at_least(command_time(cx)))?;
    agent.send_ack(&done(&cmd));
    cx.need(FLEET_COMMANDS_3, &pending.answer().await?, &[ok(201)])?;
    agent.acks(Some(done));
    for request in again(cx, &agents[0], &id) {
        let seen = asked(cx, &mut agents, request).await?;
        cx.expect(FLEET_HOLDS_6, &seen, &[nobody(Cause::RoomExists)])?;
    }
    Ok(())
}

/// A snapshot of one agent, while another one answers nothing behind its Ack.
pub(super) async fn state_of_another(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot(), cx.snapshot()]).await?;
    let id = held(cx, &agents[0]).await?;
    agents[1].becomes(cx, |snapshot| snapshot.labelled("state", "of another")).await?;
    let (first, other) = (again(cx, &agents[0], &id), forced(cx, &agents[1], &id));
    for request in first.into_iter().chain([other]) {
        let seen = asked(cx, &mut agents, request).await?;
        cx.expect(FLEET_HOLDS_7, &seen, &[nobody(Cause::RoomExists)])?;
    }
    Ok(())
}

/// A snapshot that breaks a bound, and one that is not newer; what becomes of the hold is told.
pub(super) async fn without_effect(cx: &Cx) -> Outcome {
    let too_long: fn(Snapshot) -> Snapshot = Say::rejected;
    let other: fn(Snapshot) -> Snapshot = |snapshot| snapshot.labelled("not", "newer");
    for (change, newer) in [(too_long, true), (other, false)] {
        let mut agents = obedient(cx, [cx.snapshot()]).await?;
        let (req_id, _) = known(cx, &mut agents[0]).await?;
        let id = held(cx, &agents[0]).await?;
        let snapshot = change(agents[0].snapshot());
        let seq = if newer { next_seq(&agents[0]) } else { agents[0].plan().seq };
        let state = State { req_id, seq, hash: snapshot.hash(), snapshot: Some(snapshot) };
        agents[0].send_state(&state);
        let request = forced(cx, &agents[0], &id);
        let seen = asked_soon(cx, &mut agents, || request.clone()).await?;
        cx.expect(FLEET_HOLDS_8, &seen, &one_of![went(&agents, 0), nobody(Cause::RoomExists)])?;
    }
    Ok(())
}

/// Ids that were refused, by an agent that answers no Poll in between, or by the orchestrator itself.
pub(super) async fn refused_before(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot()]).await?;
    agents[0].is_silent();
    for (acks, cause) in [(failed as fn(&Cmd) -> Ack, Cause::CommandFailed), (exists, Cause::RoomExists)] {
        let id = cx.name();
        agents[0].acks(Some(acks));
        let seen = cx.send(forced(cx, &agents[0], &id)).await?;
        cx.need(FLEET_COMMANDS_4, &seen, &[refused(cause)])?;
        agents[0].acks(Some(done));
        let request = forced(cx, &agents[0], &id);
        let seen = asked(cx, &mut agents, request).await?;
        cx.expect(FLEET_HOLDS_9, &seen, &[went(&agents, 0)])?;
    }
    agents[0].says(agents[0].snapshot());
    let nowhere = |id: &str| create(cx, &json!({"type": cx.name(), "roomId": id}));
    let unknown = |id: &str| {
        create(cx, &json!({"type": "any", "roomId": id, "placement": {"instanceId": cx.token(16)}}))
    };
    let (first, second) = (cx.name(), cx.name());
    for (id, request, cause) in
        [(&first, nowhere(&first), Cause::NoCandidate), (&second, unknown(&second), Cause::InstanceNotFound)]
    {
        cx.need(FLEET_PLACEMENT_1, &cx.send(request).await?, &[refused(cause)])?;
        let request = forced(cx, &agents[0], id);
        let seen = asked(cx, &mut agents, request).await?;
        cx.expect(FLEET_HOLDS_9, &seen, &[went(&agents, 0)])?;
    }
    Ok(())
}

/// One that is in flight and one that was acknowledged, when their connection ends in one way or another.
pub(super) async fn connection_ends(cx: &Cx) -> Outcome {
    let ends: [fn(&Agent); 3] = [|agent| agent.close(1000), Agent::leave, Agent::reset];
    let mut agents = obedient(cx, [cx.snapshot()]).await?;
    for end in ends {
        let mut other = Agent::obedient(cx, cx.snapshot()).await?;
        let acknowledged = held(cx, &other).await?;
        let _ = came(&mut other).await;
        other.acks(None);
        let flying = cx.name();
        let request = forced(cx, &other, &flying);
        let (pending, _) = sent(cx, &mut other, request).await?;
        end(&other);
        cx.need(FLEET_COMMANDS_10, &pending.answer().await?, &[refused(Cause::InstanceDisconnected)])?;
        for id in [flying, acknowledged] {
            let request = forced(cx, &agents[0], &id);
            let seen = asked_soon(cx, &mut agents, || request.clone()).await?;
            cx.expect(FLEET_HOLDS_10, &seen, &[went(&agents, 0)])?;
        }
    }
    Ok(())
}

/// An id that is held on one instance, in flight and behind its Ack, is asked for on another one.
pub(super) async fn pins_another(cx: &Cx) -> Outcome {
    let mut agents = obedient(cx, [cx.snapshot(), cx.snapshot()]).await?;
    let acknowledged = held(cx, &agents[0]).await?;
    let _ = came(&mut agents[0]).await;
    agents[0].acks(None);
    let flying = cx.name();
    let request = forced(cx, &agents[0], &flying);
    let (_pending, _) = sent(cx, &mut agents[0], request).await?;
    let uid = agents[1].snapshot().process_uid;
    for id in [acknowledged, flying] {
        let by_uid = json!({"type": "any", "roomId": id, "placement": {"processUid": uid}});
        for request in [forced(cx, &agents[1], &id), create(cx, &by_uid)] {
            let seen = asked(cx, &mut agents, request).await?;
            cx.expect(FLEET_HOLDS_11, &seen, &[nobody(Cause::RoomExists)])?;
        }
    }
    Ok(())
}
