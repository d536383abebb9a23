//! The fleet protocol: spec/fleet.md.
//!
//! [`model`] is the protocol as orchestrators speak it, [`server`] is the shell around it; [`program`] is that as a program of its own;
//! [`settings`] and [`seams`] are what an orchestrator can be started with. [`client`] is an agent.

mod access;
pub mod client;
mod events;
pub mod model;
pub mod program;
mod routes;
pub mod seams;
pub mod server;
pub mod settings;
mod socket;

pub use access::Throttle;
pub use model::FleetModel;
pub use program::Program;
pub use seams::Seams;
pub use server::{Running, Server, StartError};
pub use settings::{ADMIN_KEY, AGENT_KEY, Limits, Options};
