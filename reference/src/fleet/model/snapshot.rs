//! Snapshot: the bounds that it has to keep. Lengths are in code units of UTF-16.

use std::collections::BTreeSet;
use url::Url;
use wireproof_spec::fleet::{Snapshot, Status};

const NAME: usize = 64;
const URL: usize = 512;
const LABELS: usize = 32;
const LABEL: usize = 64;
const TYPES: usize = 256;
const TYPE: usize = 64;
const ROOMS: usize = 50_000;
const ROOM: usize = 256;
const CONNECTIONS: u32 = 1_000_000;

/// The bound that a snapshot breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `endpointUrl` is too long, no absolute URL, or has another scheme.
    EndpointUrl,
    /// `name` is too long.
    Name,
    /// There are too many labels, or a key or value is too long.
    Labels,
    /// There are too many room types, or one is too long.
    RoomTypes,
    /// There are too many rooms, an id or a type is too long, or too many are connected to one.
    Rooms,
    /// `status` is none that is known.
    Status,
}

/// Whether a snapshot keeps every bound.
///
/// # Errors
/// The first bound that it breaks.
pub fn check(snapshot: &Snapshot) -> Result<(), Bound> {
    let keys: BTreeSet<&str> = snapshot.labels.iter().map(|label| label.key.as_str()).collect();
    let labels = || snapshot.labels.iter().all(|label| fits(&label.key, LABEL) && fits(&label.value, LABEL));
    let room_types = || snapshot.room_types.iter().all(|kind| fits(kind, TYPE));
    let rooms = || {
        let fits = |room: &wireproof_spec::fleet::SyncRoom| {
            fits(&room.id, ROOM) && fits(&room.kind, TYPE) && room.connections <= CONNECTIONS
        };
        snapshot.rooms.iter().all(fits)
    };
    let kept = |kept: bool, bound| if kept { Ok(()) } else { Err(bound) };
    kept(fits(&snapshot.endpoint_url, URL), Bound::EndpointUrl)?;
    kept(fits(&snapshot.name, NAME), Bound::Name)?;
    kept(snapshot.room_types.len() <= TYPES && room_types(), Bound::RoomTypes)?;
    kept(snapshot.rooms.len() <= ROOMS, Bound::Rooms)?;
    kept(is_endpoint(&snapshot.endpoint_url), Bound::EndpointUrl)?;
    kept(keys.len() <= LABELS && labels(), Bound::Labels)?;
    kept(rooms(), Bound::Rooms)?;
    kept(matches!(snapshot.status, Status::Active | Status::Draining), Bound::Status)
}

fn fits(text: &str, most: usize) -> bool {
    // There are never more units than bytes.
    text.len() <= most || text.encode_utf16().count() <= most
}

fn is_endpoint(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "ws" | "wss" | "http" | "https"))
}
