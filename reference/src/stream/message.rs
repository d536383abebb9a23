//! Between the messages of the protocol and the model: which input a request is, and which HTTP answer an answer is.

use super::{
    model::{
        Answer, Append, Ask, Create, Facts, Fork, From, Lifetime, Live, Poll, Refusal, Tuple,
        stored as stored_messages,
    },
    seams::{Limits, Parts},
    sse::{LONGEST, is_encoded},
};
use crate::log::Range;
use bytes::Bytes;
use std::{
    fmt::Display,
    hash::{BuildHasher, Hasher, RandomState},
};
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        self as spec, AppendRequest, AppendResponse, CloseResponse, CreateRequest, CreateResponse, Cursor,
        DeleteResponse, HeadResponse, LongpollResponse, MediaType, Number, Offset, Operation, ProducerId,
        ReadNotModified, ReadOffset, ReadResponse, SseResponse, True, Violation, json,
        sse::{Base64, EventStream},
    },
};

/// Where streams are made.
pub(super) const ROOT: &str = "/v1/stream/";
/// The methods of a stream.
const METHODS: &str = "GET, HEAD, PUT, POST, DELETE";
const NO_STORE: &str = "no-store";

/// What caches may do with content: an answer from an offset stays true.
const CACHED: &str = "public, max-age=60, stale-while-revalidate=300";

/// A request for the model.
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) ask: Ask,
    kind: Kind,
}

/// What the form of the answer depends on, beside the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Kind {
    live: Option<Live>,
    /// The answer to `offset=now` differs each time.
    now: bool,
    /// The validators of what the client has.
    if_none_match: Option<String>,
}

impl Kind {
    /// Whether a success is an event stream.
    pub(super) fn is_sse(&self) -> bool {
        self.live == Some(Live::Sse)
    }
}

impl Asked {
    /// Reads a request, or says how it is refused.
    pub(super) fn read(request: &Request, limits: &Limits, parts: Parts) -> Result<Self, Response> {
        let Some(name) = name_of(&request.path) else {
            return Err(refuse(404, format_args!("expected a path below {ROOT} that names a stream")));
        };
        let operation = Operation::decode(request).map_err(|violation| refuse_violation(&violation))?;
        let mut kind = Kind::default();
        match &operation {
            Operation::Create(create) if create.forked_from.is_some() && !parts.forks => {
                return Err(refuse(501, "expected no fork, as this server has none"));
            }
            Operation::Sse(_) if !parts.sse => {
                return Err(refuse(501, "expected no event stream, as this server has none"));
            }
            _ => {}
        }
        let ask = match operation {
            Operation::Create(create) => Ask::Create(asked_create(create)?),
            Operation::Append(append) => Ask::Append(asked_append(append, limits)?),
            Operation::Close(close) => {
                Ask::Close { producer: tuple(close.producer_id, close.producer_epoch, close.producer_seq) }
            }
            Operation::Delete(_) => Ask::Delete,
            Operation::Head(_) => Ask::Head,
            Operation::Read(read) => {
                let from = read.offset.as_ref().map_or(Ok(From::Start), from)?;
                kind = Kind { live: None, now: from == From::Now, if_none_match: read.if_none_match };
                Ask::Read { from, chunk: limits.chunk }
            }
            Operation::Longpoll(poll) => {
                let from = from(&poll.offset)?;
                kind = Kind { live: Some(Live::LongPoll), now: from == From::Now, if_none_match: None };
                let cursor = poll.cursor.as_deref().and_then(cursor);
                let poll =
                    Poll { chunk: limits.chunk, patience: limits.long_poll_ms, cursor, random: random() };
                Ask::LongPoll { from, poll }
            }
            Operation::Sse(sse) => {
                let from = from(&sse.offset)?;
                kind = Kind { live: Some(Live::Sse), now: from == From::Now, if_none_match: None };
                let (chunk, cursor) = (limits.chunk.max(LONGEST), sse.cursor.as_deref().and_then(cursor));
                let poll = Poll { chunk, patience: limits.sse_ms, cursor, random: random() };
                Ask::Follow { from, poll }
            }
        };
        Ok(Self { name: name.into(), ask, kind })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind.clone()
    }
}

/// The name of the stream at a path.
fn name_of(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT).filter(|name| !name.trim_matches('/').is_empty())
}

fn asked_create(create: CreateRequest) -> Result<Create, Response> {
    let ttl = create.ttl.map(|ttl| Lifetime::Ttl(ttl.seconds()));
    let until = create.expires_at.map(|at| Lifetime::Until(u64::try_from(at.millis()).unwrap_or_default()));
    let fork = match create.forked_from {
        None => None,
        Some(path) => {
            let Some(source) = name_of(&path) else {
                return Err(refuse(
                    404,
                    format_args!("expected the path of a stream below {ROOT} as the source"),
                ));
            };
            let offset = create.fork_offset.as_ref().map(|token| position(token.as_str())).map(|position| {
                position.ok_or_else(|| refuse(400, "expected an offset that this server gave out"))
            });
            let sub_offset = create.fork_sub_offset.map_or(0, |sub_offset| sub_offset.get());
            Some(Fork { source: source.into(), offset: offset.transpose()?, sub_offset, found: None })
        }
    };
    let body = match &create.content_type {
        Some(media_type) if !create.body.is_empty() => stored(media_type, create.body)?,
        _ => create.body,
    };
    Ok(Create { media_type: create.content_type, closed: create.closed, lifetime: ttl.or(until), fork, body })
}

fn asked_append(append: AppendRequest, limits: &Limits) -> Result<Append, Response> {
    Ok(Append {
        body: stored(&append.content_type, append.body)?,
        media_type: append.content_type,
        closed: append.closed,
        producer: tuple(append.producer_id, append.producer_epoch, append.producer_seq),
        seq: append.seq,
        retain: limits.retain,
    })
}

/// A body as it is stored: of JSON the messages in it.
fn stored(media_type: &MediaType, body: Bytes) -> Result<Bytes, Response> {
    if !media_type.is_json() {
        return Ok(body);
    }
    let messages = json::messages(&body).map_err(|violation| refuse_violation(&violation))?;
    Ok(stored_messages(&messages))
}

fn tuple(id: Option<ProducerId>, epoch: Option<Number>, seq: Option<Number>) -> Option<Tuple> {
    Some(Tuple { id: id?.as_str().into(), epoch: epoch?.get(), seq: seq?.get() })
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

pub(super) fn offset(position: u64) -> Result<Offset, Response> {
    Offset::parse(&format!("{position:0DIGITS$}")).map_err(|violation| refuse_violation(&violation))
}

/// What no server of this kind gives out within 10^12 years is no cursor, and as if it were absent.
fn cursor(text: &str) -> Option<u64> {
    text.parse().ok().filter(|cursor| *cursor <= u64::MAX / 2)
}

/// Random bits from the seed of the standard library's hash maps, which is all the randomness that a cursor or a salt needs.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What an answer is written with, beside the answer.
pub(super) struct Writing<'a> {
    pub(super) request: &'a Request,
    pub(super) kind: &'a Kind,
    /// The host that the client speaks to.
    pub(super) host: &'a str,
    /// Tells the validators of this server from those of others, and of those that it was before.
    pub(super) salt: u64,
}

impl Writing<'_> {
    /// Writes an answer. `body` is the content that it names.
    pub(super) fn response(&self, answer: Answer, body: Bytes) -> Response {
        self.written(answer, body).unwrap_or_else(|refused| refused)
    }

    fn written(&self, answer: Answer, body: Bytes) -> Result<Response, Response> {
        let kind = self.kind;
        Ok(match answer {
            Answer::Created { fresh, facts: Facts { media_type, tail, closed, .. } } => CreateResponse {
                created: fresh,
                content_type: media_type,
                next_offset: offset(tail)?,
                closed,
                location: fresh.then(|| format!("http://{}{}", self.host, self.request.path)),
            }
            .encode(),
            Answer::Appended { tail, closed, produced } => AppendResponse {
                produced: produced.is_some_and(|produced| produced.fresh),
                next_offset: offset(tail)?,
                closed,
                producer_epoch: produced.map(|produced| produced.epoch.into()),
                producer_seq: produced.map(|produced| produced.seq.into()),
            }
            .encode(),
            Answer::Closed { tail, produced } => CloseResponse {
                produced: false,
                next_offset: offset(tail)?,
                closed: True,
                producer_epoch: produced.map(|produced| produced.epoch.into()),
                producer_seq: produced.map(|produced| produced.seq.into()),
            }
            .encode(),
            Answer::Deleted => DeleteResponse {}.encode(),
            Answer::Head(Facts { media_type, tail, closed, lifetime }) => HeadResponse {
                content_type: media_type,
                next_offset: offset(tail)?,
                closed,
                cache_control: Some(NO_STORE.into()),
                ttl: match lifetime {
                    Lifetime::Ttl(seconds) => Some(seconds.into()),
                    _ => None,
                },
                expires_at: match lifetime {
                    Lifetime::Until(millis) => Some(millis.into()),
                    _ => None,
                },
            }
            .encode(),
            Answer::Content { media_type, .. } | Answer::Nothing { media_type, .. } if kind.is_sse() => {
                SseResponse {
                    content_type: EventStream::default(),
                    data_encoding: is_encoded(&media_type).then_some(Base64),
                    cache_control: Some(NO_STORE.into()),
                }
                .encode()
            }
            Answer::Content { range, media_type, up_to_date, closed, cursor, .. } => {
                let next_offset = offset(range.to)?;
                let cursor = cursor.map(Cursor::from);
                let cache_control = Some(if kind.now { NO_STORE } else { CACHED }.to_owned());
                let etag = (!kind.now).then(|| self.validator(range, closed));
                if kind.live.is_some() {
                    let (content, content_type) = (true, Some(media_type));
                    LongpollResponse {
                        content,
                        content_type,
                        next_offset,
                        up_to_date,
                        closed,
                        cursor,
                        cache_control,
                        etag,
                        body,
                    }
                    .encode()
                } else if matches(kind.if_none_match.as_deref(), etag.as_deref()) {
                    let next_offset = Some(next_offset);
                    ReadNotModified { next_offset, up_to_date, closed, cache_control, etag }.encode()
                } else {
                    let content_type = media_type;
                    ReadResponse {
                        content_type,
                        next_offset,
                        up_to_date,
                        closed,
                        cursor,
                        cache_control,
                        etag,
                        body,
                    }
                    .encode()
                }
            }
            Answer::Nothing { tail, closed, cursor, .. } => LongpollResponse {
                content: false,
                content_type: None,
                next_offset: offset(tail)?,
                up_to_date: true,
                closed,
                cursor: cursor.map(Cursor::from),
                cache_control: Some(NO_STORE.into()),
                etag: None,
                body: Bytes::new(),
            }
            .encode(),
            Answer::Refused(reason) => refused(reason)?,
            // Neither is the answer to a request.
            Answer::Over | Answer::Lookup(_) => refuse(500, "expected an answer, found none"),
        })
    }

    /// Differs where the bytes, their place or the closure behind them differ.
    fn validator(&self, range: Range, closed: bool) -> String {
        let Range { owner, from, to } = range;
        let closed = if closed { ":closed" } else { "" };
        format!("\"{:x}-{owner}:{from}:{to}{closed}\"", self.salt)
    }
}

/// Whether `If-None-Match` names this validator: compared weakly, as RFC 9110 13.1.2 says.
fn matches(named: Option<&str>, etag: Option<&str>) -> bool {
    let (Some(named), Some(etag)) = (named, etag) else { return false };
    named.trim() == "*" || named.split(',').any(|one| one.trim().trim_start_matches("W/") == etag)
}

fn refused(reason: Refusal) -> Result<Response, Response> {
    Ok(match reason {
        Refusal::NoStream => refuse(404, "expected a stream at this URL, found none"),
        Refusal::Gone => refuse(410, "expected a stream at this URL, found one that was deleted"),
        Refusal::Held => refuse(409, "expected a free URL, found one that is held by a deleted stream"),
        Refusal::Exists(Facts { media_type, closed, .. }) => refuse(
            409,
            format_args!(
                "expected the configuration of the stream at this URL, which is {} and {}",
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
        Refusal::Dropped { start } => spec::Refusal {
            next_offset: Some(offset(start)?),
            ..refusal(410, "expected an offset whose content is kept, found one before it")
        }
        .encode(),
        Refusal::Sequence { last } => {
            refuse(409, format_args!("expected a Stream-Seq larger than {last:?}, byte by byte"))
        }
        Refusal::Stale { epoch } => spec::Refusal {
            producer_epoch: Some(epoch.into()),
            ..refusal(403, format_args!("expected epoch {epoch} of this producer or a later one"))
        }
        .encode(),
        Refusal::Bump { received } => {
            refuse(400, format_args!("expected number 0 in a new epoch, found {received}"))
        }
        Refusal::Gap { expected, received } => spec::Refusal {
            producer_expected_seq: Some(expected.into()),
            producer_received_seq: Some(received.into()),
            ..refusal(409, format_args!("expected number {expected} of this producer, found {received}"))
        }
        .encode(),
        Refusal::NoSource => refuse(404, "expected a stream as the source of the fork, found none"),
        Refusal::SourceGone => {
            refuse(409, "expected a stream as the source of the fork, found a deleted one")
        }
        Refusal::NoPlace => refuse(400, "expected a place in the source of the fork, found none there"),
        Refusal::Json(why) => refuse(400, why),
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
