//! The delays before redials: many sessions at once, and the law that each of them follows.

use super::*;
use crate::check::Shown;
use std::collections::BTreeSet;
use tokio::time::Instant;
use wireproof_spec::http::Request;

/// What becomes of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It is answered with 101, and the connection ends without a Hello.
    Opened,
    /// It is answered with 503.
    TurnedAway,
    /// It is answered with 101, and the connection ends behind a Hello.
    Greeted,
}

/// What follows from a Hello does not follow from these.
const FATES: [Fate; 2] = [Fate::Opened, Fate::TurnedAway];

impl Fate {
    /// Befalls a dial: when its end began, and when it was over.
    async fn befall(self, cx: &Cx, (dialled, call): Dial) -> Outcome<(Instant, Instant)> {
        if self == Fate::TurnedAway {
            let from = Instant::now();
            answered(call, 503).await;
            return Ok((from, Instant::now()));
        }
        let mut connection = Connection::of(dialled, call).await?;
        if self == Fate::Greeted {
            connection.greet(cx).await;
            let (poll, seen) = connection.ask(None).await?;
            cx.need(FLEET_REPORT_1, &seen, &[state_of(&poll, "", |_| true)])?;
        }
        let from = Instant::now();
        connection.part(1012).await;
        Ok((from, Instant::now()))
    }
}

/// A dial that waits for its answer.
pub(super) type Dial = (Seen<Request>, Call);

/// How long a redial took: at most, measured from before our own act, and at least, from behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    /// What became of the dial before.
    fate: Fate,
    /// Which redial it is.
    n: u32,
    most: Duration,
    least: Duration,
}

impl Shown for Delay {
    fn shown(&self) -> String {
        let behind = match self.fate {
            Fate::Opened => "",
            Fate::TurnedAway => " behind a 503",
            Fate::Greeted => " behind a Hello",
        };
        format!("redial {} after {} ms{behind}", self.n, self.most.as_millis())
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

/// Has this befall a dial, and awaits redial n: how long it took.
pub(super) async fn redial(
    cx: &Cx,
    client: &mut Client,
    dial: Dial,
    (fate, n): (Fate, u32),
) -> Outcome<(Seen<Delay>, Dial)> {
    let (from, to) = fate.befall(cx, dial).await?;
    // Who follows another law, or counts on from the redials before a Hello, is waited for too.
    let wait = bound(n + 3) + cx.answer_time();
    let (seen, call) = client.place.next_within(wait).await?;
    cx.need(FLEET_REDIAL_1, &seen, &[dials()])?;
    let call = call.ok_or_else(|| cx.stop("the agent did not dial again"))?;
    let since = |begin: Instant| call.at.saturating_duration_since(begin);
    let delay = Delay { fate, n, most: since(from), least: since(to) };
    Ok((seen.clone().map(|_| delay), (seen, call)))
}

/// So many sessions are measured at once for each fate. An agent is late if several of them are at one and the same redial in each
/// of three runs, by more than our own timers were late in that run.
const SESSIONS: usize = 16;

/// Redials from 0 to 2, behind connections without a Hello, and behind dials that failed.
pub(super) async fn delays(cx: &Cx) -> Outcome {
    /// One alone may be the machine.
    const LATE: usize = 2;
    let session = async |fate| {
        let mut client = Client::begin(cx).await?;
        let mut dial = client.dial(cx).await?;
        let mut delays = Vec::new();
        for n in 0..3 {
            let (delay, next) = redial(cx, &mut client, dial, (fate, n)).await?;
            delays.push(delay);
            dial = next;
        }
        Ok(delays)
    };
    let which = |delay: &Delay| (delay.fate, delay.n);
    let mut runs: Vec<BTreeSet<(Fate, u32)>> = Vec::new();
    for run in 1..=RUNS {
        let fates = FATES.into_iter().flat_map(|fate| [fate; SESSIONS]);
        let (measured, stall) = beside_timers(try_join_all(fates.map(session))).await?;
        let late = Seen::all(measured.into_iter().flatten()).map(|delays| {
            let late: Vec<Delay> = delays.into_iter().filter(|delay| delay.is_late(stall)).collect();
            let like = |one: &Delay| late.iter().filter(|delay| which(delay) == which(one)).count();
            late.iter().filter(|delay| like(delay) >= LATE).copied().collect::<Vec<_>>()
        });
        runs.push(late.look().map(|late| late.iter().map(which).collect()).unwrap_or_default());
        let still = in_each(runs.clone());
        if run == RUNS || still.is_empty() {
            let late =
                late.map(|late| late.into_iter().filter(|delay| still.contains(&which(delay))).collect());
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
        // Six even draws come to lie so close together once in some ten thousand rows, and two of three rows never.
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

/// Six redials, with a Hello behind the third, whose own is none of them; of three sessions two have to be drawn.
pub(super) async fn drawn(cx: &Cx) -> Outcome {
    const SESSIONS: usize = 3;
    let session = async |fate| {
        let mut client = Client::begin(cx).await?;
        let mut dial = client.dial(cx).await?;
        let mut delays = Vec::new();
        let steps = [(fate, 0), (fate, 1), (fate, 2), (Fate::Greeted, 0), (fate, 1), (fate, 2), (fate, 3)];
        for step in steps {
            let (delay, next) = redial(cx, &mut client, dial, step).await?;
            if step.0 == fate {
                delays.push(delay);
            }
            dial = next;
        }
        Ok(Seen::all(delays).map(Row))
    };
    let of = async |fate| {
        let rows = Seen::all(try_join_all([fate; SESSIONS].map(session)).await?);
        let most = alternative(
            "most sessions with delays that are neither the same nor in proportion to their bounds",
            |rows: &Vec<Row>| rows.iter().filter(|row| row.is_drawn()).count() * 2 > rows.len(),
        );
        cx.expect(FLEET_REDIAL_5, &rows, &[most]).map(drop)
    };
    try_join_all(FATES.map(of)).await.map(drop)
}

/// Eight delays behind connections without a Hello, and behind dials that failed, up to the first that is longer than redial 0 may
/// be.
pub(super) async fn goes_on(cx: &Cx) -> Outcome {
    let most = Duration::from_millis(FIRST_REDIAL_MS);
    let of = async |fate| {
        let mut client = Client::begin(cx).await?;
        let mut dial = client.dial(cx).await?;
        let (mut delays, mut has_long) = (Vec::new(), false);
        for n in 0..8 {
            let measured = redial(cx, &mut client, dial, (fate, n));
            let ((delay, next), stall) = beside_timers(measured).await?;
            // What our own end took, and what the machine held up, is no delay of the agent.
            has_long = delay.look().is_ok_and(|delay| delay.least > most + stall);
            delays.push(delay);
            dial = next;
            if has_long {
                break;
            }
        }
        let name = format!("one of eight delays longer than {FIRST_REDIAL_MS} ms");
        let one = alternative(name, move |_: &Vec<Delay>| has_long);
        cx.expect(FLEET_REDIAL_7, &Seen::all(delays), &[one]).map(drop)
    };
    try_join_all(FATES.map(of)).await.map(drop)
}

/// Six redials in a row, which an agent does not make that gives up behind the fifth. They take long for most agents; of many at
/// once, the first that made them shows that it does, and the first that does not that it gave up.
pub(super) async fn endures(cx: &Cx) -> Outcome {
    const AGENTS: usize = 16;
    let of = async |(fate, id): (Fate, RequirementId)| {
        let agents = (0..AGENTS).map(|_| {
            Box::pin(async {
                let mut client = Client::begin(cx).await?;
                let mut dial = client.dial(cx).await?;
                for n in 0..6 {
                    fate.befall(cx, dial).await?;
                    let (seen, call) = client.place.next_within(latest(n) + cx.answer_time()).await?;
                    cx.expect(id, &seen, &[dials()])?;
                    let call = call.ok_or_else(|| cx.stop("the agent did not dial again"))?;
                    dial = (seen, call);
                }
                Ok(())
            })
        });
        select_all(agents).await.0
    };
    try_join_all([(Fate::Opened, FLEET_REDIAL_1), (Fate::TurnedAway, FLEET_REDIAL_2)].map(of)).await.map(drop)
}
