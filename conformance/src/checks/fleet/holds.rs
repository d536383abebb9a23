//! Checks of "Holds" in spec/fleet.md.

use crate::check::Check;

pub(super) const CHECKS: &[Check] = &[];
