//! What counts as a redial that failed: successes begin the count anew, connections that opened do not, and attempts end it.

use super::{
    law::{Delay, redial},
    *,
};
use crate::{check::Shown, wire::listen::Call};
use std::{collections::BTreeSet, ops::Range};

/// So many sessions at once: whoever does not follow the count does so in each of them.
const SESSIONS: usize = 6;

/// The delays behind the successes of many sessions, and what the machine may have held up meanwhile.
#[derive(Clone, Debug)]
struct Behind {
    sessions: Vec<Vec<Delay>>,
    law: Law,
    stall: Duration,
}

impl Shown for Behind {
    fn shown(&self) -> String {
        let all: Vec<String> = self.sessions.iter().flatten().map(Shown::shown).collect();
        format!("behind successes {}", all.join(", "))
    }
}

impl Behind {
    /// The successes behind which most sessions came later than a redial 0 may: a wrong count is late in all, and a few that were
    /// held up are no sign.
    fn late(&self) -> BTreeSet<usize> {
        self.later_than(self.stall)
    }

    /// Whether nothing can be told of it: something is late, and the machine held up too much.
    fn is_unclear(&self) -> bool {
        !is_calm(self.stall) && !self.later_than(Duration::ZERO).is_empty()
    }

    /// As [`Behind::late`], with so much allowed for.
    fn later_than(&self, stall: Duration) -> BTreeSet<usize> {
        let late = Duration::from_millis(LATE_MS) + stall;
        let is_late = |nth: usize, session: &&Vec<Delay>| {
            session.get(nth).is_some_and(|delay| delay.is_late(self.law, late))
        };
        let most = |nth: &usize| {
            self.sessions.iter().filter(|session| is_late(*nth, session)).count() * 2 > SESSIONS
        };
        (0..SUCCESSES).filter(most).collect()
    }
}

/// So many successes a session has at most.
const SUCCESSES: usize = 2;

pub(super) async fn begins_anew(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        let law = Law::of(cx, interface, 400, 30_000);
        let mut runs: Vec<Seen<Behind>> = Vec::new();
        let late = |runs: &[Behind]| in_each(runs.iter().map(Behind::late));
        for _ in 0..TRIES {
            let sessions = try_join_all((0..SESSIONS).map(|_| successes(cx, interface, law)));
            let (sessions, stall) = beside_timers(sessions).await?;
            let run = Seen::all(sessions).map(|sessions| Behind { sessions, law, stall });
            if run.look().is_ok_and(Behind::is_unclear) {
                continue;
            }
            runs.push(run);
            let seen = Seen::all(runs.clone());
            if runs.len() == RUNS || seen.look().is_ok_and(|runs| late(runs).is_empty()) {
                let none = alternative(
                    "no success behind which most redials of each of three runs came later than a redial 0",
                    move |runs: &Vec<Behind>| late(runs).is_empty(),
                );
                return cx.expect(QUEUE_REDIAL_11, &seen, &[none]).map(|_| ());
            }
        }
        Err(restless(cx))
    })
    .await
}

/// Dials fail until redial 2 would be next, which comes later than a redial 0 may. Then one succeeds: the delay behind the end of
/// it. And the same once more, if that does not take too long.
async fn successes(cx: &Cx, interface: Interface, law: Law) -> Outcome<Seen<Vec<Delay>>> {
    let failure = Failure::of(cx, interface);
    let mut client = Client::start(cx, law.start(cx, interface)).await?;
    let (_, mut call) = client.dial(cx).await?;
    let late = Duration::from_millis(LATE_MS);
    let mut delays = Vec::new();
    for _ in 0..if law.is_set { SUCCESSES } else { 1 } {
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
    Ok(Seen::all(delays))
}

pub(super) async fn goes_on(cx: &Cx) -> Outcome {
    Interface::each(cx, |interface| count_goes_on(cx, interface)).await
}

async fn count_goes_on(cx: &Cx, interface: Interface) -> Outcome {
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

/// So many attempts may fail in a row, and more of them are made in all.
const ATTEMPTS: u32 = 2;

pub(super) async fn attempts_anew(cx: &Cx) -> Outcome {
    let law = Law::of(cx, Interface::Handler, 100, 30_000);
    let start = law.start(cx, Interface::Handler).with("attempts", ATTEMPTS);
    let mut client = Client::start(cx, start).await?;
    let mut connection = client.join(cx).await?;
    // None of these redials fails.
    for _ in 0..=ATTEMPTS {
        close(connection, 1012).await?;
        connection = lets_in(cx, QUEUE_REDIAL_13, &mut client).await?;
    }
    close(connection, 1012).await?;
    let call = dials_within(cx, &mut client, law.most(0)).await?;
    fails_from(cx, client, Failure::Unavailable, call, 1..ATTEMPTS, law).await
}

/// Claims that a client which may make so many attempts makes them, and then tells an error.
async fn gives_up(cx: &Cx, failure: Failure, most: u32) -> Outcome {
    let law = Law::of(cx, Interface::Handler, 100, 30_000);
    let start = law.start(cx, Interface::Handler).with("attempts", most);
    let mut client = Client::start(cx, start).await?;
    let (_, call) = client.dial(cx).await?;
    fails_from(cx, client, failure, call, 0..most, law).await
}

/// Claims that it dials, when so much has passed at most.
async fn dials_within(cx: &Cx, client: &mut Client, most: Duration) -> Outcome<Call> {
    let (seen, call) = client.place.next_within(most + cx.answer_time()).await?;
    cx.expect(QUEUE_REDIAL_13, &seen, &[dials()])?;
    call.ok_or_else(|| cx.stop("the client did not dial"))
}

/// Has this dial fail, and these redials. Claims that they come, and behind them an error and no other.
async fn fails_from(
    cx: &Cx,
    mut client: Client,
    failure: Failure,
    mut call: Call,
    redials: Range<u32>,
    law: Law,
) -> Outcome {
    let behind = redials.end;
    for n in redials {
        failure.befall(cx, call).await?;
        call = dials_within(cx, &mut client, law.most(n)).await?;
    }
    // What it tells of the dials before is not the error that is awaited.
    client.app.all_told().await?;
    failure.befall(cx, call).await?;
    let length = law.most(behind) * 3 / 2 + Duration::from_millis(LATE_MS);
    let still = client.still(cx, length).await?;
    cx.expect(QUEUE_REDIAL_13, &still, &[does_not_dial()])?;
    let told = client.complaint().await?;
    let error = alternative("an error that is told behind the last dial", Option::<String>::is_some);
    cx.expect(QUEUE_REDIAL_13, &still.map(|_| told), &[error])?;
    Ok(())
}
