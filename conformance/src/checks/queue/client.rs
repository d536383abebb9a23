//! What checks of clients start from: the client under test as a subscriber of a server that we play, and as a caller of it.

pub use super::super::late::{RUNS, TRIES, beside_timers, in_each, is_calm, restless};

use crate::{
    check::{Alternative, Cx, Outcome, Stop, alternative},
    wire::{
        Seen,
        app::{App, Operation},
        listen::{Call, Listener},
        plain,
        ws::{Frame, Peer},
    },
};
use futures_util::future::{try_join, try_join_all};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use wireproof_spec::{
    http::{Request, Response},
    queue::requirements::*,
    requirement::RequirementId,
};

/// What a client can do, as its adapter lists it (spec/adapter.md).
pub(super) const OPERATIONS: &[Operation] = &[
    Operation { name: "subscribe", option: None, feature: None },
    Operation { name: "close", option: None, feature: None },
    Operation { name: "subscribe", option: Some("handler"), feature: Some("queue.handler") },
    Operation { name: "subscribe", option: Some("iterator"), feature: Some("queue.iterator") },
    Operation { name: "subscribe", option: Some("delay_ms"), feature: Some("queue.delay-settings") },
    Operation { name: "subscribe", option: Some("max_delay_ms"), feature: Some("queue.delay-settings") },
    Operation { name: "subscribe", option: Some("attempts"), feature: Some("queue.delay-settings") },
    Operation { name: "subscribe", option: Some("client_id"), feature: Some("queue.resume-options") },
    Operation { name: "subscribe", option: Some("last_offset"), feature: Some("queue.resume-options") },
    Operation { name: "subscribe", option: Some("organisation"), feature: Some("queue.organisations") },
    Operation { name: "call", option: None, feature: Some("queue.http-client") },
    Operation { name: "call", option: Some("window_ms"), feature: Some("queue.retry-settings") },
    Operation { name: "call", option: Some("retries"), feature: Some("queue.retry-settings") },
    Operation { name: "call", option: Some("retry_delay_ms"), feature: Some("queue.retry-settings") },
    Operation { name: "call", option: Some("stream"), feature: Some("queue.stream-bodies") },
];

/// The base of the delays before redials that checks ask for, in milliseconds.
pub const BASE_MS: u64 = 100;
/// The base where a client cannot be told another, in milliseconds.
pub const DEFAULT_BASE_MS: u64 = 1_000;
/// How late a redial may be, in milliseconds.
pub const LATE_MS: u64 = 150;

/// How its owner starts a client.
#[derive(Clone, Debug)]
pub struct Start(Map<String, Value>);

/// Which interface the owner uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// A function that is called with each message.
    Handler,
    /// Messages are taken one after the other.
    Iterator,
}

/// A client under test that was started, and the place where it dials.
pub struct Client {
    /// Its session with the adapter.
    pub app: App,
    /// Where it dials.
    pub place: Listener,
    /// The queue for which it was started.
    pub queue: String,
    /// The key that it was given.
    pub key: String,
}

/// A connection of the client under test, behind the handshake and its first frame.
pub struct Connection {
    /// Our end of it.
    pub peer: Peer,
    /// The first frame of the client, as JSON whose numbers are written in one way; `null` if it is none.
    pub auth: Seen<Value>,
    /// When the client dialled.
    pub at: Instant,
}

impl Interface {
    /// The interface that checks use for which either will do: a handler, if the client has one.
    pub fn any(cx: &Cx) -> Self {
        if cx.features().is("queue.handler", "on") { Interface::Handler } else { Interface::Iterator }
    }

    /// Those that the client has; for one that lists none, the one that it is asked for.
    pub fn all(cx: &Cx) -> Vec<Self> {
        let both = [(Interface::Handler, "queue.handler"), (Interface::Iterator, "queue.iterator")];
        let has = both.into_iter().filter(|(_, feature)| cx.features().is(feature, "on"));
        let has: Vec<Self> = has.map(|(interface, _)| interface).collect();
        if has.is_empty() { vec![Self::any(cx)] } else { has }
    }

    /// Looks at each of them, all at once: what is asked of a client is asked of all that it has.
    ///
    /// # Errors
    /// Those of the looks.
    pub async fn each<F: Future<Output = Outcome>>(cx: &Cx, look: impl Fn(Self) -> F) -> Outcome {
        try_join_all(Self::all(cx).into_iter().map(look)).await.map(drop)
    }

    fn name(self) -> &'static str {
        match self {
            Interface::Handler => "handler",
            Interface::Iterator => "iterator",
        }
    }
}

impl Start {
    /// With this interface, a queue and a key of its own, and short delays before redials.
    pub fn new(cx: &Cx, interface: Interface) -> Self {
        let mut args = Map::new();
        args.insert("queue".into(), cx.name().into());
        args.insert("key".into(), cx.token(24).into());
        args.insert("interface".into(), interface.name().into());
        args.insert("delay_ms".into(), BASE_MS.into());
        args.insert("max_delay_ms".into(), (BASE_MS * 300).into());
        Self(args)
    }

    /// With this argument (spec/adapter.md).
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// Without this argument.
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    /// The arguments of a subscribe at this root.
    pub fn at(self, root: &str) -> Value {
        Value::Object(self.with("url", root).0)
    }

    fn text(&self, name: &str) -> String {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// How long a client that dials again would take at most, on the first redial, and half as much again.
pub fn silence(cx: &Cx, interface: Interface) -> Duration {
    silence_before(cx, interface, 0)
}

/// As [`silence`], before redial n: so much is waited for who dials again.
pub fn silence_before(cx: &Cx, interface: Interface, n: u32) -> Duration {
    // Whether the setting reaches an iterator nobody can tell.
    let is_short = interface == Interface::Handler && cx.features().is("queue.delay-settings", "on");
    let base = if is_short { BASE_MS } else { DEFAULT_BASE_MS };
    Duration::from_millis((base << n) + base / 2 + LATE_MS)
}

/// A message as it is pushed, with its offset in its payload.
pub fn message(offset: i64) -> Value {
    json!({"id": format!("qmsg_{}", offset + 1_000), "queue_id": "queue_1", "offset": offset, "payload": {"n": offset}})
}

/// A Push of these messages.
pub fn push(kind: &str, messages: &[Value]) -> Value {
    json!({"type": kind, "queue_id": "queue_1", "messages": messages})
}

impl Client {
    /// Starts the client with an interface that it has, at a fresh place.
    ///
    /// # Errors
    /// Stops the check if it refuses.
    pub async fn begin(cx: &Cx) -> Outcome<Self> {
        Self::start(cx, Start::new(cx, Interface::any(cx))).await
    }

    /// Starts the client so, at a fresh place.
    ///
    /// # Errors
    /// Stops the check if it refuses.
    pub async fn start(cx: &Cx, start: Start) -> Outcome<Self> {
        Self::start_at(cx, cx.listen()?, "", start).await
    }

    /// Starts the client so; this is added to the URL of the place.
    ///
    /// # Errors
    /// Stops the check if it refuses.
    pub async fn start_at(cx: &Cx, place: Listener, path: &str, start: Start) -> Outcome<Self> {
        let root = format!("{}{path}", place.url("http"));
        Self::start_with(cx, place, &root, start).await
    }

    /// Starts the client so, with this root, at which the place is found.
    ///
    /// # Errors
    /// Stops the check if it refuses.
    pub async fn start_with(cx: &Cx, place: Listener, root: &str, start: Start) -> Outcome<Self> {
        Self::start_in(cx.app().await?, place, root, start).await
    }

    /// Starts the client so, at a fresh place and in a process of its own, which its owner may hold up.
    ///
    /// # Errors
    /// Stops the check if it refuses.
    pub async fn start_alone(cx: &Cx, start: Start) -> Outcome<Self> {
        let place = cx.listen()?;
        let root = place.url("http");
        Self::start_in(cx.app_alone().await?, place, &root, start).await
    }

    async fn start_in(mut app: App, place: Listener, root: &str, start: Start) -> Outcome<Self> {
        let (queue, key) = (start.text("queue"), start.text("key"));
        app.ask("subscribe", start.at(root)).await?;
        Ok(Self { app, place, queue, key })
    }

    /// Starts the client so, at a port that refuses it for so long.
    ///
    /// # Errors
    /// Stops the check if the client refuses.
    pub async fn start_refused(cx: &Cx, start: Start, refused: Duration) -> Outcome<Self> {
        let (mut app, port) = (cx.app().await?, cx.port()?);
        let (queue, key) = (start.text("queue"), start.text("key"));
        app.ask("subscribe", Value::Object(start.with("url", port.url("http")).0)).await?;
        sleep(refused).await;
        Ok(Self { app, place: port.listen()?, queue, key })
    }

    /// Its next dial: the request of the handshake, and the call that waits for an answer.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not dial.
    pub async fn dial(&mut self, cx: &Cx) -> Outcome<(Seen<Request>, Call)> {
        let (seen, call) = self.place.next().await?;
        cx.need(QUEUE_SUBSCRIBER_1, &seen, &[dials()])?;
        let call = call.ok_or_else(|| cx.stop("the client did not dial"))?;
        Ok((seen, call))
    }

    /// Its next connection, which sent its first frame and waits for an answer.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not dial or says nothing.
    pub async fn connect(&mut self, cx: &Cx) -> Outcome<Connection> {
        let (_, call) = self.dial(cx).await?;
        Connection::of(cx, call).await
    }

    /// Its next connection, to which success was answered, with a `client_id`.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn join(&mut self, cx: &Cx) -> Outcome<Connection> {
        let mut connection = self.connect(cx).await?;
        connection.welcome(&format!("qcid_{}", cx.token(8))).await;
        Ok(connection)
    }

    /// Its next dial, behind the end of a connection or a dial that failed, for which it has to come.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not dial again.
    pub async fn redial(&mut self, cx: &Cx, why: RequirementId) -> Outcome<Call> {
        let (seen, call) = self.place.next().await?;
        cx.need(why, &seen, &[dials()])?;
        call.ok_or_else(|| cannot(cx, "did not dial again"))
    }

    /// Ends a connection in the way behind which every client dials again, and waits for its next one.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not dial again or says nothing.
    pub async fn again(&mut self, cx: &Cx, connection: Connection) -> Outcome<Connection> {
        connection.part().await;
        Connection::of(cx, self.redial(cx, QUEUE_REDIAL_1).await?).await
    }

    /// The offsets of what it delivers up to the message with this one, or until nothing more comes.
    ///
    /// # Errors
    /// Stops the check if the adapter does not answer.
    pub async fn delivered_up_to(&mut self, last: i64) -> Outcome<Vec<i64>> {
        let mut all = Vec::new();
        while all.last() != Some(&last) {
            match self.delivered(1).await?.first() {
                Some(message) => all.extend(message["offset"].as_i64()),
                None => break,
            }
        }
        Ok(all)
    }

    /// What it told of its own accord until so many messages were delivered, or nothing more came.
    ///
    /// # Errors
    /// Stops the check if the adapter does not answer.
    pub async fn delivered(&mut self, count: usize) -> Outcome<Vec<Value>> {
        let mut messages = Vec::new();
        while messages.len() < count {
            match self.app.told().await? {
                Some(told) if told.event == "delivered" => messages.push(told.data),
                Some(_) => {}
                None => break,
            }
        }
        Ok(messages)
    }

    /// The next error that it tells, of its own accord or with its end; what comes before is passed over. None if there is none.
    ///
    /// # Errors
    /// Stops the check if the adapter does not answer.
    pub async fn complaint(&mut self) -> Outcome<Option<String>> {
        complaint(&mut self.app).await
    }

    /// The next event of this name that it tells; what comes before is passed over. None if there is none.
    ///
    /// # Errors
    /// Stops the check if the adapter does not answer.
    pub async fn told(&mut self, event: &str) -> Outcome<Option<Value>> {
        while let Some(told) = self.app.told().await? {
            if told.event == event {
                return Ok(Some(told.data));
            }
        }
        Ok(None)
    }

    /// What it delivered up to now and nobody looked at.
    ///
    /// # Errors
    /// Stops the check if the adapter does not answer.
    pub async fn delivered_so_far(&mut self) -> Outcome<Vec<Value>> {
        let told = self.app.all_told().await?;
        Ok(told.into_iter().filter(|told| told.event == "delivered").map(|told| told.data).collect())
    }

    /// Sees that it does not dial for so long. Another client of the same adapter that dials behind it shows that it could.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the other one does not dial.
    pub async fn still(&mut self, cx: &Cx, length: Duration) -> Outcome<Seen<Option<Request>>> {
        let another = async {
            let mut another = Client::begin(cx).await?;
            Ok(another.dial(cx).await?.0)
        };
        self.place.quiet(length, another).await
    }
}

impl Connection {
    /// Answers a handshake and waits for the first frame.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the call is no handshake or no text comes.
    pub async fn of(cx: &Cx, call: Call) -> Outcome<Self> {
        let at = call.at;
        let mut peer = call.upgrade().await?;
        let auth = peer.next().await?;
        let text = alternative("an AuthRequest as text", |frame: &Frame| matches!(frame, Frame::Text(_)));
        cx.need(QUEUE_SUBSCRIBER_7, &auth, &[text])?;
        let auth = auth.map(|frame| match frame {
            Frame::Text(text) => plain(serde_json::from_str(&text).unwrap_or_default()),
            _ => Value::Null,
        });
        Ok(Self { peer, auth, at })
    }

    /// Answers success, with this `client_id`.
    pub async fn welcome(&mut self, client_id: &str) {
        self.send(&json!({"success": true, "client_id": client_id})).await;
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) {
        self.peer.send_text(&frame.to_string()).await;
    }

    /// Pushes the messages with these offsets, in one frame of the type message.
    pub async fn push(&mut self, offsets: impl IntoIterator<Item = i64>) {
        let messages: Vec<Value> = offsets.into_iter().map(message).collect();
        self.send(&push("message", &messages)).await;
    }

    /// What the adapter told, as a claim about this connection: it stands on the first frame of it.
    pub fn told<T>(&self, told: T) -> Seen<T> {
        self.auth.clone().map(|_| told)
    }

    /// Ends it, as a server that stops.
    pub async fn part(mut self) {
        /// A close frame is answered at once; who does not is not waited for.
        const ANSWER: Duration = Duration::from_millis(500);
        self.peer.close(1012, "").await;
        let _ = timeout(ANSWER, self.peer.next()).await;
    }

    /// How the client ends the connection: its close frame, or what came instead.
    ///
    /// # Errors
    /// As [`Peer::next`].
    pub async fn ended(&mut self) -> Outcome<Seen<Frame>> {
        self.peer.next().await
    }
}

/// That it dials: a GET, whatever of.
pub fn dials() -> Alternative<Request> {
    alternative("a handshake", |request: &Request| request.method == "GET")
}

/// The offsets of messages, as far as they have any.
pub fn offsets(messages: &[Value]) -> Vec<i64> {
    messages.iter().filter_map(|message| message["offset"].as_i64()).collect()
}

/// Stops a check for a client that does not do what a check needs.
pub fn cannot(cx: &Cx, what: &str) -> Stop {
    cx.stop(&format!("the client {what}"))
}

/// Everything that a client does, once, in the ordinary way.
///
/// # Errors
/// Stops where it does not do as it should.
pub async fn ordinary(cx: &Cx) -> Outcome {
    for interface in [Interface::Handler, Interface::Iterator] {
        let mut client = Client::start(cx, Start::new(cx, interface)).await?;
        let mut connection = client.join(cx).await?;
        connection.push([0]).await;
        client.delivered(1).await?;
        client.app.ask("close", json!({})).await?;
        let _ = connection.ended().await?;
    }
    let mut place = cx.listen()?;
    let mut app = cx.app().await?;
    for action in ["get", "publish"] {
        let args = json!({
            "url": place.url("http"), "key": cx.token(24), "queue": cx.name(), "action": action, "payload": {"n": 1},
        });
        let served = async {
            if let (_, Some(call)) = place.next().await? {
                let body = json!({"success": false, "message": "not now"}).to_string();
                call.answer(&Response::new(400).header("content-type", "application/json").body(body)).await;
            }
            Ok(())
        };
        let _said = try_join(served, app.attempt("call", args)).await?;
    }
    Ok(())
}

/// The next error that a session tells, of its own accord or with its end. None if there is none.
///
/// # Errors
/// Stops the check if the adapter does not answer.
pub async fn complaint(app: &mut App) -> Outcome<Option<String>> {
    while let Some(told) = app.told().await? {
        let error = match told.event.as_str() {
            "error" => &told.data["message"],
            "ended" => &told.data["error"],
            _ => &Value::Null,
        };
        if let Some(error) = error.as_str() {
            return Ok(Some(error.to_owned()));
        }
    }
    Ok(None)
}
