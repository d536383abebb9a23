//! One connection of a client: the dial, what comes, what is said, and the end.
//!
//! What comes waits in a queue with bounds, in frames and in bytes, and so does what is to be said. While the first is full
//! nothing is read, so that a server is held up by a client that is slow, and nothing here grows.

use super::{
    place::Place,
    seams::{Frame, MapHeard, MapRead, MapSaid, MapWritten, TakesProtocol},
    tls::{self, Io},
};
use crate::queue::tapped::Tapped;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{self, error::TrySendError},
    },
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        error::{CapacityError, ProtocolError},
        handshake::client::Request,
        http::{HeaderName, HeaderValue},
        protocol::{CloseFrame, WebSocketConfig},
    },
};
use wireproof_spec::http::Fields;

/// A connection that broke, and one that was closed without a code (RFC 6455, section 7.4.1).
const BROKEN: u16 = 1006;
const NO_CODE: u16 = 1005;
/// How a client closes for what the server sent (RFC 6455, section 7.4.1).
const NO_WEBSOCKET: (u16, &str) = (1002, "Protocol error");
const NO_TEXT: (u16, &str) = (1007, "Invalid UTF-8");
const TOO_BIG: (u16, &str) = (1009, "Message too big");
/// The most that a close frame has room for beside its code.
const REASON: usize = 123;
/// How much is written at once, and how much may wait to be written where no frame is long, in bytes.
const WRITE: usize = 16 * 1024;
pub(crate) const WRITTEN: usize = 1024 * 1024;
/// The answer to a handshake that is refused is shown by so much of its body, in bytes.
const SHOWN: usize = 200;

/// How many frames may wait to be said.
const COMMANDS: usize = 4;

/// What a connection reads, keeps and waits for at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The longest frame that is read, in bytes.
    pub(crate) max_frame: usize,
    /// How many frames wait to be looked at before no more are read.
    pub(crate) queued_frames: usize,
    /// How many bytes of frames wait to be looked at before no more are read; one frame may pass it.
    pub(crate) queued_bytes: usize,
    /// How many bytes may wait to be written: more than there are in the longest frame that is said.
    pub(crate) written: usize,
    /// How long a frame may take to be written, in milliseconds.
    pub(crate) write_ms: u64,
    /// How long a connection that was closed may take to end, in milliseconds.
    pub(crate) linger_ms: u64,
}

/// The seams of connections.
#[derive(Default)]
pub(crate) struct Wires {
    pub(crate) heard: Option<MapHeard>,
    pub(crate) said: Option<MapSaid>,
    pub(crate) written: Option<MapWritten>,
    pub(crate) read: Option<MapRead>,
    /// Whether a handshake is taken that was answered with this protocol; none: whatever RFC 6455 lets a server select.
    pub(crate) takes: Option<TakesProtocol>,
    /// Whether pings are told of. They are answered in any case.
    pub(crate) pings: bool,
}

/// What happened on a connection.
#[derive(Debug)]
pub(crate) enum Happened {
    /// It is open.
    Opened,
    /// There is none.
    Failed(String),
    /// A text came.
    Text(String),
    /// Bytes came.
    Binary(Bytes),
    /// A ping came.
    Ping,
    /// It has ended.
    Closed(u16, String),
}

/// What happened, and the room that it takes until it was looked at.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) what: Happened,
    _room: OwnedSemaphorePermit,
}

/// What is to be sent.
#[derive(Debug)]
pub(crate) enum Command {
    /// A text, or bytes.
    Say(Frame),
    /// The last frame; without a code if it is 1005.
    Close(u16, String),
}

/// The other end of a connection's task. Dropping it drops the connection, behind what was commanded.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) number: u64,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Link {
    /// What happens next, once there is room for an answer to it and for a close behind that. None if the connection's task
    /// has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        // Without a receiver the task is over, and what it told before is still there.
        drop(self.commands.reserve_many(2).await);
        self.events.recv().await
    }

    /// Has a frame said. Tells whether there was room.
    pub(crate) fn command(&self, command: Command) -> bool {
        // The task may have ended; that comes by its events.
        !matches!(self.commands.try_send(command), Err(TrySendError::Full(_)))
    }
}

/// A connection that is to be.
pub(crate) struct Line {
    number: u64,
    to: Result<Place, String>,
    headers: Fields,
    wires: Arc<Wires>,
    bounds: Bounds,
    events: mpsc::Sender<Event>,
    commands: mpsc::Receiver<Command>,
    budget: Arc<Semaphore>,
}

type Socket = WebSocketStream<Tapped<Box<dyn Io>>>;

impl Line {
    /// A connection to this place; if that leads nowhere, one that fails.
    pub(crate) fn new(
        number: u64,
        to: Result<Place, String>,
        headers: Fields,
        wires: Arc<Wires>,
        bounds: Bounds,
    ) -> (Self, Link) {
        let (events, happened) = mpsc::channel(bounds.queued_frames.clamp(1, Semaphore::MAX_PERMITS));
        let (command, commands) = mpsc::channel(COMMANDS);
        let budget = Arc::new(Semaphore::new(budget(&bounds) as usize));
        let line = Self { number, to, headers, wires, bounds, events, commands, budget };
        (line, Link { number, events: happened, commands: command })
    }

    /// Dials, and serves the connection to its end.
    pub(crate) async fn run(mut self) {
        let connected = tokio::select! {
            biased;
            // Nothing can be said yet: whatever was commanded, there is nothing to do but to stop dialling.
            _ = self.commands.recv() => return,
            connected = connect(&self.to, &self.headers, &self.bounds, self.wires.takes.as_ref()) => connected,
        };
        match connected {
            Ok(mut socket) => {
                socket.get_mut().map(self.wires.written.clone());
                socket.get_mut().map_read(self.wires.read.clone());
                self.serve(socket).await;
            }
            Err(why) => {
                if let Some(room) = self.room(0).await {
                    room(Happened::Failed(why));
                }
            }
        }
    }

    async fn serve(mut self, mut socket: Socket) {
        let mut waiting = VecDeque::from([Happened::Opened]);
        let mut over = false;
        // Who took nothing for as long as a frame may take is not waited for again.
        let mut stuck = false;
        loop {
            if over && waiting.is_empty() {
                // The answer to its close frame is on the way: the server is to end the connection first.
                return self.linger(&mut socket).await;
            }
            let size = match waiting.front() {
                Some(Happened::Text(text)) => text.len(),
                Some(Happened::Binary(bytes)) => bytes.len(),
                _ => 0,
            };
            tokio::select! {
                biased;
                command = self.commands.recv() => {
                    let (frame, last) = match command {
                        None => return,
                        Some(Command::Say(frame)) => (frame, false),
                        Some(Command::Close(code, reason)) => (Frame::Close(code, reason), true),
                    };
                    let said = !stuck && self.say(&mut socket, frame).await;
                    stuck |= !said;
                    if last {
                        if said {
                            self.linger(&mut socket).await;
                        }
                        return;
                    }
                    if !said && !over {
                        waiting.push_back(Happened::Closed(BROKEN, "it could not be written to".into()));
                        over = true;
                    }
                }
                room = room(&self.events, &self.budget, size, &self.bounds), if !waiting.is_empty() => {
                    match (room, waiting.pop_front()) {
                        (Some(put), Some(what)) => put(what),
                        // Nobody listens any more; what was commanded before is still done.
                        _ => (waiting, over) = (VecDeque::new(), false),
                    }
                }
                heard = socket.next(), if waiting.is_empty() && !over => {
                    if let Some(what) = self.heard(&mut socket, heard).await {
                        over = matches!(what, Happened::Closed(..));
                        waiting.push_back(what);
                    }
                }
            }
        }
    }

    /// What comes of what was read; nothing of pongs, nor of pings unless they are told of.
    async fn heard(&self, socket: &mut Socket, heard: Option<Result<Message, Error>>) -> Option<Happened> {
        let mut frame = match heard {
            None => Frame::Close(BROKEN, String::new()),
            Some(Ok(Message::Text(text))) => Frame::Text(text.as_str().to_owned()),
            Some(Ok(Message::Binary(bytes))) => Frame::Binary(bytes),
            Some(Ok(Message::Close(close))) => {
                // The answer is waiting to be sent.
                let _ = timeout(self.write_time(), socket.flush()).await;
                close.map_or(Frame::Close(NO_CODE, String::new()), |CloseFrame { code, reason }| {
                    Frame::Close(code.into(), reason.as_str().to_owned())
                })
            }
            Some(Ok(Message::Ping(_))) => return self.wires.pings.then_some(Happened::Ping),
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => return None,
            Some(Err(error)) if let Some((code, reason)) = fault(&error) => {
                self.say(socket, Frame::Close(code, reason.into())).await;
                Frame::Close(code, reason.into())
            }
            Some(Err(error)) => Frame::Close(BROKEN, error.to_string()),
        };
        if let Some(map) = &self.wires.heard {
            map(self.number, &mut frame);
        }
        match frame {
            Frame::Text(text) => Some(Happened::Text(text)),
            Frame::Binary(bytes) => Some(Happened::Binary(bytes)),
            Frame::Close(code, reason) => Some(Happened::Closed(code, reason)),
            Frame::Cut => Some(Happened::Closed(BROKEN, String::new())),
            Frame::Pause(time) => {
                tokio::time::sleep(time).await;
                None
            }
        }
    }

    /// Sends a frame; tells whether anything can be sent behind it.
    async fn say(&self, socket: &mut Socket, frame: Frame) -> bool {
        let mut frames = vec![frame];
        if let Some(map) = &self.wires.said {
            map(self.number, &mut frames);
        }
        for frame in frames {
            let message = match frame {
                Frame::Text(text) => Message::text(text),
                Frame::Binary(bytes) => Message::Binary(bytes),
                Frame::Close(NO_CODE, _) => Message::Close(None),
                Frame::Close(code, reason) => {
                    let fits = |end: &usize| reason.is_char_boundary(*end);
                    let end = (0..=reason.len().min(REASON)).rev().find(fits).unwrap_or(0);
                    Message::Close(Some(CloseFrame { code: code.into(), reason: reason[..end].into() }))
                }
                Frame::Cut => return false,
                Frame::Pause(time) => {
                    tokio::time::sleep(time).await;
                    continue;
                }
            };
            if !matches!(timeout(self.write_time(), socket.send(message)).await, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// Reads on for a moment until the other side has ended the connection.
    async fn linger(&self, socket: &mut Socket) {
        let gone = async { while let Some(Ok(_)) = socket.next().await {} };
        let _ = timeout(Duration::from_millis(self.bounds.linger_ms), gone).await;
    }

    async fn room(&self, size: usize) -> Option<impl FnOnce(Happened)> {
        room(&self.events, &self.budget, size, &self.bounds).await
    }

    fn write_time(&self) -> Duration {
        Duration::from_millis(self.bounds.write_ms)
    }
}

/// How to close for this, if the server is still there to be told.
fn fault(error: &Error) -> Option<(u16, &'static str)> {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(TOO_BIG),
        Error::Utf8(_) => Some(NO_TEXT),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(NO_WEBSOCKET),
        _ => None,
    }
}

/// So many bytes may wait.
fn budget(bounds: &Bounds) -> u32 {
    // A semaphore gives no more at once, and one without room would be asked for none.
    u32::try_from(bounds.queued_bytes.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX)
}

/// Waits for room for one more that has so many bytes; none if nobody listens any more.
async fn room<'a>(
    events: &'a mpsc::Sender<Event>,
    bytes: &Arc<Semaphore>,
    size: usize,
    bounds: &Bounds,
) -> Option<impl FnOnce(Happened) + use<'a>> {
    // One that is longer than all the room there is waits until all of it is free.
    let size = u32::try_from(size).unwrap_or(u32::MAX).min(budget(bounds));
    let bytes = Arc::clone(bytes);
    let bytes = async move { bytes.acquire_many_owned(size).await.ok() };
    let permit = tokio::select! {
        biased;
        () = events.closed() => None,
        bytes = bytes => bytes,
    }?;
    let place = events.reserve().await.ok()?;
    Some(move |what| place.send(Event { what, _room: permit }))
}

/// Connects, and asks for a WebSocket.
async fn connect(
    to: &Result<Place, String>,
    headers: &Fields,
    bounds: &Bounds,
    takes: Option<&TakesProtocol>,
) -> Result<Socket, String> {
    let place = to.as_ref().map_err(Clone::clone)?;
    let request = handshake(place, headers)?;
    let stream = TcpStream::connect((place.host.as_str(), place.port)).await.map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let stream: Box<dyn Io> = match place.tls {
        true => tls::over(stream, &place.host).await.map_err(|e| e.to_string())?,
        false => Box::new(stream),
    };
    // A server that pings and reads nothing makes pongs, of which only the last waits when the buffer is full.
    let config = WebSocketConfig::default()
        .write_buffer_size(WRITE)
        .max_write_buffer_size(bounds.written.max(WRITTEN))
        .max_message_size(Some(bounds.max_frame))
        .max_frame_size(Some(bounds.max_frame));
    let (socket, answer) = client_async_with_config(request, Tapped::new(stream, None), Some(config))
        .await
        .map_err(|error| refused(&error))?;
    let selected = answer.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
    match takes.is_none_or(|takes| takes(selected)) {
        true => Ok(socket),
        false => Err(format!("the handshake was answered with the protocol {selected:?}")),
    }
}

fn handshake(place: &Place, headers: &Fields) -> Result<Request, String> {
    let mut request = place.url.as_str().into_client_request().map_err(|error| error.to_string())?;
    for (name, value) in &headers.0 {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// Why there is no WebSocket.
fn refused(error: &Error) -> String {
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
            format!("the handshake was answered with {}: {}", response.status().as_u16(), body.trim())
        }
        error => error.to_string(),
    }
}
