//! Messages come into a queue.

use super::{Answer, Case, Draft, Queue, QueueModel, ROOM, Record, Refusal, queue::milliseconds};
use crate::model::Decision;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A message as it is stored: what never changes about it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stored {
    /// The payload.
    pub payload: Box<RawValue>,
    /// Its size.
    pub size: u64,
    /// What is said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
    /// Under which it is published no second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What it is in order with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// How long it lives, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<f64>,
    /// When its time is over: milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The id and the name of the source that it came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<(String, String)>,
    /// When it was published: milliseconds since 1970.
    pub at: u64,
}

/// The offset behind the last one that content has room for.
const END: u64 = 1 << (62 - ROOM);

impl Case<'_> {
    pub(super) fn publish(
        &self,
        queue: &Queue,
        drafts: &[Draft],
        source: Option<(&str, &str)>,
        decision: &mut Decision<QueueModel>,
    ) -> Answer {
        if queue.next.saturating_add(drafts.len() as u64) > END {
            return Answer::Refused(Refusal::Full);
        }
        let mut next = queue.next;
        // What this decision publishes is not yet among the keys of the queue.
        let mut keys: BTreeMap<&str, u64> = BTreeMap::new();
        let mut places = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let known = draft.key.as_deref().and_then(|key| {
                let before = queue.keys.get(key).copied().filter(|offset| queue.has(*offset, self.now));
                before.or_else(|| keys.get(key).copied())
            });
            if let Some(offset) = known {
                places.push(queue.place(offset, self.now));
                continue;
            }
            let offset = next;
            next += 1;
            keys.extend(draft.key.as_deref().map(|key| (key, offset)));
            let ttl = draft.ttl.or(queue.settings.ttl_s);
            let expires = ttl.map(|ttl| self.now.saturating_add(milliseconds(ttl * 1000.0)));
            decision.records.push(Record::Published {
                name: self.name.into(),
                incarnation: queue.incarnation,
                offset,
                bytes: stored(draft, ttl, expires, source, self.now),
                key: draft.key.clone(),
                partition: draft.partition.clone(),
                expires,
                source: source.map(|(id, _)| id.to_owned()),
                at: self.now,
            });
            places.push(queue.place(offset, self.now));
        }
        Answer::Messages { incarnation: queue.incarnation, places, total: None }
    }
}

fn stored(
    draft: &Draft,
    ttl: Option<f64>,
    expires: Option<u64>,
    source: Option<(&str, &str)>,
    at: u64,
) -> Bytes {
    let raw = |json: &Bytes| {
        let text = String::from_utf8_lossy(json).into_owned();
        // The shell hands in JSON only.
        RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
    };
    let stored = Stored {
        payload: raw(&draft.payload),
        size: draft.size,
        metadata: draft.metadata.as_ref().map(raw),
        key: draft.key.clone(),
        partition: draft.partition.clone(),
        ttl,
        expires,
        source: source.map(|(id, name)| (id.to_owned(), name.to_owned())),
        at,
    };
    // Nothing in it is beyond JSON.
    serde_json::to_vec(&stored).unwrap_or_default().into()
}
