//! A connection whose bytes seams can change.

use super::seams::MapWritten;
use crate::client::seams::MapRead;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose bytes can be mapped.
pub(crate) struct Tapped<Io> {
    io: Io,
    read: Option<MapRead>,
    written: Option<MapWritten>,
    /// What was mapped and is not yet written.
    waiting: Vec<u8>,
    sent: usize,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Tapped<Io> {
    /// Maps what is written from now on.
    pub(crate) fn new(io: Io, written: Option<MapWritten>) -> Self {
        Self { io, read: None, written, waiting: Vec::new(), sent: 0 }
    }

    /// Maps what is written from now on otherwise.
    pub(crate) fn map(&mut self, written: Option<MapWritten>) {
        self.written = written;
    }

    /// Maps what is read from now on.
    pub(crate) fn map_read(&mut self, read: Option<MapRead>) {
        self.read = read;
    }

    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.waiting.len() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.waiting[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        self.waiting.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Tapped<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if let Some(read) = &self.read {
            read(&mut buffer.filled_mut()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tapped<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.drain(cx))?;
        let Some(written) = self.written.clone() else { return Pin::new(&mut self.io).poll_write(cx, bytes) };
        let mut mapped = bytes.to_vec();
        written(&mut mapped);
        self.waiting = mapped;
        // What cannot be written now is written before anything else is.
        if let Poll::Ready(Err(error)) = self.drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
