//! Defects of "Content".

use super::Table;

pub(super) const TABLE: Table = &[];
