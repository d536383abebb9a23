//! The hashes that agents tell.

use crate::{
    check::{Alternative, Check, Cx, Outcome, Shown, alternative},
    checks::fleet::client::{
        Client, Connection, Heard, KINDS, Start, command, create, destroy, snapshot, state_of,
    },
    drives,
    wire::Seen,
};
use serde_json::json;
use wireproof_spec::{
    fleet::{Op, requirements::*},
    requirement::RequirementId,
};

pub(in crate::checks::fleet) const CHECKS: &[Check] = &[
    Check::new("fleet/hash/snapshots", &[FLEET_HASH_2], drives!(snapshots)),
    Check::new("fleet/hash/texts", &[FLEET_HASH_3], drives!(texts)),
    Check::new("fleet/hash/stays", &[FLEET_HASH_4], drives!(stays)),
    Check::new("fleet/hash/changes", &[FLEET_HASH_5], drives!(changes)),
];

/// That a State has a snapshot and its hash.
fn hashed() -> Alternative<Heard> {
    alternative("a State with a snapshot and its hash", |heard: &Heard| {
        heard.state().is_some_and(|state| {
            state.snapshot.as_ref().is_some_and(|snapshot| snapshot.hash() == state.hash)
        })
    })
}

/// Claims that the next snapshot has its hash, and the hash-only State behind it as well.
async fn is_hashed(cx: &Cx, id: RequirementId, connection: &mut Connection) -> Outcome {
    let (poll, seen) = connection.ask(None).await?;
    cx.need(FLEET_REPORT_4, &seen, &[snapshot(&poll)])?;
    let heard = cx.expect(id, &seen, &[hashed()])?;
    let hash = heard.snapshot().map(|snapshot| snapshot.hash()).unwrap_or_default();
    let (poll, seen) = connection.ask(Some(&hash)).await?;
    let same = state_of(&poll, "with the same hash", move |state| state.hash == hash);
    cx.expect(id, &seen, &[same])?;
    Ok(())
}

/// With bounds and without, with rooms and without, active and draining.
async fn snapshots(cx: &Cx) -> Outcome {
    let starts = [
        Start::new(cx),
        Start::new(cx).with("max_connections", 2_000).with("labels", json!({"region": "eu", "az": "a"})),
        Start::new(cx)
            .with("max_connections", 0)
            .with("max_rooms", 4)
            .with("room_types", json!(["b", "a", KINDS[0]])),
    ];
    for start in starts {
        let mut client = Client::start(cx, start).await?;
        let mut connection = client.connect(cx).await?;
        is_hashed(cx, FLEET_HASH_2, &mut connection).await?;
        for cmd in [create("m-1", KINDS[0]), create("r_2", KINDS[0]), command(Op::Drain, None, None)] {
            connection.done(cx, cmd).await?;
            is_hashed(cx, FLEET_HASH_2, &mut connection).await?;
        }
    }
    Ok(())
}

async fn texts(cx: &Cx) -> Outcome {
    let starts = [
        Start::new(cx).with("name", "\"a\\b/\u{8}\t\n\u{c}\r\u{1}\u{1f}\u{7f}\u{2028}\u{1F600}é"),
        Start::new(cx).with("labels", json!({"q\"": "\\ \u{0}\u{b}", "\u{1F600}": "\u{10FFFF}"})),
        // Of these the second comes first by units, and last by characters.
        Start::new(cx).with("labels", json!({"\u{FF5E}": "1", "\u{1F600}": "2", "z": "3", "Z": "4"})),
    ];
    for start in starts {
        let mut client = Client::start(cx, start).await?;
        let mut connection = client.connect(cx).await?;
        is_hashed(cx, FLEET_HASH_3, &mut connection).await?;
    }
    Ok(())
}

/// Hashes, one after the other.
#[derive(Clone, Debug, PartialEq)]
struct Hashes(Vec<String>);

impl Shown for Hashes {
    fn shown(&self) -> String {
        format!("the hashes {}", self.0.join(", "))
    }
}

/// The hash of the answer to the next Poll.
async fn hash(cx: &Cx, connection: &mut Connection, known: Option<&str>) -> Outcome<Seen<String>> {
    let (poll, seen) = connection.ask(known).await?;
    cx.need(FLEET_REPORT_1, &seen, &[state_of(&poll, "", |_| true)])?;
    Ok(seen.map(|heard| heard.state().map(|state| state.hash.clone()).unwrap_or_default()))
}

fn hashes(seen: Vec<Seen<String>>) -> Seen<Hashes> {
    Seen::all(seen).map(Hashes)
}

/// On one connection, and on two that follow.
async fn stays(cx: &Cx) -> Outcome {
    let start = Start::new(cx).with("labels", json!({"b": "1", "a": "2", "c": "3", "d": "4"}));
    let mut client = Client::start(cx, start).await?;
    let mut connection = client.join(cx).await?;
    for id in ["b", "a", "c"] {
        connection.done(cx, create(id, KINDS[0])).await?;
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let first = hash(cx, &mut connection, None).await?;
        let known = first.look().cloned().unwrap_or_default();
        seen.push(first);
        for known in [Some(known.as_str()), None, Some("x")] {
            seen.push(hash(cx, &mut connection, known).await?);
        }
        connection = client.again(cx, connection).await?;
    }
    let same = alternative("one hash, which is not empty", |hashes: &Hashes| {
        hashes.0.iter().all(|hash| !hash.is_empty() && *hash == hashes.0[0])
    });
    cx.expect(FLEET_HASH_4, &hashes(seen), &[same])?;
    Ok(())
}

/// A first room and another, their ends, and the status there and back.
async fn changes(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.connect(cx).await?;
    let mut before = hash(cx, &mut connection, None).await?;
    let drain = |drain| command(if drain { Op::Drain } else { Op::Undrain }, None, None);
    let cmds = [
        create("a", KINDS[0]),
        create("b", KINDS[0]),
        drain(true),
        destroy("a"),
        create("c", KINDS[0]),
        drain(false),
        destroy("c"),
        destroy("b"),
    ];
    for cmd in cmds {
        connection.done(cx, cmd).await?;
        let known = before.look().cloned().unwrap_or_default();
        let behind = hash(cx, &mut connection, Some(&known)).await?;
        let another = alternative("another hash", |hashes: &Hashes| hashes.0[0] != hashes.0[1]);
        cx.expect(FLEET_HASH_5, &hashes(vec![before, behind.clone()]), &[another])?;
        before = behind;
    }
    if cx.features().is("fleet.local-rooms", "on") {
        for (op, args) in
            [("open_room", json!({"id": "l", "type": KINDS[0]})), ("close_room", json!({"id": "l"}))]
        {
            client.app.ask(op, args).await?;
            let behind = hash(cx, &mut connection, None).await?;
            let another = alternative("another hash", |hashes: &Hashes| hashes.0[0] != hashes.0[1]);
            cx.expect(FLEET_HASH_5, &hashes(vec![before, behind.clone()]), &[another])?;
            before = behind;
        }
    }
    Ok(())
}
