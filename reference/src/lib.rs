//! One working implementation of every wireproof protocol, on pure state machines.
//!
//! A server is three things: a [`model`] that decides (no I/O, no clock, no randomness), a [`log`] that keeps what was
//! decided, and a shell that owns the sockets. The [`core`] between them decides one input at a time and lets no effect
//! out before the log is durable up to it. The rooms of a protocol are `<protocol>/model.rs` and `<protocol>/server.rs`:
//! [`stream`], [`queue`], [`fleet`]. A client is a model in its shell, without a log: `<protocol>/client.rs`.

mod client;
mod clock;
pub mod core;
pub mod fleet;
pub mod http;
pub mod log;
pub mod model;
pub mod queue;
pub mod shell;
pub mod stream;
