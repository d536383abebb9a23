//! The checks of the dummy protocol.

use super::requirements::*;
use serde_json::json;
use std::time::Duration;
use wireproof::{
    check::{Alternative, Check, Cx, Lane, Need, Outcome, alternative},
    drives, one_of,
    protocol::Stimulus,
    wire::{
        Seen,
        app::App,
        ws::{Frame, Peer},
    },
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("bell/hello/counts", &[BELL_HELLO_1], drives!(hello_counts)).lane(Lane::Alone),
    Check::new("bell/ring/reaches-all", &[BELL_RING_1], drives!(ring_reaches_all)).lane(Lane::Alone),
    Check::new("bell/ring/by-its-owner", &[BELL_RING_1], drives!(ring_by_owner))
        .lane(Lane::Alone)
        .needs(&[Need::Stimulus(RING)]),
    Check::new("bell/ring/answered", &[BELL_RING_2], drives!(ring_answered)),
    Check::new("bell/ring/answered-once", &[BELL_RING_3], drives!(ring_answered_once)),
];

/// What an owner supplies so that the bell rings, and how often it is to.
pub(super) const RING: &str = "ring";
pub(super) const TIMES: &str = "times";

pub(super) const STIMULI: &[Stimulus] = &[Stimulus {
    name: RING,
    text: "Rings the bell.",
    given: &[TIMES],
    proof: |cx| Box::pin(ring_by_owner_is_heard(cx)),
}];

fn message(kind: u8, number: u8) -> Alternative<Frame> {
    alternative(format!("{kind:02x} {number:02x}"), move |f: &Frame| {
        *f == Frame::Binary(vec![kind, number].into())
    })
}

async fn hello_counts(cx: &Cx) -> Outcome {
    let mut agents = Vec::new();
    for number in 1..=3 {
        let mut agent = cx.ws("/agent", &[]).await?;
        cx.expect(BELL_HELLO_1, &agent.next().await?, &one_of![message(1, number)])?;
        agents.push(agent);
    }
    Ok(())
}

async fn ring_reaches_all(cx: &Cx) -> Outcome {
    let mut agents = vec![cx.ws("/agent", &[]).await?, cx.ws("/agent", &[]).await?];
    for agent in &mut agents {
        cx.need(BELL_HELLO_1, &agent.next().await?, &[hello()])?;
    }
    let mut operator = cx.ws("/operator", &[]).await?;
    let mut rings: Vec<Vec<Seen<Frame>>> = vec![Vec::new(); agents.len()];
    for _ in 0..3 {
        operator.send_binary(vec![0x10]).await;
        for (agent, heard) in agents.iter_mut().zip(&mut rings) {
            heard.push(agent.next().await?);
        }
    }
    // Others may have rung before: numbers follow each other, and are the same for all.
    let one_after_the_other = alternative("02 with numbers that follow each other", |frames: &Vec<Frame>| {
        let numbers: Vec<Option<u8>> = frames
            .iter()
            .map(|f| match f {
                Frame::Binary(b) if b.len() == 2 && b[0] == 2 => Some(b[1]),
                _ => None,
            })
            .collect();
        numbers.windows(2).all(|w| matches!((w[0], w[1]), (Some(a), Some(b)) if b == a + 1))
    });
    for heard in rings {
        cx.expect(BELL_RING_1, &Seen::all(heard), std::slice::from_ref(&one_after_the_other))?;
    }
    Ok(())
}

fn hello() -> Alternative<Frame> {
    alternative("01 and a number", |f: &Frame| matches!(f, Frame::Binary(b) if b.len() == 2 && b[0] == 1))
}

fn rung() -> Alternative<Frame> {
    alternative("02 and a number", |f: &Frame| matches!(f, Frame::Binary(b) if b.len() == 2 && b[0] == 2))
}

async fn ring_by_owner_is_heard(cx: &Cx) -> Outcome {
    let mut agent = cx.ws("/agent", &[]).await?;
    cx.need(BELL_HELLO_1, &agent.next().await?, &[hello()])?;
    cx.stimulus(RING, &[(TIMES, "1")], b"ding").await?;
    cx.need(BELL_RING_1, &agent.next().await?, &[rung()])?;
    Ok(())
}

async fn ring_by_owner(cx: &Cx) -> Outcome {
    let mut agent = cx.ws("/agent", &[]).await?;
    cx.need(BELL_HELLO_1, &agent.next().await?, &[hello()])?;
    cx.stimulus(RING, &[(TIMES, "3")], b"ding").await?;
    for _ in 0..3 {
        cx.expect(BELL_RING_1, &agent.next().await?, &[rung()])?;
    }
    Ok(())
}

/// The client under test, connected to us and greeted. It stays as long as its adapter does.
async fn greeted(cx: &Cx) -> Outcome<(App, Peer)> {
    let mut listener = cx.listen()?;
    let mut app = cx.app().await?;
    app.ask("connect", json!({"url": format!("{}/agent", listener.url("ws"))})).await?;
    let (_, Some(call)) = listener.next().await? else { return Err(cx.stop("the client did not dial")) };
    let mut agent = call.upgrade().await?;
    agent.send_binary(vec![1, 1]).await;
    Ok((app, agent))
}

async fn ring_answered_once(cx: &Cx) -> Outcome {
    let (_app, mut agent) = greeted(cx).await?;
    for number in [1, 2, 3] {
        agent.send_binary(vec![2, number]).await;
        cx.need(BELL_RING_2, &agent.next().await?, &one_of![message(3, number)])?;
        let nothing = alternative("nothing more", |frame: &Option<Frame>| frame.is_none());
        cx.expect(BELL_RING_3, &agent.quiet(Duration::from_millis(50)).await?, &[nothing])?;
    }
    Ok(())
}

async fn ring_answered(cx: &Cx) -> Outcome {
    let (_app, mut agent) = greeted(cx).await?;
    for number in [1, 2, 9] {
        agent.send_binary(vec![2, number]).await;
        cx.expect(BELL_RING_2, &agent.next().await?, &one_of![message(3, number)])?;
    }
    Ok(())
}
