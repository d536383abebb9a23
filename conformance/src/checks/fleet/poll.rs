//! Checks of "Poll" in spec/fleet.md.

use crate::check::Check;

pub(super) const CHECKS: &[Check] = &[];
