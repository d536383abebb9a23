//! The checks, one folder a protocol, one file an area.

pub mod stream;
