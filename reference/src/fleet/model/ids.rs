//! Ids: under which public id each room is shown, and whose ids change when a room comes or goes.

use super::{Instance, State};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};
use wireproof_spec::fleet::{InstanceInfo, Origin, SyncRoom, ids};

/// The longest part of a public id that stands for a process. One with a longer processUid is known by its instance id, so
/// that every public id has room in a path.
const LONGEST: usize = 256;

/// A room among those that have its raw id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whether its origin is local: it comes behind those that commands made.
    pub local: bool,
    /// When its connection came, counted from 0.
    pub join: u64,
    /// Which room with this raw id it is on its instance, counted from 0.
    pub occurrence: u32,
    /// Its connection.
    pub connection: u64,
    /// What stands before the base if another room keeps it.
    pub label: Arc<str>,
}

impl Claim {
    /// Whoever is least keeps the base. No two claims are equal in this.
    fn rank(&self) -> (bool, u64, u32) {
        (self.local, self.join, self.occurrence)
    }
}

/// What stands for an instance in public ids.
pub(super) fn label(info: &InstanceInfo) -> Arc<str> {
    let label = ids::public(&info.process_uid);
    if label.len() > LONGEST { info.id.as_str().into() } else { label.into() }
}

/// Which form of the public id each of those has who have one raw id: 0 for the base, and otherwise how many with its label
/// there were before it, with itself, the keeper of the base left out. Only for those with one of these labels, and the keeper.
fn forms(group: &[Claim], labels: &[&str]) -> Vec<Option<u32>> {
    let mut seen = vec![0_u32; labels.len()];
    let form = |(at, claim): (usize, &Claim)| {
        if at == 0 {
            return Some(0);
        }
        let label = labels.iter().position(|label| *label == claim.label.as_ref())?;
        seen[label] += 1;
        Some(seen[label])
    };
    group.iter().enumerate().map(form).collect()
}

/// The public id of this form. Where one label occurs twice, the second one gets a number between two tildes; as neither
/// labels nor bases have a tilde, no two are the same.
fn name(base: &str, label: &str, form: u32) -> String {
    match form {
        0 => base.to_owned(),
        1 => format!("{label}~{base}"),
        form => format!("{label}~{form}~{base}"),
    }
}

/// A room whose id is to be found.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) raw: Arc<str>,
    pub(super) claim: Claim,
}

/// The rooms of a snapshot as candidates, in its order.
pub(super) fn candidates(
    state: &State,
    connection: u64,
    join: u64,
    label: &Arc<str>,
    rooms: &[SyncRoom],
) -> Vec<Candidate> {
    let mut seen: HashMap<&str, u32> = HashMap::with_capacity(rooms.len());
    let candidate = |room: &'_ SyncRoom| {
        let kept = state.groups.get_key_value(room.id.as_str()).map(|(raw, _)| raw.clone());
        (kept.unwrap_or_else(|| room.id.as_str().into()), room.origin == Origin::Local)
    };
    let mut found = Vec::with_capacity(rooms.len());
    for room in rooms {
        let times = seen.entry(&room.id).or_insert(0);
        let occurrence = *times;
        *times += 1;
        let (raw, local) = candidate(room);
        found.push(Candidate {
            raw,
            claim: Claim { local, join, occurrence, connection, label: label.clone() },
        });
    }
    found
}

/// Who gets which id when the rooms of one connection are replaced.
#[derive(Debug, Default)]
pub(super) struct Naming {
    /// The ids of the new rooms, in their order.
    pub(super) own: Vec<String>,
    /// Rooms of other connections that get another id: which of its rooms, by connection.
    pub(super) others: BTreeMap<u64, Vec<(usize, String)>>,
    /// Who has a raw id now, for each for which that has changed.
    pub(super) groups: Vec<(Arc<str>, Arc<[Claim]>)>,
}

/// Finds the ids for the new rooms of a connection, and what changes for others.
pub(super) fn naming(state: &State, connection: u64, old: Option<&Instance>, new: &[Candidate]) -> Naming {
    let old_rooms = old.map_or(&[][..], |instance| &instance.rooms);
    let mut before: HashMap<(&str, u32), usize> = HashMap::with_capacity(old_rooms.len());
    for (index, room) in old_rooms.iter().enumerate() {
        before.insert((&room.raw, room.occurrence), index);
    }
    let label = old.map(|instance| &instance.label);
    let mut naming = Naming::default();
    let mut touched: Vec<&Arc<str>> = Vec::new();
    for candidate in new {
        let claim = &candidate.claim;
        let same = before.remove(&(&candidate.raw, claim.occurrence)).map(|index| &old_rooms[index]);
        match same.filter(|room| room.local == claim.local && label == Some(&claim.label)) {
            Some(room) => naming.own.push(room.shown.id.clone()),
            None => {
                touched.push(&candidate.raw);
                naming.own.push(String::new());
            }
        }
    }
    let mut gone: Vec<usize> = before.into_values().collect();
    gone.sort_unstable();
    touched.extend(gone.into_iter().map(|index| &old_rooms[index].raw));
    let mut seen = HashSet::with_capacity(touched.len());
    touched.retain(|&raw| seen.insert(raw.as_ref()));
    if touched.is_empty() {
        return naming;
    }

    let mut coming: HashMap<&str, Vec<usize>> = HashMap::with_capacity(touched.len());
    for (index, candidate) in new.iter().enumerate() {
        if seen.contains(candidate.raw.as_ref()) {
            coming.entry(&candidate.raw).or_default().push(index);
        }
    }
    for raw in touched {
        let old_group = state.groups.get(raw).map_or(&[][..], |group| group);
        let indices = coming.get(raw.as_ref()).map_or(&[][..], Vec::as_slice);
        let mut group: Vec<Claim> =
            old_group.iter().filter(|claim| claim.connection != connection).cloned().collect();
        group.extend(indices.iter().map(|index| new[*index].claim.clone()));
        group.sort_by_key(Claim::rank);
        // A form depends on the keeper and on those with the same label, so that only these few labels can have other ones.
        let mine = old_group.iter().find(|claim| claim.connection == connection);
        let first = indices.first().map(|index| &new[*index].claim);
        let labels = [mine, first, old_group.first(), group.first()].into_iter().flatten();
        let labels: BTreeSet<&str> = labels.map(|claim| claim.label.as_ref()).collect();
        let labels: Vec<&str> = labels.into_iter().collect();
        let (was, is) = (forms(old_group, &labels), forms(&group, &labels));
        let base = ids::public(raw);
        naming.rename(state, connection, &base, (old_group, &was), (&group, &is));
        for (claim, form) in group.iter().zip(&is) {
            if claim.connection == connection
                && let Some(index) = indices.get(claim.occurrence as usize)
                && let Some(form) = form
            {
                naming.own[*index] = name(&base, &claim.label, *form);
            }
        }
        naming.groups.push((raw.clone(), group.into()));
    }
    naming
}

impl Naming {
    /// Notes which rooms of others have another id among the new ones. Others stand in both groups in the same order.
    fn rename(
        &mut self,
        state: &State,
        connection: u64,
        base: &str,
        (old, was): (&[Claim], &[Option<u32>]),
        (new, is): (&[Claim], &[Option<u32>]),
    ) {
        let others = |(claim, _): &(&Claim, &Option<u32>)| claim.connection != connection;
        let was = old.iter().zip(was).filter(others);
        let is = new.iter().zip(is).filter(others);
        for ((claim, was), (_, is)) in was.zip(is) {
            let (Some(was), Some(is)) = (was, is) else { continue };
            if was == is {
                continue;
            }
            let place = state.places.get(&name(base, &claim.label, *was));
            if let Some(place) = place.filter(|place| place.connection == claim.connection) {
                let id = name(base, &claim.label, *is);
                self.others.entry(claim.connection).or_default().push((place.index, id));
            }
        }
    }
}
