//! Between the messages of the protocol and the model: which input a request is, and which HTTP answer an answer is.

use super::{
    model::{Answer, Ask, Facts, From, Poll, Refusal},
    seams::Limits,
};
use bytes::Bytes;
use std::{
    fmt::Display,
    hash::{BuildHasher, Hasher, RandomState},
};
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        self as spec, AppendResponse, CloseResponse, CreateResponse, Cursor, DeleteResponse, HeadResponse,
        LongpollResponse, MediaType, Offset, Operation, ReadOffset, ReadResponse, True, Violation,
    },
};

/// Where streams are made.
pub(super) const ROOT: &str = "/v1/stream/";
/// The methods of a stream.
const METHODS: &str = "GET, HEAD, PUT, POST, DELETE";
/// The media type of a stream whose PUT names none: STREAM-CREATE-8.
const DEFAULT_TYPE: &str = "application/octet-stream";
const NO_STORE: &str = "no-store";

/// A request for the model.
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) ask: Ask,
    kind: Kind,
}

/// What the form of the answer depends on, beside the answer.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    live: bool,
    /// The answer to `offset=now` differs each time.
    now: bool,
}

impl Asked {
    /// Reads a request, or says how it is refused.
    pub(super) fn read(request: &Request, limits: &Limits) -> Result<Self, Response> {
        let Some(name) = request.path.strip_prefix(ROOT).filter(|name| !name.trim_matches('/').is_empty())
        else {
            return Err(refuse(404, format_args!("expected a path below {ROOT} that names a stream")));
        };
        let operation = Operation::decode(request).map_err(|violation| refuse_violation(&violation))?;
        let mut kind = Kind { live: false, now: false };
        let ask = match operation {
            Operation::Create(create) => Ask::Create {
                media_type: create.content_type.map_or_else(default_type, Ok)?,
                closed: create.closed,
                body: create.body,
            },
            Operation::Append(append) => {
                Ask::Append { media_type: append.content_type, closed: append.closed, body: append.body }
            }
            Operation::Close(_) => Ask::Close,
            Operation::Delete(_) => Ask::Delete,
            Operation::Head(_) => Ask::Head,
            Operation::Read(read) => {
                let from = read.offset.as_ref().map_or(Ok(From::Start), from)?;
                kind.now = from == From::Now;
                Ask::Read { from, chunk: limits.chunk }
            }
            Operation::Longpoll(poll) => {
                let from = from(&poll.offset)?;
                kind = Kind { live: true, now: from == From::Now };
                let poll = Poll {
                    chunk: limits.chunk,
                    patience: limits.long_poll_ms,
                    cursor: poll.cursor.as_deref().and_then(cursor),
                    random: random(),
                };
                Ask::LongPoll { from, poll }
            }
        };
        Ok(Self { name: name.into(), ask, kind })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }
}

fn default_type() -> Result<MediaType, Response> {
    MediaType::parse(DEFAULT_TYPE).map_err(|violation| refuse_violation(&violation))
}

fn refuse_violation(violation: &Violation) -> Response {
    if violation.is_method() {
        spec::Refusal { allow: Some(METHODS.into()), ..refusal(405, violation) }.encode()
    } else {
        refuse(400, violation)
    }
}

fn from(offset: &ReadOffset) -> Result<From, Response> {
    Ok(match offset {
        ReadOffset::Start => From::Start,
        ReadOffset::Now => From::Now,
        ReadOffset::At(token) => match position(token.as_str()) {
            Some(position) => From::At(position),
            None => return Err(refuse(400, "expected an offset that this server gave out")),
        },
    })
}

/// The length of every token: the decimal digits of the largest position.
const DIGITS: usize = 20;

/// A token of ours is a position in 20 digits, so that tokens are ordered as positions are.
fn position(token: &str) -> Option<u64> {
    (token.len() == DIGITS && token.bytes().all(|b| b.is_ascii_digit())).then(|| token.parse().ok()).flatten()
}

fn offset(position: u64) -> Result<Offset, Response> {
    Offset::parse(&format!("{position:0DIGITS$}")).map_err(|violation| refuse_violation(&violation))
}

/// What no server of this kind gives out within 10^12 years is no cursor, and as if it were absent.
fn cursor(text: &str) -> Option<u64> {
    text.parse().ok().filter(|cursor| *cursor <= u64::MAX / 2)
}

/// Random bits from the seed of the standard library's hash maps, which is all the randomness that a cursor needs.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Writes an answer. `body` is the content that it names.
pub(super) fn response(request: &Request, kind: Kind, answer: Answer, body: Bytes, host: &str) -> Response {
    written(request, kind, answer, body, host).unwrap_or_else(|refused| refused)
}

fn written(
    request: &Request,
    kind: Kind,
    answer: Answer,
    body: Bytes,
    host: &str,
) -> Result<Response, Response> {
    let cache_control = kind.now.then(|| NO_STORE.to_owned());
    Ok(match answer {
        Answer::Created { fresh, facts: Facts { media_type, tail, closed } } => CreateResponse {
            created: fresh,
            content_type: media_type,
            next_offset: offset(tail)?,
            closed,
            location: fresh.then(|| format!("http://{host}{}", request.path)),
        }
        .encode(),
        Answer::Appended { tail, closed } => {
            AppendResponse { produced: false, next_offset: offset(tail)?, closed }.encode()
        }
        Answer::Closed { tail } => {
            CloseResponse { produced: false, next_offset: offset(tail)?, closed: True }.encode()
        }
        Answer::Deleted => DeleteResponse {}.encode(),
        Answer::Head(Facts { media_type, tail, closed }) => HeadResponse {
            content_type: media_type,
            next_offset: offset(tail)?,
            closed,
            cache_control: Some(NO_STORE.into()),
        }
        .encode(),
        Answer::Content { range, media_type, up_to_date, closed, cursor } if kind.live => LongpollResponse {
            content: true,
            content_type: Some(media_type),
            next_offset: offset(range.to)?,
            up_to_date,
            closed,
            cursor: cursor.map(Cursor::from),
            cache_control,
            body,
        }
        .encode(),
        Answer::Content { range, media_type, up_to_date, closed, cursor } => ReadResponse {
            content_type: media_type,
            next_offset: offset(range.to)?,
            up_to_date,
            closed,
            cursor: cursor.map(Cursor::from),
            cache_control,
            body,
        }
        .encode(),
        Answer::Nothing { tail, closed, cursor } => LongpollResponse {
            content: false,
            content_type: None,
            next_offset: offset(tail)?,
            up_to_date: true,
            closed,
            cursor: cursor.map(Cursor::from),
            cache_control: Some(NO_STORE.into()),
            body: Bytes::new(),
        }
        .encode(),
        Answer::Refused(reason) => match reason {
            Refusal::NoStream => refuse(404, "expected a stream at this URL, found none"),
            Refusal::Exists(Facts { media_type, closed, .. }) => refuse(
                409,
                format_args!(
                    "expected the configuration of the stream at this URL: {}, {}",
                    media_type.as_str(),
                    if closed { "closed" } else { "open" }
                ),
            ),
            Refusal::MediaType { expected } => {
                refuse(409, format_args!("expected the media type of the stream: {}", expected.as_str()))
            }
            Refusal::Closed { tail } => spec::Refusal {
                next_offset: Some(offset(tail)?),
                closed: true,
                ..refusal(409, "expected an open stream, found a closed one")
            }
            .encode(),
            Refusal::BeyondTail => refuse(400, "expected an offset up to the tail, found one beyond it"),
        },
    })
}

/// A refusal with a sentence for people.
pub(super) fn refuse(status: u16, why: impl Display) -> Response {
    refusal(status, why).encode()
}

fn refusal(status: u16, why: impl Display) -> spec::Refusal {
    spec::Refusal {
        content_type: MediaType::parse("text/plain; charset=utf-8").ok(),
        cache_control: Some(NO_STORE.into()),
        body: format!("{why}\n").into(),
        ..spec::Refusal::new(status)
    }
}
