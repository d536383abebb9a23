//! The stream protocol: spec/stream.md.
//!
//! [`model`] is the protocol, [`server`] is the shell around it, [`sse`] what it writes to readers that stay; [`gate`] and
//! [`seams`] are what a server can be started with.

mod content;
pub mod gate;
mod message;
pub mod model;
pub mod seams;
pub mod server;
pub mod sse;

pub use gate::Access;
pub use model::StreamModel;
pub use seams::{Limits, Parts, Seams};
pub use server::{Options, Running, Server};
