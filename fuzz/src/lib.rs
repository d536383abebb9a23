//! Fuzz targets, each a function over bytes that panics if what reads them is wrong. `fuzz/run` builds and runs them.
//!
//! The binaries below targets/ hand them to libFuzzer; a test hands them every seed and every input that ever broke one.

pub mod documents;
pub mod frames;
pub mod messages;
pub mod texts;

#[cfg(feature = "runner")]
mod runner;
#[cfg(feature = "runner")]
pub mod seeds;
#[cfg(feature = "runner")]
pub use runner::{adapter, answer, files, log, model, queue, raw, requirements, sse, websocket};
