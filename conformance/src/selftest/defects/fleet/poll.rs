//! Defects of "Poll".

use super::Table;

pub(super) const TABLE: Table = &[];
