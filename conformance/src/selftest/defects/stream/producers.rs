//! Defects of "Producers".

use super::Table;

pub(super) const TABLE: Table = &[];
