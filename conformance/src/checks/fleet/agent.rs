//! An agent that a check plays: it answers Polls by itself as long as the check lets it, and tells the check all that comes.

mod pump;

use super::setting::{handshake, has_rooms, info, instance, ticket};
use crate::{
    check::{Alternative, Cx, Outcome, Shown, Stop, alternative, answer},
    wire::{Seen, limit::words, ws::Peer},
};
use bytes::Bytes;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::{Instant, sleep, timeout_at},
};
use wireproof_spec::{
    fleet::{
        Ack, AckRoom, Cmd, Hello, Op, Poll, Snapshot, State,
        connect::SENTINEL,
        frames::Outer,
        requirements::{FLEET_CONNECT_1, FLEET_HELLO_1, FLEET_INSTANCES_2, FLEET_LIVENESS_10},
    },
    http::{Request, Response},
};

/// An agent on its connection. When it is dropped its TCP connection ends, without a close frame.
pub struct Agent {
    /// The instanceId of its Hello.
    pub id: String,
    /// H, as its Hello says.
    pub heartbeat: Duration,
    plan: Arc<Mutex<Plan>>,
    orders: mpsc::UnboundedSender<Order>,
    heard: mpsc::UnboundedReceiver<Seen<Heard>>,
    pump: AbortHandle,
}

/// What came over the connection of an agent, and when it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// When it was read.
    pub at: Instant,
    /// What.
    pub came: Came,
}

/// What came over the connection of an agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Came {
    /// A Hello.
    Hello(Hello),
    /// A Poll. If it was answered by itself, the State that was sent stands behind it.
    Poll(Poll),
    /// A Cmd.
    Cmd(Cmd),
    /// A message that is none of these, in words.
    Strange(String),
    /// The end, with the code and the reason of the close frame if there was one.
    Closed(Option<(u16, String)>),
}

/// What became of a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It was closed with this code and reason; without either the close frame had none.
    Closed(Option<(u16, String)>),
    /// It ended without a close frame, in this way.
    Ended(String),
    /// It is open.
    Open,
}

/// What an agent does by itself.
pub struct Plan {
    /// What it says of itself.
    pub snapshot: Snapshot,
    /// Whether it answers Polls.
    pub answers: bool,
    /// What it says to Cmds; none: nothing.
    pub acks: Option<fn(&Cmd) -> Ack>,
    /// The seq of its last State.
    pub seq: u32,
    /// The hash of the last snapshot that was sent by itself.
    said: Option<String>,
    /// The last Poll, if nothing was sent in answer to it.
    outstanding: Option<Poll>,
}

/// What a check has its agent do.
enum Order {
    Binary(Bytes),
    Text(String),
    Raw(Vec<u8>),
    /// The answer to the Poll that was not answered yet.
    Answer,
    Close(u16),
    /// Proves that the connection is there: a ping, and its pong.
    Prove(oneshot::Sender<Seen<Fate>>),
    Ping(Vec<u8>, oneshot::Sender<Seen<Bytes>>),
    Leave,
    Reset,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl Shown for Heard {
    fn shown(&self) -> String {
        self.came.shown()
    }
}

impl Shown for Came {
    fn shown(&self) -> String {
        match self {
            Came::Hello(hello) => format!("a Hello with the instanceId {:?}", words(&hello.instance_id)),
            Came::Poll(poll) => format!(
                "the Poll {:?} with the knownHash {:?} and the status {:?}",
                words(&poll.req_id),
                poll.known_hash.as_deref().map(words),
                words(poll.status.word())
            ),
            Came::Cmd(cmd) => cmd.shown(),
            Came::Strange(what) => what.clone(),
            Came::Closed(with) => Fate::Closed(with.clone()).shown(),
        }
    }
}

impl Shown for Cmd {
    fn shown(&self) -> String {
        let room = self.room_id.as_deref().map(words);
        let kind = self.room_type.as_deref().map(words);
        let (id, op) = (words(&self.cmd_id), words(self.op.word()));
        format!("the Cmd {id:?} with the op {op}, the roomId {room:?} and the roomType {kind:?}")
    }
}

impl Shown for Poll {
    fn shown(&self) -> String {
        Came::Poll(self.clone()).shown()
    }
}

impl Shown for Fate {
    fn shown(&self) -> String {
        match self {
            Fate::Closed(None) => "a close frame without a code".into(),
            Fate::Closed(Some((code, reason))) => {
                format!("a close frame with the code {code} and the reason {:?}", words(reason))
            }
            Fate::Ended(how) => format!("the end of the connection without a close frame ({how})"),
            Fate::Open => "a connection that is open".into(),
        }
    }
}

/// That a connection was closed with this code, whatever the reason.
pub fn closed(code: u16) -> Alternative<Fate> {
    alternative(
        format!("a close frame with the code {code}"),
        move |fate: &Fate| matches!(fate, Fate::Closed(Some((with, _))) if *with == code),
    )
}

/// That a connection is open.
pub fn open() -> Alternative<Fate> {
    alternative("a connection that is open", |fate: &Fate| *fate == Fate::Open)
}

/// That a connection is over, in whatever way.
pub fn over() -> Alternative<Fate> {
    alternative("the end of the connection", |fate: &Fate| *fate != Fate::Open)
}

/// What an agent says that did what it was told.
pub fn done(cmd: &Cmd) -> Ack {
    let room = (cmd.op == Op::Create).then(|| AckRoom {
        id: cmd.room_id.clone().unwrap_or_default(),
        kind: cmd.room_type.clone().unwrap_or_default(),
    });
    Ack { cmd_id: cmd.cmd_id.clone(), ok: true, error: None, already_gone: None, room, exists: None }
}

/// What an agent says that did not do what it was told.
pub fn failed(cmd: &Cmd) -> Ack {
    let error = Some("no".to_owned());
    Ack { cmd_id: cmd.cmd_id.clone(), ok: false, error, already_gone: None, room: None, exists: None }
}

/// What an agent says that has such a room already.
pub fn exists(cmd: &Cmd) -> Ack {
    Ack { exists: Some(true), ..failed(cmd) }
}

impl Agent {
    /// An agent whose ticket was accepted and that has read its Hello. It answers nothing by itself.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if there is no key for agents, the handshake is turned away or no Hello comes.
    pub async fn connect(cx: &Cx) -> Outcome<Self> {
        let mut agent = Self::open(cx).await?;
        let first = agent.next(cx).await?;
        let hello = alternative("a Hello", |heard: &Heard| matches!(heard.came, Came::Hello(_)));
        if let Came::Hello(hello) = &cx.need(FLEET_HELLO_1, &first, &[hello])?.came {
            agent.id.clone_from(&hello.instance_id);
            agent.heartbeat = Duration::from_millis(hello.heartbeat_ms.into());
        }
        Ok(agent)
    }

    /// An agent whose ticket was accepted, and that has read nothing yet.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if there is no key for agents or the handshake is turned away.
    pub async fn open(cx: &Cx) -> Outcome<Self> {
        let (seen, agent) = Self::dial(cx, &[&cx.tickets()[0], SENTINEL]).await?;
        cx.need(FLEET_CONNECT_1, &seen, &[answer(101).into()])?;
        agent.ok_or_else(|| cx.stop("there is no connection behind the 101"))
    }

    /// An agent that says this of itself and is shown: what it said was applied.
    ///
    /// # Errors
    /// As [`Agent::connect`] and [`Agent::shown`].
    pub async fn join(cx: &Cx, snapshot: Snapshot) -> Outcome<Self> {
        let mut agent = Self::connect(cx).await?;
        agent.says(snapshot);
        agent.shown(cx).await?;
        Ok(agent)
    }

    /// An agent that says this of itself, was shown, and does all that it is told.
    ///
    /// # Errors
    /// As [`Agent::join`].
    pub async fn obedient(cx: &Cx, snapshot: Snapshot) -> Outcome<Self> {
        let agent = Self::join(cx, snapshot).await?;
        agent.acks(Some(done));
        Ok(agent)
    }

    /// Dials and offers these protocols: the answer, and the agent behind a 101. Nothing was read yet, so that it has neither id
    /// nor H.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if there is no key for agents or the orchestrator cannot be reached.
    pub async fn dial(cx: &Cx, protocols: &[&str]) -> Outcome<(Seen<Response>, Option<Self>)> {
        Self::dial_with(cx, handshake(cx), protocols).await
    }

    /// As [`Agent::dial`], by this GET.
    ///
    /// # Errors
    /// As [`Agent::dial`].
    pub async fn dial_with(
        cx: &Cx,
        mut request: Request,
        protocols: &[&str],
    ) -> Outcome<(Seen<Response>, Option<Self>)> {
        ticket(cx)?;
        if !protocols.is_empty() {
            request = request.header("sec-websocket-protocol", protocols.join(", "));
        }
        let (seen, peer) = cx.upgrade(request).await?;
        Ok((seen, peer.map(|peer| Self::on(cx, peer))))
    }

    /// An agent on a connection that was made already.
    pub fn on(cx: &Cx, peer: Peer) -> Self {
        let plan = Plan {
            snapshot: cx.snapshot(),
            answers: false,
            acks: None,
            seq: 0,
            said: None,
            outstanding: None,
        };
        let plan = Arc::new(Mutex::new(plan));
        let ((orders, to_do), (came, heard)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        // It waits for as long as the check has.
        let peer = peer.patient(Duration::from_secs(24 * 60 * 60));
        let task = tokio::spawn(pump::pump(peer, plan.clone(), to_do, came));
        let pump = task.abort_handle();
        Self { id: String::new(), heartbeat: Duration::ZERO, plan, orders, heard, pump }
    }

    /// What it does by itself, to be looked at and changed.
    pub fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it says this of itself, in answer to each Poll that has not its hash, the last one among them if it was not
    /// answered.
    pub fn says(&self, snapshot: Snapshot) {
        {
            let mut plan = self.plan();
            (plan.snapshot, plan.answers) = (snapshot, true);
        }
        self.order(Order::Answer);
    }

    /// From now on it answers no Polls by itself.
    pub fn is_silent(&self) {
        self.plan().answers = false;
    }

    /// From now on it says this to Cmds.
    pub fn acks(&self, acks: Option<fn(&Cmd) -> Ack>) {
        self.plan().acks = acks;
    }

    /// The last Poll, if nothing was sent in answer to it.
    pub fn outstanding(&self) -> Option<Poll> {
        self.plan().outstanding.clone()
    }

    /// What it says of itself.
    pub fn snapshot(&self) -> Snapshot {
        self.plan().snapshot.clone()
    }

    /// Says something else of itself and waits until it was applied.
    ///
    /// # Errors
    /// As [`Agent::shown`].
    pub async fn becomes(&mut self, cx: &Cx, change: impl FnOnce(Snapshot) -> Snapshot) -> Outcome {
        let snapshot = change(self.snapshot());
        self.says(snapshot);
        self.shown(cx).await
    }

    /// Waits until what it says of itself was applied: the API shows it; where there is none, a Poll has its hash.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if that does not happen.
    pub async fn shown(&mut self, cx: &Cx) -> Outcome {
        /// How far apart looks are, while the State is on its way.
        const PAUSE: Duration = Duration::from_millis(10);
        if !cx.features().is("fleet.api", "on") {
            return self.known(cx).await;
        }
        let hash = self.snapshot().hash();
        // The State leaves with the next Poll.
        let until = Instant::now() + self.heartbeat * 2 + Duration::from_secs(2);
        while self.plan().said.as_ref() != Some(&hash) && Instant::now() < until {
            sleep(PAUSE).await;
        }
        loop {
            let seen = cx.send(instance(cx, &self.id)).await?;
            let snapshot = self.snapshot();
            let there = info(&snapshot, &self.id);
            let is_there = |response: &Response| there.holds(response) && has_rooms(response, &snapshot);
            // Who has yet another form of public ids is known by the rest.
            if seen.look().is_ok_and(is_there) || Instant::now() > until {
                cx.need(FLEET_INSTANCES_2, &seen, &[there])?;
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until a Poll has the hash of what it says of itself.
    ///
    /// # Errors
    /// As [`Agent::poll`], and inconclusive if none of the next Polls has it.
    pub async fn known(&mut self, cx: &Cx) -> Outcome {
        /// One may be under way, and of the next two one has the hash (FLEET-POLL-7).
        const POLLS: usize = 4;
        let hash = self.snapshot().hash();
        for _ in 0..POLLS {
            let poll = self.poll(cx).await?;
            if poll.look().is_ok_and(|poll| poll.known_hash.as_ref() == Some(&hash)) {
                return Ok(());
            }
        }
        Err(cx.stop("no Poll has the hash of the snapshot that was sent"))
    }

    /// The next of what comes.
    ///
    /// # Errors
    /// Stops the check if nothing comes and the connection is not there.
    pub async fn next(&mut self, cx: &Cx) -> Outcome<Seen<Heard>> {
        let wait = cx.answer_time().max(self.heartbeat * 5);
        match self.next_by(Instant::now() + wait).await? {
            Some(seen) => Ok(seen),
            None => Err(cx.stop("nothing came for longer than an answer may take")),
        }
    }

    /// The next of what comes up to this moment, if anything does.
    ///
    /// # Errors
    /// Stops the check if it is over.
    pub async fn next_by(&mut self, until: Instant) -> Outcome<Option<Seen<Heard>>> {
        match timeout_at(until, self.heard.recv()).await {
            Ok(Some(seen)) => Ok(Some(seen)),
            // It said why.
            Ok(None) => Err(Stop::new()),
            Err(_) => Ok(None),
        }
    }

    /// The next Poll. Cmds before it are passed over.
    ///
    /// # Errors
    /// As [`Agent::next`], and inconclusive if the connection ends.
    pub async fn poll(&mut self, cx: &Cx) -> Outcome<Seen<Poll>> {
        loop {
            let seen = self.next(cx).await?;
            match seen.look().map(|heard| &heard.came) {
                Ok(Came::Poll(poll)) => {
                    let poll = poll.clone();
                    return Ok(seen.map(|_| poll));
                }
                Ok(Came::Hello(_) | Came::Cmd(_)) => {}
                Ok(other) => return Err(cx.stop(&format!("{} came where a Poll was awaited", other.shown()))),
                Err(why) => return Err(cx.stop(&format!("no Poll came: {why}"))),
            }
        }
    }

    /// The next Cmd. Polls before it are passed over; whether they are answered is for the plan.
    ///
    /// # Errors
    /// As [`Agent::next`], and inconclusive if the connection ends or no Cmd comes in time.
    pub async fn cmd(&mut self, cx: &Cx) -> Outcome<Seen<Cmd>> {
        let until = Instant::now() + cx.answer_time();
        while let Some(seen) = self.next_by(until).await? {
            match seen.look().map(|heard| &heard.came) {
                Ok(Came::Cmd(cmd)) => {
                    let cmd = cmd.clone();
                    return Ok(seen.map(|_| cmd));
                }
                Ok(Came::Hello(_) | Came::Poll(_)) => {}
                Ok(other) => return Err(cx.stop(&format!("{} came where a Cmd was awaited", other.shown()))),
                Err(why) => return Err(cx.stop(&format!("no Cmd came: {why}"))),
            }
        }
        Err(cx.stop("no Cmd came"))
    }

    /// The Cmds that came up to the next Poll from now on: what was sent before that would have come.
    ///
    /// # Errors
    /// As [`Agent::poll`].
    pub async fn cmds(&mut self, cx: &Cx) -> Outcome<Seen<Vec<Cmd>>> {
        let now = Instant::now();
        let mut cmds = Vec::new();
        loop {
            let seen = self.next(cx).await?;
            match seen.look() {
                Ok(Heard { came: Came::Cmd(cmd), .. }) => cmds.push(cmd.clone()),
                Ok(Heard { came: Came::Poll(_), at }) if *at > now => return Ok(seen.map(|_| cmds)),
                Ok(Heard { came: Came::Hello(_) | Came::Poll(_), .. }) => {}
                Ok(other) => return Err(cx.stop(&format!("{} came where a Poll was awaited", other.shown()))),
                Err(why) => return Err(cx.stop(&format!("no Poll came: {why}"))),
            }
        }
    }

    /// What becomes of the connection within this time: its end, or that it is still there behind it, as a ping shows.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the connection is open and nothing answers on it.
    pub async fn fate(&mut self, cx: &Cx, within: Duration) -> Outcome<Seen<Fate>> {
        let until = Instant::now() + within;
        while let Some(seen) = self.next_by(until).await? {
            match seen.look() {
                Ok(Heard { came: Came::Closed(with), .. }) => {
                    let fate = Fate::Closed(with.clone());
                    return Ok(seen.map(|_| fate));
                }
                Ok(_) => {}
                Err(why) => {
                    let fate = Fate::Ended(why.to_string());
                    return Ok(seen.or_lost().map(|_| fate));
                }
            }
        }
        self.proof(cx).await
    }

    /// That the connection is there, or its end.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if nothing answers on it.
    pub async fn proof(&mut self, cx: &Cx) -> Outcome<Seen<Fate>> {
        let (tell, told) = oneshot::channel();
        self.order(Order::Prove(tell));
        told.await.map_err(|_| cx.stop("the connection ended while it was looked at"))
    }

    /// Pings with this content, and tells what the pong has.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if the connection ends.
    pub async fn ping(&mut self, cx: &Cx, content: &[u8]) -> Outcome<Seen<Bytes>> {
        let (tell, told) = oneshot::channel();
        self.order(Order::Ping(content.to_vec(), tell));
        told.await.map_err(|_| cx.stop("the connection ended while a pong was awaited"))
    }

    /// A pong: what was sent before has come and was read.
    ///
    /// # Errors
    /// As [`Agent::ping`], and inconclusive if no pong comes.
    pub async fn fence(&mut self, cx: &Cx) -> Outcome<Seen<Bytes>> {
        let pong = self.ping(cx, b"all").await?;
        cx.need(FLEET_LIVENESS_10, &pong, &[alternative("a pong", |_| true)])?;
        Ok(pong)
    }

    /// The State with which it answers this Poll in the ordinary way, with the next seq.
    pub fn state(&self, poll: &Poll) -> State {
        let mut plan = self.plan();
        plan.seq += 1;
        let hash = plan.snapshot.hash();
        let snapshot = (poll.known_hash.as_ref() != Some(&hash)).then(|| plan.snapshot.clone());
        State { req_id: poll.req_id.clone(), seq: plan.seq, hash, snapshot }
    }

    /// A snapshot with which it answers this Poll, with the next seq and this hash.
    pub fn full(&self, poll: &Poll, snapshot: Snapshot) -> State {
        let mut plan = self.plan();
        plan.seq += 1;
        State { req_id: poll.req_id.clone(), seq: plan.seq, hash: snapshot.hash(), snapshot: Some(snapshot) }
    }

    /// The Poll that came last is answered in another way, or not at all; those that follow are answered by itself.
    pub fn goes_on(&self) {
        let mut plan = self.plan();
        (plan.outstanding, plan.answers) = (None, true);
    }

    /// Sends this State.
    pub fn send_state(&self, state: &State) {
        self.plan().outstanding = None;
        self.send_inner("fleet/state", &state.encode_frame());
    }

    /// Sends this Ack.
    pub fn send_ack(&self, ack: &Ack) {
        self.send_inner("fleet/ack", &ack.encode_frame());
    }

    /// Sends an outer frame with this topic and payload.
    pub fn send_inner(&self, topic: &str, payload: &[u8]) {
        self.send_binary(Outer::encode(topic, payload));
    }

    /// Sends a binary message.
    pub fn send_binary(&self, bytes: impl Into<Bytes>) {
        self.order(Order::Binary(bytes.into()));
    }

    /// Sends a text message.
    pub fn send_text(&self, text: &str) {
        self.order(Order::Text(text.into()));
    }

    /// Writes bytes below all frames.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.order(Order::Raw(bytes.into()));
    }

    /// Closes with this code.
    pub fn close(&self, code: u16) {
        self.order(Order::Close(code));
    }

    /// Ends the TCP connection, without a close frame.
    pub fn leave(&self) {
        self.order(Order::Leave);
    }

    /// Resets the TCP connection.
    pub fn reset(&self) {
        self.order(Order::Reset);
    }

    fn order(&self, order: Order) {
        // Where the connection is over nothing is done any more; what comes next says so.
        let _ = self.orders.send(order);
    }
}
