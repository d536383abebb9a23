//! Defects of "Placement".

use super::Table;

pub(super) const TABLE: Table = &[];
