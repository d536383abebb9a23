//! Tells the truth about any server or client that claims to speak a wireproof protocol.
//!
//! *Observations go into a log; claims are made about observations; a verdict is computed from claims; a defect proves that a
//! claim can fail.* The runner takes its protocols as values ([`protocol::Protocol`]); [`PROTOCOLS`] are the ones of this suite.

#[cfg(feature = "suites")]
mod assert;
pub mod check;
#[cfg(feature = "suites")]
pub mod checks;
#[cfg(feature = "suites")]
pub mod cli;
#[cfg(feature = "suites")]
pub mod embed;
pub mod event;
pub mod exit;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub mod observers;
pub mod protocol;
pub mod redact;
pub mod report;
pub mod run;
#[cfg(feature = "suites")]
pub mod selftest;
pub mod site;
pub mod target;
pub mod verdict;
pub mod wire;

#[cfg(feature = "suites")]
pub use assert::assert_conformant;

/// The protocols of this suite.
#[cfg(feature = "suites")]
pub static PROTOCOLS: &[&protocol::Protocol] =
    &[&checks::stream::PROTOCOL, &checks::queue::PROTOCOL, &checks::fleet::PROTOCOL];
