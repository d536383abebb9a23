//! Defects of "Create".

use super::{
    Answer, Ask, Record, Refusal, START, Table, answers, appended_record, ask, decide, is_create, racing,
    reply, request, stream_of, through,
};
use crate::{
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use std::collections::BTreeSet;
use wireproof_spec::stream::{
    header::{CLOSED, CONTENT_TYPE, LOCATION, NEXT_OFFSET},
    requirements::*,
};

pub(super) const TABLE: Table = &[
    Breakage::always("stream/create/answered-200", STREAM_CREATE_1, Wire, || {
        reply(|request, response| {
            if is_create(request) && response.status == 201 {
                response.headers.remove(LOCATION);
                response.status = 200;
            }
        })
    }),
    Breakage::second("stream/create/again-refused", STREAM_CREATE_2, Port, || {
        let count = Count::new();
        decide(move |state, input, decision| {
            let Some(stream) = stream_of(state, input) else { return };
            let facts = super::facts(stream);
            for answer in answers(decision) {
                if matches!(answer, Answer::Created { fresh: false, .. }) && count.up(name(input)) > 0 {
                    *answer = Answer::Refused(Refusal::Exists(facts.clone()));
                }
            }
        })
    }),
    Breakage::always("stream/create/media-type-ignored", STREAM_CREATE_3, Port, || {
        through(port::rewrite_input(|state, input| {
            let Some(media_type) = stream_of(state, input).map(|s| s.media_type.clone()) else { return };
            if let Some(Ask::Create { media_type: given, .. }) = super::ask_mut(input) {
                *given = media_type;
            }
        }))
    }),
    Breakage::boundary("stream/create/subtype-ignored", STREAM_CREATE_3, Port, || {
        through(port::rewrite_input(|state, input| {
            let Some(media_type) = stream_of(state, input).map(|s| s.media_type.clone()) else { return };
            if let Some(Ask::Create { media_type: given, .. }) = super::ask_mut(input) {
                let main = |t: &str| t.split('/').next().map(str::to_owned);
                if main(&given.essence()) == main(&media_type.essence()) {
                    *given = media_type;
                }
            }
        }))
    }),
    Breakage::boundary("stream/create/open-on-born-closed", STREAM_CREATE_4, Port, || {
        let mut born_closed = BTreeSet::new();
        decide(move |state, input, decision| {
            let Some((name, Ask::Create { closed, .. })) = ask(input) else { return };
            match stream_of(state, input) {
                None if *closed => {
                    born_closed.insert(name.to_owned());
                }
                Some(stream) if !closed && born_closed.contains(name) => {
                    let facts = super::facts(stream);
                    answers(decision)
                        .for_each(|a| *a = Answer::Created { fresh: false, facts: facts.clone() });
                }
                _ => {}
            }
        })
    }),
    Breakage::boundary("stream/create/closed-on-empty-open", STREAM_CREATE_5, Port, || {
        decide(|state, input, decision| {
            let Some((name, Ask::Create { closed: true, .. })) = ask(input) else { return };
            if let Some(stream) = stream_of(state, input).filter(|s| !s.closed && s.tail == 0) {
                decision.records.push(Record::Closed { name: name.into() });
                let facts = super::Facts { closed: true, ..super::facts(stream) };
                answers(decision).for_each(|a| *a = Answer::Created { fresh: false, facts: facts.clone() });
            }
        })
    }),
    Breakage::always("stream/create/refused-and-closed", STREAM_CREATE_5, Port, || {
        decide(|state, input, decision| {
            let Some((name, Ask::Create { closed: true, .. })) = ask(input) else { return };
            if stream_of(state, input).is_some_and(|s| !s.closed) {
                decision.records.push(Record::Closed { name: name.into() });
            }
        })
    }),
    Breakage::second("stream/create/closed-again-refused", STREAM_CREATE_6, Port, || {
        let count = Count::new();
        decide(move |state, input, decision| {
            let Some(stream) = stream_of(state, input).filter(|s| s.closed) else { return };
            let facts = super::facts(stream);
            for answer in answers(decision) {
                if matches!(answer, Answer::Created { fresh: false, .. }) && count.up(name(input)) > 0 {
                    *answer = Answer::Refused(Refusal::Exists(facts.clone()));
                }
            }
        })
    }),
    Breakage::race("stream/create/two-winners", STREAM_CREATE_7, Port, || {
        racing(is_create, |flying| {
            port::rewrite(move |_, input, decision| {
                let several = flying.several(name(input));
                for answer in answers(decision) {
                    if let Answer::Created { fresh, .. } = answer {
                        *fresh |= several;
                    }
                }
            })
        })
    }),
    Breakage::race("stream/create/loser-writes", STREAM_CREATE_7, Port, || {
        racing(is_create, |flying| {
            port::rewrite(move |state, input, decision| {
                let Some((name, Ask::Create { body, .. })) = ask(input) else { return };
                if let Some(stream) = stream_of(state, input).filter(|_| flying.several(name)) {
                    decision.records.push(appended_record(name, stream, body));
                }
            })
        })
    }),
    Breakage::always("stream/create/body-dropped", STREAM_CREATE_9, Wire, || {
        request(|request| {
            if is_create(request) {
                request.body = Default::default();
            }
        })
    })
    .wide("many settings are made with a first content"),
    Breakage::second("stream/create/again-appends", STREAM_CREATE_10, Port, || {
        let count = Count::new();
        decide(move |state, input, decision| {
            let Some((name, Ask::Create { body, .. })) = ask(input) else { return };
            if let Some(stream) = stream_of(state, input).filter(|s| !s.closed && !body.is_empty())
                && count.up(name) > 0
            {
                decision.records.push(appended_record(name, stream, body));
            }
        })
    }),
    Breakage::always("stream/create/closure-forgotten", STREAM_CREATE_11, Port, || {
        decide(|_, input, decision| {
            if let Some((_, Ask::Create { .. })) = ask(input) {
                decision.records.retain(|r| !matches!(r, Record::Closed { .. }));
            }
        })
    }),
    Breakage::boundary("stream/create/empty-closure-forgotten", STREAM_CREATE_11, Port, || {
        decide(|_, input, decision| {
            if let Some((_, Ask::Create { body, .. })) = ask(input)
                && body.is_empty()
            {
                decision.records.retain(|r| !matches!(r, Record::Closed { .. }));
            }
        })
    }),
    Breakage::always("stream/create/default-media-type-told", STREAM_CREATE_12, Wire, || {
        reply(|request, response| {
            if is_create(request) && response.status < 300 {
                response.headers.set(CONTENT_TYPE, "application/octet-stream");
            }
        })
    }),
    Breakage::always("stream/create/start-told-as-tail", STREAM_CREATE_13, Wire, || {
        reply(|request, response| {
            if is_create(request) && response.status < 300 {
                response.headers.set(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::always("stream/create/closure-not-told", STREAM_CREATE_14, Wire, || {
        reply(|request, response| {
            if is_create(request) {
                response.headers.remove(CLOSED);
            }
        })
    }),
    Breakage::always("stream/create/location-of-the-root", STREAM_CREATE_15, Wire, || {
        reply(|_, response| {
            if let Some(at) =
                response.headers.get(LOCATION).and_then(|l| l.rfind('/').map(|end| l[..end].to_owned()))
            {
                response.headers.set(LOCATION, at);
            }
        })
    }),
];

fn name(input: &super::Input) -> &str {
    ask(input).map_or("", |(name, _)| name)
}
