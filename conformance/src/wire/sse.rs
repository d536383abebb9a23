//! A peer that reads an event stream, one event at a time, and records each.
//!
//! Who does not call [`Reader::next`] reads nothing: the connection stays open and fills. Who drops the reader goes away without
//! a word.

mod parser;

pub use parser::{Parser, TooLong};

use super::{
    Link, Lost, Seen, http,
    limit::{self, words},
    overload::{BackOff, is_overload, overloaded},
    pace::Waiting,
};
use crate::{
    check::{Shown, Stop},
    event::{Bytes as Kept, Message, What},
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::{collections::VecDeque, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use wireproof_spec::http::{Body, Request, Response};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name: `message` if it has none.
    pub name: String,
    /// Its data, lines joined by LF, as every reader of the format sees it.
    pub data: String,
    /// The last id that came with it or before it; empty if there was none.
    pub id: String,
    /// How many bytes came since the event before it.
    pub size: u64,
}

/// What a reader finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// The event stream was ended by the target.
    End,
}

/// What a reader finds that looks at the text of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// The lines up to an empty one, comments among them, each with LF at its end, and when they were complete.
    Lines(String, Instant),
    /// The event stream was ended by the target.
    End,
}

/// One event stream on a connection of its own.
pub struct Reader {
    link: Link,
    request: Request,
    manner: Manner,
    conn: u32,
    sent: u64,
    started: Instant,
    stage: Stage,
    /// What was read as text and is no block yet.
    text: BytesMut,
    _waiting: Waiting,
}

/// How an event stream is read.
#[derive(Clone, Copy, Debug)]
struct Manner {
    /// For the head, and for each event.
    wait: Duration,
    /// The room for what came and was not read, in bytes; none is what the system has.
    room: Option<u32>,
}

/// How far a reader is.
enum Stage {
    /// The request has left.
    Asked(Answer),
    /// The head came.
    Open { head: Seen<Response>, body: Incoming, parser: Parser, events: VecDeque<Event> },
    /// What comes is no event stream.
    Other(Seen<Response>),
    /// Nothing comes any more but this.
    Over { head: Seen<Response>, last: Seen<Item> },
}

/// The head of an answer that is on its way.
struct Answer(JoinHandle<hyper::Result<hyper::Response<Incoming>>>);

impl Drop for Answer {
    /// A reader who goes away takes its connection along.
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shown for Item {
    fn shown(&self) -> String {
        match self {
            Item::Event(event) => event.shown(),
            Item::End => "the end of the event stream".into(),
        }
    }
}

impl Shown for Event {
    fn shown(&self) -> String {
        format!("the event {} with the data {:?}", words(&self.name), words(&self.data))
    }
}

impl Shown for Block {
    fn shown(&self) -> String {
        match self {
            Block::Lines(lines, _) => format!("the lines {:?}", words(lines)),
            Block::End => "the end of the event stream".into(),
        }
    }
}

impl Reader {
    /// Sends the request and returns when it has left.
    pub(crate) async fn open(link: &Link, request: Request) -> Result<Self, Stop> {
        Self::ask(link, request, Manner { wait: link.times.answer, room: None }).await
    }

    /// As [`Reader::open`], with little room for what came and was not read: who stops reading is soon felt by the target.
    pub(crate) async fn open_narrow(link: &Link, request: Request) -> Result<Self, Stop> {
        // The least that systems grant is more than this.
        Self::ask(link, request, Manner { wait: link.times.answer, room: Some(limit::NARROW) }).await
    }

    async fn ask(link: &Link, request: Request, manner: Manner) -> Result<Self, Stop> {
        link.proper(&request)?;
        let (conn, sent, started, stage) = leave(link, &request, manner).await?;
        let (text, _waiting) = (BytesMut::new(), link.waiting());
        Ok(Self { link: link.clone(), request, manner, conn, sent, started, stage, text, _waiting })
    }

    /// A reader that waits so long for the head and for each event.
    pub fn patient(mut self, wait: Duration) -> Self {
        self.manner.wait = wait;
        self
    }

    /// The answer without its body; if it is no event stream, with what comes of it in time. 429 and 503 are asked again, after a pause.
    ///
    /// # Errors
    /// Stops the check if nothing comes and the target is not alive, or if it stays overloaded.
    pub async fn head(&mut self) -> Result<Seen<Response>, Stop> {
        let mut pauses = BackOff::new(&self.link);
        loop {
            let seen = self.answered().await?;
            match seen.look() {
                // Something was asked since: the moment is over, and to ask again is to ask something else.
                Ok(response) if is_overload(&self.link, response) && self.is_late() => {
                    return Err(overloaded(&self.link, response));
                }
                Ok(response) if is_overload(&self.link, response) => {
                    pauses.wait(&self.link, response).await?
                }
                _ => return Ok(seen),
            }
            (self.conn, self.sent, self.started, self.stage) =
                leave(&self.link, &self.request, self.manner).await?;
        }
    }

    async fn answered(&mut self) -> Result<Seen<Response>, Stop> {
        let answer = match &mut self.stage {
            Stage::Asked(answer) => answer,
            Stage::Other(head) | Stage::Open { head, .. } | Stage::Over { head, .. } => {
                return Ok(head.clone());
            }
        };
        let until = self.link.until(self.manner.wait);
        let (head, body) = match timeout_at(until, &mut answer.0).await {
            Ok(Ok(Ok(response))) => response.into_parts(),
            Ok(Ok(Err(e))) => return self.lost(http::lost(e)).await,
            Ok(Err(e)) => return Err(self.link.harness(&format!("a reader ended: {e}"))),
            // It may come yet, for who asks again.
            Err(_) => return self.link.lost(self.conn, self.started.elapsed(), self.silence()).await,
        };
        let mut response = Response {
            status: head.status.as_u16(),
            headers: http::fields(&head.headers),
            body: Body::default(),
        };
        if is_event_stream(&response) {
            let on = http::record_received(&self.link, self.conn, self.sent, &response);
            let head = Seen::new(on, response);
            let (parser, events) = (Parser::new(limit::EVENT), VecDeque::new());
            self.stage = Stage::Open { head: head.clone(), body, parser, events };
            return Ok(head);
        }
        let mut bytes = BytesMut::new();
        match timeout_at(until, http::body(body, &mut bytes)).await {
            Ok(Err(why)) => self.lost(why).await,
            // A body that goes on is what it is up to here.
            Ok(Ok(())) | Err(_) => {
                self.link.heard(bytes.len())?;
                response.body = Body(bytes.freeze());
                let on = http::record_received(&self.link, self.conn, self.sent, &response);
                let head = Seen::new(on, response);
                self.stage = Stage::Other(head.clone());
                Ok(head)
            }
        }
    }

    /// Whether the check has sent something since this request left.
    fn is_late(&self) -> bool {
        let events = self.link.log.events();
        events.iter().any(|e| e.seq > self.sent && matches!(e.what, What::Sent { .. }))
    }

    /// An answer that will never come.
    async fn lost(&mut self, why: Lost) -> Result<Seen<Response>, Stop> {
        let head: Seen<Response> = self.link.lost(self.conn, self.started.elapsed(), why).await?;
        self.stage = Stage::Other(head.clone());
        Ok(head)
    }

    fn silence(&self) -> Lost {
        Lost::Silence(millis(self.started.elapsed()))
    }

    /// Waits for the next event, or for the end.
    ///
    /// # Errors
    /// Stops the check if neither comes and the target is not alive.
    pub async fn next(&mut self) -> Result<Seen<Item>, Stop> {
        self.next_by(Instant::now() + self.manner.wait).await
    }

    /// As [`Reader::next`], and at this moment it has waited for long enough.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub async fn next_by(&mut self, until: Instant) -> Result<Seen<Item>, Stop> {
        let since = Instant::now();
        match self.next_until(self.link.deadline.min(until)).await? {
            Some(seen) => Ok(seen),
            None => {
                let waited = since.elapsed();
                self.link.lost(self.conn, waited, Lost::Silence(millis(waited))).await
            }
        }
    }

    /// Sees that nothing comes for so long; the silence counts because the target answers behind it.
    ///
    /// What comes instead is seen as `Some`.
    ///
    /// # Errors
    /// Stops the check if the target is not alive.
    pub async fn quiet(&mut self, length: Duration) -> Result<Seen<Option<Item>>, Stop> {
        let since = Instant::now();
        match self.next_until(self.link.until(length)).await? {
            Some(seen) => Ok(seen.map(Some)),
            None => self.link.silent(self.conn, since.elapsed()).await.map(|seen| seen.map(|()| None)),
        }
    }

    /// What comes next, if it comes in time.
    async fn next_until(&mut self, until: Instant) -> Result<Option<Seen<Item>>, Stop> {
        let head = self.head().await?;
        loop {
            let (body, parser, events) = match &mut self.stage {
                Stage::Open { body, parser, events, .. } => (body, parser, events),
                Stage::Over { last, .. } => return Ok(Some(last.clone())),
                // Lost before, or no event stream.
                Stage::Asked(_) | Stage::Other(_) => return Ok(Some(no_events(head))),
            };
            if let Some(event) = events.pop_front() {
                return Ok(Some(self.saw(event)));
            }
            let ended = match timeout_at(until, body.frame()).await {
                Err(_) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.link.heard(data.len())?;
                    match parser.feed(&data, events) {
                        Ok(()) => continue,
                        Err(TooLong { limit }) => Err(Lost::TooLong(limit as u64)),
                    }
                }
                Ok(None) => Ok(if parser.is_within_event() { " within an event" } else { "" }),
                Ok(Some(Err(e))) => Err(http::lost(e)),
            };
            let last = match ended {
                Ok(place) => {
                    let how = format!("the target ended the event stream{place}");
                    Seen::new(
                        self.link.log.record(What::Closed { conn: self.conn, how, code: None }),
                        Item::End,
                    )
                }
                // A connection that breaks is an end too, if not a nice one.
                Err(Lost::Closed(how)) => self.link.broken_off(self.conn, &how).await?.map(|()| Item::End),
                Err(why) => self.link.lost(self.conn, self.started.elapsed(), why).await?,
            };
            self.stage = Stage::Over { head, last: last.clone() };
            return Ok(Some(last));
        }
    }

    /// Waits up to this moment for the next block of lines, as they stand, or for the end. Who reads blocks reads no events.
    ///
    /// # Errors
    /// As [`Reader::next_by`].
    pub async fn block_by(&mut self, until: Instant) -> Result<Seen<Block>, Stop> {
        let since = Instant::now();
        let until = self.link.deadline.min(until);
        let head = self.head().await?;
        let Stage::Open { body, .. } = &mut self.stage else {
            return Ok(no_events(head).map(|_| Block::End));
        };
        loop {
            if let Some(lines) = block(&mut self.text) {
                let message = Message::Raw { bytes: Kept::keep(lines.as_bytes()) };
                let on = self.link.log.record(What::Received { conn: self.conn, message, answers: None });
                return Ok(Seen::new(on, Block::Lines(lines, Instant::now())));
            }
            if self.text.len() > limit::EVENT {
                return self.link.lost(self.conn, since.elapsed(), Lost::TooLong(limit::EVENT as u64)).await;
            }
            match timeout_at(until, body.frame()).await {
                Err(_) => {
                    let why = Lost::Silence(millis(since.elapsed()));
                    return self.link.lost(self.conn, since.elapsed(), why).await;
                }
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.link.heard(data.len())?;
                    self.text.extend_from_slice(&data);
                }
                Ok(None) => {
                    let how = "the target ended the event stream".into();
                    let ended = What::Closed { conn: self.conn, how, code: None };
                    return Ok(Seen::new(self.link.log.record(ended), Block::End));
                }
                Ok(Some(Err(e))) => return self.link.lost(self.conn, since.elapsed(), http::lost(e)).await,
            }
        }
    }

    /// Reads on until the target ends the event stream, in whatever way, and nobody asks whether it is alive: how long that
    /// took, or none if the stream is open at this moment.
    ///
    /// # Errors
    /// As [`Reader::head`].
    pub async fn ends_by(&mut self, until: Instant) -> Result<Seen<Option<Duration>>, Stop> {
        let since = Instant::now();
        let head = self.head().await?;
        let Stage::Open { body, .. } = &mut self.stage else {
            return Ok(no_events(head).map(|_| None));
        };
        let ended = async {
            while let Some(Ok(frame)) = body.frame().await {
                let _ = frame;
            }
        };
        let what = match timeout_at(until, ended).await {
            Ok(()) => What::Closed { conn: self.conn, how: "the event stream has ended".into(), code: None },
            Err(_) => What::Silence { conn: self.conn, ms: millis(since.elapsed()), alive: Vec::new() },
        };
        let took = matches!(what, What::Closed { .. }).then(|| since.elapsed());
        Ok(Seen::new(self.link.log.record(what), took))
    }

    fn saw(&self, event: Event) -> Seen<Item> {
        let message = Message::Event {
            name: words(&event.name),
            id: words(&event.id),
            data: Kept::keep(event.data.as_bytes()),
            size: event.size,
        };
        let what = What::Received { conn: self.conn, message, answers: Some(self.sent) };
        Seen::new(self.link.log.record(what), Item::Event(event))
    }

    /// Goes away without a word.
    pub fn leave(self) {
        self.link.log.record(What::Cut { conn: self.conn });
    }
}

async fn leave(link: &Link, request: &Request, manner: Manner) -> Result<(u32, u64, Instant, Stage), Stop> {
    let built = http::build(link, request)?;
    link.turn().await;
    let mut conn = http::open(link, "event stream reader", manner.room).await?;
    let sent = http::record_sent(link, conn.number, request, false);
    let started = Instant::now();
    let mut passed = conn.passed.clone();
    let answer = tokio::spawn(async move { conn.sender.send_request(built).await });
    // Ends too if the connection does, and then the answer says so.
    let _ = timeout_at(link.until(manner.wait), passed.beyond(0)).await;
    Ok((conn.number, sent, started, Stage::Asked(Answer(answer))))
}

/// Takes the lines up to the first empty one, if it came. A line ends with CR LF, LF or CR; a CR at the end may be half of one.
fn block(text: &mut BytesMut) -> Option<String> {
    let (mut lines, mut at) = (String::new(), 0);
    while let Some(length) = text[at..].iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        let end = at + length;
        let width = match text[end..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r'] => return None,
            _ => 1,
        };
        let line = String::from_utf8_lossy(&text[at..end]).into_owned();
        at = end + width;
        if line.is_empty() {
            let _ = text.split_to(at);
            return Some(lines);
        }
        lines.push_str(&line);
        lines.push('\n');
    }
    None
}

fn is_event_stream(response: &Response) -> bool {
    let found = response.headers.get("content-type").and_then(|value| value.split(';').next());
    response.status == 200 && found.is_some_and(|t| t.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn no_events(head: Seen<Response>) -> Seen<Item> {
    let shown = head.look().map(Shown::shown);
    match shown {
        Ok(shown) => head.instead(Lost::NoEvents(words(&shown))),
        Err(_) => head.map(|_| Item::End),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
