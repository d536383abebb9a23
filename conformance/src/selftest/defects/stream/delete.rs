//! Defects of "Delete".

use super::Table;

pub(super) const TABLE: Table = &[];
