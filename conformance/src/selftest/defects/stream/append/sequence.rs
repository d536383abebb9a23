//! Defects of Stream-Seq, and of what comes before it.

use super::super::{
    Answer, Ask, Refusal, Seams, State, Table, answers, appended_record, ask, decide, is_append, port,
    producers::moved, racing, stream_of, through,
};
use crate::{
    embed::reference::stream::model::{Append, Input},
    protocol::Cut::Port,
    selftest::defects::{Breakage, wire::Count},
};
use std::cmp::Ordering;
use wireproof_spec::stream::requirements::*;

pub(in super::super) const TABLE: Table = &[
    Breakage::boundary("stream/append/seq-equal-accepted", STREAM_APPEND_13, Port, || {
        compared(|given, last| match given.cmp(last) {
            Ordering::Equal => Ordering::Greater,
            other => other,
        })
    })
    .wide("a Stream-Seq that was there before is what most checks of it use"),
    Breakage::boundary("stream/append/seq-as-number", STREAM_APPEND_13, Port, || {
        compared(|given, last| match (given.parse::<u64>(), last.parse::<u64>()) {
            (Ok(given), Ok(last)) => given.cmp(&last),
            _ => given.cmp(last),
        })
    }),
    Breakage::boundary("stream/append/seq-longer-is-greater", STREAM_APPEND_14, Port, || {
        compared(|given, last| (given.len(), given).cmp(&(last.len(), last)))
    }),
    Breakage::boundary("stream/append/seq-without-case", STREAM_APPEND_14, Port, || {
        compared(|given, last| given.to_lowercase().cmp(&last.to_lowercase()))
    }),
    Breakage::boundary("stream/append/seq-cut-off", STREAM_APPEND_14, Port, || {
        compared(|given, last| given.bytes().take(255).cmp(last.bytes().take(255)))
    }),
    Breakage::boundary("stream/append/seq-of-signed-bytes", STREAM_APPEND_14, Port, || {
        compared(|given, last| given.bytes().map(u8::cast_signed).cmp(last.bytes().map(u8::cast_signed)))
    }),
    Breakage::second("stream/append/seq-refused-and-written", STREAM_APPEND_15, Port, || {
        let count = Count::new();
        decide(move |state, input, decision| {
            let (Some((name, append)), Some(stream)) = (append(input), stream_of(state, input)) else {
                return;
            };
            let refused = answers(decision).any(|a| matches!(a, Answer::Refused(Refusal::Sequence { .. })));
            if refused && count.up(name) > 0 {
                decision.records.push(appended_record(name, stream, &append.body));
            }
        })
    }),
    Breakage::boundary("stream/append/seq-moved-down", STREAM_APPEND_16, Port, || {
        moves(|refusal| matches!(refusal, Refusal::Sequence { .. }))
    }),
    Breakage::boundary("stream/append/seq-of-other-media-type-kept", STREAM_APPEND_16, Port, || {
        moves(|refusal| matches!(refusal, Refusal::MediaType { .. }))
    }),
    Breakage::race("stream/append/seq-race-all-accepted", STREAM_APPEND_17, Port, || {
        racing(is_append, |flying| {
            port::rewrite_state(move |state: &mut State, input| {
                let Some((name, append)) = append(input) else { return };
                if let Some(stream) = state.streams.get_mut(name).filter(|_| flying.several(name))
                    && stream.seq == append.seq
                {
                    stream.seq = None;
                }
            })
        })
    }),
    Breakage::boundary("stream/append/gap-before-media-type", STREAM_APPEND_18, Port, || {
        decide(|state, input, decision| {
            let (Some((_, append)), Some(stream)) = (append(input), stream_of(state, input)) else { return };
            let Some(tuple) = &append.producer else { return };
            let expected = match stream.producers.get(&tuple.id) {
                Some(last) if last.epoch == tuple.epoch => last.seq + 1,
                _ => 0,
            };
            for answer in answers(decision) {
                if matches!(answer, Answer::Refused(Refusal::MediaType { .. })) && tuple.seq > expected {
                    *answer = Answer::Refused(Refusal::Gap { expected, received: tuple.seq });
                }
            }
        })
    }),
];

/// An append, and the name of its stream.
fn append(input: &Input) -> Option<(&str, &Append)> {
    match ask(input)? {
        (name, Ask::Append(append)) => Some((name, append)),
        _ => None,
    }
}

/// What comes to a stream with this Stream-Seq is accepted if it is greater than the last one in this order.
fn compared(order: fn(&str, &str) -> Ordering) -> Seams {
    through(port::rewrite_state(move |state: &mut State, input: &Input| {
        let Some((name, append)) = append(input) else { return };
        let Some(stream) = state.streams.get_mut(name) else { return };
        if let (Some(given), Some(last)) = (&append.seq, &stream.seq) {
            // Without a last one everything is accepted, and nothing if it is the same.
            stream.seq = Some(given.clone()).filter(|_| order(given, last).is_le());
        }
    }))
}

/// What is refused for this reason moves the last Stream-Seq.
fn moves(which: fn(&Refusal) -> bool) -> Seams {
    decide(move |state, input, decision| {
        let (Some((name, append)), Some(stream)) = (append(input), stream_of(state, input)) else { return };
        let refused = answers(decision).any(|answer| matches!(answer, Answer::Refused(why) if which(why)));
        if refused && append.seq.is_some() {
            decision.records.push(moved(name, stream, None, append.seq.clone()));
        }
    })
}
