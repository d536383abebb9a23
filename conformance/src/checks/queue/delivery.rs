//! Checks of "Delivery" in spec/queue.md.

use crate::check::Check;

pub(super) const CHECKS: &[Check] = &[];
