//! The frames of what is pushed, made once for all who are pushed the same at about the same time.

use super::{
    content::{Read, messages, queue_id},
    model::Place,
};
use crate::log::{Content, Error};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use wireproof_spec::queue::{Push, PushType};

/// So many of the last are kept; each holds about as much as one read of content.
const KEPT: usize = 8;

/// What is to be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    /// The queue.
    pub(super) incarnation: u64,
    /// Where the messages are.
    pub(super) places: &'a [Place],
    /// Why they are pushed.
    pub(super) kind: PushType,
    /// How many bytes of messages are read at once, in about.
    pub(super) most: usize,
}

/// The texts of Pushes, and how many of the places that were asked for they cover: at least one.
pub(super) struct Made {
    pub(super) texts: Vec<Utf8Bytes>,
    pub(super) places: usize,
}

struct Entry {
    incarnation: u64,
    places: Vec<Place>,
    kind: PushType,
    made: OnceCell<Made>,
}

/// The last that were made.
#[derive(Default)]
pub(super) struct Frames(Mutex<VecDeque<Arc<Entry>>>);

/// Some of them, whoever made them.
pub(super) struct Shared(Arc<Entry>);

impl Frames {
    /// The frames of the first of what is wanted. Whoever wants the same waits for them, and makes none.
    pub(super) async fn shared(&self, content: &Content, wanted: Wanted<'_>) -> Result<Shared, Error> {
        let entry = self.entry(wanted);
        entry.made.get_or_try_init(|| made(content, wanted)).await?;
        Ok(Shared(entry))
    }

    fn entry(&self, wanted: Wanted<'_>) -> Arc<Entry> {
        let Wanted { incarnation, places, kind, .. } = wanted;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |entry: &&Arc<Entry>| {
            entry.incarnation == incarnation && entry.kind == kind && entry.places == places
        };
        if let Some(entry) = kept.iter().rev().find(same) {
            return Arc::clone(entry);
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        let places = places.to_vec();
        let entry = Arc::new(Entry { incarnation, places, kind, made: OnceCell::new() });
        kept.push_back(Arc::clone(&entry));
        entry
    }
}

impl Shared {
    pub(super) fn get(&self) -> Option<&Made> {
        self.0.made.get()
    }
}

/// The frames of the first of what is wanted: one with all of them for a replay, and one for each otherwise.
pub(super) async fn made(content: &Content, wanted: Wanted<'_>) -> Result<Made, Error> {
    let Wanted { incarnation, places, kind, most } = wanted;
    let Read { found, places } = messages(content, incarnation, places, most).await?;
    let push = |messages| Push { kind, queue_id: queue_id(incarnation), messages };
    let texts = match kind {
        PushType::Replay if found.is_empty() => Vec::new(),
        PushType::Replay => vec![push(found).encode().into()],
        PushType::Message => found.into_iter().map(|one| push(vec![one]).encode().into()).collect(),
    };
    Ok(Made { texts, places })
}
