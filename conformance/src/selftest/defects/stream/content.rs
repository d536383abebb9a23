//! Defects of "Content".

use super::{
    Answer, Append, Ask, Create, Entry, Record, Seams, Table, answers, ask, ask_mut, decide, is_append,
    is_read, racing, recovery, reply, stream_of, through,
};
use crate::{
    embed::reference::{log::Range, stream::model::From},
    protocol::Cut::{Log, Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        header::{CLOSED, CONTENT_TYPE, query},
        requirements::*,
    },
};

pub(super) const TABLE: Table = &[
    Breakage::restart("stream/content/last-lost-at-restart", STREAM_CONTENT_1, Log, || {
        recovery(|orderly, entries| if orderly { without_last(entries) } else { entries })
    }),
    Breakage::restart("stream/content/torn-at-restart", STREAM_CONTENT_1, Log, || {
        recovery(|orderly, entries| if orderly { torn(entries) } else { entries })
    }),
    Breakage::restart("stream/content/old-at-restart", STREAM_CONTENT_1, Log, || {
        recovery(|orderly, mut entries| {
            if orderly {
                entries.truncate(entries.len() / 2);
            }
            entries
        })
    }),
    Breakage::restart("stream/content/bytes-are-text-behind-a-restart", STREAM_CONTENT_1, Log, || {
        behind_a_restart(|media_type, body| {
            if media_type == "application/octet-stream" {
                body.iter_mut().filter(|b| !b.is_ascii()).for_each(|b| *b = b'?');
            }
        })
    }),
    Breakage::restart("stream/content/messages-are-one-behind-a-restart", STREAM_CONTENT_1, Log, || {
        behind_a_restart(|media_type, body| {
            if media_type == "application/json" && body.contains(&b',') {
                *body = [b"[", &body[..], b"]"].concat();
            }
        })
    }),
    Breakage::restart("stream/content/last-lost-when-killed", STREAM_CONTENT_2, Log, || {
        recovery(|orderly, entries| if orderly { entries } else { without_last(entries) })
    }),
    Breakage::restart("stream/content/torn-when-killed", STREAM_CONTENT_2, Log, || {
        recovery(|orderly, entries| if orderly { entries } else { torn(entries) })
    }),
    Breakage::second("stream/content/other-bytes-when-read-again", STREAM_CONTENT_3, Wire, || {
        let count = Count::new();
        reply(move |request, response| {
            if let Some(offset) = read_behind(request, response)
                && count.up(&format!("{} {offset}", request.path)) > 0
            {
                reversed(response);
            }
        })
    })
    .wide("all checks that read twice meet it"),
    Breakage::boundary("stream/content/other-bytes-when-closed", STREAM_CONTENT_3, Wire, || {
        reply(|request, response| {
            if response.headers.get(CLOSED).is_some() && read_behind(request, response).is_some() {
                reversed(response);
            }
        })
    }),
    Breakage::boundary("stream/content/overwritten-by-refused-create", STREAM_CONTENT_3, Port, || {
        decide(|state, input, decision| {
            let Some((name, Ask::Create(Create { body, .. }))) = ask(input) else { return };
            let refused = answers(decision).any(|a| matches!(a, Answer::Refused(_)));
            let Some(stream) = stream_of(state, input).filter(|s| refused && !body.is_empty() && s.tail > 0)
            else {
                return;
            };
            let range = Range { owner: stream.incarnation, from: 0, to: stream.tail };
            let bytes = body.iter().copied().cycle().take(usize::try_from(stream.tail).unwrap_or(0));
            decision.records.push(Record::Appended {
                name: name.into(),
                range,
                bytes: bytes.collect(),
                producer: None,
                seq: None,
                at: 0,
            });
        })
    }),
    Breakage::restart("stream/content/offsets-moved-by-restart", STREAM_CONTENT_3, Log, || {
        let restarted = Arc::new(AtomicBool::new(false));
        let starts = restarted.clone();
        Seams {
            recovery: Some(Box::new(move |entries| {
                starts.store(!entries.is_empty(), Ordering::Relaxed);
                entries
            })),
            ..through(port::rewrite_input(move |state, input| {
                let tail = stream_of(state, input).map_or(0, |s| s.tail);
                if let Some(Ask::Read { from: From::At(from), .. }) = ask_mut(input)
                    && restarted.load(Ordering::Relaxed)
                    && (1..tail).contains(from)
                {
                    *from -= 1;
                }
            }))
        }
    }),
    Breakage::race("stream/content/interleaved", STREAM_CONTENT_4, Port, interleaved),
    Breakage::race("stream/content/twice", STREAM_CONTENT_5, Port, || {
        racing(is_append, |flying| {
            port::twice(
                move |_, input| matches!(ask(input), Some((name, Ask::Append(Append { .. }))) if flying.several(name)),
            )
        })
    }),
    Breakage::race("stream/content/lost", STREAM_CONTENT_5, Port, || {
        racing(is_append, |flying| {
            port::forget(
                move |_, input, _| matches!(ask(input), Some((name, Ask::Append(Append { closed: false, .. }))) if flying.several(name)),
            )
        })
    }),
    Breakage::second("stream/content/overtaken", STREAM_CONTENT_6, Port, overtaken)
        .wide("an append that is seen later is missed by every reader in between"),
    Breakage::second("stream/content/read-from-before", STREAM_CONTENT_7, Port, || {
        // For each stream, how many appends there were, and the tail before the last one until that was read once.
        let mut before: BTreeMap<String, (u32, Option<u64>)> = BTreeMap::new();
        decide(move |state, input, decision| {
            let (Some((name, asked)), Some(stream)) = (ask(input), stream_of(state, input)) else { return };
            let (count, lag) = before.entry(name.to_owned()).or_default();
            match asked {
                Ask::Append(Append { .. }) if !decision.records.is_empty() => {
                    *count += 1;
                    *lag = (*count > 2).then_some(stream.tail);
                }
                Ask::Read { from: From::At(from), .. } if lag.is_some_and(|tail| *from <= tail) => {
                    let Some(tail) = lag.take() else { return };
                    for answer in answers(decision) {
                        if let Answer::Content { range, up_to_date, closed, .. } = answer {
                            range.to = range.to.min(tail);
                            (*up_to_date, *closed) = (range.to == tail, false);
                        }
                    }
                }
                _ => {}
            }
        })
    })
    .wide("all checks that read on from a tail meet it"),
];

/// Content that a server which has started again reads in another way.
fn behind_a_restart(change: fn(&str, &mut Vec<u8>)) -> Seams {
    let restarted = Arc::new(AtomicBool::new(false));
    let starts = restarted.clone();
    Seams {
        recovery: Some(Box::new(move |entries| {
            starts.store(!entries.is_empty(), Ordering::Relaxed);
            entries
        })),
        ..reply(move |request, response| {
            let media_type = response.headers.get(CONTENT_TYPE).map(str::to_owned);
            if let Some(media_type) = media_type.filter(|_| is_read(request) && response.status == 200)
                && restarted.load(Ordering::Relaxed)
            {
                let mut body = response.body.to_vec();
                change(&media_type, &mut body);
                response.body.0 = body.into();
            }
        })
    }
}

fn without_last(mut entries: Vec<Entry>) -> Vec<Entry> {
    if let Some(last) = entries.iter().rposition(|entry| entry.content.is_some()) {
        entries.remove(last);
    }
    entries
}

fn torn(mut entries: Vec<Entry>) -> Vec<Entry> {
    if let Some(content) = entries.iter_mut().rev().find_map(|entry| entry.content.as_mut()) {
        content.to -= (content.to - content.from).div_ceil(2);
    }
    entries
}

/// The offset that a client was given out and reads behind, where it finds something.
fn read_behind<'a>(request: &'a Request, response: &Response) -> Option<&'a str> {
    let offset = request.query.get(query::OFFSET).filter(|offset| !matches!(*offset, "-1" | "now"))?;
    (is_read(request) && response.status == 200 && !response.body.is_empty()).then_some(offset)
}

fn reversed(response: &mut Response) {
    response.body.0 = response.body.iter().rev().copied().collect();
}

/// Of large appends that race, the later one comes to stand in the middle of the one before.
fn interleaved() -> Seams {
    const LARGE: usize = 1_000;
    racing(is_append, |flying| {
        let mut before: BTreeMap<String, (u64, Vec<u8>)> = BTreeMap::new();
        port::rewrite(move |_, input, decision| {
            let Some((name, Ask::Append(Append { body, .. }))) = ask(input) else { return };
            if body.len() < LARGE {
                return;
            }
            for record in &mut decision.records {
                let Record::Appended { range, bytes, .. } = record else { continue };
                let last = (range.from, bytes.to_vec());
                if let Some((start, earlier)) = before.insert(name.to_owned(), last)
                    && flying.several(name)
                    && start + earlier.len() as u64 == range.from
                {
                    let (first, second) = earlier.split_at(earlier.len() / 2);
                    range.from = start;
                    *bytes = [first, bytes, second].concat().into();
                }
            }
        })
    })
}

/// Once in the life of a stream that has grown, an append comes to stand before some that were there.
fn overtaken() -> Seams {
    const FIRST: u32 = 4;
    const OVERTAKES: u32 = 10;
    let mut since: BTreeMap<String, (u32, u64, Vec<u8>)> = BTreeMap::new();
    through(port::rewrite(move |_, input, decision| {
        let Some((name, Ask::Append(Append { .. }))) = ask(input) else { return };
        for record in &mut decision.records {
            let Record::Appended { range, bytes, .. } = record else { continue };
            let (count, start, earlier) = since.entry(name.to_owned()).or_default();
            *count += 1;
            if *count == FIRST {
                *start = range.from;
            }
            if *count == OVERTAKES {
                range.from = *start;
                *bytes = [&bytes[..], &earlier[..]].concat().into();
            } else if (FIRST..OVERTAKES).contains(count) {
                earlier.extend_from_slice(bytes);
            }
        }
    }))
}
