//! Defects of "Snapshot".

mod order;

use super::{Seams, Table, heard_state, reply, rewrite};
use crate::{embed::fleet::STRICT, protocol::Cut::Wire, selftest::defects::Breakage};
use serde_json::Value;
use wireproof_spec::fleet::{Snapshot, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::boundary("fleet/snapshot/less-than-60000-bytes", FLEET_SNAPSHOT_1, Wire, || {
        longer_than(59_999)
    }),
    Breakage::boundary("fleet/snapshot/less-than-4000000-bytes", FLEET_SNAPSHOT_2, Wire, || {
        longer_than(3_999_999)
    }),
    Breakage::boundary("fleet/snapshot/name-of-63", FLEET_SNAPSHOT_3, Wire, || {
        refused(|s| (64..=65).contains(&units(&s.name)) && s.name.starts_with('n'))
    }),
    Breakage::boundary("fleet/snapshot/name-in-bytes", FLEET_SNAPSHOT_3, Wire, || {
        refused(|s| s.name.len() > 64 && s.name.starts_with('é'))
    }),
    Breakage::boundary("fleet/snapshot/long-name-cut-off", FLEET_SNAPSHOT_3, Wire, || {
        taken(|s| {
            if s.name.starts_with('n') && units(&s.name) > 64 {
                s.name.truncate(64);
            }
        })
    }),
    Breakage::boundary("fleet/snapshot/name-of-64-cut-off", FLEET_SNAPSHOT_3, Wire, || {
        taken(|s| {
            if s.name.starts_with('n') && units(&s.name) == 64 {
                s.name.truncate(63);
            }
        })
    }),
    Breakage::boundary("fleet/snapshot/empty-name-rejected", FLEET_SNAPSHOT_4, Wire, || {
        refused(|s| s.name.is_empty())
    }),
    Breakage::boundary("fleet/snapshot/empty-value-rejected", FLEET_SNAPSHOT_4, Wire, || {
        refused(|s| s.labels.iter().any(|label| label.value.is_empty()))
    }),
    Breakage::boundary("fleet/snapshot/url-of-511", FLEET_SNAPSHOT_5, Wire, || {
        refused(|s| units(&s.endpoint_url) == 512)
    }),
    Breakage::boundary("fleet/snapshot/long-url-taken", FLEET_SNAPSHOT_5, Wire, || {
        taken(|s| {
            if units(&s.endpoint_url) == 513 {
                s.endpoint_url.truncate(512);
            }
        })
    }),
    Breakage::boundary("fleet/snapshot/small-schemes-only", FLEET_SNAPSHOT_6, Wire, || {
        refused(|s| ["WSS", "Https"].iter().any(|scheme| s.endpoint_url.starts_with(scheme)))
    }),
    Breakage::boundary("fleet/snapshot/sockets-only", FLEET_SNAPSHOT_6, Wire, || {
        refused(|s| s.endpoint_url.starts_with("http:"))
    }),
    Breakage::boundary("fleet/snapshot/any-scheme", FLEET_SNAPSHOT_6, Wire, || {
        taken(|s| {
            if ["ftp:", "javascript:"].iter().any(|scheme| s.endpoint_url.starts_with(scheme)) {
                s.endpoint_url = "https://host.example".into();
            }
        })
    }),
    Breakage::boundary("fleet/snapshot/schemes-by-their-beginning", FLEET_SNAPSHOT_6, Wire, || {
        taken(|s| {
            if s.endpoint_url.starts_with("httpss:") {
                s.endpoint_url = "https://host.example".into();
            }
        })
    }),
    Breakage::boundary("fleet/snapshot/paths-taken", FLEET_SNAPSHOT_7, Wire, || {
        taken(|s| {
            if s.endpoint_url.starts_with('/') {
                s.endpoint_url = "https://host.example".into();
            }
        })
    }),
    Breakage::boundary("fleet/snapshot/no-url-taken", FLEET_SNAPSHOT_7, Wire, || {
        taken(|s| {
            if s.endpoint_url.is_empty() {
                s.endpoint_url = "https://host.example".into();
            }
        })
    }),
    Breakage::boundary("fleet/snapshot/31-labels", FLEET_SNAPSHOT_8, Wire, || {
        refused(|s| s.labels().len() == 32 && s.labels.len() == 32)
    }),
    Breakage::boundary("fleet/snapshot/label-33-left-out", FLEET_SNAPSHOT_8, Wire, || {
        taken(|s| {
            if s.labels().len() == 33 {
                s.labels.truncate(32);
            }
        })
    }),
    Breakage::boundary("fleet/snapshot/key-of-63", FLEET_SNAPSHOT_9, Wire, || {
        refused(|s| s.labels.iter().any(|label| units(&label.key) == 64))
    }),
    Breakage::boundary("fleet/snapshot/value-of-63", FLEET_SNAPSHOT_9, Wire, || {
        refused(|s| s.labels.iter().any(|label| units(&label.value) == 64))
    }),
    Breakage::boundary("fleet/snapshot/labels-in-bytes", FLEET_SNAPSHOT_9, Wire, || {
        refused(|s| s.labels.iter().any(|label| label.key.len() > 64 || label.value.len() > 64))
    }),
    Breakage::boundary("fleet/snapshot/long-label-cut-off", FLEET_SNAPSHOT_9, Wire, || {
        taken(|s| s.labels.iter_mut().for_each(|label| label.value.truncate(64)))
    }),
    Breakage::boundary("fleet/snapshot/long-key-cut-off", FLEET_SNAPSHOT_9, Wire, || {
        taken(|s| s.labels.iter_mut().for_each(|label| label.key.truncate(64)))
    }),
    Breakage::boundary("fleet/snapshot/255-room-types", FLEET_SNAPSHOT_10, Wire, || {
        refused(|s| s.room_types.len() == 256)
    }),
    Breakage::boundary("fleet/snapshot/room-type-257-left-out", FLEET_SNAPSHOT_10, Wire, || {
        taken(|s| s.room_types.truncate(256))
    }),
    Breakage::boundary("fleet/snapshot/room-type-of-63", FLEET_SNAPSHOT_11, Wire, || {
        refused(|s| s.room_types.iter().any(|kind| units(kind) == 64))
    }),
    Breakage::boundary("fleet/snapshot/room-types-in-bytes", FLEET_SNAPSHOT_11, Wire, || {
        refused(|s| s.room_types.iter().any(|kind| kind.len() > 64))
    }),
    Breakage::boundary("fleet/snapshot/only-first-room-type-looked-at", FLEET_SNAPSHOT_11, Wire, || {
        taken(|s| s.room_types.iter_mut().skip(1).for_each(|kind| kind.truncate(64)))
    }),
    Breakage::boundary("fleet/snapshot/room-id-of-255", FLEET_SNAPSHOT_12, Wire, || {
        refused(|s| s.rooms.iter().any(|room| units(&room.id) == 256))
    }),
    Breakage::boundary("fleet/snapshot/only-first-room-id-looked-at", FLEET_SNAPSHOT_12, Wire, || {
        taken(|s| s.rooms.iter_mut().skip(1).for_each(|room| room.id.truncate(256)))
    }),
    Breakage::boundary("fleet/snapshot/type-of-a-room-of-63", FLEET_SNAPSHOT_13, Wire, || {
        refused(|s| s.rooms.iter().any(|room| units(&room.kind) == 64))
    }),
    Breakage::boundary("fleet/snapshot/type-of-a-room-in-bytes", FLEET_SNAPSHOT_13, Wire, || {
        refused(|s| s.rooms.iter().any(|room| room.kind.len() > 64))
    }),
    Breakage::boundary("fleet/snapshot/long-type-of-a-room-taken", FLEET_SNAPSHOT_13, Wire, || {
        taken(|s| s.rooms.iter_mut().for_each(|room| room.kind.truncate(64)))
    }),
    Breakage::boundary("fleet/snapshot/a-million-together", FLEET_SNAPSHOT_14, Wire, || {
        refused(|s| s.rooms.iter().map(|room| u64::from(room.connections)).sum::<u64>() > 1_000_000)
    }),
    Breakage::boundary("fleet/snapshot/a-million-at-most", FLEET_SNAPSHOT_14, Wire, || {
        taken(|s| s.rooms.iter_mut().for_each(|room| room.connections = room.connections.min(1_000_000)))
    }),
    Breakage::boundary("fleet/snapshot/49999-rooms", FLEET_SNAPSHOT_15, Wire, || {
        refused(|s| s.rooms.len() == 50_000)
    }),
    Breakage::boundary("fleet/snapshot/room-50001-left-out", FLEET_SNAPSHOT_15, Wire, || {
        taken(|s| s.rooms.truncate(50_000))
    }),
    Breakage::boundary("fleet/snapshot/units-taken-for-bytes", FLEET_SNAPSHOT_16, Wire, || {
        refused(|s| s.name.starts_with('𝄞') && s.name.len() > 64)
    }),
    Breakage::boundary("fleet/snapshot/units-taken-for-characters", FLEET_SNAPSHOT_17, Wire, || {
        taken(|s| {
            if s.name.starts_with('𝄞') && (33..=64).contains(&s.name.chars().count()) {
                s.name = s.name.chars().take(32).collect();
            }
        })
    }),
    Breakage::boundary("fleet/snapshot/url-rewritten", FLEET_SNAPSHOT_18, Wire, || {
        respelled(|url| url.to_lowercase())
    }),
    Breakage::boundary("fleet/snapshot/url-with-a-slash", FLEET_SNAPSHOT_18, Wire, || {
        respelled(|url| if url.matches('/').count() == 2 { format!("{url}/") } else { url.to_owned() })
    }),
    Breakage::boundary("fleet/snapshot/hash-passed-over", FLEET_SNAPSHOT_24, Wire, || {
        heard_state(|_, state| {
            if let Some(snapshot) = &state.snapshot
                && !state.hash.is_empty()
            {
                state.hash = snapshot.hash();
            }
        })
    })
    .variant(STRICT),
    Breakage::boundary("fleet/snapshot/hash-in-capitals", FLEET_SNAPSHOT_24, Wire, || {
        heard_state(|_, state| state.hash = state.hash.to_lowercase())
    })
    .variant(STRICT),
    Breakage::boundary("fleet/snapshot/labels-of-rejected-shown", FLEET_SNAPSHOT_26, Wire, || {
        order::half_applied(|half, bad| {
            half.labels = bad.labels;
            half.labels.truncate(32);
            half.labels.iter_mut().for_each(|label| label.value.truncate(64));
        })
    }),
    Breakage::boundary("fleet/snapshot/status-of-rejected-shown", FLEET_SNAPSHOT_26, Wire, || {
        order::half_applied(|half, bad| half.status = bad.status)
    }),
    Breakage::boundary("fleet/snapshot/first-rejected-shown", FLEET_SNAPSHOT_27, Wire, order::first_shown),
    Breakage::boundary(
        "fleet/snapshot/lost-behind-a-rejected-one",
        FLEET_SNAPSHOT_27,
        Wire,
        order::lost_behind,
    ),
    Breakage::boundary("fleet/snapshot/out-at-the-fourth", FLEET_SNAPSHOT_28, Wire, order::out_at_the_fourth),
    Breakage::boundary("fleet/snapshot/same-seq-applied", FLEET_SNAPSHOT_29, Wire, || {
        order::newer_if(|held, seq| seq >= held)
    }),
    Breakage::boundary("fleet/snapshot/lesser-seq-applied", FLEET_SNAPSHOT_29, Wire, || {
        order::newer_if(|held, seq| seq != held)
    }),
    Breakage::boundary("fleet/snapshot/no-seq-applied", FLEET_SNAPSHOT_29, Wire, || {
        order::newer_if(|held, seq| seq > held || seq == 0)
    }),
    Breakage::boundary(
        "fleet/snapshot/not-newer-is-kicked",
        FLEET_SNAPSHOT_30,
        Wire,
        order::not_newer_kicked,
    ),
    Breakage::boundary("fleet/snapshot/steps-of-a-thousand", FLEET_SNAPSHOT_31, Wire, || {
        order::newer_if(|held, seq| seq > held && seq - held <= 1_000)
    }),
    Breakage::boundary("fleet/snapshot/seq-with-a-sign", FLEET_SNAPSHOT_31, Wire, || {
        order::newer_if(|held, seq| seq > held && seq <= 0x7fff_ffff)
    }),
    Breakage::boundary(
        "fleet/snapshot/seq-of-a-rejected-one-counts",
        FLEET_SNAPSHOT_31,
        Wire,
        order::rejected_counts,
    ),
    Breakage::second("fleet/snapshot/seq-of-the-process", FLEET_SNAPSHOT_31, Wire, order::of_the_process),
    Breakage::boundary(
        "fleet/snapshot/known-one-passed-over",
        FLEET_SNAPSHOT_32,
        Wire,
        order::known_passed_over,
    ),
    Breakage::boundary("fleet/snapshot/first-of-two-labels", FLEET_SNAPSHOT_33, Wire, || {
        taken(|s| {
            let mut kept = Vec::new();
            for label in std::mem::take(&mut s.labels) {
                if kept.iter().all(|known: &wireproof_spec::fleet::Label| known.key != label.key) {
                    kept.push(label);
                }
            }
            s.labels = kept;
        })
    }),
    Breakage::boundary("fleet/snapshot/labels-counted-with-their-doubles", FLEET_SNAPSHOT_33, Wire, || {
        refused(|s| s.labels.len() == 33 && s.labels().len() == 32)
    }),
];

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Each snapshot that is heard is taken for another one, with the hash that was sent.
fn taken(change: impl Fn(&mut Snapshot) + Send + Sync + 'static) -> Seams {
    heard_state(move |_, state| {
        if let Some(snapshot) = &mut state.snapshot {
            change(snapshot);
        }
    })
}

/// Snapshots of which this says so are rejected.
fn refused(is_bad: impl Fn(&Snapshot) -> bool + Send + Sync + 'static) -> Seams {
    taken(move |snapshot| {
        if is_bad(snapshot) {
            break_it(snapshot);
        }
    })
}

/// Breaks a bound.
fn break_it(snapshot: &mut Snapshot) {
    snapshot.endpoint_url.clear();
}

/// Snapshots whose payload is longer are rejected.
fn longer_than(bytes: usize) -> Seams {
    super::heard(move |_, frames| {
        super::each(frames, "fleet/state", |payload| {
            if payload.len() > bytes
                && let Ok(mut state) = wireproof_spec::fleet::State::receive(payload)
            {
                state.snapshot.iter_mut().for_each(break_it);
                *payload = state.encode_frame();
            }
        });
    })
}

/// The endpointUrl of instances and rooms is shown in another way, if it is not the usual one.
fn respelled(spell: impl Fn(&str) -> String + Send + Sync + 'static) -> Seams {
    fn walk(value: &mut Value, spell: &impl Fn(&str) -> String) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(url)) = members.get_mut("endpointUrl") {
                    *url = spell(url);
                }
                members.values_mut().for_each(|value| walk(value, spell));
            }
            Value::Array(all) => all.iter_mut().for_each(|value| walk(value, spell)),
            _ => {}
        }
    }
    reply(move |request, response| {
        if request.path.starts_with("/v1/") && response.status == 200 {
            rewrite(response, |body| walk(body, &spell));
        }
    })
}
