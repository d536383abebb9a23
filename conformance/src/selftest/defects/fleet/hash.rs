//! Defects of "Hash".

use super::Table;

pub(super) const TABLE: Table = &[];
