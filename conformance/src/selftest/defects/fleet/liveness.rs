//! Defects of "Liveness".

use super::Table;

pub(super) const TABLE: Table = &[];
