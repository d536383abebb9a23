//! The agent of the fleet protocol: it dials an orchestrator, answers its polls, does what it commands, and dials again.
//!
//! [`model`] is the agent, pure; [`agent`] is the shell around it, with a handle for the host. [`settings`] holds what an
//! owner sets, [`seams`] the places at which a test breaks the agent.

pub mod agent;
mod driver;
mod error;
pub mod model;
pub mod seams;
pub mod settings;

pub use agent::{Agent, Handle, Seen};
pub use error::Error;
pub use model::{AgentModel, Condition, Event};
pub use seams::Seams;
pub use settings::{Bounds, Redial, Settings};
