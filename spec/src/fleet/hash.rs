//! Hash: how the same state has the same hash in every language.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The canonical text of a document: no white space, members sorted by code units of UTF-16, strings and numbers as ECMAScript
/// writes them. It is the form of RFC 8785.
pub fn canonical(document: &impl Serialize) -> String {
    // A document is JSON, and writing it into memory does not fail.
    serde_json_canonicalizer::to_string(document).unwrap_or_default()
}

/// The hash of a document: the first eight bytes of SHA-256 over its canonical text, in 16 small hexadecimal digits.
pub fn hash(document: &impl Serialize) -> String {
    Sha256::digest(canonical(document))[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
