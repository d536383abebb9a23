//! Defects of "Redial".

use super::client::ClientTable;

pub(super) const TABLE: ClientTable = &[];
