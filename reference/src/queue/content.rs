//! From the places of an answer to the messages that lie there.

use super::{
    message::message_id,
    model::{Letter, Place, Stored, offset, range},
    time,
};
use crate::log::{Content, Error};
use serde_json::value::RawValue;
use wireproof_spec::{
    json::{Amount, Any, Count, Json, Nullable, Object, OrNull},
    queue::{DeadLetterMessage, Message, Offset},
};

/// Messages that were read.
pub(super) struct Read<T> {
    /// What was found: what was dropped meanwhile is left out.
    pub(super) found: Vec<T>,
    /// How many places were looked at: at least one, if there is one.
    pub(super) places: usize,
}

/// Reads what lies at the first of these offsets, as much of it as fits into so many bytes.
async fn read(
    content: &Content,
    incarnation: u64,
    offsets: &[u64],
    most: usize,
) -> Result<Read<(usize, Stored)>, Error> {
    let Some(first) = offsets.first().copied() else { return Ok(Read { found: Vec::new(), places: 0 }) };
    // Neighbours are read at once, so that nothing is read that nobody wants.
    let run = offsets.iter().zip(first..).take_while(|(offset, next)| *offset == next).count();
    let appends = content.appends(range(incarnation, first, first + run as u64), most).await?;
    let read: usize = appends.iter().map(|(_, bytes)| bytes.len()).sum();
    let last = appends.last().map(|(at, _)| offset(*at)).filter(|_| read >= most);
    let places = last.map_or(run, |last| usize::try_from(last - first).unwrap_or(run) + 1).min(run);
    let found = appends.iter().filter_map(|(at, bytes)| {
        let index = usize::try_from(offset(*at) - first).ok()?;
        match serde_json::from_slice(bytes) {
            Ok(stored) => Some((index, stored)),
            Err(error) => {
                tracing::error!(%error, "a message was not read back");
                None
            }
        }
    });
    Ok(Read { found: found.collect(), places })
}

/// The first of the messages at these places.
pub(super) async fn messages(
    content: &Content,
    incarnation: u64,
    places: &[Place],
    most: usize,
) -> Result<Read<Message>, Error> {
    let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
    let Read { found, places: count } = read(content, incarnation, &offsets, most).await?;
    let found = found.into_iter().map(|(index, stored)| message(incarnation, places[index], stored));
    Ok(Read { found: found.collect(), places: count })
}

/// All messages at these places, but no more than so many bytes of them.
pub(super) async fn all_messages(
    content: &Content,
    incarnation: u64,
    mut places: &[Place],
    most: usize,
) -> Result<Vec<Message>, Error> {
    let (mut all, mut size) = (Vec::new(), 0_usize);
    while !places.is_empty() && size < most {
        let Read { found, places: count } = messages(content, incarnation, places, most - size).await?;
        // A message has a size of its own; the rest of it is small.
        size += found.iter().map(|one| one.payload.get().len() + 256).sum::<usize>();
        all.extend(found);
        places = &places[count..];
    }
    Ok(all)
}

/// All dead letters, but no more than so many bytes of them.
pub(super) async fn all_letters(
    content: &Content,
    incarnation: u64,
    mut letters: &[Letter],
    most: usize,
) -> Result<Vec<DeadLetterMessage>, Error> {
    let (mut all, mut size) = (Vec::new(), 0_usize);
    while !letters.is_empty() && size < most {
        let offsets: Vec<u64> = letters.iter().map(|letter| letter.offset).collect();
        let Read { found, places } = read(content, incarnation, &offsets, most - size).await?;
        for (index, stored) in found {
            size += stored.payload.get().len() + 256;
            all.push(dead_letter(incarnation, &letters[index], stored));
        }
        letters = &letters[places..];
    }
    Ok(all)
}

/// The payload of one message, as it is delivered.
pub(super) async fn payload(
    content: &Content,
    incarnation: u64,
    offset: u64,
) -> Result<Option<String>, Error> {
    let read = read(content, incarnation, &[offset], 1).await?;
    Ok(read.found.into_iter().next().map(|(_, stored)| stored.payload.get().to_owned()))
}

fn message(incarnation: u64, place: Place, stored: Stored) -> Message {
    let at = time::text(stored.at);
    let (source_id, source_name) = stored.source.unzip();
    Message {
        id: message_id(incarnation, place.offset),
        queue_id: queue_id(incarnation),
        offset: whole_offset(place.offset),
        payload: any(&stored.payload),
        size: Some(count(stored.size)),
        metadata: nullable(stored.metadata.as_deref().and_then(|raw| Object::read(raw).ok())),
        state: Some(place.kind.state()),
        idempotency_key: nullable(stored.key),
        partition_key: nullable(stored.partition),
        ttl_seconds: nullable(stored.ttl.map(amount)),
        delivery_attempts: place.attempts.map(count),
        max_retries: Some(count(place.max_retries)),
        published_at: Some(at.clone()),
        expires_at: nullable(stored.expires.map(time::text)),
        delivered_at: None,
        acknowledged_at: None,
        created_at: Some(at.clone()),
        updated_at: Some(at),
        source_id: nullable(source_id),
        source_name: nullable(source_name),
    }
}

fn dead_letter(incarnation: u64, letter: &Letter, stored: Stored) -> DeadLetterMessage {
    let id = message_id(incarnation, letter.offset);
    let (published, moved) = (time::text(stored.at), time::text(letter.at));
    DeadLetterMessage {
        id: id.clone(),
        queue_id: queue_id(incarnation),
        original_message_id: Some(id),
        offset: whole_offset(letter.offset),
        payload: any(&stored.payload),
        metadata: nullable(stored.metadata.as_deref().and_then(|raw| Object::read(raw).ok())),
        failure_reason: nullable(Some(letter.reason.clone())),
        delivery_attempts: count(letter.attempts),
        moved_at: Some(moved.clone()),
        original_published_at: Some(published.clone()),
        published_at: Some(published),
        created_at: moved,
    }
}

fn any(raw: &RawValue) -> Any {
    // Whatever is JSON is any value.
    Any::read(raw).unwrap_or_else(|_| serde_json::Value::Null.into())
}

/// A member that is left out if there is nothing to say.
pub(super) fn nullable<T>(value: Option<T>) -> Nullable<T> {
    value.map(|value| OrNull(Some(value)))
}

/// The id of a queue.
pub(super) fn queue_id(incarnation: u64) -> String {
    format!("queue_{incarnation:x}")
}

/// A number as a count; what is beyond those that every peer knows is the greatest of them.
pub(super) fn count(number: u64) -> Count {
    let most = || Count::new(9_007_199_254_740_991);
    let number = i64::try_from(number).ok().and_then(Count::new).or_else(most);
    number.unwrap_or_else(|| unreachable!("the greatest count is one"))
}

/// An offset that was given to a message.
pub(super) fn whole_offset(offset: u64) -> Offset {
    let offset = i64::try_from(offset).ok().and_then(Offset::new);
    // The model gives out none beyond.
    offset.unwrap_or_else(|| unreachable!("an offset is small"))
}

/// A number as it was given; a whole one is written without a fraction.
pub(super) fn amount(number: f64) -> Amount {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
        return Amount::from(number as u32);
    }
    let raw = RawValue::from_string(format!("{number:?}")).ok();
    raw.and_then(|raw| Amount::read(&raw).ok()).unwrap_or_else(|| Amount::from(u32::MAX))
}
