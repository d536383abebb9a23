//! The client of the dummy protocol, behind its adapter.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex, split},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;
use wireproof::{
    check::BoxFuture,
    wire::app::{Apps, Pipe},
};

/// The numbers with which a ring is answered.
pub(super) type Answer = Box<dyn Fn(u8) -> Vec<u8> + Send + Sync>;

pub(super) fn honest() -> Answer {
    Box::new(|number| vec![number])
}

/// Starts adapters inside this process.
pub(super) struct Client(Box<dyn Fn() -> Answer + Send + Sync>);

impl Client {
    pub(super) fn new(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Self {
        Self(Box::new(answer))
    }
}

impl Apps for Client {
    fn start(&self) -> BoxFuture<'_, io::Result<Box<dyn Pipe>>> {
        let (ours, theirs) = duplex(64 * 1024);
        tokio::spawn(adapter(theirs, (self.0)()));
        Box::pin(async { Ok(Box::new(ours) as Box<dyn Pipe>) })
    }
}

/// Ends when the runner drops its end of the pipe.
async fn adapter(pipe: DuplexStream, answer: Answer) -> io::Result<()> {
    let (read, mut write) = split(pipe);
    let mut lines = BufReader::new(read).lines();
    let mut agents = tokio::task::JoinSet::new();
    let answer = std::sync::Arc::new(answer);
    while let Some(line) = lines.next_line().await? {
        let request: Value = serde_json::from_str(&line)?;
        let reply = match (request["op"].as_str(), request["args"]["url"].as_str()) {
            (Some("hello"), _) => json!({"id": request["id"], "ok": {"operations": {"connect": []}}}),
            (Some("connect"), Some(url)) => {
                agents.spawn(agent(url.to_owned(), answer.clone()));
                json!({"id": request["id"], "ok": {}})
            }
            _ => json!({"id": request["id"], "error": "not an operation of this client"}),
        };
        write.write_all(format!("{reply}\n").as_bytes()).await?;
    }
    Ok(())
}

async fn agent(url: String, answer: std::sync::Arc<Answer>) {
    let Some(address) = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next()) else { return };
    let Ok(stream) = TcpStream::connect(address).await else { return };
    let Ok((mut socket, _)) = tokio_tungstenite::client_async(&url, stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Binary(bytes) = message
            && let [2, number] = bytes[..]
        {
            for number in answer(number) {
                let _ = socket.send(Message::binary(vec![3, number])).await;
            }
        }
    }
}
