//! What the adapters of reference clients have in common: variants, sessions, lines of a runner, and lines to it (spec/adapter.md).

use super::{Served, found};
use crate::{
    check::BoxFuture,
    selftest::defects::Breakage,
    target::Target,
    wire::{
        app::{Apps, Pipe},
        limit::words,
    },
};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, io, pin::pin, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, duplex, split},
    sync::mpsc,
    task::JoinSet,
};

/// A client with all that it has.
pub const CLIENT: &str = "client";
/// A client without much that is optional.
pub const PLAIN_CLIENT: &str = "plain-client";

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
    fn new(session: &str, lines: &mpsc::Sender<Value>, told: Arc<Option<Tells>>) -> Self {
        Self { session: session.to_owned(), lines: lines.clone(), told }
    }

    pub(super) async fn tell(&self, event: &str, mut data: Value) {
        if self.told.as_ref().as_ref().is_none_or(|told| told(event, &mut data)) {
            // Where nobody reads any more it is over.
            let _ = self.lines.send(json!({"session": self.session, "event": event, "data": data})).await;
        }
    }
}

/// A reference client, by the seams at which it can be broken.
pub(super) trait Client: Sized + 'static {
    /// The protocol that it speaks.
    const PROTOCOL: &'static str;
    /// What a session has open. It ends when this is dropped.
    type Open: Send;

    /// The variant of this name, and what its owner declares; none if there is no such variant.
    fn declared(variant: &str) -> Option<(&'static str, &'static [(&'static str, &'static str)])>;
    /// A defect by its id.
    fn find(id: &str) -> Option<&'static Breakage<Self>>;
    /// What an adapter of a variant lists.
    fn listed(variant: &str) -> Value;
    /// A variant that is not broken.
    fn honest(variant: &str) -> Self;
    /// What the owner is told; none: as it is.
    fn told(self) -> Option<Tells>;
    /// Does what is asked in a session; what takes a while goes on as a task.
    fn take(
        adapter: Adapter<Self>,
        asked: Asked,
        session: &mut Session<Self::Open>,
        others: &Sessions<Self::Open>,
        tasks: &mut JoinSet<()>,
    );
}

/// One session.
pub(super) struct Session<Open> {
    pub(super) out: Out,
    pub(super) open: Option<Open>,
}

/// Sessions by their names.
pub(super) type Sessions<Open> = HashMap<String, Session<Open>>;

/// A request.
pub(super) struct Asked {
    pub(super) op: String,
    pub(super) args: Value,
    pub(super) reply: Reply,
}

/// Answers a request.
pub(super) struct Reply {
    lines: mpsc::Sender<Value>,
    id: Value,
}

impl Reply {
    pub(super) async fn with(self, said: Result<Value, String>) {
        let line = match said {
            Ok(ok) => json!({"id": self.id, "ok": ok}),
            Err(error) => json!({"id": self.id, "error": error}),
        };
        // Where nobody reads any more it is over.
        let _ = self.lines.send(line).await;
    }
}

/// The adapter of a variant of a client.
pub(super) struct Adapter<S: 'static> {
    pub(super) variant: &'static str,
    breakage: Option<&'static Breakage<S>>,
}

impl<S> Clone for Adapter<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Adapter<S> {}

/// The client of a variant as a target, if there is such a variant.
pub(super) fn target<S: Client>(name: &str, defect: Option<&str>) -> Option<Result<Target, String>> {
    let (variant, declared) = S::declared(name)?;
    Some(found(defect, S::find).map(|breakage| {
        let adapter = Adapter { variant, breakage };
        let target = Target::client(&format!("the reference, {variant}"), Arc::new(adapter));
        declared.iter().fold(target, |target, (name, value)| target.declare(name, *value))
    }))
}

/// Serves a runner as the adapter of the client, over the streams of this process.
pub(super) fn served<S: Client>(variant: Option<&str>, defect: Option<&str>) -> Result<Served, String> {
    let breakage = found(defect, S::find)?;
    let name = variant.or(breakage.map(|b| b.defect.variant)).unwrap_or(CLIENT);
    let (variant, _) = S::declared(name)
        .ok_or_else(|| format!("the reference of {} has no client `{name}`", S::PROTOCOL))?;
    let adapter = Adapter { variant, breakage };
    Ok(Box::pin(async move {
        adapter.serve(tokio::io::stdin(), tokio::io::stdout()).await.map_err(|e| e.to_string())
    }))
}

impl<S: Client> Apps for Adapter<S> {
    /// An adapter inside this process, at the other end of a pipe.
    fn start(&self) -> BoxFuture<'_, io::Result<Box<dyn Pipe>>> {
        let (ours, theirs) = duplex(64 * 1024);
        let adapter = *self;
        tokio::spawn(async move {
            let (read, write) = split(theirs);
            // It ends with the pipe, and nobody is there to be told.
            let _ = adapter.serve(read, write).await;
        });
        Box::pin(async { Ok(Box::new(ours) as Box<dyn Pipe>) })
    }
}

impl<S: Client> Adapter<S> {
    pub(super) fn seams(self) -> S {
        self.breakage.map_or_else(|| S::honest(self.variant), |breakage| (breakage.seams)())
    }

    /// Serves one runner, up to the end of what it says.
    ///
    /// # Errors
    /// What it says is no line, or cannot be read.
    async fn serve(self, read: impl AsyncRead + Unpin, mut write: impl AsyncWrite + Unpin) -> io::Result<()> {
        let (lines, mut out) = mpsc::channel::<Value>(LINES);
        let mut writing = pin!(async {
            while let Some(line) = out.recv().await {
                write.write_all(format!("{line}\n").as_bytes()).await?;
                write.flush().await?;
            }
            io::Result::Ok(())
        });
        let mut requests = BufReader::new(read).lines();
        let (mut sessions, mut tasks) = (Sessions::new(), JoinSet::new());
        loop {
            tokio::select! {
                written = &mut writing => return written,
                Some(_) = tasks.join_next() => {}
                request = requests.next_line() => {
                    let Some(request) = request? else { return Ok(()) };
                    self.take(line(&request)?.into(), &mut sessions, &mut tasks, &lines);
                }
            }
        }
    }

    fn take(
        self,
        mut request: Value,
        sessions: &mut Sessions<S::Open>,
        tasks: &mut JoinSet<()>,
        lines: &mpsc::Sender<Value>,
    ) {
        let (id, args) = (request["id"].take(), request["args"].take());
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let (name, op, reply) = (text("session"), text("op"), Reply { lines: lines.clone(), id });
        match op.as_str() {
            "hello" => {
                tasks.spawn(reply.with(Ok(json!({"operations": S::listed(self.variant)}))));
            }
            "end" => drop(sessions.remove(&name)),
            _ => {
                let mut session = sessions.remove(&name).unwrap_or_else(|| {
                    let told = Arc::new(self.seams().told());
                    Session { out: Out::new(&name, lines, told), open: None }
                });
                S::take(self, Asked { op, args, reply }, &mut session, sessions, tasks);
                sessions.insert(name, session);
            }
        }
    }
}

/// A line of a runner.
fn line(text: &str) -> io::Result<Map<String, Value>> {
    serde_json::from_str(text).map_err(|e| {
        let text = words(text);
        io::Error::other(format!("what came is no request of a runner (spec/adapter.md): {e}: {text}"))
    })
}
