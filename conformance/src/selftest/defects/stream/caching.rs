//! Defects of "Caching".

use super::Table;

pub(super) const TABLE: Table = &[];
