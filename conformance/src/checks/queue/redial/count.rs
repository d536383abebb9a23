//! What counts as a redial that failed: successes begin the count anew, connections that opened do not, and attempts end it.

use super::{
    delays::{numbers, too_late},
    law::{Delay, redial},
    *,
};

/// So many sessions at once: whoever does not follow the count does so in each of them.
const SESSIONS: usize = 6;

pub(super) async fn begins_anew(cx: &Cx) -> Outcome {
    let interface = Interface::any(cx);
    let law = Law::of(cx, interface, 200, 30_000);
    for run in 1..=3 {
        let sessions = try_join_all((0..SESSIONS).map(|_| successes(cx, interface, law))).await?;
        let delays = Seen::all(sessions.into_iter().flatten());
        let late = too_late(delays, law, Duration::ZERO);
        if run == 3 || numbers(&late).is_empty() {
            let none =
                alternative("no redial behind a success later than a redial 0", Vec::<Delay>::is_empty);
            return cx.expect(QUEUE_REDIAL_11, &late, &[none]).map(|_| ());
        }
    }
    Ok(())
}

/// Dials fail until redial 2 would be next, which comes later than a redial 0 may. Then one succeeds: the delay behind the end of
/// it. And the same once more, if that does not take too long.
async fn successes(cx: &Cx, interface: Interface, law: Law) -> Outcome<Vec<Seen<Delay>>> {
    let failure = Failure::of(cx, interface);
    let mut client = Client::start(cx, law.start(cx, interface)).await?;
    let (_, mut call) = client.dial(cx).await?;
    let late = Duration::from_millis(LATE_MS);
    let mut delays = Vec::new();
    for _ in 0..if law.is_set { 2 } else { 1 } {
        for n in 0..2 {
            let ended = failure.befall(cx, call).await?;
            (_, call) = redial(cx, &mut client, (law, n), ended, QUEUE_REDIAL_8).await?;
        }
        let mut connection = Connection::of(cx, call).await?;
        connection.welcome("").await;
        let ended = close(connection, 1012).await?;
        let (delay, next) = redial(cx, &mut client, (law, 0), ended, QUEUE_REDIAL_1).await?;
        let is_late = delay.look().is_ok_and(|delay| delay.is_late(law, late));
        delays.push(delay);
        if is_late {
            break;
        }
        call = next;
    }
    Ok(delays)
}

pub(super) async fn goes_on(cx: &Cx) -> Outcome {
    let interface = Interface::any(cx);
    let law = Law::of(cx, interface, 100, 30_000);
    let last = if law.is_set { 3 } else { 1 };
    let session = async |_| {
        let mut client = Client::start(cx, law.start(cx, interface)).await?;
        // Behind a success as at the start.
        let ended = close(client.join(cx).await?, 1012).await?;
        let (_, mut call) = redial(cx, &mut client, (law, 0), ended, QUEUE_REDIAL_1).await?;
        let mut delays = Vec::new();
        for n in 1..=last {
            let ended = Failure::Unanswered.befall(cx, call).await?;
            let (delay, next) = redial(cx, &mut client, (law, n), ended, QUEUE_REDIAL_8).await?;
            delays.push(delay);
            call = next;
        }
        Ok(delays)
    };
    let delays = Seen::all(try_join_all((0..SESSIONS).map(session)).await?.into_iter().flatten());
    let soon = delays.map(|delays| delays.into_iter().filter(|delay| delay.is_soon(law)).collect());
    let none = alternative("no redial sooner than with a count that goes on", Vec::<Delay>::is_empty);
    cx.expect(QUEUE_REDIAL_12, &soon, &[none])?;
    Ok(())
}

pub(super) async fn attempts(cx: &Cx) -> Outcome {
    let kinds = [Failure::Unavailable, Failure::Unanswered];
    let ways = kinds.into_iter().flat_map(|failure| [(failure, 0), (failure, 2)]);
    try_join_all(ways.map(|(failure, most)| gives_up(cx, failure, most))).await?;
    Ok(())
}

/// Claims that a client which may make so many attempts makes them, and then tells an error.
async fn gives_up(cx: &Cx, failure: Failure, most: u32) -> Outcome {
    let law = Law::of(cx, Interface::Handler, 100, 30_000);
    let start = law.start(cx, Interface::Handler).with("attempts", most);
    let mut client = Client::start(cx, start).await?;
    let (_, mut call) = client.dial(cx).await?;
    for n in 0..most {
        failure.befall(cx, call).await?;
        let (seen, next) = client.place.next_within(law.most(n) + cx.answer_time()).await?;
        cx.expect(QUEUE_REDIAL_13, &seen, &[dials()])?;
        call = next.ok_or_else(|| cx.stop("the client did not dial"))?;
    }
    // What it tells of the dials before is not the error that is awaited.
    client.app.all_told().await?;
    failure.befall(cx, call).await?;
    let length = law.most(most) * 3 / 2 + Duration::from_millis(LATE_MS);
    let still = client.still(cx, length).await?;
    cx.expect(QUEUE_REDIAL_13, &still, &[does_not_dial()])?;
    let told = client.complaint().await?;
    let error = alternative("an error that is told behind the last dial", Option::<String>::is_some);
    cx.expect(QUEUE_REDIAL_13, &still.map(|_| told), &[error])?;
    Ok(())
}
