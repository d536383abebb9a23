//! Events: what those who listen are told, in the order in which it is to be told. Nobody listens most of the time; then
//! nothing of this is made.

use super::{Answer, Change, Effect, FleetModel, Record, State, Told, hash, instances::Totals};
use crate::model::Decision;
use std::{collections::HashSet, sync::Arc};
use wireproof_spec::fleet::{Cause, InstanceInfo, RoomInfo};

/// An operator wants to be told what happens from now on.
pub(super) fn listen(
    state: &State,
    session: u64,
    most: usize,
    decision: &mut Decision<FleetModel>,
) -> Answer {
    if state.listeners.len() >= most {
        return Answer::Refused(Cause::SseLimit);
    }
    decision.records.push(Record::Listening { session });
    Answer::Listening
}

/// Those who listen, if there are any.
pub(super) fn listeners(state: &State) -> Option<Arc<[u64]>> {
    (!state.listeners.is_empty()).then(|| state.listeners.iter().copied().collect())
}

/// Tells what a change does. It is told behind the leave of the instance for whose removal it was made. The records of the
/// change are in the decision already.
pub(super) fn changed(
    state: &State,
    change: &Change,
    left: Option<&Arc<InstanceInfo>>,
    decision: &mut Decision<FleetModel>,
) {
    let Some(sessions) = listeners(state) else { return };
    let mut tell = |event| decision.effects.push(Effect::Tell { sessions: sessions.clone(), event });
    if let Some(left) = left {
        tell(Told::Leave(left.clone()));
    }
    let mut shown: HashSet<&str> = HashSet::new();
    for view in &change.views {
        let Some(instance) = &view.instance else { continue };
        if state.instance(view.connection).is_none() {
            tell(Told::Join(instance.info.clone()));
        }
        for room in instance.rooms.iter() {
            shown.insert(&room.shown.id);
            if !state.places.contains_key(&room.shown.id) {
                tell(Told::Create(room.shown.clone()));
            }
        }
    }
    for view in &change.views {
        let known = state.connections.get(&view.connection).and_then(|known| known.instance.as_ref());
        for room in known.iter().flat_map(|instance| instance.rooms.iter()) {
            if !shown.contains(room.shown.id.as_str()) {
                tell(Told::Destroy(as_created(state, &room.shown)));
            }
        }
    }
    // The first look ever finds that no hash was told before.
    if change.is_visible(state) || !state.reconciled {
        let hash = hash::behind(state, change);
        let mut totals: Totals = state.totals.clone();
        for view in &change.views {
            let old = state.connections.get(&view.connection).and_then(|known| known.instance.as_ref());
            totals.replace(view.connection, old, view.instance.as_ref());
        }
        tell(Told::Sync(Arc::new(totals.stats(&hash))));
        decision.records.push(Record::Hashed { hash });
    }
}

/// A room with the type under which its id was told first.
fn as_created(state: &State, room: &Arc<RoomInfo>) -> Arc<RoomInfo> {
    match state.places.get(&room.id).and_then(|place| place.kind.as_ref()) {
        Some(kind) => Arc::new(RoomInfo { kind: kind.as_ref().to_owned(), ..RoomInfo::clone(room) }),
        None => room.clone(),
    }
}
