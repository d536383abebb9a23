//! Defects of "Sse".

use super::Table;

pub(super) const TABLE: Table = &[];
