//! Defects of "Snapshot".

use super::Table;

pub(super) const TABLE: Table = &[];
