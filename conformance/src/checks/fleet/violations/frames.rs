//! Topics of nobody, malformed frames, and payloads that are too long.

use super::{Task, fate, kicked};
use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    checks::fleet::{
        agent::{Agent, Fate, closed, done},
        by_hand::{ByHand, SOON, applied, polled_with, takes},
        setting::Say,
    },
    wire::Seen,
};
use futures_util::future::try_join_all;
use wireproof_spec::fleet::{
    State,
    frames::{Outer, put_varint},
    requirements::*,
};

/// The longest message of WebSocket that the document speaks of.
const LONGEST: usize = 4_194_304;

/// An inner frame that is dropped: whoever reads a frame that is none for a State or passes over it goes on.
const DROPPED: &[u8] = &[3];

/// What becomes of connections on which outer frames come that this makes of an inner one.
async fn wrapped<'a, T>(
    cx: &Cx,
    cases: &'a [(&'static str, T)],
    wrap: impl Fn(&T, &[u8]) -> Vec<u8>,
) -> Outcome<Vec<(&'static str, Seen<Fate>)>> {
    let wrap = &wrap;
    let fates = cases.iter().map(async |(what, case): &'a (&'static str, T)| {
        let mut agent = Agent::connect(cx).await?;
        // Or it would be closed for its silence.
        agent.says(agent.snapshot());
        agent.send_binary(wrap(case, DROPPED));
        Ok((*what, fate(cx, &mut agent).await?))
    });
    try_join_all(fates).await
}

/// That the reason of a close frame says what was wrong with the frame.
fn reason(what: &str) -> Alternative<Fate> {
    alternative(
        format!("the reason invalid_message, for {what}"),
        |fate: &Fate| matches!(fate, Fate::Closed(Some((_, reason))) if reason == "invalid_message"),
    )
}

/// Topics that are not the agent's.
pub(super) async fn topics(cx: &Cx) -> Outcome {
    let cases: [(&str, String); 11] = [
        ("the topic fleet/hello", "fleet/hello".into()),
        ("the topic fleet/poll", "fleet/poll".into()),
        ("the topic fleet/cmd", "fleet/cmd".into()),
        ("a topic of nobody", cx.token(12)),
        ("the topic Fleet/State", "Fleet/State".into()),
        ("the topic fleet/state with a slash behind it", "fleet/state/".into()),
        ("the topic fleet", "fleet".into()),
        ("the topic state", "state".into()),
        ("a topic of 256 units", "t".repeat(256)),
        ("a topic of 256 units and 512 bytes", "é".repeat(256)),
        ("a topic of 256 units and 128 characters", "𝄞".repeat(128)),
    ];
    for (what, fate) in wrapped(cx, &cases, |topic, payload| Outer::encode(topic, payload)).await? {
        cx.expect(FLEET_VIOLATIONS_6, &fate, &[kicked(what)])?;
        cx.expect(FLEET_VIOLATIONS_8, &fate, &[reason(what)])?;
    }
    Ok(())
}

/// Topics that are longer than any may be.
pub(super) async fn long_topics(cx: &Cx) -> Outcome {
    let cases: [(&str, String); 4] = [
        ("a topic of 257 units", "t".repeat(257)),
        ("a topic of 257 units and 514 bytes", "é".repeat(257)),
        ("a topic of 258 units and 129 characters", "𝄞".repeat(129)),
        ("a topic of 257 units that begins with fleet/state", format!("fleet/state{}", " ".repeat(246))),
    ];
    for (what, fate) in wrapped(cx, &cases, |topic, payload| Outer::encode(topic, payload)).await? {
        cx.expect(FLEET_VIOLATIONS_18, &fate, &[kicked(what)])?;
    }
    Ok(())
}

/// Where bytes stand beside a good outer frame.
enum Beside {
    Behind(&'static [u8]),
    Before(&'static [u8]),
    /// In place of a frame, with the payload behind them.
    Instead(&'static [u8]),
    /// The last byte of the frame is missing.
    CutOff,
    /// The length of the payload is one more than there are bytes.
    OneMore,
}

const MALFORMED: [(&str, Beside); 17] = [
    ("a field with the wire type 1", Beside::Behind(&[0x19, 0, 0, 0, 0, 0, 0, 0, 0])),
    ("a field with the wire type 5", Beside::Behind(&[0x1d, 0, 0, 0, 0])),
    ("a field with the wire type 5 in front", Beside::Before(&[0x1d, 0, 0, 0, 0])),
    ("a group", Beside::Behind(&[0x1b, 0x1c])),
    ("the end of a group", Beside::Behind(&[0x1c])),
    ("a field with the wire type 6", Beside::Behind(&[0x1e])),
    ("a field with the wire type 7", Beside::Behind(&[0x1f])),
    ("a topic with the wire type 5", Beside::Before(&[0x0d, b'f', b'l', b'e', b'e'])),
    ("a key that is cut off", Beside::Behind(&[0x98])),
    ("a varint that is cut off", Beside::Behind(&[0x18, 0x80])),
    ("a length that is cut off", Beside::Behind(&[0x1a, 0xff])),
    ("a key without a value", Beside::Behind(&[0x18])),
    ("a length that points one byte behind the end", Beside::Behind(&[0x1a, 1])),
    (
        "a length that points far behind the end",
        Beside::Behind(&[0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
    ),
    ("a topic whose length points behind the end", Beside::Instead(b"\x0a\xff\x7ffleet/state")),
    ("a payload whose last byte is missing", Beside::CutOff),
    ("a payload whose length is one more than there is", Beside::OneMore),
];

/// Frames that are no outer frames, though much of them is.
pub(super) async fn malformed(cx: &Cx) -> Outcome {
    let wrap = |beside: &Beside, payload: &[u8]| {
        let good = Outer::encode("fleet/state", payload);
        match beside {
            Beside::Behind(bytes) => [&good[..], bytes].concat(),
            Beside::Before(bytes) => [bytes, &good[..]].concat(),
            Beside::Instead(bytes) => [bytes, payload].concat(),
            Beside::CutOff => good[..good.len() - 1].to_vec(),
            Beside::OneMore => {
                let mut frame = b"\x0a\x0bfleet/state\x12".to_vec();
                put_varint(&mut frame, payload.len() as u64 + 1);
                [&frame[..], payload].concat()
            }
        }
    };
    for (what, fate) in wrapped(cx, &MALFORMED, wrap).await? {
        cx.expect(FLEET_VIOLATIONS_7, &fate, &[kicked(what)])?;
        cx.expect(FLEET_VIOLATIONS_8, &fate, &[reason(what)])?;
    }
    Ok(())
}

/// What is made of a good inner frame, which is no frame that can be read. What is cut off names the Poll or the Cmd before.
type Broken = (&'static str, fn(&[u8]) -> Vec<u8>);

const BROKEN: [Broken; 8] = [
    ("an inner frame that is empty", |_| Vec::new()),
    ("an inner frame of the byte 03", |_| vec![3]),
    ("an inner frame of the byte 7b", |_| vec![0x7b]),
    ("an inner frame whose last byte is missing", |good| good[..good.len() - 1].to_vec()),
    ("an inner frame that ends within its first string", |good| good[..6].to_vec()),
    ("an inner frame that ends behind a key", |good| [good, &[0x78]].concat()),
    ("an inner frame with the field 0", |good| [good, &[0x00, 0x01]].concat()),
    ("an inner frame that begins with the field 0", |good| [&good[..2], &[0x02, 0x00], &good[2..]].concat()),
];

/// A State that cannot be read answers nothing, and the one behind it does.
pub(super) async fn malformed_states(cx: &Cx) -> Outcome {
    let taken = try_join_all(BROKEN.iter().map(async |(_, broken)| {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        let next = hand.held.clone().labelled("is", "next");
        let good = hand.agent.full(&hand.poll, next.clone());
        hand.agent.send_inner("fleet/state", &broken(&good.encode_frame()));
        hand.tell(cx, &next).await
    }))
    .await?;
    for ((what, _), became) in BROKEN.iter().zip(&taken) {
        cx.expect(FLEET_VIOLATIONS_12, became, &[applied(&format!("the State behind {what}"))])?;
    }
    Ok(())
}

/// An Ack that cannot be read settles nothing, and the one behind it does.
pub(super) async fn malformed_acks(cx: &Cx) -> Outcome {
    let taken = try_join_all(BROKEN.iter().map(async |(_, broken)| {
        let mut agent = Agent::join(cx, cx.snapshot()).await?;
        let (cmd, pending) = Task::Create.ask(cx, &mut agent).await?;
        let refusal = super::ACKS[1](&cmd);
        agent.send_inner("fleet/ack", &broken(&refusal.encode_frame()));
        agent.send_ack(&done(&cmd));
        let seen = pending.answer().await?;
        let next = cx.snapshot();
        Ok((seen, next.hash(), takes(cx, &mut agent, next).await?))
    }))
    .await?;
    for ((what, _), (seen, hash, goes_on)) in BROKEN.iter().zip(&taken) {
        let ok = answer(201).and(format!("for the Ack behind {what}"), |_| true);
        cx.expect(FLEET_VIOLATIONS_12, seen, &[ok.into()])?;
        cx.expect(FLEET_VIOLATIONS_12, goes_on, &[polled_with(hash)])?;
    }
    Ok(())
}

/// A State that is as long as any message may be, or nearly so: a longer one than the target says that it takes.
pub(super) async fn too_long(cx: &Cx) -> Outcome {
    let limit = cx.features().limit("snapshot-bytes").and_then(|limit| usize::try_from(limit).ok());
    let mut hand = ByHand::join(cx, cx.snapshot()).await?;
    let long = hand.held.clone().padded_to(LONGEST, &hand.poll.req_id);
    let state = hand.agent.full(&hand.poll, long);
    let inner = State { seq: 2, ..state }.encode_frame();
    hand.agent.send_inner("fleet/state", &inner);
    // Or it would be closed for its silence, when the State was dropped.
    let fate = hand.agent.fate(cx, hand.agent.heartbeat.min(cx.answer_time())).await?;
    let next = hand.held.clone().labelled("is", "next");
    let mut dropped = false;
    let fate = if fate.look().is_ok_and(|fate| *fate == Fate::Open) {
        dropped = hand.tell(cx, &next).await?.look().is_ok_and(|became| applied("").holds(became));
        // It may take a moment to be closed.
        if dropped { fate } else { hand.agent.fate(cx, SOON).await? }
    } else {
        fate
    };
    let fate = fate.map(|fate| Long { fate, dropped, lets: limit.is_some_and(|limit| limit >= LONGEST) });
    let ends = |code| {
        let ends = closed(code);
        alternative(ends.expected().name.clone(), move |long: &Long| ends.holds(&long.fate))
    };
    let dropped = alternative("no effect, and a connection that goes on", |long: &Long| long.dropped);
    // A close frame that comes while the State is on its way may be lost with the connection.
    let ended = alternative("the end of the connection", |long: &Long| matches!(long.fate, Fate::Ended(_)));
    // It is not longer than the limit, and nothing is asked of it.
    let lets = alternative("a limit that lets it through", |long: &Long| long.lets);
    cx.expect(FLEET_VIOLATIONS_13, &fate, &[ends(4003), ends(1009), ended, dropped, lets])?;
    Ok(())
}

/// What became of a State that is too long.
struct Long {
    fate: Fate,
    dropped: bool,
    lets: bool,
}

impl crate::check::Shown for Long {
    fn shown(&self) -> String {
        format!(
            "{}, on which the next State {}",
            self.fate.shown(),
            if self.dropped { "is taken" } else { "is not taken" }
        )
    }
}
