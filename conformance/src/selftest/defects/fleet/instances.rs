//! Defects of "Instances".

use super::Table;

pub(super) const TABLE: Table = &[];
