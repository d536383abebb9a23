//! The caller of the HTTP API: one request a connection, tried again as [`super::retry`] says.
//!
//! POSTs are tried again like everything else: who publishes and wants no message twice gives it an idempotency key.

use super::{
    error::{ApiError, Kind},
    retry::{Next, Outcome, Retry},
    seams::{CallSeams, Exchanged},
    settings::Settings,
    url,
};
use crate::{
    client::{
        place::{Place, place},
        random,
    },
    clock::Clock,
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{io, pin::Pin, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use wireproof_spec::{
    http::{Body, Request, Response, percent_encode},
    queue::{
        BatchReply, BatchRequest, CreateRequest, Done, Message, MessageReply, MessagesReply, OffsetReply,
        PublishRequest, Queue, QueueName, QueueReply, ReceiveReply, Violation,
        http::DATE,
        message::is_id,
        publish::{GREATEST_METADATA, GREATEST_PAYLOAD},
    },
};

/// How this client names itself.
const USER_AGENT: &str = concat!("wireproof-reference/", env!("CARGO_PKG_VERSION"));
/// The longest head of an answer that is read, in bytes, and the most headers.
const HEAD: usize = 64 * 1024;
const HEADERS: usize = 100;

/// A body that is made while it is sent.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The body of a call.
pub enum Payload {
    /// None.
    Empty,
    /// These bytes, of JSON.
    Json(Bytes),
    /// What this gives. It cannot be sent a second time, so that the call is not tried again.
    Stream(ByteStream),
}

type Sent = UnsyncBoxBody<Bytes, io::Error>;

/// Calls the operations of one server.
#[derive(Clone)]
pub struct Caller {
    settings: Settings,
    seams: CallSeams,
    place: Place,
    clock: Clock,
}

impl Caller {
    /// A caller that does as it should.
    ///
    /// # Errors
    /// There is no key, or the URL leads nowhere.
    pub fn new(settings: &Settings) -> Result<Self, ApiError> {
        Self::broken(settings, CallSeams::honest())
    }

    /// A caller that is broken at these seams.
    ///
    /// # Errors
    /// There is no key, or the URL leads nowhere.
    pub fn broken(settings: &Settings, seams: CallSeams) -> Result<Self, ApiError> {
        if settings.key.is_empty() {
            return Err(local("No API key provided"));
        }
        let place = place(url::root(&settings.base_url), "http")
            .map_err(|why| local(format!("the base URL {:?}: {why}", settings.base_url)))?;
        Ok(Self { settings: settings.clone(), seams, place, clock: Clock::start() })
    }

    /// Makes a queue.
    ///
    /// # Errors
    /// It was not made.
    pub async fn create(&self, queue: &CreateRequest) -> Result<Queue, ApiError> {
        let reply = self.call("POST", "create", &[], &[], json(queue.encode())).await?;
        read(&reply, QueueReply::decode).map(|reply| reply.queue)
    }

    /// Tells a queue.
    ///
    /// # Errors
    /// It was not told.
    pub async fn get(&self, name: &str) -> Result<Queue, ApiError> {
        let reply = self.about("GET", "get", name, Payload::Empty).await?;
        read(&reply, QueueReply::decode).map(|reply| reply.queue)
    }

    /// Removes a queue.
    ///
    /// # Errors
    /// It was not removed.
    pub async fn delete(&self, name: &str) -> Result<(), ApiError> {
        read(&self.about("DELETE", "delete", name, Payload::Empty).await?, Done::decode).map(drop)
    }

    /// Stops pushing.
    ///
    /// # Errors
    /// It was not stopped.
    pub async fn pause(&self, name: &str) -> Result<Queue, ApiError> {
        let reply = self.about("POST", "pause", name, json("{}".into())).await?;
        read(&reply, QueueReply::decode).map(|reply| reply.queue)
    }

    /// Goes on pushing.
    ///
    /// # Errors
    /// It does not.
    pub async fn resume(&self, name: &str) -> Result<Queue, ApiError> {
        let reply = self.about("POST", "resume", name, json("{}".into())).await?;
        read(&reply, QueueReply::decode).map(|reply| reply.queue)
    }

    /// Publishes a message, and waits until it is kept if it is to be `sync`.
    ///
    /// # Errors
    /// It was not published, or that is not known.
    pub async fn publish(
        &self,
        name: &str,
        message: &PublishRequest,
        sync: bool,
    ) -> Result<Message, ApiError> {
        queue(name)?;
        publishable(message)?;
        let query: &[_] = if sync { &[("sync", "true")] } else { &[] };
        let reply = self.call("POST", "messages/publish", &[name], query, json(message.encode())).await?;
        read(&reply, MessageReply::decode).map(|reply| reply.message)
    }

    /// Publishes several messages.
    ///
    /// # Errors
    /// They were not published, or that is not known.
    pub async fn batch(&self, name: &str, batch: &BatchRequest) -> Result<BatchReply, ApiError> {
        queue(name)?;
        batch.messages.messages().iter().try_for_each(publishable)?;
        let reply = self.call("POST", "messages/batch", &[name], &[], json(batch.encode())).await?;
        read(&reply, BatchReply::decode)
    }

    /// Reads messages from an offset on, and changes none.
    ///
    /// # Errors
    /// They were not read.
    pub async fn consume(
        &self,
        name: &str,
        offset: u64,
        limit: Option<u16>,
    ) -> Result<Vec<Message>, ApiError> {
        queue(name)?;
        if limit.is_some_and(|limit| !(1..=1000).contains(&limit)) {
            return Err(local("the limit is from 1 to 1000"));
        }
        let (offset, limit) = (offset.to_string(), limit.map(|limit| limit.to_string()));
        let mut query = vec![("offset", offset.as_str())];
        query.extend(limit.as_deref().map(|limit| ("limit", limit)));
        let reply = self.call("GET", "consume", &[name], &query, Payload::Empty).await?;
        read(&reply, MessagesReply::decode).map(|reply| reply.messages)
    }

    /// The offset of the oldest message.
    ///
    /// # Errors
    /// It was not told.
    pub async fn head(&self, name: &str) -> Result<i64, ApiError> {
        let reply = self.about("GET", "head", name, Payload::Empty).await?;
        read(&reply, OffsetReply::decode).map(|reply| reply.offset.get())
    }

    /// The offset of the newest message.
    ///
    /// # Errors
    /// It was not told.
    pub async fn tail(&self, name: &str) -> Result<i64, ApiError> {
        let reply = self.about("GET", "tail", name, Payload::Empty).await?;
        read(&reply, OffsetReply::decode).map(|reply| reply.offset.get())
    }

    /// Leases a message, and waits for one for so many seconds.
    ///
    /// # Errors
    /// None was leased, or that is not known.
    pub async fn receive(&self, name: &str, wait: Option<u16>) -> Result<Option<Message>, ApiError> {
        queue(name)?;
        let seconds = wait.map(|wait| wait.to_string());
        let query: Vec<_> = seconds.iter().map(|seconds| ("timeout", seconds.as_str())).collect();
        let longer = Duration::from_secs(wait.unwrap_or_default().into());
        let reply = self.patient(longer, "GET", "receive", &[name], &query, Payload::Empty).await?;
        read(&reply, ReceiveReply::decode).map(|reply| reply.message.0)
    }

    /// Acknowledges a leased message.
    ///
    /// # Errors
    /// It was not acknowledged.
    pub async fn ack(&self, name: &str, id: &str) -> Result<(), ApiError> {
        self.about_message("ack", name, id).await
    }

    /// Gives a leased message back.
    ///
    /// # Errors
    /// It was not given back.
    pub async fn nack(&self, name: &str, id: &str) -> Result<(), ApiError> {
        self.about_message("nack", name, id).await
    }

    async fn about(
        &self,
        method: &str,
        action: &str,
        name: &str,
        body: Payload,
    ) -> Result<Response, ApiError> {
        queue(name)?;
        self.call(method, action, &[name], &[], body).await
    }

    async fn about_message(&self, action: &str, name: &str, id: &str) -> Result<(), ApiError> {
        queue(name)?;
        if !is_id(id) {
            return Err(local(format!("{id:?} is no id of a message")));
        }
        read(&self.call("POST", action, &[name, id], &[], Payload::Empty).await?, Done::decode).map(drop)
    }

    /// Calls any operation: `/queue/{action}/{arguments}`. Nothing of it is checked here. The answer is a success in its
    /// envelope.
    ///
    /// # Errors
    /// It did not succeed, or that is not known.
    pub async fn call(
        &self,
        method: &str,
        action: &str,
        arguments: &[&str],
        query: &[(&str, &str)],
        body: Payload,
    ) -> Result<Response, ApiError> {
        self.patient(Duration::ZERO, method, action, arguments, query, body).await
    }

    /// A call of which each exchange may take so much longer.
    async fn patient(
        &self,
        longer: Duration,
        method: &str,
        action: &str,
        arguments: &[&str],
        query: &[(&str, &str)],
        body: Payload,
    ) -> Result<Response, ApiError> {
        let limit = Duration::from_millis(self.settings.bounds.exchange_ms).saturating_add(longer);
        let mut request = self.request(method, action, arguments);
        for (name, value) in query {
            request.query.push(name, *value);
        }
        let mut stream = None;
        match body {
            Payload::Empty => {}
            Payload::Json(bytes) => request.body = Body(bytes),
            Payload::Stream(bytes) => stream = Some(bytes),
        }
        let mut retry = Retry::new(self.settings.retries, stream.is_none());
        loop {
            let attempt = retry.attempt();
            let mut sent = request.clone();
            if let Some(map) = &self.seams.request {
                map(attempt, &mut sent);
            }
            let exchange = self.exchange(&sent, stream.take());
            let mut got = timeout(limit, exchange).await.unwrap_or(Exchanged::Slow);
            if let Some(map) = &self.seams.exchanged {
                map(attempt, &sent, &mut got);
            }
            let mut next = retry.next(self.clock.now(), outcome(&got), random());
            if let Some(map) = &self.seams.retry {
                map(attempt, &got, &mut next);
            }
            match next {
                Next::Wait(delay) => tokio::time::sleep(Duration::from_millis(delay)).await,
                Next::GiveUp => return Err(ApiError::from(got)),
                Next::Done => return succeeded(got),
            }
        }
    }

    fn request(&self, method: &str, action: &str, arguments: &[&str]) -> Request {
        let mut path = format!("{}/queue/{action}", self.place.path.trim_end_matches('/'));
        for argument in self.settings.dated_paths.then_some(DATE).iter().chain(arguments) {
            path.push('/');
            path.push_str(&percent_encode(argument));
        }
        let request = Request::new(method, &path)
            .header("host", self.place.authority.as_str())
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("user-agent", USER_AGENT)
            .header("authorization", format!("Bearer {}", self.settings.key));
        match &self.settings.org_id {
            Some(org) => request.header("x-agentuity-orgid", org.as_str()),
            None => request,
        }
    }

    /// One request on a connection of its own, and its answer.
    async fn exchange(&self, request: &Request, stream: Option<ByteStream>) -> Exchanged {
        let body: Sent = match stream {
            Some(stream) => BodyExt::boxed_unsync(StreamBody::new(stream.map_ok(Frame::data))),
            None => Full::new(request.body.0.clone()).map_err(|never| match never {}).boxed_unsync(),
        };
        let mut written = hyper::Request::builder().method(request.method.as_str()).uri(request.target());
        for (name, value) in &request.headers.0 {
            written = written.header(name, value);
        }
        let written = match written.body(body) {
            Ok(written) => written,
            Err(error) => return Exchanged::Garbage(format!("the request: {error}")),
        };
        let stream = match TcpStream::connect((self.place.host.as_str(), self.place.port)).await {
            Ok(stream) => stream,
            Err(error) => return Exchanged::Unreached(error.to_string()),
        };
        // Without it, it is slower.
        let _ = stream.set_nodelay(true);
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD).max_headers(HEADERS);
        let (mut sender, connection) = match builder.handshake(TokioIo::new(stream)).await {
            Ok(pair) => pair,
            Err(error) => return unanswered(&error),
        };
        let exchange = async {
            match sender.send_request(written).await {
                Ok(answer) => self.answer(answer).await,
                Err(error) => unanswered(&error),
            }
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            got = &mut exchange => got,
            // It may end with the answer.
            _ = &mut connection => exchange.await,
        }
    }

    /// Reads an answer whole.
    async fn answer(&self, answer: hyper::Response<hyper::body::Incoming>) -> Exchanged {
        let (parts, mut body) = answer.into_parts();
        let mut read = Response::new(parts.status.as_u16());
        for (name, value) in &parts.headers {
            read.headers.push(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
        }
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            match frame.map(Frame::into_data) {
                Err(error) => return Exchanged::Cut(error.to_string()),
                Ok(Ok(data)) if bytes.len() + data.len() > self.settings.bounds.max_body => {
                    return Exchanged::TooLong;
                }
                Ok(Ok(data)) => bytes.extend_from_slice(&data),
                // Trailers.
                Ok(Err(_)) => {}
            }
        }
        read.body = Body(bytes.freeze());
        Exchanged::Answer(read)
    }
}

/// Why there is no head of an answer.
fn unanswered(error: &hyper::Error) -> Exchanged {
    if error.is_parse() || error.is_parse_too_large() || error.is_user() {
        Exchanged::Garbage(error.to_string())
    } else {
        Exchanged::Unreached(error.to_string())
    }
}

fn outcome(got: &Exchanged) -> Outcome<'_> {
    match got {
        Exchanged::Answer(answer) => Outcome::Answered(answer.status, &answer.headers),
        Exchanged::Unreached(_) => Outcome::Unreached,
        Exchanged::Cut(_) => Outcome::Cut,
        Exchanged::TooLong | Exchanged::Slow | Exchanged::Garbage(_) => Outcome::Failed,
    }
}

/// An answer that is a success in its envelope.
fn succeeded(got: Exchanged) -> Result<Response, ApiError> {
    match got {
        Exchanged::Answer(answer) => match super::error::refusal(&answer) {
            None => Ok(answer),
            Some(error) => Err(error),
        },
        other => Err(other.into()),
    }
}

fn read<T>(answer: &Response, decode: fn(&[u8]) -> Result<T, Violation>) -> Result<T, ApiError> {
    decode(&answer.body).map_err(|violation| ApiError {
        status: answer.status,
        session: answer.headers.get("x-session-id").map(str::to_owned),
        ..ApiError::of(Kind::Answer, violation.to_string())
    })
}

fn json(text: String) -> Payload {
    Payload::Json(text.into())
}

fn local(why: impl Into<String>) -> ApiError {
    ApiError::of(Kind::Local, why)
}

fn queue(name: &str) -> Result<(), ApiError> {
    QueueName::new(name).map(drop).map_err(|violation| local(format!("the name of the queue: {violation}")))
}

fn publishable(message: &PublishRequest) -> Result<(), ApiError> {
    if message.payload.get() == "null" {
        return Err(local("a payload is not null"));
    }
    if message.payload.size() > GREATEST_PAYLOAD {
        return Err(local(format!("a payload has at most {GREATEST_PAYLOAD} bytes")));
    }
    if message.metadata.as_ref().is_some_and(|metadata| metadata.size() > GREATEST_METADATA) {
        return Err(local(format!("metadata have at most {GREATEST_METADATA} bytes")));
    }
    Ok(())
}
