//! Rooms that the host makes and ends.

use super::*;
use crate::checks::fleet::client::{KINDS, create, poll_of};
use serde_json::json;
use wireproof_spec::fleet::{Origin, Snapshot, SyncRoom};

/// Whether a snapshot has this room, made by the host, to which nobody is connected.
fn has(snapshot: &Snapshot, id: &str, kind: &str) -> bool {
    let mut rooms = snapshot.rooms.iter().filter(|room| room.id == id);
    let is = |room: &SyncRoom| room.kind == kind && room.origin == Origin::Local && room.connections == 0;
    rooms.next().is_some_and(is) && rooms.next().is_none()
}

/// Before the first connection, and on two of them.
pub(super) async fn shown(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    for n in 0..2 {
        client.app.ask("open_room", json!({"id": format!("a-{n}"), "type": KINDS[0]})).await?;
        let mut connection = client.connect(cx).await?;
        let (poll, seen) = connection.ask(None).await?;
        let there = poll_of(&poll, "a snapshot with the room of the host", move |snapshot| {
            snapshot.rooms.len() == n + 1 && has(snapshot, &format!("a-{n}"), KINDS[0])
        });
        cx.expect(FLEET_REPORT_17, &seen, &[there])?;
        let hash = State::of(cx, &seen)?.hash;
        // What was known is not true any more, so that the answer is a snapshot.
        client.app.ask("open_room", json!({"id": "b", "type": KINDS[1]})).await?;
        let (poll, seen) = connection.ask(Some(&hash)).await?;
        let both = poll_of(&poll, "a snapshot with both rooms of the host", move |snapshot| {
            snapshot.rooms.len() == n + 2
                && has(snapshot, &format!("a-{n}"), KINDS[0])
                && has(snapshot, "b", KINDS[1])
        });
        cx.expect(FLEET_REPORT_17, &seen, &[both])?;
        let hash = State::of(cx, &seen)?.hash;
        client.app.ask("close_room", json!({"id": "b"})).await?;
        let (poll, seen) = connection.ask(Some(&hash)).await?;
        let one = poll_of(&poll, "a snapshot without the room that the host ended", move |snapshot| {
            snapshot.rooms.len() == n + 1 && snapshot.rooms.iter().all(|room| room.id != "b")
        });
        cx.expect(FLEET_REPORT_17, &seen, &[one])?;
        connection.part(1012).await;
    }
    Ok(())
}

pub(super) async fn silent(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    // Before the first Poll, and behind others.
    let mut connection = client.connect(cx).await?;
    for n in 0..3 {
        for (op, args) in
            [("open_room", json!({"id": "a", "type": KINDS[0]})), ("close_room", json!({"id": "a"}))]
        {
            client.app.ask(op, args).await?;
            let silence = connection.quiet(MOMENT).await?;
            cx.expect(FLEET_REPORT_18, &silence, &[nothing()])?;
            if n > 0 {
                let (poll, seen) = connection.ask(None).await?;
                cx.need(FLEET_REPORT_4, &seen, &[snapshot(&poll)])?;
            }
        }
    }
    Ok(())
}

/// Of two rooms, up and down again, though the Poll has the hash that was true before.
pub(super) async fn connections(cx: &Cx) -> Outcome {
    let mut client = Client::begin(cx).await?;
    let mut connection = client.join(cx).await?;
    for id in ["a", "b"] {
        connection.done(cx, create(id, KINDS[0])).await?;
    }
    connection.snapshot(cx).await?;
    let mut expected = [0, 0];
    for (n, connections) in [(0, 3), (1, 1_000_000), (0, 4), (0, 0), (1, 0)] {
        let hash = connection.hash(cx)?;
        let id = ["a", "b"][n];
        client.app.ask("set_connections", json!({"id": id, "connections": connections})).await?;
        expected[n] = connections;
        let (poll, seen) = connection.ask(Some(&hash)).await?;
        let name = format!("with another hash, and {expected:?} connections of the rooms a and b");
        let told = state_of(&poll, &name, move |state| {
            let Some(snapshot) = &state.snapshot else { return false };
            let of = |id: &str| snapshot.rooms.iter().find(|room| room.id == id).map(|room| room.connections);
            state.hash != hash && [of("a"), of("b")] == expected.map(Some)
        });
        cx.expect(FLEET_REPORT_19, &seen, &[told])?;
        connection.snapshot(cx).await?;
    }
    Ok(())
}
