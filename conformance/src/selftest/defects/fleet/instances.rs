//! Defects of "Instances".

use super::{
    Seams, Table, decide, heard_state,
    shown::{all, asked, instances, rooms, stats},
};
use crate::{
    embed::reference::fleet::model::{Answer, Ask, Input, State},
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};
use wireproof_spec::{
    fleet::{CapacityInfo, Cause, FleetStats, InstanceInfo, Label, SyncRoom, hash::hash, requirements::*},
    json::{Count, OrNull, Strings},
};

pub(super) const TABLE: Table = &[
    Breakage::always("fleet/instances/found-before-a-snapshot", FLEET_INSTANCES_1, Port, empty_at_first),
    Breakage::always("fleet/instances/counted-before-a-snapshot", FLEET_INSTANCES_1, Port, || {
        stats(|state, stats| stats.instances = count(state.connections().count()).unwrap_or(stats.instances))
    }),
    Breakage::second("fleet/instances/rooms-of-the-first-alone", FLEET_INSTANCES_2, Port, first_alone),
    Breakage::second("fleet/instances/uncounted-at-first", FLEET_INSTANCES_2, Port, || {
        instances_list(|list| list.len() > 1, |list| list.truncate(1))
    })
    .wide("who looks at the list finds one instance there"),
    Breakage::second("fleet/instances/found-when-gone", FLEET_INSTANCES_3, Port, ghosts),
    Breakage::second("fleet/instances/labels-kept", FLEET_INSTANCES_4, Wire, labels_kept),
    Breakage::second("fleet/instances/rooms-kept", FLEET_INSTANCES_4, Wire, rooms_kept)
        .wide("a room that never ends is seen by whoever ends one"),
    Breakage::second("fleet/instances/types-kept", FLEET_INSTANCES_4, Wire, types_kept),
    Breakage::always("fleet/instances/auto-create-ever", FLEET_INSTANCES_5, Port, || {
        instances(|_, info| info.auto_create = true)
    }),
    Breakage::always("fleet/instances/sorted-types-of-one", FLEET_INSTANCES_5, Port, || {
        instances(|_, info| info.room_types.sort())
    }),
    Breakage::always("fleet/instances/local-rooms-not-summed", FLEET_INSTANCES_6, Port, || {
        instances(|_, info| {
            let fleet = info.rooms.iter().filter(|room| !room.local);
            let sum: i64 = fleet.map(|room| room.connections.get()).sum();
            info.connections = Count::new(sum).unwrap_or(info.connections);
        })
    }),
    Breakage::always("fleet/instances/no-room-is-local", FLEET_INSTANCES_7, Port, || {
        rooms(|_, room| room.local = false)
    }),
    Breakage::always("fleet/instances/address-of-the-room", FLEET_INSTANCES_8, Port, || {
        rooms(|_, room| room.endpoint_url = format!("{}/{}", room.endpoint_url, room.id))
    }),
    Breakage::always("fleet/instances/none-for-0", FLEET_INSTANCES_9, Port, || {
        instances(|_, info| {
            if info.capacity.max_rooms.0 == Some(0) {
                info.capacity.max_rooms.0 = None;
            }
        })
    }),
    Breakage::second("fleet/instances/most-connections", FLEET_INSTANCES_10, Port, || {
        let mut most = None;
        stats(move |_, stats| {
            most = most.max(Some(stats.connections));
            stats.connections = most.unwrap_or(stats.connections);
        })
    }),
    Breakage::second("fleet/instances/types-as-they-came", FLEET_INSTANCES_11, Port, || {
        stats(|state, stats| {
            let known: BTreeSet<String> = stats.room_types.drain(..).collect();
            let mut seen = BTreeSet::new();
            let came = all(state).into_iter().flat_map(|info| info.room_types.clone());
            stats.room_types =
                came.filter(|kind| known.contains(kind) && seen.insert(kind.clone())).collect();
        })
    }),
    Breakage::second("fleet/instances/types-of-each", FLEET_INSTANCES_11, Port, || {
        stats(|state, stats| {
            stats.room_types = all(state).iter().flat_map(|info| info.room_types.clone()).collect();
            stats.room_types.sort();
        })
    }),
    Breakage::second("fleet/instances/rooms-as-first-seen", FLEET_INSTANCES_12, Port, as_first_seen),
    Breakage::second("fleet/instances/stale-in-the-hash", FLEET_INSTANCES_13, Port, || {
        stats(|state, stats| {
            let stale: Vec<u64> = state.connections().filter(|number| state.is_stale(*number)).collect();
            if !stale.is_empty() {
                stats.state_hash = hash(&(&stats.state_hash, stale));
            }
        })
    }),
    Breakage::second("fleet/instances/time-in-the-hash", FLEET_INSTANCES_13, Port, || {
        stats(|state, stats| {
            let times: Vec<i64> = all(state).iter().map(|info| info.last_sync_at.get()).collect();
            stats.state_hash = hash(&(&stats.state_hash, times));
        })
    })
    .wide("the hash is in the ETag too, and in every sync"),
    Breakage::second("fleet/instances/hash-without-labels", FLEET_INSTANCES_14, Port, || {
        stats(|state, stats| hash_without(state, stats, &["labels"]))
    }),
    Breakage::second("fleet/instances/hash-without-capacity", FLEET_INSTANCES_14, Port, || {
        stats(|state, stats| hash_without(state, stats, &["capacity", "autoCreate"]))
    }),
];

pub(super) fn count(number: usize) -> Option<Count> {
    Count::new(i64::try_from(number).ok()?)
}

/// Who has said nothing is found by its id, with nothing in it.
fn empty_at_first() -> Seams {
    asked(|state, ask, answer| {
        if let (Ask::Instance { id }, Answer::Refused(Cause::InstanceNotFound)) = (ask, &answer)
            && state.connection(id).is_some()
            && let Some(nobody) = nobody(id)
        {
            *answer = Answer::Instance(Arc::new(nobody));
        }
    })
}

/// Somebody of whom nothing is known.
pub(super) fn nobody(id: &str) -> Option<InstanceInfo> {
    Some(InstanceInfo {
        id: id.to_owned(),
        name: String::new(),
        process_uid: "p".into(),
        endpoint_url: "ws://h".into(),
        labels: Strings(BTreeMap::new()),
        room_types: Vec::new(),
        rooms: Vec::new(),
        connections: count(0)?,
        capacity: CapacityInfo { max_connections: OrNull(None), max_rooms: OrNull(None) },
        auto_create: false,
        status: "active".into(),
        last_sync_at: count(0)?,
        agent_version: "1".into(),
        protocol_version: 3,
    })
}

/// Of an instance that came when another one was there, the rooms are not listed.
fn first_alone() -> Seams {
    asked(|state, ask, answer| {
        if let (Ask::InstanceRooms { id }, Answer::Rooms { rooms, .. }) = (ask, answer)
            && all(state).first().is_some_and(|info| info.id != *id)
        {
            rooms.clear();
        }
    })
}

/// The list of instances, changed where it is so.
fn instances_list(when: fn(&[Arc<InstanceInfo>]) -> bool, change: fn(&mut Vec<Arc<InstanceInfo>>)) -> Seams {
    asked(move |_, _, answer| {
        if let Answer::Instances { instances, .. } = answer
            && when(instances)
        {
            let mut list = instances.to_vec();
            change(&mut list);
            *instances = list.into();
        }
    })
}

/// From the second instance on that leaves, each is found by its id for ever.
fn ghosts() -> Seams {
    let mut gone: BTreeMap<String, Arc<InstanceInfo>> = BTreeMap::new();
    let mut left = 0;
    decide(move |state, input, decision| {
        if let Input::Left { connection } = input
            && let Some(info) = state.instance(*connection)
        {
            left += 1;
            if left > 1 {
                gone.insert(info.id.clone(), info.clone());
            }
        }
        if let Input::Ask { ask: Ask::Instance { id }, .. } = input
            && let Some(info) = gone.get(id)
        {
            super::answers(decision).for_each(|answer| *answer = Answer::Instance(info.clone()));
        }
    })
}

/// What each connection said before, and says from now on.
fn kept<T: Clone + Send + 'static>(
    of: fn(&mut wireproof_spec::fleet::Snapshot) -> &mut Vec<T>,
    same: fn(&T, &T) -> bool,
) -> Seams {
    let known: Mutex<BTreeMap<u64, Vec<T>>> = Mutex::default();
    heard_state(move |number, state| {
        let Some(snapshot) = &mut state.snapshot else { return };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, now) = (known.entry(number).or_default(), of(snapshot));
        for one in before.iter() {
            if !now.iter().any(|other| same(one, other)) {
                now.push(one.clone());
            }
        }
        before.clone_from(now);
    })
}

fn labels_kept() -> Seams {
    kept::<Label>(|snapshot| &mut snapshot.labels, |one, other| one.key == other.key)
}

fn rooms_kept() -> Seams {
    kept::<SyncRoom>(|snapshot| &mut snapshot.rooms, |one, other| one.id == other.id)
}

fn types_kept() -> Seams {
    kept::<String>(|snapshot| &mut snapshot.room_types, |one, other| one == other)
}

/// The list of the rooms of an instance shows each with as many connections as it had at first.
fn as_first_seen() -> Seams {
    let mut first: BTreeMap<String, Count> = BTreeMap::new();
    decide(move |state, input, decision| {
        for room in all(state).iter().flat_map(|info| &info.rooms) {
            first.entry(room.id.clone()).or_insert(room.connections);
        }
        if !matches!(super::ask(input), Some(Ask::InstanceRooms { .. })) {
            return;
        }
        super::shown::each_room(decision, |room| {
            room.connections = first.get(&room.id).copied().unwrap_or(room.connections);
        });
    })
}

/// A hash of all that is shown but these members of instances, and but lastSyncAt.
fn hash_without(state: &State, stats: &mut FleetStats, members: &[&str]) {
    let instances: Vec<Value> = all(state)
        .iter()
        .filter_map(|info| {
            let mut info: Value = serde_json::from_str(&info.encode()).ok()?;
            let named = info.as_object_mut()?;
            members.iter().chain(&["lastSyncAt"]).for_each(|member| drop(named.remove(*member)));
            Some(info)
        })
        .collect();
    stats.state_hash = hash(&instances);
}
