//! Checks of "Producers" in spec/stream.md.

mod closing;
mod epochs;
mod numbers;
mod refused;
mod together;

use super::setting::{Stream, next_offset, proven, written};
use crate::{
    check::{Answer, Breaks, Check, Cx, Hook, Lane, Need, Outcome, answer},
    drives, one_of,
};
use futures_util::future::try_join_all;
use std::future::ready;
use wireproof_spec::{
    http::Request,
    requirement::RequirementId,
    stream::{
        header::{
            NEXT_OFFSET, PRODUCER_EPOCH, PRODUCER_EXPECTED_SEQ, PRODUCER_ID, PRODUCER_RECEIVED_SEQ,
            PRODUCER_SEQ,
        },
        requirements::*,
    },
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("stream/producers/some-headers", &[STREAM_PRODUCERS_1], drives!(some_headers)),
    Check::new("stream/producers/empty-id", &[STREAM_PRODUCERS_2], drives!(empty_id)),
    Check::new("stream/producers/no-number", &[STREAM_PRODUCERS_3], drives!(no_number)),
    Check::new("stream/producers/greatest-epoch", &[STREAM_PRODUCERS_4], drives!(epochs::greatest)),
    Check::new("stream/producers/new-content", &[STREAM_PRODUCERS_5], drives!(numbers::new_content)),
    Check::new("stream/producers/repetition", &[STREAM_PRODUCERS_6], drives!(numbers::repetition)),
    Check::new(
        "stream/producers/repetition-offset",
        &[STREAM_PRODUCERS_7],
        drives!(numbers::repetition_offset),
    ),
    Check::new("stream/producers/highest-number", &[STREAM_PRODUCERS_8], drives!(numbers::highest)),
    Check::new("stream/producers/epoch-told", &[STREAM_PRODUCERS_9], drives!(epochs::told)),
    Check::new("stream/producers/gap", &[STREAM_PRODUCERS_10], drives!(numbers::gap)),
    Check::new("stream/producers/gap-changes-nothing", &[STREAM_PRODUCERS_11], drives!(refused::gap)),
    Check::new("stream/producers/refused-changes-nothing", &[STREAM_PRODUCERS_11], drives!(refused::others)),
    Check::new(
        "stream/producers/refused-json-changes-nothing",
        &[STREAM_PRODUCERS_11],
        drives!(refused::json),
    ),
    Check::new("stream/producers/older-epoch", &[STREAM_PRODUCERS_12], drives!(epochs::older)),
    Check::new(
        "stream/producers/newer-epoch",
        &[STREAM_PRODUCERS_13, STREAM_PRODUCERS_12],
        drives!(epochs::newer),
    ),
    Check::new("stream/producers/newer-epoch-number", &[STREAM_PRODUCERS_14], drives!(epochs::newer_number)),
    Check::new("stream/producers/race", &[STREAM_PRODUCERS_15], drives!(together::race)),
    Check::new("stream/producers/pipeline", &[STREAM_PRODUCERS_16], drives!(together::pipeline)),
    Check::new("stream/producers/apart", &[STREAM_PRODUCERS_17], drives!(together::apart)),
    Check::new("stream/producers/streams-apart", &[STREAM_PRODUCERS_17], drives!(together::streams_apart)),
    Check::new("stream/producers/unknown", &[STREAM_PRODUCERS_18], drives!(numbers::unknown)),
    Check::new("stream/producers/closing-again", &[STREAM_PRODUCERS_19], drives!(closing::again)),
    Check::new("stream/producers/closed", &[STREAM_PRODUCERS_20], drives!(closing::others)),
    Check::new("stream/producers/close-takes-number", &[STREAM_PRODUCERS_21], drives!(closing::takes_number)),
    Check::new("stream/producers/close-out-of-turn", &[STREAM_PRODUCERS_22], drives!(closing::out_of_turn)),
    Check::new("stream/producers/kill", &[STREAM_PRODUCERS_23], drives!(together::kill))
        .needs(&[Need::Feature("stream.crash-safe", "on"), Need::Hook(Hook::Kill)])
        .lane(Lane::Alone),
    Check::new("stream/producers/restart", &[STREAM_PRODUCERS_24], drives!(together::restart))
        .needs(&[Need::Hook(Hook::Restart)])
        .lane(Lane::Alone),
    Check::new("stream/producers/other-refusals", &[STREAM_PRODUCERS_25], drives!(refused::as_without)),
    Check::new("stream/producers/beside-stream-seq", &[STREAM_PRODUCERS_26], drives!(numbers::beside_seq)),
];

/// The greatest epoch and number: 2^53-1.
const GREATEST: u64 = (1 << 53) - 1;

/// A producer in one of its epochs.
#[derive(Clone, Debug)]
struct Producer {
    id: String,
    epoch: u64,
}

impl Producer {
    /// One that no server knows, in its first epoch.
    fn new(cx: &Cx) -> Self {
        Self { id: cx.name(), epoch: 0 }
    }

    /// The same in another epoch.
    fn at(&self, epoch: u64) -> Self {
        Self { epoch, ..self.clone() }
    }

    /// This request as its own, with this number.
    fn sends(&self, number: u64, mut request: Request) -> Request {
        request.headers.set(PRODUCER_ID, self.id.as_str());
        request.headers.set(PRODUCER_EPOCH, self.epoch.to_string());
        request.headers.set(PRODUCER_SEQ, number.to_string());
        request
    }

    /// Appends with this number, as set-up, and tells the new tail.
    async fn appended(&self, cx: &Cx, stream: &Stream, number: u64, content: &str) -> Outcome<String> {
        let reply = cx.send(self.sends(number, stream.append(content.to_owned()))).await?;
        let reply = cx.need(STREAM_PRODUCERS_5, &reply, &one_of![accepted()])?;
        Ok(next_offset(reply))
    }

    /// Appends with the numbers from 0 to below this, as set-up, and tells the content that came of it.
    async fn begun(&self, cx: &Cx, stream: &Stream, numbers: u64) -> Outcome<String> {
        let mut content = String::new();
        for number in 0..numbers {
            let token = cx.token(12);
            self.appended(cx, stream, number, &token).await?;
            content.push_str(&token);
        }
        Ok(content)
    }
}

/// What an append with the due number is answered with.
fn accepted() -> Answer {
    answer(200).has(NEXT_OFFSET)
}

/// What an append with a number that is not due yet is answered with.
fn too_early(due: u64, number: u64) -> Answer {
    answer(409).with(PRODUCER_EXPECTED_SEQ, due.to_string()).with(PRODUCER_RECEIVED_SEQ, number.to_string())
}

/// What an older epoch is answered with.
fn fenced(current: u64) -> Answer {
    answer(403).with(PRODUCER_EPOCH, current.to_string())
}

/// A stream with something in it, and a producer that nobody knows.
async fn stranger(cx: &Cx) -> Outcome<(Stream, Producer)> {
    Ok((written(cx).await?, Producer::new(cx)))
}

/// Claims that each of these changes to valid headers has a POST refused. They are tried beside each other on one stream,
/// each by a producer of its own, to whom the stream is fresh.
async fn malformed(
    cx: &Cx,
    requirement: RequirementId,
    changes: &[&[(&'static str, Option<&'static str>)]],
) -> Outcome {
    let stream = proven(cx).await?;
    let (accepted, bad_request) = (one_of![accepted()], one_of![answer(400)]);
    let change = |request: &mut Request, changes: &[(&str, Option<&str>)]| {
        for (header, value) in changes {
            match value {
                Some(value) => request.headers.set(header, *value),
                None => request.headers.remove(header),
            }
        }
    };
    try_join_all(changes.iter().map(|changes| {
        cx.refused(
            requirement,
            Breaks::Form,
            |cx| ready(Ok(Producer::new(cx))),
            |producer| producer.sends(0, stream.append("x")),
            move |_, request| change(request, changes),
            (STREAM_PRODUCERS_5, &accepted),
            &bad_request,
        )
    }))
    .await?;
    Ok(())
}

async fn some_headers(cx: &Cx) -> Outcome {
    let (id, epoch, number) = ((PRODUCER_ID, None), (PRODUCER_EPOCH, None), (PRODUCER_SEQ, None));
    malformed(
        cx,
        STREAM_PRODUCERS_1,
        &[&[id], &[epoch], &[number], &[id, epoch], &[id, number], &[epoch, number]],
    )
    .await
}

async fn empty_id(cx: &Cx) -> Outcome {
    malformed(cx, STREAM_PRODUCERS_2, &[&[(PRODUCER_ID, Some(""))]]).await
}

async fn no_number(cx: &Cx) -> Outcome {
    // Also what a careless reader of numbers takes for 0, which is due here.
    const NONE: [&str; 7] = ["", "zero", "-1", "0.5", "0z", "9007199254740992", "18446744073709551616"];
    let changes = NONE.map(|text| [[(PRODUCER_EPOCH, Some(text))], [(PRODUCER_SEQ, Some(text))]]);
    let changes: Vec<_> = changes.iter().flatten().map(|change| &change[..]).collect();
    malformed(cx, STREAM_PRODUCERS_3, &changes).await
}
