//! The end of a process that drains its agent.

use super::*;
use crate::checks::fleet::client::{FIRST_REDIAL_MS, does_not_dial, over};
use tokio::time::{Instant, sleep};
use wireproof_spec::fleet::Poll;

/// A process of its own that gets SIGTERM, and its agent with two rooms.
async fn terminated(cx: &Cx) -> Outcome<(Client, Connection)> {
    let mut client = Client::start_alone(cx, Start::new(cx)).await?;
    let mut connection = client.join(cx).await?;
    for id in ["a", "b"] {
        connection.done(cx, create(id, KINDS[0])).await?;
    }
    connection.snapshot(cx).await?;
    client.app.ask("terminate", json!({})).await?;
    Ok((client, connection))
}

/// The first State that says draining, or the last that does not: a signal may come a little behind what came before it on another
/// way.
async fn drains(cx: &Cx, connection: &mut Connection) -> Outcome<(Poll, Seen<Heard>)> {
    /// How far apart these Polls are.
    const PAUSE: Duration = Duration::from_millis(20);
    let until = Instant::now() + cx.answer_time();
    loop {
        let (poll, seen) = connection.ask(None).await?;
        let is_active = seen.look().is_ok_and(|heard| says(&poll, &Status::Active).holds(heard));
        if !is_active || Instant::now() >= until {
            return Ok((poll, seen));
        }
        sleep(PAUSE).await;
    }
}

/// It says draining for as long as there are rooms, and answers.
pub(super) async fn with_rooms(cx: &Cx) -> Outcome {
    let (mut _client, mut connection) = terminated(cx).await?;
    let (poll, seen) = drains(cx, &mut connection).await?;
    cx.expect(FLEET_DRAIN_8, &seen, &[says(&poll, &Status::Draining)])?;
    for n in 0..4 {
        let status = if n < 2 { Status::Active } else { Status::Draining };
        let (poll, seen) = connection.ask_as(None, status).await?;
        cx.expect(FLEET_DRAIN_8, &seen, &[says(&poll, &Status::Draining)])?;
        let silence = connection.quiet(MOMENT).await?;
        cx.expect(FLEET_DRAIN_8, &silence, &[nothing()])?;
    }
    Ok(())
}

/// With the last room it closes; with the one before it does not. And at once where there are none.
pub(super) async fn without_rooms(cx: &Cx) -> Outcome {
    let (mut client, mut connection) = terminated(cx).await?;
    let (poll, seen) = drains(cx, &mut connection).await?;
    cx.need(FLEET_DRAIN_8, &seen, &[says(&poll, &Status::Draining)])?;
    connection.done(cx, destroy("a")).await?;
    let silence = connection.quiet(MOMENT).await?;
    cx.need(FLEET_DRAIN_8, &silence, &[nothing()])?;
    let _ = connection.cmd(destroy("b")).await;
    ends(cx, &mut client, &mut connection).await?;
    let mut client = Client::start_alone(cx, Start::new(cx)).await?;
    let mut connection = client.join(cx).await?;
    client.app.ask("terminate", json!({})).await?;
    ends(cx, &mut client, &mut connection).await
}

async fn ends(cx: &Cx, client: &mut Client, connection: &mut Connection) -> Outcome {
    let ended = connection.ended().await?;
    cx.expect(FLEET_DRAIN_9, &ended, &[over()])?;
    // The process may end: another one shows that agents dial.
    let seen = client.still(cx, Duration::from_millis(FIRST_REDIAL_MS + 200)).await?;
    cx.expect(FLEET_DRAIN_9, &seen, &[does_not_dial()])?;
    Ok(())
}
