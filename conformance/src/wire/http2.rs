//! A peer that speaks HTTP/2: one request on a connection of its own. Without TLS by prior knowledge (RFC 9113, section 3.3),
//! with TLS by agreement (section 3.2).

use super::{
    Link, Seen,
    dial::Speaks,
    http::{finish, read, record_sent},
    limit,
    overload::{is_overload, overloaded},
};
use crate::check::{Outcome, Stop};
use bytes::{Bytes, BytesMut};
use futures_util::{
    future::{Either, select, try_join},
    stream,
};
use http_body_util::StreamBody;
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{convert::Infallible, iter::repeat, pin::pin};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};
use wireproof_spec::http::{Request, Response};

/// A body in frames, of which nobody says how long it is.
type Framed = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// Sends a request whose body comes in frames of this size and without a length, and waits for the answer.
pub(crate) async fn send(link: &Link, request: &Request, size: usize) -> Result<Seen<Response>, Stop> {
    let built = build(link, request, size)?;
    let (number, tap, _) = link.connect_with("http/2", None, Speaks::Http2).await?;
    let mut sender = begin(link, tap).await?;
    link.turn().await;
    let sent = record_sent(link, number, request, false);
    let started = Instant::now();
    let result = read(sender.send_request(built), link.until(link.times.answer), started).await;
    told(finish(link, number, sent, started, result).await?, link)
}

/// Sends a request in pieces of these sizes, from the first byte of the connection on, the last of them as often as it takes,
/// and waits for the answer. Each leaves when what is to be between it and the one before has ended.
pub(crate) async fn send_in_pieces<F: Future<Output = Outcome>>(
    link: &Link,
    request: &Request,
    sizes: &[usize],
    between: impl Fn() -> F,
) -> Result<Seen<Response>, Stop> {
    /// Room for all that a client says on its own.
    const ROOM: usize = 256 * 1024;
    let built = build(link, request, request.body.len())?;
    let (number, tap, _) = link.connect_with("http/2", None, Speaks::Http2).await?;
    let (near, far) = tokio::io::duplex(ROOM);
    let (mut said, mut heard) = tokio::io::split(far);
    let (mut from, mut to) = tokio::io::split(tap);
    let mut sender = begin(link, near).await?;
    let sent = record_sent(link, number, request, false);
    let started = Instant::now();
    // The pauses are ours, and the target has its time behind the last of them.
    let answer = pin!(read(sender.send_request(built), link.until(link.times.answer * 2), started));
    let forth = async {
        let mut sizes = sizes.iter().copied().chain(repeat(sizes.last().copied().unwrap_or(1)));
        let mut bytes = BytesMut::new();
        while !bytes.is_empty() || said.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            let piece = bytes.split_to(sizes.next().unwrap_or(1).clamp(1, bytes.len()));
            // A target that no longer reads is found out when its answer is read.
            if to.write_all(&piece).await.is_err() || to.flush().await.is_err() {
                break;
            }
            between().await?;
        }
        Ok::<(), Stop>(())
    };
    let back = async {
        // The end of the connection is the end of the answer, which says so.
        let _ = tokio::io::copy(&mut from, &mut heard).await;
        let _ = heard.shutdown().await;
        Ok(())
    };
    let result = match select(answer, pin!(try_join(forth, back))).await {
        Either::Left((result, _)) => result,
        Either::Right((Ok(_), answer)) => answer.await,
        Either::Right((Err(stop), _)) => return Err(stop),
    };
    told(finish(link, number, sent, started, result).await?, link)
}

fn build(link: &Link, request: &Request, size: usize) -> Result<hyper::Request<Framed>, Stop> {
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
    built
        .body(StreamBody::new(stream::iter(frames)))
        .map_err(|e| link.harness(&format!("{} {} cannot be written: {e}", request.method, request.path)))
}

async fn begin(
    link: &Link,
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<http2::SendRequest<Framed>, Stop> {
    let handshake = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(u32::try_from(limit::HEAD).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(io));
    let (sender, connection) =
        handshake.await.map_err(|e| link.harness(&format!("the HTTP/2 client did not start: {e}")))?;
    // It ends when the sender is dropped or the target closes; what went wrong is told to the request.
    tokio::spawn(connection);
    Ok(sender)
}

fn told(seen: Seen<Response>, link: &Link) -> Result<Seen<Response>, Stop> {
    match seen.look() {
        Ok(response) if is_overload(link, response) => Err(overloaded(link, response)),
        _ => Ok(seen),
    }
}
