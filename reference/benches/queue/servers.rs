//! The servers that are compared, each in a process of its own.

use super::common::{Done, Outcome, Process, say};
use futures_util::{SinkExt, StreamExt};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    accept_async,
    tungstenite::{Message, Utf8Bytes},
};
use wireproof_reference::queue::{Limits, Options, Server as Reference};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sends equal frames to everyone, and does nothing else.
    Bare,
    /// The reference, with everything in memory.
    Reference,
    /// The reference with data on disk.
    Data,
}

/// A server that runs, and ends when this is dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) process: Process,
}

impl Server {
    pub(crate) async fn start(kind: Kind) -> Outcome<Self> {
        let word = match kind {
            Kind::Bare => "bare",
            Kind::Reference => "reference",
            Kind::Data => "data",
        };
        let (process, line) = Process::serve(&[word]).await?;
        Ok(Self { addr: line.parse()?, process })
    }
}

/// The other side of [`Server::start`]: serves until it is killed.
pub(crate) async fn serve(kind: &str) -> Done {
    if kind != "bare" {
        // Removed by the system with everything else that is there for a while: the process is killed.
        let data = (kind == "data").then(tempfile::tempdir).transpose()?;
        let limits = Limits { connections: 20_000, ping_ms: 600_000, ..Limits::default() };
        let path = data.as_ref().map(|data| data.path().to_owned());
        let mut running = Reference::start(Options { data: path, limits, ..Options::default() }).await?;
        say(&running.addr.to_string());
        return Ok(running.ended().await?);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&listener.local_addr()?.to_string());
    let everyone = Arc::new(Mutex::new(Vec::new()));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // Who goes away is not missed.
        tokio::spawn(fan(stream, Arc::clone(&everyone)));
    }
}

type Everyone = Arc<Mutex<Vec<mpsc::UnboundedSender<Utf8Bytes>>>>;

/// Answers the first frame, and sends what is to be sent to everyone; or has it sent: `push COUNT SIZE`.
async fn fan(stream: TcpStream, everyone: Everyone) -> Done {
    let mut socket = accept_async(stream).await?;
    let first = socket.next().await.ok_or("nothing was said")??;
    let text = first.to_text()?;
    if let Some(rest) = text.strip_prefix("push ") {
        let (count, size) = rest.split_once(' ').ok_or("expected a count and a size")?;
        let frame = Utf8Bytes::from("x".repeat(size.parse()?));
        let everyone = everyone.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..count.parse()? {
            everyone.iter().for_each(|one| drop(one.send(frame.clone())));
        }
        return Ok(());
    }
    let (sender, mut frames) = mpsc::unbounded_channel();
    everyone.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
    socket.send(Message::text(r#"{"success":true}"#)).await?;
    while let Some(frame) = frames.recv().await {
        socket.feed(Message::Text(frame)).await?;
        if frames.is_empty() {
            socket.flush().await?;
        }
    }
    Ok(())
}
