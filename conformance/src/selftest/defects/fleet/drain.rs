//! Defects of "Drain".

use super::client::{ClientSeams, ClientTable, Counted, Ending, boundary, decide, ending, poll_of, second};
use crate::{
    embed::reference::{
        fleet::client::{
            AgentModel, Error,
            model::{Ask, Effect, Input, Phase, Record, Reply, What},
        },
        model::Decision,
    },
    protocol::Cut::{Port, Wire},
};
use std::sync::{Mutex, PoisonError};
use wireproof_spec::fleet::{State, Status, requirements::*};

pub(super) const TABLE: ClientTable = &[
    second("fleet/drain/told-at-once", FLEET_DRAIN_1, Port, || {
        decide(|state, input, decision| {
            let is_open = matches!(state.phase(), Phase::Connected(_));
            if is_open && matches!(input.what, What::Host(_, Ask::Drain | Ask::Undrain)) {
                // What it says next.
                let draining = matches!(input.what, What::Host(_, Ask::Drain));
                let mut snapshot = state.known().snapshot.clone();
                snapshot.status = if draining { Status::Draining } else { Status::Active };
                decision.effects.push(Effect::State(Box::new(State {
                    req_id: String::new(),
                    seq: state.seq() + 1,
                    hash: snapshot.hash(),
                    snapshot: Some(snapshot),
                })));
            }
        })
    })
    .wide("what is awaited behind a drain comes behind it"),
    second("fleet/drain/undrain-is-not-told", FLEET_DRAIN_2, Port, || {
        status_is_kept(|ask| *ask == Ask::Undrain)
    }),
    second("fleet/drain/second-drain-is-not-told", FLEET_DRAIN_2, Port, || {
        let drains = Counted::default();
        status_is_kept(move |ask| *ask == Ask::Drain && drains.up() > 1)
    }),
    second("fleet/drain/never-noted", FLEET_DRAIN_3, Port, || {
        decide(|_, input, decision| {
            if poll_of(input).is_some_and(|poll| poll.status == Status::Draining) {
                goes_on(decision);
            }
        })
    }),
    boundary("fleet/drain/complete-when-told", FLEET_DRAIN_3, Port, || {
        settles_at_poll(|poll, draining| draining && *poll == Status::Active)
    }),
    second("fleet/drain/complete-when-told-twice", FLEET_DRAIN_4, Port, || {
        let polls = Counted::default();
        let drained = Mutex::new(None);
        decide(move |_, input, decision| {
            let mut drained = drained.lock().unwrap_or_else(PoisonError::into_inner);
            if let What::Host(call, Ask::Drain) = input.what {
                *drained = Some(call);
            }
            if poll_of(input).is_some()
                && let Some(call) = *drained
                && polls.up() == 3
            {
                decision.effects.push(Effect::Settle(call, Ok(Reply::Done)));
                decision.records.push(Record::Noted(call));
            }
        })
    }),
    boundary("fleet/drain/any-echo-counts", FLEET_DRAIN_5, Port, || {
        settles_at_poll(|poll, draining| !draining && *poll == Status::Active)
    }),
    second("fleet/drain/undrain-never-noted", FLEET_DRAIN_5, Port, || {
        decide(|_, input, decision| {
            if matches!(input.what, What::Host(_, Ask::Undrain)) {
                decision.records.retain(|record| !matches!(record, Record::Notes { .. }));
            }
        })
    }),
    boundary("fleet/drain/complete-when-stopped", FLEET_DRAIN_6, Port, || {
        decide(|_, input, decision| {
            if matches!(input.what, What::Host(_, Ask::Disconnect)) {
                for effect in &mut decision.effects {
                    if let Effect::Settle(_, settled @ Err(Error::Disconnected)) = effect {
                        *settled = Ok(Reply::Done);
                    }
                }
            }
        })
    }),
    second("fleet/drain/waits-for-another-connection", FLEET_DRAIN_6, Port, || {
        decide(|_, input, decision| {
            if matches!(input.what, What::Closed(..)) {
                goes_on(decision);
                decision.records.retain(|record| !matches!(record, Record::Lost));
            }
        })
    }),
    second("fleet/drain/forgotten-with-the-connection", FLEET_DRAIN_7, Port, || {
        decide(|state, input, decision| {
            if matches!(input.what, What::Closed(..)) && state.is_draining() {
                decision.records.insert(0, Record::Status { draining: false });
            }
        })
    }),
    boundary("fleet/drain/forgotten-before-the-first", FLEET_DRAIN_7, Port, || {
        decide(|state, input, decision| {
            if matches!(input.what, What::Opened(_)) && state.dial() == 1 && state.is_draining() {
                decision.records.insert(0, Record::Status { draining: false });
            }
        })
    }),
    boundary("fleet/drain/ends-with-rooms", FLEET_DRAIN_8, Wire, || ending(Ending::Sudden)),
    boundary("fleet/drain/waits-without-a-word", FLEET_DRAIN_8, Wire, || ending(Ending::Undrained)),
    boundary("fleet/drain/never-ends", FLEET_DRAIN_9, Wire, || ending(Ending::Never)),
];

/// Calls are not settled by this decision.
fn goes_on(decision: &mut Decision<AgentModel>) {
    decision.effects.retain(|effect| !matches!(effect, Effect::Settle(..)));
    decision.records.retain(|record| !matches!(record, Record::Noted(_)));
}

/// The host's call is taken, and the status stays what it is.
fn status_is_kept(when: impl Fn(&Ask) -> bool + Send + 'static) -> ClientSeams {
    decide(move |_, input, decision| {
        if let What::Host(_, ask) = &input.what
            && when(ask)
        {
            decision.records.retain(|record| !matches!(record, Record::Status { .. }));
        }
    })
}

/// The call of the host that was last is complete with a first Poll that has such a status; the call is for draining, or not.
fn settles_at_poll(when: fn(&Status, bool) -> bool) -> ClientSeams {
    let last: Mutex<Option<(u64, bool)>> = Mutex::default();
    decide(move |_, input: &Input, decision| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match input.what {
            What::Host(call, Ask::Drain) => *last = Some((call, true)),
            What::Host(call, Ask::Undrain) => *last = Some((call, false)),
            _ => {}
        }
        if let (Some(poll), Some((call, draining))) = (poll_of(input), *last)
            && when(&poll.status, draining)
        {
            decision.effects.push(Effect::Settle(call, Ok(Reply::Done)));
            decision.records.push(Record::Noted(call));
            *last = None;
        }
    })
}
