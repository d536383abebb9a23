//! An orchestrator that says what a test wants.

use crate::client::within;
use futures_util::{SinkExt, StreamExt};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::broadcast,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message as Wire,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::CloseFrame,
    },
};
use wireproof_reference::fleet::client::{Agent, Condition, Event, Handle, Seams, Settings};
use wireproof_spec::fleet::{
    Ack, Cmd, Hello, Op, Poll, State, Status, connect::SENTINEL, frames::Outer, frames::VERSION,
};

pub(crate) const KEY: &str = "an-agent-key";

pub(crate) struct Script(pub(crate) TcpListener);

impl Script {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn settings(&self) -> Settings {
        quick(self.0.local_addr().unwrap())
    }

    /// The next connection, with this protocol selected, and the request that it began with.
    pub(crate) async fn selecting(&self, protocol: &'static str) -> (Peer, Request) {
        let (stream, _) = within(self.0.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = None;
        #[expect(clippy::result_large_err, reason = "the library wants it")]
        let select = |seen: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            request = Some(seen.clone());
            response.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
            Ok(response)
        };
        let socket = within(accept_hdr_async(stream, select)).await.unwrap();
        (Peer(socket), request.unwrap())
    }

    /// The next connection.
    pub(crate) async fn dialled(&self) -> Peer {
        self.selecting(SENTINEL).await.0
    }

    /// The next connection, behind a Hello.
    pub(crate) async fn greeted(&self) -> Peer {
        let mut peer = self.dialled().await;
        peer.hello("i1").await;
        peer
    }

    /// An agent that is connected, and its connection.
    pub(crate) async fn connected(&self, settings: &Settings, seams: Seams) -> (Agent, Peer) {
        let agent = Agent::start(settings, seams).unwrap();
        let (peer, instance) = tokio::join!(self.greeted(), within(agent.connect()));
        assert_eq!(instance.as_deref(), Ok("i1"));
        (agent, peer)
    }

    /// The next dial is answered with this status.
    pub(crate) async fn refused(&self, status: u16) {
        let (mut stream, _) = within(self.0.accept()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(stream.read_u8()).await.unwrap());
        }
        let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n");
        within(stream.write_all(answer.as_bytes())).await.unwrap();
    }

    /// Nobody dials while this lasts.
    pub(crate) async fn quiet(&self, ms: u64) {
        let dialled = tokio::time::timeout(Duration::from_millis(ms), self.0.accept()).await;
        assert!(dialled.is_err(), "nobody is to dial");
    }
}

/// The orchestrator's side of a connection.
pub(crate) struct Peer(pub(crate) WebSocketStream<TcpStream>);

impl Peer {
    pub(crate) async fn bytes(&mut self, bytes: Vec<u8>) {
        self.0.send(Wire::binary(bytes)).await.unwrap();
    }

    pub(crate) async fn say(&mut self, topic: &str, inner: &[u8]) {
        self.bytes(Outer::encode(topic, inner)).await;
    }

    pub(crate) async fn hello(&mut self, id: &str) {
        self.say("fleet/hello", &hello(id).encode_frame()).await;
    }

    pub(crate) async fn poll(&mut self, id: &str, known: Option<&str>, status: Status) {
        let poll = Poll { req_id: id.into(), known_hash: known.map(str::to_owned), status };
        self.say("fleet/poll", &poll.encode_frame()).await;
    }

    /// Says a Cmd.
    pub(crate) async fn cmd(&mut self, id: &str, op: &str, room: Option<&str>, kind: Option<&str>) {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let cmd = Cmd { cmd_id: id.into(), op: Op::from(op), room_id: text(room), room_type: text(kind) };
        self.say("fleet/cmd", &cmd.encode_frame()).await;
    }

    /// The next message, whatever it is.
    pub(crate) async fn next(&mut self) -> Wire {
        within(self.0.next()).await.expect("a message").expect("a message")
    }

    /// The payload of the next message, which has this topic.
    pub(crate) async fn heard(&mut self, topic: &str) -> Vec<u8> {
        let Wire::Binary(bytes) = self.next().await else { panic!("expected bytes") };
        let outer = Outer::decode(&bytes).unwrap();
        assert_eq!(outer.topic.as_deref(), Some(topic));
        assert_eq!(bytes, Outer::encode(topic, outer.payload.unwrap()), "both fields, in their order");
        outer.payload.unwrap().to_vec()
    }

    /// The next message, a State as it has to be written.
    pub(crate) async fn state(&mut self) -> State {
        State::decode_frame(&self.heard("fleet/state").await).unwrap()
    }

    /// The next message, an Ack as it has to be written.
    pub(crate) async fn ack(&mut self) -> Ack {
        Ack::decode_frame(&self.heard("fleet/ack").await).unwrap()
    }

    /// A Poll without a hash and the answer.
    pub(crate) async fn ask(&mut self, id: &str, status: Status) -> State {
        self.poll(id, None, status).await;
        let state = self.state().await;
        assert_eq!(state.req_id, id);
        state
    }

    /// A Cmd and its Ack.
    pub(crate) async fn command(
        &mut self,
        id: &str,
        op: &str,
        room: Option<&str>,
        kind: Option<&str>,
    ) -> Ack {
        self.cmd(id, op, room, kind).await;
        let ack = self.ack().await;
        assert_eq!(ack.cmd_id, id);
        assert_eq!(ack.error.as_deref().is_some_and(|error| !error.is_empty()), !ack.ok, "{ack:?}");
        ack
    }

    /// Nothing was said so far: the next message is the answer to a ping.
    pub(crate) async fn silent(&mut self) {
        self.0.send(Wire::Ping(b"still there"[..].into())).await.unwrap();
        assert_eq!(self.next().await, Wire::Pong(b"still there"[..].into()));
    }

    /// The close frame of the agent, behind whatever; none if the connection ends without one.
    pub(crate) async fn closed(&mut self) -> Option<Option<u16>> {
        loop {
            match within(self.0.next()).await {
                Some(Ok(Wire::Close(close))) => {
                    // The answer is waiting to be sent.
                    let _ = self.0.flush().await;
                    return Some(close.map(|close| close.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    pub(crate) async fn close(mut self, code: u16) {
        self.0.send(Wire::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))).await.unwrap();
        assert_eq!(self.closed().await, Some(Some(code)), "the answer has the same code");
    }
}

pub(crate) fn hello(id: &str) -> Hello {
    Hello { instance_id: id.into(), protocol_version: VERSION, heartbeat_ms: 300 }
}

/// Delays that a test can wait for.
pub(crate) fn quick(addr: SocketAddr) -> Settings {
    let mut settings = Settings::new(format!("ws://{addr}"), KEY, "wss://rooms.example/", "one");
    settings.room_types = vec!["match".into(), "lobby".into()];
    settings.redial.base_ms = 10;
    settings.redial.max_ms = 40;
    settings
}

pub(crate) async fn is(agent: &Handle, condition: Condition) {
    within(agent.until(|seen| seen.condition == condition)).await.unwrap();
}

/// The next event of which this makes something.
pub(crate) async fn told<T>(
    events: &mut broadcast::Receiver<Event>,
    mut wanted: impl FnMut(Event) -> Option<T>,
) -> T {
    loop {
        if let Some(found) = wanted(within(events.recv()).await.unwrap()) {
            return found;
        }
    }
}
