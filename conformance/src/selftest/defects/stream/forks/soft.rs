//! Sources that were deleted.

use super::{Seams, answers, decide, forking, is_fork};
use crate::{
    embed::reference::model::Model,
    selftest::defects::{
        port,
        stream::{
            Answer, Ask, Lifetime, Record, Refusal, StreamModel, ask, facts, is_delete, record, recovery,
            stream_of, through,
        },
        wire::{Flying, HOLD, HttpSeams},
    },
};
use std::collections::{BTreeMap, BTreeSet};
use wireproof_spec::{http::Request, stream::header::FORKED_FROM};

/// A stream that is soft-deleted told to be missing, where this is so.
fn misses(which: fn(&Ask) -> bool) -> Seams {
    decide(move |_, input, decision| {
        if ask(input).is_some_and(|(_, ask)| which(ask)) {
            becomes(decision, &Refusal::Gone, &Answer::Refused(Refusal::NoStream));
        }
    })
}

/// Another answer in the place of a refusal.
fn becomes(decision: &mut super::Decision<StreamModel>, refusal: &Refusal, other: &Answer) {
    for answer in answers(decision) {
        if matches!(answer, Answer::Refused(found) if found == refusal) {
            *answer = other.clone();
        }
    }
}

pub(super) fn missing() -> Seams {
    misses(|_| true)
}

pub(super) fn live_missing() -> Seams {
    misses(|ask| matches!(ask, Ask::Follow { .. }))
}

pub(super) fn deleted_again() -> Seams {
    decide(|_, input, decision| {
        if matches!(ask(input), Some((_, Ask::Delete))) {
            becomes(decision, &Refusal::Gone, &Answer::Deleted);
        }
    })
}

pub(super) fn one_gone() -> Seams {
    let mut several = BTreeSet::new();
    decide(move |state, input, decision| {
        let Some(stream) = stream_of(state, input) else { return };
        if stream.forks > 1 {
            several.insert(stream.incarnation);
        } else if several.contains(&stream.incarnation) {
            becomes(decision, &Refusal::Gone, &Answer::Refused(Refusal::NoStream));
        }
    })
}

pub(super) fn undone() -> Seams {
    recovery(|orderly, mut entries| {
        let sources: BTreeSet<String> = entries
            .iter()
            .filter_map(|entry| match record(entry) {
                Some(Record::Created { origin: Some(origin), .. }) => Some(origin.source),
                _ => None,
            })
            .collect();
        if orderly {
            entries.retain(
                |entry| !matches!(record(entry), Some(Record::Deleted { name }) if sources.contains(&name)),
            );
        }
        entries
    })
}

pub(super) fn url_found() -> Seams {
    decide(|state, input, decision| {
        let (Some((_, Ask::Create(create))), Some(there)) = (ask(input), stream_of(state, input)) else {
            return;
        };
        let equal = create.media_type.as_ref().is_some_and(|named| named.same(&there.media_type));
        if equal && create.fork.is_none() && !create.closed {
            let found = Answer::Created { fresh: false, facts: facts(there) };
            becomes(decision, &Refusal::Held, &found);
        }
    })
}

pub(super) fn forked() -> Seams {
    through(Box::new(|state, now, input| {
        let mut state = state.clone();
        if let Some((_, _, fork)) = forking(input)
            && let Some(source) = state.streams.get_mut(&fork.source)
        {
            source.deleted = false;
        }
        StreamModel::decide(&state, now, input)
    }))
}

pub(super) fn no_source() -> Seams {
    decide(|_, _, decision| {
        becomes(decision, &Refusal::SourceGone, &Answer::Refused(Refusal::NoSource));
    })
}

pub(super) fn comes_back() -> Seams {
    decide(|state, input, decision| {
        let Some((_, Ask::Delete)) = ask(input) else { return };
        let Some(stream) = stream_of(state, input).filter(|stream| stream.forks == 0) else { return };
        let Some(origin) = &stream.origin else { return };
        if let Some(source) = state.streams.get(&origin.source).filter(|s| s.deleted && s.forks == 1) {
            decision.records.push(Record::Created {
                name: origin.source.clone(),
                incarnation: state.next,
                media_type: source.media_type.clone(),
                lifetime: Lifetime::Unlimited,
                origin: None,
                at: 0,
            });
        }
    })
}

pub(super) fn counted() -> Seams {
    let (mut counted, mut held) = (BTreeSet::new(), BTreeSet::new());
    decide(move |_, input, decision| {
        let Some((name, asked)) = ask(input) else { return };
        let refused = answers(decision).any(|a| matches!(a, Answer::Refused(_)));
        if let Some((_, _, fork)) = forking(input).filter(|_| refused) {
            counted.insert(fork.source.clone());
        } else if matches!(asked, Ask::Delete) && counted.contains(name) && !refused {
            held.insert(name.to_owned());
        } else if held.contains(name) {
            becomes(decision, &Refusal::NoStream, &Answer::Refused(Refusal::Gone));
        }
    })
}

pub(super) fn lost_in_race() -> Seams {
    let flying = Flying::default();
    let up = flying.clone();
    let mut lost = BTreeSet::new();
    Seams {
        http: HttpSeams {
            request: Box::new(move |request| {
                if let Some(source) = request.headers.get(FORKED_FROM) {
                    up.takes_off(&Request::new("PUT", source));
                } else if is_delete(request) {
                    up.takes_off(request);
                }
            }),
            delay: Some(Box::new(|request, _| (is_fork(request) || is_delete(request)).then_some(HOLD * 2))),
            ..HttpSeams::honest()
        },
        port: port::rewrite(move |state, input, decision| {
            let Some((name, asked)) = ask(input) else { return };
            let has_forks = stream_of(state, input).is_some_and(|stream| stream.forks > 0);
            if matches!(asked, Ask::Delete) && has_forks && flying.several(name) {
                lost.insert(name.to_owned());
            } else if lost.contains(name) {
                becomes(decision, &Refusal::Gone, &Answer::Refused(Refusal::NoStream));
            }
        }),
        ..Seams::honest()
    }
}

/// A stream that ever had so many forks is held when it is deleted, although they are gone.
pub(super) fn counted_on(number: u32) -> Seams {
    let (mut forks, mut held) = (BTreeMap::<String, u32>::new(), BTreeSet::new());
    decide(move |_, input, decision| {
        for record in &decision.records {
            match record {
                Record::Created { origin: Some(origin), .. } => {
                    *forks.entry(origin.source.clone()).or_default() += 1;
                }
                Record::Deleted { name } if forks.get(name).is_some_and(|forks| *forks >= number) => {
                    held.insert(name.clone());
                }
                _ => {}
            }
        }
        if ask(input).is_some_and(|(name, _)| held.contains(name)) {
            becomes(decision, &Refusal::NoStream, &Answer::Refused(Refusal::Gone));
        }
    })
}
