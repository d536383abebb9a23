//! Defects of "Commands".

use super::Table;

pub(super) const TABLE: Table = &[];
