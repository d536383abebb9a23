//! The model of an orchestrator: its rules one by one, and whatever happens in whatever order.

#[path = "fleet_model/agents.rs"]
mod agents;
#[path = "fleet_model/any.rs"]
mod any;
#[path = "fleet_model/operators.rs"]
mod operators;
#[path = "fleet_model/placement.rs"]
mod placement;
#[path = "fleet_model/shown.rs"]
mod shown;
#[path = "fleet_model/snapshots.rs"]
mod snapshots;
#[path = "fleet_model/world.rs"]
mod world;
