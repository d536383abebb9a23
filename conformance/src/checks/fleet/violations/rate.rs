//! How many frames may come at once.

use super::{command_time, fate, kicked};
use crate::{
    check::{Cx, Outcome, alternative, answer},
    checks::fleet::{
        agent::{Agent, Fate, done, open},
        by_hand::{polled, polled_with, takes},
        manual::masked,
        orders::{forced, in_time, unanswered},
        setting::{Say, at_least},
    },
};
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::fleet::{frames::Outer, requirements::*};

/// A binary message in one frame.
const BINARY: u8 = 0x82;

/// So many frames are dropped, in one write.
fn dropped(agent: &Agent, count: usize, topics: &[&str]) {
    let frames: Vec<Vec<u8>> =
        topics.iter().cycle().take(count).map(|topic| masked(BINARY, &Outer::encode(topic, &[3]))).collect();
    agent.send_raw(&frames.concat());
}

/// More frames than the rate lets through, of one topic and of both.
pub(super) async fn too_many(cx: &Cx) -> Outcome {
    const MANY: usize = 80;
    let cases: [(&str, &[&str]); 3] = [
        ("80 malformed States", &["fleet/state"]),
        ("80 malformed Acks", &["fleet/ack"]),
        ("80 malformed States and Acks", &["fleet/state", "fleet/ack"]),
    ];
    let fates = try_join_all(cases.iter().map(async |(_, topics)| {
        let mut agent = Agent::connect(cx).await?;
        // Or it would be closed for its silence.
        agent.says(agent.snapshot());
        dropped(&agent, MANY, topics);
        fate(cx, &mut agent).await
    }))
    .await?;
    for ((what, _), fate) in cases.iter().zip(&fates) {
        cx.expect(FLEET_VIOLATIONS_9, fate, &[kicked(what)])?;
        let limited = alternative(
            "the reason rate_limited",
            |fate: &Fate| matches!(fate, Fate::Closed(Some((_, reason))) if reason == "rate_limited"),
        );
        // Who counts no frames kicks for none.
        cx.expect(FLEET_VIOLATIONS_19, fate, &[limited, open()])?;
    }
    Ok(())
}

/// As many as the rate lets through; the State behind them is taken.
pub(super) async fn not_too_many(cx: &Cx) -> Outcome {
    const MANY: usize = 60;
    const BEFORE: Duration = Duration::from_secs(3);
    let seen = try_join_all([&["fleet/state"][..], &["fleet/state", "fleet/ack"]].map(async |topics| {
        let mut agent = Agent::connect(cx).await?;
        agent.says(cx.snapshot());
        let until = Instant::now() + BEFORE;
        while Instant::now() < until {
            let _ = agent.poll(cx).await?;
        }
        dropped(&agent, MANY, topics);
        let next = agent.snapshot().labelled("is", "next");
        takes(cx, &mut agent, next).await
    }))
    .await?;
    for goes_on in &seen {
        cx.expect(FLEET_VIOLATIONS_10, goes_on, &[polled()])?;
    }
    Ok(())
}

/// 32 Acks and a State in one write: nobody who does what it is told is kicked.
pub(super) async fn all_acks_at_once(cx: &Cx) -> Outcome {
    const MANY: usize = 32;
    let mut agent = Agent::join(cx, cx.snapshot()).await?;
    // The Poll comes first: the next one may be H away, and the Cmds are in flight for T.
    let poll = unanswered(cx, &mut agent).await?;
    let began = Instant::now();
    let (mut cmds, mut waiting) = (Vec::new(), Vec::new());
    let requests = (0..MANY).map(|_| forced(cx, &agent, &cx.name())).collect::<Vec<_>>();
    let wait = command_time(cx) + cx.answer_time();
    let pending = try_join_all(requests.into_iter().map(|request| cx.begin(request, wait))).await?;
    for one in pending {
        let seen = agent.cmd(cx).await?;
        cmds.push(cx.need(FLEET_COMMANDS_12, &seen, &[alternative("a Cmd", |_| true)])?.clone());
        waiting.push(one);
    }
    let next = agent.snapshot().labelled("is", "next");
    let state = Outer::encode("fleet/state", &agent.full(&poll, next.clone()).encode_frame());
    let mut frames: Vec<Vec<u8>> = cmds
        .iter()
        .map(|cmd| masked(BINARY, &Outer::encode("fleet/ack", &done(cmd).encode_frame())))
        .collect();
    frames.insert(MANY / 2, masked(BINARY, &state));
    // An agent that is evicted, or a Cmd that nobody waits for any more, tells nothing.
    in_time(cx, began, (agent.heartbeat * 5 / 2).min(at_least(command_time(cx))))?;
    agent.send_raw(&frames.concat());
    agent.goes_on();
    for one in waiting {
        let seen = one.answer().await?;
        cx.expect(FLEET_VIOLATIONS_11, &seen, &[answer(201).into()])?;
    }
    let hash = next.hash();
    let goes_on = takes(cx, &mut agent, next).await?;
    cx.expect(FLEET_VIOLATIONS_11, &goes_on, &[polled_with(&hash)])?;
    Ok(())
}
