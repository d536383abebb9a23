//! Defects of "Commands".

use super::{
    Seams, Table, answers, ask, cmd, decide, each, heard_ack, input, is, refusal, reply, rewrite, said,
    state, told,
};
use crate::{
    embed::reference::fleet::{
        model::{Answer, Ask, Effect, Input, Record, Said},
        seams::Frame,
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, wire::delay},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use wireproof_spec::{
    fleet::{Ack, Action, Cause, Cmd, Op, Rejection, Status, ids, requirements::*},
    http::{Request, Response},
};

pub(super) const TABLE: Table = &[
    Breakage::second("fleet/commands/sent-again-with-the-next-poll", FLEET_COMMANDS_1, Port, sent_again),
    Breakage::second("fleet/commands/to-the-first-agent-too", FLEET_COMMANDS_1, Port, to_the_first_too)
        .wide("agents are told what nobody asks of them"),
    Breakage::second("fleet/commands/made-up-ids-come-again", FLEET_COMMANDS_2, Port, || {
        input(|_, input| {
            if let Input::Ask { ask: Ask::CreateRoom { random, .. }, .. } = input {
                random[..24].fill(7);
            }
        })
    }),
    Breakage::second("fleet/commands/answered-with-the-room", FLEET_COMMANDS_3, Port, answered_with_the_room),
    Breakage::second("fleet/commands/address-of-the-first", FLEET_COMMANDS_3, Wire, address_of_the_first),
    Breakage::always("fleet/commands/created-as-local", FLEET_COMMANDS_3, Wire, || {
        told(Action::CreateRoom, |_, body| body["data"]["local"] = true.into())
    }),
    Breakage::always("fleet/commands/failed-destroy-is-done", FLEET_COMMANDS_4, Wire, || {
        refused_otherwise(Action::DestroyRoom, Cause::CommandFailed, |response| {
            *response = Response::new(200)
                .header("content-type", "application/json")
                .body(json!({"status": "OK"}).to_string());
        })
    }),
    Breakage::boundary("fleet/commands/failed-undrain-is-a-timeout", FLEET_COMMANDS_4, Wire, || {
        refused_otherwise(Action::Undrain, Cause::CommandFailed, |response| {
            *response = refusal(504, "COMMAND_TIMEOUT");
        })
    }),
    Breakage::always("fleet/commands/exists-is-a-failure", FLEET_COMMANDS_5, Wire, || {
        heard_ack(|_, ack| ack.exists = None)
    }),
    Breakage::race("fleet/commands/oldest-first", FLEET_COMMANDS_8, Wire, oldest_first),
    Breakage::second("fleet/commands/undrain-for-half-the-time", FLEET_COMMANDS_9, Port, || {
        input(|_, input| {
            if let Input::Ask { ask: Ask::Drain { drain: false, timeout_ms, .. }, .. } = input {
                *timeout_ms /= 2;
            }
        })
    }),
    Breakage::second("fleet/commands/destroy-for-twice-the-time", FLEET_COMMANDS_9, Port, || {
        input(|_, input| {
            if let Input::Ask { ask: Ask::DestroyRoom { timeout_ms, .. }, .. } = input {
                *timeout_ms *= 2;
            }
        })
    }),
    Breakage::second("fleet/commands/end-is-a-failure", FLEET_COMMANDS_10, Port, || {
        decide(|_, _, decision| {
            for answer in answers(decision) {
                if *answer == Answer::Refused(Cause::InstanceDisconnected) {
                    *answer = Answer::Refused(Cause::CommandFailed);
                }
            }
        })
    }),
    Breakage::second("fleet/commands/end-is-told-late", FLEET_COMMANDS_10, Wire, || {
        delay(|request, response| {
            let late = is(request, Action::Drain) && cause(response) == Some(Cause::InstanceDisconnected);
            late.then_some(Duration::from_millis(700))
        })
    }),
    Breakage::second("fleet/commands/kick-tells-nobody", FLEET_COMMANDS_10, Port, || {
        decide(|_, input, decision| {
            let closes = decision.effects.iter().any(|effect| matches!(effect, Effect::Close { .. }));
            if matches!(input, Input::Heard { .. }) && closes {
                decision.effects.retain(|effect| !matches!(effect, Effect::Answer { .. }));
            }
        })
    }),
    Breakage::boundary("fleet/commands/busy-at-33", FLEET_COMMANDS_11, Port, || {
        state(|state, _| {
            for known in state.connections.values_mut() {
                if known.commands.len() == 32 {
                    known.commands.pop_first();
                }
            }
        })
    }),
    Breakage::boundary("fleet/commands/busy-and-told", FLEET_COMMANDS_11, Port, busy_and_told),
    Breakage::boundary("fleet/commands/busy-at-31", FLEET_COMMANDS_12, Port, || {
        state(|state, input| {
            if !matches!(input, Input::Ask { .. }) {
                return;
            }
            for known in state.connections.values_mut() {
                if known.commands.len() == 31 {
                    known.commands.insert(u64::MAX);
                }
            }
        })
    }),
    Breakage::second("fleet/commands/destroy-by-public-id", FLEET_COMMANDS_13, Wire, || {
        cmd(|_, cmd| {
            if let (Op::Destroy, Some(room)) = (&cmd.op, &cmd.room_id) {
                cmd.room_id = Some(ids::public(room));
            }
        })
    }),
    Breakage::boundary("fleet/commands/destroy-by-everybody", FLEET_COMMANDS_13, Port, destroy_by_everybody)
        .wide("an Ack that nobody waits for ends the connection of an agent"),
    Breakage::second("fleet/commands/undrain-is-done-at-once", FLEET_COMMANDS_14, Port, undrain_at_once),
    Breakage::boundary("fleet/commands/already-gone-is-a-failure", FLEET_COMMANDS_14, Wire, || {
        heard_ack(|_, ack| {
            if ack.already_gone == Some(true) {
                (ack.ok, ack.already_gone) = (false, None);
            }
        })
    }),
    Breakage::always("fleet/commands/unknown-room-is-done", FLEET_COMMANDS_15, Wire, || {
        refused_otherwise(Action::DestroyRoom, Cause::RoomNotFound, |response| {
            *response = Response::new(200)
                .header("content-type", "application/json")
                .body(json!({"status": "OK"}).to_string());
        })
    }),
    Breakage::boundary(
        "fleet/commands/drain-before-the-snapshot",
        FLEET_COMMANDS_15,
        Port,
        before_the_snapshot,
    ),
    Breakage::boundary("fleet/commands/no-cmd-if-draining", FLEET_COMMANDS_17, Port, || {
        decide(|state, input, decision| {
            let Input::Ask { session, ask: Ask::Drain { id, drain: true, .. } } = input else { return };
            let info = state.connection(id).and_then(|connection| state.instance(connection));
            if info.is_some_and(|info| info.status == Status::Draining.word()) {
                decision.records.clear();
                decision.effects = vec![Effect::Answer { session: *session, answer: Answer::Done }];
            }
        })
    }),
    Breakage::second("fleet/commands/drain-counts-with-the-snapshot", FLEET_COMMANDS_18, Port, || {
        decide(|_, _, decision| {
            decision.records.retain(|record| !matches!(record, Record::Overridden { status: Some(_), .. }));
        })
    }),
    Breakage::second("fleet/commands/shown-as-acknowledged", FLEET_COMMANDS_19, Wire, shown_as_acknowledged),
    Breakage::second("fleet/commands/drain-sticks", FLEET_COMMANDS_20, Port, || {
        decide(|_, input, decision| {
            // An Ack of what is there already ends it as well.
            let is_state = decision.records.iter().any(|record| matches!(record, Record::Applied { .. }));
            if matches!(input, Input::Heard { .. }) && is_state {
                decision.records.retain(|record| !matches!(record, Record::Overridden { status: None, .. }));
            }
        })
    }),
    Breakage::second("fleet/commands/drain-counts-when-sent", FLEET_COMMANDS_21, Port, || {
        decide(|_, input, decision| {
            let Some(Ask::Drain { drain: true, .. }) = ask(input) else { return };
            let to = said(decision).map(|(connection, _)| connection).next();
            if let Some(connection) = to {
                let status = Some(Status::Draining);
                decision.records.push(Record::Overridden { connection, status });
            }
        })
    }),
    Breakage::second("fleet/commands/id-of-the-request", FLEET_COMMANDS_22, Wire, id_of_the_request),
];

/// The cause of a refusal.
fn cause(response: &Response) -> Option<Cause> {
    Rejection::decode(&response.body).ok().map(|rejection| rejection.cause)
}

/// Another answer to what is refused as this.
fn refused_otherwise(
    action: Action,
    as_what: Cause,
    change: impl Fn(&mut Response) + Send + Sync + 'static,
) -> Seams {
    reply(move |request, response| {
        if is(request, action) && cause(response) == Some(as_what) {
            change(response);
        }
    })
}

/// With the second Poll behind a Cmd an agent is told once more what it has not acknowledged.
fn sent_again() -> Seams {
    let mut last: BTreeMap<u64, (Said, u32)> = BTreeMap::new();
    decide(move |state, _, decision| {
        let mut again = Vec::new();
        for (connection, said) in said(decision) {
            match said {
                Said::Cmd(_) => drop(last.insert(connection, (said.clone(), 0))),
                Said::Poll(_) if state.in_flight(connection) > 0 => {
                    if let Some((said, polls)) = last.get_mut(&connection) {
                        *polls += 1;
                        if *polls == 2 {
                            again.push(Effect::Send { connection, said: said.clone() });
                        }
                    }
                }
                _ => {}
            }
        }
        decision.effects.extend(again);
    })
}

/// A create is told to the first agent as well.
fn to_the_first_too() -> Seams {
    decide(|state, input, decision| {
        let Some(Ask::CreateRoom { .. }) = ask(input) else { return };
        let Some(first) = state.connections().next() else { return };
        let told = said(decision).find(|(connection, _)| *connection != first);
        let Some(said) = told.map(|(_, said)| said.clone()) else { return };
        decision.effects.push(Effect::Send { connection: first, said });
    })
}

/// The number of the command that a decision sends, and the request that waits for it.
fn sends(records: &[Record]) -> Option<(u64, u64)> {
    records.iter().find_map(|record| match record {
        Record::Sent { number, command } => Some((*number, command.session?)),
        _ => None,
    })
}

/// A create is answered as soon as a snapshot has the room.
fn answered_with_the_room() -> Seams {
    let mut waiting: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    decide(move |state, input, decision| {
        if let (Some(Ask::CreateRoom { .. }), Some(sent)) = (ask(input), sends(&decision.records)) {
            let room = said(decision).find_map(|(_, said)| match said {
                Said::Cmd(cmd) => cmd.room_id.clone(),
                _ => None,
            });
            waiting.extend(room.map(|room| (room, sent)));
        }
        let mut shown = Vec::new();
        for record in &decision.records {
            let Record::Changed(change) = record else { continue };
            for view in &change.views {
                let rooms = view.instance.iter().flat_map(|instance| instance.rooms.iter());
                shown.extend(rooms.map(|room| room.shown.clone()));
            }
        }
        for room in shown {
            let Some((number, session)) = waiting.remove(&room.id) else { continue };
            if state.waits(session) {
                decision.records.push(Record::Abandoned { number });
                let answer = Answer::Created(room.as_ref().clone());
                decision.effects.push(Effect::Answer { session, answer });
            }
        }
    })
}

/// Each room that was made has the address of the first one.
fn address_of_the_first() -> Seams {
    let first: Mutex<Option<Value>> = Mutex::default();
    told(Action::CreateRoom, move |_, body| {
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        body["data"]["endpointUrl"] =
            first.get_or_insert_with(|| body["data"]["endpointUrl"].clone()).clone();
    })
}

/// Each Ack answers the Cmd that waits for the longest time on its connection.
fn oldest_first() -> Seams {
    let flying: Arc<Mutex<BTreeMap<u64, Vec<String>>>> = Arc::default();
    let sent = flying.clone();
    let frames = move |number: u64, frames: &mut Vec<Frame>| {
        each(frames, "fleet/cmd", |payload| {
            if let Ok(cmd) = Cmd::receive(payload) {
                let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
                sent.entry(number).or_default().push(cmd.cmd_id);
            }
        });
    };
    let heard = move |number: u64, frames: &mut Vec<Frame>| {
        each(frames, "fleet/ack", |payload| {
            let Ok(mut ack) = Ack::receive(payload) else { return };
            let mut flying = flying.lock().unwrap_or_else(PoisonError::into_inner);
            let known = flying.entry(number).or_default();
            if known.contains(&ack.cmd_id) {
                ack.cmd_id = known.remove(0);
                *payload = ack.encode_frame();
            }
        });
    };
    Seams {
        frames: Some(Box::new(move |_, number, all| frames(number, all))),
        heard: Some(Box::new(move |_, number, all| heard(number, all))),
        ..Seams::honest()
    }
}

/// A request that is refused as busy is told to the agent all the same.
fn busy_and_told() -> Seams {
    decide(|state, input, decision| {
        let Some(Ask::Drain { id, drain, .. }) = ask(input) else { return };
        let busy = answers(decision).any(|answer| *answer == Answer::Refused(Cause::InstanceBusy));
        if let (true, Some(connection)) = (busy, state.connection(id)) {
            let op = if *drain { Op::Drain } else { Op::Undrain };
            let cmd = Cmd { cmd_id: format!("busy_{connection}"), op, room_id: None, room_type: None };
            decision.effects.push(Effect::Send { connection, said: Said::Cmd(cmd) });
        }
    })
}

/// A destroy is told to every agent that is there.
fn destroy_by_everybody() -> Seams {
    decide(|state, input, decision| {
        let Some(Ask::DestroyRoom { .. }) = ask(input) else { return };
        let Some((to, said)) = said(decision).next().map(|(to, said)| (to, said.clone())) else { return };
        for connection in state.connections().filter(|connection| *connection != to) {
            decision.effects.push(Effect::Send { connection, said: said.clone() });
        }
    })
}

/// From the second one on an undrain is answered when its Cmd is sent.
fn undrain_at_once() -> Seams {
    let mut count = 0;
    decide(move |_, input, decision| {
        let Some(Ask::Drain { drain: false, .. }) = ask(input) else { return };
        let Some((number, session)) = sends(&decision.records) else { return };
        count += 1;
        if count > 1 {
            decision.records.push(Record::Abandoned { number });
            decision.effects.push(Effect::Answer { session, answer: Answer::Done });
        }
    })
}

/// A connection on which nothing was applied is told to drain.
fn before_the_snapshot() -> Seams {
    decide(|state, input, decision| {
        let Some(Ask::Drain { id, drain: true, .. }) = ask(input) else { return };
        let Some(connection) = state.connection(id) else { return };
        if state.instance(connection).is_none() {
            let cmd = Cmd { cmd_id: "early".into(), op: Op::Drain, room_id: None, room_type: None };
            decision.effects.push(Effect::Send { connection, said: Said::Cmd(cmd) });
        }
    })
}

/// The instance of the request to drain or undrain it.
fn drained(request: &Request) -> Option<&str> {
    let path = request.path.strip_prefix("/v1/instances/")?;
    path.strip_suffix("/drain").or_else(|| path.strip_suffix("/undrain"))
}

/// An instance is shown with the status that was acknowledged, as long as no Poll says another one.
fn shown_as_acknowledged() -> Seams {
    let known: Mutex<BTreeMap<String, &str>> = Mutex::default();
    reply(move |request, response| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = drained(request) {
            if response.status == 200 {
                let status = if request.path.ends_with("/drain") { "draining" } else { "active" };
                known.insert(id.to_owned(), status);
            }
        } else if let Some(status) = request.path.strip_prefix("/v1/instances/").and_then(|id| known.get(id))
        {
            rewrite(response, |body| {
                if body["data"].is_object() {
                    body["data"]["status"] = (*status).into();
                }
            });
        }
    })
}

/// What is asked for again has the id that it had before.
fn id_of_the_request() -> Seams {
    type Known = BTreeMap<(u64, String), String>;
    let known: Arc<Mutex<Known>> = Arc::default();
    let sent = known.clone();
    let frames = move |number: u64, frames: &mut Vec<Frame>| {
        each(frames, "fleet/cmd", |payload| {
            let Ok(mut cmd) = Cmd::receive(payload) else { return };
            let room = cmd.room_id.as_deref().unwrap_or_default();
            let id = format!("{}_{room}", cmd.op.word());
            let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.insert((number, id.clone()), std::mem::replace(&mut cmd.cmd_id, id));
            *payload = cmd.encode_frame();
        });
    };
    let heard = move |number: u64, frames: &mut Vec<Frame>| {
        each(frames, "fleet/ack", |payload| {
            let Ok(mut ack) = Ack::receive(payload) else { return };
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(id) = known.get(&(number, ack.cmd_id.clone())) {
                ack.cmd_id.clone_from(id);
                *payload = ack.encode_frame();
            }
        });
    };
    Seams {
        frames: Some(Box::new(move |_, number, all| frames(number, all))),
        heard: Some(Box::new(move |_, number, all| heard(number, all))),
        ..Seams::honest()
    }
}
