//! FleetStats: what is counted, and which types it names.

use super::types_of;
use crate::{
    check::{Cx, Outcome, Shown, alternative},
    checks::fleet::{
        agent::Agent,
        look::{GONE, Look, look, settled, soon},
        setting::{Say, get, instance, ok_and, refused, told},
    },
    one_of,
    wire::Seen,
};
use serde_json::Value;
use wireproof_spec::fleet::{Cause, SyncRoom, requirements::*};

/// The numbers are those of what is listed: with one instance, with two, behind a change, and when one has left; who has said
/// nothing is not counted.
pub(super) async fn numbers(cx: &Cx) -> Outcome {
    let name = || cx.name();
    counted(cx, &settled(cx).await?)?;
    let rooms: Vec<SyncRoom> = vec![told(&name(), "a", 3), told(&name(), "b", 4)];
    let mut first = Agent::join(cx, cx.snapshot().having(rooms.clone())).await?;
    let second = Agent::join(cx, cx.snapshot().having(vec![told(&name(), "a", 0)])).await?;
    let both = look(cx).await?;
    counted(cx, &both)?;
    let ids = [first.id.clone(), second.id.clone()];
    let listed = alternative("a list with both", move |look: &Look| ids.iter().all(|id| look.has(id)));
    cx.expect(FLEET_INSTANCES_2, &both, &[listed])?;

    let mut silent = Agent::connect(cx).await?;
    let _ = silent.fence(cx).await?;
    let seen = look(cx).await?;
    let id = silent.id.clone();
    let uncounted = alternative("numbers without who has said nothing", move |look: &Look| {
        !look.has(&id) && look.stats["instances"] == length(&look.instances)
    });
    cx.expect(FLEET_INSTANCES_1, &seen, &[uncounted])?;
    silent.leave();

    first.becomes(cx, |it| it.having(vec![SyncRoom { connections: 2, ..rooms[0].clone() }])).await?;
    counted(cx, &look(cx).await?)?;
    let absent = refused(Cause::InstanceNotFound);
    second.close(1000);
    let seen = soon(cx, GONE, &instance(cx, &second.id), &absent).await?;
    cx.need(FLEET_INSTANCES_3, &seen, &[absent])?;
    counted(cx, &look(cx).await?)
}

/// Claims that the numbers are those of the list.
fn counted(cx: &Cx, seen: &Seen<Look>) -> Outcome {
    let counted = alternative("the numbers of what is in the list", |look: &Look| {
        let all = look.instances.as_array().map(Vec::as_slice).unwrap_or_default();
        let rooms =
            all.iter().flat_map(|info| info["rooms"].as_array().map(Vec::as_slice).unwrap_or_default());
        let (mut count, mut connections) = (0, 0);
        for room in rooms {
            count += 1;
            connections += room["connections"].as_u64().unwrap_or_default();
        }
        look.stats["instances"] == all.len()
            && look.stats["rooms"] == count
            && look.stats["connections"] == connections
    });
    cx.expect(FLEET_INSTANCES_10, seen, &[counted])?;
    Ok(())
}

fn length(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

/// The types that two instances can host, some of them the same, are there once and in order, and so are those of their rooms.
pub(super) async fn sorted_types(cx: &Cx) -> Outcome {
    let prefix = cx.name();
    let kind = |letter: &str| format!("{prefix}-{letter}");
    let mut agents = Vec::new();
    for letters in [["c", "a", "d"], ["b", "a", "c"]] {
        let kinds: Vec<String> = letters.iter().map(|letter| kind(letter)).collect();
        let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
        let rooms = kinds.iter().map(|kind| told(&cx.name(), kind, 0)).collect();
        agents.push(Agent::join(cx, cx.snapshot().hosting(&kinds).having(rooms)).await?);
    }
    let expected: Vec<String> = ["a", "b", "c", "d"].iter().map(|letter| kind(letter)).collect();
    let sorted = ok_and(200, "each of the four types once and in order", move |data| {
        let mine = types_of(data).into_iter().filter(|kind| kind.starts_with(&prefix));
        mine.collect::<Vec<_>>() == expected
    });
    let seen = cx.send(get(cx, "v1/stats")).await?;
    cx.expect(FLEET_INSTANCES_11, &seen, &[sorted])?;
    Ok(())
}

/// Which of two types FleetStats has: the one that an instance can host, or that of its room.
struct Which {
    hosted: bool,
    there: bool,
}

impl Shown for Which {
    fn shown(&self) -> String {
        format!("the type that can be hosted: {}; that of the room: {}", self.hosted, self.there)
    }
}

/// An instance that hosts one type and has a room of another.
pub(super) async fn which_types(cx: &Cx) -> Outcome {
    let (hosted, there) = (cx.name(), cx.name());
    let snapshot = cx.snapshot().hosting(&[&hosted]).with_room(told(&cx.name(), &there, 0));
    let _agent = Agent::join(cx, snapshot).await?;
    let seen = cx.send(get(cx, "v1/stats")).await?;
    cx.need(FLEET_INSTANCES_11, &seen, &[ok_and(200, "room types", |data| data["roomTypes"].is_array())])?;
    let which = seen.map(|response| {
        let types = types_of(&crate::checks::fleet::setting::data(&response));
        Which { hosted: types.contains(&hosted), there: types.contains(&there) }
    });
    let can = alternative("the types that instances can host", |it: &Which| it.hosted && !it.there);
    let has = alternative("the types of the rooms that are there", |it: &Which| it.there && !it.hosted);
    cx.expect(FLEET_INSTANCES_15, &which, &one_of![can, has])?;
    Ok(())
}
