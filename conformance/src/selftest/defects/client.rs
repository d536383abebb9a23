//! Ways to break a reference client, whatever it speaks: those of [`Breakage`], around the variant of a client with all that it
//! has.

use super::Breakage;
use crate::{embed::adapter::CLIENT, protocol::Cut};
use wireproof_spec::requirement::RequirementId;

/// As [`Breakage::always`].
pub const fn always<S>(
    id: &'static str,
    requirement: RequirementId,
    cut: Cut,
    seams: fn() -> S,
) -> Breakage<S> {
    Breakage::always(id, requirement, cut, seams).variant(CLIENT)
}

/// As [`Breakage::second`].
pub const fn second<S>(
    id: &'static str,
    requirement: RequirementId,
    cut: Cut,
    seams: fn() -> S,
) -> Breakage<S> {
    Breakage::second(id, requirement, cut, seams).variant(CLIENT)
}

/// As [`Breakage::boundary`].
pub const fn boundary<S>(
    id: &'static str,
    requirement: RequirementId,
    cut: Cut,
    seams: fn() -> S,
) -> Breakage<S> {
    Breakage::boundary(id, requirement, cut, seams).variant(CLIENT)
}

/// As [`Breakage::race`].
pub const fn race<S>(
    id: &'static str,
    requirement: RequirementId,
    cut: Cut,
    seams: fn() -> S,
) -> Breakage<S> {
    Breakage::race(id, requirement, cut, seams).variant(CLIENT)
}
