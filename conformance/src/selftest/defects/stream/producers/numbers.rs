//! Defects of the numbers of a producer: those that are due, were there before, or come too early.

use super::{
    super::{
        Answer, Record, Refusal, Seams, Table, answers, appended_record, ask_mut, decide, refusal, reply,
        stream_of, through,
    },
    Producer, Tuple, is_produced, knowing, known, moved, produced, sending, tuple,
};
use crate::{
    embed::reference::stream::model::{Append, Ask},
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use std::collections::BTreeMap;
use wireproof_spec::stream::{
    header::{PRODUCER_SEQ, SEQ},
    requirements::*,
};

pub(in super::super) const TABLE: Table = &[
    Breakage::second("stream/producers/acknowledged-and-forgotten", STREAM_PRODUCERS_5, Port, || {
        let count = Count::new();
        through(port::forget(move |_, input, decision| {
            produced(input).is_some_and(|(name, ..)| !decision.records.is_empty() && count.up(name) > 0)
        }))
    })
    .wide("what a producer appends is what all checks of producers look at"),
    Breakage::always("stream/producers/answered-as-others", STREAM_PRODUCERS_5, Wire, || {
        reply(|request, response| {
            if is_produced(request) && response.status == 200 {
                response.status = 204;
            }
        })
    })
    .wide("by 200 all checks of producers know that an append was accepted"),
    Breakage::boundary("stream/producers/repetition-written", STREAM_PRODUCERS_6, Port, || {
        decide(|state, input, decision| {
            let again = answers(decision).any(|answer| is_repetition(answer));
            if let (Some((name, append, _)), Some(stream)) = (produced(input), stream_of(state, input))
                && again
                && !stream.closed
            {
                decision.records.push(appended_record(name, stream, &append.body));
            }
        })
    })
    .wide("a repetition is what producers are for"),
    Breakage::boundary("stream/producers/repetition-answered-as-new", STREAM_PRODUCERS_6, Port, || {
        decide(|_, _, decision| {
            for answer in answers(decision).filter(|answer| is_repetition(answer)) {
                if let Answer::Appended { produced: Some(produced), .. } = answer {
                    produced.fresh = true;
                }
            }
        })
    })
    .wide("by 204 all checks of repetitions know that it was known"),
    Breakage::boundary("stream/producers/older-repetition-refused", STREAM_PRODUCERS_6, Port, || {
        decide(|state, input, decision| {
            let (Some(last), Some(tuple)) = (known(state, input), tuple(input)) else { return };
            if tuple.seq < last.seq && answers(decision).any(|answer| is_repetition(answer)) {
                let gap = Refusal::Gap { expected: last.seq + 1, received: tuple.seq };
                answers(decision).for_each(|answer| *answer = Answer::Refused(gap.clone()));
            }
        })
    }),
    Breakage::boundary("stream/producers/repetition-closes", STREAM_PRODUCERS_6, Port, || {
        decide(|state, input, decision| {
            if let Some((name, Append { closed: true, .. }, _)) = produced(input)
                && answers(decision).any(|answer| is_repetition(answer))
                && stream_of(state, input).is_some_and(|stream| !stream.closed)
            {
                decision.records.push(Record::Closed { name: name.into(), producer: None, at: 0 });
            }
        })
    }),
    Breakage::second("stream/producers/repetition-tells-start", STREAM_PRODUCERS_7, Port, || {
        let count = Count::new();
        decide(move |_, input, decision| {
            let Some((name, ..)) = produced(input) else { return };
            for answer in answers(decision).filter(|answer| is_repetition(answer)) {
                if let Answer::Appended { tail, .. } = answer
                    && count.up(name) > 0
                {
                    *tail = 0;
                }
            }
        })
    }),
    Breakage::boundary("stream/producers/own-number-told", STREAM_PRODUCERS_8, Wire, || {
        reply(|request, response| {
            if let Some(own) = request.headers.get(PRODUCER_SEQ)
                && response.headers.get(PRODUCER_SEQ).is_some()
            {
                response.headers.set(PRODUCER_SEQ, own);
            }
        })
    }),
    Breakage::boundary("stream/producers/highest-of-all-epochs-told", STREAM_PRODUCERS_8, Port, || {
        let mut highest = BTreeMap::new();
        decide(move |_, input, decision| {
            let Some((name, _, tuple)) = produced(input) else { return };
            for answer in answers(decision) {
                if let Answer::Appended { produced: Some(produced), .. } = answer {
                    let most = highest.entry((name.to_owned(), tuple.id.clone())).or_insert(produced.seq);
                    *most = produced.seq.max(*most);
                    produced.seq = *most;
                }
            }
        })
    }),
    Breakage::boundary("stream/producers/gap-of-one-accepted", STREAM_PRODUCERS_10, Port, || {
        sending(|last, tuple| {
            if tuple.epoch == last.epoch && tuple.seq == last.seq + 2 {
                tuple.seq -= 1;
            }
        })
    })
    .wide("a gap of one is what all checks of gaps begin with"),
    Breakage::boundary("stream/producers/last-number-expected", STREAM_PRODUCERS_10, Port, || {
        decide(|_, _, decision| {
            for answer in answers(decision) {
                if let Answer::Refused(Refusal::Gap { expected, .. }) = answer {
                    *expected = expected.saturating_sub(1);
                }
            }
        })
    }),
    Breakage::second("stream/producers/gap-refused-and-written", STREAM_PRODUCERS_11, Port, || {
        let count = Count::new();
        decide(move |state, input, decision| {
            let gap = answers(decision).any(|a| matches!(a, Answer::Refused(Refusal::Gap { .. })));
            if let (Some((name, append, _)), Some(stream)) = (produced(input), stream_of(state, input))
                && gap
                && count.up(name) > 0
            {
                decision.records.push(appended_record(name, stream, &append.body));
            }
        })
    }),
    Breakage::boundary("stream/producers/gap-takes-number", STREAM_PRODUCERS_11, Port, || {
        takes(|refusal, tuple| matches!(refusal, Refusal::Gap { .. }).then(|| tuple.clone()))
    }),
    Breakage::boundary("stream/producers/media-type-takes-number", STREAM_PRODUCERS_11, Port, || {
        takes(|refusal, tuple| matches!(refusal, Refusal::MediaType { .. }).then(|| tuple.clone()))
    }),
    Breakage::boundary("stream/producers/seq-takes-number", STREAM_PRODUCERS_11, Port, || {
        takes(|refusal, tuple| matches!(refusal, Refusal::Sequence { .. }).then(|| tuple.clone()))
    }),
    Breakage::boundary("stream/producers/refused-epoch-kept", STREAM_PRODUCERS_11, Port, || {
        takes(|refusal, tuple| matches!(refusal, Refusal::Bump { .. }).then(|| tuple.clone()))
    }),
    Breakage::boundary("stream/producers/fenced-epoch-kept", STREAM_PRODUCERS_11, Port, || {
        takes(|refusal, tuple| matches!(refusal, Refusal::Stale { .. }).then(|| tuple.clone()))
    }),
    Breakage::boundary("stream/producers/unknown-begins-anywhere", STREAM_PRODUCERS_18, Port, || {
        knowing(|state, input, tuple| {
            let before = tuple.seq.checked_sub(1)?;
            known(state, input).is_none().then_some(Some(Producer { epoch: tuple.epoch, seq: before }))
        })
    }),
    Breakage::boundary("stream/producers/unknown-refused-as-bad", STREAM_PRODUCERS_18, Port, || {
        decide(|state, input, decision| {
            let Some(received) = tuple(input).map(|t| t.seq).filter(|_| known(state, input).is_none()) else {
                return;
            };
            for answer in answers(decision) {
                if matches!(answer, Answer::Refused(Refusal::Gap { .. })) {
                    *answer = Answer::Refused(Refusal::Bump { received });
                }
            }
        })
    }),
    Breakage::boundary("stream/producers/seq-ignored", STREAM_PRODUCERS_26, Port, || {
        through(port::rewrite_input(|_, input| {
            if let Some(Ask::Append(append)) = ask_mut(input)
                && append.producer.is_some()
            {
                append.seq = None;
            }
        }))
    }),
    Breakage::boundary("stream/producers/seq-before-repetition", STREAM_PRODUCERS_26, Wire, || {
        reply(|request, response| {
            if is_produced(request) && request.headers.get(SEQ).is_some() && response.status == 204 {
                *response = refusal(409);
            }
        })
    }),
];

/// Whether an append was answered as a repetition.
fn is_repetition(answer: &Answer) -> bool {
    matches!(answer, Answer::Appended { produced: Some(produced), .. } if !produced.fresh)
}

/// What is refused moves what is known of the producer.
fn takes(which: fn(&Refusal, &Tuple) -> Option<Tuple>) -> Seams {
    decide(move |state, input, decision| {
        let (Some((name, _, tuple)), Some(stream)) = (produced(input), stream_of(state, input)) else {
            return;
        };
        let taken = answers(decision).find_map(|answer| match answer {
            Answer::Refused(refusal) => which(refusal, tuple),
            _ => None,
        });
        if let Some(taken) = taken {
            decision.records.push(moved(name, stream, Some(taken), None));
        }
    })
}
