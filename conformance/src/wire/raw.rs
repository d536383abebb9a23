//! A peer that writes bytes as they are, for what an HTTP library would not send, and reads what comes.

use super::{
    Link, Lost, Seen, framing,
    http::{record_received, record_sent},
    limit,
    overload::{is_overload, overloaded},
    tap::Tap,
};
use crate::{
    check::{Outcome, Stop},
    event::{Bytes as Kept, Message, What},
};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout_at},
};
use wireproof_spec::http::{Body, Fields, Request, Response};

/// One TCP connection.
pub struct Peer {
    link: Link,
    conn: u32,
    tap: Tap,
    /// What was read and belongs to no answer yet.
    ahead: BytesMut,
}

/// An HTTP answer with the bytes behind its head, as they came until the target closed or fell silent.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// Status and headers.
    pub head: Response,
    /// Every byte behind the head.
    pub rest: bytes::Bytes,
}

/// A frame of a WebSocket as it came, one part of a message perhaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// What it is: 1 and 2 are messages, 8 closes, 9 and 10 are ping and pong.
    pub opcode: u8,
    /// What it holds.
    pub payload: bytes::Bytes,
    /// When it was read.
    pub at: Instant,
}

impl Peer {
    pub(crate) async fn open(link: &Link) -> Result<Self, Stop> {
        link.turn().await;
        let (conn, tap, _) = link.connect("tcp").await?;
        Ok(Self { link: link.clone(), conn, tap, ahead: BytesMut::new() })
    }

    /// The head of a request with exactly these headers, and `Host` and the target's own headers before them.
    pub fn head(&self, request: &Request) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\n",
            request.method,
            request.target(),
            self.link.reach.authority
        );
        for (name, value) in self.link.reach.headers.iter().chain(&request.headers.0) {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Writes bytes, and tells the event of it. A target that no longer reads is found out when its answer is read.
    pub async fn write(&mut self, bytes: &[u8]) -> u64 {
        let message = Message::Raw { bytes: Kept::keep(bytes) };
        let sent = self.link.log.record(What::Sent { conn: self.conn, message });
        self.put(bytes).await;
        sent
    }

    async fn put(&mut self, bytes: &[u8]) {
        let until = self.link.until(self.link.times.answer);
        let _ = timeout_at(until, async {
            self.tap.write_all(bytes).await?;
            self.tap.flush().await
        })
        .await;
    }

    /// Sends an HTTP request with its body in chunks of these sizes; the last may be shorter. `finish` ends the body.
    pub async fn send_chunked(&mut self, request: &Request, size: usize, finish: bool) -> u64 {
        let mut shown = request.clone();
        shown.headers.set("transfer-encoding", "chunked");
        self.link.take_turn();
        let sent = record_sent(&self.link, self.conn, &shown, !finish);
        let head = self.head(&Request { body: Body::default(), ..shown.clone() });
        self.put(&head).await;
        let mut chunks = request.body.chunks(size.max(1)).peekable();
        while let Some(chunk) = chunks.next() {
            let length = format!("{:x}\r\n", chunk.len());
            // What does not finish ends in the middle of its last chunk.
            let framed = match chunks.peek() {
                None if !finish => [length.as_bytes(), &chunk[..chunk.len() / 2]].concat(),
                _ => [length.as_bytes(), chunk, b"\r\n"].concat(),
            };
            self.put(&framed).await;
        }
        if finish {
            self.put(b"0\r\n\r\n").await;
        }
        sent
    }

    /// Sends an HTTP request as it is, with its length if it has a body.
    pub async fn send(&mut self, request: &Request) -> u64 {
        let (sent, bytes) = self.whole(request);
        self.put(&bytes).await;
        sent
    }

    /// As [`Peer::send`], when its turn has come: for very many of them.
    pub async fn send_in_turn(&mut self, request: &Request) -> u64 {
        self.link.turn().await;
        let (sent, bytes) = self.recorded(request);
        self.put(&bytes).await;
        sent
    }

    /// Sends an HTTP request in pieces of so many bytes, each of which leaves by itself.
    pub async fn send_in_pieces(&mut self, request: &Request, size: usize) -> u64 {
        let (sent, bytes) = self.whole(request);
        for piece in bytes.chunks(size.max(1)) {
            self.put(piece).await;
        }
        sent
    }

    /// Sends an HTTP request in two pieces, the second of which leaves when `between` has ended. The first piece ends so many
    /// bytes before the end of the request.
    ///
    /// # Errors
    /// As `between`.
    pub async fn send_in_two(
        &mut self,
        request: &Request,
        last: usize,
        between: impl Future<Output = Outcome>,
    ) -> Outcome<u64> {
        let (sent, bytes) = self.whole(request);
        let (first, second) = bytes.split_at(bytes.len().saturating_sub(last));
        self.put(first).await;
        between.await?;
        self.put(second).await;
        Ok(sent)
    }

    /// Sends HTTP requests one behind the other, all at once.
    pub async fn send_together(&mut self, requests: &[Request]) -> Vec<u64> {
        let (sent, bytes): (Vec<u64>, Vec<Vec<u8>>) = requests.iter().map(|r| self.whole(r)).unzip();
        self.put(&bytes.concat()).await;
        sent
    }

    /// A request as it goes over the wire, recorded as sent; its turn is taken and not waited for.
    fn whole(&self, request: &Request) -> (u64, Vec<u8>) {
        self.link.take_turn();
        self.recorded(request)
    }

    fn recorded(&self, request: &Request) -> (u64, Vec<u8>) {
        let mut shown = request.clone();
        if !request.body.is_empty() {
            shown.headers.set("content-length", request.body.len().to_string());
        }
        let sent = record_sent(&self.link, self.conn, &shown, false);
        (sent, [self.head(&shown), request.body.to_vec()].concat())
    }

    /// Says that nothing more will be sent, and leaves the connection open for what comes.
    pub async fn finish(&mut self) {
        // A target that has closed needs not be told.
        let _ = self.tap.shutdown().await;
    }

    /// Reads the next answer to its end. `method` is that of the request.
    ///
    /// # Errors
    /// Stops the check if nothing complete comes and the target is not alive.
    pub async fn reply(&mut self, sent: u64, method: &str) -> Result<Seen<Response>, Stop> {
        let started = Instant::now();
        let until = self.link.until(self.link.times.answer);
        let mut ended = false;
        let result = loop {
            match framing::answer(&self.ahead, method, ended) {
                Ok(Some((response, length))) => {
                    let _ = self.ahead.split_to(length);
                    break Ok(response);
                }
                Ok(None) if self.ahead.len() > limit::BODY + limit::HEAD => {
                    break Err(Lost::TooLong(limit::BODY as u64));
                }
                Ok(None) => {}
                Err(why) => break Err(why),
            }
            match timeout_at(until, self.tap.read_buf(&mut self.ahead)).await {
                Ok(Ok(0)) => ended = true,
                Ok(Ok(_)) => {}
                // What came before a reset may be an answer.
                Ok(Err(_)) => ended = true,
                Err(_) => {
                    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    break Err(Lost::Silence(ms));
                }
            }
        };
        match result {
            Ok(response) => {
                let seq = record_received(&self.link, self.conn, sent, &response);
                self.link.takes(sent, &response)?;
                if is_overload(&self.link, &response) {
                    return Err(overloaded(&self.link, &response));
                }
                self.link.heard(response.body.len())?;
                Ok(Seen::new(seq, response))
            }
            Err(why) => self.link.lost(self.conn, started.elapsed(), why).await,
        }
    }

    /// Reads the head of an answer, and all that follows until the target closes.
    ///
    /// The request has to ask for that with `Connection: close`.
    ///
    /// # Errors
    /// Stops the check if nothing complete comes and the target is not alive.
    pub async fn answer(mut self, sent: u64) -> Result<Seen<RawAnswer>, Stop> {
        let started = Instant::now();
        let until = self.link.until(self.link.times.answer);
        let mut bytes = BytesMut::new();
        let result = loop {
            if bytes.len() > limit::BODY {
                break Err(Lost::TooLong(limit::BODY as u64));
            }
            match timeout_at(until, self.tap.read_buf(&mut bytes)).await {
                Ok(Ok(0)) => break split(&bytes),
                Ok(Ok(_)) => {}
                Ok(Err(e)) => break split(&bytes).map_err(|_| Lost::Closed(e.to_string())),
                // A target that does not close has still said what it said.
                Err(_) => {
                    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    break split(&bytes).map_err(|_| Lost::Silence(ms));
                }
            }
        };
        match result {
            Ok(answer) => {
                // Shown is what the chunks hold: a text that they cut is whole there.
                let is_chunked = answer.head.headers.get("transfer-encoding").is_some();
                let whole = is_chunked.then(|| framing::chunked(&answer.rest).ok().flatten()).flatten();
                let body = whole.map_or_else(|| answer.rest.clone(), |(body, _)| body.into());
                let shown = Response { body: Body(body), ..answer.head.clone() };
                let seq = record_received(&self.link, self.conn, sent, &shown);
                self.link.takes(sent, &answer.head)?;
                if is_overload(&self.link, &answer.head) {
                    return Err(overloaded(&self.link, &answer.head));
                }
                Ok(Seen::new(seq, answer))
            }
            Err(why) => self.link.lost(self.conn, started.elapsed(), why).await,
        }
    }

    /// The next frame of a WebSocket, behind the 101 that was read as an answer; none if none comes up to this moment. Nothing is
    /// answered by itself, no ping either.
    ///
    /// # Errors
    /// Stops the check if the connection ends and the target is not alive.
    pub async fn frame(&mut self, until: Instant) -> Result<Option<Seen<RawFrame>>, Stop> {
        let started = Instant::now();
        let until = until.min(self.link.deadline);
        let lost = loop {
            if let Some((opcode, payload, length)) = frame(&self.ahead) {
                let _ = self.ahead.split_to(length);
                self.link.heard(payload.len())?;
                let message = match opcode {
                    2 => Message::Binary { bytes: Kept::keep(&payload) },
                    _ => Message::Raw { bytes: Kept::keep(&payload) },
                };
                let event = What::Received { conn: self.conn, message, answers: None };
                let seen = RawFrame { opcode, payload, at: Instant::now() };
                return Ok(Some(Seen::new(self.link.log.record(event), seen)));
            }
            if self.ahead.len() > limit::FRAME {
                break Lost::TooLong(limit::FRAME as u64);
            }
            match timeout_at(until, self.tap.read_buf(&mut self.ahead)).await {
                Ok(Ok(0)) => break Lost::Closed("without a close frame".into()),
                Ok(Ok(_)) => {}
                Ok(Err(e)) => break Lost::Closed(e.to_string()),
                Err(_) => {
                    self.link.in_time()?;
                    return Ok(None);
                }
            }
        };
        self.link.lost(self.conn, started.elapsed(), lost).await.map(Some)
    }

    /// Ends the connection in the middle of what was sent.
    pub async fn cut(mut self) {
        let _ = self.tap.shutdown().await;
        self.link.log.record(What::Cut { conn: self.conn });
    }
}

/// The frame of a WebSocket at the start of these bytes, and its length; none if it is not complete. Servers mask nothing.
fn frame(bytes: &[u8]) -> Option<(u8, bytes::Bytes, usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (length, begin) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
        short => (short.into(), 2),
    };
    let end = usize::try_from(length).ok()?.checked_add(begin)?;
    let payload = bytes.get(begin..end)?;
    Some((first & 0x0f, bytes::Bytes::copy_from_slice(payload), end))
}

/// The final answer in what a target sent.
pub(crate) fn split(mut bytes: &[u8]) -> Result<RawAnswer, Lost> {
    // A client has to pass over interim answers that it did not ask for (RFC 9110, section 15.2).
    loop {
        if bytes.is_empty() {
            return Err(Lost::Closed("nothing was sent".into()));
        }
        let Some((head, end)) = head(bytes)? else {
            return Err(Lost::Closed("in the middle of the head".into()));
        };
        bytes = &bytes[end..];
        if !(100..200).contains(&head.status) || head.status == 101 {
            return Ok(RawAnswer { head, rest: bytes::Bytes::copy_from_slice(bytes) });
        }
    }
}

/// The head at the start of these bytes, and its length; none if it is not complete.
pub(super) fn head(bytes: &[u8]) -> Result<Option<(Response, usize)>, Lost> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => {
            // Three digits may be fewer in number (RFC 9110, section 15: 100 to 599, and beyond for who is lenient).
            let status = parsed.code.filter(|code| *code >= 100);
            let status = status.ok_or_else(|| Lost::Malformed("the status is less than 100".into()))?;
            let fields = parsed
                .headers
                .iter()
                .map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned()));
            let head = Response { status, headers: Fields(fields.collect()), body: Body::default() };
            Ok(Some((head, end)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(e) => Err(Lost::Malformed(e.to_string())),
    }
}
