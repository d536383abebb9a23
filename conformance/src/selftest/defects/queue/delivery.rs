//! Defects of "Delivery".

use super::client::ClientTable;

pub(super) const TABLE: ClientTable = &[];
