//! The registry of requirements, read from the normative documents.

#[cfg(feature = "registry")]
pub mod constants;
#[cfg(feature = "registry")]
pub mod parse;
#[cfg(feature = "registry")]
pub use parse::{Kind, Level, ParseError, Requirement, Role, requirements};

use std::fmt;

/// How the documents are to be read.
#[cfg(feature = "registry")]
pub const CONVENTIONS: &str = include_str!("../conventions.md");

/// The id of a requirement. Only generated constants hold one, so an unknown id does not compile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequirementId(&'static str);

impl RequirementId {
    /// Only for the generator of constants.
    #[doc(hidden)]
    pub const fn new(id: &'static str) -> Self {
        Self(id)
    }

    /// `STREAM-APPEND-4`.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for RequirementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for RequirementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
