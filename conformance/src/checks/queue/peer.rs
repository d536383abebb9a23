//! A subscriber: a WebSocket to a queue, its first frame, and what is pushed on it.

use super::setting::{Queue, offsets};
use crate::{
    check::{Alternative, Cx, Outcome, Shown, alternative, answer},
    protocol::Payload,
    wire::{
        Lost, Seen,
        limit::words,
        ws::{Frame, Peer},
    },
};
use serde_json::{Value, json};
use std::time::Duration;
use wireproof_spec::{
    http::{Request, Response, percent_encode},
    queue::requirements::*,
};

/// A connection to a queue.
pub struct Subscriber {
    /// The peer, for what this does not do.
    pub peer: Peer,
    /// The client_id that the server told, if it did.
    pub client_id: Option<String>,
}

/// What came on a connection. Keep-alives are passed over.
#[derive(Clone, Debug, PartialEq)]
pub enum Came {
    /// An object with the member `success`.
    Auth(Value),
    /// An object with another member of a Push.
    Push(Push),
    /// So many bytes in a binary frame.
    Binary(usize),
    /// A close frame, with its code if it has one.
    Closed(Option<u16>),
}

/// A Push, as far as it is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// `message` or `replay`.
    pub kind: String,
    /// The id of the queue.
    pub queue_id: String,
    /// The messages.
    pub messages: Vec<Value>,
}

impl Shown for Came {
    fn shown(&self) -> String {
        match self {
            Came::Auth(frame) => format!("the AuthResponse {}", words(&frame.to_string())),
            Came::Push(push) => push.shown(),
            Came::Binary(length) => format!("a binary frame of {length} bytes"),
            Came::Closed(Some(code)) => format!("a close frame with the code {code}"),
            Came::Closed(None) => "a close frame without a code".into(),
        }
    }
}

impl Shown for Push {
    fn shown(&self) -> String {
        format!("a Push of the type {:?} with the offsets {:?}", words(&self.kind), offsets(&self.messages))
    }
}

impl Shown for Value {
    fn shown(&self) -> String {
        words(&self.to_string())
    }
}

/// The request for a connection to a queue of this name.
pub fn handshake(cx: &Cx, name: &str) -> Request {
    Request::new("GET", &format!("{}/queue/ws/{}", cx.path("").trim_end_matches('/'), percent_encode(name)))
}

/// The AuthRequest with the key that the owner of the target gave us.
pub fn auth(cx: &Cx) -> Value {
    json!({"authorization": cx.key()})
}

/// The AuthRequest of who comes back, having processed the message of this offset last.
pub fn auth_from(cx: &Cx, last_offset: i64) -> Value {
    json!({"authorization": cx.key(), "last_offset": last_offset})
}

/// That a connection is authenticated.
pub fn welcome() -> Alternative<Came> {
    alternative(
        "an AuthResponse with success true",
        |came: &Came| matches!(came, Came::Auth(frame) if frame["success"] == true),
    )
}

/// That it is not: a failure.
pub fn failure() -> Alternative<Came> {
    alternative(
        "an AuthResponse with success false",
        |came: &Came| matches!(came, Came::Auth(frame) if frame["success"] == false),
    )
}

impl Subscriber {
    /// A connection on which nothing was said yet.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the handshake is not answered with 101.
    pub async fn open(cx: &Cx, queue: &Queue) -> Outcome<Self> {
        Self::opened(cx, cx.upgrade(handshake(cx, &queue.name)).await?)
    }

    /// As [`Subscriber::open`], with little room for what came and was not read.
    ///
    /// # Errors
    /// As [`Subscriber::open`].
    pub async fn open_narrow(cx: &Cx, queue: &Queue) -> Outcome<Self> {
        Self::opened(cx, cx.upgrade_narrow(handshake(cx, &queue.name)).await?)
    }

    fn opened(cx: &Cx, (seen, peer): (Seen<Response>, Option<Peer>)) -> Outcome<Self> {
        cx.need(QUEUE_CONNECT_1, &seen, &[answer(101).into()])?;
        let peer = peer.ok_or_else(|| cx.stop("there is no connection behind the 101"))?;
        Ok(Self { peer, client_id: None })
    }

    /// An authenticated connection of a new client.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it is not taken.
    pub async fn join(cx: &Cx, queue: &Queue) -> Outcome<Self> {
        Self::join_as(cx, queue, &auth(cx)).await
    }

    /// An authenticated connection of a client that processed the message of this offset last.
    ///
    /// # Errors
    /// As [`Subscriber::join`].
    pub async fn join_from(cx: &Cx, queue: &Queue, last_offset: i64) -> Outcome<Self> {
        Self::join_as(cx, queue, &auth_from(cx, last_offset)).await
    }

    /// An authenticated connection of who sends this AuthRequest.
    ///
    /// # Errors
    /// As [`Subscriber::join`].
    pub async fn join_as(cx: &Cx, queue: &Queue, request: &Value) -> Outcome<Self> {
        let (mut subscriber, seen) = Self::answered(cx, queue, request).await?;
        subscriber.told(cx, &seen)?;
        Ok(subscriber)
    }

    /// A connection of who sends this AuthRequest, and what came first. Who has a `client_id` was connected before, and a server
    /// that refuses a second connection beside the first (QUEUE-AUTH-23) may not have noticed yet that this one is gone: it is
    /// asked again for a moment.
    ///
    /// # Errors
    /// As [`Subscriber::open`] and [`Subscriber::next`].
    pub async fn answered(cx: &Cx, queue: &Queue, request: &Value) -> Outcome<(Self, Seen<Came>)> {
        const TRIES: usize = 8;
        const PAUSE: Duration = Duration::from_millis(40);
        let mut tries = if request["client_id"].is_string() { TRIES } else { 1 };
        loop {
            let mut subscriber = Self::open(cx, queue).await?;
            let seen = subscriber.asked(request).await?;
            tries -= 1;
            if tries == 0 || !seen.look().is_ok_and(|came| failure().holds(came)) {
                return Ok((subscriber, seen));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends this AuthRequest and sees that it is taken, as set-up.
    ///
    /// # Errors
    /// As [`Subscriber::join`].
    pub async fn welcomed(&mut self, cx: &Cx, request: &Value) -> Outcome {
        let seen = self.asked(request).await?;
        self.told(cx, &seen)
    }

    /// Needs that this is an AuthResponse with success true, and keeps its `client_id`.
    fn told(&mut self, cx: &Cx, seen: &Seen<Came>) -> Outcome {
        let told = cx.need(QUEUE_AUTH_3, seen, &[welcome()])?;
        if let Came::Auth(frame) = told {
            self.client_id = frame["client_id"].as_str().map(str::to_owned);
        }
        Ok(())
    }

    /// Sends this first frame and waits for what comes.
    ///
    /// # Errors
    /// As [`Subscriber::next`].
    pub async fn asked(&mut self, request: &Value) -> Outcome<Seen<Came>> {
        self.peer.send_text(&request.to_string()).await;
        self.next().await
    }

    /// The next of what comes.
    ///
    /// # Errors
    /// Stops the check if nothing comes and the target is not alive.
    pub async fn next(&mut self) -> Outcome<Seen<Came>> {
        loop {
            let seen = self.peer.next().await?;
            if !seen.look().is_ok_and(is_keep_alive) {
                return Ok(seen.map(came));
            }
        }
    }

    /// The next of what comes on a connection that is to be cut: none when it was.
    ///
    /// # Errors
    /// As [`Subscriber::next`].
    pub async fn next_or_cut(&mut self) -> Outcome<Option<Seen<Came>>> {
        loop {
            let Some(seen) = self.peer.next_or_cut().await? else { return Ok(None) };
            if !seen.look().is_ok_and(is_keep_alive) {
                return Ok(Some(seen.map(came)));
            }
        }
    }

    /// Sees that nothing comes for so long but keep-alives; what comes instead is seen as `Some`.
    ///
    /// # Errors
    /// Stops the check if the target is not alive behind it.
    pub async fn quiet(&mut self, length: Duration) -> Outcome<Seen<Option<Came>>> {
        let until = tokio::time::Instant::now() + length;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            let seen = self.peer.quiet(left).await?;
            if !seen.look().is_ok_and(|frame| frame.as_ref().is_some_and(is_keep_alive)) {
                return Ok(seen.map(|frame| frame.map(came)));
            }
        }
    }

    /// The Pushes that come until they have this many messages or more.
    ///
    /// # Errors
    /// As [`Subscriber::next`]; and stops the check, inconclusive, if something else than a Push comes.
    pub async fn pushes(&mut self, cx: &Cx, messages: usize) -> Outcome<Seen<Vec<Push>>> {
        let mut found = 0;
        self.pushes_while(cx, |push| {
            found += push.messages.len();
            found < messages
        })
        .await
    }

    /// The Pushes that come until one of them has a message with this payload.
    ///
    /// # Errors
    /// As [`Subscriber::pushes`].
    pub async fn pushes_until(&mut self, cx: &Cx, last: &Value) -> Outcome<Seen<Vec<Push>>> {
        self.pushes_while(cx, |push| push.messages.iter().all(|message| message["payload"] != *last)).await
    }

    /// The Pushes that come up to the first behind which nothing more is wanted.
    async fn pushes_while(
        &mut self,
        cx: &Cx,
        mut more: impl FnMut(&Push) -> bool,
    ) -> Outcome<Seen<Vec<Push>>> {
        let mut all = Vec::new();
        loop {
            let seen = self.next().await?;
            let over = match seen.look() {
                Ok(Came::Push(push)) => !more(push),
                Ok(other) => {
                    return Err(cx.stop(&format!("{} came where a Push was awaited", other.shown())));
                }
                // What is missing is for the claim to say.
                Err(_) => true,
            };
            all.push(seen.map(|came| match came {
                Came::Push(push) => push,
                _ => Push::nothing(),
            }));
            if over {
                return Ok(Seen::all(all));
            }
        }
    }

    /// The messages that are pushed until there are this many or more.
    ///
    /// # Errors
    /// As [`Subscriber::pushes`].
    pub async fn gather(&mut self, cx: &Cx, messages: usize) -> Outcome<Seen<Vec<Value>>> {
        let pushes = self.pushes(cx, messages).await?;
        Ok(pushes.map(|pushes| pushes.into_iter().flat_map(|push| push.messages).collect()))
    }
}

/// Has a random token published, as set-up, and sees it pushed on this connection: proof of a server that pushes. Whatever was
/// retained may be pushed before it, as who is new may be replayed everything (QUEUE-REPLAY-16).
///
/// # Errors
/// Stops the check, inconclusive, if it does not come.
pub async fn pushed_back(cx: &Cx, queue: &Queue, subscriber: &mut Subscriber) -> Outcome {
    /// So many Pushes are more than any of these queues has messages.
    const MOST: usize = 64;
    let token = Value::from(cx.token(24));
    queue.says(cx, &token).await?;
    for _ in 0..MOST {
        let pushed = subscriber.gather(cx, 1).await?;
        let some = alternative("a message", |messages: &Vec<Value>| !messages.is_empty());
        if cx.need(QUEUE_PUSH_1, &pushed, &[some])?.iter().any(|message| message["payload"] == token) {
            return Ok(());
        }
    }
    Err(cx.stop("more is pushed than was published"))
}

impl Push {
    /// One without messages.
    pub(super) fn nothing() -> Self {
        Self { kind: String::new(), queue_id: String::new(), messages: Vec::new() }
    }
}

/// Whether a frame is none of the protocol: text that is no object with a member of an AuthResponse or a Push.
fn is_keep_alive(frame: &Frame) -> bool {
    matches!(frame, Frame::Text(text) if super::frame_shape(Payload::Text(text)).is_none())
}

fn came(frame: Frame) -> Came {
    let text = match frame {
        Frame::Text(text) => text,
        Frame::Binary(bytes) => return Came::Binary(bytes.len()),
        Frame::Close(with) => return Came::Closed(with.map(|(code, _)| code)),
    };
    let mut frame: Value = serde_json::from_str(&text).unwrap_or_default();
    if frame.get("success").is_some() {
        return Came::Auth(frame);
    }
    let messages = match frame["messages"].take() {
        Value::Array(messages) => messages,
        _ => Vec::new(),
    };
    let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
    Came::Push(Push { kind: text("type"), queue_id: text("queue_id"), messages })
}

/// What became of a connection: that it ended, in whatever way, counts as an outcome.
pub type Fate = Result<Came, Lost>;

/// A message as it was told to a subscriber.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its payload.
    pub payload: Value,
    /// Its offset.
    pub offset: i64,
    /// Its id.
    pub id: String,
}

/// Has so many random tokens published, as set-up, and sees each of them pushed on this connection before the next.
///
/// # Errors
/// As [`pushed_back`].
pub async fn told(cx: &Cx, queue: &Queue, subscriber: &mut Subscriber, count: usize) -> Outcome<Vec<Told>> {
    let mut all = Vec::new();
    for _ in 0..count {
        let token = Value::from(cx.token(16));
        queue.says(cx, &token).await?;
        let pushed = subscriber.gather(cx, 1).await?;
        let payload = token.clone();
        let the_token = alternative("the payload that was published", move |messages: &Vec<Value>| {
            messages.len() == 1 && messages[0]["payload"] == payload
        });
        let message = &cx.need(QUEUE_PUSH_1, &pushed, &[the_token])?[0];
        all.push(Told {
            payload: token,
            offset: message["offset"].as_i64().unwrap_or(-1),
            id: message["id"].as_str().unwrap_or_default().to_owned(),
        });
    }
    Ok(all)
}

/// A client that was subscribed and is so no longer.
#[derive(Clone, Debug)]
pub struct Client {
    id: Option<String>,
}

impl Client {
    /// One that was subscribed to this queue for a moment.
    ///
    /// # Errors
    /// As [`Subscriber::join`].
    pub async fn of(cx: &Cx, queue: &Queue) -> Outcome<Self> {
        Self::leaving(Subscriber::join(cx, queue).await?).await
    }

    /// The one of this connection, which it closes.
    ///
    /// # Errors
    /// As [`Subscriber::next`].
    pub async fn leaving(mut subscriber: Subscriber) -> Outcome<Self> {
        subscriber.peer.close(1000, "").await;
        // What was on its way comes before the end.
        while matches!(subscriber.next().await?.look(), Ok(Came::Push(_))) {}
        Ok(Self { id: subscriber.client_id })
    }

    /// Its AuthRequest when it comes back and processed the message of this offset last.
    pub fn auth(&self, cx: &Cx, last_offset: i64) -> Value {
        let mut request = auth_from(cx, last_offset);
        // A server need not tell an id; then there is none to come back with.
        if let Some(id) = &self.id {
            request["client_id"] = json!(id);
        }
        request
    }

    /// Comes back, as set-up.
    ///
    /// # Errors
    /// As [`Subscriber::join`].
    pub async fn back(&self, cx: &Cx, queue: &Queue, last_offset: i64) -> Outcome<Subscriber> {
        Subscriber::join_as(cx, queue, &self.auth(cx, last_offset)).await
    }
}

/// The messages of Pushes.
pub fn pushed(pushes: &[Push]) -> impl Iterator<Item = &Value> {
    pushes.iter().flat_map(|push| &push.messages)
}

impl Subscriber {
    /// The client of this connection, whatever became of that.
    pub fn client(&self) -> Client {
        Client { id: self.client_id.clone() }
    }
}
