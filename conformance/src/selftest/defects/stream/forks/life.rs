//! How long forks live.

use super::{Seams, answers, asks, decide, forking, source};
use crate::{
    embed::reference::model::Model,
    selftest::defects::stream::{
        Answer, Ask, Lifetime, Record, Refusal, StreamModel, ask_mut, stream_of, through,
    },
};
use std::collections::BTreeSet;

/// The names of streams that were given a lifetime.
#[derive(Default)]
struct Mortal(BTreeSet<String>);

impl Mortal {
    fn learn(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Created { name, lifetime, .. } if *lifetime != Lifetime::Unlimited => {
                    self.0.insert(name.clone());
                }
                Record::Created { name, .. } | Record::Deleted { name } => {
                    self.0.remove(name);
                }
                _ => {}
            }
        }
    }
}

pub(super) fn expired_409() -> Seams {
    let mut mortal = Mortal::default();
    decide(move |_, input, decision| {
        mortal.learn(&decision.records);
        let Some((_, _, fork)) = forking(input) else { return };
        for answer in answers(decision) {
            if *answer == Answer::Refused(Refusal::NoSource) && mortal.0.contains(&fork.source) {
                *answer = Answer::Refused(Refusal::SourceGone);
            }
        }
    })
}

pub(super) fn expired_empty() -> Seams {
    let mut mortal = Mortal::default();
    through(Box::new(move |state, now, input| {
        let mut decision = StreamModel::decide(state, now, input);
        let refused = answers(&mut decision).any(|a| *a == Answer::Refused(Refusal::NoSource));
        let mut input = input.clone();
        if let Some(Ask::Create(create)) = ask_mut(&mut input)
            && create.fork.as_ref().is_some_and(|fork| mortal.0.contains(&fork.source))
            && refused
        {
            create.fork = None;
            return StreamModel::decide(state, now, &input);
        }
        mortal.learn(&decision.records);
        decision
    }))
}

/// The lifetime of each new fork that was given none, changed.
fn inherits(change: fn(Lifetime, Option<u64>) -> Lifetime) -> Seams {
    decide(move |state, input, decision| {
        let Some((_, create, fork)) = forking(input) else { return };
        let end = source(state, fork).and_then(|source| source.end());
        if create.lifetime.is_some() {
            return;
        }
        for record in &mut decision.records {
            if let Record::Created { lifetime, .. } = record {
                *lifetime = change(*lifetime, end);
            }
        }
    })
}

pub(super) fn window_shared() -> Seams {
    inherits(|lifetime, end| match (lifetime, end) {
        (Lifetime::Ttl(_), Some(end)) => Lifetime::Until(end),
        _ => lifetime,
    })
}

pub(super) fn moment_forgotten() -> Seams {
    inherits(|lifetime, _| match lifetime {
        Lifetime::Until(_) => Lifetime::Unlimited,
        _ => lifetime,
    })
}

pub(super) fn invented() -> Seams {
    inherits(|lifetime, _| match lifetime {
        Lifetime::Unlimited => Lifetime::Ttl(1),
        _ => lifetime,
    })
}

pub(super) fn of_source() -> Seams {
    asks(|state, there, create, fork| {
        let limited = source(state, fork).is_some_and(|source| source.lifetime != Lifetime::Unlimited);
        if limited && there.is_none() {
            create.lifetime = None;
        }
    })
}

pub(super) fn capped() -> Seams {
    asks(|state, there, create, fork| {
        let Some(source) = source(state, fork).filter(|_| there.is_none()) else { return };
        create.lifetime = match (create.lifetime, source.lifetime) {
            (Some(Lifetime::Ttl(own)), Lifetime::Ttl(most)) => Some(Lifetime::Ttl(own.min(most))),
            (Some(Lifetime::Until(own)), Lifetime::Until(most)) => Some(Lifetime::Until(own.min(most))),
            (own, _) => own,
        };
    })
}

/// Whoever looks after ends removes what was deleted and is held for forks, and them with it.
pub(super) fn purged() -> Seams {
    through(Box::new(|state, now, input| {
        let mut decision = StreamModel::decide(state, now, input);
        let source =
            stream_of(state, input).and_then(|fork| state.streams.get(&fork.origin.as_ref()?.source));
        let over = source.filter(|source| source.deleted).is_some_and(|source| match source.lifetime {
            Lifetime::Unlimited => false,
            Lifetime::Ttl(seconds) => source.touched.saturating_add(seconds.saturating_mul(1_000)) <= now,
            Lifetime::Until(end) => end <= now,
        });
        if over {
            decision.records.clear();
            answers(&mut decision).for_each(|answer| *answer = Answer::Refused(Refusal::NoStream));
        }
        decision
    }))
}
