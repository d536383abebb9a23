//! Defects of "Message".

use super::Table;

pub(super) const TABLE: Table = &[];
