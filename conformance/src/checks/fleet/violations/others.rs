//! What goes with a connection that is kicked, and what stays.

use super::{Task, fate};
use crate::{
    check::{Alternative, Cx, Outcome, Shown, alternative, answer},
    checks::fleet::{
        agent::{Agent, Came, Heard, closed},
        by_hand::{SOON, polled, polled_with, takes},
        setting::{Say, get, info, instance, ok_and, refused, told},
    },
    wire::Seen,
};
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{
    fleet::{Ack, Cause, State, connect::SENTINEL, requirements::*},
    http::{Request, Response},
};

/// What ends a connection.
#[derive(Clone, Copy, PartialEq)]
enum End {
    State,
    Ack,
    Topic,
    Malformed,
    Silence,
}

impl End {
    /// Has the connection ended.
    async fn bring(self, cx: &Cx, agent: &mut Agent) -> Outcome {
        let (req_id, cmd_id) = (cx.token(16), cx.token(16));
        match self {
            End::State => {
                let hash = agent.snapshot().hash();
                agent.send_state(&State { req_id, seq: 1_000, hash, snapshot: None });
            }
            End::Ack => agent.send_ack(&Ack {
                cmd_id,
                ok: true,
                error: None,
                already_gone: None,
                room: None,
                exists: None,
            }),
            End::Topic => agent.send_inner("fleet/hello", &[]),
            End::Malformed => agent.send_binary([0x0d].to_vec()),
            End::Silence => {
                agent.is_silent();
                // At the third miss in a row, give or take a tick.
                let wait = agent.heartbeat * 6 + SOON;
                let fate = agent.fate(cx, wait).await?;
                cx.need(FLEET_LIVENESS_2, &fate, &[closed(4003)])?;
                return Ok(());
            }
        }
        let fate = fate(cx, agent).await?;
        cx.need(FLEET_VIOLATIONS_2, &fate, &[closed(4003)])?;
        Ok(())
    }
}

/// What the API shows as soon as it is this, or what it shows when a second is over.
async fn soon(cx: &Cx, request: Request, awaited: &Alternative<Response>) -> Outcome<Seen<Response>> {
    /// How far apart looks are.
    const PAUSE: Duration = Duration::from_millis(20);
    let until = Instant::now() + SOON;
    loop {
        let seen = cx.send(request.clone()).await?;
        if seen.look().is_ok_and(|response| awaited.holds(response)) || Instant::now() > until {
            return Ok(seen);
        }
        sleep(PAUSE).await;
    }
}

/// Whoever is kicked or evicted is shown no longer, and neither are its rooms.
pub(super) async fn leaves(cx: &Cx) -> Outcome {
    let ends = [End::State, End::Ack, End::Topic, End::Malformed, End::Silence];
    try_join_all(ends.map(async |end| {
        let room = told(&cx.name(), "any", 3);
        let mut agent = Agent::join(cx, cx.snapshot().with_room(room)).await?;
        end.bring(cx, &mut agent).await?;
        let unknown = refused(Cause::InstanceNotFound);
        let seen = soon(cx, instance(cx, &agent.id), &unknown).await?;
        cx.expect(FLEET_VIOLATIONS_14, &seen, &[unknown])?;
        let (id, owner) = (agent.id.clone(), agent.id.clone());
        let list = ok_and(200, "without the instance", move |data| none(data, "id", &id));
        let seen = soon(cx, get(cx, "v1/instances"), &list).await?;
        cx.expect(FLEET_VIOLATIONS_14, &seen, &[list])?;
        let rooms = ok_and(200, "without its rooms", move |data| none(data, "instanceId", &owner));
        let seen = soon(cx, get(cx, "v1/rooms"), &rooms).await?;
        cx.expect(FLEET_VIOLATIONS_14, &seen, &[rooms])?;
        Ok(())
    }))
    .await?;
    Ok(())
}

/// Whether this is a list in which no member is that.
fn none(data: &serde_json::Value, member: &str, value: &str) -> bool {
    data.as_array().is_some_and(|all| all.iter().all(|one| one[member] != value))
}

/// What was answered, and how long behind the end of a connection.
struct Later(Response, Duration);

impl Shown for Later {
    fn shown(&self) -> String {
        format!("{}, {} ms behind the end of the connection", self.0.shown(), self.1.as_millis())
    }
}

/// Whoever waits for an Ack learns at once that none will come.
pub(super) async fn who_waits(cx: &Cx) -> Outcome {
    for end in [End::State, End::Topic, End::Ack] {
        let mut agent = Agent::join(cx, cx.snapshot()).await?;
        let mut waiting = Vec::new();
        for task in [Task::Create, Task::Drain, Task::Create] {
            waiting.push(task.ask(cx, &mut agent).await?.1);
        }
        let answers = try_join_all(waiting.into_iter().map(async |pending| {
            let seen = pending.answer().await?;
            let at = Instant::now();
            Ok(seen.map(|response| (response, at)))
        }));
        let ended = async {
            end.bring(cx, &mut agent).await?;
            Ok(Instant::now())
        };
        let (seen, ended) = futures_util::future::try_join(answers, ended).await?;
        for one in seen {
            let one = one.map(|(response, at)| Later(response, at.saturating_duration_since(ended)));
            let gone = refused(Cause::InstanceDisconnected);
            let name = format!("{} within a second", gone.expected().name);
            let gone = alternative(name, move |later: &Later| gone.holds(&later.0) && later.1 <= SOON);
            cx.expect(FLEET_VIOLATIONS_15, &one, &[gone])?;
        }
    }
    Ok(())
}

/// The others are polled and taken at their word as before, also those of the same process, who came before and behind.
pub(super) async fn stay(cx: &Cx) -> Outcome {
    try_join_all([End::State, End::Malformed, End::Silence].map(|end| stay_behind(cx, end))).await?;
    Ok(())
}

async fn stay_behind(cx: &Cx, end: End) -> Outcome {
    let snapshot = cx.snapshot();
    let all = [snapshot.clone(), snapshot.clone(), snapshot, cx.snapshot()];
    let mut joining = Vec::new();
    for snapshot in all {
        let agent = Agent::connect(cx).await?;
        agent.says(snapshot);
        joining.push(agent);
    }
    let mut joined = try_join_all(joining.into_iter().map(async |mut agent| {
        agent.shown(cx).await?;
        Ok(agent)
    }))
    .await?;
    end.bring(cx, &mut joined.remove(1)).await?;
    try_join_all(joined.into_iter().map(async |mut agent| {
        if cx.features().is("fleet.api", "on") {
            let seen = cx.send(instance(cx, &agent.id)).await?;
            cx.expect(FLEET_VIOLATIONS_16, &seen, &[info(&agent.snapshot(), &agent.id)])?;
        }
        let next = agent.snapshot().labelled("is", "next");
        let hash = next.hash();
        let goes_on = takes(cx, &mut agent, next.clone()).await?;
        cx.expect(FLEET_VIOLATIONS_16, &goes_on, &[polled_with(&hash)])?;
        if cx.features().is("fleet.api", "on") {
            let awaited = info(&next, &agent.id);
            let seen = soon(cx, instance(cx, &agent.id), &awaited).await?;
            cx.expect(FLEET_VIOLATIONS_16, &seen, &[awaited])?;
        }
        Ok(())
    }))
    .await?;
    Ok(())
}

/// Whoever was kicked dials and is let in, as often as it likes.
pub(super) async fn comes_again(cx: &Cx) -> Outcome {
    let snapshot = cx.snapshot();
    let mut agent = Agent::connect(cx).await?;
    for (what, end) in [
        ("a State", End::State),
        ("an Ack", End::Ack),
        ("a topic", End::Topic),
        ("a malformed frame", End::Malformed),
        ("another State", End::State),
    ] {
        agent.says(snapshot.clone());
        end.bring(cx, &mut agent).await?;
        let (seen, again) = Agent::dial(cx, &[&cx.tickets()[0], SENTINEL]).await?;
        let let_in = answer(101).and(format!("behind a kick for {what}"), |_| true);
        cx.expect(FLEET_VIOLATIONS_17, &seen, &[let_in.into()])?;
        agent = again.ok_or_else(|| cx.stop("there is no connection behind the 101"))?;
        let hello = agent.next(cx).await?;
        let first = alternative("a Hello", |heard: &Heard| matches!(heard.came, Came::Hello(_)));
        if let Came::Hello(hello) = &cx.expect(FLEET_VIOLATIONS_17, &hello, &[first])?.came {
            agent.id.clone_from(&hello.instance_id);
            agent.heartbeat = Duration::from_millis(hello.heartbeat_ms.into());
        }
        let poll = agent.next(cx).await?;
        cx.expect(FLEET_VIOLATIONS_17, &poll, &[polled()])?;
    }
    Ok(())
}
