//! Conditional: answers that say only that nothing has changed.

/// The entity tag of what is known by this state hash.
pub fn etag(state_hash: &str) -> String {
    format!("W/\"{state_hash}\"")
}

/// Whether `If-None-Match` names this entity tag, or any.
pub fn matches(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|tag| tag == "*" || tag == etag)
}
