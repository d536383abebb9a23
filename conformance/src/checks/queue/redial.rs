//! Checks of "Redial" in spec/queue.md.

mod count;
mod delays;
mod iterator;
mod law;

use super::client::{
    Client, Connection, Interface, LATE_MS, RUNS, Start, TRIES, beside_timers, dials, in_each, is_calm,
    restless, silence, silence_before,
};
use crate::{
    check::{Alternative, Check, Cx, Lane, Need, Outcome, Waits, alternative},
    drives,
    wire::{Seen, listen::Fault, ws::Frame},
};
use futures_util::future::{try_join_all, try_join3};
use law::{Failure, Law, close};
use serde_json::json;
use std::time::Duration;
use wireproof_spec::{
    http::{Request, Response},
    queue::requirements::*,
    requirement::RequirementId,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/redial/closed", &[QUEUE_REDIAL_1], drives!(closed)).waits(Waits::Millis(2_500)),
    Check::new("queue/redial/cut", &[QUEUE_REDIAL_2], drives!(cut)).waits(Waits::Millis(3_000)),
    Check::new("queue/redial/unavailable", &[QUEUE_REDIAL_3], drives!(unavailable))
        .waits(Waits::Millis(4_000)),
    Check::new("queue/redial/refused", &[QUEUE_REDIAL_4], drives!(refused)).waits(Waits::Millis(3_500)),
    Check::new("queue/redial/final", &[QUEUE_REDIAL_5], drives!(finally)).waits(Waits::Millis(2_500)),
    Check::new("queue/redial/final-unanswered", &[QUEUE_REDIAL_5], drives!(final_unanswered))
        .waits(Waits::Millis(4_000)),
    Check::new("queue/redial/final-answer", &[QUEUE_REDIAL_5], drives!(final_answer))
        .waits(Waits::Millis(1_500)),
    Check::new("queue/redial/behind-4xxx", &[QUEUE_REDIAL_6], drives!(behind_4xxx))
        .waits(Waits::Millis(1_500)),
    Check::new("queue/redial/iterator-end", &[QUEUE_REDIAL_7], drives!(iterator::end))
        .needs(&[Need::Feature("queue.final-4xxx", "on")]),
    Check::new("queue/redial/delays", &[QUEUE_REDIAL_8], drives!(delays::delays))
        .lane(Lane::Alone)
        .waits(Waits::Millis(9_000)),
    Check::new("queue/redial/maximum", &[QUEUE_REDIAL_9], drives!(delays::maximum))
        .needs(&[Need::Feature("queue.handler", "on"), Need::Feature("queue.delay-settings", "on")])
        .lane(Lane::Alone)
        .waits(Waits::Millis(3_000)),
    Check::new("queue/redial/long-outage", &[QUEUE_REDIAL_3, QUEUE_REDIAL_9], drives!(delays::long_outage))
        .needs(&[Need::Feature("queue.handler", "on"), Need::Feature("queue.delay-settings", "on")])
        .waits(Waits::Millis(2_500)),
    Check::new("queue/redial/drawn", &[QUEUE_REDIAL_10], drives!(delays::drawn)).waits(Waits::Millis(8_000)),
    Check::new("queue/redial/count-begins-anew", &[QUEUE_REDIAL_11], drives!(count::begins_anew))
        .waits(Waits::Millis(15_000)),
    Check::new("queue/redial/count-goes-on", &[QUEUE_REDIAL_12], drives!(count::goes_on))
        .waits(Waits::Millis(3_500)),
    Check::new("queue/redial/attempts", &[QUEUE_REDIAL_13], drives!(count::attempts))
        .needs(&[Need::Feature("queue.delay-settings", "on")])
        .waits(Waits::Millis(2_000)),
    Check::new("queue/redial/attempts-anew", &[QUEUE_REDIAL_13], drives!(count::attempts_anew))
        .needs(&[Need::Feature("queue.delay-settings", "on")])
        .waits(Waits::Millis(2_000)),
    Check::new("queue/redial/iterator-behind-a-close", &[QUEUE_REDIAL_14], drives!(iterator::behind_a_close))
        .waits(Waits::Millis(3_000)),
    Check::new(
        "queue/redial/iterator-behind-a-failure",
        &[QUEUE_REDIAL_15],
        drives!(iterator::behind_a_failure),
    )
    .waits(Waits::Millis(4_500)),
    Check::new("queue/redial/iterator-at-a-failure", &[QUEUE_REDIAL_16], drives!(iterator::at_a_failure))
        .waits(Waits::Millis(1_500)),
];

/// A close frame with the code 4000, byte by byte: that of the client was read, and behind it peers send no more messages.
const CLOSE_4000: &[u8] = &[0x88, 2, 0x0f, 0xa0];

/// That it does not dial.
fn does_not_dial() -> Alternative<Option<Request>> {
    alternative("no dial", Option::is_none)
}

/// Claims that it dials, and lets it in.
async fn lets_in(cx: &Cx, id: RequirementId, client: &mut Client) -> Outcome<Connection> {
    let (seen, call) = client.place.next().await?;
    cx.expect(id, &seen, &[dials()])?;
    let call = call.ok_or_else(|| cx.stop("the client did not dial"))?;
    let mut connection = Connection::of(cx, call).await?;
    connection.welcome("").await;
    Ok(connection)
}

async fn closed(cx: &Cx) -> Outcome {
    Interface::each(cx, |interface| closed_twice(cx, interface)).await
}

async fn closed_twice(cx: &Cx, interface: Interface) -> Outcome {
    let twice = async |code| {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        for _ in 0..2 {
            close(connection, code).await?;
            connection = lets_in(cx, QUEUE_REDIAL_1, &mut client).await?;
        }
        Ok(())
    };
    try_join_all([1000, 1001, 1008, 1011, 1012, 3999].map(twice)).await?;
    Ok(())
}

async fn cut(cx: &Cx) -> Outcome {
    try_join3(cut_behind(cx), cut_before(cx, false), cut_before(cx, true)).await?;
    Ok(())
}

/// Behind the AuthRequest and before the AuthResponse.
async fn cut_before(cx: &Cx, is_reset: bool) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx, Interface::Handler)).await?;
    let connection = client.connect(cx).await?;
    if is_reset {
        connection.peer.reset();
    } else {
        connection.peer.leave();
    }
    lets_in(cx, QUEUE_REDIAL_2, &mut client).await?;
    Ok(())
}

/// Behind the AuthResponse.
async fn cut_behind(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx, Interface::Handler)).await?;
    let mut connection = client.join(cx).await?;
    for is_reset in [false, true, false] {
        if is_reset {
            connection.peer.reset();
        } else {
            connection.peer.leave();
        }
        connection = lets_in(cx, QUEUE_REDIAL_2, &mut client).await?;
    }
    Ok(())
}

async fn unavailable(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx, Interface::Handler)).await?;
    let (_, call) = client.dial(cx).await?;
    Failure::Unavailable.befall(cx, call).await?;
    let connection = lets_in(cx, QUEUE_REDIAL_3, &mut client).await?;
    // Behind a success it is as good as at the start.
    close(connection, 1012).await?;
    let (_, call) = client.dial(cx).await?;
    Failure::Unavailable.befall(cx, call).await?;
    lets_in(cx, QUEUE_REDIAL_3, &mut client).await?;
    Ok(())
}

async fn refused(cx: &Cx) -> Outcome {
    let law = Law::of(cx, Interface::Handler, 100, 30_000);
    // The start and the redial 0 are refused, and where delays are short the redial 1. Nobody sees a refusal: who dials later is
    // refused less often.
    let last = if law.is_set { 1 } else { 0 };
    let refused = (0..=last).map(|n| law.most(n)).sum::<Duration>() + Duration::from_millis(LATE_MS);
    let mut client = Client::start_refused(cx, law.start(cx, Interface::Handler), refused).await?;
    let wait = law.most(last + 2) + cx.answer_time();
    let (seen, _) = client.place.next_within(wait).await?;
    cx.expect(QUEUE_REDIAL_4, &seen, &[dials()])?;
    Ok(())
}

async fn finally(cx: &Cx) -> Outcome {
    Interface::each(cx, |interface| ends_for_good(cx, interface)).await
}

async fn ends_for_good(cx: &Cx, interface: Interface) -> Outcome {
    let ends = async |(code, is_redial)| {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        if is_redial {
            close(connection, 1012).await?;
            connection = client.join(cx).await?;
        }
        close(connection, code).await?;
        let seen = client.still(cx, silence(cx, interface)).await?;
        cx.expect(QUEUE_REDIAL_5, &seen, &[does_not_dial()])?;
        Ok(())
    };
    let ways = [4000, 4001, 4100, 4999].into_iter().flat_map(|code| [(code, false), (code, true)]);
    try_join_all(ways.map(ends)).await?;
    Ok(())
}

/// Before the AuthResponse a code says as much as behind it.
async fn final_unanswered(cx: &Cx) -> Outcome {
    Interface::each(cx, |interface| ends_unanswered(cx, interface)).await
}

async fn ends_unanswered(cx: &Cx, interface: Interface) -> Outcome {
    let ends = async |(code, is_redial)| {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.connect(cx).await?;
        if is_redial {
            connection.welcome(&cx.token(8)).await;
            connection = client.again(cx, connection).await?;
        }
        close(connection, code).await?;
        // No success stands between this end and the one before it.
        let length = silence_before(cx, interface, u32::from(is_redial));
        let seen = client.still(cx, length).await?;
        cx.expect(QUEUE_REDIAL_5, &seen, &[does_not_dial()])?;
        Ok(())
    };
    let ways = [4000, 4001, 4100].into_iter().flat_map(|code| [(code, false), (code, true)]);
    try_join_all(ways.map(ends)).await?;
    Ok(())
}

async fn final_answer(cx: &Cx) -> Outcome {
    Interface::each(cx, async |interface| {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let is_read = own_close(cx, &mut client).await?;
        let seen = client.still(cx, silence(cx, interface)).await?;
        // Who goes behind its own close frame has not heard ours: to it that is an end like any other.
        if !is_read && seen.look().is_ok_and(Option::is_some) {
            return Err(cx.stop(
                "the client ends its connection behind its own close frame, and reads no answer to it",
            ));
        }
        cx.expect(QUEUE_REDIAL_5, &seen, &[does_not_dial()])?;
        Ok(())
    })
    .await
}

/// Has the client close for a malformed first frame, and answers its close frame with the same code. Tells whether it was still
/// there to read that.
async fn own_close(cx: &Cx, client: &mut Client) -> Outcome<bool> {
    /// Who reads the answer has nothing more to wait for.
    const END: Duration = Duration::from_millis(500);
    let mut connection = client.connect(cx).await?;
    connection.send(&json!({"ok": true})).await;
    let closed = connection.ended().await?;
    let closes = alternative("a close frame with 4000", |frame: &Frame| {
        matches!(frame, Frame::Close(Some((4000, _))))
    });
    cx.need(QUEUE_SUBSCRIBER_14, &closed, &[closes])?;
    connection.peer.send_raw(CLOSE_4000).await;
    Ok(!connection.peer.is_refused(END).await)
}

async fn behind_4xxx(cx: &Cx) -> Outcome {
    let ways = [
        alternative("it dials again", |dial: &Option<Request>| dial.is_some()),
        alternative("it does not dial again", Option::is_none),
    ];
    let length = silence(cx, Interface::any(cx));
    let (mut closing, mut closed, mut unanswered) =
        (Client::begin(cx).await?, Client::begin(cx).await?, Client::begin(cx).await?);
    own_close(cx, &mut closing).await?;
    close(closed.join(cx).await?, 4100).await?;
    close(unanswered.connect(cx).await?, 4100).await?;
    let all = [&mut closing, &mut closed, &mut unanswered].map(|client| client.still(cx, length));
    let seen: Vec<Seen<_>> = try_join_all(all).await?;
    for seen in &seen {
        cx.expect(QUEUE_REDIAL_6, seen, &ways)?;
    }
    Ok(())
}
