//! Wrong keys are counted by the address that they come from.

use super::{own, with};
use crate::{
    check::{Cx, Outcome, alternative, answer},
    checks::fleet::{
        agent::{Agent, Came, Heard},
        setting::{Caller, get, handshake, ok, refused},
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

/// A request with a wrong key.
fn wrong(cx: &Cx) -> Request {
    with(get(cx, "v1/stats"), &format!("Bearer {}", cx.token(24)))
}

/// Spends all tokens of an address, by these requests.
async fn spend(cx: &Cx, as_own: impl Fn(usize, Request) -> Request) -> Outcome {
    let mut stranger = cx.stranger();
    for number in 0..TOKENS {
        let seen = own(cx, stranger.once(as_own(number, wrong(cx))).await?)?;
        cx.need(FLEET_ACCESS_1, &seen, &[refused(Cause::Unauthorized)])?;
    }
    Ok(())
}

pub(super) async fn throttled(cx: &Cx) -> Outcome {
    /// A token comes back every six seconds.
    const BACK: Duration = Duration::from_secs(7);
    let caller = Caller::new(cx);
    spend(cx, |_, request| caller.asks(request)).await?;
    let none = [refused(Cause::AuthThrottled)];
    cx.expect(FLEET_ACCESS_10, &cx.stranger().once(caller.asks(wrong(cx))).await?, &none)?;
    for path in ["v1/stats", "v1/instances", "v1/events"] {
        cx.expect(FLEET_ACCESS_10, &cx.http().once(caller.asks(get(cx, path))).await?, &none)?;
    }
    sleep(BACK).await;
    let seen = cx.http().once(caller.asks(get(cx, "v1/stats"))).await?;
    cx.expect(FLEET_ACCESS_11, &seen, &[ok(200)])?;
    Ok(())
}

/// Twenty requests with a valid key, and then ten with wrong ones: none is throttled.
pub(super) async fn free(cx: &Cx) -> Outcome {
    let caller = Caller::new(cx);
    for _ in 0..2 * TOKENS {
        cx.expect(FLEET_ACCESS_12, &cx.send(caller.asks(get(cx, "v1/stats"))).await?, &[ok(200)])?;
    }
    let mut stranger = cx.stranger();
    for _ in 0..TOKENS {
        let seen = stranger.once(caller.asks(wrong(cx))).await?;
        cx.expect(FLEET_ACCESS_12, &seen, &[refused(Cause::Unauthorized)])?;
    }
    Ok(())
}

/// Whoever needs no key goes on, and so do agents.
pub(super) async fn beside(cx: &Cx) -> Outcome {
    let caller = Caller::new(cx);
    let ticket = [cx.tickets()[0].as_str(), SENTINEL];
    let (seen, agent) = Agent::dial_with(cx, caller.asks(handshake(cx)), &ticket).await?;
    cx.need(FLEET_CONNECT_1, &seen, &[answer(101).into()])?;
    let Some(mut agent) = agent else { return Err(cx.stop("there is no connection behind the 101")) };
    agent.says(cx.snapshot());
    agent.known(cx).await?;
    spend(cx, |_, request| caller.asks(request)).await?;
    let seen = cx.http().once(caller.asks(get(cx, "v1/stats"))).await?;
    cx.need(FLEET_ACCESS_10, &seen, &[refused(Cause::AuthThrottled)])?;
    for path in ["healthz", "readyz"] {
        let seen = cx.http().once(caller.asks(get(cx, path))).await?;
        cx.expect(FLEET_ACCESS_13, &seen, &[ok(200)])?;
    }
    // The second one is sent when the first was answered.
    for _ in 0..2 {
        let seen = agent.next(cx).await?;
        let poll = alternative("a Poll", |heard: &Heard| matches!(heard.came, Came::Poll(_)));
        cx.expect(FLEET_ACCESS_14, &seen, &[poll])?;
    }
    let (seen, newcomer) = Agent::dial_with(cx, caller.asks(handshake(cx)), &ticket).await?;
    cx.expect(FLEET_ACCESS_24, &seen, &[answer(101).into()])?;
    if let Some(mut newcomer) = newcomer {
        let hello = alternative("a Hello", |heard: &Heard| matches!(heard.came, Came::Hello(_)));
        cx.expect(FLEET_ACCESS_24, &newcomer.next(cx).await?, &[hello])?;
    }
    Ok(())
}

/// Ten handshakes that are turned away, and then an operator with a valid key.
pub(super) async fn turned_away(cx: &Cx) -> Outcome {
    let caller = Caller::new(cx);
    for _ in 0..TOKENS {
        let wrong = cx.token(24);
        let (_, agent) = Agent::dial_with(cx, caller.asks(handshake(cx)), &[&wrong, SENTINEL]).await?;
        if let Some(mut agent) = agent {
            let _ = agent.fate(cx, Duration::from_secs(1)).await?;
        }
    }
    let seen = cx.http().once(caller.asks(get(cx, "v1/stats"))).await?;
    cx.expect(FLEET_ACCESS_15, &seen, &one_of![ok(200), refused(Cause::AuthThrottled)])?;
    Ok(())
}

/// As if this client of a proxy had asked, with an address that anybody can write.
fn client(number: usize, request: Request) -> Request {
    request.header("x-forwarded-for", format!("192.0.2.{}", number + 1))
}

pub(super) async fn no_proxy(cx: &Cx) -> Outcome {
    spend(cx, client).await?;
    let seen = cx.stranger().once(client(TOKENS, wrong(cx))).await?;
    cx.expect(FLEET_ACCESS_16, &seen, &[refused(Cause::AuthThrottled)])?;
    Ok(())
}

pub(super) async fn behind_a_proxy(cx: &Cx) -> Outcome {
    let (one, other) = (Caller::new(cx), Caller::new(cx));
    spend(cx, |_, request| one.asks(request)).await?;
    let seen = cx.stranger().once(one.asks(wrong(cx))).await?;
    cx.expect(FLEET_ACCESS_17, &seen, &[refused(Cause::AuthThrottled)])?;
    let seen = cx.stranger().once(other.asks(wrong(cx))).await?;
    cx.expect(FLEET_ACCESS_17, &seen, &[refused(Cause::Unauthorized)])?;
    Ok(())
}
