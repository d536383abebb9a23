//! The adapter of a client under test: lines of JSON over a pair of pipes.
//!
//! A line is `{"id": n, "op": "...", "args": {...}}` to the adapter, and `{"id": n, "ok": ...}` or
//! `{"id": n, "error": "..."}` back. Its word alone proves nothing: its lines are no observations.

use super::{Link, limit};
use crate::{
    check::{BoxFuture, Stop},
    event::{Message, What},
};
use serde_json::{Value, json};
use std::io;
use tokio::{
    io::{
        AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
        ReadHalf, WriteHalf, split,
    },
    time::timeout_at,
};

/// Both directions of an adapter.
pub trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// Starts adapters of the client under test.
pub trait Apps: Send + Sync {
    /// Starts one; it ends when its pipe is dropped.
    fn start(&self) -> BoxFuture<'_, io::Result<Box<dyn Pipe>>>;
}

/// One running adapter.
pub struct App {
    link: Link,
    conn: u32,
    lines: BufReader<ReadHalf<Box<dyn Pipe>>>,
    write: WriteHalf<Box<dyn Pipe>>,
    next: u64,
}

impl App {
    pub(crate) async fn start(link: &Link, apps: &dyn Apps) -> Result<Self, Stop> {
        let pipe =
            apps.start().await.map_err(|e| link.unreachable(&format!("the client did not start: {e}")))?;
        let conn = link.number();
        link.log.record(What::Opened { conn, peer: "adapter of the client".into() });
        let (read, write) = split(pipe);
        Ok(Self { link: link.clone(), conn, lines: BufReader::new(read), write, next: 1 })
    }

    /// Asks the adapter to do something and waits for its word.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not answer, or says that it cannot.
    pub async fn ask(&mut self, op: &str, args: Value) -> Result<Value, Stop> {
        let id = self.next;
        self.next += 1;
        let line = json!({"id": id, "op": op, "args": args}).to_string();
        self.link.log.record(What::Sent { conn: self.conn, message: Message::Line { text: line.clone() } });
        let until = self.link.until(self.link.times.answer);
        match timeout_at(until, self.exchange(&line, id)).await {
            Ok(Ok(answer)) => answer.get("ok").cloned().ok_or_else(|| {
                self.link.stop(&format!("the client says that it cannot {op}: {}", answer["error"]))
            }),
            Ok(Err(e)) => Err(self.link.stop(&format!("the adapter of the client ended: {e}"))),
            Err(_) => Err(self.link.stop(&format!("the adapter of the client did not answer {op}"))),
        }
    }

    async fn exchange(&mut self, line: &str, id: u64) -> io::Result<Value> {
        self.write.write_all(format!("{line}\n").as_bytes()).await?;
        self.write.flush().await?;
        let (log, conn) = (&self.link.log, self.conn);
        read_answer(&mut self.lines, id, |line| {
            let message = Message::Line { text: limit::words(line) };
            log.record(What::Received { conn, message, answers: None });
        })
        .await
    }
}

/// Reads lines until one answers the question of this number, and tells each.
pub(crate) async fn read_answer(
    lines: &mut (impl AsyncBufRead + Unpin),
    id: u64,
    heard: impl Fn(&str),
) -> io::Result<Value> {
    for _ in 0..limit::LINES {
        let mut bytes = Vec::new();
        let bound = (limit::LINE + 1) as u64;
        let read = (&mut *lines).take(bound).read_until(b'\n', &mut bytes).await?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed its output"));
        }
        if read > limit::LINE {
            return Err(io::Error::other(format!("a line longer than {} bytes", limit::LINE)));
        }
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        heard(&text);
        let answer: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
        if answer["id"] == json!(id) {
            return Ok(answer);
        }
    }
    Err(io::Error::other(format!("{} lines, and none of them the answer", limit::LINES)))
}
