//! Defects of "Retry".

use super::client::ClientTable;

pub(super) const TABLE: ClientTable = &[];
