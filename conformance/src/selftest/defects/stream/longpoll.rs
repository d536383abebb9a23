//! Defects of "Longpoll".

use super::Table;

pub(super) const TABLE: Table = &[];
