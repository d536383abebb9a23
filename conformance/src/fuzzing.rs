//! Narrow doors for the fuzz targets to what reads hostile bytes and is private otherwise. Nothing else uses them.

use crate::{
    protocol::Protocol,
    report::{Outcome, Report, json, junit, replay, terminal},
    target::{baseline::Baseline, file},
    wire::{Lost, app, framing, http, limit, listen, raw, ws},
};
use hyper_util::rt::TokioIo;
use std::{
    path::Path,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, ReadBuf},
    time::Instant,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
use wireproof_spec::http::{Request, Response};

pub use crate::wire::{raw::RawAnswer, ws::Frame};

/// A target that says these bytes, so many at a time, then closes, and takes whatever it is told.
pub struct Says<'a> {
    bytes: &'a [u8],
    at_once: usize,
    /// It says nothing before it was told something. Who is to be woken then is inside.
    waits: Option<Option<Waker>>,
}

impl<'a> Says<'a> {
    /// A target that says these bytes, so many at a time and at least one.
    pub fn new(bytes: &'a [u8], at_once: usize) -> Self {
        Self { bytes, at_once: at_once.max(1), waits: None }
    }

    /// The same, once it was told something: a client that has asked nothing takes no answer.
    #[must_use]
    pub fn when_asked(self) -> Self {
        Self { waits: Some(None), ..self }
    }
}

impl AsyncRead for Says<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Some(waker) = &mut self.waits {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (now, rest) = self.bytes.split_at(self.at_once.min(self.bytes.len()).min(buf.remaining()));
        buf.put_slice(now);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Says<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        if let Some(waker) = self.waits.take().flatten() {
            waker.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Reads what a target sent on a raw connection.
pub fn raw(bytes: &[u8]) -> Result<RawAnswer, Lost> {
    raw::split(bytes)
}

/// The first answer to a GET in what a target sent, and how many bytes it takes; none as long as it is not complete.
pub fn framed(bytes: &[u8], ended: bool) -> Result<Option<(Response, usize)>, Lost> {
    framing::answer(bytes, "GET", ended)
}

/// The first request in what a client sent, and how many bytes it takes; none as long as it is not complete.
pub fn asked(bytes: &[u8]) -> Result<Option<(Request, usize)>, Lost> {
    listen::request(bytes)
}

/// Reads what a target sends to a GET.
pub async fn answer(says: Says<'_>) -> Result<Response, Lost> {
    let handshake = hyper::client::conn::http1::Builder::new()
        .max_buf_size(limit::HEAD)
        .handshake::<_, http_body_util::Empty<&[u8]>>(TokioIo::new(says.when_asked()));
    let (mut sender, mut connection) = handshake.await.map_err(|e| Lost::Closed(e.to_string()))?;
    let request = hyper::Request::new(http_body_util::Empty::new());
    let now = Instant::now();
    let mut read = Box::pin(http::read(sender.send_request(request), now + Duration::from_secs(5), now));
    tokio::select! {
        biased;
        answer = &mut read => answer,
        // Why it ended the answer tells too.
        _ = &mut connection => read.await,
    }
}

/// Reads what a target sends on a WebSocket connection, up to the end.
pub async fn frames(says: Says<'_>) -> (Vec<Frame>, Option<Lost>) {
    let watched = ws::Watched::without_handshake(says);
    let mut socket = WebSocketStream::from_raw_socket(watched, Role::Client, Some(ws::config())).await;
    let mut frames = Vec::new();
    loop {
        match ws::next(&mut socket).await {
            Ok(frame @ Frame::Close(_)) => {
                frames.push(frame);
                return (frames, None);
            }
            Ok(frame) => frames.push(frame),
            Err(why) => return (frames, Some(why)),
        }
    }
}

/// Reads what an adapter says up to its end, or its first line that is none: how many lines, and why it ended.
pub async fn adapter(says: Says<'_>) -> (usize, String) {
    let mut lines = app::Lines::new(BufReader::new(says));
    let mut heard = 0;
    loop {
        match lines.next().await {
            Ok(_) => heard += 1,
            Err(why) => return (heard, why.to_string()),
        }
    }
}

/// Every report of the log of a run: terminal, JSON and JUnit.
pub fn reports(protocols: &[&'static Protocol], log: &str) -> Result<[String; 3], String> {
    let events = replay::parse(log).map_err(|(line, e)| format!("{line}: {e}"))?;
    let runs = replay::runs(protocols, events)?;
    let reports = runs.iter().map(|run| Report::new(run, &Baseline::default()));
    let outcome = Outcome::of(reports.collect());
    let shown = outcome.runs().iter().map(|report| terminal::text(report, terminal::Paint::PLAIN)).collect();
    let json = json::text(&outcome).map_err(|e| e.to_string())?;
    let junit = junit::text(&outcome).map_err(|e| e.to_string())?;
    Ok([shown, json, junit])
}

/// Reads a target file and looks for what is wrong with it.
pub fn target(protocol: &Protocol, text: &str) -> Result<(), String> {
    let read = file::Read::parse(text, Path::new("wireproof.toml"))?;
    read.examine(protocol)
}

/// Reads a baseline.
pub fn baseline(protocol: &Protocol, text: &str) -> Result<Baseline, String> {
    Baseline::parse(text, Path::new("baseline.toml"), protocol)
}
