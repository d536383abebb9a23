//! Events: what happens, as operators are told in an event stream.

use super::requirements::{FLEET_MESSAGE_11, FLEET_MESSAGE_12, FLEET_MESSAGE_13};
use crate::requirement::RequirementId;

/// The name of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// An instance is known.
    Join,
    /// An instance is gone.
    Leave,
    /// An instance does not answer.
    Stale,
    /// A room is known.
    Create,
    /// A room is gone.
    Destroy,
    /// What operators see has changed.
    Sync,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 6] =
        [Self::Join, Self::Leave, Self::Stale, Self::Create, Self::Destroy, Self::Sync];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "instance:join",
            Self::Leave => "instance:leave",
            Self::Stale => "instance:stale",
            Self::Create => "room:create",
            Self::Destroy => "room:destroy",
            Self::Sync => "sync",
        }
    }

    /// The event of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }

    /// The requirement for the shape of its data, and the schema.
    pub fn shape(self) -> (RequirementId, &'static str) {
        match self {
            Self::Join | Self::Leave | Self::Stale => (FLEET_MESSAGE_11, "fleet/instance-info"),
            Self::Create | Self::Destroy => (FLEET_MESSAGE_12, "fleet/room-info"),
            Self::Sync => (FLEET_MESSAGE_13, "fleet/fleet-stats"),
        }
    }
}
