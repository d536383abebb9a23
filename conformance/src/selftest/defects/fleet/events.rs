//! Defects of "Events".

use super::{
    Seams, Table, decide, events, input,
    instances::{count, nobody},
    reply, request,
    shown::all,
};
use crate::{
    embed::reference::fleet::{
        ADMIN_KEY, AGENT_KEY,
        model::{Ask, Change, Effect, Input, Record, State, Told},
        seams::Piece,
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use wireproof_spec::{
    fleet::{FleetStats, InstanceInfo, RoomInfo, requirements::*},
    http::Request,
};

pub(super) const TABLE: Table = &[
    Breakage::always("fleet/events/no-store", FLEET_EVENTS_1, Wire, || cached("no-store, no-transform")),
    Breakage::always("fleet/events/may-be-transformed", FLEET_EVENTS_2, Wire, || cached("no-cache")),
    Breakage::always("fleet/events/ping-at-first", FLEET_EVENTS_3, Wire, || {
        events(|_, pieces| {
            for piece in pieces {
                if *piece == Piece::Comment("connected".into()) {
                    *piece = Piece::Comment("ping".into());
                }
            }
        })
    }),
    Breakage::always("fleet/events/many-lines", FLEET_EVENTS_4, Wire, || {
        pieces(|name, data| Piece::Event { name, data: data.replacen('{', "{\n", 1) })
    }),
    Breakage::always("fleet/events/with-id", FLEET_EVENTS_4, Wire, || {
        pieces(|name, data| Piece::Raw(format!("id: 1\nevent: {name}\ndata: {data}\n\n")))
    }),
    Breakage::second("fleet/events/one-ping", FLEET_EVENTS_5, Wire, one_ping),
    Breakage::second("fleet/events/join-with-each-snapshot", FLEET_EVENTS_6, Port, join_with_each_snapshot),
    Breakage::second("fleet/events/join-of-a-process", FLEET_EVENTS_6, Port, || {
        telling(|state, _, told| {
            let known: BTreeSet<String> = all(state).iter().map(|info| info.process_uid.clone()).collect();
            told.retain(|told| !matches!(told, Told::Join(info) if known.contains(&info.process_uid)));
        })
    }),
    Breakage::second("fleet/events/evicted-in-silence", FLEET_EVENTS_7, Port, || {
        telling(|_, input, told| {
            if matches!(input, Input::Tick) {
                told.retain(|told| !matches!(told, Told::Leave(_)));
            }
        })
    }),
    Breakage::second("fleet/events/leave-without-rooms", FLEET_EVENTS_7, Port, || {
        telling(|_, _, told| {
            for told in told {
                if let Told::Leave(info) = told {
                    Arc::make_mut(info).rooms.clear();
                }
            }
        })
    }),
    Breakage::second("fleet/events/stale-once", FLEET_EVENTS_8, Port, stale_once),
    Breakage::second("fleet/events/leave-of-nobody", FLEET_EVENTS_9, Port, leave_of_nobody),
    Breakage::second("fleet/events/rooms-of-the-join-alone", FLEET_EVENTS_10, Port, || {
        telling(|state, input, told| {
            if speaker(input).is_some_and(|number| state.instance(number).is_some()) {
                told.retain(|told| !matches!(told, Told::Create(_)));
            }
        })
    }),
    Breakage::second("fleet/events/rooms-go-with-their-instance", FLEET_EVENTS_11, Port, || {
        telling(|_, _, told| {
            if told.iter().any(|told| matches!(told, Told::Leave(_))) {
                told.retain(|told| !matches!(told, Told::Destroy(_)));
            }
        })
    }),
    Breakage::second("fleet/events/room-instead-of-sync", FLEET_EVENTS_12, Port, || {
        telling(|_, _, told| {
            let joins = told.iter().any(|told| matches!(told, Told::Join(_)));
            if !joins && told.iter().any(|told| matches!(told, Told::Create(_))) {
                told.retain(|told| !matches!(told, Told::Sync(_)));
            }
        })
    }),
    Breakage::second("fleet/events/sync-with-each-state", FLEET_EVENTS_13, Port, || {
        telling(|state, input, told| {
            if told.is_empty() && speaker(input).is_some_and(|number| state.instance(number).is_some()) {
                told.extend(now(state).map(|stats| Told::Sync(Arc::new(stats))));
            }
        })
    }),
    Breakage::second("fleet/events/sync-when-stale", FLEET_EVENTS_13, Port, || {
        telling(|state, _, told| {
            if told.iter().any(|told| matches!(told, Told::Stale(_))) {
                told.extend(now(state).map(|stats| Told::Sync(Arc::new(stats))));
            }
        })
    }),
    Breakage::second("fleet/events/create-for-connections", FLEET_EVENTS_14, Port, create_for_connections),
    Breakage::second("fleet/events/create-before-join", FLEET_EVENTS_15, Port, || {
        telling(|_, _, told| {
            if let Some(at) = told.iter().position(|told| matches!(told, Told::Join(_))) {
                let join = told.remove(at);
                let behind = told.iter().rposition(|told| matches!(told, Told::Create(_)));
                told.insert(behind.map_or(at, |last| last + 1), join);
            }
        })
    }),
    Breakage::second("fleet/events/destroy-before-create", FLEET_EVENTS_16, Port, || {
        telling(|_, _, told| {
            if !told.iter().any(|told| matches!(told, Told::Leave(_))) {
                told.sort_by_key(|told| matches!(told, Told::Create(_) | Told::Sync(_)));
            }
        })
    }),
    Breakage::second("fleet/events/sync-before-destroy", FLEET_EVENTS_16, Port, || {
        telling(|_, _, told| {
            if !told.iter().any(|told| matches!(told, Told::Leave(_))) {
                told.sort_by_key(|told| matches!(told, Told::Destroy(_)));
            }
        })
    }),
    Breakage::second("fleet/events/leave-at-the-end", FLEET_EVENTS_17, Port, || {
        telling(|_, _, told| told.sort_by_key(|told| matches!(told, Told::Leave(_))))
    }),
    Breakage::second("fleet/events/taken-over-anew", FLEET_EVENTS_18, Port, taken_over_anew),
    Breakage::second("fleet/events/new-ids-in-silence", FLEET_EVENTS_18, Port, || {
        telling(|state, input, told| {
            let speaker = speaker(input).and_then(|number| state.id(number));
            let of_others = |room: &RoomInfo| speaker != Some(&room.instance_id);
            told.retain(|told| !matches!(told, Told::Create(room) if of_others(room)));
        })
    }),
    Breakage::second("fleet/events/last-stream-misses-some", FLEET_EVENTS_20, Port, last_stream_misses_some),
    Breakage::second("fleet/events/told-again", FLEET_EVENTS_21, Wire, told_again),
    Breakage::second("fleet/events/sync-at-first", FLEET_EVENTS_21, Wire, sync_at_first),
    Breakage::boundary("fleet/events/ninety-nine", FLEET_EVENTS_22, Port, || most(|most| most - 1)),
    Breakage::boundary("fleet/events/hundred-and-one", FLEET_EVENTS_22, Port, || most(|most| most + 1)),
    Breakage::boundary("fleet/events/closed-ones-count", FLEET_EVENTS_23, Port, || {
        input(|state, input| {
            if matches!(input, Input::Gone { session } if state.listeners().any(|other| other == *session)) {
                *input = Input::Started;
            }
        })
    }),
    Breakage::boundary("fleet/events/heads-count", FLEET_EVENTS_23, Port, heads_count),
    Breakage::always("fleet/events/query-passed-over", FLEET_EVENTS_24, Wire, || {
        keyed(|request, _| request.query.0.retain(|(name, _)| name != "key"))
    })
    .variant("open"),
    Breakage::always("fleet/events/query-of-an-agent", FLEET_EVENTS_25, Wire, || {
        keyed(|request, key| {
            if key == AGENT_KEY {
                request.headers.set("authorization", format!("Bearer {ADMIN_KEY}"));
            }
        })
    })
    .variant("open"),
    Breakage::always("fleet/events/query-looked-at", FLEET_EVENTS_26, Wire, || {
        keyed(|request, key| request.headers.set("authorization", format!("Bearer {key}")))
    }),
    Breakage::restart("fleet/events/streams-outlive", FLEET_EVENTS_27, Port, || {
        decide(|_, input, decision| {
            if matches!(input, Input::Stopping) {
                decision.effects.retain(|effect| !matches!(effect, Effect::EndEvents { .. }));
            }
        })
    })
    .variant("full"),
];

/// Another Cache-Control of event streams.
fn cached(value: &'static str) -> Seams {
    reply(move |request, response| {
        if request.path == "/v1/events" && response.status == 200 {
            response.headers.set("cache-control", value);
        }
    })
}

/// Each event on the wire, written in another way.
fn pieces(change: impl Fn(String, String) -> Piece + Send + Sync + 'static) -> Seams {
    events(move |_, pieces| {
        for piece in pieces {
            if let Piece::Event { name, data } = piece {
                *piece = change(std::mem::take(name), std::mem::take(data));
            }
        }
    })
}

/// Each request for events with a key in its query, changed.
fn keyed(change: impl Fn(&mut Request, &str) + Send + Sync + 'static) -> Seams {
    request(move |request| {
        if request.path == "/v1/events"
            && let Some(key) = request.query.get("key").map(str::to_owned)
        {
            change(request, &key);
        }
    })
}

/// What is told because of an input, changed.
fn telling(mut change: impl FnMut(&State, &Input, &mut Vec<Told>) + Send + 'static) -> Seams {
    decide(move |state, input, decision| {
        let sessions: Arc<[u64]> = state.listeners().collect();
        if sessions.is_empty() {
            return;
        }
        let mut told = Vec::new();
        decision.effects.retain(|effect| match effect {
            Effect::Tell { event, .. } => {
                told.push(event.clone());
                false
            }
            _ => true,
        });
        change(state, input, &mut told);
        let effects = told.into_iter().map(|event| Effect::Tell { sessions: sessions.clone(), event });
        decision.effects.extend(effects);
    })
}

/// The connection that said something.
fn speaker(input: &Input) -> Option<u64> {
    match input {
        Input::Heard { connection, .. } => Some(*connection),
        _ => None,
    }
}

/// The numbers of what is shown.
fn now(state: &State) -> Option<FleetStats> {
    let all = all(state);
    let rooms: usize = all.iter().map(|info| info.rooms.len()).sum();
    let connections: i64 = all.iter().map(|info| info.connections.get()).sum();
    let types: BTreeSet<String> = all.iter().flat_map(|info| info.room_types.clone()).collect();
    Some(FleetStats {
        instances: count(all.len())?,
        rooms: count(rooms)?,
        connections: count(usize::try_from(connections).ok()?)?,
        room_types: types.into_iter().collect(),
        state_hash: state.hash_from_scratch(),
    })
}

/// What is shown of some connections behind a decision.
fn changes(records: &[Record]) -> Vec<Arc<Change>> {
    let changes = records.iter().filter_map(|record| match record {
        Record::Changed(change) => Some(change.clone()),
        _ => None,
    });
    changes.collect()
}

/// Tells more, because of what has changed; what is there before is told.
fn more(mut tell: impl FnMut(&State, &Change, Option<u64>) -> Vec<Told> + Send + 'static) -> Seams {
    decide(move |state, input, decision| {
        let sessions: Arc<[u64]> = state.listeners().collect();
        if sessions.is_empty() {
            return;
        }
        for change in changes(&decision.records) {
            for event in tell(state, &change, speaker(input)) {
                decision.effects.push(Effect::Tell { sessions: sessions.clone(), event });
            }
        }
    })
}

fn join_with_each_snapshot() -> Seams {
    more(|state, change, speaker| {
        let again = change.views.iter().filter(|view| speaker == Some(view.connection));
        let again = again.filter(|view| state.instance(view.connection).is_some());
        again.filter_map(|view| view.instance.as_ref()).map(|it| Told::Join(it.info.clone())).collect()
    })
}

/// A room whose connections alone have changed is told again.
fn create_for_connections() -> Seams {
    more(|state, change, _| {
        let mut told = Vec::new();
        for view in &change.views {
            let (Some(was), Some(is)) = (state.instance(view.connection), &view.instance) else { continue };
            for room in &is.info.rooms {
                let changed = |old: &RoomInfo| old.id == room.id && old.connections != room.connections;
                if was.rooms.iter().any(changed) {
                    told.push(Told::Create(Arc::new(room.clone())));
                }
            }
        }
        told
    })
}

/// A room that takes an id over is told like one that comes.
fn taken_over_anew() -> Seams {
    more(|state, change, _| {
        let mut told = Vec::new();
        for view in &change.views {
            let Some(instance) = &view.instance else { continue };
            for room in instance.info.rooms.iter().filter(|room| !room.id.contains('~')) {
                if state.raw(&room.id).is_some_and(|(owner, _)| owner != view.connection) {
                    told.push(Told::Create(Arc::new(room.clone())));
                }
            }
        }
        told
    })
}

fn one_ping() -> Seams {
    let pings = AtomicUsize::new(0);
    events(move |_, pieces| {
        pieces.retain(|piece| {
            *piece != Piece::Comment("ping".into()) || pings.fetch_add(1, Ordering::Relaxed) == 0
        });
    })
}

fn stale_once() -> Seams {
    let mut known: BTreeSet<String> = BTreeSet::new();
    telling(move |_, _, told| {
        told.retain(|told| match told {
            Told::Stale(info) => known.insert(info.id.clone()),
            _ => true,
        });
    })
}

/// Who is evicted and never said anything is told to leave.
fn leave_of_nobody() -> Seams {
    decide(|state, _, decision| {
        let sessions: Arc<[u64]> = state.listeners().collect();
        let closed = decision.effects.iter().filter_map(|effect| match effect {
            Effect::Close { connection, .. } if state.instance(*connection).is_none() => {
                nobody(state.id(*connection)?)
            }
            _ => None,
        });
        let gone: Vec<InstanceInfo> = closed.collect();
        for info in gone.into_iter().filter(|_| !sessions.is_empty()) {
            let event = Told::Leave(Arc::new(info));
            decision.effects.push(Effect::Tell { sessions: sessions.clone(), event });
        }
    })
}

/// Of several streams the newest one is not told of rooms that go.
fn last_stream_misses_some() -> Seams {
    decide(|_, _, decision| {
        for effect in &mut decision.effects {
            if let Effect::Tell { sessions, event: Told::Destroy(_) } = effect
                && sessions.len() > 1
            {
                *sessions = sessions[..sessions.len() - 1].into();
            }
        }
    })
}

/// Who says what it heard last is told the last events once more.
fn told_again() -> Seams {
    const KEPT: usize = 8;
    let last: Mutex<VecDeque<Piece>> = Mutex::default();
    events(move |request, pieces| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in pieces.clone() {
            match piece {
                Piece::Event { .. } => {
                    last.push_back(piece);
                    if last.len() > KEPT {
                        last.pop_front();
                    }
                }
                Piece::Comment(text)
                    if text == "connected" && request.headers.get("last-event-id").is_some() =>
                {
                    pieces.extend(last.iter().cloned());
                }
                _ => {}
            }
        }
    })
}

/// Each stream begins with the last sync.
fn sync_at_first() -> Seams {
    let last: Mutex<Option<Piece>> = Mutex::default();
    events(move |_, pieces| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in pieces.clone() {
            match &piece {
                Piece::Event { name, .. } if name == "sync" => *last = Some(piece),
                Piece::Comment(text) if text == "connected" => pieces.extend(last.clone()),
                _ => {}
            }
        }
    })
}

/// Another number of streams that may be open.
fn most(change: fn(usize) -> usize) -> Seams {
    input(move |_, input| {
        if let Input::Ask { ask: Ask::Events { most }, .. } = input {
            *most = change(*most);
        }
    })
}

/// Each HEAD takes a place for ever.
fn heads_count() -> Seams {
    let heads: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&heads);
    let counting = request(move |request| {
        if request.method == "HEAD" && request.path == "/v1/events" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let asked = input(move |_, input| {
        if let Input::Ask { ask: Ask::Events { most }, .. } = input {
            *most = most.saturating_sub(heads.load(Ordering::Relaxed));
        }
    });
    Seams { port: asked.port, ..counting }
}
