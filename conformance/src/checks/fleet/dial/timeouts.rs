//! How long an agent waits for a Hello.

use super::*;
use crate::{
    checks::fleet::setting::{at_least, at_most},
    wire::listen::Fault,
};
use futures_util::future::{try_join, try_join3};
use serde_json::Value;
use tokio::time::Instant;
use wireproof_spec::http::Response;

/// After how long an agent leaves that has not told, in milliseconds.
const HELLO_MS: u64 = 60_000;
/// The time that owners of these checks give, in milliseconds.
const BOUND_MS: u64 = 700;

/// Behind a connection that was like any other, twice.
pub(super) async fn no_hello(cx: &Cx) -> Outcome {
    let limit = Duration::from_millis(cx.features().limit("hello-timeout-ms").unwrap_or(HELLO_MS));
    let mut client = Client::begin(cx).await?;
    client.join(cx).await?.part(1012).await;
    for _ in 0..2 {
        let (seen, call) = client.place.next().await?;
        cx.expect(FLEET_DIAL_11, &seen, &[dials()])?;
        let call = call.ok_or_else(|| cx.stop("the agent did not dial"))?;
        let mut connection = Connection::of(seen, call).await?;
        connection.peer = connection.peer.patient(at_most(limit) + cx.slack());
        let ended = connection.ended().await?;
        cx.expect(FLEET_DIAL_11, &ended, &[over()])?;
    }
    let (seen, _call) = client.place.next().await?;
    cx.expect(FLEET_DIAL_11, &seen, &[dials()])?;
    Ok(())
}

/// Why no Hello comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Handshakes are not answered.
    Unanswered,
    /// They are answered with 101, and nothing more comes.
    Silent,
    /// They are answered with 503.
    Unavailable,
}

pub(super) async fn connect_timeout(cx: &Cx) -> Outcome {
    try_join3(gives_up(cx, Way::Unanswered), gives_up(cx, Way::Silent), gives_up(cx, Way::Unavailable))
        .await
        .map(drop)
}

async fn gives_up(cx: &Cx, way: Way) -> Outcome {
    let begun = Instant::now();
    let mut client = Client::start(cx, Start::new(cx).with("connect_timeout_ms", BOUND_MS)).await?;
    let Client { app, place, .. } = &mut client;
    let (first, call) = place.next().await?;
    cx.need(FLEET_DIAL_3, &first, &[dials()])?;
    let bound = Duration::from_millis(BOUND_MS);
    let (from, until) = (begun + at_least(bound), begun + at_most(bound) + cx.answer_time() / 8);
    let mut call = call;
    let (mut unanswered, mut silent, mut told) = (Vec::new(), Vec::new(), None);
    // Its dials are met with the same. What it tells before the time has passed is about a dial that failed.
    while Instant::now() < until && told.is_none() {
        match (call.take(), way) {
            (None, _) => {}
            (Some(call), Way::Unanswered) => unanswered.push(call),
            (Some(call), Way::Silent) => silent.push(call.upgrade_to(Some(SENTINEL)).await?),
            (Some(call), Way::Unavailable) => {
                let answer = Response::new(503).header("connection", "close");
                call.answer_with(&answer, Fault::Cut(usize::MAX)).await;
            }
        }
        let rest = until.saturating_duration_since(Instant::now());
        tokio::select! {
            event = app.told_within(rest) => {
                let event = event?.filter(|event| event.event == "error" && Instant::now() >= from);
                told = event.map(|event| event.data);
            }
            dialled = place.next_within(rest) => call = dialled?.1,
        }
    }
    let error = alternative("an error that is told when the time has passed", Option::<Value>::is_some);
    cx.expect(FLEET_DIAL_12, &first.map(|_| told), &[error])?;
    // As long as the fourth delay may be.
    let length = Duration::from_millis(if way == Way::Unavailable { 4_000 } else { FIRST_REDIAL_MS * 2 });
    // One that was under way when the time had passed is none behind it.
    let _ = place.next_within(Duration::from_millis(50)).await?;
    let seen = still(cx, place, length).await?;
    cx.expect(FLEET_DIAL_12, &seen, &[does_not_dial()])?;
    Ok(())
}

/// A Hello that came in time ends the wait: neither on its connection nor behind it anybody gives up.
pub(super) async fn in_time(cx: &Cx) -> Outcome {
    let late = Duration::from_millis(BOUND_MS + BOUND_MS / 2);
    let stays = async {
        let mut client = Client::start(cx, Start::new(cx).with("connect_timeout_ms", BOUND_MS)).await?;
        let mut connection = client.join(cx).await?;
        let silence = connection.quiet(late).await?;
        cx.expect(FLEET_DIAL_12, &silence, &[nothing()])?;
        connection.part(1012).await;
        let (seen, _call) = client.place.next().await?;
        cx.expect(FLEET_DIAL_12, &seen, &[dials()])?;
        Ok(())
    };
    // The time ran from the start, and is over with the first Hello.
    let limit = Duration::from_millis(cx.features().limit("hello-timeout-ms").unwrap_or(HELLO_MS));
    let again = async {
        // Who has as little patience as this with a connection leaves it for that reason.
        if at_least(limit) <= late {
            return Ok(());
        }
        let mut client = Client::start(cx, Start::new(cx).with("connect_timeout_ms", BOUND_MS)).await?;
        let connection = client.join(cx).await?;
        connection.part(1012).await;
        let mut connection = client.open(cx).await?;
        let silence = connection.quiet(late).await?;
        cx.expect(FLEET_DIAL_12, &silence, &[nothing()])?;
        connection.greet(cx).await;
        let (poll, seen) = connection.ask(None).await?;
        cx.expect(FLEET_DIAL_12, &seen, &[state_of(&poll, "", |_| true)])?;
        Ok(())
    };
    try_join(stays, again).await.map(drop)
}
