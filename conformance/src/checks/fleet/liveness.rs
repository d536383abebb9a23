//! Checks of "Liveness" in spec/fleet.md.

mod pings;
mod stale;

use super::{
    agent::{Agent, Came, Fate, Heard},
    by_hand::SOON,
    look::{Look, look, settled, soon},
    manual::{Became, Polled, applied, became, hundredths, masked, of_three, polled, stays},
    setting::{Say, at_most, data, get, instance, ok, ok_and},
};
use crate::{
    check::{Alternative, Check, Cx, Lane, Outcome, Shown, Waits, alternative},
    drives,
    wire::Seen,
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use wireproof_spec::fleet::{Poll, State, requirements::*};

const H: &str = "heartbeat-ms";

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/liveness/stale", &[FLEET_LIVENESS_1], drives!(stale::stale)).waits(Waits::Limit(H, 18)),
    Check::new("fleet/liveness/evicted", &[FLEET_LIVENESS_2, FLEET_LIVENESS_3], drives!(evicted))
        .waits(Waits::Limit(H, 24)),
    Check::new("fleet/liveness/silent-and-busy", &[FLEET_LIVENESS_3], drives!(silent_and_busy))
        .waits(Waits::Limit(H, 6)),
    Check::new("fleet/liveness/late-answers", &[FLEET_LIVENESS_4], drives!(late_answers))
        .waits(Waits::Limit(H, 24)),
    Check::new("fleet/liveness/stale-no-more", &[FLEET_LIVENESS_5], drives!(stale::no_more))
        .waits(Waits::Limit(H, 10)),
    Check::new(
        "fleet/liveness/poll-behind-a-late-answer",
        &[FLEET_LIVENESS_6],
        drives!(behind_a_late_answer),
    )
    .waits(Waits::Limit(H, 12)),
    Check::new("fleet/liveness/counted-from-zero", &[FLEET_LIVENESS_7], drives!(counted_from_zero))
        .waits(Waits::Limit(H, 18)),
    Check::new("fleet/liveness/last-sync", &[FLEET_LIVENESS_8], drives!(last_sync)).waits(Waits::Limit(H, 8)),
    Check::new("fleet/liveness/hash-alone-changes-nothing", &[FLEET_LIVENESS_9], drives!(changes_nothing))
        .lane(Lane::Alone)
        .waits(Waits::Limit(H, 30)),
    Check::new("fleet/liveness/pongs", &[FLEET_LIVENESS_10], drives!(pongs)),
    Check::new("fleet/liveness/pings", &[FLEET_LIVENESS_11], drives!(pings::pings))
        .waits(Waits::Limit("ping-ms", 3)),
    Check::new("fleet/liveness/pings-without-pongs", &[FLEET_LIVENESS_12], drives!(pings::deaf))
        .waits(Waits::Limit("ping-ms", 5)),
    Check::new("fleet/liveness/events-behind-an-answer", &[FLEET_LIVENESS_13], drives!(stale::events))
        .waits(Waits::Limit(H, 10)),
];

/// The end of a connection, and how long it took.
#[derive(Clone, Debug, PartialEq)]
struct Ended {
    how: Fate,
    after: Duration,
}

impl Shown for Ended {
    fn shown(&self) -> String {
        format!("{} {} ms behind the Poll", self.how.shown(), self.after.as_millis())
    }
}

/// How soon, and how late, the connection of a silent agent is closed behind its Poll.
fn soonest(agent: &Agent) -> Duration {
    (agent.heartbeat * 3).saturating_sub(Duration::from_millis(100))
}

fn latest(agent: &Agent) -> Duration {
    at_most(agent.heartbeat * 4)
}

fn evicted_between(least: Duration, most: Duration) -> Alternative<Ended> {
    let name = format!(
        "a close frame with the code 4003 {} to {} ms behind the Poll",
        least.as_millis(),
        most.as_millis()
    );
    alternative(name, move |ended: &Ended| {
        matches!(ended.how, Fate::Closed(Some((4003, _)))) && (least..=most).contains(&ended.after)
    })
}

/// What becomes of a connection up to this moment, and when.
async fn ends(cx: &Cx, agent: &mut Agent, since: Instant, until: Instant) -> Outcome<Seen<Ended>> {
    let how = agent.fate(cx, until.saturating_duration_since(Instant::now())).await?;
    Ok(how.map(|how| Ended { how, after: since.elapsed() }))
}

/// An agent that never answers, and one that does so no more: neither too soon nor too late.
async fn evicted(cx: &Cx) -> Outcome {
    let agent = Agent::connect(cx).await?;
    let expected = evicted_between(soonest(&agent), latest(&agent));
    // A Poll is sent before it is read, and behind the begin of its handshake: the first of these is counted from there.
    let seen = of_three(&expected, || async {
        let begun = Instant::now();
        let mut agent = Agent::connect(cx).await?;
        let (first, _) = polled(cx, &mut agent).await?;
        let until = first.at + latest(&agent);
        ends(cx, &mut agent, begun, until).await
    })
    .await?;
    cx.expect(FLEET_LIVENESS_2, &seen, std::slice::from_ref(&expected))?;
    let in_time = evicted_between(Duration::ZERO, latest(&agent));
    cx.expect(FLEET_LIVENESS_3, &seen, &[in_time])?;
    let seen = of_three(&expected, || async {
        let mut agent = Agent::connect(cx).await?;
        agent.says(cx.snapshot());
        agent.known(cx).await?;
        agent.is_silent();
        let (last, _) = last_poll(cx, &mut agent).await?;
        let until = last.at + latest(&agent);
        ends(cx, &mut agent, last.at, until).await
    })
    .await?;
    cx.expect(FLEET_LIVENESS_2, &seen, &[expected])?;
    Ok(())
}

/// The next Poll that an agent leaves unanswered, which was told to be silent.
async fn last_poll(cx: &Cx, agent: &mut Agent) -> Outcome<(Polled, Seen<Polled>)> {
    let silent = Instant::now();
    loop {
        let (last, seen) = polled(cx, agent).await?;
        if last.at > silent {
            return Ok((last, seen));
        }
    }
}

/// An agent that answers no Poll, and pings, sends pongs that nobody asked for, and States that are dropped.
async fn silent_and_busy(cx: &Cx) -> Outcome {
    const PINGS: u32 = 3;
    let mut agent = Agent::connect(cx).await?;
    let (first, _) = polled(cx, &mut agent).await?;
    let most = latest(&agent);
    for number in 1..=PINGS * 2 {
        sleep_until(first.at + agent.heartbeat * number / PINGS).await;
        agent.send_raw(&masked(0x8a, b"here"));
        // Too short to have a major: it is dropped.
        agent.send_inner("fleet/state", &[3]);
        agent.send_raw(&masked(0x89, b"there"));
    }
    let seen = ends(cx, &mut agent, first.at, first.at + most).await?;
    cx.expect(FLEET_LIVENESS_3, &seen, &[evicted_between(Duration::ZERO, most)])?;
    Ok(())
}

/// Answers between one interval and three behind their Polls.
async fn late_answers(cx: &Cx) -> Outcome {
    for late in [130, 170, 240] {
        let seen = of_three(&applied(), || late_answer(cx, late)).await?;
        cx.expect(FLEET_LIVENESS_4, &seen, &[applied()])?;
    }
    Ok(())
}

async fn late_answer(cx: &Cx, late: u32) -> Outcome<Seen<Became>> {
    let mut agent = Agent::connect(cx).await?;
    let (first, _) = polled(cx, &mut agent).await?;
    sleep_until(first.at + hundredths(&agent, late)).await;
    let snapshot = cx.snapshot().labelled("late", &late.to_string());
    agent.send_state(&agent.full(&first.poll, snapshot.clone()));
    let (became, poll) = became(cx, &mut agent, &snapshot).await?;
    if became.look().is_ok_and(|became| *became == Became::Applied) {
        // The connection goes on.
        let poll = match poll {
            Some(poll) => poll,
            None => polled(cx, &mut agent).await?.0.poll,
        };
        agent.send_state(&agent.full(&poll, snapshot));
        let (_, _) = polled(cx, &mut agent).await?;
    }
    Ok(became)
}

/// How long the Poll behind an answer takes that was late.
async fn behind_a_late_answer(cx: &Cx) -> Outcome {
    let heartbeat = Agent::connect(cx).await?.heartbeat;
    let most = at_most(heartbeat);
    // The first of these leaves more than half an interval to the next tick, the others may meet one.
    for (late, least) in [(130, heartbeat / 6), (150, Duration::ZERO), (230, Duration::ZERO)] {
        let name = format!("a Poll {} to {} ms behind the answer", least.as_millis(), most.as_millis());
        let soon = alternative(name, move |took: &Duration| (least..=most).contains(took));
        let seen = of_three(&soon, || async {
            let mut agent = Agent::connect(cx).await?;
            let (first, _) = polled(cx, &mut agent).await?;
            sleep_until(first.at + hundredths(&agent, late)).await;
            let answered = Instant::now();
            agent.send_state(&agent.full(&first.poll, cx.snapshot()));
            let (next, seen) = polled(cx, &mut agent).await?;
            Ok(seen.map(|_| next.at.saturating_duration_since(answered)))
        })
        .await?;
        cx.expect(FLEET_LIVENESS_6, &seen, std::slice::from_ref(&soon))?;
    }
    Ok(())
}

/// An agent that answers each Poll when it was missed twice: with what is applied, rejected, not newer, and with a hash alone.
async fn counted_from_zero(cx: &Cx) -> Outcome {
    let goes_on = alternative("a Poll behind each late answer", |heard: &Vec<Heard>| {
        heard.iter().all(|heard| matches!(heard.came, Came::Poll(_)))
    });
    let seen = of_three(&goes_on, || late_again_and_again(cx)).await?;
    cx.expect(FLEET_LIVENESS_7, &seen, &[goes_on])?;
    Ok(())
}

async fn late_again_and_again(cx: &Cx) -> Outcome<Seen<Vec<Heard>>> {
    let mut agent = Agent::connect(cx).await?;
    let snapshot = cx.snapshot();
    let (mut last, _) = polled(cx, &mut agent).await?;
    let mut all = Vec::new();
    for round in 0..5 {
        sleep_until(last.at + hundredths(&agent, 220)).await;
        let full = agent.full(&last.poll, snapshot.clone());
        agent.send_state(&match round {
            1 => agent.full(&last.poll, snapshot.clone().rejected()),
            2 => State { seq: 1, ..full },
            3 if last.poll.known_hash.is_some() => State { snapshot: None, ..full },
            _ => full,
        });
        let seen = agent.next(cx).await?;
        let next = match seen.look() {
            Ok(Heard { came: Came::Poll(poll), at }) => Some(Polled { at: *at, poll: poll.clone() }),
            _ => None,
        };
        all.push(seen);
        match next {
            Some(next) => last = next,
            None => break,
        }
    }
    Ok(Seen::all(all))
}

/// The time of the last sync, before and behind a State with a hash alone; twice.
async fn last_sync(cx: &Cx) -> Outcome {
    let mut agent = Agent::join(cx, cx.snapshot()).await?;
    agent.is_silent();
    for _ in 0..2 {
        let poll = hashed(cx, &mut agent).await?;
        let before = synced(cx, &agent).await?;
        let state = agent.full(&poll, agent.snapshot());
        agent.send_state(&State { snapshot: None, ..state });
        let (next, _) = polled(cx, &mut agent).await?;
        let last = before.look().ok().copied().unwrap_or_default();
        let later = ok_and(200, "a later lastSyncAt", move |info| last_sync_of(info) > last);
        // The next Poll waits, and its agent is not to be evicted for that.
        let within = SOON.min(agent.heartbeat * 2);
        let behind = soon(cx, within, &instance(cx, &agent.id), &later).await?;
        cx.expect(FLEET_LIVENESS_8, &before.and(behind).map(|(_, behind)| behind), &[later])?;
        agent.send_state(&agent.full(&next.poll, agent.snapshot()));
    }
    Ok(())
}

async fn synced(cx: &Cx, agent: &Agent) -> Outcome<Seen<Duration>> {
    let seen = cx.send(instance(cx, &agent.id)).await?;
    cx.need(FLEET_INSTANCES_2, &seen, &[ok(200)])?;
    Ok(seen.map(|response| last_sync_of(&data(&response))))
}

fn last_sync_of(info: &Value) -> Duration {
    Duration::from_millis(info["lastSyncAt"].as_u64().unwrap_or_default())
}

/// The next Poll that has a knownHash; those before it are answered in full.
async fn hashed(cx: &Cx, agent: &mut Agent) -> Outcome<Poll> {
    const MOST: usize = 4;
    for _ in 0..MOST {
        let (polled, _) = last_poll(cx, agent).await?;
        if polled.poll.known_hash.is_some() {
            return Ok(polled.poll);
        }
        agent.send_state(&agent.full(&polled.poll, agent.snapshot()));
    }
    Err(cx.stop("no Poll has a knownHash"))
}

/// What is shown before and behind States with a hash alone, be it theirs or not, and be they newer or not.
async fn changes_nothing(cx: &Cx) -> Outcome {
    let mut agent = Agent::join(cx, cx.snapshot().with_room(super::setting::told("r", "t", 1))).await?;
    let _ = settled(cx).await?;
    agent.is_silent();
    let odd: [fn(State) -> State; 4] = [
        |state| state,
        |state| State { seq: 0, hash: "0123456789abcdef".into(), ..state },
        |state| State { seq: u32::MAX, hash: String::new(), ..state },
        |state| State { hash: "another".into(), ..state },
    ];
    let same = alternative("the same before and behind", |all: &Vec<World>| {
        all.windows(2).all(|two| two[0] == two[1])
    });
    for odd in odd {
        let poll = hashed(cx, &mut agent).await?;
        stays(cx, &agent, &agent.snapshot()).await?;
        let before = world(cx).await?;
        let state = agent.full(&poll, agent.snapshot());
        agent.send_state(&odd(State { snapshot: None, ..state }));
        let (next, _) = polled(cx, &mut agent).await?;
        let both = Seen::all(vec![before, world(cx).await?]);
        if let Ok(both) = both.look()
            && both[0].all.without(&agent.id) != both[1].all.without(&agent.id)
        {
            return Err(cx.stop("others have changed the fleet"));
        }
        cx.expect(FLEET_LIVENESS_9, &both, std::slice::from_ref(&same))?;
        agent.send_state(&agent.full(&next.poll, agent.snapshot()));
    }
    Ok(())
}

/// All that is shown but for lastSyncAt, and every ETag.
#[derive(PartialEq)]
struct World {
    all: Look,
    tags: Vec<Option<String>>,
}

impl Shown for World {
    fn shown(&self) -> String {
        format!("{}, and the ETags {:?}", self.all.shown(), self.tags)
    }
}

async fn world(cx: &Cx) -> Outcome<Seen<World>> {
    let all = look(cx).await?;
    let mut tags = Vec::new();
    for path in ["v1/stats", "v1/instances", "v1/rooms"] {
        let seen = cx.send(get(cx, path)).await?;
        cx.need(FLEET_CONDITIONAL_1, &seen, &[ok(200)])?;
        tags.push(seen.map(|response| response.headers.get("etag").map(str::to_owned)));
    }
    Ok(all.and(Seen::all(tags)).map(|(all, tags)| World { all, tags }))
}

/// Pings with nothing in them, with bytes that are no text, and as long as they may be.
async fn pongs(cx: &Cx) -> Outcome {
    let mut agent = Agent::connect(cx).await?;
    agent.says(cx.snapshot());
    agent.shown(cx).await?;
    for content in [vec![], vec![0, 0xff, 0x80], cx.token(125).into_bytes(), vec![b'p'; 125]] {
        let expected = content.clone();
        let same =
            alternative("a pong with what the ping had", move |pong: &bytes::Bytes| **pong == *expected);
        let seen = agent.ping(cx, &content).await?;
        cx.expect(FLEET_LIVENESS_10, &seen, &[same])?;
    }
    Ok(())
}
