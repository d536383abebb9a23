//! Checks of drain and undrain: what the agent is told, and what counts from when on.

use crate::{
    check::{Cx, Outcome, alternative},
    checks::fleet::{
        agent::{Agent, failed},
        orders::{anywhere, came, in_time, kind, obedient, patience},
        setting::{Say, drain, get, instance, ok, ok_and, refused},
    },
    wire::Seen,
};
use tokio::time::Instant;
use wireproof_spec::{
    fleet::{Cause, Cmd, Op, Status, requirements::*},
    http::Response,
};

/// Each op, twice and more, for an agent that is active and one that is draining; another one is told nothing.
pub(super) async fn drains(cx: &Cx) -> Outcome {
    let draining = cx.snapshot().in_status(Status::Draining);
    let mut agents = obedient(cx, [cx.snapshot(), draining, cx.snapshot()]).await?;
    for n in [0, 1] {
        let mut seen = Vec::new();
        // What is sent twice for the first ones has come when the last one is answered.
        for op in [true, true, false, false, false] {
            let answer = cx.send(drain(cx, &agents[n].id, op)).await?;
            cx.need(FLEET_COMMANDS_14, &answer, &[ok(200)])?;
            seen.push(answer);
        }
        let mut cmds = Vec::new();
        for agent in &mut agents {
            cmds.push(came(agent).await);
        }
        let name = "a Cmd for each request, with its op, to the agent of the instance alone";
        let each = alternative(name, move |cmds: &Vec<Vec<Cmd>>| {
            let ops = [Op::Drain, Op::Drain, Op::Undrain, Op::Undrain, Op::Undrain];
            cmds.iter().enumerate().all(|(at, cmds)| match at == n {
                true => cmds.iter().map(|cmd| &cmd.op).eq(&ops),
                false => cmds.is_empty(),
            })
        });
        cx.expect(FLEET_COMMANDS_17, &Seen::all(seen).map(|_| cmds), &[each])?;
    }
    Ok(())
}

/// Changes the status by a request, which the agent does.
async fn change(cx: &Cx, agent: &Agent, drains: bool) -> Outcome {
    let seen = cx.send(drain(cx, &agent.id, drains)).await?;
    cx.need(FLEET_COMMANDS_14, &seen, &[ok(200)])?;
    Ok(())
}

/// Asks for a room of the type of an agent.
async fn wanted(cx: &Cx, agent: &Agent) -> Outcome<Seen<Response>> {
    cx.send(anywhere(cx, &kind(agent), &cx.name())).await
}

/// Agents that send no State behind the Ack.
pub(super) async fn at_once(cx: &Cx) -> Outcome {
    for drains in [true, false] {
        let status = if drains { Status::Active } else { Status::Draining };
        let mut agent = Agent::obedient(cx, cx.snapshot().in_status(status)).await?;
        let since = Instant::now();
        agent.is_silent();
        change(cx, &agent, drains).await?;
        let told = came(&mut agent).await.len();
        let seen = wanted(cx, &agent).await?;
        let pong = agent.fence(cx).await?;
        let creates = came(&mut agent).await.len();
        // Later the instance would be stale.
        in_time(cx, since, agent.heartbeat * 3 / 2)?;
        if told != 1 {
            return Err(cx.stop("the agent was told something else"));
        }
        let answer = if drains { refused(Cause::NoCandidate) } else { ok(201) };
        let name = match drains {
            true => "a refusal as NO_CANDIDATE, and no Cmd",
            false => "201, and a Cmd",
        };
        let right = alternative(name, move |(response, creates): &(Response, Made)| {
            answer.holds(response) && (creates.0 == 0) == drains
        });
        cx.expect(FLEET_COMMANDS_18, &seen.and(pong.map(|_| Made(creates))), &[right])?;
    }
    Ok(())
}

/// How many Cmds came.
struct Made(usize);

impl crate::check::Shown for Made {
    fn shown(&self) -> String {
        format!("{} Cmds", self.0)
    }
}

/// What is shown behind the Ack, behind a State that says the old status, and behind one that says the new.
pub(super) async fn as_told(cx: &Cx) -> Outcome {
    let mut agent = Agent::obedient(cx, cx.snapshot()).await?;
    for drains in [true, false] {
        let (old, new) =
            if drains { (Status::Active, Status::Draining) } else { (Status::Draining, Status::Active) };
        change(cx, &agent, drains).await?;
        shows(cx, &agent, &old).await?;
        agent.becomes(cx, |snapshot| snapshot.labelled(&cx.token(6), "")).await?;
        shows(cx, &agent, &old).await?;
        agent.becomes(cx, |snapshot| snapshot.in_status(new.clone())).await?;
        shows(cx, &agent, &new).await?;
    }
    // An op that its agent has done already.
    change(cx, &agent, true).await?;
    change(cx, &agent, false).await?;
    shows(cx, &agent, &Status::Active).await
}

/// Claims that an instance is shown with this status, alone and in the list.
async fn shows(cx: &Cx, agent: &Agent, status: &Status) -> Outcome {
    let word = status.word().to_owned();
    let name = format!("the instance with the status {word}");
    let (id, one) = (agent.id.clone(), word.clone());
    let seen = cx.send(instance(cx, &id)).await?;
    cx.expect(FLEET_COMMANDS_19, &seen, &[ok_and(200, &name, move |data| data["status"] == one)])?;
    let seen = cx.send(get(cx, "v1/instances")).await?;
    let listed = ok_and(200, &name, move |data| {
        let all = data.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().any(|info| info["id"] == id && info["status"] == word)
    });
    cx.expect(FLEET_COMMANDS_19, &seen, &[listed])?;
    Ok(())
}

/// An op, a snapshot that agrees, and then one that says the other status, of the agent's own accord.
pub(super) async fn agreed(cx: &Cx) -> Outcome {
    for drains in [true, false] {
        let (old, new) =
            if drains { (Status::Active, Status::Draining) } else { (Status::Draining, Status::Active) };
        let mut agent = Agent::obedient(cx, cx.snapshot().in_status(old.clone())).await?;
        let answer = |taken: bool| if taken { ok(201) } else { refused(Cause::NoCandidate) };
        change(cx, &agent, drains).await?;
        agent.becomes(cx, |snapshot| snapshot.in_status(new)).await?;
        cx.expect(FLEET_COMMANDS_20, &wanted(cx, &agent).await?, &[answer(!drains)])?;
        agent.becomes(cx, |snapshot| snapshot.in_status(old)).await?;
        cx.expect(FLEET_COMMANDS_20, &wanted(cx, &agent).await?, &[answer(drains)])?;
    }
    Ok(())
}

/// A drain and an undrain that the agent refuses, and a drain that it does not acknowledge.
pub(super) async fn fails(cx: &Cx) -> Outcome {
    let active = Agent::obedient(cx, cx.snapshot()).await?;
    let draining = Agent::obedient(cx, cx.snapshot().in_status(Status::Draining)).await?;
    for (agent, drains) in [(&active, true), (&draining, false)] {
        let acks = agent.plan().acks.replace(failed);
        let seen = cx.send(drain(cx, &agent.id, drains)).await?;
        cx.need(FLEET_COMMANDS_4, &seen, &[refused(Cause::CommandFailed)])?;
        agent.acks(acks);
        let answer = if drains { ok(201) } else { refused(Cause::NoCandidate) };
        cx.expect(FLEET_COMMANDS_21, &wanted(cx, agent).await?, &[answer])?;
    }
    let acks = active.plan().acks.take();
    let pending = cx.begin(drain(cx, &active.id, true), patience(cx)).await?;
    cx.need(FLEET_COMMANDS_9, &pending.answer().await?, &[refused(Cause::CommandTimeout)])?;
    active.acks(acks);
    cx.expect(FLEET_COMMANDS_21, &wanted(cx, &active).await?, &[ok(201)])?;
    Ok(())
}
