//! Defects of epochs.

use super::{
    super::{Answer, Record, Refusal, Table, answers, decide, reply},
    Producer, knowing, known, produced, sending, tuple,
};
use crate::{
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};
use wireproof_spec::stream::{header::PRODUCER_EPOCH, requirements::*};

pub(in super::super) const TABLE: Table = &[
    Breakage::always("stream/producers/epoch-told-as-0", STREAM_PRODUCERS_9, Wire, || {
        reply(|_, response| {
            if response.status < 300 && response.headers.get(PRODUCER_EPOCH).is_some() {
                response.headers.set(PRODUCER_EPOCH, "0");
            }
        })
    }),
    Breakage::boundary("stream/producers/own-epoch-told", STREAM_PRODUCERS_12, Wire, || {
        reply(|request, response| {
            if let Some(own) = request.headers.get(PRODUCER_EPOCH)
                && response.status == 403
            {
                response.headers.set(PRODUCER_EPOCH, own);
            }
        })
    })
    .wide("by the epoch in the refusal many checks know why it was refused"),
    Breakage::boundary("stream/producers/epoch-before-accepted", STREAM_PRODUCERS_12, Port, || {
        sending(|last, tuple| {
            if tuple.epoch + 1 == last.epoch {
                (tuple.epoch, tuple.seq) = (last.epoch, last.seq + 1);
            }
        })
    })
    .wide("the epoch before is what most checks of older epochs use"),
    Breakage::boundary("stream/producers/older-epoch-repeats", STREAM_PRODUCERS_12, Port, || {
        sending(|last, tuple| {
            if tuple.epoch < last.epoch && tuple.seq <= last.seq {
                tuple.epoch = last.epoch;
            }
        })
    })
    .wide("number 0 is what most checks of older epochs use"),
    Breakage::boundary("stream/producers/newer-epoch-not-kept", STREAM_PRODUCERS_13, Port, || {
        decide(|state, input, decision| {
            let Some(last) = known(state, input) else { return };
            for record in &mut decision.records {
                if let Record::Appended { producer: Some(producer), .. } = record
                    && producer.epoch > last.epoch
                {
                    (producer.epoch, producer.seq) = (last.epoch, last.seq);
                }
            }
        })
    })
    .wide("a newer epoch is how many checks make a producer with an older one"),
    Breakage::boundary("stream/producers/epochs-not-skipped", STREAM_PRODUCERS_13, Port, || {
        decide(|state, input, decision| {
            let (Some(last), Some((_, _, tuple))) = (known(state, input), produced(input)) else { return };
            if tuple.epoch > last.epoch + 1 && tuple.seq == 0 {
                decision.records.clear();
                for answer in answers(decision).filter(|a| matches!(a, Answer::Appended { .. })) {
                    *answer = Answer::Refused(Refusal::Bump { received: tuple.seq });
                }
            }
        })
    }),
    Breakage::boundary("stream/producers/newer-epoch-continues", STREAM_PRODUCERS_14, Port, || {
        knowing(|state, input, tuple| {
            let last = known(state, input)?;
            let continues = tuple.epoch > last.epoch && tuple.seq == last.seq + 1;
            continues.then_some(Some(Producer { epoch: tuple.epoch, ..last }))
        })
    }),
    Breakage::boundary("stream/producers/newer-epoch-refused-as-gap", STREAM_PRODUCERS_14, Port, || {
        decide(|_, input, decision| {
            let Some(received) = tuple(input).map(|tuple| tuple.seq) else { return };
            for answer in answers(decision) {
                if matches!(answer, Answer::Refused(Refusal::Bump { .. })) {
                    *answer = Answer::Refused(Refusal::Gap { expected: 0, received });
                }
            }
        })
    }),
];
