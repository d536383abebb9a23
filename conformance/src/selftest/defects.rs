//! Ways to break a reference, one table an area. Each breaks exactly one requirement.

pub mod port;
pub mod stream;
pub mod wire;

use crate::protocol::Defect;

/// A defect, and the seams that make it.
pub struct Breakage<S: 'static> {
    /// What it is.
    pub defect: Defect,
    /// Makes the broken seams, afresh at each start.
    pub seams: fn() -> S,
}
