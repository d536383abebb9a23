//! The client of the queue protocol: a subscriber that dials again, and a caller of the HTTP API that tries again.
//!
//! [`model`] is the subscription and [`retry`] the patience of a caller, both pure; [`subscription`] and [`http`] are the
//! shells around them. [`settings`] holds what a user sets, [`seams`] the places at which a test breaks the client.

mod error;
pub mod http;
pub mod model;
pub mod retry;
pub mod seams;
pub mod settings;
mod stream;
pub mod subscription;
mod url;

pub use error::{ApiError, Error, Kind};
pub use http::{Caller, Payload};
pub use model::{Status, SubscriberModel};
pub use seams::Seams;
pub use settings::{Bounds, Redial, Retries, Settings, Subscribe};
pub use stream::Messages;
pub use subscription::{Event, Handle, Seen, Subscription, stream, subscribe};
