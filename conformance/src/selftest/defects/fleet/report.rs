//! Defects of "Report".

use super::Table;

pub(super) const TABLE: Table = &[];
