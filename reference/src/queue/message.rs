//! From requests to what the model is asked. What the answers are on the wire, [`super::answer`] says.

use super::{
    model::{
        Alter, Ask, At, Auth, Change, Create, Destination, Differences, Draft, Given, Kind, PolicyChange,
        Posted, Reach, Settings, Source, SourceTally,
    },
    seams::Parts,
};
use bytes::Bytes;
use std::{
    fmt::Display,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};
use wireproof_spec::{
    decode::Violation,
    http::{Request, Response, percent_decode},
    json::{Any, OrNull},
    queue::{
        Action, BatchRequest, CreateRequest, DestinationCreateRequest, DestinationUpdateRequest, Failure,
        PublishRequest, Route, SourceCreateRequest, SourceUpdateRequest, UpdateRequest,
        destinations::RetryPolicy,
        publish::{GREATEST_METADATA, GREATEST_PAYLOAD},
        queues,
        sources::AuthType,
    },
};

/// Below this path stands everything but the sources.
const ROOT: &str = "/queue/";
/// Below this path connections are opened.
const SOCKETS: &str = "/queue/ws/";
/// Below this path sources take what is posted.
pub(super) const SOURCES: &str = "/queue/in/";
/// How many there are in an answer if nothing is said.
const SOME: u64 = 100;
/// The longest payload as it was written, without spaces: what is longer has no room beside the other messages.
const LONGEST: usize = 7 * 1024 * 1024;

/// A request for the model.
pub(super) struct Asked {
    /// Which operation it is; none if it was posted to a source.
    pub(super) action: Option<Action>,
    /// Of which queue.
    pub(super) name: String,
    /// What it wants.
    pub(super) ask: Ask,
}

/// The name of the queue to which a connection is to be opened.
pub(super) fn socket(request: &Request) -> Option<String> {
    let name = request.path.strip_prefix(SOCKETS)?;
    (!name.contains('/')).then(|| percent_decode(name))
}

/// The id of the source to which something is posted.
pub(super) fn source(request: &Request) -> Option<&str> {
    request.path.strip_prefix(SOURCES)
}

/// A refusal.
pub(super) fn refuse(status: u16, message: impl Display) -> Response {
    let failure = Failure {
        success: wireproof_spec::json::False,
        message: message.to_string(),
        code: None,
        error: None,
        details: None,
    };
    json(status, failure.encode())
}

/// An answer of JSON.
pub(super) fn json(status: u16, document: String) -> Response {
    Response::new(status).header("content-type", "application/json").body(document)
}

fn invalid(violation: &Violation) -> Response {
    refuse(400, violation)
}

/// Random bits for an id.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn random_id(prefix: &str) -> String {
    format!("{prefix}{:016x}{:016x}", random(), random())
}

/// The id of a message: it says where it is.
pub(super) fn message_id(incarnation: u64, offset: u64) -> String {
    format!("qmsg_{incarnation:x}z{offset:x}")
}

/// Where the message of an id is, if it can be any.
fn at(id: &str) -> At {
    let parts = id.strip_prefix("qmsg_").and_then(|id| id.split_once('z'));
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let found = parts.and_then(|(queue, offset)| Some((number(queue)?, number(offset)?)));
    // A number may be written in more than one way, an id only in one.
    match found.filter(|(incarnation, offset)| message_id(*incarnation, *offset) == id) {
        Some((incarnation, offset)) => At { incarnation: Some(incarnation), offset: Some(offset) },
        None => At { incarnation: None, offset: None },
    }
}

impl Asked {
    /// Reads a request, or says how it is refused.
    pub(super) fn read(request: &Request, parts: Parts) -> Result<Self, Response> {
        let nothing = || refuse(404, format_args!("no operation was found at {}", request.path));
        if !request.path.starts_with(ROOT) {
            return Err(nothing());
        }
        let route = match Route::decode(request) {
            Ok(route) if route.dated && !parts.dated_paths => return Err(nothing()),
            Ok(route) => route,
            Err(violation) if violation.is_method() => return Err(refuse(405, violation)),
            Err(_) => return Err(nothing()),
        };
        if let Some(what) = missing(route.action, parts) {
            return Err(refuse(501, format_args!("this server has no {what}")));
        }
        let name = match route.queue() {
            Some(name) => name.to_owned(),
            None => String::new(),
        };
        let mut asked = Self { action: Some(route.action), name, ask: Ask::Get };
        asked.ask = asked.ask(request, &route)?;
        Ok(asked)
    }

    /// What was posted to a source.
    pub(super) fn posted(request: &Request, id: &str) -> Self {
        let payload: Result<Any, _> = serde_json::from_slice(&request.body);
        let publish = payload.ok().map(|payload| PublishRequest {
            payload,
            metadata: None,
            idempotency_key: None,
            partition_key: None,
            ttl_seconds: None,
        });
        let posted = Posted {
            id: percent_decode(id),
            credentials: request.headers.get("authorization").map(str::to_owned),
            draft: publish.and_then(|publish| draft(&publish).ok()),
        };
        Self { action: None, name: String::new(), ask: Ask::Post(posted) }
    }

    fn ask(&mut self, request: &Request, route: &Route) -> Result<Ask, Response> {
        let id = || route.id().unwrap_or_default();
        if route.action.operation().request.is_none() && !request.body.is_empty() {
            let json: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&request.body);
            json.map_err(|error| refuse(400, format_args!("expected JSON, found none: {error}")))?;
        }
        Ok(match route.action {
            Action::Create => {
                let create = CreateRequest::decode(&request.body).map_err(|v| invalid(&v))?;
                self.name = match &create.name {
                    Some(name) => name.as_str().to_owned(),
                    None => random_id("queue-"),
                };
                Ask::Create(Create {
                    kind: create.queue_type,
                    description: create.description.map(|text| text.as_str().to_owned()),
                    settings: Settings::default().with(&differences(create.settings)),
                })
            }
            Action::List => Ask::List { limit: limit(request)?, skip: skip(request)? },
            Action::Get => Ask::Get,
            Action::Update => {
                let update = UpdateRequest::decode(&request.body).map_err(|v| invalid(&v))?;
                let description = update.description.map(|text| text.as_str().to_owned());
                Ask::Update(Change { description, settings: differences(update.settings) })
            }
            Action::Delete => Ask::Delete,
            Action::Pause => Ask::Pause(true),
            Action::Resume => Ask::Pause(false),
            Action::Publish => {
                let publish = PublishRequest::decode(&request.body).map_err(|v| invalid(&v))?;
                Ask::Publish { drafts: Arc::new([draft(&publish)?]) }
            }
            Action::Batch => {
                let batch = BatchRequest::decode(&request.body).map_err(|v| invalid(&v))?;
                let drafts: Result<Vec<Draft>, Response> =
                    batch.messages.messages().iter().map(draft).collect();
                Ask::Publish { drafts: drafts?.into() }
            }
            Action::GetMessage => Ask::Message(at(id())),
            Action::MessageAt => {
                let offset = id().parse::<i64>();
                let offset = offset.map_err(|_| refuse(400, "expected an offset: a whole number"))?;
                Ask::Message(At { incarnation: None, offset: u64::try_from(offset).ok() })
            }
            Action::ListMessages => {
                let kind = request.query.get("state").map(kind).transpose()?;
                Ask::Messages { limit: limit(request)?, skip: skip(request)?, kind }
            }
            Action::DeleteMessage => Ask::DeleteMessage(at(id())),
            Action::ReplayMessage => Ask::ReplayMessage(at(id())),
            Action::Consume => Ask::Consume { from: skip(request)?, limit: limit(request)? },
            Action::Head => Ask::Head,
            Action::Tail => Ask::Tail,
            Action::Receive => Ask::Receive { patience: patience(request)? },
            Action::Ack => Ask::Ack(at(id())),
            Action::Nack => Ask::Nack(at(id())),
            Action::ListDeadLetters => Ask::DeadLetters { limit: limit(request)?, skip: skip(request)? },
            Action::ReplayDeadLetter => Ask::ReplayDead(at(id())),
            Action::DeleteDeadLetter => Ask::DeleteDead(at(id())),
            Action::PurgeDeadLetters => Ask::PurgeDead,
            Action::CreateDestination => {
                let create = DestinationCreateRequest::decode(&request.body).map_err(|v| invalid(&v))?;
                Ask::Destine(Box::new(Given { id: random_id("qdest_"), what: destination(create) }))
            }
            Action::ListDestinations => Ask::Destinations,
            Action::UpdateDestination => {
                let update = DestinationUpdateRequest::decode(&request.body).map_err(|v| invalid(&v))?;
                Ask::Redestine { id: id().to_owned(), given: Box::new(reach(update)) }
            }
            Action::DeleteDestination => Ask::Undestine { id: id().to_owned() },
            Action::CreateSource => {
                let create = SourceCreateRequest::decode(&request.body).map_err(|v| invalid(&v))?;
                Ask::AddSource(Box::new(Given { id: random_id("qsrc_"), what: new_source(create) }))
            }
            Action::ListSources => Ask::Sources,
            Action::GetSource => Ask::Source { id: id().to_owned() },
            Action::UpdateSource => {
                let update = SourceUpdateRequest::decode(&request.body).map_err(|v| invalid(&v))?;
                Ask::ChangeSource { id: id().to_owned(), given: Box::new(alter(update)) }
            }
            Action::DeleteSource => Ask::RemoveSource { id: id().to_owned() },
            Action::ListConsumers => Ask::Consumers,
        })
    }
}

/// Which part of the protocol an operation needs that this server has not.
fn missing(action: Action, parts: Parts) -> Option<&'static str> {
    match action {
        Action::CreateDestination
        | Action::ListDestinations
        | Action::UpdateDestination
        | Action::DeleteDestination
            if !parts.destinations =>
        {
            Some("destinations")
        }
        Action::CreateSource
        | Action::ListSources
        | Action::GetSource
        | Action::UpdateSource
        | Action::DeleteSource
            if !parts.sources =>
        {
            Some("sources")
        }
        Action::ListConsumers if !parts.consumers => Some("list of consumers"),
        _ => None,
    }
}

fn limit(request: &Request) -> Result<u64, Response> {
    match request.query.get("limit").map(str::parse) {
        None => Ok(SOME),
        Some(Ok(limit)) if (1..=1000).contains(&limit) => Ok(limit),
        Some(_) => Err(refuse(400, "expected a limit from 1 to 1000")),
    }
}

/// The parameter `offset`: how many to skip, or where to begin.
fn skip(request: &Request) -> Result<u64, Response> {
    let offset = request.query.get("offset").map_or(Ok(0), str::parse);
    offset.map_err(|_| refuse(400, "expected an offset: a whole number from 0"))
}

fn patience(request: &Request) -> Result<u64, Response> {
    let refused = || refuse(400, "expected a timeout from 0 to 30 seconds");
    let seconds: f64 = match request.query.get("timeout") {
        None => return Ok(0),
        Some(text) => text.parse().map_err(|_| refused())?,
    };
    if !(0.0..=30.0).contains(&seconds) {
        return Err(refused());
    }
    // Within these bounds nothing is cut off but parts of a millisecond.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let patience = (seconds * 1000.0).ceil() as u64;
    Ok(patience)
}

fn kind(state: &str) -> Result<Kind, Response> {
    Ok(match state {
        "pending" => Kind::Pending,
        "leased" | "processing" => Kind::Leased,
        "delivered" => Kind::Delivered,
        "failed" => Kind::Failed,
        "dead" => Kind::Dead,
        _ => return Err(refuse(400, "expected pending, leased, processing, delivered, failed or dead")),
    })
}

fn positive(number: i64) -> u64 {
    number.unsigned_abs()
}

fn differences(settings: Option<queues::Settings>) -> Differences {
    let Some(settings) = settings else { return Differences::default() };
    Differences {
        ttl_s: settings.default_ttl_seconds.map(|OrNull(ttl)| ttl.map(|ttl| ttl.get())),
        visibility_s: settings.default_visibility_timeout_seconds.map(|n| positive(n.get())),
        max_retries: settings.default_max_retries.map(|n| positive(n.get())),
        backoff_ms: settings.default_retry_backoff_ms.map(|n| n.get()),
        max_backoff_ms: settings.default_retry_max_backoff_ms.map(|n| n.get()),
        multiplier: settings.default_retry_multiplier.map(|n| n.get()),
        in_flight: settings.max_in_flight_per_client.map(|n| positive(n.get())),
        retention_s: settings.retention_seconds.map(|n| n.get()),
    }
}

fn draft(publish: &PublishRequest) -> Result<Draft, Response> {
    let too_long = |what, most| refuse(413, format_args!("expected {what} of at most {most} bytes"));
    let size = publish.payload.size();
    let payload = compact(publish.payload.get());
    if size > GREATEST_PAYLOAD || payload.len() > LONGEST {
        return Err(too_long("a payload", GREATEST_PAYLOAD));
    }
    let metadata = publish.metadata.as_ref();
    let written = metadata.map(|metadata| compact(metadata.get()));
    let long = |written: &Bytes| written.len() > 6 * GREATEST_METADATA;
    if metadata.is_some_and(|all| all.size() > GREATEST_METADATA) || written.as_ref().is_some_and(long) {
        return Err(too_long("metadata", GREATEST_METADATA));
    }
    Ok(Draft {
        payload,
        size: size as u64,
        metadata: written,
        key: publish.idempotency_key.as_ref().map(|key| key.as_str().to_owned()),
        partition: publish.partition_key.as_ref().map(|key| key.as_str().to_owned()),
        ttl: publish.ttl_seconds.as_ref().map(|ttl| ttl.get()),
    })
}

/// JSON without the spaces between its parts; all else is as it was written, so that every number keeps its value.
fn compact(json: &str) -> Bytes {
    let mut kept = String::with_capacity(json.len());
    let mut text = false;
    for part in json.split_inclusive('"') {
        let before = part.strip_suffix('"');
        if text {
            kept.push_str(part);
            // A quote behind an odd number of backslashes is one of the text.
            let escaped = before.is_some_and(|before| {
                let shorter = before.trim_end_matches('\\');
                (before.len() - shorter.len()) % 2 == 1
            });
            text = escaped || before.is_none();
        } else {
            kept.extend(part.split([' ', '\t', '\n', '\r']));
            text = before.is_some();
        }
    }
    kept.into()
}

fn policy(policy: Option<RetryPolicy>) -> PolicyChange {
    let Some(policy) = policy else { return PolicyChange::default() };
    PolicyChange {
        max_attempts: policy.max_attempts.map(|n| positive(n.get())),
        initial_ms: policy.initial_backoff_ms.map(|n| n.get()),
        max_ms: policy.max_backoff_ms.map(|n| n.get()),
        multiplier: policy.backoff_multiplier.map(|n| n.get()),
    }
}

fn destination(create: DestinationCreateRequest) -> Destination {
    let config = create.config;
    Destination {
        name: create.name,
        url: config.url.as_str().to_owned(),
        headers: config.headers.map(|headers| headers.0),
        method: config.method.map(|method| method.word().to_owned()),
        timeout_ms: config.timeout_ms.map(|n| positive(n.get())),
        policy: policy(config.retry_policy),
        signed: config.signing.as_ref().and_then(|signing| signing.enabled),
        secret: config.signing.and_then(|signing| signing.secret_key),
        enabled: create.enabled.unwrap_or(true),
        ..Destination::default()
    }
}

fn reach(update: DestinationUpdateRequest) -> Reach {
    let mut reach = Reach { name: update.name, enabled: update.enabled, ..Reach::default() };
    if let Some(config) = update.config {
        reach.url = config.url.map(|url| url.as_str().to_owned());
        reach.headers = config.headers.map(|headers| headers.0);
        reach.method = config.method.map(|method| method.word().to_owned());
        reach.timeout_ms = config.timeout_ms.map(|n| positive(n.get()));
        reach.policy = policy(config.retry_policy);
        reach.signed = config.signing.as_ref().and_then(|signing| signing.enabled);
        reach.secret = config.signing.and_then(|signing| signing.secret_key);
    }
    reach
}

fn auth(auth: AuthType) -> Auth {
    match auth {
        AuthType::None => Auth::None,
        AuthType::Basic => Auth::Basic,
        AuthType::Header => Auth::Header,
    }
}

fn new_source(create: SourceCreateRequest) -> Source {
    Source {
        name: create.name.as_str().to_owned(),
        description: create.description.map(|text| text.as_str().to_owned()),
        auth: create.auth_type.map_or(Auth::None, auth),
        secret: create.auth_value,
        enabled: true,
        tally: SourceTally::default(),
        created: 0,
        updated: 0,
    }
}

fn alter(update: SourceUpdateRequest) -> Alter {
    Alter {
        name: update.name.map(|name| name.as_str().to_owned()),
        description: update.description.map(|OrNull(text)| text.map(|text| text.as_str().to_owned())),
        auth: update.auth_type.map(auth),
        secret: update.auth_value,
        enabled: update.enabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_go_and_nothing_else() {
        let json = " { \"a b\\\" \" : [ 1.00 , 123456789012345678901 ,\n\"\\\\\" , \" \" ] } ";
        assert_eq!(compact(json), "{\"a b\\\" \":[1.00,123456789012345678901,\"\\\\\",\" \"]}");
    }

    #[test]
    fn an_id_is_written_in_one_way() {
        let place = At { incarnation: Some(10), offset: Some(255) };
        assert_eq!(at(&message_id(10, 255)), place);
        for other in ["qmsg_0azff", "qmsg_AzFF", "qmsg_+az+ff", "qmsg_aff", "msg_azff", "qmsg_azffz"] {
            assert_eq!(at(other), At { incarnation: None, offset: None }, "{other}");
        }
    }
}
