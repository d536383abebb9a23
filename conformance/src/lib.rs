//! Tells the truth about any server or client that claims to speak a wireproof protocol.
//!
//! *Observations go into a log; claims are made about observations; a verdict is computed from claims; a defect proves that a
//! claim can fail.* The runner takes its protocols as values ([`protocol::Protocol`]); [`PROTOCOLS`] are the ones of this suite.

mod assert;
pub mod check;
pub mod checks;
pub mod cli;
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
pub mod selftest;
pub mod site;
pub mod target;
pub mod verdict;
pub mod wire;

pub use assert::assert_conformant;

use protocol::Protocol;

/// The protocols of this suite.
pub static PROTOCOLS: &[&Protocol] = &[&checks::stream::PROTOCOL];
