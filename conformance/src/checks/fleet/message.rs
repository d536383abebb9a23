//! Checks of "Message" in spec/fleet.md.

use crate::check::Check;

pub(super) const CHECKS: &[Check] = &[];
