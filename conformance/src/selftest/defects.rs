//! Ways to break a reference, one table an area. Each breaks exactly one requirement.
//!
//! The cuts are written once for all protocols: [`port`] around a model, [`wire`] around decoded requests and replies, [`client`]
//! around clients; what
//! a restart makes of the log is a value of the reference itself.

pub mod client;
pub mod fleet;
pub mod port;
pub mod queue;
pub mod stream;
pub mod wire;

use crate::protocol::{Cut, Defect, Trigger};
use wireproof_spec::requirement::RequirementId;

/// A defect, and the seams that make it.
pub struct Breakage<S: 'static> {
    /// What it is.
    pub defect: Defect,
    /// Makes the broken seams, afresh at each start.
    pub seams: fn() -> S,
}

impl<S> Breakage<S> {
    const fn new(
        id: &'static str,
        requirement: RequirementId,
        cut: Cut,
        trigger: Trigger,
        seams: fn() -> S,
    ) -> Self {
        let defect = Defect { id, requirement, cut, trigger, variant: "full", shape: None, wide: None };
        Self { defect, seams }
    }

    /// Bites at once.
    pub const fn always(id: &'static str, requirement: RequirementId, cut: Cut, seams: fn() -> S) -> Self {
        Self::new(id, requirement, cut, Trigger::Always, seams)
    }

    /// Bites only the second time.
    pub const fn second(id: &'static str, requirement: RequirementId, cut: Cut, seams: fn() -> S) -> Self {
        Self::new(id, requirement, cut, Trigger::Second, seams)
    }

    /// Bites only at the edge of something.
    pub const fn boundary(id: &'static str, requirement: RequirementId, cut: Cut, seams: fn() -> S) -> Self {
        Self::new(id, requirement, cut, Trigger::Boundary, seams)
    }

    /// Bites only when things happen at once.
    pub const fn race(id: &'static str, requirement: RequirementId, cut: Cut, seams: fn() -> S) -> Self {
        Self::new(id, requirement, cut, Trigger::Race, seams)
    }

    /// Bites only at a restart; around the variant that keeps data.
    pub const fn restart(id: &'static str, requirement: RequirementId, cut: Cut, seams: fn() -> S) -> Self {
        Self::new(id, requirement, cut, Trigger::Restart, seams).variant("durable")
    }

    /// Around this variant of the reference.
    pub const fn variant(mut self, variant: &'static str) -> Self {
        self.defect.variant = variant;
        self
    }

    /// What it says need not be valid and plausible, for this reason.
    pub const fn shape(mut self, reason: &'static str) -> Self {
        self.defect.shape = Some(reason);
        self
    }

    /// It turns many unrelated checks red, for this reason.
    pub const fn wide(mut self, reason: &'static str) -> Self {
        self.defect.wide = Some(reason);
        self
    }
}
