//! A peer that sends HTTP/1.1 requests and records what is answered.

use super::{
    Link, Lost, Seen,
    dial::Speaks,
    limit::{self, words},
    overload::{BackOff, is_overload, overloaded},
    pace::Waiting,
    tap::Passed,
};
use crate::{
    check::Stop,
    event::{Bytes as Kept, Message, What},
};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{pin::pin, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use wireproof_spec::http::{Body, Fields, Request, Response};

/// How the connection of a request that is waited for is called in events.
pub(crate) const READER: &str = "http reader";

/// Where nothing is: the path below the root by which a target is asked whether it is alive.
pub(crate) const ALIVE: &str = "/wireproof-alive";

/// One client with one connection at a time, which it keeps between requests.
pub struct Peer {
    link: Link,
    conn: Option<Conn>,
    wait: Duration,
}

pub(super) struct Conn {
    pub(super) number: u32,
    pub(super) sender: http1::SendRequest<Full<Bytes>>,
    pub(super) passed: Passed,
    used: Instant,
}

/// A request that has left, on a connection of its own, and whose answer was not awaited yet.
pub struct Pending {
    link: Link,
    conn: u32,
    sent: u64,
    started: Instant,
    answer: JoinHandle<Result<Response, Lost>>,
    _waiting: Waiting,
}

impl Drop for Pending {
    /// A reader who goes away takes its connection along.
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl Peer {
    pub(crate) fn new(link: Link) -> Self {
        let wait = link.times.answer;
        Self { link, conn: None, wait }
    }

    /// A peer whose answers may take so long.
    pub fn patient(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sends a request and waits for the whole answer. 429 and 503 are tried again, after the pause that the target asks for.
    ///
    /// # Errors
    /// Stops the check if the target cannot be reached or stays overloaded.
    pub async fn send(&mut self, request: Request) -> Result<Seen<Response>, Stop> {
        self.insist(&request, false).await
    }

    /// Sends a request once and at once, whatever the answer: for claims about 429.
    ///
    /// # Errors
    /// Stops the check if the target cannot be reached.
    pub async fn once(&mut self, request: Request) -> Result<Seen<Response>, Stop> {
        self.link.take_turn();
        self.exchange(&request, false).await
    }

    /// Sends a request that was broken on purpose.
    pub(crate) async fn send_broken(&mut self, request: Request) -> Result<Seen<Response>, Stop> {
        self.insist(&request, true).await
    }

    async fn insist(&mut self, request: &Request, broken: bool) -> Result<Seen<Response>, Stop> {
        let mut pauses = BackOff::new(&self.link);
        loop {
            self.link.turn().await;
            let seen = self.exchange(request, broken).await?;
            match seen.look() {
                Ok(response) if is_overload(&self.link, response) => {
                    pauses.wait(&self.link, response).await?
                }
                _ => return Ok(seen),
            }
        }
    }

    async fn exchange(&mut self, request: &Request, broken: bool) -> Result<Seen<Response>, Stop> {
        if !broken {
            self.link.proper(request)?;
        }
        // A target may close a connection that is kept, at any moment and without a word (RFC 9112, section 9.5). What
        // changes nothing is then sent again; what does is never sent on a connection that may be closing.
        let again = matches!(request.method.as_str(), "GET" | "HEAD");
        let kept = self
            .conn
            .take()
            .filter(|c| again && c.sender.is_ready() && c.used.elapsed() < self.link.times.idle);
        if let Some(conn) = kept {
            match self.on(conn, request, broken).await? {
                (number, _, _, Err(Lost::Closed(_))) => {
                    let how =
                        "a connection that was kept was closed; the request is sent again on another".into();
                    self.link.log.record(What::Closed { conn: number, how, code: None });
                }
                (number, sent, started, result) => {
                    return finish(&self.link, number, sent, started, result).await;
                }
            }
        }
        let conn = open(&self.link, "http", None).await?;
        let (number, sent, started, result) = self.on(conn, request, broken).await?;
        finish(&self.link, number, sent, started, result).await
    }

    /// Sends a request on this connection and reads the answer; keeps the connection if it can be used again.
    async fn on(
        &mut self,
        mut conn: Conn,
        request: &Request,
        broken: bool,
    ) -> Result<(u32, u64, Instant, Result<Response, Lost>), Stop> {
        let built = build(&self.link, request)?;
        let sent = record_sent(&self.link, conn.number, request, broken);
        let started = Instant::now();
        let until = self.link.until(self.wait);
        let result = read_on(&self.link, conn.sender.send_request(built), until, started).await;
        conn.used = Instant::now();
        let number = conn.number;
        if result.is_ok() && conn.sender.ready().await.is_ok() {
            self.conn = Some(conn);
        }
        Ok((number, sent, started, result))
    }

    /// Sends a request on a connection of its own and returns when its bytes have left.
    ///
    /// # Errors
    /// Stops the check if the target cannot be reached.
    pub async fn begin(&self, request: Request) -> Result<Pending, Stop> {
        self.link.proper(&request)?;
        let built = build(&self.link, &request)?;
        self.link.turn().await;
        let mut conn = open(&self.link, READER, None).await?;
        let (link, number, until) = (self.link.clone(), conn.number, self.link.until(self.wait));
        let sent = record_sent(&link, number, &request, false);
        let started = Instant::now();
        let mut passed = conn.passed.clone();
        let beside = link.clone();
        let answer =
            tokio::spawn(
                async move { read_on(&beside, conn.sender.send_request(built), until, started).await },
            );
        // Ends too if the connection does, and then the answer says so.
        let _ = timeout_at(until, passed.beyond(0)).await;
        let _waiting = link.waiting();
        Ok(Pending { link, conn: number, sent, started, answer, _waiting })
    }
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// Stops the check if there is none and the target is not alive.
    pub async fn answer(mut self) -> Result<Seen<Response>, Stop> {
        let result = match (&mut self.answer).await {
            Ok(result) => result,
            Err(e) => return Err(self.link.harness(&format!("a reader ended: {e}"))),
        };
        let seen = finish(&self.link, self.conn, self.sent, self.started, result).await?;
        match seen.look() {
            // Who waits cannot ask again: the moment is over.
            Ok(response) if is_overload(&self.link, response) => Err(overloaded(&self.link, response)),
            _ => Ok(seen),
        }
    }

    /// Waits for the answer, and tells how long it took from the moment at which the request left.
    ///
    /// # Errors
    /// As [`Pending::answer`].
    pub async fn timed(self) -> Result<Seen<(Response, Duration)>, Stop> {
        let started = self.started;
        let seen = self.answer().await?;
        let took = started.elapsed();
        Ok(seen.map(|response| (response, took)))
    }
}

/// Whether anything at all is answered to a HEAD below the root, on a fresh connection.
pub async fn alive(link: &Link) -> Option<u64> {
    let request = Request::new("HEAD", &format!("{}{ALIVE}", link.reach.root));
    let built = build(link, &request).ok()?;
    let mut conn = open(link, "http", None).await.ok()?;
    link.take_turn();
    let sent = record_sent(link, conn.number, &request, false);
    let started = Instant::now();
    let response = read(conn.sender.send_request(built), started + link.times.alive, started).await.ok()?;
    Some(record_received(link, conn.number, sent, &response))
}

pub(super) async fn open(link: &Link, peer: &str, room: Option<u32>) -> Result<Conn, Stop> {
    let (number, tap, passed) = link.connect_with(peer, room, Speaks::Http1).await?;
    let handshake = http1::Builder::new().max_buf_size(limit::HEAD).handshake(TokioIo::new(tap)).await;
    let (sender, connection) =
        handshake.map_err(|e| link.harness(&format!("the HTTP client did not start: {e}")))?;
    // It ends when the sender is dropped or the target closes; what went wrong is told to the request.
    tokio::spawn(connection.with_upgrades());
    Ok(Conn { number, sender, passed, used: Instant::now() })
}

pub(super) fn build(link: &Link, request: &Request) -> Result<hyper::Request<Full<Bytes>>, Stop> {
    let mut built = hyper::Request::builder()
        .method(request.method.as_str())
        .uri(request.target())
        .header("host", &link.reach.authority)
        .header("user-agent", concat!("wireproof/", env!("CARGO_PKG_VERSION")));
    for (name, value) in request.headers.0.iter().chain(&link.reach.headers) {
        built = built.header(name, value);
    }
    built
        .body(Full::new(request.body.0.clone()))
        .map_err(|e| link.harness(&format!("{} {} cannot be written: {e}", request.method, request.path)))
}

pub(crate) async fn read(
    answer: impl Future<Output = hyper::Result<hyper::Response<Incoming>>>,
    until: Instant,
    started: Instant,
) -> Result<Response, Lost> {
    timeout_at(until, whole(answer)).await.unwrap_or_else(|_| Err(silence(started)))
}

/// As [`read`]. A target may stand still for a while, with the whole machine that it runs on: when the time is over it gets as
/// much again as it takes for a sign of life, for behind that it answers what it was asked before.
async fn read_on(
    link: &Link,
    answer: impl Future<Output = hyper::Result<hyper::Response<Incoming>>>,
    until: Instant,
    started: Instant,
) -> Result<Response, Lost> {
    const SIGNS: usize = 2;
    let mut all = pin!(whole(answer));
    if let Ok(result) = timeout_at(until, all.as_mut()).await {
        return result;
    }
    let since = Instant::now();
    for _ in 0..SIGNS {
        if link.is_over() {
            break;
        }
        if link.sign_of_life().await.is_some() {
            let again = timeout_at(link.until(since.elapsed()), all.as_mut()).await;
            return again.unwrap_or_else(|_| Err(silence(started)));
        }
    }
    Err(silence(started))
}

/// The whole of an answer.
async fn whole(
    answer: impl Future<Output = hyper::Result<hyper::Response<Incoming>>>,
) -> Result<Response, Lost> {
    let (head, incoming) = answer.await.map_err(lost)?.into_parts();
    let mut bytes = BytesMut::new();
    body(incoming, &mut bytes).await?;
    let body = Body(bytes.freeze());
    Ok(Response { status: head.status.as_u16(), headers: fields(&head.headers), body })
}

fn silence(started: Instant) -> Lost {
    Lost::Silence(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// Reads a body to its end, within the bound.
pub(super) async fn body(mut incoming: Incoming, bytes: &mut BytesMut) -> Result<(), Lost> {
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(lost)?.into_data() else { continue };
        if bytes.len() + data.len() > limit::BODY {
            return Err(Lost::TooLong(limit::BODY as u64));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(())
}

pub(super) fn fields(headers: &HeaderMap) -> Fields {
    let pairs = headers.iter();
    let pairs = pairs.map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()));
    Fields(pairs.collect())
}

pub(super) fn lost(error: hyper::Error) -> Lost {
    use std::error::Error;
    let cause = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    if error.is_parse() || error.is_parse_too_large() {
        Lost::Malformed(words(&cause))
    } else {
        Lost::Closed(words(&cause))
    }
}

pub(super) async fn finish(
    link: &Link,
    conn: u32,
    sent: u64,
    started: Instant,
    result: Result<Response, Lost>,
) -> Result<Seen<Response>, Stop> {
    match result {
        Ok(response) => {
            let seq = record_received(link, conn, sent, &response);
            link.takes(sent, &response)?;
            link.heard(response.body.len())?;
            Ok(Seen::new(seq, response))
        }
        Err(why) => link.lost(conn, started.elapsed(), why).await,
    }
}

pub(super) fn record_sent(link: &Link, conn: u32, request: &Request, broken: bool) -> u64 {
    let message = Message::Request {
        method: request.method.clone(),
        target: request.target(),
        headers: owned(&request.headers),
        body: Kept::keep(&request.body),
        broken,
    };
    link.log.record(What::Sent { conn, message })
}

pub(super) fn record_received(link: &Link, conn: u32, sent: u64, response: &Response) -> u64 {
    let message = Message::Response {
        status: response.status,
        headers: owned(&response.headers),
        body: Kept::keep(&response.body),
    };
    link.log.record(What::Received { conn, message, answers: Some(sent) })
}

pub(super) fn owned(fields: &Fields) -> std::collections::BTreeMap<String, String> {
    fields.joined().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
