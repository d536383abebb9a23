//! How long a client waits before it dials again, and how that is measured.

use super::*;
use crate::{check::Shown, wire::listen::Call};
use tokio::time::Instant;

/// The base and the maximum of a client, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Law {
    base: u64,
    maximum: u64,
    /// Whether the owner has set them.
    pub(super) is_set: bool,
}

/// How a dial fails, or a connection ends without an AuthResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The handshake is answered with 503.
    Unavailable,
    /// The AuthRequest is answered with a close frame.
    Unanswered,
}

/// When something ended: between these moments, both ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    from: Instant,
    to: Instant,
}

/// How long a redial took: at most, measured from before our own act, and at least, from behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    /// Which redial it is.
    pub(super) n: u32,
    pub(super) most: Duration,
    pub(super) least: Duration,
}

impl Law {
    /// With these where the client lets its owner set them. Whether an iterator does nobody can tell: for that they are as
    /// they are unless set.
    pub(super) fn of(cx: &Cx, interface: Interface, base: u64, maximum: u64) -> Self {
        if interface == Interface::Handler && cx.features().is("queue.delay-settings", "on") {
            Self { base, maximum, is_set: true }
        } else {
            Self { base: 1_000, maximum: 30_000, is_set: false }
        }
    }

    /// How its owner starts the client.
    pub(super) fn start(self, cx: &Cx, interface: Interface) -> Start {
        let start = Start::new(cx, interface);
        if self.is_set {
            start.with("delay_ms", self.base).with("max_delay_ms", self.maximum)
        } else {
            start.without("delay_ms").without("max_delay_ms")
        }
    }

    /// What redial n waits for at least.
    pub(super) fn least(self, n: u32) -> Duration {
        Duration::from_millis((self.full(n) / 2).min(self.maximum))
    }

    /// What redial n waits for at most.
    pub(super) fn most(self, n: u32) -> Duration {
        Duration::from_millis(self.full(n).min(self.maximum))
    }

    fn full(self, n: u32) -> u64 {
        self.base.saturating_mul(2_u64.saturating_pow(n))
    }
}

impl Failure {
    /// One behind which every client with this interface dials again.
    pub(super) fn of(cx: &Cx, interface: Interface) -> Self {
        let lasts = interface == Interface::Handler || cx.features().is("queue.persistent-iterator", "on");
        if lasts { Failure::Unavailable } else { Failure::Unanswered }
    }

    /// Has a dial fail so.
    pub(super) async fn befall(self, cx: &Cx, call: Call) -> Outcome<Ended> {
        match self {
            Failure::Unavailable => {
                let from = Instant::now();
                let answer = Response::new(503).header("connection", "close");
                call.answer_with(&answer, Fault::Cut(usize::MAX)).await;
                Ok(Ended { from, to: Instant::now() })
            }
            Failure::Unanswered => close(Connection::of(cx, call).await?, 1012).await,
        }
    }
}

/// Closes a connection with this code, and ends it.
pub(super) async fn close(mut connection: Connection, code: u16) -> Outcome<Ended> {
    let from = Instant::now();
    connection.peer.close(code, "").await;
    // Whatever it answers: TCP ends behind it.
    let _answer = connection.peer.next().await?;
    drop(connection);
    Ok(Ended { from, to: Instant::now() })
}

/// The redial n that follows, and how long it took. If it does not come, this requirement is to blame.
pub(super) async fn redial(
    cx: &Cx,
    client: &mut Client,
    (law, n): (Law, u32),
    ended: Ended,
    blame: RequirementId,
) -> Outcome<(Seen<Delay>, Call)> {
    // Who follows another law is waited for too.
    let wait = law.most(n) * 4 + cx.answer_time();
    let (seen, call) = client.place.next_within(wait).await?;
    cx.need(blame, &seen, &[dials()])?;
    let call = call.ok_or_else(|| cx.stop("the client did not dial"))?;
    Ok((seen.map(|_| ended.until(n, call.at)), call))
}

impl Ended {
    /// How long it took from there to redial n.
    pub(super) fn until(self, n: u32, at: Instant) -> Delay {
        let since = |begin: Instant| at.saturating_duration_since(begin);
        Delay { n, most: since(self.from), least: since(self.to) }
    }
}

impl Delay {
    /// Whether it came too soon, but for the millisecond by which timers round.
    pub(super) fn is_soon(&self, law: Law) -> bool {
        self.most + Duration::from_millis(1) < law.least(self.n)
    }

    /// Whether it came later than that.
    pub(super) fn is_late(&self, law: Law, late: Duration) -> bool {
        self.least > law.most(self.n) + late
    }
}

impl Shown for Delay {
    fn shown(&self) -> String {
        format!("redial {} after {} ms", self.n, self.most.as_millis())
    }
}
