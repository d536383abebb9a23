//! The tap: every byte of a connection passes here, above TLS and below the transport.
//!
//! It tells when what was written has left, so that a check can say "the request is on its way" without sleeping.

use super::app::Pipe;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};

/// A connection whose bytes are counted.
pub(crate) struct Tap {
    inner: Box<dyn Pipe>,
    written: watch::Sender<u64>,
}

/// What passed through a tap.
#[derive(Clone)]
pub(crate) struct Passed {
    written: watch::Receiver<u64>,
}

impl Tap {
    pub(crate) fn new(inner: Box<dyn Pipe>) -> (Self, Passed) {
        let (written, watch) = watch::channel(0);
        (Self { inner, written }, Passed { written: watch })
    }
}

impl Passed {
    /// Waits until more than this was written. Ends too when the connection does.
    pub(crate) async fn beyond(&mut self, bytes: u64) {
        let _ = self.written.wait_for(|written| *written > bytes).await;
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = result {
            self.written.send_modify(|written| *written += bytes as u64);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
