//! Defects of "Read".

use super::Table;

pub(super) const TABLE: Table = &[];
