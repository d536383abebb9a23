//! Defects of "Connect".

use super::Table;

pub(super) const TABLE: Table = &[];
