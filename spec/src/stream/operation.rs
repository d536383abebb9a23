//! Which request of the protocol an HTTP request is.

use super::{
    AppendRequest, CloseRequest, CreateRequest, DeleteRequest, HeadRequest, LongpollRequest, MediaType,
    ReadRequest, SseRequest, header, json,
    read::unknown_live,
    requirements::{STREAM_JSON_4, STREAM_JSON_5, STREAM_JSON_16},
};
use crate::{
    decode::{Field, Side, Violation, expected, value},
    http,
};

/// Any request of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// PUT.
    Create(CreateRequest),
    /// POST with a body.
    Append(AppendRequest),
    /// POST with closure and without a body.
    Close(CloseRequest),
    /// DELETE.
    Delete(DeleteRequest),
    /// HEAD.
    Head(HeadRequest),
    /// GET without `live`.
    Read(ReadRequest),
    /// GET with `live=long-poll`.
    Longpoll(LongpollRequest),
    /// GET with `live=sse`.
    Sse(SseRequest),
}

impl Operation {
    /// Reads any request of the protocol.
    ///
    /// # Errors
    /// The request is none of the protocol. [`Violation::is_method`] says whether its method is the reason, which is
    /// answered with 405; every other is answered with 400.
    pub fn decode(request: &http::Request) -> Result<Self, Violation> {
        match request.method.as_str() {
            "PUT" => {
                let create = CreateRequest::decode(request)?;
                if !create.body.is_empty() && create.content_type.as_ref().is_some_and(MediaType::is_json) {
                    json::messages(&create.body).map_err(|violation| violation.of(STREAM_JSON_16))?;
                }
                Ok(Self::Create(create))
            }
            "POST" if request.body.is_empty() && closes(request) => {
                CloseRequest::decode(request).map(Self::Close)
            }
            "POST" => {
                let append = AppendRequest::decode(request)?;
                if append.content_type.is_json()
                    && json::messages(&append.body).map_err(|v| v.of(STREAM_JSON_5))?.is_empty()
                {
                    return Err(
                        Violation::new("/body", "expected at least one message, found []").of(STREAM_JSON_4)
                    );
                }
                Ok(Self::Append(append))
            }
            "DELETE" => DeleteRequest::decode(request).map(Self::Delete),
            "HEAD" => HeadRequest::decode(request).map(Self::Head),
            "GET" => match value(&request.query, header::query::LIVE).as_deref() {
                None => ReadRequest::decode(request).map(Self::Read),
                Some("long-poll") => LongpollRequest::decode(request).map(Self::Longpoll),
                Some("sse") => SseRequest::decode(request).map(Self::Sse),
                Some(live) => Err(unknown_live("long-poll or sse", live)),
            },
            other => Err(Violation::new("/method", expected("PUT, POST, DELETE, HEAD or GET", other))),
        }
    }

    /// Writes it as an HTTP request.
    pub fn encode(self) -> http::Request {
        match self {
            Self::Create(request) => request.encode(),
            Self::Append(request) => request.encode(),
            Self::Close(request) => request.encode(),
            Self::Delete(request) => request.encode(),
            Self::Head(request) => request.encode(),
            Self::Read(request) => request.encode(),
            Self::Longpoll(request) => request.encode(),
            Self::Sse(request) => request.encode(),
        }
    }

    /// The path of the stream.
    pub fn path(&self) -> &str {
        match self {
            Self::Create(request) => &request.path,
            Self::Append(request) => &request.path,
            Self::Close(request) => &request.path,
            Self::Delete(request) => &request.path,
            Self::Head(request) => &request.path,
            Self::Read(request) => &request.path,
            Self::Longpoll(request) => &request.path,
            Self::Sse(request) => &request.path,
        }
    }
}

fn closes(request: &http::Request) -> bool {
    let value = value(&request.headers, header::CLOSED);
    // In a request no value of a flag is an error.
    bool::read(value.as_deref(), Side::Client).unwrap_or(false)
}
