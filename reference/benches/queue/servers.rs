//! The servers that are compared, each in a process of its own.

use super::{Done, client::Outcome};
use futures_util::{SinkExt, StreamExt};
use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
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
    child: Child,
}

impl Server {
    pub(crate) async fn start(kind: Kind) -> Outcome<Self> {
        let word = match kind {
            Kind::Bare => "bare",
            Kind::Reference => "reference",
            Kind::Data => "data",
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", word]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let line = BufReader::new(stdout).lines().next_line().await?.ok_or("the server did not start")?;
        Ok(Self { addr: line.parse()?, child })
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let pid = self.child.id().ok_or("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
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
        super::say(&running.addr.to_string());
        return Ok(running.ended().await?);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    super::say(&listener.local_addr()?.to_string());
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
