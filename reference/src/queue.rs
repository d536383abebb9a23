//! The queue protocol: spec/queue.md.
//!
//! [`model`] is the protocol, [`server`] is the shell around it; [`seams`] is what a server can be started with.

mod answer;
mod calls;
mod content;
mod frames;
mod message;
pub mod model;
pub mod seams;
pub mod server;
mod socket;
mod time;

pub use model::QueueModel;
pub use seams::{Access, KEY, Limits, Parts, Seams};
pub use server::{Options, Running, Server};
