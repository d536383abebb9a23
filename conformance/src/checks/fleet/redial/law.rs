//! The delays before redials: many sessions at once, and the law that each of them follows.

use super::*;
use crate::check::Shown;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// How long a redial took: at most, measured from before our own act, and at least, from behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    /// Which redial it is.
    n: u32,
    most: Duration,
    least: Duration,
}

impl Shown for Delay {
    fn shown(&self) -> String {
        format!("redial {} after {} ms", self.n, self.most.as_millis())
    }
}

/// What redial n waits for at most.
fn bound(n: u32) -> Duration {
    Duration::from_millis(500_u64.saturating_mul(2_u64.saturating_pow(n)).min(30_000))
}

/// By when redial n is there.
fn latest(n: u32) -> Duration {
    bound(n) * 5 / 4 + Duration::from_millis(100)
}

impl Delay {
    /// Whether it came later than it may, by what the machine held up.
    pub(super) fn is_late(&self, stall: Duration) -> bool {
        self.least > latest(self.n) + stall
    }
}

/// Ends a connection, and lets redial n in, on which nothing was said: how long it took.
pub(super) async fn redial(
    cx: &Cx,
    client: &mut Client,
    connection: Connection,
    n: u32,
) -> Outcome<(Seen<Delay>, Connection)> {
    let from = Instant::now();
    connection.part(1012).await;
    let to = Instant::now();
    // Who follows another law is waited for too.
    let wait = bound(n) * 4 + cx.answer_time();
    let (seen, call) = client.place.next_within(wait).await?;
    cx.need(FLEET_REDIAL_1, &seen, &[dials()])?;
    let call = call.ok_or_else(|| cx.stop("the agent did not dial again"))?;
    let since = |begin: Instant| call.at.saturating_duration_since(begin);
    let delay = Delay { n, most: since(from), least: since(to) };
    Ok((seen.clone().map(|_| delay), Connection::of(seen, call).await?))
}

/// So many sessions are measured at once. An agent is late if several of them are at one and the same redial in each of three
/// runs, by more than our own timers were late in that run.
const SESSIONS: usize = 20;

/// Redials from 0 to 2, behind connections without a Hello.
pub(super) async fn delays(cx: &Cx) -> Outcome {
    /// One alone may be the machine.
    const LATE: usize = 2;
    let session = async |_| {
        let mut client = Client::begin(cx).await?;
        let mut connection = client.open(cx).await?;
        let mut delays = Vec::new();
        for n in 0..3 {
            let (delay, next) = redial(cx, &mut client, connection, n).await?;
            delays.push(delay);
            connection = next;
        }
        Ok(delays)
    };
    let mut runs: Vec<BTreeSet<u32>> = Vec::new();
    for run in 1..=RUNS {
        let sessions = try_join_all((0..SESSIONS).map(session));
        let (measured, stall) = beside_timers(sessions).await?;
        let late = Seen::all(measured.into_iter().flatten()).map(|delays| {
            let late: Vec<Delay> = delays.into_iter().filter(|delay| delay.is_late(stall)).collect();
            let of = |n: u32| late.iter().filter(|delay| delay.n == n).count();
            late.iter().filter(|delay| of(delay.n) >= LATE).copied().collect::<Vec<_>>()
        });
        runs.push(late.look().map(|late| late.iter().map(|delay| delay.n).collect()).unwrap_or_default());
        let still = in_each(runs.clone());
        if run == RUNS || still.is_empty() {
            let late = late.map(|late| late.into_iter().filter(|delay| still.contains(&delay.n)).collect());
            let none = alternative("no redial late in each of three runs", Vec::<Delay>::is_empty);
            return cx.expect(FLEET_REDIAL_4, &late, &[none]).map(drop);
        }
    }
    Ok(())
}

/// The delays of one session, in a row.
#[derive(Clone, Debug)]
struct Row(Vec<Delay>);

impl Shown for Row {
    fn shown(&self) -> String {
        let all: Vec<String> = self.0.iter().map(Shown::shown).collect();
        all.join(", ")
    }
}

impl Row {
    /// Whether the delays are further apart than the way and a busy machine explain: from one length, and from one part of
    /// their bounds.
    fn is_drawn(&self) -> bool {
        // Six even draws come to lie so close together once in some ten thousand rows.
        const APART: Duration = Duration::from_millis(50);
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let delays = || self.0.iter().map(|delay| millis(delay.most));
        let near = |of: &dyn Fn(&Delay) -> f64| {
            self.0.iter().all(|delay| (millis(delay.most) - of(delay)).abs() <= millis(APART))
        };
        let middle = delays().sum::<f64>() / self.0.len() as f64;
        let bounds = || self.0.iter().map(|delay| millis(bound(delay.n)));
        // The part that fits best.
        let part = delays().zip(bounds()).map(|(delay, bound)| delay * bound).sum::<f64>()
            / bounds().map(|bound| bound * bound).sum::<f64>();
        !near(&|_| middle) && !near(&|delay| millis(bound(delay.n)) * part)
    }
}

/// Six redials, the fourth behind a Hello; of several sessions one has to be drawn.
pub(super) async fn drawn(cx: &Cx) -> Outcome {
    const SESSIONS: usize = 3;
    let session = async |_| {
        let mut client = Client::begin(cx).await?;
        let mut connection = client.open(cx).await?;
        let mut delays = Vec::new();
        for n in [0, 1, 2, 0, 1, 2] {
            if n == 0 {
                connection.greet(cx).await;
                let (poll, seen) = connection.ask(None).await?;
                cx.need(FLEET_REPORT_1, &seen, &[state_of(&poll, "", |_| true)])?;
            }
            let (delay, next) = redial(cx, &mut client, connection, n).await?;
            delays.push(delay);
            connection = next;
        }
        Ok(Seen::all(delays).map(Row))
    };
    let rows = Seen::all(try_join_all((0..SESSIONS).map(session)).await?);
    let one = alternative(
        "a session whose delays are neither the same nor in proportion to their bounds",
        |rows: &Vec<Row>| rows.iter().any(Row::is_drawn),
    );
    cx.expect(FLEET_REDIAL_5, &rows, &[one])?;
    Ok(())
}

/// Eight delays behind connections without a Hello, up to the first that is longer than redial 0 may be.
pub(super) async fn goes_on(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.connect(cx).await?;
    let mut delays = Vec::new();
    for n in 0..8 {
        let (delay, next) = redial(cx, &mut client, connection, n).await?;
        let is_long = delay.look().is_ok_and(is_long);
        delays.push(delay);
        connection = next;
        if is_long {
            break;
        }
    }
    let one = alternative(
        format!("one of eight delays longer than {FIRST_REDIAL_MS} ms"),
        |delays: &Vec<Delay>| delays.iter().any(is_long),
    );
    cx.expect(FLEET_REDIAL_7, &Seen::all(delays), &[one])?;
    Ok(())
}

fn is_long(delay: &Delay) -> bool {
    delay.most > Duration::from_millis(FIRST_REDIAL_MS)
}
