//! Checks of "Drain" in spec/fleet.md: the host drains, and the end of a process.

mod graceful;

use super::client::{
    Client, Connection, Heard, KINDS, Start, create, destroy, nothing, poll_of, snapshot, state_of,
};
use crate::{
    check::{Alternative, Check, Cx, Need, Outcome, Waits, alternative},
    drives,
    wire::Seen,
};
use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::fleet::{Status, requirements::*};

/// That the host may drain.
const HOST: &[Need] = &[Need::Feature("fleet.host-drain", "on")];
/// That the process may be told to end.
const GRACEFUL: &[Need] = &[Need::Feature("fleet.graceful-shutdown", "on")];

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/drain/silent", &[FLEET_DRAIN_1], drives!(silent)).needs(HOST),
    Check::new("fleet/drain/told", &[FLEET_DRAIN_2], drives!(told)).needs(HOST),
    Check::new("fleet/drain/complete", &[FLEET_DRAIN_3], drives!(complete)).needs(HOST),
    Check::new("fleet/drain/not-noted", &[FLEET_DRAIN_4], drives!(not_noted)).needs(HOST),
    Check::new("fleet/drain/undrained-at-once", &[FLEET_DRAIN_5], drives!(undrained_at_once)).needs(HOST),
    Check::new("fleet/drain/fails", &[FLEET_DRAIN_6], drives!(fails)).needs(HOST).waits(Waits::Millis(1_000)),
    Check::new("fleet/drain/stays", &[FLEET_DRAIN_7], drives!(stays)).needs(HOST).waits(Waits::Millis(1_000)),
    Check::new("fleet/drain/terminated-with-rooms", &[FLEET_DRAIN_8], drives!(graceful::with_rooms))
        .needs(GRACEFUL),
    Check::new("fleet/drain/terminated-without-rooms", &[FLEET_DRAIN_9], drives!(graceful::without_rooms))
        .needs(GRACEFUL)
        .waits(Waits::Millis(2_500)),
];

/// How long an agent that says something unasked has for it.
const MOMENT: Duration = Duration::from_millis(300);

/// What the adapter tells of a call that has ended: whether it is complete.
#[derive(Clone, Debug, PartialEq)]
struct Settled(Value);

impl crate::check::Shown for Settled {
    fn shown(&self) -> String {
        match self.0.get("error") {
            Some(why) => format!("the call failed: {why}"),
            None => "the call is complete".into(),
        }
    }
}

/// The status that a snapshot has.
fn says(poll: &wireproof_spec::fleet::Poll, status: &Status) -> Alternative<Heard> {
    let (name, status) = (format!("a snapshot with the status {}", status.word()), status.clone());
    poll_of(poll, &name, move |snapshot| snapshot.status == status)
}

/// What is told of a call under this name, and nobody looked at, as a claim about this observation.
async fn settled<T>(client: &mut Client, event: &str, seen: Seen<T>) -> Outcome<Seen<Vec<Settled>>> {
    let told = client.told_so_far(event).await?;
    Ok(seen.map(|_| told.into_iter().map(Settled).collect()))
}

/// That a call goes on.
fn open() -> Alternative<Vec<Settled>> {
    alternative("a call that goes on", Vec::is_empty)
}

/// That a call is complete.
fn done() -> Alternative<Option<Settled>> {
    alternative("a call that is complete", |told: &Option<Settled>| {
        told.as_ref().is_some_and(|told| told.0.get("error").is_none())
    })
}

/// Claims on what was seen last that the call of this name is complete.
async fn completes<T>(
    cx: &Cx,
    id: wireproof_spec::requirement::RequirementId,
    client: &mut Client,
    event: &str,
    seen: Seen<T>,
) -> Outcome {
    let told = client.told(event).await?.map(Settled);
    cx.expect(id, &seen.map(|_| told), &[done()])?;
    Ok(())
}

async fn silent(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for op in ["drain", "undrain", "drain"] {
        client.app.ask(op, json!({})).await?;
        let silence = connection.quiet(MOMENT).await?;
        cx.expect(FLEET_DRAIN_1, &silence, &[nothing()])?;
        connection.snapshot(cx).await?;
    }
    Ok(())
}

/// Though the Poll has the hash that was true before.
async fn told(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for (op, status) in
        [("drain", Status::Draining), ("undrain", Status::Active), ("drain", Status::Draining)]
    {
        let hash = connection.hash(cx)?;
        client.app.ask(op, json!({})).await?;
        let (poll, seen) = connection.ask(Some(&hash)).await?;
        cx.expect(FLEET_DRAIN_2, &seen, &[says(&poll, &status)])?;
        connection.snapshot(cx).await?;
    }
    Ok(())
}

/// With the second Poll; a hash-only State says it too, and a drain of later as well.
async fn complete(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for n in 0..2 {
        client.app.ask("drain", json!({})).await?;
        let (poll, seen) = connection.ask(None).await?;
        cx.need(FLEET_DRAIN_2, &seen, &[says(&poll, &Status::Draining)])?;
        let seen = settled(&mut client, "drained", seen).await?;
        cx.expect(FLEET_DRAIN_3, &seen, &[open()])?;
        let (poll, seen) = connection.ask_as(None, Status::Draining).await?;
        cx.need(FLEET_REPORT_1, &seen, &[snapshot(&poll)])?;
        completes(cx, FLEET_DRAIN_3, &mut client, "drained", seen).await?;
        if n == 0 {
            client.app.ask("undrain", json!({})).await?;
            for _ in 0..2 {
                let (poll, seen) = connection.ask(None).await?;
                cx.need(FLEET_DRAIN_2, &seen, &[says(&poll, &Status::Active)])?;
            }
            let _ = client.told_so_far("undrained").await?;
        }
    }
    Ok(())
}

async fn not_noted(cx: &Cx) -> Outcome {
    const POLLS: usize = 4;
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    client.app.ask("drain", json!({})).await?;
    connection.snapshot(cx).await?;
    let hash = connection.hash(cx)?;
    for n in 0..POLLS {
        let (poll, seen) = connection.ask(Some(&hash).filter(|_| n % 2 == 0).map(String::as_str)).await?;
        cx.need(FLEET_REPORT_1, &seen, &[state_of(&poll, "", |_| true)])?;
        let seen = settled(&mut client, "drained", seen).await?;
        cx.expect(FLEET_DRAIN_4, &seen, &[open()])?;
    }
    // It goes on until the orchestrator has taken note.
    let (poll, seen) = connection.ask_as(None, Status::Draining).await?;
    cx.need(FLEET_REPORT_1, &seen, &[snapshot(&poll)])?;
    completes(cx, FLEET_DRAIN_4, &mut client, "drained", seen).await
}

async fn undrained_at_once(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    // As it was, and with a State that said draining in between.
    for is_told in [false, true] {
        client.app.ask("drain", json!({})).await?;
        if is_told {
            connection.snapshot(cx).await?;
        }
        client.app.ask("undrain", json!({})).await?;
        let (poll, seen) = connection.ask(None).await?;
        cx.need(FLEET_REPORT_4, &seen, &[says(&poll, &Status::Active)])?;
        let seen = settled(&mut client, "undrained", seen).await?;
        cx.expect(FLEET_DRAIN_5, &seen, &[open()])?;
        let (poll, seen) = connection.ask(None).await?;
        cx.need(FLEET_REPORT_4, &seen, &[snapshot(&poll)])?;
        completes(cx, FLEET_DRAIN_5, &mut client, "undrained", seen).await?;
    }
    Ok(())
}

/// How a call is ended before it is complete.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Cut,
    Stopped,
}

async fn fails(cx: &Cx) -> Outcome {
    let cases = [End::Closed, End::Cut, End::Stopped].into_iter().flat_map(|end| [(end, false), (end, true)]);
    try_join_all(cases.map(|(end, is_told)| fails_with(cx, end, is_told))).await.map(drop)
}

async fn fails_with(cx: &Cx, end: End, is_told: bool) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    client.app.ask("drain", json!({})).await?;
    // With a State that said so, or without.
    let seen = if is_told {
        let (poll, seen) = connection.ask(None).await?;
        cx.need(FLEET_DRAIN_2, &seen, &[says(&poll, &Status::Draining)])?;
        seen.map(Some)
    } else {
        let silence = connection.quiet(MOMENT).await?;
        cx.need(FLEET_DRAIN_1, &silence, &[nothing()])?;
        silence
    };
    match end {
        End::Closed => connection.part(1012).await,
        End::Cut => connection.peer.leave(),
        End::Stopped => {
            let stopped = async { client.app.ask("stop", json!({})).await.map(drop) };
            // Who has said the last word waits for the end of the connection.
            let over = async move { connection.ended().await.map(drop) };
            try_join(over, stopped).await?;
        }
    }
    let told = client.told("drained").await?.map(Settled);
    let failed = alternative("a call that failed", |told: &Option<Settled>| {
        told.as_ref().is_some_and(|told| told.0.get("error").is_some())
    });
    cx.expect(FLEET_DRAIN_6, &seen.map(|_| told), &[failed])?;
    Ok(())
}

/// Drained before the first connection, and on one that has ended; told or not.
async fn stays(cx: &Cx) -> Outcome {
    let before = async {
        let mut client = Client::begin(cx).await?;
        client.app.ask("drain", json!({})).await?;
        let mut connection = client.connect(cx).await?;
        let (poll, seen) = connection.ask(None).await?;
        cx.expect(FLEET_DRAIN_7, &seen, &[says(&poll, &Status::Draining)])?;
        Ok(())
    };
    let behind = [false, true].map(async |is_told| {
        let mut client = Client::begin(cx).await?;
        let mut connection = client.join(cx).await?;
        client.app.ask("drain", json!({})).await?;
        if is_told {
            connection.snapshot(cx).await?;
        }
        for _ in 0..2 {
            connection = client.again(cx, connection).await?;
            let (poll, seen) = connection.ask(None).await?;
            cx.expect(FLEET_DRAIN_7, &seen, &[says(&poll, &Status::Draining)])?;
        }
        Ok(())
    });
    try_join(before, try_join_all(behind)).await.map(drop)
}
