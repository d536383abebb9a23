//! The defects of the stream protocol.

use super::Breakage;
use crate::{embed::reference::stream::Seams, protocol::Defect};

const TABLES: &[&[Breakage<Seams>]] = &[];

/// Every defect.
pub fn all() -> Vec<&'static Defect> {
    TABLES.iter().flat_map(|table| table.iter().map(|b| &b.defect)).collect()
}

/// A defect by its id.
pub fn find(id: &str) -> Option<&'static Breakage<Seams>> {
    TABLES.iter().flat_map(|table| table.iter()).find(|b| b.defect.id == id)
}
