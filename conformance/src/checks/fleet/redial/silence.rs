//! When nothing comes.

use super::*;
use crate::checks::fleet::setting::at_most;
use wireproof_spec::fleet::Status;

/// After how long an agent leaves that has not told, in milliseconds.
const SILENCE_MS: u64 = 120_000;

/// A connection with a short H.
async fn short(cx: &Cx, connection: &mut Connection) {
    connection.hello(&hello(&cx.token(16), SHORT_HEARTBEAT_MS)).await;
}

/// Behind a Hello, and behind a Poll, on a later connection; each time there is another one.
pub(super) async fn leaves(cx: &Cx) -> Outcome {
    let told = cx.features().limit("silence-ms").unwrap_or(SILENCE_MS);
    let limit = at_most(Duration::from_millis(told.max(u64::from(SHORT_HEARTBEAT_MS) * 4)));
    let cases = [false, true].map(async |is_polled| {
        let mut client = Client::begin(cx).await?;
        client.join(cx).await?.part(1012).await;
        let mut connection = client.open(cx).await?;
        short(cx, &mut connection).await;
        if is_polled {
            let (poll, seen) = connection.ask(None).await?;
            cx.need(FLEET_REPORT_1, &seen, &[state_of(&poll, "", |_| true)])?;
        }
        connection.peer = connection.peer.patient(limit + cx.slack());
        let ended = connection.next().await?.or_lost();
        if is_polled && !is_over(&ended) && ended.look().is_ok_and(Result::is_ok) {
            cx.expect(FLEET_REPORT_1, &ended, &[over()])?;
        }
        cx.expect(FLEET_REDIAL_8, &ended, &[over()])?;
        drop(connection);
        lets_in(cx, FLEET_REDIAL_8, &mut client).await.map(drop)
    });
    try_join_all(cases).await.map(drop)
}

/// Who leaves after a time of its own stays for as long as a short H asks, and who says something once more waits that long for
/// the next Poll: behind an Ack and a State.
pub(super) async fn stays_for_long(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.open(cx).await?;
    connection.hello(&hello(&cx.token(16), USUAL_HEARTBEAT_MS)).await;
    let (cmd, seen) = connection.tell(create("a", KINDS[0])).await?;
    cx.need(FLEET_EXECUTE_3, &seen, &[acked(&cmd, "", |_| true)])?;
    let (poll, seen) = connection.ask(None).await?;
    cx.need(FLEET_REPORT_1, &seen, &[state_of(&poll, "", |_| true)])?;
    let silence = connection.quiet(Duration::from_millis(USUAL_HEARTBEAT_MS.into()) * 3).await?;
    let no = |what: &str, is: fn(&Heard) -> bool| {
        alternative(format!("no {what}"), move |heard: &Option<Heard>| !heard.as_ref().is_some_and(is))
    };
    let end = no("end of the connection", |heard| matches!(heard.said, Said::Closed(_)));
    cx.expect(FLEET_REDIAL_9, &silence, &[end])?;
    cx.expect(FLEET_EXECUTE_1, &silence, &[no("second Ack", |heard| heard.ack().is_some())])?;
    cx.expect(FLEET_REPORT_1, &silence, &[nothing()])?;
    let (poll, seen) = connection.ask(None).await?;
    cx.expect(FLEET_REDIAL_9, &seen, &[state_of(&poll, "", |_| true)])?;
    Ok(())
}

/// Behind answered Polls, of which there are several: the last one counts.
pub(super) async fn stays(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    for _ in 0..2 {
        let mut connection = client.open(cx).await?;
        short(cx, &mut connection).await;
        for _ in 0..3 {
            let (poll, seen) = connection.ask(None).await?;
            cx.need(FLEET_REPORT_1, &seen, &[state_of(&poll, "", |_| true)])?;
            let length = Duration::from_millis(SHORT_HEARTBEAT_MS.into()) * 3;
            let silence = connection.quiet(length).await?;
            cx.expect(FLEET_REDIAL_9, &silence, &[nothing()])?;
        }
        let poll = connection.poll(None, Status::Active).await;
        let seen = connection.next().await?;
        cx.expect(FLEET_REDIAL_9, &seen, &[state_of(&poll, "", |_| true)])?;
        connection.part(1012).await;
    }
    Ok(())
}
