//! What no agent sends, and what the others have to notice of it: nothing.

use crate::{
    check::{Cx, Outcome, alternative},
    checks::fleet::{
        agent::{Agent, Came, Heard},
        manual::masked,
        setting::{get, ok, raw_handshake},
    },
};
use tokio::time::Instant;
use wireproof_spec::{fleet::requirements::*, requirement::RequirementId};

/// More than any orchestrator takes.
const TOO_LONG: usize = 4_194_304 + 1;

/// That an agent that was there before is polled behind this, and that /healthz is answered.
async fn others_go_on(cx: &Cx, requirement: RequirementId, agent: &mut Agent) -> Outcome {
    let since = Instant::now();
    let seen = cx.http().send(get(cx, "healthz")).await?;
    cx.expect(requirement, &seen, &[ok(200)])?;
    loop {
        let seen = agent.next(cx).await?;
        let poll = alternative("a Poll on the connection of another agent", |heard: &Heard| {
            matches!(heard.came, Came::Poll(_))
        });
        if cx.expect(requirement, &seen, &[poll])?.at > since {
            return Ok(());
        }
    }
}

/// Sends this right behind a handshake with a wrong ticket, and behind one with a right one before it is answered.
async fn before(cx: &Cx, bytes: &[u8], stranger: bool) -> Outcome {
    let wrong = cx.token(24);
    for ticket in [Some(cx.tickets()[0].as_str()), stranger.then_some(wrong.as_str())].into_iter().flatten() {
        let mut peer = cx.raw().await?;
        let head = peer.head(&raw_handshake(cx, ticket));
        let sent = peer.write(&[head.as_slice(), bytes].concat()).await;
        // Whatever it is answered with: it was read as far as anybody wants to.
        let _ = peer.reply(sent, "GET").await?;
        peer.cut().await;
    }
    Ok(())
}

/// Frames that break the rules of WebSocket, and a text.
pub(super) async fn broken(cx: &Cx) -> Outcome {
    let mut other = Agent::join(cx, cx.snapshot()).await?;
    let unmasked = [&[0x82, 4][..], b"none"].concat();
    let all = [
        masked(0x81, b"{}"),
        masked(0x81, &[0xff, 0xfe]),
        unmasked,
        masked(0x83, b"reserved"),
        masked(0x8b, b"reserved"),
        masked(0xc2, b"compressed"),
        masked(0xf2, b"bits"),
    ];
    for (number, bytes) in all.iter().enumerate() {
        let agent = Agent::connect(cx).await?;
        agent.send_raw(bytes);
        before(cx, bytes, number == 0).await?;
        others_go_on(cx, FLEET_FRAMES_18, &mut other).await?;
    }
    Ok(())
}

/// A message of one byte more than any orchestrator takes, and one that says that it has much more and never ends.
pub(super) async fn too_long(cx: &Cx) -> Outcome {
    let mut other = Agent::join(cx, cx.snapshot()).await?;
    let whole = masked(0x82, &vec![0; TOO_LONG]);
    let endless = [&[0x82, 0x80 | 127][..], &(1_u64 << 40).to_be_bytes(), &[0; 4], &[0; 1024]].concat();
    for bytes in [&whole, &endless] {
        let mut agent = Agent::connect(cx).await?;
        agent.send_raw(bytes);
        let until = Instant::now() + cx.answer_time() / 10;
        // It may be closed, or wait for the rest.
        while let Some(seen) = agent.next_by(until).await? {
            if !seen.look().is_ok_and(|heard| matches!(heard.came, Came::Hello(_) | Came::Poll(_))) {
                break;
            }
        }
        before(cx, bytes, false).await?;
        others_go_on(cx, FLEET_FRAMES_19, &mut other).await?;
    }
    // To one with a wrong ticket it is sent too.
    before(cx, &endless, true).await?;
    others_go_on(cx, FLEET_FRAMES_19, &mut other).await
}

/// A head up to about here, which ends within the name of a header or the method: within a value it could end within a key, and
/// the beginning of a key is no secret that anybody knows of.
fn within_a_name(head: &[u8], at: usize) -> &[u8] {
    let line = head[..at].windows(2).rposition(|end| end == b"\r\n").map_or(0, |end| end + 2);
    &head[..line + 2]
}

/// Handshakes that end in the middle of a header, in their request line and behind it.
pub(super) async fn half_a_handshake(cx: &Cx) -> Outcome {
    let mut other = Agent::join(cx, cx.snapshot()).await?;
    let mut open = Vec::new();
    for part in [3, 2] {
        let mut peer = cx.raw().await?;
        let head = peer.head(&raw_handshake(cx, &cx.tickets()[0]));
        peer.write(within_a_name(&head, head.len() * (part - 1) / part)).await;
        open.push(peer);
        let mut peer = cx.raw().await?;
        peer.write(within_a_name(&head, head.len() / part / 4)).await;
        peer.cut().await;
        others_go_on(cx, FLEET_FRAMES_20, &mut other).await?;
    }
    for peer in open {
        peer.cut().await;
    }
    others_go_on(cx, FLEET_FRAMES_20, &mut other).await
}
