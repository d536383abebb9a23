//! What is told of instances.

use super::{first, times};
use crate::{
    check::{Alternative, Cx, Outcome, alternative},
    checks::fleet::{
        agent::{Agent, closed},
        ear::{Ear, Told},
        setting::{Say, is_shown, shown, told},
    },
};
use tokio::time::Instant;
use wireproof_spec::fleet::{Snapshot, State, ids::public, requirements::*};

/// That an event of this name was told so often of this instance, each time with it as it is.
fn told_times(count: usize, name: &'static str, snapshot: &Snapshot, id: &str) -> Alternative<Vec<Told>> {
    let (expected, id) = (shown(snapshot, id), id.to_owned());
    let ids: Vec<String> = snapshot.rooms.iter().map(|room| public(&room.id)).collect();
    alternative(format!("{name} with the instance, told {count} times"), move |all: &Vec<Told>| {
        let mine = || all.iter().filter(|told| told.is(name, &id));
        mine().count() == count
            && mine().all(|told| {
                let rooms = told.data["rooms"].as_array().map(Vec::as_slice).unwrap_or_default();
                let listed = |public: &String| rooms.iter().any(|room| room["id"] == **public);
                is_shown(&told.data, &expected) && ids.iter().all(listed)
            })
    })
}

/// Of an instance whose first snapshot is rejected, then applied, then followed by others; of two, the second with a processUid
/// that is there already.
pub(super) async fn join(cx: &Cx) -> Outcome {
    let mut ear = Ear::open(cx).await?;
    let uid = cx.snapshot().process_uid;
    let mut agents = Vec::new();
    for _ in 0..2 {
        let mut agent = Agent::connect(cx).await?;
        let id = agent.id.clone();
        let good = cx.snapshot().with_room(told(&cx.name(), "any", 1)).labelled("k", "v");
        let good = good.but(|it| it.process_uid.clone_from(&uid));
        agent.says(good.clone().rejected());
        let _ = agent.fence(cx).await?;
        let before = ear.rest(cx).await?;
        let hidden = id.clone();
        let none = alternative("no instance:join of who said nothing that was applied", {
            move |all: &Vec<Told>| times(all, "instance:join", &hidden) == 0
        });
        cx.expect(FLEET_EVENTS_6, &before, &[none])?;
        agent.says(good.clone());
        let until = Instant::now() + agent.heartbeat * 2 + cx.answer_time();
        let seen = ear.until(until, |told| told.is("instance:join", &id)).await?;
        cx.expect(FLEET_EVENTS_6, &seen, &[told_times(1, "instance:join", &good, &id)])?;
        agent.becomes(cx, |it| it.but(|it| it.rooms[0].connections += 1)).await?;
        let rest = ear.rest(cx).await?;
        let once = alternative("no other instance:join of it", move |all: &Vec<Told>| {
            times(all, "instance:join", &id) == 0
        });
        cx.expect(FLEET_EVENTS_6, &rest, &[once])?;
        agents.push(agent);
    }
    Ok(())
}

/// Of instances whose agents close, go away, are kicked and are evicted.
pub(super) async fn leave(cx: &Cx) -> Outcome {
    let mut ear = Ear::open(cx).await?;
    let ways: [fn(&Agent); 4] = [
        |agent| agent.close(1000),
        Agent::leave,
        |agent| {
            let hash = agent.snapshot().hash();
            agent.send_state(&State { req_id: "nobody asked".into(), seq: 9, hash, snapshot: None });
        },
        Agent::is_silent,
    ];
    for end in ways {
        let names = [cx.name(), format!("{} ~", cx.name())];
        let snapshot =
            cx.snapshot().with_room(told(&names[0], "any", 1)).with_room(told(&names[1], "any", 2));
        let agent = Agent::join(cx, snapshot.clone()).await?;
        end(&agent);
        let id = agent.id.clone();
        let until = Instant::now() + agent.heartbeat * 6 + cx.answer_time();
        let seen = ear.until(until, |told| told.is("instance:leave", &id)).await?;
        cx.expect(FLEET_EVENTS_7, &seen, &[told_times(1, "instance:leave", &snapshot, &id)])?;
        let rest = ear.rest(cx).await?;
        let once = alternative("no other instance:leave of it", move |all: &Vec<Told>| {
            times(all, "instance:leave", &id) == 0
        });
        cx.expect(FLEET_EVENTS_7, &rest, &[once])?;
    }
    Ok(())
}

/// An agent does not answer, answers when it is told to be stale, does not answer again, and answers again.
pub(super) async fn stale(cx: &Cx) -> Outcome {
    let mut ear = Ear::open(cx).await?;
    let snapshot = cx.snapshot().with_room(told(&cx.name(), "any", 1));
    let mut agent = Agent::join(cx, snapshot.clone()).await?;
    let id = agent.id.clone();
    let over = |all: &[Told]| times(all, "instance:leave", &id) > 0;
    for _ in 0..2 {
        agent.is_silent();
        let until = Instant::now() + agent.heartbeat * 4 + cx.answer_time();
        let found = |told: &Told| told.is("instance:stale", &id) || told.is("instance:leave", &id);
        let seen = ear.until(until, found).await?;
        cx.expect(FLEET_EVENTS_8, &seen, &[told_times(1, "instance:stale", &snapshot, &id)])?;
        agent.says(snapshot.clone());
        // The next Poll comes behind an answer that was taken.
        let _ = agent.cmds(cx).await?;
        let rest = ear.rest(cx).await?;
        if rest.look().is_ok_and(|all| over(all)) {
            return Err(cx.stop("the agent was evicted before it could answer"));
        }
        cx.expect(FLEET_EVENTS_8, &rest, &[told_times(0, "instance:stale", &snapshot, &id)])?;
    }
    Ok(())
}

/// A connection on which nothing is said, up to its eviction, and one on which what was said was rejected.
pub(super) async fn nothing_said(cx: &Cx) -> Outcome {
    let mut ear = Ear::open(cx).await?;
    let mut rejected = Agent::connect(cx).await?;
    rejected.says(cx.snapshot().rejected());
    let mut silent = Agent::connect(cx).await?;
    let _ = rejected.fence(cx).await?;
    rejected.is_silent();
    for agent in [&mut silent, &mut rejected] {
        let fate = agent.fate(cx, agent.heartbeat * 6).await?;
        cx.need(FLEET_LIVENESS_3, &fate, &[closed(4003)])?;
    }
    let seen = ear.rest(cx).await?;
    let ids = [silent.id.clone(), rejected.id.clone()];
    let none = alternative("no event of who said nothing that was applied", move |all: &Vec<Told>| {
        let names = ["instance:join", "instance:leave", "instance:stale"];
        ids.iter().all(|id| names.iter().all(|name| first(all, name, id).is_none()))
    });
    cx.expect(FLEET_EVENTS_9, &seen, &[none])?;
    Ok(())
}
