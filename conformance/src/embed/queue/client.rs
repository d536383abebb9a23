//! The adapter of the reference client of the queue protocol (spec/adapter.md), in variants.

use super::super::{
    adapter::{Adapter, Asked, CLIENT, Client, Out, PLAIN_CLIENT, Session, Sessions, Tells},
    reference::queue::client::{
        Caller, Event, Handle, Messages, Payload, Seams, Settings, Status, Subscribe, Subscription,
        seams::Frame, stream, subscribe,
    },
};
use crate::selftest::defects::{
    Breakage,
    queue::{client::ClientSeams, find_client},
};
use bytes::Bytes;
use futures_util::stream as streams;
use serde_json::{Value, json};
use std::{io, time::Duration};
use tokio::{
    sync::{broadcast, watch},
    task::{AbortHandle, JoinSet},
};
use wireproof_spec::queue::Message;

/// A client that has an iterator alone, and writes every offset as languages do that have doubles alone: 3 as 3.0.
pub const ITERATOR_CLIENT: &str = "iterator-client";

/// How long a client waits for an AuthResponse, in milliseconds, and as its owner declares it.
const ANSWER_MS: u64 = 2_500;
const ANSWERS: (&str, &str) = ("answer-timeout-ms", "2500");

/// What a session has open.
pub(in crate::embed) struct Open {
    handle: Handle,
    /// How many messages the owner of an iterator takes; none: all.
    takes: watch::Sender<Option<usize>>,
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client for ClientSeams {
    const PROTOCOL: &'static str = "queue";
    type Open = Open;

    fn declared(variant: &str) -> Option<(&'static str, &'static [(&'static str, &'static str)])> {
        Some(match variant {
            CLIENT => (CLIENT, &[ANSWERS]),
            PLAIN_CLIENT => (
                PLAIN_CLIENT,
                &[
                    ("queue.final-4xxx", "off"),
                    ("queue.persistent-iterator", "off"),
                    ("queue.iterator", "off"),
                    ("queue.delay-settings", "off"),
                    ("queue.resume-options", "off"),
                    ("queue.organisations", "off"),
                    ("queue.http-client", "off"),
                    ("queue.retry-settings", "off"),
                    ("queue.stream-bodies", "off"),
                    ANSWERS,
                ],
            ),
            ITERATOR_CLIENT => (
                ITERATOR_CLIENT,
                &[
                    ("queue.handler", "off"),
                    ("queue.delay-settings", "off"),
                    ("queue.organisations", "off"),
                    ("queue.http-client", "off"),
                    ("queue.retry-settings", "off"),
                    ("queue.stream-bodies", "off"),
                    ANSWERS,
                ],
            ),
            _ => return None,
        })
    }

    fn find(id: &str) -> Option<&'static Breakage<Self>> {
        find_client(id)
    }

    fn listed(variant: &str) -> Value {
        match variant {
            PLAIN_CLIENT => json!({"subscribe": ["handler"], "close": []}),
            ITERATOR_CLIENT => {
                json!({"subscribe": ["iterator", "client_id", "last_offset"], "close": [], "take": []})
            }
            _ => json!({
                "subscribe": [
                    "handler", "iterator", "delay_ms", "max_delay_ms", "attempts", "client_id", "last_offset", "organisation",
                ],
                "close": [],
                "take": [],
                "call": ["organisation", "retries", "retry_delay_ms", "window_ms", "stream"],
            }),
        }
    }

    fn honest(variant: &str) -> Self {
        if variant == ITERATOR_CLIENT { doubles() } else { Self::honest() }
    }

    fn told(self) -> Option<Tells> {
        self.told
    }

    fn take(
        adapter: Adapter<Self>,
        Asked { op, args, reply }: Asked,
        session: &mut Session<Open>,
        _: &Sessions<Open>,
        tasks: &mut JoinSet<()>,
    ) {
        let said = match op.as_str() {
            "subscribe" => adapter.subscribe(&args, session, tasks).map(|()| json!({})),
            "take" => {
                // Without an iterator nobody asks.
                if let Some(open) = &session.open {
                    open.takes.send_replace(None);
                }
                Ok(json!({}))
            }
            "close" => {
                let handle = session.open.as_ref().map(|open| open.handle.clone());
                tasks.spawn(async move {
                    if let Some(handle) = handle {
                        handle.close().await;
                    }
                    reply.with(Ok(json!({}))).await;
                });
                return;
            }
            "call" => {
                tasks.spawn(async move { reply.with(Ok(adapter.call(&args).await)).await });
                return;
            }
            op => Err(format!("`{op}` is no operation of this client")),
        };
        tasks.spawn(reply.with(said));
    }
}

impl Adapter<ClientSeams> {
    /// Settings of the client as the owner of this session has them.
    fn settings(self, args: &Value) -> Settings {
        let text = |name: &str| args[name].as_str().unwrap_or_default().to_owned();
        let mut settings = Settings::new(text("url"), text("key"));
        settings.org_id = args["organisation"].as_str().map(str::to_owned);
        let (redial, retries) = (&mut settings.redial, &mut settings.retries);
        redial.final_4xxx = self.variant != PLAIN_CLIENT;
        redial.auth_timeout_ms = ANSWER_MS;
        if self.variant == CLIENT {
            redial.base_ms = args["delay_ms"].as_u64().unwrap_or(redial.base_ms);
            redial.max_ms = args["max_delay_ms"].as_u64().unwrap_or(redial.max_ms);
            redial.attempts = args["attempts"].as_u64().and_then(|attempts| attempts.try_into().ok());
            retries.most =
                args["retries"].as_u64().and_then(|most| most.try_into().ok()).unwrap_or(retries.most);
            retries.delay_ms = args["retry_delay_ms"].as_u64().unwrap_or(retries.delay_ms);
            retries.window_ms = args["window_ms"].as_u64().unwrap_or(retries.window_ms);
        }
        settings
    }

    fn subscribe(
        self,
        args: &Value,
        session: &mut Session<Open>,
        tasks: &mut JoinSet<()>,
    ) -> Result<(), String> {
        if session.open.is_some() {
            return Err("the session has a subscription".into());
        }
        let seams =
            Some(self.seams()).filter(|seams| !seams.iterators_alone || args["interface"] == "iterator");
        let seams = seams.unwrap_or_else(ClientSeams::honest);
        let mut settings = self.settings(args);
        let mut to = Subscribe::to(args["queue"].as_str().unwrap_or_default());
        to.client_id = args["client_id"].as_str().map(str::to_owned);
        to.last_offset = args["last_offset"].as_i64();
        if let Some(owner) = seams.owner {
            owner(&mut settings, &mut to);
        }
        let out = session.out.clone();
        let (takes, taken) = watch::channel(args["takes"].as_u64().and_then(|takes| takes.try_into().ok()));
        let (handle, task) = if args["interface"] == "iterator" {
            let messages = stream(&settings, &to, seams.subscription).map_err(|e| e.to_string())?;
            (messages.handle(), tasks.spawn(iterate(messages, taken, out)))
        } else {
            let handler = Handler::new(args, out.clone());
            let handle = move |message| handler.clone().handle(message);
            let subscription =
                subscribe(&settings, &to, seams.subscription, handle).map_err(|e| e.to_string())?;
            (subscription.handle(), tasks.spawn(follow(subscription, out)))
        };
        session.open = Some(Open { handle, takes, task });
        Ok(())
    }

    /// A call of the HTTP API, and what came of it.
    async fn call(self, args: &Value) -> Value {
        let settings = self.settings(args);
        let queue = args["queue"].as_str().unwrap_or_default();
        let called = async {
            let caller = Caller::broken(&settings, self.seams().calls)?;
            let payload = args["payload"].clone();
            let (method, action, body) = match args["action"].as_str() {
                Some("publish") => {
                    let mut body = json!({"payload": payload});
                    if let key @ Value::String(_) = &args["idempotency_key"] {
                        body["idempotency_key"] = key.clone();
                    }
                    ("POST", "messages/publish", Payload::Json(body.to_string().into()))
                }
                Some("stream") => {
                    let text = payload.as_str().unwrap_or_default().to_owned();
                    let parts = streams::iter([io::Result::Ok(Bytes::from(text))]);
                    ("POST", "messages/publish", Payload::Stream(Box::pin(parts)))
                }
                _ => ("GET", "get", Payload::Empty),
            };
            caller.call(method, action, &[queue], &[], body).await
        };
        match called.await {
            Ok(answer) => {
                let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                json!({"data": body["data"].take()})
            }
            Err(e) => {
                let kind = format!("{:?}", e.kind);
                json!({"failed": {"message": e.message, "status": e.status, "kind": kind, "code": e.code}})
            }
        }
    }
}

/// A client for which every number is a double: what it says is the same, and is written in another way.
fn doubles() -> ClientSeams {
    let double = |value: &mut Value| {
        if let Some(number) = value.as_f64() {
            *value = number.into();
        }
    };
    let said = move |_, frames: &mut Vec<Frame>| {
        for frame in frames {
            let Frame::Text(text) = frame else { continue };
            let Ok(mut auth) = serde_json::from_str::<Value>(text) else { continue };
            if let Some(last) = auth.get_mut("last_offset") {
                double(last);
            }
            *text = auth.to_string();
        }
    };
    let told = move |event: &str, data: &mut Value| {
        if event == "delivered" {
            double(&mut data["offset"]);
        }
        true
    };
    let subscription = Seams { said: Some(Box::new(said)), ..Seams::honest() };
    ClientSeams { subscription, told: Some(Box::new(told)), ..ClientSeams::honest() }
}

/// The function of an owner.
#[derive(Clone)]
struct Handler {
    fails_at: Vec<i64>,
    works_at: Option<i64>,
    works: Duration,
    out: Out,
}

impl Handler {
    fn new(args: &Value, out: Out) -> Self {
        Self {
            fails_at: args["fails_at"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect(),
            works_at: args["works_at"].as_i64(),
            works: Duration::from_millis(args["works_ms"].as_u64().unwrap_or_default()),
            out,
        }
    }

    async fn handle(self, message: Message) -> Result<(), String> {
        let offset = message.offset.get();
        self.out.tell("delivered", shown(&message)).await;
        if self.works_at == Some(offset) {
            tokio::time::sleep(self.works).await;
        }
        if self.fails_at.contains(&offset) { Err(format!("the handler fails at {offset}")) } else { Ok(()) }
    }
}

/// A message as the owner gets it.
fn shown(message: &Message) -> Value {
    serde_json::from_str(&message.encode()).unwrap_or_default()
}

/// Takes messages as the owner of an iterator does.
async fn iterate(mut messages: Messages, mut takes: watch::Receiver<Option<usize>>, out: Out) {
    let mut taken = 0;
    loop {
        // The other end goes with the session.
        if takes.wait_for(|most| most.is_none_or(|most| taken < most)).await.is_err() {
            return;
        }
        match messages.next().await {
            Some(Ok(message)) => out.tell("delivered", shown(&message)).await,
            Some(Err(e)) => return out.tell("ended", json!({"error": e.to_string()})).await,
            None => return out.tell("ended", json!({})).await,
        }
        taken += 1;
    }
}

/// Tells what a subscription with a handler tells its owner.
async fn follow(mut subscription: Subscription, out: Out) {
    loop {
        match subscription.events.recv().await {
            Ok(Event::Error(e)) => out.tell("error", json!({"message": e.to_string()})).await,
            Ok(Event::Status(Status::Closed)) => out.tell("ended", json!({})).await,
            Ok(Event::Status(_)) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
