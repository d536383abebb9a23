//! What operators are shown, changed wherever it is shown in an answer.

use super::{Seams, answers, decide};
use crate::embed::reference::{
    fleet::{
        FleetModel,
        model::{Answer, Ask, Input, State},
    },
    model::Decision,
};
use std::sync::Arc;
use wireproof_spec::fleet::{FleetStats, InstanceInfo, RoomInfo};

/// Each instance in an answer, changed.
pub(super) fn instances(change: impl FnMut(&State, &mut InstanceInfo) + Send + 'static) -> Seams {
    let mut change = change;
    decide(move |state, _, decision| {
        for answer in answers(decision) {
            match answer {
                Answer::Instance(info) => change(state, Arc::make_mut(info)),
                Answer::Instances { instances, .. } => {
                    let changed = instances.iter().map(|info| {
                        let mut info = InstanceInfo::clone(info);
                        change(state, &mut info);
                        Arc::new(info)
                    });
                    *instances = changed.collect();
                }
                _ => {}
            }
        }
    })
}

/// Each room in an answer, changed: alone, in a list, and within its instance.
pub(super) fn rooms(change: impl FnMut(&State, &mut RoomInfo) + Send + 'static) -> Seams {
    let mut change = change;
    decide(move |state, _, decision| each_room(decision, |room| change(state, room)))
}

/// Each room in the answers of a decision, changed.
pub(super) fn each_room(decision: &mut Decision<FleetModel>, mut change: impl FnMut(&mut RoomInfo)) {
    for answer in answers(decision) {
        match answer {
            Answer::Room(room) => change(Arc::make_mut(room)),
            Answer::Created(room) => change(room),
            Answer::Rooms { rooms, .. } => rooms.iter_mut().for_each(|room| change(Arc::make_mut(room))),
            Answer::Instance(info) => Arc::make_mut(info).rooms.iter_mut().for_each(&mut change),
            Answer::Instances { instances, .. } => {
                let changed = instances.iter().map(|info| {
                    let mut info = InstanceInfo::clone(info);
                    info.rooms.iter_mut().for_each(&mut change);
                    Arc::new(info)
                });
                *instances = changed.collect();
            }
            _ => {}
        }
    }
}

/// The numbers in each answer, changed.
pub(super) fn stats(change: impl FnMut(&State, &mut FleetStats) + Send + 'static) -> Seams {
    let mut change = change;
    decide(move |state, _, decision| {
        for answer in answers(decision) {
            if let Answer::Stats(stats) = answer {
                change(state, stats);
            }
        }
    })
}

/// The answers to what an operator asks, changed.
pub(super) fn asked(change: impl FnMut(&State, &Ask, &mut Answer) + Send + 'static) -> Seams {
    let mut change = change;
    decide(move |state, input, decision| {
        if let Input::Ask { ask, .. } = input {
            answers(decision).for_each(|answer| change(state, ask, answer));
        }
    })
}

/// What is shown of all connections, in the order in which they came.
pub(super) fn all(state: &State) -> Vec<Arc<InstanceInfo>> {
    state.connections().filter_map(|connection| state.instance(connection).cloned()).collect()
}
