//! Defects of "Forks".

mod again;
mod begin;
mod life;
mod live;
mod own;
mod refused;
mod soft;

use super::{
    Answer, Ask, Create, Decision, Input, Record, Seams, State, Stream, StreamModel, Table, answers, ask,
    ask_mut, decide, is_create, through,
};
use crate::{
    embed::reference::stream::model::{Fork, Origin},
    protocol::Cut::{Log, Port, Wire},
    selftest::defects::{Breakage, port},
};
use wireproof_spec::{
    http::Request,
    stream::{header::FORKED_FROM, requirements::*},
};

pub(super) const TABLE: Table = &[
    Breakage::second("stream/forks/second-begins-empty", STREAM_FORKS_1, Port, begin::second_empty)
        .wide("a source with several forks is what most checks about forks are made of"),
    Breakage::boundary("stream/forks/own-of-fork-forgotten", STREAM_FORKS_1, Port, begin::own_forgotten),
    Breakage::boundary("stream/forks/zero-taken-for-tail", STREAM_FORKS_2, Port, begin::zero_is_tail),
    Breakage::boundary("stream/forks/offset-in-chain-moved", STREAM_FORKS_2, Port, begin::chain_moved),
    Breakage::always("stream/forks/missing-source-malformed", STREAM_FORKS_3, Wire, refused::missing_400),
    Breakage::boundary("stream/forks/missing-source-empty", STREAM_FORKS_3, Port, refused::missing_empty),
    Breakage::boundary("stream/forks/expired-source-conflicts", STREAM_FORKS_4, Port, life::expired_409),
    Breakage::boundary("stream/forks/expired-source-empty", STREAM_FORKS_4, Port, life::expired_empty),
    Breakage::always("stream/forks/beyond-tail-clamped", STREAM_FORKS_5, Port, refused::beyond_clamped),
    Breakage::boundary("stream/forks/beyond-fork-clamped", STREAM_FORKS_5, Port, refused::beyond_fork),
    Breakage::always("stream/forks/characters-dropped", STREAM_FORKS_6, Wire, refused::characters_dropped),
    Breakage::always("stream/forks/bytes-ignored", STREAM_FORKS_7, Port, begin::bytes_ignored),
    Breakage::boundary("stream/forks/last-byte-refused", STREAM_FORKS_7, Port, begin::last_byte_refused),
    Breakage::boundary("stream/forks/first-piece-at-most", STREAM_FORKS_7, Port, || begin::pieces(false)),
    Breakage::boundary("stream/forks/messages-of-first-piece", STREAM_FORKS_8, Port, || begin::pieces(true)),
    Breakage::boundary("stream/forks/long-overshoot-clamped", STREAM_FORKS_10, Port, refused::long_overshoot),
    Breakage::always("stream/forks/messages-ignored", STREAM_FORKS_8, Port, begin::messages_ignored),
    Breakage::boundary("stream/forks/one-message-at-most", STREAM_FORKS_8, Port, begin::one_message),
    Breakage::always("stream/forks/zero-refused", STREAM_FORKS_9, Wire, begin::zero_refused),
    Breakage::boundary("stream/forks/zero-conflicts", STREAM_FORKS_9, Wire, begin::zero_conflicts),
    Breakage::always("stream/forks/overshoot-clamped", STREAM_FORKS_10, Port, refused::overshoot_clamped),
    Breakage::boundary("stream/forks/overshoot-into-next", STREAM_FORKS_10, Port, refused::overshoot_next),
    Breakage::always("stream/forks/malformed-ignored", STREAM_FORKS_11, Wire, refused::malformed_ignored),
    Breakage::boundary("stream/forks/digits-first", STREAM_FORKS_11, Wire, refused::digits_first),
    Breakage::always("stream/forks/no-source-ignored", STREAM_FORKS_12, Wire, refused::lonely_ignored),
    Breakage::boundary("stream/forks/no-source-made", STREAM_FORKS_12, Wire, refused::lonely_made),
    Breakage::always("stream/forks/media-type-by-default", STREAM_FORKS_13, Port, begin::default_type),
    Breakage::always("stream/forks/media-type-ignored", STREAM_FORKS_14, Port, refused::type_ignored),
    Breakage::boundary("stream/forks/subtype-ignored", STREAM_FORKS_14, Port, refused::subtype_ignored),
    Breakage::boundary("stream/forks/no-fork-found", STREAM_FORKS_15, Port, again::no_fork),
    Breakage::boundary("stream/forks/other-lifetime-found", STREAM_FORKS_15, Port, again::lifetime),
    Breakage::boundary("stream/forks/found-without-source", STREAM_FORKS_15, Port, again::without_source),
    Breakage::boundary("stream/forks/refused-and-closed", STREAM_FORKS_15, Port, again::closes),
    Breakage::boundary("stream/forks/repeated-once-written", STREAM_FORKS_16, Port, again::once_written),
    Breakage::second("stream/forks/repeated-again", STREAM_FORKS_16, Port, again::repeated_again),
    Breakage::always("stream/forks/repeated-bare-conflicts", STREAM_FORKS_17, Port, again::bare),
    Breakage::boundary("stream/forks/tail-compared", STREAM_FORKS_17, Port, again::tail),
    Breakage::boundary("stream/forks/offset-not-compared", STREAM_FORKS_18, Port, again::offset),
    Breakage::boundary("stream/forks/default-not-compared", STREAM_FORKS_18, Port, again::default_offset),
    Breakage::boundary("stream/forks/equal-source-found", STREAM_FORKS_19, Port, again::source),
    Breakage::boundary("stream/forks/sub-offset-not-compared", STREAM_FORKS_20, Port, again::sub_offset),
    Breakage::boundary("stream/forks/no-sub-offset-found", STREAM_FORKS_20, Port, again::no_sub_offset),
    Breakage::boundary("stream/forks/producers-inherited", STREAM_FORKS_21, Port, own::producers),
    Breakage::boundary("stream/forks/seq-inherited", STREAM_FORKS_22, Port, own::seq),
    Breakage::boundary("stream/forks/closure-inherited", STREAM_FORKS_24, Port, own::closure),
    Breakage::boundary("stream/forks/window-shared", STREAM_FORKS_25, Port, life::window_shared),
    Breakage::boundary("stream/forks/moment-forgotten", STREAM_FORKS_25, Port, life::moment_forgotten),
    Breakage::boundary("stream/forks/end-invented", STREAM_FORKS_25, Port, life::invented)
        .wide("every fork that is looked at a second later is gone"),
    Breakage::boundary("stream/forks/lifetime-of-source", STREAM_FORKS_26, Port, life::of_source),
    Breakage::boundary("stream/forks/lifetime-capped", STREAM_FORKS_26, Port, life::capped),
    Breakage::boundary("stream/forks/gone-with-deleted-source", STREAM_FORKS_26, Port, life::purged),
    Breakage::boundary("stream/forks/closed-with-source", STREAM_FORKS_27, Port, own::closed_with_source),
    Breakage::boundary("stream/forks/later-appends-inherited", STREAM_FORKS_27, Port, own::later_appends),
    Breakage::always("stream/forks/writes-to-source", STREAM_FORKS_27, Port, own::writes_to_source),
    Breakage::boundary("stream/forks/trimmed-with-source", STREAM_FORKS_27, Port, own::trimmed)
        .variant("retaining"),
    Breakage::restart("stream/forks/inherited-lost-at-restart", STREAM_FORKS_27, Log, own::lost_at_restart),
    Breakage::restart("stream/forks/bare-lost-at-restart", STREAM_FORKS_27, Log, own::bare_lost_at_restart),
    Breakage::boundary("stream/forks/offset-means-start", STREAM_FORKS_28, Port, own::offset_is_start),
    Breakage::always("stream/forks/tail-told-as-start", STREAM_FORKS_28, Port, own::told_as_start),
    Breakage::always("stream/forks/soft-deleted-missing", STREAM_FORKS_29, Port, soft::missing)
        .wide("that a stream is soft-deleted is set-up of many checks"),
    Breakage::second("stream/forks/held-by-all-or-none", STREAM_FORKS_29, Port, soft::one_gone),
    Breakage::boundary("stream/forks/deleted-again", STREAM_FORKS_29, Port, soft::deleted_again),
    Breakage::boundary("stream/forks/soft-deleted-live-missing", STREAM_FORKS_29, Port, soft::live_missing),
    Breakage::restart("stream/forks/soft-deletion-undone", STREAM_FORKS_29, Log, soft::undone),
    Breakage::boundary("stream/forks/held-url-found", STREAM_FORKS_30, Port, soft::url_found),
    Breakage::boundary("stream/forks/soft-deleted-forked", STREAM_FORKS_31, Port, soft::forked),
    Breakage::boundary("stream/forks/soft-deleted-source-missing", STREAM_FORKS_31, Port, soft::no_source),
    Breakage::boundary("stream/forks/comes-back", STREAM_FORKS_33, Port, soft::comes_back),
    Breakage::boundary("stream/forks/refused-and-counted", STREAM_FORKS_34, Port, soft::counted),
    Breakage::race("stream/forks/lost-in-race", STREAM_FORKS_35, Port, soft::lost_in_race),
    Breakage::boundary("stream/forks/inherited-awaited", STREAM_FORKS_36, Port, live::inherited_awaited),
    Breakage::boundary("stream/forks/woken-by-source", STREAM_FORKS_37, Port, live::woken),
    Breakage::boundary("stream/forks/source-heard", STREAM_FORKS_38, Port, live::heard),
    Breakage::always("stream/forks/two-arrays", STREAM_FORKS_39, Wire, live::two_arrays),
    Breakage::always("stream/forks/deleted-and-counted", STREAM_FORKS_41, Port, || soft::counted_on(1)),
    Breakage::second("stream/forks/second-deleted-and-counted", STREAM_FORKS_41, Port, || {
        soft::counted_on(2)
    }),
    Breakage::always("stream/forks/refused-and-made", STREAM_FORKS_40, Wire, refused::made).variant("bare"),
];

/// A PUT of a fork: the name of the target, what it says, and of what.
fn forking(input: &Input) -> Option<(&str, &Create, &Fork)> {
    match ask(input) {
        Some((name, Ask::Create(create))) => create.fork.as_ref().map(|fork| (name, create, fork)),
        _ => None,
    }
}

/// The source of a fork.
fn source<'a>(state: &'a State, fork: &Fork) -> Option<&'a Stream> {
    state.streams.get(&fork.source)
}

/// Each PUT of a fork changed, given the stream that is at its target.
fn asks(mut change: impl FnMut(&State, Option<&Stream>, &mut Create, &mut Fork) + Send + 'static) -> Seams {
    through(port::rewrite_input(move |state, input| {
        let there = super::stream_of(state, input);
        if let Some(Ask::Create(create)) = ask_mut(input)
            && let Some(mut fork) = create.fork.take()
        {
            change(state, there, create, &mut fork);
            create.fork = Some(fork);
        }
    }))
}

/// What a new fork begins with, changed.
fn begins(mut change: impl FnMut(&State, &Fork, &mut Origin) + Send + 'static) -> Seams {
    decide(move |state, input, decision| {
        let Some((_, _, fork)) = forking(input) else { return };
        let Some(base) = origin_mut(decision).map(|origin| {
            change(state, fork, origin);
            origin.base
        }) else {
            return;
        };
        for answer in answers(decision) {
            if let Answer::Created { facts, .. } = answer {
                facts.tail = base;
            }
        }
    })
}

/// What the fork begins with that a decision makes.
fn origin_mut(decision: &mut Decision<StreamModel>) -> Option<&mut Origin> {
    decision.records.iter_mut().find_map(|record| match record {
        Record::Created { origin, .. } => origin.as_mut(),
        _ => None,
    })
}

fn is_fork(request: &Request) -> bool {
    is_create(request) && request.headers.get(FORKED_FROM).is_some()
}

/// Whether content was written to a fork itself.
fn is_written(stream: &Stream) -> bool {
    stream.tail > stream.base()
}
