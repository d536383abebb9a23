//! Close: the codes of close frames, and what clients make of them.

/// A client whose user is done, and the reason that it gives.
pub const CLIENT_CLOSED: (u16, &str) = (1000, "Client closed");
/// A client that got no AuthResponse as the first frame, and the reason that it gives.
pub const INVALID_AUTH_RESPONSE: (u16, &str) = (4000, "Invalid auth response");
/// A client that was refused, and the reason that it gives.
pub const AUTH_FAILED: (u16, &str) = (4001, "Auth failed");

/// Whether many clients take a close of the server with this code as final, and do not dial again.
pub fn is_final(code: u16) -> bool {
    (4000..=4999).contains(&code)
}
