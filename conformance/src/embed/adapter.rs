//! What the adapters of reference clients have in common: lines of a runner, and lines to it (spec/adapter.md).

use crate::{
    check::BoxFuture,
    wire::{app::Pipe, limit::words},
};
use serde_json::{Map, Value, json};
use std::{io, pin::pin, sync::Arc};
use tokio::{
    io::{
        AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf,
        duplex, split,
    },
    sync::mpsc,
    task::JoinSet,
};

/// So many lines wait for whoever reads them.
const LINES: usize = 1_024;

/// Changes what a client tells its owner, by the name of the event; false: it is not told.
pub type Tells = Box<dyn Fn(&str, &mut Value) -> bool + Send + Sync>;

/// Where the lines of a session go.
#[derive(Clone)]
pub(super) struct Out {
    session: String,
    lines: mpsc::Sender<Value>,
    told: Arc<Option<Tells>>,
}

impl Out {
    pub(super) fn new(session: &str, lines: &mpsc::Sender<Value>, told: Arc<Option<Tells>>) -> Self {
        Self { session: session.to_owned(), lines: lines.clone(), told }
    }

    pub(super) async fn tell(&self, event: &str, mut data: Value) {
        if self.told.as_ref().as_ref().is_none_or(|told| told(event, &mut data)) {
            // Where nobody reads any more it is over.
            let _ = self.lines.send(json!({"session": self.session, "event": event, "data": data})).await;
        }
    }
}

/// Answers a request.
pub(super) async fn answer(lines: mpsc::Sender<Value>, id: Value, said: Result<Value, String>) {
    let line = match said {
        Ok(ok) => json!({"id": id, "ok": ok}),
        Err(error) => json!({"id": id, "error": error}),
    };
    // Where nobody reads any more it is over.
    let _ = lines.send(line).await;
}

/// Serves one runner, up to the end of what it says. What takes a while goes on as a task.
///
/// # Errors
/// What it says is no line, or cannot be read.
pub(super) async fn serve(
    read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
    mut take: impl FnMut(Value, &mut JoinSet<()>, &mpsc::Sender<Value>),
) -> io::Result<()> {
    let (lines, mut out) = mpsc::channel::<Value>(LINES);
    let mut writing = pin!(async {
        while let Some(line) = out.recv().await {
            write.write_all(format!("{line}\n").as_bytes()).await?;
            write.flush().await?;
        }
        io::Result::Ok(())
    });
    let mut requests = BufReader::new(read).lines();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            written = &mut writing => return written,
            Some(_) = tasks.join_next() => {}
            request = requests.next_line() => {
                let Some(request) = request? else { return Ok(()) };
                take(line(&request)?.into(), &mut tasks, &lines);
            }
        }
    }
}

/// An adapter inside this process, at the other end of a pipe.
pub(super) fn inside<F: Future<Output = io::Result<()>> + Send>(
    serve: impl FnOnce(ReadHalf<DuplexStream>, WriteHalf<DuplexStream>) -> F + Send + 'static,
) -> BoxFuture<'static, io::Result<Box<dyn Pipe>>> {
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(async move {
        let (read, write) = split(theirs);
        // It ends with the pipe, and nobody is there to be told.
        let _ = serve(read, write).await;
    });
    Box::pin(async { Ok(Box::new(ours) as Box<dyn Pipe>) })
}

/// A line of a runner.
fn line(text: &str) -> io::Result<Map<String, Value>> {
    serde_json::from_str(text).map_err(|e| {
        let text = words(text);
        io::Error::other(format!("what came is no request of a runner (spec/adapter.md): {e}: {text}"))
    })
}
