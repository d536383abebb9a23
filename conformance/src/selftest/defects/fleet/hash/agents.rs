//! Defects of the hashes that agents tell.

use super::super::client::{ClientSeams, ClientTable, always, boundary, second, state};
use crate::protocol::Cut::Wire;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};
use wireproof_spec::fleet::{hash, requirements::*};

pub(in crate::selftest::defects::fleet) const TABLE: ClientTable = &[
    always("fleet/hash/without-the-bounds-that-are-none", FLEET_HASH_2, Wire, || {
        rehash(|content| {
            if let Some(capacity) = content["capacity"].as_object_mut() {
                capacity.retain(|_, bound| !bound.is_null());
            }
        })
    }),
    boundary("fleet/hash/rooms-without-origins", FLEET_HASH_2, Wire, || {
        rehash(|content| {
            for room in content["rooms"].as_array_mut().into_iter().flatten() {
                room.as_object_mut().map(|members| members.remove("origin"));
            }
        })
    }),
    boundary("fleet/hash/line-separators-escaped", FLEET_HASH_3, Wire, || {
        rehash(|content| {
            if let Some(name) = content["name"].as_str() {
                content["name"] = name.replace('\u{2028}', "\\u2028").into();
            }
        })
    }),
    boundary("fleet/hash/keys-by-characters", FLEET_HASH_3, Wire, || {
        rehash(|content| {
            let labels = content["labels"].as_object().cloned().unwrap_or_default();
            let mut keys: Vec<&String> = labels.keys().collect();
            let mut by_units = keys.clone();
            keys.sort();
            by_units.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            if keys != by_units {
                content["labels"] = "in another order".into();
            }
        })
    }),
    second("fleet/hash/of-a-connection", FLEET_HASH_4, Wire, || {
        state(|number, state| {
            if number > 1 {
                state.hash = hash::hash(&serde_json::json!([number, state.hash]));
            }
        })
    })
    .wide("no hash is known on a later connection"),
    second("fleet/hash/of-a-moment", FLEET_HASH_4, Wire, || {
        state(|_, state| {
            if state.snapshot.is_some() && state.seq > 3 {
                state.hash = hash::hash(&serde_json::json!([state.seq, state.hash]));
            }
        })
    }),
    second("fleet/hash/rooms-by-their-number", FLEET_HASH_5, Wire, || {
        // One that comes and goes between two Polls is not seen, nor is a change of the status with rooms there.
        let first: Mutex<Option<(usize, String)>> = Mutex::default();
        state(move |_, state| {
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(snapshot) = &state.snapshot else { return };
            match &*first {
                Some((rooms, known)) if *rooms == snapshot.rooms.len() && *rooms > 1 => {
                    state.hash.clone_from(known);
                }
                _ => *first = Some((snapshot.rooms.len(), state.hash.clone())),
            }
        })
    }),
    second("fleet/hash/status-left-out", FLEET_HASH_5, Wire, || {
        state(|_, state| {
            if let Some(snapshot) = &mut state.snapshot
                && !snapshot.rooms.is_empty()
            {
                let mut content = snapshot.content();
                content["status"] = Value::Null;
                state.hash = hash::hash(&content);
            }
        })
    }),
];

/// Another document behind the hash.
fn rehash(change: fn(&mut Value)) -> ClientSeams {
    state(move |_, state| {
        if let Some(snapshot) = &state.snapshot {
            let mut content = snapshot.content();
            change(&mut content);
            state.hash = hash::hash(&content);
        }
    })
}
