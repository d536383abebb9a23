//! What is left open, and what is shown of what was applied.

use super::bounds::Change;
use crate::{
    check::{Cx, Outcome, Shown, alternative},
    checks::fleet::{
        agent::done,
        by_hand::{Became, ByHand, applied, not_applied},
        setting::{Say, cause, create, data, instance, ok_and, rooms_of, told},
    },
    one_of,
    wire::Seen,
};
use futures_util::future::try_join_all;
use serde_json::json;
use wireproof_spec::{
    fleet::{Cause, Label, Origin, Snapshot, Status, requirements::*},
    http::Response,
    requirement::RequirementId,
};

/// Each of these is applied or rejected, on a connection of its own.
async fn either(cx: &Cx, requirement: RequirementId, changes: &[Change]) -> Outcome {
    let seen = try_join_all(changes.iter().map(async |(_, change)| {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        let next = hand.held.clone().labelled("is", "next").but(change);
        hand.tell(cx, &next).await
    }))
    .await?;
    for ((what, _), became) in changes.iter().zip(&seen) {
        cx.expect(requirement, became, &one_of![applied(what), not_applied(what)])?;
    }
    Ok(())
}

/// Each URL is shown as it was spelled, with the instance and with its rooms.
pub(super) async fn spelled(cx: &Cx) -> Outcome {
    let urls = [
        "wss://Host.Example/Rooms",
        "WSS://host.example/rooms",
        "ws://host.example",
        "https://host.example:443/",
        "http://host.example/a/../b/./c",
        "wss://host.example/%7erooms?q=%41#here",
    ];
    try_join_all(urls.map(async |url| {
        let room = told(&cx.name(), "any", 0);
        let first = cx.snapshot().with_room(room).but(|s| s.endpoint_url = url.into());
        let hand = ByHand::join(cx, first).await?;
        let _ = hand.shown(cx, "name").await?;
        let seen = cx.send(instance(cx, &hand.agent.id)).await?;
        let spelled = ok_and(200, &format!("the endpointUrl {url}, with its room too"), move |data| {
            data["endpointUrl"] == url && data["rooms"][0]["endpointUrl"] == url
        });
        cx.expect(FLEET_SNAPSHOT_18, &seen, &[spelled])?;
        Ok(())
    }))
    .await?;
    Ok(())
}

/// What became of a snapshot, and what was answered to a request about it.
struct And(Became, Option<Response>);

impl Shown for And {
    fn shown(&self) -> String {
        format!("{}; {}", self.0.shown(), self.1.shown())
    }
}

/// What became of a snapshot, and the answer to this, if it was applied.
async fn and(cx: &Cx, became: Seen<Became>, request: wireproof_spec::http::Request) -> Outcome<Seen<And>> {
    if became.look().is_ok_and(|became| *became == Became::Applied) {
        let seen = cx.send(request).await?;
        return Ok(became.and(seen).map(|(became, response)| And(became, Some(response))));
    }
    Ok(became.map(|became| And(became, None)))
}

/// That it was rejected.
fn rejected() -> crate::check::Alternative<And> {
    alternative("a rejection", |and: &And| and.0 == Became::NotApplied)
}

/// A status that nobody knows.
pub(super) async fn status(cx: &Cx) -> Outcome {
    let kind = cx.name();
    let mut hand = ByHand::join(cx, cx.snapshot().hosting(&[&kind])).await?;
    hand.agent.acks(Some(done));
    let paused = hand.held.clone().in_status(Status::Other("paused".into()));
    let became = hand.tell(cx, &paused).await?;
    let seen = and(cx, became, create(cx, &json!({"type": kind}))).await?;
    let spared = alternative("no room is placed on its instance", |and: &And| {
        and.1.as_ref().is_some_and(|response| cause(response) == Some(Cause::NoCandidate))
    });
    cx.expect(FLEET_SNAPSHOT_19, &seen, &one_of![rejected(), spared])?;
    Ok(())
}

/// Versions and ids of processes that no agent has.
pub(super) async fn versions(cx: &Cx) -> Outcome {
    let changes: [Change; 7] = [
        ("the protocolVersion 2", |s| s.protocol_version = 2),
        ("the protocolVersion 4", |s| s.protocol_version = 4),
        ("the protocolVersion 0", |s| s.protocol_version = 0),
        ("a processUid of 257 units", |s| s.process_uid = "p".repeat(257)),
        ("an empty processUid", |s| s.process_uid.clear()),
        ("an agentVersion of 257 units", |s| s.agent_version = "1".repeat(257)),
        ("an empty agentVersion", |s| s.agent_version.clear()),
    ];
    either(cx, FLEET_SNAPSHOT_20, &changes).await
}

/// Snapshots with these hashes.
async fn hashed(cx: &Cx, requirement: RequirementId, cases: &[(&'static str, String)]) -> Outcome {
    let seen = try_join_all(cases.iter().map(async |(_, hash)| {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        let next = hand.held.clone().labelled("is", "next");
        hand.tell_as(cx, &next, 100, hash).await
    }))
    .await?;
    for ((what, _), became) in cases.iter().zip(&seen) {
        cx.expect(requirement, became, &one_of![applied(what), not_applied(what)])?;
    }
    Ok(())
}

/// Hashes that no formula gives.
pub(super) async fn hashes(cx: &Cx) -> Outcome {
    let cases = [
        ("a snapshot whose hash has 257 units", "0".repeat(257)),
        ("a snapshot with an empty hash", String::new()),
    ];
    hashed(cx, FLEET_SNAPSHOT_21, &cases).await
}

/// A hash of another snapshot.
pub(super) async fn wrong_hash(cx: &Cx) -> Outcome {
    hashed(cx, FLEET_SNAPSHOT_25, &[("a snapshot with another hash", cx.snapshot().hash())]).await
}

/// Values that no bound speaks of.
pub(super) async fn odd(cx: &Cx) -> Outcome {
    let changes: [Change; 5] = [
        ("a capacity of -1", |s| s.capacity.max_rooms = Some(-1)),
        ("a room with an empty id", |s| s.rooms = vec![told("", "any", 0)]),
        ("a room with an empty type", |s| s.rooms = vec![told(&s.name, "", 0)]),
        ("two rooms of one id", |s| s.rooms = vec![told(&s.name, "any", 0), told(&s.name, "any", 1)]),
        ("a room type twice", |s| s.room_types = vec!["any".into(), "any".into()]),
    ];
    either(cx, FLEET_SNAPSHOT_22, &changes).await
}

/// A room that neither a command nor the host has made.
pub(super) async fn origin(cx: &Cx) -> Outcome {
    let mut hand = ByHand::join(cx, cx.snapshot()).await?;
    let mut room = told(&cx.name(), "any", 0);
    room.origin = Origin::Other("elsewhere".into());
    let became = hand.tell(cx, &hand.held.clone().with_room(room)).await?;
    let request = rooms_of(cx, &hand.agent.id);
    let seen = and(cx, became, request).await?;
    let not_local = alternative("a room that is not local", |and: &And| {
        and.1.as_ref().is_some_and(|response| data(response)[0]["local"] == false)
    });
    cx.expect(FLEET_SNAPSHOT_23, &seen, &one_of![rejected(), not_local])?;
    Ok(())
}

/// Hashes that are not that of the snapshot, where somebody looks at them.
pub(super) async fn verified(cx: &Cx) -> Outcome {
    let cases = [
        "the hash of another snapshot",
        "an empty hash",
        "a hash with a zero behind it",
        "a hash in capitals",
    ];
    try_join_all(cases.iter().enumerate().map(async |(at, what)| {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        // Some letter is in it sooner or later.
        let lettered = |n: usize| hand.held.clone().labelled("is", &n.to_string());
        let has_letter = |s: &Snapshot| s.hash().bytes().any(|byte| byte.is_ascii_lowercase());
        let next = (0..).map(lettered).find(has_letter).unwrap_or_else(|| hand.held.clone());
        let hash = match at {
            0 => cx.snapshot().hash(),
            1 => String::new(),
            2 => format!("{}0", next.hash()),
            _ => next.hash().to_uppercase(),
        };
        let became = hand.tell_as(cx, &next, 100, &hash).await?;
        cx.expect(FLEET_SNAPSHOT_24, &became, &[not_applied(&format!("a snapshot with {what}"))])?;
        let became = hand.tell_as(cx, &next, 101, &next.hash()).await?;
        cx.expect(FLEET_SNAPSHOT_24, &became, &[applied("the same with its own hash")])?;
        Ok(())
    }))
    .await?;
    Ok(())
}

/// The last of two labels, also where there are 33 labels of 32 keys.
pub(super) async fn one_key_twice(cx: &Cx) -> Outcome {
    let label = |key: &str, value: &str| Label { key: key.into(), value: value.into() };
    let two = vec![label("key", "first"), label("key", "last")];
    let mut many: Vec<Label> = (0..32).map(|n| label(&format!("key-{n}"), "first")).collect();
    many.push(label("key-7", "last"));
    try_join_all([two, many].map(async |labels| {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        let next = hand.held.clone().but(|s| s.labels = labels);
        let became = hand.tell(cx, &next).await?;
        cx.expect(FLEET_SNAPSHOT_33, &became, &[applied("a snapshot with a key twice")])?;
        if let Some(seen) = hand.shown(cx, "labels").await? {
            cx.expect(FLEET_SNAPSHOT_33, &seen, &[hand.has("labels")])?;
        }
        Ok(())
    }))
    .await?;
    Ok(())
}
