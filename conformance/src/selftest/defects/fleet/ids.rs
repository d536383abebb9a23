//! Defects of "Ids".

use super::{
    Seams, Table, cmd, decide, heard_state, port, request,
    shown::{each_room, rooms},
    through,
};
use crate::{
    embed::reference::fleet::model::{Change, Input, Record, State},
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};
use wireproof_spec::fleet::{Op, Origin, ids::public, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::always("fleet/ids/local-rooms-have-a-process", FLEET_IDS_1, Port, || {
        rooms(|state, room| {
            if room.local
                && !room.id.contains('~')
                && let Some((connection, _)) = state.raw(&room.id)
                && let Some(info) = state.instance(connection)
            {
                room.id = format!("{}~{}", info.process_uid, room.id);
            }
        })
    }),
    Breakage::always("fleet/ids/small-digits", FLEET_IDS_2, Port, || {
        rooms(|_, room| room.id = lower(&room.id))
    })
    .wide("a room with such an id is not found by it"),
    // As encodeURIComponent of ECMAScript does it.
    Breakage::always("fleet/ids/marks-as-they-are", FLEET_IDS_2, Port, || {
        rooms(|_, room| {
            for mark in ['!', '\'', '(', ')', '*', '.', '~'] {
                room.id = room.id.replace(&public(&mark.to_string()), &mark.to_string());
            }
        })
    })
    .wide("a room with such an id is not found by it"),
    Breakage::second("fleet/ids/instance-before-the-base", FLEET_IDS_3, Port, || {
        rooms(|_, room| {
            if let Some((_, base)) = room.id.split_once('~') {
                room.id = format!("{}~{base}", room.instance_id);
            }
        })
    })
    .wide("a room with such an id is not found by it"),
    Breakage::second("fleet/ids/local-is-no-less", FLEET_IDS_4, Port, local_is_no_less),
    Breakage::second("fleet/ids/last-keeps", FLEET_IDS_5, Port, || {
        through(port::rewrite_state(|state: &mut State, _| state.reorder(|join| u64::MAX - join)))
    }),
    Breakage::second("fleet/ids/nobody-takes-over", FLEET_IDS_6, Port, nobody_takes_over),
    Breakage::second("fleet/ids/process-has-one-id", FLEET_IDS_7, Port, || {
        rooms(|_, room| {
            let parts: Vec<&str> = room.id.split('~').collect();
            if let [process, _, base] = parts[..] {
                room.id = format!("{process}~{base}");
            }
        })
    }),
    Breakage::always("fleet/ids/public-id-in-cmd", FLEET_IDS_8, Wire, || {
        cmd(|_, cmd| {
            if cmd.op == Op::Destroy {
                cmd.room_id = cmd.room_id.as_deref().map(public);
            }
        })
    }),
    Breakage::boundary("fleet/ids/long-ids-not-found", FLEET_IDS_9, Wire, || {
        request(|request| {
            if request.path.starts_with("/v1/rooms/") && request.path.len() > 1_024 {
                request.path.truncate(1_024);
            }
        })
    }),
    Breakage::always("fleet/ids/decoded-tilde", FLEET_IDS_10, Wire, || {
        request(|request| {
            if request.path.starts_with("/v1/rooms/") {
                request.path = request.path.replace("%7E", "~");
            }
        })
    })
    .wide("a room with a tilde in its raw id is not found"),
];

/// Hexadecimal digits in small letters.
fn lower(id: &str) -> String {
    let mut parts = id.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(part.len().min(2));
        lower.push_str(&format!("%{}{rest}", digits.to_ascii_lowercase()));
    }
    lower
}

/// The origin of a room is shown, and does not count for who keeps a base.
fn local_is_no_less() -> Seams {
    let known: Arc<Mutex<BTreeSet<(u64, String)>>> = Arc::default();
    let heard = Arc::clone(&known);
    let heard = heard_state(move |number, state| {
        let mut known = heard.lock().unwrap_or_else(PoisonError::into_inner);
        for room in state.snapshot.iter_mut().flat_map(|snapshot| &mut snapshot.rooms) {
            if room.origin == Origin::Local {
                room.origin = Origin::Fleet;
                known.insert((number, room.id.clone()));
            }
        }
    });
    let shown = decide(move |state, _, decision| {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        each_room(decision, |room| {
            if let Some((number, raw)) = state.raw(&room.id) {
                room.local = known.contains(&(number, raw.to_owned()));
            }
        });
    });
    Seams { port: shown.port, ..heard }
}

/// When a connection ends, rooms of others keep the ids that they have.
fn nobody_takes_over() -> Seams {
    decide(|_, input, decision| {
        let Input::Left { connection } = input else { return };
        for record in &mut decision.records {
            if let Record::Changed(change) = record {
                let views = change.views.iter().filter(|view| view.connection == *connection);
                let groups = change.groups.clone();
                *change = Arc::new(Change { views: views.cloned().collect(), groups });
            }
        }
    })
}
