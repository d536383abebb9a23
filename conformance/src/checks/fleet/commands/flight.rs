//! Checks of Cmds in flight: how many, in which order they are answered, and how they end without an Ack.

use crate::{
    check::{Cx, Outcome, Shown, alternative},
    checks::fleet::{
        agent::{Agent, Came, Heard, closed, done, exists, failed},
        orders::{anywhere, command_time, in_time, kind, patience, pin, sent},
        setting::{Apart, Say, at_least, at_most, cause, create, destroy, drain, ok, refused, told},
    },
    wire::{Seen, http::Pending},
};
use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;
use wireproof_spec::{
    fleet::{Ack, Cause, Cmd, Op, requirements::*},
    http::{Request, Response},
};

/// How many Cmds may be in flight on one connection.
const MOST: usize = 32;

/// Cmds of all ops in flight at two agents, acknowledged from the last to the first, each in another way.
pub(super) async fn any_order(cx: &Cx) -> Outcome {
    let room = cx.name();
    let mut agent = Agent::join(cx, cx.snapshot().with_room(told(&room, "any", 0))).await?;
    let mut other = Agent::join(cx, cx.snapshot()).await?;
    let (kind, elsewhere) = (kind(&agent), kind(&other));
    let began = Instant::now();
    let mut flying: Vec<(Pending, Ack, _)> = Vec::new();
    let failure = || refused(Cause::CommandFailed);
    for (request, acks, answer) in [
        (anywhere(cx, &kind, &cx.name()), done as fn(&Cmd) -> Ack, ok(201)),
        (anywhere(cx, &kind, &cx.name()), failed, failure()),
        (anywhere(cx, &kind, &cx.name()), exists, refused(Cause::RoomExists)),
        (destroy(cx, &room), failed, failure()),
        (drain(cx, &agent.id, true), done, ok(200)),
    ] {
        let (pending, cmd) = sent(cx, &mut agent, request).await?;
        flying.push((pending, acks(&cmd), answer));
    }
    let (there, cmd) = sent(cx, &mut other, anywhere(cx, &elsewhere, &cx.name())).await?;
    in_time(cx, began, at_least(command_time(cx)))?;
    other.send_ack(&failed(&cmd));
    cx.expect(FLEET_COMMANDS_8, &there.answer().await?, &[failure()])?;
    for (pending, ack, answer) in flying.into_iter().rev() {
        in_time(cx, began, at_least(command_time(cx)))?;
        agent.send_ack(&ack);
        cx.expect(FLEET_COMMANDS_8, &pending.answer().await?, &[answer])?;
    }
    Ok(())
}

/// One request of each op, for an agent that has this room.
fn each_op(cx: &Cx, agent: &Agent, room: &str) -> [Request; 4] {
    [
        anywhere(cx, &kind(agent), &cx.name()),
        destroy(cx, room),
        drain(cx, &agent.id, true),
        drain(cx, &agent.id, false),
    ]
}

/// Nothing is acknowledged. The time is measured from before the request to the answer for its lower bound, and from when the
/// Cmd was read for its upper one.
pub(super) async fn timeout(cx: &Cx) -> Outcome {
    let room = cx.name();
    let mut agent = Agent::join(cx, cx.snapshot().with_room(told(&room, "any", 0))).await?;
    let mut flying = Vec::new();
    for request in each_op(cx, &agent, &room) {
        let began = Instant::now();
        let (pending, _) = sent(cx, &mut agent, request).await?;
        flying.push((pending, began, Instant::now()));
    }
    let all = try_join_all(flying.into_iter().map(|(pending, began, read)| async move {
        let seen = pending.answer().await?;
        let lengths = Apart(vec![began.elapsed(), read.elapsed()]);
        Ok(seen.map(|answer| (answer, lengths)))
    }));
    let (least, most) = (at_least(command_time(cx)), at_most(command_time(cx)));
    for seen in all.await? {
        let name =
            format!("a refusal as COMMAND_TIMEOUT from {} to {} ms", least.as_millis(), most.as_millis());
        let late = alternative(name, move |(answer, Apart(lengths)): &(Response, Apart)| {
            cause(answer) == Some(Cause::CommandTimeout) && lengths[0] >= least && lengths[1] <= most
        });
        cx.expect(FLEET_COMMANDS_9, &seen, &[late])?;
    }
    Ok(())
}

/// The ways in which a connection ends before its Cmds are acknowledged.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Leave,
    Reset,
    /// It is closed for an Ack that nobody waits for.
    Kicked,
}

impl End {
    fn act(self, agent: &Agent) {
        match self {
            End::Close => agent.close(1000),
            End::Leave => agent.leave(),
            End::Reset => agent.reset(),
            End::Kicked => {
                let ack = Ack {
                    cmd_id: "nobody-waits-for-this".into(),
                    ok: true,
                    error: None,
                    already_gone: None,
                    room: None,
                    exists: None,
                };
                agent.send_ack(&ack);
            }
        }
    }
}

/// What became of the request of each op when its connection ended.
struct Left(Vec<(Response, Duration)>);

impl Shown for Left {
    fn shown(&self) -> String {
        self.0.shown()
    }
}

/// Connections that end in each way, with a request of each op in flight.
pub(super) async fn disconnected(cx: &Cx) -> Outcome {
    /// An answer that is late counts if it is late each time.
    const RUNS: usize = 3;
    for end in [End::Close, End::Leave, End::Reset, End::Kicked] {
        for run in 1..=RUNS {
            let seen = left(cx, end).await?;
            let as_what = |Left(all): &Left| {
                all.iter().all(|(answer, _)| cause(answer) == Some(Cause::InstanceDisconnected))
            };
            let soon = |Left(all): &Left| all.iter().all(|(_, took)| *took <= Duration::from_millis(500));
            if run < RUNS && seen.look().is_ok_and(|left| as_what(left) && !soon(left)) {
                continue;
            }
            let name = "a refusal of each request as INSTANCE_DISCONNECTED, within 500 ms";
            let refused = alternative(name, move |left: &Left| as_what(left) && soon(left));
            cx.expect(FLEET_COMMANDS_10, &seen, &[refused])?;
            break;
        }
    }
    Ok(())
}

async fn left(cx: &Cx, end: End) -> Outcome<Seen<Left>> {
    let room = cx.name();
    let mut agent = Agent::join(cx, cx.snapshot().with_room(told(&room, "any", 0))).await?;
    let mut flying = Vec::new();
    let began = Instant::now();
    for pending in each_op(cx, &agent, &room).map(|request| cx.begin(request, patience(cx))) {
        flying.push(pending.await?);
    }
    for _ in &flying {
        let _ = agent.cmd(cx).await?;
    }
    in_time(cx, began, at_least(command_time(cx)))?;
    let acted = Instant::now();
    end.act(&agent);
    let answers = try_join_all(flying.into_iter().map(|pending| async move {
        let seen = pending.answer().await?;
        let at = Instant::now();
        Ok(seen.map(|answer| (answer, at)))
    }));
    // An end that the orchestrator makes has a time of its own.
    let ended = async {
        if !matches!(end, End::Kicked) {
            return Ok(acted);
        }
        let fate = agent.fate(cx, cx.answer_time()).await?;
        cx.need(FLEET_VIOLATIONS_5, &fate, &[closed(4003)])?;
        Ok(Instant::now())
    };
    let (all, ended) = try_join(answers, ended).await?;
    let since = |at: Instant| at.saturating_duration_since(ended);
    Ok(Seen::all(all).map(|all| Left(all.into_iter().map(|(answer, at)| (answer, since(at))).collect())))
}

/// An agent that answers no Poll any more is asked for something before it is evicted.
pub(super) async fn evicted(cx: &Cx) -> Outcome {
    let room = cx.name();
    let mut agent = Agent::join(cx, cx.snapshot().with_room(told(&room, "any", 0))).await?;
    agent.is_silent();
    let _ = agent.poll(cx).await?;
    let since = Instant::now();
    let until = since + agent.heartbeat * 12 / 5;
    while agent.next_by(until).await?.is_some() {}
    // When it is evicted is for the orchestrator to say: of Cmds that are sent again and again the last ones are in flight then.
    let last = since + agent.heartbeat * 6 + Duration::from_secs(1);
    let (mut flying, mut read) = (Vec::new(), 0);
    let ended = loop {
        let began = Instant::now();
        if began > last {
            return Err(cx.stop("the agent is not evicted"));
        }
        flying.push((began, cx.begin(drain(cx, &agent.id, true), patience(cx)).await?));
        let mut ended = None;
        while ended.is_none()
            && let Some(seen) = agent.next_by(began + command_time(cx) / 2).await?
        {
            match seen.look().map(|heard| &heard.came) {
                Ok(Came::Cmd(_)) => read += 1,
                Ok(Came::Closed(_)) | Err(_) => ended = Some(Instant::now()),
                Ok(_) => {}
            }
        }
        if let Some(ended) = ended {
            break ended;
        }
    };
    let is_fresh = |began: Instant| ended.saturating_duration_since(began) < at_least(command_time(cx));
    let mut claimed = false;
    for (began, pending) in flying.into_iter().take(read) {
        if is_fresh(began) {
            let answer = pending.answer().await?;
            cx.expect(FLEET_COMMANDS_10, &answer, &[refused(Cause::InstanceDisconnected)])?;
            claimed = true;
        }
    }
    if !claimed {
        return Err(cx.stop("no Cmd was in flight when the agent was evicted"));
    }
    Ok(())
}

/// Creates that are in flight, each with an id of its own.
struct Flight {
    began: Instant,
    /// By the id of the room.
    pending: Vec<(String, Pending)>,
    cmds: Vec<Cmd>,
    /// What the Cmds were seen in.
    seen: Seen<Vec<Heard>>,
}

/// So many creates, pinned to an agent that acknowledges nothing, and the Cmds that came for them in time.
async fn fill(cx: &Cx, agent: &mut Agent, count: usize) -> Outcome<Flight> {
    let began = Instant::now();
    let begin = |_| async {
        let id = cx.name();
        let body = json!({"type": "any", "roomId": id, "placement": pin(agent)});
        Ok((id, cx.begin(create(cx, &body), patience(cx)).await?))
    };
    let pending = try_join_all((0..count).map(begin)).await?;
    let (mut seen, mut cmds) = (Vec::new(), Vec::new());
    let until = Instant::now() + at_least(command_time(cx)) / 2;
    while cmds.len() < count
        && let Some(heard) = agent.next_by(until).await?
    {
        if let Ok(Heard { came: Came::Cmd(cmd), .. }) = heard.look() {
            cmds.push(cmd.clone());
            seen.push(heard);
        }
    }
    Ok(Flight { began, pending, cmds, seen: Seen::all(seen) })
}

/// Requests of each op for an instance with 32 Cmds in flight; another instance is asked.
pub(super) async fn busy(cx: &Cx) -> Outcome {
    let room = cx.name();
    let mut agent = Agent::join(cx, cx.snapshot().with_room(told(&room, "any", 0))).await?;
    let flight = fill(cx, &mut agent, MOST).await?;
    if flight.cmds.len() < MOST {
        return Err(cx.stop("of 32 Cmds some did not come"));
    }
    // From here on there is time for an answer before the first of them has waited for T.
    in_time(cx, flight.began, at_least(command_time(cx)) * 2 / 3)?;
    let pinned = create(cx, &json!({"type": "any", "placement": pin(&agent)}));
    let requests = each_op(cx, &agent, &room).into_iter().chain([pinned]);
    let all = requests.map(|request| async {
        let mut peer = cx.http().patient(patience(cx));
        peer.send(request).await
    });
    for seen in try_join_all(all).await? {
        cx.expect(FLEET_COMMANDS_11, &seen, &[refused(Cause::InstanceBusy)])?;
    }
    let cmds = agent.cmds(cx).await?;
    let none = alternative("no Cmd behind the 32 in flight", Vec::is_empty);
    cx.expect(FLEET_COMMANDS_11, &cmds, &[none])?;
    Ok(())
}

/// 32 Cmds on a connection, of which one is answered; and one on another connection meanwhile.
pub(super) async fn thirty_two(cx: &Cx) -> Outcome {
    let mut agent = Agent::join(cx, cx.snapshot()).await?;
    let other = Agent::obedient(cx, cx.snapshot()).await?;
    let Flight { began, mut pending, cmds, seen } = fill(cx, &mut agent, MOST).await?;
    let there = cx.send(anywhere(cx, &kind(&other), &cx.name())).await?;
    in_time(cx, began, at_least(command_time(cx)))?;
    let whole = alternative("32 Cmds", |cmds: &Vec<Heard>| cmds.len() == MOST);
    cx.expect(FLEET_COMMANDS_12, &seen, &[whole])?;
    cx.expect(FLEET_COMMANDS_12, &there, &[ok(201)])?;
    let answered = cmds.first().and_then(|cmd| {
        let at = pending.iter().position(|(id, _)| cmd.room_id.as_ref() == Some(id))?;
        Some((cmd, pending.remove(at).1))
    });
    let Some((cmd, first)) = answered else {
        return Err(cx.stop("a Cmd is for a room that nobody asked for"));
    };
    agent.send_ack(&done(cmd));
    cx.need(FLEET_COMMANDS_3, &first.answer().await?, &[ok(201)])?;
    agent.acks(Some(done));
    let seen = cx.send(anywhere(cx, &kind(&agent), &cx.name())).await?;
    in_time(cx, began, at_least(command_time(cx)))?;
    cx.expect(FLEET_COMMANDS_12, &seen, &[ok(201)])?;
    Ok(())
}

/// Cmds of all ops, the same requests again behind a failure, and one behind T.
pub(super) async fn new_ids(cx: &Cx) -> Outcome {
    let room = cx.name();
    let mut agent = Agent::join(cx, cx.snapshot().with_room(told(&room, "any", 0))).await?;
    agent.acks(Some(failed));
    let again = each_op(cx, &agent, &room);
    for request in again.iter().chain(&again) {
        let seen = cx.send(request.clone()).await?;
        cx.need(FLEET_COMMANDS_4, &seen, &[refused(Cause::CommandFailed)])?;
    }
    agent.acks(None);
    let [.., request] = again;
    let pending = cx.begin(request.clone(), patience(cx)).await?;
    cx.need(FLEET_COMMANDS_9, &pending.answer().await?, &[refused(Cause::CommandTimeout)])?;
    agent.acks(Some(done));
    let last = cx.send(request).await?;
    cx.need(FLEET_COMMANDS_14, &last, &[ok(200)])?;
    let cmds = agent.cmds(cx).await?;
    let different = alternative("ten Cmds with cmdIds that all differ", |cmds: &Vec<Cmd>| {
        let all: BTreeSet<_> = cmds.iter().map(|cmd| &cmd.cmd_id).collect();
        cmds.len() == 10 && all.len() == 10 && cmds.iter().all(|cmd| !matches!(cmd.op, Op::Other(_)))
    });
    cx.expect(FLEET_COMMANDS_22, &cmds, &[different])?;
    Ok(())
}
