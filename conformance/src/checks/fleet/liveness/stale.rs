//! Instances that are stale: nothing is placed on them as long as their agents do not answer.

use super::{
    super::setting::{cause, create, ok},
    last_poll, polled,
};
use crate::{
    check::{Alternative, Cx, Outcome, Shown, alternative},
    checks::fleet::{
        agent::Agent,
        manual::of_three,
        setting::{at_least, at_most, get, instance},
    },
    one_of,
    wire::{Seen, sse::Item},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{
    fleet::{Cause, requirements::*},
    http::{Request, Response},
};

/// What became of requests for rooms on the instance of a silent agent: times are counted from the Poll to the request.
#[derive(Clone, Debug, PartialEq)]
struct Course {
    /// The last one that was placed.
    placed: Option<Duration>,
    /// The one that was refused although the instance was shown, if there was one.
    refused: Option<Duration>,
}

impl Shown for Course {
    fn shown(&self) -> String {
        let ms = |time: Option<Duration>| {
            time.map_or("never".to_owned(), |time| format!("{} ms", time.as_millis()))
        };
        let (placed, refused) = (ms(self.placed), ms(self.refused));
        format!(
            "behind the Poll a room was placed last after {placed}, and refused though the instance was shown after {refused}"
        )
    }
}

/// A request for a room that this agent alone can have.
fn any_room(cx: &Cx, agent: &Agent) -> Request {
    create(cx, &json!({"type": agent.snapshot().room_types[0]}))
}

/// An instance whose agent is silent from now on: what becomes of requests until it is stale or gone.
async fn course(cx: &Cx, agent: &mut Agent) -> Outcome<Seen<Course>> {
    agent.is_silent();
    let (last, _) = last_poll(cx, agent).await?;
    let most = at_most(agent.heartbeat * 4);
    let mut all: Vec<Seen<Response>> = Vec::new();
    let mut course = Course { placed: None, refused: None };
    while last.at.elapsed() < most {
        let asked = last.at.elapsed();
        let seen = cx.send(any_room(cx, agent)).await?;
        let answer = cx.need(FLEET_COMMANDS_3, &seen, &[ok(201), nobody()])?;
        let refused = cause(answer).is_some();
        all.push(seen);
        if refused {
            let there = cx.send(instance(cx, &agent.id)).await?;
            let shown = there.look().is_ok_and(|response| response.status == 200);
            all.push(there);
            course.refused = shown.then_some(asked);
            break;
        }
        course.placed = Some(asked);
        sleep(agent.heartbeat / 10).await;
    }
    Ok(Seen::all(all).map(|_| course))
}

fn nobody() -> Alternative<Response> {
    alternative("a refusal as NO_CANDIDATE", |response: &Response| {
        cause(response) == Some(Cause::NoCandidate)
    })
}

/// Rooms are placed until about two intervals behind the Poll, and then no more while the instance is shown.
pub(super) async fn stale(cx: &Cx) -> Outcome {
    let heartbeat = Agent::connect(cx).await?.heartbeat;
    let (least, most) = (at_least(heartbeat), at_most(heartbeat * 3));
    let name = format!(
        "an instance on which rooms are placed for {} ms, and that is shown and has none placed on it {} ms behind the Poll",
        least.as_millis(),
        most.as_millis()
    );
    let stale = alternative(name, move |course: &Course| {
        course.placed.is_some_and(|placed| placed <= most)
            && course.refused.is_some_and(|refused| refused >= least)
    });
    let seen = of_three(&stale, || async {
        let mut agent = Agent::obedient(cx, cx.snapshot()).await?;
        course(cx, &mut agent).await
    })
    .await?;
    cx.expect(FLEET_LIVENESS_1, &seen, &[stale])?;
    Ok(())
}

/// Rooms are placed again once its agent has answered.
pub(super) async fn no_more(cx: &Cx) -> Outcome {
    let mut agent = Agent::obedient(cx, cx.snapshot()).await?;
    let is_stale = alternative("an instance that is stale", |course: &Course| course.refused.is_some());
    let seen = course(cx, &mut agent).await?;
    cx.need(FLEET_LIVENESS_1, &seen, &[is_stale])?;
    agent.says(agent.snapshot());
    let (_, _) = polled(cx, &mut agent).await?;
    let seen = cx.send(any_room(cx, &agent)).await?;
    cx.expect(FLEET_LIVENESS_5, &seen, &[ok(201)])?;
    Ok(())
}

/// The events of the document.
const KNOWN: [&str; 6] =
    ["instance:join", "instance:leave", "instance:stale", "room:create", "room:destroy", "sync"];

/// What is told of an instance between that it is stale and that it is gone, if its agent answers in between.
pub(super) async fn events(cx: &Cx) -> Outcome {
    let mut reader = cx.sse(get(cx, "v1/events")).await?;
    let mut agent = Agent::join(cx, cx.snapshot()).await?;
    agent.is_silent();
    let wait = at_most(agent.heartbeat * 4) + Duration::from_secs(2);
    let until = Instant::now() + wait;
    loop {
        let seen = reader.next_by(until).await?;
        match seen.look() {
            Ok(Item::Event(event)) if event.name == "instance:stale" && is_about(&event.data, &agent.id) => {
                break;
            }
            Ok(Item::Event(_)) => {}
            Ok(Item::End) => return Err(cx.stop("the event stream ended")),
            Err(why) => return Err(cx.stop(&format!("no instance:stale came: {why}"))),
        }
    }
    agent.says(agent.snapshot());
    // The first may have come before the answer.
    let (_, _) = (polled(cx, &mut agent).await?, polled(cx, &mut agent).await?);
    agent.close(1000);
    let until = Instant::now() + wait;
    let mut told = Vec::new();
    loop {
        let seen = reader.next_by(until).await?;
        match seen.look() {
            Ok(Item::Event(event)) if is_about(&event.data, &agent.id) => {
                let name = event.name.clone();
                let is_last = name == "instance:leave";
                told.push(seen.map(|_| name));
                if is_last {
                    break;
                }
            }
            Ok(Item::Event(_)) => {}
            Ok(Item::End) => return Err(cx.stop("the event stream ended")),
            Err(why) => return Err(cx.stop(&format!("no instance:leave came: {why}"))),
        }
    }
    let nothing = alternative("no event", |names: &Vec<String>| names.len() == 1);
    let others = alternative("events of other types than those of the document", |names: &Vec<String>| {
        names.iter().take(names.len() - 1).all(|name| !KNOWN.contains(&name.as_str()))
    });
    cx.expect(FLEET_LIVENESS_13, &Seen::all(told), &one_of![nothing, others])?;
    Ok(())
}

/// Whether the data of an event is about an instance with this id.
fn is_about(data: &str, id: &str) -> bool {
    serde_json::from_str::<Value>(data).is_ok_and(|data| data["id"] == id)
}
