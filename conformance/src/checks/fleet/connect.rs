//! Checks of "Connect" in spec/fleet.md.

use super::{
    agent::{Agent, Came, Heard},
    manual::{Polled, polled},
    setting::{handshake, info, instance, ticket},
};
use crate::{
    check::{Alternative, Check, Cx, Lane, Need, Outcome, Shown, Waits, alternative, answer},
    drives, one_of, redact,
    wire::{Seen, ws::Peer},
};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::{
    fleet::{connect::SENTINEL, requirements::*},
    http::{Request, Response},
};

/// The header in which protocols are offered.
const OFFER: &str = "sec-websocket-protocol";

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "fleet/connect/key-and-sentinel",
        &[FLEET_CONNECT_1, FLEET_CONNECT_2],
        drives!(key_and_sentinel),
    ),
    Check::new("fleet/connect/each-key", &[FLEET_CONNECT_7], drives!(each_key)).needs(&[Need::Second]),
    Check::new(
        "fleet/connect/where-the-sentinel-stands",
        &[FLEET_CONNECT_8, FLEET_CONNECT_2],
        drives!(where_it_stands),
    ),
    Check::new("fleet/connect/key-alone", &[FLEET_CONNECT_9], drives!(key_alone)),
    Check::new(
        "fleet/connect/sentinel-first",
        &[FLEET_CONNECT_3, FLEET_CONNECT_2, FLEET_CONNECT_6],
        drives!(sentinel_first),
    ),
    // Who is turned away may lose a token that operators need: these come behind all others.
    Check::new("fleet/connect/no-ticket", &[FLEET_CONNECT_5], drives!(no_ticket)).lane(Lane::Last),
    Check::new("fleet/connect/wrong-tickets", &[FLEET_CONNECT_4], drives!(wrong_tickets)).lane(Lane::Last),
    Check::new("fleet/connect/others-stay", &[FLEET_CONNECT_10], drives!(others_stay))
        .lane(Lane::Last)
        .waits(Waits::Limit("heartbeat-ms", 6)),
];

/// The GET of a handshake that offers these.
fn offering(cx: &Cx, offered: &str) -> Request {
    handshake(cx).header(OFFER, offered)
}

/// 101 with this protocol; it is not told what it is, for it may be a key.
fn selecting(what: &str, protocol: &str) -> Alternative<Response> {
    let protocol = protocol.to_owned();
    alternative(format!("101 with {what} as its Sec-WebSocket-Protocol"), move |response: &Response| {
        response.status == 101 && response.headers.joined().get(OFFER) == Some(&protocol)
    })
}

fn without(key: &str) -> Alternative<Response> {
    let key = key.to_owned();
    alternative("no header with the key", move |response: &Response| {
        !response.headers.0.iter().any(|(name, value)| name.contains(&key) || value.contains(&key))
    })
}

/// Sees that a handshake ended in a connection: a Hello comes, and what is said on it is applied.
async fn serves(cx: &Cx, agent: Option<Agent>) -> Outcome<Seen<Heard>> {
    let mut agent = agent.ok_or_else(|| cx.stop("there is no connection behind the 101"))?;
    let first = agent.next(cx).await?;
    if let Ok(Heard { came: Came::Hello(hello), .. }) = first.look() {
        agent.id.clone_from(&hello.instance_id);
        agent.heartbeat = Duration::from_millis(hello.heartbeat_ms.into());
        agent.says(cx.snapshot());
        agent.shown(cx).await?;
    }
    Ok(first)
}

fn hello() -> Alternative<Heard> {
    alternative("a Hello", |heard: &Heard| matches!(heard.came, Came::Hello(_)))
}

/// The ordinary handshake, twice.
async fn key_and_sentinel(cx: &Cx) -> Outcome {
    let key = ticket(cx)?;
    for _ in 0..2 {
        let (seen, agent) = Agent::dial(cx, &[key, SENTINEL]).await?;
        cx.expect(FLEET_CONNECT_1, &seen, &[answer(101).with(OFFER, SENTINEL).into()])?;
        cx.expect(FLEET_CONNECT_2, &seen, &[without(key)])?;
        let first = serves(cx, agent).await?;
        cx.need(FLEET_HELLO_1, &first, &[hello()])?;
    }
    Ok(())
}

/// A connection with each key, while the one before is open.
async fn each_key(cx: &Cx) -> Outcome {
    let mut open = Vec::new();
    for ticket in cx.tickets() {
        if ticket.is_empty() {
            return Err(cx.stop(
                "there is no second key for agents; give it as Sec-WebSocket-Protocol under [second] in the target file",
            ));
        }
        let (seen, agent) = Agent::dial(cx, &[ticket, SENTINEL]).await?;
        cx.expect(FLEET_CONNECT_7, &seen, &[selecting("the sentinel", SENTINEL)])?;
        let mut agent = agent.ok_or_else(|| cx.stop("there is no connection behind the 101"))?;
        let first = agent.next(cx).await?;
        if let Came::Hello(hello) = &cx.expect(FLEET_CONNECT_7, &first, &[hello()])?.came {
            agent.id.clone_from(&hello.instance_id);
            agent.heartbeat = Duration::from_millis(hello.heartbeat_ms.into());
        }
        agent.says(cx.snapshot());
        agent.shown(cx).await?;
        open.push(agent);
    }
    Ok(())
}

/// The sentinel without a space before it, in a header line of its own, behind and before what nobody knows.
async fn where_it_stands(cx: &Cx) -> Outcome {
    let key = ticket(cx)?;
    let requests = [
        offering(cx, &format!("{key},{SENTINEL}")),
        offering(cx, key).header(OFFER, SENTINEL),
        offering(cx, &format!("{key}, unknown.v2, {SENTINEL}")),
        offering(cx, &format!("{key}, {SENTINEL}, unknown.v2")),
        offering(cx, &format!("{key}, unknown.v2")).header(OFFER, format!("other.v1 , {SENTINEL}")),
    ];
    for request in requests {
        let (seen, peer) = cx.upgrade(request).await?;
        cx.expect(FLEET_CONNECT_8, &seen, &[selecting("the sentinel", SENTINEL)])?;
        cx.expect(FLEET_CONNECT_2, &seen, &[without(key)])?;
        let first = serves(cx, peer.map(|peer| Agent::on(cx, peer))).await?;
        cx.expect(FLEET_CONNECT_8, &first, &[hello()])?;
    }
    Ok(())
}

/// As older agents do.
async fn key_alone(cx: &Cx) -> Outcome {
    let key = ticket(cx)?;
    let (seen, agent) = Agent::dial(cx, &[key]).await?;
    let selected = selecting("the key", key);
    let is_selected = seen.look().is_ok_and(|response| selected.holds(response));
    cx.expect(FLEET_CONNECT_9, &seen, &[selected])?;
    if is_selected {
        let first = serves(cx, agent).await?;
        cx.expect(FLEET_CONNECT_9, &first, &[hello()])?;
    }
    Ok(())
}

/// What became of a handshake that is to be turned away.
#[derive(Clone, Debug, PartialEq)]
enum Away {
    /// 101, and then a close frame with the code 4001.
    Closed,
    /// This status.
    Status(u16),
    /// Behind 101 came something else.
    Otherwise(String),
}

impl Shown for Away {
    fn shown(&self) -> String {
        match self {
            Away::Closed => "101, and a close frame with the code 4001".into(),
            Away::Status(status) => format!("an answer with the status {status}"),
            Away::Otherwise(what) => format!("101, and then {what}"),
        }
    }
}

fn by_closing() -> Alternative<Away> {
    alternative("101 and a close frame with the code 4001", |away: &Away| *away == Away::Closed)
}

fn by_status() -> Alternative<Away> {
    alternative("an answer with a status from 400 to 499", |away: &Away| {
        matches!(away, Away::Status(400..=499))
    })
}

/// What comes first behind this handshake.
async fn away(cx: &Cx, request: Request) -> Outcome<Seen<Away>> {
    let (seen, peer) = cx.upgrade(request).await?;
    first(cx, seen, peer).await
}

async fn first(cx: &Cx, answered: Seen<Response>, peer: Option<Peer>) -> Outcome<Seen<Away>> {
    let Some(peer) = peer else { return Ok(answered.map(|response| Away::Status(response.status))) };
    let heard = Agent::on(cx, peer).next(cx).await?;
    Ok(heard.or_lost().map(|heard| match heard {
        Ok(Heard { came: Came::Closed(Some((4001, _))), .. }) => Away::Closed,
        Ok(heard) => Away::Otherwise(heard.shown()),
        Err(why) => Away::Otherwise(why.to_string()),
    }))
}

/// The sentinel where the ticket has to be, beside a connection with the same two in their order.
async fn sentinel_first(cx: &Cx) -> Outcome {
    let key = ticket(cx)?;
    let _there = Agent::join(cx, cx.snapshot()).await?;
    let request = offering(cx, &format!("{SENTINEL}, {key}"));
    let (answered, peer) = cx.upgrade(request).await?;
    cx.expect(FLEET_CONNECT_2, &answered, &[without(key)])?;
    let seen = first(cx, answered, peer).await?;
    cx.expect(FLEET_CONNECT_3, &seen, &[by_closing(), by_status()])?;
    cx.expect(FLEET_CONNECT_6, &seen, &one_of![by_closing(), by_status()])?;
    Ok(())
}

/// No offer; and the key where it is not looked for.
async fn no_ticket(cx: &Cx) -> Outcome {
    let key = ticket(cx)?;
    let _there = Agent::join(cx, cx.snapshot()).await?;
    for request in [handshake(cx), handshake(cx).param("ticket", key), handshake(cx).param("key", key)] {
        let seen = away(cx, request).await?;
        cx.expect(FLEET_CONNECT_5, &seen, &[by_closing(), by_status()])?;
    }
    Agent::connect(cx).await?;
    Ok(())
}

/// First entries that are almost a key for agents, or a key for somebody else.
async fn wrong_tickets(cx: &Cx) -> Outcome {
    let key = ticket(cx)?;
    let _there = Agent::join(cx, cx.snapshot()).await?;
    let other = cx.token(key.len().max(8));
    let mut offers = vec![
        format!("{other}, {SENTINEL}"),
        format!("{other}, {key}, {SENTINEL}"),
        format!("{key}x, {SENTINEL}"),
        other,
    ];
    if let Some(cut) = redact::cut(key) {
        offers.push(format!("{cut}, {SENTINEL}"));
    }
    if cx.features().is("fleet.api", "on") && !cx.key().is_empty() {
        offers.push(format!("{}, {SENTINEL}", cx.key()));
    }
    for offer in offers {
        let seen = away(cx, offering(cx, &offer)).await?;
        cx.expect(FLEET_CONNECT_4, &seen, &[by_closing(), by_status()])?;
    }
    Agent::connect(cx).await?;
    Ok(())
}

/// An agent that is there while others are turned away: it is polled and shown as before.
async fn others_stay(cx: &Cx) -> Outcome {
    const POLLS: usize = 2;
    let mut agent = Agent::join(cx, cx.snapshot()).await?;
    let key = ticket(cx)?;
    for request in
        [offering(cx, &format!("{}, {SENTINEL}", cx.token(24))), offering(cx, &format!("{SENTINEL}, {key}"))]
    {
        let seen = away(cx, request).await?;
        cx.need(FLEET_CONNECT_3, &seen, &[by_closing(), by_status()])?;
        let since = Instant::now();
        let mut behind = 0;
        while behind < POLLS {
            let seen = agent.next(cx).await?;
            let poll = alternative("a Poll", |heard: &Heard| matches!(heard.came, Came::Poll(_)));
            if cx.expect(FLEET_CONNECT_10, &seen, &[poll])?.at > since {
                behind += 1;
            }
        }
        if cx.features().is("fleet.api", "on") {
            let seen = cx.send(instance(cx, &agent.id)).await?;
            cx.expect(FLEET_CONNECT_10, &seen, &[info(&agent.snapshot(), &agent.id)])?;
        }
    }
    let (_, seen) = polled(cx, &mut agent).await?;
    let hash = agent.snapshot().hash();
    let knows = alternative("a Poll that knows what was applied, or asks for all", move |polled: &Polled| {
        polled.poll.known_hash.as_ref().is_none_or(|known| *known == hash)
    });
    cx.expect(FLEET_CONNECT_10, &seen, &[knows])?;
    Ok(())
}
