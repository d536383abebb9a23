//! What every protocol is made of: a pure state machine, and the port through which the shell calls it.
//!
//! The port is a value handed in at start, so that a broken server can be built around an unchanged model: forget the
//! records and keep the effects, decide on an older clone of the state, decide twice, in another order or at another
//! time, or rewrite what goes in or comes out.

use crate::log::Block;
use serde::{Serialize, de::DeserializeOwned};

/// A protocol as a state machine: one value holds the whole server.
///
/// `decide` and `apply` are total and deterministic: random bytes come in with the input, the time is an argument, and
/// facts about content are looked up by the shell beforehand.
pub trait Model: Sized + Send + 'static {
    /// Everything that decisions depend on. It grows with streams and sessions, never with messages.
    type State: Clone + Default + Send + 'static;
    /// What happens to the server: a request, a client that goes away, the passing of time.
    type Input: Clone + Send + 'static;
    /// A change of the state.
    type Record: Clone + Serialize + DeserializeOwned + Send + 'static;
    /// What the shell has to do: answer a request, remove content.
    type Effect: Clone + Send + 'static;

    /// What follows from an input at `now` (milliseconds since 1970). Deadlines are compared here, never by the timer.
    fn decide(state: &Self::State, now: u64, input: &Self::Input) -> Decision<Self>;
    /// Changes the state; nothing else does.
    fn apply(state: &mut Self::State, record: &Self::Record);
    /// When (milliseconds since 1970) `tick` should come next.
    fn wake_at(state: &Self::State) -> Option<u64>;
    /// Whether a record goes to the log; the others are about sessions and are gone at restart.
    fn durable(record: &Self::Record) -> bool;
    /// The content that a durable record brings. It is stored beside the record and not read at recovery.
    fn block(record: &Self::Record) -> Option<Block>;
    /// The input that says that time has passed.
    fn tick() -> Self::Input;
    /// The first input after recovery.
    fn started() -> Self::Input;
    /// The input that says that the server is about to stop: what waits is answered.
    fn stopping() -> Self::Input;
}

/// What `decide` returns: the records are applied and logged together, then the effects are due, in their order.
#[derive(Clone)]
pub struct Decision<M: Model> {
    /// Changes of the state.
    pub records: Vec<M::Record>,
    /// What is to be done once the records are durable.
    pub effects: Vec<M::Effect>,
}

impl<M: Model> Default for Decision<M> {
    fn default() -> Self {
        Self { records: Vec::new(), effects: Vec::new() }
    }
}

/// How the shell calls a model.
pub type Port<M> =
    Box<dyn FnMut(&<M as Model>::State, u64, &<M as Model>::Input) -> Decision<M> + Send + 'static>;

/// The port that changes nothing.
pub fn honest<M: Model>() -> Port<M> {
    Box::new(M::decide)
}
