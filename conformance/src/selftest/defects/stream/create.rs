//! Defects of "Create".

pub(super) mod lifetime;

use super::{
    Answer, Append, Ask, Create, Record, Refusal, START, Seams, Stream, StreamModel, Table, answers,
    appended_record, ask, decide,
    expiry::{anew, producers_stay, seq_stays},
    is_create, racing, reply, request, stream_of, through,
};
use crate::{
    embed::reference::model::Model,
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use std::collections::BTreeSet;
use wireproof_spec::{
    http::Body,
    stream::{
        header::{CLOSED, CONTENT_TYPE, LOCATION, NEXT_OFFSET},
        requirements::*,
    },
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
    Breakage::boundary("stream/create/parameter-of-media-type-lost", STREAM_CREATE_2, Port, || {
        decide(|state, input, decision| {
            let Some((_, Ask::Create(Create { media_type: Some(given), .. }))) = ask(input) else { return };
            let Some(stream) = stream_of(state, input) else { return };
            if given.as_str().contains(';') {
                answers(decision).for_each(|a| *a = Answer::Refused(Refusal::Exists(super::facts(stream))));
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
    })
    .wide("that a PUT may be repeated is set-up of the checks of other configurations"),
    Breakage::always("stream/create/media-type-ignored", STREAM_CREATE_3, Port, || {
        through(port::rewrite_input(|state, input| {
            let Some(media_type) = stream_of(state, input).map(|s| s.media_type.clone()) else { return };
            if let Some(Ask::Create(Create { media_type: given, .. })) = super::ask_mut(input) {
                *given = Some(media_type);
            }
        }))
    }),
    Breakage::boundary("stream/create/subtype-ignored", STREAM_CREATE_3, Port, || {
        through(port::rewrite_input(|state, input| {
            let Some(media_type) = stream_of(state, input).map(|s| s.media_type.clone()) else { return };
            if let Some(Ask::Create(Create { media_type: given, .. })) = super::ask_mut(input) {
                let main = |t: &str| t.split('/').next().map(str::to_owned);
                if main(&given.as_ref().map(|t| t.essence()).unwrap_or_default())
                    == main(&media_type.essence())
                {
                    *given = Some(media_type);
                }
            }
        }))
    }),
    Breakage::boundary("stream/create/open-on-born-closed", STREAM_CREATE_4, Port, || {
        let mut born_closed = BTreeSet::new();
        decide(move |state, input, decision| {
            let Some((name, Ask::Create(Create { closed, .. }))) = ask(input) else { return };
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
    Breakage::boundary("stream/create/open-on-closed-with-content", STREAM_CREATE_4, Port, || {
        closed_with_content(|closed, stream, answer| {
            if !closed {
                *answer = Answer::Created { fresh: false, facts: super::facts(stream) };
            }
        })
    }),
    Breakage::boundary("stream/create/closed-with-content-again-refused", STREAM_CREATE_6, Port, || {
        closed_with_content(|closed, stream, answer| {
            if closed {
                *answer = Answer::Refused(Refusal::Exists(super::facts(stream)));
            }
        })
    }),
    Breakage::boundary("stream/create/refused-and-told-as-closed", STREAM_CREATE_5, Port, || {
        let mut refused = BTreeSet::new();
        decide(move |state, input, decision| {
            let Some((name, asked)) = ask(input) else { return };
            match (asked, stream_of(state, input)) {
                (Ask::Create(Create { closed: true, .. }), Some(stream)) if !stream.closed => {
                    refused.insert(name.to_owned());
                }
                (Ask::Head, Some(_)) => answers(decision).for_each(|answer| {
                    if let Answer::Head(facts) = answer {
                        facts.closed |= refused.contains(name);
                    }
                }),
                _ => {}
            }
        })
    }),
    Breakage::boundary("stream/create/closed-on-empty-open", STREAM_CREATE_5, Port, || {
        decide(|state, input, decision| {
            let Some((name, Ask::Create(Create { closed: true, .. }))) = ask(input) else { return };
            if let Some(stream) = stream_of(state, input).filter(|s| !s.closed && s.tail == 0) {
                decision.records.push(Record::Closed { name: name.into(), producer: None, at: 0 });
                let facts = super::Facts { closed: true, ..super::facts(stream) };
                answers(decision).for_each(|a| *a = Answer::Created { fresh: false, facts: facts.clone() });
            }
        })
    }),
    Breakage::always("stream/create/refused-and-closed", STREAM_CREATE_5, Port, || {
        decide(|state, input, decision| {
            let Some((name, Ask::Create(Create { closed: true, .. }))) = ask(input) else { return };
            if stream_of(state, input).is_some_and(|s| !s.closed) {
                decision.records.push(Record::Closed { name: name.into(), producer: None, at: 0 });
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
    // The last one to be served wins, and says that it found what was there.
    Breakage::race("stream/create/loser-replaces", STREAM_CREATE_7, Port, || {
        racing(is_create, |flying| {
            Box::new(move |state, now, input| {
                let mut decision = StreamModel::decide(state, now, input);
                let found = answers(&mut decision).any(|a| matches!(a, Answer::Created { fresh: false, .. }));
                if found && flying.several(name(input)) {
                    let mut without = state.clone();
                    without.streams.remove(name(input));
                    decision.records = StreamModel::decide(&without, now, input).records;
                }
                decision
            })
        })
    }),
    Breakage::race("stream/create/loser-writes", STREAM_CREATE_7, Port, || {
        racing(is_create, |flying| {
            port::rewrite(move |state, input, decision| {
                let Some((name, Ask::Create(Create { body, .. }))) = ask(input) else { return };
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
    Breakage::boundary("stream/create/body-decoded", STREAM_CREATE_9, Wire, || {
        request(|request| {
            if is_create(request) {
                request.body = Body(String::from_utf8_lossy(&request.body).into_owned().into());
            }
        })
    }),
    Breakage::boundary("stream/create/body-trimmed", STREAM_CREATE_9, Wire, || {
        request(|request| {
            if is_create(request) {
                request.body = Body(request.body.trim_ascii_end().to_vec().into());
            }
        })
    }),
    Breakage::boundary("stream/create/closed-again-appends", STREAM_CREATE_10, Port, || {
        decide(|state, input, decision| {
            let Some((name, Ask::Create(Create { body, .. }))) = ask(input) else { return };
            let created = answers(decision).any(|a| matches!(a, Answer::Created { .. }));
            if let Some(stream) = stream_of(state, input).filter(|s| s.closed && created && !body.is_empty())
            {
                decision.records.push(appended_record(name, stream, body));
            }
        })
    }),
    Breakage::second("stream/create/again-appends", STREAM_CREATE_10, Port, || {
        let count = Count::new();
        decide(move |state, input, decision| {
            let Some((name, Ask::Create(Create { body, .. }))) = ask(input) else { return };
            if let Some(stream) = stream_of(state, input).filter(|s| !s.closed && !body.is_empty())
                && count.up(name) > 0
            {
                decision.records.push(appended_record(name, stream, body));
            }
        })
    }),
    Breakage::always("stream/create/closure-forgotten", STREAM_CREATE_11, Port, || {
        decide(|_, input, decision| {
            if let Some((_, Ask::Create(Create { .. }))) = ask(input) {
                decision.records.retain(|r| !matches!(r, Record::Closed { .. }));
            }
        })
    })
    .wide("many settings take a stream that was born closed"),
    Breakage::boundary("stream/create/empty-closure-forgotten", STREAM_CREATE_11, Port, || {
        decide(|_, input, decision| {
            if let Some((_, Ask::Create(Create { body, .. }))) = ask(input)
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
    Breakage::boundary("stream/create/text-told", STREAM_CREATE_12, Wire, || {
        reply(|request, response| {
            if is_create(request) && response.status < 300 {
                response.headers.set(CONTENT_TYPE, "text/plain");
            }
        })
    }),
    Breakage::boundary("stream/create/default-media-type-told-of-closed", STREAM_CREATE_12, Wire, || {
        reply(|request, response| {
            if is_create(request) && response.status == 200 && response.headers.get(CLOSED).is_some() {
                response.headers.set(CONTENT_TYPE, "application/octet-stream");
            }
        })
    }),
    Breakage::boundary("stream/create/start-told-as-tail-of-closed", STREAM_CREATE_13, Wire, || {
        reply(|request, response| {
            if is_create(request) && response.status == 200 && response.headers.get(CLOSED).is_some() {
                response.headers.set(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::always("stream/create/start-told-as-tail", STREAM_CREATE_13, Wire, || {
        reply(|request, response| {
            if is_create(request) && response.status < 300 {
                response.headers.set(NEXT_OFFSET, START);
            }
        })
    })
    .wide("the tail of a new stream is where many checks begin to read"),
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
    Breakage::boundary("stream/create/anew-and-closed", STREAM_CREATE_26, Port, || {
        anew(deleted, |old, name, at, records| {
            if old.closed {
                records.push(Record::Closed { name: name.to_owned(), producer: None, at });
            }
        })
    }),
    Breakage::boundary("stream/create/anew-with-producers", STREAM_CREATE_26, Port, || {
        anew(deleted, producers_stay)
    }),
    Breakage::boundary("stream/create/anew-with-seq", STREAM_CREATE_26, Port, || anew(deleted, seq_stays)),
    Breakage::boundary("stream/create/anew-with-old-media-type", STREAM_CREATE_26, Port, || {
        anew(deleted, |old, _, _, records| {
            for record in records {
                if let Record::Created { media_type, .. } = record {
                    *media_type = old.media_type.clone();
                }
            }
        })
    }),
];

/// The stream that this record deletes.
fn deleted(record: &Record) -> Option<&String> {
    match record {
        Record::Deleted { name } => Some(name),
        _ => None,
    }
}

/// Answers otherwise to a PUT, with this closure, on a stream that was closed together with content.
fn closed_with_content(change: fn(bool, &Stream, &mut Answer)) -> Seams {
    let mut closed_so = BTreeSet::new();
    decide(move |state, input, decision| match ask(input) {
        Some((name, Ask::Append(Append { closed: true, .. }))) if !decision.records.is_empty() => {
            closed_so.insert(name.to_owned());
        }
        Some((name, Ask::Create(Create { closed, .. }))) if closed_so.contains(name) => {
            let Some(stream) = stream_of(state, input) else { return };
            answers(decision).for_each(|answer| change(*closed, stream, answer));
        }
        _ => {}
    })
}

fn name(input: &super::Input) -> &str {
    ask(input).map_or("", |(name, _)| name)
}
