//! What becomes of States and Acks that nobody waits for.

use super::{Seams, ack, lock, state};
use crate::{
    embed::{
        fleet::COMMAND_MS,
        reference::{
            fleet::{
                FleetModel,
                model::{Effect, Heard, Input, Said},
                seams::Frame,
            },
            model::Model,
        },
    },
    selftest::defects::fleet::{decide, heard, input, said, through},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use wireproof_spec::fleet::{self, Ack, Cmd, Poll, frames::Outer};

/// What was heard or said on each connection.
type Seen<T> = Mutex<BTreeMap<u64, T>>;

/// States are dropped of which this says so; it is told those that came before on the connection, in order.
fn dropped(is_dropped: impl Fn(&[fleet::State], &fleet::State) -> bool + Send + Sync + 'static) -> Seams {
    let before: Seen<Vec<fleet::State>> = Mutex::default();
    heard(move |number, frames| {
        frames.retain(|frame| {
            let Some(state) = state(frame) else { return true };
            let mut before = lock(&before);
            let before = before.entry(number).or_default();
            let drops = is_dropped(before, &state);
            before.push(state);
            !drops
        });
    })
}

/// A State that is the one before once more, byte for byte, is dropped.
pub(super) fn repeated_bytes_dropped() -> Seams {
    dropped(|before, state| before.last() == Some(state))
}

/// A second State that has nothing to say is dropped.
pub(super) fn hash_only_again_dropped() -> Seams {
    dropped(|before, state| {
        let again = before.last().is_some_and(|last| last.req_id == state.req_id && last != state);
        again && state.snapshot.is_none()
    })
}

/// A State with the reqId of a Poll before the last one is dropped. A Poll that is not answered yet is the last one.
pub(super) fn old_req_id_dropped() -> Seams {
    let asked: Arc<Seen<Vec<String>>> = Arc::default();
    let known = Arc::clone(&asked);
    Seams {
        heard: Some(Box::new(move |_, number, frames| {
            frames.retain(|frame| {
                let Some(state) = state(frame) else { return true };
                let known = lock(&known);
                let polls = known.get(&number).map(Vec::as_slice).unwrap_or_default();
                polls.iter().rev().skip(1).all(|req_id| *req_id != state.req_id)
            });
        })),
        ..polls(asked)
    }
}

/// Notes the reqIds of Polls.
fn polls(asked: Arc<Seen<Vec<String>>>) -> Seams {
    super::frames(move |number, frames| {
        for frame in frames {
            if let Frame::Message { topic, payload } = frame
                && topic == "fleet/poll"
                && let Ok(poll) = Poll::receive(payload)
            {
                lock(&asked).entry(number).or_default().push(poll.req_id);
            }
        }
    })
}

/// Behind a State that was rejected for its name another one is passed over.
pub(super) fn second_try() -> Seams {
    dropped(|before, state| {
        before.last().is_some_and(|last| {
            last.req_id == state.req_id
                && last.snapshot.as_ref().is_some_and(|snapshot| super::units(&snapshot.name) > 64)
        })
    })
}

/// A State with a reqId that no Poll had is dropped.
pub(super) fn unknown_req_id_dropped() -> Seams {
    let asked: Arc<Seen<Vec<String>>> = Arc::default();
    let known = Arc::clone(&asked);
    Seams {
        heard: Some(Box::new(move |_, number, frames| {
            frames.retain(|frame| {
                let Some(state) = state(frame) else { return true };
                lock(&known).get(&number).is_some_and(|polls| polls.contains(&state.req_id))
            });
        })),
        ..polls(asked)
    }
}

/// A State without a reqId answers the Poll that was sent last.
pub(super) fn no_req_id_answers() -> Seams {
    let asked: Arc<Seen<Vec<String>>> = Arc::default();
    let known = Arc::clone(&asked);
    Seams {
        heard: Some(Box::new(move |_, number, frames| {
            for frame in frames {
                if let Some(mut said) = state(frame)
                    && said.req_id.is_empty()
                    && let Some(last) = lock(&known).get(&number).and_then(|polls| polls.last())
                {
                    said.req_id.clone_from(last);
                    *frame = super::said("fleet/state", &said.encode_frame());
                }
            }
        })),
        ..polls(asked)
    }
}

/// The message that was heard, if it has this topic.
fn message<'a>(input: &'a Input, of: &str) -> Option<(u64, &'a [u8])> {
    let Input::Heard { connection, heard: Heard::Binary(bytes) } = input else { return None };
    let outer = Outer::decode(bytes).ok()?;
    (outer.topic? == of).then_some((*connection, outer.payload?))
}

/// The connection on which a Poll is outstanding that the State of another has the reqId of.
fn asked(state: &super::super::State, input: &Input) -> Option<u64> {
    let (connection, payload) = message(input, "fleet/state")?;
    let req_id = fleet::State::receive(payload).ok()?.req_id;
    state
        .connections()
        .find(|other| *other != connection && state.outstanding(*other).as_ref() == Some(&req_id))
}

/// A State answers the Poll with its reqId, on whatever connection it comes.
pub(super) fn answers_for_another() -> Seams {
    input(|state, input| {
        if let Some(other) = asked(state, input)
            && let Input::Heard { connection, .. } = input
        {
            *connection = other;
        }
    })
}

/// With an agent that has the reqId of another that one goes too.
pub(super) fn asked_one_goes_too() -> Seams {
    decide(|state, input, decision| {
        if let Some(connection) = asked(state, input) {
            decision.effects.push(Effect::Close { connection, code: 4003, reason: "" });
        }
    })
}

/// A second Ack of a Cmd is dropped.
pub(super) fn second_ack_dropped() -> Seams {
    let before: Seen<BTreeSet<String>> = Mutex::default();
    heard(move |number, frames| {
        frames.retain(|frame| {
            ack(frame).is_none_or(|ack| lock(&before).entry(number).or_default().insert(ack.cmd_id))
        });
    })
}

/// An Ack that comes when T is over is dropped.
pub(super) fn late_ack_dropped() -> Seams {
    let sent: Arc<Seen<BTreeMap<String, Instant>>> = Arc::default();
    let known = Arc::clone(&sent);
    Seams {
        heard: Some(Box::new(move |_, number, frames| {
            frames.retain(|frame| {
                let Some(ack) = ack(frame) else { return true };
                let known = lock(&known);
                let at = known.get(&number).and_then(|cmds| cmds.get(&ack.cmd_id));
                at.is_none_or(|at| at.elapsed() < Duration::from_millis(COMMAND_MS))
            });
        })),
        ..cmds(sent)
    }
}

/// Notes when Cmds leave.
fn cmds(sent: Arc<Seen<BTreeMap<String, Instant>>>) -> Seams {
    super::frames(move |number, frames| {
        for frame in frames {
            if let Frame::Message { topic, payload } = frame
                && topic == "fleet/cmd"
                && let Ok(cmd) = Cmd::receive(payload)
            {
                lock(&sent).entry(number).or_default().insert(cmd.cmd_id, Instant::now());
            }
        }
    })
}

/// An Ack with a cmdId that no Cmd of anybody had is dropped.
pub(super) fn unknown_cmd_id_dropped() -> Seams {
    let sent: Arc<Seen<BTreeMap<String, Instant>>> = Arc::default();
    let known = Arc::clone(&sent);
    Seams {
        heard: Some(Box::new(move |_, _, frames| {
            frames.retain(|frame| {
                let Some(ack) = ack(frame) else { return true };
                lock(&known).values().any(|cmds| cmds.contains_key(&ack.cmd_id))
            });
        })),
        ..cmds(sent)
    }
}

/// An Ack settles the Cmd with its cmdId, on whatever connection it comes.
pub(super) fn acknowledges_for_another() -> Seams {
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    through(Box::new(move |state, now, input| {
        let mut input = input.clone();
        let owner = message(&input, "fleet/ack")
            .and_then(|(_, payload)| Ack::receive(payload).ok())
            .and_then(|ack| sent.get(&ack.cmd_id).copied());
        if let (Some(owner), Input::Heard { connection, .. }) = (owner, &mut input) {
            *connection = owner;
        }
        let mut decision = FleetModel::decide(state, now, &input);
        for (connection, said) in said(&mut decision) {
            if let Said::Cmd(cmd) = said {
                sent.insert(cmd.cmd_id.clone(), connection);
            }
        }
        decision
    }))
}
