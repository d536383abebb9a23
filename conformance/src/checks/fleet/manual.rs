//! Agents whose Polls a check answers itself: Polls with the moment at which they came, and looks that may be repeated.

use super::{
    agent::{Agent, Came, Fate, Heard},
    setting::{at_most, info, instance},
};
use crate::{
    check::{Alternative, Cx, Outcome, Shown, alternative},
    wire::Seen,
};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::fleet::{Poll, Snapshot, State, requirements::FLEET_SNAPSHOT_26};

/// A Poll, and when it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Polled {
    /// When it was read.
    pub at: Instant,
    /// It.
    pub poll: Poll,
}

impl Shown for Polled {
    fn shown(&self) -> String {
        self.poll.shown()
    }
}

/// The next Poll, to be looked at and to be claimed about. Cmds before it are passed over.
///
/// # Errors
/// As [`Agent::next`], and inconclusive if the connection ends.
pub async fn polled(cx: &Cx, agent: &mut Agent) -> Outcome<(Polled, Seen<Polled>)> {
    loop {
        let seen = agent.next(cx).await?;
        match seen.look() {
            Ok(Heard { came: Came::Poll(poll), at }) => {
                let polled = Polled { at: *at, poll: poll.clone() };
                return Ok((polled.clone(), seen.map(|_| polled)));
            }
            Ok(Heard { came: Came::Hello(_) | Came::Cmd(_), .. }) => {}
            Ok(other) => return Err(cx.stop(&format!("{} came where a Poll was awaited", other.shown()))),
            Err(why) => return Err(cx.stop(&format!("no Poll came: {why}"))),
        }
    }
}

/// What was seen in the first of three looks that meets this, or else in the last. Either side may be late once on a busy
/// machine; a target that is wrong is wrong each time.
///
/// # Errors
/// As the looks.
pub async fn of_three<T, F: Future<Output = Outcome<Seen<T>>>>(
    meets: &Alternative<T>,
    look: impl Fn() -> F,
) -> Outcome<Seen<T>> {
    const MORE: usize = 2;
    for _ in 0..MORE {
        let seen = look().await?;
        if seen.look().is_ok_and(|what| meets.holds(what)) {
            return Ok(seen);
        }
    }
    look().await
}

/// So many times H, in hundredths.
pub fn hundredths(agent: &Agent, of: u32) -> Duration {
    agent.heartbeat * of / 100
}

/// Needs that the API, if there is one, shows an instance as this.
///
/// # Errors
/// Stops the check, inconclusive, if it does not.
pub async fn stays(cx: &Cx, agent: &Agent, snapshot: &Snapshot) -> Outcome {
    if cx.features().is("fleet.api", "on") {
        let seen = cx.send(instance(cx, &agent.id)).await?;
        cx.need(FLEET_SNAPSHOT_26, &seen, &[info(snapshot, &agent.id)])?;
    }
    Ok(())
}

/// What became of a snapshot that was sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Became {
    /// It was applied.
    Applied,
    /// It was not, and the connection goes on; what is known instead.
    Not(String),
    /// The connection is over.
    Over(Fate),
}

impl Shown for Became {
    fn shown(&self) -> String {
        match self {
            Became::Applied => "a snapshot that was applied".into(),
            Became::Not(instead) => format!("a snapshot that was not applied: {instead}"),
            Became::Over(fate) => fate.shown(),
        }
    }
}

/// That a snapshot was not applied, whatever became of its connection.
pub fn not_applied() -> Alternative<Became> {
    alternative("a snapshot that was not applied", |became: &Became| *became != Became::Applied)
}

/// That a snapshot was not applied, and its connection goes on.
pub fn passed_over() -> Alternative<Became> {
    alternative("a snapshot that was not applied, on a connection that goes on", |became: &Became| {
        matches!(became, Became::Not(_))
    })
}

/// That the connection on which a snapshot came was closed with the code 4003.
pub fn kicked() -> Alternative<Became> {
    alternative("a close frame with the code 4003", |became: &Became| {
        matches!(became, Became::Over(Fate::Closed(Some((4003, _)))))
    })
}

/// That a snapshot was applied.
pub fn applied() -> Alternative<Became> {
    alternative("a snapshot that was applied", |became: &Became| *became == Became::Applied)
}

/// What became of this snapshot, which was sent in answer to the outstanding Poll, within the second that it has to be shown; where
/// there is no API, up to the next Poll. The next Poll, which is not answered yet, if it came before that.
///
/// # Errors
/// As [`Agent::next_by`] and [`Agent::proof`].
pub async fn became(
    cx: &Cx,
    agent: &mut Agent,
    snapshot: &Snapshot,
) -> Outcome<(Seen<Became>, Option<Poll>)> {
    /// How far apart looks are.
    const PAUSE: Duration = Duration::from_millis(20);
    let api = cx.features().is("fleet.api", "on");
    let length = if api { Duration::ZERO } else { at_most(agent.heartbeat) };
    let mut until = Instant::now() + length + Duration::from_secs(1);
    let (hash, there) = (snapshot.hash(), info(snapshot, &agent.id));
    let (mut next, mut asked) = (None, false);
    loop {
        let mut instead = None;
        if api {
            let seen = cx.send(instance(cx, &agent.id)).await?;
            if seen.look().is_ok_and(|response| there.holds(response)) {
                return Ok((seen.map(|_| Became::Applied), next));
            }
            instead = Some(seen.map(|response| Became::Not(response.shown())));
        }
        let by = if api { until.min(Instant::now() + PAUSE) } else { until };
        let Some(seen) = agent.next_by(by).await? else {
            if Instant::now() < until {
                continue;
            }
            let fate = agent.proof(cx).await?.map(|fate| match fate {
                Fate::Open => Became::Not("no Poll has its hash".into()),
                over => Became::Over(over),
            });
            let is_over = matches!(fate.look(), Ok(Became::Over(_)));
            return Ok((instead.filter(|_| !is_over).unwrap_or(fate), next));
        };
        let came = match seen.look() {
            Ok(heard) => heard.came.clone(),
            Err(why) => {
                let over = Became::Over(Fate::Ended(why.to_string()));
                return Ok((seen.or_lost().map(|_| over), None));
            }
        };
        match came {
            Came::Poll(poll) if !api && poll.known_hash.as_ref() == Some(&hash) => {
                return Ok((seen.map(|_| Became::Applied), Some(poll)));
            }
            Came::Poll(poll) if api => next = Some(poll),
            // One that asks for all tells nothing; of two in a row one tells a hash (FLEET-POLL-7).
            Came::Poll(poll) if poll.known_hash.is_none() && !asked => {
                asked = true;
                until += at_most(agent.heartbeat);
                let state = agent.full(&poll, snapshot.clone());
                agent.send_state(&State { snapshot: None, ..state });
            }
            Came::Poll(poll) => {
                let instead = format!("a Poll has the knownHash {:?}", poll.known_hash);
                return Ok((seen.map(|_| Became::Not(instead)), Some(poll)));
            }
            Came::Closed(with) => return Ok((seen.map(|_| Became::Over(Fate::Closed(with))), None)),
            Came::Hello(_) | Came::Cmd(_) => {}
            Came::Strange(what) => return Err(cx.stop(&format!("{what} came where a Poll was awaited"))),
        }
    }
}

/// A frame of a WebSocket as clients send it, its mask all zeros.
pub fn masked(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | u8::try_from(short).unwrap_or(0)),
        long => match u16::try_from(long) {
            Ok(long) => {
                frame.push(0x80 | 126);
                frame.extend(long.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        },
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
