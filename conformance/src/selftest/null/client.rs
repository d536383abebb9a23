//! Clients that do nothing useful.

use crate::{
    check::BoxFuture,
    target::Target,
    wire::app::{Apps, Hello, Operation, Pipe},
};
use futures_util::SinkExt;
use serde_json::{Value, json};
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex, split},
    net::TcpStream,
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

/// So many bytes of an answer to a handshake are read.
const HEAD: usize = 4 * 1024;

/// What a null client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Ends at once.
    Exits,
    /// Says yes to everything and never connects.
    NeverConnects,
    /// Connects and sleeps.
    Sleeps,
    /// Connects and sends without end.
    Floods,
    /// Connects and tells without end, in short lines.
    Tells,
    /// Says no to everything.
    Declines,
    /// Says that it can do nothing.
    ListsNothing,
}

/// Every null client, by name.
pub(super) fn all(operations: &'static [Operation]) -> Vec<(String, Target)> {
    [
        ("null/exits", Manner::Exits),
        ("null/never-connects", Manner::NeverConnects),
        ("null/sleeps", Manner::Sleeps),
        ("null/floods", Manner::Floods),
        ("null/tells", Manner::Tells),
        ("null/declines", Manner::Declines),
        ("null/lists-nothing", Manner::ListsNothing),
    ]
    .into_iter()
    .map(|(name, manner)| (name.to_owned(), Target::client(name, Arc::new(Null(manner, operations)))))
    .collect()
}

struct Null(Manner, &'static [Operation]);

impl Apps for Null {
    fn start(&self) -> BoxFuture<'_, io::Result<Box<dyn Pipe>>> {
        let (ours, theirs) = duplex(64 * 1024);
        if self.0 != Manner::Exits {
            tokio::spawn(adapter(theirs, self.0, self.1));
        }
        Box::pin(async { Ok(Box::new(ours) as Box<dyn Pipe>) })
    }
}

/// Ends when the runner drops its end of the pipe.
async fn adapter(pipe: DuplexStream, manner: Manner, operations: &[Operation]) -> io::Result<()> {
    let (read, mut write) = split(pipe);
    let mut lines = BufReader::new(read).lines();
    let mut connections = JoinSet::new();
    // The session to which something is told, again and again.
    let mut telling: Option<Value> = None;
    loop {
        let line = tokio::select! {
            biased;
            line = lines.next_line() => line?,
            () = std::future::ready(()), if telling.is_some() => {
                let told = json!({"session": telling, "event": "delivered", "data": {}});
                write.write_all(format!("{told}\n").as_bytes()).await?;
                continue;
            }
        };
        let Some(line) = line else { return Ok(()) };
        let request: Value = serde_json::from_str(&line)?;
        let reply = match manner {
            Manner::ListsNothing => json!({"id": request["id"], "ok": {"operations": {}}}),
            _ if request["op"] == "hello" => json!({"id": request["id"], "ok": listed(operations)}),
            Manner::Declines => json!({"id": request["id"], "error": "declined"}),
            _ => json!({"id": request["id"], "ok": {}}),
        };
        if let (Manner::Sleeps | Manner::Floods | Manner::Tells, Some(url)) =
            (manner, request["args"]["url"].as_str())
        {
            connections.spawn(connect(url.to_owned(), manner == Manner::Floods));
            if manner == Manner::Tells {
                telling = Some(request["session"].clone());
            }
        }
        write.write_all(format!("{reply}\n").as_bytes()).await?;
    }
}

/// What somebody says who can do everything.
fn listed(operations: &[Operation]) -> Hello {
    let mut hello = Hello::default();
    for operation in operations {
        let options = hello.operations.entry(operation.name.to_owned()).or_default();
        options.extend(operation.option.map(str::to_owned));
    }
    hello
}

/// Dials what the runner listens at, and ends with its adapter.
async fn connect(url: String, flood: bool) {
    let Some(address) = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()) else { return };
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    // By hand: whatever is answered, with whatever protocol, is a connection.
    let path =
        url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
    let handshake = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    if stream.write_all(handshake.as_bytes()).await.is_err() {
        return;
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) if head.len() < HEAD => head.push(byte),
            _ => return,
        }
    }
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    while flood && socket.send(Message::binary(vec![0; 64])).await.is_ok() {}
    std::future::pending::<()>().await;
}
