//! Between hyper and HTTP messages as values: reading a request whole within its bounds, writing an answer.

mod front;
mod seams;

pub(crate) use front::{Beyond, Front};
pub use seams::{Delay, Early, MapReply, MapRequest, Pieces, RawBytes, Received, Seams};

use bytes::{Bytes, BytesMut};
use flate2::{Compression, write::GzEncoder};
use http_body_util::BodyExt;
use hyper::{
    body::{Body as _, Incoming},
    header::{HeaderName, HeaderValue},
    http::request::Parts,
};
use std::{
    io::{self, Write},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};
use wireproof_spec::http::{Body, Request, Response};

/// The header that names what an answer holds.
const ETAG: &str = "etag";

/// Why a request has no answer: its connection ends without one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// The request ended early, or its connection did.
    #[error("the request ended early: {0}")]
    Early(#[from] hyper::Error),
    /// The server ended.
    #[error("the server has ended")]
    Ended,
    /// Other bytes are written in the place of the answer.
    #[error("other bytes are written")]
    Replaced,
}

/// Why the body of a request was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It took longer than this.
    Slow(Duration),
    /// It is longer than this many bytes.
    Long(usize),
}

/// The bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The longest head of a request, in bytes.
    pub(crate) max_head: usize,
    /// How long a head may take, in milliseconds.
    pub(crate) head_ms: u64,
    /// The longest body, in bytes.
    pub(crate) max_body: usize,
    /// How long a body may take, in milliseconds.
    pub(crate) body_ms: u64,
    /// How long nothing of what is written may be taken, in milliseconds.
    pub(crate) write_ms: u64,
}

/// A body that is this many times longer than allowed is no longer read to its end, but cut off.
const PATIENCE: usize = 4;

/// Reads a request whole, or without a body that is beyond the bounds, which is then said.
async fn request(
    parts: &Parts,
    body: Incoming,
    bounds: Bounds,
    early: Option<&Early>,
    in_pieces: Option<&Pieces>,
) -> Result<(Request, Option<Unread>), Unanswered> {
    let mut request = Request::new(parts.method.as_str(), "");
    request.set_target(parts.uri.path_and_query().map_or("", |target| target.as_str()));
    request.headers.0.reserve(parts.headers.len());
    for (name, value) in &parts.headers {
        request.headers.push(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    if body.is_end_stream() {
        return Ok((request, None));
    }
    let time = Duration::from_millis(bounds.body_ms);
    match tokio::time::timeout(time, collect(body, bounds.max_body)).await {
        Err(_) => Ok((request, Some(Unread::Slow(time)))),
        Ok(Err(_)) if early.is_some_and(|takes| takes(&mut request)) => Ok((request, None)),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(None)) => Ok((request, Some(Unread::Long(bounds.max_body)))),
        Ok(Ok(Some((bytes, pieces)))) => {
            request.body = Body(bytes);
            if let Some(change) = in_pieces {
                change(pieces, &mut request);
            }
            Ok((request, None))
        }
    }
}

/// The bytes of a body and the number of pieces in which it came, or none if it is too long. Of one that is, some more is read, or the client would find its
/// connection reset before it finds the answer.
async fn collect(mut body: Incoming, max: usize) -> Result<Option<(Bytes, usize)>, hyper::Error> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    let (mut length, mut pieces) = (0_usize, 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length = length.saturating_add(data.len());
        pieces += usize::from(!data.is_empty());
        if length > max {
            all = BytesMut::new();
            if length > max.saturating_mul(PATIENCE) {
                break;
            }
        } else if length == data.len() {
            first = data;
        } else {
            if all.is_empty() {
                let rest = usize::try_from(body.size_hint().lower()).unwrap_or(max);
                all.reserve(length.saturating_add(rest).min(max));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok((length <= max).then(|| (if all.is_empty() { first } else { all.freeze() }, pieces)))
}

/// Shorter content is sent as it is, in bytes.
const WORTH: usize = 1024;

/// Compresses content for a client that takes it so: STREAM-CACHING-12.
pub(crate) fn compress(request: &Request, reply: &mut Response) {
    if request.method != "GET" || !matches!(reply.status, 200 | 304) {
        return;
    }
    reply.headers.push("vary", "accept-encoding");
    if reply.body.len() < WORTH || !takes_gzip(request) {
        return;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let Ok(bytes) = encoder.write_all(&reply.body).and_then(|()| encoder.finish()) else { return };
    reply.body = Body(bytes.into());
    reply.headers.push("content-encoding", "gzip");
    // A validator that is not weak would name these bytes and no others (RFC 9110, section 8.8.3.3).
    if let Some(etag) = reply.headers.get(ETAG).map(|etag| format!("W/{etag}")) {
        reply.headers.set(ETAG, etag);
    }
}

/// Whether a client accepts gzip: named, and with a weight above 0.
fn takes_gzip(request: &Request) -> bool {
    let all = request.headers.joined();
    let mut accepted = all.get("accept-encoding").into_iter().flat_map(|all| all.split(','));
    accepted.any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
        named && weight.is_none_or(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

/// Writes an answer. A header that HTTP cannot hold is left out.
pub(crate) fn response<B>(response: Response, body: B) -> hyper::Response<B> {
    let mut written = hyper::Response::new(body);
    *written.status_mut() =
        hyper::StatusCode::from_u16(response.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = written.headers_mut();
    headers.reserve(response.headers.0.len());
    for (name, value) in response.headers.0 {
        let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::try_from(value));
        match pair {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
            }
            _ => tracing::warn!(name, "a header that HTTP cannot hold"),
        }
    }
    written
}

/// A connection whose writes fail if the other side takes nothing for too long.
pub(crate) struct Bounded {
    stream: TcpStream,
    patience: Duration,
    /// When the write that waits has waited too long.
    stuck: Option<Pin<Box<Sleep>>>,
    /// What was read before anybody asked for it.
    ahead: Bytes,
    /// What is taken of what is read; none: all.
    received: Option<Arc<Received>>,
}

impl Bounded {
    fn new(stream: TcpStream, patience: Duration, received: Option<Arc<Received>>) -> Self {
        Self { stream, patience, stuck: None, ahead: Bytes::new(), received }
    }

    /// Where it comes from, if that is known.
    fn peer(&self) -> Option<IpAddr> {
        self.stream.peer_addr().ok().map(|peer| peer.ip())
    }

    /// Whoever reads next reads these bytes first, which somebody else has read.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.ahead = bytes;
    }

    /// Waits for the first bytes and tells whether they are these. Whoever reads next reads them again.
    pub(crate) async fn begins_with(&mut self, expected: &[u8]) -> io::Result<bool> {
        const AT_ONCE: usize = 8 * 1024;
        let mut first = BytesMut::with_capacity(AT_ONCE);
        while first.len() < expected.len() && expected.starts_with(&first) {
            let before = first.len();
            if self.stream.read_buf(&mut first).await? == 0 {
                break;
            }
            if let Some(received) = &self.received {
                let read = first.len() - before;
                first.truncate(before + received(&first[before..]).clamp(1, read));
            }
        }
        let begins = first.starts_with(expected);
        self.ahead = first.freeze();
        Ok(begins)
    }

    fn bound<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let patience = self.patience;
        let stuck =
            self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(length));
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(received) = &self.received
            && let read = &buffer.filled()[before..]
            && !read.is_empty()
        {
            let taken = received(read).clamp(1, read.len());
            buffer.set_filled(before + taken);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bound(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bound(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
