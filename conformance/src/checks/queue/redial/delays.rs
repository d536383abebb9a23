//! The delays before redials: many sessions at once, and the law that each of them follows.

use super::{
    law::{Delay, redial},
    *,
};
use crate::check::Shown;
use std::collections::BTreeSet;

/// So many sessions are measured at once.
///
/// Too soon: the least delay is hard. What is measured begins before our own act and ends behind the arrival, so that a busy
/// machine only makes it longer: a right client is never too soon. A law whose delays are drawn evenly from the half below (the
/// maximum before the draw) passes with 0.5^24 at each redial, less than 1e-7.
///
/// Too late: a right client is late only where the machine is. More than one in eight has to be late at one and the same redial
/// in each of three runs, by 150 ms and twice what our own timers were late in that run. Where a run in a hundred is held up as
/// much without our timers being so, three are with 1e-6.
///
/// Drawn: see [`Spread`].
const SESSIONS: usize = 24;

pub(super) async fn delays(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        let law = Law::of(cx, interface, 100, 30_000);
        let last = if law.is_set { 3 } else { 1 };
        follows(cx, QUEUE_REDIAL_8, law, 0, || outage(cx, interface, law, last)).await
    })
    .await
}

pub(super) async fn maximum(cx: &Cx) -> Outcome {
    let law = Law::of(cx, Interface::Handler, 100, 150);
    // Half of 100 · 2^2 is more than 150.
    follows(cx, QUEUE_REDIAL_9, law, 2, || outage(cx, Interface::Handler, law, 3)).await
}

/// A session whose dials all fail: the delays before the redials up to this one.
async fn outage(cx: &Cx, interface: Interface, law: Law, last: u32) -> Outcome<Vec<Seen<Delay>>> {
    let failure = Failure::of(cx, interface);
    let blame = match (failure, interface) {
        (Failure::Unanswered, _) => QUEUE_REDIAL_12,
        (Failure::Unavailable, Interface::Handler) => QUEUE_REDIAL_3,
        (Failure::Unavailable, Interface::Iterator) => QUEUE_REDIAL_15,
    };
    let mut client = Client::start(cx, law.start(cx, interface)).await?;
    let (_, mut call) = client.dial(cx).await?;
    let mut delays = Vec::new();
    for n in 0..=last {
        let ended = failure.befall(cx, call).await?;
        let (delay, next) = redial(cx, &mut client, (law, n), ended, blame).await?;
        delays.push(delay);
        call = next;
    }
    Ok(delays)
}

/// Claims that the delays of many sessions at once, from redial `first` on, are those of the law.
async fn follows<F: Future<Output = Outcome<Vec<Seen<Delay>>>>>(
    cx: &Cx,
    id: RequirementId,
    law: Law,
    first: u32,
    session: impl Fn() -> F,
) -> Outcome {
    let mut runs: Vec<BTreeSet<u32>> = Vec::new();
    for _ in 0..TRIES {
        let sessions = try_join_all((0..SESSIONS).map(|_| session()));
        let (measured, stall) = beside_timers(sessions).await?;
        let delays = Seen::all(measured.into_iter().flatten())
            .map(|delays| delays.into_iter().filter(|delay| delay.n >= first).collect());
        cx.expect(id, &too_soon(&delays, law), &[none("no redial sooner than its least delay")])?;
        if !is_calm(stall) && !numbers(&too_late(delays.clone(), law, Duration::ZERO)).is_empty() {
            continue;
        }
        let late = too_late(delays, law, stall);
        runs.push(numbers(&late));
        let still = in_each(runs.clone());
        if runs.len() == RUNS || still.is_empty() {
            let late = late.map(|late| late.into_iter().filter(|delay| still.contains(&delay.n)).collect());
            return cx.expect(id, &late, &[none("no redial late in each of three runs")]).map(|_| ());
        }
    }
    Err(restless(cx))
}

fn too_soon(delays: &Seen<Vec<Delay>>, law: Law) -> Seen<Vec<Delay>> {
    delays.clone().map(|delays| delays.into_iter().filter(|delay| delay.is_soon(law)).collect())
}

/// Those that are late, of the redials of which more than one in eight is.
fn too_late(delays: Seen<Vec<Delay>>, law: Law, stall: Duration) -> Seen<Vec<Delay>> {
    let late = Duration::from_millis(LATE_MS) + stall;
    delays.map(|delays| {
        let of = |n: u32| delays.iter().filter(move |delay| delay.n == n);
        let is_late = |delay: &&Delay| delay.is_late(law, late);
        let many = |n: u32| of(n).filter(is_late).count() * 8 > of(n).count();
        delays.iter().filter(is_late).filter(|delay| many(delay.n)).copied().collect()
    })
}

/// Which redials these are.
fn numbers(delays: &Seen<Vec<Delay>>) -> BTreeSet<u32> {
    delays.look().map_or_else(|_| BTreeSet::new(), |delays| delays.iter().map(|delay| delay.n).collect())
}

fn none(name: &str) -> Alternative<Vec<Delay>> {
    alternative(name, Vec::is_empty)
}

pub(super) async fn long_outage(cx: &Cx) -> Outcome {
    /// Beyond 2^64.
    const LAST: u32 = 66;
    let law = Law::of(cx, Interface::Handler, 15, 30);
    let session = async |_| {
        let mut client = Client::start(cx, law.start(cx, Interface::Handler)).await?;
        let (_, mut call) = client.dial(cx).await?;
        let mut delays = Vec::new();
        for n in 0..=LAST {
            let ended = Failure::Unavailable.befall(cx, call).await?;
            let (seen, next) = client.place.next().await?;
            cx.expect(QUEUE_REDIAL_3, &seen, &[dials()])?;
            call = next.ok_or_else(|| cx.stop("the client did not dial"))?;
            delays.push(seen.map(|_| ended.until(n, call.at)));
        }
        Ok(delays.split_off(2))
    };
    let delays = try_join_all((0..6).map(session)).await?;
    let soon = too_soon(&Seen::all(delays.into_iter().flatten()), law);
    cx.expect(QUEUE_REDIAL_9, &soon, &[none("no redial sooner than the maximum")])?;
    Ok(())
}

/// How far the delays of many sessions lie apart: those before redial 0, when each was let in once and twice, and the differences
/// of the two.
///
/// Of 24 the 20 in the middle count, so that a few that were held up do not stand for a draw. That 20 of 24 even draws that stand
/// side by side lie within a fifth of their range has the probability of at least 19 of 24 below a fifth, 7.4e-10; differences of
/// two draws lie less close. So a right client fails with 3e-9 where the machine is quick. One that stands still for longer than
/// nine tenths of a base, just then, makes all of them equal: they are judged only if they were so in each of three runs.
struct Spread([Duration; 3]);

impl Spread {
    /// At each end so many of them do not count.
    const ASIDE: usize = 2;

    fn of(pairs: &[(Duration, Duration)]) -> Self {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let spread = |mut all: Vec<i64>| {
            all.sort_unstable();
            let ends = all.get(Self::ASIDE).zip(all.get(all.len().saturating_sub(Self::ASIDE + 1)));
            Duration::from_micros(ends.map_or(0, |(low, high)| high.abs_diff(*low)))
        };
        Self([
            spread(pairs.iter().map(|(first, _)| micros(*first)).collect()),
            spread(pairs.iter().map(|(_, second)| micros(*second)).collect()),
            spread(pairs.iter().map(|(first, second)| micros(*second) - micros(*first)).collect()),
        ])
    }

    /// Whether delays were drawn, of a base so long. What the machine held up, each for itself, lies apart as well, and shows
    /// nothing: so much more is asked for, up to twice the tenth. That evenly drawn ones lie as close as that in each of three runs
    /// has a probability of 1e-8.
    fn is_drawn(&self, base: Duration, stall: Duration) -> bool {
        let tenth = base / 10;
        self.0.iter().all(|spread| *spread > tenth + stall.min(tenth))
    }
}

impl Shown for Spread {
    fn shown(&self) -> String {
        let [first, second, between] = self.0.map(|spread| spread.as_millis());
        format!(
            "the first delays of most sessions within {first} ms, the second ones within {second} ms, and their differences \
             within {between} ms"
        )
    }
}

pub(super) async fn drawn(cx: &Cx) -> Outcome {
    // One after the other: twice as many sessions would hold up each other, and that looks like a draw.
    for interface in Interface::all(cx) {
        draws(cx, interface).await?;
    }
    Ok(())
}

async fn draws(cx: &Cx, interface: Interface) -> Outcome {
    let law = Law::of(cx, interface, 1_000, 30_000);
    let base = law.most(0);
    for run in 1..=RUNS {
        let sessions = try_join_all((0..SESSIONS).map(|_| ends_twice(cx, interface, law)));
        let (sessions, stall) = beside_timers(sessions).await?;
        let spread = Seen::all(sessions).map(|pairs| Spread::of(&pairs));
        if run == RUNS || spread.look().is_ok_and(|spread| spread.is_drawn(base, stall)) {
            let drawn = alternative(
                "delays further apart than a tenth of base and what is held up",
                move |spread: &Spread| spread.is_drawn(base, stall),
            );
            return cx.expect(QUEUE_REDIAL_10, &spread, &[drawn]).map(|_| ());
        }
    }
    Ok(())
}

/// Lets a client in, ends the connection, and once more: the delays before the redials.
async fn ends_twice(cx: &Cx, interface: Interface, law: Law) -> Outcome<Seen<(Duration, Duration)>> {
    let mut client = Client::start(cx, law.start(cx, interface)).await?;
    let ended = close(client.join(cx).await?, 1012).await?;
    let (first, call) = redial(cx, &mut client, (law, 0), ended, QUEUE_REDIAL_1).await?;
    let mut connection = Connection::of(cx, call).await?;
    connection.welcome("").await;
    let ended = close(connection, 1012).await?;
    let (second, _) = redial(cx, &mut client, (law, 0), ended, QUEUE_REDIAL_1).await?;
    Ok(first.and(second).map(|(first, second)| (first.most, second.most)))
}
