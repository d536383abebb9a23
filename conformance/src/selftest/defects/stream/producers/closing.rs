//! Defects of producers that close, and of those who come too late.

use super::{
    super::{
        Answer, Ask, Record, Refusal, Seams, State, Table, answers, ask, decide, port, stream_of, through,
    },
    Input, Tuple, known, produced, tuple_mut,
};
use crate::{
    embed::reference::stream::model::{Produced, Producer},
    protocol::Cut::Port,
    selftest::defects::Breakage,
};
use std::collections::BTreeSet;
use wireproof_spec::stream::requirements::*;

pub(in super::super) const TABLE: Table = &[
    Breakage::boundary("stream/producers/closing-again-refused", STREAM_PRODUCERS_19, Port, || {
        decide(|state, input, decision| {
            if let (Some(stream), Some(_)) = (stream_of(state, input), produced(input))
                && stream.closed
            {
                let refusal = Refusal::Closed { tail: stream.tail };
                answers(decision).for_each(|answer| *answer = Answer::Refused(refusal.clone()));
            }
        })
    }),
    Breakage::boundary("stream/producers/late-repetition-acknowledged", STREAM_PRODUCERS_20, Port, || {
        late(|last, tuple, tail| {
            let produced = Some(Produced { epoch: last.epoch, seq: last.seq, fresh: false });
            let again = tuple.epoch == last.epoch && tuple.seq <= last.seq;
            again.then_some(Answer::Appended { tail, closed: true, produced })
        })
    }),
    Breakage::boundary("stream/producers/late-and-fenced", STREAM_PRODUCERS_20, Port, || {
        late(|last, tuple, _| {
            (tuple.epoch < last.epoch).then_some(Answer::Refused(Refusal::Stale { epoch: last.epoch }))
        })
    }),
    Breakage::boundary(
        "stream/producers/closing-number-of-others-acknowledged",
        STREAM_PRODUCERS_20,
        Port,
        || {
            // The epoch and the number are compared, the name is not.
            through(port::rewrite_input(|state: &State, input: &mut Input| {
                let closing = stream_of(state, input).and_then(|stream| stream.closing.clone());
                if let (Some(closing), Some(tuple)) = (closing, tuple_mut(input)) {
                    tuple.id = closing.id;
                }
            }))
        },
    ),
    Breakage::boundary("stream/producers/close-takes-no-number", STREAM_PRODUCERS_21, Port, || {
        let mut closed = BTreeSet::new();
        decide(move |state, input, decision| match (ask(input), stream_of(state, input)) {
            (Some((name, Ask::Close { producer: Some(_) })), _) if !decision.records.is_empty() => {
                closed.insert(name.to_owned());
            }
            (Some((name, Ask::Close { producer: Some(_) })), Some(stream)) if closed.contains(name) => {
                let refusal = Refusal::Closed { tail: stream.tail };
                answers(decision).for_each(|answer| *answer = Answer::Refused(refusal.clone()));
            }
            _ => {}
        })
    }),
    Breakage::boundary("stream/producers/gap-closes", STREAM_PRODUCERS_22, Port, || {
        closes(|last, tuple| {
            if tuple.epoch == last.epoch {
                tuple.seq = last.seq + 1;
            }
        })
    }),
    Breakage::boundary("stream/producers/older-epoch-closes", STREAM_PRODUCERS_22, Port, || {
        closes(|last, tuple| {
            if tuple.epoch < last.epoch {
                (tuple.epoch, tuple.seq) = (last.epoch, last.seq + 1);
            }
        })
    }),
    Breakage::boundary("stream/producers/refused-and-closed", STREAM_PRODUCERS_22, Port, || {
        decide(|_, input, decision| {
            let Some((name, Ask::Close { producer: Some(_) })) = ask(input) else { return };
            if answers(decision).any(|a| matches!(a, Answer::Refused(Refusal::Gap { .. }))) {
                decision.records.push(Record::Closed { name: name.into(), producer: None, at: 0 });
            }
        })
    }),
];

/// What a producer that is known is answered with on a closed stream, in the place of the refusal.
fn late(change: fn(&Producer, &Tuple, u64) -> Option<Answer>) -> Seams {
    decide(move |state, input, decision| {
        let (Some(last), Some((_, _, tuple))) = (known(state, input), produced(input)) else { return };
        for answer in answers(decision) {
            if let Answer::Refused(Refusal::Closed { tail }) = answer
                && let Some(other) = change(&last, tuple, *tail)
            {
                *answer = other;
            }
        }
    })
}

/// Closes of a producer with another epoch or number.
fn closes(change: fn(&Producer, &mut Tuple)) -> Seams {
    through(port::rewrite_input(move |state, input| {
        let last = known(state, input);
        if matches!(ask(input), Some((_, Ask::Close { .. })))
            && let (Some(last), Some(tuple)) = (last, tuple_mut(input))
        {
            change(&last, tuple);
        }
    }))
}
