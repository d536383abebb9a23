//! A peer that speaks HTTP/2: one request on a connection of its own. Without TLS by prior knowledge (RFC 9113, section 3.3),
//! with TLS by agreement (section 3.2).

use super::{
    Link, Seen,
    dial::Speaks,
    http::{finish, read, record_sent},
    limit,
    overload::{is_overload, overloaded},
};
use crate::check::Stop;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use tokio::time::Instant;
use wireproof_spec::http::{Request, Response};

/// Sends a request whose body comes in frames of this size and without a length, and waits for the answer.
pub(crate) async fn send(link: &Link, request: &Request, size: usize) -> Result<Seen<Response>, Stop> {
    link.proper(request)?;
    let mut built = hyper::Request::builder().method(request.method.as_str()).uri(format!(
        "{}://{}{}",
        link.reach.scheme(),
        link.reach.authority,
        request.target()
    ));
    for (name, value) in request.headers.0.iter().chain(&link.reach.headers) {
        built = built.header(name, value);
    }
    let frames: Vec<Result<Frame<Bytes>, Infallible>> = request
        .body
        .chunks(size.max(1))
        .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let built = built
        .body(StreamBody::new(stream::iter(frames)))
        .map_err(|e| link.harness(&format!("{} {} cannot be written: {e}", request.method, request.path)))?;
    let (number, tap, _) = link.connect_with("http/2", None, Speaks::Http2).await?;
    let handshake = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(u32::try_from(limit::HEAD).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(tap));
    let (mut sender, connection) =
        handshake.await.map_err(|e| link.harness(&format!("the HTTP/2 client did not start: {e}")))?;
    // It ends when the sender is dropped or the target closes; what went wrong is told to the request.
    tokio::spawn(connection);
    link.turn().await;
    let sent = record_sent(link, number, request, false);
    let started = Instant::now();
    let result = read(sender.send_request(built), link.until(link.times.answer), started).await;
    let seen = finish(link, number, sent, started, result).await?;
    match seen.look() {
        Ok(response) if is_overload(response) => Err(overloaded(link, response)),
        _ => Ok(seen),
    }
}
