//! From the ranges of an answer to the bytes of its body, and what only content can tell about where a fork leaves it.

use super::model::{Found, Lookup, SEPARATOR};
use crate::log::{Content, Error, Range};
use bytes::{BufMut, Bytes, BytesMut};

/// The bytes of a range of positions, the first of which may be in the content that the stream inherited.
pub(super) async fn read(content: &Content, range: Range, inherited: &[Range]) -> Result<Bytes, Error> {
    let mut parts: Vec<Range> = inherited
        .iter()
        .map(|part| Range { from: part.from.max(range.from), to: part.to.min(range.to), ..*part })
        .filter(|part| part.from < part.to)
        .collect();
    let base = inherited.last().map_or(0, |part| part.to);
    parts.push(Range { from: range.from.max(base), ..range });
    if let [own] = parts[..] {
        return content.read(own).await;
    }
    let mut joined = BytesMut::new();
    for part in parts {
        joined.put(content.read(part).await?);
    }
    Ok(joined.freeze())
}

/// Whole messages from a position on.
pub(super) struct Messages {
    /// As one JSON array.
    pub(super) array: Bytes,
    /// The position behind the last one.
    pub(super) to: u64,
}

/// The messages of a range, as many as fit into a chunk and at least one. None if no message begins where the range does.
pub(super) async fn messages(
    content: &Content,
    range: Range,
    inherited: &[Range],
    chunk: u64,
) -> Result<Option<Messages>, Error> {
    let before = range.from.saturating_sub(1);
    let mut length = chunk.max(1);
    loop {
        let to = range.from.saturating_add(length).min(range.to);
        let stored = read(content, Range { from: before, to, ..range }, inherited).await?;
        // What stood before may have been dropped.
        let has_before = before < range.from && stored.len() as u64 == to - before;
        let bytes = if has_before { stored.slice(1..) } else { stored.clone() };
        if has_before && stored.first() != Some(&SEPARATOR) {
            return Ok(None);
        }
        match bytes.iter().rposition(|byte| *byte == SEPARATOR) {
            Some(last) => {
                let to = range.from + last as u64 + 1;
                return Ok(Some(Messages { array: array(&bytes[..last]), to }));
            }
            None if to == range.to => return Ok(Some(Messages { array: array(b""), to })),
            None => length = length.saturating_mul(2),
        }
    }
}

/// Stored messages, without the separator behind the last, as a JSON array.
fn array(stored: &[u8]) -> Bytes {
    let mut array = BytesMut::with_capacity(stored.len() + 2);
    array.put_u8(b'[');
    array.extend(stored.iter().map(|byte| if *byte == SEPARATOR { b',' } else { *byte }));
    array.put_u8(b']');
    array.freeze()
}

/// Where a fork leaves its source.
pub(super) async fn find(content: &Content, lookup: &Lookup) -> Result<Found, Error> {
    Ok(Found { incarnation: lookup.incarnation, base: base(content, lookup).await? })
}

async fn base(content: &Content, lookup: &Lookup) -> Result<Option<u64>, Error> {
    let Lookup { content: parts, json, offset, sub_offset, .. } = lookup;
    let Some(part) = parts.iter().find(|part| (part.from..part.to).contains(offset)) else { return Ok(None) };
    if *json && *offset > part.from {
        let before = content.read(Range { from: offset - 1, to: *offset, ..*part }).await?;
        if before.first() != Some(&SEPARATOR) {
            return Ok(None);
        }
    }
    if *sub_offset == 0 {
        return Ok(Some(*offset));
    }
    let Some(end) = content.end_of_append(part.owner, *offset).await? else { return Ok(None) };
    let end = end.min(part.to);
    if !json {
        return Ok(offset.checked_add(*sub_offset).filter(|base| *base <= end));
    }
    let append = content.read(Range { from: *offset, to: end, ..*part }).await?;
    let ends = append.iter().enumerate().filter(|(_, byte)| **byte == SEPARATOR).map(|(at, _)| at as u64 + 1);
    let nth = usize::try_from(*sub_offset - 1).ok().and_then(|n| ends.clone().nth(n));
    Ok(nth.map(|behind| offset + behind))
}
