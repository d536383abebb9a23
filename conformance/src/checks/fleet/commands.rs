//! Checks of "Commands" in spec/fleet.md.

use crate::check::Check;

pub(super) const CHECKS: &[Check] = &[];
