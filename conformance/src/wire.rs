//! Peers that record: everything that the runner says to a target, and everything that it hears from it.
//!
//! Only this layer makes an observation ([`Seen`]); nothing outside can forge one. Everything read is bounded in size and
//! time ([`limit`]).

pub mod app;
pub(crate) mod dial;
pub mod distance;
pub(crate) mod framing;
pub mod http;
pub(crate) mod http2;
pub mod limit;
mod link;
pub mod listen;
pub mod overload;
pub(crate) mod pace;
pub mod program;
pub mod raw;
mod seen;
pub mod sink;
pub mod sse;
pub(crate) mod sweep;
mod tap;
mod value;
pub mod ws;

pub use link::{Alive, Link, Reach};
pub use seen::{Lost, Seen};
pub use value::plain;
