//! Checks of "Expiry" in spec/stream.md.

use crate::check::Check;

pub(super) const CHECKS: &[Check] = &[];
