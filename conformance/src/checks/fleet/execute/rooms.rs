//! Cmds that make and end rooms.

use super::*;
use serde_json::json;

/// The id and the type that an Ack has of a room.
fn of(id: &str, kind: &str) -> impl Fn(&Ack) -> bool + Send + Sync + 'static {
    let (id, kind) = (id.to_owned(), kind.to_owned());
    move |ack| ack.ok && ack.room.as_ref().is_some_and(|room| room.id == id && room.kind == kind)
}

/// Ids that operators may give (FLEET-HTTP-10), the longest among them.
const IDS: [&str; 6] =
    ["m-1", "A", "a", "_", "0123456789-abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0"];

pub(super) async fn creates(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for (n, id) in IDS.into_iter().enumerate() {
        let kind = KINDS[n % 2];
        let (cmd, seen) = connection.tell(create(id, kind)).await?;
        let made = acked(&cmd, "ok, with the room's id and type", of(id, kind));
        cx.expect(FLEET_EXECUTE_3, &seen, &[made])?;
    }
    // An id that was taken is free again.
    connection.done(cx, destroy(IDS[0])).await?;
    let (cmd, seen) = connection.tell(create(IDS[0], KINDS[1])).await?;
    let made = acked(&cmd, "ok, with the room's id and type", of(IDS[0], KINDS[1]));
    cx.expect(FLEET_EXECUTE_3, &seen, &[made])?;
    // While it is draining too.
    connection.done(cx, command(Op::Drain, None, None)).await?;
    let (cmd, seen) = connection.tell(create("drained", KINDS[0])).await?;
    let made = acked(&cmd, "ok, while it is draining", of("drained", KINDS[0]));
    cx.expect(FLEET_EXECUTE_3, &seen, &[made])?;
    Ok(())
}

/// Ids that no operator gives.
pub(super) async fn other_characters(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for id in ["with space", "a/b", "ü\u{1F600}\""] {
        let (cmd, seen) = connection.tell(create(id, KINDS[0])).await?;
        let made = acked(&cmd, "ok, with the room's id and type", of(id, KINDS[0]));
        let refused = acked(&cmd, "not ok, with an error", is_refused);
        cx.expect(FLEET_EXECUTE_22, &seen, &[made, refused])?;
    }
    Ok(())
}

pub(super) async fn shown(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for (n, id) in IDS.into_iter().enumerate() {
        let hash = connection.hash(cx)?;
        connection.done(cx, create(id, KINDS[n % 2])).await?;
        let (poll, seen) = connection.ask(Some(&hash)).await?;
        let all = poll_of(&poll, "a snapshot with the rooms that were made", move |snapshot| {
            let made = |(n, id): (usize, &&str)| has(snapshot, id, KINDS[n % 2], &Origin::Fleet);
            snapshot.rooms.len() == n + 1
                && IDS[..=n].iter().enumerate().all(made)
                && snapshot.rooms.iter().all(|room| room.connections == 0)
        });
        cx.expect(FLEET_EXECUTE_4, &seen, &[all])?;
        connection.snapshot(cx).await?;
    }
    Ok(())
}

pub(super) async fn exists(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    connection.done(cx, create("a", KINDS[0])).await?;
    connection.done(cx, create("b", KINDS[0])).await?;
    for (id, kind) in [("a", KINDS[0]), ("a", KINDS[1]), ("b", KINDS[0])] {
        let (cmd, seen) = connection.tell(create(id, kind)).await?;
        let taken = acked(&cmd, "not ok, with exists", |ack| !ack.ok && ack.exists == Some(true));
        cx.expect(FLEET_EXECUTE_5, &seen, &[taken])?;
    }
    Ok(())
}

pub(super) async fn unknown_type(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    connection.done(cx, create("a", KINDS[0])).await?;
    let upper = KINDS[0].to_uppercase();
    let longer = format!("{}s", KINDS[0]);
    for kind in [Some("unknown"), Some(&upper), Some(&longer), Some(""), None] {
        let (cmd, seen) = connection.tell(command(Op::Create, Some("b"), kind)).await?;
        let refused = acked(&cmd, "not ok, with an error and without exists", |ack| {
            is_refused(ack) && ack.exists != Some(true)
        });
        cx.expect(FLEET_EXECUTE_6, &seen, &[refused])?;
    }
    Ok(())
}

pub(super) async fn no_auto_create(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx).with("auto_create", false)).await?;
    let mut connection = client.join(cx).await?;
    for id in ["a", "b"] {
        let (cmd, seen) = connection.tell(create(id, KINDS[0])).await?;
        cx.expect(FLEET_EXECUTE_7, &seen, &[acked(&cmd, "not ok, with an error", is_refused)])?;
    }
    Ok(())
}

/// Of a bound of two, and of none at all.
pub(super) async fn max_rooms(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx).with("max_rooms", 2)).await?;
    let mut connection = client.join(cx).await?;
    for id in ["a", "b"] {
        let (cmd, seen) = connection.tell(create(id, KINDS[0])).await?;
        cx.expect(FLEET_EXECUTE_8, &seen, &[acked(&cmd, "ok", |ack| ack.ok)])?;
    }
    for id in ["c", "d"] {
        for _ in 0..2 {
            let (cmd, seen) = connection.tell(create(id, KINDS[1])).await?;
            cx.expect(FLEET_EXECUTE_8, &seen, &[acked(&cmd, "not ok, with an error", is_refused)])?;
        }
        connection.done(cx, destroy("a")).await?;
        let (cmd, seen) = connection.tell(create("a", KINDS[1])).await?;
        cx.expect(FLEET_EXECUTE_8, &seen, &[acked(&cmd, "ok, in the place that is free", |ack| ack.ok)])?;
    }
    let mut client = Client::start(cx, Start::new(cx).with("max_rooms", 0)).await?;
    let mut connection = client.join(cx).await?;
    let (cmd, seen) = connection.tell(create("a", KINDS[0])).await?;
    cx.expect(FLEET_EXECUTE_8, &seen, &[acked(&cmd, "not ok, with an error", is_refused)])?;
    Ok(())
}

pub(super) async fn with_the_host(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx).with("max_rooms", 2)).await?;
    let mut connection = client.join(cx).await?;
    client.app.ask("open_room", json!({"id": "host", "type": KINDS[0]})).await?;
    connection.done(cx, create("a", KINDS[0])).await?;
    let (cmd, seen) = connection.tell(create("b", KINDS[0])).await?;
    cx.expect(FLEET_EXECUTE_9, &seen, &[acked(&cmd, "not ok, with an error", is_refused)])?;
    client.app.ask("close_room", json!({"id": "host"})).await?;
    let (cmd, seen) = connection.tell(create("b", KINDS[0])).await?;
    cx.expect(FLEET_EXECUTE_9, &seen, &[acked(&cmd, "ok", |ack| ack.ok)])?;
    Ok(())
}

pub(super) async fn refused_makes_none(cx: &Cx) -> Outcome {
    /// What is told to it.
    type Told = fn() -> Vec<Cmd>;
    let refusals: [(Start, Told); 3] = [
        (Start::new(cx), || {
            let unknown = create("b", "unknown");
            vec![create("a", KINDS[0]), create("a", KINDS[1]), unknown, command(Op::Create, Some("b"), None)]
        }),
        (Start::new(cx).with("max_rooms", 1), || vec![create("b", KINDS[0]), create("a", KINDS[1])]),
        (Start::new(cx).with("auto_create", false), || vec![create("b", KINDS[0])]),
    ];
    for (start, cmds) in refusals {
        let makes = *start.get("auto_create") != false;
        let mut client = Client::start(cx, start).await?;
        let mut connection = client.join(cx).await?;
        if makes {
            connection.done(cx, create("a", KINDS[0])).await?;
            connection.snapshot(cx).await?;
        }
        let hash = connection.hash(cx)?;
        for cmd in cmds() {
            let (cmd, seen) = connection.tell(cmd).await?;
            cx.need(FLEET_EXECUTE_6, &seen, &[acked(&cmd, "not ok", |ack| !ack.ok)])?;
            let (poll, seen) = connection.ask(None).await?;
            let known = hash.clone();
            let same = state_of(&poll, "with the hash of before", move |state| state.hash == known);
            cx.expect(FLEET_EXECUTE_10, &seen, &[same])?;
        }
    }
    Ok(())
}

/// Without an id, and with an empty one; twice, for the ids differ.
pub(super) async fn made_up(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for (n, id) in [None, Some(""), None].into_iter().enumerate() {
        let (cmd, seen) = connection.tell(command(Op::Create, id, Some(KINDS[0]))).await?;
        let made = acked(&cmd, "ok, with a room whose id is not empty", |ack| {
            ack.ok && ack.room.as_ref().is_some_and(|room| !room.id.is_empty() && room.kind == KINDS[0])
        });
        let heard = cx.expect(FLEET_EXECUTE_11, &seen, &[made])?;
        let id = heard.ack().and_then(|ack| ack.room.clone()).map(|room| room.id).unwrap_or_default();
        let (poll, seen) = connection.ask(None).await?;
        let there = poll_of(&poll, "a snapshot with this room too", move |snapshot| {
            snapshot.rooms.len() == n + 1 && has(snapshot, &id, KINDS[0], &Origin::Fleet)
        });
        cx.expect(FLEET_EXECUTE_11, &seen, &[there])?;
    }
    Ok(())
}

pub(super) async fn destroys(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    let ids = ["a", "b", "c"];
    for id in ids {
        connection.done(cx, create(id, KINDS[0])).await?;
    }
    for (n, id) in ids.into_iter().enumerate() {
        connection.snapshot(cx).await?;
        let hash = connection.hash(cx)?;
        let (cmd, seen) = connection.tell(destroy(id)).await?;
        let gone = acked(&cmd, "ok, and without alreadyGone", |ack| ack.ok && ack.already_gone != Some(true));
        cx.expect(FLEET_EXECUTE_12, &seen, &[gone])?;
        let (poll, seen) = connection.ask(Some(&hash)).await?;
        let without = poll_of(&poll, "a snapshot without the rooms that were ended", move |snapshot| {
            let rest = &ids[n + 1..];
            snapshot.rooms.len() == rest.len()
                && rest.iter().all(|id| has(snapshot, id, KINDS[0], &Origin::Fleet))
        });
        cx.expect(FLEET_EXECUTE_12, &seen, &[without])?;
    }
    if cx.features().is("fleet.local-rooms", "on") {
        client.app.ask("open_room", json!({"id": "host", "type": KINDS[0]})).await?;
        let (cmd, seen) = connection.tell(destroy("host")).await?;
        let gone = acked(&cmd, "ok, and without alreadyGone", |ack| ack.ok && ack.already_gone != Some(true));
        cx.expect(FLEET_EXECUTE_12, &seen, &[gone])?;
        let (poll, seen) = connection.ask(None).await?;
        let none = poll_of(&poll, "a snapshot without rooms", |snapshot| snapshot.rooms.is_empty());
        cx.expect(FLEET_EXECUTE_12, &seen, &[none])?;
    }
    Ok(())
}

pub(super) async fn already_gone(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    connection.done(cx, create("a", KINDS[0])).await?;
    connection.done(cx, create("b", KINDS[0])).await?;
    connection.done(cx, destroy("a")).await?;
    for id in ["never", "a", "A", "a"] {
        let (cmd, seen) = connection.tell(destroy(id)).await?;
        let gone = acked(&cmd, "ok, with alreadyGone", |ack| ack.ok && ack.already_gone == Some(true));
        cx.expect(FLEET_EXECUTE_13, &seen, &[gone])?;
    }
    Ok(())
}

pub(super) async fn without_id(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    connection.done(cx, create("a", KINDS[0])).await?;
    connection.snapshot(cx).await?;
    let hash = connection.hash(cx)?;
    for id in [None, Some("")] {
        let (cmd, seen) = connection.tell(command(Op::Destroy, id, None)).await?;
        cx.expect(FLEET_EXECUTE_14, &seen, &[acked(&cmd, "not ok", |ack| !ack.ok)])?;
        let (poll, seen) = connection.ask(None).await?;
        let known = hash.clone();
        let same = state_of(&poll, "with the hash of before", move |state| state.hash == known);
        cx.expect(FLEET_EXECUTE_14, &seen, &[same])?;
    }
    Ok(())
}

pub(super) async fn made_again(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for _ in 0..2 {
        connection.done(cx, create("a", KINDS[0])).await?;
        connection.snapshot(cx).await?;
        connection.done(cx, destroy("a")).await?;
        client.app.ask("open_room", json!({"id": "a", "type": KINDS[1]})).await?;
        let (poll, seen) = connection.ask(None).await?;
        let local = poll_of(&poll, "a snapshot with the room, and the origin local", |snapshot| {
            snapshot.rooms.len() == 1 && has(snapshot, "a", KINDS[1], &Origin::Local)
        });
        cx.expect(FLEET_EXECUTE_15, &seen, &[local])?;
        client.app.ask("close_room", json!({"id": "a"})).await?;
    }
    Ok(())
}
