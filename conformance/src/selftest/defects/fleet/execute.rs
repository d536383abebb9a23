//! Defects of "Execute".

use super::Table;

pub(super) const TABLE: Table = &[];
