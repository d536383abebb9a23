//! Delete: `DELETE` on the URL of a stream.

use super::requirements::STREAM_MESSAGE_4;
use crate::decode::{Only, request, response};

request! {
    /// Deletes a stream.
    DeleteRequest = "stream/delete-request", "DELETE";
    query {}
    headers {}
}

response! {
    /// The answer to a DELETE that succeeded.
    DeleteResponse = "stream/delete-response", STREAM_MESSAGE_4;
    status = Only(204);
    headers {}
}
