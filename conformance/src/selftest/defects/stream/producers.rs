//! Defects of "Producers".

pub(super) mod closing;
pub(super) mod epochs;
pub(super) mod numbers;
pub(super) mod together;

use super::{Ask, START, Seams, Table, ask, ask_mut, plain, reply, request, stream_of, through};
use crate::{
    embed::reference::{
        log::Range,
        stream::model::{Append, Input, Producer, Record, State, Stream, Tuple},
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port},
};
use bytes::Bytes;
use wireproof_spec::{
    http::{Body, Request},
    stream::{
        header::{CONTENT_TYPE, NEXT_OFFSET, PRODUCER_EPOCH, PRODUCER_ID, PRODUCER_SEQ},
        requirements::*,
    },
};

pub(super) const TABLE: Table = &[
    Breakage::always("stream/producers/some-headers-ignored", STREAM_PRODUCERS_1, Wire, || {
        request(|request| {
            if HEADERS.iter().any(|name| request.headers.get(name).is_none()) {
                HEADERS.iter().for_each(|name| request.headers.remove(name));
            }
        })
    }),
    Breakage::boundary("stream/producers/epoch-guessed", STREAM_PRODUCERS_1, Wire, || {
        request(|request| {
            if request.headers.get(PRODUCER_SEQ).is_some() && request.headers.get(PRODUCER_EPOCH).is_none() {
                request.headers.set(PRODUCER_EPOCH, "0");
            }
        })
    }),
    Breakage::always("stream/producers/empty-id-accepted", STREAM_PRODUCERS_2, Wire, || {
        request(|request| {
            if request.headers.get(PRODUCER_ID) == Some("") {
                request.headers.set(PRODUCER_ID, "nobody");
            }
        })
    }),
    Breakage::always("stream/producers/digits-at-the-start-are-enough", STREAM_PRODUCERS_3, Wire, || {
        numbers_read(|text| {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            (end > 0).then(|| text[..end].to_owned())
        })
    }),
    Breakage::boundary("stream/producers/nothing-is-0", STREAM_PRODUCERS_3, Wire, || {
        numbers_read(|text| text.is_empty().then(|| "0".to_owned()))
    }),
    Breakage::boundary("stream/producers/negative-is-0", STREAM_PRODUCERS_3, Wire, || {
        numbers_read(|text| text.starts_with('-').then(|| "0".to_owned()))
    }),
    Breakage::boundary("stream/producers/wraps-at-64-bits", STREAM_PRODUCERS_3, Wire, || {
        numbers_read(|text| {
            let number: u128 = text.parse().ok()?;
            (number > u128::from(u64::MAX)).then(|| (number % (1 << 64)).to_string())
        })
    }),
    Breakage::boundary("stream/producers/greatest-and-one-accepted", STREAM_PRODUCERS_3, Wire, || {
        // As doubles these two are neighbours.
        numbers_read(|text| (text == "9007199254740992").then(|| GREATEST.to_string()))
    }),
    Breakage::boundary("stream/producers/greatest-epoch-refused", STREAM_PRODUCERS_4, Wire, || {
        request(|request| {
            if request.headers.get(PRODUCER_EPOCH) == Some("9007199254740991") {
                request.headers.set(PRODUCER_EPOCH, "9007199254740992");
            }
        })
    }),
    Breakage::always("stream/producers/missing-stream-conflicts", STREAM_PRODUCERS_25, Wire, || {
        reply(|request, response| {
            if is_produced(request) && response.status == 404 {
                response.status = 409;
            }
        })
    }),
    Breakage::always("stream/producers/media-type-ignored", STREAM_PRODUCERS_25, Port, || {
        through(port::rewrite_input(|state, input| {
            let Some(media_type) = stream_of(state, input).map(|s| s.media_type.clone()) else { return };
            if let Some(Ask::Append(append)) = ask_mut(input)
                && append.producer.is_some()
            {
                append.media_type = media_type;
            }
        }))
    }),
    Breakage::always("stream/producers/empty-body-accepted", STREAM_PRODUCERS_25, Wire, || {
        reply(|request, response| {
            if is_produced(request) && request.body.is_empty() && response.status == 400 {
                *response = plain(204).header(NEXT_OFFSET, START);
            }
        })
    }),
    Breakage::always("stream/producers/bad-json-accepted", STREAM_PRODUCERS_25, Wire, || {
        request(|request| {
            if is_produced(request)
                && request.headers.get(CONTENT_TYPE) == Some("application/json")
                && serde_json::from_slice::<serde_json::Value>(&request.body).is_err()
            {
                request.body = Body("null".into());
            }
        })
    }),
];

/// What makes a request a producer's.
const HEADERS: [&str; 3] = [PRODUCER_ID, PRODUCER_EPOCH, PRODUCER_SEQ];

/// The greatest number: 2^53-1.
const GREATEST: u64 = (1 << 53) - 1;

fn is_produced(request: &Request) -> bool {
    HEADERS.iter().all(|name| request.headers.get(name).is_some())
}

/// Epochs and numbers read in another way.
fn numbers_read(read: fn(&str) -> Option<String>) -> Seams {
    request(move |request| {
        for name in [PRODUCER_EPOCH, PRODUCER_SEQ] {
            if let Some(text) = request.headers.get(name).and_then(read) {
                request.headers.set(name, text);
            }
        }
    })
}

/// An append by a producer, and the name of its stream.
fn produced(input: &Input) -> Option<(&str, &Append, &Tuple)> {
    match ask(input)? {
        (name, Ask::Append(append)) => Some((name, append, append.producer.as_ref()?)),
        _ => None,
    }
}

/// What a producer says of its append or close.
fn tuple(input: &Input) -> Option<&Tuple> {
    match ask(input)?.1 {
        Ask::Append(append) => append.producer.as_ref(),
        Ask::Close { producer } => producer.as_ref(),
        _ => None,
    }
}

/// The same, to be changed.
fn tuple_mut(input: &mut Input) -> Option<&mut Tuple> {
    match ask_mut(input)? {
        Ask::Append(append) => append.producer.as_mut(),
        Ask::Close { producer } => producer.as_mut(),
        _ => None,
    }
}

/// What is known of the producer of an input.
fn known(state: &State, input: &Input) -> Option<Producer> {
    stream_of(state, input)?.producers.get(&tuple(input)?.id).copied()
}

/// Judges each request of a producer by other knowledge of it; none: it is unknown.
fn knowing(
    mut change: impl FnMut(&State, &Input, &Tuple) -> Option<Option<Producer>> + Send + 'static,
) -> Seams {
    through(port::rewrite_state(move |state: &mut State, input: &Input| {
        let (Some((name, _)), Some(tuple)) = (ask(input), tuple(input)) else { return };
        let Some(other) = change(state, input, tuple) else { return };
        let Some(stream) = state.streams.get_mut(name) else { return };
        match other {
            Some(producer) => stream.producers.insert(tuple.id.clone(), producer),
            None => stream.producers.remove(&tuple.id),
        };
    }))
}

/// Each request of a producer with another epoch or number.
fn sending(change: fn(&Producer, &mut Tuple)) -> Seams {
    through(port::rewrite_input(move |state, input| {
        if let (Some(known), Some(tuple)) = (known(state, input), tuple_mut(input)) {
            change(&known, tuple);
        }
    }))
}

/// The record that moves what is known of a producer, and the last Stream-Seq, and no content.
pub(super) fn moved(name: &str, stream: &Stream, producer: Option<Tuple>, seq: Option<String>) -> Record {
    let range = Range { owner: stream.incarnation, from: stream.tail, to: stream.tail };
    Record::Appended { name: name.into(), range, bytes: Bytes::new(), producer, seq, at: stream.touched }
}
