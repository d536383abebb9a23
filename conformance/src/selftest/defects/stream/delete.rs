//! Defects of "Delete".

use super::{
    Answer, Ask, Effect, Record, Refusal, Table, answers, ask, decide, is_delete, plain, racing, record,
    recovery, reply, stream_of,
};
use crate::{
    protocol::Cut::{Log, Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use std::collections::BTreeMap;
use wireproof_spec::stream::requirements::*;

pub(super) const TABLE: Table = &[
    // A fork that is open goes.
    Breakage::boundary("stream/delete/open-stays", STREAM_DELETE_1, Port, || {
        decide(|state, input, decision| {
            if matches!(ask(input), Some((_, Ask::Delete)))
                && stream_of(state, input).is_some_and(|s| !s.closed && s.origin.is_none())
            {
                keeps(decision);
            }
        })
    })
    .wide("that a stream is gone is set-up of all checks of deletion"),
    Breakage::second("stream/delete/comes-back", STREAM_DELETE_1, Port, || {
        const HIDDEN: u32 = 12;
        let mut deleted: BTreeMap<String, u32> = BTreeMap::new();
        decide(move |_, input, decision| {
            let Some((name, asked)) = ask(input) else { return };
            if let Some(count) = deleted.get_mut(name) {
                *count += 1;
                if *count <= HIDDEN {
                    decision.records.clear();
                    answers(decision).for_each(|a| *a = Answer::Refused(Refusal::NoStream));
                }
            } else if matches!(asked, Ask::Delete) && !decision.records.is_empty() {
                keeps(decision);
                deleted.insert(name.to_owned(), 0);
            }
        })
    })
    .wide("that a stream is gone is set-up of all checks of deletion"),
    Breakage::restart("stream/delete/undone-by-restart", STREAM_DELETE_1, Log, || {
        recovery(|orderly, mut entries| {
            if orderly {
                entries.retain(|entry| !matches!(record(entry), Some(Record::Deleted { .. })));
            }
            entries
        })
    }),
    Breakage::always("stream/delete/missing-stream-accepted", STREAM_DELETE_2, Wire, || {
        reply(|request, response| {
            if is_delete(request) && response.status == 404 {
                *response = plain(204);
            }
        })
    }),
    Breakage::second("stream/delete/again-accepted", STREAM_DELETE_2, Wire, || {
        let count = Count::new();
        reply(move |request, response| {
            if is_delete(request) && count.up(&request.path) > 0 && response.status == 404 {
                *response = plain(204);
            }
        })
    }),
    Breakage::race("stream/delete/race-won-twice", STREAM_DELETE_3, Port, || {
        racing(is_delete, |flying| {
            port::rewrite(move |state, input, decision| {
                let Some((name, Ask::Delete)) = ask(input) else { return };
                if stream_of(state, input).is_none() && flying.several(name) {
                    answers(decision).for_each(|a| *a = Answer::Deleted);
                }
            })
        })
    }),
];

/// Says that the stream is gone, and leaves it.
fn keeps(decision: &mut crate::embed::reference::model::Decision<super::StreamModel>) {
    decision.records.retain(|r| !matches!(r, Record::Deleted { .. }));
    decision.effects.retain(|e| !matches!(e, Effect::Remove { .. }));
}
