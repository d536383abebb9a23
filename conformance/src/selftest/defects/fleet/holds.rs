//! Defects of "Holds".

use super::Table;

pub(super) const TABLE: Table = &[];
