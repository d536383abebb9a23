//! Checks of "Access" in spec/fleet.md. Each that sends wrong keys comes from an address of its own: they are counted by address.

mod origins;
mod throttle;

use super::{
    agent::Agent,
    setting::{Caller, Say, ask, cause, create, drain, get, instance, ok, refused, room, rooms_of, told},
};
use crate::{
    check::{Check, Cx, Need, Outcome, Waits, alternative, answer},
    drives, redact,
    wire::Seen,
};
use bytes::Bytes;
use serde_json::json;
use wireproof_spec::{
    fleet::{Cause, Cmd, Poll, ids, requirements::*},
    http::{Request, Response},
};

/// An address that nobody else comes from.
const OWN: &[Need] = &[Need::Address];
/// That, and addresses are those of sockets: where they are told by a proxy, a [`Caller`] has one of its own.
const OWN_SOCKET: &[Need] = &[Need::Address, Need::Feature("fleet.trust-proxy", "off")];

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/access/no-key", &[FLEET_ACCESS_1, FLEET_ACCESS_3], drives!(no_key)).needs(OWN),
    Check::new("fleet/access/no-key-on-any-route", &[FLEET_ACCESS_1], drives!(no_key_anywhere)).needs(OWN),
    Check::new("fleet/access/key-for-agents", &[FLEET_ACCESS_2, FLEET_ACCESS_3], drives!(key_for_agents))
        .needs(OWN),
    Check::new("fleet/access/changes-nothing", &[FLEET_ACCESS_4], drives!(changes_nothing)).needs(OWN),
    Check::new("fleet/access/each-key", &[FLEET_ACCESS_5], drives!(each_key)).needs(&[Need::Second]),
    Check::new("fleet/access/spelling", &[FLEET_ACCESS_6], drives!(spelling)).needs(OWN),
    Check::new("fleet/access/key-in-a-query", &[FLEET_ACCESS_7], drives!(key_in_a_query)).needs(OWN),
    Check::new("fleet/access/health", &[FLEET_ACCESS_8, FLEET_ACCESS_9], drives!(health)),
    Check::new("fleet/access/throttle", &[FLEET_ACCESS_10, FLEET_ACCESS_11], drives!(throttle::throttled))
        .needs(OWN)
        .waits(Waits::Millis(7_000)),
    Check::new("fleet/access/valid-keys-are-free", &[FLEET_ACCESS_12], drives!(throttle::free)).needs(OWN),
    Check::new(
        "fleet/access/beside-the-throttle",
        &[FLEET_ACCESS_13, FLEET_ACCESS_14, FLEET_ACCESS_24],
        drives!(throttle::beside),
    )
    .needs(OWN)
    .waits(Waits::Limit("heartbeat-ms", 2)),
    Check::new("fleet/access/turned-away", &[FLEET_ACCESS_15], drives!(throttle::turned_away)).needs(OWN),
    Check::new("fleet/access/no-proxy", &[FLEET_ACCESS_16], drives!(throttle::no_proxy)).needs(OWN_SOCKET),
    Check::new("fleet/access/behind-a-proxy", &[FLEET_ACCESS_17], drives!(throttle::behind_a_proxy))
        .needs(OWN),
    Check::new("fleet/access/no-api", &[FLEET_ACCESS_18], drives!(no_api))
        .needs(&[Need::Feature("fleet.api", "off")]),
    Check::new("fleet/access/no-other-origin", &[FLEET_ACCESS_19], drives!(origins::none))
        .needs(&[Need::Feature("fleet.cors", "off")]),
    Check::new("fleet/access/no-other-origin-refused", &[FLEET_ACCESS_19], drives!(origins::none_refused))
        .needs(&[Need::Address, Need::Feature("fleet.cors", "off")]),
    Check::new("fleet/access/allowed-origin", &[FLEET_ACCESS_20, FLEET_ACCESS_25], drives!(origins::allowed))
        .needs(OWN),
    Check::new("fleet/access/other-origin", &[FLEET_ACCESS_21], drives!(origins::other)),
    Check::new("fleet/access/other-origin-refused", &[FLEET_ACCESS_21], drives!(origins::other_refused))
        .needs(OWN),
    Check::new("fleet/access/preflight", &[FLEET_ACCESS_22, FLEET_ACCESS_23], drives!(origins::preflight)),
];

/// What came in answer to a request that is not to be let in. Who is throttled before it has sent ten of these shares its address
/// with others.
fn own(cx: &Cx, seen: Seen<Response>) -> Outcome<Seen<Response>> {
    if seen.look().is_ok_and(|response| cause(response) == Some(Cause::AuthThrottled)) {
        return Err(cx.stop(
            "requests of this check are throttled before it has sent ten with a wrong key: it does not come from an address of \
             its own, as behind a proxy",
        ));
    }
    Ok(seen)
}

/// A request with this `Authorization`.
fn with(request: Request, authorization: &str) -> Request {
    request.header("authorization", authorization)
}

/// Requests without a key, and with what is none.
async fn no_key(cx: &Cx) -> Outcome {
    let (key, wrong, caller) = (cx.key().to_owned(), cx.token(24), Caller::new(cx));
    let half = redact::half(&key);
    cx.need(FLEET_ACCESS_5, &cx.send(get(cx, "v1/stats")).await?, &[ok(200)])?;
    let mut stranger = cx.stranger();
    let mut bodies = Vec::new();
    for request in [
        get(cx, "v1/stats"),
        with(get(cx, "v1/instances"), &format!("Bearer {wrong}")),
        with(get(cx, "v1/rooms"), &format!("Basic {key}")),
        with(get(cx, "v1/stats"), &key),
        with(get(cx, "v1/events"), "Bearer"),
        with(drain(cx, &wrong, true), &format!("Bearer {key}{wrong}")),
        with(ask(cx, "DELETE", &format!("v1/rooms/{wrong}")), &format!("Bearer {}", half.unwrap_or(&wrong))),
    ] {
        let seen = own(cx, stranger.send(caller.asks(request)).await?)?;
        cx.expect(FLEET_ACCESS_1, &seen, &[refused(Cause::Unauthorized)])?;
        bodies.push(seen.map(|response| response.body.0));
    }
    let same =
        alternative("seven equal bodies", |all: &Vec<Bytes>| all.windows(2).all(|two| two[0] == two[1]));
    cx.expect(FLEET_ACCESS_3, &Seen::all(bodies), &[same])?;
    Ok(())
}

/// Routes that each may be served by a hand of its own, where there is something to be shown.
async fn no_key_anywhere(cx: &Cx) -> Outcome {
    let id = cx.name();
    let agent = Agent::join(cx, cx.snapshot().with_room(told(&id, "any", 0))).await?;
    let (mut stranger, caller) = (cx.stranger(), Caller::new(cx));
    for request in [
        instance(cx, &agent.id),
        rooms_of(cx, &agent.id),
        room(cx, &ids::public(&id)),
        drain(cx, &agent.id, false),
    ] {
        let seen = own(cx, stranger.send(caller.asks(request)).await?)?;
        cx.expect(FLEET_ACCESS_1, &seen, &[refused(Cause::Unauthorized)])?;
    }
    for path in ["v1/stats", "v1/events"] {
        let seen = stranger.send(caller.asks(ask(cx, "HEAD", path))).await?;
        cx.expect(FLEET_ACCESS_1, &seen, &[answer(401).into()])?;
    }
    Ok(())
}

/// The key of an agent, which is known and not for this.
async fn key_for_agents(cx: &Cx) -> Outcome {
    let ticket = cx.tickets()[0].clone();
    let _agent = Agent::connect(cx).await?;
    let (mut stranger, caller) = (cx.stranger(), Caller::new(cx));
    let mut bodies = Vec::new();
    for request in [
        with(get(cx, "v1/stats"), &format!("Bearer {ticket}")),
        with(get(cx, "v1/instances"), &format!("Bearer {}", cx.token(24))),
        with(create(cx, &json!({"type": cx.name()})), &format!("Bearer {ticket}")),
    ] {
        let seen = own(cx, stranger.send(caller.asks(request)).await?)?;
        cx.expect(FLEET_ACCESS_2, &seen, &[refused(Cause::Unauthorized)])?;
        bodies.push(seen.map(|response| response.body.0));
    }
    let same =
        alternative("three equal bodies", |all: &Vec<Bytes>| all.windows(2).all(|two| two[0] == two[1]));
    cx.expect(FLEET_ACCESS_3, &Seen::all(bodies), &[same])?;
    Ok(())
}

/// Requests that would do something, if they were let in.
async fn changes_nothing(cx: &Cx) -> Outcome {
    let kind = cx.name();
    let mut agent = Agent::obedient(cx, cx.snapshot().hosting(&[&kind])).await?;
    let (mut stranger, caller) = (cx.stranger(), Caller::new(cx));
    for request in [
        create(cx, &json!({"type": kind})),
        drain(cx, &agent.id, true),
        with(create(cx, &json!({"type": kind})), &format!("Bearer {}", cx.token(24))),
    ] {
        let seen = own(cx, stranger.send(caller.asks(request)).await?)?;
        cx.expect(FLEET_ACCESS_4, &seen, &[refused(Cause::Unauthorized)])?;
    }
    // What comes next is for this one, if nothing else was sent; and nothing is draining.
    let id = cx.name();
    let seen = cx.send(create(cx, &json!({"type": kind, "roomId": id}))).await?;
    cx.expect(FLEET_ACCESS_4, &seen, &[ok(201)])?;
    let next = alternative("no Cmd before that for the next request", move |cmd: &Cmd| {
        cmd.room_id.as_deref() == Some(id.as_str())
    });
    cx.expect(FLEET_ACCESS_4, &agent.cmd(cx).await?, &[next])?;
    Ok(())
}

/// Each of two keys for operators.
async fn each_key(cx: &Cx) -> Outcome {
    for mut peer in [cx.http(), cx.second()] {
        cx.expect(FLEET_ACCESS_5, &peer.send(get(cx, "v1/stats")).await?, &[ok(200)])?;
    }
    Ok(())
}

async fn spelling(cx: &Cx) -> Outcome {
    let key = cx.key().to_owned();
    let (mut stranger, caller) = (cx.stranger(), Caller::new(cx));
    // Or nobody looks at keys.
    let seen = own(cx, stranger.send(caller.asks(get(cx, "v1/stats"))).await?)?;
    cx.need(FLEET_ACCESS_1, &seen, &[refused(Cause::Unauthorized)])?;
    for spelled in [format!("bearer {key}"), format!("BEARER {key}"), format!("Bearer   {key}")] {
        let seen = stranger.send(caller.asks(with(get(cx, "v1/stats"), &spelled))).await?;
        cx.expect(FLEET_ACCESS_6, &seen, &[ok(200)])?;
    }
    Ok(())
}

/// A valid key where no key is looked for; what stands in a query ends in logs.
async fn key_in_a_query(cx: &Cx) -> Outcome {
    let key = cx.key().to_owned();
    let (mut stranger, caller) = (cx.stranger(), Caller::new(cx));
    for name in ["key", "token", "access_token"] {
        let seen = own(cx, stranger.send(caller.asks(get(cx, "v1/stats").param(name, &key))).await?)?;
        cx.expect(FLEET_ACCESS_7, &seen, &[refused(Cause::Unauthorized)])?;
    }
    let seen = cx.send(get(cx, "v1/stats").param("key", cx.token(24))).await?;
    cx.expect(FLEET_ACCESS_7, &seen, &[ok(200)])?;
    Ok(())
}

async fn health(cx: &Cx) -> Outcome {
    let _agent = Agent::connect(cx).await?;
    let mut stranger = cx.stranger();
    cx.expect(FLEET_ACCESS_8, &stranger.send(get(cx, "healthz")).await?, &[ok(200)])?;
    cx.expect(FLEET_ACCESS_9, &stranger.send(get(cx, "readyz")).await?, &[ok(200)])?;
    Ok(())
}

/// Where there is no API, agents are served all the same.
async fn no_api(cx: &Cx) -> Outcome {
    for request in [
        get(cx, "v1/stats"),
        get(cx, "v1/instances"),
        get(cx, "v1/rooms"),
        get(cx, "v1/events"),
        create(cx, &json!({"type": cx.name()})),
        drain(cx, &cx.token(16), true),
    ] {
        cx.expect(FLEET_ACCESS_18, &cx.send(request).await?, &[refused(Cause::NotFound)])?;
    }
    let mut agent = Agent::connect(cx).await?;
    agent.says(cx.snapshot());
    let hash = agent.snapshot().hash();
    agent.known(cx).await?;
    let poll = agent.poll(cx).await?;
    let some = alternative("a Poll of an agent that was applied", move |poll: &Poll| {
        poll.known_hash.is_none() || poll.known_hash.as_ref() == Some(&hash)
    });
    cx.expect(FLEET_ACCESS_18, &poll, &[some])?;
    Ok(())
}
