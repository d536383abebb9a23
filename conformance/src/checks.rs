//! The checks, one folder a protocol, one file an area.

pub mod fleet;
pub mod late;
pub mod queue;
pub mod stream;
