//! Streams of JSON messages: what the body of a write to one holds.

use crate::decode::Violation;
use serde_json::value::RawValue;

/// The media type of such a stream, without parameters.
pub const MEDIA_TYPE: &str = "application/json";

/// The messages of a body, each as it was written: the elements of an array, or the one value that it is.
///
/// # Errors
/// The body is no JSON text in UTF-8.
pub fn messages(body: &[u8]) -> Result<Vec<&RawValue>, Violation> {
    let is_array = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    let read = if is_array {
        serde_json::from_slice(body)
    } else {
        serde_json::from_slice(body).map(|one| vec![one])
    };
    read.map_err(|error| Violation::new("/body", format!("expected JSON, found none: {error}")))
}
