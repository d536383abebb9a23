//! Peers of an orchestrator: an agent that says what it is told to say, an operator, and a reader of events.

use crate::client::{Client, within};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use wireproof_reference::fleet::{ADMIN_KEY, AGENT_KEY, Options, Running, Server};
use wireproof_spec::{
    fleet::{
        Ack, Capacity, Cmd, Hello, Label, Origin, Poll, Snapshot, State, Status, SyncRoom, connect::SENTINEL,
        frames::Outer,
    },
    http::{Request, Response},
};

/// An orchestrator with its usual keys.
pub(crate) async fn start(change: impl FnOnce(&mut Options)) -> Running {
    let mut options = Options::default();
    change(&mut options);
    Server::start(options).await.unwrap()
}

/// Opens a WebSocket, with one header line for each that is offered: which protocol was selected, and the socket; or with
/// which status it was refused.
pub(crate) async fn dial(
    addr: SocketAddr,
    path: &str,
    offered: &[&str],
) -> Result<(Option<String>, WebSocketStream<TcpStream>), u16> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    within(stream.write_all(handshake(path, offered).as_bytes())).await.unwrap();
    let mut head = Vec::new();
    // What follows belongs to the socket.
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    assert!(response.parse(&head).unwrap().is_complete());
    if response.code != Some(101) {
        return Err(response.code.unwrap());
    }
    let selected = response.headers.iter().find(|header| header.name == "sec-websocket-protocol");
    let selected = selected.map(|header| String::from_utf8(header.value.to_vec()).unwrap());
    Ok((selected, WebSocketStream::from_raw_socket(stream, Role::Client, None).await))
}

/// A handshake, as bytes.
pub(crate) fn handshake(path: &str, offered: &[&str]) -> String {
    let offered: String = offered.iter().map(|one| format!("sec-websocket-protocol: {one}\r\n")).collect();
    format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offered}\r\n"
    )
}

/// What an orchestrator says to an agent.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Hello(Hello),
    Poll(Poll),
    Cmd(Cmd),
    Close(u16, String),
    Gone,
}

pub(crate) struct Agent {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) id: String,
    seq: u32,
}

impl Agent {
    /// An agent on this socket.
    pub(crate) fn over(socket: WebSocketStream<TcpStream>) -> Self {
        Self { socket, id: String::new(), seq: 0 }
    }

    /// An agent whose ticket was taken, behind its Hello, and its first Poll.
    pub(crate) async fn join(addr: SocketAddr) -> (Self, Poll) {
        let (selected, socket) = dial(addr, "/", &[AGENT_KEY, SENTINEL]).await.unwrap();
        assert_eq!(selected.as_deref(), Some(SENTINEL));
        let mut agent = Self::over(socket);
        let Said::Hello(hello) = agent.hear().await else { panic!("a Hello") };
        agent.id = hello.instance_id;
        let poll = agent.polled().await;
        (agent, poll)
    }

    /// An agent that has told its rooms.
    pub(crate) async fn synced(addr: SocketAddr, rooms: &[&str]) -> Self {
        let (mut agent, poll) = Self::join(addr).await;
        agent.tell(&poll, rooms).await;
        agent
    }

    /// What comes next.
    pub(crate) async fn hear(&mut self) -> Said {
        loop {
            let bytes = match within(self.socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(Some(close)))) => {
                    return Said::Close(close.code.into(), close.reason.as_str().to_owned());
                }
                Some(Ok(message)) => panic!("expected a frame, heard {message:?}"),
                Some(Err(_)) | None => return Said::Gone,
            };
            let outer = Outer::decode(&bytes).unwrap();
            let payload = outer.payload.unwrap();
            return match outer.topic.unwrap().as_ref() {
                "fleet/hello" => Said::Hello(Hello::decode_frame(payload).unwrap()),
                "fleet/poll" => Said::Poll(Poll::decode_frame(payload).unwrap()),
                "fleet/cmd" => Said::Cmd(Cmd::decode_frame(payload).unwrap()),
                topic => panic!("expected a topic of the orchestrator, heard {topic}"),
            };
        }
    }

    /// The Poll that comes next.
    pub(crate) async fn polled(&mut self) -> Poll {
        match self.hear().await {
            Said::Poll(poll) => poll,
            other => panic!("expected a Poll, heard {other:?}"),
        }
    }

    /// The Cmd that comes next; Polls on the way are answered hash-only.
    pub(crate) async fn told(&mut self) -> Cmd {
        loop {
            match self.hear().await {
                Said::Cmd(cmd) => return cmd,
                Said::Poll(poll) => self.still(&poll).await,
                other => panic!("expected a Cmd, heard {other:?}"),
            }
        }
    }

    /// How the connection is closed; Polls on the way are not answered.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.hear().await {
                Said::Close(code, reason) => return (code, reason),
                Said::Poll(_) => {}
                other => panic!("expected a close, heard {other:?}"),
            }
        }
    }

    /// Answers the next Poll with these rooms.
    pub(crate) async fn sync(&mut self, rooms: &[&str]) {
        let poll = self.polled().await;
        self.tell(&poll, rooms).await;
    }

    /// Answers a Poll with these rooms.
    pub(crate) async fn tell(&mut self, poll: &Poll, rooms: &[&str]) {
        let room = |id: &&str| SyncRoom {
            id: (*id).into(),
            kind: "match".into(),
            connections: 1,
            origin: Origin::Fleet,
        };
        let snapshot = Snapshot {
            name: "one".into(),
            process_uid: "p_1".into(),
            agent_version: "1".into(),
            protocol_version: 3,
            endpoint_url: "wss://one.example.com".into(),
            labels: vec![Label { key: "region".into(), value: "eu".into() }],
            capacity: Capacity { max_connections: None, max_rooms: None },
            auto_create: true,
            room_types: vec!["match".into()],
            rooms: rooms.iter().map(room).collect(),
            status: Status::Active,
        };
        self.answer(poll, Some(snapshot)).await;
    }

    /// Answers a Poll hash-only.
    pub(crate) async fn still(&mut self, poll: &Poll) {
        self.answer(poll, None).await;
    }

    async fn answer(&mut self, poll: &Poll, snapshot: Option<Snapshot>) {
        self.seq += 1;
        let hash = snapshot.as_ref().map_or_else(String::new, Snapshot::hash);
        let state = State { req_id: poll.req_id.clone(), seq: self.seq, hash, snapshot };
        self.say("fleet/state", &state.encode_frame()).await;
    }

    /// Acknowledges a Cmd.
    pub(crate) async fn ack(&mut self, cmd: &Cmd) {
        let cmd_id = cmd.cmd_id.clone();
        let ack = Ack { cmd_id, ok: true, error: None, already_gone: None, room: None, exists: None };
        self.say("fleet/ack", &ack.encode_frame()).await;
    }

    pub(crate) async fn say(&mut self, topic: &str, payload: &[u8]) {
        self.send(Message::binary(Outer::encode(topic, payload))).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        within(self.socket.send(message)).await.unwrap();
    }
}

/// A request with the key for operators.
pub(crate) fn asked(method: &str, path: &str) -> Request {
    let mut request = Request::new(method, "").header("authorization", format!("Bearer {ADMIN_KEY}"));
    request.set_target(path);
    request
}

/// A request for a room.
pub(crate) fn room(id: &str) -> Request {
    let body = json!({ "type": "match", "roomId": id }).to_string();
    asked("POST", "/v1/rooms").header("content-type", "application/json").body(body)
}

/// The answer to a request on its own connection.
pub(crate) async fn send(addr: SocketAddr, request: Request) -> Response {
    Client::to(addr).await.send(request).await
}

/// The answer to a request that is sent meanwhile.
pub(crate) fn sending(addr: SocketAddr, request: Request) -> JoinHandle<Response> {
    tokio::spawn(send(addr, request))
}

/// The status of an answer, and its cause or else its data.
pub(crate) async fn call(addr: SocketAddr, request: Request) -> (u16, Value) {
    let response = send(addr, request).await;
    let kind = response.headers.get("content-type");
    assert_eq!(kind, Some("application/json; charset=utf-8"));
    let mut document: Value = serde_json::from_slice(&response.body).unwrap();
    let expected = if response.status < 300 { "OK" } else { "rejected" };
    assert_eq!(document["status"], expected);
    let name = if response.status < 300 { "data" } else { "cause" };
    (response.status, document[name].take())
}

/// A reader of events.
pub(crate) struct Reader {
    pub(crate) head: Response,
    body: Incoming,
    text: String,
}

impl Reader {
    /// A reader whose stream has begun.
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let mut reader = Self::ask(addr, asked("GET", "/v1/events")).await;
        assert_eq!(reader.block().await.as_deref(), Some(": connected"));
        reader
    }

    pub(crate) async fn ask(addr: SocketAddr, request: Request) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut sent = hyper::Request::builder().uri(request.target()).header("host", "test.example");
        for (name, value) in &request.headers.0 {
            sent = sent.header(name, value);
        }
        let sent = sent.body(Empty::<Bytes>::new()).unwrap();
        let (parts, body) = within(sender.send_request(sent)).await.unwrap().into_parts();
        let mut head = Response::new(parts.status.as_u16());
        for (name, value) in &parts.headers {
            head.headers.push(name.as_str(), value.to_str().unwrap());
        }
        Self { head, body, text: String::new() }
    }

    /// The next block, without the empty line behind it; none at the end of the stream.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let frame = within(self.body.frame()).await?.ok()?;
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }

    /// The next event: its name and its data.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        loop {
            let block = self.block().await.expect("an event");
            let Some((event, data)) = block.split_once('\n') else { continue };
            let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            return (event.strip_prefix("event: ").unwrap().to_owned(), data);
        }
    }

    /// Waits for the end of the stream.
    pub(crate) async fn until_end(&mut self) {
        while self.block().await.is_some() {}
    }

    /// Waits for the next event of this name, and tells the names of those before it.
    pub(crate) async fn until(&mut self, name: &str) -> (Vec<String>, Value) {
        let mut before = Vec::new();
        loop {
            let (event, data) = self.event().await;
            if event == name {
                return (before, data);
            }
            before.push(event);
        }
    }
}
