//! Connect: how an agent is let in, and with which codes it is let go.

/// What an agent offers as its second subprotocol, and an orchestrator selects.
pub const SENTINEL: &str = "rivalis-fleet.v1";

/// The codes with which an orchestrator closes.
pub mod close {
    /// The key is missing or none of its keys.
    pub const UNAUTHORIZED: u16 = 4001;
    /// A text frame.
    pub const TEXT: u16 = 4002;
    /// A violation of the protocol, or an agent that does not answer; in shutdown too.
    pub const VIOLATION: u16 = 4003;
}
