//! The queue protocol: spec/queue.md.
//!
//! [`model`] is the protocol, [`server`] is the shell around it; [`seams`] is what a server can be started with. [`client`]
//! is the other side: a subscriber, and a caller of the HTTP API.

mod answer;
mod calls;
pub mod client;
mod content;
mod frames;
mod message;
pub mod model;
pub mod seams;
pub mod server;
mod socket;
pub(crate) mod tapped;
mod time;

pub use model::QueueModel;
pub use seams::{Access, KEY, Limits, Parts, Seams};
pub use server::{Options, Running, Server};
