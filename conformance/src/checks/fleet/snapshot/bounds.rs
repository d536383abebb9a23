//! The bounds of a snapshot: what just keeps one is applied, and what breaks it is rejected.

use crate::{
    check::{Cx, Outcome},
    checks::fleet::{
        by_hand::{ByHand, applied, not_applied},
        setting::{Say, told},
    },
};
use futures_util::future::try_join_all;
use wireproof_spec::{
    fleet::{
        Label, Snapshot, State,
        frames::{Reader, WireType, header, put_bytes, put_varint},
        requirements::*,
    },
    requirement::RequirementId,
};

/// A change of a snapshot, in words.
pub(super) type Change = (&'static str, fn(&mut Snapshot));

/// On a connection for each: what just keeps a bound is applied, with this member, what breaks it is rejected, and what comes behind
/// that is applied.
async fn bounds(
    cx: &Cx,
    requirement: RequirementId,
    member: Option<&'static str>,
    pairs: &[(Change, Change)],
) -> Outcome {
    try_join_all(pairs.iter().map(async |(within, beyond)| {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        let base = hand.held.clone();
        let became = hand.tell(cx, &base.clone().but(within.1)).await?;
        cx.expect(requirement, &became, &[applied(within.0)])?;
        shows(cx, requirement, &hand, member).await?;
        let became = hand.tell(cx, &base.clone().but(beyond.1)).await?;
        cx.expect(requirement, &became, &[not_applied(beyond.0)])?;
        shows(cx, requirement, &hand, member).await?;
        let became = hand.tell(cx, &base.labelled("is", "behind")).await?;
        cx.expect(requirement, &became, &[applied(&format!("what comes behind {}", beyond.0))])?;
        Ok(())
    }))
    .await?;
    Ok(())
}

/// Where there is an API, that it shows this member as the snapshot has it that was applied last.
async fn shows(cx: &Cx, requirement: RequirementId, hand: &ByHand, member: Option<&'static str>) -> Outcome {
    let Some(member) = member else { return Ok(()) };
    if let Some(seen) = hand.shown(cx, member).await? {
        cx.expect(requirement, &seen, &[hand.has(member)])?;
    }
    Ok(())
}

/// Each of these is applied, on a connection of its own.
async fn all_applied(
    cx: &Cx,
    requirement: RequirementId,
    member: Option<&'static str>,
    changes: &[Change],
) -> Outcome {
    try_join_all(changes.iter().map(async |(what, change)| {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        let next = hand.held.clone().labelled("is", "next").but(change);
        let became = hand.tell(cx, &next).await?;
        cx.expect(requirement, &became, &[applied(what)])?;
        shows(cx, requirement, &hand, member).await
    }))
    .await?;
    Ok(())
}

/// Each of these is rejected, on a connection of its own, and what comes behind it is applied.
async fn all_rejected(cx: &Cx, requirement: RequirementId, changes: &[Change]) -> Outcome {
    try_join_all(changes.iter().map(async |(what, change)| {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        let base = hand.held.clone();
        let became = hand.tell(cx, &base.clone().labelled("is", "next").but(change)).await?;
        cx.expect(requirement, &became, &[not_applied(what)])?;
        let became = hand.tell(cx, &base.labelled("is", "behind")).await?;
        cx.expect(requirement, &became, &[applied(&format!("what comes behind {what}"))])?;
        Ok(())
    }))
    .await?;
    Ok(())
}

fn named(snapshot: &mut Snapshot, name: &str, times: usize) {
    snapshot.name = name.repeat(times);
}

/// 64 units.
pub(super) async fn name(cx: &Cx) -> Outcome {
    let pairs: [(Change, Change); 2] = [
        (("a name of 64 units", |s| named(s, "n", 64)), ("a name of 65 units", |s| named(s, "n", 65))),
        (
            ("a name of 64 units and 128 bytes", |s| named(s, "é", 64)),
            ("a name of 65 units and 130 bytes", |s| named(s, "é", 65)),
        ),
    ];
    bounds(cx, FLEET_SNAPSHOT_3, Some("name"), &pairs).await
}

/// What is empty breaks no bound.
pub(super) async fn empty(cx: &Cx) -> Outcome {
    all_applied(cx, FLEET_SNAPSHOT_4, Some("name"), &[("an empty name", |s| s.name.clear())]).await?;
    let value: Change = ("an empty value of a label", |s| s.labels = label("key", ""));
    all_applied(cx, FLEET_SNAPSHOT_4, Some("labels"), &[value]).await
}

fn label(key: &str, value: &str) -> Vec<Label> {
    vec![Label { key: key.into(), value: value.into() }]
}

fn long(snapshot: &mut Snapshot, units: usize) {
    let url = "wss://long.example/";
    snapshot.endpoint_url = format!("{url}{}", "u".repeat(units - url.len()));
}

/// 512 units.
pub(super) async fn long_url(cx: &Cx) -> Outcome {
    let pair: (Change, Change) = (
        ("an endpointUrl of 512 units", |s| long(s, 512)),
        ("an endpointUrl of 513 units", |s| long(s, 513)),
    );
    bounds(cx, FLEET_SNAPSHOT_5, None, &[pair]).await
}

/// The schemes that there may be, and some that there may not.
pub(super) async fn schemes(cx: &Cx) -> Outcome {
    let good: [Change; 6] = [
        ("the scheme ws", |s| s.endpoint_url = "ws://host.example/rooms".into()),
        ("the scheme wss", |s| s.endpoint_url = "wss://host.example:7350/rooms?a=b".into()),
        ("the scheme http", |s| s.endpoint_url = "http://host.example/rooms".into()),
        ("the scheme https", |s| s.endpoint_url = "https://host.example".into()),
        ("the scheme WSS", |s| s.endpoint_url = "WSS://host.example/rooms".into()),
        ("the scheme Https", |s| s.endpoint_url = "Https://host.example/rooms".into()),
    ];
    let bad: [Change; 7] = [
        ("the scheme javascript", |s| s.endpoint_url = "javascript:alert(1)".into()),
        ("the scheme JavaScript with a host", |s| {
            s.endpoint_url = "JavaScript://host.example/%0aalert(1)".into()
        }),
        ("the scheme ftp", |s| s.endpoint_url = "ftp://host.example/rooms".into()),
        ("the scheme file", |s| s.endpoint_url = "file:///rooms".into()),
        ("the scheme data", |s| s.endpoint_url = "data:text/html,rooms".into()),
        ("the scheme wsx", |s| s.endpoint_url = "wsx://host.example/rooms".into()),
        ("the scheme httpss", |s| s.endpoint_url = "httpss://host.example/rooms".into()),
    ];
    let good = all_applied(cx, FLEET_SNAPSHOT_6, None, &good);
    let bad = all_rejected(cx, FLEET_SNAPSHOT_6, &bad);
    futures_util::future::try_join(good, bad).await?;
    Ok(())
}

/// What is no absolute URL, and none at all.
pub(super) async fn no_url(cx: &Cx) -> Outcome {
    let bad: [Change; 6] = [
        ("an endpointUrl that is a path", |s| s.endpoint_url = "/rooms".into()),
        ("an endpointUrl that is a word", |s| s.endpoint_url = "rooms".into()),
        ("an endpointUrl without a scheme", |s| s.endpoint_url = "//host.example/rooms".into()),
        ("an endpointUrl that is a host", |s| s.endpoint_url = "host.example/rooms".into()),
        ("an endpointUrl with an empty scheme", |s| s.endpoint_url = "://host.example/rooms".into()),
        ("an empty endpointUrl", |s| s.endpoint_url.clear()),
    ];
    let absent = async {
        let mut hand = ByHand::join(cx, cx.snapshot()).await?;
        let next = hand.held.clone().labelled("is", "next").but(|s| s.endpoint_url.clear());
        let state = hand.agent.full(&hand.poll, next);
        hand.agent.send_inner("fleet/state", &without_url(&state));
        let became = hand.became(cx, state, without_url).await?;
        cx.expect(FLEET_SNAPSHOT_7, &became, &[not_applied("a snapshot without endpointUrl")])?;
        Ok(())
    };
    futures_util::future::try_join(all_rejected(cx, FLEET_SNAPSHOT_7, &bad), absent).await?;
    Ok(())
}

/// The inner frame of a State, without the endpointUrl.
fn without_url(state: &State) -> Vec<u8> {
    const URL: u32 = 9;
    let inner = state.encode_frame();
    let mut out = header();
    let mut reader = Reader::new(&inner[out.len()..], 10);
    // What we have written ourselves has no other wire types.
    while let Ok((number, wire)) = reader.tag() {
        match wire {
            WireType::Bytes => match reader.bytes() {
                Ok(bytes) if number != URL => put_bytes(&mut out, number, bytes),
                _ => {}
            },
            _ => {
                put_varint(&mut out, u64::from(number) << 3);
                put_varint(&mut out, reader.varint().unwrap_or_default());
            }
        }
    }
    out
}

fn labels_of(count: usize) -> Vec<Label> {
    (0..count).map(|n| Label { key: format!("key-{n}"), value: n.to_string() }).collect()
}

/// 32 labels.
pub(super) async fn labels(cx: &Cx) -> Outcome {
    let pair: (Change, Change) =
        (("32 labels", |s| s.labels = labels_of(32)), ("33 labels", |s| s.labels = labels_of(33)));
    bounds(cx, FLEET_SNAPSHOT_8, Some("labels"), &[pair]).await
}

/// 64 units of a key and of a value.
pub(super) async fn long_labels(cx: &Cx) -> Outcome {
    let pairs: [(Change, Change); 4] = [
        (
            ("a key of 64 units and 128 bytes", |s| s.labels = label(&"\u{e9}".repeat(64), "v")),
            ("a key of 65 units and 130 bytes", |s| s.labels = label(&"\u{e9}".repeat(65), "v")),
        ),
        (
            ("a value of 64 units and 128 bytes", |s| s.labels = label("k", &"\u{e9}".repeat(64))),
            ("a value of 65 units and 130 bytes", |s| s.labels = label("k", &"\u{e9}".repeat(65))),
        ),
        (
            ("a key of 64 units", |s| s.labels = label(&"k".repeat(64), "v")),
            ("a key of 65 units", |s| s.labels = label(&"k".repeat(65), "v")),
        ),
        (
            ("a value of 64 units", |s| s.labels = label("k", &"v".repeat(64))),
            ("a value of 65 units", |s| s.labels = label("k", &"v".repeat(65))),
        ),
    ];
    bounds(cx, FLEET_SNAPSHOT_9, Some("labels"), &pairs).await
}

fn types_of(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("type-{n:03}")).collect()
}

/// 256 roomTypes.
pub(super) async fn types(cx: &Cx) -> Outcome {
    let pair: (Change, Change) = (
        ("256 roomTypes", |s| s.room_types = types_of(256)),
        ("257 roomTypes", |s| s.room_types = types_of(257)),
    );
    bounds(cx, FLEET_SNAPSHOT_10, Some("roomTypes"), &[pair]).await
}

/// 64 units of a room type, in the last place.
pub(super) async fn long_type(cx: &Cx) -> Outcome {
    let pairs: [(Change, Change); 2] = [
        (
            ("a room type of 64 units", |s| s.room_types.push("z".repeat(64))),
            ("a room type of 65 units", |s| s.room_types.push("z".repeat(65))),
        ),
        (
            ("a room type of 64 units and 128 bytes", |s| s.room_types.push("\u{e9}".repeat(64))),
            ("a room type of 65 units and 130 bytes", |s| s.room_types.push("\u{e9}".repeat(65))),
        ),
    ];
    bounds(cx, FLEET_SNAPSHOT_11, Some("roomTypes"), &pairs).await
}

/// A room, and this one behind it.
fn two_rooms(snapshot: &mut Snapshot, id: &str, kind: &str, connections: u32) {
    let name = &snapshot.name;
    snapshot.rooms =
        vec![told(&format!("{name}-1"), "any", 1), told(&format!("{name}-2{id}"), kind, connections)];
}

fn long_id(snapshot: &mut Snapshot, units: usize) {
    let begins = snapshot.name.encode_utf16().count() + 2;
    two_rooms(snapshot, &"r".repeat(units - begins), "any", 1);
}

/// 256 units of an id.
pub(super) async fn room_id(cx: &Cx) -> Outcome {
    let pair: (Change, Change) = (
        ("a room whose id has 256 units", |s| long_id(s, 256)),
        ("a room whose id has 257 units", |s| long_id(s, 257)),
    );
    bounds(cx, FLEET_SNAPSHOT_12, Some("rooms"), &[pair]).await
}

/// 64 units of a type.
pub(super) async fn type_of_room(cx: &Cx) -> Outcome {
    let pairs: [(Change, Change); 2] = [
        (
            ("a room whose type has 64 units", |s| two_rooms(s, "", &"t".repeat(64), 1)),
            ("a room whose type has 65 units", |s| two_rooms(s, "", &"t".repeat(65), 1)),
        ),
        (
            ("a room whose type has 64 units and 128 bytes", |s| two_rooms(s, "", &"\u{e9}".repeat(64), 1)),
            ("a room whose type has 65 units and 130 bytes", |s| two_rooms(s, "", &"\u{e9}".repeat(65), 1)),
        ),
    ];
    bounds(cx, FLEET_SNAPSHOT_13, Some("rooms"), &pairs).await
}

/// 1000000 connections of one room: together there may be more.
pub(super) async fn connections(cx: &Cx) -> Outcome {
    let pairs: [(Change, Change); 2] = [
        (
            ("a room of 1000000 connections", |s| two_rooms(s, "", "any", 1_000_000)),
            ("a room of 1000001 connections", |s| two_rooms(s, "", "any", 1_000_001)),
        ),
        (
            ("two rooms with 1000001 connections together", |s| two_rooms(s, "", "any", 1_000_000)),
            ("a room of 4294967295 connections", |s| two_rooms(s, "", "any", u32::MAX)),
        ),
    ];
    bounds(cx, FLEET_SNAPSHOT_14, Some("connections"), &pairs).await
}

/// Lengths are counted in units, and not in bytes.
pub(super) async fn units(cx: &Cx) -> Outcome {
    let mut hand = ByHand::join(cx, cx.snapshot()).await?;
    let base = hand.held.clone();
    let within = base.clone().but(|s| named(s, "𝄞", 32));
    let became = hand.tell(cx, &within).await?;
    cx.expect(FLEET_SNAPSHOT_16, &became, &[applied("a name of 32 characters beyond U+FFFF")])?;
    shows(cx, FLEET_SNAPSHOT_16, &hand, Some("name")).await?;
    let became = hand.tell(cx, &base.but(|s| named(s, "𝄞", 33))).await?;
    cx.expect(FLEET_SNAPSHOT_17, &became, &[not_applied("a name of 33 characters beyond U+FFFF")])?;
    Ok(())
}
