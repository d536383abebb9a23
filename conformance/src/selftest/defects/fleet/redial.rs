//! Defects of "Redial".

use super::Table;

pub(super) const TABLE: Table = &[];
