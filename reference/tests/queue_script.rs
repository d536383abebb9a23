//! A server of subscribers that says what a test wants, and subscriptions that tell what they get.

use crate::client::within;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{broadcast, mpsc},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message as Wire,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::CloseFrame,
    },
};
use wireproof_reference::queue::{
    KEY,
    client::{Error, Event, Seams, Settings, Status, Subscribe, Subscription, subscribe},
};
use wireproof_spec::queue::Message;

/// A server that says what a test wants.
pub(crate) struct Script(pub(crate) TcpListener);

impl Script {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn settings(&self) -> Settings {
        quick(self.addr())
    }

    /// The next connection, and the request that it began with.
    pub(crate) async fn dialled(&self) -> (Peer, Request) {
        let (stream, _) = within(self.0.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = None;
        #[expect(clippy::result_large_err, reason = "the library wants it")]
        let keep = |seen: &Request, response: Response| -> Result<Response, ErrorResponse> {
            request = Some(seen.clone());
            Ok(response)
        };
        let socket = within(accept_hdr_async(stream, keep)).await.unwrap();
        (Peer(socket), request.unwrap())
    }

    /// The next connection, behind its AuthRequest.
    pub(crate) async fn asked(&self) -> (Peer, Value) {
        let (mut peer, _) = self.dialled().await;
        let asked = peer.hear().await;
        (peer, asked)
    }

    /// The next connection, let in.
    pub(crate) async fn let_in(&self, answer: Value) -> (Peer, Value) {
        let (mut peer, asked) = self.asked().await;
        peer.say(&answer).await;
        (peer, asked)
    }

    /// Nobody dials while this lasts.
    pub(crate) async fn quiet(&self, ms: u64) {
        let dialled = tokio::time::timeout(Duration::from_millis(ms), self.0.accept()).await;
        assert!(dialled.is_err(), "nobody is to dial");
    }
}

/// The server's side of a connection.
pub(crate) struct Peer(pub(crate) WebSocketStream<TcpStream>);

impl Peer {
    pub(crate) async fn say(&mut self, document: &Value) {
        self.text(&document.to_string()).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.0.send(Wire::text(text)).await.unwrap();
    }

    pub(crate) async fn push(&mut self, offsets: &[i64]) {
        self.say(&push(offsets)).await;
    }

    pub(crate) async fn hear(&mut self) -> Value {
        match within(self.0.next()).await {
            Some(Ok(Wire::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("expected a text, heard {other:?}"),
        }
    }

    /// The close frame of the client, behind whatever.
    pub(crate) async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            match within(self.0.next()).await {
                Some(Ok(Wire::Close(close))) => {
                    // The answer is waiting to be sent.
                    let _ = self.0.flush().await;
                    return close.map(|close| (close.code.into(), close.reason.as_str().to_owned()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "by the test".into() };
        self.0.send(Wire::Close(Some(frame))).await.unwrap();
        assert_eq!(self.closed().await.map(|(code, _)| code), Some(code), "the answer has the same code");
    }
}

pub(crate) fn push(offsets: &[i64]) -> Value {
    let messages: Vec<Value> = offsets.iter().map(|&offset| message(offset)).collect();
    json!({ "type": "message", "queue_id": "queue_1", "messages": messages })
}

pub(crate) fn message(offset: i64) -> Value {
    json!({ "id": "qmsg_1", "queue_id": "queue_1", "offset": offset, "payload": { "n": offset } })
}

pub(crate) fn welcome() -> Value {
    json!({ "success": true, "client_id": "qcid_1" })
}

/// Delays that a test can wait for.
pub(crate) fn quick(addr: SocketAddr) -> Settings {
    let mut settings = Settings::new(format!("http://{addr}/"), KEY);
    settings.redial.base_ms = 20;
    settings.redial.max_ms = 40;
    settings
}

/// A subscription that tells every offset, and says of some that they failed.
pub(crate) fn telling(
    settings: &Settings,
    seams: Seams,
    mut fails: impl FnMut(i64) -> bool + Send + 'static,
) -> (Subscription, mpsc::UnboundedReceiver<i64>) {
    let (tell, told) = mpsc::unbounded_channel();
    let subscription = subscribe(settings, &Subscribe::to("one"), seams, move |message: Message| {
        let offset = message.offset.get();
        let result = if fails(offset) { Err("as wanted") } else { Ok(()) };
        let tell = tell.clone();
        async move {
            tell.send(offset).unwrap();
            result
        }
    });
    (subscription.unwrap(), told)
}

pub(crate) async fn offsets(told: &mut mpsc::UnboundedReceiver<i64>, count: usize) -> Vec<i64> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(within(told.recv()).await.expect("another message"));
    }
    all
}

pub(crate) async fn processed(subscription: &Subscription, offset: i64) {
    within(subscription.until(|seen| seen.last_offset == Some(offset))).await.unwrap();
}

pub(crate) async fn is(subscription: &Subscription, status: Status) {
    within(subscription.until(|seen| seen.status == status)).await.unwrap();
}

/// The next error that is told.
pub(crate) async fn error(events: &mut broadcast::Receiver<Event>) -> Error {
    loop {
        if let Event::Error(error) = within(events.recv()).await.unwrap() {
            return error;
        }
    }
}
