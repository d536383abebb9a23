//! What checks of agents start from: the agent under test, and the orchestrator that we play.

pub(super) mod talk;

pub use talk::{Ask, Heard, Said, acked, hash_only, poll_of, snapshot, state_of};

use crate::{
    check::{Alternative, Cx, Outcome, Stop, alternative},
    wire::{
        Seen,
        app::{App, Operation},
        listen::{Call, Listener},
        ws::{Frame, Peer},
    },
};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use wireproof_spec::{
    fleet::{
        Cmd, Hello, Op, Poll, Snapshot, Status,
        connect::SENTINEL,
        frames::{Outer, VERSION},
        requirements::*,
    },
    http::Request,
    requirement::RequirementId,
};

/// What an agent can do, as its adapter lists it (spec/adapter.md).
pub(super) const OPERATIONS: &[Operation] = &[
    Operation { name: "start", option: None, feature: None },
    Operation { name: "stop", option: None, feature: None },
    Operation { name: "start", option: Some("connect_timeout_ms"), feature: Some("fleet.connect-timeout") },
    Operation { name: "start", option: Some("instance_ids"), feature: Some("fleet.instance-ids") },
    Operation { name: "open_room", option: None, feature: Some("fleet.local-rooms") },
    Operation { name: "close_room", option: None, feature: Some("fleet.local-rooms") },
    Operation { name: "set_connections", option: None, feature: Some("fleet.room-connections") },
    Operation { name: "drain", option: None, feature: Some("fleet.host-drain") },
    Operation { name: "undrain", option: None, feature: Some("fleet.host-drain") },
    Operation { name: "terminate", option: None, feature: Some("fleet.graceful-shutdown") },
];

/// H in our Hellos, in milliseconds, where a check is not about silence: who leaves after 4 H of it is not left that long.
pub const HEARTBEAT_MS: u32 = 1_000;
/// H where a check is about silence.
pub const SHORT_HEARTBEAT_MS: u32 = 200;
/// H as orchestrators have it.
pub const USUAL_HEARTBEAT_MS: u32 = 5_000;
/// The types of rooms that agents of checks know.
pub const KINDS: [&str; 2] = ["lobby", "match"];
/// A redial behind a Hello comes by then, in milliseconds: 1.25 times 500, and 100.
pub const FIRST_REDIAL_MS: u64 = 725;

/// How its owner starts an agent.
#[derive(Clone, Debug)]
pub struct Start(Map<String, Value>);

/// An agent under test that was started, and the place where it dials.
pub struct Client {
    /// Its session with the adapter.
    pub app: App,
    /// Where it dials.
    pub place: Listener,
    /// The key that it was given.
    pub key: String,
}

/// A connection of the agent under test.
pub struct Connection {
    /// Our end of it.
    pub peer: Peer,
    /// When the agent dialled.
    pub at: Instant,
    /// The handshake.
    pub dialled: Seen<Request>,
    /// What the last of its snapshots that came by [`Connection::snapshot`] said, and its hash.
    pub known: Option<(Snapshot, String)>,
    /// How many Polls and Cmds we sent.
    asked: u32,
}

impl Start {
    /// With a key and a name of its own, for rooms of [`KINDS`].
    pub fn new(cx: &Cx) -> Self {
        let mut args = Map::new();
        let name = cx.name();
        args.insert("key".into(), format!("key-{}", cx.token(24)).into());
        args.insert("endpoint_url".into(), format!("wss://{name}.example/rooms").into());
        args.insert("name".into(), name.into());
        args.insert("room_types".into(), json!(KINDS));
        Self(args)
    }

    /// With this argument (spec/adapter.md).
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The argument of this name.
    pub fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    fn at(self, url: &str) -> Value {
        Value::Object(self.with("url", url).0)
    }
}

/// A Hello that gives the connection this id.
pub fn hello(instance_id: &str, heartbeat_ms: u32) -> Hello {
    Hello { instance_id: instance_id.into(), protocol_version: VERSION, heartbeat_ms }
}

/// A Cmd that makes a room.
pub fn create(id: &str, kind: &str) -> Cmd {
    command(Op::Create, Some(id), Some(kind))
}

/// A Cmd that ends a room.
pub fn destroy(id: &str) -> Cmd {
    command(Op::Destroy, Some(id), None)
}

/// A Cmd with these, whose cmdId is set when it is sent.
pub fn command(op: Op, id: Option<&str>, kind: Option<&str>) -> Cmd {
    Cmd { cmd_id: String::new(), op, room_id: id.map(str::to_owned), room_type: kind.map(str::to_owned) }
}

impl Client {
    /// Starts the agent in the ordinary way, at a fresh place.
    ///
    /// # Errors
    /// Stops the check if it refuses.
    pub async fn begin(cx: &Cx) -> Outcome<Self> {
        Self::start(cx, Start::new(cx)).await
    }

    /// Starts the agent so, at a fresh place.
    ///
    /// # Errors
    /// Stops the check if it refuses.
    pub async fn start(cx: &Cx, start: Start) -> Outcome<Self> {
        Self::start_at(cx, start, "").await
    }

    /// Starts the agent so, with this behind the URL of the place.
    ///
    /// # Errors
    /// Stops the check if it refuses.
    pub async fn start_at(cx: &Cx, start: Start, behind: &str) -> Outcome<Self> {
        let place = cx.listen()?;
        let url = format!("{}{behind}", place.url("ws"));
        Self::start_in(cx.app().await?, place, &url, start).await
    }

    /// Starts the agent so, at a fresh place and in a process of its own.
    ///
    /// # Errors
    /// Stops the check if it refuses.
    pub async fn start_alone(cx: &Cx, start: Start) -> Outcome<Self> {
        let place = cx.listen()?;
        let url = place.url("ws");
        Self::start_in(cx.app_alone().await?, place, &url, start).await
    }

    /// Starts the agent so, at a port that refuses it for so long.
    ///
    /// # Errors
    /// Stops the check if it refuses.
    pub async fn start_refused(cx: &Cx, start: Start, refused: Duration) -> Outcome<Self> {
        let (mut app, port) = (cx.app().await?, cx.port()?);
        let key = start.get("key").as_str().unwrap_or_default().to_owned();
        app.ask("start", start.at(&port.url("ws"))).await?;
        sleep(refused).await;
        Ok(Self { app, place: port.listen()?, key })
    }

    async fn start_in(mut app: App, place: Listener, url: &str, start: Start) -> Outcome<Self> {
        let key = start.get("key").as_str().unwrap_or_default().to_owned();
        app.ask("start", start.at(url)).await?;
        Ok(Self { app, place, key })
    }

    /// Its next dial: the request of the handshake, and the call that waits for an answer.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not dial.
    pub async fn dial(&mut self, cx: &Cx) -> Outcome<(Seen<Request>, Call)> {
        let (seen, call) = self.place.next().await?;
        cx.need(FLEET_DIAL_3, &seen, &[dials()])?;
        let call = call.ok_or_else(|| cx.stop("the agent did not dial"))?;
        Ok((seen, call))
    }

    /// Its next connection, on which nothing was said.
    ///
    /// # Errors
    /// As [`Client::dial`].
    pub async fn open(&mut self, cx: &Cx) -> Outcome<Connection> {
        let (seen, call) = self.dial(cx).await?;
        Connection::of(seen, call).await
    }

    /// Its next connection, on which a Hello was said.
    ///
    /// # Errors
    /// As [`Client::dial`].
    pub async fn connect(&mut self, cx: &Cx) -> Outcome<Connection> {
        let mut connection = self.open(cx).await?;
        connection.greet(cx).await;
        Ok(connection)
    }

    /// Its next connection, on which a first Poll was answered with a snapshot.
    ///
    /// # Errors
    /// As [`Client::dial`], and inconclusive if another answer comes.
    pub async fn join(&mut self, cx: &Cx) -> Outcome<Connection> {
        let mut connection = self.connect(cx).await?;
        connection.snapshot(cx).await?;
        Ok(connection)
    }

    /// Its next connection behind the end of this one, with a Hello.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not dial again.
    pub async fn again(&mut self, cx: &Cx, connection: Connection) -> Outcome<Connection> {
        connection.part(1012).await;
        self.redialled(cx, FLEET_REDIAL_1).await
    }

    /// Its next connection, with a Hello, which is to come by this requirement.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not dial.
    pub async fn redialled(&mut self, cx: &Cx, why: RequirementId) -> Outcome<Connection> {
        let (seen, call) = self.place.next().await?;
        cx.need(why, &seen, &[dials()])?;
        let call = call.ok_or_else(|| cx.stop("the agent did not dial again"))?;
        let mut connection = Connection::of(seen, call).await?;
        connection.greet(cx).await;
        Ok(connection)
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

    /// What it told under this name up to now and nobody looked at. What it told under others is forgotten.
    ///
    /// # Errors
    /// Stops the check if the adapter does not answer.
    pub async fn told_so_far(&mut self, event: &str) -> Outcome<Vec<Value>> {
        let told = self.app.all_told().await?;
        Ok(told.into_iter().filter(|told| told.event == event).map(|told| told.data).collect())
    }

    /// Sees that it does not dial for so long. Another agent of the same adapter that dials behind it shows that it could.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the other one does not dial.
    pub async fn still(&mut self, cx: &Cx, length: Duration) -> Outcome<Seen<Option<Request>>> {
        still(cx, &mut self.place, length).await
    }
}

/// Sees that nobody dials here for so long. Another agent that dials elsewhere behind it shows that one could.
///
/// # Errors
/// Stops the check, inconclusive, if the other one does not dial.
pub async fn still(cx: &Cx, place: &mut Listener, length: Duration) -> Outcome<Seen<Option<Request>>> {
    let another = async {
        let mut another = Client::begin(cx).await?;
        Ok(another.dial(cx).await?.0)
    };
    place.quiet(length, another).await
}

impl Connection {
    /// Answers a handshake with 101 and the sentinel.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it is none.
    pub async fn of(dialled: Seen<Request>, call: Call) -> Outcome<Self> {
        Self::selecting(dialled, call, SENTINEL).await
    }

    /// Answers a handshake with 101 and this protocol.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it is none.
    pub async fn selecting(dialled: Seen<Request>, call: Call, protocol: &str) -> Outcome<Self> {
        let at = call.at;
        let peer = call.upgrade_to(Some(protocol)).await?;
        Ok(Self { peer, at, dialled, known: None, asked: 0 })
    }

    /// Says Hello, with an id of its own.
    pub async fn greet(&mut self, cx: &Cx) {
        let id = cx.token(16);
        self.hello(&hello(&id, HEARTBEAT_MS)).await;
    }

    /// Says this Hello.
    pub async fn hello(&mut self, hello: &Hello) {
        self.say("fleet/hello", &hello.encode_frame()).await;
    }

    /// Sends this with this topic.
    pub async fn say(&mut self, topic: &str, inner: &[u8]) {
        self.peer.send_binary(Outer::encode(topic, inner)).await;
    }

    /// Sends a Poll with the next reqId, and tells it.
    pub async fn poll(&mut self, known_hash: Option<&str>, status: Status) -> Poll {
        self.asked += 1;
        let req_id = format!("poll_{}", self.asked);
        let poll = Poll { req_id, known_hash: known_hash.map(str::to_owned), status };
        self.say("fleet/poll", &poll.encode_frame()).await;
        poll
    }

    /// Sends a Cmd with the next cmdId, and tells it.
    pub async fn cmd(&mut self, cmd: Cmd) -> Cmd {
        self.asked += 1;
        let cmd = Cmd { cmd_id: format!("cmd_{}", self.asked), ..cmd };
        self.say("fleet/cmd", &cmd.encode_frame()).await;
        cmd
    }

    /// The next of what comes.
    ///
    /// # Errors
    /// Stops the check if nothing comes and the agent is not there.
    pub async fn next(&mut self) -> Outcome<Seen<Heard>> {
        Ok(self.peer.next().await?.map(Heard::of))
    }

    /// What a Poll with this hash and the status active is answered with.
    ///
    /// # Errors
    /// As [`Connection::next`].
    pub async fn ask(&mut self, known_hash: Option<&str>) -> Outcome<(Poll, Seen<Heard>)> {
        self.ask_as(known_hash, Status::Active).await
    }

    /// What a Poll with this hash and status is answered with.
    ///
    /// # Errors
    /// As [`Connection::next`].
    pub async fn ask_as(&mut self, known_hash: Option<&str>, status: Status) -> Outcome<(Poll, Seen<Heard>)> {
        let poll = self.poll(known_hash, status).await;
        Ok((poll, self.next().await?))
    }

    /// What a Cmd is answered with.
    ///
    /// # Errors
    /// As [`Connection::next`].
    pub async fn tell(&mut self, cmd: Cmd) -> Outcome<(Cmd, Seen<Heard>)> {
        let cmd = self.cmd(cmd).await;
        Ok((cmd, self.next().await?))
    }

    /// The snapshot with which a Poll without knownHash is answered, as set-up.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if another answer comes.
    pub async fn snapshot(&mut self, cx: &Cx) -> Outcome<Snapshot> {
        let (poll, seen) = self.ask(None).await?;
        let heard = cx.need(FLEET_REPORT_4, &seen, &[snapshot(&poll)])?;
        let Said::State { state, .. } = &heard.said else { return Err(cx.stop("no snapshot came")) };
        let Some(snapshot) = state.snapshot.clone() else { return Err(cx.stop("no snapshot came")) };
        self.known = Some((snapshot.clone(), state.hash.clone()));
        Ok(snapshot)
    }

    /// The hash of the last snapshot.
    ///
    /// # Errors
    /// Stops the check if there was none.
    pub fn hash(&self, cx: &Cx) -> Outcome<String> {
        self.known.as_ref().map(|(_, hash)| hash.clone()).ok_or_else(|| cx.stop("there was no snapshot"))
    }

    /// Has a Cmd done, as set-up.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if that is not what the Ack says.
    pub async fn done(&mut self, cx: &Cx, cmd: Cmd) -> Outcome {
        let why = match cmd.op {
            Op::Create => FLEET_EXECUTE_3,
            Op::Destroy => FLEET_EXECUTE_12,
            _ => FLEET_EXECUTE_16,
        };
        let (cmd, seen) = self.tell(cmd).await?;
        cx.need(why, &seen, &[acked(&cmd, "ok", |ack| ack.ok)])?;
        Ok(())
    }

    /// Sees that nothing comes for so long.
    ///
    /// # Errors
    /// Stops the check if the agent is not there behind it.
    pub async fn quiet(&mut self, length: Duration) -> Outcome<Seen<Option<Heard>>> {
        Ok(self.peer.quiet(length).await?.map(|frame| frame.map(Heard::of)))
    }

    /// How the connection ends, within so long at most: with a close frame, or without; what comes before is passed over.
    ///
    /// # Errors
    /// Stops the check if the agent is not there.
    pub async fn ended(&mut self) -> Outcome<Seen<Result<Heard, crate::wire::Lost>>> {
        /// So much may come before an end.
        const MOST: usize = 16;
        for _ in 0..MOST {
            let seen = self.next().await?;
            if seen.look().map_or(true, |heard| matches!(heard.said, Said::Closed(_))) {
                return Ok(seen.or_lost());
            }
        }
        Ok(self.next().await?.or_lost())
    }

    /// Closes with this code, and ends the connection behind the answer.
    pub async fn part(mut self, code: u16) {
        /// A close frame is answered at once; who does not is not waited for.
        const ANSWER: Duration = Duration::from_millis(500);
        self.peer.close(code, "").await;
        let closed = async {
            while let Ok(seen) = self.peer.next().await {
                if seen.look().map_or(true, |frame| matches!(frame, Frame::Close(_))) {
                    return;
                }
            }
        };
        let _ = timeout(ANSWER, closed).await;
    }
}

/// That it dials: a GET, whatever of.
pub fn dials() -> Alternative<Request> {
    alternative("a handshake", |request: &Request| request.method == "GET")
}

/// That it does not dial.
pub fn does_not_dial() -> Alternative<Option<Request>> {
    alternative("no dial", Option::is_none)
}

/// That nothing comes.
pub fn nothing() -> Alternative<Option<Heard>> {
    alternative("nothing", Option::is_none)
}

/// That a connection ended, with a close frame or without.
pub fn over() -> Alternative<Result<Heard, crate::wire::Lost>> {
    alternative("the end of the connection", |ended: &Result<Heard, crate::wire::Lost>| match ended {
        Ok(heard) => matches!(heard.said, Said::Closed(_)),
        Err(why) => matches!(why, crate::wire::Lost::Closed(_)),
    })
}

/// Whether what came is the end of a connection; that nothing came is none.
pub fn is_over(seen: &Seen<Result<Heard, crate::wire::Lost>>) -> bool {
    seen.look().is_ok_and(|ended| over().holds(ended))
}

/// Bytes of an inner frame, changed.
pub fn inner(frame: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = frame;
    change(&mut frame);
    frame.into()
}

/// Everything that an agent does, once, in the ordinary way.
///
/// # Errors
/// Stops where it does not do as it should.
pub async fn ordinary(cx: &Cx) -> Outcome {
    let mut client = Client::start(cx, Start::new(cx).with("instance_ids", true)).await?;
    let mut connection = client.join(cx).await?;
    connection.done(cx, create("ordinary", KINDS[0])).await?;
    client.app.ask("stop", json!({})).await?;
    let _ = connection.ended().await?;
    Ok(())
}

/// Stops a check for an agent that does not do what a check needs.
pub fn cannot(cx: &Cx, what: &str) -> Stop {
    cx.stop(&format!("the agent {what}"))
}
