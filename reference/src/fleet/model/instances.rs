//! Instances: what operators see, how it changes, and how it is asked for.

use super::{
    Answer, Ask, Claim, Filter, FleetModel, State, hash,
    ids::{self, Candidate},
    placement::Offer,
    record::{count, time},
    state::Place,
};
use crate::model::Decision;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use wireproof_spec::{
    fleet::{
        CapacityInfo, Cause, FleetStats, InstanceInfo, Origin, RoomInfo, Snapshot, Status, SyncRoom,
        conditional,
    },
    json::{OrNull, Strings},
};

/// What operators see of a connection, and what it is made of.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The instance.
    pub info: Arc<InstanceInfo>,
    /// Its rooms, in the order in which its agent has them.
    pub rooms: Arc<[Room]>,
    /// The status of its snapshot.
    pub status: Status,
    /// What stands for it in public ids.
    pub label: Arc<str>,
    /// What of it goes into the state hash, as canonical text.
    pub text: Arc<str>,
    /// What placement reads of it.
    pub(super) offer: Offer,
}

/// A room.
#[derive(Clone, Debug)]
pub struct Room {
    /// As operators see it.
    pub shown: Arc<RoomInfo>,
    /// Its id as its agent knows it.
    pub raw: Arc<str>,
    /// Whether its origin is local.
    pub local: bool,
    /// Which room with this raw id it is on its instance, counted from 0.
    pub occurrence: u32,
}

/// What operators see of some connections from now on.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// In the order in which the connections came.
    pub views: Vec<View>,
    /// Who has a raw id, the one who keeps the base first, for each raw id for which that has changed.
    pub groups: Vec<(Arc<str>, Arc<[Claim]>)>,
}

/// What operators see of a connection from now on.
#[derive(Clone, Debug)]
pub struct View {
    /// The connection.
    pub connection: u64,
    /// When it came, counted from 0.
    pub join: u64,
    /// What they see; none if it is nothing.
    pub instance: Option<Instance>,
}

impl Change {
    /// Whether the state hash is another one behind it.
    pub(super) fn is_visible(&self, state: &State) -> bool {
        let text = |instance: Option<&Instance>| instance.map(|instance| instance.text.clone());
        let old =
            |view: &View| text(state.connections.get(&view.connection).and_then(|it| it.instance.as_ref()));
        self.views.iter().any(|view| old(view) != text(view.instance.as_ref()))
    }
}

/// What changes when this snapshot is applied, at this time; or, without one, when its connection is removed.
pub(super) fn change(state: &State, connection: u64, next: Option<(Snapshot, u64)>) -> Change {
    let Some(known) = state.connections.get(&connection) else { return Change::default() };
    let old = known.instance.as_ref();
    let (own, naming) = match next {
        None => (None, ids::naming(state, connection, old, &[])),
        Some((snapshot, at)) => {
            let status = snapshot.status.clone();
            let (mut info, rooms) = info(&known.id, snapshot, at);
            let label = ids::label(&info);
            let candidates = ids::candidates(state, connection, known.join, &label, &rooms);
            let mut naming = ids::naming(state, connection, old, &candidates);
            let names = std::mem::take(&mut naming.own);
            let rooms = self::rooms(&mut info, rooms, names, candidates);
            let (text, offer) = (hash::text(&info), Offer::of(&info));
            (Some(Instance { info: Arc::new(info), rooms, status, label, text, offer }), naming)
        }
    };
    let mut views = vec![View { connection, join: known.join, instance: own }];
    for (connection, names) in naming.others {
        if let Some(known) = state.connections.get(&connection)
            && let Some(instance) = &known.instance
        {
            views.push(View { connection, join: known.join, instance: Some(renamed(instance, names)) });
        }
    }
    views.sort_by_key(|view| view.join);
    Change { views, groups: naming.groups }
}

/// The instance of a snapshot, without its rooms; and these.
fn info(id: &str, snapshot: Snapshot, at: u64) -> (InstanceInfo, Vec<SyncRoom>) {
    let labels = snapshot.labels.into_iter().map(|label| (label.key, label.value)).collect();
    let connections = snapshot.rooms.iter().map(|room| u64::from(room.connections)).sum();
    let info = InstanceInfo {
        id: id.to_owned(),
        name: snapshot.name,
        process_uid: snapshot.process_uid,
        endpoint_url: snapshot.endpoint_url,
        labels: Strings(labels),
        room_types: snapshot.room_types,
        rooms: Vec::new(),
        connections: count(connections),
        capacity: CapacityInfo {
            max_connections: OrNull(snapshot.capacity.max_connections),
            max_rooms: OrNull(snapshot.capacity.max_rooms),
        },
        auto_create: snapshot.auto_create,
        status: snapshot.status.word().to_owned(),
        last_sync_at: time(at),
        agent_version: snapshot.agent_version,
        protocol_version: snapshot.protocol_version,
    };
    (info, snapshot.rooms)
}

/// Puts rooms into their instance under these ids.
fn rooms(
    info: &mut InstanceInfo,
    rooms: Vec<SyncRoom>,
    names: Vec<String>,
    candidates: Vec<Candidate>,
) -> Arc<[Room]> {
    info.rooms.reserve_exact(rooms.len());
    let room = |((room, id), candidate): ((SyncRoom, String), Candidate)| {
        let shown = RoomInfo {
            id,
            kind: room.kind,
            connections: count(room.connections.into()),
            instance_id: info.id.clone(),
            endpoint_url: info.endpoint_url.clone(),
            local: room.origin == Origin::Local,
        };
        info.rooms.push(shown.clone());
        let Claim { local, occurrence, .. } = candidate.claim;
        Room { shown: Arc::new(shown), raw: candidate.raw, local, occurrence }
    };
    rooms.into_iter().zip(names).zip(candidates).map(room).collect()
}

/// An instance some of whose rooms have other ids.
fn renamed(instance: &Instance, names: Vec<(usize, String)>) -> Instance {
    let mut info = InstanceInfo::clone(&instance.info);
    let mut rooms = instance.rooms.to_vec();
    for (index, name) in names {
        if let (Some(listed), Some(room)) = (info.rooms.get_mut(index), rooms.get_mut(index)) {
            listed.id = name;
            room.shown = Arc::new(listed.clone());
        }
    }
    let text = hash::text(&info);
    let (status, label) = (instance.status.clone(), instance.label.clone());
    Instance { info: Arc::new(info), rooms: rooms.into(), status, label, text, offer: instance.offer }
}

/// The fleet in numbers, kept up to date.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    instances: u64,
    rooms: u64,
    connections: u64,
    /// The connections of the instances that name a room type.
    types: BTreeMap<String, BTreeSet<u64>>,
}

impl Totals {
    /// Takes one instance of a connection for another.
    pub(super) fn replace(&mut self, connection: u64, old: Option<&Instance>, new: Option<&Instance>) {
        let connections = |instance: &Instance| u64::try_from(instance.info.connections.get()).unwrap_or(0);
        if let Some(old) = old {
            self.instances = self.instances.saturating_sub(1);
            self.rooms = self.rooms.saturating_sub(old.rooms.len() as u64);
            self.connections = self.connections.saturating_sub(connections(old));
        }
        if let Some(new) = new {
            self.instances += 1;
            self.rooms += new.rooms.len() as u64;
            self.connections = self.connections.saturating_add(connections(new));
        }
        let (old, new) = (old.map(|it| &it.info.room_types), new.map(|it| &it.info.room_types));
        if old == new {
            return;
        }
        for kind in old.into_iter().flatten() {
            if let Some(named) = self.types.get_mut(kind) {
                named.remove(&connection);
                if named.is_empty() {
                    self.types.remove(kind);
                }
            }
        }
        for kind in new.into_iter().flatten() {
            self.types.entry(kind.clone()).or_default().insert(connection);
        }
    }

    /// The connections of the instances that name this room type, in their order.
    pub(super) fn naming(&self, kind: &str) -> impl Iterator<Item = u64> {
        self.types.get(kind).into_iter().flatten().copied()
    }

    pub(super) fn stats(&self, hash: &str) -> FleetStats {
        let mut room_types: Vec<String> = self.types.keys().cloned().collect();
        // Sorted as agents sort, by code units.
        room_types.sort_by(|one, other| one.encode_utf16().cmp(other.encode_utf16()));
        FleetStats {
            instances: count(self.instances),
            rooms: count(self.rooms),
            connections: count(self.connections),
            room_types,
            state_hash: hash.to_owned(),
        }
    }
}

impl State {
    /// The instances in the order of their ids, as the state hash has them.
    pub(super) fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.ids.values().filter_map(|connection| self.connections.get(connection)?.instance.as_ref())
    }

    /// The instances in the order in which their connections came.
    fn listed(&self) -> impl Iterator<Item = &Instance> {
        self.joins.values().filter_map(|connection| self.connections.get(connection)?.instance.as_ref())
    }

    /// The instance of this id, if it is shown.
    pub(super) fn shown(&self, id: &str) -> Option<(u64, &Instance)> {
        let connection = *self.ids.get(id)?;
        Some((connection, self.connections.get(&connection)?.instance.as_ref()?))
    }

    /// The instance of this process whose connection is the newest.
    pub(super) fn newest(&self, uid: &str) -> Option<(u64, &Instance)> {
        self.joins.values().rev().find_map(|connection| {
            let instance = self.connections.get(connection)?.instance.as_ref()?;
            (instance.info.process_uid == uid).then_some((*connection, instance))
        })
    }

    /// The room of this public id.
    pub(super) fn room(&self, id: &str) -> Option<(u64, &Room)> {
        let place = self.places.get(id)?;
        let instance = self.connections.get(&place.connection)?.instance.as_ref()?;
        Some((place.connection, instance.rooms.get(place.index)?))
    }

    /// Finds anew what is derived from the instances, for whoever has changed them by hand.
    pub fn refresh(&mut self) {
        self.totals = Totals::default();
        for (connection, known) in &mut self.connections {
            if let Some(instance) = &mut known.instance {
                instance.offer = Offer::of(&instance.info);
            }
            self.totals.replace(*connection, None, known.instance.as_ref());
        }
    }

    /// Shows what a change says.
    pub(super) fn change(&mut self, change: &Change) {
        self.reconciled = true;
        if change.is_visible(self) {
            self.hash = None;
        }
        for (raw, group) in &change.groups {
            if group.is_empty() {
                self.groups.remove(raw);
            } else {
                self.groups.insert(raw.clone(), group.clone());
            }
        }
        let mut old = Vec::with_capacity(change.views.len());
        // The types under which ids came that change hands.
        let mut kinds: HashMap<String, Arc<str>> = HashMap::new();
        for view in &change.views {
            let Some(known) = self.connections.get_mut(&view.connection) else { continue };
            let was = std::mem::replace(&mut known.instance, view.instance.clone());
            self.totals.replace(view.connection, was.as_ref(), view.instance.as_ref());
            for (index, room) in rooms_of(was.as_ref()).iter().enumerate() {
                if !stays(room, rooms_of(view.instance.as_ref()).get(index)) {
                    self.displace(view.connection, room, &mut kinds);
                }
            }
            old.push((view, was));
        }
        for (view, was) in &old {
            for (index, room) in rooms_of(view.instance.as_ref()).iter().enumerate() {
                if !rooms_of(was.as_ref()).get(index).is_some_and(|was| stays(was, Some(room))) {
                    let kind = kinds.remove(&room.shown.id).filter(|kind| **kind != *room.shown.kind);
                    let place = Place { connection: view.connection, index, kind };
                    self.places.insert(room.shown.id.clone(), place);
                }
            }
        }
    }

    fn displace(&mut self, connection: u64, room: &Room, kinds: &mut HashMap<String, Arc<str>>) {
        let place = self.places.get(&room.shown.id).filter(|place| place.connection == connection);
        if place.is_some()
            && let Some((id, place)) = self.places.remove_entry(&room.shown.id)
        {
            kinds.insert(id, place.kind.unwrap_or_else(|| room.shown.kind.as_str().into()));
        }
    }
}

fn rooms_of(instance: Option<&Instance>) -> &[Room] {
    instance.map_or(&[], |instance| &instance.rooms)
}

/// Whether the place of a room is the same for the room that is there now.
fn stays(was: &Room, is: Option<&Room>) -> bool {
    is.is_some_and(|is| was.shown.id == is.shown.id && was.shown.kind == is.shown.kind)
}

/// Answers a request that reads.
pub(super) fn ask(state: &State, ask: &Ask, decision: &mut Decision<FleetModel>) -> Answer {
    match ask {
        Ask::Stats { known } => {
            tagged(state, known, decision, |hash| Answer::Stats(state.totals.stats(&hash)))
        }
        Ask::Instances { known } => tagged(state, known, decision, |hash| {
            let instances = state.listed().map(|instance| instance.info.clone()).collect();
            Answer::Instances { instances, hash }
        }),
        Ask::Rooms { filter, known } => tagged(state, known, decision, |hash| Answer::Rooms {
            rooms: filtered(state, filter),
            hash: Some(hash),
        }),
        Ask::Instance { id } => match state.shown(id) {
            Some((_, instance)) => Answer::Instance(instance.info.clone()),
            None => Answer::Refused(Cause::InstanceNotFound),
        },
        Ask::InstanceRooms { id } => match state.shown(id) {
            Some((_, instance)) => {
                let rooms = instance.rooms.iter().map(|room| room.shown.clone()).collect();
                Answer::Rooms { rooms, hash: None }
            }
            None => Answer::Refused(Cause::InstanceNotFound),
        },
        Ask::Room { id } => match state.room(id) {
            Some((_, room)) => Answer::Room(room.shown.clone()),
            None => Answer::Refused(Cause::RoomNotFound),
        },
        // Agents are asked about these, and listeners wait.
        Ask::CreateRoom { .. } | Ask::DestroyRoom { .. } | Ask::Drain { .. } | Ask::Events { .. } => {
            Answer::Refused(Cause::Internal)
        }
    }
}

/// An answer with an entity tag, or that nothing has changed.
fn tagged(
    state: &State,
    known: &Option<String>,
    decision: &mut Decision<FleetModel>,
    answer: impl FnOnce(String) -> Answer,
) -> Answer {
    let hash = hash::current(state, decision).as_ref().to_owned();
    let etag = conditional::etag(&hash);
    match known {
        Some(known) if conditional::matches(known, &etag) => Answer::NotModified { hash },
        _ => answer(hash),
    }
}

fn filtered(state: &State, filter: &Filter) -> Vec<Arc<RoomInfo>> {
    let rooms = |instance: &Instance| -> Vec<Arc<RoomInfo>> {
        let labels = &instance.info.labels.0;
        if !filter.labels.iter().all(|(key, value)| labels.get(key) == Some(value)) {
            return Vec::new();
        }
        let kind = |room: &&Room| filter.kind.as_ref().is_none_or(|kind| room.shown.kind == *kind);
        instance.rooms.iter().filter(kind).map(|room| room.shown.clone()).collect()
    };
    match &filter.instance {
        Some(id) => state.shown(id).map(|(_, instance)| rooms(instance)).unwrap_or_default(),
        None => state.listed().flat_map(rooms).collect(),
    }
}
