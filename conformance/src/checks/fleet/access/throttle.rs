//! Wrong keys are counted by the address that they come from.

use super::{own, with};
use crate::{
    check::{Cx, Outcome, alternative, answer},
    checks::fleet::{
        agent::{Agent, Came, Heard, open},
        setting::{get, ok, refused},
    },
    one_of,
};
use std::time::Duration;
use tokio::time::sleep;
use wireproof_spec::{
    fleet::{Cause, connect::SENTINEL, requirements::*},
    http::Request,
};

/// How many wrong keys an address may send at once.
const TOKENS: usize = 10;

/// A request with a wrong key, as if it came for this client, if there is a proxy.
fn wrong(cx: &Cx, forwarded: Option<&str>) -> Request {
    let request = with(get(cx, "v1/stats"), &format!("Bearer {}", cx.token(24)));
    match forwarded {
        Some(address) => request.header("x-forwarded-for", address),
        None => request,
    }
}

/// Spends all tokens of the address of this check, or of this client of a proxy.
async fn spend(cx: &Cx, forwarded: impl Fn(usize) -> Option<String>) -> Outcome {
    let mut stranger = cx.stranger();
    for number in 0..TOKENS {
        let seen = own(cx, stranger.once(wrong(cx, forwarded(number).as_deref())).await?)?;
        cx.need(FLEET_ACCESS_1, &seen, &[refused(Cause::Unauthorized)])?;
    }
    Ok(())
}

pub(super) async fn throttled(cx: &Cx) -> Outcome {
    /// A token comes back every six seconds.
    const BACK: Duration = Duration::from_secs(7);
    spend(cx, |_| None).await?;
    let none = [refused(Cause::AuthThrottled)];
    cx.expect(FLEET_ACCESS_10, &cx.stranger().once(wrong(cx, None)).await?, &none)?;
    for path in ["v1/stats", "v1/instances", "v1/events"] {
        cx.expect(FLEET_ACCESS_10, &cx.http().once(get(cx, path)).await?, &none)?;
    }
    sleep(BACK).await;
    cx.expect(FLEET_ACCESS_11, &cx.http().once(get(cx, "v1/stats")).await?, &[ok(200)])?;
    Ok(())
}

/// Twenty requests with a valid key, and then ten with wrong ones: none is throttled.
pub(super) async fn free(cx: &Cx) -> Outcome {
    for _ in 0..2 * TOKENS {
        cx.expect(FLEET_ACCESS_12, &cx.send(get(cx, "v1/stats")).await?, &[ok(200)])?;
    }
    let mut stranger = cx.stranger();
    for _ in 0..TOKENS {
        let seen = stranger.once(wrong(cx, None)).await?;
        cx.expect(FLEET_ACCESS_12, &seen, &[refused(Cause::Unauthorized)])?;
    }
    Ok(())
}

/// Whoever needs no key goes on, and so do agents.
pub(super) async fn beside(cx: &Cx) -> Outcome {
    let mut agent = Agent::connect(cx).await?;
    agent.says(cx.snapshot());
    agent.known(cx).await?;
    spend(cx, |_| None).await?;
    let seen = cx.http().once(get(cx, "v1/stats")).await?;
    cx.need(FLEET_ACCESS_10, &seen, &[refused(Cause::AuthThrottled)])?;
    for path in ["healthz", "readyz"] {
        cx.expect(FLEET_ACCESS_13, &cx.http().once(get(cx, path)).await?, &[ok(200)])?;
    }
    for _ in 0..2 {
        let seen = agent.next(cx).await?;
        let poll = alternative("a Poll", |heard: &Heard| matches!(heard.came, Came::Poll(_)));
        cx.expect(FLEET_ACCESS_14, &seen, &[poll])?;
    }
    let fate = agent.proof(cx).await?;
    cx.expect(FLEET_ACCESS_14, &fate, &[open()])?;
    let (seen, newcomer) = Agent::dial(cx, &[&cx.tickets()[0], SENTINEL]).await?;
    cx.expect(FLEET_ACCESS_24, &seen, &[answer(101).into()])?;
    if let Some(mut newcomer) = newcomer {
        let hello = alternative("a Hello", |heard: &Heard| matches!(heard.came, Came::Hello(_)));
        cx.expect(FLEET_ACCESS_24, &newcomer.next(cx).await?, &[hello])?;
    }
    Ok(())
}

/// Ten handshakes that are turned away, and then an operator with a valid key.
pub(super) async fn turned_away(cx: &Cx) -> Outcome {
    for _ in 0..TOKENS {
        let wrong = cx.token(24);
        let (_, agent) = Agent::dial(cx, &[&wrong, SENTINEL]).await?;
        if let Some(mut agent) = agent {
            let _ = agent.fate(cx, Duration::from_secs(1)).await?;
        }
    }
    let seen = cx.http().once(get(cx, "v1/stats")).await?;
    cx.expect(FLEET_ACCESS_15, &seen, &one_of![ok(200), refused(Cause::AuthThrottled)])?;
    Ok(())
}

/// An address that anybody can write.
fn client(number: usize) -> String {
    format!("192.0.2.{}", number + 1)
}

pub(super) async fn no_proxy(cx: &Cx) -> Outcome {
    spend(cx, |number| Some(client(number))).await?;
    let seen = cx.stranger().once(wrong(cx, Some(&client(TOKENS)))).await?;
    cx.expect(FLEET_ACCESS_16, &seen, &[refused(Cause::AuthThrottled)])?;
    Ok(())
}

pub(super) async fn behind_a_proxy(cx: &Cx) -> Outcome {
    // Clients of a proxy that nobody else is, as long as nobody else runs this.
    let network = cx.token(4);
    let client = |number: usize| Some(format!("2001:db8::{network}:{number:x}"));
    spend(cx, |_| client(1)).await?;
    let seen = cx.stranger().once(wrong(cx, client(1).as_deref())).await?;
    cx.expect(FLEET_ACCESS_17, &seen, &[refused(Cause::AuthThrottled)])?;
    let seen = cx.stranger().once(wrong(cx, client(2).as_deref())).await?;
    cx.expect(FLEET_ACCESS_17, &seen, &[refused(Cause::Unauthorized)])?;
    Ok(())
}
