//! What a fork begins with.

use super::{Seams, answers, asks, begins, decide, forking, is_fork, source};
use crate::{
    checks::stream::setting::OTHER,
    selftest::defects::stream::{Answer, Record, refusal, reply},
};
use wireproof_spec::stream::{MediaType, header::FORK_SUB_OFFSET};

pub(super) fn second_empty() -> Seams {
    begins(|state, fork, origin| {
        if source(state, fork).is_some_and(|source| source.forks > 0) {
            (origin.inherited, origin.base) = ([].into(), 0);
        }
    })
}

pub(super) fn own_forgotten() -> Seams {
    begins(|state, fork, origin| {
        if let Some(source) = source(state, fork)
            && source.origin.is_some()
            && fork.offset.is_none()
        {
            (origin.inherited, origin.base) = (source.inherited(), source.base());
        }
    })
}

pub(super) fn zero_is_tail() -> Seams {
    asks(|_, _, _, fork| {
        if fork.offset == Some(0) && fork.sub_offset == 0 {
            fork.offset = None;
        }
    })
}

pub(super) fn chain_moved() -> Seams {
    begins(|state, fork, origin| {
        if let Some(source) = source(state, fork)
            && fork.offset.is_some_and(|offset| offset < source.base())
        {
            (origin.inherited, origin.base) = (source.inherited(), source.base());
        }
    })
}

pub(super) fn bytes_ignored() -> Seams {
    ignored(false)
}

pub(super) fn messages_ignored() -> Seams {
    ignored(true)
}

fn ignored(json: bool) -> Seams {
    asks(move |state, _, _, fork| {
        if source(state, fork).is_some_and(|source| source.media_type.is_json() == json) {
            fork.sub_offset = 0;
        }
    })
}

pub(super) fn last_byte_refused() -> Seams {
    asks(|state, _, _, fork| {
        let tail = source(state, fork).filter(|source| !source.media_type.is_json()).map(|s| s.tail);
        if let Some(found) = fork.found.as_mut().filter(|found| found.base == tail) {
            found.base = None;
        }
    })
}

/// No place is found behind the first of the pieces that an append is kept in.
pub(super) fn pieces(json: bool) -> Seams {
    asks(move |state, _, _, fork| {
        let from = fork.offset.unwrap_or_default();
        if source(state, fork).is_some_and(|source| source.media_type.is_json() == json)
            && let Some(found) = fork.found.as_mut()
        {
            found.base = found.base.filter(|base| *base <= from + PIECE);
        }
    })
}

/// So much of an append is kept in one piece, in bytes.
pub(super) const PIECE: u64 = 64 * 1024;

pub(super) fn one_message() -> Seams {
    asks(|state, _, _, fork| {
        if source(state, fork).is_some_and(|source| source.media_type.is_json()) {
            fork.sub_offset = fork.sub_offset.min(1);
        }
    })
}

pub(super) fn zero_refused() -> Seams {
    reply(|request, response| {
        if is_fork(request) && request.headers.get(FORK_SUB_OFFSET) == Some("0") && response.status < 300 {
            *response = refusal(400);
        }
    })
}

pub(super) fn zero_conflicts() -> Seams {
    reply(|request, response| {
        if is_fork(request) && request.headers.get(FORK_SUB_OFFSET) == Some("0") && response.status == 200 {
            *response = refusal(409);
        }
    })
}

pub(super) fn default_type() -> Seams {
    decide(|_, input, decision| {
        let Some((_, create, _)) = forking(input) else { return };
        let Some(other) = MediaType::parse(OTHER).ok().filter(|_| create.media_type.is_none()) else {
            return;
        };
        for record in &mut decision.records {
            if let Record::Created { media_type, .. } = record {
                *media_type = other.clone();
            }
        }
        for answer in answers(decision) {
            if let Answer::Created { facts, .. } = answer {
                facts.media_type = other.clone();
            }
        }
    })
}
