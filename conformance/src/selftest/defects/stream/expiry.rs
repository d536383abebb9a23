//! Defects of "Expiry".

use super::Table;

pub(super) const TABLE: Table = &[];
