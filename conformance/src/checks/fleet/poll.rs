//! Checks of "Poll" in spec/fleet.md.

use super::{
    agent::{Agent, Came, Fate, closed, open},
    manual::{Polled, hundredths, of_three, polled, stays},
    setting::{Apart, Say, about, drain, instance, ok, refused},
};
use crate::{
    check::{Alternative, Check, Cx, Outcome, Waits, alternative},
    drives, one_of,
    wire::Seen,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep_until};
use wireproof_spec::fleet::{Cause, Poll, Snapshot, State, Status, requirements::*};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/poll/no-hash-before-a-snapshot", &[FLEET_POLL_1], drives!(no_hash_before))
        .waits(Waits::Limit("heartbeat-ms", 8)),
    Check::new("fleet/poll/apart", &[FLEET_POLL_2], drives!(apart)).waits(Waits::Limit("heartbeat-ms", 24)),
    Check::new("fleet/poll/one-at-a-time", &[FLEET_POLL_3, FLEET_POLL_4], drives!(one_at_a_time))
        .waits(Waits::Limit("heartbeat-ms", 12)),
    Check::new("fleet/poll/thirteen-in-a-row", &[FLEET_POLL_4, FLEET_POLL_6], drives!(thirteen))
        .waits(Waits::Limit("heartbeat-ms", 14)),
    Check::new("fleet/poll/what-was-applied-last", &[FLEET_POLL_5, FLEET_POLL_8], drives!(applied_last))
        .waits(Waits::Limit("heartbeat-ms", 26)),
    Check::new("fleet/poll/knows-what-was-applied", &[FLEET_POLL_7], drives!(knows))
        .waits(Waits::Limit("heartbeat-ms", 8)),
    Check::new("fleet/poll/status-behind-a-command", &[FLEET_POLL_9], drives!(behind_a_command))
        .waits(Waits::Limit("heartbeat-ms", 12)),
    Check::new("fleet/poll/nothing-for-all", &[FLEET_POLL_10], drives!(nothing_for_all))
        .waits(Waits::Limit("heartbeat-ms", 2)),
];

fn without_hash() -> Alternative<Vec<Polled>> {
    alternative("Polls without a knownHash", |all: &Vec<Polled>| {
        all.iter().all(|polled| polled.poll.known_hash.is_none())
    })
}

/// Of an agent whose snapshots are all rejected; and on new connections of a process that was applied on others, both open and
/// closed.
async fn no_hash_before(cx: &Cx) -> Outcome {
    const POLLS: usize = 4;
    let mut agent = Agent::connect(cx).await?;
    let mut all = Vec::new();
    for _ in 0..POLLS {
        let (polled, seen) = polled(cx, &mut agent).await?;
        all.push(seen);
        let state = agent.full(&polled.poll, cx.snapshot().rejected());
        agent.send_state(&state);
    }
    if cx.features().is("fleet.api", "on") {
        let seen = cx.send(instance(cx, &agent.id)).await?;
        cx.need(FLEET_SNAPSHOT_27, &seen, &[refused(Cause::InstanceNotFound)])?;
    }
    cx.expect(FLEET_POLL_1, &Seen::all(all), &[without_hash()])?;
    let mut first = Agent::join(cx, cx.snapshot()).await?;
    // Among two Polls behind the State one has its hash.
    let (_, _) = (first.poll(cx).await?, first.poll(cx).await?);
    for still_there in [true, false] {
        if !still_there {
            first.close(1000);
        }
        let mut second = Agent::connect(cx).await?;
        second.plan().snapshot = first.snapshot();
        let (_, seen) = polled(cx, &mut second).await?;
        cx.expect(FLEET_POLL_1, &seen.map(|polled| vec![polled]), &[without_hash()])?;
    }
    Ok(())
}

/// Polls of an agent that answers at once, with nothing new, and then with something new each time.
async fn apart(cx: &Cx) -> Outcome {
    let heartbeat = Agent::connect(cx).await?.heartbeat;
    let expected = about(heartbeat);
    let seen = of_three(&expected, || seven(cx)).await?;
    cx.expect(FLEET_POLL_2, &seen, &[expected])?;
    Ok(())
}

async fn seven(cx: &Cx) -> Outcome<Seen<Apart>> {
    const POLLS: usize = 7;
    let mut agent = Agent::connect(cx).await?;
    agent.says(cx.snapshot());
    let mut all = Vec::new();
    for number in 0..POLLS {
        let (_, seen) = polled(cx, &mut agent).await?;
        all.push(seen);
        if number >= POLLS / 2 {
            let next = agent.snapshot().labelled("number", &number.to_string());
            agent.plan().snapshot = next;
        }
    }
    // It was answered all along.
    agent.known(cx).await?;
    Ok(Seen::all(all).map(|all| Apart(all.windows(2).map(|pair| pair[1].at - pair[0].at).collect())))
}

/// Two Polls that are not answered for longer than two intervals: the next one comes behind the answer.
async fn one_at_a_time(cx: &Cx) -> Outcome {
    let mut agent = Agent::connect(cx).await?;
    let (first, seen) = polled(cx, &mut agent).await?;
    let mut all = vec![seen];
    let mut last = first;
    for _ in 0..2 {
        sleep_until(last.at + hundredths(&agent, 220)).await;
        let answered = Instant::now();
        agent.send_state(&agent.full(&last.poll, cx.snapshot()));
        let (next, seen) = polled(cx, &mut agent).await?;
        let behind =
            alternative("a Poll that comes behind the answer to the one before", move |next: &Polled| {
                next.at >= answered
            });
        cx.expect(FLEET_POLL_3, &seen, &[behind])?;
        all.push(seen);
        last = next;
    }
    different(cx, Seen::all(all))
}

fn different(cx: &Cx, all: Seen<Vec<Polled>>) -> Outcome {
    let different = alternative("reqIds that differ", |all: &Vec<Polled>| {
        all.iter().map(|polled| &polled.poll.req_id).collect::<BTreeSet<_>>().len() == all.len()
    });
    cx.expect(FLEET_POLL_4, &all, &[different])?;
    Ok(())
}

/// The first thirteen Polls: all are different, and any twelve in a row ask for all once.
async fn thirteen(cx: &Cx) -> Outcome {
    const ROW: usize = 12;
    let mut agent = Agent::connect(cx).await?;
    agent.says(cx.snapshot());
    let mut all = Vec::new();
    for _ in 0..=ROW {
        all.push(polled(cx, &mut agent).await?.1);
    }
    let all = Seen::all(all);
    different(cx, all.clone())?;
    let asks = alternative("one without a knownHash among any twelve Polls", |all: &Vec<Polled>| {
        all.windows(ROW).all(|row| row.iter().any(|polled| polled.poll.known_hash.is_none()))
    });
    cx.expect(FLEET_POLL_6, &all, &[asks])?;
    Ok(())
}

/// What an agent sends, and what of it counts.
#[derive(Clone, Copy, PartialEq)]
enum Sent {
    Applied,
    Rejected,
    NotNewer,
    HashOnly,
}

/// What a Poll says of the snapshots that came: what counts is the one that was applied last.
async fn applied_last(cx: &Cx) -> Outcome {
    let mut agent = Agent::connect(cx).await?;
    let (first, seen) = polled(cx, &mut agent).await?;
    cx.expect(FLEET_POLL_8, &seen, &[says(Status::Active)])?;
    let mut current = cx.snapshot();
    agent.send_state(&agent.full(&first.poll, current.clone().in_status(Status::Draining).rejected()));
    let (second, seen) = polled(cx, &mut agent).await?;
    cx.expect(FLEET_POLL_8, &seen, &[says(Status::Active)])?;
    agent.send_state(&agent.full(&second.poll, current.clone()));
    let steps = [
        (Sent::Rejected, Status::Draining),
        (Sent::NotNewer, Status::Draining),
        (Sent::HashOnly, Status::Active),
        (Sent::Applied, Status::Draining),
        (Sent::Rejected, Status::Active),
        (Sent::NotNewer, Status::Active),
        (Sent::Applied, Status::Active),
    ];
    for (number, (sent, status)) in steps.into_iter().enumerate() {
        let poll = told(cx, &mut agent, &current).await?;
        if sent == Sent::HashOnly && poll.known_hash.is_none() {
            // What it says behind such a Poll may be taken for a violation.
            agent.send_state(&agent.full(&poll, current.clone()));
            continue;
        }
        let other = current.clone().in_status(status).labelled("step", &number.to_string());
        let state = match sent {
            Sent::Applied => {
                current = other;
                agent.full(&poll, current.clone())
            }
            Sent::Rejected => agent.full(&poll, other.rejected()),
            Sent::NotNewer => State { seq: 2, ..agent.full(&poll, other) },
            Sent::HashOnly => State { snapshot: None, ..agent.full(&poll, other) },
        };
        agent.send_state(&state);
    }
    told(cx, &mut agent, &current).await?;
    Ok(())
}

fn says(status: Status) -> Alternative<Polled> {
    alternative(format!("a Poll with the status {:?}", status.word()), move |polled: &Polled| {
        polled.poll.status == status
    })
}

/// Looks at Polls until one has a hash; the last one is not answered yet.
async fn told(cx: &Cx, agent: &mut Agent, current: &Snapshot) -> Outcome<Poll> {
    const MOST: usize = 3;
    let hash = current.hash();
    for number in 1.. {
        let (polled, seen) = polled(cx, agent).await?;
        stays(cx, agent, current).await?;
        let known = hash.clone();
        let knows = alternative(format!("the knownHash {hash:?}, or none"), move |polled: &Polled| {
            polled.poll.known_hash.as_ref().is_none_or(|found| *found == known)
        });
        cx.expect(FLEET_POLL_5, &seen, &[knows])?;
        cx.expect(FLEET_POLL_8, &seen, &[says(current.status.clone())])?;
        if polled.poll.known_hash.is_some() || number == MOST {
            return Ok(polled.poll);
        }
        agent.send_state(&agent.full(&polled.poll, current.clone()));
    }
    Err(cx.stop("there was no Poll"))
}

/// Behind each of three snapshots some Poll among the next two knows a hash.
async fn knows(cx: &Cx) -> Outcome {
    let mut agent = Agent::connect(cx).await?;
    let (first, _) = polled(cx, &mut agent).await?;
    let mut poll = first.poll;
    for number in ["first", "second", "third"] {
        let snapshot = cx.snapshot().labelled("number", number);
        agent.send_state(&agent.full(&poll, snapshot.clone()));
        let mut two = Vec::new();
        for _ in 0..2 {
            let (polled, seen) = polled(cx, &mut agent).await?;
            two.push(seen);
            poll = polled.poll;
            if two.len() < 2 {
                stays(cx, &agent, &snapshot).await?;
                agent.plan().snapshot = snapshot.clone();
                agent.send_state(&agent.state(&poll));
            }
        }
        let some = alternative("a knownHash in one of two Polls", |two: &Vec<Polled>| {
            two.iter().any(|polled| polled.poll.known_hash.is_some())
        });
        cx.expect(FLEET_POLL_7, &Seen::all(two), &[some])?;
    }
    Ok(())
}

/// An agent that acknowledges a drain, and an undrain, and has the status that it had.
async fn behind_a_command(cx: &Cx) -> Outcome {
    const POLLS: usize = 2;
    let mut agent = Agent::obedient(cx, cx.snapshot()).await?;
    for (drains, status) in [(true, Status::Active), (false, Status::Draining)] {
        if status == Status::Draining {
            agent.becomes(cx, |snapshot| snapshot.in_status(Status::Draining)).await?;
        }
        let seen = cx.send(drain(cx, &agent.id, drains)).await?;
        cx.need(FLEET_COMMANDS_14, &seen, &[ok(200)])?;
        let asked = Instant::now();
        let mut behind = 0;
        while behind < POLLS {
            let (polled, seen) = polled(cx, &mut agent).await?;
            if polled.at > asked {
                behind += 1;
                cx.expect(FLEET_POLL_9, &seen, &[says(status.clone())])?;
            }
        }
    }
    Ok(())
}

/// A hash-only State in answer to the first Poll.
async fn nothing_for_all(cx: &Cx) -> Outcome {
    let mut agent = Agent::connect(cx).await?;
    let (first, _) = polled(cx, &mut agent).await?;
    let state = agent.full(&first.poll, cx.snapshot());
    agent.send_state(&State { snapshot: None, ..state });
    agent.says(cx.snapshot());
    let until = Instant::now() + agent.heartbeat + Duration::from_secs(1);
    while let Some(seen) = agent.next_by(until).await? {
        match seen.look().map(|heard| &heard.came) {
            // What was said in answer to it is applied: it was taken like any other.
            Ok(Came::Poll(_)) => {
                agent.known(cx).await?;
                let fate = agent.proof(cx).await?;
                cx.expect(FLEET_POLL_10, &fate, &one_of![open(), closed(4003)])?;
                return Ok(());
            }
            Ok(Came::Closed(with)) => {
                let fate = Fate::Closed(with.clone());
                cx.expect(FLEET_POLL_10, &seen.map(|_| fate), &one_of![open(), closed(4003)])?;
                return Ok(());
            }
            Ok(_) => {}
            Err(why) => return Err(cx.stop(&format!("the connection ended: {why}"))),
        }
    }
    Err(cx.stop("neither a Poll nor a close frame came behind the State"))
}
