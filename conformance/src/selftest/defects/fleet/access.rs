//! Defects of "Access".

use super::Table;

pub(super) const TABLE: Table = &[];
