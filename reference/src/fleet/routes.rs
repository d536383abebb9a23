//! The routes for operators: from a request to what the model is asked, and from what it answers to the wire.

use super::{
    access,
    events::{self, Listening},
    model::{Answer, Ask, Filter},
    server::{Session, Shared, random},
    socket,
};
use crate::http::{Unanswered, Unread};
use serde::Serialize;
use std::{net::IpAddr, sync::Arc};
use tokio::sync::Notify;
use wireproof_spec::{
    fleet::{Action, Cause, CreateRequest, Done, Rejection, Route, conditional::etag, http},
    http::{Request, Response},
};

/// What a request is answered with: an event stream has its events behind its head.
pub(super) struct Answered {
    pub(super) reply: Response,
    pub(super) listening: Option<Listening>,
}

impl From<Response> for Answered {
    fn from(reply: Response) -> Self {
        Self { reply, listening: None }
    }
}

/// Where a request comes from.
pub(super) struct Origin<'a> {
    /// The other end of the socket, if it is known.
    pub(super) peer: Option<IpAddr>,
    /// Ends the connection of the request.
    pub(super) cut: &'a Arc<Notify>,
}

/// An answer of JSON.
fn json(status: u16, document: String) -> Response {
    Response::new(status).header("content-type", "application/json; charset=utf-8").body(document)
}

/// A refusal, with a status that its cause may have.
pub(super) fn refuse(status: u16, cause: Cause) -> Response {
    json(status, Rejection { status: http::Rejected::Rejected, cause }.encode())
}

/// A refusal with the first status of its cause.
fn refused(cause: Cause) -> Response {
    // Every cause has one.
    refuse(cause.statuses().first().copied().unwrap_or(500), cause)
}

fn done() -> Response {
    json(200, Done { status: http::Ok::Ok }.encode())
}

/// The envelope of a success, around data that nobody has to copy for it.
#[derive(Serialize)]
struct Envelope<'a, T> {
    status: http::Ok,
    data: &'a T,
}

fn data<T: Serialize>(status: u16, data: &T) -> Response {
    match serde_json::to_string(&Envelope { status: http::Ok::Ok, data }) {
        Ok(document) => json(status, document),
        Err(error) => {
            tracing::error!(%error, "an answer was not written");
            refused(Cause::Internal)
        }
    }
}

/// The route of a request. Unlike below a root of somebody else, nothing stands before it.
fn route(request: &Request) -> Option<Route> {
    Route::decode(request).ok().filter(|route| route.encode("/").path == request.path)
}

/// The media type of a body, in small letters, without parameters.
fn media_type(request: &Request) -> Option<String> {
    let whole = request.headers.get("content-type")?;
    whole.split(';').next().map(|essence| essence.trim().to_ascii_lowercase())
}

const JSON: &str = "application/json";
/// Read as a text, which is never what a route wants, but no reason to refuse a body that no route looks at.
const TEXT: &str = "text/plain";

/// What a request for a room asks for, or how it is refused.
fn create(request: &Request) -> Result<CreateRequest, Response> {
    match media_type(request).as_deref() {
        Some(JSON) => {}
        Some(TEXT) => return Err(refuse(400, Cause::Validation)),
        None if request.body.is_empty() => return Err(refuse(400, Cause::Validation)),
        _ => return Err(refuse(415, Cause::Validation)),
    }
    CreateRequest::decode(&request.body).map_err(|violation| {
        tracing::debug!(%violation, "a request for a room was refused");
        refuse(400, Cause::Validation)
    })
}

/// Whether a request that needs no body has one that cannot be read.
fn no_body(request: &Request) -> Result<(), Response> {
    match media_type(request).as_deref() {
        None if request.body.is_empty() => Ok(()),
        Some(TEXT) => Ok(()),
        Some(JSON) => serde_json::from_slice::<serde::de::IgnoredAny>(&request.body)
            .map(drop)
            .map_err(|_| refuse(400, Cause::Validation)),
        _ => Err(refuse(415, Cause::Validation)),
    }
}

/// Which rooms a query asks for. What is said twice, and what is no label, is passed over.
fn filter(request: &Request) -> Filter {
    let once = |name: &str| {
        let mut all = request.query.0.iter().filter(|(n, _)| n == name);
        match (all.next(), all.next()) {
            (Some((_, value)), None) => Some(value.clone()),
            _ => None,
        }
    };
    let labels = request.query.0.iter().filter(|(name, _)| name == "label");
    let labels = labels.filter_map(|(_, label)| label.split_once(':'));
    let labels = labels.filter(|(key, _)| !key.is_empty()).map(|(key, value)| (key.into(), value.into()));
    Filter { kind: once("type"), instance: once("instanceId"), labels: labels.collect() }
}

/// What the model is asked; the routes that are no matter of the model are answered before.
fn ask(shared: &Shared, request: &Request, route: Route) -> Result<Ask, Response> {
    let known = request.headers.joined().remove("if-none-match");
    let id = route.id.unwrap_or_default();
    let timeout_ms = shared.limits.command_timeout_ms;
    Ok(match route.action {
        Action::Stats => Ask::Stats { known },
        Action::Instances => Ask::Instances { known },
        Action::Instance => Ask::Instance { id },
        Action::InstanceRooms => Ask::InstanceRooms { id },
        Action::Rooms => Ask::Rooms { filter: filter(request), known },
        Action::Room => Ask::Room { id },
        Action::CreateRoom => Ask::CreateRoom { request: create(request)?, random: random(), timeout_ms },
        Action::DestroyRoom => Ask::DestroyRoom { id, timeout_ms },
        Action::Drain | Action::Undrain => {
            no_body(request)?;
            Ask::Drain { id, drain: route.action == Action::Drain, timeout_ms }
        }
        Action::Events => Ask::Events { most: shared.limits.event_streams },
        Action::Health | Action::Ready => return Err(done()),
    })
}

/// What the model answered, on the wire.
fn reply(answer: Answer) -> Response {
    let tagged = |reply: Response, hash: &str| reply.header("etag", etag(hash));
    match answer {
        Answer::Done => done(),
        Answer::Stats(stats) => tagged(data(200, &stats), &stats.state_hash),
        Answer::Instances { instances, hash } => tagged(data(200, &instances), &hash),
        Answer::Instance(instance) => data(200, &instance),
        Answer::Rooms { rooms, hash } => {
            let reply = data(200, &rooms);
            match hash {
                Some(hash) => tagged(reply, &hash),
                None => reply,
            }
        }
        Answer::Room(room) => data(200, &room),
        Answer::Created(room) => data(201, &room),
        Answer::NotModified { hash } => tagged(Response::new(304), &hash),
        Answer::Listening => events::head(),
        Answer::Refused(cause) => refused(cause),
    }
}

/// Answers a request. What was not read of its body is said only to whoever may know that there is such a route.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: &Request,
    unread: Option<Unread>,
    origin: Origin<'_>,
) -> Result<Answered, Unanswered> {
    if socket::is_handshake(request) {
        return Ok(socket::answer(request).into());
    }
    if let Some(reply) = shared.cors.preflight(request) {
        return Ok(reply.into());
    }
    let keyed = |route: &Route| route.action.operation().keyed;
    let Some(route) = route(request).filter(|route| shared.api || !keyed(route)) else {
        return Ok(refused(Cause::NotFound).into());
    };
    match route.action {
        Action::Health => return Ok(done().into()),
        Action::Ready if shared.ends() => return Ok(refused(Cause::NotReady).into()),
        Action::Ready => return Ok(done().into()),
        _ => {}
    }
    let address = access::address(request, origin.peer, shared.trust_proxy);
    let key = match shared.admit(request, address, route.action) {
        Ok(key) => key.to_owned(),
        Err(cause) => return Ok(refused(cause).into()),
    };
    let action = route.action;
    let answered = keyed_answer(shared, request, unread, route, origin).await?;
    if matches!(action, Action::CreateRoom | Action::DestroyRoom | Action::Drain | Action::Undrain) {
        access::audit(request, &key, address, answered.reply.status);
    }
    Ok(answered)
}

/// Answers a request of an operator with a right key.
async fn keyed_answer(
    shared: &Arc<Shared>,
    request: &Request,
    unread: Option<Unread>,
    route: Route,
    origin: Origin<'_>,
) -> Result<Answered, Unanswered> {
    match unread {
        Some(Unread::Long(_)) => return Ok(refused(Cause::PayloadTooLarge).into()),
        // What comes of it later would be taken for the next request.
        Some(Unread::Slow(_)) => {
            return Ok(refuse(400, Cause::Validation).header("connection", "close").into());
        }
        None => {}
    }
    let listens = route.action == Action::Events;
    if listens && request.method == "HEAD" {
        return Ok(events::head().into());
    }
    // The model has ended the streams that it knew of.
    if listens && shared.ends() {
        return Ok(refused(Cause::NotReady).into());
    }
    let ask = match ask(shared, request, route) {
        Ok(ask) => ask,
        Err(reply) => return Ok(reply.into()),
    };
    let mut session = Session::new(Arc::clone(shared));
    if !listens {
        return Ok(reply(session.ask(ask).await.ok_or(Unanswered::Ended)?).into());
    }
    let (answer, waiting) = session.listen(ask, Arc::clone(origin.cut)).await.ok_or(Unanswered::Ended)?;
    let listening = (answer == Answer::Listening).then_some(Listening { session, waiting });
    Ok(Answered { reply: reply(answer), listening })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_found_at_the_root_alone() {
        let found = |method, path| route(&Request::new(method, path)).map(|route| route.action);
        assert_eq!(found("GET", "/v1/stats"), Some(Action::Stats));
        assert_eq!(found("HEAD", "/v1/rooms/a%2Fb~c"), Some(Action::Room));
        assert_eq!(found("POST", "/v1/instances/x/undrain"), Some(Action::Undrain));
        for (method, path) in [
            ("GET", "/x/v1/stats"),
            ("GET", "/v1/stats/"),
            ("GET", "/V1/stats"),
            ("POST", "/v1/stats"),
            ("GET", "/v1/rooms/v1/stats"),
            ("GET", "//v1/stats"),
            ("GET", ""),
        ] {
            assert_eq!(found(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn filters_are_read_as_far_as_they_are_any() {
        let mut request = Request::default();
        request.set_target("/v1/rooms?type=a&label=k:v:w&label=:x&label=y&label=k2:1&label=k2:2&z=1");
        let read = filter(&request);
        assert_eq!((read.kind.as_deref(), read.instance), (Some("a"), None));
        let labels: Vec<_> = read.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(labels, [("k", "v:w"), ("k2", "2")]);
        request.set_target("/v1/rooms?type=a&type=b&instanceId=i");
        let read = filter(&request);
        assert_eq!((read.kind, read.instance.as_deref()), (None, Some("i")));
    }

    #[test]
    fn bodies_are_judged_by_their_type_first() {
        let status = |kind: Option<&str>, body: &'static str| {
            let mut request = Request::new("POST", "/v1/rooms").body(body);
            request.headers.0.extend(kind.map(|kind| ("content-type".into(), kind.into())));
            (
                create(&request).err().map(|reply| reply.status),
                no_body(&request).err().map(|reply| reply.status),
            )
        };
        let good = r#"{"type":"t"}"#;
        assert_eq!(status(Some("application/json"), good), (None, None));
        assert_eq!(status(Some("Application/JSON; charset=utf-8"), good), (None, None));
        assert_eq!(status(Some("application/json"), ""), (Some(400), Some(400)));
        assert_eq!(status(Some("application/json"), "{"), (Some(400), Some(400)));
        assert_eq!(status(Some("text/plain"), good), (Some(400), None));
        assert_eq!(status(Some("text/html"), good), (Some(415), Some(415)));
        assert_eq!(status(None, good), (Some(415), Some(415)));
        assert_eq!(status(None, ""), (Some(400), None));
    }
}
