//! The tap: every byte of a connection passes here, above TLS and below the transport.
//!
//! It tells when what was written has left, so that a check can say "the request is on its way" without sleeping.

use super::app::Pipe;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
    reads: Arc<Reads>,
}

/// What was read, and how much may be.
struct Reads {
    bytes: AtomicU64,
    /// Behind so many bytes the connection ends.
    most: AtomicU64,
}

/// What passed through a tap.
#[derive(Clone)]
pub(crate) struct Passed {
    written: watch::Receiver<u64>,
    reads: Arc<Reads>,
}

impl Tap {
    pub(crate) fn new(inner: Box<dyn Pipe>) -> (Self, Passed) {
        let (written, watch) = watch::channel(0);
        let reads = Arc::new(Reads { bytes: AtomicU64::new(0), most: AtomicU64::new(u64::MAX) });
        (Self { inner, written, reads: reads.clone() }, Passed { written: watch, reads })
    }
}

impl Passed {
    /// Waits until more than this was written. Ends too when the connection does.
    pub(crate) async fn beyond(&mut self, bytes: u64) {
        let _ = self.written.wait_for(|written| *written > bytes).await;
    }

    /// Lets so many more bytes through that come from the target, and none behind them.
    pub(crate) fn cut_after(&self, bytes: u64) {
        let read = self.reads.bytes.load(Ordering::Relaxed);
        self.reads.most.store(read.saturating_add(bytes), Ordering::Relaxed);
    }

    /// Whether everything came through that was let.
    pub(crate) fn is_cut(&self) -> bool {
        self.reads.bytes.load(Ordering::Relaxed) >= self.reads.most.load(Ordering::Relaxed)
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (read, most) =
            (self.reads.bytes.load(Ordering::Relaxed), self.reads.most.load(Ordering::Relaxed));
        let before = buf.filled().len();
        let polled = if most == u64::MAX {
            Pin::new(&mut self.inner).poll_read(cx, buf)
        } else {
            let left = usize::try_from(most.saturating_sub(read)).unwrap_or(usize::MAX);
            let room = left.min(buf.remaining());
            if left == 0 {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
            let polled = Pin::new(&mut self.inner).poll_read(cx, &mut part);
            let filled = part.filled().len();
            buf.advance(filled);
            polled
        };
        self.reads.bytes.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        polled
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
