//! A peer that speaks WebSocket, whoever dials, and records every message.

mod dial;
mod watch;

pub(crate) use dial::upgrade;
pub(crate) use watch::Watched;

use super::{
    Link, Lost, Seen,
    app::Pipe,
    limit::{self, words},
    listen,
    tap::{Passed, Tap},
};
use crate::{
    check::Stop,
    event::{Bytes as Kept, Message, What},
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::{collections::VecDeque, io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::coding::{CloseCode, Data, OpCode},
        },
    },
};
use wireproof_spec::http::Request;

/// One WebSocket connection.
pub struct Peer {
    link: Link,
    conn: u32,
    socket: WebSocketStream<Watched<Box<dyn Pipe>>>,
    /// What came while a pong was awaited.
    early: VecDeque<Frame>,
    /// How long a message may take.
    wait: Duration,
    passed: Passed,
    /// Whether we cut it.
    cut: bool,
    /// The socket below, where the client under test dialled.
    below: Option<listen::Below>,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// The end, with the code and reason of the target if it gave one.
    Close(Option<(u16, String)>),
}

impl Frame {
    /// How many bytes it holds.
    fn size(&self) -> usize {
        match self {
            Frame::Text(text) => text.len(),
            Frame::Binary(bytes) => bytes.len(),
            Frame::Close(_) => 0,
        }
    }
}

impl Peer {
    /// Dials the target at this path and query, offering these subprotocols.
    pub(crate) async fn dial(link: &Link, path: &str, protocols: &[&str]) -> Result<Self, Stop> {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut request = Request::new("GET", "");
        let path = format!("{}{path}", link.reach.root);
        request.set_target(&query.map_or(path.clone(), |query| format!("{path}?{query}")));
        if !protocols.is_empty() {
            request = request.header("sec-websocket-protocol", protocols.join(","));
        }
        let (seen, peer) = upgrade(link, request, None).await?;
        // What stands in the way of a dial is set-up: no requirement of the caller was reached.
        peer.ok_or_else(|| match seen.look() {
            Ok(response) => {
                link.stop(&format!("the WebSocket handshake failed: it is answered with {}", response.status))
            }
            Err(why) => link.stop(&format!("the WebSocket handshake failed: {why}")),
        })
    }

    /// The other end of a connection that a client under test dialled, behind the handshake and what came with it.
    pub(in crate::wire) async fn of_client(
        link: &Link,
        conn: u32,
        tap: Tap,
        passed: Passed,
        below: listen::Below,
        ahead: &[u8],
    ) -> Self {
        let mut watched = Watched::without_handshake(Box::new(tap) as Box<dyn Pipe>);
        watched.follow(ahead);
        let (ahead, config) = (ahead.to_vec(), Some(config()));
        let socket = WebSocketStream::from_partially_read(watched, ahead, Role::Server, config).await;
        Self {
            link: link.clone(),
            conn,
            socket,
            early: VecDeque::new(),
            wait: link.times.answer,
            passed,
            cut: false,
            below: Some(below),
        }
    }

    /// A peer whose messages may take so long.
    pub fn patient(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// None of its own: a connection that ended is found out when the next message is read.
    pub async fn send_binary(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.link
            .log
            .record(What::Sent { conn: self.conn, message: Message::Binary { bytes: Kept::keep(&bytes) } });
        self.put(tungstenite::Message::Binary(bytes)).await;
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: &str) {
        self.link.log.record(What::Sent {
            conn: self.conn,
            message: Message::Text { text: Kept::keep(text.as_bytes()) },
        });
        self.put(tungstenite::Message::text(text)).await;
    }

    /// Sends a text message in frames of these sizes, the last of them as often as it takes.
    pub async fn send_in_frames(&mut self, text: &str, sizes: &[usize]) {
        self.link.log.record(What::Sent {
            conn: self.conn,
            message: Message::Text { text: Kept::keep(text.as_bytes()) },
        });
        let mut rest = text.as_bytes();
        let mut sizes = sizes.iter().copied();
        let (mut size, mut first) = (rest.len(), true);
        while first || !rest.is_empty() {
            size = sizes.next().unwrap_or(size).clamp(1, rest.len().max(1));
            let (now, later) = rest.split_at(size.min(rest.len()));
            let code = if first { Data::Text } else { Data::Continue };
            let frame = tungstenite::protocol::frame::Frame::message(
                now.to_vec(),
                OpCode::Data(code),
                later.is_empty(),
            );
            self.put(tungstenite::Message::Frame(frame)).await;
            (rest, first) = (later, false);
        }
    }

    /// Pings with this content and waits for the pong that has it; messages that come before it are kept. If only other pongs
    /// came, the last of them: anybody may send one that nobody asked for (RFC 6455, section 5.5.3).
    ///
    /// # Errors
    /// As [`Peer::next`].
    pub async fn ping(&mut self, content: &[u8]) -> Result<Seen<Bytes>, Stop> {
        /// So many messages before a pong are more than any check makes.
        const MOST: usize = 4_096;
        let content = Bytes::copy_from_slice(content);
        self.put(tungstenite::Message::Ping(content.clone())).await;
        let started = Instant::now();
        let until = self.link.until(self.wait);
        let mut other = None;
        while self.early.len() < MOST {
            match timeout_at(until, hear(&mut self.socket)).await {
                Ok(Ok(Heard::Pong(data))) => {
                    self.count(data.len())?;
                    let message = Message::Raw { bytes: Kept::keep(&data) };
                    let seq =
                        self.link.log.record(What::Received { conn: self.conn, message, answers: None });
                    let same = data == content;
                    let seen = Seen::new(seq, data);
                    if same {
                        return Ok(seen);
                    }
                    other = Some(seen);
                }
                Ok(Ok(Heard::Frame(frame))) => {
                    self.count(frame.size())?;
                    let over = matches!(frame, Frame::Close(_));
                    self.early.push_back(frame);
                    if over {
                        let why = Lost::Closed("with a close frame".into());
                        return self.link.lost(self.conn, started.elapsed(), why).await;
                    }
                }
                Ok(Err(why)) => return self.link.lost(self.conn, started.elapsed(), why).await,
                Err(_) if other.is_some() => break,
                Err(_) => {
                    let why = Lost::Silence(ms(started));
                    return self.link.lost(self.conn, started.elapsed(), why).await;
                }
            }
        }
        other.ok_or_else(|| self.link.stop(&format!("{MOST} messages came, and no pong")))
    }

    /// Lets so many more bytes of the target through, counted below TLS, and then has the connection end as if the network had
    /// broken, in the middle of a frame perhaps. What was read before and not looked at stays.
    pub fn cut_after(&mut self, bytes: u64) {
        self.cut = true;
        self.passed.cut_after(bytes);
    }

    /// As [`Peer::next`], on a connection that is to be cut: none when it was.
    ///
    /// # Errors
    /// As [`Peer::next`].
    pub async fn next_or_cut(&mut self) -> Result<Option<Seen<Frame>>, Stop> {
        if let Some(frame) = self.early.pop_front() {
            return Ok(Some(self.saw(frame)));
        }
        let until = self.link.until(self.wait);
        match timeout_at(until, next(&mut self.socket)).await {
            Ok(Err(Lost::Closed(_))) if self.cut && self.passed.is_cut() => {
                self.link.log.record(What::Cut { conn: self.conn });
                Ok(None)
            }
            Ok(Ok(frame)) => self.read(frame).map(Some),
            Ok(Err(why)) => self.link.lost(self.conn, Duration::ZERO, why).await.map(Some),
            Err(_) => self.link.lost(self.conn, self.wait, Lost::Silence(millis(self.wait))).await.map(Some),
        }
    }

    /// Writes bytes below all frames, as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let message = Message::Raw { bytes: Kept::keep(bytes) };
        self.link.log.record(What::Sent { conn: self.conn, message });
        let until = self.link.until(self.link.times.answer);
        let below = self.socket.get_mut();
        let _ = timeout_at(until, async {
            below.write_all(bytes).await?;
            below.flush().await
        })
        .await;
    }

    /// Ends our side behind what was sent, and waits so long for the end of the other. Tells whether what was sent is known to have
    /// found nobody: the other side had ended the connection, and its system answers with a reset what it cannot hand over.
    pub async fn is_refused(mut self, wait: Duration) -> bool {
        /// How long such an answer may take, behind an end that came before it.
        const RESET: Duration = Duration::from_millis(20);
        let until = self.link.until(wait);
        let ended = timeout_at(until, async {
            let below = self.socket.get_mut();
            let _ = below.shutdown().await;
            let mut passed_over = [0; 1_024];
            while below.read(&mut passed_over).await? > 0 {}
            io::Result::Ok(())
        });
        let refused = match ended.await {
            Ok(Ok(())) => {
                sleep(RESET).await;
                self.below.as_ref().is_some_and(|below| !matches!(below.take_error(), Ok(None)))
            }
            Ok(Err(_)) => true,
            // It is there as long as it does not end.
            Err(_) => false,
        };
        self.link.log.record(What::Cut { conn: self.conn });
        refused
    }

    /// Ends the connection without a close frame: as a process does that ends.
    pub fn leave(self) {
        self.link.log.record(What::Cut { conn: self.conn });
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.link.log.record(What::Cut { conn: self.conn });
        if let Some(below) = &self.below {
            listen::reset(below);
        }
    }

    /// Closes with this code.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
        self.put(tungstenite::Message::Close(Some(frame))).await;
    }

    async fn put(&mut self, message: tungstenite::Message) {
        let until = self.link.until(self.link.times.answer);
        let _ = timeout_at(until, async {
            // Behind a close frame nothing more is sent but the answer to it, which waits until somebody lets it go.
            if self.socket.send(message).await.is_err() {
                let _ = self.socket.flush().await;
            }
        })
        .await;
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// Stops the check if none comes and the target is not alive.
    pub async fn next(&mut self) -> Result<Seen<Frame>, Stop> {
        if let Some(frame) = self.early.pop_front() {
            return Ok(self.saw(frame));
        }
        let started = Instant::now();
        let until = self.link.until(self.wait);
        match timeout_at(until, next(&mut self.socket)).await {
            Ok(Ok(frame)) => self.read(frame),
            Ok(Err(why)) => self.link.lost(self.conn, started.elapsed(), why).await,
            Err(_) => {
                // Cut short it says nothing.
                self.link.in_time()?;
                let waited = ms(started);
                match self.pinged().await {
                    Some(Ok(alive)) => {
                        let silence = What::Silence { conn: self.conn, ms: waited, alive: vec![alive] };
                        Ok(Seen::lost(self.link.log.record(silence), Lost::Silence(waited)))
                    }
                    Some(Err(frame)) => self.read(frame),
                    None => self.link.lost(self.conn, started.elapsed(), Lost::Silence(waited)).await,
                }
            }
        }
    }

    /// Sees that nothing comes for so long; the silence counts because a ping behind it is answered on this connection.
    ///
    /// What comes instead is seen as `Some`.
    ///
    /// # Errors
    /// Stops the check if the ping is not answered.
    pub async fn quiet(&mut self, length: Duration) -> Result<Seen<Option<Frame>>, Stop> {
        if let Some(frame) = self.early.pop_front() {
            return Ok(self.saw(frame).map(Some));
        }
        let started = Instant::now();
        let until = self.link.until(length);
        match timeout_at(until, next(&mut self.socket)).await {
            Ok(Ok(frame)) => return Ok(self.read(frame)?.map(Some)),
            Ok(Err(why)) => return self.link.lost(self.conn, started.elapsed(), why).await,
            Err(_) => self.link.in_time()?,
        }
        let waited = ms(started);
        match self.pinged().await {
            Some(Ok(alive)) => {
                let silence = What::Silence { conn: self.conn, ms: waited, alive: vec![alive] };
                Ok(Seen::new(self.link.log.record(silence), None))
            }
            Some(Err(frame)) => Ok(self.read(frame)?.map(Some)),
            None => {
                Err(self.link.stop("silence, and no answer to a ping behind it: nothing is proven by it"))
            }
        }
    }

    /// Whether a ping is answered on this connection: the event of the pong, or what came before it.
    async fn pinged(&mut self) -> Option<Result<u64, Frame>> {
        let token = Bytes::from_static(b"wireproof");
        self.put(tungstenite::Message::Ping(token.clone())).await;
        let until = Instant::now() + self.link.times.alive;
        let answered = async {
            loop {
                match hear(&mut self.socket).await {
                    Ok(Heard::Pong(data)) if data == token => return Some(Ok(())),
                    Ok(Heard::Pong(_)) => {}
                    Ok(Heard::Frame(frame)) => return Some(Err(frame)),
                    Err(_) => return None,
                }
            }
        };
        let heard = timeout_at(until, answered).await.ok().flatten()?;
        Some(heard.map(|()| {
            let message = Message::Raw { bytes: Kept::keep(&token) };
            self.link.log.record(What::Received { conn: self.conn, message, answers: None })
        }))
    }

    /// Counts what was read, and sees it. A target that sends without measure is not read to its end, so that whoever keeps what
    /// comes keeps no more than that.
    fn read(&self, frame: Frame) -> Result<Seen<Frame>, Stop> {
        self.count(frame.size())?;
        Ok(self.saw(frame))
    }

    /// What is short takes place as well.
    fn count(&self, bytes: usize) -> Result<(), Stop> {
        self.link.heard(bytes.max(limit::LINE_LEAST))
    }

    fn saw(&self, frame: Frame) -> Seen<Frame> {
        let conn = self.conn;
        let event = match &frame {
            Frame::Text(text) => What::Received {
                conn,
                message: Message::Text { text: Kept::keep(text.as_bytes()) },
                answers: None,
            },
            Frame::Binary(bytes) => {
                What::Received { conn, message: Message::Binary { bytes: Kept::keep(bytes) }, answers: None }
            }
            Frame::Close(with) => What::Closed {
                conn,
                how: with.as_ref().map_or_else(|| "without a code".into(), |(_, reason)| words(reason)),
                code: with.as_ref().map(|(code, _)| *code),
            },
        };
        Seen::new(self.link.log.record(event), frame)
    }
}

/// Whether a WebSocket handshake at this path below the root is answered at all, on a fresh connection.
pub async fn alive(link: &Link, path: &str) -> Option<u64> {
    link.take_turn();
    dial::answered(link, Request::new("GET", &format!("{}{path}", link.reach.root))).await
}

/// What a connection yields: a message, or the pong to a ping of ours.
enum Heard {
    Frame(Frame),
    Pong(Bytes),
}

/// The next message; pongs that nobody asked for are passed over.
pub(crate) async fn next<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<Watched<S>>,
) -> Result<Frame, Lost> {
    loop {
        if let Heard::Frame(frame) = hear(socket).await? {
            return Ok(frame);
        }
    }
}

async fn hear<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<Watched<S>>,
) -> Result<Heard, Lost> {
    loop {
        return match socket.next().await {
            None => Err(Lost::Closed("without a close frame".into())),
            Some(Ok(tungstenite::Message::Text(text))) => {
                Ok(Heard::Frame(Frame::Text(text.as_str().to_owned())))
            }
            Some(Ok(tungstenite::Message::Binary(bytes))) => Ok(Heard::Frame(Frame::Binary(bytes))),
            // Not as the library tells it.
            Some(Ok(tungstenite::Message::Close(_))) => {
                Ok(Heard::Frame(Frame::Close(socket.get_ref().closing())))
            }
            Some(Ok(tungstenite::Message::Pong(data))) => Ok(Heard::Pong(data)),
            Some(Ok(_)) => continue,
            Some(Err(tungstenite::Error::Capacity(_))) => Err(Lost::TooLong(limit::FRAME as u64)),
            Some(Err(
                e @ tungstenite::Error::Protocol(
                    tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
                ),
            )) => Err(Lost::Closed(words(&e.to_string()))),
            Some(Err(tungstenite::Error::Io(e))) => Err(Lost::Closed(words(&e.to_string()))),
            Some(Err(e)) => Err(Lost::Malformed(words(&e.to_string()))),
        };
    }
}

/// The bounds of what is read.
pub(crate) fn config() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(limit::FRAME)).max_frame_size(Some(limit::FRAME))
}

fn ms(started: Instant) -> u64 {
    millis(started.elapsed())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
