//! A place at which clients under test are awaited: it hears HTTP requests and WebSocket handshakes alike, and each is answered
//! as the check likes, in order or with a fault.

mod coming;

pub(crate) use coming::request;

use super::{
    Link, Lost, Seen,
    app::Pipe,
    http::owned,
    limit::{self, words},
    tap::{Passed, Tap},
    ws,
};
use crate::{
    check::{Outcome, Shown, Stop},
    event::{Bytes as Kept, Message, What},
};
use bytes::BytesMut;
use coming::Coming;
use socket2::SockRef;
use std::{
    io,
    net::{SocketAddr, TcpStream as StdStream},
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout_at},
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use wireproof_spec::http::{Request, Response};

/// So many connections and requests may wait to be looked at; those behind them wait in the system.
const MOST: usize = 1_024;
/// So many connections may be open at one place, two descriptors each: more than any check has. Those beyond are reset.
const OPEN: usize = 64;
/// So many connections are taken at one place: more than any check waits for.
const CONNECTIONS: usize = 10_000;

/// What is seen of a connection that begins with TLS: it is malformed for these words.
pub const HELLO: &str = "no request, but a ClientHello of TLS";

/// A port of this machine that refuses connections, until somebody listens at it.
pub struct Port {
    link: Link,
    socket: TcpSocket,
    addr: SocketAddr,
}

/// A port at which clients under test are awaited. Whatever is open behind it and not in anybody's hands ends with it.
pub struct Listener {
    link: Link,
    conn: u32,
    addr: SocketAddr,
    calls: mpsc::Receiver<(Seen<Request>, Call)>,
    crowd: Crowd,
    task: JoinHandle<()>,
}

/// The room for connections at one place, and whether somebody came for whom there was none.
#[derive(Clone)]
struct Crowd {
    room: Arc<Semaphore>,
    is_over: Arc<AtomicBool>,
}

impl Crowd {
    fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(OPEN)), is_over: Arc::default() }
    }

    /// Room for another connection, if there is some.
    fn enter(&self) -> Option<OwnedSemaphorePermit> {
        let room = self.room.clone().try_acquire_owned().ok();
        self.is_over.fetch_or(room.is_none(), Ordering::Relaxed);
        room
    }
}

/// The socket of a connection below everything else, for what can only be done to a socket; and its room.
pub(super) struct Below {
    socket: StdStream,
    _room: OwnedSemaphorePermit,
}

impl Deref for Below {
    type Target = StdStream;
    fn deref(&self) -> &StdStream {
        &self.socket
    }
}

/// A request that waits for its answer. The connection ends when this is dropped.
pub struct Call {
    link: Link,
    conn: Conn,
    /// What is asked for.
    pub request: Request,
    /// When the connection was there; for one that was used before, when the request began to come.
    pub at: Instant,
    again: mpsc::Sender<Conn>,
}

/// One connection.
struct Conn {
    number: u32,
    tap: Tap,
    passed: Passed,
    below: Below,
    /// What was read and belongs to no request yet.
    ahead: BytesMut,
    at: Option<Instant>,
}

/// What is done to an answer on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It leaves so much later.
    Late(Duration),
    /// The connection ends behind so many bytes, as if the server had gone.
    Cut(usize),
    /// The connection is reset behind so many bytes.
    Reset(usize),
    /// Each byte leaves so long after the one before it.
    Drip(Duration),
}

impl Shown for Call {
    fn shown(&self) -> String {
        self.request.shown()
    }
}

impl Shown for Request {
    fn shown(&self) -> String {
        words(&format!("a {} of {}", self.method, self.target()))
    }
}

impl Port {
    /// A free port at which nobody listens.
    pub(crate) fn take(link: &Link) -> Result<Self, Stop> {
        let taken = || {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            let addr = socket.local_addr()?;
            io::Result::Ok((socket, addr))
        };
        let (socket, addr) = taken().map_err(|e| link.harness(&format!("no port to listen at: {e}")))?;
        Ok(Self { link: link.clone(), socket, addr })
    }

    /// Its URL with this scheme.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.addr)
    }

    /// Listens at it from now on.
    ///
    /// # Errors
    /// Stops the check if that is not possible.
    pub fn listen(self) -> Outcome<Listener> {
        let Self { link, socket, addr } = self;
        let listener =
            socket.listen(1_024).map_err(|e| link.harness(&format!("cannot listen at {addr}: {e}")))?;
        let conn = link.number();
        link.log.record(What::Opened { conn, peer: format!("a place to be called at, {addr}") });
        let (sender, calls) = mpsc::channel(MOST);
        let crowd = Crowd::new();
        let task = tokio::spawn(accept(listener, link.clone(), crowd.clone(), sender));
        Ok(Listener { link, conn, addr, calls, crowd, task })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Its URL with this scheme.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.addr)
    }

    /// The next request. If none comes within the time for an answer, although the client's adapter answers, that is what is
    /// seen.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the adapter does not answer either.
    pub async fn next(&mut self) -> Outcome<(Seen<Request>, Option<Call>)> {
        self.next_within(self.link.times.answer).await
    }

    /// As [`Listener::next`], for what may take so long.
    ///
    /// # Errors
    /// As [`Listener::next`].
    pub async fn next_within(&mut self, wait: Duration) -> Outcome<(Seen<Request>, Option<Call>)> {
        let since = Instant::now();
        match timeout_at(self.link.until(wait), self.calls.recv()).await {
            Ok(Some((seen, call))) => Ok((seen, Some(call))),
            Ok(None) => Err(self.link.harness("nobody listens any more")),
            Err(_) => {
                self.has_room()?;
                let waited = since.elapsed();
                let ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                Ok((self.link.lost(self.conn, waited, Lost::Silence(ms)).await?, None))
            }
        }
    }

    /// A place that has turned somebody away cannot say that nobody came.
    fn has_room(&self) -> Outcome {
        if self.crowd.is_over.load(Ordering::Relaxed) {
            let why = format!(
                "the client has more than {OPEN} connections open at one place, and no other is let in"
            );
            return Err(self.link.stop(&why));
        }
        Ok(())
    }

    /// Sees that nobody calls for so long. It counts because of what `alive` sees behind it: something that only a client could
    /// do that goes on. A request that came instead is seen as `Some`.
    ///
    /// # Errors
    /// As `alive`.
    pub async fn quiet<T>(
        &mut self,
        length: Duration,
        alive: impl Future<Output = Outcome<Seen<T>>>,
    ) -> Outcome<Seen<Option<Request>>> {
        let since = Instant::now();
        if let Ok(Some((seen, _))) = timeout_at(self.link.until(length), self.calls.recv()).await {
            return Ok(seen.map(Some));
        }
        self.link.in_time()?;
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let alive = alive.await?.on().to_vec();
        if let Ok((seen, _)) = self.calls.try_recv() {
            return Ok(seen.map(Some));
        }
        self.has_room()?;
        Ok(Seen::new(self.link.log.record(What::Silence { conn: self.conn, ms, alive }), None))
    }
}

impl Call {
    /// Answers, and keeps the connection for what is asked next.
    pub async fn answer(mut self, response: &Response) {
        let bytes = self.recorded(response);
        if self.conn.write(&self.link, &bytes).await {
            // If nobody listens any more, the connection goes with the place it came from.
            let _ = self.again.try_send(self.conn);
        }
    }

    /// Answers with a fault, and ends the connection, but for one that is only late.
    pub async fn answer_with(mut self, response: &Response, fault: Fault) {
        match fault {
            Fault::Late(by) => {
                sleep(by).await;
                self.answer(response).await;
            }
            Fault::Cut(length) => {
                let bytes = self.recorded(response);
                self.conn.write(&self.link, &bytes[..length.min(bytes.len())]).await;
            }
            Fault::Reset(length) => {
                let bytes = self.recorded(response);
                self.conn.write(&self.link, &bytes[..length.min(bytes.len())]).await;
                self.reset();
            }
            Fault::Drip(pause) => {
                let bytes = self.recorded(response);
                for byte in bytes.chunks(1) {
                    if !self.conn.write(&self.link, byte).await {
                        break;
                    }
                    sleep(pause).await;
                }
            }
        }
    }

    /// Answers with bytes as they are, and ends the connection.
    pub async fn answer_raw(mut self, bytes: &[u8]) {
        let message = Message::Raw { bytes: Kept::keep(bytes) };
        self.link.log.record(What::Sent { conn: self.conn.number, message });
        self.conn.write(&self.link, bytes).await;
    }

    /// Resets the connection, unanswered.
    pub fn reset(self) {
        self.link.log.record(What::Cut { conn: self.conn.number });
        reset(&self.conn.below);
    }

    /// Answers a WebSocket handshake with 101, without a protocol and without extensions.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it is none.
    pub async fn upgrade(self) -> Outcome<ws::Peer> {
        self.upgrade_to(None).await
    }

    /// As [`Call::upgrade`], with this protocol, whatever was offered.
    ///
    /// # Errors
    /// As [`Call::upgrade`].
    pub async fn upgrade_to(mut self, protocol: Option<&str>) -> Outcome<ws::Peer> {
        let headers = &self.request.headers;
        let says = |name: &str, word: &str| {
            headers.get(name).is_some_and(|value| value.to_ascii_lowercase().contains(word))
        };
        let key = headers.get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()));
        let key = key.filter(|_| says("upgrade", "websocket") && says("connection", "upgrade"));
        let Some(key) = key else {
            let shown = self.request.shown();
            return Err(self
                .link
                .stop(&format!("a WebSocket handshake was awaited, and what came is {shown}")));
        };
        let response = Response::new(101)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", key);
        let response = match protocol {
            Some(protocol) => response.header("sec-websocket-protocol", protocol),
            None => response,
        };
        let bytes = self.recorded(&response);
        self.conn.write(&self.link, &bytes).await;
        let Conn { number, tap, passed, below, ahead, .. } = self.conn;
        Ok(ws::Peer::of_client(&self.link, number, tap, passed, below, &ahead).await)
    }

    /// The bytes of an answer, which is recorded.
    fn recorded(&self, response: &Response) -> Vec<u8> {
        let message = Message::Response {
            status: response.status,
            headers: owned(&response.headers),
            body: Kept::keep(&response.body),
        };
        self.link.log.record(What::Sent { conn: self.conn.number, message });
        bytes_of(response)
    }
}

/// An answer as it goes over the wire, with its length unless it says otherwise.
fn bytes_of(response: &Response) -> Vec<u8> {
    let reason =
        hyper::StatusCode::from_u16(response.status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason.unwrap_or("Unknown"));
    let framed = matches!(response.status, 100..200 | 204 | 304)
        || response.headers.get("content-length").is_some()
        || response.headers.get("transfer-encoding").is_some();
    let length = (!framed).then(|| ("content-length".to_owned(), response.body.len().to_string()));
    for (name, value) in response.headers.0.iter().chain(&length) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), &response.body].concat()
}

/// Has a connection end by a reset when its last handle goes.
pub(super) fn reset(below: &Below) {
    // Where that cannot be set, it ends in order: a fault that is not as hard as it was meant.
    let _ = SockRef::from(&**below).set_linger(Some(Duration::ZERO));
}

impl Conn {
    fn new(link: &Link, stream: TcpStream, room: OwnedSemaphorePermit) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let below = Below { socket: stream.try_clone()?, _room: room };
        let (tap, passed) = Tap::new(Box::new(TcpStream::from_std(stream)?) as Box<dyn Pipe>);
        let number = link.number();
        link.log.record(What::Opened { conn: number, peer: "http, dialled by the client".into() });
        Ok(Self { number, tap, passed, below, ahead: BytesMut::new(), at: Some(Instant::now()) })
    }

    /// Whether these bytes were written.
    async fn write(&mut self, link: &Link, bytes: &[u8]) -> bool {
        let written = timeout_at(link.until(link.times.answer), async {
            self.tap.write_all(bytes).await?;
            self.tap.flush().await
        });
        matches!(written.await, Ok(Ok(())))
    }

    /// Reads a request: none if the connection ended before one began.
    async fn request(&mut self, link: &Link) -> Option<Result<Request, Lost>> {
        let mut coming = Coming::default();
        loop {
            match coming.look(&self.ahead) {
                Ok(Some((request, length))) => {
                    let _ = self.ahead.split_to(length);
                    return Some(Ok(request));
                }
                Ok(None) if self.ahead.len() > limit::HEAD + 2 * limit::BODY => {
                    return Some(Err(Lost::TooLong(limit::BODY as u64)));
                }
                Ok(None) => {}
                Err(why) => return Some(Err(why)),
            }
            if coming.waits(&self.ahead)
                && self.tap.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err()
            {
                return None;
            }
            let before = self.ahead.len();
            let read = self.tap.read_buf(&mut self.ahead).await;
            self.at.get_or_insert_with(Instant::now);
            match read {
                // Who sends more than any check hears has been stopped.
                Ok(length @ 1..) if link.heard(length).is_err() => return None,
                Ok(1..) => {}
                Ok(0) | Err(_) if before == 0 => return None,
                Ok(_) => return Some(Err(Lost::Closed("in the middle of a request".into()))),
                Err(e) => return Some(Err(Lost::Closed(words(&e.to_string())))),
            }
        }
    }
}

/// Takes every connection, and reads what is asked on it.
async fn accept(listener: TcpListener, link: Link, crowd: Crowd, calls: mpsc::Sender<(Seen<Request>, Call)>) {
    let (again, mut kept) = mpsc::channel::<Conn>(MOST);
    let mut readers = JoinSet::new();
    let mut taken = 0;
    loop {
        let conn = tokio::select! {
            accepted = listener.accept(), if taken < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    taken += 1;
                    let Some(room) = crowd.enter() else {
                        // Where that cannot be set, it ends in order.
                        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                        continue;
                    };
                    // Who went away while it came asks nothing.
                    let Ok(conn) = Conn::new(&link, stream, room) else { continue };
                    conn
                }
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(e) => {
                    let _ = link.stop(&format!("cannot accept: {e}"));
                    return;
                }
            },
            Some(conn) = kept.recv() => Conn { at: None, ..conn },
            Some(_) = readers.join_next() => continue,
        };
        if readers.len() < MOST {
            readers.spawn(read(conn, link.clone(), calls.clone(), again.clone()));
        }
    }
}

/// Reads one request and tells of it.
async fn read(
    mut conn: Conn,
    link: Link,
    calls: mpsc::Sender<(Seen<Request>, Call)>,
    again: mpsc::Sender<Conn>,
) {
    let Some(read) = conn.request(&link).await else { return };
    let number = conn.number;
    let at = conn.at.unwrap_or_else(Instant::now);
    let (seen, request) = match read {
        Ok(request) => {
            let Request { method, headers, body, .. } = &request;
            let message = Message::Request {
                method: method.clone(),
                target: request.target(),
                headers: owned(headers),
                body: Kept::keep(body),
                broken: false,
            };
            let event = What::Received { conn: number, message, answers: None };
            (Seen::new(link.log.record(event), request.clone()), request)
        }
        Err(why) => {
            let event = What::Closed { conn: number, how: words(&why.to_string()), code: None };
            (Seen::lost(link.log.record(event), why), Request::default())
        }
    };
    // Where nobody listens any more, nobody misses it.
    let _ = calls.send((seen, Call { link, conn, request, at, again })).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_length() {
        let answer = Response::new(503).header("a", "b").body("xy");
        assert_eq!(
            bytes_of(&answer),
            b"HTTP/1.1 503 Service Unavailable\r\na: b\r\ncontent-length: 2\r\n\r\nxy"
        );
        assert_eq!(bytes_of(&Response::new(204)), b"HTTP/1.1 204 No Content\r\n\r\n");
    }
}
