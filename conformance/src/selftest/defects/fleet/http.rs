//! Defects of "Http".

use super::Table;

pub(super) const TABLE: Table = &[];
