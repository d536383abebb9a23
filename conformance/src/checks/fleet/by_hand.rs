//! An agent that answers each Poll by hand, and looks at what becomes of what it says.

use super::{
    agent::{Agent, Came, Heard},
    setting::{instance, is_shown, ok_and, shown},
};
use crate::{
    check::{Alternative, Cx, Outcome, Shown, alternative},
    wire::{Seen, limit::words},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wireproof_spec::{
    fleet::{Poll, Snapshot, State, requirements::FLEET_SNAPSHOT_1},
    http::Response,
};

/// What a State or a close changes is shown within this time, and a connection that is kicked is closed within it.
pub const SOON: Duration = Duration::from_secs(1);

/// Of so many Polls in a row behind an applied snapshot one has a knownHash (FLEET-POLL-7); one may be under way.
const POLLS: usize = 4;

/// An agent that answers each Poll by hand. A snapshot of it was applied, and it has a Poll that it did not answer yet.
pub struct ByHand {
    /// The agent.
    pub agent: Agent,
    /// The Poll that it did not answer.
    pub poll: Poll,
    /// What was applied last.
    pub held: Snapshot,
    /// The hash under which that is known.
    pub known: String,
    /// When the Poll was read.
    since: Instant,
}

/// What became of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// The next Poll has its hash.
    Applied,
    /// The next Poll has the hash of the one before.
    NotApplied,
    /// The next Poll has this one.
    Other(String),
    /// No Poll has a hash any more.
    Untold,
    /// The connection ended, in this way.
    Over(String),
}

impl Shown for Became {
    fn shown(&self) -> String {
        match self {
            Became::Applied => "a Poll with its hash as knownHash".into(),
            Became::NotApplied => "a Poll with the hash of the snapshot before as knownHash".into(),
            Became::Other(hash) => format!("a Poll with the knownHash {:?}", words(hash)),
            Became::Untold => "no Poll with a knownHash".into(),
            Became::Over(how) => how.clone(),
        }
    }
}

/// That it was applied.
pub fn applied(what: &str) -> Alternative<Became> {
    alternative(format!("{what} is applied: a Poll has its hash"), |became: &Became| {
        *became == Became::Applied
    })
}

/// That it was rejected, or passed over, and the connection goes on.
pub fn not_applied(what: &str) -> Alternative<Became> {
    alternative(
        format!("{what} is not applied: a Poll comes, and has the hash of the snapshot before"),
        |became: &Became| *became == Became::NotApplied,
    )
}

/// That a Poll came.
pub fn polled() -> Alternative<Heard> {
    alternative("a Poll", |heard: &Heard| matches!(heard.came, Came::Poll(_)))
}

/// That a Poll came with this knownHash.
pub fn polled_with(hash: &str) -> Alternative<Heard> {
    let hash = hash.to_owned();
    alternative(
        "a Poll with the hash of what was said last",
        move |heard: &Heard| matches!(&heard.came, Came::Poll(poll) if poll.known_hash.as_ref() == Some(&hash)),
    )
}

impl ByHand {
    /// An agent whose first snapshot, this one, was applied.
    ///
    /// # Errors
    /// As [`Agent::connect`], and inconclusive if no Poll has its hash.
    pub async fn join(cx: &Cx, snapshot: Snapshot) -> Outcome<Self> {
        let mut agent = Agent::connect(cx).await?;
        let hash = snapshot.hash();
        for _ in 0..POLLS {
            let seen = agent.poll(cx).await?;
            let Ok(poll) = seen.look() else { break };
            if poll.known_hash.as_ref() == Some(&hash) {
                let poll = poll.clone();
                return Ok(Self { agent, poll, held: snapshot, known: hash, since: Instant::now() });
            }
            let state = agent.full(poll, snapshot.clone());
            agent.send_state(&state);
        }
        Err(cx.stop("no Poll has the hash of the first snapshot"))
    }

    /// Answers with this snapshot and the next seq: what became of it.
    ///
    /// # Errors
    /// As [`Agent::next`].
    pub async fn tell(&mut self, cx: &Cx, snapshot: &Snapshot) -> Outcome<Seen<Became>> {
        let state = self.agent.full(&self.poll, snapshot.clone());
        self.say(cx, state).await
    }

    /// Answers with this snapshot, this seq and this hash: what became of it.
    ///
    /// # Errors
    /// As [`Agent::next`].
    pub async fn tell_as(
        &mut self,
        cx: &Cx,
        snapshot: &Snapshot,
        seq: u32,
        hash: &str,
    ) -> Outcome<Seen<Became>> {
        let state = State {
            req_id: self.poll.req_id.clone(),
            seq,
            hash: hash.to_owned(),
            snapshot: Some(snapshot.clone()),
        };
        self.say(cx, state).await
    }

    async fn say(&mut self, cx: &Cx, state: State) -> Outcome<Seen<Became>> {
        // At the third miss whoever is late is evicted, and rightly so.
        if self.since.elapsed() > self.agent.heartbeat * 2 {
            return Err(cx.stop("a Poll was answered later than was meant: it took longer than 2 H"));
        }
        self.agent.send_state(&state);
        self.became(cx, state, State::encode_frame).await
    }

    /// What became of this State, which was sent already. To a Poll that asks for all it is sent again, encoded in this way: that
    /// changes nothing.
    ///
    /// # Errors
    /// As [`Agent::next`].
    pub async fn became(
        &mut self,
        cx: &Cx,
        mut state: State,
        encode: impl Fn(&State) -> Vec<u8> + Send,
    ) -> Outcome<Seen<Became>> {
        for turn in 1..=POLLS {
            let seen = self.event(cx).await?;
            let became = match seen.look() {
                Ok(Heard { came: Came::Poll(poll), at }) => {
                    (self.poll, self.since) = (poll.clone(), *at);
                    match &poll.known_hash {
                        Some(hash) if *hash == state.hash => Became::Applied,
                        Some(hash) if *hash == self.known => Became::NotApplied,
                        Some(hash) => Became::Other(hash.clone()),
                        None if turn == POLLS => Became::Untold,
                        None => {
                            state.req_id.clone_from(&poll.req_id);
                            self.agent.send_inner("fleet/state", &encode(&state));
                            continue;
                        }
                    }
                }
                Ok(other) => Became::Over(other.shown()),
                Err(why) => Became::Over(why.to_string()),
            };
            if became == Became::Applied {
                self.known.clone_from(&state.hash);
                if let Some(snapshot) = state.snapshot {
                    self.held = snapshot;
                }
            }
            return Ok(seen.or_lost().map(|_| became));
        }
        Err(cx.stop("no Poll has a knownHash"))
    }

    /// The next Poll, or the end of the connection.
    async fn event(&mut self, cx: &Cx) -> Outcome<Seen<Heard>> {
        loop {
            let seen = self.agent.next(cx).await?;
            if !matches!(seen.look(), Ok(Heard { came: Came::Hello(_) | Came::Cmd(_), .. })) {
                return Ok(seen);
            }
        }
    }

    /// Where there is an API, what it shows: as soon as this member is what the snapshot that was applied last has, and otherwise
    /// what is there when a second is over.
    ///
    /// # Errors
    /// Stops the check if the API cannot be reached.
    pub async fn shown(&self, cx: &Cx, member: &'static str) -> Outcome<Option<Seen<Response>>> {
        /// How far apart looks are.
        const PAUSE: Duration = Duration::from_millis(20);
        if !cx.features().is("fleet.api", "on") {
            return Ok(None);
        }
        let until = Instant::now() + SOON;
        let there = self.has(member);
        loop {
            let seen = cx.send(instance(cx, &self.agent.id)).await?;
            if seen.look().is_ok_and(|response| there.holds(response)) || Instant::now() > until {
                return Ok(Some(seen));
            }
            sleep(PAUSE).await;
        }
    }

    /// That the API shows this member as the snapshot has it that was applied last.
    pub fn has(&self, member: &'static str) -> Alternative<Response> {
        let mut expected = shown(&self.held, &self.agent.id);
        if let Some(members) = expected.as_object_mut() {
            members.retain(|name, _| name == member);
        }
        ok_and(200, &format!("the {member} of the snapshot that was applied last"), move |data| {
            is_shown(data, &expected)
        })
    }

    /// Has another snapshot applied: that shows that the connection is in order.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it is not.
    pub async fn goes_on(&mut self, cx: &Cx, snapshot: &Snapshot) -> Outcome {
        let became = self.tell(cx, snapshot).await?;
        cx.need(FLEET_SNAPSHOT_1, &became, &[applied("an ordinary snapshot")])?;
        Ok(())
    }
}

/// Has the agent say this from now on, by itself: the first Poll that has its hash, or else the last of what came, or the end of
/// the connection.
///
/// # Errors
/// As [`Agent::next`].
pub async fn takes(cx: &Cx, agent: &mut Agent, snapshot: Snapshot) -> Outcome<Seen<Heard>> {
    let hash = snapshot.hash();
    agent.says(snapshot);
    let began = Instant::now();
    let mut polls = 0;
    loop {
        let seen = agent.next(cx).await?;
        match seen.look() {
            Ok(Heard { came: Came::Hello(_) | Came::Cmd(_), .. }) => {}
            // What was not read yet came before.
            Ok(Heard { came: Came::Poll(_), at }) if *at <= began => {}
            Ok(Heard { came: Came::Poll(poll), .. })
                if poll.known_hash.as_ref() != Some(&hash) && polls < POLLS =>
            {
                polls += 1;
            }
            _ => return Ok(seen),
        }
    }
}
