//! PUTs that should make no fork.

use super::{Seams, asks, begin::PIECE, is_fork, source};
use crate::selftest::defects::{
    port,
    stream::{Ask, ask_mut, is_create, refusal, reply, request, through},
    wire::HttpSeams,
};
use wireproof_spec::stream::header::{FORK_OFFSET, FORK_SUB_OFFSET, FORKED_FROM};

pub(super) fn missing_400() -> Seams {
    reply(|request, response| {
        if is_fork(request) && response.status == 404 {
            response.status = 400;
        }
    })
}

pub(super) fn missing_empty() -> Seams {
    through(port::rewrite_input(|state, input| {
        if let Some(Ask::Create(create)) = ask_mut(input)
            && create.fork.as_ref().is_some_and(|fork| source(state, fork).is_none())
        {
            create.fork = None;
        }
    }))
}

pub(super) fn beyond_clamped() -> Seams {
    asks(|state, _, _, fork| {
        if let Some(source) = source(state, fork) {
            fork.offset = fork.offset.map(|offset| offset.min(source.tail));
        }
    })
}

pub(super) fn beyond_fork() -> Seams {
    asks(|state, _, _, fork| {
        if let Some(source) = source(state, fork).filter(|source| source.origin.is_some()) {
            fork.offset = fork.offset.map(|offset| offset.min(source.tail));
        }
    })
}

pub(super) fn characters_dropped() -> Seams {
    request(|request| {
        if let Some(offset) = request.headers.get(FORK_OFFSET).map(|text| text.replace(is_impossible, "")) {
            request.headers.set(FORK_OFFSET, offset);
        }
    })
}

fn is_impossible(character: char) -> bool {
    matches!(character, ',' | '&' | '=' | '?' | '/')
}

pub(super) fn overshoot_clamped() -> Seams {
    asks(|state, _, _, fork| {
        if let Some(source) = source(state, fork)
            && let Some(found) = fork.found.as_mut()
        {
            found.base = found.base.or(Some(source.tail));
        }
    })
}

/// Of an append in several pieces the last piece is taken for as long as it is asked to be.
pub(super) fn long_overshoot() -> Seams {
    asks(|state, _, _, fork| {
        let from = fork.offset.unwrap_or_default();
        if let Some(source) = source(state, fork).filter(|source| source.tail > from + PIECE)
            && let Some(found) = fork.found.as_mut()
        {
            found.base = found.base.or(Some(source.tail));
        }
    })
}

pub(super) fn overshoot_next() -> Seams {
    asks(|state, _, _, fork| {
        if let Some(source) = source(state, fork)
            && let Some(found) = fork.found.as_mut()
            && !source.media_type.is_json()
        {
            let place = fork.offset.unwrap_or(source.tail).saturating_add(fork.sub_offset);
            found.base = found.base.or(Some(place).filter(|place| *place <= source.tail));
        }
    })
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn malformed_ignored() -> Seams {
    request(|request| {
        if request.headers.get(FORK_SUB_OFFSET).is_some_and(|text| !is_number(text)) {
            request.headers.remove(FORK_SUB_OFFSET);
        }
    })
}

pub(super) fn digits_first() -> Seams {
    request(|request| {
        let text = request.headers.get(FORK_SUB_OFFSET).unwrap_or_default();
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        if !digits.is_empty() {
            request.headers.set(FORK_SUB_OFFSET, digits);
        }
    })
}

pub(super) fn lonely_ignored() -> Seams {
    request(|request| {
        if is_lonely(request) {
            request.headers.remove(FORK_OFFSET);
            request.headers.remove(FORK_SUB_OFFSET);
        }
    })
}

/// Whether a PUT says where it leaves a source, and names none.
fn is_lonely(request: &wireproof_spec::http::Request) -> bool {
    let has = |name: &str| request.headers.get(name).is_some();
    request.method == "PUT" && !has(FORKED_FROM) && (has(FORK_OFFSET) || has(FORK_SUB_OFFSET))
}

const WAS_BROKEN: &str = "x-was-broken";

/// Makes what it refuses, with this status.
fn makes(which: fn(&wireproof_spec::http::Request) -> bool, status: u16) -> Seams {
    Seams::from(HttpSeams {
        request: Box::new(move |request| {
            if which(request) {
                for name in [FORKED_FROM, FORK_OFFSET, FORK_SUB_OFFSET] {
                    request.headers.remove(name);
                }
                request.headers.set(WAS_BROKEN, "true");
            }
        }),
        reply: Box::new(move |request, response| {
            if request.headers.get(WAS_BROKEN).is_some() && is_create(request) {
                *response = refusal(status);
            }
        }),
        ..HttpSeams::honest()
    })
}

pub(super) fn lonely_made() -> Seams {
    makes(is_lonely, 400)
}

/// Around a server without forks.
pub(super) fn made() -> Seams {
    makes(is_fork, 501)
}

pub(super) fn type_ignored() -> Seams {
    asks(|_, there, create, _| {
        if there.is_none() {
            create.media_type = None;
        }
    })
}

pub(super) fn subtype_ignored() -> Seams {
    asks(|state, there, create, fork| {
        let main = |text: &str| text.split('/').next().map(str::to_owned);
        let Some(source) = source(state, fork).filter(|_| there.is_none()) else { return };
        if let Some(named) = &create.media_type
            && main(&named.essence()) == main(&source.media_type.essence())
        {
            create.media_type = None;
        }
    })
}
