//! Defects of "Placement".

use super::{Seams, Table, answers, ask, decide, input, is, refusal, reply, state, through};
use crate::{
    embed::reference::fleet::{
        FleetModel,
        model::{Answer, Ask, Connection, Effect, Input, Record, Said, State},
    },
    embed::reference::model::Model,
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};
use std::{collections::BTreeSet, sync::Arc};
use wireproof_spec::{
    fleet::{
        Action, Cause, Cmd, CreateRequest, InstanceInfo, Op, Placement, Status, Strategy, requirements::*,
    },
    json::{Count, OrNull},
};

pub(super) const TABLE: Table = &[
    Breakage::always("fleet/placement/nobody-is-not-found", FLEET_PLACEMENT_1, Wire, || {
        reply(|request, response| {
            let text = String::from_utf8_lossy(&response.body).into_owned();
            if is(request, Action::CreateRoom) && text.contains("NO_CANDIDATE") {
                *response = refusal(404, "INSTANCE_NOT_FOUND");
            }
        })
    })
    .wide("each that has no candidate is answered so"),
    Breakage::always("fleet/placement/nobody-and-told", FLEET_PLACEMENT_1, Port, nobody_and_told)
        .wide("an Ack that nobody waits for ends the connection of an agent"),
    Breakage::always("fleet/placement/no-types-are-all", FLEET_PLACEMENT_2, Port, || {
        candidates(|info, request| {
            if info.room_types.is_empty() {
                info.room_types.push(request.kind.as_str().to_owned());
            }
        })
    }),
    Breakage::always("fleet/placement/types-in-any-case", FLEET_PLACEMENT_2, Port, || {
        candidates(|info, request| {
            let kind = request.kind.as_str();
            if info.room_types.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
                info.room_types.push(kind.to_owned());
            }
        })
    }),
    Breakage::always("fleet/placement/one-label-is-enough", FLEET_PLACEMENT_3, Port, || {
        candidates(|info, request| {
            let Some(labels) = request.placement.as_ref().and_then(|it| it.labels.as_ref()) else { return };
            let has = |(key, value): (&String, &String)| info.labels.0.get(key) == Some(value);
            if labels.0.iter().any(has) {
                info.labels.0.extend(labels.0.clone());
            }
        })
    }),
    Breakage::boundary("fleet/placement/label-with-another-value", FLEET_PLACEMENT_3, Port, || {
        candidates(|info, request| {
            let Some(labels) = request.placement.as_ref().and_then(|it| it.labels.as_ref()) else { return };
            if labels.0.keys().all(|key| info.labels.0.contains_key(key)) {
                info.labels.0.extend(labels.0.clone());
            }
        })
    }),
    Breakage::always("fleet/placement/draining-with-force", FLEET_PLACEMENT_4, Port, || {
        connections(|known, request| {
            let force = request.placement.as_ref().and_then(|it| it.force) == Some(true);
            if let (true, Some(instance)) = (force, &mut known.instance) {
                instance.status = Status::Active;
            }
        })
    }),
    Breakage::always("fleet/placement/draining-is-active", FLEET_PLACEMENT_4, Port, || {
        connections(|known, _| {
            if let Some(instance) = &mut known.instance {
                instance.status = Status::Active;
            }
        })
    }),
    Breakage::second("fleet/placement/stale-is-active", FLEET_PLACEMENT_5, Port, || {
        connections(|known, _| known.missed = 0)
    }),
    Breakage::always("fleet/placement/auto-create-is-not-asked", FLEET_PLACEMENT_6, Port, || {
        candidates(|info, _| info.auto_create = true)
    }),
    Breakage::boundary("fleet/placement/one-room-more", FLEET_PLACEMENT_7, Port, || {
        candidates(|info, _| {
            info.capacity.max_rooms = OrNull(info.capacity.max_rooms.0.map(|most| most.saturating_add(1)));
        })
    }),
    Breakage::boundary("fleet/placement/local-rooms-take-no-place", FLEET_PLACEMENT_7, Port, || {
        connections(|known, _| {
            let Some(instance) = &mut known.instance else { return };
            instance.rooms = instance.rooms.iter().filter(|room| !room.local).cloned().collect();
        })
    }),
    Breakage::boundary("fleet/placement/one-connection-more", FLEET_PLACEMENT_8, Port, || {
        candidates(|info, _| {
            let most = info.capacity.max_connections.0;
            info.capacity.max_connections = OrNull(most.map(|most| most.saturating_add(1)));
        })
    }),
    Breakage::boundary("fleet/placement/connections-of-one-room", FLEET_PLACEMENT_8, Port, || {
        candidates(|info, _| {
            let most = info.rooms.iter().map(|room| room.connections.get()).max().unwrap_or(0);
            info.connections = Count::new(most).unwrap_or(info.connections);
        })
    }),
    Breakage::boundary("fleet/placement/one-room-less", FLEET_PLACEMENT_9, Port, || {
        candidates(|info, _| {
            let rooms = i32::try_from(info.rooms.len()).unwrap_or(i32::MAX);
            if rooms > 0 && info.capacity.max_rooms.0 == Some(rooms.saturating_add(1)) {
                info.capacity.max_rooms = OrNull(Some(rooms));
            }
        })
    }),
    Breakage::boundary("fleet/placement/one-connection-less", FLEET_PLACEMENT_9, Port, || {
        candidates(|info, _| {
            let most = info.capacity.max_connections.0;
            info.capacity.max_connections = OrNull(most.map(|most| most.saturating_sub(1)));
        })
    }),
    Breakage::second("fleet/placement/least-by-number", FLEET_PLACEMENT_10, Port, || {
        by(Strategy::LeastLoaded, |info| info.capacity.max_connections = OrNull(None))
    }),
    Breakage::boundary("fleet/placement/least-by-percents", FLEET_PLACEMENT_10, Port, || {
        by(Strategy::LeastLoaded, |info| {
            if let Some(most) = info.capacity.max_connections.0.filter(|most| *most > 0) {
                let percents = info.connections.get() * 100 / i64::from(most);
                info.capacity.max_connections = OrNull(Some(101));
                info.connections = Count::new(percents).unwrap_or(info.connections);
            }
        })
    }),
    Breakage::second("fleet/placement/no-bound-is-no-load", FLEET_PLACEMENT_11, Port, || {
        by(Strategy::LeastLoaded, |info| {
            let most = info.capacity.max_connections.0;
            info.capacity.max_connections = OrNull(most.or(Some(i32::MAX)));
        })
    }),
    Breakage::second("fleet/placement/most-by-number", FLEET_PLACEMENT_12, Port, || {
        by(Strategy::MostLoaded, |info| info.capacity.max_connections = OrNull(None))
    }),
    Breakage::second("fleet/placement/most-is-least", FLEET_PLACEMENT_12, Port, || {
        strategy(|strategy| match strategy {
            Some(Strategy::MostLoaded) => Some(Strategy::LeastLoaded),
            other => other,
        })
    }),
    Breakage::second("fleet/placement/random-is-least", FLEET_PLACEMENT_13, Port, || {
        strategy(|strategy| strategy.filter(|strategy| *strategy != Strategy::Random))
    }),
    Breakage::second("fleet/placement/none-is-most", FLEET_PLACEMENT_14, Port, || {
        strategy(|strategy| strategy.or(Some(Strategy::MostLoaded)))
    }),
    Breakage::always("fleet/placement/one-pin-of-two", FLEET_PLACEMENT_16, Port, || {
        pins(|_, placement| {
            if placement.instance_id.is_some() {
                placement.process_uid = None;
            }
        })
    }),
    Breakage::second("fleet/placement/pinned-and-full", FLEET_PLACEMENT_17, Port, || {
        pinned(|info, _| {
            let rooms = i32::try_from(info.rooms.len()).unwrap_or(i32::MAX);
            info.capacity.max_rooms.0.is_some_and(|most| rooms >= most)
        })
    }),
    Breakage::second("fleet/placement/pinned-with-labels", FLEET_PLACEMENT_17, Port, || {
        pinned(|info, request| {
            let labels = request.placement.iter().flat_map(|it| &it.labels).flat_map(|labels| &labels.0);
            labels.into_iter().any(|(key, value)| info.labels.0.get(key) != Some(value))
        })
    }),
    Breakage::boundary("fleet/placement/forced-elsewhere", FLEET_PLACEMENT_18, Port, || {
        pins(|state, placement| {
            let gone = placement.instance_id.as_ref().is_some_and(|id| state.connection(id).is_none());
            if gone && placement.force == Some(true) {
                placement.instance_id = None;
            }
        })
    }),
    Breakage::second("fleet/placement/gone-is-disconnected", FLEET_PLACEMENT_18, Port, gone_is_disconnected),
    Breakage::always("fleet/placement/draining-and-pinned", FLEET_PLACEMENT_19, Port, || {
        pins(|state, placement| {
            if named(state, placement).is_some_and(|info| info.status == Status::Draining.word()) {
                placement.force = Some(true);
            }
        })
    }),
    Breakage::boundary("fleet/placement/pins-go-by-what-is-shown", FLEET_PLACEMENT_19, Port, || {
        state(|state, input| {
            if let Some(Ask::CreateRoom { request, .. }) = ask(input)
                && is_pinned(request)
            {
                state.connections.values_mut().for_each(|known| {
                    known.target = known.target.take().filter(|target| *target == Status::Active);
                });
            }
        })
    }),
    Breakage::boundary("fleet/placement/undrained-pins-wait-for-a-state", FLEET_PLACEMENT_17, Port, || {
        state(|state, input| {
            if let Some(Ask::CreateRoom { request, .. }) = ask(input)
                && is_pinned(request)
            {
                state.connections.values_mut().for_each(|known| {
                    known.target = known.target.take().filter(|target| *target == Status::Draining);
                });
            }
        })
    }),
    Breakage::boundary("fleet/placement/force-is-passed-over", FLEET_PLACEMENT_19, Port, || {
        pins(|state, placement| {
            if named(state, placement).is_some_and(|info| info.status == Status::Draining.word()) {
                placement.force = None;
            }
        })
    }),
    Breakage::second("fleet/placement/stale-and-pinned", FLEET_PLACEMENT_20, Port, || {
        pins(|state, placement| {
            let connection = placement.instance_id.as_ref().and_then(|id| state.connection(id));
            if connection.is_some_and(|connection| state.is_stale(connection)) {
                placement.force = Some(true);
            }
        })
    }),
    Breakage::boundary("fleet/placement/force-is-no-use-for-stale", FLEET_PLACEMENT_20, Port, || {
        pins(|state, placement| {
            let connection = placement.instance_id.as_ref().and_then(|id| state.connection(id));
            if connection.is_some_and(|connection| state.is_stale(connection)) {
                placement.force = None;
            }
        })
    }),
    Breakage::boundary("fleet/placement/force-makes-it-create", FLEET_PLACEMENT_21, Port, || {
        state(|state, input| {
            let Some(Ask::CreateRoom { request, .. }) = ask(input) else { return };
            let Some(Placement { force: Some(true), .. }) = request.placement else { return };
            for known in state.connections.values_mut() {
                if let Some(instance) = &mut known.instance
                    && is_pinned(request)
                {
                    Arc::make_mut(&mut instance.info).auto_create = true;
                }
            }
        })
    }),
    Breakage::second("fleet/placement/oldest-of-a-process", FLEET_PLACEMENT_22, Port, || {
        pins(|state, placement| {
            let Some(uid) = &placement.process_uid else { return };
            let all = state.connections().filter_map(|connection| state.instance(connection));
            if let Some(oldest) = all.into_iter().find(|info| info.process_uid == *uid) {
                (placement.instance_id, placement.process_uid) = (Some(oldest.id.clone()), None);
            }
        })
    }),
    Breakage::boundary("fleet/placement/place-before-the-id", FLEET_PLACEMENT_23, Port, || {
        through(Box::new(|state, now, input| {
            let decision = FleetModel::decide(state, now, input);
            let mut other = input.clone();
            if let Input::Ask { ask: Ask::CreateRoom { request, .. }, .. } = &mut other {
                request.room_id = None;
                let mut without = FleetModel::decide(state, now, &other);
                if answers(&mut without).any(|answer| matches!(answer, Answer::Refused(_))) {
                    return without;
                }
            }
            decision
        }))
    }),
];

/// Whether a room has a place of its own.
fn is_pinned(request: &CreateRequest) -> bool {
    request.placement.as_ref().is_some_and(|it| it.instance_id.is_some() || it.process_uid.is_some())
}

/// The instance that a placement names.
fn named<'a>(state: &'a State, placement: &Placement) -> Option<&'a Arc<InstanceInfo>> {
    match (&placement.instance_id, &placement.process_uid) {
        (Some(id), _) => state.connection(id).and_then(|connection| state.instance(connection)),
        (None, Some(uid)) => {
            let all = state.connections().filter_map(|connection| state.instance(connection));
            all.into_iter().find(|info| info.process_uid == *uid)
        }
        (None, None) => None,
    }
}

/// A create that is not pinned is placed as if each connection were this.
fn connections(change: impl Fn(&mut Connection, &CreateRequest) + Send + 'static) -> Seams {
    state(move |state, input| {
        if let Some(Ask::CreateRoom { request, .. }) = ask(input)
            && !is_pinned(request)
        {
            state.connections.values_mut().for_each(|known| change(known, request));
            state.refresh();
        }
    })
}

/// A create that is not pinned is placed as if each instance were this.
fn candidates(change: impl Fn(&mut InstanceInfo, &CreateRequest) + Send + 'static) -> Seams {
    connections(move |known, request| {
        if let Some(instance) = &mut known.instance {
            change(Arc::make_mut(&mut instance.info), request);
        }
    })
}

/// A create with this strategy is placed as if each instance that takes its type, and has a place left, were this.
fn by(strategy: Strategy, change: impl Fn(&mut InstanceInfo) + Send + 'static) -> Seams {
    candidates(move |info, request| {
        let asked = request.placement.as_ref().and_then(|it| it.strategy);
        let is_full =
            info.capacity.max_connections.0.is_some_and(|most| info.connections.get() >= most.into());
        if asked == Some(strategy) && !is_full {
            change(info);
        }
    })
}

/// The placement of each create that has one, changed.
fn pins(change: impl Fn(&State, &mut Placement) + Send + 'static) -> Seams {
    input(move |state, input| {
        if let Input::Ask { ask: Ask::CreateRoom { request, .. }, .. } = input
            && let Some(placement) = &mut request.placement
        {
            change(state, placement);
        }
    })
}

/// The strategy of each create, changed.
fn strategy(change: impl Fn(Option<Strategy>) -> Option<Strategy> + Send + 'static) -> Seams {
    input(move |_, input| {
        if let Input::Ask { ask: Ask::CreateRoom { request, .. }, .. } = input {
            let none =
                Placement { instance_id: None, process_uid: None, strategy: None, labels: None, force: None };
            let placement = request.placement.get_or_insert(none);
            placement.strategy = change(placement.strategy);
        }
    })
}

/// A create that is pinned to an instance of which this is true is refused for want of a candidate.
fn pinned(refuses: impl Fn(&InstanceInfo, &CreateRequest) -> bool + Send + 'static) -> Seams {
    decide(move |state, input, decision| {
        let Input::Ask { session, ask: Ask::CreateRoom { request, .. } } = input else { return };
        let Some(placement) = &request.placement else { return };
        let sent = decision.records.iter().any(|record| matches!(record, Record::Sent { .. }));
        if sent && named(state, placement).is_some_and(|info| refuses(info, request)) {
            let answer = Answer::Refused(Cause::NoCandidate);
            decision.records.clear();
            decision.effects = vec![Effect::Answer { session: *session, answer }];
        }
    })
}

/// A create that nobody takes is told to everybody.
fn nobody_and_told() -> Seams {
    decide(|state, input, decision| {
        let Some(Ask::CreateRoom { request, .. }) = ask(input) else { return };
        if answers(decision).any(|answer| *answer == Answer::Refused(Cause::NoCandidate)) {
            for connection in state.connections() {
                let cmd = Cmd {
                    cmd_id: format!("try_{connection}"),
                    op: Op::Create,
                    room_id: Some("tried".into()),
                    room_type: Some(request.kind.as_str().to_owned()),
                };
                decision.effects.push(Effect::Send { connection, said: Said::Cmd(cmd) });
            }
        }
    })
}

/// A pin to an instance that has left is refused as if it were about to come back.
fn gone_is_disconnected() -> Seams {
    let mut gone: BTreeSet<String> = BTreeSet::new();
    decide(move |state, input, decision| {
        for record in &decision.records {
            if let Record::Removed { connection } = record {
                gone.extend(state.instance(*connection).map(|info| info.id.clone()));
            }
        }
        let Some(Ask::CreateRoom { request, .. }) = ask(input) else { return };
        let id = request.placement.as_ref().and_then(|placement| placement.instance_id.as_ref());
        if id.is_some_and(|id| gone.contains(id)) {
            for answer in answers(decision) {
                *answer = Answer::Refused(Cause::InstanceDisconnected);
            }
        }
    })
}
