//! Defects of "Close".

use super::Table;

pub(super) const TABLE: Table = &[];
