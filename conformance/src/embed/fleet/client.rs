//! The adapter of the reference agent of the fleet protocol (spec/adapter.md), in variants.

use super::super::{
    adapter::{Adapter, Asked, CLIENT, Client, Out, PLAIN_CLIENT, Session, Sessions, Tells},
    reference::fleet::client::{Agent, Error, Event, Handle, Settings},
};
use crate::selftest::defects::{
    Breakage,
    fleet::{
        client::{ClientSeams, Ending},
        find_client,
    },
};
use serde_json::{Value, json};
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};
use tokio::{
    sync::broadcast,
    task::{AbortHandle, JoinSet},
};
use wireproof_spec::fleet::Capacity;

/// How long an agent waits for a Hello, in milliseconds, and as its owner declares it.
const HELLO_MS: u64 = 1_500;
const HELLO: (&str, &str) = ("hello-timeout-ms", "1500");
/// How long an agent waits for Polls and pings, in milliseconds, and as its owner declares it.
const SILENCE_MS: u64 = 1_500;
const SILENCE: (&str, &str) = ("silence-ms", "1500");
/// How long the end of a process waits for its rooms.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// What a session has open.
pub(in crate::embed) struct Open {
    handle: Handle,
    ending: Ending,
    tasks: Vec<AbortHandle>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Client for ClientSeams {
    const PROTOCOL: &'static str = "fleet";
    type Open = Open;

    fn declared(variant: &str) -> Option<(&'static str, &'static [(&'static str, &'static str)])> {
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

    fn find(id: &str) -> Option<&'static Breakage<Self>> {
        find_client(id)
    }

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

    fn honest(_: &str) -> Self {
        Self::honest()
    }

    fn told(self) -> Option<Tells> {
        self.told
    }

    fn take(
        adapter: Adapter<Self>,
        Asked { op, args, reply }: Asked,
        session: &mut Session<Open>,
        others: &Sessions<Open>,
        tasks: &mut JoinSet<()>,
    ) {
        let handle = session.open.as_ref().map(|open| open.handle.clone());
        let said = match op.as_str() {
            "terminate" => {
                // What the signal does to a process that has all these agents.
                let all = others.values().chain([&*session]);
                for open in all.filter_map(|session| session.open.as_ref()) {
                    tasks.spawn(end(open.handle.clone(), open.ending));
                }
                Ok(json!({}))
            }
            "start" => start(adapter, &args, session, tasks).map(|()| json!({})),
            "drain" | "undrain" => {
                let (draining, out) = (op == "drain", session.out.clone());
                tasks.spawn(async move {
                    let called = async move { reply.with(Ok(json!({}))).await };
                    match handle {
                        Some(handle) => set_status(handle, draining, out, called).await,
                        None => called.await,
                    }
                });
                return;
            }
            "stop" | "open_room" | "close_room" | "set_connections" => {
                tasks.spawn(async move {
                    let done = match handle {
                        Some(handle) => call(&handle, &op, &args).await,
                        None => Ok(()),
                    };
                    reply.with(done.map(|()| json!({})).map_err(|e| e.to_string())).await;
                });
                return;
            }
            op => Err(format!("`{op}` is no operation of this client")),
        };
        tasks.spawn(reply.with(said));
    }
}

/// Settings of the agent as the owner of this session has them.
fn settings(args: &Value) -> Settings {
    let text = |name: &str| args[name].as_str().unwrap_or_default().to_owned();
    let bound = |name: &str| args[name].as_i64().and_then(|bound| bound.try_into().ok());
    let mut settings = Settings::new(text("url"), text("key"), text("endpoint_url"), text("name"));
    let labels = args["labels"].as_object().into_iter().flatten();
    settings.labels =
        labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    settings.capacity = Capacity { max_connections: bound("max_connections"), max_rooms: bound("max_rooms") };
    settings.auto_create = args["auto_create"].as_bool().unwrap_or(settings.auto_create);
    let kinds = args["room_types"].as_array().into_iter().flatten();
    settings.room_types = kinds.filter_map(Value::as_str).map(str::to_owned).collect();
    settings.connect_timeout_ms = args["connect_timeout_ms"].as_u64();
    settings.redial.hello_timeout_ms = HELLO_MS;
    settings.redial.silence_ms = SILENCE_MS;
    settings
}

/// Starts the agent of a session.
fn start(
    adapter: Adapter<ClientSeams>,
    args: &Value,
    session: &mut Session<Open>,
    tasks: &mut JoinSet<()>,
) -> Result<(), String> {
    if session.open.is_some() {
        return Err("the session has an agent".into());
    }
    let ClientSeams { agent, owner, ending, .. } = adapter.seams();
    let mut settings = settings(args);
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
