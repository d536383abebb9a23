//! How a stream begins: empty, with content, closed, or as a part of another.

use super::{
    Answer, Case, Create, Facts, Fork, Lifetime, Lookup, Origin, Record, Refusal, Stream, StreamModel,
    answer::facts, write::behind,
};
use crate::{log::Range, model::Decision};
use bytes::Bytes;
use std::sync::Arc;
use wireproof_spec::stream::{MediaType, json};

/// The media type of a stream whose PUT names none: STREAM-CREATE-8.
const DEFAULT_TYPE: &str = "application/octet-stream";

impl Case<'_> {
    /// STREAM-CREATE-1, -9 and -11: one step, whatever it consists of.
    pub(super) fn create(&self, create: &Create, decision: &mut Decision<StreamModel>) -> Answer {
        let (origin, inherited) = match create.fork.as_ref().map(|fork| self.origin(fork, create)).transpose()
        {
            Ok(found) => found.unzip(),
            Err(answer) => return answer,
        };
        let media_type = match create.media_type.clone().or(inherited).map_or_else(default_type, Ok) {
            Ok(media_type) => media_type,
            Err(refusal) => return Answer::Refused(refusal),
        };
        let body = match body(create, &media_type) {
            Ok(body) => body,
            Err(refusal) => return Answer::Refused(refusal),
        };
        let lifetime = create.lifetime.unwrap_or_else(|| self.lifetime(create.fork.as_ref()));
        let (name, incarnation, at) = (self.name.to_owned(), self.state.next, self.now);
        let base = origin.as_ref().map_or(0, |origin| origin.base);
        let range = behind(incarnation, base, &body);
        decision.records.push(Record::Created {
            name: name.clone(),
            incarnation,
            media_type: media_type.clone(),
            lifetime,
            origin,
            at,
        });
        if !body.is_empty() {
            let (name, bytes) = (name.clone(), body);
            decision.records.push(Record::Appended { name, range, bytes, producer: None, seq: None, at });
        }
        if create.closed {
            decision.records.push(Record::Closed { name, producer: None, at });
        }
        let facts = Facts { media_type, tail: range.to, closed: create.closed, lifetime };
        Answer::Created { fresh: true, facts }
    }

    /// A PUT on a stream that exists: STREAM-CREATE-2 and what follows.
    pub(super) fn created(&self, stream: &Stream, create: &Create) -> Answer {
        let equal_type = match (&create.media_type, &create.fork) {
            (Some(named), _) => named.same(&stream.media_type),
            (None, Some(_)) => true,
            (None, None) => default_type().is_ok_and(|default| default.same(&stream.media_type)),
        };
        let equal_lifetime = match (create.lifetime, &stream.origin) {
            (Some(named), _) => named == stream.lifetime,
            (None, Some(origin)) => origin.inherits_lifetime,
            (None, None) => stream.lifetime == Lifetime::Unlimited,
        };
        let equal_origin = match (&create.fork, &stream.origin) {
            (None, None) => true,
            (Some(fork), Some(origin)) => {
                let equal_offset = match fork.offset {
                    Some(offset) => offset == origin.resolved,
                    None => origin.offset.is_none(),
                };
                fork.source == origin.source && fork.sub_offset == origin.sub_offset && equal_offset
            }
            _ => false,
        };
        if create.closed == stream.closed && equal_type && equal_lifetime && equal_origin {
            Answer::Created { fresh: false, facts: facts(stream) }
        } else {
            Answer::Refused(Refusal::Exists(facts(stream)))
        }
    }

    /// The lifetime of a stream whose PUT names none.
    fn lifetime(&self, fork: Option<&Fork>) -> Lifetime {
        let source = fork.and_then(|fork| self.state.at(&fork.source, self.now));
        source.map(|source| source.lifetime).unwrap_or_default()
    }

    /// What a fork begins with, and the media type of its source; or the answer if that is not known yet or refused.
    fn origin(&self, fork: &Fork, create: &Create) -> Result<(Origin, MediaType), Answer> {
        let refused = |refusal| Err(Answer::Refused(refusal));
        let Some(source) = self.state.at(&fork.source, self.now) else {
            return refused(Refusal::NoSource);
        };
        if source.deleted {
            return refused(Refusal::SourceGone);
        }
        if create.media_type.as_ref().is_some_and(|named| !named.same(&source.media_type)) {
            return refused(Refusal::MediaType { expected: source.media_type.clone() });
        }
        let offset = fork.offset.unwrap_or(source.tail);
        if offset > source.tail || offset < source.start {
            return refused(Refusal::NoPlace);
        }
        let content = content(source, source.tail);
        let base = if offset == source.tail && fork.sub_offset == 0 {
            Some(offset)
        } else if offset == source.tail {
            None
        } else if fork.sub_offset == 0 && !source.media_type.is_json() {
            Some(offset)
        } else {
            match fork.found.filter(|found| found.incarnation == source.incarnation) {
                Some(found) => found.base,
                None => {
                    return Err(Answer::Lookup(Lookup {
                        incarnation: source.incarnation,
                        content,
                        json: source.media_type.is_json(),
                        offset,
                        sub_offset: fork.sub_offset,
                    }));
                }
            }
        };
        let Some(base) = base.filter(|base| *base <= source.tail) else { return refused(Refusal::NoPlace) };
        let origin = Origin {
            source: fork.source.clone(),
            incarnation: source.incarnation,
            offset: fork.offset,
            resolved: offset,
            sub_offset: fork.sub_offset,
            inherits_lifetime: create.lifetime.is_none(),
            inherited: clipped(&content, base),
            base,
            start: source.start,
        };
        Ok((origin, source.media_type.clone()))
    }
}

/// The content of a stream up to a position: what it inherited, and its own.
fn content(stream: &Stream, to: u64) -> Arc<[Range]> {
    let own = Range { owner: stream.incarnation, from: stream.base(), to };
    stream.inherited().iter().copied().chain([own]).collect()
}

fn clipped(content: &[Range], to: u64) -> Arc<[Range]> {
    let cut = content.iter().map(|range| Range { to: range.to.min(to), ..*range });
    cut.filter(|range| range.from < range.to).collect()
}

/// The first content. That of a fork whose PUT names no type could not be read before its type was known.
fn body(create: &Create, media_type: &MediaType) -> Result<Bytes, Refusal> {
    if create.media_type.is_none() && media_type.is_json() && !create.body.is_empty() {
        let messages =
            json::messages(&create.body).map_err(|violation| Refusal::Json(violation.to_string()))?;
        return Ok(super::answer::stored(&messages));
    }
    Ok(create.body.clone())
}

fn default_type() -> Result<MediaType, Refusal> {
    MediaType::parse(DEFAULT_TYPE).map_err(|violation| Refusal::Json(violation.to_string()))
}
