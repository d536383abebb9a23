//! Defects of "Conditional".

use super::Table;

pub(super) const TABLE: Table = &[];
