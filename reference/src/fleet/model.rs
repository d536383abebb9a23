//! An orchestrator as a pure state machine: who is connected, what was asked of whom and until when, and what operators see.
//!
//! Nothing is durable: agents connect again and say everything anew. Each decision ends at most one connection that did not
//! answer, so that what it does to ids and events is decided on the state that the one before left; the next one is due at
//! once. What operators see is made when it changes, as values that answers and events share; the text from which the state
//! hash comes is kept for each instance, and the hash is made when somebody wants it.

mod commands;
mod connections;
mod events;
mod hash;
mod holds;
mod ids;
mod input;
mod instances;
mod liveness;
mod placement;
mod poll;
mod record;
mod snapshot;
mod state;
mod violations;

pub use commands::{Command, MOST_COMMANDS, Task};
pub use ids::Claim;
pub use input::{Answer, Ask, Effect, Filter, Heard, Input, Said, Told};
pub use instances::{Change, Instance, Room, View};
pub use poll::FORCED;
pub use record::Record;
pub use snapshot::{Bound, check};
pub use state::{Connection, State};

use crate::{
    log::Block,
    model::{Decision, Model},
};
use wireproof_spec::fleet::Cause;

/// An orchestrator.
#[derive(Debug)]
pub enum FleetModel {}

impl Model for FleetModel {
    type State = State;
    type Input = Input;
    type Record = Record;
    type Effect = Effect;

    fn decide(state: &State, now: u64, input: &Input) -> Decision<Self> {
        let mut decision = Decision::default();
        match input {
            Input::Joined { connection, heartbeat_ms, verified, random } => {
                let terms = (*heartbeat_ms, *verified);
                connections::joined(state, now, *connection, terms, *random, &mut decision);
            }
            Input::Heard { connection, heard } => {
                violations::heard(state, now, *connection, heard, &mut decision);
            }
            Input::Left { connection } => connections::remove(state, *connection, &mut decision),
            Input::Ask { session, ask } => {
                let answer = match ask {
                    _ if state.stopping => Some(Answer::Refused(Cause::NotReady)),
                    Ask::CreateRoom { .. } | Ask::DestroyRoom { .. } | Ask::Drain { .. } => {
                        commands::ask(state, now, *session, ask, &mut decision)
                    }
                    Ask::Events { most } => Some(events::listen(state, *session, *most, &mut decision)),
                    ask => Some(instances::ask(state, ask, &mut decision)),
                };
                if let Some(answer) = answer {
                    decision.effects.push(Effect::Answer { session: *session, answer });
                }
            }
            Input::Gone { session } => {
                if state.listeners.contains(session) {
                    decision.records.push(Record::Deaf { session: *session });
                }
                if let Some(&number) = state.asked.get(session) {
                    decision.records.push(Record::Abandoned { number });
                }
            }
            Input::Tick => liveness::tick(state, now, &mut decision),
            Input::Started => {}
            Input::Stopping => connections::stop(state, &mut decision),
        }
        decision
    }

    fn apply(state: &mut State, record: &Record) {
        state.apply(record);
    }

    fn wake_at(state: &State) -> Option<u64> {
        state.deadlines.first().map(|(at, _)| *at)
    }

    fn durable(_: &Record) -> bool {
        false
    }

    fn block(_: &Record) -> Option<Block> {
        None
    }

    fn tick() -> Input {
        Input::Tick
    }

    fn started() -> Input {
        Input::Started
    }

    fn stopping() -> Input {
        Input::Stopping
    }
}
