//! The checks, one folder a protocol, one file an area.

pub mod queue;
pub mod stream;
