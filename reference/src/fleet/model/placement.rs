//! Placement: which instance gets a room.

use super::{Instance, State, state::Connection};
use std::cmp::Ordering;
use wireproof_spec::fleet::{Cause, InstanceInfo, Placement, Status, Strategy};

/// The connection of the instance that gets a room of this type. The upper bytes of `random`, which no id is made of, choose
/// where several are as good.
///
/// # Errors
/// Why none gets it.
pub(super) fn place(
    state: &State,
    kind: &str,
    placement: Option<&Placement>,
    random: &[u8; 32],
) -> Result<u64, Cause> {
    let placement = placement.cloned().unwrap_or(Placement {
        instance_id: None,
        process_uid: None,
        strategy: None,
        labels: None,
        force: None,
    });
    let force = placement.force == Some(true);
    match (&placement.instance_id, &placement.process_uid) {
        (Some(_), Some(_)) => Err(Cause::Validation),
        (Some(id), None) => pinned(state, state.shown(id), force),
        (None, Some(uid)) => pinned(state, state.newest(uid), force),
        (None, None) => unpinned(state, kind, &placement, random),
    }
}

fn pinned(state: &State, found: Option<(u64, &Instance)>, force: bool) -> Result<u64, Cause> {
    let (connection, instance) = found.ok_or(Cause::InstanceNotFound)?;
    let known = state.connections.get(&connection).ok_or(Cause::InstanceNotFound)?;
    if !force && *known.status(instance) != Status::Active {
        return Err(Cause::InstanceDraining);
    }
    if !force && known.is_stale() {
        return Err(Cause::InstanceDisconnected);
    }
    if !instance.info.auto_create {
        return Err(Cause::NoCandidate);
    }
    Ok(connection)
}

fn unpinned(state: &State, kind: &str, placement: &Placement, random: &[u8; 32]) -> Result<u64, Cause> {
    let candidate = |connection: u64| {
        let known = state.connections.get(&connection)?;
        let instance = known.instance.as_ref()?;
        takes(known, instance, placement).then_some((connection, instance.offer.load))
    };
    let mut candidates: Vec<(u64, Load)> = state.totals.naming(kind).filter_map(candidate).collect();
    let compare = if candidates.iter().all(|(_, load)| load.most.is_some()) {
        Load::by_quotient
    } else {
        Load::by_number
    };
    let best = match placement.strategy.unwrap_or(Strategy::LeastLoaded) {
        Strategy::LeastLoaded => candidates.iter().map(|(_, load)| *load).min_by(compare),
        Strategy::MostLoaded => candidates.iter().map(|(_, load)| *load).max_by(compare),
        Strategy::Random => None,
    };
    if let Some(best) = best {
        candidates.retain(|(_, load)| compare(load, &best) == Ordering::Equal);
    }
    let mut chance = [0; 8];
    chance.copy_from_slice(&random[24..]);
    // So few candidates hardly bend so many bits.
    let index = u64::from_be_bytes(chance).checked_rem(candidates.len() as u64).ok_or(Cause::NoCandidate)?;
    let chosen = usize::try_from(index).ok().and_then(|index| candidates.get(index));
    chosen.map(|(connection, _)| *connection).ok_or(Cause::NoCandidate)
}

/// Whether an instance takes a room that may go anywhere and has a type that it names.
fn takes(known: &Connection, instance: &Instance, placement: &Placement) -> bool {
    let offer = &instance.offer;
    let rooms = i64::try_from(instance.rooms.len().saturating_add(known.holds.len())).unwrap_or(i64::MAX);
    let below = |number: i64, most: Option<i32>| most.is_none_or(|most| number < most.into());
    let labels = placement.labels.iter().flat_map(|labels| &labels.0);
    *known.status(instance) == Status::Active
        && !known.is_stale()
        && offer.auto_create
        && below(rooms, offer.most_rooms)
        && below(offer.load.connections, offer.load.most)
        && labels.into_iter().all(|(key, value)| instance.info.labels.0.get(key) == Some(value))
}

/// What placement reads of every instance. It is kept beside the rest because the rest is far away in memory, and fetching it
/// would take longer than all that is done with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    auto_create: bool,
    most_rooms: Option<i32>,
    load: Load,
}

impl Offer {
    pub(super) fn of(info: &InstanceInfo) -> Self {
        let load = Load { connections: info.connections.get(), most: info.capacity.max_connections.0 };
        Self { auto_create: info.auto_create, most_rooms: info.capacity.max_rooms.0, load }
    }
}

/// How much an instance has to do. What is held does not count.
#[derive(Clone, Copy, Debug)]
struct Load {
    connections: i64,
    /// The most connections; a candidate has fewer, so that it is never 0.
    most: Option<i32>,
}

impl Load {
    fn by_number(&self, other: &Self) -> Ordering {
        self.connections.cmp(&other.connections)
    }

    /// Compares quotients as products, in which nothing is rounded.
    fn by_quotient(&self, other: &Self) -> Ordering {
        let product =
            |one: &Self, other: &Self| i128::from(one.connections) * i128::from(other.most.unwrap_or(1));
        product(self, other).cmp(&product(other, self))
    }
}
