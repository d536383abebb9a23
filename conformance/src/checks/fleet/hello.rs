//! Checks of "Hello" in spec/fleet.md.

use super::{
    agent::{Agent, Came, Heard, closed, open},
    by_hand::SOON,
    look::soon,
    manual::{of_three, polled},
    setting::{Apart, Say, about, get, info, instance, is_shown, ok, ok_and, shown},
};
use crate::{
    check::{Check, Cx, Outcome, Waits, alternative},
    drives, one_of,
    wire::Seen,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;
use wireproof_spec::fleet::{State, requirements::*};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/hello/first", &[FLEET_HELLO_1], drives!(first)).waits(Waits::Limit("heartbeat-ms", 4)),
    Check::new("fleet/hello/poll-behind-it", &[FLEET_HELLO_2], drives!(poll_behind_it)),
    Check::new("fleet/hello/heartbeat", &[FLEET_HELLO_3], drives!(heartbeat))
        .waits(Waits::Limit("heartbeat-ms", 12)),
    Check::new("fleet/hello/new-ids", &[FLEET_HELLO_4], drives!(new_ids)),
    Check::new("fleet/hello/id-of-the-instance", &[FLEET_HELLO_5], drives!(id_of_the_instance)),
    Check::new("fleet/hello/one-process-twice", &[FLEET_HELLO_6], drives!(one_process_twice)),
    Check::new("fleet/hello/form-of-ids", &[FLEET_HELLO_8], drives!(form_of_ids)),
    Check::new("fleet/hello/before-it", &[FLEET_HELLO_7], drives!(before_it)),
];

/// A Hello comes first, and none among what comes behind it for several Polls; on a second connection too.
async fn first(cx: &Cx) -> Outcome {
    tokio::try_join!(first_of_one(cx), first_of_one(cx)).map(drop)
}

async fn first_of_one(cx: &Cx) -> Outcome {
    const POLLS: usize = 3;
    let mut agent = Agent::open(cx).await?;
    let first = agent.next(cx).await?;
    let hello = alternative("a Hello", |heard: &Heard| matches!(heard.came, Came::Hello(_)));
    if let Came::Hello(hello) = &cx.expect(FLEET_HELLO_1, &first, &[hello])?.came {
        agent.heartbeat = Duration::from_millis(hello.heartbeat_ms.into());
    }
    agent.says(cx.snapshot());
    let mut polls = 0;
    while polls < POLLS {
        let seen = agent.next(cx).await?;
        let no_hello = alternative("no other Hello", |heard: &Heard| !matches!(heard.came, Came::Hello(_)));
        match &cx.expect(FLEET_HELLO_1, &seen, &[no_hello])?.came {
            Came::Poll(_) => polls += 1,
            Came::Closed(_) => return Err(cx.stop("the connection was closed")),
            _ => {}
        }
    }
    Ok(())
}

/// A Poll comes within a second, though the agent says nothing; on a second connection too.
async fn poll_behind_it(cx: &Cx) -> Outcome {
    const SOON: Duration = Duration::from_secs(1);
    let mut agents = Vec::new();
    for _ in 0..2 {
        let mut agent = Agent::connect(cx).await?;
        let read = Instant::now();
        let seen = agent.next(cx).await?;
        let poll = alternative("a Poll within a second", move |heard: &Heard| {
            matches!(heard.came, Came::Poll(_)) && heard.at.saturating_duration_since(read) <= SOON
        });
        cx.expect(FLEET_HELLO_2, &seen, &[poll])?;
        agents.push(agent);
    }
    Ok(())
}

/// H is what the Hello says: Polls that are answered at once are so far apart, and it is what the orchestrator tells of itself;
/// on a second connection too.
async fn heartbeat(cx: &Cx) -> Outcome {
    for _ in 0..2 {
        let heartbeat = heartbeat_told(cx, &mut Agent::open(cx).await?).await?;
        let seen = of_three(&about(heartbeat), || intervals(cx)).await?;
        cx.expect(FLEET_HELLO_3, &seen, &[about(heartbeat)])?;
    }
    Ok(())
}

/// Claims that the Hello of a connection says what the orchestrator tells of itself: what it says.
async fn heartbeat_told(cx: &Cx, agent: &mut Agent) -> Outcome<Duration> {
    let first = agent.next(cx).await?;
    let told = cx.features().limit("heartbeat-ms");
    let hello = alternative(
        told.map_or("a Hello with a heartbeatMs".to_owned(), |told| {
            format!("a Hello with the heartbeatMs {told}")
        }),
        move |heard: &Heard| match &heard.came {
            Came::Hello(hello) => told.is_none_or(|told| told == u64::from(hello.heartbeat_ms)),
            _ => false,
        },
    );
    match &cx.expect(FLEET_HELLO_3, &first, &[hello])?.came {
        Came::Hello(hello) => Ok(Duration::from_millis(hello.heartbeat_ms.into())),
        _ => Err(cx.stop("no Hello came")),
    }
}

/// How far apart three Polls are that are answered at once, on a connection whose Hello says H.
async fn intervals(cx: &Cx) -> Outcome<Seen<Apart>> {
    let mut agent = Agent::open(cx).await?;
    agent.says(cx.snapshot());
    agent.heartbeat = heartbeat_told(cx, &mut agent).await?;
    let mut polls = Vec::new();
    while polls.len() < 3 {
        let (polled, seen) = polled(cx, &mut agent).await?;
        polls.push(seen.map(|_| polled.at));
    }
    Ok(Seen::all(polls).map(|at| Apart(at.windows(2).map(|pair| pair[1] - pair[0]).collect())))
}

/// Ids of connections that are open at the same time, and of one that comes behind them.
async fn new_ids(cx: &Cx) -> Outcome {
    const OPEN: usize = 4;
    let mut seen = Vec::new();
    let mut agents = Vec::new();
    for _ in 0..OPEN {
        let (hello, agent) = hello(cx).await?;
        seen.push(hello);
        agents.push(agent);
    }
    // One that leaves gives its id to nobody.
    agents.remove(0).close(1000);
    seen.push(hello(cx).await?.0);
    let different = alternative("five ids that differ", |ids: &Vec<String>| {
        ids.iter().collect::<BTreeSet<_>>().len() == ids.len()
    });
    cx.expect(FLEET_HELLO_4, &Seen::all(seen), &[different])?;
    Ok(())
}

/// A connection on which the first frame was read: the instanceId that is there, and the agent.
async fn hello(cx: &Cx) -> Outcome<(Seen<String>, Agent)> {
    let mut agent = Agent::open(cx).await?;
    let first = agent.next(cx).await?;
    let hello = alternative("a Hello", |heard: &Heard| matches!(heard.came, Came::Hello(_)));
    let id = match &cx.need(FLEET_HELLO_1, &first, &[hello])?.came {
        Came::Hello(hello) => hello.instance_id.clone(),
        _ => String::new(),
    };
    Ok((first.map(|_| id), agent))
}

/// What is shown under the id of the Hello is what was said on this connection, for each of two.
async fn id_of_the_instance(cx: &Cx) -> Outcome {
    let mut agents = Vec::new();
    for _ in 0..2 {
        let mut agent = Agent::connect(cx).await?;
        agent.says(cx.snapshot());
        // The State is on its way until a Poll comes behind the one that it answers.
        let (_, _) = (agent.poll(cx).await?, agent.poll(cx).await?);
        agents.push(agent);
    }
    for agent in agents {
        let there = info(&agent.snapshot(), &agent.id);
        let seen = soon(cx, SOON, &instance(cx, &agent.id), &there).await?;
        cx.expect(FLEET_HELLO_5, &seen, &[there])?;
    }
    Ok(())
}

/// Two connections that say the same processUid.
async fn one_process_twice(cx: &Cx) -> Outcome {
    let snapshot = cx.snapshot();
    let first = Agent::join(cx, snapshot.clone()).await?;
    let again = snapshot.clone().labelled("which", "second");
    let mut second = Agent::connect(cx).await?;
    second.says(again.clone());
    let (_, _) = (second.poll(cx).await?, second.poll(cx).await?);
    let uid = snapshot.process_uid.clone();
    let both = [shown(&snapshot, &first.id), shown(&again, &second.id)];
    let two = ok_and(200, "two instances with this processUid, each as it was told", move |data| {
        let all = data.as_array().map(Vec::as_slice).unwrap_or_default();
        let mine: Vec<_> = all.iter().filter(|info| info["processUid"] == uid.as_str()).collect();
        mine.len() == 2 && both.iter().all(|one| mine.iter().any(|info| is_shown(info, one)))
    });
    let seen = soon(cx, SOON, &get(cx, "v1/instances"), &two).await?;
    cx.expect(FLEET_HELLO_6, &seen, &[two])?;
    Ok(())
}

/// A State of an agent that has read nothing.
async fn before_it(cx: &Cx) -> Outcome {
    let mut agent = Agent::open(cx).await?;
    let snapshot = cx.snapshot();
    let hash = snapshot.hash();
    let state = State { req_id: "poll_0".into(), seq: 1, hash, snapshot: Some(snapshot) };
    agent.send_state(&state);
    let fate = agent.fate(cx, Duration::from_secs(1)).await?;
    cx.expect(FLEET_HELLO_7, &fate, &one_of![closed(4003), open()])?;
    let alive = cx.send(get(cx, "healthz")).await?;
    cx.need(FLEET_ACCESS_8, &alive, &[ok(200)])?;
    Ok(())
}

/// Ids may have any form; what is seen is told.
async fn form_of_ids(cx: &Cx) -> Outcome {
    let (seen, mut agent) = hello(cx).await?;
    let is_hex = |id: &String| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = alternative("an instanceId of 16 hexadecimal digits", is_hex);
    let other =
        alternative("an instanceId of another form", move |id: &String| !id.is_empty() && !is_hex(id));
    cx.expect(FLEET_HELLO_8, &seen, &one_of![digits, other])?;
    let poll = agent.poll(cx).await?.map(|poll| poll.req_id);
    let is_counted = |id: &String| id.strip_prefix("poll_").is_some_and(|n| n.parse::<u64>().is_ok());
    let counted = alternative("a reqId of poll_ and a number", is_counted);
    let other = alternative("a reqId of another form", move |id: &String| !id.is_empty() && !is_counted(id));
    cx.expect(FLEET_HELLO_8, &poll, &one_of![counted, other])?;
    Ok(())
}
