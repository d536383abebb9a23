//! The stream protocol: spec/stream.md.
//!
//! [`model`] is the protocol, [`server`] is the shell around it, [`seams`] is what a server can be started with.

mod http;
mod message;
pub mod model;
pub mod seams;
pub mod server;

pub use model::StreamModel;
pub use seams::{Limits, Seams};
pub use server::{Options, Running, Server};
