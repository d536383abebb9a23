//! States and Acks that nobody waits for.

use super::{ACKS, Task, fate, kicked};
use crate::{
    check::{Cx, Outcome, answer},
    checks::fleet::{
        agent::{Agent, Fate, done},
        by_hand::{ByHand, applied, polled_with, takes},
        manual::polled,
        setting::{Say, ok, refused},
    },
    wire::{Seen, http::Pending},
};
use futures_util::future::try_join_all;
use wireproof_spec::{
    fleet::{Ack, Cause, State, requirements::*},
    http::Response,
};

/// What a State says.
#[derive(Clone, Copy)]
enum What {
    /// That nothing has changed.
    HashOnly,
    /// What is known already.
    Known,
    /// Something else.
    Other,
    /// Something that breaks a bound.
    Rejected,
    /// Something with the seq of what was applied.
    NotNewer,
    /// Each byte as in the State before.
    Same,
}

/// When the second State comes.
#[derive(Clone, Copy)]
enum When {
    /// At once.
    AtOnce,
    /// When the next Poll has come, which is not answered otherwise.
    Later,
    /// When the next Poll has come, which is answered behind it.
    LaterToo,
}

/// Two States with one reqId.
type Twice = (&'static str, What, What, When);

const TWICE: [Twice; 10] = [
    ("a snapshot that is repeated byte for byte", What::Other, What::Same, When::AtOnce),
    ("a hash-only State that is repeated byte for byte", What::HashOnly, What::Same, When::AtOnce),
    ("a hash-only State behind a snapshot", What::Other, What::HashOnly, When::AtOnce),
    ("a snapshot behind a hash-only State", What::HashOnly, What::Other, When::AtOnce),
    ("a snapshot that is known behind a hash-only State", What::HashOnly, What::Known, When::AtOnce),
    ("a good snapshot behind a rejected one", What::Rejected, What::Other, When::AtOnce),
    ("a newer snapshot behind one that is not newer", What::NotNewer, What::Other, When::AtOnce),
    ("a hash-only State with the reqId of the Poll before", What::HashOnly, What::HashOnly, When::Later),
    (
        "a State with the reqId of the Poll before, with the right one behind it",
        What::HashOnly,
        What::Other,
        When::LaterToo,
    ),
    ("a snapshot with the reqId of the Poll before", What::Known, What::Other, When::Later),
];

/// A Poll is answered once, whatever the first answer held and whatever the second holds.
pub(super) async fn second_state(cx: &Cx) -> Outcome {
    let fates = try_join_all(TWICE.iter().map(|twice| answered_twice(cx, twice))).await?;
    for ((what, ..), fate) in TWICE.iter().zip(&fates) {
        cx.expect(FLEET_VIOLATIONS_1, fate, &[kicked(what)])?;
    }
    Ok(())
}

async fn answered_twice(cx: &Cx, (_, first, second, when): &Twice) -> Outcome<Seen<Fate>> {
    let mut hand = ByHand::join(cx, cx.snapshot()).await?;
    let poll = hand.poll.clone();
    let state = said(&hand, *first, None);
    hand.agent.send_state(&state);
    let mut next = None;
    if !matches!(when, When::AtOnce) {
        next = Some(polled(cx, &mut hand.agent).await?.0.poll);
    }
    hand.agent.send_state(&State { req_id: poll.req_id, ..said(&hand, *second, Some(&state)) });
    if let (When::LaterToo, Some(next)) = (when, next) {
        let answer = hand.agent.full(&next, hand.held.clone());
        hand.agent.send_state(&answer);
    }
    // Or it would be closed for its silence.
    hand.agent.plan().snapshot = hand.held.clone();
    hand.agent.goes_on();
    fate(cx, &mut hand.agent).await
}

/// An answer to the Poll of an agent.
fn said(hand: &ByHand, what: What, before: Option<&State>) -> State {
    let other = hand.held.clone().labelled("is", "other");
    let snapshot = match what {
        What::HashOnly | What::Known => hand.held.clone(),
        What::Rejected => other.rejected(),
        What::Other | What::NotNewer | What::Same => other,
    };
    let state = hand.agent.full(&hand.poll, snapshot);
    match (what, before) {
        (What::HashOnly, _) => State { snapshot: None, ..state },
        // That of the first snapshot.
        (What::NotNewer, _) => State { seq: 1, ..state },
        (What::Same, Some(before)) => before.clone(),
        _ => state,
    }
}

/// What is answered beside a State with an unknown reqId: nothing, so that whoever takes it for the answer goes on; or the Poll,
/// before it or behind it, so that whoever drops it goes on.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Before,
    Behind,
}

const UNKNOWN: [(&str, Beside); 6] = [
    ("a reqId that was made up", Beside::Nothing),
    ("a reqId that was made up, before the right one", Beside::Behind),
    ("a reqId that was made up, while no Poll is outstanding", Beside::Before),
    ("no reqId", Beside::Nothing),
    ("no reqId, before the right one", Beside::Behind),
    ("the reqId of the outstanding Poll with something behind it", Beside::Nothing),
];

/// ReqIds that no Poll had, while a Poll is outstanding and while none is.
pub(super) async fn unknown_req_id(cx: &Cx) -> Outcome {
    let fates = try_join_all(UNKNOWN.iter().enumerate().map(async |(at, (_, beside))| {
        let mut agent = Agent::connect(cx).await?;
        let poll = polled(cx, &mut agent).await?.0.poll;
        let good = agent.full(&poll, agent.snapshot());
        let req_id = match at {
            3 | 4 => String::new(),
            5 => format!("{}0", poll.req_id),
            _ => cx.token(16),
        };
        if matches!(beside, Beside::Before) {
            agent.send_state(&good);
        }
        agent.send_state(&State { req_id, seq: 2, ..good.clone() });
        if matches!(beside, Beside::Behind) {
            agent.send_state(&State { seq: 3, ..good });
        }
        // Or it would be closed for its silence.
        agent.goes_on();
        fate(cx, &mut agent).await
    }))
    .await?;
    for ((what, _), fate) in UNKNOWN.iter().zip(&fates) {
        cx.expect(FLEET_VIOLATIONS_2, fate, &[kicked(what)])?;
    }
    Ok(())
}

/// A Poll is answered on its own connection alone: whoever else has its reqId does not answer it.
pub(super) async fn req_id_of_another(cx: &Cx) -> Outcome {
    let mut hand = ByHand::join(cx, cx.snapshot()).await?;
    for hash_only in [false, true] {
        let mut other = Agent::connect(cx).await?;
        let poll = polled(cx, &mut other).await?.0.poll;
        if poll.req_id == hand.poll.req_id {
            return Err(cx.stop("the Polls of two connections have one reqId"));
        }
        // Or it would be closed for its silence.
        other.says(other.snapshot());
        let state = other.full(&hand.poll, other.snapshot());
        let snapshot = state.snapshot.clone().filter(|_| !hash_only);
        // Beside the answer to its own Poll, which may not have left yet.
        other.send_inner("fleet/state", &State { snapshot, ..state }.encode_frame());
        let fate = fate(cx, &mut other).await?;
        let what = kicked("the reqId of a Poll that is outstanding on another connection");
        cx.expect(FLEET_VIOLATIONS_2, &fate, &[what])?;
        let next = hand.held.clone().labelled("next", if hash_only { "second" } else { "first" });
        let became = hand.tell(cx, &next).await?;
        let stays = applied("the answer to the Poll whose reqId was used on another connection");
        cx.expect(FLEET_VIOLATIONS_2, &became, &[stays])?;
    }
    Ok(())
}

/// What is asked for, what is said to it first and then, by their places in [`ACKS`], and whether a Poll is answered between them.
type Acked = (&'static str, Task, usize, usize, bool);

const ACKED: [Acked; 6] = [
    ("an ok that is repeated", Task::Create, 0, 0, false),
    ("an ok behind a failure", Task::Create, 1, 0, false),
    ("a failure behind an ok", Task::Create, 0, 1, false),
    ("an exists that is repeated", Task::Create, 2, 2, false),
    ("a second Ack of a drain", Task::Drain, 0, 0, false),
    ("a second Ack of an undrain, behind the next State", Task::Undrain, 0, 0, true),
];

/// A Cmd is acknowledged once, whatever the first Ack said and whatever the second says.
pub(super) async fn second_ack(cx: &Cx) -> Outcome {
    let fates = try_join_all(ACKED.iter().map(async |(_, task, first, second, later)| {
        let mut agent = Agent::join(cx, cx.snapshot()).await?;
        let (cmd, pending) = task.ask(cx, &mut agent).await?;
        agent.send_ack(&ACKS[*first](&cmd));
        settled(cx, pending, *task, *first).await?;
        if *later {
            let seen = takes(cx, &mut agent, cx.snapshot()).await?;
            cx.need(FLEET_POLL_5, &seen, &[polled_with(&agent.snapshot().hash())])?;
        }
        agent.send_ack(&ACKS[*second](&cmd));
        fate(cx, &mut agent).await
    }))
    .await?;
    for ((what, ..), fate) in ACKED.iter().zip(&fates) {
        cx.expect(FLEET_VIOLATIONS_3, fate, &[kicked(what)])?;
    }
    Ok(())
}

/// Needs that a request was answered as its Ack has it.
async fn settled(cx: &Cx, pending: Pending, task: Task, ack: usize) -> Outcome {
    let seen = pending.answer().await?;
    let expected = match (ack, task) {
        (0, Task::Create) => ok(201),
        (0, _) => ok(200),
        (1, _) => refused(Cause::CommandFailed),
        _ => refused(Cause::RoomExists),
    };
    cx.need(FLEET_COMMANDS_1, &seen, &[expected])?;
    Ok(())
}

/// Who acknowledges when the request was answered already is too late.
pub(super) async fn late_ack(cx: &Cx) -> Outcome {
    let cases =
        [("the late Ack of a create", Task::Create, 0), ("the late failure of a drain", Task::Drain, 1)];
    let fates = try_join_all(cases.iter().map(async |(_, task, ack)| {
        let mut agent = Agent::join(cx, cx.snapshot()).await?;
        let (cmd, pending) = task.ask(cx, &mut agent).await?;
        let seen: Seen<Response> = pending.answer().await?;
        cx.need(FLEET_COMMANDS_9, &seen, &[refused(Cause::CommandTimeout)])?;
        agent.send_ack(&ACKS[*ack](&cmd));
        fate(cx, &mut agent).await
    }))
    .await?;
    for ((what, ..), fate) in cases.iter().zip(&fates) {
        cx.expect(FLEET_VIOLATIONS_4, fate, &[kicked(what)])?;
    }
    Ok(())
}

/// CmdIds that no Cmd had: on a connection without Cmds.
pub(super) async fn unknown_cmd_id(cx: &Cx) -> Outcome {
    let cases = [
        "a cmdId that was made up",
        "no cmdId",
        "a reqId as cmdId",
        "a failure with a cmdId that was made up",
    ];
    let fates = try_join_all(cases.iter().enumerate().map(async |(at, _)| {
        let mut agent = Agent::connect(cx).await?;
        let poll = polled(cx, &mut agent).await?.0.poll;
        let cmd_id = match at {
            1 => String::new(),
            2 => poll.req_id.clone(),
            _ => cx.token(16),
        };
        let ack = Ack { cmd_id, ok: at != 3, error: None, already_gone: None, room: None, exists: None };
        agent.send_ack(&ack);
        // Or it would be closed for its silence.
        agent.says(agent.snapshot());
        fate(cx, &mut agent).await
    }))
    .await?;
    for (what, fate) in cases.iter().zip(&fates) {
        cx.expect(FLEET_VIOLATIONS_5, fate, &[kicked(what)])?;
    }
    Ok(())
}

/// A Cmd is acknowledged on its own connection alone: whoever else has its cmdId does not acknowledge it.
pub(super) async fn cmd_id_of_another(cx: &Cx) -> Outcome {
    let mut agent = Agent::join(cx, cx.snapshot()).await?;
    let mut other = Agent::join(cx, cx.snapshot()).await?;
    let (cmd, pending) = Task::Create.ask(cx, &mut agent).await?;
    // A failure would settle the request in another way.
    other.send_ack(&ACKS[1](&cmd));
    let fate = fate(cx, &mut other).await?;
    let what = kicked("the cmdId of a Cmd that is in flight on another connection");
    cx.expect(FLEET_VIOLATIONS_5, &fate, &[what])?;
    agent.send_ack(&done(&cmd));
    let seen = pending.answer().await?;
    cx.expect(FLEET_VIOLATIONS_5, &seen, &[answer(201).into()])?;
    let next = cx.snapshot();
    let hash = next.hash();
    let goes_on = takes(cx, &mut agent, next).await?;
    cx.expect(FLEET_VIOLATIONS_5, &goes_on, &[polled_with(&hash)])?;
    Ok(())
}
