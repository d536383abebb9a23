//! Acks in other bytes than agents write.

use super::bytes::{self, Field, amid_unknown, number, of_inner, text};
use crate::{
    check::{Alternative, Cx, Outcome},
    checks::fleet::{
        agent::{Agent, done, failed},
        setting::{ok, pinned, refused},
    },
    one_of,
};
use wireproof_spec::{
    fleet::{Ack, Cause, Cmd, requirements::*},
    http::Response,
    requirement::RequirementId,
};

/// The number of the room in an Ack.
const ROOM: u32 = 5;

/// An agent that answers Polls and says nothing to Cmds.
async fn agent(cx: &Cx) -> Outcome<Agent> {
    Agent::join(cx, cx.snapshot()).await
}

/// Asks for a room and has the agent send these bytes to its Cmd, and then perhaps an ordinary Ack; claims about the answer.
async fn answered(
    cx: &Cx,
    agent: &mut Agent,
    requirement: RequirementId,
    says: &(dyn Fn(&Cmd) -> Vec<u8> + Send + Sync),
    behind: Option<fn(&Cmd) -> Ack>,
    expected: &[Alternative<Response>],
) -> Outcome {
    let pending = cx.begin(pinned(cx, agent, &cx.name()), cx.answer_time()).await?;
    let seen = agent.cmd(cx).await?;
    let Ok(cmd) = seen.look() else { return Err(cx.stop("no Cmd came")) };
    agent.send_binary(says(cmd));
    if let Some(behind) = behind {
        agent.send_ack(&behind(cmd));
    }
    let seen = pending.answer().await?;
    cx.expect(requirement, &seen, expected)?;
    Ok(())
}

fn outer(fields: &[Field]) -> Vec<u8> {
    bytes::outer("fleet/ack", &bytes::inner(fields))
}

/// An Ack with another first byte, and JSON; behind it one that says no. A connection may be closed for it.
pub(super) async fn other_majors(cx: &Cx) -> Outcome {
    const MAJORS: [u8; 5] = [0, 2, 4, 0xff, b'{'];
    for major in MAJORS {
        let mut agent = agent(cx).await?;
        let says = move |cmd: &Cmd| {
            let mut inner = done(cmd).encode_frame();
            if major == b'{' {
                inner = format!("{{\"cmdId\":{:?},\"ok\":true}}", cmd.cmd_id).into_bytes();
            } else {
                inner[0] = major;
            }
            bytes::outer("fleet/ack", &inner)
        };
        let expected = one_of![refused(Cause::CommandFailed), refused(Cause::InstanceDisconnected)];
        answered(cx, &mut agent, FLEET_FRAMES_5, &says, Some(failed), &expected).await?;
    }
    Ok(())
}

/// An Ack with another second byte.
pub(super) async fn other_minors(cx: &Cx) -> Outcome {
    let mut agent = agent(cx).await?;
    for minor in [1, 0x7f, 0xff] {
        let says = move |cmd: &Cmd| {
            let mut inner = done(cmd).encode_frame();
            inner[1] = minor;
            bytes::outer("fleet/ack", &inner)
        };
        answered(cx, &mut agent, FLEET_FRAMES_7, &says, None, &[ok(201)]).await?;
    }
    Ok(())
}

pub(super) async fn unknown_outer(cx: &Cx) -> Outcome {
    const PLACES: usize = 3;
    let mut agent = agent(cx).await?;
    for place in 0..PLACES {
        let says = move |cmd: &Cmd| bytes::outers("fleet/ack", &done(cmd).encode_frame()).swap_remove(place);
        answered(cx, &mut agent, FLEET_FRAMES_8, &says, None, &[ok(201)]).await?;
    }
    Ok(())
}

/// Unknown fields in an Ack and in its room; in one that says no, and in one that says yes.
pub(super) async fn unknown(cx: &Cx) -> Outcome {
    let mut agent = agent(cx).await?;
    let yes = |cmd: &Cmd| outer(&amid_unknown(of_inner(&done(cmd).encode_frame()), &[ROOM]));
    answered(cx, &mut agent, FLEET_FRAMES_9, &yes, None, &[ok(201)]).await?;
    let no = |cmd: &Cmd| outer(&amid_unknown(of_inner(&failed(cmd).encode_frame()), &[]));
    answered(cx, &mut agent, FLEET_FRAMES_9, &no, None, &[refused(Cause::CommandFailed)]).await
}

pub(super) async fn any_order(cx: &Cx) -> Outcome {
    let mut agent = agent(cx).await?;
    let turned = |cmd: &Cmd| {
        let mut all = of_inner(&done(cmd).encode_frame());
        all.reverse();
        outer(&all)
    };
    answered(cx, &mut agent, FLEET_FRAMES_10, &turned, None, &[ok(201)]).await?;
    let outside = |cmd: &Cmd| bytes::turned("fleet/ack", &done(cmd).encode_frame());
    answered(cx, &mut agent, FLEET_FRAMES_10, &outside, None, &[ok(201)]).await
}

pub(super) async fn without_ok(cx: &Cx) -> Outcome {
    /// The number of ok.
    const OK: u32 = 2;
    let mut agent = agent(cx).await?;
    let says = |cmd: &Cmd| {
        let mut all = of_inner(&done(cmd).encode_frame());
        all.retain(|field| field.number != OK);
        outer(&all)
    };
    answered(cx, &mut agent, FLEET_FRAMES_12, &says, None, &[refused(Cause::CommandFailed)]).await
}

/// An Ack that says no and then yes, one that says yes and then no, and one with two cmdIds.
pub(super) async fn last_of_several(cx: &Cx) -> Outcome {
    let mut agent = agent(cx).await?;
    let yes = |cmd: &Cmd| outer(&[text(1, cmd.cmd_id.as_bytes()), number(2, 0), number(2, 1)]);
    answered(cx, &mut agent, FLEET_FRAMES_13, &yes, None, &[ok(201)]).await?;
    let no = |cmd: &Cmd| outer(&[text(1, cmd.cmd_id.as_bytes()), number(2, 1), number(2, 0)]);
    answered(cx, &mut agent, FLEET_FRAMES_13, &no, None, &[refused(Cause::CommandFailed)]).await?;
    let two = |cmd: &Cmd| outer(&[text(1, b"none"), text(1, cmd.cmd_id.as_bytes()), number(2, 1)]);
    answered(cx, &mut agent, FLEET_FRAMES_13, &two, None, &[ok(201)]).await
}
