//! Defects of "Execute".

use super::client::{
    ClientSeams, ClientTable, Counted, ack, always, boundary, cmd_of, decide, heard_cmd, heard_inner,
    inner_of, once_more, race, second, snapshot,
};
use crate::{
    embed::reference::fleet::client::model::{Ask, Effect, Record, What},
    protocol::Cut::{Port, Wire},
};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use wireproof_spec::fleet::{Ack, AckRoom, Cmd, Op, Origin, SyncRoom, requirements::*};

pub(super) const TABLE: ClientTable = &[
    boundary("fleet/execute/id-in-ascii", FLEET_EXECUTE_1, Wire, || {
        ack(|_, ack| ack.cmd_id.retain(|char| char.is_ascii()))
    }),
    second("fleet/execute/second-drain-twice", FLEET_EXECUTE_1, Port, || {
        on_cmd(|cmd, _, effects| {
            if cmd.op == Op::Drain {
                effects.extend_from_within(..);
            }
        })
    })
    .wide("what is awaited behind a drain is not its Ack once more"),
    boundary("fleet/execute/once-more-behind-a-second", FLEET_EXECUTE_1, Port, || {
        once_more(|effect| matches!(effect, Effect::Ack(_)))
    })
    .wide("who takes a second hears an Ack for which nobody waits"),
    boundary("fleet/execute/without-id-unanswered", FLEET_EXECUTE_1, Port, || {
        on_cmd(|cmd, _, effects| {
            if cmd.cmd_id.is_empty() {
                effects.clear();
            }
        })
    }),
    race("fleet/execute/busy", FLEET_EXECUTE_2, Port, || busy(3, Duration::from_micros(1_500)))
        .wide("three Cmds within a moment are what every check of rooms sends"),
    race("fleet/execute/busy-with-sixteen", FLEET_EXECUTE_2, Port, || busy(17, Duration::from_millis(10))),
    second("fleet/execute/room-is-not-named", FLEET_EXECUTE_3, Wire, || {
        ack(|_, ack| {
            if let Some(room) = &mut ack.room
                && room.id.is_ascii()
            {
                room.id.truncate(36);
            }
        })
    }),
    always("fleet/execute/type-is-not-told", FLEET_EXECUTE_3, Wire, || {
        ack(|_, ack| {
            if let Some(room) = &mut ack.room {
                room.kind.clear();
            }
        })
    }),
    boundary("fleet/execute/draining-refuses", FLEET_EXECUTE_3, Port, || {
        decide(|state, input, decision| {
            if let Some(cmd) = cmd_of(input).filter(|cmd| cmd.op == Op::Create && state.is_draining()) {
                decision.records.clear();
                decision.effects = vec![Effect::Ack(refused(&cmd, "draining"))];
            }
        })
    }),
    boundary("fleet/execute/ids-of-one-case", FLEET_EXECUTE_3, Port, || {
        let known: Mutex<BTreeSet<String>> = Mutex::default();
        decide(move |_, input, decision| {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(cmd) = cmd_of(input) else { return };
            let id = cmd.room_id.clone().unwrap_or_default().to_lowercase();
            let made = decision.records.iter().any(|record| matches!(record, Record::Created { .. }));
            if cmd.op == Op::Destroy {
                known.remove(&id);
            } else if made && !known.insert(id) {
                decision.records.clear();
                decision.effects = vec![Effect::Ack(Ack { exists: Some(true), ..refused(&cmd, "taken") })];
            }
        })
    }),
    second("fleet/execute/second-room-is-local", FLEET_EXECUTE_4, Wire, || {
        snapshot(|_, snapshot| {
            if let Some(room) = snapshot.rooms.get_mut(1) {
                room.origin = Origin::Local;
            }
        })
    }),
    always("fleet/execute/counts-as-connected", FLEET_EXECUTE_4, Wire, || {
        snapshot(|_, snapshot| {
            let fleet = |room: &&mut SyncRoom| room.origin == Origin::Fleet;
            snapshot.rooms.iter_mut().filter(fleet).for_each(|room| room.connections = 1);
        })
    }),
    second("fleet/execute/first-type-for-all", FLEET_EXECUTE_4, Wire, || {
        snapshot(|_, snapshot| {
            if let [first, others @ ..] = &mut snapshot.rooms[..] {
                others.iter_mut().for_each(|room| room.kind.clone_from(&first.kind));
            }
        })
    }),
    boundary("fleet/execute/taken-without-exists", FLEET_EXECUTE_5, Wire, || ack(|_, ack| ack.exists = None)),
    boundary("fleet/execute/taken-by-the-same-type", FLEET_EXECUTE_5, Port, || {
        decide(|state, input, decision| {
            let Some(cmd) = cmd_of(input) else { return };
            let rooms = &state.known().snapshot.rooms;
            let same = |room: &&SyncRoom| {
                Some(&room.id) == cmd.room_id.as_ref() && Some(&room.kind) == cmd.room_type.as_ref()
            };
            if cmd.op == Op::Create && rooms.iter().find(same).is_some() {
                decision.effects = vec![Effect::Ack(made(&cmd))];
            }
        })
    }),
    always("fleet/execute/unknown-type-exists", FLEET_EXECUTE_6, Wire, || {
        ack(|_, ack| {
            if !ack.ok {
                ack.exists = Some(true);
            }
        })
    }),
    always("fleet/execute/refused-without-a-word", FLEET_EXECUTE_6, Port, || {
        on_cmd(|cmd, _, effects| {
            if cmd.room_type.as_deref() == Some("unknown") {
                each_ack(effects, |ack| ack.error = None);
            }
        })
    }),
    boundary("fleet/execute/types-of-one-case", FLEET_EXECUTE_6, Wire, || {
        heard_cmd(|_, cmd| {
            if let Some(kind) = &mut cmd.room_type {
                *kind = kind.to_lowercase();
            }
        })
    }),
    boundary("fleet/execute/first-type-for-none", FLEET_EXECUTE_6, Wire, || {
        heard_cmd(|_, cmd| {
            if cmd.room_type.as_ref().is_none_or(String::is_empty) && cmd.op == Op::Create {
                cmd.room_type = Some("lobby".into());
            }
        })
    }),
    always("fleet/execute/makes-rooms-all-the-same", FLEET_EXECUTE_7, Port, || {
        decide(|state, input, decision| {
            let Some(cmd) = cmd_of(input).filter(|cmd| cmd.op == Op::Create) else { return };
            if !state.known().snapshot.auto_create {
                decision.records.push(record_of(&cmd));
                decision.effects = vec![Effect::Ack(made(&cmd))];
            }
        })
    }),
    boundary("fleet/execute/one-room-more", FLEET_EXECUTE_8, Port, || beyond(|rooms, most| rooms <= most)),
    boundary("fleet/execute/no-rooms-is-no-bound", FLEET_EXECUTE_8, Port, || beyond(|_, most| most == 0)),
    second("fleet/execute/places-are-used-up", FLEET_EXECUTE_8, Port, places_are_used_up),
    boundary("fleet/execute/rooms-of-the-host-not-counted", FLEET_EXECUTE_9, Port, || {
        decide(|state, input, decision| {
            let Some(cmd) = cmd_of(input).filter(|cmd| cmd.op == Op::Create) else { return };
            let snapshot = &state.known().snapshot;
            let fleet = snapshot.rooms.iter().filter(|room| room.origin == Origin::Fleet).count();
            let most = snapshot.capacity.max_rooms.and_then(|most| usize::try_from(most).ok());
            if most.is_some_and(|most| snapshot.rooms.len() >= most && fleet < most) {
                decision.records.push(record_of(&cmd));
                decision.effects = vec![Effect::Ack(made(&cmd))];
            }
        })
    }),
    second("fleet/execute/made-and-refused", FLEET_EXECUTE_10, Port, || {
        decide(|state, input, decision| {
            let Some(cmd) = cmd_of(input).filter(|cmd| cmd.op == Op::Create) else { return };
            let snapshot = &state.known().snapshot;
            let full =
                snapshot.capacity.max_rooms.is_some_and(|most| snapshot.rooms.len() as i64 >= most.into());
            if full && cmd.room_id.is_some() {
                decision.records.push(record_of(&cmd));
            }
        })
    }),
    boundary("fleet/execute/taken-changes-the-type", FLEET_EXECUTE_10, Port, || {
        decide(|_, input, decision| {
            let Some(cmd) = cmd_of(input).filter(|cmd| cmd.op == Op::Create) else { return };
            let exists = |effect: &Effect| matches!(effect, Effect::Ack(ack) if ack.exists == Some(true));
            if decision.effects.iter().any(exists) {
                decision.records.push(record_of(&cmd));
            }
        })
    }),
    always("fleet/execute/no-room-without-id", FLEET_EXECUTE_11, Port, || {
        decide(|_, input, decision| {
            let Some(cmd) = cmd_of(input).filter(|cmd| cmd.op == Op::Create) else { return };
            if cmd.room_id.as_ref().is_none_or(String::is_empty) {
                decision.records.clear();
                decision.effects = vec![Effect::Ack(refused(&cmd, "roomId is missing"))];
            }
        })
    }),
    second("fleet/execute/one-made-up-id", FLEET_EXECUTE_11, Wire, || {
        heard_cmd(|_, cmd| {
            if cmd.op == Op::Create && cmd.room_id.as_ref().is_none_or(String::is_empty) {
                cmd.room_id = Some("room".into());
            }
        })
    }),
    second("fleet/execute/destroyed-in-name-alone", FLEET_EXECUTE_12, Port, || {
        on_cmd(|cmd, records, _| {
            if cmd.op == Op::Destroy {
                records.clear();
            }
        })
    }),
    second("fleet/execute/always-gone-before", FLEET_EXECUTE_12, Wire, || {
        on_cmd(|cmd, _, effects| {
            if cmd.op == Op::Destroy {
                each_ack(effects, |ack| {
                    if ack.ok {
                        ack.already_gone = Some(true);
                    }
                });
            }
        })
    }),
    always("fleet/execute/gone-is-an-error", FLEET_EXECUTE_13, Port, || {
        on_cmd(|cmd, _, effects| {
            each_ack(effects, |ack| {
                if ack.already_gone == Some(true) {
                    *ack = refused(cmd, "there is no such room");
                }
            });
        })
    }),
    second("fleet/execute/gone-without-a-word", FLEET_EXECUTE_13, Wire, || {
        ack(|_, ack| ack.already_gone = None)
    }),
    always("fleet/execute/destroys-all", FLEET_EXECUTE_14, Port, || {
        decide(|state, input, decision| {
            let Some(cmd) = cmd_of(input).filter(|cmd| cmd.op == Op::Destroy) else { return };
            if cmd.room_id.as_ref().is_none_or(String::is_empty) {
                let rooms = state.known().snapshot.rooms.iter();
                decision.records.extend(rooms.map(|room| Record::Destroyed(room.id.clone())));
            }
        })
    }),
    boundary("fleet/execute/no-id-is-gone", FLEET_EXECUTE_14, Wire, || {
        heard_cmd(|_, cmd| {
            if cmd.op == Op::Destroy && cmd.room_id.as_deref().unwrap_or_default().is_empty() {
                cmd.room_id = Some("none".into());
            }
        })
    }),
    second("fleet/execute/origin-of-an-id", FLEET_EXECUTE_15, Port, || {
        let fleet: Mutex<BTreeSet<String>> = Mutex::default();
        decide(move |_, input, decision| {
            let mut fleet_made = fleet.lock().unwrap_or_else(PoisonError::into_inner);
            for record in &mut decision.records {
                let Record::Created { id, fleet, .. } = record else { continue };
                if *fleet {
                    fleet_made.insert(id.clone());
                } else if matches!(&input.what, What::Host(_, Ask::CreateRoom { .. })) {
                    *fleet = fleet_made.contains(id);
                }
            }
        })
    }),
    second("fleet/execute/undrain-is-not-told", FLEET_EXECUTE_16, Port, || {
        on_cmd(|cmd, records, _| {
            if cmd.op == Op::Undrain {
                records.clear();
            }
        })
    }),
    second("fleet/execute/second-drain-of-a-lifetime", FLEET_EXECUTE_16, Port, || {
        let drains = Counted::default();
        decide(move |_, input, decision| {
            if cmd_of(input).is_some_and(|cmd| cmd.op == Op::Drain) && drains.up() > 1 {
                decision.records.clear();
            }
        })
    }),
    second("fleet/execute/drained-already", FLEET_EXECUTE_17, Port, || {
        decide(|state, input, decision| {
            let Some(cmd) = cmd_of(input) else { return };
            let again = matches!((&cmd.op, state.is_draining()), (Op::Drain, true) | (Op::Undrain, false));
            if again {
                decision.effects = vec![Effect::Ack(refused(&cmd, "it is so already"))];
            }
        })
    }),
    always("fleet/execute/unknown-op-is-nothing-to-do", FLEET_EXECUTE_18, Port, || {
        on_cmd(|cmd, _, effects| {
            if matches!(cmd.op, Op::Other(_)) {
                each_ack(effects, |ack| (ack.ok, ack.error) = (true, None));
            }
        })
    }),
    boundary("fleet/execute/ops-of-one-case", FLEET_EXECUTE_18, Wire, || {
        heard_cmd(|_, cmd| cmd.op = cmd.op.word().trim().to_lowercase().as_str().into())
    }),
    boundary("fleet/execute/newer-cmds-passed-over", FLEET_EXECUTE_19, Wire, || {
        heard_inner("fleet/cmd", |_, inner| (inner.get(1) == Some(&0)).then(|| inner.to_vec()))
    }),
    boundary("fleet/execute/unknown-fields-refused", FLEET_EXECUTE_19, Wire, || {
        heard_inner("fleet/cmd", |_, inner| {
            let more = Cmd::receive(inner).is_ok_and(|cmd| cmd.encode_frame().len() < inner.len());
            (!more).then(|| inner.to_vec())
        })
    }),
    boundary("fleet/execute/other-major-done", FLEET_EXECUTE_20, Wire, || {
        heard_inner("fleet/cmd", |_, inner| {
            Some(match inner {
                [4, rest @ ..] => [&[3], rest].concat(),
                _ => inner.to_vec(),
            })
        })
    }),
    boundary("fleet/execute/malformed-is-refused", FLEET_EXECUTE_20, Wire, || {
        heard_inner("fleet/cmd", |_, inner| {
            let unknown =
                Cmd { cmd_id: String::new(), op: Op::Other(String::new()), room_id: None, room_type: None };
            Some(if Cmd::receive(inner).is_ok() { inner.to_vec() } else { unknown.encode_frame() })
        })
    }),
    boundary("fleet/execute/deaf-behind-a-malformed-one", FLEET_EXECUTE_20, Port, || {
        let deaf = Mutex::new(false);
        decide(move |_, input, decision| {
            let mut deaf = deaf.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(inner) = inner_of(input, "fleet/cmd") else { return };
            if Cmd::receive(inner).is_err() {
                *deaf = true;
            } else if *deaf {
                decision.records.clear();
                decision.effects.clear();
            }
        })
    }),
];

/// What is decided about Cmds, changed.
fn on_cmd(change: impl Fn(&Cmd, &mut Vec<Record>, &mut Vec<Effect>) + Send + 'static) -> ClientSeams {
    decide(move |_, input, decision| {
        if let Some(cmd) = cmd_of(input) {
            change(&cmd, &mut decision.records, &mut decision.effects);
        }
    })
}

fn each_ack(effects: &mut [Effect], change: impl Fn(&mut Ack)) {
    for effect in effects {
        if let Effect::Ack(ack) = effect {
            change(ack);
        }
    }
}

/// An Ack that says no, for this reason.
fn refused(cmd: &Cmd, why: &str) -> Ack {
    let error = Some(why.to_owned());
    Ack { cmd_id: cmd.cmd_id.clone(), ok: false, error, already_gone: None, room: None, exists: None }
}

/// An Ack that says that a room was made.
fn made(cmd: &Cmd) -> Ack {
    let id = cmd.room_id.clone().unwrap_or_default();
    let room = Some(AckRoom { id, kind: cmd.room_type.clone().unwrap_or_default() });
    Ack { cmd_id: cmd.cmd_id.clone(), ok: true, error: None, already_gone: None, room, exists: None }
}

fn record_of(cmd: &Cmd) -> Record {
    let id = cmd.room_id.clone().unwrap_or_default();
    Record::Created { id, kind: cmd.room_type.clone().unwrap_or_default(), fleet: true }
}

/// A room is made beyond the bound, if this says so of how many there are and may be.
fn beyond(when: fn(usize, usize) -> bool) -> ClientSeams {
    decide(move |state, input, decision| {
        let Some(cmd) = cmd_of(input).filter(|cmd| cmd.op == Op::Create) else { return };
        let snapshot = &state.known().snapshot;
        let most = snapshot.capacity.max_rooms.and_then(|most| usize::try_from(most).ok());
        let rooms = snapshot.rooms.len();
        let is_refused = decision.records.is_empty();
        if is_refused && most.is_some_and(|most| when(rooms, most)) && cmd.room_type.is_some() {
            decision.records.push(record_of(&cmd));
            decision.effects = vec![Effect::Ack(made(&cmd))];
        }
    })
}

/// Rooms count for the bound also when they are gone.
fn places_are_used_up() -> ClientSeams {
    let rooms = Mutex::new(0_i64);
    decide(move |state, input, decision| {
        let mut rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(cmd) = cmd_of(input).filter(|cmd| cmd.op == Op::Create) else { return };
        if !decision.records.is_empty() {
            *rooms += 1;
            let most = state.known().snapshot.capacity.max_rooms;
            if most.is_some_and(|most| *rooms > most.into()) {
                decision.records.clear();
                decision.effects = vec![Effect::Ack(refused(&cmd, "full"))];
            }
        }
    })
}

/// What comes at once with something that is not done yet is lost, if it is the one of this number in a row; a room takes so long
/// to be made.
fn busy(lost: u32, takes: Duration) -> ClientSeams {
    let until: Mutex<(Option<Instant>, u32)> = Mutex::default();
    decide(move |_, input, decision| {
        let mut until = until.lock().unwrap_or_else(PoisonError::into_inner);
        if cmd_of(input).is_none() {
            return;
        }
        let now = Instant::now();
        until.1 = if until.0.is_some_and(|until| now < until) { until.1 + 1 } else { 1 };
        until.0 = Some(now + takes);
        if until.1 == lost {
            decision.records.clear();
            decision.effects.clear();
        }
    })
}
