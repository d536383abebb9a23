//! Defects of "Startup".

use super::Table;

pub(super) const TABLE: Table = &[];
