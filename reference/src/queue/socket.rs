//! A connection of a subscriber: the handshake, who it is, and what it is pushed until it ends.

use super::{
    frames::{Made, Wanted, made},
    message::{random, refuse},
    model::{Answer, Ask, End, Place, Refusal, Who},
    seams::{Frame, MapFrames, MapHeard, MapWritten},
    server::{Reply, Session, Shared},
    tapped::Tapped,
};
use crate::{http::Bounded, log, shell::Ending};
use futures_util::{SinkExt, StreamExt};
use std::{net::IpAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
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
    http::{Request, Response},
    json::Whole,
    queue::{AuthRequest, AuthResponse, PushType, QueueType},
};

/// The closes of this server. Up to 4999 they are for ever.
const NO_AUTH_REQUEST: u16 = 4000;
const NOT_KNOWN: u16 = 4001;
const NO_QUEUE: u16 = 4004;
const SILENT: u16 = 4008;
const TOO_LONG: u16 = 4009;
const GOING_AWAY: u16 = 1001;
const NOT_READ: u16 = 1011;
/// How long a client that was refused may take to leave by itself.
const TO_LEAVE: Duration = Duration::from_secs(2);
/// How much a connection reads at once: there may be many, and most are idle.
const READ: usize = 4 * 1024;
/// How much it writes at once. It is there only when something is pushed.
const WRITE: usize = 32 * 1024;
/// After so many pings without a word a client is gone.
const PINGS: u32 = 3;

/// The seams of a connection.
pub(super) struct Wires {
    pub(super) opening: Option<MapFrames>,
    pub(super) frames: Option<MapFrames>,
    pub(super) heard: Option<MapHeard>,
    pub(super) written: Option<MapWritten>,
}

/// What a connection began with.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    /// The request.
    pub(super) request: Request,
    /// The name of the queue.
    pub(super) name: String,
    /// Where it comes from, if that is known.
    pub(super) peer: Option<IpAddr>,
    /// Tells this connection from others.
    pub(super) number: u64,
}

/// How a handshake is answered. Whether there is such a queue is told to those only who have a key.
pub(super) fn answer(request: &Request) -> Response {
    let has = |name: &str, token: &str| {
        let value = request.headers.joined().remove(name);
        value.is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    };
    if request.method != "GET" {
        return refuse(405, "expected GET").header("allow", "GET");
    }
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        let refused = refuse(426, "expected an upgrade to a WebSocket");
        return refused.header("upgrade", "websocket").header("connection", "upgrade");
    }
    if request.headers.get("sec-websocket-version") != Some("13") {
        return refuse(426, "expected version 13").header("sec-websocket-version", "13");
    }
    let Some(key) = request.headers.get("sec-websocket-key").filter(|key| key.len() == 24) else {
        return refuse(400, "expected Sec-WebSocket-Key of 24 characters");
    };
    Response::new(101)
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()))
}

/// Serves a connection to its end.
pub(super) async fn serve(
    io: Bounded,
    shared: Arc<Shared>,
    handshake: Handshake,
    mut stop: watch::Receiver<Ending>,
) {
    let limits = shared.limits;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(WRITE)
        .max_write_buffer_size(usize::MAX)
        .max_message_size(Some(limits.max_frame))
        .max_frame_size(Some(limits.max_frame));
    let io = Tapped::new(io, shared.wires.written.clone());
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let mut line = Line { socket, shared: Arc::clone(&shared), handshake };
    // Nothing is said before the client has spoken, unless that is broken.
    if let Some(opening) = &shared.wires.opening {
        let mut frames = Vec::new();
        opening(&line.handshake.request, line.handshake.number, &mut frames);
        if line.send(frames).await.is_err() {
            return;
        }
    }
    let patience = Duration::from_millis(limits.auth_ms);
    let first = tokio::select! {
        first = timeout(patience, line.hear()) => first,
        _ = stop.changed() => return line.leave(GOING_AWAY, "the server stops").await,
    };
    let request = match first {
        Err(_) => return line.leave(SILENT, "expected an AuthRequest in time").await,
        Ok(Heard::Gone) => return,
        Ok(Heard::TooLong) => return line.leave(TOO_LONG, "expected a shorter frame").await,
        Ok(Heard::Binary) => {
            return line.reject("expected a text frame", NO_AUTH_REQUEST).await;
        }
        Ok(Heard::Text(text)) => match AuthRequest::decode(text.as_bytes()) {
            Ok(request) => request,
            Err(violation) => return line.reject(&violation.to_string(), NO_AUTH_REQUEST).await,
        },
    };
    if !shared.knows(&request.authorization) {
        return line.reject("invalid key", NOT_KNOWN).await;
    }
    let client_id = match &request.client_id {
        Some(id) if shared.access.chosen_client_ids || is_ours(id.as_str()) => id.as_str().to_owned(),
        Some(_) => return line.reject("expected a client_id of this server", NOT_KNOWN).await,
        None => new_id(),
    };
    let mut session = Session::new(Arc::clone(&shared), line.handshake.name.clone());
    let ip = line.handshake.peer.map_or_else(String::new, |peer| peer.to_string());
    let who = Who { client_id: client_id.clone(), ip };
    let last = request.last_offset.map(Whole::get);
    let (kind, from, live) = match session.ask(Ask::Subscribe { last, who }).await {
        Some(Reply { answer: Answer::Subscribed { kind, from, live, .. }, .. }) => (kind, from, live),
        Some(Reply { answer: Answer::Refused(Refusal::NoQueue), .. }) => {
            return line.reject("queue not found", NO_QUEUE).await;
        }
        // The server stops, or has ended.
        _ => return line.leave(GOING_AWAY, "the server stops").await,
    };
    let welcome = AuthResponse { success: true, error: None, client_id: Some(client_id) };
    let mut frames = vec![Frame::Text(welcome.encode())];
    frames.extend(line.keep_alive());
    if line.send(frames).await.is_err() {
        return;
    }
    line.push(session, kind, from, live).await;
}

/// A new id of a subscriber.
fn new_id() -> String {
    format!("qcid_{:016x}{:016x}", random(), random())
}

/// Whether an id has the form of those that are given out here.
fn is_ours(id: &str) -> bool {
    id.strip_prefix("qcid_").is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What was heard of a client.
enum Heard {
    Text(String),
    Binary,
    /// It cannot be read on, but answered.
    TooLong,
    /// It has closed the connection, and was answered; or it is gone.
    Gone,
}

/// One end of a connection.
struct Line {
    socket: WebSocketStream<Tapped<Bounded>>,
    shared: Arc<Shared>,
    handshake: Handshake,
}

impl Line {
    /// The next data frame. Pings are answered on the way, and so is a close.
    async fn hear(&mut self) -> Heard {
        loop {
            let heard = match self.socket.next().await {
                None => return Heard::Gone,
                Some(Err(Error::Capacity(_))) => return Heard::TooLong,
                Some(Err(_)) => return Heard::Gone,
                Some(Ok(Message::Text(text))) => Frame::Text(text.as_str().to_owned()),
                Some(Ok(Message::Binary(bytes))) => Frame::Binary(bytes),
                // The answer is sent with the next read, which ends the connection.
                Some(Ok(Message::Close(_))) => continue,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            };
            match self.mapped(heard) {
                Frame::Text(text) => return Heard::Text(text),
                Frame::Binary(_) => return Heard::Binary,
                Frame::Close(..) | Frame::Cut => return Heard::Gone,
                Frame::Pause(time) => tokio::time::sleep(time).await,
            }
        }
    }

    /// What was heard, as it is taken.
    fn mapped(&self, mut heard: Frame) -> Frame {
        if let Some(map) = &self.shared.wires.heard {
            map(&self.handshake.request, self.handshake.number, &mut heard);
        }
        heard
    }

    /// What an authenticated client said although it has nothing more to say: nothing comes of it, unless a seam makes it an
    /// end.
    fn passed_over(&self, message: Message) -> Option<Frame> {
        let heard = match message {
            Message::Text(text) => self.mapped(Frame::Text(text.as_str().to_owned())),
            Message::Binary(bytes) => self.mapped(Frame::Binary(bytes)),
            _ => return None,
        };
        matches!(heard, Frame::Close(..) | Frame::Cut).then_some(heard)
    }

    /// The text by which this server keeps a connection alive, if it has one.
    fn keep_alive(&self) -> Option<Frame> {
        self.shared.keep_alive.map(|text| Frame::Text(text.to_owned()))
    }

    /// Sends frames. An error means that nothing can be sent any more.
    async fn send(&mut self, mut frames: Vec<Frame>) -> Result<(), Error> {
        if let Some(map) = &self.shared.wires.frames {
            map(&self.handshake.request, self.handshake.number, &mut frames);
        }
        for frame in frames {
            let message = match frame {
                Frame::Text(text) => Message::text(text),
                Frame::Binary(bytes) => Message::Binary(bytes),
                Frame::Close(code, reason) => {
                    Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
                }
                Frame::Cut => {
                    self.socket.flush().await?;
                    return Err(Error::ConnectionClosed);
                }
                Frame::Pause(time) => {
                    self.socket.flush().await?;
                    tokio::time::sleep(time).await;
                    continue;
                }
            };
            self.socket.feed(message).await?;
        }
        self.socket.flush().await
    }

    /// Tells a client why it may not stay, gives it a moment to leave by itself, and closes.
    async fn reject(&mut self, why: &str, code: u16) {
        let failure = AuthResponse { success: false, error: Some(why.into()), client_id: None };
        if self.send(vec![Frame::Text(failure.encode())]).await.is_err() {
            return;
        }
        let patience = TO_LEAVE.min(Duration::from_millis(self.shared.limits.auth_ms));
        if timeout(patience, self.gone()).await.is_err() {
            self.leave(code, why).await;
        }
    }

    /// Closes the connection, and waits a moment for the other side to do so too.
    async fn leave(&mut self, code: u16, reason: &str) {
        /// The most that a close frame has room for beside its code.
        const ROOM: usize = 123;
        let end = (0..=reason.len().min(ROOM)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        let close = Frame::Close(code, reason[..end].to_owned());
        if self.send(vec![close]).await.is_ok() {
            // It may never answer.
            let _ = timeout(TO_LEAVE, self.gone()).await;
        }
    }

    /// Waits for the end of the connection.
    async fn gone(&mut self) {
        while !matches!(self.hear().await, Heard::Gone | Heard::TooLong) {}
    }

    /// Pushes what comes until either side ends it.
    async fn push(&mut self, mut session: Session, kind: QueueType, mut from: u64, live: u64) {
        let limits = self.shared.limits;
        let interval = Duration::from_millis(limits.ping_ms);
        let (mut unanswered, mut ping) = (0, Instant::now() + interval);
        loop {
            let ask = match kind {
                QueueType::Worker => Ask::Work,
                QueueType::Pubsub => Ask::Next { from, most: limits.replay_batch },
            };
            let reply = {
                let mut asking = pin!(session.ask(ask));
                loop {
                    tokio::select! {
                        reply = &mut asking => break reply,
                        heard = self.socket.next() => match heard {
                            None => return,
                            Some(Err(Error::Capacity(_))) => {
                                return self.leave(TOO_LONG, "expected no frame").await;
                            }
                            Some(Err(_)) => return,
                            // The answer goes out with what is read next: nothing may come between.
                            Some(Ok(Message::Close(_))) => return self.gone().await,
                            Some(Ok(message)) => {
                                unanswered = 0;
                                match self.passed_over(message) {
                                    Some(Frame::Close(code, why)) => return self.leave(code, &why).await,
                                    Some(_) => return,
                                    None => {}
                                }
                            }
                        },
                        () = tokio::time::sleep_until(ping) => {
                            unanswered += 1;
                            ping = Instant::now() + interval;
                            let sent = self.socket.send(Message::Ping(Vec::new().into())).await;
                            if unanswered > PINGS || sent.is_err() {
                                return;
                            }
                            if let Some(text) = self.keep_alive()
                                && self.send(vec![text]).await.is_err()
                            {
                                return;
                            }
                        }
                    }
                }
            };
            let Some(Reply { answer, _lease }) = reply else {
                return self.leave(GOING_AWAY, "the server stops").await;
            };
            match answer {
                Answer::Push { incarnation, places, to } => {
                    let replay = kind == QueueType::Pubsub && from < live;
                    if !self.push_all(incarnation, &places, kind, replay).await {
                        return;
                    }
                    from = to;
                }
                Answer::Over(End::Stopping) => return self.leave(GOING_AWAY, "the server stops").await,
                _ => return self.leave(NO_QUEUE, "the queue was deleted").await,
            }
        }
    }

    /// Pushes messages, a part of them at a time; says whether all went out.
    async fn push_all(
        &mut self,
        incarnation: u64,
        mut places: &[Place],
        kind: QueueType,
        replay: bool,
    ) -> bool {
        let shared = Arc::clone(&self.shared);
        while !places.is_empty() {
            let wanted = Wanted {
                incarnation,
                places,
                kind: if replay { PushType::Replay } else { PushType::Message },
                most: shared.limits.chunk,
            };
            let sent = match kind {
                QueueType::Pubsub => match shared.frames.shared(&shared.content, wanted).await {
                    Ok(frames) => match frames.get() {
                        Some(made) => self.send_texts(made).await,
                        None => Ok(0),
                    },
                    Err(error) => return self.not_read(&error).await,
                },
                // Nobody else is pushed the same.
                QueueType::Worker => match made(&shared.content, wanted).await {
                    Ok(made) => self.send_texts(&made).await,
                    Err(error) => return self.not_read(&error).await,
                },
            };
            match sent {
                Ok(count @ 1..) => places = &places[count..],
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    async fn not_read(&mut self, error: &log::Error) -> bool {
        tracing::error!(%error, "content was not read");
        self.leave(NOT_READ, "content was not read").await;
        false
    }

    /// Sends frames of text; tells how many places they cover.
    async fn send_texts(&mut self, made: &Made) -> Result<usize, Error> {
        if self.shared.wires.frames.is_some() {
            self.send(made.texts.iter().map(|text| Frame::Text(text.as_str().to_owned())).collect()).await?;
        } else {
            for text in &made.texts {
                self.socket.feed(Message::Text(text.clone())).await?;
            }
            self.socket.flush().await?;
        }
        Ok(made.places)
    }
}
