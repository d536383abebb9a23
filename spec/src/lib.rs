//! What the wireproof protocols say: numbered requirements, typed messages and JSON Schemas.
//!
//! Each protocol is a module with one file an area, named as the heading of its document: [`stream`], [`queue`], [`fleet`].

pub mod decode;
pub mod fleet;
pub mod http;
pub mod json;
#[cfg(feature = "schema")]
pub mod openapi;
pub mod queue;
pub mod requirement;
#[cfg(feature = "schema")]
pub mod schema;
pub mod stream;
