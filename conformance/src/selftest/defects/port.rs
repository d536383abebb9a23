//! Breakages of a model's port, written once for all protocols.
//!
//! `when` and the other functions see the state before the input, so that a breakage can wait for its moment.

use crate::embed::reference::model::{Decision, Model, Port};

/// Effects without records: acknowledged and forgotten.
pub fn forget<M: Model>(
    mut when: impl FnMut(&M::State, &M::Input, &Decision<M>) -> bool + Send + 'static,
) -> Port<M> {
    rewrite(move |state, input, decision| {
        if when(state, input, decision) {
            decision.records.clear();
        }
    })
}

/// Decides on the state before the last change.
pub fn stale<M: Model>(mut when: impl FnMut(&M::State, &M::Input) -> bool + Send + 'static) -> Port<M>
where
    M::State: Sync,
{
    let mut older: Option<M::State> = None;
    Box::new(move |state, now, input| {
        let seen = older.as_ref().filter(|_| when(state, input)).unwrap_or(state);
        let decision = M::decide(seen, now, input);
        if !decision.records.is_empty() {
            older = Some(state.clone());
        }
        decision
    })
}

/// The records of an input twice, and its effects once.
pub fn twice<M: Model>(mut when: impl FnMut(&M::State, &M::Input) -> bool + Send + 'static) -> Port<M> {
    Box::new(move |state, now, input| {
        let mut decision = M::decide(state, now, input);
        if when(state, input) {
            let mut after = state.clone();
            for record in &decision.records {
                M::apply(&mut after, record);
            }
            decision.records.extend(M::decide(&after, now, input).records);
        }
        decision
    })
}

/// Another clock.
pub fn clock<M: Model>(mut time: impl FnMut(&M::State, &M::Input, u64) -> u64 + Send + 'static) -> Port<M> {
    Box::new(move |state, now, input| M::decide(state, time(state, input, now), input))
}

/// Another input.
pub fn rewrite_input<M: Model>(mut input: impl FnMut(&M::State, &mut M::Input) + Send + 'static) -> Port<M> {
    Box::new(move |state, now, given| {
        let mut changed = given.clone();
        input(state, &mut changed);
        M::decide(state, now, &changed)
    })
}

/// Another state: decides as if this had been the one before.
pub fn rewrite_state<M: Model>(mut change: impl FnMut(&mut M::State, &M::Input) + Send + 'static) -> Port<M> {
    Box::new(move |state, now, input| {
        let mut changed = state.clone();
        change(&mut changed, input);
        M::decide(&changed, now, input)
    })
}

/// Another decision.
pub fn rewrite<M: Model>(
    mut change: impl FnMut(&M::State, &M::Input, &mut Decision<M>) + Send + 'static,
) -> Port<M> {
    Box::new(move |state, now, input| {
        let mut decision = M::decide(state, now, input);
        change(state, input, &mut decision);
        decision
    })
}
