//! A small client of queues: operations as values, and connections of subscribers.

use crate::client::{Client, within};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};
use wireproof_reference::queue::KEY;
use wireproof_spec::http::{Request, Response};

/// An operation below `/queue/`, with the key.
pub(crate) fn operation(method: &str, path: &str) -> Request {
    let mut request = Request::new(method, "").header("authorization", format!("Bearer {KEY}"));
    request.set_target(&format!("/queue/{path}"));
    request
}

pub(crate) fn with(method: &str, path: &str, body: &Value) -> Request {
    operation(method, path).header("content-type", "application/json").body(body.to_string())
}

/// An answer as its status and its document, which it has whatever it says.
pub(crate) fn read(response: &Response) -> (u16, Value) {
    assert_eq!(response.headers.get("content-type"), Some("application/json"), "{response:?}");
    let document: Value = serde_json::from_slice(&response.body).expect("an envelope");
    assert_eq!(document["success"], (response.status < 300), "{document}");
    (response.status, document)
}

/// A client with a connection of its own.
pub(crate) struct Api(Client);

impl Api {
    pub(crate) async fn to(addr: SocketAddr) -> Self {
        Self(Client::to(addr).await)
    }

    pub(crate) async fn send(&mut self, request: Request) -> (u16, Value) {
        read(&self.0.send(request).await)
    }

    pub(crate) async fn call(&mut self, method: &str, path: &str) -> (u16, Value) {
        self.send(operation(method, path)).await
    }

    /// The data of an operation that succeeds.
    pub(crate) async fn done(&mut self, method: &str, path: &str, body: Value) -> Value {
        let request = if body.is_null() { operation(method, path) } else { with(method, path, &body) };
        let (status, mut document) = self.send(request).await;
        assert!(status < 300, "{method} {path}: {document}");
        document["data"].take()
    }

    pub(crate) async fn create(&mut self, name: &str, kind: &str, settings: Value) -> Value {
        let mut body = json!({ "name": name, "queue_type": kind });
        if !settings.is_null() {
            body["settings"] = settings;
        }
        self.done("POST", "create", body).await["queue"].take()
    }

    pub(crate) async fn publish(&mut self, name: &str, payload: Value) -> Value {
        let path = format!("messages/publish/{name}?sync=true");
        self.done("POST", &path, json!({ "payload": payload })).await["message"].take()
    }

    /// Publishes numbers.
    pub(crate) async fn numbers(&mut self, name: &str, numbers: std::ops::Range<u64>) {
        let all: Vec<u64> = numbers.collect();
        for part in all.chunks(1000) {
            let messages: Vec<Value> = part.iter().map(|n| json!({ "payload": n })).collect();
            self.done("POST", &format!("messages/batch/{name}"), json!({ "messages": messages })).await;
        }
    }

    pub(crate) async fn receive(&mut self, name: &str, timeout: u64) -> Value {
        let path = format!("receive/{name}?timeout={timeout}");
        self.done("GET", &path, Value::Null).await["message"].take()
    }
}

/// A connection of a subscriber.
pub(crate) struct Line(pub(crate) WebSocketStream<TcpStream>);

impl Line {
    pub(crate) async fn dial(addr: SocketAddr, name: &str) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let url = format!("ws://{addr}/queue/ws/{name}");
        let (socket, response) = within(client_async(url, stream)).await.unwrap();
        assert_eq!(response.status(), 101);
        Self(socket)
    }

    /// A subscription, and the answer to its AuthRequest.
    pub(crate) async fn subscribe(addr: SocketAddr, name: &str, last: Option<i64>) -> (Self, Value) {
        let mut line = Self::dial(addr, name).await;
        let mut request = json!({ "authorization": KEY });
        if let Some(last) = last {
            request["last_offset"] = last.into();
        }
        line.say(&request.to_string()).await;
        let answer = line.hear().await;
        (line, answer)
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next frame of the protocol.
    pub(crate) async fn hear(&mut self) -> Value {
        match self.next().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("expected a text, heard {other:?}"),
        }
    }

    /// The next frame that is no ping.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            match within(self.0.next()).await {
                Some(Ok(Message::Ping(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next text, whenever it comes.
    pub(crate) async fn text(mut self) -> Option<String> {
        while let Some(Ok(message)) = self.0.next().await {
            if let Message::Text(text) = message {
                return Some(text.as_str().to_owned());
            }
        }
        None
    }

    /// The code with which the server closes.
    pub(crate) async fn code(&mut self) -> Option<u16> {
        match self.next().await {
            Some(Message::Close(Some(CloseFrame { code, .. }))) => Some(code.into()),
            other => panic!("expected a close, heard {other:?}"),
        }
    }

    /// The offsets and types of so many messages.
    pub(crate) async fn pushed(&mut self, count: usize) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        while all.len() < count {
            let push = self.hear().await;
            let messages = push["messages"].as_array().expect("a push");
            let kind = push["type"].as_str().unwrap();
            assert!(kind == "replay" || messages.len() == 1, "{push}");
            for message in messages {
                assert_eq!(message["queue_id"], push["queue_id"]);
                assert_eq!(message["payload"], message["offset"], "numbers are published in order");
                all.push((message["offset"].as_u64().unwrap(), kind.to_owned()));
            }
        }
        assert_eq!(all.len(), count, "{all:?}");
        all
    }
}
