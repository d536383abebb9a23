//! The adapter of the reference agent of the fleet protocol (spec/adapter.md), in variants.

use super::super::{
    adapter::{Out, answer, inside, serve},
    reference::fleet::client::{Agent, Error, Event, Handle, Settings},
};
use crate::{
    check::BoxFuture,
    selftest::defects::{
        Breakage,
        fleet::client::{ClientSeams, Ending},
    },
    wire::app::{Apps, Pipe},
};
use serde_json::{Value, json};
use std::{collections::HashMap, future::poll_fn, io, pin::pin, sync::Arc, task::Poll, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{broadcast, mpsc},
    task::{AbortHandle, JoinSet},
};
use wireproof_spec::fleet::Capacity;

/// The agent with all that it has.
pub const CLIENT: &str = "client";
/// An agent without anything that is optional.
pub const PLAIN_CLIENT: &str = "plain-client";

/// How long an agent waits for a Hello, in milliseconds, and as its owner declares it.
const HELLO_MS: u64 = 1_500;
const HELLO: (&str, &str) = ("hello-timeout-ms", "1500");
/// How long an agent waits for Polls and pings, in milliseconds, and as its owner declares it.
const SILENCE_MS: u64 = 1_500;
const SILENCE: (&str, &str) = ("silence-ms", "1500");
/// How long the end of a process waits for its rooms.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// How adapters are started inside this process.
#[derive(Clone, Copy)]
pub(super) struct Adapters {
    pub(super) variant: &'static str,
    pub(super) breakage: Option<&'static Breakage<ClientSeams>>,
}

/// What the owner of an agent of a variant declares, if there is such a variant.
pub(super) fn declared(variant: &str) -> Option<(&'static str, &'static [(&'static str, &'static str)])> {
    match variant {
        CLIENT => Some((CLIENT, &[("fleet.graceful-shutdown", "on"), HELLO, SILENCE])),
        PLAIN_CLIENT => Some((
            PLAIN_CLIENT,
            &[
                ("fleet.connect-timeout", "off"),
                ("fleet.instance-ids", "off"),
                ("fleet.local-rooms", "off"),
                ("fleet.room-connections", "off"),
                ("fleet.host-drain", "off"),
                ("fleet.graceful-shutdown", "off"),
                HELLO,
                SILENCE,
            ],
        )),
        _ => None,
    }
}

/// What an adapter of a variant lists.
fn listed(variant: &str) -> Value {
    match variant {
        PLAIN_CLIENT => json!({"start": [], "stop": []}),
        _ => json!({
            "start": ["connect_timeout_ms", "instance_ids"],
            "stop": [],
            "open_room": [],
            "close_room": [],
            "set_connections": [],
            "drain": [],
            "undrain": [],
            "terminate": [],
        }),
    }
}

impl Apps for Adapters {
    fn start(&self) -> BoxFuture<'_, io::Result<Box<dyn Pipe>>> {
        let adapters = *self;
        inside(move |read, write| adapters.serve(read, write))
    }
}

/// One session.
struct Session {
    out: Out,
    open: Option<Open>,
}

/// What a session has open.
struct Open {
    handle: Handle,
    ending: Ending,
    tasks: Vec<AbortHandle>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Adapters {
    /// Serves one runner, up to the end of what it says.
    ///
    /// # Errors
    /// What it says is no line, or cannot be read.
    pub(super) async fn serve(
        self,
        read: impl AsyncRead + Unpin,
        write: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut sessions = HashMap::new();
        serve(read, write, |request, tasks, lines| self.take(request, &mut sessions, tasks, lines)).await
    }

    /// Does what is asked; what takes a while goes on by itself.
    fn take(
        self,
        mut request: Value,
        sessions: &mut HashMap<String, Session>,
        tasks: &mut JoinSet<()>,
        lines: &mpsc::Sender<Value>,
    ) {
        let (id, args) = (request["id"].take(), request["args"].take());
        let name = request["session"].as_str().unwrap_or_default().to_owned();
        let op = request["op"].as_str().unwrap_or_default();
        if op == "terminate" {
            // What the signal does to a process that has all these agents.
            for open in sessions.values().filter_map(|session| session.open.as_ref()) {
                tasks.spawn(end(open.handle.clone(), open.ending));
            }
        }
        let session = sessions.entry(name.clone()).or_insert_with(|| {
            let told = Arc::new(self.seams().told);
            Session { out: Out::new(&name, lines, told), open: None }
        });
        let lines = lines.clone();
        let handle = session.open.as_ref().map(|open| open.handle.clone());
        let said = match op {
            "hello" => Ok(json!({"operations": listed(self.variant)})),
            "end" => {
                sessions.remove(&name);
                return;
            }
            "terminate" => Ok(json!({})),
            "start" => self.start(&args, session, tasks).map(|()| json!({})),
            "drain" | "undrain" => {
                let (draining, out) = (op == "drain", session.out.clone());
                tasks.spawn(async move {
                    let called = async move { answer(lines, id, Ok(json!({}))).await };
                    match handle {
                        Some(handle) => set_status(handle, draining, out, called).await,
                        None => called.await,
                    }
                });
                return;
            }
            "stop" | "open_room" | "close_room" | "set_connections" => {
                let op = op.to_owned();
                tasks.spawn(async move {
                    let done = match handle {
                        Some(handle) => call(&handle, &op, &args).await,
                        None => Ok(()),
                    };
                    answer(lines, id, done.map(|()| json!({})).map_err(|e| e.to_string())).await;
                });
                return;
            }
            op => Err(format!("`{op}` is no operation of this client")),
        };
        tasks.spawn(answer(lines, id, said));
    }

    fn seams(self) -> ClientSeams {
        self.breakage.map_or_else(ClientSeams::honest, |breakage| (breakage.seams)())
    }

    /// Settings of the agent as the owner of this session has them.
    fn settings(self, args: &Value) -> Settings {
        let text = |name: &str| args[name].as_str().unwrap_or_default().to_owned();
        let bound = |name: &str| args[name].as_i64().and_then(|bound| bound.try_into().ok());
        let mut settings = Settings::new(text("url"), text("key"), text("endpoint_url"), text("name"));
        let labels = args["labels"].as_object().into_iter().flatten();
        settings.labels =
            labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
        settings.capacity =
            Capacity { max_connections: bound("max_connections"), max_rooms: bound("max_rooms") };
        settings.auto_create = args["auto_create"].as_bool().unwrap_or(settings.auto_create);
        let kinds = args["room_types"].as_array().into_iter().flatten();
        settings.room_types = kinds.filter_map(Value::as_str).map(str::to_owned).collect();
        settings.connect_timeout_ms = args["connect_timeout_ms"].as_u64();
        settings.redial.hello_timeout_ms = HELLO_MS;
        settings.redial.silence_ms = SILENCE_MS;
        settings
    }

    fn start(self, args: &Value, session: &mut Session, tasks: &mut JoinSet<()>) -> Result<(), String> {
        if session.open.is_some() {
            return Err("the session has an agent".into());
        }
        let ClientSeams { agent, owner, ending, .. } = self.seams();
        let mut settings = self.settings(args);
        if let Some(owner) = owner {
            owner(&mut settings);
        }
        let started = Agent::start(&settings, agent).map_err(|e| e.to_string())?;
        let handle = started.handle();
        let connecting = handle.clone();
        let out = session.out.clone();
        let is_told = args["instance_ids"] == true;
        let all = vec![
            tasks.spawn(follow(started, is_told, out)),
            // What comes of it is told as an event.
            tasks.spawn(async move { drop(connecting.connect().await) }),
        ];
        session.open = Some(Open { handle, ending, tasks: all });
        Ok(())
    }
}

/// What the host, or the owner, has an agent do.
async fn call(handle: &Handle, op: &str, args: &Value) -> Result<(), Error> {
    let id = args["id"].as_str().unwrap_or_default();
    match op {
        "open_room" => {
            let kind = args["type"].as_str().unwrap_or_default();
            handle.create_room(Some(id.to_owned()), kind).await.map(drop)
        }
        "close_room" => handle.destroy_room(id).await,
        "set_connections" => {
            let connections = args["connections"].as_u64().and_then(|many| many.try_into().ok());
            handle.set_connections(id, connections.unwrap_or(u32::MAX)).await
        }
        _ => handle.disconnect().await,
    }
}

/// Has an agent drain, or undrain, says that it was called, and tells what came of it.
async fn set_status(handle: Handle, draining: bool, out: Out, called: impl Future<Output = ()>) {
    let call = async { if draining { handle.drain().await } else { handle.undrain().await } };
    let mut call = pin!(call);
    // Looked at once, it has left; what the orchestrator says from now on comes behind it.
    let first = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
    called.await;
    let done = match first {
        Poll::Ready(done) => done,
        Poll::Pending => call.await,
    };
    let data = done.map_or_else(|e| json!({"error": e.to_string()}), |()| json!({}));
    out.tell(if draining { "drained" } else { "undrained" }, data).await;
}

/// The end of an agent whose process got a signal.
async fn end(handle: Handle, ending: Ending) {
    let ended = match ending {
        Ending::Graceful => handle.shutdown(SHUTDOWN).await,
        Ending::Sudden => handle.disconnect().await,
        Ending::Undrained => {
            let empty = handle.await_empty(Some(SHUTDOWN)).await;
            empty.and(handle.disconnect().await)
        }
        Ending::Never => handle.drain().await,
    };
    // The process is about to end, whatever it was.
    drop(ended);
}

/// Tells what an agent tells its owner.
async fn follow(mut agent: Agent, instance_ids: bool, out: Out) {
    loop {
        match agent.events.recv().await {
            Ok(Event::Connected { instance_id, .. }) if instance_ids => {
                out.tell("connected", json!({"instance_id": instance_id})).await;
            }
            Ok(Event::Failed(e)) => out.tell("error", json!({"message": e.to_string()})).await,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
