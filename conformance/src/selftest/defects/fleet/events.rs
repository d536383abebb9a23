//! Defects of "Events".

use super::Table;

pub(super) const TABLE: Table = &[];
