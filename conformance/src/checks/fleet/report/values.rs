//! What a snapshot says.

use super::*;
use crate::{
    check::Shown,
    checks::fleet::client::{create, poll_of},
    wire::limit::words,
};
use serde_json::{Value, json};
use wireproof_spec::fleet::{Snapshot, frames::VERSION};

/// The words of a list.
#[derive(Clone, Debug, PartialEq)]
struct Listed(Vec<String>);

impl Shown for Listed {
    fn shown(&self) -> String {
        words(&format!("{:?}", self.0))
    }
}

/// Whether a snapshot says what its owner gave.
fn is_given(snapshot: &Snapshot, start: &Start) -> bool {
    let labels = start.get("labels").as_object().cloned().unwrap_or_default();
    let mut kinds: Vec<&str> =
        start.get("room_types").as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut told: Vec<&str> = snapshot.room_types.iter().map(String::as_str).collect();
    kinds.sort_unstable();
    told.sort_unstable();
    let bound = |name: &str| start.get(name).as_i64().and_then(|bound| i32::try_from(bound).ok());
    *start.get("name") == snapshot.name.as_str()
        && *start.get("endpoint_url") == snapshot.endpoint_url.as_str()
        && !snapshot.process_uid.is_empty()
        && !snapshot.agent_version.is_empty()
        && snapshot.protocol_version == VERSION
        && json!(labels) == json!(snapshot.labels())
        && bound("max_connections") == snapshot.capacity.max_connections
        && bound("max_rooms") == snapshot.capacity.max_rooms
        && start.get("auto_create").as_bool().unwrap_or(true) == snapshot.auto_create
        && kinds == told
        && snapshot.rooms.is_empty()
        && snapshot.status == Status::Active
}

pub(super) async fn values(cx: &Cx) -> Outcome {
    let starts = [
        Start::new(cx),
        Start::new(cx)
            .with("labels", json!({"region": "eu", "az": "", "Ü": "a b\"\\"}))
            .with("max_connections", 2_000)
            .with("max_rooms", 1)
            .with("auto_create", false)
            .with("room_types", json!(["b", "a", "B"])),
        Start::new(cx)
            .with("name", "ü \"\\\u{1F600}")
            .with("endpoint_url", "https://h.example:8443/a%20b?c=d&e")
            .with("auto_create", true)
            .with("room_types", json!([])),
    ];
    for start in starts {
        let mut client = Client::start(cx, start.clone()).await?;
        let mut connection = client.connect(cx).await?;
        for _ in 0..2 {
            let (poll, seen) = connection.ask(None).await?;
            let given = start.clone();
            let said = poll_of(&poll, "a snapshot with what the owner gave", move |snapshot| {
                is_given(snapshot, &given)
            });
            let whole = alternative(said.expected().name.clone(), move |heard: &Heard| {
                matches!(heard.said, Said::State { wrong: None, .. }) && said.holds(heard)
            });
            cx.expect(FLEET_REPORT_5, &seen, &[whole])?;
        }
    }
    Ok(())
}

/// Types that were given, and rooms that were made, in another order; two that code points would have the other way round. Such
/// rooms are of the host, if it makes them.
pub(super) async fn order(cx: &Cx) -> Outcome {
    const NAMES: [&str; 6] = ["b", "a10", "\u{FF5E}", "B", "\u{1F600}", "a9"];
    let sorted = |names: &[&str]| {
        let mut sorted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        sorted.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
        Listed(sorted)
    };
    let mut client = Client::start(cx, Start::new(cx).with("room_types", json!(NAMES))).await?;
    let mut connection = client.join(cx).await?;
    let is_host = cx.features().is("fleet.local-rooms", "on");
    let mut made = Vec::new();
    for name in NAMES {
        if name.is_ascii() {
            connection.done(cx, create(name, NAMES[0])).await?;
            made.push(name);
        } else if is_host {
            let opened = client.app.attempt("open_room", json!({"id": name, "type": NAMES[0]})).await?;
            made.extend(opened.is_ok().then_some(name));
        }
    }
    let (poll, seen) = connection.ask(None).await?;
    cx.need(FLEET_REPORT_4, &seen, &[snapshot(&poll)])?;
    let listed = |of: fn(&Snapshot) -> Vec<String>| {
        seen.clone().map(|heard| Listed(heard.snapshot().map(of).unwrap_or_default()))
    };
    let kinds = listed(|snapshot| snapshot.room_types.clone());
    let rooms = listed(|snapshot| snapshot.rooms.iter().map(|room| room.id.clone()).collect());
    for (what, seen, expected) in [("types", kinds, sorted(&NAMES)), ("rooms", rooms, sorted(&made))] {
        let name = format!("the {what} {}", expected.shown());
        cx.expect(FLEET_REPORT_9, &seen, &[alternative(name, move |listed: &Listed| *listed == expected)])?;
    }
    Ok(())
}

pub(super) async fn capacity(cx: &Cx) -> Outcome {
    for (connections, rooms) in
        [(None, None), (Some(0), None), (None, Some(0)), (Some(0), Some(0)), (Some(7), Some(1))]
    {
        let mut start = Start::new(cx);
        let bounds = [("max_connections", connections), ("max_rooms", rooms)];
        for (name, bound) in bounds.into_iter().filter_map(|(name, bound)| Some((name, bound?))) {
            start = start.with(name, bound);
        }
        let mut client = Client::start(cx, start).await?;
        let mut connection = client.connect(cx).await?;
        let (poll, seen) = connection.ask(None).await?;
        let is = poll_of(
            &poll,
            &format!("a snapshot with a capacity of {connections:?} connections and {rooms:?} rooms"),
            move |snapshot| {
                (snapshot.capacity.max_connections, snapshot.capacity.max_rooms) == (connections, rooms)
            },
        );
        // A reader would take an absent capacity for one without bounds.
        let there = alternative(is.expected().name.clone(), move |heard: &Heard| {
            matches!(heard.said, Said::State { wrong: None, .. }) && is.holds(heard)
        });
        cx.expect(FLEET_REPORT_10, &seen, &[there])?;
    }
    Ok(())
}

/// The processUid of the next snapshot on a connection.
async fn uid(cx: &Cx, connection: &mut Connection) -> Outcome<Seen<String>> {
    let (poll, seen) = connection.ask(None).await?;
    cx.need(FLEET_REPORT_4, &seen, &[snapshot(&poll)])?;
    Ok(seen.map(|heard| heard.snapshot().map(|snapshot| snapshot.process_uid.clone()).unwrap_or_default()))
}

pub(super) async fn one_process(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.connect(cx).await?;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(uid(cx, &mut connection).await?);
        connection = client.again(cx, connection).await?;
    }
    let same = alternative("one processUid on all connections", |uids: &Vec<String>| {
        uids.iter().all(|uid| !uid.is_empty() && *uid == uids[0])
    });
    cx.expect(FLEET_REPORT_11, &Seen::all(seen), &[same])?;
    Ok(())
}

pub(super) async fn two_processes(cx: &Cx) -> Outcome {
    let mut seen = Vec::new();
    // An owner gives both the same.
    let start = Start::new(cx);
    for _ in 0..2 {
        let mut client = Client::start_alone(cx, start.clone()).await?;
        let mut connection = client.connect(cx).await?;
        seen.push(uid(cx, &mut connection).await?);
    }
    let two = alternative("two processUids", |uids: &Vec<String>| uids[0] != uids[1]);
    cx.expect(FLEET_REPORT_12, &Seen::all(seen), &[two])?;
    Ok(())
}
