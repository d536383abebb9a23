//! Defects of "Connect".

use super::{Seams, Table, frames, reply, request};
use crate::{
    embed::reference::fleet::{ADMIN_KEY, AGENT_KEY, seams::Frame},
    protocol::Cut::Wire,
    selftest::defects::Breakage,
};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use wireproof_spec::{
    fleet::{connect::SENTINEL, requirements::*},
    http::Request,
};

/// The header in which protocols are offered.
const OFFER: &str = "sec-websocket-protocol";
/// No key of anybody.
const WRONG: &str = "nobody-has-this-key";

pub(super) const TABLE: Table = &[
    Breakage::always("fleet/connect/nothing-selected", FLEET_CONNECT_1, Wire, || {
        reply(|_, response| {
            if response.status == 101 {
                response.headers.remove(OFFER);
            }
        })
    }),
    Breakage::always("fleet/connect/key-in-the-answer", FLEET_CONNECT_2, Wire, || {
        reply(|request, response| {
            if let Some(first) = offered(request).first().filter(|_| response.status == 101) {
                response.headers.push("x-ticket", first.as_str());
            }
        })
    })
    .shape("an answer that repeats the key has to have a place for it"),
    Breakage::boundary("fleet/connect/key-in-either-place", FLEET_CONNECT_3, Wire, || {
        offers(|all| {
            if all.len() == 2 && all[0] == SENTINEL {
                all.swap(0, 1);
            }
        })
    }),
    Breakage::boundary("fleet/connect/key-of-an-operator", FLEET_CONNECT_4, Wire, || {
        first_entry(|first| first == ADMIN_KEY)
    }),
    Breakage::boundary("fleet/connect/begin-of-a-key", FLEET_CONNECT_4, Wire, || {
        first_entry(|first| first.len() > 8 && AGENT_KEY.starts_with(first))
    }),
    Breakage::boundary("fleet/connect/longer-than-a-key", FLEET_CONNECT_4, Wire, || {
        first_entry(|first| first.starts_with(AGENT_KEY))
    }),
    Breakage::boundary("fleet/connect/second-entry-is-the-ticket", FLEET_CONNECT_4, Wire, || {
        offers(|all| {
            if all.len() > 2 && all[1] == AGENT_KEY {
                all.remove(0);
            }
        })
    }),
    Breakage::boundary("fleet/connect/ticket-in-the-query", FLEET_CONNECT_5, Wire, || queried("ticket")),
    Breakage::boundary("fleet/connect/key-in-the-query", FLEET_CONNECT_5, Wire, || queried("key")),
    Breakage::boundary("fleet/connect/no-ticket-needed", FLEET_CONNECT_5, Wire, || {
        request(|request| {
            if is_handshake(request) && request.headers.get(OFFER).is_none() && request.query.0.is_empty() {
                request.headers.push(OFFER, format!("{AGENT_KEY}, {SENTINEL}"));
            }
        })
    }),
    Breakage::second("fleet/connect/one-key", FLEET_CONNECT_7, Wire, one_key),
    Breakage::boundary("fleet/connect/no-list-without-spaces", FLEET_CONNECT_8, Wire, || {
        request(|request| {
            let is_dense = |offer: &str| offer.contains(',') && !offer.contains(", ");
            if request.headers.get(OFFER).is_some_and(is_dense) {
                request.headers.set(OFFER, WRONG);
            }
        })
    }),
    Breakage::boundary("fleet/connect/one-header-line", FLEET_CONNECT_8, Wire, || {
        request(|request| {
            if let Some(first) = request.headers.get(OFFER).map(str::to_owned) {
                request.headers.set(OFFER, first);
            }
        })
    }),
    Breakage::boundary("fleet/connect/sentinel-is-the-second", FLEET_CONNECT_8, Wire, || {
        offers(|all| {
            if all.len() > 2 && all[1] != SENTINEL && all[0] == AGENT_KEY {
                all.truncate(1);
            }
        })
    }),
    Breakage::boundary("fleet/connect/key-alone-is-none", FLEET_CONNECT_9, Wire, || {
        offers(|all| {
            if all.len() == 1 {
                all[0] = WRONG.into();
            }
        })
    }),
    Breakage::second("fleet/connect/another-ends-too", FLEET_CONNECT_10, Wire, another_ends),
    Breakage::second("fleet/connect/hides-the-others", FLEET_CONNECT_10, Wire, hides_others)
        .shape("who is hidden is not found")
        .wide("of two agents one is not found, and many checks have two"),
];

fn is_handshake(request: &Request) -> bool {
    request.headers.get("upgrade").is_some()
}

fn offered(request: &Request) -> Vec<String> {
    let list = request.headers.joined().remove(OFFER);
    list.iter().flat_map(|list| list.split(',')).map(|one| one.trim().to_owned()).collect()
}

/// Each offer changed.
fn offers(change: impl Fn(&mut Vec<String>) + Send + Sync + 'static) -> Seams {
    request(move |request| {
        let mut all = offered(request);
        let before = all.clone();
        change(&mut all);
        if all != before {
            request.headers.set(OFFER, all.join(", "));
        }
    })
}

/// Such first entries are taken for a key.
fn first_entry(is: impl Fn(&str) -> bool + Send + Sync + 'static) -> Seams {
    offers(move |all| {
        if all.first().is_some_and(|first| is(first)) {
            all[0] = AGENT_KEY.into();
        }
    })
}

/// The ticket may stand in the query under this name.
fn queried(name: &'static str) -> Seams {
    request(move |request| {
        if is_handshake(request)
            && request.headers.get(OFFER).is_none()
            && let Some(ticket) = request.query.get(name).map(str::to_owned)
        {
            request.headers.push(OFFER, ticket);
        }
    })
}

/// The key that came first is the only one.
fn one_key() -> Seams {
    let known: Mutex<Option<String>> = Mutex::default();
    offers(move |all| {
        let Some(first) = all.first_mut().filter(|first| *first != SENTINEL) else { return };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get_or_insert_with(|| first.clone()) != first {
            *first = WRONG.into();
        }
    })
}

/// Who is turned away takes one of the others along.
fn another_ends() -> Seams {
    let turned_away = AtomicBool::new(false);
    frames(move |_, frames| {
        if matches!(frames[0], Frame::Close(4001, _)) {
            turned_away.store(true, Ordering::Relaxed);
        } else if turned_away.swap(false, Ordering::Relaxed) {
            *frames = vec![Frame::Cut];
        }
    })
}

/// Once somebody was turned away nobody is shown.
fn hides_others() -> Seams {
    let turned_away = Arc::new(AtomicBool::new(false));
    let seen = turned_away.clone();
    let sent = frames(move |_, frames| {
        if matches!(frames[0], Frame::Close(4001, _)) {
            seen.store(true, Ordering::Relaxed);
        }
    });
    Seams {
        http: reply(move |request, response| {
            if request.path.starts_with("/v1/instances/") && turned_away.load(Ordering::Relaxed) {
                *response = super::refusal(404, "INSTANCE_NOT_FOUND");
            }
        }),
        ..sent
    }
}
