//! Checks of "Instances" in spec/fleet.md.

mod numbers;
mod state;

use super::{
    agent::Agent,
    look::{GONE, due, soon},
    setting::{
        Say, data, drain, get, info, instance, ok_and, refused, room, rooms_of, rooms_on,
        shown as expected_of, told,
    },
};
use crate::{
    check::{Alternative, Check, Cx, Lane, Outcome, Waits, alternative},
    drives,
    wire::Seen,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wireproof_spec::{
    fleet::{Cause, Origin, Snapshot, Status, SyncRoom, ids, requirements::*},
    http::{Request, Response},
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("fleet/instances/nothing-said", &[FLEET_INSTANCES_1], drives!(nothing_said)),
    Check::new("fleet/instances/everywhere", &[FLEET_INSTANCES_2], drives!(everywhere)),
    Check::new("fleet/instances/gone", &[FLEET_INSTANCES_3], drives!(gone)).waits(Waits::Millis(5_000)),
    Check::new("fleet/instances/replaced", &[FLEET_INSTANCES_4], drives!(replaced))
        .waits(Waits::Limit("heartbeat-ms", 4)),
    Check::new("fleet/instances/members", &[FLEET_INSTANCES_5], drives!(members)),
    Check::new("fleet/instances/sum-of-connections", &[FLEET_INSTANCES_6], drives!(sum_of_connections)),
    Check::new("fleet/instances/rooms-of-it", &[FLEET_INSTANCES_7, FLEET_INSTANCES_8], drives!(rooms_of_it)),
    Check::new("fleet/instances/capacity", &[FLEET_INSTANCES_9], drives!(capacity)),
    Check::new("fleet/instances/same-everywhere", &[FLEET_INSTANCES_12], drives!(same_everywhere))
        .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new(
        "fleet/instances/numbers",
        &[FLEET_INSTANCES_10, FLEET_INSTANCES_1, FLEET_INSTANCES_2],
        drives!(numbers::numbers),
    )
    .lane(Lane::Alone)
    .waits(Waits::Limit("heartbeat-ms", 3)),
    Check::new("fleet/instances/sorted-types", &[FLEET_INSTANCES_11], drives!(numbers::sorted_types)),
    Check::new("fleet/instances/which-types", &[FLEET_INSTANCES_15], drives!(numbers::which_types)),
    Check::new("fleet/instances/same-hash", &[FLEET_INSTANCES_13], drives!(state::same_hash))
        .lane(Lane::Alone)
        .waits(Waits::Limit("heartbeat-ms", 8)),
    Check::new("fleet/instances/other-hash", &[FLEET_INSTANCES_14], drives!(state::other_hash))
        .lane(Lane::Alone)
        .waits(Waits::Limit("heartbeat-ms", 3)),
];

/// A place at which an instance and its room are shown: what is there while they are, and when they are not.
struct Place {
    request: Request,
    there: Alternative<Response>,
    absent: Alternative<Response>,
}

/// Every place at which an instance with one room is shown.
fn places(cx: &Cx, id: &str, public: &str) -> Vec<Place> {
    let list = |request: Request, member: &'static str| {
        let has = |id: &str| {
            let id = id.to_owned();
            move |data: &Value| data.as_array().is_some_and(|all| all.iter().any(|one| one[member] == *id))
        };
        let (there, absent) = (has(id), has(id));
        Place {
            request,
            there: ok_and(200, "a list that has it", there),
            absent: ok_and(200, "a list without it", move |data| data.is_array() && !absent(data)),
        }
    };
    let alone = |request: Request, member: &'static str, otherwise: Cause| {
        let id = id.to_owned();
        Place {
            request,
            there: ok_and(200, "it", move |data| data[member] == *id),
            absent: refused(otherwise),
        }
    };
    let of_it = Place { absent: refused(Cause::InstanceNotFound), ..list(rooms_of(cx, id), "instanceId") };
    vec![
        list(get(cx, "v1/instances"), "id"),
        alone(instance(cx, id), "id", Cause::InstanceNotFound),
        of_it,
        list(get(cx, "v1/rooms"), "instanceId"),
        list(rooms_on(cx, id), "instanceId"),
        alone(room(cx, public), "instanceId", Cause::RoomNotFound),
    ]
}

/// Who said nothing yet, and whose first snapshot was rejected, are not shown beside one that is.
async fn nothing_said(cx: &Cx) -> Outcome {
    let id = cx.name();
    let _shown = Agent::join(cx, cx.snapshot().with_room(told(&id, "any", 1))).await?;
    let silent = Agent::connect(cx).await?;
    let rejected = Agent::connect(cx).await?;
    // A name may have 64 units.
    let rooms = [cx.name(), cx.name()];
    rejected.says(cx.snapshot().with_room(told(&rooms[1], "any", 1)).rejected());
    // A ping behind the State is answered when the State was read.
    let mut agents = [silent, rejected];
    for (agent, room) in agents.iter_mut().zip(&rooms) {
        let _ = agent.fence(cx).await?;
        for place in places(cx, &agent.id, room) {
            let seen = cx.send(place.request).await?;
            cx.expect(FLEET_INSTANCES_1, &seen, &[place.absent])?;
        }
        for request in [drain(cx, &agent.id, true), drain(cx, &agent.id, false)] {
            let seen = cx.send(request).await?;
            cx.expect(FLEET_INSTANCES_1, &seen, &[refused(Cause::InstanceNotFound)])?;
        }
    }
    Ok(())
}

/// Two instances and their rooms, in every list and by their ids.
async fn everywhere(cx: &Cx) -> Outcome {
    let mut agents = Vec::new();
    for _ in 0..2 {
        let agent = Agent::connect(cx).await?;
        let id = cx.name();
        agent.says(cx.snapshot().with_room(told(&id, "any", 2)));
        for place in places(cx, &agent.id, &id) {
            let seen = soon(cx, due(&agent), &place.request, &place.there).await?;
            cx.expect(FLEET_INSTANCES_2, &seen, &[place.there])?;
        }
        agents.push(agent);
    }
    Ok(())
}

/// Whose connection ends in one way or another is gone within a second, with its room.
async fn gone(cx: &Cx) -> Outcome {
    let ways: [fn(&Agent); 3] = [|agent| agent.close(1000), Agent::leave, Agent::reset];
    for end in ways {
        let id = cx.name();
        let agent = Agent::join(cx, cx.snapshot().with_room(told(&id, "any", 2))).await?;
        for place in places(cx, &agent.id, &id) {
            let seen = cx.send(place.request).await?;
            cx.need(FLEET_INSTANCES_2, &seen, &[place.there])?;
        }
        end(&agent);
        for place in places(cx, &agent.id, &id) {
            let seen = soon(cx, GONE, &place.request, &place.absent).await?;
            cx.expect(FLEET_INSTANCES_3, &seen, &[place.absent])?;
        }
    }
    Ok(())
}

/// Of rooms, labels and room types none is left that a later snapshot does not name.
async fn replaced(cx: &Cx) -> Outcome {
    let names: Vec<String> = (0..3).map(|_| cx.name()).collect();
    let plain = cx.snapshot();
    let first = plain.clone().labelled("a", "1").labelled("b", "1").hosting(&["one", "two"]);
    let first = first.with_room(told(&names[0], "any", 1)).with_room(told(&names[1], "any", 2));
    let second = plain.clone().labelled("b", "2").labelled("c", "2").hosting(&["two", "three"]);
    let second = second.with_room(told(&names[1], "any", 2)).with_room(told(&names[2], "any", 3));
    let agent = Agent::join(cx, first.clone()).await?;
    for snapshot in [second, plain.hosting(&[]), first] {
        agent.says(snapshot.clone());
        let only = only(&snapshot);
        let seen = soon(cx, due(&agent), &instance(cx, &agent.id), &only).await?;
        cx.expect(FLEET_INSTANCES_4, &seen, &[only])?;
        let names_it = |room: &String| snapshot.rooms.iter().any(|told| told.id == *room);
        for name in &names {
            let seen = cx.send(room(cx, name)).await?;
            let there = ok_and(200, "the room", |data| data.is_object());
            let absent = refused(Cause::RoomNotFound);
            cx.expect(FLEET_INSTANCES_4, &seen, &[if names_it(name) { there } else { absent }])?;
        }
        let ids: BTreeSet<String> = snapshot.rooms.iter().map(|told| told.id.clone()).collect();
        for request in [rooms_of(cx, &agent.id), rooms_on(cx, &agent.id)] {
            let seen = cx.send(request).await?;
            let ids = ids.clone();
            let exactly = ok_and(200, "exactly the rooms of the snapshot", move |data| {
                data.as_array().map(Vec::len) == Some(ids.len()) && ids_of(data) == ids
            });
            cx.expect(FLEET_INSTANCES_4, &seen, &[exactly])?;
        }
    }
    Ok(())
}

/// An instance with the rooms, labels and room types of this snapshot and no others.
fn only(snapshot: &Snapshot) -> Alternative<Response> {
    let labels = json!(snapshot.labels());
    let types = json!(snapshot.room_types);
    let rooms: BTreeSet<String> = snapshot.rooms.iter().map(|room| room.id.clone()).collect();
    ok_and(200, "the labels, room types and rooms of the snapshot, and no others", move |data| {
        data["labels"] == labels
            && data["roomTypes"] == types
            && data["rooms"].as_array().map(Vec::len) == Some(rooms.len())
            && ids_of(&data["rooms"]) == rooms
    })
}

fn ids_of(rooms: &Value) -> BTreeSet<String> {
    let all = rooms.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|room| room["id"].as_str().map(str::to_owned)).collect()
}

/// Two instances that differ in every member.
async fn members(cx: &Cx) -> Outcome {
    let names: Vec<String> = (0..3).map(|_| cx.name()).collect();
    let one =
        cx.snapshot().labelled("r\u{e9}gion", "eu/1: \u{1f600}").labelled("empty", "").bounded(Some(5), None);
    let one = one.hosting(&["z", "a", "Z"]).in_status(Status::Draining);
    let one = one.with_room(told(&names[0], "match \u{e9}", 7)).with_room(told(&names[1], "lobby", 0));
    let one = one.but(|it| {
        it.name = format!("{} \"\\/\u{1f600}\n", it.name);
        it.auto_create = false;
        it.agent_version = "9.8.7-rc.1+x".into();
        it.process_uid.push_str("-._x");
    });
    let two = cx.snapshot().bounded(None, Some(3)).but(|it| it.name = String::new());
    let two = two.with_room(told(&names[2], "any", 1_000_000));
    for snapshot in [one, two] {
        let agent = Agent::connect(cx).await?;
        agent.says(snapshot.clone());
        let as_told = as_told(&snapshot, &agent.id);
        let seen = soon(cx, due(&agent), &instance(cx, &agent.id), &as_told).await?;
        cx.expect(FLEET_INSTANCES_5, &seen, &[as_told])?;
    }
    Ok(())
}

/// The members of an instance that its snapshot names, and type and connections of its rooms.
fn as_told(snapshot: &Snapshot, id: &str) -> Alternative<Response> {
    let mut members = expected_of(snapshot, id);
    if let Some(members) = members.as_object_mut() {
        // Others speak of these.
        for name in ["id", "connections", "endpointUrl", "rooms"] {
            members.remove(name);
        }
    }
    let rooms: Vec<Value> = snapshot
        .rooms
        .iter()
        .map(|room| json!({"id": ids::public(&room.id), "type": room.kind, "connections": room.connections}))
        .collect();
    ok_and(200, "the members of the snapshot", move |data| {
        let shown = data["rooms"].as_array().map(Vec::as_slice).unwrap_or_default();
        let same = |room: &Value| {
            let found = shown.iter().find(|it| it["id"] == room["id"]);
            found.is_some_and(|it| it["type"] == room["type"] && it["connections"] == room["connections"])
        };
        members.as_object().is_some_and(|members| members.iter().all(|(name, value)| data[name] == *value))
            && rooms.iter().all(same)
    })
}

/// Three rooms, two with as many as there may be, one of each origin, and none.
async fn sum_of_connections(cx: &Cx) -> Outcome {
    let local = |room: SyncRoom| SyncRoom { origin: Origin::Local, ..room };
    let name = || cx.name();
    let cases = [
        (vec![told(&name(), "a", 3), told(&name(), "b", 4), told(&name(), "a", 0)], 7),
        (vec![told(&name(), "a", 1_000_000), told(&name(), "b", 1_000_000)], 2_000_000),
        (vec![local(told(&name(), "a", 5)), told(&name(), "a", 6)], 11),
        (Vec::new(), 0),
    ];
    for (rooms, sum) in cases {
        let agent = Agent::connect(cx).await?;
        agent.says(cx.snapshot().having(rooms));
        let summed = ok_and(200, &format!("{sum} connections"), move |data| data["connections"] == sum);
        let seen = soon(cx, due(&agent), &instance(cx, &agent.id), &summed).await?;
        cx.expect(FLEET_INSTANCES_6, &seen, &[summed])?;
        let list = cx.send(get(cx, "v1/instances")).await?;
        let id = agent.id.clone();
        let in_list = ok_and(200, &format!("{sum} connections of it"), move |data| {
            let all = data.as_array().map(Vec::as_slice).unwrap_or_default();
            all.iter().any(|info| info["id"] == *id && info["connections"] == sum)
        });
        cx.expect(FLEET_INSTANCES_6, &list, &[in_list])?;
    }
    Ok(())
}

/// Rooms of both origins on two instances, at every place at which they are shown.
async fn rooms_of_it(cx: &Cx) -> Outcome {
    let mut agents = Vec::new();
    for _ in 0..2 {
        let names = [cx.name(), cx.name()];
        let host = SyncRoom { origin: Origin::Local, ..told(&names[1], "any", 1) };
        let agent = Agent::join(cx, cx.snapshot().having(vec![told(&names[0], "any", 1), host])).await?;
        agents.push((agent, names));
    }
    for (agent, names) in &agents {
        let owner = cx.send(instance(cx, &agent.id)).await?;
        let shown = cx.need(FLEET_INSTANCES_2, &owner, &[info(&agent.snapshot(), &agent.id)])?;
        let url = data(shown)["endpointUrl"].clone();
        for (at, name) in names.iter().enumerate() {
            for (request, path) in [
                (instance(cx, &agent.id), "instance"),
                (get(cx, "v1/instances"), "instances"),
                (rooms_of(cx, &agent.id), "rooms"),
                (get(cx, "v1/rooms"), "rooms"),
                (room(cx, name), "room"),
            ] {
                let seen = cx.send(request).await?;
                let found = seen.map(|response| found(&data(&response), path, name));
                let local = at == 1;
                let flagged = alternative(format!("a room with local {local}"), move |room: &Found| {
                    room.0["local"] == local
                });
                cx.expect(FLEET_INSTANCES_7, &found, &[flagged])?;
                let (id, url) = (agent.id.clone(), url.clone());
                let owned = alternative("a room of its instance", move |room: &Found| {
                    room.0["instanceId"] == *id && room.0["endpointUrl"] == url
                });
                cx.expect(FLEET_INSTANCES_8, &found, &[owned])?;
            }
        }
    }
    Ok(())
}

/// A room or an instance, or null if it is not there.
struct Found(Value);

impl crate::check::Shown for Found {
    fn shown(&self) -> String {
        self.0.to_string()
    }
}

/// The room of this public id in what is shown at such a place.
fn found(data: &Value, place: &str, name: &str) -> Found {
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let rooms = match place {
        "instances" => all(data).iter().flat_map(|info| all(&info["rooms"])).collect(),
        "instance" => all(&data["rooms"]),
        "rooms" => all(data),
        _ => vec![data.clone()],
    };
    Found(rooms.into_iter().find(|room| room["id"] == name).unwrap_or_default())
}

/// No bound, a bound of 0, and others.
async fn capacity(cx: &Cx) -> Outcome {
    for (connections, rooms) in
        [(None, None), (Some(0), Some(0)), (Some(0), None), (None, Some(0)), (Some(i32::MAX), Some(1))]
    {
        let agent = Agent::connect(cx).await?;
        agent.says(cx.snapshot().bounded(connections, rooms));
        let bounds = json!({"maxConnections": connections, "maxRooms": rooms});
        let bounded = ok_and(200, &format!("the capacity {bounds}"), move |data| data["capacity"] == bounds);
        let seen = soon(cx, due(&agent), &instance(cx, &agent.id), &bounded).await?;
        cx.expect(FLEET_INSTANCES_9, &seen, &[bounded])?;
    }
    Ok(())
}

/// What is shown at one place is what is shown at each other, also behind a change.
async fn same_everywhere(cx: &Cx) -> Outcome {
    let names = [cx.name(), cx.name()];
    let rooms = |connections| vec![told(&names[0], "a", connections), told(&names[1], "b", connections + 1)];
    let snapshot = cx.snapshot().labelled("k", "v").bounded(Some(9), Some(0)).having(rooms(1));
    let mut agent = Agent::join(cx, snapshot).await?;
    for connections in [1, 5] {
        agent.becomes(cx, |it| it.having(rooms(connections))).await?;
        let id = agent.id.clone();
        let infos = [cx.send(instance(cx, &id)).await?, cx.send(get(cx, "v1/instances")).await?];
        let seen = Seen::all(infos)
            .map(|all| all.iter().map(|one| Found(info_in(&data(one), &id))).collect::<Vec<_>>());
        cx.expect(FLEET_INSTANCES_12, &seen, &[alike()])?;
        for name in &names {
            let mut all = Vec::new();
            for (request, place) in [
                (instance(cx, &id), "instance"),
                (get(cx, "v1/instances"), "instances"),
                (rooms_of(cx, &id), "rooms"),
                (get(cx, "v1/rooms"), "rooms"),
                (rooms_on(cx, &id).param("label", "k:v"), "rooms"),
                (room(cx, name), "room"),
            ] {
                all.push(cx.send(request).await?.map(|response| found(&data(&response), place, name)));
            }
            cx.expect(FLEET_INSTANCES_12, &Seen::all(all), &[alike()])?;
        }
    }
    Ok(())
}

/// That all are there and the same.
fn alike() -> Alternative<Vec<Found>> {
    alternative("the same members and values at each place", |all: &Vec<Found>| {
        all.iter().all(|one| one.0.is_object() && one.0 == all[0].0)
    })
}

/// The instance of this id, without the value of lastSyncAt, which may change between two answers.
fn info_in(data: &Value, id: &str) -> Value {
    let one = match data.as_array() {
        Some(all) => all.iter().find(|info| info["id"] == id).cloned().unwrap_or_default(),
        None => data.clone(),
    };
    let mut one = one;
    if let Some(at) = one.get_mut("lastSyncAt") {
        *at = at.is_number().into();
    }
    one
}

fn types_of(stats: &Value) -> Vec<String> {
    let all = stats["roomTypes"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect()
}
