//! Defects of "Forks".

use super::Table;

pub(super) const TABLE: Table = &[];
