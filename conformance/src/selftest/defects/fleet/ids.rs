//! Defects of "Ids".

use super::Table;

pub(super) const TABLE: Table = &[];
