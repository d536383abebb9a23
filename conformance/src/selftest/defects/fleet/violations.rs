//! Defects of "Violations".

use super::Table;

pub(super) const TABLE: Table = &[];
