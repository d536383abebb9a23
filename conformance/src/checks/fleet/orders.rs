//! Requests that have agents told something, and what the agents were told, for the checks of several areas.

use super::{
    agent::{Agent, Came, Heard, done},
    setting::{at_most, cause, create, drain, get, ok, value},
};
use crate::{
    check::{Alternative, Cx, Outcome, Shown, alternative},
    wire::{Seen, http::Pending},
};
use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{
    fleet::{Ack, Cause, Cmd, Op, Poll, Snapshot, Status, requirements::*},
    http::{Request, Response},
};

/// T.
pub fn command_time(cx: &Cx) -> Duration {
    Duration::from_millis(cx.features().limit("command-timeout-ms").unwrap_or(10_000))
}

/// How long a request is waited for whose Cmd may not be acknowledged.
pub fn patience(cx: &Cx) -> Duration {
    at_most(command_time(cx)) + cx.answer_time()
}

/// Stops the check where so much time has passed since then that what was prepared is over: it speaks for nothing any more.
///
/// # Errors
/// Then, inconclusive.
pub fn in_time(cx: &Cx, since: Instant, length: Duration) -> Outcome {
    if since.elapsed() > length {
        return Err(cx.stop("it took too long to do what had to be done before a timer of the target ends"));
    }
    Ok(())
}

/// Agents that say this, are shown, and do all that they are told. They join at once.
///
/// # Errors
/// As [`Agent::obedient`].
pub async fn obedient<const N: usize>(cx: &Cx, snapshots: [Snapshot; N]) -> Outcome<Vec<Agent>> {
    try_join_all(snapshots.map(|snapshot| Agent::obedient(cx, snapshot))).await
}

/// The type of room that an agent takes first.
pub fn kind(agent: &Agent) -> String {
    agent.snapshot().room_types.first().cloned().unwrap_or_default()
}

/// A POST /v1/rooms for a room of this type and id, pinned to an agent, draining and stale or not.
pub fn forced(cx: &Cx, agent: &Agent, id: &str) -> Request {
    let placement = json!({"instanceId": agent.id, "force": true});
    create(cx, &json!({"type": kind(agent), "roomId": id, "placement": placement}))
}

/// A POST /v1/rooms for a room of this type and id, wherever.
pub fn anywhere(cx: &Cx, kind: &str, id: &str) -> Request {
    create(cx, &json!({"type": kind, "roomId": id}))
}

/// A request that has left, and the Cmd that came for it.
///
/// # Errors
/// As [`Agent::cmd`].
pub async fn sent(cx: &Cx, agent: &mut Agent, request: Request) -> Outcome<(Pending, Cmd)> {
    let pending = cx.begin(request, patience(cx)).await?;
    let seen = agent.cmd(cx).await?;
    match seen.look() {
        Ok(cmd) => Ok((pending, cmd.clone())),
        Err(why) => Err(cx.stop(&format!("no Cmd came: {why}"))),
    }
}

/// The Poll that an agent leaves unanswered from now on: what it says next it can say at once.
///
/// # Errors
/// As [`Agent::poll`].
pub async fn unanswered(cx: &Cx, agent: &mut Agent) -> Outcome<Poll> {
    agent.is_silent();
    loop {
        if let Some(poll) = agent.outstanding() {
            return Ok(poll);
        }
        let _ = agent.poll(cx).await?;
    }
}

/// What became of a request that waits for an Ack.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The answer.
    pub answer: Response,
    /// Whether it came before the Ack.
    pub early: bool,
}

impl Shown for Answered {
    fn shown(&self) -> String {
        let early = if self.early { ", before the Ack" } else { "" };
        format!("{}{early}", self.answer.shown())
    }
}

/// That an answer came behind the Ack, and is this.
pub fn behind_the_ack(answer: Alternative<Response>) -> Alternative<Answered> {
    let name = format!("{}, behind the Ack", answer.expected().name);
    alternative(name, move |answered: &Answered| !answered.early && answer.holds(&answered.answer))
}

/// Lets a State be accepted, if there is time for one, and another request be answered before an Ack is sent; what becomes of
/// the request that waits for it.
///
/// # Errors
/// As [`Pending::answer`] and [`Cx::send`].
pub async fn acknowledged(
    cx: &Cx,
    agent: &mut Agent,
    pending: Pending,
    ack: &Ack,
) -> Outcome<Seen<Answered>> {
    let answer = async {
        let seen = pending.answer().await?;
        Ok((seen, Instant::now()))
    };
    let until = Instant::now() + command_time(cx) * 3 / 5;
    let act = async {
        while let Some(seen) = agent.next_by(until).await? {
            if seen.look().is_ok_and(|heard| matches!(heard.came, Came::Poll(_))) {
                break;
            }
        }
        // Behind its answer the State was read as well.
        let _ = cx.send(get(cx, "v1/stats")).await?;
        let acked = Instant::now();
        agent.send_ack(ack);
        Ok(acked)
    };
    let ((seen, came), acked) = try_join(answer, act).await?;
    Ok(seen.map(|answer| Answered { answer, early: came < acked }))
}

/// The Cmds that an agent has read and nobody has looked at.
pub async fn came(agent: &mut Agent) -> Vec<Cmd> {
    let mut cmds = Vec::new();
    // Where the connection is over nothing more comes.
    while let Ok(Some(seen)) = agent.next_by(Instant::now()).await {
        if let Ok(Heard { came: Came::Cmd(cmd), .. }) = seen.look() {
            cmds.push(cmd.clone());
        }
    }
    cmds
}

/// The Cmds that came up to one that is sent now: what was sent before has come. The one that is sent asks for the status that
/// the agent says it has, so that it changes nothing. An agent that was told what nobody asked for may have been sent away for
/// its Ack; then the Cmds speak for themselves.
///
/// # Errors
/// Stops the check, inconclusive, if the agent is told nothing at all.
pub async fn up_to_now(cx: &Cx, agent: &mut Agent) -> Outcome<Vec<Cmd>> {
    let drains = agent.snapshot().status == Status::Draining;
    let op = if drains { Op::Drain } else { Op::Undrain };
    let before = agent.plan().acks.replace(done);
    let seen = cx.send(drain(cx, &agent.id, drains)).await?;
    agent.acks(before);
    let mut cmds = came(agent).await;
    if seen.look().is_ok_and(|response| response.status == 200)
        && let Some(last) = cmds.iter().rposition(|cmd| cmd.op == op)
    {
        cmds.remove(last);
        return Ok(cmds);
    }
    // Its connection may have ended behind what is sent here.
    cmds.retain(|cmd| cmd.op != op);
    if cmds.is_empty() {
        cx.need(FLEET_COMMANDS_14, &seen, &[ok(200)])?;
        return Err(cx.stop("an agent was not told what is sent behind all else"));
    }
    Ok(cmds)
}

/// What a request came to: its answer, and what each agent was told.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The answer.
    pub answer: Response,
    /// What each agent was told.
    pub cmds: Vec<Vec<Cmd>>,
}

impl Shown for Asked {
    fn shown(&self) -> String {
        let told = |cmds: &Vec<Cmd>| if cmds.is_empty() { "[nothing]".into() } else { cmds.shown() };
        let cmds: Vec<String> = self.cmds.iter().map(told).collect();
        format!("{}; the agents were told: {}", self.answer.shown(), cmds.join(", "))
    }
}

/// Sends a request, and looks what each of these agents, which do all that they are told, was told for it.
///
/// # Errors
/// As [`Cx::send`] and [`up_to_now`].
pub async fn asked(cx: &Cx, agents: &mut [Agent], request: Request) -> Outcome<Seen<Asked>> {
    for agent in &mut *agents {
        let _ = came(agent).await;
    }
    let seen = cx.send(request).await?;
    let mut cmds = Vec::new();
    for agent in agents {
        cmds.push(up_to_now(cx, agent).await?);
    }
    Ok(seen.map(|answer| Asked { answer, cmds }))
}

/// As [`asked`], again and again until it succeeds or the time is over in which a State or a close changes what is there.
///
/// # Errors
/// As [`asked`].
pub async fn asked_soon(
    cx: &Cx,
    agents: &mut [Agent],
    request: impl Fn() -> Request,
) -> Outcome<Seen<Asked>> {
    const SOON: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_millis(50);
    let until = Instant::now() + SOON;
    loop {
        let seen = asked(cx, agents, request()).await?;
        if Instant::now() > until || seen.look().is_ok_and(|asked| asked.answer.status == 201) {
            return Ok(seen);
        }
        // Each round has the agents send an Ack, and there is a rate of what they may send.
        sleep(PAUSE).await;
    }
}

/// That a room was made, and one Cmd was sent for it: to this one of the agents, for a room with the id of the answer.
pub fn went(agents: &[Agent], to: usize) -> Alternative<Asked> {
    let id = agents.get(to).map(|agent| agent.id.clone()).unwrap_or_default();
    alternative(
        format!("201 for a room on the instance {id}, and a create to its agent alone"),
        move |asked: &Asked| is_on(asked, to, &id),
    )
}

/// Whether a room was made by this one of the agents, which has this id as an instance.
pub fn is_on(asked: &Asked, to: usize, id: &str) -> bool {
    let body = value(&asked.answer);
    let told = asked.cmds.iter().enumerate().all(|(n, cmds)| match cmds.as_slice() {
        [cmd] => n == to && cmd.op == Op::Create && body["data"]["id"] == json!(cmd.room_id),
        cmds => n != to && cmds.is_empty(),
    });
    asked.answer.status == 201 && body["data"]["instanceId"] == id && told
}

/// That a request was refused as this, and no agent was told anything.
pub fn nobody(as_what: Cause) -> Alternative<Asked> {
    alternative(format!("a refusal as {}, and no Cmd", as_what.word()), move |asked: &Asked| {
        cause(&asked.answer) == Some(as_what) && asked.cmds.iter().all(Vec::is_empty)
    })
}

/// The placement of a room on this instance.
pub fn pin(agent: &Agent) -> Value {
    json!({"instanceId": agent.id})
}
