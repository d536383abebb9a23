//! Defects of "Expiry".

use super::{
    Answer, Append, Ask, Create, Decision, Effect, Input, Lifetime, Record, Refusal, Seams, State, Stream,
    StreamModel, Table, answers, ask, decide, record, recovery, request, stream_of, through,
};
use crate::{
    embed::reference::{
        log::{Entry, Range},
        model::Model,
        stream::model::{From, Producer, Tuple},
    },
    protocol::Cut::{Log, Port, Wire},
    selftest::defects::{Breakage, wire::Count},
};
use bytes::Bytes;
use std::collections::BTreeMap;
use wireproof_spec::stream::{header::EXPIRES_AT, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::boundary("stream/expiry/window-ends-early", STREAM_EXPIRY_1, Port, || {
        ends_early(|stream, _| if matches!(stream.lifetime, Lifetime::Ttl(2)) { 400 } else { 0 })
    }),
    Breakage::boundary("stream/expiry/third-second-lost", STREAM_EXPIRY_1, Port, || {
        ends_early(|stream, _| if matches!(stream.lifetime, Lifetime::Ttl(3)) { 1_000 } else { 0 })
    }),
    Breakage::boundary("stream/expiry/moment-comes-early", STREAM_EXPIRY_1, Port, || {
        ends_early(|stream, _| if matches!(stream.lifetime, Lifetime::Until(_)) { 1_500 } else { 0 })
    }),
    Breakage::boundary("stream/expiry/deletion-finds-it-gone-early", STREAM_EXPIRY_1, Port, || {
        ends_early(|_, ask| if matches!(ask, Ask::Delete) { 400 } else { 0 })
    }),
    Breakage::boundary("stream/expiry/append-finds-it-gone-early", STREAM_EXPIRY_1, Port, || {
        ends_early(|_, ask| if matches!(ask, Ask::Append(_)) { 400 } else { 0 })
    }),
    Breakage::boundary("stream/expiry/eastern-moment-comes-early", STREAM_EXPIRY_1, Wire, || {
        another_offset(|text| text.replace("+05:30", "+05:31"))
    }),
    Breakage::boundary("stream/expiry/closed-stays", STREAM_EXPIRY_2, Port, || {
        lives_on(|stream, _, _, _| stream.closed)
    }),
    Breakage::boundary("stream/expiry/appended-stays", STREAM_EXPIRY_2, Port, || {
        lives_on(|stream, _, _, _| stream.tail > 24)
    }),
    Breakage::boundary("stream/expiry/read-behind-the-end", STREAM_EXPIRY_2, Port, || {
        lives_on(|_, _, ask, _| matches!(ask, Ask::Read { from: From::Start, .. }))
    }),
    Breakage::boundary("stream/expiry/read-now-behind-the-end", STREAM_EXPIRY_2, Port, || {
        lives_on(|_, _, ask, _| matches!(ask, Ask::Read { from: From::Now, .. }))
    }),
    Breakage::boundary("stream/expiry/long-poll-behind-the-end", STREAM_EXPIRY_2, Port, || {
        lives_on(|_, _, ask, _| matches!(ask, Ask::LongPoll { .. }))
    }),
    Breakage::boundary("stream/expiry/event-stream-behind-the-end", STREAM_EXPIRY_2, Port, || {
        lives_on(|_, _, ask, _| matches!(ask, Ask::Follow { .. }))
    }),
    Breakage::boundary("stream/expiry/append-behind-the-end", STREAM_EXPIRY_2, Port, || {
        lives_on(|_, _, ask, _| matches!(ask, Ask::Append(_)))
    }),
    Breakage::boundary("stream/expiry/close-behind-the-end", STREAM_EXPIRY_2, Port, || {
        lives_on(|_, _, ask, _| matches!(ask, Ask::Close { .. }))
    }),
    Breakage::boundary("stream/expiry/head-behind-the-end", STREAM_EXPIRY_2, Port, || {
        lives_on(|_, _, ask, _| matches!(ask, Ask::Head))
    }),
    Breakage::boundary("stream/expiry/noticed-too-late", STREAM_EXPIRY_2, Port, || {
        lives_on(|stream, _, _, late| matches!(stream.lifetime, Lifetime::Ttl(_)) && late < 5_000)
    }),
    Breakage::boundary("stream/expiry/moment-noticed-too-late", STREAM_EXPIRY_2, Port, || {
        lives_on(|stream, _, _, late| matches!(stream.lifetime, Lifetime::Until(_)) && late < 10_000)
    }),
    Breakage::second("stream/expiry/noticed-once", STREAM_EXPIRY_2, Port, || {
        let noticed = Count::new();
        let mut lives_on = lives_on(move |_, name, _, _| noticed.up(name) > 0);
        through(Box::new(move |state, now, input| {
            let mut decision = (lives_on.port)(state, now, input);
            decision.records.retain(|record| !matches!(record, Record::Expired { .. }));
            decision
        }))
    }),
    Breakage::boundary("stream/expiry/forked-lives-on", STREAM_EXPIRY_2, Port, || {
        lives_on(|stream, _, ask, _| stream.forks > 0 && !matches!(ask, Ask::Create(_) | Ask::Delete))
    }),
    // Who was sent away is still among the readers, and as long as there are readers the window does not end.
    Breakage::boundary("stream/expiry/reader-sent-away-and-counted", STREAM_EXPIRY_2, Port, || {
        decide(|_, _, decision| {
            let is_over = |effect: &Effect, of: u64| {
                matches!(effect, Effect::Answer { session, answer: Answer::Over } if *session == of)
            };
            for record in &mut decision.records {
                if let Record::Left { session, at } = *record
                    && decision.effects.iter().any(|effect| is_over(effect, session))
                {
                    *record = Record::Woken { session, at };
                }
            }
        })
    })
    .variant("durable"),
    Breakage::boundary("stream/expiry/longer-behind-long-polls", STREAM_EXPIRY_2, Port, || {
        decide(|_, input, decision| {
            for record in &mut decision.records {
                if let (Input::Tick, Record::Left { at, .. }) = (input, record) {
                    *at += 4_000;
                }
            }
        })
    }),
    Breakage::boundary("stream/expiry/no-time-is-for-ever", STREAM_EXPIRY_2, Port, || {
        lives_on(|stream, _, _, _| stream.lifetime == Lifetime::Ttl(0))
    }),
    Breakage::boundary("stream/expiry/offset-of-time-ignored", STREAM_EXPIRY_2, Wire, || {
        // To the east a moment comes earlier than it is written.
        another_offset(|text| text.replace("+05:30", "Z"))
    }),
    Breakage::boundary("stream/expiry/sign-of-offset-ignored", STREAM_EXPIRY_1, Wire, || {
        another_offset(|text| {
            let (date, offset) = text.split_at(text.len().min(19));
            format!("{date}{}", offset.replace('-', "+"))
        })
    }),
    Breakage::boundary("stream/expiry/window-over-and-deleted", STREAM_EXPIRY_3, Port, || {
        lives_on(|stream, _, ask, _| {
            matches!(stream.lifetime, Lifetime::Ttl(_)) && matches!(ask, Ask::Delete)
        })
    }),
    Breakage::boundary("stream/expiry/forked-over-and-deleted", STREAM_EXPIRY_3, Port, || {
        lives_on(|stream, _, ask, _| stream.forks > 0 && matches!(ask, Ask::Delete))
    }),
    Breakage::boundary("stream/expiry/moment-over-and-deleted", STREAM_EXPIRY_3, Port, || {
        lives_on(|stream, _, ask, _| {
            matches!(stream.lifetime, Lifetime::Until(_)) && matches!(ask, Ask::Delete)
        })
    }),
    Breakage::boundary("stream/expiry/read-does-not-count", STREAM_EXPIRY_4, Port, || {
        does_not_count(|ask, _| matches!(ask, Ask::Read { from: From::Start, .. }))
    }),
    Breakage::boundary("stream/expiry/read-at-the-tail-does-not-count", STREAM_EXPIRY_4, Port, || {
        does_not_count(
            |ask, stream| matches!(ask, Ask::Read { from: From::At(at), .. } if *at == stream.tail),
        )
    }),
    Breakage::boundary("stream/expiry/read-now-does-not-count", STREAM_EXPIRY_4, Port, || {
        does_not_count(|ask, _| matches!(ask, Ask::Read { from: From::Now, .. }))
    }),
    Breakage::second("stream/expiry/first-reads-count", STREAM_EXPIRY_4, Port, || {
        let count = Count::new();
        counts_otherwise(move |name, ask, stream| {
            // Setting up a stream is one read or two.
            let read = matches!(ask, Ask::Read { .. });
            (read && count.up(name) > 2).then_some(stream.touched)
        })
    }),
    Breakage::boundary("stream/expiry/append-does-not-count", STREAM_EXPIRY_5, Port, || {
        does_not_count(|ask, _| matches!(ask, Ask::Append(Append { closed: false, .. })))
    }),
    Breakage::second("stream/expiry/second-append-does-not-count", STREAM_EXPIRY_5, Port, || {
        let count = Count::new();
        counts_otherwise(move |name, ask, stream| {
            (matches!(ask, Ask::Append(_)) && count.up(name) > 0).then_some(stream.touched)
        })
    }),
    Breakage::boundary("stream/expiry/closing-append-does-not-count", STREAM_EXPIRY_5, Port, || {
        does_not_count(|ask, _| matches!(ask, Ask::Append(Append { closed: true, .. })))
    }),
    Breakage::boundary("stream/expiry/append-of-producer-does-not-count", STREAM_EXPIRY_5, Port, || {
        does_not_count(|ask, _| matches!(ask, Ask::Append(Append { producer: Some(_), .. })))
    }),
    Breakage::boundary("stream/expiry/close-does-not-count", STREAM_EXPIRY_6, Port, || {
        does_not_count(|ask, _| matches!(ask, Ask::Close { producer: None }))
    }),
    Breakage::boundary("stream/expiry/close-of-producer-does-not-count", STREAM_EXPIRY_6, Port, || {
        does_not_count(|ask, _| matches!(ask, Ask::Close { producer: Some(_) }))
    }),
    Breakage::boundary("stream/expiry/answered-long-poll-does-not-count", STREAM_EXPIRY_7, Port, || {
        does_not_count(|ask, _| matches!(ask, Ask::LongPoll { from: From::Start, .. }))
    }),
    Breakage::boundary("stream/expiry/waiting-long-poll-does-not-count", STREAM_EXPIRY_7, Port, || {
        live_does_not_count(|ask| matches!(ask, Ask::LongPoll { from: From::At(_), .. }))
    }),
    Breakage::boundary("stream/expiry/long-poll-now-does-not-count", STREAM_EXPIRY_7, Port, || {
        live_does_not_count(|ask| matches!(ask, Ask::LongPoll { from: From::Now, .. }))
    }),
    Breakage::boundary("stream/expiry/event-stream-does-not-count", STREAM_EXPIRY_8, Port, || {
        live_does_not_count(|ask| matches!(ask, Ask::Follow { .. }))
    }),
    Breakage::boundary("stream/expiry/event-stream-now-does-not-count", STREAM_EXPIRY_8, Port, || {
        live_does_not_count(|ask| matches!(ask, Ask::Follow { from: From::Now, .. }))
    }),
    Breakage::boundary("stream/expiry/head-counts", STREAM_EXPIRY_9, Port, || {
        counts(|_, ask, _| matches!(ask, Ask::Head))
    }),
    Breakage::second("stream/expiry/later-heads-count", STREAM_EXPIRY_9, Port, || {
        let count = Count::new();
        counts(move |name, ask, _| matches!(ask, Ask::Head) && count.up(name) > 1)
    }),
    Breakage::boundary("stream/expiry/window-ends-while-long-poll-waits", STREAM_EXPIRY_10, Port, || {
        ends_while_read(|stream| stream.readers.is_empty())
    })
    .variant("small-chunks"),
    Breakage::boundary(
        "stream/expiry/window-ends-while-event-stream-is-read",
        STREAM_EXPIRY_11,
        Port,
        || ends_while_read(|stream| !stream.readers.is_empty()),
    ),
    Breakage::boundary("stream/expiry/read-moves-moment", STREAM_EXPIRY_12, Port, || {
        moves(|ask| matches!(ask, Ask::Read { from: From::Start, .. }))
    }),
    Breakage::boundary("stream/expiry/read-now-moves-moment", STREAM_EXPIRY_12, Port, || {
        moves(|ask| matches!(ask, Ask::Read { from: From::Now, .. }))
    }),
    Breakage::boundary("stream/expiry/append-moves-moment", STREAM_EXPIRY_12, Port, || {
        moves(|ask| matches!(ask, Ask::Append(_)))
    }),
    Breakage::boundary("stream/expiry/close-moves-moment", STREAM_EXPIRY_12, Port, || {
        moves(|ask| matches!(ask, Ask::Close { .. }))
    }),
    Breakage::boundary("stream/expiry/long-poll-moves-moment", STREAM_EXPIRY_12, Port, || {
        moves(|ask| matches!(ask, Ask::LongPoll { .. }))
    }),
    Breakage::boundary("stream/expiry/head-moves-moment", STREAM_EXPIRY_12, Port, || {
        moves(|ask| matches!(ask, Ask::Head))
    }),
    Breakage::boundary("stream/expiry/long-poll-forgotten-at-moment", STREAM_EXPIRY_13, Port, || {
        forgotten(|stream| stream.readers.is_empty())
    }),
    Breakage::boundary("stream/expiry/event-stream-forgotten-at-moment", STREAM_EXPIRY_14, Port, || {
        forgotten(|stream| !stream.readers.is_empty())
    }),
    Breakage::boundary("stream/expiry/other-media-type-counts", STREAM_EXPIRY_15, Port, || {
        refusal_counts(|refusal| matches!(refusal, Refusal::MediaType { .. }))
    }),
    Breakage::boundary("stream/expiry/append-to-closed-counts", STREAM_EXPIRY_15, Port, || {
        refusal_counts(|refusal| matches!(refusal, Refusal::Closed { .. }))
    }),
    Breakage::boundary("stream/expiry/url-stays-taken", STREAM_EXPIRY_16, Port, || {
        lives_on(|_, _, ask, _| matches!(ask, Ask::Create(_)))
    }),
    Breakage::boundary("stream/expiry/forked-url-stays-taken", STREAM_EXPIRY_16, Port, || {
        lives_on(|stream, _, ask, _| stream.forks > 0 && matches!(ask, Ask::Create(_)))
    }),
    Breakage::second("stream/expiry/url-is-free-once", STREAM_EXPIRY_16, Port, || {
        let count = Count::new();
        lives_on(move |_, name, ask, _| matches!(ask, Ask::Create(_)) && count.up(name) > 0)
    }),
    Breakage::boundary("stream/expiry/closure-outlives-the-end", STREAM_EXPIRY_16, Port, || {
        anew(expired, |old, name, now, records| {
            if old.closed {
                records.push(Record::Closed { name: name.to_owned(), producer: None, at: now });
            }
        })
    }),
    Breakage::boundary("stream/expiry/lifetime-outlives-the-end", STREAM_EXPIRY_16, Port, || {
        anew(expired, |old, _, _, records| {
            for record in records {
                if let Record::Created { lifetime, .. } = record {
                    *lifetime = old.lifetime;
                }
            }
        })
    }),
    Breakage::boundary("stream/expiry/producers-outlive-the-end", STREAM_EXPIRY_16, Port, || {
        anew(expired, producers_stay)
    }),
    Breakage::boundary("stream/expiry/seq-outlives-the-end", STREAM_EXPIRY_16, Port, || {
        anew(expired, seq_stays)
    }),
    Breakage::race("stream/expiry/late-append-does-not-count", STREAM_EXPIRY_17, Port, || {
        through(Box::new(|state, now, input| {
            let mut decision = StreamModel::decide(state, now, input);
            if let (Some((_, Ask::Append(_))), Some(stream)) = (ask(input), stream_of(state, input))
                && stream.end().is_some_and(|end| end.saturating_sub(now) < 200)
            {
                used_at(&mut decision, stream.touched);
            }
            decision
        }))
    }),
    Breakage::race("stream/expiry/refused-append-brings-it-back", STREAM_EXPIRY_17, Port, || {
        through(Box::new(|state, now, input| {
            let mut decision = StreamModel::decide(state, now, input);
            let ended = |record: &Record| matches!(record, Record::Expired { .. });
            if let Some((name, Ask::Append(_))) = ask(input)
                && decision.records.iter().any(ended)
            {
                decision.records.retain(|record| !ended(record));
                decision.records.push(Record::Touched { name: name.into(), at: now });
            }
            if let Input::Tick = input {
                // Looked after a moment later, so that an append comes first.
                let just = |name: &String| {
                    state.streams.get(name).and_then(Stream::end).is_some_and(|end| now < end + 100)
                };
                decision.records.retain(|r| !matches!(r, Record::Expired { name } if just(name)));
            }
            decision
        }))
    }),
    Breakage::restart("stream/expiry/window-forgotten-at-restart", STREAM_EXPIRY_18, Log, || {
        recovery(|_, entries| unlimited(entries, |lifetime| matches!(lifetime, Lifetime::Ttl(2))))
    }),
    Breakage::restart("stream/expiry/long-window-forgotten-at-restart", STREAM_EXPIRY_18, Log, || {
        recovery(|_, entries| unlimited(entries, |lifetime| matches!(lifetime, Lifetime::Ttl(60..))))
    }),
    Breakage::restart("stream/expiry/moment-forgotten-at-restart", STREAM_EXPIRY_18, Log, || {
        recovery(|_, entries| unlimited(entries, |lifetime| matches!(lifetime, Lifetime::Until(_))))
    }),
    Breakage::restart("stream/expiry/windows-end-at-restart", STREAM_EXPIRY_18, Port, || {
        decide(|state, input, decision| {
            if let Input::Started = input {
                let short = state.streams.iter().filter(|(_, s)| matches!(s.lifetime, Lifetime::Ttl(2)));
                decision.records.extend(short.map(|(name, _)| Record::Expired { name: name.clone() }));
            }
        })
    }),
];

/// Streams that requests find behind their end, if this says so of the stream, its name, what is asked for, and how long
/// ago the end was, in milliseconds.
fn lives_on(mut which: impl FnMut(&Stream, &str, &Ask, u64) -> bool + Send + 'static) -> Seams {
    through(Box::new(move |state, now, input| {
        let mut decision = match input {
            Input::Ask { name, ask, .. } => match over(state, name, now) {
                Some((stream, end)) if which(stream, name, ask, now - end) => {
                    StreamModel::decide(state, end.saturating_sub(1), input)
                }
                _ => StreamModel::decide(state, now, input),
            },
            _ => StreamModel::decide(state, now, input),
        };
        if let Input::Tick = input {
            // Ends are noticed by those who ask.
            decision.records.retain(|record| !matches!(record, Record::Expired { .. }));
        }
        decision
    }))
}

/// A stream whose time is over, and when it was: milliseconds since 1970.
fn over<'a>(state: &'a State, name: &str, now: u64) -> Option<(&'a Stream, u64)> {
    let stream = state.streams.get(name)?;
    stream.end().filter(|end| *end <= now).map(|end| (stream, end))
}

/// Streams that requests find gone so many milliseconds before their end.
fn ends_early(by: fn(&Stream, &Ask) -> u64) -> Seams {
    through(Box::new(move |state, now, input| {
        let early = ask(input).zip(stream_of(state, input)).and_then(|((_, ask), stream)| {
            stream.end().filter(|end| now < *end && *end <= now.saturating_add(by(stream, ask)))
        });
        StreamModel::decide(state, early.unwrap_or(now), input)
    }))
}

/// A moment that is read otherwise.
fn another_offset(other: fn(&str) -> String) -> Seams {
    request(move |request| {
        if let Some(text) = request.headers.get(EXPIRES_AT).map(other) {
            request.headers.set(EXPIRES_AT, text);
        }
    })
}

/// Puts another time into the records of use.
fn used_at(decision: &mut Decision<StreamModel>, time: u64) {
    for record in &mut decision.records {
        match record {
            Record::Appended { at, .. }
            | Record::Closed { at, .. }
            | Record::Touched { at, .. }
            | Record::Woken { at, .. }
            | Record::Left { at, .. } => *at = time,
            _ => {}
        }
    }
}

/// Requests after which a stream was used at another time than now: milliseconds since 1970.
fn counts_otherwise(mut time: impl FnMut(&str, &Ask, &Stream) -> Option<u64> + Send + 'static) -> Seams {
    decide(move |state, input, decision| {
        if let (Some((name, ask)), Some(stream)) = (ask(input), stream_of(state, input))
            && let Some(time) = time(name, ask, stream)
        {
            used_at(decision, time);
        }
    })
}

/// Requests that do not start a window anew.
fn does_not_count(which: fn(&Ask, &Stream) -> bool) -> Seams {
    counts_otherwise(move |_, ask, stream| which(ask, stream).then_some(stream.touched))
}

/// Live reads that do not start a window anew, neither when they begin nor when they end.
fn live_does_not_count(which: fn(&Ask) -> bool) -> Seams {
    let mut sessions = BTreeMap::new();
    through(Box::new(move |state, now, input| {
        let mut decision = StreamModel::decide(state, now, input);
        if let (Input::Ask { session, ask, .. }, Some(stream)) = (input, stream_of(state, input))
            && which(ask)
        {
            sessions.insert(*session, stream.touched);
            used_at(&mut decision, stream.touched);
        }
        for record in &mut decision.records {
            if let Record::Left { session, at } | Record::Woken { session, at } = record
                && let Some(before) = sessions.get(session)
            {
                *at = *before;
            }
        }
        decision
    }))
}

/// Requests that start a window anew.
fn counts(mut which: impl FnMut(&str, &Ask, &Stream) -> bool + Send + 'static) -> Seams {
    through(Box::new(move |state, now, input| {
        let mut decision = StreamModel::decide(state, now, input);
        if let (Some((name, ask)), Some(stream)) = (ask(input), stream_of(state, input))
            && over(state, name, now).is_none()
            && matches!(stream.lifetime, Lifetime::Ttl(_))
            && which(name, ask, stream)
        {
            decision.records.push(Record::Touched { name: name.into(), at: now });
        }
        decision
    }))
}

/// Refusals that start a window anew.
fn refusal_counts(which: fn(&Refusal) -> bool) -> Seams {
    through(Box::new(move |state, now, input| {
        let mut decision = StreamModel::decide(state, now, input);
        let refused =
            answers(&mut decision).any(|answer| matches!(answer, Answer::Refused(refusal) if which(refusal)));
        if let (Some((name, _)), Some(stream)) = (ask(input), stream_of(state, input))
            && refused
            && matches!(stream.lifetime, Lifetime::Ttl(_))
        {
            decision.records.push(Record::Touched { name: name.into(), at: now });
        }
        decision
    }))
}

/// Windows that end although somebody waits for the stream or reads it, if it is one of these; noticed by who asks for it,
/// and by who waits when his time is over.
fn ends_while_read(which: fn(&Stream) -> bool) -> Seams {
    let left_alone = move |state: &State, name: &str, now: u64| -> Option<State> {
        let mut alone = state.clone();
        let stream = alone.streams.get_mut(name).filter(|stream| which(stream))?;
        stream.waiting.clear();
        stream.readers.clear();
        stream.end().is_some_and(|end| end <= now).then_some(alone)
    };
    through(Box::new(move |state, now, input| {
        if let Some(alone) = ask(input).and_then(|(name, _)| left_alone(state, name, now)) {
            return StreamModel::decide(&alone, now, input);
        }
        let mut decision = StreamModel::decide(state, now, input);
        if let Input::Tick = input {
            for effect in &mut decision.effects {
                if let Effect::Answer { session, answer } = effect
                    && let Some(wait) = state.waits.get(session)
                    && left_alone(state, &wait.name, now).is_some()
                {
                    *answer = Answer::Refused(Refusal::NoStream);
                    decision.records.push(Record::Expired { name: wait.name.clone() });
                }
            }
        }
        decision
    }))
}

/// Requests that have a stream live for so long from now, whatever its moment.
fn moves(which: fn(&Ask) -> bool) -> Seams {
    /// In milliseconds.
    const LONGER: u64 = 1_500;
    let mut used: BTreeMap<String, std::time::Instant> = BTreeMap::new();
    lives_on(move |stream, name, ask, _| {
        if !matches!(stream.lifetime, Lifetime::Until(_)) {
            return false;
        }
        let lives = used.get(name).is_none_or(|at| at.elapsed().as_millis() < u128::from(LONGER));
        if which(ask) && lives {
            used.insert(name.to_owned(), std::time::Instant::now());
        }
        lives && (which(ask) || used.contains_key(name))
    })
}

/// Readers whom nobody tells that the stream has ended, if it is one of these.
fn forgotten(which: fn(&Stream) -> bool) -> Seams {
    through(Box::new(move |state, now, input| {
        let mut decision = StreamModel::decide(state, now, input);
        let ended: Vec<&Stream> = decision
            .records
            .iter()
            .filter_map(|record| match record {
                Record::Expired { name } => state.streams.get(name).filter(|stream| which(stream)),
                _ => None,
            })
            .collect();
        let waited: Vec<u64> = ended.iter().flat_map(|stream| stream.waiting.iter().copied()).collect();
        decision
            .effects
            .retain(|effect| !matches!(effect, Effect::Answer { session, .. } if waited.contains(session)));
        decision
    }))
}

/// The stream that came to its end with this record.
fn expired(record: &Record) -> Option<&String> {
    match record {
        Record::Expired { name } => Some(name),
        _ => None,
    }
}

/// A stream that is made where another has ended, as these records tell, with something of that one.
pub(super) fn anew(
    ends: fn(&Record) -> Option<&String>,
    keep: fn(&Stream, &str, u64, &mut Vec<Record>),
) -> Seams {
    let mut ended: BTreeMap<String, Stream> = BTreeMap::new();
    through(Box::new(move |state, now, input| {
        let mut decision = StreamModel::decide(state, now, input);
        for name in decision.records.iter().filter_map(ends) {
            if let Some(stream) = state.streams.get(name) {
                ended.insert(name.clone(), stream.clone());
            }
        }
        if let Some((name, Ask::Create(Create { .. }))) = ask(input)
            && decision.records.iter().any(|record| matches!(record, Record::Created { .. }))
            && let Some(old) = ended.get(name)
        {
            keep(old, name, now, &mut decision.records);
        }
        decision
    }))
}

/// The new stream knows the producers of the old one.
pub(super) fn producers_stay(old: &Stream, name: &str, at: u64, records: &mut Vec<Record>) {
    for (id, Producer { epoch, seq }) in &old.producers {
        let tuple = Tuple { id: id.clone(), epoch: *epoch, seq: *seq };
        known(name, at, records, Some(tuple), None);
    }
}

/// The new stream knows the last Stream-Seq of the old one.
pub(super) fn seq_stays(old: &Stream, name: &str, at: u64, records: &mut Vec<Record>) {
    known(name, at, records, None, old.seq.clone());
}

/// What a stream that was just made knows from its beginning, without content.
fn known(name: &str, at: u64, records: &mut Vec<Record>, producer: Option<Tuple>, seq: Option<String>) {
    let last = records.iter().rev().find_map(|record| match record {
        Record::Appended { range, .. } => Some((range.owner, range.to)),
        Record::Created { incarnation, .. } => Some((*incarnation, 0)),
        _ => None,
    });
    let Some((owner, tail)) = last else { return };
    let range = Range { owner, from: tail, to: tail };
    let bytes = Bytes::new();
    records.push(Record::Appended { name: name.into(), range, bytes, producer, seq, at });
}

/// A log in which streams of these lifetimes have none.
fn unlimited(mut entries: Vec<Entry>, which: fn(Lifetime) -> bool) -> Vec<Entry> {
    for entry in &mut entries {
        if let Some(mut made) = record(entry)
            && let Record::Created { lifetime, .. } = &mut made
            && which(*lifetime)
        {
            *lifetime = Lifetime::Unlimited;
            entry.record = serde_json::to_vec(&made).unwrap_or_default();
        }
    }
    entries
}
