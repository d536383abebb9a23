//! Defects of "Resume".

use super::client::ClientTable;

pub(super) const TABLE: ClientTable = &[];
