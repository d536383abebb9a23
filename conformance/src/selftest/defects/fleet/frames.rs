//! Defects of "Frames".

use super::Table;

pub(super) const TABLE: Table = &[];
