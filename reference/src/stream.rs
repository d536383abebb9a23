//! The stream protocol: spec/stream.md.
//!
//! [`model`] is the protocol, [`server`] is the shell around it, [`sse`] what it writes to readers that stay, and [`seams`] is
//! what a server can be started with.

mod content;
mod http;
mod message;
pub mod model;
pub mod seams;
pub mod server;
pub mod sse;

pub use model::StreamModel;
pub use seams::{Limits, Parts, Seams};
pub use server::{Options, Running, Server};
