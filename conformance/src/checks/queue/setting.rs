//! Fresh settings for the checks of this protocol, the requests that they are made of, and what answers look like.

use super::peer::Subscriber;
use crate::{
    check::{Alternative, Answer, Breaks, Cx, Outcome, alternative, answer},
    wire::Seen,
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, Route, requirements::*},
    requirement::RequirementId,
};

/// Each message is for every subscriber.
pub const PUBSUB: &str = "pubsub";
/// Each message is for one consumer.
pub const WORKER: &str = "worker";

/// Members whose values differ from run to run.
pub const VOLATILE: &[&str] = &[
    "authorization",
    "id",
    "queue_id",
    "client_id",
    "name",
    "url",
    "published_at",
    "expires_at",
    "delivered_at",
    "acknowledged_at",
    "created_at",
    "updated_at",
    "paused_at",
    "moved_at",
    "original_message_id",
    "original_published_at",
    "total",
    "queues",
];

/// A queue that a check made for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its id; empty if nobody told.
    pub id: String,
    dated: bool,
}

/// A message that a check published.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Its id.
    pub id: String,
    /// Its offset.
    pub offset: i64,
    /// Its payload.
    pub payload: Value,
}

/// The request of an operation, with its path as the target has it.
pub fn operation(cx: &Cx, action: Action, arguments: &[&str]) -> Request {
    let dated = cx.features().is("queue.dated-paths", "on");
    Route { dated, ..Route::new(action, arguments) }.encode(&cx.path(""))
}

/// With this body.
pub fn with_body(request: Request, body: &Value) -> Request {
    request.header("content-type", "application/json").body(body.to_string())
}

/// The body of an answer, or null if it is no JSON.
pub fn value(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

/// What a successful answer carries under this name, or null.
pub fn data(response: &Response, name: &str) -> Value {
    value(response)["data"][name].take()
}

/// That a request succeeded: a 2xx whose envelope does not say otherwise. How else the envelope has to look, the requirements
/// under "Message" say.
pub fn succeeded() -> Alternative<Response> {
    alternative("a 2xx, with success true", |r: &Response| {
        (200..300).contains(&r.status) && value(r)["success"] == true
    })
}

/// That a request succeeded, and its answer meets this condition too.
pub fn succeeded_and(
    name: &str,
    holds: impl Fn(&Response) -> bool + Send + Sync + 'static,
) -> Alternative<Response> {
    alternative(format!("a 2xx, with success true and {name}"), move |r: &Response| {
        (200..300).contains(&r.status) && value(r)["success"] == true && holds(r)
    })
}

/// That a request was refused with this status, and its envelope does not say otherwise.
pub fn refused(status: u16) -> Answer {
    answer(status).and("no success true", |r: &Response| value(r)["success"] != true)
}

/// That a request was refused as invalid.
pub fn invalid() -> Vec<Alternative<Response>> {
    [400, 422, 413].map(|status| refused(status).into()).to_vec()
}

/// That a request was refused with 404.
pub fn not_found() -> Vec<Alternative<Response>> {
    vec![refused(404).into()]
}

impl Queue {
    /// A queue that is not there yet.
    pub fn nowhere(cx: &Cx) -> Self {
        Self::named(cx, cx.name())
    }

    /// A queue of this name, which is removed when the check is over.
    pub fn named(cx: &Cx, name: String) -> Self {
        let dated = cx.features().is("queue.dated-paths", "on");
        let queue = Self { name, id: String::new(), dated };
        cx.clean_up(queue.operation(cx, Action::Delete, &[]));
        queue
    }

    /// A new queue of this type.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it cannot be created.
    pub async fn create(cx: &Cx, kind: &str) -> Outcome<Self> {
        Self::create_with(cx, kind, &json!({})).await
    }

    /// A new queue of this type with these settings.
    ///
    /// # Errors
    /// As [`Queue::create`].
    pub async fn create_with(cx: &Cx, kind: &str, settings: &Value) -> Outcome<Self> {
        let mut queue = Self::nowhere(cx);
        let seen = cx.send(queue.creation(cx, kind, settings)).await?;
        let reply = cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()])?;
        queue.id = data(reply, "queue")["id"].as_str().unwrap_or_default().to_owned();
        Ok(queue)
    }

    /// For the probe, which has to find out whether paths are dated.
    pub(super) async fn made(cx: &Cx, dated: bool) -> Outcome<Self> {
        let queue = Self { name: cx.name(), id: String::new(), dated };
        cx.clean_up(queue.operation(cx, Action::Delete, &[]));
        let seen = cx.send(queue.creation(cx, PUBSUB, &json!({}))).await?;
        cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()])?;
        Ok(queue)
    }

    /// The request that makes it.
    pub fn creation(&self, cx: &Cx, kind: &str, settings: &Value) -> Request {
        let mut body = json!({"name": self.name, "queue_type": kind});
        if settings.as_object().is_some_and(|settings| !settings.is_empty()) {
            body["settings"] = settings.clone();
        }
        let route = Route { dated: self.dated, ..Route::new(Action::Create, &[]) };
        with_body(route.encode(&cx.path("")), &body)
    }

    /// The request of an operation on it; `more` is what stands behind its name in the path.
    pub fn operation(&self, cx: &Cx, action: Action, more: &[&str]) -> Request {
        let arguments: Vec<&str> = [self.name.as_str()].into_iter().chain(more.iter().copied()).collect();
        Route { dated: self.dated, ..Route::new(action, &arguments) }.encode(&cx.path(""))
    }

    /// A publish of this payload that is answered when the message is in the queue.
    pub fn publish(&self, cx: &Cx, payload: &Value) -> Request {
        self.publish_with(cx, &json!({"payload": payload}))
    }

    /// A publish with this body that is answered when the message is in the queue.
    pub fn publish_with(&self, cx: &Cx, body: &Value) -> Request {
        with_body(self.operation(cx, Action::Publish, &[]).param("sync", "true"), body)
    }

    /// Publishes, as set-up.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not succeed.
    pub async fn published(&self, cx: &Cx, payload: Value) -> Outcome<Published> {
        self.published_with(cx, json!({"payload": payload})).await
    }

    /// Publishes with this body, as set-up.
    ///
    /// # Errors
    /// As [`Queue::published`].
    pub async fn published_with(&self, cx: &Cx, mut body: Value) -> Outcome<Published> {
        let seen = cx.send(self.publish_with(cx, &body)).await?;
        let reply = cx.need(QUEUE_PUBLISH_1, &seen, &[succeeded()])?;
        let message = data(reply, "message");
        Ok(Published {
            id: message["id"].as_str().unwrap_or_default().to_owned(),
            offset: message["offset"].as_i64().unwrap_or(-1),
            payload: body["payload"].take(),
        })
    }

    /// Publishes several messages with tokens of this check as payloads, one after the other, as set-up.
    ///
    /// # Errors
    /// As [`Queue::published`].
    pub async fn published_many(&self, cx: &Cx, count: usize) -> Outcome<Vec<Published>> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.published(cx, Value::from(cx.token(12))).await?);
        }
        Ok(all)
    }

    /// Has a message with this payload published: in the way that the owner of the target supplied, if there is one, and over
    /// HTTP otherwise. Nothing is known of it but its payload. For checks of what subscribers are pushed.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it cannot be done.
    pub async fn says(&self, cx: &Cx, payload: &Value) -> Outcome {
        if cx.target.stimulates("publish") {
            return cx.stimulus("publish", &[("queue", &self.name)], payload.to_string().as_bytes()).await;
        }
        self.published(cx, payload.clone()).await.map(drop)
    }

    /// Publishes these payloads at once, as set-up: at most 1000, and 2 MiB.
    ///
    /// # Errors
    /// As [`Queue::published`].
    pub async fn published_at_once(&self, cx: &Cx, payloads: &[Value]) -> Outcome<Vec<Value>> {
        let messages: Vec<Value> = payloads.iter().map(|payload| json!({"payload": payload})).collect();
        let request = with_body(self.operation(cx, Action::Batch, &[]), &json!({"messages": messages}));
        let seen = cx.send(request).await?;
        Ok(list(cx.need(QUEUE_PUBLISH_35, &seen, &[succeeded()])?, "messages"))
    }

    /// Does this to it, as set-up: an operation that has no body but `{}`, or none.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it does not succeed.
    pub async fn done(&self, cx: &Cx, action: Action, more: &[&str]) -> Outcome {
        let mut request = self.operation(cx, action, more);
        if request.method == "POST" {
            request = with_body(request, &json!({}));
        }
        let seen = cx.send(request).await?;
        let requirement = match action {
            Action::Pause => QUEUE_QUEUES_18,
            Action::Resume => QUEUE_QUEUES_19,
            Action::DeleteMessage => QUEUE_CONSUME_12,
            Action::Ack => QUEUE_HTTP_12,
            Action::Nack => QUEUE_HTTP_13,
            _ => QUEUE_HTTP_6,
        };
        cx.need(requirement, &seen, &[succeeded()])?;
        Ok(())
    }

    /// What get tells of it.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if it is not told.
    pub async fn told(&self, cx: &Cx) -> Outcome<Seen<Value>> {
        let seen = cx.send(self.operation(cx, Action::Get, &[])).await?;
        cx.need(QUEUE_QUEUES_1, &seen, &[succeeded()])?;
        Ok(seen.map(|reply| data(&reply, "queue")))
    }

    /// Every retained message, as consume tells them from the first offset on.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if a consume does not succeed or there is no end of it.
    pub async fn content(&self, cx: &Cx) -> Outcome<Seen<Vec<Value>>> {
        self.content_from(cx, 0).await
    }

    /// Every retained message from an offset on.
    ///
    /// # Errors
    /// As [`Queue::content`].
    pub async fn content_from(&self, cx: &Cx, from: i64) -> Outcome<Seen<Vec<Value>>> {
        /// So many answers are no reading any more.
        const MOST: usize = 10_000;
        let (mut from, mut all) = (from, Vec::new());
        for _ in 0..MOST {
            let seen = cx.send(self.consume(cx, from)).await?;
            let reply = cx.need(QUEUE_CONSUME_1, &seen, &[succeeded()])?;
            let messages = list(reply, "messages");
            let last = messages.iter().filter_map(|message| message["offset"].as_i64()).max();
            all.push(seen.map(|_| messages));
            match last {
                None => return Ok(Seen::all(all).map(|all| all.concat())),
                Some(last) if last < from => {
                    return Err(cx.stop("a consume tells messages from before the offset that it asks for"));
                }
                Some(last) => from = last + 1,
            }
        }
        Err(cx.stop("reading does not come to an end: every answer has more"))
    }

    /// A consume from an offset on.
    pub fn consume(&self, cx: &Cx, from: i64) -> Request {
        self.operation(cx, Action::Consume, &[]).param("offset", from.to_string())
    }

    /// A receive that does not wait.
    pub fn receive(&self, cx: &Cx) -> Request {
        self.operation(cx, Action::Receive, &[])
    }

    /// Receives a message, as set-up.
    ///
    /// # Errors
    /// Stops the check, inconclusive, if there is none.
    pub async fn received(&self, cx: &Cx) -> Outcome<Value> {
        let seen = cx.send(self.receive(cx)).await?;
        let a_message = succeeded_and("a message", |r| data(r, "message").is_object());
        Ok(data(cx.need(QUEUE_LEASES_1, &seen, &[a_message])?, "message"))
    }
}

/// The elements of an array that a successful answer carries under this name.
pub fn list(response: &Response, name: &str) -> Vec<Value> {
    match data(response, name) {
        Value::Array(list) => list,
        _ => Vec::new(),
    }
}

/// The member of this name that is a text; empty if it is none.
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The offsets of messages, -1 for what has none.
pub fn offsets(messages: &[Value]) -> Vec<i64> {
    messages.iter().map(|message| message["offset"].as_i64().unwrap_or(-1)).collect()
}

/// The payloads of messages.
pub fn payloads(messages: &[Value]) -> Vec<Value> {
    messages.iter().map(|message| message["payload"].clone()).collect()
}

/// A queue of this type with a random token in it that was read back: proof of a server that keeps what it is given, for
/// checks that are about one answer alone.
///
/// # Errors
/// Stops the check, inconclusive, if it cannot be made, or something else is read.
pub async fn proven(cx: &Cx, kind: &str) -> Outcome<Queue> {
    let queue = Queue::create(cx, kind).await?;
    let token = Value::from(cx.token(24));
    queue.published(cx, token.clone()).await?;
    let read = queue.content(cx).await?.map(|messages| payloads(&messages));
    let holds =
        alternative("the payload that was published", move |read: &Vec<Value>| *read == [token.clone()]);
    cx.need(QUEUE_CONSUME_1, &read, &[holds])?;
    Ok(queue)
}

/// Uses the stimulus `publish` once and sees its content pushed.
///
/// # Errors
/// It is not.
pub async fn published_by_owner(cx: &Cx) -> Outcome {
    let queue = Queue::create(cx, PUBSUB).await?;
    let mut subscriber = Subscriber::join(cx, &queue).await?;
    let payload = json!({"token": cx.token(24)});
    cx.stimulus("publish", &[("queue", &queue.name)], payload.to_string().as_bytes()).await?;
    let pushed = subscriber.gather(cx, 1).await?.map(|messages| payloads(&messages));
    let expected = alternative("the content of the stimulus", move |p: &Vec<Value>| *p == [payload.clone()]);
    cx.need(QUEUE_PUSH_1, &pushed, &[expected])?;
    Ok(())
}

/// Every operation once, in the ordinary way.
///
/// # Errors
/// Stops where an operation does not answer as it should.
pub async fn ordinary(cx: &Cx) -> Outcome {
    if cx.is_client() {
        return super::client::ordinary(cx).await;
    }
    let (shared, work) = (Queue::create(cx, PUBSUB).await?, Queue::create(cx, WORKER).await?);
    let first = shared.published(cx, json!("one")).await?;
    let mut subscriber = Subscriber::join_from(cx, &shared, -1).await?;
    let _ = subscriber.gather(cx, 1).await?;
    shared.published(cx, json!({"two": [2, null]})).await?;
    let _ = subscriber.gather(cx, 1).await?;
    work.published(cx, json!("work")).await?;
    let taken = work.received(cx).await?;
    for (queue, action, more, query) in [
        (&shared, Action::Get, vec![], vec![]),
        (&shared, Action::Consume, vec![], vec![("offset", "0")]),
        (&shared, Action::GetMessage, vec![first.id.as_str()], vec![]),
        (&shared, Action::MessageAt, vec!["0"], vec![]),
        (&shared, Action::ListMessages, vec![], vec![]),
        (&shared, Action::Head, vec![], vec![]),
        (&shared, Action::Tail, vec![], vec![]),
        (&shared, Action::Pause, vec![], vec![]),
        (&shared, Action::Resume, vec![], vec![]),
        (&shared, Action::DeleteMessage, vec![first.id.as_str()], vec![]),
        (&work, Action::Nack, vec![text(&taken, "id")], vec![]),
        (&work, Action::ListDeadLetters, vec![], vec![]),
        (&work, Action::PurgeDeadLetters, vec![], vec![]),
        (&work, Action::Delete, vec![], vec![]),
        (&work, Action::Get, vec![], vec![]),
    ] {
        let request = queue.operation(cx, action, &more);
        let request = query.into_iter().fold(request, |request, (name, value)| request.param(name, value));
        let _ = cx.send(request).await?;
    }
    Ok(())
}

/// Claims that a request is not found if it names a queue that does not exist. Of one of this type that does, and of which it
/// was seen that it keeps something, it is accepted, as the other requirement says.
///
/// # Errors
/// As [`Cx::refused`].
pub async fn nowhere_found(
    cx: &Cx,
    requirement: RequirementId,
    kind: &str,
    (stands_on, request): (RequirementId, fn(&Cx, &Queue) -> Request),
) -> Outcome {
    let nowhere = Queue::nowhere(cx);
    cx.refused(
        requirement,
        Breaks::Fit,
        |cx| proven(cx, kind),
        |queue| request(cx, queue),
        |_, broken| *broken = request(cx, &nowhere),
        (stands_on, &[succeeded()]),
        &not_found(),
    )
    .await
}
