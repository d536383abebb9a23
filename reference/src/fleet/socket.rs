//! The WebSocket of an agent: how it is let in, and the way of frames between it and the model until it ends.

use super::{
    access::Keys,
    model::{Heard, Input, Said},
    routes::refuse,
    seams::{Frame, MapFrames, MapWritten},
    server::{Shared, random},
    settings::is_token,
};
use crate::{clock::sleep_until, http::Bounded, queue::tapped::Tapped, shell::Ending};
use futures_util::{SinkExt, StreamExt};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot, watch},
    time::{Instant, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use wireproof_spec::{
    fleet::{
        Cause,
        connect::{SENTINEL, close},
        frames::Outer,
    },
    http::{Request, Response},
};

/// How long an agent may take to leave by itself behind a close frame.
const TO_LEAVE: Duration = Duration::from_secs(2);
/// How long the model has to close a connection at the end of the server before the shell does.
const TO_END: Duration = Duration::from_secs(1);
/// How much a connection reads at once: there may be many, and most are idle.
const READ: usize = 8 * 1024;
/// The most that a close frame has room for beside its code.
const REASON: usize = 123;
const WRONG: u16 = 1002;
/// What stands for a close frame without a code.
const NO_CODE: u16 = 1005;
const NO_TEXT: u16 = 1007;
const TOO_LONG: u16 = 1009;

/// The seams of a connection.
pub(super) struct Wires {
    pub(super) frames: Option<MapFrames>,
    pub(super) heard: Option<MapFrames>,
    pub(super) written: Option<MapWritten>,
    pub(super) linger: Option<Duration>,
}

/// What a connection began with.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    /// The request.
    pub(super) request: Request,
    /// Tells this connection from others.
    pub(super) number: u64,
}

/// Whether a header has this among its words.
fn has(request: &Request, name: &str, word: &str) -> bool {
    let mut all = request.headers.0.iter().filter(|(n, _)| n == name).flat_map(|(_, value)| value.split(','));
    all.any(|part| part.trim().eq_ignore_ascii_case(word))
}

/// Whether a request asks for a WebSocket, wherever.
pub(super) fn is_handshake(request: &Request) -> bool {
    has(request, "upgrade", "websocket") && has(request, "connection", "upgrade")
}

/// The protocols that a handshake offers, in order; none if it offers them as nobody may.
fn offered(request: &Request) -> Option<Vec<String>> {
    let Some(list) = request.headers.joined().remove("sec-websocket-protocol") else {
        return Some(Vec::new());
    };
    let all: Vec<_> = list.split(',').map(|one| one.trim().to_owned()).collect();
    let different: BTreeSet<_> = all.iter().collect();
    (different.len() == all.len() && all.iter().all(|one| is_token(one))).then_some(all)
}

/// How a handshake is answered. Whether its ticket is right is not said here.
pub(super) fn answer(request: &Request) -> Response {
    let wrong = || refuse(400, Cause::Validation);
    if request.method != "GET" {
        return wrong();
    }
    if request.headers.get("sec-websocket-version") != Some("13") {
        return wrong().header("sec-websocket-version", "13");
    }
    let Some(key) = request.headers.get("sec-websocket-key").filter(|key| key.len() == 24) else {
        return wrong();
    };
    let Some(offered) = offered(request) else { return wrong() };
    let mut reply = Response::new(101)
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()));
    if offered.iter().any(|one| one == SENTINEL) {
        reply.headers.push("sec-websocket-protocol", SENTINEL);
    } else if let Some(first) = offered.first() {
        tracing::warn!("an agent offered its key alone, which comes back to it in the answer");
        reply.headers.push("sec-websocket-protocol", first);
    }
    reply
}

/// Whether the first protocol that a handshake offers is a key for agents.
fn is_known(request: &Request, keys: &Keys) -> bool {
    let offered = offered(request).unwrap_or_default();
    // The sentinel is no key: nothing was set up so.
    offered.first().is_some_and(|ticket| keys.knows(ticket))
}

/// The connections of agents, as the model speaks to them.
pub(super) struct Lines {
    most: usize,
    all: Mutex<HashMap<u64, Outgoing>>,
}

/// What waits to be sent on a connection.
struct Outgoing {
    frames: mpsc::UnboundedSender<Frame>,
    /// How many bytes of messages wait.
    waiting: Arc<AtomicUsize>,
    /// Says that the connection is about to end.
    ending: oneshot::Sender<()>,
}

/// The other end of what waits.
struct Waiting {
    frames: mpsc::UnboundedReceiver<Frame>,
    waiting: Arc<AtomicUsize>,
}

impl Lines {
    /// More bytes than this may not wait for one agent.
    pub(super) fn new(most: usize) -> Self {
        Self { most, all: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Outgoing>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, connection: u64) -> (Waiting, oneshot::Receiver<()>) {
        let (sender, frames) = mpsc::unbounded_channel();
        let (ending, ends) = oneshot::channel();
        let waiting = Arc::<AtomicUsize>::default();
        let outgoing = Outgoing { frames: sender, waiting: Arc::clone(&waiting), ending };
        self.lock().insert(connection, outgoing);
        (Waiting { frames, waiting }, ends)
    }

    /// Says something to an agent, unless too much waits for it already. One that is gone is told nothing.
    pub(super) fn say(&self, connection: u64, said: &Said) {
        let (topic, payload) = match said {
            Said::Hello(hello) => ("fleet/hello", hello.encode_frame()),
            Said::Poll(poll) => ("fleet/poll", poll.encode_frame()),
            Said::Cmd(cmd) => ("fleet/cmd", cmd.encode_frame()),
        };
        let lines = self.lock();
        let Some(line) = lines.get(&connection) else { return };
        if line.waiting.load(Ordering::Relaxed) > self.most {
            tracing::warn!(connection, topic, "an agent does not read: a frame to it is dropped");
            return;
        }
        let frame = Frame::Message { topic: topic.to_owned(), payload };
        line.waiting.fetch_add(weight(&frame), Ordering::Relaxed);
        // The connection may end at this moment.
        let _ = line.frames.send(frame);
    }

    /// Closes a connection behind what waits for it.
    pub(super) fn close(&self, connection: u64, code: u16, reason: &str) {
        let Some(line) = self.lock().remove(&connection) else { return };
        let _ = line.frames.send(Frame::Close(code, reason.to_owned()));
        let _ = line.ending.send(());
    }
}

/// How many bytes a message counts for what waits.
fn weight(frame: &Frame) -> usize {
    match frame {
        Frame::Message { topic, payload } => topic.len() + payload.len(),
        _ => 0,
    }
}

/// A connection that the model knows. When it is dropped the model is told that it is gone.
struct Joined {
    shared: Arc<Shared>,
    connection: u64,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.shared.lines.lock().remove(&self.connection);
        self.shared.tell(Input::Left { connection: self.connection });
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(
    io: Bounded,
    shared: Arc<Shared>,
    handshake: Handshake,
    mut stop: watch::Receiver<Ending>,
) {
    let limits = shared.limits;
    let connection = handshake.number;
    let known = is_known(&handshake.request, &shared.agents);
    // Of a stranger nothing is kept, long or short.
    let longest = if known { limits.max_message } else { READ };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(0)
        .max_write_buffer_size(usize::MAX)
        .max_message_size(Some(longest))
        .max_frame_size(Some(longest));
    let io = Tapped::new(io, shared.wires.written.clone());
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let mut line = Line { socket, shared: Arc::clone(&shared), handshake };
    if !known {
        tracing::info!(connection, "a ticket was missing or wrong");
        return line.leave(close::UNAUTHORIZED, "").await;
    }
    if *stop.borrow_and_update() != Ending::Not {
        return line.leave(close::VIOLATION, "server_shutdown").await;
    }
    let (waiting, ends) = shared.lines.open(connection);
    let joined = Joined { shared: Arc::clone(&shared), connection };
    let joining = {
        let (heartbeat_ms, verified) = (limits.heartbeat_ms, shared.hash_verified);
        Input::Joined { connection, heartbeat_ms, verified, random: random() }
    };
    if shared.inputs.send(joining).await.is_err() {
        return;
    }
    let cut_off = async {
        match ends.await {
            // An agent that takes nothing gets no close frame either.
            Ok(()) => tokio::time::sleep(2 * shared.wires.linger.unwrap_or(TO_LEAVE)).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = line.serve(waiting, joined, stop) => {}
        () = cut_off => {}
    }
}

/// What was heard of an agent.
enum Step {
    /// Something for the model: a text or bytes.
    Said(Frame),
    /// A pong.
    Pong,
    /// Nothing.
    Nothing,
    /// It has begun to close the connection.
    Closing,
    /// It is gone.
    Gone,
    /// What it sent cannot be read on; with this code it is told.
    Wrong(u16),
}

/// Sorts what a socket brings.
fn step(read: Option<Result<Message, Error>>) -> Step {
    match read {
        None => Step::Gone,
        Some(Ok(Message::Text(text))) => Step::Said(Frame::Text(text.as_str().to_owned())),
        Some(Ok(Message::Binary(bytes))) => Step::Said(Frame::Binary(bytes.into())),
        Some(Ok(Message::Pong(_))) => Step::Pong,
        Some(Ok(Message::Ping(_) | Message::Frame(_))) => Step::Nothing,
        Some(Ok(Message::Close(_))) => Step::Closing,
        Some(Err(Error::Capacity(_))) => Step::Wrong(TOO_LONG),
        Some(Err(Error::Utf8(_))) => Step::Wrong(NO_TEXT),
        // A connection that broke is told nothing.
        Some(Err(
            Error::Io(_)
            | Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ),
        )) => Step::Gone,
        Some(Err(_)) => Step::Wrong(WRONG),
    }
}

/// One end of a connection.
struct Line {
    socket: WebSocketStream<Tapped<Bounded>>,
    shared: Arc<Shared>,
    handshake: Handshake,
}

impl Line {
    /// Carries frames both ways until either side ends it.
    async fn serve(&mut self, mut waiting: Waiting, joined: Joined, mut stop: watch::Receiver<Ending>) {
        let limits = self.shared.limits;
        let every = Duration::from_millis(limits.ping_ms.max(1));
        let mut pings = interval_at(Instant::now() + every, every);
        let mut missed = 0;
        let mut stopping = None;
        loop {
            tokio::select! {
                said = waiting.frames.recv() => {
                    // The sender goes only behind a close frame.
                    let Some(frame) = said else { return };
                    let weight = weight(&frame);
                    if let Frame::Close(code, reason) = frame {
                        // The model has let go of it.
                        drop(joined);
                        return self.leave(code, &reason).await;
                    }
                    if !self.send(frame).await {
                        return;
                    }
                    waiting.waiting.fetch_sub(weight, Ordering::Relaxed);
                }
                read = self.socket.next() => match step(read) {
                    Step::Said(heard) => {
                        if !self.hear(joined.connection, heard).await {
                            return;
                        }
                    }
                    Step::Pong => missed = 0,
                    Step::Nothing => {}
                    Step::Closing => {
                        drop(joined);
                        return self.gone().await;
                    }
                    Step::Gone => return,
                    Step::Wrong(code) => {
                        drop(joined);
                        return self.leave(code, "").await;
                    }
                },
                _ = pings.tick() => {
                    if missed >= limits.missed_pings {
                        tracing::info!(connection = joined.connection, "an agent answers no pings");
                        if !self.send(Frame::Cut).await {
                            return;
                        }
                    }
                    missed += 1;
                    if !self.send(Frame::Ping(Vec::new())).await {
                        return;
                    }
                }
                _ = stop.changed(), if stopping.is_none() => stopping = Some(Instant::now() + TO_END),
                () = sleep_until(stopping) => {
                    drop(joined);
                    return self.leave(close::VIOLATION, "server_shutdown").await;
                }
            }
        }
    }

    /// Takes what was heard to the model, or what a seam makes of it; says whether the connection goes on.
    async fn hear(&mut self, connection: u64, heard: Frame) -> bool {
        let mut frames = vec![heard];
        if let Some(map) = &self.shared.wires.heard {
            if let Frame::Binary(bytes) = &mut frames[0] {
                frames[0] = opened(std::mem::take(bytes));
            }
            map(&self.handshake.request, connection, &mut frames);
        }
        for frame in frames {
            let heard = match frame {
                Frame::Message { topic, payload } => Heard::Binary(Outer::encode(&topic, &payload)),
                Frame::Binary(bytes) => Heard::Binary(bytes),
                Frame::Text(_) => Heard::Text,
                Frame::Ping(_) => continue,
                Frame::Close(code, reason) => {
                    self.leave(code, &reason).await;
                    return false;
                }
                Frame::Cut => return false,
                Frame::Pause(time) => {
                    tokio::time::sleep(time).await;
                    continue;
                }
            };
            if self.shared.inputs.send(Input::Heard { connection, heard }).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Sends a frame, or what a seam makes of it; says whether the connection goes on.
    async fn send(&mut self, frame: Frame) -> bool {
        let mut frames = vec![frame];
        if let Some(map) = &self.shared.wires.frames {
            map(&self.handshake.request, self.handshake.number, &mut frames);
        }
        for frame in frames {
            let message = match frame {
                Frame::Message { topic, payload } => Message::binary(Outer::encode(&topic, &payload)),
                Frame::Binary(bytes) => Message::binary(bytes),
                Frame::Text(text) => Message::text(text),
                Frame::Ping(bytes) => Message::Ping(bytes.into()),
                Frame::Close(NO_CODE, _) => Message::Close(None),
                Frame::Close(code, reason) => {
                    Message::Close(Some(CloseFrame { code: code.into(), reason: cut(&reason).into() }))
                }
                Frame::Cut => return false,
                Frame::Pause(time) => {
                    tokio::time::sleep(time).await;
                    continue;
                }
            };
            if self.socket.send(message).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Sends a close frame, and waits a moment for the other side to leave.
    async fn leave(&mut self, code: u16, reason: &str) {
        if self.send(Frame::Close(code, reason.to_owned())).await {
            self.gone().await;
        }
    }

    /// Waits a moment for the end of the connection.
    async fn gone(&mut self) {
        let _ = timeout(self.shared.wires.linger.unwrap_or(TO_LEAVE), async {
            // What was underway is nobody's any more. Of a message that cannot be read the rest is passed over as bytes, or
            // whoever still writes would find the connection reset before it finds the close frame.
            while !matches!(step(self.socket.next().await), Step::Gone | Step::Wrong(_)) {}
            let io = self.socket.get_mut();
            io.shutdown().await?;
            let mut passed = vec![0; READ];
            while io.read(&mut passed).await? > 0 {}
            std::io::Result::Ok(())
        })
        .await;
    }
}

/// A message of an agent as seams see it.
fn opened(bytes: Vec<u8>) -> Frame {
    if let Ok(Outer { topic: Some(topic), payload: Some(payload) }) = Outer::decode(&bytes) {
        return Frame::Message { topic: topic.into_owned(), payload: payload.to_vec() };
    }
    Frame::Binary(bytes)
}

/// As much of a reason as a close frame has room for.
fn cut(reason: &str) -> String {
    let end = (0..=reason.len().min(REASON)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    reason[..end].to_owned()
}
