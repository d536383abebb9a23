//! How the agent of the fleet protocol is broken.

pub(super) use crate::selftest::defects::client::{always, boundary, race, second};

use crate::{
    embed::{
        adapter::Tells,
        reference::{
            fleet::client::{
                AgentModel, Seams, Settings,
                model::{Effect, Input, Phase, Record, State, What},
                seams::{Dial, Frame},
            },
            model::{Decision, Model, Port},
        },
    },
    selftest::defects::{Breakage, port},
};
use bytes::Bytes;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use wireproof_spec::fleet::{self, Ack, Cmd, Poll, frames::Outer};

/// Changes what the owner of an agent asks for.
pub type Asks = Box<dyn Fn(&mut Settings) + Send + Sync>;

/// What becomes of an agent whose process gets SIGTERM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// It drains, waits until there are no rooms, and is stopped.
    #[default]
    Graceful,
    /// It is stopped.
    Sudden,
    /// It waits until there are no rooms, and is stopped.
    Undrained,
    /// It drains.
    Never,
}

/// The places at which an agent and its adapter can be broken. They are made afresh for each agent.
pub struct ClientSeams {
    /// The agent.
    pub agent: Seams,
    /// What the owner asks for; none: as it is.
    pub owner: Option<Asks>,
    /// What the owner is told; none: as it is.
    pub told: Option<Tells>,
    /// What becomes of it at the end of its process.
    pub ending: Ending,
}

impl ClientSeams {
    /// Changes nothing.
    pub fn honest() -> Self {
        Self { agent: Seams::honest(), owner: None, told: None, ending: Ending::Graceful }
    }
}

/// The defects of agents of one area.
pub(super) type ClientTable = &'static [Breakage<ClientSeams>];

/// An agent broken so.
pub(super) fn agent(seams: Seams) -> ClientSeams {
    ClientSeams { agent: seams, ..ClientSeams::honest() }
}

/// Each dial changed. The number is that of the connection, from 1.
pub(super) fn dial(change: impl Fn(u64, &mut Dial) + Send + Sync + 'static) -> ClientSeams {
    agent(Seams { dial: Some(Box::new(change)), ..Seams::honest() })
}

/// Each frame that comes, changed.
pub(super) fn heard(change: impl Fn(u64, &mut Frame) + Send + Sync + 'static) -> ClientSeams {
    agent(Seams { heard: Some(Box::new(change)), ..Seams::honest() })
}

/// The inner frame of each message with this topic that comes, changed; none: the message is passed over.
pub(super) fn heard_inner(
    of: &'static str,
    change: impl Fn(u64, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> ClientSeams {
    heard(move |number, frame| {
        let Frame::Binary(bytes) = frame else { return };
        let Ok(outer) = Outer::decode(bytes) else { return };
        if outer.topic.as_deref() == Some(of) {
            *bytes = match change(number, outer.payload.unwrap_or_default()) {
                Some(inner) => Outer::encode(of, &inner).into(),
                // A frame without a topic.
                None => Bytes::new(),
            };
        }
    })
}

/// Each Poll that comes and can be read, changed.
pub(super) fn heard_poll(change: impl Fn(u64, &mut Poll) + Send + Sync + 'static) -> ClientSeams {
    heard_inner("fleet/poll", move |number, inner| {
        let Ok(mut poll) = Poll::receive(inner) else { return Some(inner.to_vec()) };
        change(number, &mut poll);
        Some(poll.encode_frame())
    })
}

/// Each Cmd that comes and can be read, changed.
pub(super) fn heard_cmd(change: impl Fn(u64, &mut Cmd) + Send + Sync + 'static) -> ClientSeams {
    heard_inner("fleet/cmd", move |number, inner| {
        let Ok(mut cmd) = Cmd::receive(inner) else { return Some(inner.to_vec()) };
        change(number, &mut cmd);
        Some(cmd.encode_frame())
    })
}

/// The frames that are about to be sent, changed.
pub(super) fn said(change: impl Fn(u64, &mut Vec<Frame>) + Send + Sync + 'static) -> ClientSeams {
    agent(Seams { said: Some(Box::new(change)), ..Seams::honest() })
}

/// Each State that is about to be sent, changed.
pub(super) fn state(change: impl Fn(u64, &mut fleet::State) + Send + Sync + 'static) -> ClientSeams {
    agent(Seams { state: Some(Box::new(change)), ..Seams::honest() })
}

/// The snapshot of each State that has one, changed, and its hash with it.
pub(super) fn snapshot(change: impl Fn(u64, &mut fleet::Snapshot) + Send + Sync + 'static) -> ClientSeams {
    state(move |number, state| {
        if let Some(snapshot) = &mut state.snapshot {
            change(number, snapshot);
            state.hash = snapshot.hash();
        }
    })
}

/// Each Ack that is about to be sent, changed.
pub(super) fn ack(change: impl Fn(u64, &mut Ack) + Send + Sync + 'static) -> ClientSeams {
    agent(Seams { ack: Some(Box::new(change)), ..Seams::honest() })
}

/// Another port.
pub(super) fn through(port: Port<AgentModel>) -> ClientSeams {
    agent(Seams { port, ..Seams::honest() })
}

/// Each decision changed.
pub(super) fn decide(
    change: impl FnMut(&State, &Input, &mut Decision<AgentModel>) + Send + 'static,
) -> ClientSeams {
    through(port::rewrite(change))
}

/// What the owner asks for, changed.
pub(super) fn owner(change: impl Fn(&mut Settings) + Send + Sync + 'static) -> ClientSeams {
    ClientSeams { owner: Some(Box::new(change)), ..ClientSeams::honest() }
}

/// What the owner is told, changed; false: it is not told.
pub(super) fn told(change: impl Fn(&str, &mut Value) -> bool + Send + Sync + 'static) -> ClientSeams {
    ClientSeams { told: Some(Box::new(change)), ..ClientSeams::honest() }
}

/// At the end of a process.
pub(super) fn ending(ending: Ending) -> ClientSeams {
    ClientSeams { ending, ..ClientSeams::honest() }
}

/// The Cmd that an input brings, if it can be read.
pub(super) fn cmd_of(input: &Input) -> Option<Cmd> {
    Cmd::receive(inner_of(input, "fleet/cmd")?).ok()
}

/// The Poll that an input brings, if it can be read.
pub(super) fn poll_of(input: &Input) -> Option<Poll> {
    Poll::receive(inner_of(input, "fleet/poll")?).ok()
}

/// The inner frame with this topic that an input brings.
pub(super) fn inner_of<'a>(input: &'a Input, topic: &str) -> Option<&'a [u8]> {
    let What::Binary(_, bytes) = &input.what else { return None };
    let outer = Outer::decode(bytes).ok()?;
    outer.payload.filter(|_| outer.topic.as_deref() == Some(topic))
}

/// It is over when this happens: it dials no more.
pub(super) fn ends(when: impl Fn(&State, &What) -> bool + Send + 'static) -> ClientSeams {
    decide(move |state, input, decision| {
        if when(state, &input.what) {
            decision.records = vec![Record::Ended];
            decision.effects = vec![match state.phase() {
                Phase::Opened(_) | Phase::Connected(_) => Effect::Close,
                _ => Effect::Drop,
            }];
        }
    })
}

/// What it says in answer to something it says once more, a second later and unasked, if nothing comes meanwhile that it answers so.
pub(super) fn once_more(which: fn(&Effect) -> bool) -> ClientSeams {
    const LATER: u64 = 1_000;
    // On which connection, when, and what; and when it leaves, as long as nothing comes.
    let (mut kept, mut leaves): (Option<(u64, u64, Effect)>, u64) = (None, 0);
    through(Box::new(move |state, now, input| {
        if input.what == What::Tick
            && let Some((_, _, effect)) = kept.take_if(|(dial, at, _)| *dial == state.dial() && *at <= now)
            && matches!(state.phase(), Phase::Connected(_))
        {
            return Decision { records: vec![Record::Alive(leaves)], effects: vec![effect] };
        }
        let mut decision = AgentModel::decide(state, now, input);
        if let Some(effect) = decision.effects.iter().find(|effect| which(effect)) {
            kept = Some((state.dial(), now.saturating_add(LATER), effect.clone()));
        }
        for record in &mut decision.records {
            if let Record::Alive(until) = record {
                leaves = *until;
                let here = kept.as_ref().filter(|(dial, ..)| *dial == state.dial());
                *until = here.map_or(leaves, |(_, at, _)| leaves.min(*at));
            }
        }
        decision
    }))
}

/// An agent that leaves so long behind a Hello, or behind a Poll, at the latest, in milliseconds.
pub(super) fn patient_for(greeted: Option<u64>, polled: Option<u64>) -> ClientSeams {
    through(Box::new(move |state, now, input| {
        let mut decision = AgentModel::decide(state, now, input);
        for record in &mut decision.records {
            let (until, most) = match record {
                Record::Greeted { until, .. } => (until, greeted),
                Record::Alive(until) => (until, polled),
                _ => continue,
            };
            *until = most.map_or(*until, |most| now.saturating_add(most).min(*until));
        }
        decision
    }))
}

/// From such an input on it hears nothing more on this connection.
pub(super) fn deafened(by: impl Fn(&Input) -> bool + Send + 'static) -> ClientSeams {
    let mut deaf = 0;
    decide(move |state, input, decision| {
        let What::Binary(dial, _) = input.what else { return };
        if by(input) {
            deaf = dial;
        }
        if deaf == dial && dial == state.dial() {
            *decision = Decision::default();
        }
    })
}

/// Counts what happens, from 1.
#[derive(Default)]
pub(super) struct Counted(AtomicU64);

impl Counted {
    /// How often it happened, with this time.
    pub(super) fn up(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}
