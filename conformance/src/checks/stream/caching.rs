//! Checks of "Caching" in spec/stream.md.

use crate::check::Check;

pub(super) const CHECKS: &[Check] = &[];
