//! Defects of "Drain".

use super::Table;

pub(super) const TABLE: Table = &[];
