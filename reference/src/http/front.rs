//! How a server speaks HTTP/1.1: a connection from its first request to its end, or to the WebSocket that it becomes.

use super::{Bounded, Bounds, Seams, Unanswered, Unread};
use crate::shell::Ending;
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    error::Error,
    future::poll_fn,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{Notify, watch},
};
use wireproof_spec::http::{Request, Response};

/// Within which bounds a server speaks HTTP, and where it is broken.
pub(crate) struct Front {
    pub(crate) bounds: Bounds,
    pub(crate) seams: Seams,
}

/// What a connection becomes when the answers of HTTP have ended.
pub(crate) struct Beyond<H> {
    /// Where the connection comes from, if that is known.
    pub(crate) peer: Option<IpAddr>,
    /// That it ends at once.
    pub(crate) cut: Arc<Notify>,
    /// Other bytes than those of an answer.
    replaced: OnceLock<Vec<u8>>,
    /// A WebSocket.
    handshake: OnceLock<H>,
}

impl<H> Beyond<H> {
    pub(crate) fn from(peer: Option<IpAddr>) -> Self {
        Self { peer, cut: Arc::default(), replaced: OnceLock::new(), handshake: OnceLock::new() }
    }

    /// A WebSocket, behind the answer to its handshake.
    pub(crate) fn upgrade(&self, handshake: H) {
        // A connection is upgraded once.
        let _ = self.handshake.set(handshake);
    }
}

impl Front {
    /// A connection that was accepted, unless it is gone.
    pub(crate) fn accept(&self, stream: TcpStream) -> Option<Bounded> {
        // Without it, every second small answer waits 40 ms for an acknowledgement.
        stream.set_nodelay(true).ok()?;
        let patience = Duration::from_millis(self.bounds.write_ms);
        Some(Bounded::new(stream, patience, self.seams.received.clone()))
    }

    /// Reads a request whole, or without a body that is beyond the bounds, which is then said.
    pub(crate) async fn request(
        &self,
        request: hyper::Request<Incoming>,
    ) -> Result<(Request, Option<Unread>), Unanswered> {
        let Seams { early, pieces, .. } = &self.seams;
        let (parts, body) = request.into_parts();
        let (mut request, unread) =
            super::request(&parts, body, self.bounds, early.as_ref(), pieces.as_ref()).await?;
        (self.seams.request)(&mut request);
        Ok((request, unread))
    }

    /// Has an answer as it is written, when it is to be written.
    pub(crate) async fn reply<H>(
        &self,
        request: &Request,
        reply: &mut Response,
        beyond: &Beyond<H>,
    ) -> Result<(), Unanswered> {
        (self.seams.reply)(request, reply);
        if let Some(time) = self.seams.delay.as_ref().and_then(|delay| delay(request, reply)) {
            tokio::time::sleep(time).await;
        }
        let Some(bytes) = self.seams.bytes.as_ref().and_then(|bytes| bytes(request, reply)) else {
            return Ok(());
        };
        // Set once: the connection ends here.
        let _ = beyond.replaced.set(bytes);
        Err(Unanswered::Replaced)
    }

    /// Serves a connection to its end; or to the WebSocket that it becomes, which is for the caller to serve.
    pub(crate) async fn connection<H: Clone, B, F>(
        &self,
        io: Bounded,
        stop: &mut watch::Receiver<Ending>,
        serve: impl Fn(Arc<Beyond<H>>, hyper::Request<Incoming>) -> F + Unpin,
    ) -> Option<(Bounded, H)>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
        F: Future<Output = Result<hyper::Response<B>, Unanswered>>,
    {
        let beyond = Arc::new(Beyond::from(io.peer()));
        let service = {
            let beyond = Arc::clone(&beyond);
            service_fn(move |request| Box::pin(serve(Arc::clone(&beyond), request)))
        };
        let mut served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(self.bounds.head_ms))
            .max_header_size(self.bounds.max_head)
            .serve_connection(TokioIo::new(io), service);
        let mut stopping = *stop.borrow() != Ending::Not;
        if stopping {
            Pin::new(&mut served).graceful_shutdown();
        }
        loop {
            tokio::select! {
                // An error is the client's: it went away, or what it sent is no HTTP and was refused.
                _ = poll_fn(|cx| served.poll_without_shutdown(cx)) => break,
                // Whoever takes nothing would keep its place until a write has waited too long.
                () = beyond.cut.notified() => return None,
                _ = stop.changed(), if !stopping => {
                    stopping = true;
                    Pin::new(&mut served).graceful_shutdown();
                }
            }
        }
        let parts = served.into_parts();
        let mut io = parts.io.into_inner();
        if let Some(bytes) = beyond.replaced.get() {
            // Whoever reads this may be gone.
            let _ = io.write_all(bytes).await;
        } else if let Some(handshake) = beyond.handshake.get() {
            io.put_back(parts.read_buf);
            return Some((io, handshake.clone()));
        }
        let _ = io.shutdown().await;
        None
    }
}
